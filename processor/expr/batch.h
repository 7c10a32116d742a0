// SPDX-License-Identifier: Apache-2.0
// A batch: columns of up to BR_BATCH_ROWS rows, with validity bitmaps and weights. What operators take and give.
//
// B1. columns[i].values points at row_count values of br_type_width(type) bytes, or is NULL for a column that nobody
// reads (pruned by the plan). B2. validity NULL: no NULLs. Else bit r set: row r is not NULL. Values of NULL rows are
// undefined but readable. B3. weights NULL: every row +1. Else weights[r] is ±n, never 0. B4. origins NULL: rows have
// no event of their own. Else origins[r] is the index of the event (struct br_events of the epoch) that the row comes
// from, or
//     BR_NO_ORIGIN. Quarantine and late ledger use it.
// B5. A batch is immutable once handed on; columns may be shared between batches (projection shares pointers). It lives
// until the end
//     of the step that made it unless an operator says otherwise: who wants rows longer, copies them (row.h).
#ifndef BR_PROCESSOR_EXPR_BATCH_H
#define BR_PROCESSOR_EXPR_BATCH_H

#include "processor/expr/types.h"

#define BR_BATCH_ROWS 2048
#define BR_VALIDITY_WORDS (BR_BATCH_ROWS / 64)
#define BR_NO_ORIGIN UINT32_MAX

struct br_column {
    enum br_type type;
    void *values;
    uint64_t *validity;
};

struct br_batch {
    uint32_t row_count;
    uint32_t column_count;
    struct br_column *columns;
    int32_t *weights;
    uint32_t *origins;
};

static inline bool br_column_is_null(const struct br_column *column, uint32_t row) {
    return column->validity != NULL && (column->validity[row / 64] >> (row % 64) & 1) == 0;
}
static inline void br_bit_set(uint64_t *bits, uint32_t row) {
    bits[row / 64] |= UINT64_C(1) << (row % 64);
}
static inline void br_bit_clear(uint64_t *bits, uint32_t row) {
    bits[row / 64] &= ~(UINT64_C(1) << (row % 64));
}
static inline bool br_bit(const uint64_t *bits, uint32_t row) {
    return (bits[row / 64] >> (row % 64) & 1) != 0;
}
static inline int32_t br_batch_weight(const struct br_batch *batch, uint32_t row) {
    return batch->weights == NULL ? 1 : batch->weights[row];
}
static inline uint32_t br_batch_origin(const struct br_batch *batch, uint32_t row) {
    return batch->origins == NULL ? BR_NO_ORIGIN : batch->origins[row];
}

// An empty batch with room for BR_BATCH_ROWS rows: value arrays of every column (but where wanted is given and false),
// validity all set to NULL bits (0), no weights, no origins. With zero rows.
struct br_batch *br_batch_create(struct br_arena *arena, const enum br_type *types, const bool *wanted,
                                 uint32_t column_count);
// Weight array all +1 / origin array all BR_NO_ORIGIN, made when missing.
void br_batch_need_weights(struct br_batch *batch, struct br_arena *arena);
void br_batch_need_origins(struct br_batch *batch, struct br_arena *arena);
// A column for row_count values of the type; validity NULL.
struct br_column br_column_create(struct br_arena *arena, enum br_type type, uint32_t row_count);
uint64_t *br_validity_create(struct br_arena *arena, uint32_t row_count, bool valid);

struct br_value br_column_get(const struct br_column *column, uint32_t row); // text borrowed
void br_column_set(struct br_column *column, uint32_t row,
                   const struct br_value *value); // column needs validity; text borrowed

// The rows rows[0..count) of a batch as a new batch (gather; all columns, weights, origins). Shares the source when all
// rows are taken in order.
struct br_batch *br_batch_select(const struct br_batch *batch, const uint32_t *rows, uint32_t count,
                                 struct br_arena *arena);

// A copy that shares nothing: text too.
struct br_batch *br_batch_copy(const struct br_batch *batch, struct br_arena *arena);

#endif
