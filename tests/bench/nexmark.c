// SPDX-License-Identifier: Apache-2.0
// See nexmark.h. The order of events and the choice of identities are those of Apache Beam's generator; the code is
// not.
#include "tests/bench/nexmark.h"

#include <math.h>
#include <stdio.h>

#define FIRST_ID 1000 // of people and auctions
#define FIRST_CATEGORY 10
#define CATEGORIES 5
#define PERSONS_PER_ROUND 1
#define AUCTIONS_PER_ROUND 3
// Hot keys are those divisible by this: one auction of a hundred gets every other bid while it is the newest such one.
#define HOT_STRIDE 100
// How far ahead of the newest identity a reference may go: to things that will come soon.
#define ID_LEAD 10

// --- randomness: splitmix64, one stream per event
struct random {
    uint64_t state;
};

static uint64_t next_random(struct random *random) {
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// 0 … bound − 1; bound is far below 2^32, the bias of the multiplication negligible.
static uint64_t next_below(struct random *random, uint64_t bound) {
    return (uint64_t)(((unsigned __int128)next_random(random) * bound) >> 64);
}

static int64_t next_price(struct random *random) {
    double unit = (double)(next_random(random) >> 11) * 0x1p-53;
    return (int64_t)llround(pow(10, unit * 6) * 100);
}

static size_t next_text(struct random *random, char *at, size_t len) {
    for (size_t i = 0; i < len; i++)
        at[i] = (char)('a' + next_below(random, 26));
    at[len] = '\0';
    return len;
}

// --- who and what exists when event n comes
enum br_nexmark_kind br_nexmark_kind_of(uint64_t n) {
    uint64_t rest = n % BR_NEXMARK_EVENTS_PER_ROUND;
    if (rest < PERSONS_PER_ROUND)
        return BR_NEXMARK_PERSON;
    return rest < PERSONS_PER_ROUND + AUCTIONS_PER_ROUND ? BR_NEXMARK_AUCTION : BR_NEXMARK_BID;
}

// Number of the newest person at event n, from 0. The first event of every round is its person.
static int64_t newest_person(uint64_t n) {
    return (int64_t)(n / BR_NEXMARK_EVENTS_PER_ROUND);
}

// Number of the newest auction at event n, from 0; before the first one, 0 too.
static int64_t newest_auction(uint64_t n) {
    int64_t round = (int64_t)(n / BR_NEXMARK_EVENTS_PER_ROUND), rest = (int64_t)(n % BR_NEXMARK_EVENTS_PER_ROUND);
    int64_t in_round = rest < PERSONS_PER_ROUND ? 0 : rest - PERSONS_PER_ROUND + 1;
    if (in_round > AUCTIONS_PER_ROUND)
        in_round = AUCTIONS_PER_ROUND;
    int64_t newest = round * AUCTIONS_PER_ROUND + in_round - 1;
    return newest < 0 ? 0 : newest;
}

static int64_t pick_person(const struct br_nexmark_options *options, struct random *random, uint64_t n) {
    int64_t people = newest_person(n) + 1;
    int64_t active = options->active_people != 0 ? options->active_people : 1000;
    if (active > people)
        active = people;
    return FIRST_ID + people - active + (int64_t)next_below(random, (uint64_t)(active + ID_LEAD));
}

static int64_t pick_auction(const struct br_nexmark_options *options, struct random *random, uint64_t n) {
    int64_t newest = newest_auction(n);
    int64_t oldest = newest - (options->auctions_in_flight != 0 ? options->auctions_in_flight : 100);
    if (oldest < 0)
        oldest = 0;
    return FIRST_ID + oldest + (int64_t)next_below(random, (uint64_t)(newest - oldest + 1 + ID_LEAD));
}

// true for ratio − 1 of ratio events.
static bool is_hot(struct random *random, uint32_t ratio, uint32_t otherwise) {
    return next_below(random, ratio != 0 ? ratio : otherwise) > 0;
}

static int64_t event_time(const struct br_nexmark_options *options, uint64_t n) {
    uint32_t rate = options->events_per_second != 0 ? options->events_per_second : 10000;
    // Event times are in milliseconds, as NEXMark's are.
    return options->start_us + (int64_t)(n * 1000 / rate) * 1000;
}

// --- the three kinds
static const char *const states[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
static const char *const cities[] = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
                                     "Bend",    "Redmond",     "Seattle",       "Kent",  "Cheyenne"};
static const char *const first_names[] = {"Peter", "Paul",  "Luke",  "John",   "Saul",  "Vicky",
                                          "Kate",  "Julie", "Sarah", "Deiter", "Walter"};
static const char *const last_names[] = {"Shultz", "Abrams", "Spencer", "White", "Bartels",
                                         "Walton", "Smith",  "Jones",   "Noris"};
static const char *const channels[] = {"Google", "Facebook", "Baidu", "Apple"};
#define PICK(random, list) ((list)[next_below((random), sizeof(list) / sizeof((list)[0]))])

static void make_person(struct random *random, uint64_t n, struct br_nexmark_event *event) {
    event->person.id = FIRST_ID + newest_person(n);
    snprintf(event->person.name, sizeof event->person.name, "%s %s", PICK(random, first_names),
             PICK(random, last_names));
    size_t len = next_text(random, event->person.email, 7);
    event->person.email[len] = '@';
    len += 1 + next_text(random, event->person.email + len + 1, 5);
    memcpy(event->person.email + len, ".com", 5);
    unsigned card[4];
    for (int i = 0; i < 4; i++)
        card[i] = (unsigned)next_below(random, 10000);
    snprintf(event->person.credit_card, sizeof event->person.credit_card, "%04u %04u %04u %04u", card[0], card[1],
             card[2], card[3]);
    event->person.city = PICK(random, cities);
    event->person.state = PICK(random, states);
    next_text(random, event->extra, 90 + next_below(random, 20));
}

static void make_auction(const struct br_nexmark_options *options, struct random *random, uint64_t n,
                         struct br_nexmark_event *event) {
    event->auction.id = FIRST_ID + newest_auction(n);
    event->auction.seller = is_hot(random, options->hot_seller_ratio, 4)
                                ? FIRST_ID + newest_person(n) / HOT_STRIDE * HOT_STRIDE
                                : pick_person(options, random, n);
    event->auction.category = FIRST_CATEGORY + (int64_t)next_below(random, CATEGORIES);
    event->auction.initial_bid = next_price(random);
    event->auction.reserve = event->auction.initial_bid + next_price(random);
    next_text(random, event->auction.item, 10 + next_below(random, 10));
    next_text(random, event->auction.description, 50 + next_below(random, 50));
    // An auction lives as long, on average, as it takes until its successors have filled the flight.
    uint64_t in_flight = options->auctions_in_flight != 0 ? options->auctions_in_flight : 100;
    uint64_t later = n + in_flight * BR_NEXMARK_EVENTS_PER_ROUND / AUCTIONS_PER_ROUND;
    int64_t horizon_ms = (event_time(options, later) - event->at_us) / 1000;
    uint64_t length_ms = 1 + next_below(random, (uint64_t)(horizon_ms > 0 ? horizon_ms * 2 : 1));
    event->auction.expires_us = event->at_us + (int64_t)length_ms * 1000;
    next_text(random, event->extra, 90 + next_below(random, 20));
}

static void make_bid(const struct br_nexmark_options *options, struct random *random, uint64_t n,
                     struct br_nexmark_event *event) {
    event->bid.auction = is_hot(random, options->hot_auction_ratio, 2)
                             ? FIRST_ID + newest_auction(n) / HOT_STRIDE * HOT_STRIDE
                             : pick_auction(options, random, n);
    event->bid.bidder = is_hot(random, options->hot_bidder_ratio, 4)
                            ? FIRST_ID + newest_person(n) / HOT_STRIDE * HOT_STRIDE + 1
                            : pick_person(options, random, n);
    event->bid.price = next_price(random);
    event->bid.channel = PICK(random, channels);
    memcpy(event->bid.url, "https://www.nexmark.com/", 24);
    next_text(random, event->bid.url + 24, 3);
    // Numbers, times, tags and lengths of a bid take about 30 bytes.
    size_t size = 30 + strlen(event->bid.channel) + 27;
    size_t wanted = options->bid_size_bytes != 0 ? options->bid_size_bytes : 100;
    size_t fill = wanted > size ? wanted - size : 0;
    if (fill > BR_NEXMARK_TEXT_MAX - 1)
        fill = BR_NEXMARK_TEXT_MAX - 1;
    next_text(random, event->extra, fill);
}

void br_nexmark_make(const struct br_nexmark_options *options, uint64_t n, struct br_nexmark_event *ret_event) {
    struct random random = {options->seed ^ (n * UINT64_C(0xd1342543de82ef95))};
    next_random(&random);
    ret_event->kind = br_nexmark_kind_of(n);
    ret_event->at_us = event_time(options, n);
    switch (ret_event->kind) {
    case BR_NEXMARK_PERSON:
        make_person(&random, n, ret_event);
        break;
    case BR_NEXMARK_AUCTION:
        make_auction(options, &random, n, ret_event);
        break;
    case BR_NEXMARK_BID:
        make_bid(options, &random, n, ret_event);
        break;
    }
}

// --- protobuf
static void put_int64(struct br_buffer *out, unsigned field, int64_t value) {
    br_buffer_append_varint(out, field << 3);
    br_buffer_append_varint(out, (uint64_t)value);
}

static void put_text(struct br_buffer *out, unsigned field, const char *text) {
    size_t len = strlen(text);
    br_buffer_append_varint(out, field << 3 | 2);
    br_buffer_append_varint(out, len);
    br_buffer_append(out, text, len);
}

static void put_time(struct br_buffer *out, unsigned field, int64_t us) {
    uint64_t seconds = (uint64_t)(us / BR_US_PER_SECOND), nanos = (uint64_t)(us % BR_US_PER_SECOND) * 1000;
    size_t len = (seconds != 0 ? 1 + br_varint_size(seconds) : 0) + (nanos != 0 ? 1 + br_varint_size(nanos) : 0);
    br_buffer_append_varint(out, field << 3 | 2);
    br_buffer_append_varint(out, len);
    if (seconds != 0) // proto3 leaves zeros out
        put_int64(out, 1, (int64_t)seconds);
    if (nanos != 0)
        put_int64(out, 2, (int64_t)nanos);
}

void br_nexmark_encode(const struct br_nexmark_event *event, struct br_buffer *out) {
    switch (event->kind) {
    case BR_NEXMARK_PERSON:
        put_int64(out, 1, event->person.id);
        put_text(out, 2, event->person.name);
        put_text(out, 3, event->person.email);
        put_text(out, 4, event->person.credit_card);
        put_text(out, 5, event->person.city);
        put_text(out, 6, event->person.state);
        put_time(out, 7, event->at_us);
        put_text(out, 8, event->extra);
        break;
    case BR_NEXMARK_AUCTION:
        put_int64(out, 1, event->auction.id);
        put_text(out, 2, event->auction.item);
        put_text(out, 3, event->auction.description);
        put_int64(out, 4, event->auction.initial_bid);
        put_int64(out, 5, event->auction.reserve);
        put_time(out, 6, event->at_us);
        put_time(out, 7, event->auction.expires_us);
        put_int64(out, 8, event->auction.seller);
        put_int64(out, 9, event->auction.category);
        put_text(out, 10, event->extra);
        break;
    case BR_NEXMARK_BID:
        put_int64(out, 1, event->bid.auction);
        put_int64(out, 2, event->bid.bidder);
        put_int64(out, 3, event->bid.price);
        put_text(out, 4, event->bid.channel);
        put_text(out, 5, event->bid.url);
        put_time(out, 6, event->at_us);
        put_text(out, 7, event->extra);
        break;
    }
}

// --- many at once
void br_nexmark_generate(const struct br_nexmark_options *options, uint64_t first, size_t count, unsigned kinds,
                         struct br_nexmark_events *ret_events) {
    struct br_nexmark_events events = {
        .offsets = br_alloc((count + 1) * sizeof(uint64_t)),
        .kinds = br_alloc(count + 1),
        .at_us = br_alloc((count + 1) * sizeof(int64_t)),
    };
    struct br_nexmark_event event;
    events.offsets[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if ((kinds & 1u << br_nexmark_kind_of(first + i)) == 0)
            continue;
        br_nexmark_make(options, first + i, &event);
        br_nexmark_encode(&event, &events.payloads);
        events.kinds[events.event_count] = (uint8_t)event.kind;
        events.at_us[events.event_count] = event.at_us;
        events.offsets[++events.event_count] = events.payloads.len;
    }
    *ret_events = events;
}

void br_nexmark_events_free(struct br_nexmark_events *events) {
    br_buffer_free(&events->payloads);
    free(events->offsets);
    free(events->kinds);
    free(events->at_us);
    *events = (struct br_nexmark_events){0};
}
