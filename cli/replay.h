// SPDX-License-Identifier: Apache-2.0
// What the files of `braid replay` share: the arguments of all verbs, and the parts that a verb is made of.
#ifndef BR_CLI_REPLAY_H
#define BR_CLI_REPLAY_H

#include "cli/cli.h"
#include "replay/job.h"
#include "replay/plan.h"

#define REPLAY_ONLY_MAX 256
#define REPLAY_TOLERANCES_MAX 64

enum replay_verb {
    REPLAY_PLAN,
    REPLAY_START,
    REPLAY_VERIFY,
    REPLAY_LIST,
    REPLAY_STATUS,
    REPLAY_WATCH,
    REPLAY_PAUSE,
    REPLAY_RESUME,
    REPLAY_CANCEL,
    REPLAY_DIFF,
    REPLAY_PROMOTE,
    REPLAY_ROLLBACK,
    REPLAY_DROP,
    REPLAY_REBUILD,
    REPLAY_VERBS
};

struct replay_arguments {
    struct br_pipeline_arguments pipeline;
    struct br_connect_options connect;
    enum replay_verb verb;
    const char *word; // PIPELINE or PIPELINE.sql
    const char *id;   // of the job, for the verbs that need one
    const char *from, *to, *new_path, *key, *reason, *data;
    const char *only[REPLAY_ONLY_MAX];
    size_t only_count;
    bool include_late, include_quarantine, behind_live, publish, fresh_epochs, local, json, wait, last;
    const char *fail_on; // NULL: any difference
    Braid__V1__Tolerance tolerances[REPLAY_TOLERANCES_MAX], *tolerance_list[REPLAY_TOLERANCES_MAX];
    int64_t lateness_us; // -1: the views' own
    double rate;
    struct br_job_gates gates;
};

// A replay about to be made: what `plan` shows, `start` stores and --local runs.
struct replay_draft {
    char name[256];             // of the pipeline
    struct br_pipeline *before; // of PIPELINE.sql, or as the worker has stored it; NULL: it hasn't
    struct br_pipeline *after;  // of --pipeline; NULL: the one that runs
    struct br_upgrade *upgrade; // from the one to the other; NULL: of a verification, or unknown
    struct br_replay_plan *plan;
    Braid__V1__ReplayJob record; // points into all of these and into the arena
    struct br_arena *arena;
};

// All of these return exit codes and have said on stderr what is wrong.

// replay_make.c
int replay_pipeline_name(const struct replay_arguments *arguments, struct br_log *log, char *name, size_t size,
                         struct br_pipeline **ret_pipeline); // *ret_pipeline NULL: a name was given
int replay_make(const struct replay_arguments *arguments, struct br_log *log, struct replay_draft *draft);
// Refuses field numbers that move, unless they may.
int replay_check_moves(const struct replay_arguments *arguments, const struct replay_draft *draft);
void replay_draft_free(struct replay_draft *draft);
char *replay_maker(struct br_arena *arena); // who commands

// replay_rebuild.c
int replay_rebuild(struct replay_arguments *arguments, struct br_log *log);

// replay_watch.c
// Follows a job until nothing is left for a worker to do (or it is paused, unless `over_pauses`). Shows a bar or JSON
// lines when told to. ret_job: the record as it was last.
int replay_follow(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log, const char *id,
                  bool show, bool over_pauses, struct br_job *ret_job);
// How a followed job's end reads as an exit code; says the findings and errors on stderr.
int replay_outcome(const struct replay_arguments *arguments, const Braid__V1__ReplayJob *record);

// Prints what a plan reads.
void replay_show_plan(const struct replay_arguments *arguments, const struct br_replay_plan *plan);

// replay_report.c
// VIEW.COLUMN=NUMBER, cut in place; false: it isn't that, or there are too many.
bool replay_add_tolerance(struct replay_arguments *arguments, char *text);
// Prints a job's last report, and why --fail-on fails. The code says whether it does.
int replay_show_report(const struct replay_arguments *arguments, struct br_log *log,
                       const Braid__V1__ReplayJob *record);

// replay_local.c: does a job in this process, in a thread of its own. The lease is held by `worker`. The pipeline, as
// the worker's own, may be NULL; it is borrowed until the stop.
struct replay_local;
int replay_local_start(const struct replay_arguments *arguments, const char *name, const struct br_pipeline *pipeline,
                       const char *id, const char *worker, struct replay_local **ret_local);
// Ends what is under way at an epoch's end, and waits for that. NULL-safe.
void replay_local_stop(struct replay_local **local);

#endif
