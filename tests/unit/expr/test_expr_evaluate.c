// SPDX-License-Identifier: Apache-2.0
// What evaluation promises beyond the values: which rows are looked at, errors of rows, filters, sharing, the clock.
#include "expression_reader.h"
#include "processor/expr/numeric.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct br_arena *arena;
static void setup(void) {
    arena = br_arena_create();
}
static void teardown(void) {
    br_arena_destroy(&arena);
}
TestSuite(evaluate, .init = setup, .fini = teardown);

// Columns: a bigint 0..n-1, b bigint (row % 4), t text ("t<row>"), flag boolean (row % 3 -> true, false, NULL).
enum { A, B, T, FLAG, COLUMN_COUNT };
static const enum br_type TYPES[] = {BR_BIGINT, BR_BIGINT, BR_TEXT, BR_BOOLEAN};

static struct br_batch *make_batch(uint32_t rows) {
    struct br_batch *batch = br_batch_create(arena, TYPES, NULL, COLUMN_COUNT);
    batch->row_count = rows;
    for (uint32_t r = 0; r < rows; r++) {
        struct br_value values[] = {{.type = BR_BIGINT, .bigint = r},
                                    {.type = BR_BIGINT, .bigint = r % 4},
                                    {.type = BR_TEXT, .bytes = br_slice_of(br_arena_printf(arena, "t%u", r))},
                                    {.type = BR_BOOLEAN, .boolean = r % 3 == 0, .is_null = r % 3 == 2}};
        for (uint32_t c = 0; c < COLUMN_COUNT; c++)
            br_column_set(&batch->columns[c], r, &values[c]);
    }
    return batch;
}

static struct br_expr *column(uint32_t c) {
    return br_expr_column(arena, c, TYPES[c], -1);
}
static struct br_expr *number(int64_t value) {
    return br_expr_const(arena, (struct br_value){.type = BR_BIGINT, .bigint = value}, -1);
}
static struct br_expr *call(const char *name, struct br_expr *a, struct br_expr *b) {
    struct br_expr *arguments[] = {a, b}, *expr = NULL;
    struct br_error error;
    cr_assert_eq(br_expr_call(arena, name, arguments, b == NULL ? 1 : 2, -1, &expr, &error), BR_OK, "%s",
                 error.message);
    return expr;
}
static struct br_expr *of(enum br_expr_kind kind, enum br_type type, struct br_expr *a, struct br_expr *b,
                          struct br_expr *c) {
    struct br_expr *arguments[] = {a, b, c};
    return br_expr_of(arena, kind, type, arguments, c != NULL ? 3 : b != NULL ? 2 : 1, -1);
}
static struct br_column evaluate(const struct br_expr *expr, const struct br_batch *batch, const uint64_t *active,
                                 struct br_eval *eval) {
    struct br_column result;
    eval->arena = arena;
    cr_assert_eq(br_expr_eval(expr, batch, active, eval, &result, NULL), BR_OK);
    cr_assert_eq(result.type, expr->type);
    return result;
}

// 100 / b, which fails where b is 0.
static struct br_expr *risky(void) {
    return call("/", number(100), column(B));
}
static struct br_expr *b_is_not_zero(void) {
    return call("<>", column(B), number(0));
}

Test(evaluate, a_failing_row_is_null_and_listed_once) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    struct br_column result = evaluate(call("+", risky(), risky()), batch, NULL, &eval);
    cr_assert_eq(eval.error_count, 17);
    for (uint32_t i = 0; i < eval.error_count; i++) {
        cr_expect_eq(eval.errors[i].row, 4 * i);
        cr_expect_str_eq(eval.errors[i].message, "division by zero");
    }
    for (uint32_t r = 0; r < 65; r++) {
        cr_expect_eq(br_column_is_null(&result, r), r % 4 == 0);
        cr_expect_eq(br_bit(eval.failed, r), r % 4 == 0);
    }
}

Test(evaluate, errors_of_several_expressions_are_kept_once_per_row) {
    struct br_batch *batch = make_batch(2048);
    struct br_eval eval = {0};
    evaluate(risky(), batch, NULL, &eval);
    evaluate(call("%", number(7), column(B)), batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 512);
}

Test(evaluate, and_looks_at_later_arms_only_where_earlier_ones_are_not_false) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    struct br_expr *both = of(BR_EXPR_AND, BR_BOOLEAN, b_is_not_zero(), call(">", risky(), number(40)), NULL);
    struct br_column result = evaluate(both, batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 0);
    for (uint32_t r = 0; r < 65; r++)
        cr_expect_eq(((uint8_t *)result.values)[r], r % 4 == 1 || r % 4 == 2);
}

