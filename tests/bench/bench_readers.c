// SPDX-License-Identifier: Apache-2.0
// 32 readers of which one has a backlog: how long events of the others are on their way, with a connection for each
// reader and with the few that readers share as a rule, in turns. bench_readers [--backlog=N] [--rounds=N]
#include "base/logging.h"
#include "processor/log/control.h"
#include "processor/log/nats/jetstream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READERS 32
#define PAYLOAD 100
#define PAUSE_US 1000 // between two events of the others
#define SAMPLES_MAX (1 << 20)

static struct br_private_server *server;
static atomic_bool ends;
static int64_t samples[2][SAMPLES_MAX];
static size_t sample_count[2];
static double rates[2];

static void must(enum br_status status, const struct br_error *error) {
    if (status != BR_OK) {
        fprintf(stderr, "bench_readers: %s\n", error->message);
        exit(1);
    }
}

static int64_t now_us(void) {
    const struct br_clock *clock = br_clock_system();
    return clock->mono(clock).us;
}

static struct br_log *dial(uint32_t connections) {
    struct br_error error;
    struct br_log *log;
    struct br_connect_options options = {.url = br_private_server_url(server),
                                         .request_timeout_us = 20000000,
                                         .reader_queue_bytes = 1 << 20,
                                         .reader_connections = connections};
    must(br_log_connect_jetstream(&options, &log, &error), &error);
    return log;
}

static struct br_log *dial_feed(void) {
    struct br_error error;
    struct br_log *log;
    struct br_connect_options options = {.url = br_private_server_url(server)};
    must(br_log_connect_control(&options, &log, &error), &error);
    return log;
}

static void fill(uint64_t count) {
    struct br_error error;
    struct br_log *log = dial_feed();
    uint8_t payload[PAYLOAD] = {0};
    struct br_log_message message = {.subject = br_slice_of("backlog"), .payload = {payload, sizeof payload}};
    must(br_log_ensure_input(log, "BACKLOG", "backlog", &error), &error);
    must(br_log_ensure_input(log, "QUIET", "quiet.*", &error), &error);
    for (uint64_t i = 0; i < count; i++)
        must(br_log_publish(log, &message, &error), &error);
    must(br_log_publish_flush(log, &error), &error);
    br_log_close(&log);
}

// Events that tell when they were sent.
static void *publish(void *context) {
    struct br_error error;
    struct br_log *log = dial_feed();
    (void)context;
    for (unsigned i = 0; !atomic_load(&ends); i++) {
        char subject[32];
        int64_t sent_us = now_us();
        snprintf(subject, sizeof subject, "quiet.%u", i % (READERS - 1));
        struct br_log_message message = {.subject = br_slice_of(subject),
                                         .payload = {(const uint8_t *)&sent_us, sizeof sent_us}};
        must(br_log_publish(log, &message, &error), &error);
        must(br_log_publish_flush(log, &error), &error);
        usleep(PAUSE_US);
    }
    br_log_close(&log);
    return NULL;
}

static void take_quiet(struct br_reader *reader, int which) {
    struct br_error error;
    const struct br_log_message *messages;
    size_t count;
    must(br_reader_peek(reader, &messages, &count, &error), &error);
    for (size_t i = 0; i < count && sample_count[which] < SAMPLES_MAX; i++) {
        int64_t sent_us;
        memcpy(&sent_us, messages[i].payload.ptr, sizeof sent_us);
        samples[which][sample_count[which]++] = now_us() - sent_us;
    }
    br_reader_consume(reader, count);
    br_reader_release(reader);
}

// Reads the whole backlog beside the others.
static void run(int which, uint32_t connections, uint64_t backlog) {
    struct br_error error;
    struct br_log *log = dial(connections);
    struct br_reader *readers[READERS];
    struct br_stream_info info;
    must(br_log_stream_info(log, "QUIET", &info, &error), &error);
    for (int i = 1; i < READERS; i++) {
        char subject[32];
        snprintf(subject, sizeof subject, "quiet.%d", i - 1);
        must(br_reader_open(log, "QUIET", subject, info.last_sequence + 1, 0, &readers[i], &error), &error);
    }
    must(br_reader_open(log, "BACKLOG", "backlog", 1, 0, &readers[0], &error), &error);
    for (int i = 1; i < READERS; i++) // what came while they were opened
        take_quiet(readers[i], which);
    int64_t began_us = now_us();
    for (uint64_t got = 0; got < backlog;) {
        const struct br_log_message *messages;
        size_t count;
        must(br_reader_peek(readers[0], &messages, &count, &error), &error);
        got += count;
        br_reader_consume(readers[0], count);
        br_reader_release(readers[0]);
        for (int i = 1; i < READERS; i++)
            take_quiet(readers[i], which);
        br_log_wait(log, 10000);
    }
    rates[which] += (double)backlog / (double)(now_us() - began_us);
    for (int i = 0; i < READERS; i++)
        br_reader_close(&readers[i]);
    br_log_close(&log);
}

static int by_size(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static double report(const char *what, int which, unsigned rounds) {
    size_t count = sample_count[which];
    if (count == 0)
        return 0;
    qsort(samples[which], count, sizeof samples[which][0], by_size);
    int64_t p99 = samples[which][count * 99 / 100];
    printf("%-24s %8zu events of the others: p50 %6.2f ms, p99 %6.2f ms; backlog %.2f M messages/s\n", what, count,
           (double)samples[which][count / 2] / 1e3, (double)p99 / 1e3, rates[which] / rounds);
    return (double)p99;
}

int main(int argc, char **argv) {
    struct br_error error;
    uint64_t backlog = 1000000;
    unsigned rounds = 4;
    char folder[] = "/tmp/braid-bench-readers-XXXXXX", command[128];
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--backlog=", 10) == 0)
            backlog = strtoull(argv[i] + 10, NULL, 10);
        else if (strncmp(argv[i], "--rounds=", 9) == 0)
            rounds = (unsigned)strtoul(argv[i] + 9, NULL, 10);
    }
    br_log_configure(BR_LEVEL_ERROR, false);
    if (mkdtemp(folder) == NULL)
        return 1;
    must(br_private_server_start(folder, false, 0, &server, &error), &error);
    fill(backlog);
    pthread_t publisher;
    pthread_create(&publisher, NULL, publish, NULL);
    for (unsigned round = 0; round < rounds; round++) {
        run(0, READERS, backlog);
        run(1, 0, backlog);
    }
    atomic_store(&ends, true);
    pthread_join(publisher, NULL);
    double apart = report("a connection for each", 0, rounds), shared = report("shared", 1, rounds);
    printf("p99 of the others: %.2f x\n", apart == 0 ? 0 : shared / apart);
    br_private_server_stop(&server);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}
