// SPDX-License-Identifier: Apache-2.0
// What we lean on in nats-server, one test per rule, and the JetStream log against a real server: atomic batches,
// fences, single messages, reading, restarts. Starts a private nats-server in a temporary folder.
//
//   fault_nats_rules [part of a test's name]
//
// The rules that log.h can't break (a batch with a gap, more than 1,000 messages) are tried with libnats, which knows
// nothing of batches: headers on plain messages.
#include "base/logging.h"
#include "processor/log/control.h"
#include "processor/log/nats/jetstream.h"

#include <dirent.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct br_private_server *server;
static struct br_log *log_;
static struct br_log *maker_; // makes outputs where log_ is of the control plane
static struct br_log *admin_; // feeds and makes streams, over the control plane
static struct br_error error;
static natsConnection *raw; // libnats' connection
static const char *test_name;
static int failures;
static char stream[64], subject[64]; // of this test: nobody else's

#define EXPECT(condition, ...)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            failures++;                                                                                                \
            printf("%s: %s:%d: not so: %s", test_name, __FILE__, __LINE__, #condition);                                \
            printf(" " __VA_ARGS__);                                                                                   \
            printf(" (last error: %s)\n", error.message);                                                              \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)
#define EXPECT_OK(expression) EXPECT((expression) == BR_OK)

// --- helpers

static struct br_log_message message_on(const char *on, const char *payload) {
    return (struct br_log_message){.subject = br_slice_of(on), .payload = br_slice_of(payload)};
}

// "<subject>.<tail>"; the same text for the same tail, as long as the test runs.
static char subjects_made[32][128];

static const char *sub(const char *tail) {
    char text[128];
    snprintf(text, sizeof text, "%s.%s", subject, tail);
    for (size_t i = 0; i < 32; i++) {
        if (subjects_made[i][0] == '\0')
            strcpy(subjects_made[i], text);
        if (strcmp(subjects_made[i], text) == 0)
            return subjects_made[i];
    }
    abort();
}

static uint32_t ask_messages; // of the readers of this round
static bool crowded;          // and they have one connection, with neighbours
static bool by_control;       // over the control plane's connection

// Readers of a stream with a backlog, none of which is consumed.
#define NEIGHBOURS 5
#define NEIGHBOUR_MESSAGES 5000
static struct neighbourhood {
    struct br_log *log;
    struct br_reader *readers[NEIGHBOURS];
    size_t seen[NEIGHBOURS];
} neighbourhoods[8];

static enum br_status move_in(struct br_log *log) {
    size_t at = 0;
    while (neighbourhoods[at].log != NULL)
        at++;
    neighbourhoods[at] = (struct neighbourhood){.log = log};
    enum br_status status = BR_OK;
    for (int i = 0; i < NEIGHBOURS && status == BR_OK; i++)
        status = br_reader_open(log, "NEIGHBOURS", "neighbours.a", 1, 0, &neighbourhoods[at].readers[i], &error);
    return status;
}

// What the neighbours have got and nobody has looked at would end each wait.
static void wait_in(struct br_log *log, int64_t timeout_us) {
    const struct br_clock *clock = br_clock_system();
    int64_t until_us = clock->mono(clock).us + timeout_us;
    bool grown = true;
    while (grown) {
        int64_t left_us = until_us - clock->mono(clock).us;
        br_log_wait(log, left_us < 0 ? 0 : left_us);
        grown = false;
        for (size_t i = 0; i < sizeof neighbourhoods / sizeof neighbourhoods[0]; i++) {
            for (int n = 0; n < NEIGHBOURS && neighbourhoods[i].log == log; n++) {
                const struct br_log_message *messages;
                size_t count = 0, *seen = &neighbourhoods[i].seen[n];
                EXPECT_OK(br_reader_peek(neighbourhoods[i].readers[n], &messages, &count, &error));
                grown |= count != *seen;
                *seen = count;
            }
        }
    }
}

static void close_log(struct br_log **log) {
    for (size_t i = 0; i < sizeof neighbourhoods / sizeof neighbourhoods[0]; i++) {
        for (int n = 0; n < NEIGHBOURS && neighbourhoods[i].log == *log; n++)
            br_reader_close(&neighbourhoods[i].readers[n]);
        if (neighbourhoods[i].log == *log)
            neighbourhoods[i].log = NULL;
    }
    br_log_close(log);
}

static enum br_status connect_as(const struct br_connect_options *options, struct br_log **ret) {
    struct br_connect_options own = *options;
    own.ask_messages = ask_messages;
    own.reader_connections = crowded ? 1 : 0;
    enum br_status status =
        by_control ? br_log_connect_control(&own, ret, &error) : br_log_connect_jetstream(&own, ret, &error);
    return status == BR_OK && crowded ? move_in(*ret) : status;
}

static void make_neighbours(void) {
    struct br_connect_options options = {.url = br_private_server_url(server)};
    struct br_log *log;
    uint8_t bytes[1000] = {0};
    struct br_log_message message = {.subject = br_slice_of("neighbours.a"), .payload = {bytes, sizeof bytes}};
    bool made = br_log_connect_control(&options, &log, &error) == BR_OK &&
                br_log_ensure_input(log, "NEIGHBOURS", "neighbours.>", &error) == BR_OK;
    for (int i = 0; i < NEIGHBOUR_MESSAGES && made; i++)
        made = br_log_publish(log, &message, &error) == BR_OK;
    if (!made || br_log_publish_flush(log, &error) != BR_OK) {
        printf("no neighbours: %s\n", error.message);
        exit(1);
    }
    br_log_close(&log);
}

static enum br_status make_output(void) {
    char all[80];
    const char *subjects[] = {all};
    struct br_stream_info info;
    snprintf(all, sizeof all, "%s.>", subject);
    struct br_output_options options = {.subjects = subjects, .subject_count = 1};
    enum br_status status;
    int tries = 0;
    do { // a busy server now and then can't create a stream's store at once (JetStream error 10049)
        status = br_log_ensure_output(by_control ? maker_ : log_, stream, &options, &info, &error);
    } while (status != BR_OK && strstr(error.message, "10049") != NULL && tries++ < 50 && usleep(100000) == 0);
    return status;
}

static bool thread_stopped(int pid, const char *thread) {
    char path[300], text[300] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%s/stat", pid, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return true; // it has ended
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && (name_end[2] == 'T' || name_end[2] == 't');
}

// SIGSTOP reaches a process's threads one by one, some time after kill has returned.
static void freeze_server(void) {
    int pid = br_private_server_pid(server);
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%d/task", pid);
    kill(pid, SIGSTOP);
    for (int i = 0; i < 500; i++) {
        bool all = true;
        DIR *threads = opendir(folder);
        for (struct dirent *entry; threads != NULL && (entry = readdir(threads)) != NULL;)
            all &= entry->d_name[0] == '.' || thread_stopped(pid, entry->d_name);
        if (threads != NULL)
            closedir(threads);
        if (all)
            return;
        usleep(10000);
    }
}

static uint64_t last_sequence(void) {
    struct br_stream_info info = {0};
    return br_log_stream_info(log_, stream, &info, &error) == BR_OK ? info.last_sequence : UINT64_MAX;
}

