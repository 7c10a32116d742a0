// SPDX-License-Identifier: Apache-2.0
// End to end over a local nats-server: throughput as a ratio to a bare libnats consumer that only counts, and latency
// from publish ack to output delivery. bench_stream [throughput] [packed] [restart] [latency] [latency-packed]
// [cluster]
// [--scale=N] [--seconds=N]
//
// The worker is production code (task, JetStream log, RocksDB) in this process; what flows past it is flow.h's.
#include "cli/cli.h"
#include "flow.h"
#include "measure.h"
#include "processor/task.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LATENCY_RATE 20000

static size_t scale = 1;
static int seconds_wanted = 10;

// --- the worker

struct worker {
    struct br_pipeline *pipeline;
    struct br_log *log;
    struct br_task *task;
    struct br_task_options options;
    char folder[64];
};

static enum br_status open_store(void *context, bool set_aside, struct br_store **ret_store, struct br_error *error) {
    struct worker *worker = context;
    BR_CHECK(!set_aside);
    return br_store_open_rocksdb(worker->folder, (size_t)64 << 20, ret_store, error);
}

static void open_worker(struct worker *worker, const char *url, const char *sql_path, const char *sql, const char *name,
                        int replicas) {
    struct br_error error;
    static int count;
    char path[512];
    struct br_pipeline_arguments arguments = {.name = name};
    snprintf(worker->folder, sizeof worker->folder, "/tmp/braid-bench-%ld-%d", (long)getpid(), count++);
    if (sql_path != NULL) {
        snprintf(path, sizeof path, "%s/%s", EXAMPLES_DIR, sql_path);
    } else {
        snprintf(path, sizeof path, "%s.sql", worker->folder);
        FILE *file = fopen(path, "w");
        BR_CHECK(file != NULL && fputs(sql, file) >= 0 && fclose(file) == 0);
    }
    if (br_load_pipeline(path, &arguments, false, &worker->pipeline) != BR_EXIT_OK)
        exit(1);
    if (sql_path == NULL)
        unlink(path);
    worker->log = bench_dial(url);
    worker->options = (struct br_task_options){.pipeline = worker->pipeline,
                                               .log = worker->log,
                                               .clock = br_clock_system(),
                                               .worker = "bench",
                                               .open_store = open_store,
                                               .store_context = worker,
                                               .output_replicas = replicas};
    bench_must(br_task_create(&worker->options, &worker->task, &error), &error);
    bench_must(br_task_recover(worker->task, &error), &error);
}

static void close_worker(struct worker *worker) {
    struct br_error error;
    br_task_destroy(&worker->task);
    br_log_close(&worker->log);
    br_pipeline_destroy(&worker->pipeline);
    bench_must(br_store_remove(NULL, worker->folder, &error), &error);
}

// Until `messages` have been consumed and committed. Returns the seconds.
static double work_off(struct worker *worker, uint64_t messages) {
    struct br_error error;
    struct br_task_status status;
    int64_t began = bench_now_us();
    do {
        bool worked;
        bench_must(br_task_step(worker->task, &worked, &error), &error);
        if (!worked)
            br_log_wait(worker->log, 10000);
        br_task_status(worker->task, &status);
    } while (status.messages < messages || status.committed_epoch != status.epoch);
    return (double)(bench_now_us() - began) / 1e6;
}

// --- throughput

static void throughput(const char *url, bool packed) {
    uint64_t events = (packed ? UINT64_C(10000000) : UINT64_C(2000000)) / scale, messages;
    const char *name = packed ? "packedin" : "single", *subject = packed ? "packedin.bid" : "single.bid";
    bench_fill_bids(url, packed ? "PACKED" : "SINGLE", subject, events, packed, &messages);
    char sql[1024];
    snprintf(sql, sizeof sql,
             "CREATE TABLE bid (" BENCH_BID_COLUMNS
             ") WITH (subject = '%s', event_time = 'date_time', watermark = '4 seconds'%s);\n"
             "CREATE MATERIALIZED VIEW tumbled WITH (layout = 'packed') AS SELECT auction, window_start, count(*) AS "
             "n, sum(price) AS total\n"
             "FROM tumble(bid, date_time, interval '10 seconds') GROUP BY auction, window_start;\n",
             subject, packed ? ", layout = 'delimited'" : "");
    double best_ratio = 0;
    for (int round = 0; round < 3; round++) {
        double bare = bench_bare_consumer(url, subject, messages);
        struct worker worker = {0};
        char pipeline[32];
        snprintf(pipeline, sizeof pipeline, "%s%d", name, round);
        open_worker(&worker, url, NULL, sql, pipeline, 1);
        double braid = work_off(&worker, messages);
        close_worker(&worker);
        double ratio = bare / braid;
        best_ratio = ratio > best_ratio ? ratio : best_ratio;
        printf("%-18s bare consumer %6.3f M messages/s (%6.3f M events/s)   braid %6.3f M events/s   ratio %.2f\n",
               packed ? "packed 64 KiB" : "single 100 B", (double)messages / bare / 1e6, (double)events / bare / 1e6,
               (double)events / braid / 1e6, ratio);
        fflush(stdout);
    }
    if (!packed)
        printf("%-18s best ratio %.2f   goal 0.80\n", "single 100 B", best_ratio);
}

