// SPDX-License-Identifier: Apache-2.0
// What the files of the causes share: where a view's columns come from (causes_plan.c), and what evidence there is for
// its rows (causes_evidence.c).
#ifndef BR_REPLAY_CAUSES_INTERNAL_H
#define BR_REPLAY_CAUSES_INTERNAL_H

#include "processor/input.h"
#include "replay/causes.h"
#include "replay/upgrade.h"

#define BR_CAUSE_COLUMNS_MAX 64

// A column of a view's rows that evidence may be compared by.
struct br_cause_column {
    uint32_t column; // of the view
    const char *name;
    enum br_type type;
    const struct br_window_mark *mark; // NULL: no window bound
    const struct br_node *window;      // the node that makes the windows; NULL: not found
    // Otherwise the column of a table that it is; NULL: it is computed.
    const struct br_table *table;
    uint32_t table_column;
};

// Hashes of the values of the columns in mask.
struct br_evidence_set {
    uint64_t mask;
    uint64_t *hashes;
    size_t count, capacity;
    bool sorted;
};

// Of one view: what could explain its rows.
struct br_view_evidence {
    const struct br_view *view;
    struct br_cause_column *columns;
    uint32_t column_count;
    const char **beneath; // names of the views beneath, and its own
    uint32_t beneath_count;
    const char **tables; // names of the tables beneath
    uint32_t table_count;
    struct br_evidence_set *sets[2]; // late, quarantined
    size_t set_counts[2];
};

// --- causes_plan.c
void br_view_evidence_plan(const struct br_view *view, struct br_arena *arena, struct br_view_evidence *evidence);
enum br_cause br_cause_of_plans(const struct br_upgrade *upgrade, const char *view);

// --- causes_evidence.c
// One event that was left out, as far as its message tells.
struct br_left_out {
    bool quarantined;
    struct br_slice view;         // empty: turned away by its table
    const struct br_table *table; // of `row`; NULL: none
    const struct br_batch *row;   // decoded, row 0; NULL: it can't be
    struct br_slice json;         // else the row as JSON; empty: none
    bool has_window;
    int64_t window_start, window_end;
};
void br_view_evidence_add(struct br_view_evidence *evidence, const struct br_left_out *left_out,
                          struct br_arena *scratch);
bool br_view_evidence_explains(struct br_view_evidence *evidence, bool quarantined, const struct br_batch *batch,
                               uint32_t row, struct br_buffer *scratch);
void br_view_evidence_free(struct br_view_evidence *evidence);

#endif
