// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE // memmem
#include "processor/log/requests.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define LANE 64  // requests of one asker that fit
#define ALL 1024 // requests that fit

static struct br_requests *requests;
static struct br_error error;
static bool room;
static char heard[200];
static int busy;

static void open_queue(void) {
    requests = br_requests_create();
    room = true;
}

static void close_queue(void) {
    br_requests_destroy(&requests);
}

TestSuite(requests, .init = open_queue, .fini = close_queue);

static bool has_room(void *context) {
    (void)context;
    return room;
}

static bool hear(void *context, uint64_t tag, const char *reply, struct br_slice part, bool last) {
    (void)context;
    (void)tag;
    (void)last;
    busy += memmem(part.ptr, part.len, "busy", 4) != NULL;
    snprintf(heard, sizeof heard, "%s", reply);
    return true;
}

static bool offer_at(const char *reply, uint32_t kind, int64_t now_us) {
    struct br_request_way way = {.has_room = has_room, .send = hear};
    return br_requests_offer(requests, kind, reply, br_slice_of("q"), &way, (struct br_mono_time){now_us});
}

static bool offer(const char *reply) {
    return offer_at(reply, 0, 0);
}

// Whose turn it is, answered.
static const char *next_of(uint32_t kinds, int64_t now_us) {
    struct br_request request;
    if (!br_requests_take(requests, kinds, (struct br_mono_time){now_us}, &request))
        return "";
    cr_assert_eq(br_requests_answer(&request, br_slice_of("a"), true, &error), BR_OK);
    return heard;
}

Test(requests, one_asker_fills_its_own_lane_and_no_others) {
    char reply[40];
    for (int i = 0; i < LANE; i++)
        cr_assert(offer("_INBOX.flood.1"));
    cr_assert_not(offer("_INBOX.flood.1"));
    cr_assert_not(offer("_INBOX.flood.2"), "the last token doesn't make another asker");
    for (int i = 0; i < 5000; i++) { // whatever they are called
        snprintf(reply, sizeof reply, "_INBOX.honest%d.1", i);
        cr_assert(offer(reply), "%s doesn't fit", reply);
        bool answered = strcmp(next_of(BR_REQUESTS_ALL, 0), reply) == 0;
        for (int turn = 0; turn < 2 && !answered; turn++) {
            cr_assert(offer("_INBOX.flood.1"));
            answered = strcmp(next_of(BR_REQUESTS_ALL, 0), reply) == 0;
        }
        cr_assert(answered, "%s waits for more than the flood's turn", reply);
    }
}

Test(requests, askers_take_turns_and_each_is_answered_in_its_order) {
    static const char *const replies[] = {"a.1", "a.2", "a.3", "b.1", "c.1", "c.2"};
    static const char *const order[] = {"a.1", "b.1", "c.1", "a.2", "c.2", "a.3", ""};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        cr_assert(offer(replies[i]));
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        cr_assert_str_eq(next_of(BR_REQUESTS_ALL, 0), order[i]);
}

Test(requests, all_askers_together_are_bounded_and_go_as_they_came) {
    char reply[40];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ALL; i++) {
            snprintf(reply, sizeof reply, "r%d.%d.x", round, i);
            cr_assert(offer(reply));
        }
        cr_assert_not(offer("late.1"));
        cr_assert(offer_at("late.1", 1, 0), "another kind has room of its own");
        cr_assert_str_eq(next_of(2, 0), "late.1");
        for (int i = 0; i < ALL; i++) {
            snprintf(reply, sizeof reply, "r%d.%d.x", round, i);
            cr_assert_str_eq(next_of(BR_REQUESTS_ALL, 0), reply);
        }
        cr_assert_not(br_requests_wait(requests, BR_REQUESTS_ALL));
    }
}

Test(requests, a_kind_that_waits_holds_no_other_up) {
    cr_assert(offer_at("a.1", 1, 0) && offer_at("a.2", 0, 0) && offer_at("b.1", 1, 0));
    cr_assert(br_requests_wait(requests, 1) && br_requests_wait(requests, 2) && !br_requests_wait(requests, 4));
    cr_assert_str_eq(next_of(1, 0), "a.2");
    cr_assert_str_eq(next_of(1, 0), "");
    cr_assert_str_eq(next_of(2, 0), "b.1");
    cr_assert_str_eq(next_of(2, 0), "a.1");
    cr_assert_str_eq(next_of(2, 0), "");
}

Test(requests, none_is_given_out_while_nothing_more_can_be_sent) {
    cr_assert(offer("a.1"));
    room = false;
    cr_assert_not(br_requests_wait(requests, BR_REQUESTS_ALL));
    cr_assert_str_eq(next_of(BR_REQUESTS_ALL, 0), "");
    room = true;
    cr_assert_str_eq(next_of(BR_REQUESTS_ALL, 0), "a.1");
}

Test(requests, who_has_waited_too_long_is_told) {
    busy = 0;
    cr_assert(offer_at("a.1", 0, 0) && offer_at("b.1", 0, 0) && offer_at("c.1", 0, BR_REQUEST_WAIT_US));
    cr_assert_str_eq(next_of(BR_REQUESTS_ALL, BR_REQUEST_WAIT_US + 1), "c.1");
    cr_assert_eq(busy, 2);
}

Test(requests, all_that_wait_are_told_of_the_end) {
    cr_assert(offer("a.1") && offer("b.1") && offer("a.2"));
    room = false;
    br_requests_end(requests);
    room = true;
    cr_assert_str_eq(heard, "b.1"); // the last one
    cr_assert_not(br_requests_wait(requests, BR_REQUESTS_ALL));
}
