// SPDX-License-Identifier: Apache-2.0
// What the files of the comparison share: how two views are laid beside each other (compare_plan.c), the rows of one
// side in order (compare_pages.c, compare_sort.c), values (compare_values.c), and what is counted (compare_tally.c).
#ifndef BR_REPLAY_COMPARE_INTERNAL_H
#define BR_REPLAY_COMPARE_INTERNAL_H

#include "processor/expr/numeric.h"
#include "processor/expr/row.h"
#include "processor/sql/sql.h"
#include "replay/compare.h"

enum { BR_SIDE_BEFORE, BR_SIDE_AFTER, BR_SIDES };

// --- compare_plan.c
#define BR_NO_COLUMN UINT32_MAX
struct br_column_pair {
    const char *name;
    uint32_t columns[BR_SIDES]; // BR_NO_COLUMN: the side has none
    enum br_type types[BR_SIDES];
    double tolerance; // of doubles on both sides; negative: none
    bool key;
};

// How the rows of a side are brought in line, by bytes that both sides make alike.
struct br_line_up {
    bool keyed;
    // Keyed: the key columns of the side, in the order of the comparison.
    uint32_t *key_columns;
    uint32_t key_count;
    bool ordered; // a scan gives this order
    // Multiset: the row format over the columns that must be the same, then key bytes of those with a tolerance.
    // BR_NO_COLUMN stands for a column of the other side.
    uint32_t *exact_columns;
    uint32_t exact_count;
    uint32_t *tolerant_columns;
    uint32_t tolerant_count;
};

struct br_view_pair {
    const struct br_view *views[BR_SIDES];     // one may be NULL
    struct br_condition *conditions[BR_SIDES]; // of the options, over each side's columns; NULL: none
    const char *name;
    struct br_column_pair *columns; // of before in their order, then those of after alone
    uint32_t column_count;
    bool keyed;
    const char *note;
    struct br_line_up line_up[BR_SIDES];
    // Of the key that differences are told by, on each side (struct br_difference).
    const uint32_t *key_columns[BR_SIDES];
    uint32_t key_count[BR_SIDES];
};
void br_view_pair_plan(const struct br_view *before, const struct br_view *after,
                       const struct br_compare_options *options, struct br_arena *arena, struct br_view_pair *pair);
// Does the tolerance fit a column of the view?
bool br_tolerance_fits(const struct br_tolerance *tolerance, const struct br_view *view);

// --- compare_sort.c: rows of one view, sorted by key
struct br_page {
    struct br_arena *arena;
    struct br_batch *batch; // of the view's columns; weights positive, or NULL
    struct br_slice *keys;  // by row, ascending within and over pages
    uint32_t *exact_sizes;  // multiset: how much of each key must be the same
};

struct br_sorter;
// types borrowed: of the view's columns.
struct br_sorter *br_sorter_create(const enum br_type *types, uint32_t column_count, size_t memory_bytes,
                                   const char *folder);
void br_sorter_destroy(struct br_sorter **sorter);
enum br_status br_sorter_add(struct br_sorter *sorter, struct br_slice key, uint32_t exact_size,
                             const struct br_batch *batch, uint32_t row, struct br_error *error) BR_MUST_CHECK;
enum br_status br_sorter_finish(struct br_sorter *sorter, struct br_error *error) BR_MUST_CHECK;
// Fills an empty page; no rows: that was all. Equal rows of a page become one with their weights together.
enum br_status br_sorter_fill(struct br_sorter *sorter, struct br_page *page, struct br_error *error) BR_MUST_CHECK;

// --- compare_pages.c: one side's rows as pages, made by a thread of its own
struct br_pages;
// view NULL: no rows at all. condition: of the rows that there are; NULL: all.
enum br_status br_pages_open(const struct br_compare_side *side, const struct br_view *view,
                             const struct br_line_up *line_up, const struct br_expr *condition,
                             const struct br_compare_options *options, struct br_pages **ret_pages,
                             struct br_error *error) BR_MUST_CHECK;
// The next page, and the one before is given back; NULL at the end. BR_DATA: the view keeps no rows.
enum br_status br_pages_next(struct br_pages *pages, const struct br_page **ret_page, struct br_error *error)
    BR_MUST_CHECK;
void br_pages_close(struct br_pages **pages);

// --- compare_values.c
bool br_pair_differs(const struct br_column_pair *pair, const struct br_batch *before, uint32_t before_row,
                     const struct br_batch *after, uint32_t after_row);
// differs[i] becomes true where before's row before_row + i and after's row after_row + i differ in some column but the
// key; false when none does.
bool br_rows_differ(const struct br_view_pair *pair, const struct br_batch *before, uint32_t before_row,
                    const struct br_batch *after, uint32_t after_row, uint32_t count, bool *differs);

// --- compare_tally.c: what a view's report says
struct br_tally;
struct br_tally *br_tally_create(const struct br_view_pair *pair, const struct br_compare_options *options,
                                 struct br_view_report *report, struct br_arena *arena);
void br_tally_destroy(struct br_tally **tally);
// A row that differs: counted, summed, sampled, told. NULL for the side that lacks it.
enum br_status br_tally_add(struct br_tally *tally, const struct br_batch *before, uint32_t before_row,
                            const struct br_batch *after, uint32_t after_row, int64_t count, struct br_error *error)
    BR_MUST_CHECK;
void br_tally_finish(struct br_tally *tally);

#endif