static enum br_status append_to(struct br_log *log, const struct br_log_message *messages, size_t count,
                                uint64_t expected, enum br_append_result *result, uint64_t *sequence) {
    enum br_status status = br_log_append(log, stream, messages, count, expected, &error);
    return status == BR_OK ? br_log_append_wait(log, result, sequence, &error) : status;
}

static enum br_status publish_many(uint64_t from, uint64_t count) {
    enum br_status status = BR_OK;
    char payload[32];
    for (uint64_t i = 0; i < count && status == BR_OK; i++) {
        snprintf(payload, sizeof payload, "%llu", (unsigned long long)(from + i));
        struct br_log_message message = message_on(sub("in"), payload);
        status = br_log_publish(admin_, &message, &error);
    }
    return status == BR_OK ? br_log_publish_flush(admin_, &error) : status;
}

// Reads until `last` is seen, checks that sequences and payloads ascend without gaps; 0 when all is well, else where
// not.
static uint64_t read_up_to(struct br_log *log, struct br_reader *reader, uint64_t *next, uint64_t last,
                           int64_t timeout_us) {
    const struct br_clock *clock = br_clock_system();
    int64_t deadline_us = clock->mono(clock).us + timeout_us;
    while (*next <= last && clock->mono(clock).us < deadline_us) {
        const struct br_log_message *messages;
        size_t count;
        if (br_reader_peek(reader, &messages, &count, &error) != BR_OK)
            return *next;
        for (size_t i = 0; i < count; i++, (*next)++) {
            char payload[32];
            snprintf(payload, sizeof payload, "%llu", (unsigned long long)*next);
            if (messages[i].sequence != *next || !br_slice_is(messages[i].payload, payload))
                return *next;
        }
        br_reader_consume(reader, count);
        br_reader_release(reader);
        if (*next <= last)
            wait_in(log, 100000);
    }
    return *next > last ? 0 : *next;
}

// One raw message of a batch; reply NULL: no request. The reply's payload, "" when there is none in time.
static const char *raw_publish(const char *on, const char *batch, uint64_t sequence, bool commit, const char *expected,
                               const char *expected_subject, bool request) {
    static char text[1024];
    char number[32];
    natsMsg *message = NULL, *reply = NULL;
    natsMsg_Create(&message, on, NULL, "x", 1);
    snprintf(number, sizeof number, "%llu", (unsigned long long)sequence);
    natsMsgHeader_Set(message, "Nats-Batch-Id", batch);
    natsMsgHeader_Set(message, "Nats-Batch-Sequence", number);
    if (commit)
        natsMsgHeader_Set(message, "Nats-Batch-Commit", "1");
    if (expected != NULL)
        natsMsgHeader_Set(message, "Nats-Expected-Last-Subject-Sequence", expected);
    if (expected_subject != NULL)
        natsMsgHeader_Set(message, "Nats-Expected-Last-Subject-Sequence-Subject", expected_subject);
    text[0] = '\0';
    if (!request)
        natsConnection_PublishMsg(raw, message);
    else if (natsConnection_RequestMsg(&reply, raw, message, 2000) == NATS_OK)
        snprintf(text, sizeof text, "%.*s", natsMsg_GetDataLength(reply), natsMsg_GetData(reply));
    natsMsg_Destroy(reply);
    natsMsg_Destroy(message);
    return text;
}

static const char *raw_api(const char *api, const char *body) {
    static char text[4096];
    natsMsg *reply = NULL;
    text[0] = '\0';
    if (natsConnection_RequestString(&reply, raw, api, body, 5000) == NATS_OK)
        snprintf(text, sizeof text, "%.*s", natsMsg_GetDataLength(reply), natsMsg_GetData(reply));
    natsMsg_Destroy(reply);
    return text;
}

static void purge_below(uint64_t sequence) {
    char api[128], body[64];
    snprintf(api, sizeof api, "$JS.API.STREAM.PURGE.%s", stream);
    snprintf(body, sizeof body, "{\"seq\":%llu}", (unsigned long long)sequence);
    raw_api(api, body);
}

static void delete_stream(void) {
    char api[128];
    snprintf(api, sizeof api, "$JS.API.STREAM.DELETE.%s", stream);
    raw_api(api, "");
}

// --- atomic batches

static void a_batch_lands_whole_and_contiguous(void) {
    EXPECT_OK(make_output());
    struct br_log_message batch[20];
    for (size_t i = 0; i < 20; i++)
        batch[i] = message_on(i == 19 ? sub("commit") : sub("view"), "x");
    enum br_append_result result;
    uint64_t first, second;
    EXPECT_OK(append_to(log_, batch, 20, 0, &result, &first));
    EXPECT(result == BR_APPEND_DONE && first == 20);
    EXPECT_OK(append_to(log_, batch, 20, first, &result, &second));
    EXPECT(result == BR_APPEND_DONE && second == 40);
    struct br_reader *reader;
    EXPECT_OK(br_reader_open(log_, stream, sub(">"), 1, 0, &reader, &error));
    const struct br_log_message *messages;
    size_t count = 0;
    for (int i = 0; i < 50 && count < 40; i++) {
        wait_in(log_, 100000);
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    }
    EXPECT(count == 40, "%zu", count);
    for (size_t i = 0; i < 40; i++)
        EXPECT(messages[i].sequence == i + 1 &&
               br_slice_is(messages[i].subject, i % 20 == 19 ? sub("commit") : sub("view")));
    br_reader_close(&reader);
}

static void a_full_batch_of_1000_lands(void) {
    EXPECT_OK(make_output());
    static struct br_log_message batch[1000];
    for (size_t i = 0; i < 1000; i++)
        batch[i] = message_on(i == 999 ? sub("commit") : sub("view"), "x");
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, batch, 1000, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 1000);
}

static void more_than_1000_messages_are_refused_whole(void) {
    EXPECT_OK(make_output());
    const char *reply = raw_publish(sub("view"), "big", 1, false, NULL, NULL, true);
    EXPECT(reply[0] == '\0', "%s", reply);
    for (uint64_t i = 2; i <= 1000; i++)
        raw_publish(sub("view"), "big", i, false, NULL, NULL, false);
    reply = raw_publish(sub("view"), "big", 1001, true, NULL, NULL, true);
    EXPECT(strstr(reply, "10199") != NULL, "%s", reply);
    EXPECT(last_sequence() == 0);
}

static void a_gap_in_the_batch_sequence_refuses_all(void) {
    EXPECT_OK(make_output());
    raw_publish(sub("view"), "gap", 1, false, NULL, NULL, true);
    const char *reply = raw_publish(sub("view"), "gap", 3, true, NULL, NULL, true);
    EXPECT(strstr(reply, "10176") != NULL, "%s", reply);
    EXPECT(last_sequence() == 0);
}

static void an_unfinished_batch_is_not_seen(void) {
    EXPECT_OK(make_output());
    raw_publish(sub("view"), "open", 1, false, NULL, NULL, true);
    raw_publish(sub("view"), "open", 2, false, NULL, NULL, false);
    EXPECT(last_sequence() == 0);
    struct br_log_message message = message_on(sub("commit"), "x");
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, &message, 1, 0, &result, &sequence));
    EXPECT(sequence == 1, "the staged messages have taken no sequences");
}

