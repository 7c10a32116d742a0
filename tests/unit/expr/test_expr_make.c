// SPDX-License-Identifier: Apache-2.0
// Making expressions: hints, casts by level, trees that are compared, renumbered and printed; the list of functions.
#include "expression_reader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct br_arena *arena;
static struct br_error error;
static void setup(void) {
    arena = br_arena_create();
}
static void teardown(void) {
    br_arena_destroy(&arena);
}
TestSuite(make, .init = setup, .fini = teardown);

static struct br_expr *column(uint32_t c, enum br_type type) {
    return br_expr_column(arena, c, type, -1);
}
static struct br_expr *literal(const char *text) {
    return br_expr_const(arena, (struct br_value){.type = BR_UNKNOWN, .bytes = br_slice_of(text)}, -1);
}
static struct br_expr *call(const char *name, struct br_expr *a, struct br_expr *b) {
    struct br_expr *arguments[] = {a, b}, *expr = NULL;
    cr_assert_eq(br_expr_call(arena, name, arguments, b == NULL ? 1 : 2, 7, &expr, &error), BR_OK, "%s", error.message);
    return expr;
}
static const char *why_not(const char *name, struct br_expr *a, struct br_expr *b) {
    struct br_expr *arguments[] = {a, b}, *expr = NULL;
    cr_assert_eq(br_expr_call(arena, name, arguments, b == NULL ? 1 : 2, 7, &expr, &error), BR_DATA);
    return error.message;
}

Test(make, an_unknown_function_is_named_with_the_nearest_one) {
    cr_expect_str_eq(why_not("lowr", column(0, BR_TEXT), NULL),
                     "function lowr(text) does not exist\nhint: The nearest name is \"lower\".");
    cr_expect_str_eq(why_not("date_trunk", literal("day"), column(0, BR_TIMESTAMPTZ)),
                     "function date_trunk(unknown, timestamptz) does not exist\nhint: The nearest name is "
                     "\"date_trunc\".");
    cr_expect(strstr(why_not("completely_else", column(0, BR_TEXT), NULL), "There is no function of this name") !=
              NULL);
}

Test(make, a_function_of_other_arguments_is_named_with_those_there_are) {
    cr_expect_str_eq(why_not("repeat", column(0, BR_INTEGER), column(1, BR_INTEGER)),
                     "function repeat(integer, integer) does not exist\nhint: No function matches the given argument "
                     "types. There is repeat(text, integer). You might need to add explicit type casts.");
}

Test(make, a_missing_operator_is_named_with_the_types) {
    cr_expect_str_eq(why_not("+", column(0, BR_TEXT), column(1, BR_INTEGER)),
                     "operator does not exist: text + integer\nhint: No operator matches the given name and argument "
                     "types. You might need to add explicit type casts.");
}

Test(make, constants_are_folded_and_columns_are_not) {
    struct br_value two = {.type = BR_INTEGER, .integer = 2};
    struct br_expr *sum = call("+", br_expr_const(arena, two, 3), br_expr_const(arena, two, 5));
    cr_expect_eq(sum->kind, BR_EXPR_CONST);
    cr_expect_eq(sum->value.integer, 4);
    cr_expect_eq(sum->location, 7);
    cr_expect_eq(call("+", column(0, BR_INTEGER), sum)->kind, BR_EXPR_CALL);
}

Test(make, a_strict_call_of_a_null_constant_is_null) {
    struct br_expr *null = br_expr_const(arena, (struct br_value){.type = BR_UNKNOWN, .is_null = true}, -1);
    struct br_expr *sum = call("+", column(0, BR_BIGINT), null);
    cr_expect_eq(sum->kind, BR_EXPR_CONST);
    cr_expect(sum->value.is_null);
    cr_expect_eq(sum->type, BR_BIGINT);
}