// --- latency

static void report(const char *name, const struct bench_latency *latency, uint64_t count, double goal_p50,
                   double goal_p99, uint64_t epochs) {
    uint64_t first = count / 10, n = count - first; // the first tenth is warm-up
    int64_t *all = bench_latency_sorted(latency, first, n);
    printf("%-18s p50 %6.2f ms (goal %.0f)   p90 %6.2f ms   p99 %6.2f ms (goal %.0f)   max %6.2f ms   %" PRIu64
           " events, %.0f rows an epoch\n",
           name, (double)all[n / 2] / 1e3, goal_p50, (double)all[n * 9 / 10] / 1e3, (double)all[n * 99 / 100] / 1e3,
           goal_p99, (double)all[n - 1] / 1e3, n, (double)count / (double)epochs);
    fflush(stdout);
    free(all);
}

// A cluster takes its time to choose a leader.
static void add_stream(const char *url, const char *stream, const char *subject, int replicas) {
    natsConnection *connection;
    jsCtx *js;
    bench_nats_must(natsConnection_ConnectTo(&connection, url), "connect");
    bench_nats_must(natsConnection_JetStream(&js, connection, NULL), "JetStream");
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subjects[] = {subject};
    config.Name = stream;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Replicas = replicas;
    natsStatus added = NATS_ERR;
    for (int tries = 0; added != NATS_OK && tries < 30; tries++) {
        added = js_AddStream(NULL, js, &config, NULL, NULL);
        if (added != NATS_OK)
            sleep(1);
    }
    bench_nats_must(added, "add stream");
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
}

static void latency(const char *url, const char *name, bool packed, int replicas, double goal_p50, double goal_p99) {
    struct br_error error;
    char stream[32], subject[64], output[64], sql[512], pipeline[32];
    snprintf(stream, sizeof stream, "LATENCY%d%d", replicas, packed);
    snprintf(subject, sizeof subject, "latency%d%d.event", replicas, packed);
    snprintf(pipeline, sizeof pipeline, "latency%d%d", replicas, packed);
    snprintf(sql, sizeof sql,
             "CREATE TABLE event (id bigint NOT NULL) WITH (subject = '%s');\nCREATE MATERIALIZED VIEW seen%s AS "
             "SELECT id FROM event;\n",
             subject, packed ? " WITH (layout = 'packed')" : "");
    add_stream(url, stream, subject, replicas);
    struct worker worker = {0};
    open_worker(&worker, url, NULL, sql, pipeline, replicas);
    if (packed)
        br_task_owner_subject(pipeline, output, sizeof output);
    else
        snprintf(output, sizeof output, "braid.%s.view.seen", pipeline);
    uint64_t count = (uint64_t)LATENCY_RATE * (uint64_t)seconds_wanted / scale;
    struct bench_latency_options options = {
        .url = url, .subject = subject, .output = output, .packed = packed, .count = count};
    struct bench_latency *latency = bench_latency_open(&options);
    bench_latency_feed(latency, 0, count, LATENCY_RATE);
    int64_t deadline = bench_now_us() + (int64_t)(seconds_wanted + 60) * 1000000;
    while (bench_latency_seen(latency) < count && bench_now_us() < deadline) {
        bool worked;
        bench_must(br_task_step(worker.task, &worked, &error), &error);
        if (!worked)
            br_log_wait(worker.log, 10000);
    }
    bench_latency_join(latency);
    uint64_t seen = bench_latency_seen(latency);
    if (seen < count)
        printf("%-18s only %" PRIu64 " of %" PRIu64 " events came out\n", name, seen, count);
    else
        report(name, latency, count, goal_p50, goal_p99, br_task_epoch(worker.task));
    bench_latency_close(&latency);
    close_worker(&worker);
}

// --- restart: 1 M keys of state, the process gone without a word, until it commits again

#define RESTART_KEYS 1000000

static void fill_keys(struct br_log *log, const char *subject, uint64_t first, uint64_t count, uint64_t *ret_messages) {
    struct br_error error;
    struct br_buffer frame = {0};
    *ret_messages = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t row[24] = {0x08};
        size_t len = 1 + br_varint_put(row + 1, (first + i * 7919) % (RESTART_KEYS / scale));
        row[len++] = 0x10;
        len += br_varint_put(row + len, i);
        br_buffer_append_varint(&frame, len);
        br_buffer_append(&frame, row, len);
        if (frame.len < BENCH_FRAME_SIZE - 64 && i + 1 < count)
            continue;
        struct br_log_message message = {.subject = br_slice_of(subject), .payload = br_buffer_slice(&frame)};
        bench_must(br_log_publish(log, &message, &error), &error);
        ++*ret_messages;
        br_buffer_clear(&frame);
    }
    bench_must(br_log_publish_flush(log, &error), &error);
    br_buffer_free(&frame);
}

