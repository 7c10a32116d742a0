// SPDX-License-Identifier: Apache-2.0
// Is a stream still the one that was read? A server that loses its newest messages (no power, an older copy of its
// files) goes on with other messages at the same sequences: whoever reads on behind them never sees those.
//
// T1. Whoever has read from a stream keeps a trail: the fingerprints (sequence, stored time, hash of subject, headers
//     and payload; the subject) of the last message of each of the last BR_TRAIL_MAX times that it consumed some, and
//     the latest time at which any message that it consumed was stored.
// T2. Before anything is shown that came by a new look at the stream (a reader that was opened, a connection that was
//     made again), the newest message known is read through the stream's leader and compared. Another message in its
//     place is BR_FATAL with the native code BR_LOG_CHANGED: it names the sequence and both fingerprints. The same
//     message proves all: a stream has lost none of what it stored before one that it hasn't lost.
// T3. A message that is gone says nothing by itself; why it is gone is asked, and the next older mark is asked for. It
//     is gone by right when the stream begins behind it, when a limit per subject has dropped it (all messages of its
//     subject lie behind it, and are as many as the limit keeps), or when what came before the first message of its
//     subject was rolled up. Anything else (deleted by hand, expired singly, its subject purged, or lost) can't be told
//     apart: one warning, and reading goes on. So it is when neither an older mark nor an older neighbour (T6) is left,
//     or we may not look.
// T4. What a reader has found to hold nothing for it must still hold nothing: a message there came later.
// T5. Where a stream keeps only the newest message of each subject, an older one of the mark's subject can't be there
//     when the mark's is gone: the stream is as it was before that one came, and BR_LOG_CHANGED.
// T6. When the newest mark's message is gone, the nearest message of the reader's below that is there must not be
//     younger than all that was read: it would have come after that, into another's place, and is BR_LOG_CHANGED. So is
//     the nearest one of others', when the mark's isn't gone by right; their times aren't noted, so that this holds
//     while no server's clock is set back. Younger than the mark alone, as after that, it proves nothing.
//
// What isn't proven: that messages were lost whose places were filled, and are empty again (by a limit per subject, or
// by hand), between the newest message that proves or speaks and the newest that was read, when they weren't the last
// of an epoch.
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
// These were consumed, or are looked at as if they were.
void br_trail_take(struct br_trail *trail, const struct br_log_message *messages, size_t count);

// What is asked of the stream by whoever reads `filter` from it: nothing of it lies between the trail and `from`.
// BR_RETRY: the stream can't be asked now. *warned: the one warning has been given. error: not NULL.
enum br_status br_trail_prove(const struct br_trail *trail, struct br_log *log, const char *stream, const char *filter,
                              uint64_t from, bool *warned, struct br_error *error) BR_MUST_CHECK;

#endif
