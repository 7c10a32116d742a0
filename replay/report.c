// SPDX-License-Identifier: Apache-2.0
// The report as a table that a person reads. See report.h.
#include "base/json.h"
#include "replay/report_internal.h"

#include <stdio.h>

const char *br_report_kind_name(Braid__V1__DifferenceKind kind) {
    switch (kind) {
    case BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_CHANGED:
        return "changed";
    case BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_MISSING:
        return "missing";
    case BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_EXTRA:
        return "extra";
    default:
        return "unspecified";
    }
}

const char *br_report_cause_name(Braid__V1__DifferenceCause cause) {
    switch (cause) {
    case BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_LATE_EVENT:
        return "late event";
    case BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_QUARANTINED_EVENT:
        return "quarantined event";
    case BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_CHANGED_PLAN:
        return "changed plan";
    case BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_CHANGED_FUNCTION:
        return "changed function";
    default:
        return "unknown";
    }
}

// --- tables of text
#define COLUMNS_MAX 12
#define CELL_GAP "  "

// Cells row by row; the first row is the heading. Widths count characters, not bytes.
struct table {
    struct br_arena *arena;
    const char **cells;
    size_t rows, capacity;
    size_t columns;
    uint32_t left; // bits: columns that are text and stand to the left
};

static const char **add_row(struct table *table) {
    if (table->rows == table->capacity) {
        size_t capacity = table->capacity == 0 ? 16 : 2 * table->capacity;
        const char **cells = br_arena_array(table->arena, const char *, capacity * table->columns);
        if (table->rows != 0)
            memcpy(cells, table->cells, table->rows * table->columns * sizeof *cells);
        table->cells = cells;
        table->capacity = capacity;
    }
    const char **row = table->cells + table->rows++ * table->columns;
    for (size_t c = 0; c < table->columns; c++)
        row[c] = "";
    return row;
}

static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text != 0; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_spaces(size_t count, struct br_buffer *out) {
    for (size_t i = 0; i < count; i++)
        br_buffer_append_byte(out, ' ');
}

static void print_table(const struct table *table, const char *indent, struct br_buffer *out) {
    size_t widths[COLUMNS_MAX] = {0};
    BR_CHECK(table->columns <= COLUMNS_MAX);
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t width = width_of(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t r = 0; r < table->rows; r++) {
        br_buffer_append_text(out, indent);
        for (size_t c = 0; c < table->columns; c++) {
            const char *cell = table->cells[r * table->columns + c];
            bool left = (table->left >> c & 1) != 0;
            if (c != 0)
                br_buffer_append_text(out, CELL_GAP);
            if (!left)
                print_spaces(widths[c] - width_of(cell), out);
            br_buffer_append_text(out, cell);
            if (left && c + 1 < table->columns)
                print_spaces(widths[c] - width_of(cell), out);
        }
        br_buffer_append_byte(out, '\n');
    }
}

static const char *number(struct br_arena *arena, uint64_t value) {
    return br_arena_printf(arena, "%" PRIu64, value);
}

// --- views
static void print_views(const Braid__V1__ReconcileReport *report, struct br_arena *arena, struct br_buffer *out) {
    static const char *const heads[] = {"view",  "before", "after",       "equal",    "changed", "missing",
                                        "extra", "late",   "quarantined", "function", "plan",    "unknown"};
    struct table table = {.arena = arena, .columns = COLUMNS_MAX, .left = 1};
    memcpy(add_row(&table), heads, sizeof heads);
    for (size_t v = 0; v < report->n_views; v++) {
        const Braid__V1__ViewReport *view = report->views[v];
        if (*view->skipped != 0)
            continue;
        const uint64_t counts[] = {view->rows_before, view->rows_after, view->equal,  view->changed,
                                   view->missing,     view->extra,      view->late,   view->quarantined,
                                   view->function,    view->plan,       view->unknown};
        const char **row = add_row(&table);
        row[0] = view->view;
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            row[c + 1] = number(arena, counts[c]);
    }
    if (table.rows > 1)
        print_table(&table, "", out);
    for (size_t v = 0; v < report->n_views; v++) {
        const Braid__V1__ViewReport *view = report->views[v];
        if (*view->skipped != 0)
            br_buffer_printf(out, "%s: not compared: %s\n", view->view, view->skipped);
        if (*view->note != 0)
            br_buffer_printf(out, "%s: %s\n", view->view, view->note);
    }
}