static void restart(const char *url) {
    struct br_error error;
    uint64_t messages, more;
    struct br_log *log = bench_dial_control(url);
    bench_must(br_log_ensure_input(log, "RESTART", "restart.event", &error), &error);
    fill_keys(log, "restart.event", 0, 3 * RESTART_KEYS / scale, &messages);
    struct worker worker = {0};
    open_worker(&worker, url, NULL,
                "CREATE TABLE event (key bigint NOT NULL, value bigint) WITH (subject = 'restart.event', layout = "
                "'delimited');\n"
                "CREATE MATERIALIZED VIEW sums WITH (layout = 'packed') AS SELECT key, count(*) AS n, sum(value) AS "
                "total FROM event GROUP BY key;\n",
                "restart", 1);
    work_off(&worker, messages);
    br_task_destroy(&worker.task); // as a crash: what isn't flushed is gone
    br_log_close(&worker.log);
    fill_keys(log, "restart.event", 1, 1000, &more);
    struct bench_spent began = bench_spent_now();
    worker.log = bench_dial(url);
    worker.options.log = worker.log;
    worker.options.worker = "bench-again";
    bench_must(br_task_create(&worker.options, &worker.task, &error), &error);
    bench_must(br_task_recover(worker.task, &error), &error);
    double recovered = bench_spent_since(began).seconds;
    work_off(&worker, 1);
    struct br_task_status status;
    br_task_status(worker.task, &status);
    printf("%-18s committing again after %.2f s (goal 2), recovered after %.2f s, %" PRIu64
           " epochs repeated, %u keys\n",
           "restart", bench_spent_since(began).seconds, recovered, status.recovered_epochs,
           (unsigned)(RESTART_KEYS / scale));
    close_worker(&worker);
    br_log_close(&log);
}

// --- a cluster of three on this machine

struct cluster {
    pid_t servers[3];
    char folder[64], url[64];
};

static void start_cluster(struct cluster *cluster) {
    const char *binary = getenv("BRAID_NATS_SERVER");
    int base = 20000 + (int)(getpid() % 20000);
    snprintf(cluster->folder, sizeof cluster->folder, "/tmp/braid-bench-cluster-%ld", (long)getpid());
    snprintf(cluster->url, sizeof cluster->url, "nats://127.0.0.1:%d", base);
    if (binary == NULL) {
        fprintf(stderr, "bench_stream: BRAID_NATS_SERVER says which nats-server to start; tools/bench sets it\n");
        exit(1);
    }
    for (int s = 0; s < 3; s++) {
        char name[8], port[16], store[128], cluster_url[64], routes[256];
        snprintf(name, sizeof name, "n%d", s);
        snprintf(port, sizeof port, "%d", base + s);
        snprintf(store, sizeof store, "%s/%d", cluster->folder, s);
        snprintf(cluster_url, sizeof cluster_url, "nats://127.0.0.1:%d", base + 10 + s);
        snprintf(routes, sizeof routes, "nats://127.0.0.1:%d,nats://127.0.0.1:%d,nats://127.0.0.1:%d", base + 10,
                 base + 11, base + 12);
        cluster->servers[s] = fork();
        if (cluster->servers[s] == 0) {
            freopen("/dev/null", "w", stderr);
            execlp(binary, binary, "-a", "127.0.0.1", "-p", port, "-js", "-sd", store, "-n", name, "--cluster_name",
                   "bench", "--cluster", cluster_url, "--routes", routes, (char *)NULL);
            _exit(127);
        }
    }
    sleep(5); // until they have found each other and chosen a leader
}

static void stop_cluster(struct cluster *cluster) {
    for (int s = 0; s < 3; s++) {
        kill(cluster->servers[s], SIGTERM);
        waitpid(cluster->servers[s], NULL, 0);
    }
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", cluster->folder);
    BR_CHECK(system(command) == 0);
}

int main(int argc, char **argv) {
    for (int a = 1; a < argc; a++) {
        sscanf(argv[a], "--scale=%zu", &scale);
        sscanf(argv[a], "--seconds=%d", &seconds_wanted);
    }
    struct br_error error;
    struct br_private_server *server;
    char folder[64], command[128];
    snprintf(folder, sizeof folder, "/tmp/braid-bench-nats-%ld", (long)getpid());
    bench_must(br_private_server_start(folder, false, 0, &server, &error), &error);
    const char *url = br_private_server_url(server);
    if (bench_wanted(argc, argv, "throughput"))
        throughput(url, false);
    if (bench_wanted(argc, argv, "packed"))
        throughput(url, true);
    if (bench_wanted(argc, argv, "restart"))
        restart(url);
    if (bench_wanted(argc, argv, "latency"))
        latency(url, "latency R1 file", false, 1, 5, 12);
    if (bench_wanted(argc, argv, "latency-packed"))
        latency(url, "latency R1 packed", true, 1, 1, 5);
    br_private_server_stop(&server);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    BR_CHECK(system(command) == 0);
    if (bench_wanted(argc, argv, "cluster")) {
        struct cluster cluster;
        start_cluster(&cluster);
        latency(cluster.url, "latency R3 file", false, 3, 3, 12);
        stop_cluster(&cluster);
    }
    return 0;
}