static void a_stale_fence_refuses_the_whole_batch(void) {
    EXPECT_OK(make_output());
    struct br_log_message batch[] = {message_on(sub("view"), "1"), message_on(sub("commit"), "1")};
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, batch, 2, 0, &result, &sequence));
    for (uint64_t stale = 0; stale < 4; stale++) {
        if (stale == sequence)
            continue;
        EXPECT_OK(append_to(log_, batch, 2, stale, &result, &sequence));
        EXPECT(result == BR_APPEND_FENCED, "expected %llu", (unsigned long long)stale);
        sequence = 2;
    }
    EXPECT(last_sequence() == 2);
}

static void the_fence_is_the_last_messages_subject_alone(void) {
    EXPECT_OK(make_output());
    struct br_log_message a[] = {message_on(sub("view"), "1"), message_on(sub("commit.a"), "1")};
    struct br_log_message b[] = {message_on(sub("view"), "1"), message_on(sub("commit.b"), "1")};
    enum br_append_result result;
    uint64_t sequence_a, sequence_b;
    EXPECT_OK(append_to(log_, a, 2, 0, &result, &sequence_a));
    EXPECT_OK(append_to(log_, b, 2, 0, &result, &sequence_b));
    EXPECT(result == BR_APPEND_DONE && sequence_b == 4);
    EXPECT_OK(append_to(log_, a, 2, sequence_a, &result, &sequence_a));
    EXPECT(result == BR_APPEND_DONE && sequence_a == 6, "other subjects' messages don't move the fence");
}

static void a_fence_within_a_batch_is_judged_against_the_stream_before_it(void) {
    EXPECT_OK(make_output());
    const char *reply = raw_publish(sub("k"), "b1", 1, false, "0", NULL, true);
    EXPECT(reply[0] == '\0', "%s", reply);
    reply = raw_publish(sub("l"), "b1", 2, true, "0", NULL, true);
    EXPECT(strstr(reply, "\"count\":2") != NULL && strstr(reply, "\"seq\":2") != NULL, "%s", reply);
    raw_publish(sub("k"), "b2", 1, false, "0", NULL, true);
    reply = raw_publish(sub("m"), "b2", 2, true, "0", NULL, true);
    EXPECT(strstr(reply, "10071") != NULL, "a stale fence on any message refuses all: %s", reply);
    EXPECT(last_sequence() == 2);
}