Test(evaluate, or_looks_at_later_arms_only_where_earlier_ones_are_not_true) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    struct br_expr *either =
        of(BR_EXPR_OR, BR_BOOLEAN, call("=", column(B), number(0)), call(">", risky(), number(40)), NULL);
    struct br_column result = evaluate(either, batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 0);
    for (uint32_t r = 0; r < 65; r++)
        cr_expect_eq(((uint8_t *)result.values)[r], r % 4 != 3);
}

Test(evaluate, and_in_the_other_order_fails_as_in_postgresql) {
    struct br_batch *batch = make_batch(8);
    struct br_eval eval = {0};
    evaluate(of(BR_EXPR_AND, BR_BOOLEAN, call(">", risky(), number(40)), b_is_not_zero(), NULL), batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 2);
}

Test(evaluate, case_evaluates_only_the_arm_that_is_taken) {
    struct br_batch *batch = make_batch(130);
    struct br_eval eval = {0};
    struct br_expr *expr = of(BR_EXPR_CASE, BR_BIGINT, b_is_not_zero(), risky(), number(-1));
    struct br_column result = evaluate(expr, batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 0);
    for (uint32_t r = 0; r < 130; r++)
        cr_expect_eq(((int64_t *)result.values)[r], r % 4 == 0 ? -1 : 100 / (int)(r % 4));
    cr_expect_null(result.validity);
}

Test(evaluate, case_with_a_condition_that_fails_gives_null_for_the_row) {
    struct br_batch *batch = make_batch(8);
    struct br_eval eval = {0};
    struct br_expr *expr =
        of(BR_EXPR_CASE, BR_BIGINT, call(">", risky(), number(40)), number(1), call("/", number(1), column(A)));
    struct br_column result = evaluate(expr, batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 2);
    cr_expect(br_column_is_null(&result, 0));
    cr_expect(br_column_is_null(&result, 4));
    cr_expect_not(br_column_is_null(&result, 3));
}

Test(evaluate, coalesce_evaluates_the_second_only_where_the_first_is_null) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    // b, NULL where it is 0; then 100 / (b - 1), which would fail where b is 1.
    struct br_expr *first = call("nullif", column(B), number(0));
    struct br_expr *second = call("/", number(100), call("-", column(B), number(1)));
    struct br_column result = evaluate(of(BR_EXPR_COALESCE, BR_BIGINT, first, second, NULL), batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 0);
    for (uint32_t r = 0; r < 65; r++)
        cr_expect_eq(((int64_t *)result.values)[r], r % 4 == 0 ? -100 : (int)(r % 4));
}

Test(evaluate, coalesce_does_not_hide_an_error) {
    struct br_batch *batch = make_batch(8);
    struct br_eval eval = {0};
    struct br_column result = evaluate(of(BR_EXPR_COALESCE, BR_BIGINT, risky(), number(5), NULL), batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 2);
    cr_expect(br_column_is_null(&result, 4));
}

Test(evaluate, rows_that_are_not_active_never_fail) {
    struct br_batch *batch = make_batch(130);
    uint64_t active[3] = {0};
    for (uint32_t r = 0; r < 130; r++)
        if (r % 4 != 0)
            br_bit_set(active, r);
    // Bits past the rows may be anything.
    active[2] |= UINT64_MAX << 2;
    struct br_eval eval = {0};
    evaluate(risky(), batch, active, &eval);
    cr_expect_eq(eval.error_count, 0);
}

Test(evaluate, null_rows_never_fail) {
    struct br_batch *batch = make_batch(65);
    for (uint32_t r = 0; r < 65; r += 4)
        br_bit_clear(batch->columns[B].validity, r);
    struct br_eval eval = {0};
    struct br_column result = evaluate(risky(), batch, NULL, &eval);
    cr_expect_eq(eval.error_count, 0);
    cr_expect(br_column_is_null(&result, 64));
}

Test(evaluate, overflow_is_found_in_the_row_where_it_is) {
    struct br_batch *batch = make_batch(2048);
    ((int64_t *)batch->columns[A].values)[1000] = INT64_MAX;
    static const char *const OPERATORS[] = {"+", "*"};
    for (size_t i = 0; i < 2; i++) {
        struct br_eval eval = {0};
        struct br_column result = evaluate(call(OPERATORS[i], column(A), number(2)), batch, NULL, &eval);
        cr_assert_eq(eval.error_count, 1);
        cr_expect_eq(eval.errors[0].row, 1000);
        cr_expect_str_eq(eval.errors[0].message, "bigint out of range");
        cr_expect_eq(((int64_t *)result.values)[999], i == 0 ? 1001 : 1998);
        cr_expect(br_column_is_null(&result, 1000));
        cr_expect_not(br_column_is_null(&result, 1001));
    }
}

