// SPDX-License-Identifier: Apache-2.0
// What runner.c (wishes and phases) and the other runner_*.c share.
#ifndef BR_REPLAY_RUNNER_INTERNAL_H
#define BR_REPLAY_RUNNER_INTERNAL_H

#include "replay/compare.h"
#include "replay/former.h"
#include "replay/history.h"
#include "replay/replay.h"
#include "replay/runner.h"

// A pipeline and where its history is.
struct loaded {
    const struct br_pipeline *pipeline;
    struct br_pipeline *owned; // NULL: borrowed
    // Of a job that selects or changes: what it was made from, when that is owned too, and the same with all keys.
    struct br_pipeline *text, *whole;
    struct br_history *history;
};

// Where the plans of former epochs come from, and where what was published is kept; path "": nowhere yet.
struct runner_plans {
    const struct br_runner_options *options;
    struct br_log *log;
    char path[4200];
};

// runner_pace.c
struct run_pacing {
    int64_t looked_us, busy_us; // when live was asked, when it was last seen to commit
    int64_t paced_us;           // when the last step ended
    uint64_t committed, slow;   // live's epochs, then
    double share;               // of the time, that a replay behind live works
};

struct run {
    const struct br_runner_options *options;
    const char *id;
    struct br_job job; // the record as it was last
    struct br_log *log;
    struct loaded own, base; // what the replay runs, and what the lineage that it repeats does
    const char *lineage, *base_lineage;
    uint32_t base_semantics; // by which rules the base's last epoch was computed
    struct br_replay *replay;
    struct br_task *verifier; // of a verification; borrowed
    char state_path[4096], shadow_path[4096];
    char checkpoint_path[4096];   // where the owner's worker puts one for this run, in our own data folder; "": none
    uint64_t *prehistory, *begin; // by table of own.pipeline
    bool *asleep;                 // by view of own.pipeline: its state will be the base's
    struct br_former_options former;
    struct runner_plans plans;
    int64_t renewed_us, started_us, measured_us;
    uint64_t measured_messages;
    uint64_t rate_from; // where this run began, for its rate
    struct run_pacing pacing;
    bool held;                  // the lease
    Braid__V1__ReplayWish wish; // that is being fulfilled
    struct br_arena *own_arena;
};

// --- runner.c
bool run_stopped(const struct run *run);
// Renews the lease when it is time. *ret_go_on false: the lease is lost, the runner is to stop, or another wish ends
// what is under way.
enum br_status run_tick(struct run *run, bool *ret_go_on, struct br_error *error) BR_MUST_CHECK;
// While a comparison goes on (br_compare_options.tick; context: the struct run): only a lost lease ends it.
enum br_status run_tick_comparing(void *run, struct br_error *error) BR_MUST_CHECK;
// The same at once, so that the record has the progress as it is now.
enum br_status run_tick_now(struct run *run, bool *ret_go_on, struct br_error *error) BR_MUST_CHECK;
// How many messages of its inputs' ranges are done.
uint64_t run_position(const struct run *run);
// Changes the record, lease held.
enum br_status run_change(struct run *run, br_job_change *change, void *context, struct br_error *error) BR_MUST_CHECK;

// --- runner_pace.c
// Connects the run's log, whose readers leave live its place at the server.
enum br_status run_connect(struct run *run, struct br_error *error) BR_MUST_CHECK;
// Lowers the priority of the calling thread.
void run_give_way(const struct run *run);
// Keeps to the job's rate, counted from run_begin_pace on, and out of the way of live when it is asked to; ticks.
void run_begin_pace(struct run *run);
enum br_status run_pace(struct run *run, bool *ret_go_on, struct br_error *error) BR_MUST_CHECK;

// --- runner_files.c
enum br_status run_load_base(struct run *run, uint64_t plan_hash, struct loaded *loaded, struct br_error *error)
    BR_MUST_CHECK;
enum br_status run_load_own(struct run *run, struct loaded *loaded, struct br_error *error) BR_MUST_CHECK;
void loaded_free(struct loaded *loaded);
// The shadow's folder: a checkpoint of the owner's state when it runs on this machine, else empty.
enum br_status run_fetch_checkpoint(struct run *run, struct br_error *error) BR_MUST_CHECK;
void run_remove_checkpoint(const struct run *run);
enum br_status run_open_shadow(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error)
    BR_MUST_CHECK;

// --- runner_published.c
// The base's side of the comparison.
// Is it to compute anew what an owner had read of streams that aren't the same any more?
bool run_is_anew(const struct run *run);
enum br_status run_add_base_side(struct run *run, struct br_error *error) BR_MUST_CHECK;
void runner_close_published(struct runner_plans *plans); // removes the folder, once what was read into it is destroyed

// --- runner_verify.c
enum br_status run_verify(struct run *run, struct br_error *error) BR_MUST_CHECK;

// --- runner_report.c
// Compares shadow and replay, which are at the same position, publishes the report, puts its summary into the record.
enum br_status run_report(struct run *run, struct br_error *error) BR_MUST_CHECK;
// Of a reconcile that has been compared: a line in the log, at error level when its report fails.
enum br_status run_verdict(struct run *run, struct br_error *error) BR_MUST_CHECK;

#endif
