// SPDX-License-Identifier: Apache-2.0
// A report as the protobuf message braid.v1.ReconcileReport.
#include "replay/compare.h"

static char *text_or_empty(const char *text) {
    return (char *)(uintptr_t)(text != NULL ? text : ""); // protobuf-c doesn't write to it
}

static Braid__V1__DifferenceCause cause_of(enum br_cause cause) {
    static const Braid__V1__DifferenceCause causes[BR_CAUSE_COUNT] = {
        [BR_CAUSE_UNKNOWN] = BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_UNKNOWN,
        [BR_CAUSE_LATE] = BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_LATE_EVENT,
        [BR_CAUSE_QUARANTINED] = BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_QUARANTINED_EVENT,
        [BR_CAUSE_PLAN] = BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_CHANGED_PLAN,
        [BR_CAUSE_FUNCTION] = BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_CHANGED_FUNCTION,
    };
    return causes[cause];
}

static Braid__V1__DifferenceKind kind_of(enum br_difference_kind kind) {
    static const Braid__V1__DifferenceKind kinds[BR_DIFFERENCE_KINDS] = {
        [BR_DIFFERENCE_CHANGED] = BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_CHANGED,
        [BR_DIFFERENCE_MISSING] = BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_MISSING,
        [BR_DIFFERENCE_EXTRA] = BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_EXTRA,
    };
    return kinds[kind];
}

static void fill_columns(const struct br_view_report *view, struct br_arena *arena, Braid__V1__ViewReport *message) {
    message->columns = br_arena_array(arena, Braid__V1__ColumnDifference *, view->column_count + 1);
    message->n_columns = view->column_count;
    for (size_t c = 0; c < view->column_count; c++) {
        const struct br_column_report *column = &view->columns[c];
        Braid__V1__ColumnDifference *to = br_arena_new(arena, Braid__V1__ColumnDifference);
        braid__v1__column_difference__init(to);
        to->column = text_or_empty(column->name);
        to->rows = column->rows;
        to->sum_before = text_or_empty(column->sum_before);
        to->sum_after = text_or_empty(column->sum_after);
        to->sum_difference = text_or_empty(column->sum_difference);
        to->largest = column->largest;
        message->columns[c] = to;
    }
}

static void fill_samples(const struct br_view_report *view, struct br_arena *arena, Braid__V1__ViewReport *message) {
    message->samples = br_arena_array(arena, Braid__V1__RowDifference *, view->sample_count + 1);
    message->n_samples = view->sample_count;
    for (size_t s = 0; s < view->sample_count; s++) {
        const struct br_row_report *sample = &view->samples[s];
        Braid__V1__RowDifference *to = br_arena_new(arena, Braid__V1__RowDifference);
        braid__v1__row_difference__init(to);
        to->kind = kind_of(sample->kind);
        to->cause = cause_of(sample->cause);
        to->key = text_or_empty(sample->key);
        to->before = text_or_empty(sample->before);
        to->after = text_or_empty(sample->after);
        message->samples[s] = to;
    }
}

static Braid__V1__ViewReport *make_view(const struct br_view_report *view, struct br_arena *arena) {
    Braid__V1__ViewReport *message = br_arena_new(arena, Braid__V1__ViewReport);
    braid__v1__view_report__init(message);
    message->view = text_or_empty(view->view);
    message->rows_before = view->rows_before;
    message->rows_after = view->rows_after;
    message->equal = view->equal;
    message->changed = view->changed;
    message->missing = view->missing;
    message->extra = view->extra;
    message->late = view->causes[BR_CAUSE_LATE];
    message->quarantined = view->causes[BR_CAUSE_QUARANTINED];
    message->plan = view->causes[BR_CAUSE_PLAN];
    message->function = view->causes[BR_CAUSE_FUNCTION];
    message->unknown = view->causes[BR_CAUSE_UNKNOWN];
    message->skipped = text_or_empty(view->skipped);
    message->note = text_or_empty(view->note);
    fill_columns(view, arena, message);
    fill_samples(view, arena, message);
    return message;
}

void br_compare_report_fill(struct br_compare_report *report, Braid__V1__ReconcileReport *message) {
    message->views = br_arena_array(report->arena, Braid__V1__ViewReport *, report->view_count + 1);
    message->n_views = report->view_count;
    for (size_t v = 0; v < report->view_count; v++)
        message->views[v] = make_view(&report->views[v], report->arena);
    message->seconds = report->seconds;
}