Test(evaluate, a_column_is_shared_not_copied) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    cr_expect_eq(evaluate(column(T), batch, NULL, &eval).values, batch->columns[T].values);
}

Test(evaluate, a_constant_becomes_a_column) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    struct br_column result = evaluate(number(7), batch, NULL, &eval);
    cr_expect_eq(((int64_t *)result.values)[64], 7);
    result =
        evaluate(br_expr_const(arena, (struct br_value){.type = BR_TEXT, .is_null = true}, -1), batch, NULL, &eval);
    cr_expect(br_column_is_null(&result, 64));
}

Test(evaluate, an_empty_batch_gives_an_empty_column) {
    struct br_batch *batch = make_batch(0);
    struct br_eval eval = {0};
    evaluate(call("+", column(A), column(B)), batch, NULL, &eval);
    uint32_t rows[BR_BATCH_ROWS], count = 9;
    cr_assert_eq(br_expr_filter(b_is_not_zero(), batch, &eval, rows, &count, NULL), BR_OK);
    cr_expect_eq(count, 0);
}

Test(evaluate, now_is_the_reading_of_the_clock_that_was_given) {
    struct br_batch *batch = make_batch(3);
    struct br_expr *expr;
    cr_assert_eq(br_expr_call(arena, "now", NULL, 0, -1, &expr, NULL), BR_OK);
    cr_expect(br_expr_reads_clock(expr));
    struct br_expr *later =
        call("+", expr, br_expr_const(arena, (struct br_value){.type = BR_INTERVAL, .interval = {5, 0, 0}}, -1));
    cr_expect(br_expr_reads_clock(later));
    cr_expect_not(br_expr_reads_clock(b_is_not_zero()));
    struct br_eval eval = {.now = {.us = 1772368496000000}};
    struct br_column result = evaluate(later, batch, NULL, &eval);
    cr_expect_eq(((int64_t *)result.values)[2], 1772368496000005);
    cr_assert_eq(br_expr_call(arena, "current_date", NULL, 0, -1, &expr, NULL), BR_OK);
    result = evaluate(expr, batch, NULL, &eval);
    cr_expect_eq(((int32_t *)result.values)[0], 20513);
}

Test(evaluate, a_call_of_the_clock_that_fails_fails_in_all_active_rows) {
    struct br_batch *batch = make_batch(5);
    struct br_expr *now, *zero;
    cr_assert_eq(br_expr_call(arena, "now", NULL, 0, -1, &now, NULL), BR_OK);
    zero = call("date_part",
                br_expr_const(arena, (struct br_value){.type = BR_TEXT, .bytes = br_slice_of("epoch")}, -1), now);
    struct br_expr *expr = call("/", br_expr_const(arena, (struct br_value){.type = BR_DOUBLE, .real = 1}, -1), zero);
    uint64_t active = 0x15;
    struct br_eval eval = {0};
    evaluate(expr, batch, &active, &eval);
    cr_assert_eq(eval.error_count, 3);
    cr_expect_eq(eval.errors[1].row, 2);
}

// --- filter
static void expect_filter(const struct br_expr *expr, uint32_t rows, bool (*wanted)(uint32_t row)) {
    struct br_batch *batch = make_batch(rows);
    struct br_eval eval = {.arena = arena};
    uint32_t got[BR_BATCH_ROWS], count, expected = 0;
    cr_assert_eq(br_expr_filter(expr, batch, &eval, got, &count, NULL), BR_OK);
    for (uint32_t r = 0; r < rows; r++) {
        if (!wanted(r))
            continue;
        cr_assert_lt(expected, count, "%u rows", rows);
        cr_assert_eq(got[expected++], r, "%u rows", rows);
    }
    cr_assert_eq(count, expected, "%u rows", rows);
}
static bool is_flag(uint32_t row) {
    return row % 3 == 0;
}
static bool is_all(uint32_t row) {
    (void)row;
    return true;
}
static bool is_none(uint32_t row) {
    (void)row;
    return false;
}
static bool is_rare(uint32_t row) {
    return row == 64;
}
static bool is_third(uint32_t row) {
    return row % 4 == 3;
}

