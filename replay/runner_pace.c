// SPDX-License-Identifier: Apache-2.0
// How fast a replay goes, and how it leaves live its place. See runner_internal.h.
//
// P1. The thread: nice, or SCHED_IDLE behind live. What it makes others do isn't held back by that: P2 is about the
//     server, which works for live and for the replay alike.
//
// P2. History and commits are asked for in portions. What was asked for is made in one go and stands in one queue with
//     what live is waiting for, a microsecond or two a message. While live is idle the portions are large, and the
//     replay gets most of what a bare consumer does.
//
// P3. Behind live: none of it while live lags by more than LIVE_LAG_MAX. Beyond that, live tells how many of its epochs
//     were committed late (SLOW_EPOCH_US of commit.c). When they are more than one in SLOW_SHARE, the replay works half
//     of the time that it did before and rests in between; while they are fewer, a bit more again each time. It begins
//     with the least share, and never stands still for that.
#define _GNU_SOURCE // SCHED_IDLE
#include "replay/runner_internal.h"

#include "base/json.h"

#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BACKGROUND_NICE 10
#define ASK_MESSAGES 250
#define ASK_BEHIND_LIVE 64
#define ASK_LIVE_IDLE 16000
#define LIVE_IDLE_US (10 * BR_US_PER_SECOND) // without a commit
#define LOOK_US INT64_C(200000)              // between two looks at live
#define LIVE_LAG_MAX 2000                    // messages
#define LAG_LOOKS_MAX 20
#define SLOW_SHARE 300 // slow epochs hold more messages than others: a p99 is lost with fewer than one in a hundred
#define SHARE_MIN (1.0 / 16)
#define SHARE_MORE (1.0 / 64)
#define REST_US_MAX 50000

static int64_t now_us(void) {
    return br_clock_system()->mono(br_clock_system()).us;
}

void run_give_way(const struct run *run) {
    static const struct sched_param none;
    if (!run->options->background)
        return;
    // On Linux both are of the calling thread. Without them the replay runs all the same.
    if (!run->job.record->behind_live || sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        (void)setpriority(PRIO_PROCESS, 0, BACKGROUND_NICE);
}

// A promotion is to keep up with live, and its log becomes the live one.
static bool becomes_live(const struct run *run) {
    Braid__V1__ReplayWish wish = run->job.record->wish;
    return wish == BRAID__V1__REPLAY_WISH__REPLAY_WISH_PROMOTE || wish == BRAID__V1__REPLAY_WISH__REPLAY_WISH_ROLL_BACK;
}

enum br_status run_connect(struct run *run, struct br_error *error) {
    const Braid__V1__ReplayJob *record = run->job.record;
    struct br_connect_options connect = *run->options->connect;
    if (!becomes_live(run))
        connect.ask_messages = record->behind_live ? ASK_BEHIND_LIVE : ASK_MESSAGES;
    return br_log_connect_jetstream(&connect, &run->log, error);
}

// --- live

static enum br_status take_status(void *context, struct br_slice part, struct br_error *error) {
    (void)error;
    br_buffer_append_slice(context, part);
    return BR_OK;
}

struct live {
    uint64_t lag, committed, slow;
};

// All 0 when nobody answers: there is nobody to make room for.
static struct live look_at_live(struct run *run) {
    struct br_buffer BR_CLEANUP(br_buffer_free) answer = {0};
    struct br_error nobody;
    char subject[320];
    br_task_service_subject(run->options->pipeline_name, "status", subject, sizeof subject);
    if (br_control_request(run->options->control, subject, br_slice_of("{}"), LOOK_US, take_status, &answer, &nobody) !=
        BR_OK)
        return (struct live){0};
    struct br_json json;
    struct br_arena *arena = br_arena_create();
    struct live live = {0};
    if (br_json_parse(br_buffer_slice(&answer), &json, NULL) == BR_OK)
        live = (struct live){br_json_count(&json, "lag", arena), br_json_count(&json, "committed", arena),
                             br_json_count(&json, "slow", arena)};
    br_arena_destroy(&arena);
    return live;
}

// P2
static void choose_portion(struct run *run, const struct live *live) {
    struct run_pacing *pacing = &run->pacing;
    int64_t now = now_us();
    if (live->committed != pacing->committed || (pacing->busy_us == 0 && live->committed != 0))
        pacing->busy_us = now;
    bool busy = pacing->busy_us != 0 && now - pacing->busy_us < LIVE_IDLE_US;
    uint32_t ask = !busy ? ASK_LIVE_IDLE : run->job.record->behind_live ? ASK_BEHIND_LIVE : ASK_MESSAGES;
    br_log_jetstream_set_ask(run->log, ask);
}

// P3
static void choose_share(struct run_pacing *pacing, const struct live *live) {
    bool known = pacing->committed != 0 && live->committed >= pacing->committed && live->slow >= pacing->slow;
    uint64_t committed = known ? live->committed - pacing->committed : 0, slow = known ? live->slow - pacing->slow : 0;
    if (pacing->share == 0)
        pacing->share = SHARE_MIN; // nothing is known of live yet
    pacing->share = slow * SLOW_SHARE > committed ? pacing->share / 2 : pacing->share + SHARE_MORE;
    pacing->share = pacing->share < SHARE_MIN ? SHARE_MIN : pacing->share > 1 ? 1 : pacing->share;
}

static void heed_live(struct run *run) {
    struct run_pacing *pacing = &run->pacing;
    bool behind = run->job.record->behind_live;
    if (now_us() - pacing->looked_us < LOOK_US)
        return;
    struct live live = look_at_live(run);
    for (int i = 0; behind && i < LAG_LOOKS_MAX && !run_stopped(run) && live.lag > LIVE_LAG_MAX; i++) {
        br_log_wait(run->log, REST_US_MAX);
        live = look_at_live(run);
    }
    choose_portion(run, &live);
    choose_share(pacing, &live);
    pacing->committed = live.committed;
    pacing->slow = live.slow;
    pacing->looked_us = now_us();
}

// So that what was worked since the last rest is the share of both.
static void rest(const struct run *run) {
    const struct run_pacing *pacing = &run->pacing;
    int64_t worked = now_us() - pacing->paced_us;
    if (run->job.record->behind_live && pacing->paced_us != 0 && pacing->share < 1) {
        int64_t rest_us = (int64_t)((double)worked * (1 / pacing->share - 1));
        usleep((useconds_t)(rest_us < REST_US_MAX ? rest_us : REST_US_MAX));
    }
}

// --- rate

// How long it takes until the job's rate allows for what has been done.
static int64_t ahead_of_rate(const struct run *run) {
    double rate = run->job.record->rate;
    if (!(rate > 0))
        return 0;
    return run->started_us + (int64_t)((double)(run_position(run) - run->rate_from) * 1e6 / rate) - now_us();
}

void run_begin_pace(struct run *run) {
    run->started_us = now_us();
    run->rate_from = run_position(run);
}

enum br_status run_pace(struct run *run, bool *ret_go_on, struct br_error *error) {
    if (!becomes_live(run))
        heed_live(run);
    BR_TRY(run_tick(run, ret_go_on, error));
    rest(run);
    for (int64_t ahead; *ret_go_on && (ahead = ahead_of_rate(run)) > 0;) {
        usleep((useconds_t)(ahead < REST_US_MAX ? ahead : REST_US_MAX));
        BR_TRY(run_tick(run, ret_go_on, error));
    }
    run->pacing.paced_us = now_us();
    return BR_OK;
}
