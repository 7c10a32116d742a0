// SPDX-License-Identifier: Apache-2.0
// Which expressions may fail on some row.
#include "processor/expr/expr.h"

#include <criterion/criterion.h>

static struct br_arena *arena;

static void open_arena(void) {
    arena = br_arena_create();
}
static void close_arena(void) {
    br_arena_destroy(&arena);
}
TestSuite(may_fail, .init = open_arena, .fini = close_arena);

static struct br_expr *column(enum br_type type) {
    return br_expr_column(arena, 0, type, -1);
}

static struct br_expr *text(const char *value) {
    return br_expr_const(arena, (struct br_value){.type = BR_TEXT, .bytes = br_slice_of(value)}, -1);
}

static struct br_expr *call(const char *name, struct br_expr *a, struct br_expr *b) {
    struct br_expr *arguments[] = {a, b}, *made = NULL;
    struct br_error error = {0};
    cr_assert_eq(br_expr_call(arena, name, arguments, b == NULL ? 1 : 2, -1, &made, &error), BR_OK, "%s",
                 error.message);
    return made;
}

static struct br_expr *cast(struct br_expr *expr, enum br_type type) {
    struct br_expr *made = NULL;
    struct br_error error = {0};
    cr_assert_eq(br_expr_cast(arena, expr, type, BR_CAST_EXPLICIT, &made, &error), BR_OK, "%s", error.message);
    return made;
}

Test(may_fail, comparisons_and_texts_do_not) {
    cr_assert(!br_expr_may_fail(column(BR_BOOLEAN)));
    cr_assert(!br_expr_may_fail(call("<", column(BR_INTEGER), column(BR_BIGINT))));
    cr_assert(!br_expr_may_fail(call("=", column(BR_NUMERIC), column(BR_DOUBLE))));
    cr_assert(!br_expr_may_fail(call("~~", call("lower", column(BR_TEXT), NULL), text("a%"))));
    cr_assert(!br_expr_may_fail(call("||", cast(column(BR_TIMESTAMPTZ), BR_TEXT), column(BR_TEXT))));
}

Test(may_fail, arithmetic_narrowing_and_patterns_do) {
    cr_assert(br_expr_may_fail(call("/", column(BR_INTEGER), column(BR_INTEGER))));
    cr_assert(br_expr_may_fail(call("+", column(BR_INTEGER), column(BR_INTEGER))));
    cr_assert(br_expr_may_fail(cast(column(BR_TEXT), BR_INTEGER)));
    cr_assert(br_expr_may_fail(cast(column(BR_BIGINT), BR_INTEGER)));
    cr_assert(br_expr_may_fail(cast(column(BR_DATE), BR_TIMESTAMPTZ)));
    cr_assert(br_expr_may_fail(call("~~", column(BR_TEXT), column(BR_TEXT))));
    cr_assert(br_expr_may_fail(call("~", column(BR_TEXT), text("a"))));
}

Test(may_fail, one_part_is_enough) {
    struct br_expr *parts[] = {call("=", column(BR_INTEGER), column(BR_INTEGER)),
                               call(">", call("/", column(BR_INTEGER), column(BR_INTEGER)), column(BR_INTEGER))};
    cr_assert(br_expr_may_fail(br_expr_of(arena, BR_EXPR_AND, BR_BOOLEAN, parts, 2, -1)));
    cr_assert(!br_expr_may_fail(br_expr_of(arena, BR_EXPR_AND, BR_BOOLEAN, parts, 1, -1)));
    cr_assert(br_expr_may_fail(br_expr_of(arena, BR_EXPR_IS_NULL, BR_BOOLEAN, parts + 1, 1, -1)));
}
