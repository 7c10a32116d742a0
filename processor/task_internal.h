// SPDX-License-Identifier: Apache-2.0
// What task.c, fetch.c, commit.c, recover.c, graft.c and service.c share. One thread: the task's.
#ifndef BR_PROCESSOR_TASK_INTERNAL_H
#define BR_PROCESSOR_TASK_INTERNAL_H

#include "braid/v1/commit.pb-c.h"
#include "processor/commit_newest.h"
#include "processor/emit.h"
#include "processor/input.h"
#include "processor/log/trail.h"
#include "processor/task.h"

// See trouble.c.
#define TASK_TROUBLE_SIZE BR_ERROR_MESSAGE_SIZE
struct task_trouble {
    char what[TASK_TROUBLE_SIZE]; // "": none
    int64_t since_us, told_us;    // told_us 0: not yet
    bool untold;                  // its words have changed since
};

// One table as the task reads it.
struct task_input {
    const struct br_table *table;
    struct br_stream_info stream;
    uint32_t stream_number; // tables with the same one are read from one stream
    struct br_input *input;
    struct br_reader *reader;
    uint64_t last_sequence;              // position: the last message consumed in a computed epoch
    uint64_t covered;                    // nothing up to here is left to read; reading begins behind it after a restart
    uint64_t shown_covered;              // the same for what fetch has looked at
    uint64_t prehistory;                 // sequences here are these imported events + the stream's own
    struct br_trail trail;               // of what was consumed, in the numbers of last_sequence
    bool asleep;                         // nothing is read: all views that need it sleep
    uint64_t stop;                       // nothing beyond is taken; UINT64_MAX: no bound
    struct br_event_time event_time_max; // the highest event time seen; BR_EVENT_TIME_MIN: none
    // of the epoch being made
    uint64_t first_sequence, messages, rows, quarantined;
    uint64_t ahead; // of the quarantined ones: their event time was too far ahead (max_future)
    // totals since the task started, for status
    uint64_t messages_total, rows_total, quarantined_total;
    uint64_t ahead_total;
    struct task_trouble trouble;
};

// What goes into an epoch: a choice when live, a record when recovering (X3).
struct epoch_plan {
    uint64_t number;
    struct br_wall_time clock;
    struct br_mono_time clock_read;      // when
    size_t *take;                        // by input: how many of the messages that peek shows
    const struct br_log_message **first; // by input: those messages
    uint64_t messages;
    bool full;                               // a bound ended it: more is waiting
    bool idle;                               // it has no messages, and no input had any to show
    bool end_of_time;                        // watermarks go to the end
    bool lenient;                            // gates are (gate.h, G4)
    bool at_bound;                           // nothing is left within the bounds
    const Braid__V1__Commit *recorded;       // NULL when live
    const Braid__V1__InputPosition **passes; // by input: where a sleeping one is after the epoch; NULL: where it was
    bool repeats;                            // another lineage's epoch
    uint64_t follows;                        // the epoch of another lineage that is, or was last, repeated; 0: none
    uint64_t follows_sequence;
    const char *follows_lineage;
};

// One atomic batch that has been sent and not been heard of.
struct outstanding {
    bool waiting;
    struct br_log_message *messages; // with the commit message last
    size_t count;
    uint64_t epoch, digest;
    uint32_t part;
    struct br_mono_time sent;
    int64_t oldest_us; // when the stream stored the epoch's oldest message; INT64_MAX: it has none
};

// Commits of epochs that give nothing out, computed while a batch is outstanding: the next batch (X18). A batch costs
// the server more than single commits do, and holds up who shares the stream: commits are gathered only while single
// ones have to be waited for anyway, because another one's batches hold them up.
#define TASK_QUEUED_MAX 500
struct queued {
    struct br_buffer bytes; // the commits, one after the other
    size_t lens[TASK_QUEUED_MAX];
    size_t count;
    uint64_t epoch, digest; // of the last
};

// The commit that a fence stands for. sequence 0: none yet.
struct fence_commit {
    uint64_t sequence, epoch;
    uint64_t digest; // 0: not known
};

// What goes out with a commit.
struct outputs {
    const struct br_log_message *messages;
    size_t count;
};

