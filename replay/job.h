// SPDX-License-Identifier: Apache-2.0
// Replay jobs: records (braid.v1.ReplayJob) in the bucket BRAID_<pipeline>_replays, key = id.
//
// J1. A record changes by compare-and-set only: who read an old one reads it again and decides again.
// J2. Commands write what is wanted (wish), the worker that holds the lease writes what is (phase, progress, findings).
//     Two things are so plain that a command does them itself: cancelling and dropping what nobody has ever begun. A
//     reconcile's worker goes on from done to compare to drop without being told.
// J3. A lease is advice to keep two workers from the same work; what makes a second one harmless are the fences of the
//     lineage. It is held until lease_until_us; times are the caller's clock.
// J4. An id is never given twice: numbers go up, and a dropped job's record stays, without what it was to run.
// J5. Progress never goes back, whatever a worker that took over reports.
// J6. A fulfilled wish is taken back by the worker (wish UNSPECIFIED); while it stands, the job has work.
// J7. The wish to rebuild is its command's alone to fulfil: a worker of another build may run beside it, and knows
//     nothing of such a wish. When the command died over the takeover, whoever works for the lineage that has taken
//     the outputs over notes it.
// J8. A record that a later build has made (its semantics number is larger) is shown, and otherwise left alone.
//
//   phase          wishes that may be made of it
//   planned        run, pause, cancel, rebuild (of phases up to promoting: recompute only)
//   running        run, pause, cancel, rebuild
//   paused         run, pause, cancel, rebuild
//   done           compare, promote (both: recompute only), drop, rebuild
//   promoting      cancel, rebuild
//   promoted       roll back, drop
//   rolling back   -
//   rolled back, failed, cancelled   drop
//   dropped        -
//
// Works on every log. Not thread-safe: of the thread that has the log.
#ifndef BR_REPLAY_JOB_H
#define BR_REPLAY_JOB_H

#include "base/arena.h"
#include "braid/v1/replay.pb-c.h"
#include "processor/log/log.h"

#define BR_JOB_LEASE_US (10 * BR_US_PER_SECOND)
#define BR_JOB_ID_SIZE 24

struct br_jobs;

// A record as it was read; zero-initialise, br_job_free at the end. Text set in it must live in the arena (or for
// ever).
struct br_job {
    Braid__V1__ReplayJob *record;
    uint64_t revision; // of the bucket: its stream's sequence
    struct br_arena *arena;
};
void br_job_free(struct br_job *job);

// Makes the bucket if need be, with as many replicas as the output stream has. BR_FATAL when the pipeline has no output
// stream: it has never run.
enum br_status br_jobs_open(struct br_log *log, const char *pipeline, struct br_jobs **ret_jobs, struct br_error *error)
    BR_MUST_CHECK;
void br_jobs_close(struct br_jobs **jobs);
struct br_log *br_jobs_log(struct br_jobs *jobs); // that it was opened with

// Stores a new job under the next free id (r1, r2, …). Of the record given, id, pipeline, phase (planned), wish and
// created_us are set here. One with a `worker` is leased to it from the start: no other can be faster.
enum br_status br_jobs_create(struct br_jobs *jobs, const Braid__V1__ReplayJob *record, struct br_wall_time now,
                              char ret_id[BR_JOB_ID_SIZE], struct br_error *error) BR_MUST_CHECK;
// A record is data from outside: anybody who may write to the bucket makes one. Larger ones aren't made, nor read.
#define BR_JOB_BYTES_MAX ((size_t)8 << 20)
// BR_DATA: there is no such job. BR_FATAL, BR_JOB_DAMAGED.
enum br_status br_jobs_read(struct br_jobs *jobs, const char *id, struct br_job *ret_job, struct br_error *error)
    BR_MUST_CHECK;
// All of them by number, dropped ones too. Records that can't be read are left out, with one line in the log for
// each. Owned by the caller: br_job_list_free.
struct br_job_list {
    struct br_job *jobs;
    size_t count;
};
enum br_status br_jobs_list(struct br_jobs *jobs, struct br_job_list *ret_list, struct br_error *error) BR_MUST_CHECK;
void br_job_list_free(struct br_job_list *list);

// Changes a record: reads it, calls `change`, writes it, again from the start while somebody else was faster (J1).
// `change` may thus be called several times; it sets *ret_write false to leave the record as it is; another status than
// BR_OK ends all. ret_job (may be NULL): the record as it is then.
typedef enum br_status br_job_change(void *context, struct br_job *job, bool *ret_write, struct br_error *error);
enum br_status br_jobs_change(struct br_jobs *jobs, const char *id, br_job_change *change, void *context,
                              struct br_job *ret_job, struct br_error *error) BR_MUST_CHECK;