Test(evaluate, filter_gives_the_rows_that_are_true) {
    static const uint32_t ROWS[] = {1, 7, 63, 64, 65, 127, 128, 2047, 2048};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        expect_filter(column(FLAG), ROWS[i], is_flag);
        expect_filter(call(">=", column(A), number(0)), ROWS[i], is_all);
        expect_filter(call("<", column(A), number(0)), ROWS[i], is_none);
        expect_filter(call("=", column(A), number(64)), ROWS[i], is_rare);
        expect_filter(call("=", column(B), number(3)), ROWS[i], is_third);
        expect_filter(of(BR_EXPR_IS_NOT_NULL, BR_BOOLEAN, column(T), NULL, NULL), ROWS[i], is_all);
        expect_filter(br_expr_const(arena, (struct br_value){.type = BR_BOOLEAN, .boolean = true}, -1), ROWS[i],
                      is_all);
        expect_filter(br_expr_const(arena, (struct br_value){.type = BR_BOOLEAN, .is_null = true}, -1), ROWS[i],
                      is_none);
    }
}

Test(evaluate, filter_leaves_out_rows_that_failed) {
    struct br_batch *batch = make_batch(8);
    struct br_eval eval = {.arena = arena};
    uint32_t rows[BR_BATCH_ROWS], count;
    // 100 / b > 40 or true: the rows where b is 0 fail all the same.
    struct br_expr *expr = of(BR_EXPR_OR, BR_BOOLEAN, call(">", risky(), number(40)),
                              of(BR_EXPR_IS_NOT_NULL, BR_BOOLEAN, column(A), NULL, NULL), NULL);
    cr_assert_eq(br_expr_filter(expr, batch, &eval, rows, &count, NULL), BR_OK);
    cr_expect_eq(eval.error_count, 2);
    cr_expect_eq(count, 6);
    cr_expect_eq(rows[0], 1);
}

Test(evaluate, not_of_null_is_not_true) {
    struct br_batch *batch = make_batch(9);
    struct br_eval eval = {.arena = arena};
    uint32_t rows[BR_BATCH_ROWS], count;
    struct br_expr *expr = of(BR_EXPR_NOT, BR_BOOLEAN, column(FLAG), NULL, NULL);
    cr_assert_eq(br_expr_filter(expr, batch, &eval, rows, &count, NULL), BR_OK);
    cr_expect_eq(count, 3);
    cr_expect_eq(rows[0], 1);
    expr = of(BR_EXPR_NOT, BR_BOOLEAN, of(BR_EXPR_IS_TRUE, BR_BOOLEAN, column(FLAG), NULL, NULL), NULL, NULL);
    cr_assert_eq(br_expr_filter(expr, batch, &eval, rows, &count, NULL), BR_OK);
    cr_expect_eq(count, 6);
}

// --- patterns that are not constant, and ones that never end
static struct br_expr *text(const char *value) {
    return br_expr_const(arena, (struct br_value){.type = BR_TEXT, .bytes = br_slice_of(value)}, -1);
}

Test(evaluate, patterns_may_come_from_a_column) {
    struct br_batch *batch = make_batch(65);
    struct br_eval eval = {0};
    struct br_column like = evaluate(call("~~", column(T), column(T)), batch, NULL, &eval);
    struct br_column regex = evaluate(call("~", text("t12"), column(T)), batch, NULL, &eval);
    for (uint32_t r = 0; r < 65; r++) {
        cr_expect(((bool *)like.values)[r]);
        cr_expect_eq(((bool *)regex.values)[r], r == 1 || r == 12);
    }
    cr_expect_eq(eval.error_count, 0);
}

Test(evaluate, a_bad_pattern_in_a_column_fails_its_row) {
    struct br_batch *batch = make_batch(3);
    ((struct br_slice *)batch->columns[T].values)[1] = br_slice_of("(");
    struct br_eval eval = {0};
    evaluate(call("~", text("t2"), column(T)), batch, NULL, &eval);
    cr_assert_eq(eval.error_count, 1);
    cr_expect_eq(eval.errors[0].row, 1);
}

Test(evaluate, a_regular_expression_with_too_many_matches_to_try_fails_its_row) {
    // At each a the rest of the text is looked through for the b that would make a longer match.
    static char long_text[100000];
    memset(long_text, 'a', sizeof long_text - 1);
    struct br_batch *batch = make_batch(2);
    ((struct br_slice *)batch->columns[T].values)[0] = br_slice_of(long_text);
    ((struct br_slice *)batch->columns[T].values)[1] = br_slice_of("aaa");
    struct br_eval eval = {0};
    struct br_column result = evaluate(call("regexp_count", column(T), text("a.*b|a")), batch, NULL, &eval);
    cr_assert_eq(eval.error_count, 1);
    cr_expect_eq(eval.errors[0].row, 0);
    cr_expect_str_eq(eval.errors[0].message, "regular expression takes too many steps on this text");
    cr_expect_eq(((int32_t *)result.values)[1], 3);
}