// What requests have had of the task's time (service.c). Monotonic times.
struct task_turns {
    int64_t next_us;       // no request is taken before
    int64_t next_query_us; // no query is begun before
    int64_t minute_us;     // since when holds are counted
    int64_t held_ms;       // granted since
};

struct br_task {
    struct br_task_options options;
    const struct br_pipeline *pipeline;
    struct br_log *log;
    char stream[256], commit_subject[320];
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
    struct br_mono_time clock_read;
    bool clock_behind;                // it was told that the wall clock is
    uint32_t semantics;               // by which it was computed
    uint64_t committed_epoch;         // last committed
    uint64_t fence;                   // stream sequence of the last message on commit_subject; 0: none
    struct fence_commit fence_commit; // the newest commit there: before the fence when others published behind it
    struct br_mono_time fence_moved;  // past what others published
    uint64_t last_commit;             // of this lineage's last commit message, wherever it stands; 0: none
    uint64_t follows;                 // the epoch of another lineage that the last one repeated; 0: none
    uint64_t follows_sequence;
    char follows_lineage[64];
    bool *asleep, *asleep_nodes;              // by view, by node of the plan
    bool lenient;                             // of the last epoch
    enum br_task_watermarks wants_watermarks; // of the epochs to come
    bool wants_lenient;
    int64_t limit_us;              // no message stored later is taken
    Braid__V1__Commit *unfinished; // the last part of a takeover that lacks further ones
    char superseded_by[64];
    struct task_turns turns;
    bool held; // no epoch is begun before hold_until: somebody is about to take over
    struct br_mono_time hold_until;
    struct outstanding outstanding;
    struct queued queued[2]; // one being filled, one that is outstanding
    unsigned queued_current;
    int64_t queue_wait_us;        // for single commits, beyond the time of computing: smoothed
    uint32_t gathers_left;        // batches until single commits are tried again
    struct br_log_message *batch; // the messages of the outstanding part
    size_t batch_capacity;
    struct br_buffer commit_bytes, flush_record;
    uint32_t epoch_limit; // messages, adaptive
    // Of the last epoch that was beyond a bound; messages 0: the last one wasn't. See adapt.
    struct {
        uint64_t messages;
        double cost;          // as a multiple of the bound
        uint32_t pause, wait; // epochs: how long after a try that failed there is none, and how many of them are left
    } beyond;
    int64_t oldest_us; // as in struct outstanding, of the last epoch computed
    struct br_mono_time flushed_at;
    bool dirty_since_flush, end_of_time, timers_pending;
    bool rows_known;  // no aggregate without groups lacks its row
    uint32_t retries; // in a row
    int64_t tried_us; // when the last try began
    struct task_trouble try_trouble, log_trouble;
    int64_t watched_us;
    uint32_t steps_ahead; // steps since the last boundary at which nothing was outstanding

    struct {
        uint64_t messages, rows_out, late, failed, quarantined, recovered_epochs;
        uint64_t *view_rows, *view_late, *view_failed; // by view
        struct br_mono_time started;
        struct br_wall_time last_commit;
        double usual_age_us;  // of an epoch's oldest message when it is committed; clocks may differ
        uint64_t slow_epochs; // committed SLOW_EPOCH_US later than usual
    } totals;
};

