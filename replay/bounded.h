// SPDX-License-Identifier: Apache-2.0
// A bounded query: one SELECT over the tables and views of a pipeline, run over their history in this process.
//
// B1. The same decode, gates and operators as live, over the streams as they are when it starts, read in turns
// (span.h).
//     Nothing is committed, no live state is touched: the state is in memory, and beyond its budget in a folder of its
//     own, which is removed at the end.
// B2. History is read as a whole: no event is late. At the end all windows close.
// B3. An event that a gate turns away is left out and counted, as live. An expression that fails on a row in the SELECT
//     itself ends the query, as in PostgreSQL; in a view that the SELECT reads the row is left out of that view and
//     counted, as live.
// B4. Rows of a SELECT that only grows (no GROUP BY, no join of rows that change) and isn't sorted are given as they
//     come, so that its result may be larger than memory. All others are gathered.
#ifndef BR_REPLAY_BOUNDED_H
#define BR_REPLAY_BOUNDED_H

#include "processor/operators/graph.h"
#include "replay/span.h"

struct br_bounded_options {
    const struct br_pipeline *pipeline; // loaded with br_pipeline_options.select
    struct br_log *log;
    const struct br_clock *clock;
    struct br_span_bound from, to; // `from` bounds streams only: tables with a key are read whole
    br_open_input open_input;      // NULL: the streams
    void *open_context;
    size_t state_budget_bytes;  // 0: 256 MiB
    const struct br_flag *stop; // NULL: never
};

struct br_bounded_table { // by table index
    uint64_t messages, rows, quarantined;
    uint64_t first_sequence, last_sequence; // of what was read; 0: nothing
    char why[512];                          // the first that was turned away: "check: …"
};
struct br_bounded_report {
    struct br_bounded_table *tables; // free with br_bounded_report_free
    uint64_t rows;                   // given
    uint64_t failed;                 // rows left out of views because an expression failed
    char failed_why[512];            // the first of them: "view x: …"
    uint64_t messages;
};
void br_bounded_report_free(struct br_bounded_report *report);

// each gets the rows in batches of the fields of pipeline->select->root, of which the first visible_count are the
// result. BR_DATA: an expression failed on a row, in PostgreSQL's words, and which event it was. The report is filled
// whatever the status is.
enum br_status br_bounded_run(const struct br_bounded_options *options, br_graph_each each, void *context,
                              struct br_bounded_report *report, struct br_error *error) BR_MUST_CHECK;

#endif
