// SPDX-License-Identifier: Apache-2.0
// Batches made to measure, copied, and compared; see operator_internal.h.
#include "processor/operators/operator_internal.h"

struct br_batch *br_batch_sized(struct br_arena *arena, const enum br_type *types, const bool *wanted,
                                uint32_t column_count, uint32_t row_capacity) {
    struct br_batch *batch = br_arena_new(arena, struct br_batch);
    batch->column_count = column_count;
    batch->columns = br_arena_array(arena, struct br_column, column_count);
    for (uint32_t c = 0; c < column_count; c++) {
        if (wanted == NULL || wanted[c])
            batch->columns[c] = br_column_create(arena, types[c], row_capacity);
        batch->columns[c].type = types[c];
        batch->columns[c].validity = br_validity_create(arena, row_capacity, false);
    }
    return batch;
}

struct br_batch *br_batch_weighted(const struct br_batch *batch, int32_t *weights, struct br_arena *arena) {
    struct br_batch *weighted = br_arena_alloc(arena, sizeof *weighted);
    *weighted = *batch;
    weighted->weights = weights;
    return weighted;
}

static bool values_identical(const struct br_column *a, uint32_t a_row, const struct br_column *b, uint32_t b_row) {
    bool a_null = a->values == NULL || br_column_is_null(a, a_row);
    bool b_null = b->values == NULL || br_column_is_null(b, b_row);
    if (a_null || b_null)
        return a_null == b_null;
    if (a->type == BR_TEXT || a->type == BR_BYTEA)
        return br_slice_equal(((const struct br_slice *)a->values)[a_row], ((const struct br_slice *)b->values)[b_row]);
    size_t width = br_type_width(a->type);
    return memcmp((const uint8_t *)a->values + a_row * width, (const uint8_t *)b->values + b_row * width, width) == 0;
}

bool br_rows_identical(const struct br_batch *a, uint32_t a_row, const struct br_batch *b, uint32_t b_row) {
    BR_CHECK(a->column_count == b->column_count);
    for (uint32_t c = 0; c < a->column_count; c++)
        if (!values_identical(&a->columns[c], a_row, &b->columns[c], b_row))
            return false;
    return true;
}