Test(make, a_literal_takes_the_other_sides_type) {
    struct br_expr *compared = call("<", column(0, BR_TIMESTAMPTZ), literal("2026-06-01"));
    cr_expect_eq(compared->arguments[1]->type, BR_TIMESTAMPTZ);
    compared = call(">", column(0, BR_NUMERIC), literal("5"));
    cr_expect_eq(compared->arguments[1]->type, BR_NUMERIC);
    cr_expect_str_eq(why_not(">", column(0, BR_NUMERIC), literal("x")), "invalid input syntax for type numeric: \"x\"");
}

Test(make, casts_need_their_level) {
    static const struct {
        enum br_type from, to;
        enum br_cast_context least; // 3: never
    } CASTS[] = {
        {BR_INTEGER, BR_BIGINT, BR_CAST_IMPLICIT},
        {BR_BIGINT, BR_NUMERIC, BR_CAST_IMPLICIT},
        {BR_NUMERIC, BR_DOUBLE, BR_CAST_IMPLICIT},
        {BR_DATE, BR_TIMESTAMPTZ, BR_CAST_IMPLICIT},
        {BR_BIGINT, BR_INTEGER, BR_CAST_ASSIGNMENT},
        {BR_NUMERIC, BR_INTEGER, BR_CAST_ASSIGNMENT},
        {BR_DOUBLE, BR_NUMERIC, BR_CAST_ASSIGNMENT},
        {BR_TIMESTAMPTZ, BR_DATE, BR_CAST_ASSIGNMENT},
        {BR_BIGINT, BR_TEXT, BR_CAST_ASSIGNMENT},
        {BR_BOOLEAN, BR_TEXT, BR_CAST_ASSIGNMENT},
        {BR_TEXT, BR_INTEGER, BR_CAST_EXPLICIT},
        {BR_BOOLEAN, BR_INTEGER, BR_CAST_EXPLICIT},
        {BR_INTEGER, BR_BOOLEAN, BR_CAST_EXPLICIT},
        {BR_BOOLEAN, BR_BIGINT, 3},
        {BR_DATE, BR_INTEGER, 3},
        {BR_INTERVAL, BR_TIMESTAMPTZ, 3},
    };
    for (size_t i = 0; i < sizeof CASTS / sizeof CASTS[0]; i++)
        for (enum br_cast_context context = BR_CAST_IMPLICIT; context <= BR_CAST_EXPLICIT; context++) {
            struct br_expr *expr;
            enum br_status status = br_expr_cast(arena, column(0, CASTS[i].from), CASTS[i].to, context, &expr, &error);
            cr_expect_eq(status, context >= CASTS[i].least ? BR_OK : BR_DATA, "%s to %s, level %d",
                         br_type_name(CASTS[i].from), br_type_name(CASTS[i].to), context);
        }
}

Test(make, unify_finds_the_common_type_and_casts_in_place) {
    struct br_expr *exprs[] = {literal("1"), column(0, BR_INTEGER), column(1, BR_NUMERIC)};
    enum br_type type;
    cr_assert_eq(br_expr_unify(arena, exprs, 3, "CASE", &type, &error), BR_OK);
    cr_expect_eq(type, BR_NUMERIC);
    for (size_t i = 0; i < 3; i++)
        cr_expect_eq(exprs[i]->type, BR_NUMERIC);
    struct br_expr *others[] = {column(0, BR_INTEGER), column(1, BR_TEXT)};
    cr_assert_eq(br_expr_unify(arena, others, 2, "IN", &type, &error), BR_DATA);
    cr_expect_str_eq(error.message, "IN types integer and text cannot be matched");
}

Test(make, expressions_are_compared_by_what_they_say) {
    struct br_expr *a = call("+", column(0, BR_BIGINT), column(1, BR_BIGINT));
    struct br_expr *b = call("+", column(0, BR_BIGINT), column(1, BR_BIGINT));
    cr_expect(br_expr_equal(a, b));
    cr_expect_not(br_expr_equal(a, call("-", column(0, BR_BIGINT), column(1, BR_BIGINT))));
    cr_expect_not(br_expr_equal(a, call("+", column(0, BR_BIGINT), column(2, BR_BIGINT))));
    struct br_value one = {.type = BR_BIGINT, .bigint = 1}, two = {.type = BR_BIGINT, .bigint = 2};
    cr_expect(br_expr_equal(br_expr_const(arena, one, 1), br_expr_const(arena, one, 2)));
    cr_expect_not(br_expr_equal(br_expr_const(arena, one, 1), br_expr_const(arena, two, 1)));
}

