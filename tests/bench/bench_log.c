// SPDX-License-Identifier: Apache-2.0
// The JetStream log by itself, on a private server: reading beside a bare libnats consumer that only counts (an ordered
// push consumer too, flow control answered at once), and the latency of fenced appends.
// bench_log [read] [append] [--scale=N]
#include "base/logging.h"
#include "processor/log/control.h"
#include "processor/log/nats/jetstream.h"

#include <nats/nats.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct br_private_server *server;
static struct br_error error;

static void must(enum br_status status) {
    if (status != BR_OK) {
        fprintf(stderr, "bench_log: %s\n", error.message);
        exit(1);
    }
}

static int64_t now_us(void) {
    const struct br_clock *clock = br_clock_system();
    return clock->mono(clock).us;
}

static double cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static struct br_log *dial(void) {
    struct br_log *log;
    struct br_connect_options options = {.url = br_private_server_url(server), .request_timeout_us = 20000000};
    must(br_log_connect_jetstream(&options, &log, &error));
    return log;
}

static void report(const char *what, uint64_t count, size_t size, int64_t took_us, double cpu) {
    printf("%-28s %9.0f messages/s %7.0f MB/s  %5.2f us CPU/message here\n", what,
           (double)count * 1e6 / (double)took_us, (double)count * (double)size / (double)took_us, cpu / (double)count);
}

// --- filling

static void fill(const char *stream, const char *subject, size_t size, uint64_t count) {
    uint8_t *payload = br_alloc(size);
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)(i * 31);
    struct br_log *log;
    struct br_connect_options options = {.url = br_private_server_url(server)};
    must(br_log_connect_control(&options, &log, &error));
    must(br_log_ensure_input(log, stream, subject, &error));
    int64_t start_us = now_us();
    double cpu = cpu_us();
    struct br_log_message message = {.subject = br_slice_of(subject), .payload = {payload, size}};
    for (uint64_t i = 0; i < count; i++)
        must(br_log_publish(log, &message, &error));
    must(br_log_publish_flush(log, &error));
    br_log_close(&log);
    report("acknowledged publish", count, size, now_us() - start_us, cpu_us() - cpu);
    free(payload);
}

// --- reading

static void read_all(struct br_log *log, const char *stream, const char *subject, size_t size, uint64_t count) {
    struct br_reader *reader;
    int64_t start_us = now_us();
    double cpu = cpu_us();
    uint64_t got = 0, sum = 0;
    must(br_reader_open(log, stream, subject, 1, 0, &reader, &error));
    while (got < count) {
        const struct br_log_message *messages;
        size_t shown;
        must(br_reader_peek(reader, &messages, &shown, &error));
        for (size_t i = 0; i < shown; i++)
            sum += messages[i].sequence;
        got += shown;
        br_reader_consume(reader, shown);
        br_reader_release(reader);
        if (shown == 0)
            br_log_wait(log, 100000);
    }
    report("br_reader", got, size, now_us() - start_us, cpu_us() - cpu);
    br_reader_close(&reader);
    if (sum != count * (count + 1) / 2)
        printf("sequences don't add up\n");
}

static _Atomic uint64_t counted;

static void count_one(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *context) {
    (void)subscription, (void)context;
    if (natsMsg_GetDataLength(message) > 0)
        atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed);
    else if (natsMsg_GetReply(message) != NULL)
        natsConnection_Publish(connection, natsMsg_GetReply(message), "", 0);
    natsMsg_Destroy(message);
}

static void read_bare(const char *stream, size_t size, uint64_t count) {
    natsConnection *connection = NULL;
    natsSubscription *subscription = NULL;
    natsMsg *reply = NULL;
    char api[64], body[512];
    atomic_store(&counted, 0);
    snprintf(api, sizeof api, "$JS.API.CONSUMER.CREATE.%s", stream);
    snprintf(
        body, sizeof body,
        "{\"stream_name\":\"%s\",\"config\":{\"deliver_policy\":\"all\",\"ack_policy\":\"none\",\"deliver_subject\":"
        "\"bare.%s\",\"flow_control\":true,\"idle_heartbeat\":5000000000,\"mem_storage\":true,\"num_replicas\":1,"
        "\"max_deliver\":1}}",
        stream, stream);
    char deliver[64];
    snprintf(deliver, sizeof deliver, "bare.%s", stream);
    if (natsConnection_ConnectTo(&connection, br_private_server_url(server)) != NATS_OK ||
        natsConnection_Subscribe(&subscription, connection, deliver, count_one, NULL) != NATS_OK ||
        natsSubscription_SetPendingLimits(subscription, -1, -1) != NATS_OK)
        exit(1);
    int64_t start_us = now_us();
    double cpu = cpu_us();
    natsConnection_RequestString(&reply, connection, api, body, 5000);
    while (atomic_load(&counted) < count && now_us() - start_us < 60000000)
        usleep(500);
    report("bare libnats consumer", atomic_load(&counted), size, now_us() - start_us, cpu_us() - cpu);
    natsMsg_Destroy(reply);
    natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection);
}

