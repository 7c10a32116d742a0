// SPDX-License-Identifier: Apache-2.0
// Where a replay begins or ends, as people say it (--from, --to), and the sequence that a time means in a stream.
#ifndef BR_REPLAY_MOMENT_H
#define BR_REPLAY_MOMENT_H

#include "processor/log/log.h"

struct br_moment {
    enum {
        BR_MOMENT_BEGINNING,
        BR_MOMENT_OLDEST,
        BR_MOMENT_NOW,
        BR_MOMENT_SEQUENCE,
        BR_MOMENT_TIME,
        BR_MOMENT_EPOCH
    } kind;
    uint64_t number; // sequence or epoch, from 1
    struct br_wall_time time;
};

// "beginning", "oldest" (what is left of it), "now", "seq:N" or N, "epoch:N", a time ('2026-11-25T10:00:00Z', UTC
// without a zone), or how long ago
// ('2 hours', '3 days ago'). BR_DATA in words.
enum br_status br_moment_parse(const char *text, struct br_wall_time now, struct br_moment *ret_moment,
                               struct br_error *error) BR_MUST_CHECK;

// The first sequence whose message matches the filter and was stored at `time` or later; last + 1 when there is none.
// Halves the stream's sequences; deleted messages are stepped over.
enum br_status br_moment_sequence(struct br_log *log, const struct br_stream_info *stream, const char *filter,
                                  struct br_wall_time time, uint64_t *ret_sequence, struct br_error *error)
    BR_MUST_CHECK;

#endif
