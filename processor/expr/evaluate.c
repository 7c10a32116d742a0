// SPDX-License-Identifier: Apache-2.0
// Vectorised evaluation; see expr.h.
//
// Two forms of a result: a vector (values and validity), and, for booleans, bits (predicate.c's way to AND, OR and
// filter: words at a time). Each kind of expression is evaluated in the form that is natural to it and turned into the
// other when it is asked for. `active` narrows on the way down: V1. bits past the batch's rows are 0; V2. a subtree is
// evaluated for rows that need it; what it gives for others is never looked at.
#include "processor/expr/evaluate_internal.h"

#include "processor/expr/datetime.h"
#include "processor/expr/numeric.h"

#include <stdio.h>

#define FIRST_ERROR_ROOM 16
// How many rows a kernel over texts works on between two looks of a watch: as few as keep the texts that it makes
// within WATCHED_BYTES.
#define WATCHED_ROWS_FIRST 16
#define WATCHED_ROWS_MAX 256
#define WATCHED_BYTES ((size_t)1 << 20)

// --- errors of rows
static void add_error(struct br_eval *eval, uint32_t rows, uint32_t row, const char *message) {
    if (eval->failed == NULL)
        eval->failed = br_validity_create(eval->arena, rows > BR_BATCH_ROWS ? rows : BR_BATCH_ROWS, false);
    if (br_bit(eval->failed, row))
        return;
    br_bit_set(eval->failed, row);
    // Room doubles at powers of two: it is known from the count.
    uint32_t count = eval->error_count;
    if (count == 0 || (count >= FIRST_ERROR_ROOM && (count & (count - 1)) == 0)) {
        uint32_t room = count == 0 ? FIRST_ERROR_ROOM : 2 * count;
        struct br_row_error *errors = br_arena_alloc(eval->arena, room * sizeof *errors);
        if (count != 0)
            memcpy(errors, eval->errors, count * sizeof *errors);
        eval->errors = errors;
    }
    eval->errors[eval->error_count++] = (struct br_row_error){row, message};
}

uint64_t *br_call_own_validity(struct br_call *call) {
    if (call->owns_validity)
        return call->validity;
    uint64_t *own = br_validity_create(call->eval->arena, call->rows, true);
    if (call->validity != NULL)
        memcpy(own, call->validity, br_words(call->rows) * sizeof *own);
    call->validity = own;
    call->owns_validity = true;
    return own;
}

void br_call_set_null(struct br_call *call, uint32_t row) {
    br_bit_clear(br_call_own_validity(call), row);
}

void br_call_fail(struct br_call *call, uint32_t row, const char *message) {
    br_call_set_null(call, row);
    add_error(call->eval, call->rows, row, message);
}

