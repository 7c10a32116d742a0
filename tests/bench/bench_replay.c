// SPDX-License-Identifier: Apache-2.0
// Replays over recorded history, as a worker runs them: a job, planned, claimed and run (replay/runner.h) against a
// nats-server. bench_replay [archive] [stream] [small] [verify] [delimited] [--scale=N] [--rounds=N]
//
// A live task (a tumbling count of NEXMark bids, packed) has consumed a stream, and the archiver has copied it. Then
//
//   archive, delimited   q1 in the place of that view, recomputed from the archive: repeating the live epochs, and in
//                        epochs of its own
//   stream               the same from the stream, beside a bare consumer that only counts
//   verify               the count verified and recomputed, in turn
//   small                both, where the live epochs were of 500 messages, as those of a pipeline that isn't behind
//
// Rates are of the replay's thread, which does all there is to do but for RocksDB's own threads: by wall time, by wall
// time without that in which other work had the cores ("alone"), and by time on a core.
#include "flow.h"
#include "jobs.h"
#include "measure.h"
#include "processor/task.h"
#include "replay/runner.h"
#include "state/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOAL_ARCHIVE 3e6
#define GOAL_STREAM 0.8
#define GOAL_VERIFY 1.0
#define EVENTS UINT64_C(4000000)
#define SMALL_EPOCH 500
#define ROUNDS_MAX 100

static size_t scale = 1;
static int rounds = 3;
static char folder[64];

// A pipeline that has run, and its input.
struct history {
    const char *name;
    bool delimited;
    uint64_t events, messages, epochs;
    char subject[64], stream[64], data[128];
    char archived[160], streamed[160]; // q1's SQL, with and without the archive
    struct br_pipeline *pipeline;
    struct br_log *log, *admin; // by the data plane, by the control plane
    struct br_jobs *jobs;
    const char *url;
};

// --- making history

static void write_sql(const struct history *history, const char *path, bool archive, const char *view) {
    char sql[2048];
    int len = archive ? snprintf(sql, sizeof sql, "SET braid.archive = 'file://%s/archive';\n", folder) : 0;
    snprintf(sql + len, sizeof sql - (size_t)len,
             "CREATE TABLE bid (" BENCH_BID_COLUMNS ") WITH (subject = '%s', event_time = 'date_time', watermark = '4 "
             "seconds'%s);\nCREATE MATERIALIZED VIEW %s;\n",
             history->subject, history->delimited ? ", layout = 'delimited'" : "", view);
    bench_write_file(path, sql);
}

static void write_files(struct history *history) {
    static const char q1[] = "q1 AS SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM bid",
                      tumbled[] = "tumbled WITH (layout = 'packed') AS SELECT auction, window_start, count(*) AS n, "
                                  "sum(price) AS total FROM tumble(bid, date_time, interval '10 seconds') GROUP BY "
                                  "auction, window_start";
    char path[160];
    struct br_pipeline_arguments arguments = {.name = history->name};
    snprintf(path, sizeof path, "%s/%s.sql", folder, history->name);
    snprintf(history->archived, sizeof history->archived, "%s/%s-q1.sql", folder, history->name);
    snprintf(history->streamed, sizeof history->streamed, "%s/%s-q1-stream.sql", folder, history->name);
    write_sql(history, path, true, tumbled);
    write_sql(history, history->archived, true, q1);
    write_sql(history, history->streamed, false, q1);
    if (br_load_pipeline(path, &arguments, false, &history->pipeline) != BR_EXIT_OK)
        exit(1);
}

static enum br_status open_live_store(void *context, bool set_aside, struct br_store **ret_store,
                                      struct br_error *error) {
    BR_CHECK(!set_aside);
    return br_worker_open_store(context, false, ret_store, error);
}

static void run_live(struct history *history, uint32_t epoch_messages) {
    struct br_error error;
    struct br_task *task;
    struct br_task_status status;
    char path[4096];
    bench_must(br_worker_state_path(history->data, history->name, "live", path, sizeof path, &error), &error);
    struct br_task_options options = {.pipeline = history->pipeline,
                                      .log = history->log,
                                      .clock = br_clock_system(),
                                      .worker = "bench",
                                      .open_store = open_live_store,
                                      .store_context = path,
                                      .epoch_messages = epoch_messages};
    bench_must(br_task_create(&options, &task, &error), &error);
    bench_must(br_task_recover(task, &error), &error);
    do {
        bool worked;
        bench_must(br_task_step(task, &worked, &error), &error);
        if (!worked)
            br_log_wait(history->log, 10000);
        br_task_status(task, &status);
    } while (status.messages < history->messages);
    bench_must(br_task_stop(task, &error), &error);
    history->epochs = br_task_epoch(task);
    br_task_destroy(&task);
}

