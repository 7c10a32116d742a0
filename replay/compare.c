// SPDX-License-Identifier: Apache-2.0
// The comparison: pairs of views, and the merge of their rows. See compare.h.
#include "replay/compare_internal.h"

#include "base/time.h"

#include <string.h>

#define TICK_STEPS 65536 // rows, or runs of equal ones

// Where the merge stands on one side.
struct cursor {
    struct br_pages *pages;
    const struct br_page *page; // NULL: at the end
    uint32_t row;
    int64_t left; // of the row's weight
};

struct merge {
    const struct br_view_pair *pair;
    const struct br_compare_options *options;
    struct br_view_report *report;
    struct br_tally *tally;
    struct cursor cursors[BR_SIDES];
    bool differs[BR_BATCH_ROWS];
};

// --- cursors
static uint32_t rows_left(const struct cursor *cursor) {
    return cursor->page->batch->row_count - cursor->row;
}

static struct br_slice key_at(const struct cursor *cursor, uint32_t ahead) {
    return cursor->page->keys[cursor->row + ahead];
}

// Takes the next page when this one is used up.
static enum br_status settle(struct cursor *cursor, struct br_error *error) {
    while (cursor->page != NULL && cursor->row == cursor->page->batch->row_count) {
        cursor->row = 0;
        BR_TRY(br_pages_next(cursor->pages, &cursor->page, error));
    }
    if (cursor->page != NULL)
        cursor->left = br_batch_weight(cursor->page->batch, cursor->row);
    return BR_OK;
}

static enum br_status advance(struct cursor *cursor, uint32_t rows, struct br_error *error) {
    cursor->row += rows;
    return settle(cursor, error);
}

// --- rows of one side alone
static enum br_status take_alone(struct merge *merge, int side, int64_t count, struct br_error *error) {
    struct cursor *cursor = &merge->cursors[side];
    const struct br_batch *batch = cursor->page->batch;
    *(side == BR_SIDE_BEFORE ? &merge->report->rows_before : &merge->report->rows_after) += (uint64_t)count;
    if (side == BR_SIDE_BEFORE)
        BR_TRY(br_tally_add(merge->tally, batch, cursor->row, NULL, 0, count, error));
    else
        BR_TRY(br_tally_add(merge->tally, NULL, 0, batch, cursor->row, count, error));
    return advance(cursor, 1, error);
}

// --- keyed views
// How many rows from here on have the same keys on both sides.
static uint32_t common_run(const struct cursor *a, const struct cursor *b) {
    uint32_t most = rows_left(a) < rows_left(b) ? rows_left(a) : rows_left(b), run = 0;
    while (run < most && br_slice_equal(key_at(a, run), key_at(b, run)))
        run++;
    return run;
}

static enum br_status compare_run(struct merge *merge, uint32_t run, struct br_error *error) {
    struct cursor *a = &merge->cursors[BR_SIDE_BEFORE], *b = &merge->cursors[BR_SIDE_AFTER];
    const struct br_batch *before = a->page->batch, *after = b->page->batch;
    merge->report->rows_before += run;
    merge->report->rows_after += run;
    if (br_rows_differ(merge->pair, before, a->row, after, b->row, run, merge->differs)) {
        for (uint32_t i = 0; i < run; i++) {
            merge->report->equal += !merge->differs[i];
            if (merge->differs[i])
                BR_TRY(br_tally_add(merge->tally, before, a->row + i, after, b->row + i, 1, error));
        }
    } else {
        merge->report->equal += run;
    }
    BR_TRY(advance(a, run, error));
    return advance(b, run, error);
}

static enum br_status step_keyed(struct merge *merge, struct br_error *error) {
    struct cursor *a = &merge->cursors[BR_SIDE_BEFORE], *b = &merge->cursors[BR_SIDE_AFTER];
    uint32_t run = common_run(a, b);
    if (run != 0)
        return compare_run(merge, run, error);
    bool before_first = br_slice_compare(key_at(a, 0), key_at(b, 0)) < 0;
    return take_alone(merge, before_first ? BR_SIDE_BEFORE : BR_SIDE_AFTER, 1, error);
}

// --- multisets
static bool is_within_tolerances(const struct merge *merge) {
    const struct cursor *a = &merge->cursors[BR_SIDE_BEFORE], *b = &merge->cursors[BR_SIDE_AFTER];
    uint32_t a_size = a->page->exact_sizes[a->row], b_size = b->page->exact_sizes[b->row];
    struct br_slice a_exact = {key_at(a, 0).ptr, a_size}, b_exact = {key_at(b, 0).ptr, b_size};
    if (!br_slice_equal(a_exact, b_exact))
        return false;
    for (uint32_t c = 0; c < merge->pair->column_count; c++)
        if (merge->pair->columns[c].tolerance >= 0 &&
            br_pair_differs(&merge->pair->columns[c], a->page->batch, a->row, b->page->batch, b->row))
            return false;
    return true;
}

