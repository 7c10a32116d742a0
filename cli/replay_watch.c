// SPDX-License-Identifier: Apache-2.0
// Following a replay: a progress bar on a terminal, JSON lines elsewhere. The job goes on whether or not it is watched.
#include "cli/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_EVERY_US 200000
#define TAKE_OVER_US (5 * BR_US_PER_SECOND)
#define BAR_WIDTH 30

// Whether a worker is at it is told by its leases changing, not by their times: clocks differ.
static bool nobody_works(const Braid__V1__ReplayJob *record, int64_t still_us) {
    bool leased = record->worker[0] != '\0'; // then another one has to see first that the lease has run out
    if (still_us < BR_JOB_LEASE_US + (leased ? TAKE_OVER_US : 0))
        return false;
    if (!leased)
        br_complain("no worker has taken %s for %d s: is `braid run` running?", record->id,
                    (int)(still_us / BR_US_PER_SECOND));
    else
        br_complain("worker %s has not been heard of for %d s and no other one has taken %s: is `braid run` running?",
                    record->worker, (int)(still_us / BR_US_PER_SECOND), record->id);
    return true;
}

static void draw_bar(const Braid__V1__ReplayJob *record) {
    const Braid__V1__ReplayProgress *progress = record->progress;
    double part =
        progress->messages_total == 0 ? 0 : (double)progress->messages_done / (double)progress->messages_total;
    char bar[BAR_WIDTH + 1] = "";
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = (double)(i + 1) <= part * BAR_WIDTH ? '#' : '-';
    fprintf(stderr, "\r%s %s [%s] %5.1f %%  %" PRIu64 "/%" PRIu64 "  %.0f/s", record->id,
            br_job_phase_name(record->phase), bar, part * 100, progress->messages_done, progress->messages_total,
            progress->messages_per_second);
    if (progress->seconds_left >= 0)
        fprintf(stderr, "  %" PRId64 " s left", progress->seconds_left);
    fputs("\033[K", stderr);
    fflush(stderr);
}

static void show_job(const Braid__V1__ReplayJob *record, bool bar) {
    if (bar) {
        draw_bar(record);
        return;
    }
    struct br_buffer BR_CLEANUP(br_buffer_free) line = {0};
    br_job_json(record, true, &line);
    printf("%.*s\n", (int)line.len, (const char *)line.ptr);
    fflush(stdout);
}

static bool is_over(const Braid__V1__ReplayJob *record, bool over_pauses) {
    return !br_job_has_work(record) && (!over_pauses || record->phase != BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PAUSED);
}

int replay_follow(const struct replay_arguments *arguments, struct br_jobs *jobs, struct br_log *log, const char *id,
                  bool show, bool over_pauses, struct br_job *ret_job) {
    const struct br_clock *clock = br_clock_system();
    struct br_error error;
    bool bar = show && !arguments->json && isatty(STDERR_FILENO);
    int64_t changed_us = clock->mono(clock).us;
    uint64_t revision = 0;
    int code = -1;
    while (code < 0) {
        struct br_job job;
        enum br_status status = br_jobs_read(jobs, id, &job, &error);
        if (status != BR_OK && br_flag_is_set(&br_stop_requested)) {
            code = BR_EXIT_INTERRUPTED;
            continue;
        }
        if (status != BR_OK) {
            br_complain("%s", error.message);
            return status == BR_DATA ? BR_EXIT_NO : BR_EXIT_FAILED;
        }
        int64_t now_us = clock->mono(clock).us;
        if (job.revision != revision) {
            changed_us = now_us;
            if (show)
                show_job(job.record, bar);
        }
        revision = job.revision;
        if (is_over(job.record, over_pauses)) {
            *ret_job = job;
            code = BR_EXIT_OK;
            continue;
        }
        if (br_flag_is_set(&br_stop_requested))
            code = BR_EXIT_INTERRUPTED;
        else if (br_job_has_work(job.record) && nobody_works(job.record, now_us - changed_us))
            code = BR_EXIT_FAILED;
        else
            br_log_wait(log, LOOK_EVERY_US);
        br_job_free(&job);
    }
    if (bar)
        fputc('\n', stderr);
    return code;
}

int replay_outcome(const struct replay_arguments *arguments, const Braid__V1__ReplayJob *record) {
    static const Braid__V1__ReplayPhase wanted[REPLAY_VERBS] = {
        [REPLAY_PAUSE] = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PAUSED,
        [REPLAY_CANCEL] = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_CANCELLED,
        [REPLAY_ROLLBACK] = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_ROLLED_BACK,
        [REPLAY_DROP] = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DROPPED,
        [REPLAY_PROMOTE] = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PROMOTED,
        [REPLAY_REBUILD] = BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_PROMOTED,
    };
    enum replay_verb verb = arguments->verb;
    if (record->error[0] != '\0')
        br_complain("%s: %s", record->id, record->error);
    if (record->finding[0] != '\0')
        fprintf(stderr, "%s: %s\n", record->id, record->finding);
    if (wanted[verb] != 0 && record->phase != wanted[verb]) {
        bool dry = (verb == REPLAY_PROMOTE || verb == REPLAY_REBUILD) && arguments->gates.dry_run &&
                   record->error[0] == '\0' && record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DONE;
        if (!dry)
            br_complain("%s is %s", record->id, br_job_phase_name(record->phase));
        return dry ? BR_EXIT_OK : BR_EXIT_NO;
    }
    if (record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_FAILED || record->first_bad_epoch != 0 ||
        (verb == REPLAY_DIFF && record->error[0] != '\0'))
        return BR_EXIT_NO;
    if (record->phase == BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_CANCELLED && verb != REPLAY_CANCEL)
        return BR_EXIT_NO;
    return BR_EXIT_OK;
}
