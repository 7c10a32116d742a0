// SPDX-License-Identifier: Apache-2.0
// End to end over a local nats-server: throughput as a ratio to a bare libnats consumer that only counts, and latency
// from publish ack to output delivery. bench_stream [throughput] [packed] [restart] [latency] [latency-packed]
// [cluster]
// [--scale=N] [--seconds=N]
//
// The worker is production code (task, JetStream log, RocksDB) in this process; feeder and subscriber are plain
// libnats, as a user's would be.
#define _GNU_SOURCE // memmem
#include "cli/cli.h"
#include "nexmark.h"
#include "processor/task.h"

#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LATENCY_RATE 20000
#define FRAME_SIZE ((size_t)64 << 10)

static size_t scale = 1;
static int seconds_wanted = 10;

static void must(enum br_status status, const struct br_error *error) {
    if (status != BR_OK) {
        fprintf(stderr, "bench_stream: %s\n", error->message);
        exit(1);
    }
}

static void nats_must(natsStatus status, const char *what) {
    if (status != NATS_OK) {
        fprintf(stderr, "bench_stream: %s: %s\n", what, natsStatus_GetText(status));
        exit(1);
    }
}

static int64_t now_us(void) {
    return br_clock_system()->mono(br_clock_system()).us;
}

static struct br_log *dial(const char *url) {
    struct br_error error;
    struct br_log *log;
    struct br_connect_options options = {.url = url, .name = "bench"};
    must(br_log_connect_jetstream(&options, &log, &error), &error);
    return log;
}

// --- the worker

struct worker {
    struct br_pipeline *pipeline;
    struct br_log *log;
    struct br_task *task;
    struct br_task_options options;
    char folder[64];
};

static double seconds_since(int64_t began_us) {
    return (double)(now_us() - began_us) / 1e6;
}

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
    worker->log = dial(url);
    worker->options = (struct br_task_options){.pipeline = worker->pipeline,
                                               .log = worker->log,
                                               .clock = br_clock_system(),
                                               .worker = "bench",
                                               .open_store = open_store,
                                               .store_context = worker,
                                               .output_replicas = replicas};
    must(br_task_create(&worker->options, &worker->task, &error), &error);
    must(br_task_recover(worker->task, &error), &error);
}

static void close_worker(struct worker *worker) {
    struct br_error error;
    br_task_destroy(&worker->task);
    br_log_close(&worker->log);
    br_pipeline_destroy(&worker->pipeline);
    must(br_store_remove(worker->folder, &error), &error);
}

// Until `messages` have been consumed and committed. Returns the seconds.
static double work_off(struct worker *worker, uint64_t messages) {
    struct br_error error;
    struct br_task_status status;
    int64_t began = now_us();
    do {
        bool worked;
        must(br_task_step(worker->task, &worked, &error), &error);
        if (!worked)
            br_log_wait(worker->log, 10000);
        br_task_status(worker->task, &status);
    } while (status.messages < messages || status.committed_epoch != status.epoch);
    return (double)(now_us() - began) / 1e6;
}

// --- throughput

static void fill_stream(struct br_log *log, const char *stream, const char *subject, uint64_t events, bool packed,
                        uint64_t *ret_messages) {
    struct br_error error;
    struct br_nexmark_options options = {.seed = 1, .start_us = INT64_C(1767225600000000)};
    struct br_buffer one = {0}, frame = {0};
    must(br_log_ensure_input(log, stream, subject, &error), &error);
    *ret_messages = 0;
    uint64_t made = 0;
    for (uint64_t n = 0; made < events; n++) {
        if (br_nexmark_kind_of(n) != BR_NEXMARK_BID)
            continue;
        struct br_nexmark_event event;
        br_nexmark_make(&options, n, &event);
        br_buffer_clear(&one);
        br_nexmark_encode(&event, &one);
        made++;
        if (packed) {
            br_buffer_append_varint(&frame, one.len);
            br_buffer_append(&frame, one.ptr, one.len);
            if (frame.len < FRAME_SIZE - 200 && made < events)
                continue;
        }
        struct br_log_message message = {.subject = br_slice_of(subject),
                                         .payload = packed ? br_buffer_slice(&frame) : br_buffer_slice(&one)};
        must(br_log_publish(log, &message, &error), &error);
        ++*ret_messages;
        br_buffer_clear(&frame);
    }
    must(br_log_publish_flush(log, &error), &error);
    br_buffer_free(&one);
    br_buffer_free(&frame);
}

