// SPDX-License-Identifier: Apache-2.0
// What is said about the rows of a view that differ: how many and why, which columns, sums of numbers, samples.
#include "processor/codec/encode.h"
#include "replay/compare_internal.h"
#include "replay/exact_sum.h"

#include <math.h>

// A sum of doubles as two: what the first rounds off is kept in the second, so that no rounding shows. The same on
// every processor, which a long double isn't.
struct double_sum {
    double high, low;
};

// One column's numbers on one side.
struct column_sum {
    struct br_exact_sum *exact; // NULL: doubles, or no number
    struct double_sum real;
    uint64_t count;
};

struct column_tally {
    struct column_sum sums[BR_SIDES];
    uint64_t rows;
    double largest;
};

struct br_tally {
    const struct br_view_pair *pair;
    const struct br_compare_options *options;
    struct br_view_report *report;
    struct br_arena *arena; // of the report
    struct column_tally *columns;
    struct br_row_report *samples[BR_DIFFERENCE_KINDS];
    size_t sample_counts[BR_DIFFERENCE_KINDS];
    struct br_buffer key, text;
};

static bool is_exact(enum br_type type) {
    return type == BR_INTEGER || type == BR_BIGINT || type == BR_NUMERIC;
}

static bool is_number(enum br_type type) {
    return is_exact(type) || type == BR_DOUBLE;
}

struct br_tally *br_tally_create(const struct br_view_pair *pair, const struct br_compare_options *options,
                                 struct br_view_report *report, struct br_arena *arena) {
    struct br_tally *tally = br_calloc(1, sizeof *tally);
    *tally = (struct br_tally){.pair = pair, .options = options, .report = report, .arena = arena};
    tally->columns = br_calloc(pair->column_count + 1, sizeof *tally->columns);
    for (uint32_t c = 0; c < pair->column_count; c++)
        for (int side = 0; side < BR_SIDES; side++)
            if (is_exact(pair->columns[c].types[side]) && !pair->columns[c].key)
                tally->columns[c].sums[side].exact = br_calloc(1, sizeof *tally->columns[c].sums[side].exact);
    for (int kind = 0; kind < BR_DIFFERENCE_KINDS; kind++)
        tally->samples[kind] = br_calloc(options->samples + 1, sizeof *tally->samples[kind]);
    return tally;
}

void br_tally_destroy(struct br_tally **ref) {
    struct br_tally *tally = *ref;
    *ref = NULL;
    if (tally == NULL)
        return;
    for (uint32_t c = 0; c < tally->pair->column_count; c++)
        for (int side = 0; side < BR_SIDES; side++)
            free(tally->columns[c].sums[side].exact);
    for (int kind = 0; kind < BR_DIFFERENCE_KINDS; kind++)
        free(tally->samples[kind]);
    free(tally->columns);
    br_buffer_free(&tally->key);
    br_buffer_free(&tally->text);
    free(tally);
}

// --- sums
static struct double_sum add_double(struct double_sum sum, double value) {
    double high = sum.high + value;
    double part = high - sum.high;
    if (!isfinite(high)) // nothing is rounded off
        return (struct double_sum){high, 0};
    return (struct double_sum){high, sum.low + ((sum.high - (high - part)) + (value - part))};
}

static void add_value(struct column_sum *sum, const struct br_column *column, uint32_t row, int64_t count) {
    sum->count += (uint64_t)count;
    switch (column->type) {
    case BR_INTEGER:
        br_exact_sum_add(sum->exact, br_numeric_from_int64(((const int32_t *)column->values)[row]), count);
        return;
    case BR_BIGINT:
        br_exact_sum_add(sum->exact, br_numeric_from_int64(((const int64_t *)column->values)[row]), count);
        return;
    case BR_NUMERIC:
        br_exact_sum_add(sum->exact, ((const struct br_numeric *)column->values)[row], count);
        return;
    default:
        sum->real = add_double(sum->real, ((const double *)column->values)[row] * (double)count);
    }
}

