// SPDX-License-Identifier: Apache-2.0
// See flow.h.
#define _GNU_SOURCE // memmem
#include "flow.h"
#include "measure.h"
#include "nexmark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void bench_nats_must(natsStatus status, const char *what) {
    if (status != NATS_OK) {
        fprintf(stderr, "bench: %s: %s\n", what, natsStatus_GetText(status));
        exit(1);
    }
}

struct br_log *bench_dial(const char *url) {
    struct br_error error;
    struct br_log *log;
    struct br_connect_options options = {.url = url, .name = "bench"};
    bench_must(br_log_connect_jetstream(&options, &log, &error), &error);
    return log;
}

struct br_log *bench_dial_control(const char *url) {
    struct br_error error;
    struct br_log *log;
    struct br_connect_options options = {.url = url, .name = "bench feeds"};
    bench_must(br_log_connect_control(&options, &log, &error), &error);
    return log;
}

void bench_fill_bids(const char *url, const char *stream, const char *subject, uint64_t events, bool packed,
                     uint64_t *ret_messages) {
    struct br_error error;
    struct br_nexmark_options options = {.seed = 1, .start_us = INT64_C(1767225600000000)};
    struct br_buffer one = {0}, frame = {0};
    struct br_log *log = bench_dial_control(url);
    bench_must(br_log_ensure_input(log, stream, subject, &error), &error);
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
            if (frame.len < BENCH_FRAME_SIZE - 200 && made < events)
                continue;
        }
        struct br_log_message message = {.subject = br_slice_of(subject),
                                         .payload = packed ? br_buffer_slice(&frame) : br_buffer_slice(&one)};
        bench_must(br_log_publish(log, &message, &error), &error);
        ++*ret_messages;
        br_buffer_clear(&frame);
    }
    bench_must(br_log_publish_flush(log, &error), &error);
    br_log_close(&log);
    br_buffer_free(&one);
    br_buffer_free(&frame);
}

// --- a connection

struct connection {
    natsConnection *nats;
    jsCtx *js;
};

static struct connection connect_nats(const char *url, jsOptions *options) {
    struct connection connection;
    bench_nats_must(natsConnection_ConnectTo(&connection.nats, url), "connect");
    bench_nats_must(natsConnection_JetStream(&connection.js, connection.nats, options), "JetStream");
    return connection;
}

static natsSubscription *subscribe(struct connection *connection, const char *subject, bool only_new,
                                   natsMsgHandler handler, void *closure) {
    natsSubscription *subscription;
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Ordered = true;
    if (only_new)
        options.Config.DeliverPolicy = js_DeliverNew;
    bench_nats_must(js_Subscribe(&subscription, connection->js, subject, handler, closure, NULL, &options, NULL),
                    "subscribe");
    return subscription;
}

static void disconnect(struct connection *connection) {
    jsCtx_Destroy(connection->js);
    natsConnection_Destroy(connection->nats);
}

// --- the bare consumer

struct counter {
    atomic_uint_fast64_t count;
    uint64_t wanted;
    pthread_mutex_t lock;
    pthread_cond_t done;
};

static void count_message(natsConnection *nats, natsSubscription *subscription, natsMsg *message, void *closure) {
    struct counter *counter = closure;
    (void)nats;
    (void)subscription;
    natsMsg_Destroy(message);
    if (atomic_fetch_add(&counter->count, 1) + 1 == counter->wanted) {
        pthread_mutex_lock(&counter->lock);
        pthread_cond_signal(&counter->done);
        pthread_mutex_unlock(&counter->lock);
    }
}

