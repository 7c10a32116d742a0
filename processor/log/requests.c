// SPDX-License-Identifier: Apache-2.0
// See requests.h.
#include "processor/log/requests.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define KINDS 8
#define COUNT_MAX 1024 // of a kind
#define BYTES_MAX ((size_t)8 << 20)
#define BUCKETS 1024 // of lanes; a power of 2
#define LANE_COUNT_MAX 64
#define LANE_BYTES_MAX ((size_t)2 << 20)

struct waiting {
    struct waiting *next;
    struct br_request_way way;
    uint32_t kind;
    int64_t since_us;
    bool gone; // a part of its answer couldn't be sent
    struct br_slice payload;
    char *reply;
    uint8_t bytes[]; // payload, then reply
};

struct lane { // of one asker, as long as something of it waits
    uint64_t key;
    struct lane *in_bucket;    // the next one
    struct lane *next, *prior; // in the ring of turns
    struct waiting *first, **end;
    size_t count, bytes;
};

struct br_requests {
    pthread_mutex_t lock;
    struct lane *buckets[BUCKETS];
    struct lane *turn; // whose it is next, in a ring of all; NULL: nobody's
    size_t count;
    struct {
        size_t count, bytes;
    } kinds[KINDS];
    void (*wake)(void *context);
    void *wake_context;
};

struct br_requests *br_requests_create(void) {
    struct br_requests *requests = br_calloc(1, sizeof *requests);
    pthread_mutex_init(&requests->lock, NULL);
    return requests;
}

// --- lanes

static uint64_t key_of(const char *reply) {
    const char *last = strrchr(reply, '.');
    return XXH3_64bits(reply, last == NULL ? strlen(reply) : (size_t)(last - reply));
}

static struct lane **find_lane(struct br_requests *requests, uint64_t key) {
    struct lane **at = &requests->buckets[key & (BUCKETS - 1)];
    while (*at != NULL && (*at)->key != key)
        at = &(*at)->in_bucket;
    return at;
}

// Its turn is the last.
static struct lane *add_lane(struct br_requests *requests, struct lane **at, uint64_t key) {
    struct lane *lane = *at = br_calloc(1, sizeof *lane), *turn = requests->turn;
    lane->key = key;
    lane->end = &lane->first;
    lane->next = turn == NULL ? lane : turn;
    lane->prior = turn == NULL ? lane : turn->prior;
    lane->next->prior = lane->prior->next = lane;
    if (turn == NULL)
        requests->turn = lane;
    return lane;
}

static void remove_lane(struct br_requests *requests, struct lane *lane) {
    struct lane **at = find_lane(requests, lane->key);
    *at = lane->in_bucket;
    lane->prior->next = lane->next;
    lane->next->prior = lane->prior;
    if (requests->turn == lane)
        requests->turn = lane->next == lane ? NULL : lane->next;
    free(lane);
}

static struct waiting *take_at(struct br_requests *requests, struct lane *lane, struct waiting **at) {
    struct waiting *waiting = *at;
    *at = waiting->next;
    if (waiting->next == NULL)
        lane->end = at;
    lane->count--;
    lane->bytes -= waiting->payload.len;
    requests->count--;
    requests->kinds[waiting->kind].count--;
    requests->kinds[waiting->kind].bytes -= waiting->payload.len;
    if (lane->count == 0)
        remove_lane(requests, lane);
    return waiting;
}

void br_requests_destroy(struct br_requests **requests_ptr) {
    struct br_requests *requests = *requests_ptr;
    if (requests == NULL)
        return;
    while (requests->turn != NULL)
        free(take_at(requests, requests->turn, &requests->turn->first));
    pthread_mutex_destroy(&requests->lock);
    free(requests);
    *requests_ptr = NULL;
}

// --- offering

// lane NULL: nothing of its asker waits.
static bool fits(const struct br_requests *requests, uint32_t kind, const struct lane *lane, size_t len) {
    return requests->kinds[kind].count < COUNT_MAX && requests->kinds[kind].bytes + len <= BYTES_MAX &&
           (lane == NULL ? len <= LANE_BYTES_MAX : lane->count < LANE_COUNT_MAX && lane->bytes + len <= LANE_BYTES_MAX);
}

