// SPDX-License-Identifier: Apache-2.0
// A span of history: the events of some tables between two bounds, in turns, in the order in which they happened.
//
// P1. The end of every table's stream is fixed when the span is opened: what arrives later isn't in it.
// P2. A turn takes all inputs up to a common stream timestamp, as live epochs do (processor/fetch.c): no event of a
//     later turn is older, by its stream's clock, than one of an earlier turn.
// P3. A bound by sequence counts in every table's own stream; one by time is the time at which the stream stored the
//     event. Tables with a key may be read from their beginning all the same: their rows are what they were.
//
// P4. Imported events come first, then what is archived, then the stream (history.h): the messages bear the sequences
// of
//     history, and each input says how many imported events are counted in them.
#ifndef BR_REPLAY_SPAN_H
#define BR_REPLAY_SPAN_H

#include "processor/task.h"
#include "replay/history.h"

enum br_span_bound_kind { BR_SPAN_OPEN, BR_SPAN_SEQUENCE, BR_SPAN_TIME };
struct br_span_bound {
    enum br_span_bound_kind kind;
    uint64_t sequence;
    struct br_wall_time time;
};
// "beginning", "now", a sequence, a time ("2026-03-01 12:00Z"), or a duration ago ("2 hours ago"). BR_DATA in words.
enum br_status br_span_bound_parse(const char *text, struct br_wall_time now, struct br_span_bound *ret_bound,
                                   struct br_error *error) BR_MUST_CHECK;

struct br_span_options {
    const struct br_pipeline *pipeline;
    struct br_log *log;
    const bool *tables;            // by index; NULL: those that some view reads
    struct br_span_bound from, to; // both included
    bool whole_keyed_tables;       // tables with a key begin at their beginning, whatever `from` says
    br_open_input open_input;      // NULL: history; else its prehistory is 0
    void *open_context;
    uint32_t turn_messages;     // at most, in one turn; 0: 32,768
    const struct br_flag *stop; // NULL: never
};

struct br_span_input {
    const struct br_table *table; // NULL: not in the span
    struct br_stream_info stream;
    uint32_t stream_number; // tables with the same one are read from one stream
    uint64_t prehistory;    // imported events
    uint64_t first, last;   // sequences of history that may be in the span; last < first: none
    // of this turn
    const struct br_log_message *messages;
    size_t count;
    // internal
    struct br_reader *reader;
    size_t shown;
    bool from_time, done;
};

struct br_span;
enum br_status br_span_open(const struct br_span_options *options, struct br_span **ret_span, struct br_error *error)
    BR_MUST_CHECK;
void br_span_close(struct br_span **span);
// The next turn: the inputs' messages and counts. *ret_any false at the end. The turn before it is released.
enum br_status br_span_next(struct br_span *span, bool *ret_any, struct br_error *error) BR_MUST_CHECK;
// By table index.
const struct br_span_input *br_span_inputs(const struct br_span *span);
// Table indexes in the order of an epoch: tables with a key first.
const uint32_t *br_span_order(const struct br_span *span);

#endif
