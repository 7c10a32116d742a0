// SPDX-License-Identifier: Apache-2.0
// What task.c, fetch.c, commit.c, recover.c and service.c share. One thread: the task's.
#ifndef BR_PROCESSOR_TASK_INTERNAL_H
#define BR_PROCESSOR_TASK_INTERNAL_H

#include "braid/v1/commit.pb-c.h"
#include "processor/emit.h"
#include "processor/input.h"
#include "processor/task.h"

// One table as the task reads it.
struct task_input {
    const struct br_table *table;
    struct br_stream_info stream;
    struct br_input *input;
    struct br_reader *reader;
    uint64_t last_sequence;              // position: the last message consumed in a computed epoch
    uint64_t covered;                    // nothing up to here is left to read; reading begins behind it after a restart
    uint64_t shown_covered;              // the same for what fetch has looked at
    struct br_event_time event_time_max; // the highest event time seen; BR_EVENT_TIME_MIN: none
    // of the epoch being made
    uint64_t first_sequence, messages, rows, quarantined;
    // totals since the task started, for status
    uint64_t messages_total, rows_total, quarantined_total;
};

// What goes into an epoch: a choice when live, a record when recovering (X3).
struct epoch_plan {
    uint64_t number;
    struct br_wall_time clock;
    size_t *take;                        // by input: how many of the messages that peek shows
    const struct br_log_message **first; // by input: those messages
    uint64_t messages;
    bool full;                         // a bound ended it: more is waiting
    bool end_of_time;                  // watermarks go to the end
    const Braid__V1__Commit *recorded; // NULL when live
};

// One atomic batch that has been sent and not been heard of.
struct outstanding {
    bool waiting;
    const struct br_log_message *messages; // with the commit message last
    size_t count;
    uint64_t epoch, digest;
    uint32_t part;
    struct br_mono_time sent;
};

struct br_task {
    struct br_task_options options;
    const struct br_pipeline *pipeline;
    struct br_log *log;
    char stream[256], commit_subject[256];
    struct br_state *state;
    struct br_graph *graph;
    struct task_input *inputs; // by table index
    uint32_t *order;           // input indexes in the order of an epoch: upsert tables first
    uint32_t input_count;
    struct br_emit *emits[2]; // one being filled, one whose messages are outstanding
    unsigned emit_current;
    struct br_event_time *watermarks_before, *watermarks_after;
    struct br_arena *epoch_arena;
    bool surveyed;  // its inputs were looked at before
    size_t *counts; // by input: what peek shows
    struct br_events events;
    struct epoch_plan plan;

    uint64_t epoch;            // last computed
    uint64_t digest;           // of it
    struct br_wall_time clock; // of it: readings never go back
    uint64_t committed_epoch;  // last committed
    uint64_t fence;            // stream sequence of the last commit message; 0: none
    struct outstanding outstanding;
    struct br_log_message *batch; // the messages of the outstanding part
    size_t batch_capacity;
    struct br_buffer commit_bytes, flush_record;
    uint32_t epoch_limit; // messages, adaptive
    struct br_mono_time flushed_at;
    bool dirty_since_flush, end_of_time, timers_pending;
    uint32_t retries;     // in a row
    uint32_t steps_ahead; // steps since the last boundary at which nothing was outstanding

    struct {
        uint64_t messages, rows_out, late, failed, quarantined, recovered_epochs;
        uint64_t *view_rows, *view_late, *view_failed; // by view
        struct br_wall_time started, last_commit;
    } totals;
};

// fetch.c
enum br_status task_choose(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Waits until the recorded epoch's input is here. BR_FATAL naming what is missing when the log no longer has it (X8).
enum br_status task_fetch_recorded(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error)
    BR_MUST_CHECK;
// task.c
enum br_status task_compute(struct br_task *task, bool silent, struct br_error *error) BR_MUST_CHECK;
enum br_status task_open_readers(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
enum br_status task_open_state(struct br_task *task, bool set_aside, struct br_error *error) BR_MUST_CHECK;
// Is it worth another try? When the status is BR_RETRY: waits a little first (longer each time, up to a second) and
// says now and then what it waits for, which is `error`. False, with the status left to the caller, when the task is to
// stop.
bool task_try_again(struct br_task *task, enum br_status status, struct br_error *error);
static inline bool task_stopping(const struct br_task *task) {
    return task->options.stop != NULL && *task->options.stop;
}
static inline struct br_emit *task_emit(struct br_task *task) {
    return task->emits[task->emit_current];
}
// commit.c
// Sends the computed epoch, part by part from part `first_part` (1, or later after a crash between parts); the last one
// is left outstanding.
enum br_status task_send(struct br_task *task, uint32_t first_part, struct br_error *error) BR_MUST_CHECK;
enum br_status task_await(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// The epoch as a commit, without parts and blocks, for the state's meta (S2): what recovery starts from.
void task_record(const struct br_task *task, struct br_buffer *bytes);
// service.c
enum br_status task_serve(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
enum br_status task_serve_open(struct br_task *task, struct br_error *error) BR_MUST_CHECK;

#define TASK_BATCH_OUTPUTS_MAX (BR_LOG_BATCH_MESSAGES_MAX - 1) // the commit message is the last of the batch

#endif