struct counter {
    atomic_uint_fast64_t count;
    uint64_t wanted;
    pthread_mutex_t lock;
    pthread_cond_t done;
};

static void count_message(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure) {
    struct counter *counter = closure;
    (void)connection;
    (void)subscription;
    natsMsg_Destroy(message);
    if (atomic_fetch_add(&counter->count, 1) + 1 == counter->wanted) {
        pthread_mutex_lock(&counter->lock);
        pthread_cond_signal(&counter->done);
        pthread_mutex_unlock(&counter->lock);
    }
}

static double bare_consumer(const char *url, const char *subject, uint64_t messages) {
    struct counter counter = {.wanted = messages, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    natsConnection *connection;
    jsCtx *js;
    natsSubscription *subscription;
    jsSubOptions options;
    nats_must(natsConnection_ConnectTo(&connection, url), "connect");
    nats_must(natsConnection_JetStream(&js, connection, NULL), "JetStream");
    jsSubOptions_Init(&options);
    options.Ordered = true;
    int64_t began = now_us();
    nats_must(js_Subscribe(&subscription, js, subject, count_message, &counter, NULL, &options, NULL), "subscribe");
    pthread_mutex_lock(&counter.lock);
    while (atomic_load(&counter.count) < messages)
        pthread_cond_wait(&counter.done, &counter.lock);
    pthread_mutex_unlock(&counter.lock);
    double seconds = (double)(now_us() - began) / 1e6;
    natsSubscription_Destroy(subscription);
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    return seconds;
}

static void throughput(const char *url, bool packed) {
    uint64_t events = (packed ? UINT64_C(10000000) : UINT64_C(2000000)) / scale, messages;
    const char *name = packed ? "packedin" : "single", *subject = packed ? "packedin.bid" : "single.bid";
    struct br_log *log = dial(url);
    fill_stream(log, packed ? "PACKED" : "SINGLE", subject, events, packed, &messages);
    br_log_close(&log);
    static const char columns[] = "auction bigint NOT NULL, bidder bigint, price bigint, channel text, url text, "
                                  "date_time timestamptz NOT NULL, extra text";
    char sql[1024];
    snprintf(sql, sizeof sql,
             "CREATE TABLE bid (%s) WITH (subject = '%s', event_time = 'date_time', watermark = '4 seconds'%s);\n"
             "CREATE MATERIALIZED VIEW tumbled WITH (layout = 'packed') AS SELECT auction, window_start, count(*) AS "
             "n, sum(price) AS total\n"
             "FROM tumble(bid, date_time, interval '10 seconds') GROUP BY auction, window_start;\n",
             columns, subject, packed ? ", layout = 'delimited'" : "");
    double best_ratio = 0;
    for (int round = 0; round < 3; round++) {
        double bare = bare_consumer(url, subject, messages);
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

struct latency {
    const char *url, *subject;
    uint64_t count;
    atomic_int_fast64_t *acked; // by id: when the ack came
    int64_t *delivered;         // by id
    atomic_uint_fast64_t seen;
    atomic_bool stop;
    bool packed;
};

static uint64_t read_id(const char *bytes, int len) {
    uint64_t id = 0;
    if (len < 2 || bytes[0] != 0x08 ||
        br_varint_get((const uint8_t *)bytes + 1, (const uint8_t *)bytes + len, &id) == 0)
        return UINT64_MAX;
    return id;
}

static void on_ack(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *failure, void *closure) {
    struct latency *latency = closure;
    (void)js;
    (void)ack;
    if (failure != NULL) {
        fprintf(stderr, "bench_stream: publish failed: %s\n", failure->ErrText != NULL ? failure->ErrText : "?");
        exit(1);
    }
    uint64_t id = read_id(natsMsg_GetData(message), natsMsg_GetDataLength(message));
    if (id < latency->count)
        atomic_store(&latency->acked[id], now_us());
    natsMsg_Destroy(message);
}

static void *feed(void *context) {
    struct latency *latency = context;
    natsConnection *connection;
    jsCtx *js;
    jsOptions options;
    nats_must(natsConnection_ConnectTo(&connection, latency->url), "connect");
    jsOptions_Init(&options);
    options.PublishAsync.AckHandler = on_ack;
    options.PublishAsync.AckHandlerClosure = latency;
    nats_must(natsConnection_JetStream(&js, connection, &options), "JetStream");
    int64_t began = now_us();
    for (uint64_t id = 0; id < latency->count; id++) {
        int64_t due = began + (int64_t)(id * 1000000 / LATENCY_RATE);
        int64_t wait = due - now_us();
        if (wait > 200) {
            struct timespec pause = {0, wait * 1000};
            nanosleep(&pause, NULL);
        }
        uint8_t bytes[16] = {0x08};
        size_t len = 1 + br_varint_put(bytes + 1, id);
        nats_must(js_PublishAsync(js, latency->subject, bytes, (int)len, NULL), "publish");
    }
    nats_must(js_PublishAsyncComplete(js, NULL), "publish");
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    return NULL;
}

static void note_delivery(struct latency *latency, const char *bytes, int len, int64_t at_us) {
    uint64_t id = read_id(bytes, len);
    if (id < latency->count) {
        BR_CHECK(latency->delivered[id] == 0); // exactly once
        latency->delivered[id] = at_us;
        atomic_fetch_add(&latency->seen, 1);
    }
}

// Rows of a packed view: skim the commit for records of the shape op 'I', length, 0x08, id. The commit is small
// protobuf; blocks begin with "BRP1".
static void note_block(struct latency *latency, const char *bytes, int len, int64_t at_us) {
    const char *at = memmem(bytes, (size_t)len, "BRP1", 4);
    const uint8_t *end = (const uint8_t *)bytes + len;
    if (at == NULL)
        return;
    const uint8_t *p = (const uint8_t *)at + 4;
    uint64_t view = 0, rows = 0, size = 0;
    p += br_varint_get(p, end, &view);
    p += br_varint_get(p, end, &rows);
    for (uint64_t r = 0; r < rows && p < end; r++) {
        p++;
        p += br_varint_get(p, end, &size);
        note_delivery(latency, (const char *)p, (int)size, at_us);
        p += size;
    }
}

static void on_output(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure) {
    struct latency *latency = closure;
    int64_t at_us = now_us();
    (void)connection;
    (void)subscription;
    if (latency->packed)
        note_block(latency, natsMsg_GetData(message), natsMsg_GetDataLength(message), at_us);
    else
        note_delivery(latency, natsMsg_GetData(message), natsMsg_GetDataLength(message), at_us);
    natsMsg_Destroy(message);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, struct latency *latency, double goal_p50, double goal_p99, uint64_t epochs) {
    uint64_t first = latency->count / 10; // the first tenth is warm-up
    int64_t *all = br_calloc(latency->count, sizeof *all);
    size_t n = 0;
    for (uint64_t id = first; id < latency->count; id++) {
        int64_t acked = atomic_load(&latency->acked[id]);
        all[n++] = latency->delivered[id] > acked ? latency->delivered[id] - acked
                                                  : 0; // delivered before its ack was seen: no time at all
    }
    qsort(all, n, sizeof *all, by_value);
    printf("%-18s p50 %6.2f ms (goal %.0f)   p90 %6.2f ms   p99 %6.2f ms (goal %.0f)   max %6.2f ms   %zu events, %.0f "
           "rows an epoch\n",
           name, (double)all[n / 2] / 1e3, goal_p50, (double)all[n * 9 / 10] / 1e3, (double)all[n * 99 / 100] / 1e3,
           goal_p99, (double)all[n - 1] / 1e3, n, (double)latency->count / (double)epochs);
    fflush(stdout);
    free(all);
}

static void latency(const char *url, const char *name, bool packed, int replicas, double goal_p50, double goal_p99) {
    struct br_error error;
    char stream[32], subject[64], output[64], sql[512];
    snprintf(stream, sizeof stream, "LATENCY%d%d", replicas, packed);
    snprintf(subject, sizeof subject, "latency%d%d.event", replicas, packed);
    snprintf(sql, sizeof sql,
             "CREATE TABLE event (id bigint NOT NULL) WITH (subject = '%s');\nCREATE MATERIALIZED VIEW seen%s AS "
             "SELECT id FROM event;\n",
             subject, packed ? " WITH (layout = 'packed')" : "");
    struct latency latency = {.url = url,
                              .subject = subject,
                              .count = (uint64_t)LATENCY_RATE * (uint64_t)seconds_wanted / scale,
                              .packed = packed};
    latency.acked = br_calloc(latency.count, sizeof *latency.acked);
    latency.delivered = br_calloc(latency.count, sizeof *latency.delivered);

    natsConnection *connection;
    jsCtx *js;
    nats_must(natsConnection_ConnectTo(&connection, url), "connect");
    nats_must(natsConnection_JetStream(&js, connection, NULL), "JetStream");
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char *subjects[] = {subject};
    config.Name = stream;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Replicas = replicas;
    natsStatus added = NATS_ERR; // a cluster takes its time to choose a leader
    for (int tries = 0; added != NATS_OK && tries < 30; tries++) {
        added = js_AddStream(NULL, js, &config, NULL, NULL);
        if (added != NATS_OK)
            sleep(1);
    }
    nats_must(added, "add stream");

    struct worker worker = {0};
    char pipeline[32];
    snprintf(pipeline, sizeof pipeline, "latency%d%d", replicas, packed);
    open_worker(&worker, url, NULL, sql, pipeline, replicas);
    if (packed)
        br_task_owner_subject(pipeline, output, sizeof output);
    else
        snprintf(output, sizeof output, "braid.%s.view.seen", pipeline);
    natsSubscription *subscription;
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Ordered = true;
    nats_must(js_Subscribe(&subscription, js, output, on_output, &latency, NULL, &options, NULL), "subscribe");
    pthread_t feeder;
    BR_CHECK(pthread_create(&feeder, NULL, feed, &latency) == 0);
    int64_t deadline = now_us() + (int64_t)(seconds_wanted + 60) * 1000000;
    while (atomic_load(&latency.seen) < latency.count && now_us() < deadline) {
        bool worked;
        must(br_task_step(worker.task, &worked, &error), &error);
        if (!worked)
            br_log_wait(worker.log, 10000);
    }
    pthread_join(feeder, NULL);
    if (atomic_load(&latency.seen) < latency.count)
        printf("%-18s only %" PRIuFAST64 " of %" PRIu64 " events came out\n", name, atomic_load(&latency.seen),
               latency.count);
    else
        report(name, &latency, goal_p50, goal_p99, br_task_epoch(worker.task));
    natsSubscription_Destroy(subscription);
    close_worker(&worker);
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    free(latency.acked);
    free(latency.delivered);
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
        if (frame.len < FRAME_SIZE - 64 && i + 1 < count)
            continue;
        struct br_log_message message = {.subject = br_slice_of(subject), .payload = br_buffer_slice(&frame)};
        must(br_log_publish(log, &message, &error), &error);
        ++*ret_messages;
        br_buffer_clear(&frame);
    }
    must(br_log_publish_flush(log, &error), &error);
    br_buffer_free(&frame);
}

static void restart(const char *url) {
    struct br_error error;
    uint64_t messages, more;
    struct br_log *log = dial(url);
    must(br_log_ensure_input(log, "RESTART", "restart.event", &error), &error);
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
    int64_t began = now_us();
    worker.log = dial(url);
    worker.options.log = worker.log;
    worker.options.worker = "bench-again";
    must(br_task_create(&worker.options, &worker.task, &error), &error);
    must(br_task_recover(worker.task, &error), &error);
    double recovered = seconds_since(began);
    work_off(&worker, 1);
    struct br_task_status status;
    br_task_status(worker.task, &status);
    printf("%-18s committing again after %.2f s (goal 2), recovered after %.2f s, %" PRIu64
           " epochs repeated, %u keys\n",
           "restart", seconds_since(began), recovered, status.recovered_epochs, (unsigned)(RESTART_KEYS / scale));
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

static bool wanted(int argc, char **argv, const char *name) {
    bool any = false;
    for (int a = 1; a < argc; a++) {
        any |= argv[a][0] != '-';
        if (strcmp(argv[a], name) == 0)
            return true;
    }
    return !any;
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
    must(br_private_server_start(folder, false, 0, &server, &error), &error);
    const char *url = br_private_server_url(server);
    if (wanted(argc, argv, "throughput"))
        throughput(url, false);
    if (wanted(argc, argv, "packed"))
        throughput(url, true);
    if (wanted(argc, argv, "restart"))
        restart(url);
    if (wanted(argc, argv, "latency"))
        latency(url, "latency R1 file", false, 1, 5, 12);
    if (wanted(argc, argv, "latency-packed"))
        latency(url, "latency R1 packed", true, 1, 1, 5);
    br_private_server_stop(&server);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    BR_CHECK(system(command) == 0);
    if (wanted(argc, argv, "cluster")) {
        struct cluster cluster;
        start_cluster(&cluster);
        latency(cluster.url, "latency R3 file", false, 3, 3, 12);
        stop_cluster(&cluster);
    }
    return 0;
}