static void add_sums(struct br_tally *tally, int side, const struct br_batch *batch, uint32_t row, int64_t count) {
    for (uint32_t c = 0; batch != NULL && c < tally->pair->column_count; c++) {
        const struct br_column_pair *pair = &tally->pair->columns[c];
        if (!is_number(pair->types[side]) || pair->key)
            continue;
        const struct br_column *column = &batch->columns[pair->columns[side]];
        if (column->values != NULL && !br_column_is_null(column, row))
            add_value(&tally->columns[c].sums[side], column, row, count);
    }
}

static void note_distance(struct column_tally *column, const struct br_column *a, uint32_t a_row,
                          const struct br_column *b, uint32_t b_row) {
    if (a->values == NULL || b->values == NULL || br_column_is_null(a, a_row) || br_column_is_null(b, b_row))
        return;
    double distance = fabs(((const double *)b->values)[b_row] - ((const double *)a->values)[a_row]);
    if (distance > column->largest)
        column->largest = distance;
}

static void compare_columns(struct br_tally *tally, const struct br_batch *before, uint32_t before_row,
                            const struct br_batch *after, uint32_t after_row) {
    for (uint32_t c = 0; c < tally->pair->column_count; c++) {
        const struct br_column_pair *pair = &tally->pair->columns[c];
        struct column_tally *column = &tally->columns[c];
        if (!br_pair_differs(pair, before, before_row, after, after_row))
            continue;
        column->rows++;
        if (pair->types[0] == BR_DOUBLE && pair->types[1] == BR_DOUBLE)
            note_distance(column, &before->columns[pair->columns[0]], before_row, &after->columns[pair->columns[1]],
                          after_row);
    }
}

// --- samples
static const char *json_row(struct br_tally *tally, const struct br_view *view, const struct br_batch *batch,
                            uint32_t row, const uint32_t *columns, uint32_t count) {
    br_buffer_clear(&tally->text);
    br_json_encode_row(&view->row_type, batch, row, columns, columns == NULL ? batch->column_count : count,
                       &tally->text);
    return br_arena_strndup(tally->arena, (const char *)tally->text.ptr, tally->text.len);
}

static void keep_sample(struct br_tally *tally, const struct br_difference *difference) {
    size_t *count = &tally->sample_counts[difference->kind];
    if (*count == tally->options->samples)
        return;
    const struct br_view_pair *pair = tally->pair;
    struct br_row_report *sample = &tally->samples[difference->kind][(*count)++];
    *sample = (struct br_row_report){.kind = difference->kind, .cause = difference->cause, .count = difference->count};
    if (difference->before != NULL)
        sample->before = json_row(tally, difference->before_view, difference->before, difference->before_row, NULL, 0);
    if (difference->after != NULL)
        sample->after = json_row(tally, difference->after_view, difference->after, difference->after_row, NULL, 0);
    if (!pair->keyed)
        return;
    int side = difference->before != NULL ? BR_SIDE_BEFORE : BR_SIDE_AFTER;
    sample->key = json_row(tally, pair->views[side], side == BR_SIDE_BEFORE ? difference->before : difference->after,
                           side == BR_SIDE_BEFORE ? difference->before_row : difference->after_row,
                           pair->key_columns[side], pair->key_count[side]);
}

// --- one row
static struct br_slice key_of(struct br_tally *tally, int side, const struct br_batch *batch, uint32_t row) {
    br_buffer_clear(&tally->key);
    for (uint32_t k = 0; k < tally->pair->key_count[side]; k++)
        br_key_append_value(&tally->key, &batch->columns[tally->pair->key_columns[side][k]], row);
    return br_buffer_slice(&tally->key);
}

