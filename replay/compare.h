// SPDX-License-Identifier: Apache-2.0
// Reconcile: what two lineages at the same position hold, view by view, row by row.
//
// Views are matched by name, columns by name. The lineages may be of different pipelines (a changed SQL file).
//
// C1. Both graphs stand still, between two epochs, for the whole call. Each is read by a thread of its own while the
//     caller's thread merges: no state may be shared between them.
// C2. A view with the same key columns (names and types) on both sides is compared key by key in key order. Any other
//     is a multiset of rows: views without key, and views whose key the plans disagree about (`note` says so).
// C3. Values are equal when they are published alike: 1.0 and 1.00 differ, -0 and 0 too; NULL equals NULL, NaN equals
//     NaN. A double within its column's tolerance is equal. A column that one side lacks is NULL there, as it is for a
//     reader of the messages. One whose type changed differs wherever it has a value; but integer and bigint are
//     published alike, and compared by value.
// C4. With tolerances, rows of a multiset are paired in the order of their tolerant columns, each with the first within
//     reach; with one such column no other pairing finds more.
// C5. Memory: some pages of BR_BATCH_ROWS rows per side. A view that isn't read in key order is sorted on the way
//     (sort_bytes, then temporary files).
//
// Thread: the caller's; two more while a view is read.
#ifndef BR_REPLAY_COMPARE_H
#define BR_REPLAY_COMPARE_H

#include "braid/v1/replay.pb-c.h"
#include "replay/published.h"

struct br_compare_side {
    const struct br_pipeline *pipeline;
    struct br_graph *graph;
    const struct br_epoch *epoch;   // the last one, as br_graph_scan wants it
    struct br_published *published; // the rows are those that were published; NULL: they are the graph's
};

enum br_difference_kind { BR_DIFFERENCE_CHANGED, BR_DIFFERENCE_MISSING, BR_DIFFERENCE_EXTRA, BR_DIFFERENCE_KINDS };
enum br_cause {
    BR_CAUSE_UNKNOWN,
    BR_CAUSE_LATE,
    BR_CAUSE_QUARANTINED,
    BR_CAUSE_PLAN,
    BR_CAUSE_FUNCTION,
    BR_CAUSE_COUNT
};

// One row that differs; everything borrowed during the call. Batches have the columns of their own side's view.
struct br_difference {
    enum br_difference_kind kind;
    enum br_cause cause;                            // when `each` is called
    const struct br_view *before_view, *after_view; // NULL: the side has no such view
    // Key bytes as of br_change: over the key of the view before (by column name where the views are compared by key);
    // of an extra row of a multiset, or of a view that is new, over the key (or row) of the view after.
    struct br_slice key;
    const struct br_batch *before; // NULL: extra
    uint32_t before_row;
    const struct br_batch *after; // NULL: missing
    uint32_t after_row;
    int64_t count; // equal rows of a multiset; the same row may come in several calls. 1 in keyed views
};

struct br_tolerance {
    const char *column; // "view.column", or "column" of any view; the former goes first
    double absolute;
};

struct br_compare_options {
    const char *const *views; // NULL: all of both pipelines
    size_t view_count;
    // SQL over a view's columns: rows for which it isn't true are left out on both sides, as if they weren't there.
    // NULL: none are. BR_DATA when a view that is compared hasn't got its columns.
    const char *condition;
    const struct br_tolerance *tolerances; // of double precision columns
    size_t tolerance_count;
    size_t samples; // rows shown per view and kind
    // Why a row differs; NULL: unknown. Called before `each`.
    enum br_cause (*cause)(void *context, const struct br_difference *difference);
    void *cause_context;
    // NULL: nobody wants the rows. An error ends the comparison.
    enum br_status (*each)(void *context, const struct br_difference *difference, struct br_error *error);
    void *each_context;
    const struct br_flag *stop; // once set: BR_RETRY; NULL: never
    // Called many times a second while rows are merged, as long comparisons take; an error ends it. NULL: nobody waits.
    enum br_status (*tick)(void *context, struct br_error *error);
    void *tick_context;
    size_t sort_bytes;       // memory per side for a view that must be sorted; 0: 64 MiB
    const char *sort_folder; // of the temporary files; NULL: $TMPDIR, else /tmp
};

// --- the result: plain data in an arena
struct br_column_report {
    const char *name;
    enum br_type before_type, after_type; // BR_UNKNOWN: the side has no such column
    uint64_t rows;                        // changed rows in which it differs
    // Numeric columns (no key), over all rows that differ: exact but for doubles; NULL: no number.
    const char *sum_before, *sum_after, *sum_difference; // after - before
    double largest;                                      // double precision: the largest |after - before|
};
struct br_row_report {
    enum br_difference_kind kind;
    enum br_cause cause;
    int64_t count;
    const char *key;            // JSON object of the key columns; of a multiset: NULL
    const char *before, *after; // JSON rows; NULL: none
};
struct br_view_report {
    const char *view;
    const char *skipped; // why it wasn't compared; NULL: it was
    const char *note;    // what to know about how it was compared; NULL
    uint64_t rows_before, rows_after, equal, changed, missing, extra;
    uint64_t causes[BR_CAUSE_COUNT];  // differing rows
    struct br_column_report *columns; // those that differ
    size_t column_count;
    struct br_row_report *samples; // in the order of kind, then key
    size_t sample_count;
};
struct br_compare_report {
    struct br_view_report *views; // those of before in their order, then those of after alone
    size_t view_count;
    double seconds;
    struct br_arena *arena; // owned
};

// BR_DATA: an option names a view that neither pipeline has, or a tolerance that fits no column. BR_RETRY: stopped.
enum br_status br_compare(const struct br_compare_side *before, const struct br_compare_side *after,
                          const struct br_compare_options *options, struct br_compare_report **ret_report,
                          struct br_error *error) BR_MUST_CHECK;
void br_compare_report_destroy(struct br_compare_report **report);

// The report's views into a message whose other fields are the caller's; all in the report's arena.
void br_compare_report_fill(struct br_compare_report *report, Braid__V1__ReconcileReport *message);

#endif
