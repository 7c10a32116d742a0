// SPDX-License-Identifier: Apache-2.0
// Replay jobs as `braid replay start` and `verify` make them, and archives, for the programs that measure replays.
#ifndef BR_TESTS_BENCH_JOBS_H
#define BR_TESTS_BENCH_JOBS_H

#include "cli/replay.h"

struct bench_job {
    enum replay_verb verb; // REPLAY_START or REPLAY_VERIFY
    const char *pipeline;
    const char *new_path; // the changed pipeline; NULL: as it runs
    const char *to;       // NULL: now
    bool fresh_epochs, behind_live;
};
// Plans it and stores its record.
void bench_job_make(struct br_log *log, struct br_jobs *jobs, const struct bench_job *job, char ret_id[BR_JOB_ID_SIZE]);
void bench_job_wish(struct br_jobs *jobs, const char *id, Braid__V1__ReplayWish wish);
// Waits until a worker has brought it to the phase; ends the program when it fails or takes more than two minutes.
void bench_job_await(struct br_log *log, struct br_jobs *jobs, const char *id, Braid__V1__ReplayPhase phase);

// Archives the stream of the pipeline's only table as the archiver does, up to this sequence.
void bench_archive(struct br_log *log, const struct br_pipeline *pipeline, uint64_t last_sequence);

void bench_write_file(const char *path, const char *text);

#endif