double bench_bare_consumer(const char *url, const char *subject, uint64_t messages) {
    struct counter counter = {.wanted = messages, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct connection connection = connect_nats(url, NULL);
    int64_t began = bench_now_us();
    natsSubscription *subscription = subscribe(&connection, subject, false, count_message, &counter);
    pthread_mutex_lock(&counter.lock);
    while (atomic_load(&counter.count) < messages)
        pthread_cond_wait(&counter.done, &counter.lock);
    pthread_mutex_unlock(&counter.lock);
    double seconds = (double)(bench_now_us() - began) / 1e6;
    natsSubscription_Destroy(subscription);
    disconnect(&connection);
    return seconds;
}

// --- latency

struct bench_latency {
    struct bench_latency_options options;
    struct connection connection; // the subscriber's
    natsSubscription *subscription;
    atomic_int_fast64_t *acked; // by id: when the ack came
    int64_t *delivered;         // by id
    atomic_uint_fast64_t seen;
    atomic_bool stop;
    pthread_t feeder;
    uint64_t feed_first, feed_count;
    double feed_rate;
};

static uint64_t read_id(const char *bytes, int len) {
    uint64_t id = 0;
    if (len < 2 || bytes[0] != 0x08 ||
        br_varint_get((const uint8_t *)bytes + 1, (const uint8_t *)bytes + len, &id) == 0)
        return UINT64_MAX;
    return id;
}

static void on_ack(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *failure, void *closure) {
    struct bench_latency *latency = closure;
    (void)js;
    (void)ack;
    if (failure != NULL) {
        fprintf(stderr, "bench: publish failed: %s\n", failure->ErrText != NULL ? failure->ErrText : "?");
        exit(1);
    }
    uint64_t id = read_id(natsMsg_GetData(message), natsMsg_GetDataLength(message));
    if (id < latency->options.count)
        atomic_store(&latency->acked[id], bench_now_us());
    natsMsg_Destroy(message);
}

static void *feed(void *context) {
    struct bench_latency *latency = context;
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.AckHandler = on_ack;
    options.PublishAsync.AckHandlerClosure = latency;
    struct connection connection = connect_nats(latency->options.url, &options);
    int64_t began = bench_now_us();
    for (uint64_t i = 0; i < latency->feed_count && !atomic_load(&latency->stop); i++) {
        int64_t due = began + (int64_t)((double)i * 1e6 / latency->feed_rate);
        int64_t wait = due - bench_now_us();
        if (wait > 200) {
            struct timespec pause = {wait / 1000000, wait % 1000000 * 1000};
            nanosleep(&pause, NULL);
        }
        uint8_t bytes[16] = {0x08};
        size_t len = 1 + br_varint_put(bytes + 1, latency->feed_first + i);
        bench_nats_must(js_PublishAsync(connection.js, latency->options.subject, bytes, (int)len, NULL), "publish");
    }
    bench_nats_must(js_PublishAsyncComplete(connection.js, NULL), "publish");
    disconnect(&connection);
    return NULL;
}

static void note_delivery(struct bench_latency *latency, const char *bytes, int len, int64_t at_us) {
    uint64_t id = read_id(bytes, len);
    if (id < latency->options.count) {
        BR_CHECK(latency->delivered[id] == 0); // exactly once
        latency->delivered[id] = at_us;
        atomic_fetch_add(&latency->seen, 1);
    }
}

// Rows of a packed view: skim the commit for records of the shape op 'I', length, 0x08, id. The commit is small
// protobuf; blocks begin with "BRP1".
static void note_block(struct bench_latency *latency, const char *bytes, int len, int64_t at_us) {
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

static void on_output(natsConnection *nats, natsSubscription *subscription, natsMsg *message, void *closure) {
    struct bench_latency *latency = closure;
    int64_t at_us = bench_now_us();
    (void)nats;
    (void)subscription;
    if (latency->options.packed)
        note_block(latency, natsMsg_GetData(message), natsMsg_GetDataLength(message), at_us);
    else
        note_delivery(latency, natsMsg_GetData(message), natsMsg_GetDataLength(message), at_us);
    natsMsg_Destroy(message);
}

struct bench_latency *bench_latency_open(const struct bench_latency_options *options) {
    struct bench_latency *latency = br_calloc(1, sizeof *latency);
    latency->options = *options;
    latency->acked = br_calloc(options->count, sizeof *latency->acked);
    latency->delivered = br_calloc(options->count, sizeof *latency->delivered);
    latency->connection = connect_nats(options->url, NULL);
    latency->subscription = subscribe(&latency->connection, options->output, true, on_output, latency);
    return latency;
}

void bench_latency_close(struct bench_latency **latency_ptr) {
    struct bench_latency *latency = *latency_ptr;
    natsSubscription_Destroy(latency->subscription);
    disconnect(&latency->connection);
    free(latency->acked);
    free(latency->delivered);
    free(latency);
    *latency_ptr = NULL;
}

void bench_latency_feed(struct bench_latency *latency, uint64_t first, uint64_t count, double rate) {
    BR_CHECK(first + count <= latency->options.count);
    latency->feed_first = first;
    latency->feed_count = count;
    latency->feed_rate = rate;
    BR_CHECK(pthread_create(&latency->feeder, NULL, feed, latency) == 0);
}

void bench_latency_stop_feeding(struct bench_latency *latency) {
    atomic_store(&latency->stop, true);
}

void bench_latency_join(struct bench_latency *latency) {
    pthread_join(latency->feeder, NULL);
}

uint64_t bench_latency_seen(const struct bench_latency *latency) {
    return atomic_load(&latency->seen);
}

int64_t *bench_latency_sorted(const struct bench_latency *latency, uint64_t first, uint64_t count) {
    int64_t *all = br_calloc(count, sizeof *all);
    for (uint64_t i = 0; i < count; i++) {
        int64_t acked = atomic_load(&latency->acked[first + i]), delivered = latency->delivered[first + i];
        BR_CHECK(delivered != 0);
        all[i] = delivered > acked ? delivered - acked : 0; // delivered before its ack was seen: no time at all
    }
    bench_sort(all, count);
    return all;
}
