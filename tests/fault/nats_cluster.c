// SPDX-License-Identifier: Apache-2.0
// A cluster of three nats-servers, one stream with three replicas: batches are appended, and read, while servers are
// killed and come back. Every batch must be in the stream once, whole, in order, whatever the appends' outcomes were; a
// reader must see the same. fault_nats_cluster [rounds]
#define _GNU_SOURCE
#include "base/logging.h"
#include "processor/log/nats/jetstream.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES 3
#define BATCH 5
#define STREAM "BRAID_c"
#define COMMIT "braid.c.commit.t0"

static char folder[] = "/tmp/braid-nats-cluster-XXXXXX";
static struct br_error error;
static struct {
    pid_t pid;
    int client_port, cluster_port;
} nodes[NODES];
static int retries, unknowns, landed_unknowns, fenced;

static _Noreturn void fail(const char *what) {
    printf("FAIL %s (last error: %s)\n", what, error.message);
    for (int i = 0; i < NODES; i++)
        if (nodes[i].pid > 0)
            kill(nodes[i].pid, SIGKILL);
    exit(1);
}

static int64_t now_us(void) {
    return br_clock_system()->mono(br_clock_system()).us;
}

static int free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        fail("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

static void start_node(int i) {
    char path[128], log_path[128];
    snprintf(path, sizeof path, "%s/n%d.conf", folder, i);
    snprintf(log_path, sizeof log_path, "%s/n%d.log", folder, i);
    FILE *file = fopen(path, "w");
    fprintf(file,
            "host: 127.0.0.1\nport: %d\nserver_name: n%d\njetstream { store_dir: \"%s/js%d\" }\n"
            "cluster { name: c, host: 127.0.0.1, port: %d, routes: [",
            nodes[i].client_port, i, folder, i, nodes[i].cluster_port);
    for (int j = 0; j < NODES; j++)
        fprintf(file, "%s\"nats://127.0.0.1:%d\"", j == 0 ? "" : ", ", nodes[j].cluster_port);
    fprintf(file, "] }\n");
    fclose(file);
    nodes[i].pid = fork();
    if (nodes[i].pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (freopen(log_path, "a", stderr) == NULL)
            _exit(127);
        execl(getenv("BRAID_NATS_SERVER"), "nats-server", "-c", path, (char *)NULL);
        _exit(127);
    }
}

static void kill_node(int i) {
    kill(nodes[i].pid, SIGKILL);
    waitpid(nodes[i].pid, NULL, 0);
    nodes[i].pid = 0;
}

static struct br_log *dial(void) {
    char url[256] = "";
    struct br_log *log = NULL;
    for (int i = 0; i < NODES; i++)
        snprintf(url + strlen(url), sizeof url - strlen(url), "nats://127.0.0.1:%d,", nodes[i].client_port);
    struct br_connect_options options = {.url = url, .name = "cluster test", .request_timeout_us = 2000000};
    int64_t deadline_us = now_us() + 30000000;
    while (br_log_connect_jetstream(&options, &log, &error) != BR_OK)
        if (now_us() > deadline_us)
            fail("no connection to the cluster");
    return log;
}

static void make_stream(struct br_log *log) {
    const char *subjects[] = {"braid.c.>"};
    struct br_output_options options = {.subjects = subjects, .subject_count = 1, .replicas = 3};
    struct br_stream_info info;
    int64_t deadline_us = now_us() + 30000000;
    // A cluster that is just forming refuses at first.
    while (br_log_ensure_output(log, STREAM, &options, &info, &error) != BR_OK) {
        if (now_us() > deadline_us)
            fail("the stream can't be made");
        usleep(100000);
    }
}

// The fence: the last commit's sequence, and its batch's number. Waits out what passes.
static void read_fence(struct br_log *log, uint64_t *sequence, uint64_t *number) {
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found = false;
    int64_t deadline_us = now_us() + 60000000;
    while (br_log_last(log, STREAM, COMMIT, &copy, &last, &found, &error) != BR_OK) {
        if (now_us() > deadline_us)
            fail("the fence can't be read");
        br_log_wait(log, 100000);
    }
    *sequence = found ? last.sequence : 0;
    *number = found ? strtoull((const char *)last.payload.ptr, NULL, 10) : 0;
    br_buffer_free(&copy);
}

// Appends batch `number` until it is known to be in the stream. A victim (>= 0) is killed while the first try is under
// way, at a moment that differs from one time to the next.
static void append_batch(struct br_log *log, uint64_t number, uint64_t *fence, int victim) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    struct br_slice payload = {(const uint8_t *)text, strlen(text) + 1};
    struct br_log_message batch[BATCH];
    for (int i = 0; i < BATCH; i++)
        batch[i] = (struct br_log_message){.subject = br_slice_of(i + 1 == BATCH ? COMMIT : "braid.c.view"),
                                           .payload = payload};
    for (int attempt = 0; attempt < 500; attempt++) {
        enum br_append_result result = BR_APPEND_UNKNOWN;
        uint64_t sequence, last_number;
        enum br_status status = br_log_append(log, STREAM, batch, BATCH, *fence, &error);
        if (victim >= 0 && attempt == 0) {
            usleep((unsigned)(number * 137 % 700));
            kill_node(victim);
        }
        if (status == BR_OK)
            status = br_log_append_wait(log, &result, &sequence, &error);
        if (status == BR_FATAL)
            fail("an append is refused for good");
        if (status == BR_OK && result == BR_APPEND_DONE) {
            *fence = sequence;
            return;
        }
        if (status == BR_RETRY) {
            retries++;
            br_log_wait(log, 100000);
            continue;
        }
        unknowns += result == BR_APPEND_UNKNOWN;
        fenced += result == BR_APPEND_FENCED;
        read_fence(log, &sequence, &last_number);
        if (last_number == number) {
            landed_unknowns++;
            *fence = sequence;
            return;
        }
        if (sequence != *fence || last_number != number - 1)
            fail("somebody else has moved the fence");
    }
    fail("an append doesn't get through");
}