static void a_batch_with_two_fences_lands_only_if_both_hold(void) {
    EXPECT_OK(make_output());
    struct br_log_message batch[] = {message_on(sub("own"), "1"), message_on(sub("view"), "1"),
                                     message_on(sub("owner"), "1")};
    enum br_append_result result;
    uint64_t sequence, owner;
    EXPECT_OK(append_to(log_, batch + 2, 1, 0, &result, &owner));
    batch[0].fenced = true;
    for (uint64_t wrong = 1; wrong < 3; wrong++) {
        batch[0].expected_sequence = wrong;
        EXPECT_OK(append_to(log_, batch, 3, owner, &result, &sequence));
        EXPECT(result == BR_APPEND_FENCED, "the first fence is missed");
    }
    batch[0].expected_sequence = 0;
    EXPECT_OK(append_to(log_, batch, 3, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_FENCED, "the last fence is missed");
    EXPECT(last_sequence() == 1);
    EXPECT_OK(append_to(log_, batch, 3, owner, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 4);
    batch[0].expected_sequence = 2;
    EXPECT_OK(append_to(log_, batch, 3, sequence, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 7);
}

static void the_fence_of_a_batch_on_one_subject_stands_before_its_first_message(void) {
    EXPECT_OK(make_output());
    struct br_log_message batch[] = {message_on(sub("commit"), "1"), message_on(sub("commit"), "2"),
                                     message_on(sub("commit"), "3")};
    enum br_append_result result;
    uint64_t sequence, none;
    EXPECT_OK(append_to(log_, batch, 3, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 3);
    for (uint64_t stale = 0; stale < 3; stale++) {
        EXPECT_OK(append_to(log_, batch, 3, stale, &result, &none));
        EXPECT(result == BR_APPEND_FENCED, "expected %llu", (unsigned long long)stale);
    }
    EXPECT(last_sequence() == 3);
    EXPECT_OK(append_to(log_, batch, 3, 3, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 6);
}

static void a_stream_without_allow_atomic_refuses_batches_in_words(void) {
    EXPECT_OK(br_log_ensure_input(admin_, stream, sub(">"), &error));
    struct br_log_message batch[] = {message_on(sub("view"), "1"), message_on(sub("commit"), "1")};
    enum br_append_result result;
    uint64_t sequence;
    EXPECT(append_to(log_, batch, 2, 0, &result, &sequence) == BR_FATAL);
    EXPECT(strstr(error.message, "allow_atomic") != NULL);
    EXPECT_OK(make_output());
    EXPECT_OK(append_to(log_, batch, 2, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE, "ensure_output switches allow_atomic on");
}

static void a_single_message_is_fenced_too(void) {
    EXPECT_OK(make_output());
    struct br_log_message message = message_on(sub("commit"), "x");
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, &message, 1, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 1);
    EXPECT_OK(append_to(log_, &message, 1, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_FENCED);
    EXPECT_OK(append_to(log_, &message, 1, 1, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == 2);
}

static void of_two_workers_with_the_same_fence_one_wins(void) {
    EXPECT_OK(make_output());
    struct br_connect_options options = {.url = br_private_server_url(server)};
    struct br_log *other = NULL;
    EXPECT_OK(connect_as(&options, &other));
    uint64_t expected = 0;
    for (int round = 0; round < 50; round++) {
        struct br_log_message batch[] = {message_on(sub("view"), "1"), message_on(sub("commit"), "1")};
        enum br_append_result first, second;
        uint64_t first_sequence = 0, second_sequence = 0;
        EXPECT_OK(br_log_append(log_, stream, batch, 2, expected, &error));
        EXPECT_OK(br_log_append(other, stream, batch, 2, expected, &error));
        EXPECT_OK(br_log_append_wait(log_, &first, &first_sequence, &error));
        EXPECT_OK(br_log_append_wait(other, &second, &second_sequence, &error));
        EXPECT((first == BR_APPEND_DONE) + (second == BR_APPEND_DONE) == 1, "round %d: %d %d", round, first, second);
        expected = first == BR_APPEND_DONE ? first_sequence : second_sequence;
        EXPECT(expected == (uint64_t)(round + 1) * 2);
    }
    close_log(&other);
}

static void a_message_above_max_payload_is_refused_before_it_is_sent(void) {
    EXPECT_OK(make_output());
    size_t size = br_log_payload_max(log_);
    EXPECT(size == 1 << 20);
    uint8_t *bytes = br_calloc(1, size);
    struct br_log_message message = {.subject = br_slice_of(sub("commit")), .payload = {bytes, size}};
    EXPECT(br_log_append(log_, stream, &message, 1, 0, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "max_payload") != NULL);
    message.payload.len = size - 1024;
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, &message, 1, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE);
    free(bytes);
}

// --- single messages, streams

static void the_last_message_is_read_with_its_headers(void) {
    EXPECT_OK(make_output());
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found = true;
    EXPECT_OK(br_log_last(log_, stream, sub("commit"), &copy, &last, &found, &error));
    EXPECT(!found);
    struct br_log_header headers[] = {{br_slice_of("Braid-Op"), br_slice_of("upsert")},
                                      {br_slice_of("Braid-Detail"), br_slice_of("two\r\nlines: here")}};
    struct br_log_message message = message_on(sub("commit"), "payload");
    message.headers = headers;
    message.header_count = 2;
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, &message, 1, 0, &result, &sequence));
    EXPECT_OK(br_log_last(log_, stream, sub("commit"), &copy, &last, &found, &error));
    struct br_slice value;
    EXPECT(found && last.sequence == 1 && br_slice_is(last.payload, "payload"));
    EXPECT(br_log_message_header(&last, "Braid-Op", &value) && br_slice_is(value, "upsert"));
    EXPECT(br_log_message_header(&last, "Braid-Detail", &value) && br_slice_is(value, "two  lines: here"));
    const struct br_clock *clock = br_clock_system();
    int64_t age_us = clock->wall(clock).us - last.timestamp.us;
    EXPECT(age_us >= 0 && age_us < 60 * BR_US_PER_SECOND, "age %lld us", (long long)age_us);
    EXPECT_OK(br_log_get(log_, stream, 1, &copy, &last, &found, &error));
    EXPECT(found && br_slice_is(last.subject, sub("commit")));
    EXPECT_OK(br_log_get(log_, stream, 2, &copy, &last, &found, &error));
    EXPECT(!found);
    br_buffer_free(&copy);
}

static void a_payload_survives_the_json_api_byte_by_byte(void) {
    EXPECT_OK(make_output());
    uint8_t bytes[259];
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (size_t len = 250; len <= sizeof bytes; len++) {
        struct br_log_message message = {.subject = br_slice_of(sub("in")), .payload = {bytes, len}};
        EXPECT_OK(br_log_publish(admin_, &message, &error));
        EXPECT_OK(br_log_publish_flush(admin_, &error));
        EXPECT_OK(br_log_last(log_, stream, sub("in"), &copy, &last, &found, &error));
        EXPECT(found && br_slice_equal(last.payload, message.payload), "%zu bytes", len);
    }
    br_buffer_free(&copy);
}

static void the_next_message_from_a_sequence_on_steps_over_what_is_deleted(void) {
    EXPECT_OK(make_output());
    struct br_log_message a = message_on(sub("a"), "1"), b = message_on(sub("b"), "2");
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(br_log_publish(admin_, &a, &error));
        EXPECT_OK(br_log_publish(admin_, &b, &error));
    }
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    char api[100];
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.DELETE.%s", stream);
    raw_api(api, "{\"seq\":3}");
    struct br_buffer BR_CLEANUP(br_buffer_free) copy = {0};
    struct br_log_message next;
    bool found;
    EXPECT_OK(br_log_next(log_, stream, sub("*"), 3, &copy, &next, &found, &error));
    EXPECT(found && next.sequence == 4 && br_slice_is(next.payload, "2") && next.timestamp.us != 0);
    EXPECT_OK(br_log_next(log_, stream, sub("a"), 0, &copy, &next, &found, &error));
    EXPECT(found && next.sequence == 1);
    EXPECT_OK(br_log_next(log_, stream, sub("a"), 2, &copy, &next, &found, &error));
    EXPECT(found && next.sequence == 5 && br_slice_is(next.subject, sub("a")));
    EXPECT_OK(br_log_next(log_, stream, sub("a"), 6, &copy, &next, &found, &error));
    EXPECT(!found);
    EXPECT_OK(br_log_next(log_, stream, sub("a"), 100, &copy, &next, &found, &error));
    EXPECT(!found);
}

static void a_stream_is_found_by_subject_and_its_lack_is_told(void) {
    struct br_stream_info info;
    EXPECT(br_log_find_stream(log_, NULL, sub(">"), &info, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "nats stream add") != NULL);
    EXPECT(br_log_stream_info(log_, stream, &info, &error) == BR_FATAL);
    EXPECT_OK(br_log_ensure_input(admin_, stream, sub(">"), &error));
    EXPECT_OK(br_log_ensure_input(admin_, stream, sub(">"), &error));
    EXPECT_OK(br_log_find_stream(log_, NULL, sub("in.*"), &info, &error));
    EXPECT(strcmp(info.name, stream) == 0 && info.first_sequence == 1 && info.last_sequence == 0);
    EXPECT(br_log_find_stream(log_, NULL, "bad..subject", &info, &error) == BR_FATAL);
}

static void an_output_is_widened_and_never_narrowed(void) {
    char a[128], b[128];
    snprintf(a, sizeof a, "%s", sub("a.>"));
    snprintf(b, sizeof b, "%s", sub("b"));
    const char *first[] = {a}, *second[] = {b}, *clash[] = {b};
    struct br_stream_info info;
    struct br_output_options options = {.subjects = first, .subject_count = 1};
    EXPECT_OK(br_log_ensure_output(log_, stream, &options, &info, &error));
    EXPECT(info.allow_atomic);
    options.subjects = second;
    EXPECT_OK(br_log_ensure_output(log_, stream, &options, &info, &error));
    struct br_log_message on_a = message_on(sub("a.x"), "1"), on_b = message_on(b, "1");
    EXPECT_OK(br_log_publish(admin_, &on_a, &error));
    EXPECT_OK(br_log_publish(admin_, &on_b, &error));
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    EXPECT(last_sequence() == 2);
    options.subjects = clash;
    char other[80];
    snprintf(other, sizeof other, "%s_other", stream);
    EXPECT(br_log_ensure_output(log_, other, &options, &info, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "overlap") != NULL);
}

static void a_bucket_keeps_the_last_value_of_a_key_and_changes_by_compare_and_set(void) {
    char key[160], name[80];
    const char *bucket = stream;
    EXPECT_OK(br_log_ensure_bucket(admin_, bucket, 0, &error));
    EXPECT_OK(br_log_ensure_bucket(admin_, bucket, 0, &error));
    snprintf(key, sizeof key, "$KV.%s.r1", bucket);
    snprintf(name, sizeof name, "KV_%s", bucket);
    struct br_log_message message = message_on(key, "1");
    enum br_append_result result;
    uint64_t revision;
    for (uint64_t i = 0; i < 3; i++) {
        EXPECT_OK(br_log_append(admin_, name, &message, 1, i, &error));
        EXPECT_OK(br_log_append_wait(admin_, &result, &revision, &error));
        EXPECT(result == BR_APPEND_DONE && revision == i + 1);
        EXPECT_OK(br_log_append(admin_, name, &message, 1, i, &error));
        EXPECT_OK(br_log_append_wait(admin_, &result, &revision, &error));
        EXPECT(result == BR_APPEND_FENCED);
    }
    struct br_stream_info info;
    EXPECT_OK(br_log_stream_info(log_, name, &info, &error));
    EXPECT(info.message_count == 1 && info.first_sequence == 3 && info.bytes > strlen(key) && info.replicas == 1);
    // NATS' own client takes it for a bucket.
    jsCtx *js = NULL;
    kvStore *store = NULL;
    kvEntry *entry = NULL;
    EXPECT(natsConnection_JetStream(&js, raw, NULL) == NATS_OK && js_KeyValue(&store, js, bucket) == NATS_OK);
    EXPECT(kvStore_Get(&entry, store, "r1") == NATS_OK && kvEntry_Revision(entry) == 3);
    EXPECT(strcmp(kvEntry_ValueString(entry), "1") == 0);
    kvEntry_Destroy(entry);
    kvStore_Destroy(store);
    jsCtx_Destroy(js);
}

static void publishing_where_no_stream_listens_is_told(void) {
    struct br_log_message message = message_on(sub("nowhere"), "x");
    EXPECT_OK(br_log_publish(admin_, &message, &error));
    EXPECT(br_log_publish_flush(admin_, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "no stream holds the subject") != NULL);
    EXPECT_OK(br_log_publish_flush(admin_, &error));
}

// --- reading

static void a_reader_gives_each_message_once_in_order(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 20000));
    struct br_reader *reader;
    uint64_t next = 1;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), 1, 0, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 20000, 10000000) == 0, "at %llu", (unsigned long long)next);
    EXPECT(br_reader_caught_up(reader) && br_reader_pending(reader) == 0 && br_reader_covered(reader) == 20000);
    EXPECT_OK(publish_many(20001, 5));
    EXPECT(read_up_to(log_, reader, &next, 20005, 10000000) == 0, "at %llu", (unsigned long long)next);
    br_reader_close(&reader);
    next = 15000;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), next, 0, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 20005, 10000000) == 0, "at %llu", (unsigned long long)next);
    br_reader_close(&reader);
}

