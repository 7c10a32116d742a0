// SPDX-License-Identifier: Apache-2.0
// Prints NEXMark events as JSON lines, {"table":"bid","row":{…}}, as `braid test --in` takes them:
//   nexmark_events [--count N] [--seed N] [--first N] [--rate EVENTS_PER_SECOND] [--rows TABLE]
// --rows: only the rows of one table (person, auction, bid), as `braid publish` takes them.
#include "tests/bench/nexmark.h"

#include <stdio.h>
#include <time.h>

#define START_US INT64_C(1767225600000000) // 2026-01-01T00:00:00Z

static const char *format_time(int64_t us, char *text, size_t size) {
    time_t seconds = (time_t)(us / BR_US_PER_SECOND);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, size - len, ".%03dZ", (int)(us % BR_US_PER_SECOND / 1000));
    return text;
}

// All texts of the generator are letters, digits and plain punctuation: nothing needs an escape.
static void print_row(const struct br_nexmark_event *event) {
    char at[40], expires[40];
    format_time(event->at_us, at, sizeof at);
    switch (event->kind) {
    case BR_NEXMARK_PERSON:
        printf(
            "{\"id\":%lld,\"name\":\"%s\",\"email_address\":\"%s\",\"credit_card\":\"%s\",\"city\":\"%s\",\"state\":\"%"
            "s\",\"date_time\":\"%s\",\"extra\":\"%s\"}",
            (long long)event->person.id, event->person.name, event->person.email, event->person.credit_card,
            event->person.city, event->person.state, at, event->extra);
        break;
    case BR_NEXMARK_AUCTION:
        printf("{\"id\":%lld,\"item_name\":\"%s\",\"description\":\"%s\",\"initial_bid\":%lld,\"reserve\":%lld,"
               "\"date_time\":\"%s\",\"expires\":\"%s\",\"seller\":%lld,\"category\":%lld,\"extra\":\"%s\"}",
               (long long)event->auction.id, event->auction.item, event->auction.description,
               (long long)event->auction.initial_bid, (long long)event->auction.reserve, at,
               format_time(event->auction.expires_us, expires, sizeof expires), (long long)event->auction.seller,
               (long long)event->auction.category, event->extra);
        break;
    case BR_NEXMARK_BID:
        printf(
            "{\"auction\":%lld,\"bidder\":%lld,\"price\":%lld,\"channel\":\"%s\",\"url\":\"%s\",\"date_time\":\"%s\","
            "\"extra\":\"%s\"}",
            (long long)event->bid.auction, (long long)event->bid.bidder, (long long)event->bid.price,
            event->bid.channel, event->bid.url, at, event->extra);
        break;
    }
}

int main(int argc, char **argv) {
    static const char *const tables[BR_NEXMARK_KINDS] = {"person", "auction", "bid"};
    struct br_nexmark_options options = {.seed = 1, .start_us = START_US};
    unsigned long long count = 1000, first = 0;
    const char *only = NULL;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--count") == 0) {
            count = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--first") == 0) {
            first = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--rate") == 0) {
            options.events_per_second = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--rows") == 0) {
            only = value;
        } else {
            fprintf(stderr, "usage: nexmark_events [--count N] [--seed N] [--first N] [--rate N] [--rows TABLE]\n");
            return 2;
        }
    }
    for (uint64_t n = first; n < first + count; n++) {
        struct br_nexmark_event event;
        br_nexmark_make(&options, n, &event);
        const char *table = tables[event.kind];
        if (only != NULL && strcmp(only, table) != 0)
            continue;
        if (only == NULL)
            printf("{\"table\":\"%s\",\"row\":", table);
        print_row(&event);
        puts(only == NULL ? "}" : "");
    }
    return 0;
}
