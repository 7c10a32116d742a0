// SPDX-License-Identifier: Apache-2.0
// What an input stream's limits mean for a table that is read from it: what can't be recovered, and the way out.
#ifndef BR_PROCESSOR_LIMITS_H
#define BR_PROCESSOR_LIMITS_H

#include "processor/log/log.h"
#include "processor/sql/plan.h"

enum br_limits {
    BR_LIMITS_NONE,    // it keeps everything
    BR_LIMITS_NOTE,    // how far back it can be recovered
    BR_LIMITS_WARNING, // events can be lost
    BR_LIMITS_REFUSED  // it can't be read
};
// Appends the words to `text`, with a 0 at the end.
enum br_limits br_limits_describe(const struct br_table *table, const struct br_stream_info *stream,
                                  struct br_buffer *text);
// Is all that is gone from the stream replaced, for the table, by what is there?
bool br_limits_only_replace(const struct br_table *table, const struct br_stream_info *stream);

#endif
