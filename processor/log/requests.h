// SPDX-License-Identifier: Apache-2.0
// Requests that wait for a task, and the way of its answers. Whoever receives requests (control.h) offers them from its
// own thread; the task takes them between epochs and never waits for an asker.
//
// Q1. Bounded: the requests of each kind by count and bytes. What doesn't fit is refused, and its asker is told "busy".
//     A flood of one kind, under whatever names, leaves room for the others.
//
// Q2. Fair: requests of one asker (its reply subject without the last token) wait in a lane of their own, and lanes
// take
//     turns. Who floods fills its own lane: others still fit in theirs.
//
// Q3. What has waited long is told "busy", before its asker gives up.
//
// Q4. While as much is unsent as the way holds, no request is given out; a part that doesn't fit ends its answer. So
//     the task has at most one answer on its hands, and an asker who doesn't read costs memory that is bounded.
//
// The queue outlives the tasks that take from it: what was asked of one is answered by the next.
#ifndef BR_PROCESSOR_LOG_REQUESTS_H
#define BR_PROCESSOR_LOG_REQUESTS_H

#include "base/bytes.h"
#include "base/time.h"

#define BR_REQUEST_WAIT_US (20 * BR_US_PER_SECOND) // Q3; commands wait for 30 s
#define BR_REQUESTS_ALL UINT32_MAX                 // kinds: every

struct br_request {
    uint32_t kind; // as served
    struct br_slice payload;
    void *raw;
};

// Back to the askers. Thread: the task's.
struct br_request_way {
    bool (*has_room)(void *context);
    // One part; false: it can't be sent, nor the rest of this answer.
    bool (*send)(void *context, uint64_t tag, const char *reply, struct br_slice part, bool last);
    void *context;
    uint64_t tag; // of the request: the connection that it came by
};

struct br_requests;
struct br_requests *br_requests_create(void);
// All that wait are told that the worker has stopped. Thread: any, while no other takes.
void br_requests_end(struct br_requests *requests);
// Nobody may offer or take any more.
void br_requests_destroy(struct br_requests **requests);

// Thread: any. False: it didn't fit.
bool br_requests_offer(struct br_requests *requests, uint32_t kind, const char *reply, struct br_slice payload,
                       const struct br_request_way *way, struct br_mono_time now) BR_MUST_CHECK;
// Called when a request has come, from the thread that offers it; NULL: nobody is. When this returns, the one before
// is not called any more.
void br_requests_wake(struct br_requests *requests, void (*wake)(void *context), void *context);

// The next one of these kinds (bit 1 << kind); false when there is none. Valid until it is answered.
bool br_requests_take(struct br_requests *requests, uint32_t kinds, struct br_mono_time now,
                      struct br_request *ret_request);
// Is there one of these kinds that could be taken?
bool br_requests_wait(struct br_requests *requests, uint32_t kinds);
// One part of its answer; an answer is any number of parts, and one with last = true, also after BR_FATAL: the asker
// doesn't get more.
enum br_status br_requests_answer(struct br_request *request, struct br_slice part, bool last, struct br_error *error)
    BR_MUST_CHECK;

#endif