void br_call_fail_printf(struct br_call *call, uint32_t row, const char *format, ...) {
    char text[BR_ERROR_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    br_call_fail(call, row, br_arena_strdup(call->eval->arena, text));
}

// --- bits and bytes
static bool all_set(const uint64_t *bits, uint32_t rows) {
    uint64_t missing = 0;
    for (uint32_t w = 0; w < br_words(rows); w++)
        missing |= ~bits[w] & br_word_mask(rows, w);
    return missing == 0;
}

static const uint64_t ONES = UINT64_C(0x0101010101010101);

void br_bits_from_bytes(const uint8_t *bytes, uint32_t rows, uint64_t *bits) {
    for (uint32_t w = 0; w < rows / 64; w++) {
        uint64_t word = 0;
        for (unsigned b = 0; b < 8; b++) {
            uint64_t eight;
            memcpy(&eight, bytes + w * 64 + b * 8, sizeof eight);
            // The multiplication gathers the low bit of byte i at bit 56 + i.
            word |= ((eight & ONES) * UINT64_C(0x0102040810204080) >> 56) << (8 * b);
        }
        bits[w] = word;
    }
    if (rows % 64 != 0) {
        uint64_t word = 0;
        for (uint32_t r = rows / 64 * 64; r < rows; r++)
            word |= (uint64_t)(bytes[r] & 1) << (r % 64);
        bits[rows / 64] = word;
    }
}

static void bytes_from_bits(const uint64_t *bits, uint32_t rows, uint8_t *bytes) {
    for (uint32_t w = 0; w < rows / 64; w++)
        for (unsigned b = 0; b < 8; b++) {
            // Each byte keeps its own bit of the eight; then any bit set becomes 1.
            uint64_t spread = ((bits[w] >> (8 * b) & 0xff) * ONES) & UINT64_C(0x8040201008040201);
            uint64_t eight = (spread + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7 & ONES;
            memcpy(bytes + w * 64 + b * 8, &eight, sizeof eight);
        }
    for (uint32_t r = rows / 64 * 64; r < rows; r++)
        bytes[r] = bits[r / 64] >> (r % 64) & 1;
}

static void vector_of_bits(struct scope *scope, const struct bits *bits, struct br_vector *ret) {
    uint8_t *bytes = br_arena_alloc(scope->eval->arena, scope->rows);
    bytes_from_bits(bits->is_true, scope->rows, bytes);
    uint64_t *validity = NULL;
    if (bits->is_null != NULL) {
        validity = br_scope_bits(scope);
        for (uint32_t w = 0; w < scope->words; w++)
            validity[w] = ~bits->is_null[w];
    }
    *ret = (struct br_vector){.column = {BR_BOOLEAN, bytes, validity}};
}

// --- constants
static const uint64_t NO_BITS = 0;

void br_vector_set_null(enum br_type type, struct br_arena *arena, struct br_vector *ret) {
    void *values = br_arena_calloc(arena, 1, 16);
    *ret = (struct br_vector){.column = {type, values, (uint64_t *)(uintptr_t)&NO_BITS}, .constant = true};
}

static void eval_const(struct scope *scope, const struct br_expr *expr, struct br_vector *ret) {
    if (expr->value.is_null) {
        br_vector_set_null(expr->type, scope->eval->arena, ret);
        return;
    }
    // The value of each type begins where the union does.
    ret->column = (struct br_column){expr->type, (void *)(uintptr_t)&expr->value.boolean, NULL};
    ret->constant = true;
}

// --- columns
static void eval_column(struct scope *scope, const struct br_expr *expr, struct br_vector *ret) {
    BR_CHECK(expr->column < scope->batch->column_count);
    const struct br_column *column = &scope->batch->columns[expr->column];
    BR_CHECK(column->type == expr->type);
    BR_CHECK(column->values != NULL || scope->rows == 0);
    *ret = (struct br_vector){.column = *column};
    if (column->validity != NULL && all_set(column->validity, scope->rows))
        ret->column.validity = NULL;
}

// --- under a watch
static bool look(struct br_eval *eval) {
    struct br_error why;
    if (eval->watch == NULL || eval->ended != NULL)
        return eval->ended == NULL;
    if (eval->watch->look(eval->watch->context, br_arena_footprint(eval->arena), &why) == BR_OK)
        return true;
    eval->ended = br_arena_alloc(eval->arena, sizeof *eval->ended);
    *eval->ended = why;
    return false;
}

// --- calls
// Validity of a strict call's result: the arguments' together. Shares an argument's bitmap when only one has any.
static uint64_t *strict_validity(struct scope *scope, const struct br_vector *arguments, uint32_t count,
                                 bool *ret_owned) {
    uint64_t *validity = NULL;
    *ret_owned = false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *other = arguments[i].constant ? NULL : arguments[i].column.validity;
        if (other == NULL)
            continue;
        if (validity == NULL) {
            validity = other;
            continue;
        }
        if (!*ret_owned) {
            uint64_t *own = br_scope_bits(scope);
            memcpy(own, validity, scope->words * sizeof *own);
            validity = own;
            *ret_owned = true;
        }
        for (uint32_t w = 0; w < scope->words; w++)
            validity[w] &= other[w];
    }
    return validity;
}

static const uint64_t *live_rows(struct scope *scope, const uint64_t *active, const uint64_t *validity) {
    if (validity == NULL)
        return active;
    uint64_t *live = br_scope_bits(scope);
    for (uint32_t w = 0; w < scope->words; w++)
        live[w] = validity[w] & (active == NULL ? br_word_mask(scope->rows, w) : active[w]);
    return live;
}

// All arguments are constant (a call that reads the clock, or over one that does): one row stands for all.
static void call_constant(struct scope *scope, const struct br_expr *expr, const struct br_vector *arguments,
                          const uint64_t *active, struct br_vector *ret) {
    struct br_eval once = {.arena = scope->eval->arena, .now = scope->eval->now}; // one row: needs no watch
    struct br_call call = {.expr = expr,
                           .arguments = arguments,
                           .argument_count = expr->argument_count,
                           .rows = 1,
                           .result = br_arena_calloc(once.arena, 1, 16),
                           .eval = &once};
    expr->function->kernel(&call);
    if (!look(scope->eval)) {
        br_vector_set_null(expr->type, scope->eval->arena, ret);
        return;
    }
    if (once.error_count == 0) {
        *ret = (struct br_vector){.column = {expr->type, call.result, call.validity}, .constant = true};
        return;
    }
    for (uint32_t r = 0; r < scope->rows; r++)
        if (active == NULL || br_bit(active, r))
            add_error(scope->eval, scope->rows, r, once.errors[0].message);
    br_vector_set_null(expr->type, once.arena, ret);
}

// Kernels over texts and numerics take as long as their values are long, and texts may grow.
static bool varies(enum br_type type) {
    return type == BR_TEXT || type == BR_BYTEA || type == BR_NUMERIC;
}

static bool is_long(const struct br_call *call) {
    bool is = varies(call->expr->type);
    for (uint32_t i = 0; i < call->argument_count; i++)
        is |= varies(call->arguments[i].column.type);
    return is;
}

// Rows are computed part by part; what a kernel writes in the rows of other parts isn't taken (E1). False when the
// watch has ended it.
static bool run_watched(struct scope *scope, struct br_call *call) {
    struct br_arena *arena = scope->eval->arena;
    const struct br_call whole = *call;
    size_t width = br_type_width(call->expr->type);
    uint8_t *taken = br_arena_alloc(arena, call->rows * width);
    uint64_t *part = br_scope_bits(scope), *valid = br_validity_create(arena, call->rows, true);
    bool any_null = false;
    uint32_t rows = WATCHED_ROWS_FIRST;
    for (uint32_t begin = 0, end; begin < whole.rows; begin = end) {
        end = whole.rows - begin < rows ? whole.rows : begin + rows;
        size_t before = br_arena_footprint(arena);
        memset(part, 0, scope->words * sizeof *part);
        for (uint32_t r = begin; r < end; r++)
            if (whole.live == NULL || br_bit(whole.live, r))
                br_bit_set(part, r);
        *call = whole;
        call->live = part;
        call->expr->function->kernel(call);
        memcpy(taken + begin * width, (const uint8_t *)call->result + begin * width, (end - begin) * width);
        for (uint32_t r = begin; r < end; r++)
            if (call->validity != NULL && !br_bit(call->validity, r)) {
                br_bit_clear(valid, r);
                any_null = true;
            }
        if (!look(scope->eval))
            return false;
        bool much = br_arena_footprint(arena) - before > WATCHED_BYTES;
        rows = much ? (rows > 4 ? rows / 4 : 1) : rows < WATCHED_ROWS_MAX ? 2 * rows : rows;
    }
    *call = whole;
    call->result = taken;
    call->validity = any_null ? valid : NULL;
    return true;
}

static bool run_kernel(struct scope *scope, struct br_call *call) {
    if (call->eval->watch != NULL && is_long(call))
        return run_watched(scope, call);
    call->expr->function->kernel(call);
    return true;
}

static void eval_call(struct scope *scope, const struct br_expr *expr, const uint64_t *active, struct br_vector *ret) {
    struct br_arena *arena = scope->eval->arena;
    uint32_t count = expr->argument_count;
    bool strict = (expr->function->flags & BR_NOT_STRICT) == 0;
    bool constant = true, has_null = false;
    struct br_vector *arguments = br_arena_alloc(arena, count * sizeof *arguments);
    for (uint32_t i = 0; i < count; i++) {
        br_eval_vector(scope, expr->arguments[i], active, &arguments[i]);
        constant &= arguments[i].constant;
        has_null |= arguments[i].constant && br_vector_is_null(&arguments[i], 0);
    }
    if ((strict && has_null) || scope->eval->ended != NULL) {
        br_vector_set_null(expr->type, arena, ret);
        return;
    }
    if (constant) {
        call_constant(scope, expr, arguments, active, ret);
        return;
    }
    struct br_call call = {.expr = expr,
                           .arguments = arguments,
                           .argument_count = count,
                           .rows = scope->rows,
                           .live = active,
                           .eval = scope->eval};
    if (strict) {
        call.validity = strict_validity(scope, arguments, count, &call.owns_validity);
        call.live = live_rows(scope, active, call.validity);
    }
    call.result = br_arena_alloc(arena, scope->rows * br_type_width(expr->type));
    if (!run_kernel(scope, &call)) {
        br_vector_set_null(expr->type, arena, ret);
        return;
    }
    *ret = (struct br_vector){.column = {expr->type, call.result, call.validity}};
}

// --- CASE and COALESCE: arms are blended into one result
typedef uint32_t __attribute__((may_alias)) word32;
typedef uint64_t __attribute__((may_alias)) word64;
struct __attribute__((may_alias)) word128 {
    uint64_t low, high;
};

// Copies the values of the rows in bits.
static void blend_values(struct scope *scope, size_t width, void *to, const struct br_vector *from,
                         const uint64_t *bits) {
#define BLEND(word)                                                                                                    \
    do {                                                                                                               \
        const word *source = from->column.values;                                                                      \
        word *target = to;                                                                                             \
        for (uint32_t w = 0; w < scope->words; w++)                                                                    \
            for (uint64_t left = bits[w]; left != 0; left &= left - 1) {                                               \
                uint32_t r = w * 64 + (uint32_t)__builtin_ctzll(left);                                                 \
                target[r] = source[from->constant ? 0 : r];                                                            \
            }                                                                                                          \
    } while (0)
    switch (width) {
    case 1:
        BLEND(uint8_t);
        break;
    case 4:
        BLEND(word32);
        break;
    case 8:
        BLEND(word64);
        break;
    case 16:
        BLEND(struct word128);
        break;
    default:
        BR_CHECK(false);
    }
#undef BLEND
}

static uint64_t valid_word(const struct br_vector *vector, uint32_t word) {
    if (vector->column.validity == NULL)
        return UINT64_MAX;
    return vector->constant ? 0 - (vector->column.validity[0] & 1) : vector->column.validity[word];
}

static void take_arm(struct scope *scope, struct br_column *result, const struct br_vector *arm, const uint64_t *bits) {
    blend_values(scope, br_type_width(result->type), result->values, arm, bits);
    for (uint32_t w = 0; w < scope->words; w++)
        result->validity[w] = (result->validity[w] & ~bits[w]) | (valid_word(arm, w) & bits[w]);
}

static struct br_column result_to_blend(struct scope *scope, enum br_type type) {
    struct br_column result = br_column_create(scope->eval->arena, type, scope->rows);
    result.validity = br_validity_create(scope->eval->arena, scope->rows, false);
    return result;
}

static bool any_set(const struct scope *scope, const uint64_t *bits) {
    uint64_t any = 0;
    for (uint32_t w = 0; w < scope->words; w++)
        any |= bits[w];
    return any != 0;
}

static uint64_t *copy_active(struct scope *scope, const uint64_t *active) {
    uint64_t *copy = br_scope_bits(scope);
    for (uint32_t w = 0; w < scope->words; w++)
        copy[w] = active == NULL ? br_word_mask(scope->rows, w) : active[w];
    return copy;
}

static void finish_blend(struct scope *scope, struct br_column *result, struct br_vector *ret) {
    if (all_set(result->validity, scope->rows))
        result->validity = NULL;
    *ret = (struct br_vector){.column = *result};
}

static void eval_case(struct scope *scope, const struct br_expr *expr, const uint64_t *active, struct br_vector *ret) {
    struct br_column result = result_to_blend(scope, expr->type);
    uint64_t *left = copy_active(scope, active);
    uint64_t *taken = br_scope_bits(scope);
    for (uint32_t i = 0; i < expr->argument_count && any_set(scope, left); i += 2) {
        bool is_else = i + 1 == expr->argument_count;
        if (is_else) {
            memcpy(taken, left, scope->words * sizeof *taken);
        } else {
            struct bits when = br_eval_bits(scope, expr->arguments[i], left);
            // A condition that failed gives no arm: the row is NULL and in error.
            const uint64_t *failed = scope->eval->failed;
            for (uint32_t w = 0; w < scope->words; w++) {
                left[w] &= failed == NULL ? UINT64_MAX : ~failed[w];
                taken[w] = when.is_true[w] & left[w];
            }
        }
        if (!any_set(scope, taken))
            continue;
        struct br_vector arm;
        br_eval_vector(scope, expr->arguments[is_else ? i : i + 1], taken, &arm);
        take_arm(scope, &result, &arm, taken);
        for (uint32_t w = 0; w < scope->words; w++)
            left[w] &= ~taken[w];
    }
    finish_blend(scope, &result, ret);
}

static void eval_coalesce(struct scope *scope, const struct br_expr *expr, const uint64_t *active,
                          struct br_vector *ret) {
    struct br_vector arm;
    br_eval_vector(scope, expr->arguments[0], active, &arm);
    if (arm.column.validity == NULL || expr->argument_count == 1) {
        *ret = arm;
        return;
    }
    struct br_column result = result_to_blend(scope, expr->type);
    uint64_t *left = copy_active(scope, active);
    for (uint32_t i = 0;;) {
        uint64_t *taken = br_scope_bits(scope);
        const uint64_t *failed = scope->eval->failed;
        for (uint32_t w = 0; w < scope->words; w++) {
            taken[w] = left[w] & valid_word(&arm, w);
            left[w] &= ~taken[w] & (failed == NULL ? UINT64_MAX : ~failed[w]);
        }
        take_arm(scope, &result, &arm, taken);
        if (++i == expr->argument_count || !any_set(scope, left))
            break;
        br_eval_vector(scope, expr->arguments[i], left, &arm);
    }
    finish_blend(scope, &result, ret);
}

void br_eval_vector(struct scope *scope, const struct br_expr *expr, const uint64_t *active, struct br_vector *ret) {
    switch (expr->kind) {
    case BR_EXPR_COLUMN:
        eval_column(scope, expr, ret);
        break;
    case BR_EXPR_CONST:
        eval_const(scope, expr, ret);
        break;
    case BR_EXPR_CALL:
        eval_call(scope, expr, active, ret);
        break;
    case BR_EXPR_CASE:
        eval_case(scope, expr, active, ret);
        break;
    case BR_EXPR_COALESCE:
        eval_coalesce(scope, expr, active, ret);
        break;
    default: {
        struct bits bits = br_eval_bits(scope, expr, active);
        vector_of_bits(scope, &bits, ret);
    }
    }
}

// --- the entrances
// A constant as a column, for who can't see vectors.
static struct br_column broadcast(struct scope *scope, const struct br_vector *vector) {
    struct br_column column = br_column_create(scope->eval->arena, vector->column.type, scope->rows);
    uint64_t *all = copy_active(scope, NULL);
    blend_values(scope, br_type_width(column.type), column.values, vector, all);
    if (br_vector_is_null(vector, 0))
        column.validity = br_validity_create(scope->eval->arena, scope->rows, false);
    return column;
}

// Rows that failed are NULL, whatever COALESCE and the like made of them.
static void null_failed(struct scope *scope, struct br_column *column) {
    const uint64_t *failed = scope->eval->failed;
    if (failed == NULL || scope->eval->error_count == 0)
        return;
    uint64_t *validity = br_scope_bits(scope);
    for (uint32_t w = 0; w < scope->words; w++)
        validity[w] = (column->validity == NULL ? UINT64_MAX : column->validity[w]) & ~failed[w];
    column->validity = validity;
}

// V1 for a caller's bitmap.
static const uint64_t *masked(struct scope *scope, const uint64_t *active) {
    uint32_t last = scope->words - 1;
    if (active == NULL || (active[last] & ~br_word_mask(scope->rows, last)) == 0)
        return active;
    uint64_t *copy = copy_active(scope, active);
    copy[last] &= br_word_mask(scope->rows, last);
    return copy;
}

enum br_status br_expr_eval(const struct br_expr *expr, const struct br_batch *batch, const uint64_t *active,
                            struct br_eval *eval, struct br_column *ret_column, struct br_error *error) {
    struct scope scope = {batch, eval, batch->row_count, br_words(batch->row_count)};
    if (scope.rows == 0) {
        *ret_column = br_column_create(eval->arena, expr->type, 0);
        return BR_OK;
    }
    struct br_vector vector;
    br_eval_vector(&scope, expr, masked(&scope, active), &vector);
    struct br_column column = vector.constant ? broadcast(&scope, &vector) : vector.column;
    null_failed(&scope, &column);
    if (eval->ended != NULL) {
        *error = *eval->ended;
        return error->status;
    }
    *ret_column = column;
    return BR_OK;
}

void br_eval_bound_times(struct br_eval *eval, const struct br_column *column, uint32_t row_count) {
    const int64_t *times = column->values;
    bool beyond = false;
    for (uint32_t r = 0; r < row_count; r++)
        beyond |= times[r] < BR_COLUMN_TIME_MIN || times[r] >= BR_COLUMN_TIME_END;
    for (uint32_t r = 0; beyond && r < row_count; r++)
        if ((times[r] < BR_COLUMN_TIME_MIN || times[r] >= BR_COLUMN_TIME_END) && !br_column_is_null(column, r))
            add_error(eval, row_count, r, "timestamp out of range: a column holds the years 1 to 9999");
}

enum br_status br_expr_fold(struct br_arena *arena, const struct br_expr *expr, struct br_value *ret_value,
                            struct br_error *error) {
    struct br_batch empty = {.row_count = 1};
    struct br_eval eval = {.arena = arena};
    struct br_column column;
    BR_TRY(br_expr_eval(expr, &empty, NULL, &eval, &column, error));
    if (eval.error_count != 0)
        return br_error_set(error, BR_DATA, "%s", eval.errors[0].message);
    *ret_value = br_column_get(&column, 0);
    return BR_OK;
}
