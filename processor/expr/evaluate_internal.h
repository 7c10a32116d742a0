// SPDX-License-Identifier: Apache-2.0
// Between evaluate.c and predicate.c.
#ifndef BR_PROCESSOR_EXPR_EVALUATE_INTERNAL_H
#define BR_PROCESSOR_EXPR_EVALUATE_INTERNAL_H

#include "processor/expr/expr_internal.h"

struct scope {
    const struct br_batch *batch;
    struct br_eval *eval;
    uint32_t rows, words;
};

// A boolean result by words. Rows that weren't active: undefined. A row that is_null has no is_true.
struct bits {
    uint64_t *is_true;
    uint64_t *is_null; // NULL: none
};

static inline uint64_t *br_scope_bits(struct scope *scope) {
    return br_arena_alloc(scope->eval->arena, scope->words * sizeof(uint64_t));
}
void br_eval_vector(struct scope *scope, const struct br_expr *expr, const uint64_t *active, struct br_vector *ret);
struct bits br_eval_bits(struct scope *scope, const struct br_expr *expr, const uint64_t *active);
void br_bits_from_bytes(const uint8_t *bytes, uint32_t rows, uint64_t *bits);
void br_vector_set_null(enum br_type type, struct br_arena *arena, struct br_vector *ret);

#endif
