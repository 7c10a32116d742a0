// SPDX-License-Identifier: Apache-2.0
// Booleans by words: AND, OR, NOT, IS …, and the filter. Three-valued logic on two bitmaps, TRUE and NULL.
#include "processor/expr/evaluate_internal.h"

static bool none_left(const struct scope *scope, const uint64_t *bits) {
    uint64_t any = 0;
    for (uint32_t w = 0; w < scope->words; w++)
        any |= bits[w];
    return any == 0;
}

static struct bits bits_of_vector(struct scope *scope, const struct br_vector *vector) {
    struct bits bits = {br_scope_bits(scope), NULL};
    if (vector->constant) {
        bool is_null = br_vector_is_null(vector, 0);
        bool is_true = !is_null && *(const uint8_t *)vector->column.values != 0;
        memset(bits.is_true, is_true ? 0xff : 0, scope->words * sizeof(uint64_t));
        if (is_null) {
            bits.is_null = br_scope_bits(scope);
            memset(bits.is_null, 0xff, scope->words * sizeof(uint64_t));
        }
        return bits;
    }
    br_bits_from_bytes(vector->column.values, scope->rows, bits.is_true);
    if (vector->column.validity != NULL) {
        bits.is_null = br_scope_bits(scope);
        for (uint32_t w = 0; w < scope->words; w++) {
            bits.is_null[w] = ~vector->column.validity[w];
            bits.is_true[w] &= vector->column.validity[w];
        }
    }
    return bits;
}

// AND and OR in one: the value that decides (FALSE for AND, TRUE for OR) takes a row out of what is left to look at.
static struct bits eval_junction(struct scope *scope, const struct br_expr *expr, const uint64_t *active) {
    bool is_and = expr->kind == BR_EXPR_AND;
    uint64_t *left = br_scope_bits(scope), *decided = br_scope_bits(scope), *null = br_scope_bits(scope);
    for (uint32_t w = 0; w < scope->words; w++) {
        left[w] = active == NULL ? br_word_mask(scope->rows, w) : active[w];
        decided[w] = null[w] = 0;
    }
    bool any_null = false;
    for (uint32_t i = 0; i < expr->argument_count; i++) {
        struct bits one = br_eval_bits(scope, expr->arguments[i], left);
        for (uint32_t w = 0; w < scope->words; w++) {
            uint64_t is_null = one.is_null == NULL ? 0 : one.is_null[w] & left[w];
            uint64_t decides = (is_and ? ~one.is_true[w] & ~is_null : one.is_true[w]) & left[w];
            null[w] |= is_null;
            decided[w] |= decides;
            left[w] &= ~decides;
        }
        any_null |= one.is_null != NULL;
        if (none_left(scope, left))
            break;
    }
    struct bits bits = {left, any_null ? null : NULL};
    for (uint32_t w = 0; w < scope->words; w++) {
        null[w] &= ~decided[w];
        bits.is_true[w] = is_and ? left[w] & ~null[w] : decided[w];
    }
    return bits;
}

static uint64_t null_word(const struct br_vector *vector, uint32_t word) {
    if (vector->column.validity == NULL)
        return 0;
    return ~(vector->constant ? 0 - (vector->column.validity[0] & 1) : vector->column.validity[word]);
}

static struct bits eval_is_null(struct scope *scope, const struct br_expr *expr, const uint64_t *active) {
    struct br_vector vector;
    br_eval_vector(scope, expr->arguments[0], active, &vector);
    struct bits bits = {br_scope_bits(scope), NULL};
    uint64_t flip = expr->kind == BR_EXPR_IS_NULL ? 0 : UINT64_MAX;
    for (uint32_t w = 0; w < scope->words; w++)
        bits.is_true[w] = null_word(&vector, w) ^ flip;
    return bits;
}

