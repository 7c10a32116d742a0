// SPDX-License-Identifier: Apache-2.0
// A task: one pipeline's epoch loop over one log and one state. One thread.
//
//   br_task_create    find the streams, open the state, build the graph
//   br_task_recover   follow the recorded commits until the state is that of the last one
//   br_task_step      at most one epoch: fetch, decode, gate, operate, emit, commit
//
// Views of a replay's lineage may sleep (X17): nothing of them is computed until their state is taken from the lineage
// whose epochs it repeats (br_task_graft).
//
// What a task may do is its role: the owner of the outputs commits on the pipeline's commit subject and publishes; a
// replay commits on its lineage's own subject and publishes nothing; a shadow follows a lineage's commits and writes
// nothing. A replay becomes the owner by br_task_take_over.
//
// The invariants X1..X21 that task.c, commit.c, recover.c and takeover.c refer to are in docs/exactly-once.md.
#ifndef BR_PROCESSOR_TASK_H
#define BR_PROCESSOR_TASK_H

#include "braid/v1/commit.pb-c.h"
#include "processor/log/control.h"
#include "processor/log/log.h"
#include "processor/operators/graph.h"
#include "processor/sql/plan.h"
#include "state/table.h"

struct br_task;

enum br_task_role { BR_TASK_OWNER, BR_TASK_REPLAY, BR_TASK_SHADOW };

// Opens a reader of a table's history: its messages numbered as the lineage numbers them, that is, the imported events
// before the stream's first from 1 to prehistory, then the stream's at prehistory + sequence. stop_sequence 0: for
// ever.
typedef enum br_status (*br_open_input)(void *context, struct br_log *log, const struct br_table *table,
                                        const struct br_stream_info *stream, uint64_t prehistory,
                                        uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                                        struct br_error *error);
// Sees the net changes of every epoch, before an emit interval holds them back; of append-only views the rows.
struct br_tap {
    void *context;
    enum br_status (*rows)(void *context, const struct br_view *view, const struct br_batch *batch,
                           struct br_error *error);
    enum br_status (*changes)(void *context, const struct br_view *view, const struct br_change *changes, size_t count,
                              struct br_error *error);
};

struct br_task_options {
    const struct br_pipeline *pipeline; // borrowed, as all pointers here, for the task's life
    struct br_log *log;
    const struct br_clock *clock;
    const char *lineage; // NULL: "live"
    enum br_task_role role;
    br_open_input open_input; // NULL: the stream and nothing else
    void *input_context;
    const uint64_t *prehistory; // by table, of a lineage that begins; NULL: none
    const uint64_t *begin;      // by table: the first history sequence that a lineage which begins reads; NULL: 1
    const struct br_pipeline *base_pipeline; // of the lineage whose epochs a replay repeats; NULL: unknown
    const char *publish_as; // a replay's id: its changes go to braid.<pipeline>.replay.<id>.view.<view>; NULL: nowhere
    const bool *asleep;     // by view, of a lineage that begins: they sleep; NULL: none does
    // Recovery has come to where sleeping views woke: br_task_graft is wanted, from the lineage and the epoch that
    // br_task_follows names. NULL: the lineage can't be rebuilt from the log.
    enum br_status (*graft)(void *context, struct br_task *task, struct br_error *error);
    void *graft_context;
    bool keep_outputs;           // a shadow's: br_task_outputs gives those of its last epoch
    const struct br_tap *tap;    // NULL: none
    const char *checkpoint_path; // where checkpoints of the state may be put (the service "checkpoint"); NULL: refused
    const char *worker; // who commits: unique per start of a worker, so that a commit can be told to be one's own
    // Opens the state's store; set_aside: what is there can't be used (it is ahead of the log, or damaged), move it out
    // of the way and give an empty one.
    enum br_status (*open_store)(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error);
    void *store_context;
    size_t state_budget_bytes; // 0: 256 MiB
    uint32_t epoch_messages;   // upper bound of messages per epoch; 0: adaptive, so that an epoch's outputs fit one
                               // atomic batch
    int64_t epoch_time_us;     // an epoch should not take longer: the bound above is lowered when it does; 0: 100 ms
    int64_t flush_interval_us; // 0: 5 s; negative: only when the state asks for it
    int output_replicas;       // of the output stream when it is made; 0: 1
    bool output_memory;
    const struct br_flag *stop; // once set, nothing waits for a log that can't be used any more (BR_RETRY); NULL: never
    struct br_requests *requests; // answers what is asked there (br_task_serve); NULL: nothing
    int64_t query_time_us;        // a query that takes longer is ended; 0: 1 s
    uint64_t query_rows_max;      // of one answer; 0: a million
    size_t query_memory_bytes;    // of one query; 0: 64 MiB
    // More members of the status object, each with a comma before it; NULL: none. Thread: the task's.
    void (*add_status)(void *context, struct br_buffer *out);
    void *status_context;
};