bool br_requests_offer(struct br_requests *requests, uint32_t kind, const char *reply, struct br_slice payload,
                       const struct br_request_way *way, struct br_mono_time now) {
    uint64_t key = key_of(reply);
    BR_CHECK(kind < KINDS);
    pthread_mutex_lock(&requests->lock);
    struct lane **at = find_lane(requests, key), *lane = *at;
    bool taken = fits(requests, kind, lane, payload.len);
    if (taken && lane == NULL)
        lane = add_lane(requests, at, key);
    if (taken) {
        size_t reply_size = strlen(reply) + 1;
        struct waiting *waiting = br_alloc(sizeof *waiting + payload.len + reply_size);
        *waiting = (struct waiting){.way = *way, .kind = kind, .since_us = now.us};
        waiting->payload = (struct br_slice){waiting->bytes, payload.len};
        waiting->reply = (char *)waiting->bytes + payload.len;
        if (payload.len != 0)
            memcpy(waiting->bytes, payload.ptr, payload.len);
        memcpy(waiting->reply, reply, reply_size);
        *lane->end = waiting;
        lane->end = &waiting->next;
        lane->count++;
        lane->bytes += payload.len;
        requests->count++;
        requests->kinds[kind].count++;
        requests->kinds[kind].bytes += payload.len;
        if (requests->count == 1 && requests->wake != NULL)
            requests->wake(requests->wake_context);
    }
    pthread_mutex_unlock(&requests->lock);
    return taken;
}

void br_requests_wake(struct br_requests *requests, void (*wake)(void *context), void *context) {
    pthread_mutex_lock(&requests->lock);
    requests->wake = wake;
    requests->wake_context = context;
    pthread_mutex_unlock(&requests->lock);
}

static struct waiting **find_in(struct lane *lane, uint32_t kinds) {
    for (struct waiting **at = &lane->first; *at != NULL; at = &(*at)->next)
        if ((kinds >> (*at)->kind & 1) != 0)
            return (*at)->way.has_room((*at)->way.context) ? at : NULL;
    return NULL;
}

static struct waiting *next_of_lanes(struct br_requests *requests, uint32_t kinds) {
    struct lane *lane = requests->turn;
    if (lane == NULL)
        return NULL;
    do {
        struct waiting **at = find_in(lane, kinds);
        if (at != NULL) {
            requests->turn = lane->next;
            return take_at(requests, lane, at);
        }
        lane = lane->next;
    } while (lane != requests->turn);
    return NULL;
}

static void tell(struct waiting *waiting, const char *text) {
    bool sent = waiting->way.send(waiting->way.context, waiting->way.tag, waiting->reply, br_slice_of(text), true);
    (void)sent; // else it is the asker's loss
    free(waiting);
}

void br_requests_end(struct br_requests *requests) {
    static const char stopped[] = "{\"error\":\"the worker has stopped before the request's turn came\"}\n";
    for (;;) {
        pthread_mutex_lock(&requests->lock);
        struct lane *lane = requests->turn;
        struct waiting *waiting = lane == NULL ? NULL : take_at(requests, lane, &lane->first);
        pthread_mutex_unlock(&requests->lock);
        if (waiting == NULL)
            return;
        tell(waiting, stopped);
    }
}

bool br_requests_take(struct br_requests *requests, uint32_t kinds, struct br_mono_time now,
                      struct br_request *ret_request) {
    static const char busy[] =
        "{\"error\":\"busy: the request's turn didn't come within 20 s; requests get a tenth of the worker's time "
        "together. Ask again in a while, look rows up by the view's key, or read the view's output stream (braid "
        "tail)\",\"busy\":true}\n";
    for (;;) {
        pthread_mutex_lock(&requests->lock);
        struct waiting *waiting = next_of_lanes(requests, kinds);
        pthread_mutex_unlock(&requests->lock);
        if (waiting == NULL)
            return false;
        *ret_request = (struct br_request){.kind = waiting->kind, .payload = waiting->payload, .raw = waiting};
        if (now.us - waiting->since_us <= BR_REQUEST_WAIT_US)
            return true;
        tell(waiting, busy);
    }
}

bool br_requests_wait(struct br_requests *requests, uint32_t kinds) {
    bool wait = false;
    pthread_mutex_lock(&requests->lock);
    struct lane *lane = requests->turn;
    do
        wait = lane != NULL && find_in(lane, kinds) != NULL;
    while (!wait && lane != NULL && (lane = lane->next) != requests->turn);
    pthread_mutex_unlock(&requests->lock);
    return wait;
}

enum br_status br_requests_answer(struct br_request *request, struct br_slice part, bool last, struct br_error *error) {
    struct waiting *waiting = request->raw;
    BR_CHECK(waiting != NULL);
    waiting->gone =
        waiting->gone || !waiting->way.send(waiting->way.context, waiting->way.tag, waiting->reply, part, last);
    enum br_status status = waiting->gone ? br_error_set(error, BR_FATAL, "the answer can't be sent") : BR_OK;
    if (last) {
        free(waiting);
        request->raw = NULL;
    }
    return status;
}