static void a_reader_of_an_empty_subject_is_caught_up_at_once(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 10));
    struct br_reader *reader;
    const struct br_log_message *messages;
    size_t count;
    EXPECT_OK(br_reader_open(log_, stream, sub("other"), 1, 0, &reader, &error));
    EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    EXPECT(count == 0 && br_reader_caught_up(reader));
    br_reader_close(&reader);
}

static void an_idle_reader_learns_how_far_the_stream_was_looked_through(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 10));
    struct br_reader *reader;
    const struct br_log_message *messages;
    size_t count = 0;
    struct br_log_message other = message_on(sub("other"), "x");
    EXPECT_OK(br_log_publish(admin_, &other, &error));
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    EXPECT_OK(br_reader_open(log_, stream, sub("other"), 1, 0, &reader, &error));
    EXPECT_OK(publish_many(12, 20));
    for (int i = 0; i < 40 && br_reader_covered(reader) < 31; i++) {
        wait_in(log_, 100000);
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    }
    EXPECT(count == 1 && messages[0].sequence == 11);
    EXPECT(br_reader_covered(reader) == 31, "%llu", (unsigned long long)br_reader_covered(reader));
    EXPECT_OK(br_log_publish(admin_, &other, &error));
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    for (int i = 0; i < 20 && count < 2; i++) {
        wait_in(log_, 100000);
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    }
    EXPECT(count == 2 && messages[1].sequence == 32);
    br_reader_close(&reader);
}

static void a_reader_ends_at_its_stop_sequence(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 1000));
    struct br_reader *reader;
    uint64_t next = 10;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), 10, 20, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 20, 5000000) == 0);
    const struct br_log_message *messages;
    size_t count;
    wait_in(log_, 50000);
    EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    EXPECT(count == 0 && br_reader_caught_up(reader));
    br_reader_close(&reader);
}

static void headers_and_large_payloads_come_through_a_reader(void) {
    EXPECT_OK(make_output());
    size_t size = 900000;
    uint8_t *bytes = br_alloc(size);
    struct br_log_header headers[] = {{br_slice_of("ce-type"), br_slice_of("order_v1")}};
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < 20; i++) {
        struct br_log_message message = {.subject = br_slice_of(sub("in")), .payload = {bytes + i, size - 20}};
        message.headers = headers;
        message.header_count = i % 2 == 0 ? 1 : 0;
        EXPECT_OK(br_log_publish(admin_, &message, &error));
    }
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    struct br_reader *reader;
    EXPECT_OK(br_reader_open(log_, stream, sub(">"), 1, 0, &reader, &error));
    const struct br_log_message *messages;
    size_t count = 0;
    for (int i = 0; i < 200 && count < 20; i++) {
        wait_in(log_, 100000);
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    }
    EXPECT(count == 20, "%zu", count);
    for (size_t i = 0; i < 20; i++) {
        struct br_slice type;
        EXPECT(br_slice_equal(messages[i].payload, (struct br_slice){bytes + i, size - 20}));
        EXPECT(br_log_message_header(&messages[i], "ce-type", &type) == (i % 2 == 0));
        EXPECT(i % 2 == 1 || br_slice_is(type, "order_v1"));
    }
    br_reader_close(&reader);
    free(bytes);
}

static void a_full_queue_holds_the_server_back_and_goes_on_when_it_is_emptied(void) {
    struct br_connect_options options = {.url = br_private_server_url(server), .reader_queue_bytes = 1 << 20};
    struct br_log *small = NULL;
    static char payload[10000];
    memset(payload, 'x', sizeof payload - 1);
    EXPECT_OK(make_output());
    for (int i = 0; i < 12000; i++) { // 120 MB: more than the queue and the server's window
        struct br_log_message message = {.subject = br_slice_of(sub("in")),
                                         .payload = {(const uint8_t *)payload, sizeof payload}};
        EXPECT_OK(br_log_publish(admin_, &message, &error));
    }
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    EXPECT_OK(connect_as(&options, &small));
    struct br_reader *reader;
    const struct br_log_message *messages;
    size_t count = 0, before = 1;
    EXPECT_OK(br_reader_open(small, stream, sub("in"), 1, 0, &reader, &error));
    for (int i = 0; i < 60 && (before != count || count == 0); i++) { // until nothing more comes
        before = count;
        usleep(100000);
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    }
    EXPECT(count > 50 && count < 8000, "%zu messages are held", count);
    EXPECT(!br_reader_caught_up(reader));
    uint64_t next = 1;
    for (int i = 0; i < 2000 && next <= 12000; i++) {
        for (size_t j = 0; j < count; j++)
            EXPECT(messages[j].sequence == next++);
        br_reader_consume(reader, count);
        br_reader_release(reader);
        wait_in(small, 100000);
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    }
    EXPECT(next == 12001, "%llu", (unsigned long long)next);
    br_reader_close(&reader);
    close_log(&small);
}

