// SPDX-License-Identifier: Apache-2.0
// Rows in, events out: what `braid test` and `braid publish` send to a table.
#ifndef BR_CLI_EVENTS_H
#define BR_CLI_EVENTS_H

#include "base/json.h"
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

// --- whole events of a pipeline's tables, as messages
struct br_event_writer;

// What an event line says: {"table":"bid","row":{…}}, with "op":"delete", "payload":"base64" instead of row,
// "type":"order_v1"; "subject":"orders.x" when the table's template doesn't tell it; "framed":true with a payload that
// is the whole message of a delimited table.
struct br_event_line {
    struct br_slice table, type, op, subject;
    struct br_json row, payload;
    bool has_row, has_payload, has_type, framed;
};
// A message ready to publish; everything lives until the next event is made.
struct br_event_message {
    const struct br_table *table;
    struct br_log_message message;
    struct br_event_time time; // the latest timestamptz value of the row; BR_EVENT_TIME_MIN: none
    bool deletes;              // such a message is never framed, even on a delimited table
    bool framed;               // the payload has its frames already
};

struct br_event_writer *br_event_writer_create(const struct br_pipeline *pipeline);
void br_event_writer_destroy(struct br_event_writer **writer);
// The row writer of one version of a table (index 0: the table's own columns), made when first asked for.
enum br_status br_event_writer_rows(struct br_event_writer *writer, const struct br_table *table, uint32_t version,
                                    struct br_row_writer **ret_rows, struct br_error *error) BR_MUST_CHECK;
// The version that a type's name means (SQL name or protobuf name; empty: the table's own); -1 when there is none such.
int32_t br_find_version(const struct br_table *table, struct br_slice type);
// Makes the message of a line. BR_DATA: no such table, a row that doesn't fit, …
enum br_status br_event_writer_line(struct br_event_writer *writer, const struct br_event_line *line,
                                    struct br_event_message *ret_event, struct br_error *error) BR_MUST_CHECK;
// The same from the row that a row writer (of version `version`) holds now.
enum br_status br_event_writer_row(struct br_event_writer *writer, const struct br_table *table, uint32_t version,
                                   bool deletes, struct br_event_message *ret_event, struct br_error *error)
    BR_MUST_CHECK;

#endif
