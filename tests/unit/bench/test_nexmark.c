// SPDX-License-Identifier: Apache-2.0
// The benchmark's events: that they are what nexmark.h says, so that numbers mean the same from one run to the next.
#include "tests/bench/nexmark.h"

#include <criterion/criterion.h>

static const struct br_nexmark_options options = {.seed = 7, .start_us = INT64_C(1767225600000000)};

Test(nexmark, every_fifty_events_hold_one_person_three_auctions_and_the_rest_bids) {
    struct br_nexmark_events events;
    size_t counts[BR_NEXMARK_KINDS] = {0};
    br_nexmark_generate(&options, 0, 5000, 7, &events);
    for (size_t i = 0; i < events.event_count; i++)
        counts[events.kinds[i]]++;
    cr_assert_eq(counts[BR_NEXMARK_PERSON], 100);
    cr_assert_eq(counts[BR_NEXMARK_AUCTION], 300);
    cr_assert_eq(counts[BR_NEXMARK_BID], 4600);
    br_nexmark_events_free(&events);
}

Test(nexmark, a_range_made_by_itself_is_the_same_as_within_a_longer_one) {
    struct br_nexmark_events all, part;
    br_nexmark_generate(&options, 0, 1000, 7, &all);
    br_nexmark_generate(&options, 600, 100, 7, &part);
    for (size_t i = 0; i < 100; i++)
        cr_assert(br_slice_equal(br_nexmark_payload(&part, i), br_nexmark_payload(&all, 600 + i)), "event %zu", i);
    br_nexmark_events_free(&all);
    br_nexmark_events_free(&part);
}

Test(nexmark, another_seed_gives_other_events) {
    struct br_nexmark_options other = options;
    other.seed = 8;
    struct br_nexmark_event a, b;
    br_nexmark_make(&options, 4711, &a);
    br_nexmark_make(&other, 4711, &b);
    cr_assert(a.bid.price != b.bid.price || strcmp(a.extra, b.extra) != 0);
}

Test(nexmark, identities_of_persons_and_auctions_go_up_by_one) {
    int64_t next_person = 1000, next_auction = 1000;
    struct br_nexmark_event event;
    for (uint64_t n = 0; n < 5000; n++) {
        br_nexmark_make(&options, n, &event);
        if (event.kind == BR_NEXMARK_PERSON)
            cr_assert_eq(event.person.id, next_person++);
        if (event.kind == BR_NEXMARK_AUCTION)
            cr_assert_eq(event.auction.id, next_auction++);
    }
}

Test(nexmark, a_bid_is_of_the_hundred_byte_class) {
    struct br_nexmark_events events;
    br_nexmark_generate(&options, 0, 100000, 1u << BR_NEXMARK_BID, &events);
    double mean = (double)events.payloads.len / (double)events.event_count;
    cr_assert(mean > 92 && mean < 108, "mean size %f", mean);
    br_nexmark_events_free(&events);
}

Test(nexmark, about_half_of_the_bids_go_to_hot_auctions_and_three_quarters_come_from_hot_bidders) {
    size_t bids = 0, hot_auction = 0, hot_bidder = 0;
    struct br_nexmark_event event;
    for (uint64_t n = 0; n < 100000; n++) {
        br_nexmark_make(&options, n, &event);
        if (event.kind != BR_NEXMARK_BID)
            continue;
        bids++;
        hot_auction += event.bid.auction % 100 == 0;
        hot_bidder += event.bid.bidder % 100 == 1;
    }
    cr_assert(hot_auction * 100 > bids * 48 && hot_auction * 100 < bids * 54);
    cr_assert(hot_bidder * 100 > bids * 73 && hot_bidder * 100 < bids * 79);
}

Test(nexmark, ten_thousand_events_make_a_second_of_event_time) {
    struct br_nexmark_event event;
    br_nexmark_make(&options, 10000, &event);
    cr_assert_eq(event.at_us, options.start_us + BR_US_PER_SECOND);
}
