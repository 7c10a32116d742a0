// SPDX-License-Identifier: Apache-2.0
// One table's way in: messages → events → decoded, lifted and gated batches.
//
// I1. Every event of a message ends in exactly one of two places: a row handed to `take`, or the quarantine, with its
// original bytes. I2. What happens to an event is a function of its message alone (payload, headers, stream timestamp):
// no clock, no state. I3. Rows are handed on in the order of their events; batches end when they are full, when the
// event type changes, when
//     upserts turn to deletes, and at the end of the run.
#ifndef BR_PROCESSOR_INPUT_H
#define BR_PROCESSOR_INPUT_H

#include "processor/log/log.h"
#include "processor/operators/graph.h"

// One event of the epoch: what an origin (batch.h) points at. Bytes are borrowed from the reader.
struct br_event {
    struct br_slice payload;
    const struct br_log_message *message;
    const struct br_table *table;
};
struct br_events {
    struct br_event *list;
    uint32_t count, capacity;
};

// When a message came in; of a history whose first `prehistory` messages were imported.
struct br_moment br_message_moment(const struct br_log_message *message, uint32_t stream, uint64_t prehistory);

struct br_input;

// Where rows and rejects go. `reason` is one of decode, version, operation, key, null, check, time, expression; origin
// indexes the epoch's events.
struct br_intake {
    void *context;
    enum br_status (*take)(void *context, const struct br_table *table, const struct br_batch *batch,
                           struct br_error *error);
    enum br_status (*reject)(void *context, const struct br_table *table, uint32_t origin, const char *reason,
                             const char *detail, struct br_error *error);
};

// Decodes used columns only, unless all_columns (braid test's reports, quarantine show).
enum br_status br_input_create(const struct br_table *table, bool all_columns, struct br_input **ret_input,
                               struct br_error *error) BR_MUST_CHECK;
void br_input_destroy(struct br_input **input);
// Whether its gates are lenient (gate.h, G4) from now on; they aren't at first.
void br_input_set_lenient(struct br_input *input, bool lenient);
// By which rules it reads the messages of the epoch (semantics.h); at first by this build's.
void br_input_set_semantics(struct br_input *input, uint32_t semantics);
// Runs messages[0..count) through. now: the epoch's clock reading, for DEFAULT now(). The highest event time that
// passed the gates is raised in *event_time_max; rows that passed are added to *rows.
enum br_status br_input_run(struct br_input *input, const struct br_log_message *messages, size_t count,
                            struct br_wall_time now, struct br_events *events, const struct br_intake *intake,
                            struct br_event_time *event_time_max, uint64_t *rows, struct br_error *error) BR_MUST_CHECK;
// The row of one event with every column (reports): decoded and lifted, not gated. BR_DATA when it can't be.
enum br_status br_input_row_of(struct br_input *input, const struct br_event *event, struct br_arena *arena,
                               struct br_batch **ret_batch, struct br_error *error) BR_MUST_CHECK;

// Which of the table's versions a message says it is (ce-type; none: the table's own, 0); -1: one that nobody knows.
// *ret_type is the header's text, ptr NULL without it.
int32_t br_input_version(const struct br_table *table, const struct br_log_message *message, struct br_slice *ret_type);
// Does the message delete a row? Those of append-only tables never do.
bool br_input_deletes(const struct br_table *table, const struct br_log_message *message);

// The filter of a table's subject: placeholders ({customer}) become one-token wildcards.
void br_input_filter(const struct br_table *table, struct br_buffer *filter);
// The stream that the table is read from: the one that it names, or the one that holds its subject. BR_FATAL when there
// is none, or several, each in words.
enum br_status br_input_find_stream(struct br_log *log, const struct br_table *table, struct br_stream_info *ret_info,
                                    struct br_error *error) BR_MUST_CHECK;
// A reader of the table's messages.
enum br_status br_input_open(struct br_log *log, const struct br_table *table, const char *stream,
                             uint64_t first_sequence, uint64_t stop_sequence, struct br_reader **ret_reader,
                             struct br_error *error) BR_MUST_CHECK;
// Does a newer message of a subject replace the row of an older one? Of a table with a key that is read from several
// subjects it is taken for granted that the subject tells the row.
bool br_input_replaces(const struct br_table *table);

#endif
