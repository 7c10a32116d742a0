// SPDX-License-Identifier: Apache-2.0
// Is a stream still the one that was read? A server that loses its newest messages (no power, an older copy of its
// files) goes on with other messages at the same sequences: whoever reads on behind them never sees those.
//
// T1. Whoever has read from a stream keeps a trail: the fingerprints (sequence, stored time, hash of subject, headers
//     and payload) of the last message of each of the last BR_TRAIL_MAX times that it consumed some.
// T2. Before anything is shown that came by a new look at the stream (a reader that was opened, a connection that was
//     made again), the newest message known is read through the stream's leader and compared. Another message in its
//     place is BR_FATAL with the native code BR_LOG_CHANGED: it names the sequence and both fingerprints.
// T3. A message that is gone (deleted, a newer one on its subject, a limit) says nothing: the next older mark is asked
//     for. When all are gone, the nearest message below that is still there must be older than the mark; when there is
//     none, or we may not look, that is told in one warning, and reading goes on.
// T4. What a reader has found to hold nothing for it must still hold nothing: a message there came later.
#ifndef BR_PROCESSOR_LOG_TRAIL_H
#define BR_PROCESSOR_LOG_TRAIL_H

#include "processor/log/log.h"

// The hash is never 0 (which stands for "not known": the time alone is compared).
struct br_fingerprint br_fingerprint_of(const struct br_log_message *message);
// "stored 2026-03-01T12:00:00.123456Z, hash 0123456789abcdef"
#define BR_FINGERPRINT_TEXT_SIZE 96
void br_fingerprint_print(const struct br_fingerprint *mark, char text[BR_FINGERPRINT_TEXT_SIZE]);
// Another message than the one with this mark?
bool br_fingerprint_differs(const struct br_fingerprint *mark, const struct br_fingerprint *other);
// The newest; an older or the same sequence is left out.
void br_trail_add(struct br_trail *trail, const struct br_fingerprint *mark);

// What is asked of the stream by whoever reads `filter` from it: nothing of it lies between the trail and `from`.
// BR_RETRY: the stream can't be asked now. *warned: the one warning has been given. error: not NULL.
enum br_status br_trail_prove(const struct br_trail *trail, struct br_log *log, const char *stream, const char *filter,
                              uint64_t from, bool *warned, struct br_error *error) BR_MUST_CHECK;

#endif