// Every batch once, whole, contiguous and in order.
static void take_messages(struct br_reader *reader, uint64_t *seen) {
    const struct br_log_message *messages;
    size_t count;
    if (br_reader_peek(reader, &messages, &count, &error) != BR_OK)
        fail("the reader has failed");
    for (size_t i = 0; i < count; i++, (*seen)++) {
        bool commit = *seen % BATCH == BATCH - 1;
        if (messages[i].sequence != *seen + 1 ||
            strtoull((const char *)messages[i].payload.ptr, NULL, 10) != *seen / BATCH + 1 ||
            br_slice_is(messages[i].subject, COMMIT) != commit)
            fail("the reader sees another message than was appended");
    }
    br_reader_consume(reader, count);
    br_reader_release(reader);
}

int main(int argc, char **argv) {
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 4, number = 0, fence = 0, seen = 0;
    if (getenv("BRAID_NATS_SERVER") == NULL || mkdtemp(folder) == NULL)
        fail("BRAID_NATS_SERVER must name a nats-server");
    br_log_configure(BR_LEVEL_ERROR, false);
    for (int i = 0; i < NODES; i++) {
        nodes[i].client_port = free_port();
        nodes[i].cluster_port = free_port();
    }
    for (int i = 0; i < NODES; i++)
        start_node(i);
    struct br_log *log = dial(), *reading = dial();
    make_stream(log);
    struct br_reader *reader = NULL;
    if (br_reader_open(reading, STREAM, "braid.c.>", 1, 0, &reader, &error) != BR_OK)
        fail("the reader can't be opened");
    for (uint64_t round = 0; round < rounds; round++) {
        int victim = (int)(round % NODES);
        for (int i = 0; i < 60; i++) {
            if (i == 40)
                start_node(victim);
            append_batch(log, ++number, &fence, i == 20 ? victim : -1);
            take_messages(reader, &seen);
        }
        printf("round %llu: %llu batches, node %d was killed; so far %d retries, %d unknown (%d of them landed), %d "
               "fenced\n",
               (unsigned long long)round, (unsigned long long)number, victim, retries, unknowns, landed_unknowns,
               fenced);
        fflush(stdout);
        // The node has to be back before the next one goes: two of three make the quorum.
        int64_t until_us = now_us() + 3000000;
        while (now_us() < until_us) {
            br_log_wait(reading, 100000);
            take_messages(reader, &seen);
        }
    }
    int64_t deadline_us = now_us() + 60000000;
    while (seen < number * BATCH) {
        if (now_us() > deadline_us)
            fail("the reader doesn't get to the end");
        br_log_wait(reading, 100000);
        take_messages(reader, &seen);
    }
    br_reader_close(&reader);
    br_log_close(&reading);
    br_log_close(&log);
    for (int i = 0; i < NODES; i++)
        kill_node(i);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        printf("can't remove %s\n", folder);
    printf("ok: %llu messages, each once\n", (unsigned long long)seen);
    return 0;
}