// A row of several may be paired off in parts.
static enum br_status pair_off(struct merge *merge, struct br_error *error) {
    struct cursor *a = &merge->cursors[BR_SIDE_BEFORE], *b = &merge->cursors[BR_SIDE_AFTER];
    int64_t count = a->left < b->left ? a->left : b->left;
    merge->report->rows_before += (uint64_t)count;
    merge->report->rows_after += (uint64_t)count;
    merge->report->equal += (uint64_t)count;
    a->left -= count;
    b->left -= count;
    if (a->left == 0)
        BR_TRY(advance(a, 1, error));
    return b->left == 0 ? advance(b, 1, error) : BR_OK;
}

static enum br_status step_multiset(struct merge *merge, struct br_error *error) {
    struct cursor *a = &merge->cursors[BR_SIDE_BEFORE], *b = &merge->cursors[BR_SIDE_AFTER];
    int order = br_slice_compare(key_at(a, 0), key_at(b, 0));
    if (is_within_tolerances(merge))
        return pair_off(merge, error);
    int side = order <= 0 ? BR_SIDE_BEFORE : BR_SIDE_AFTER;
    return take_alone(merge, side, merge->cursors[side].left, error);
}

// --- one view
static bool is_stopped(const struct br_compare_options *options) {
    return br_flag_is_set(options->stop);
}

static enum br_status merge_rows(struct merge *merge, struct br_error *error) {
    struct cursor *a = &merge->cursors[BR_SIDE_BEFORE], *b = &merge->cursors[BR_SIDE_AFTER];
    uint64_t steps = 0;
    while (a->page != NULL || b->page != NULL) {
        if (++steps % TICK_STEPS == 0 && merge->options->tick != NULL)
            BR_TRY(merge->options->tick(merge->options->tick_context, error));
        if (is_stopped(merge->options))
            return br_error_set(error, BR_RETRY, "stopped while comparing view %s", merge->pair->name);
        if (a->page == NULL)
            BR_TRY(take_alone(merge, BR_SIDE_AFTER, b->left, error));
        else if (b->page == NULL)
            BR_TRY(take_alone(merge, BR_SIDE_BEFORE, a->left, error));
        else if (merge->pair->keyed)
            BR_TRY(step_keyed(merge, error));
        else
            BR_TRY(step_multiset(merge, error));
    }
    return BR_OK;
}

// The first page of both sides, so that a view that keeps no rows on one of them isn't half compared.
static enum br_status open_cursors(struct merge *merge, const struct br_compare_side *const sides[BR_SIDES],
                                   struct br_arena *arena, struct br_error *error) {
    for (int s = 0; s < BR_SIDES; s++)
        BR_TRY(br_pages_open(sides[s], merge->pair->views[s], &merge->pair->line_up[s],
                             merge->pair->conditions[s] == NULL ? NULL : merge->pair->conditions[s]->expr,
                             merge->options, &merge->cursors[s].pages, error));
    for (int s = 0; s < BR_SIDES; s++) {
        struct cursor *cursor = &merge->cursors[s];
        enum br_status status = br_pages_next(cursor->pages, &cursor->page, error);
        if (status == BR_DATA) {
            merge->report->skipped = br_arena_strdup(arena, error->message);
            return BR_OK;
        }
        BR_TRY(status);
        BR_TRY(settle(cursor, error));
    }
    return BR_OK;
}

static enum br_status compare_view(const struct br_compare_side *const sides[BR_SIDES], const struct br_view_pair *pair,
                                   const struct br_compare_options *options, struct br_arena *arena,
                                   struct br_view_report *report, struct br_error *error) {
    *report = (struct br_view_report){.view = pair->name, .note = pair->note};
    struct merge *merge = br_calloc(1, sizeof *merge);
    merge->pair = pair;
    merge->options = options;
    merge->report = report;
    merge->tally = br_tally_create(pair, options, report, arena);
    enum br_status status = open_cursors(merge, sides, arena, error);
    if (status == BR_OK && report->skipped == NULL)
        status = merge_rows(merge, error);
    for (int s = 0; s < BR_SIDES; s++)
        br_pages_close(&merge->cursors[s].pages);
    if (status == BR_OK && report->skipped == NULL)
        br_tally_finish(merge->tally);
    br_tally_destroy(&merge->tally);
    free(merge);
    return status;
}

// --- all views
static bool is_wanted(const struct br_compare_options *options, const char *name) {
    for (size_t v = 0; v < options->view_count; v++)
        if (strcmp(options->views[v], name) == 0)
            return true;
    return options->views == NULL;
}

static const struct br_view *find_view(const struct br_pipeline *pipeline, const char *name) {
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (strcmp(pipeline->views[v].name, name) == 0)
            return &pipeline->views[v];
    return NULL;
}