static void open_history(struct history *history, const char *url, const char *name, bool delimited,
                         uint32_t epoch_messages) {
    struct br_error error;
    *history = (struct history){.name = name,
                                .delimited = delimited,
                                .url = url,
                                .events = EVENTS / scale,
                                .log = bench_dial(url),
                                .admin = bench_dial_control(url)};
    snprintf(history->subject, sizeof history->subject, "in.%s", name);
    snprintf(history->stream, sizeof history->stream, "IN_%s", name);
    snprintf(history->data, sizeof history->data, "%s/data", folder);
    write_files(history);
    bench_fill_bids(history->url, history->stream, history->subject, history->events, delimited, &history->messages);
    run_live(history, epoch_messages);
    bench_archive(history->log, history->pipeline, history->messages);
    bench_must(br_jobs_open(history->admin, name, &history->jobs, &error), &error);
    printf("%s: %" PRIu64 " bids in %" PRIu64 " messages and %" PRIu64 " epochs\n", name, history->events,
           history->messages, history->epochs);
    fflush(stdout);
}

static void close_history(struct history *history) {
    br_jobs_close(&history->jobs);
    br_log_close(&history->log);
    br_log_close(&history->admin);
    br_pipeline_destroy(&history->pipeline);
}

// --- replays

static void run_claimed(struct history *history, const char *id) {
    struct br_error error;
    struct br_job job = {0};
    bool claimed;
    struct br_connect_options connect = {.url = history->url, .name = "bench"};
    struct br_runner_options options = {.connect = &connect,
                                        .jobs = history->jobs,
                                        .pipeline_name = history->name,
                                        .pipeline = history->pipeline,
                                        .data_path = history->data,
                                        .worker = "bench"};
    bench_must(
        br_jobs_claim(history->jobs, id, "bench", br_clock_system()->wall(br_clock_system()), &job, &claimed, &error),
        &error);
    BR_CHECK(claimed);
    br_job_free(&job);
    bench_must(br_runner_run(&options, id, &error), &error);
}

// From the claim to the phase "done". All of history must have been read, and a verification must have found no fault.
static struct bench_spent replay(struct history *history, enum replay_verb verb, const char *new_path, bool fresh) {
    char id[BR_JOB_ID_SIZE];
    struct bench_job made = {.verb = verb, .pipeline = history->name, .new_path = new_path, .fresh_epochs = fresh};
    struct br_error error;
    struct br_job job = {0};
    bench_job_make(history->log, history->jobs, &made, id);
    struct bench_spent begin = bench_spent_now();
    run_claimed(history, id);
    struct bench_spent spent = bench_spent_since(begin);
    bench_must(br_jobs_read(history->jobs, id, &job, &error), &error);
    const Braid__V1__ReplayJob *record = job.record;
    bool whole = verb == REPLAY_VERIFY ? record->progress->epochs == history->epochs
                                       : record->progress->messages_done == history->messages;
    if (record->phase != BRAID__V1__REPLAY_PHASE__REPLAY_PHASE_DONE || record->first_bad_epoch != 0 || !whole) {
        fprintf(stderr, "bench_replay: replay %s is %s after %" PRIu64 " messages, %" PRIu64 " epochs: %s%s\n", id,
                br_job_phase_name(record->phase), record->progress->messages_done, record->progress->epochs,
                record->error, record->finding);
        exit(1);
    }
    br_job_free(&job);
    bench_job_wish(history->jobs, id, BRAID__V1__REPLAY_WISH__REPLAY_WISH_DROP);
    run_claimed(history, id);
    return spent;
}

static void tell(const struct history *history, const char *what, struct bench_spent spent) {
    double events = (double)history->events / 1e6;
    printf("%-10s %-28s M events/s: %6.3f wall %6.3f alone %6.3f per CPU second", history->name, what,
           events / spent.seconds, events / bench_alone(spent), events / spent.cpu_seconds);
}