Test(make, columns_are_renumbered_and_marked) {
    uint32_t map[] = {5, 3};
    struct br_expr *expr = br_expr_remap(arena, call("~~", column(0, BR_TEXT), column(1, BR_TEXT)), map);
    bool used[6] = {false};
    br_expr_mark_columns(expr, used);
    for (uint32_t c = 0; c < 6; c++)
        cr_expect_eq(used[c], c == 5 || c == 3);
}

Test(make, a_remapped_call_keeps_what_was_prepared) {
    uint32_t map[] = {0};
    struct br_expr *expr = call("~", column(0, BR_TEXT), literal("^a"));
    cr_expect_not_null(expr->prepared);
    cr_expect_eq(br_expr_remap(arena, expr, map)->prepared, expr->prepared);
}

static void expect_print(const char *expression, const char *printed) {
    struct expression_reader reader = {.arena = arena, .error = &error, .columns = true};
    struct br_expr *expr = read_expression(&reader, expression);
    cr_assert_not_null(expr, "%s", error.message);
    struct br_buffer text = {0};
    const char *const names[] = {"a", "b", "c", "d"};
    br_expr_print(expr, names, &text);
    br_buffer_append_byte(&text, 0);
    cr_expect_str_eq((const char *)text.ptr, printed);
    br_buffer_free(&text);
}

Test(make, expressions_print_as_sql) {
    expect_print("1 + 2 * 3", "(a + (b * c))");
    expect_print("lower(text 'x')", "lower(a)");
    expect_print("1::text", "a::text");
    expect_print("text 'x' like 'it''s%'", "(a LIKE 'it''s%')");
    expect_print("timestamptz '2026-01-01 00:00:00+00' < '2026-06-01'", "(a < '2026-06-01 00:00:00+00'::timestamptz)");
    expect_print("case when true then 1 else 2 end", "CASE WHEN a THEN b ELSE c END");
    expect_print("coalesce(text 'x', 'none')", "COALESCE(a, 'none')");
    expect_print("1 is null or not true", "((a IS NULL) OR (NOT b))");
    expect_print("1 is distinct from 2", "(a IS DISTINCT FROM b)");
    expect_print("-(1)", "(-a)");
    expect_print("nullif(1, 2)", "nullif(a, (a = b))");
}

static void count_function(void *context, const char *name, const char *arguments, const char *result) {
    cr_expect(name[0] != '\0' && result[0] != '\0' && arguments != NULL);
    cr_expect_str_neq(name, "::");
    *(uint32_t *)context += 1;
}

Test(make, functions_are_listed) {
    uint32_t count = 0;
    br_function_each(count_function, &count);
    cr_expect_gt(count, 200);
}

// "| `name` |" with the | of an operator escaped.
static void expect_documented(void *context, const char *name, const char *arguments, const char *result) {
    struct br_buffer row = {0};
    br_buffer_append_text(&row, "| `");
    for (const char *at = name; *at != '\0'; at++)
        br_buffer_append_text(&row, *at == '|' ? "\\|" : (char[]){*at, '\0'});
    br_buffer_append_text(&row, "` |");
    br_buffer_append_byte(&row, 0);
    cr_expect(strstr(context, (const char *)row.ptr) != NULL, "docs/expressions.md lacks %s(%s), which gives %s", name,
              arguments, result);
    br_buffer_free(&row);
}

Test(make, functions_are_documented) {
    FILE *file = fopen(TEST_SOURCE_DIR "/../docs/expressions.md", "rb");
    cr_assert(file != NULL);
    struct br_buffer text = {0};
    for (size_t got; (got = fread(br_buffer_reserve(&text, 4096), 1, 4096, file)) > 0;)
        text.len += got;
    fclose(file);
    br_buffer_append_byte(&text, 0);
    br_function_each(expect_documented, text.ptr);
    br_buffer_free(&text);
}
