// SPDX-License-Identifier: Apache-2.0
// Making, comparing and copying expressions; see expr.h. Resolution of names is resolve.c, casts are casts.c.
#include "processor/expr/expr_internal.h"

static struct br_expr *new_expr(struct br_arena *arena, enum br_expr_kind kind, enum br_type type, int location) {
    struct br_expr *expr = br_arena_new(arena, struct br_expr);
    expr->kind = kind;
    expr->type = type;
    expr->location = location;
    expr->size = expr->depth = 1;
    return expr;
}

void br_expr_measure(struct br_expr *expr) {
    uint64_t size = 1;
    expr->depth = 1;
    for (uint32_t i = 0; i < expr->argument_count; i++) {
        size += expr->arguments[i]->size;
        if (expr->depth <= expr->arguments[i]->depth)
            expr->depth = expr->arguments[i]->depth + 1;
    }
    expr->size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

struct br_expr *br_expr_column(struct br_arena *arena, uint32_t column, enum br_type type, int location) {
    struct br_expr *expr = new_expr(arena, BR_EXPR_COLUMN, type, location);
    expr->column = column;
    return expr;
}

struct br_expr *br_expr_const(struct br_arena *arena, struct br_value value, int location) {
    struct br_expr *expr = new_expr(arena, BR_EXPR_CONST, value.type, location);
    expr->value = value;
    bool has_bytes = value.type == BR_TEXT || value.type == BR_BYTEA || value.type == BR_UNKNOWN;
    if (has_bytes && !value.is_null)
        expr->value.bytes = br_arena_copy(arena, value.bytes);
    return expr;
}

struct br_value br_null_of(enum br_type type) {
    return (struct br_value){.type = type, .is_null = true};
}

// The type that argument i of an expression of this kind must have; BR_UNKNOWN: any.
static enum br_type wanted_type(enum br_expr_kind kind, enum br_type type, uint32_t i, uint32_t count) {
    switch (kind) {
    case BR_EXPR_AND:
    case BR_EXPR_OR:
    case BR_EXPR_NOT:
    case BR_EXPR_IS_TRUE:
    case BR_EXPR_IS_FALSE:
        return BR_BOOLEAN;
    case BR_EXPR_CASE:
        return i % 2 == 0 && i + 1 < count ? BR_BOOLEAN : type;
    case BR_EXPR_COALESCE:
        return type;
    default:
        return BR_UNKNOWN;
    }
}

// An untyped literal that nobody gave a type: a NULL takes the one that is wanted, text where anything goes.
static struct br_expr *settle_unknown(struct br_arena *arena, struct br_expr *expr, enum br_type wanted) {
    if (expr->type != BR_UNKNOWN)
        return expr;
    BR_CHECK(expr->kind == BR_EXPR_CONST);
    struct br_value value = expr->value;
    value.type = wanted == BR_UNKNOWN ? BR_TEXT : wanted;
    BR_CHECK(value.is_null || value.type == BR_TEXT);
    return br_expr_const(arena, value, expr->location);
}

struct br_expr *br_expr_of(struct br_arena *arena, enum br_expr_kind kind, enum br_type type,
                           struct br_expr **arguments, uint32_t count, int location) {
    BR_CHECK(kind != BR_EXPR_CALL && kind != BR_EXPR_COLUMN && kind != BR_EXPR_CONST && count > 0);
    BR_CHECK(kind != BR_EXPR_CASE || count % 2 == 1);
    BR_CHECK(kind != BR_EXPR_IS_DISTINCT || count == 2);
    struct br_expr *expr = new_expr(arena, kind, type, location);
    expr->argument_count = count;
    expr->arguments = br_arena_array(arena, struct br_expr *, count);
    bool constant = true;
    for (uint32_t i = 0; i < count; i++) {
        enum br_type wanted = wanted_type(kind, type, i, count);
        if (kind == BR_EXPR_IS_DISTINCT)
            wanted = arguments[1 - i]->type;
        expr->arguments[i] = settle_unknown(arena, arguments[i], wanted);
        BR_CHECK(wanted == BR_UNKNOWN || expr->arguments[i]->type == wanted);
        constant &= expr->arguments[i]->kind == BR_EXPR_CONST;
    }
    br_expr_measure(expr);
    struct br_value value;
    if (constant && br_expr_fold(arena, expr, &value, NULL) == BR_OK)
        return br_expr_const(arena, value, location);
    return expr;
}

const struct br_value *br_constant_argument(const struct br_expr *expr, uint32_t index) {
    const struct br_expr *argument = expr->arguments[index];
    return argument->kind == BR_EXPR_CONST && !argument->value.is_null ? &argument->value : NULL;
}

struct br_expr *br_expr_unprepared_call(struct br_arena *arena, const struct br_function *function,
                                        struct br_expr **arguments, uint32_t count, int location) {
    struct br_expr *expr = new_expr(arena, BR_EXPR_CALL, function->result, location);
    expr->function = function;
    expr->argument_count = count;
    expr->arguments = br_arena_array(arena, struct br_expr *, count);
    if (count != 0)
        memcpy(expr->arguments, arguments, count * sizeof(struct br_expr *));
    br_expr_measure(expr);
    return expr;
}

enum br_status br_expr_make_call(struct br_arena *arena, const struct br_function *function, struct br_expr **arguments,
                                 uint32_t count, int location, struct br_expr **ret_expr, struct br_error *error) {
    struct br_expr *expr = br_expr_unprepared_call(arena, function, arguments, count, location);
    bool constant = true, has_null = false;
    for (uint32_t i = 0; i < count; i++) {
        enum br_type wanted = function->arguments[i < function->argument_count ? i : function->argument_count - 1u];
        BR_CHECK(arguments[i]->type == wanted);
        constant &= arguments[i]->kind == BR_EXPR_CONST;
        has_null |= arguments[i]->kind == BR_EXPR_CONST && arguments[i]->value.is_null;
    }
    if (has_null && (function->flags & BR_NOT_STRICT) == 0) {
        *ret_expr = br_expr_const(arena, br_null_of(function->result), location);
        return BR_OK;
    }
    if (function->prepare != NULL)
        BR_TRY(function->prepare(arena, expr, error));
    if (constant && (function->flags & BR_READS_CLOCK) == 0) {
        struct br_value value;
        BR_TRY(br_expr_fold(arena, expr, &value, error));
        expr = br_expr_const(arena, value, location);
    }
    *ret_expr = expr;
    return BR_OK;
}

// --- questions about trees
bool br_expr_is_elementary(const struct br_expr *expr) {
    return expr->kind == BR_EXPR_CALL && (expr->function->flags & BR_ELEMENTARY) != 0;
}

bool br_expr_is_column_equality(const struct br_expr *expr, uint32_t *ret_column, const struct br_value **ret_value) {
    if (expr->kind != BR_EXPR_CALL || expr->argument_count != 2 || strcmp(expr->function->name, "=") != 0)
        return false;
    bool left = expr->arguments[0]->kind == BR_EXPR_COLUMN;
    const struct br_expr *column = expr->arguments[left ? 0 : 1], *constant = expr->arguments[left ? 1 : 0];
    if (column->kind != BR_EXPR_COLUMN || constant->kind != BR_EXPR_CONST || constant->value.is_null ||
        column->type != constant->type)
        return false;
    *ret_column = column->column;
    *ret_value = &constant->value;
    return true;
}

bool br_expr_reads_clock(const struct br_expr *expr) {
    if (expr->kind == BR_EXPR_CALL && (expr->function->flags & BR_READS_CLOCK) != 0)
        return true;
    for (uint32_t i = 0; i < expr->argument_count; i++)
        if (br_expr_reads_clock(expr->arguments[i]))
            return true;
    return false;
}

static bool is_choice(const struct br_expr *expr) {
    return expr->kind == BR_EXPR_CALL &&
           (strcmp(expr->function->name, "greatest") == 0 || strcmp(expr->function->name, "least") == 0);
}

struct br_clock_use br_expr_clock_use(const struct br_expr *expr, const bool *columns) {
    struct br_clock_use use = {0};
    if ((expr->kind == BR_EXPR_CALL && (expr->function->flags & BR_READS_CLOCK) != 0) ||
        (expr->kind == BR_EXPR_COLUMN && columns != NULL && columns[expr->column]))
        use.by = expr;
    for (uint32_t i = 0; i < expr->argument_count; i++) {
        struct br_clock_use argument = br_expr_clock_use(expr->arguments[i], columns);
        use.by = use.by == NULL ? argument.by : use.by;
        use.decides = use.decides == NULL ? argument.decides : use.decides;
    }
    // Whether a value is NULL is another matter than which one it is: no time passes over that.
    if ((expr->kind == BR_EXPR_IS_NULL || expr->kind == BR_EXPR_IS_NOT_NULL) && use.decides == NULL)
        use.by = NULL;
    if (use.by != NULL && use.decides == NULL && (expr->type == BR_BOOLEAN || is_choice(expr)))
        use.decides = expr;
    return use;
}

bool br_expr_compares(const struct br_expr *expr) {
    static const char *const operators[] = {"=", "<>", "<", "<=", ">", ">="};
    if (expr->kind == BR_EXPR_IS_NULL || expr->kind == BR_EXPR_IS_NOT_NULL || expr->kind == BR_EXPR_IS_DISTINCT)
        return true;
    for (size_t i = 0; expr->kind == BR_EXPR_CALL && i < sizeof operators / sizeof *operators; i++)
        if (strcmp(expr->function->name, operators[i]) == 0)
            return true;
    return false;
}

// -0 is not 0 here, and NaN is itself.
static bool same_bits(double a, double b) {
    uint64_t a_bits, b_bits;
    memcpy(&a_bits, &a, sizeof a_bits);
    memcpy(&b_bits, &b, sizeof b_bits);
    return a_bits == b_bits;
}

// The same value in every respect: 1.0 and 1.00 print differently, so they aren't.
static bool same_value(const struct br_value *a, const struct br_value *b) {
    if (a->type != b->type || a->is_null != b->is_null)
        return false;
    if (a->is_null)
        return true;
    switch (a->type) {
    case BR_BOOLEAN:
        return a->boolean == b->boolean;
    case BR_INTEGER:
    case BR_DATE:
        return a->integer == b->integer;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        return a->bigint == b->bigint;
    case BR_DOUBLE:
        return same_bits(a->real, b->real);
    case BR_NUMERIC:
        return a->numeric.low == b->numeric.low && a->numeric.high == b->numeric.high;
    case BR_INTERVAL:
        return a->interval.us == b->interval.us && a->interval.days == b->interval.days &&
               a->interval.months == b->interval.months;
    default:
        return br_slice_equal(a->bytes, b->bytes);
    }
}

bool br_expr_equal(const struct br_expr *a, const struct br_expr *b) {
    if (a == b)
        return true;
    if (a->kind != b->kind || a->type != b->type || a->argument_count != b->argument_count)
        return false;
    if (a->kind == BR_EXPR_COLUMN && a->column != b->column)
        return false;
    if (a->kind == BR_EXPR_CONST && !same_value(&a->value, &b->value))
        return false;
    if (a->kind == BR_EXPR_CALL && a->function != b->function)
        return false;
    for (uint32_t i = 0; i < a->argument_count; i++)
        if (!br_expr_equal(a->arguments[i], b->arguments[i]))
            return false;
    return true;
}

struct br_expr *br_expr_remap(struct br_arena *arena, const struct br_expr *expr, const uint32_t *map) {
    struct br_expr *copy = br_arena_new(arena, struct br_expr);
    *copy = *expr;
    if (expr->kind == BR_EXPR_COLUMN)
        copy->column = map[expr->column];
    if (expr->argument_count != 0)
        copy->arguments = br_arena_array(arena, struct br_expr *, expr->argument_count);
    for (uint32_t i = 0; i < expr->argument_count; i++)
        copy->arguments[i] = br_expr_remap(arena, expr->arguments[i], map);
    return copy;
}

void br_expr_mark_columns(const struct br_expr *expr, bool *used) {
    if (expr->kind == BR_EXPR_COLUMN)
        used[expr->column] = true;
    for (uint32_t i = 0; i < expr->argument_count; i++)
        br_expr_mark_columns(expr->arguments[i], used);
}
