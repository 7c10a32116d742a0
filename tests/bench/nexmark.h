// SPDX-License-Identifier: Apache-2.0
// NEXMark events, made beforehand: the generator of the benchmarks.
//
// Of every 50 events 1 is a person, 3 are auctions and 46 are bids. Identities, hot keys, prices and lengths of
// auctions follow the rules of Apache Beam's NEXMark generator (its defaults: 100 auctions in flight, 1,000 active
// people, every other bid goes to a hot auction, three of four bids come from a hot bidder, three of four auctions are
// a hot seller's). Event n depends on the seed and n alone, so that any range can be made by itself, twice the same.
//
// Payloads are the protobuf messages of examples/nexmark/nexmark.proto, which are also those that Braid derives from
// the column lists of the .sql files there. `extra` fills bids up to about 100 bytes.
#ifndef BR_TESTS_BENCH_NEXMARK_H
#define BR_TESTS_BENCH_NEXMARK_H

#include "base/bytes.h"
#include "base/time.h"

enum br_nexmark_kind { BR_NEXMARK_PERSON, BR_NEXMARK_AUCTION, BR_NEXMARK_BID };
#define BR_NEXMARK_KINDS 3
#define BR_NEXMARK_EVENTS_PER_ROUND 50 // 1 person, 3 auctions, 46 bids
#define BR_NEXMARK_TEXT_MAX 256

struct br_nexmark_options {
    uint64_t seed;
    int64_t start_us;                                               // event time of event 0
    uint32_t events_per_second;                                     // in event time; 0: 10,000
    uint32_t bid_size_bytes;                                        // what a bid is filled up to; 0: 100
    uint32_t auctions_in_flight, active_people;                     // 0: 100 and 1,000
    uint32_t hot_auction_ratio, hot_bidder_ratio, hot_seller_ratio; // 0: 2, 4 and 4; 1: none is hot
};

struct br_nexmark_event {
    enum br_nexmark_kind kind;
    int64_t at_us; // date_time
    union {
        struct {
            int64_t id;
            char name[BR_NEXMARK_TEXT_MAX], email[BR_NEXMARK_TEXT_MAX], credit_card[24];
            const char *city, *state;
        } person;
        struct {
            int64_t id, initial_bid, reserve, expires_us, seller, category;
            char item[BR_NEXMARK_TEXT_MAX], description[BR_NEXMARK_TEXT_MAX];
        } auction;
        struct {
            int64_t auction, bidder, price; // price in cents
            const char *channel;
            char url[BR_NEXMARK_TEXT_MAX];
        } bid;
    };
    char extra[BR_NEXMARK_TEXT_MAX];
};

enum br_nexmark_kind br_nexmark_kind_of(uint64_t n);
// The event number n.
void br_nexmark_make(const struct br_nexmark_options *options, uint64_t n, struct br_nexmark_event *ret_event);
// Appends its protobuf message.
void br_nexmark_encode(const struct br_nexmark_event *event, struct br_buffer *out);

// Events first … first + count − 1 in memory, in their order. kinds: bit set of the kinds wanted (1 << BR_NEXMARK_BID);
// the others are left out, numbers stay what they are. Offsets has event_count + 1 entries: event i is
// payloads[offsets[i] … offsets[i + 1]).
struct br_nexmark_events {
    struct br_buffer payloads;
    uint64_t *offsets;
    uint8_t *kinds;
    int64_t *at_us;
    size_t event_count;
};
void br_nexmark_generate(const struct br_nexmark_options *options, uint64_t first, size_t count, unsigned kinds,
                         struct br_nexmark_events *ret_events);
void br_nexmark_events_free(struct br_nexmark_events *events);
static inline struct br_slice br_nexmark_payload(const struct br_nexmark_events *events, size_t i) {
    return (struct br_slice){events->payloads.ptr + events->offsets[i], events->offsets[i + 1] - events->offsets[i]};
}

#endif