// --- columns
static void print_columns(const Braid__V1__ViewReport *view, struct br_arena *arena, struct br_buffer *out) {
    static const char *const heads[] = {"column", "rows", "sum before", "sum after", "difference", "largest"};
    struct table table = {.arena = arena, .columns = sizeof heads / sizeof *heads, .left = 1};
    if (view->n_columns == 0)
        return;
    memcpy(add_row(&table), heads, sizeof heads);
    for (size_t c = 0; c < view->n_columns; c++) {
        const Braid__V1__ColumnDifference *column = view->columns[c];
        const char **row = add_row(&table);
        row[0] = column->column;
        row[1] = number(arena, column->rows);
        row[2] = column->sum_before;
        row[3] = column->sum_after;
        const char *difference = column->sum_difference;
        bool bare = *difference == 0 || *difference == '-' || strspn(difference, "0.") == strlen(difference);
        row[4] = bare ? difference : br_arena_printf(arena, "+%s", difference);
        row[5] = column->largest != 0 ? br_arena_printf(arena, "%g", column->largest) : "";
    }
    print_table(&table, "  ", out);
}

// --- samples
// Members that differ, as "name: before -> after". A member that one row lacks is null there.
static void print_members(const Braid__V1__RowDifference *sample, struct br_arena *arena, struct br_buffer *out) {
    struct br_json before, after, value, other;
    struct br_error error;
    struct br_slice name;
    if (br_json_parse(br_slice_of(sample->before), &before, &error) != BR_OK || before.kind != BR_JSON_OBJECT ||
        br_json_parse(br_slice_of(sample->after), &after, &error) != BR_OK || after.kind != BR_JSON_OBJECT)
        return;
    static const struct br_json null = {.kind = BR_JSON_NULL, .text = {(const uint8_t *)"null", 4}};
    struct br_json_walk walk = br_json_begin(&before);
    while (br_json_next(&walk, arena, &name, &value)) {
        if (!br_json_member(&after, br_arena_strndup(arena, (const char *)name.ptr, name.len), arena, &other))
            other = null;
        if (!br_slice_equal(value.text, other.text))
            br_buffer_printf(out, "      %.*s: %.*s -> %.*s\n", (int)name.len, (const char *)name.ptr,
                             (int)value.text.len, (const char *)value.text.ptr, (int)other.text.len,
                             (const char *)other.text.ptr);
    }
    walk = br_json_begin(&after);
    while (br_json_next(&walk, arena, &name, &value))
        if (!br_json_member(&before, br_arena_strndup(arena, (const char *)name.ptr, name.len), arena, &other) &&
            value.kind != BR_JSON_NULL)
            br_buffer_printf(out, "      %.*s: null -> %.*s\n", (int)name.len, (const char *)name.ptr,
                             (int)value.text.len, (const char *)value.text.ptr);
}

static void print_samples(const Braid__V1__ViewReport *view, struct br_arena *arena, struct br_buffer *out) {
    for (size_t s = 0; s < view->n_samples; s++) {
        const Braid__V1__RowDifference *sample = view->samples[s];
        bool changed = sample->kind == BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_CHANGED;
        br_buffer_printf(out, "    %s (%s) %s\n", br_report_kind_name(sample->kind),
                         br_report_cause_name(sample->cause),
                         changed                ? sample->key
                         : *sample->before != 0 ? sample->before
                                                : sample->after);
        if (changed)
            print_members(sample, arena, out);
    }
}

// --- all
static void print_head(const Braid__V1__ReconcileReport *report, struct br_buffer *out) {
    if (*report->lineage_before == 0)
        return;
    br_buffer_printf(out, "%s%s%s: %s (epoch %" PRIu64 ") against %s (epoch %" PRIu64 "), %.1f s\n", report->pipeline,
                     *report->id != 0 ? " " : "", report->id, report->lineage_before, report->epoch_before,
                     report->lineage_after, report->epoch_after, report->seconds);
}

void br_report_print(const Braid__V1__ReconcileReport *report, struct br_buffer *out) {
    struct br_arena *arena = br_arena_create();
    print_head(report, out);
    print_views(report, arena, out);
    for (size_t v = 0; v < report->n_views; v++) {
        const Braid__V1__ViewReport *view = report->views[v];
        if (view->n_columns == 0 && view->n_samples == 0)
            continue;
        br_buffer_printf(out, "\n%s\n", view->view);
        print_columns(view, arena, out);
        print_samples(view, arena, out);
    }
    br_arena_destroy(&arena);
}