static void a_reader_that_is_behind_holds_its_queue_and_no_more(void) {
    struct br_connect_options options = {.url = br_private_server_url(server), .reader_queue_bytes = 1 << 20};
    struct br_log *small = NULL;
    static char payload[10000];
    memset(payload, 'x', sizeof payload - 1);
    EXPECT_OK(make_output());
    struct br_log_message message = {.subject = br_slice_of(sub("in")),
                                     .payload = {(const uint8_t *)payload, sizeof payload}};
    for (int i = 0; i < 3000; i++) // 30 MB: within the server's window
        EXPECT_OK(br_log_publish(admin_, &message, &error));
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    EXPECT_OK(connect_as(&options, &small));
    struct br_reader *reader;
    const struct br_log_message *messages;
    size_t count, most = 0;
    uint64_t next = 1;
    EXPECT_OK(br_reader_open(small, stream, sub("in"), 1, 0, &reader, &error));
    for (int i = 0; i < 20000 && next <= 3000; i++) {
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
        if (count == 0)
            wait_in(small, 100000);
        most = count > most ? count : most;
        size_t taken = count < 5 ? count : 5;
        for (size_t j = 0; j < taken; j++)
            EXPECT(messages[j].sequence == next++);
        br_reader_consume(reader, taken);
        br_reader_release(reader);
    }
    EXPECT(next == 3001, "%llu", (unsigned long long)next);
    EXPECT(most > (ask_messages == 0 && !crowded ? 50 : 3) && most < 200, "%zu messages were held", most);
    br_reader_close(&reader);
    close_log(&small);
}

static void a_hole_below_the_position_is_fatal_and_named(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 30));
    struct br_reader *reader;
    purge_below(21);
    EXPECT(br_reader_open(log_, stream, sub("in"), 11, 0, &reader, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "sequences 11 to 20 are gone") != NULL);
    EXPECT(br_reader_open(log_, stream, sub("in"), 40, 0, &reader, &error) == BR_FATAL);
    EXPECT(strstr(error.message, "ends at sequence 30") != NULL);
    uint64_t next = 21;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), 1, 0, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 30, 5000000) == 0);
    br_reader_close(&reader);
}

static void a_purge_of_unread_messages_under_a_live_reader_is_noticed(void) {
    static char payload[100000];
    struct br_connect_options options = {.url = br_private_server_url(server), .reader_queue_bytes = 1 << 20};
    struct br_log *small = NULL;
    EXPECT_OK(make_output());
    EXPECT_OK(connect_as(&options, &small));
    struct br_reader *reader;
    const struct br_log_message *messages;
    size_t count = 0;
    EXPECT_OK(br_reader_open(small, stream, sub("in"), 1, 0, &reader, &error));
    for (int i = 0; i < 1000; i++) {
        struct br_log_message message = {.subject = br_slice_of(sub("in")),
                                         .payload = {(const uint8_t *)payload, sizeof payload}};
        EXPECT_OK(br_log_publish(admin_, &message, &error));
    }
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    usleep(300000);
    EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
    purge_below(1001); // the reader has some of them; the rest is held back by flow control
    struct br_log_message more = message_on(sub("in"), "after");
    EXPECT_OK(br_log_publish(admin_, &more, &error));
    EXPECT_OK(br_log_publish_flush(admin_, &error));
    enum br_status status = BR_OK;
    size_t seen = 0;
    for (int i = 0; i < 100 && status == BR_OK; i++) {
        seen += count;
        br_reader_consume(reader, count);
        br_reader_release(reader);
        wait_in(small, 100000);
        status = br_reader_peek(reader, &messages, &count, &error);
    }
    EXPECT(status == BR_FATAL, "%zu messages came, status %d", seen, status);
    EXPECT(strstr(error.message, "are gone") != NULL);
    br_reader_close(&reader);
    close_log(&small);
}

static void a_reader_from_the_beginning_may_run_beside_the_streams_limit(void) {
    char body[256], api[128];
    snprintf(api, sizeof api, "$JS.API.STREAM.CREATE.%s", stream);
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"subjects\":[\"%s.>\"],\"max_msgs\":500,\"storage\":\"memory\"}",
             stream, subject);
    raw_api(api, body);
    struct br_log_message in = message_on(sub("in"), "x"), other = message_on(sub("other"), "x");
    struct br_reader *reader = NULL;
    uint64_t got = 0, newest = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 100; i++) // the stream's edge moves while it is read
            EXPECT_OK(br_log_publish(admin_, i % 7 == 0 ? &in : &other, &error));
        EXPECT_OK(br_log_publish_flush(admin_, &error));
        if (round == 20)
            EXPECT_OK(br_reader_open(log_, stream, sub("in"), 1, 0, &reader, &error));
        if (reader == NULL)
            continue;
        const struct br_log_message *messages;
        size_t count;
        EXPECT_OK(br_reader_peek(reader, &messages, &count, &error));
        got += count;
        newest = count == 0 ? newest : messages[count - 1].sequence;
        br_reader_consume(reader, count);
        br_reader_release(reader);
    }
    EXPECT(got > 1000 && newest > 15000, "%llu up to %llu", (unsigned long long)got, (unsigned long long)newest);
    br_reader_close(&reader);
}

static void a_stream_made_anew_has_another_creation_time_and_is_noticed(void) {
    EXPECT_OK(make_output());
    struct br_stream_info before, after;
    EXPECT_OK(publish_many(1, 10));
    EXPECT_OK(br_log_stream_info(log_, stream, &before, &error));
    struct br_reader *reader;
    uint64_t next = 1;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), 1, 0, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 10, 5000000) == 0);
    delete_stream();
    EXPECT_OK(make_output());
    EXPECT_OK(br_log_stream_info(log_, stream, &after, &error));
    EXPECT(before.created.us != after.created.us);
    enum br_status status = BR_OK;
    const struct br_log_message *messages;
    size_t count;
    for (int i = 0; i < 100 && status == BR_OK; i++) {
        wait_in(log_, 100000);
        status = br_reader_peek(reader, &messages, &count, &error);
    }
    EXPECT(status == BR_FATAL && strstr(error.message, "made anew") != NULL);
    br_reader_close(&reader);
}

// --- waiting

static void waiting_ends_when_woken_and_when_the_time_is_over(void) {
    const struct br_clock *clock = br_clock_system();
    int64_t start_us = clock->mono(clock).us;
    wait_in(log_, 50000);
    int64_t took_us = clock->mono(clock).us - start_us;
    EXPECT(took_us >= 50000, "%lld", (long long)took_us);
    br_log_wake(log_);
    start_us = clock->mono(clock).us;
    wait_in(log_, 5000000);
    EXPECT(clock->mono(clock).us - start_us < 5000000);
}

// --- outages

static void reading_goes_on_in_order_after_the_server_was_killed(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 2000));
    struct br_reader *reader;
    uint64_t next = 1;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), 1, 0, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 500, 5000000) == 0);
    br_private_server_halt(server, true);
    struct br_stream_info info;
    wait_in(log_, 300000);
    EXPECT(br_log_stream_info(log_, stream, &info, &error) == BR_RETRY, "an outage is a passing fault");
    EXPECT_OK(br_private_server_resume(server, &error));
    EXPECT(read_up_to(log_, reader, &next, 2000, 20000000) == 0, "at %llu", (unsigned long long)next);
    EXPECT_OK(publish_many(2001, 1000));
    EXPECT(read_up_to(log_, reader, &next, 3000, 20000000) == 0, "at %llu", (unsigned long long)next);
    for (int i = 0; i < 2000 && !br_reader_caught_up(reader); i++)
        wait_in(log_, 10000); // its consumer may just have been made anew
    EXPECT(br_reader_caught_up(reader));
    br_reader_close(&reader);
}

