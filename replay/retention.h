// SPDX-License-Identifier: Apache-2.0
// The retention guard: will a stream's limits drop messages that somebody still needs?
#ifndef BR_REPLAY_RETENTION_H
#define BR_REPLAY_RETENTION_H

#include "processor/log/log.h"

// Looks at the stream and appends a line (without its end) to `warning` when messages from sequence `needed` on, which
// `who` ("the archive of table orders") still needs, are gone, or about to be: the oldest is older than half of the
// stream's max_age, or the stream is nearly full and it is among the oldest quarter. Nothing is appended when all is
// well, or when nothing is left to be read.
enum br_status br_retention_check(struct br_log *log, const char *stream, uint64_t needed, const char *who,
                                  struct br_wall_time now, struct br_buffer *warning, struct br_error *error)
    BR_MUST_CHECK;

#endif
