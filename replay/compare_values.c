// SPDX-License-Identifier: Apache-2.0
// When two values are the same (compare.h, C3), for one row and for runs of rows whose keys are.
//
// Nearly all rows are equal, so a run is compared column by column as memory; only a column that isn't the same bytes
// is looked at row by row.
#include "replay/compare_internal.h"

#include <math.h>
#include <string.h>

static const struct br_column *column_of(const struct br_column_pair *pair, int side, const struct br_batch *batch) {
    if (pair->columns[side] == BR_NO_COLUMN)
        return NULL;
    const struct br_column *column = &batch->columns[pair->columns[side]];
    return column->values == NULL ? NULL : column;
}

static bool is_null(const struct br_column *column, uint32_t row) {
    return column == NULL || br_column_is_null(column, row);
}

static int64_t whole_number(const struct br_column *column, uint32_t row) {
    return column->type == BR_INTEGER ? ((const int32_t *)column->values)[row] : ((const int64_t *)column->values)[row];
}

static bool doubles_differ(double a, double b, double tolerance) {
    uint64_t a_bits, b_bits; // of zeros, the sign counts
    memcpy(&a_bits, &a, sizeof a);
    memcpy(&b_bits, &b, sizeof b);
    if (a_bits == b_bits || (isnan(a) && isnan(b)))
        return false;
    return !(fabs(a - b) <= tolerance);
}

static bool values_differ(const struct br_column_pair *pair, const struct br_column *a, uint32_t a_row,
                          const struct br_column *b, uint32_t b_row) {
    if (a->type != b->type) {
        bool whole = (a->type == BR_INTEGER || a->type == BR_BIGINT) && (b->type == BR_INTEGER || b->type == BR_BIGINT);
        return !whole || whole_number(a, a_row) != whole_number(b, b_row);
    }
    if (a->type == BR_TEXT || a->type == BR_BYTEA)
        return !br_slice_equal(((const struct br_slice *)a->values)[a_row],
                               ((const struct br_slice *)b->values)[b_row]);
    if (a->type == BR_DOUBLE)
        return doubles_differ(((const double *)a->values)[a_row], ((const double *)b->values)[b_row], pair->tolerance);
    size_t width = br_type_width(a->type);
    return memcmp((const uint8_t *)a->values + a_row * width, (const uint8_t *)b->values + b_row * width, width) != 0;
}

static bool cells_differ(const struct br_column_pair *pair, const struct br_column *a, uint32_t a_row,
                         const struct br_column *b, uint32_t b_row) {
    bool a_null = is_null(a, a_row), b_null = is_null(b, b_row);
    return a_null != b_null || (!a_null && values_differ(pair, a, a_row, b, b_row));
}

bool br_pair_differs(const struct br_column_pair *pair, const struct br_batch *before, uint32_t before_row,
                     const struct br_batch *after, uint32_t after_row) {
    return cells_differ(pair, column_of(pair, BR_SIDE_BEFORE, before), before_row,
                        column_of(pair, BR_SIDE_AFTER, after), after_row);
}

// --- runs
// The bits of rows row … row + 63; those of a word that isn't needed are anything.
static uint64_t validity_at(const struct br_column *column, uint32_t row, uint32_t count) {
    if (column->validity == NULL)
        return UINT64_MAX;
    uint32_t word = row / 64, shift = row % 64;
    uint64_t bits = column->validity[word] >> shift;
    if (shift != 0 && shift + count > 64)
        bits |= column->validity[word + 1] << (64 - shift);
    return bits;
}

static bool same_validity(const struct br_column *a, uint32_t a_row, const struct br_column *b, uint32_t b_row,
                          uint32_t count) {
    uint64_t differing = 0;
    for (uint32_t i = 0; i < count; i += 64) {
        uint32_t part = count - i < 64 ? count - i : 64;
        uint64_t mask = part == 64 ? UINT64_MAX : (UINT64_C(1) << part) - 1;
        differing |= (validity_at(a, a_row + i, part) ^ validity_at(b, b_row + i, part)) & mask;
    }
    return differing == 0;
}

// The same bytes and NULLs? Values of NULL rows are anything, so no is not yet a difference.
static bool same_memory(const struct br_column *a, uint32_t a_row, const struct br_column *b, uint32_t b_row,
                        uint32_t count) {
    if (a->type != b->type || a->type == BR_TEXT || a->type == BR_BYTEA)
        return false;
    size_t width = br_type_width(a->type);
    return memcmp((const uint8_t *)a->values + a_row * width, (const uint8_t *)b->values + b_row * width,
                  count * width) == 0 &&
           same_validity(a, a_row, b, b_row, count);
}

bool br_rows_differ(const struct br_view_pair *pair, const struct br_batch *before, uint32_t before_row,
                    const struct br_batch *after, uint32_t after_row, uint32_t count, bool *differs) {
    bool any = false;
    memset(differs, 0, count * sizeof *differs);
    for (uint32_t c = 0; c < pair->column_count; c++) {
        const struct br_column_pair *column = &pair->columns[c];
        const struct br_column *a = column_of(column, BR_SIDE_BEFORE, before);
        const struct br_column *b = column_of(column, BR_SIDE_AFTER, after);
        if ((a == NULL && b == NULL) || (a != NULL && b != NULL && same_memory(a, before_row, b, after_row, count)))
            continue;
        for (uint32_t i = 0; i < count; i++) {
            bool differ = cells_differ(column, a, before_row + i, b, after_row + i);
            differs[i] |= differ;
            any |= differ;
        }
    }
    return any;
}