// Makes a wish. BR_DATA in words when the job's phase doesn't allow it. A record that can't be read is removed by the
// wish to drop it; ret_job has its id and the phase then, and no time of creation. gates: for compare and promote, else
// NULL; what they point to is borrowed until ret_job is freed.
struct br_job_gates {
    uint64_t max_changed;
    bool require_verified, dry_run, allow_incompatible;
    uint32_t samples; // rows shown per view and kind; 0: as many as is usual
    Braid__V1__Tolerance **tolerances;
    size_t tolerance_count;
};
enum br_status br_jobs_wish(struct br_jobs *jobs, const char *id, Braid__V1__ReplayWish wish,
                            const struct br_job_gates *gates, struct br_wall_time now, struct br_job *ret_job,
                            struct br_error *error) BR_MUST_CHECK;

// --- for workers
// Is there something to do that a worker must do?
bool br_job_has_work(const Braid__V1__ReplayJob *record);
// Takes the lease when the job has work and nobody else holds it. *ret_claimed false: not to be had; ret_job is set
// only when it is true.
enum br_status br_jobs_claim(struct br_jobs *jobs, const char *id, const char *worker, struct br_wall_time now,
                             struct br_job *ret_job, bool *ret_claimed, struct br_error *error) BR_MUST_CHECK;
// The same for the first job that can be had.
enum br_status br_jobs_claim_any(struct br_jobs *jobs, const char *worker, struct br_wall_time now,
                                 struct br_job *ret_job, bool *ret_claimed, struct br_error *error) BR_MUST_CHECK;
// As br_jobs_change, by the holder of the lease. *ret_held false: another worker has it now (its lease ran out, and it
// was taken): nothing was written, stop.
enum br_status br_jobs_change_held(struct br_jobs *jobs, const char *id, const char *worker, br_job_change *change,
                                   void *context, struct br_job *ret_job, bool *ret_held, struct br_error *error)
    BR_MUST_CHECK;
// Extends the lease and writes progress (NULL: as it was), of which every count is only ever raised (J5) and the total
// stays once it is known. ret_job: the record, with the wish as it is now.
enum br_status br_jobs_renew(struct br_jobs *jobs, const char *id, const char *worker, struct br_wall_time now,
                             const Braid__V1__ReplayProgress *progress, struct br_job *ret_job, bool *ret_held,
                             struct br_error *error) BR_MUST_CHECK;
// Gives the lease back. Nothing happens when another has it.
enum br_status br_jobs_release(struct br_jobs *jobs, const char *id, const char *worker, struct br_error *error)
    BR_MUST_CHECK;
// Removes a dropped job's record altogether, so that those of a schedule don't pile up. Of no use for the newest job
// (J4). Another phase: nothing happens.
enum br_status br_jobs_forget(struct br_jobs *jobs, const char *id, struct br_error *error) BR_MUST_CHECK;
// Phase dropped; what was to run and what was found goes, id, times and reason stay (J4). To be used in a change.
void br_job_drop(Braid__V1__ReplayJob *record, struct br_wall_time now);

// --- other records of the bucket, whose keys are no ids (schedule.h)
// The last value of a key, copied into `copy`. *ret_revision 0: there never was one.
enum br_status br_jobs_get_value(struct br_jobs *jobs, const char *key, struct br_buffer *copy,
                                 struct br_slice *ret_value, uint64_t *ret_revision, bool *ret_found,
                                 struct br_error *error) BR_MUST_CHECK;
// One compare-and-set. value NULL: the key is deleted.
enum br_status br_jobs_put_value(struct br_jobs *jobs, const char *key, const struct br_slice *value, uint64_t expected,
                                 enum br_append_result *ret_result, uint64_t *ret_revision, struct br_error *error)
    BR_MUST_CHECK;

// --- words (job_text.c)
const char *br_job_phase_name(Braid__V1__ReplayPhase phase); // "rolling back"
const char *br_job_wish_name(Braid__V1__ReplayWish wish);    // "roll back"; "" for none
const char *br_job_mode_name(Braid__V1__ReplayMode mode);
#define BR_JOB_TIME_SIZE 64
void br_job_time(int64_t us, char text[BR_JOB_TIME_SIZE]); // 2026-11-25T10:00:00Z; any number is taken
bool br_job_leased(const Braid__V1__ReplayJob *record, struct br_wall_time now);
// One JSON object without line breaks. brief: what `list` and `watch` need.
void br_job_json(const Braid__V1__ReplayJob *record, bool brief, struct br_buffer *out);
// Several lines: all that `status` shows.
void br_job_text(const Braid__V1__ReplayJob *record, struct br_wall_time now, struct br_buffer *out);

#endif