static void a_reader_notices_a_frozen_server_and_goes_on(void) {
    EXPECT_OK(make_output());
    EXPECT_OK(publish_many(1, 100));
    struct br_reader *reader;
    uint64_t next = 1;
    EXPECT_OK(br_reader_open(log_, stream, sub("in"), 1, 0, &reader, &error));
    EXPECT(read_up_to(log_, reader, &next, 100, 5000000) == 0);
    freeze_server();
    for (int i = 0; i < 45; i++)
        wait_in(log_, 100000);
    kill(br_private_server_pid(server), SIGCONT);
    EXPECT_OK(publish_many(101, 100));
    EXPECT(read_up_to(log_, reader, &next, 200, 20000000) == 0, "at %llu", (unsigned long long)next);
    br_reader_close(&reader);
}

static void the_outcome_of_an_append_during_an_outage_is_unknown_and_the_fence_tells(void) {
    EXPECT_OK(make_output());
    struct br_log_message message = message_on(sub("commit"), "x");
    enum br_append_result result;
    uint64_t sequence;
    EXPECT_OK(append_to(log_, &message, 1, 0, &result, &sequence));
    freeze_server();
    EXPECT_OK(br_log_append(log_, stream, &message, 1, sequence, &error));
    br_private_server_halt(server, true);
    EXPECT_OK(br_log_append_wait(log_, &result, &sequence, &error));
    EXPECT(result == BR_APPEND_UNKNOWN);
    EXPECT(br_log_append(log_, stream, &message, 1, 1, &error) == BR_RETRY, "no connection: nothing is sent");
    EXPECT_OK(br_private_server_resume(server, &error));
    struct br_buffer copy = {0};
    struct br_log_message last;
    bool found = false;
    enum br_status status = BR_RETRY;
    for (int i = 0; i < 20 && status == BR_RETRY; i++)
        status = br_log_last(log_, stream, sub("commit"), &copy, &last, &found, &error);
    EXPECT(status == BR_OK && found);
    EXPECT_OK(append_to(log_, &message, 1, last.sequence, &result, &sequence));
    EXPECT(result == BR_APPEND_DONE && sequence == last.sequence + 1);
    br_buffer_free(&copy);
}

