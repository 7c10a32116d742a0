// SPDX-License-Identifier: Apache-2.0
// Messages of a table's stream as event lines of `braid test`.
//
// A line holds the row when the row, written again, gives the very same bytes; else it holds the bytes. So `braid test`
// sees what the table's stream held, to the byte. Of a delimited message each event has a line of its own.
#ifndef BR_CLI_CAPTURE_LINES_H
#define BR_CLI_CAPTURE_LINES_H

#include "cli/events.h"
#include "processor/input.h"
#include "processor/sql/sql.h"

struct br_capture_lines;
struct br_capture_counts {          // by table index
    uint64_t rows, bytes, left_out; // events; left_out: the condition isn't true of them, or can't be told
};

// conditions: by table index; NULL: all events. Borrowed.
struct br_capture_lines *br_capture_lines_create(const struct br_pipeline *pipeline,
                                                 struct br_condition *const *conditions);
void br_capture_lines_destroy(struct br_capture_lines **lines);
// Appends the lines of one message, each with its line end; none when nothing of it is wanted.
enum br_status br_capture_lines_add(struct br_capture_lines *lines, const struct br_table *table,
                                    const struct br_log_message *message, struct br_buffer *out, struct br_error *error)
    BR_MUST_CHECK;
const struct br_capture_counts *br_capture_lines_counts(const struct br_capture_lines *lines);

#endif