// Equal where both are there, or both NULL.
static struct bits eval_is_distinct(struct scope *scope, const struct br_expr *expr, const uint64_t *active) {
    struct br_vector sides[2];
    br_eval_vector(scope, expr->arguments[0], active, &sides[0]);
    br_eval_vector(scope, expr->arguments[1], active, &sides[1]);
    bool constant = sides[0].constant && sides[1].constant;
    uint32_t rows = constant ? 1 : scope->rows;
    uint64_t *live = br_scope_bits(scope), *equal = br_scope_bits(scope);
    for (uint32_t w = 0; w < br_words(rows); w++)
        live[w] = ~null_word(&sides[0], w) & ~null_word(&sides[1], w) &
                  (active == NULL || constant ? br_word_mask(rows, w) : active[w]);
    struct br_call call = {.expr = expr,
                           .arguments = sides,
                           .argument_count = 2,
                           .rows = rows,
                           .live = live,
                           .result = br_arena_calloc(scope->eval->arena, rows, 1),
                           .eval = scope->eval};
    br_equal_kernel(sides[0].column.type)(&call);
    br_bits_from_bytes(call.result, rows, equal);
    if (constant)
        for (uint32_t w = scope->words; w-- > 0;)
            equal[w] = 0 - (equal[0] & 1);
    struct bits bits = {equal, NULL};
    for (uint32_t w = 0; w < scope->words; w++) {
        uint64_t a = null_word(&sides[0], w), b = null_word(&sides[1], w);
        bits.is_true[w] = (a ^ b) | (~a & ~b & ~equal[w]);
    }
    return bits;
}

struct bits br_eval_bits(struct scope *scope, const struct br_expr *expr, const uint64_t *active) {
    struct bits bits;
    switch (expr->kind) {
    case BR_EXPR_AND:
    case BR_EXPR_OR:
        return eval_junction(scope, expr, active);
    case BR_EXPR_IS_NULL:
    case BR_EXPR_IS_NOT_NULL:
        return eval_is_null(scope, expr, active);
    case BR_EXPR_IS_DISTINCT:
        return eval_is_distinct(scope, expr, active);
    case BR_EXPR_NOT:
    case BR_EXPR_IS_FALSE:
        bits = br_eval_bits(scope, expr->arguments[0], active);
        for (uint32_t w = 0; w < scope->words; w++)
            bits.is_true[w] = ~bits.is_true[w] & (bits.is_null == NULL ? UINT64_MAX : ~bits.is_null[w]);
        if (expr->kind == BR_EXPR_IS_FALSE)
            bits.is_null = NULL;
        return bits;
    case BR_EXPR_IS_TRUE:
        bits = br_eval_bits(scope, expr->arguments[0], active);
        bits.is_null = NULL;
        return bits;
    default: {
        struct br_vector vector;
        br_eval_vector(scope, expr, active, &vector);
        BR_CHECK(vector.column.type == BR_BOOLEAN);
        return bits_of_vector(scope, &vector);
    }
    }
}

// --- filter
// Few rows of a word are picked one by one; else every row is written where the next one goes, and counts if its bit is
// set: no branch to mispredict. The row written last is never past the rows looked at.
#define FEW_ROWS 12

static uint32_t rows_of_bits(const uint64_t *bits, uint32_t words, uint32_t *rows) {
    uint32_t count = 0;
    for (uint32_t w = 0; w < words; w++) {
        uint64_t word = bits[w];
        uint32_t base = w * 64;
        if (word == UINT64_MAX) {
            for (uint32_t i = 0; i < 64; i++)
                rows[count + i] = base + i;
            count += 64;
        } else if (__builtin_popcountll(word) <= FEW_ROWS) {
            for (; word != 0; word &= word - 1)
                rows[count++] = base + (uint32_t)__builtin_ctzll(word);
        } else {
            for (uint32_t i = 0; i < 64; i++) {
                rows[count] = base + i;
                count += (uint32_t)(word >> i & 1);
            }
        }
    }
    return count;
}

enum br_status br_expr_filter(const struct br_expr *expr, const struct br_batch *batch, struct br_eval *eval,
                              uint32_t *ret_rows, uint32_t *ret_count, struct br_error *error) {
    BR_CHECK(expr->type == BR_BOOLEAN && batch->row_count <= BR_BATCH_ROWS);
    struct scope scope = {batch, eval, batch->row_count, br_words(batch->row_count)};
    if (scope.rows == 0) {
        *ret_count = 0;
        return BR_OK;
    }
    struct bits bits = br_eval_bits(&scope, expr, NULL);
    if (eval->ended != NULL) {
        *error = *eval->ended;
        return error->status;
    }
    for (uint32_t w = 0; w < scope.words; w++)
        bits.is_true[w] &= br_word_mask(scope.rows, w) & (eval->failed == NULL ? UINT64_MAX : ~eval->failed[w]);
    *ret_count = rows_of_bits(bits.is_true, scope.words, ret_rows);
    return BR_OK;
}