// fetch.c
enum br_status task_choose(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Waits until the recorded epoch's input is here. BR_FATAL naming what is missing when the log no longer has it (X8).
enum br_status task_fetch_recorded(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error)
    BR_MUST_CHECK;
// What to take for repeating another lineage's epoch (F4), and what that lineage says of one of our inputs: NULL when
// it doesn't read it, or from another stream.
enum br_status task_fetch_base(struct br_task *task, const Braid__V1__Commit *base, uint64_t sequence,
                               struct br_error *error) BR_MUST_CHECK;
const Braid__V1__InputPosition *task_base_position(const struct br_task *task, uint32_t i,
                                                   const Braid__V1__Commit *base);
// graft.c
// These views sleep from now on, and no others (NULL: none do).
void task_set_asleep(struct br_task *task, const bool *views);
enum br_status task_adopt_sleep(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error)
    BR_MUST_CHECK;
// What the commit of the next epoch says of who sleeps: those that it has awake are given their state first.
enum br_status task_follow_sleep(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error)
    BR_MUST_CHECK;
// reading.c: of an epoch that would be made now.
struct br_wall_time task_reading(struct br_task *task, struct br_mono_time *ret_read);
// The message that a commit says was consumed last.
void task_note_last(struct task_input *input, const Braid__V1__InputPosition *position);
// Of a reader: names the table, and when the stream isn't what it was, the way out.
enum br_status task_input_error(const struct task_input *input, const struct br_task *task, struct br_error *error);
// task.c
enum br_status task_compute(struct br_task *task, bool silent, struct br_error *error) BR_MUST_CHECK;
// What the graph gives goes to the emit of this epoch, and to the tap.
struct br_sink task_sink(struct br_task *task);
// Between epochs, with nothing outstanding (X10).
enum br_status task_flush(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
enum br_status task_flush_when_due(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
enum br_status task_open_reader(struct br_task *task, uint32_t input, uint64_t first_sequence, struct br_error *error)
    BR_MUST_CHECK;
// Of inputs that are awake and have none: where nothing has been read yet.
enum br_status task_open_readers(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
enum br_status task_open_state(struct br_task *task, bool set_aside, struct br_error *error) BR_MUST_CHECK;
// Over the state, anew: operators keep nothing but what is there.
enum br_status task_make_graph(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Is it worth another try? When the status is BR_RETRY, or what is missing is a permission: waits a little first
// (longer each time, up to a second), says what it waits for, which is `error`, and answers those who ask for the
// status. False, with the status left to the caller, when the task is to stop.
bool task_try_again(struct br_task *task, enum br_status status, struct br_error *error);
static inline bool task_stopping(const struct br_task *task) {
    return task->options.stop != NULL && br_flag_is_set(task->options.stop);
}
static inline struct br_emit *task_emit(struct br_task *task) {
    return task->emits[task->emit_current];
}
// trouble.c
// What is tried again now, and that it has gone well.
void task_note_try(struct br_task *task, const struct br_error *why, bool at_once);
void task_end_try(struct br_task *task);
// Looks at the log and the readers, once a second.
void task_watch(struct br_task *task);
void task_print_troubles(struct br_task *task, struct br_buffer *out); // a member of a JSON object
// recover.c
// A commit begins where the one before it ended, was made by this plan, from these streams.
enum br_status task_check_commit(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error)
    BR_MUST_CHECK;
// takeover.c
// The state after a takeover epoch, which has no input: held back changes are published by it.
enum br_status task_apply_takeover(struct br_task *task, const Braid__V1__Commit *recorded, struct br_error *error)
    BR_MUST_CHECK;
// commit.c
void task_fill_commit(const struct br_task *task, Braid__V1__Commit *commit, struct br_arena *arena);
// Sends parts first_part.. of the outputs with this commit (the fields of parts are filled here). first_fence: the
// whole batch of part 1 is also fenced by its first message.
enum br_status task_send_outputs(struct br_task *task, Braid__V1__Commit *commit, const struct outputs *outputs,
                                 uint32_t first_part, struct br_error *error) BR_MUST_CHECK;
// Sends the computed epoch, part by part from part `first_part` (1, or later after a crash between parts); the last one
// is left outstanding.
enum br_status task_send(struct br_task *task, uint32_t first_part, struct br_error *error) BR_MUST_CHECK;
// The computed epoch gives nothing out: sends its commit, or lets it wait for the outstanding batch (X18).
enum br_status task_queue(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Sends what is queued if the log is free, or when it is much.
enum br_status task_send_queued(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Names what others published behind the newest commit, if they did.
void task_tell_foreign(const struct br_task *task, const char *subject, const struct br_newest_commit *newest);
// With nothing outstanding: BR_FATAL when another has committed on this task's subject.
enum br_status task_check_owner(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
enum br_status task_await(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Until nothing is queued or outstanding.
enum br_status task_settle(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// The epoch as a commit, without parts and blocks, for the state's meta (S2): what recovery starts from.
void task_record(const struct br_task *task, struct br_buffer *bytes);
// service.c
enum br_status task_serve(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
void task_hear_requests(struct br_task *task); // a request ends a br_log_wait
// While an epoch can't be committed, or state is being recovered: status alone is answered, the rest is refused with
// the reason.
void task_serve_meanwhile(struct br_task *task, const char *why);

#define TASK_BATCH_OUTPUTS_MAX (BR_LOG_BATCH_MESSAGES_MAX - 1) // the commit message is the last of the batch

#endif