static void an_append_without_a_reply_is_unknown_after_the_time(void) {
    struct br_connect_options options = {.url = br_private_server_url(server), .request_timeout_us = 300000};
    struct br_log *hasty = NULL;
    EXPECT_OK(make_output());
    EXPECT_OK(connect_as(&options, &hasty));
    struct br_log_message batch[] = {message_on(sub("view"), "1"), message_on(sub("commit"), "1")};
    enum br_append_result result;
    uint64_t sequence;
    freeze_server();
    EXPECT_OK(append_to(hasty, batch, 2, 0, &result, &sequence));
    kill(br_private_server_pid(server), SIGCONT);
    EXPECT(result == BR_APPEND_UNKNOWN);
    uint64_t last = 0;
    for (int i = 0; i < 50 && last == 0; i++) {
        last = last_sequence();
        usleep(20000);
    }
    EXPECT(last == 2, "this one did land");
    EXPECT_OK(append_to(hasty, batch, 2, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_FENCED);
    close_log(&hasty);
}

static int64_t thread_cpu_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void a_wait_for_an_ack_sleeps_though_input_is_there(void) {
    struct br_connect_options options = {.url = br_private_server_url(server), .request_timeout_us = 1000000};
    struct br_log *hasty = NULL;
    EXPECT_OK(make_output());
    EXPECT_OK(connect_as(&options, &hasty));
    struct br_reader *reader;
    uint64_t next = 1;
    EXPECT_OK(publish_many(1, 1));
    EXPECT_OK(br_reader_open(hasty, stream, sub("in"), 1, 0, &reader, &error));
    EXPECT(read_up_to(hasty, reader, &next, 1, 10000000) == 0);
    EXPECT_OK(publish_many(2, 100));
    usleep(200000); // they have reached the reader's socket
    struct br_log_message batch[] = {message_on(sub("view"), "1"), message_on(sub("commit"), "1")};
    enum br_append_result result;
    uint64_t sequence;
    freeze_server();
    int64_t before_us = thread_cpu_us();
    enum br_status status = append_to(hasty, batch, 2, 0, &result, &sequence);
    int64_t used_us = thread_cpu_us() - before_us;
    kill(br_private_server_pid(server), SIGCONT);
    EXPECT_OK(status);
    EXPECT(result == BR_APPEND_UNKNOWN && used_us < 50000, "%lld us of CPU in a second", (long long)used_us);
    EXPECT(read_up_to(hasty, reader, &next, 101, 10000000) == 0, "at %llu", (unsigned long long)next);
    br_reader_close(&reader);
    close_log(&hasty);
}

static void a_single_append_without_a_reply_is_unknown_after_the_time(void) {
    struct br_connect_options options = {.url = br_private_server_url(server), .request_timeout_us = 3000000};
    struct br_log *hasty = NULL;
    EXPECT_OK(make_output());
    EXPECT_OK(connect_as(&options, &hasty));
    struct br_log_message message = message_on(sub("commit"), "1");
    enum br_append_result result = BR_APPEND_DONE;
    uint64_t sequence;
    freeze_server();
    enum br_status status = append_to(hasty, &message, 1, 0, &result, &sequence);
    kill(br_private_server_pid(server), SIGCONT);
    EXPECT_OK(status);
    EXPECT(result == BR_APPEND_UNKNOWN);
    for (int i = 0; i < 100 && last_sequence() != 1; i++) // it lands later than its sender waited
        usleep(50000);
    EXPECT(last_sequence() == 1);
    EXPECT_OK(append_to(hasty, &message, 1, 0, &result, &sequence));
    EXPECT(result == BR_APPEND_FENCED);
    close_log(&hasty);
}

static struct br_flag cancel;

static void set_cancel(int number) {
    (void)number;
    br_flag_set(&cancel);
}

static void waiting_for_a_dead_server_ends_when_cancelled(void) {
    cancel = (struct br_flag){false};
    struct br_connect_options options = {.url = "nats://127.0.0.1:1", .cancel = &cancel};
    struct br_log *none = NULL;
    struct br_error first;
    EXPECT(br_log_connect_jetstream(
               &(struct br_connect_options){.url = "nats://u:topsecret@127.0.0.1:1", .request_timeout_us = 200000},
               &none, &first) == BR_RETRY);
    EXPECT(strstr(first.message, "127.0.0.1:1") != NULL && strstr(first.message, "topsecret") == NULL, "%s",
           first.message);
    signal(SIGALRM, set_cancel);
    alarm(1);
    const struct br_clock *clock = br_clock_system();
    int64_t start_us = clock->mono(clock).us;
    EXPECT(connect_as(&options, &none) == BR_RETRY);
    EXPECT(clock->mono(clock).us - start_us < 3000000);
}

// ---

struct test {
    const char *name;
    void (*run)(void);
};
#define T(name)                                                                                                        \
    { #name, name }
// What the control plane's log promises as well.
static const struct test of_both[] = {
    T(a_single_message_is_fenced_too),
    T(a_message_above_max_payload_is_refused_before_it_is_sent),
    T(the_last_message_is_read_with_its_headers),
    T(a_payload_survives_the_json_api_byte_by_byte),
    T(the_next_message_from_a_sequence_on_steps_over_what_is_deleted),
    T(a_stream_is_found_by_subject_and_its_lack_is_told),
    T(a_bucket_keeps_the_last_value_of_a_key_and_changes_by_compare_and_set),
    T(publishing_where_no_stream_listens_is_told),
    T(a_reader_of_an_empty_subject_is_caught_up_at_once),
    T(an_idle_reader_learns_how_far_the_stream_was_looked_through),
    T(a_reader_ends_at_its_stop_sequence),
    T(a_hole_below_the_position_is_fatal_and_named),
    T(a_stream_made_anew_has_another_creation_time_and_is_noticed),
    T(waiting_ends_when_woken_and_when_the_time_is_over),
    T(a_single_append_without_a_reply_is_unknown_after_the_time),
    T(waiting_for_a_dead_server_ends_when_cancelled),
};
static const struct test tests[] = {
    T(a_batch_lands_whole_and_contiguous),
    T(a_full_batch_of_1000_lands),
    T(more_than_1000_messages_are_refused_whole),
    T(a_gap_in_the_batch_sequence_refuses_all),
    T(an_unfinished_batch_is_not_seen),
    T(a_stale_fence_refuses_the_whole_batch),
    T(the_fence_is_the_last_messages_subject_alone),
    T(a_fence_within_a_batch_is_judged_against_the_stream_before_it),
    T(a_stream_without_allow_atomic_refuses_batches_in_words),
    T(a_batch_with_two_fences_lands_only_if_both_hold),
    T(the_fence_of_a_batch_on_one_subject_stands_before_its_first_message),
    T(a_single_message_is_fenced_too),
    T(of_two_workers_with_the_same_fence_one_wins),
    T(a_message_above_max_payload_is_refused_before_it_is_sent),
    T(the_last_message_is_read_with_its_headers),
    T(a_payload_survives_the_json_api_byte_by_byte),
    T(the_next_message_from_a_sequence_on_steps_over_what_is_deleted),
    T(a_stream_is_found_by_subject_and_its_lack_is_told),
    T(an_output_is_widened_and_never_narrowed),
    T(a_bucket_keeps_the_last_value_of_a_key_and_changes_by_compare_and_set),
    T(publishing_where_no_stream_listens_is_told),
    T(a_reader_gives_each_message_once_in_order),
    T(a_reader_of_an_empty_subject_is_caught_up_at_once),
    T(an_idle_reader_learns_how_far_the_stream_was_looked_through),
    T(a_reader_ends_at_its_stop_sequence),
    T(headers_and_large_payloads_come_through_a_reader),
    T(a_full_queue_holds_the_server_back_and_goes_on_when_it_is_emptied),
    T(a_reader_that_is_behind_holds_its_queue_and_no_more),
    T(a_hole_below_the_position_is_fatal_and_named),
    T(a_purge_of_unread_messages_under_a_live_reader_is_noticed),
    T(a_reader_from_the_beginning_may_run_beside_the_streams_limit),
    T(a_stream_made_anew_has_another_creation_time_and_is_noticed),
    T(waiting_ends_when_woken_and_when_the_time_is_over),
    T(reading_goes_on_in_order_after_the_server_was_killed),
    T(a_reader_notices_a_frozen_server_and_goes_on),
    T(the_outcome_of_an_append_during_an_outage_is_unknown_and_the_fence_tells),
    T(an_append_without_a_reply_is_unknown_after_the_time),
    T(a_single_append_without_a_reply_is_unknown_after_the_time),
    T(a_wait_for_an_ack_sleeps_though_input_is_there),
    T(waiting_for_a_dead_server_ends_when_cancelled),
};

static void run(const struct test *test, size_t index) {
    struct br_connect_options options = {
        .url = br_private_server_url(server), .name = test->name, .request_timeout_us = 3000000};
    const struct br_clock *clock = br_clock_system();
    int64_t start_us = clock->mono(clock).us;
    int before = failures;
    test_name = test->name;
    error = (struct br_error){0};
    memset(subjects_made, 0, sizeof subjects_made);
    snprintf(stream, sizeof stream, "S%zu", index);
    snprintf(subject, sizeof subject, "s%zu", index);
    if (connect_as(&options, &log_) != BR_OK) {
        printf("%s: no connection: %s\n", test->name, error.message);
        failures++;
        return;
    }
    test->run();
    if (failures == before)
        close_log(&log_); // a test that failed may have left readers open
    log_ = NULL;
    delete_stream();
    printf("%s %s%s (%lld ms)\n", failures == before ? "ok  " : "FAIL", test->name,
           crowded             ? ", crowded"
           : by_control        ? ", control plane"
           : ask_messages == 0 ? ""
                               : ", pulled",
           (long long)(clock->mono(clock).us - start_us) / 1000);
    fflush(stdout);
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/braid-nats-rules-XXXXXX";
    if (mkdtemp(folder) == NULL || br_private_server_start(folder, false, 0, &server, &error) != BR_OK) {
        printf("no server: %s\n", error.message);
        return 1;
    }
    br_log_configure(BR_LEVEL_ERROR, false);
    if (natsConnection_ConnectTo(&raw, br_private_server_url(server)) != NATS_OK) {
        printf("libnats can't connect\n");
        return 1;
    }
    struct br_connect_options feeds = {.url = br_private_server_url(server)};
    if (br_log_connect_control(&feeds, &admin_, &error) != BR_OK) {
        printf("no control plane: %s\n", error.message);
        return 1;
    }
    size_t count = sizeof tests / sizeof tests[0];
    for (size_t i = 0; i < count; i++)
        if (argc < 2 || strstr(tests[i].name, argv[1]) != NULL)
            run(&tests[i], i);
    ask_messages = 50; // and those that read once more
    for (size_t i = 0; i < count; i++)
        if (strstr(tests[i].name, "read") != NULL && (argc < 2 || strstr(tests[i].name, argv[1]) != NULL))
            run(&tests[i], count + i);
    ask_messages = 0; // and over one connection that they share
    crowded = true;
    make_neighbours();
    for (size_t i = 0; i < count; i++)
        if (strstr(tests[i].name, "read") != NULL && (argc < 2 || strstr(tests[i].name, argv[1]) != NULL))
            run(&tests[i], 2 * count + i);
    crowded = false;
    if (br_log_connect_jetstream(&feeds, &maker_, &error) != BR_OK) {
        printf("no data plane: %s\n", error.message);
        return 1;
    }
    by_control = true; // and those of both planes over the other one
    for (size_t i = 0; i < sizeof of_both / sizeof of_both[0]; i++)
        if (argc < 2 || strstr(of_both[i].name, argv[1]) != NULL)
            run(&of_both[i], 3 * count + i);
    br_log_close(&maker_);
    br_log_close(&admin_);
    natsConnection_Destroy(raw);
    nats_Close();
    br_private_server_stop(&server);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        printf("can't remove %s\n", folder);
    printf("%d failures\n", failures);
    return failures != 0;
}
