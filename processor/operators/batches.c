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

static void copy_texts(struct br_column *to, const struct br_column *from, uint32_t row_count, struct br_arena *arena) {
    const struct br_slice *texts = from->values;
    struct br_slice *copies = to->values;
    size_t size = 0;
    for (uint32_t r = 0; r < row_count; r++)
        if (!br_column_is_null(from, r))
            size += texts[r].len;
    uint8_t *at = br_arena_alloc(arena, size);
    for (uint32_t r = 0; r < row_count; r++) {
        if (br_column_is_null(from, r)) {
            copies[r] = (struct br_slice){NULL, 0};
            continue;
        }
        if (texts[r].len != 0)
            memcpy(at, texts[r].ptr, texts[r].len);
        copies[r] = (struct br_slice){at, texts[r].len};
        at += texts[r].len;
    }
}

static struct br_column copy_column(const struct br_column *from, uint32_t row_count, struct br_arena *arena) {
    struct br_column to = {.type = from->type};
    if (from->values == NULL)
        return to;
    if (from->validity != NULL) {
        size_t words = (row_count + 63) / 64;
        to.validity = br_arena_alloc(arena, words * sizeof *to.validity);
        memcpy(to.validity, from->validity, words * sizeof *to.validity);
    }
    size_t size = row_count * br_type_width(from->type);
    to.values = br_arena_alloc(arena, size);
    if (from->type == BR_TEXT || from->type == BR_BYTEA)
        copy_texts(&to, from, row_count, arena);
    else
        memcpy(to.values, from->values, size);
    return to;
}

struct br_batch *br_batch_copy(const struct br_batch *batch, struct br_arena *arena) {
    struct br_batch *copy = br_arena_new(arena, struct br_batch);
    copy->row_count = batch->row_count;
    copy->column_count = batch->column_count;
    copy->columns = br_arena_array(arena, struct br_column, batch->column_count);
    for (uint32_t c = 0; c < batch->column_count; c++)
        copy->columns[c] = copy_column(&batch->columns[c], batch->row_count, arena);
    if (batch->weights != NULL) {
        copy->weights = br_arena_alloc(arena, batch->row_count * sizeof *copy->weights);
        memcpy(copy->weights, batch->weights, batch->row_count * sizeof *copy->weights);
    }
    if (batch->origins != NULL) {
        copy->origins = br_arena_alloc(arena, batch->row_count * sizeof *copy->origins);
        memcpy(copy->origins, batch->origins, batch->row_count * sizeof *copy->origins);
    }
    return copy;
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
