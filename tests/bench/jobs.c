// SPDX-License-Identifier: Apache-2.0
// See jobs.h.
#include "jobs.h"
#include "measure.h"
#include "replay/archiver.h"

#include <stdio.h>
#include <string.h>

#define AWAIT_US (120 * BR_US_PER_SECOND)
#define LOOK_US 20000

void bench_job_make(struct br_log *log, struct br_jobs *jobs, const struct bench_job *job,
                    char ret_id[BR_JOB_ID_SIZE]) {
    struct br_error error;
    struct replay_draft draft;
    struct replay_arguments arguments = {.verb = job->verb,
                                         .word = job->pipeline,
                                         .new_path = job->new_path,
                                         .to = job->to,
                                         .fresh_epochs = job->fresh_epochs,
                                         .behind_live = job->behind_live,
                                         .reason = "bench",
                                         .lateness_us = -1};
    if (replay_make(&arguments, log, &draft) != BR_EXIT_OK)
        exit(1);
    bench_must(br_replay_plan_check(draft.plan, &error), &error);
    bench_must(br_jobs_create(jobs, &draft.record, br_clock_system()->wall(br_clock_system()), ret_id, &error), &error);
    replay_draft_free(&draft);
}

void bench_job_wish(struct br_jobs *jobs, const char *id, Braid__V1__ReplayWish wish) {
    struct br_error error;
    static const struct br_job_gates none;
    bench_must(br_jobs_wish(jobs, id, wish, &none, br_clock_system()->wall(br_clock_system()), NULL, &error), &error);
}

void bench_job_await(struct br_log *log, struct br_jobs *jobs, const char *id, Braid__V1__ReplayPhase phase) {
    for (int64_t began = bench_now_us();;) {
        struct br_error error;
        struct br_job job = {0};
        bench_must(br_jobs_read(jobs, id, &job, &error), &error);
        if (job.record->error[0] != '\0' || bench_now_us() - began > AWAIT_US) {
            fprintf(stderr, "bench: replay %s is %s: %s\n", id, br_job_phase_name(job.record->phase),
                    job.record->error);
            exit(1);
        }
        bool there = job.record->phase == phase && job.record->wish == BRAID__V1__REPLAY_WISH__REPLAY_WISH_UNSPECIFIED;
        br_job_free(&job);
        if (there)
            return;
        br_log_wait(log, LOOK_US);
    }
}

void bench_archive(struct br_log *log, const struct br_pipeline *pipeline, uint64_t last_sequence) {
    struct br_archiver_options options = {.pipeline = pipeline};
    struct br_archiver *archiver = br_archiver_create(&options, log);
    struct br_error error;
    char segments[BR_ARCHIVE_PATH_SIZE];
    const struct br_table *table = &pipeline->tables[0];
    bench_must(br_archive_folder(table->archive_path, pipeline->name, table->name, BR_SEGMENT_STREAM, segments, &error),
               &error);
    for (bool whole = false; !whole;) {
        struct br_archive *archive;
        while (br_archiver_step(archiver))
            continue;
        br_archiver_finish(archiver);
        bench_must(br_archive_open(segments, &archive, &error), &error);
        whole = archive->count != 0 && archive->segments[archive->count - 1].info.to >= last_sequence;
        br_archive_close(&archive);
        if (!whole)
            br_log_wait(log, LOOK_US);
    }
    br_archiver_destroy(&archiver);
}

void bench_write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    BR_CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}