// --- appending

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void append_many(struct br_log *log, bool memory, size_t batch_size, size_t rounds) {
    char stream[32], view[40], commit[40], all[40];
    snprintf(stream, sizeof stream, "A%s%zu", memory ? "m" : "f", batch_size);
    snprintf(all, sizeof all, "%s.>", stream);
    snprintf(view, sizeof view, "%s.view", stream);
    snprintf(commit, sizeof commit, "%s.commit", stream);
    const char *subjects[] = {all};
    struct br_stream_info info;
    struct br_output_options options = {.subjects = subjects, .subject_count = 1, .memory = memory};
    must(br_log_ensure_output(log, stream, &options, &info, &error));
    static uint8_t payload[200];
    static struct br_log_message batch[1000];
    for (size_t i = 0; i < batch_size; i++)
        batch[i] = (struct br_log_message){.subject = br_slice_of(i + 1 == batch_size ? commit : view),
                                           .payload = {payload, sizeof payload}};
    double *took = br_calloc(rounds, sizeof *took);
    uint64_t expected = 0;
    for (size_t i = 0; i < rounds; i++) {
        enum br_append_result result;
        int64_t start_us = now_us();
        must(br_log_append(log, stream, batch, batch_size, expected, &error));
        must(br_log_append_wait(log, &result, &expected, &error));
        took[i] = (double)(now_us() - start_us) / 1000;
        if (result != BR_APPEND_DONE)
            printf("append %zu: result %d\n", i, (int)result);
    }
    qsort(took, rounds, sizeof *took, compare);
    printf("append of %4zu, %s storage: p50 %6.2f ms  p99 %6.2f ms\n", batch_size, memory ? "memory" : "file  ",
           took[rounds / 2], took[rounds * 99 / 100]);
    free(took);
}

static void read_both(struct br_log *log, uint64_t scale) {
    uint64_t small = 1000000 * scale, large = 10000 * scale;
    fill("SMALL", "small.in", 100, small);
    for (int i = 0; i < 2; i++) {
        read_bare("SMALL", 100, small);
        read_all(log, "SMALL", "small.in", 100, small);
    }
    fill("LARGE", "large.in", 65536, large);
    for (int i = 0; i < 2; i++) {
        read_bare("LARGE", 65536, large);
        read_all(log, "LARGE", "large.in", 65536, large);
    }
}

static void append_all(struct br_log *log) {
    for (int memory = 0; memory < 2; memory++) {
        append_many(log, memory == 1, 1, 500);
        append_many(log, memory == 1, 2, 200);
        append_many(log, memory == 1, 20, 200);
        append_many(log, memory == 1, 200, 100);
        append_many(log, memory == 1, 1000, 50);
    }
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/braid-bench-log-XXXXXX", command[64];
    uint64_t scale = 1;
    bool read = false, append = false;
    for (int a = 1; a < argc; a++) {
        read |= strcmp(argv[a], "read") == 0;
        append |= strcmp(argv[a], "append") == 0;
        if (strncmp(argv[a], "--scale=", 8) == 0)
            scale = strtoull(argv[a] + 8, NULL, 10);
    }
    if (!read && !append)
        read = append = true;
    if (mkdtemp(folder) == NULL)
        return 1;
    br_log_configure(BR_LEVEL_WARN, false);
    must(br_private_server_start(folder, false, 0, &server, &error));
    struct br_log *log = dial();
    if (read)
        read_both(log, scale);
    if (append)
        append_all(log);
    br_log_close(&log);
    nats_Close();
    br_private_server_stop(&server);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}