static void from_archive(struct history *history) {
    for (int fresh = 0; fresh < 2; fresh++) {
        double goals[ROUNDS_MAX];
        for (int round = 0; round < rounds; round++) {
            struct bench_spent spent = replay(history, REPLAY_START, history->archived, fresh == 1);
            tell(history, fresh == 1 ? "q1, archive, own epochs" : "q1, archive, live's epochs", spent);
            goals[round] = (double)history->events / bench_alone(spent) / GOAL_ARCHIVE;
            printf("   goal %.1f, %.2f x goal\n", GOAL_ARCHIVE / 1e6, goals[round]);
            fflush(stdout);
        }
        printf("%-10s median %.2f x goal\n", history->name, bench_median(goals, (size_t)rounds));
    }
}

static void from_stream(struct history *history) {
    double ratios[ROUNDS_MAX];
    for (int round = 0; round < rounds; round++) {
        double bare = bench_bare_consumer(history->url, history->subject, history->messages);
        struct bench_spent spent = replay(history, REPLAY_START, history->streamed, false);
        tell(history, "q1, stream, live's epochs", spent);
        ratios[round] = bare / spent.seconds;
        printf("   bare consumer %.3f M/s, ratio %.2f, goal %.2f\n", (double)history->messages / bare / 1e6,
               ratios[round], GOAL_STREAM);
        fflush(stdout);
    }
    printf("%-10s median ratio to a bare consumer %.2f, goal %.2f\n", history->name,
           bench_median(ratios, (size_t)rounds), GOAL_STREAM);
}

static void verify(struct history *history) {
    double ratios[ROUNDS_MAX], cpu_ratios[ROUNDS_MAX];
    for (int round = 0; round < rounds; round++) {
        struct bench_spent recomputed = replay(history, REPLAY_START, NULL, false);
        struct bench_spent verified = replay(history, REPLAY_VERIFY, NULL, false);
        ratios[round] = bench_alone(recomputed) / bench_alone(verified);
        cpu_ratios[round] = recomputed.cpu_seconds / verified.cpu_seconds;
        tell(history, "count, recompute", recomputed);
        printf("\n");
        tell(history, "count, verify", verified);
        printf("   %.2f x recompute (%.2f x by CPU), goal %.2f\n", ratios[round], cpu_ratios[round], GOAL_VERIFY);
        fflush(stdout);
    }
    printf("%-10s median verify %.2f x recompute (%.2f x by CPU), goal %.2f\n", history->name,
           bench_median(ratios, (size_t)rounds), bench_median(cpu_ratios, (size_t)rounds), GOAL_VERIFY);
}

int main(int argc, char **argv) {
    struct br_error error;
    struct br_private_server *server;
    struct history history;
    char store[128];
    for (int a = 1; a < argc; a++) {
        sscanf(argv[a], "--scale=%zu", &scale);
        sscanf(argv[a], "--rounds=%d", &rounds);
    }
    BR_CHECK(scale > 0 && rounds > 0 && rounds <= ROUNDS_MAX);
    snprintf(folder, sizeof folder, "/tmp/braid-bench-replay-%ld", (long)getpid());
    snprintf(store, sizeof store, "%s/nats", folder);
    BR_CHECK(mkdir(folder, 0777) == 0);
    bench_must(br_private_server_start(store, false, 0, &server, &error), &error);
    const char *url = br_private_server_url(server);
    bool archive = bench_wanted(argc, argv, "archive"), stream = bench_wanted(argc, argv, "stream"),
         verified = bench_wanted(argc, argv, "verify");
    if (archive || stream || verified) {
        open_history(&history, url, "single", false, 0);
        if (archive)
            from_archive(&history);
        if (stream)
            from_stream(&history);
        if (verified)
            verify(&history);
        close_history(&history);
    }
    if (bench_wanted(argc, argv, "delimited")) {
        open_history(&history, url, "delimited", true, 0);
        from_archive(&history);
        close_history(&history);
    }
    if (bench_wanted(argc, argv, "small")) {
        open_history(&history, url, "small", false, SMALL_EPOCH);
        from_archive(&history);
        verify(&history);
        close_history(&history);
    }
    br_private_server_stop(&server);
    bench_must(br_store_remove(NULL, folder, &error), &error);
    return 0;
}