enum br_status br_tally_add(struct br_tally *tally, const struct br_batch *before, uint32_t before_row,
                            const struct br_batch *after, uint32_t after_row, int64_t count, struct br_error *error) {
    const struct br_compare_options *options = tally->options;
    struct br_view_report *report = tally->report;
    struct br_difference difference = {.before_view = tally->pair->views[BR_SIDE_BEFORE],
                                       .after_view = tally->pair->views[BR_SIDE_AFTER],
                                       .before = before,
                                       .before_row = before_row,
                                       .after = after,
                                       .after_row = after_row,
                                       .count = count};
    difference.kind = before == NULL  ? BR_DIFFERENCE_EXTRA
                      : after == NULL ? BR_DIFFERENCE_MISSING
                                      : BR_DIFFERENCE_CHANGED;
    difference.key = before != NULL ? key_of(tally, BR_SIDE_BEFORE, before, before_row)
                                    : key_of(tally, BR_SIDE_AFTER, after, after_row);
    if (options->cause != NULL)
        difference.cause = options->cause(options->cause_context, &difference);
    uint64_t *kinds[] = {&report->changed, &report->missing, &report->extra};
    *kinds[difference.kind] += (uint64_t)count;
    report->causes[difference.cause] += (uint64_t)count;
    if (difference.kind == BR_DIFFERENCE_CHANGED)
        compare_columns(tally, before, before_row, after, after_row);
    add_sums(tally, BR_SIDE_BEFORE, before, before_row, count);
    add_sums(tally, BR_SIDE_AFTER, after, after_row, count);
    keep_sample(tally, &difference);
    return options->each == NULL ? BR_OK : options->each(options->each_context, &difference, error);
}

// --- the end
static const char *take_text(struct br_tally *tally) {
    return br_arena_strndup(tally->arena, (const char *)tally->text.ptr, tally->text.len);
}

static const char *real_text(struct br_tally *tally, struct double_sum sum) {
    char text[BR_DOUBLE_TEXT_SIZE];
    return br_arena_strndup(tally->arena, text, br_double_print(sum.high + sum.low, text));
}

static const char *sum_text(struct br_tally *tally, const struct column_sum *sum) {
    if (sum->count == 0)
        return NULL;
    if (sum->exact == NULL)
        return real_text(tally, sum->real);
    br_buffer_clear(&tally->text);
    br_exact_sum_print(sum->exact, NULL, &tally->text);
    return take_text(tally);
}

// A side without values counts as zero. NULL when exact numbers became doubles or the other way round.
static const char *difference_text(struct br_tally *tally, const struct column_sum *before,
                                   const struct column_sum *after) {
    static const struct br_exact_sum zero;
    if (before->count == 0 && after->count == 0)
        return NULL;
    bool exact = (before->exact != NULL || before->count == 0) && (after->exact != NULL || after->count == 0);
    bool real = (before->exact == NULL || before->count == 0) && (after->exact == NULL || after->count == 0);
    if (!exact && !real)
        return NULL;
    if (!exact)
        return real_text(tally, add_double(add_double(after->real, -before->real.high), -before->real.low));
    br_buffer_clear(&tally->text);
    br_exact_sum_print(after->count != 0 ? after->exact : &zero, before->count != 0 ? before->exact : &zero,
                       &tally->text);
    return take_text(tally);
}

void br_tally_finish(struct br_tally *tally) {
    const struct br_view_pair *pair = tally->pair;
    struct br_view_report *report = tally->report;
    report->columns = br_arena_array(tally->arena, struct br_column_report, pair->column_count + 1);
    for (uint32_t c = 0; c < pair->column_count; c++) {
        const struct column_tally *column = &tally->columns[c];
        const struct column_sum *before = &column->sums[BR_SIDE_BEFORE], *after = &column->sums[BR_SIDE_AFTER];
        if (column->rows == 0 && before->count == 0 && after->count == 0)
            continue;
        report->columns[report->column_count++] =
            (struct br_column_report){.name = pair->columns[c].name,
                                      .before_type = pair->columns[c].types[BR_SIDE_BEFORE],
                                      .after_type = pair->columns[c].types[BR_SIDE_AFTER],
                                      .rows = column->rows,
                                      .sum_before = sum_text(tally, before),
                                      .sum_after = sum_text(tally, after),
                                      .sum_difference = difference_text(tally, before, after),
                                      .largest = column->largest};
    }
    size_t total = 0;
    for (int kind = 0; kind < BR_DIFFERENCE_KINDS; kind++)
        total += tally->sample_counts[kind];
    report->samples = br_arena_array(tally->arena, struct br_row_report, total + 1);
    for (int kind = 0; kind < BR_DIFFERENCE_KINDS; kind++)
        for (size_t s = 0; s < tally->sample_counts[kind]; s++)
            report->samples[report->sample_count++] = tally->samples[kind][s];
}
