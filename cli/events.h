// SPDX-License-Identifier: Apache-2.0
// Rows in, events out: what `braid test` and `braid publish` send to a table.
#ifndef BR_CLI_EVENTS_H
#define BR_CLI_EVENTS_H

#include "processor/log/log.h"
#include "processor/sql/plan.h"

// Writes rows of one row type as its protobuf message.
struct br_row_writer;
enum br_status br_row_writer_create(const struct br_row_type *row_type, struct br_row_writer **ret_writer,
                                    struct br_error *error) BR_MUST_CHECK;
void br_row_writer_destroy(struct br_row_writer **writer);
// Begins a row: all columns NULL. Then set columns, or read a JSON object; then append the message.
struct br_batch *br_row_writer_begin(struct br_row_writer *writer);
enum br_status br_row_writer_read_json(struct br_row_writer *writer, struct br_slice json, struct br_error *error)
    BR_MUST_CHECK;
// A column from its text form (CSV). Empty text is NULL but for text columns when quoted says that it was written "".
enum br_status br_row_writer_read_text(struct br_row_writer *writer, uint32_t column, struct br_slice text, bool quoted,
                                       struct br_error *error) BR_MUST_CHECK;
enum br_status br_row_writer_append(struct br_row_writer *writer, struct br_buffer *out, struct br_error *error)
    BR_MUST_CHECK;
// The latest timestamptz value of the row; BR_EVENT_TIME_MIN when it has none.
struct br_event_time br_row_writer_time(const struct br_row_writer *writer);
// The concrete subject to publish the row on: the table's template filled in, '*' and '>' become "x".
void br_row_writer_subject(const struct br_row_writer *writer, const char *subject_template, struct br_buffer *out);

#endif
