// SPDX-License-Identifier: Apache-2.0
// A task: one pipeline's epoch loop over one log and one state. One thread.
//
//   br_task_create    find the streams, open the state, build the graph
//   br_task_recover   follow the recorded commits until the state is that of the last one
//   br_task_step      at most one epoch: fetch, decode, gate, operate, emit, commit
//
// The invariants X1..X12 that task.c, commit.c and recover.c refer to are in docs/exactly-once.md.
#ifndef BR_PROCESSOR_TASK_H
#define BR_PROCESSOR_TASK_H

#include "processor/log/log.h"
#include "processor/sql/plan.h"
#include "state/table.h"

struct br_task;

struct br_task_options {
    const struct br_pipeline *pipeline; // borrowed, as all pointers here, for the task's life
    struct br_log *log;
    const struct br_clock *clock;
    const char *lineage; // NULL: "live"
    const char *worker;  // who commits: unique per start of a worker, so that a commit can be told to be one's own
    // Opens the state's store; set_aside: what is there can't be used (it is ahead of the log), move it out of the way
    // and give an empty one.
    enum br_status (*open_store)(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error);
    void *store_context;
    size_t state_budget_bytes; // 0: 256 MiB
    uint32_t epoch_messages;   // upper bound of messages per epoch; 0: adaptive, so that an epoch's outputs fit one
                               // atomic batch
    int64_t epoch_time_us;     // an epoch should not take longer: the bound above is lowered when it does; 0: 100 ms
    int64_t flush_interval_us; // 0: 5 s; negative: only when the state asks for it
    int output_replicas;       // of the output stream when it is made; 0: 1
    bool output_memory;
    const volatile bool *stop; // once set, nothing waits for a log that can't be used any more (BR_RETRY); NULL: never
    bool serve;                // answer queries and status requests
    // More members of the status object, each with a comma before it; NULL: none. Thread: the task's.
    void (*add_status)(void *context, struct br_buffer *out);
    void *status_context;
};

enum br_status br_task_create(const struct br_task_options *options, struct br_task **ret_task, struct br_error *error)
    BR_MUST_CHECK;
// Loses what isn't flushed, as a crash does.
void br_task_destroy(struct br_task **task);
enum br_status br_task_recover(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// *ret_worked false: there was nothing to do (the caller may br_log_wait). Requests are answered here, between epochs.
enum br_status br_task_step(struct br_task *task, bool *ret_worked, struct br_error *error) BR_MUST_CHECK;
// Waits for the outstanding commit and flushes: a clean stop.
enum br_status br_task_stop(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// The next epoch, which needs no input, moves every watermark to the end of time: all windows close (`braid test`, ends
// of bounded runs).
void br_task_end_of_time(struct br_task *task);

struct br_task_status {
    uint64_t epoch, committed_epoch, digest, messages, rows_out, late, quarantined, failed, lag_messages,
        recovered_epochs;
    int64_t last_commit_us, clock_us;
    struct br_state_usage state;
};
void br_task_status(struct br_task *task, struct br_task_status *ret_status);
struct br_graph *br_task_graph(struct br_task *task);
uint64_t br_task_epoch(const struct br_task *task);
uint64_t br_task_digest(const struct br_task *task);
// One JSON object: task, epoch, lag, watermarks, rates, memory, quarantined, late, by table and view.
void br_task_status_json(struct br_task *task, struct br_buffer *out);

// Names on the log.
void br_task_output_stream(const char *pipeline, char *name, size_t size); // BRAID_<pipeline>
void br_task_commit_subject(const char *pipeline, const char *lineage, char *subject,
                            size_t size); // braid.<pipeline>.commit.0
void br_task_service_subject(const char *pipeline, const char *what, char *subject,
                             size_t size); // braid_api.<pipeline>.<what>

#endif