static bool fits_some_view(const struct br_tolerance *tolerance, const struct br_pipeline *pipeline) {
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (br_tolerance_fits(tolerance, &pipeline->views[v]))
            return true;
    return false;
}

static enum br_status check_options(const struct br_pipeline *before, const struct br_pipeline *after,
                                    const struct br_compare_options *options, struct br_error *error) {
    for (size_t v = 0; options->views != NULL && v < options->view_count; v++)
        if (find_view(before, options->views[v]) == NULL && find_view(after, options->views[v]) == NULL)
            return br_error_set(error, BR_DATA, "there is no view \"%s\" in either pipeline", options->views[v]);
    for (size_t t = 0; t < options->tolerance_count; t++) {
        const struct br_tolerance *tolerance = &options->tolerances[t];
        if (!(tolerance->absolute >= 0))
            return br_error_set(error, BR_DATA, "the tolerance of \"%s\" is negative or no number", tolerance->column);
        if (!fits_some_view(tolerance, before) && !fits_some_view(tolerance, after))
            return br_error_set(error, BR_DATA,
                                "a tolerance is given for \"%s\", but no view has such a column of type double "
                                "precision; write column or view.column",
                                tolerance->column);
    }
    return BR_OK;
}

static enum br_status bind_condition(const struct br_compare_side *side, const struct br_view *view, const char *text,
                                     struct br_condition **ret_condition, struct br_error *error) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("the condition", text);
    enum br_status status = br_condition_bind_view(side->pipeline, view, text, diagnostics, ret_condition, error);
    if (status != BR_OK && diagnostics->count != 0)
        br_error_set(error, status, "view %s can't be compared by %s: %s", view->name, text,
                     diagnostics->list[0].message);
    br_diagnostics_destroy(&diagnostics);
    return status;
}

// One pair, with the condition over the columns of each side.
static enum br_status compare_pair(const struct br_compare_side *const sides[BR_SIDES], struct br_view_pair *pair,
                                   const struct br_compare_options *options, struct br_arena *arena,
                                   struct br_view_report *report, struct br_error *error) {
    enum br_status status = BR_OK;
    for (int s = 0; s < BR_SIDES && status == BR_OK && options->condition != NULL; s++)
        if (pair->views[s] != NULL)
            status = bind_condition(sides[s], pair->views[s], options->condition, &pair->conditions[s], error);
    if (status == BR_OK)
        status = compare_view(sides, pair, options, arena, report, error);
    for (int s = 0; s < BR_SIDES; s++)
        br_condition_destroy(&pair->conditions[s]);
    return status;
}

static enum br_status compare_views(const struct br_compare_side *const sides[BR_SIDES],
                                    const struct br_compare_options *options, struct br_compare_report *report,
                                    struct br_error *error) {
    const struct br_pipeline *before = sides[BR_SIDE_BEFORE]->pipeline, *after = sides[BR_SIDE_AFTER]->pipeline;
    report->views = br_arena_array(report->arena, struct br_view_report, before->view_count + after->view_count + 1);
    for (int s = 0; s < BR_SIDES; s++) {
        for (uint32_t v = 0; v < sides[s]->pipeline->view_count; v++) {
            const struct br_view *view = &sides[s]->pipeline->views[v];
            const struct br_view *other = find_view(s == BR_SIDE_BEFORE ? after : before, view->name);
            if (!is_wanted(options, view->name) || (s == BR_SIDE_AFTER && other != NULL))
                continue;
            struct br_view_pair pair;
            br_view_pair_plan(s == BR_SIDE_BEFORE ? view : NULL, s == BR_SIDE_BEFORE ? other : view, options,
                              report->arena, &pair);
            BR_TRY(compare_pair(sides, &pair, options, report->arena, &report->views[report->view_count], error));
            report->view_count++;
        }
    }
    return BR_OK;
}

enum br_status br_compare(const struct br_compare_side *before, const struct br_compare_side *after,
                          const struct br_compare_options *options, struct br_compare_report **ret_report,
                          struct br_error *error) {
    BR_TRY(check_options(before->pipeline, after->pipeline, options, error));
    struct br_compare_report *report = br_calloc(1, sizeof *report);
    report->arena = br_arena_create();
    const struct br_compare_side *const sides[BR_SIDES] = {before, after};
    const struct br_clock *clock = br_clock_system();
    int64_t began_us = clock->mono(clock).us;
    enum br_status status = compare_views(sides, options, report, error);
    report->seconds = (double)(clock->mono(clock).us - began_us) / (double)BR_US_PER_SECOND;
    if (status != BR_OK) {
        br_compare_report_destroy(&report);
        return status;
    }
    *ret_report = report;
    return BR_OK;
}

void br_compare_report_destroy(struct br_compare_report **ref) {
    if (*ref == NULL)
        return;
    br_arena_destroy(&(*ref)->arena);
    free(*ref);
    *ref = NULL;
}