enum br_status br_task_create(const struct br_task_options *options, struct br_task **ret_task, struct br_error *error)
    BR_MUST_CHECK;
// Loses what isn't flushed, as a crash does.
void br_task_destroy(struct br_task **task);
// BR_FATAL with BR_TASK_OTHERWISE: this build computes the lineage otherwise than the one that wrote it (semantics.h).
enum br_status br_task_recover(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// *ret_worked false: there was nothing to do (the caller may br_log_wait). Requests are answered here, between epochs.
enum br_status br_task_step(struct br_task *task, bool *ret_worked, struct br_error *error) BR_MUST_CHECK;
// How long a caller that has nothing to do may br_log_wait: at most this, less when a query's turn comes before.
int64_t br_task_idle_us(const struct br_task *task, int64_t most_us);
// Waits for the outstanding commit, so that the log can be used for something else.
enum br_status br_task_settle(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Waits for the outstanding commit and flushes: a clean stop.
enum br_status br_task_stop(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// The next epoch, which needs no input, moves every watermark to the end of time: all windows close (`braid test`, ends
// of bounded runs).
void br_task_end_of_time(struct br_task *task);

// --- replays
void br_task_end_tap(struct br_task *task); // nobody looks on any more
// Where br_task_step may take its input from: up to stops[i] (history sequences, by table; NULL: no bound) and no
// message stored after limit_us. br_task_at_bound: there is nothing more to take within it.
void br_task_bound(struct br_task *task, const uint64_t *stops, int64_t limit_us);
bool br_task_at_bound(const struct br_task *task);
// Two more choices of the epochs to come, which their commits record as they do every choice: watermarks stand still,
// so that nothing is late and no window closes; gates are lenient (gate.h, G4). At first they move, and gates aren't.
enum br_task_watermarks {
    BR_WATERMARKS_MOVE,
    BR_WATERMARKS_STAND,
    BR_WATERMARKS_MOVE_IF_REPEATED, // at the end of the epoch that br_task_repeat is given; before it they stand
    BR_WATERMARKS_AS_REPEATED,      // to where they moved in that epoch
};
void br_task_choose_to(struct br_task *task, enum br_task_watermarks watermarks, bool lenient);
// Computes one epoch on the input of another lineage's epoch `base` (whose commit it is, at this stream sequence), with
// its clock reading, and commits it. Tables that the other lineage hasn't got are read up to its clock, in epochs of
// their own.
enum br_status br_task_repeat(struct br_task *task, const Braid__V1__Commit *base, uint64_t sequence,
                              struct br_error *error) BR_MUST_CHECK;
// The commits of such epochs go out in batches while the one before is under way. When nothing is left to repeat: sends
// those that wait, if the log is free. Never waits.
enum br_status br_task_send_waiting(struct br_task *task, struct br_error *error) BR_MUST_CHECK;
// Does any view sleep?
bool br_task_sleeps(const struct br_task *task);
// Takes the state of sleeping views from a task of the lineage whose epochs this one repeats, which stands at the epoch
// that was repeated last; they are awake from then on. `tick` (NULL: none) is called now and then while rows are
// copied. BR_FATAL when the two don't fit together: wrong lineage or epoch, another plan, other stored rows of a table
// that views of both kinds read.
enum br_status br_task_graft(struct br_task *task, struct br_task *base,
                             enum br_status (*tick)(void *context, struct br_error *error), void *tick_context,
                             struct br_error *error) BR_MUST_CHECK;
// A shadow's step: one message of `braid.<pipeline>.commit.>`. Repeats the epoch if it is of the shadow's lineage, and
// compares the digests: BR_DATA when they differ (the shadow then can't go on).
enum br_status br_task_follow(struct br_task *task, const struct br_log_message *message, struct br_error *error)
    BR_MUST_CHECK;
// What the last epoch gave here (keep_outputs), and the digest of each view.
const struct br_log_message *br_task_outputs(struct br_task *task, size_t *ret_count);
uint64_t br_task_view_digest(const struct br_task *task, uint32_t view);

// Takes the outputs over (X13 to X16).
struct br_takeover {
    const char *replay, *reason; // for headers and the marker
    bool rollback;
    const char *from_lineage; // who owns them
    uint64_t from_epoch, from_sequence;
    const struct br_pipeline *from_pipeline;
    // Gives the corrections, in canonical order, to the sinks' `changes`: rows as the former owner's views publish them
    // to `former`, as this task's do to `own`. Gives the same when it is asked again.
    enum br_status (*corrections)(void *context, const struct br_sink *former, const struct br_sink *own,
                                  struct br_error *error);
    void *context;
};
// *ret_done false: the owner has gone on since from_sequence; follow it and try again.
enum br_status br_task_take_over(struct br_task *task, const struct br_takeover *takeover, bool *ret_done,
                                 struct br_error *error) BR_MUST_CHECK;
// A takeover of this task's lineage whose later parts have not been sent, found by br_task_recover; NULL: none. It is
// ended by br_task_take_over with the same content before anything else.
const Braid__V1__Takeover *br_task_unfinished_takeover(const struct br_task *task);
// Who has taken the outputs over from this task, after a BR_FATAL; NULL: nobody.
const char *br_task_superseded_by(const struct br_task *task);
// The lineage that owns the outputs, by the last commit on the pipeline's commit subject; "live" and nothing else when
// there is none.
struct br_owner {
    char lineage[64];
    uint64_t plan_hash;
    uint32_t semantics; // by which rules its last epoch was computed (semantics.h)
};
enum br_status br_task_find_owner(struct br_log *log, const char *pipeline, struct br_owner *ret_owner,
                                  struct br_error *error) BR_MUST_CHECK;

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
uint64_t br_task_last_commit(const struct br_task *task); // its stream sequence; 0: none
// The epoch of another lineage that was repeated last (or that the outputs were taken over from), whose it is, and
// where its commit stands; 0, "": none.
uint64_t br_task_follows(const struct br_task *task, const char **ret_lineage, uint64_t *ret_sequence);
// Does its last commit stand on the lineage's own subject (and not on the owner's)?
bool br_task_commits_apart(const struct br_task *task);
const char *br_task_lineage(const struct br_task *task);
// Answers requests from now on, with these of the options (a replay that has become the owner).
void br_task_serve_from_now(struct br_task *task, const struct br_task_options *options);
// Has queries, status and what replays ask of the pipeline's owner offered to `requests`.
void br_task_serve(struct br_control *control, const char *pipeline, struct br_requests *requests);
const struct br_event_time *br_task_watermarks(const struct br_task *task);
struct br_wall_time br_task_clock(const struct br_task *task); // the last epoch's reading
// The last message consumed of a table, and how many imported ones are counted in it.
uint64_t br_task_position(const struct br_task *task, uint32_t table, uint64_t *ret_prehistory);
struct br_state *br_task_state(struct br_task *task);
// One JSON object: task, epoch, lag, watermarks, rates, memory, quarantined, late, by table and view.
void br_task_status_json(struct br_task *task, struct br_buffer *out);

// Names on the log.
void br_task_output_stream(const char *pipeline, char *name, size_t size); // BRAID_<pipeline>
// braid.<pipeline>.commit.0: the owner's
void br_task_owner_subject(const char *pipeline, char *subject, size_t size);
// braid.<pipeline>.commit.<lineage>.0
void br_task_lineage_subject(const char *pipeline, const char *lineage, char *subject, size_t size);
// braid.<pipeline>.commit.>: the commits of all lineages, in order
void br_task_commits_filter(const char *pipeline, char *subject, size_t size);
void br_task_service_subject(const char *pipeline, const char *what, char *subject,
                             size_t size); // braid_api.<pipeline>.<what>

#endif
