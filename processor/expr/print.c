// SPDX-License-Identifier: Apache-2.0
// Expressions as SQL-like text, for explain.
#include "processor/expr/expr_internal.h"

#include <stdio.h>

static void print_const(const struct br_value *value, struct br_buffer *out) {
    if (value->is_null) {
        br_buffer_append_text(out, "NULL");
        return;
    }
    switch (value->type) {
    case BR_BOOLEAN:
        br_buffer_append_text(out, value->boolean ? "true" : "false");
        return;
    case BR_INTEGER:
    case BR_BIGINT:
    case BR_NUMERIC:
        br_value_print(value, out);
        return;
    default:
        break;
    }
    struct br_buffer text = {0};
    if (value->type == BR_UNKNOWN || value->type == BR_TEXT)
        br_buffer_append_slice(&text, value->bytes);
    else
        br_value_print(value, &text);
    br_buffer_append_byte(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            br_buffer_append_byte(out, '\'');
        br_buffer_append_byte(out, text.ptr[i]);
    }
    br_buffer_append_byte(out, '\'');
    br_buffer_free(&text);
    if (value->type != BR_UNKNOWN && value->type != BR_TEXT)
        br_buffer_printf(out, "::%s", br_type_name(value->type));
}

static void print_list(const struct br_expr *expr, const char *between, const char *const *names,
                       struct br_buffer *out) {
    for (uint32_t i = 0; i < expr->argument_count; i++) {
        if (i > 0)
            br_buffer_append_text(out, between);
        br_expr_print(expr->arguments[i], names, out);
    }
}

static const char *operator_spelling(const char *name) {
    static const char *const spellings[][2] = {
        {"~~", "LIKE"}, {"!~~", "NOT LIKE"}, {"~~*", "ILIKE"}, {"!~~*", "NOT ILIKE"}};
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++)
        if (strcmp(name, spellings[i][0]) == 0)
            return spellings[i][1];
    return name;
}

static void print_call(const struct br_expr *expr, const char *const *names, struct br_buffer *out) {
    const char *name = expr->function->name;
    if (strcmp(name, "::") == 0) {
        br_expr_print(expr->arguments[0], names, out);
        br_buffer_printf(out, "::%s", br_type_name(expr->type));
        return;
    }
    if (!br_function_is_operator(name)) {
        br_buffer_printf(out, "%s(", name);
        print_list(expr, ", ", names, out);
        br_buffer_append_byte(out, ')');
        return;
    }
    br_buffer_append_byte(out, '(');
    if (expr->argument_count == 1) {
        br_buffer_append_text(out, name);
        br_expr_print(expr->arguments[0], names, out);
    } else {
        char between[16];
        snprintf(between, sizeof between, " %s ", operator_spelling(name));
        print_list(expr, between, names, out);
    }
    br_buffer_append_byte(out, ')');
}

static void print_case(const struct br_expr *expr, const char *const *names, struct br_buffer *out) {
    br_buffer_append_text(out, "CASE");
    uint32_t i = 0;
    for (; i + 1 < expr->argument_count; i += 2) {
        br_buffer_append_text(out, " WHEN ");
        br_expr_print(expr->arguments[i], names, out);
        br_buffer_append_text(out, " THEN ");
        br_expr_print(expr->arguments[i + 1], names, out);
    }
    br_buffer_append_text(out, " ELSE ");
    br_expr_print(expr->arguments[i], names, out);
    br_buffer_append_text(out, " END");
}

static void print_around(const char *before, const char *between, const char *after, const struct br_expr *expr,
                         const char *const *names, struct br_buffer *out) {
    br_buffer_append_text(out, before);
    print_list(expr, between, names, out);
    br_buffer_append_text(out, after);
}

void br_expr_print(const struct br_expr *expr, const char *const *names, struct br_buffer *out) {
    switch (expr->kind) {
    case BR_EXPR_COLUMN:
        br_buffer_append_text(out, names[expr->column]);
        break;
    case BR_EXPR_CONST:
        print_const(&expr->value, out);
        break;
    case BR_EXPR_CALL:
        print_call(expr, names, out);
        break;
    case BR_EXPR_AND:
        print_around("(", " AND ", ")", expr, names, out);
        break;
    case BR_EXPR_OR:
        print_around("(", " OR ", ")", expr, names, out);
        break;
    case BR_EXPR_NOT:
        print_around("(NOT ", "", ")", expr, names, out);
        break;
    case BR_EXPR_IS_NULL:
        print_around("(", "", " IS NULL)", expr, names, out);
        break;
    case BR_EXPR_IS_NOT_NULL:
        print_around("(", "", " IS NOT NULL)", expr, names, out);
        break;
    case BR_EXPR_IS_TRUE:
        print_around("(", "", " IS TRUE)", expr, names, out);
        break;
    case BR_EXPR_IS_FALSE:
        print_around("(", "", " IS FALSE)", expr, names, out);
        break;
    case BR_EXPR_IS_DISTINCT:
        print_around("(", " IS DISTINCT FROM ", ")", expr, names, out);
        break;
    case BR_EXPR_CASE:
        print_case(expr, names, out);
        break;
    case BR_EXPR_COALESCE:
        print_around("COALESCE(", ", ", ")", expr, names, out);
        break;
    }
}
