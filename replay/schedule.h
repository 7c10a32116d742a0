// SPDX-License-Identifier: Apache-2.0
// Reconciles that workers start by themselves: the record "schedule" (braid.v1.ReconcileSchedule) in the bucket of a
// pipeline's replay jobs.
//
// K1. Each is started by the worker whose compare-and-set of the schedule's `last_us` is first. One that dies right
//     after it leaves that turn out: the next one comes in its time.
// K2. What is started is a replay job with `reconcile` set: it is recomputed, compared, told and dropped by whichever
//     worker has it (runner.h). The next one isn't started while it has work; when it is, the record of the one before
//     goes.
// K3. A schedule that has just been made is due at once.
//
// Not thread-safe: of the thread that has the jobs.
#ifndef BR_REPLAY_SCHEDULE_H
#define BR_REPLAY_SCHEDULE_H

#include "replay/job.h"

struct br_schedule {
    Braid__V1__ReconcileSchedule *record; // NULL: there is none
    uint64_t revision;
    struct br_arena *arena;
};
enum br_status br_schedule_read(struct br_jobs *jobs, struct br_schedule *ret_schedule, struct br_error *error)
    BR_MUST_CHECK;
void br_schedule_free(struct br_schedule *schedule);
// Puts it in the place of the one that is there. record NULL: there is none from now on.
enum br_status br_schedule_put(struct br_jobs *jobs, const Braid__V1__ReconcileSchedule *record, struct br_error *error)
    BR_MUST_CHECK;
// When the next one is due.
struct br_wall_time br_schedule_due(const Braid__V1__ReconcileSchedule *record);

// Starts the reconcile that is due, as a job leased to the worker. *ret_started false: none is, or another worker was
// faster. What keeps it from being started is told in the log and in the schedule; BR_RETRY: try again soon.
enum br_status br_schedule_start(struct br_jobs *jobs, struct br_log *log, const char *pipeline, const char *worker,
                                 struct br_wall_time now, char ret_id[BR_JOB_ID_SIZE], bool *ret_started,
                                 struct br_error *error) BR_MUST_CHECK;

// Several lines, or one JSON object in a line.
void br_schedule_text(const Braid__V1__ReconcileSchedule *record, struct br_buffer *out);
void br_schedule_json(const Braid__V1__ReconcileSchedule *record, struct br_buffer *out);

#endif
