// SPDX-License-Identifier: Apache-2.0
// Events that flow over a nats-server: streams filled with bids, a bare libnats consumer to be measured against, and
// the latency from a publish's ack to the delivery of the output. Feeder and subscriber are plain libnats, as a user's
// would be.
#ifndef BR_TESTS_BENCH_FLOW_H
#define BR_TESTS_BENCH_FLOW_H

#include "processor/log/control.h"
#include "processor/log/nats/jetstream.h"

#include <nats/nats.h>

#define BENCH_FRAME_SIZE ((size_t)64 << 10)
// The columns of examples/nexmark's bid.
#define BENCH_BID_COLUMNS                                                                                              \
    "auction bigint NOT NULL, bidder bigint, price bigint, channel text, url text, date_time timestamptz NOT NULL, "   \
    "extra text"

void bench_nats_must(natsStatus status, const char *what);
struct br_log *bench_dial(const char *url);
struct br_log *bench_dial_control(const char *url); // feeds, and has the jobs

// Makes the stream and fills it with NEXMark bids, one a message or (packed) length-prefixed ones in frames.
void bench_fill_bids(const char *url, const char *stream, const char *subject, uint64_t events, bool packed,
                     uint64_t *ret_messages);
// The seconds that an ordered consumer which only counts takes for them.
double bench_bare_consumer(const char *url, const char *subject, uint64_t messages);

// --- latency of events `id bigint` (field 1), ids 0 … count − 1, each given out once
struct bench_latency_options {
    const char *url, *subject; // where they are fed
    const char *output;        // where they come out:
    bool packed;               // in blocks of commits, else a message each
    uint64_t count;
};
struct bench_latency;
struct bench_latency *bench_latency_open(const struct bench_latency_options *options);
void bench_latency_close(struct bench_latency **latency);
// Feeds ids first … first + count − 1 at the rate (a second), in a thread of its own.
void bench_latency_feed(struct bench_latency *latency, uint64_t first, uint64_t count, double rate);
void bench_latency_stop_feeding(struct bench_latency *latency); // what is left isn't fed
void bench_latency_join(struct bench_latency *latency);         // waits for the feeder and its acks
uint64_t bench_latency_seen(const struct bench_latency *latency);
// The latencies, in µs and sorted, of ids first … first + count − 1, which have all come out. To be freed.
int64_t *bench_latency_sorted(const struct bench_latency *latency, uint64_t first, uint64_t count);

#endif
