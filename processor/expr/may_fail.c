// SPDX-License-Identifier: Apache-2.0
// Which expressions give a value for every row. What isn't listed may fail: a wrong guess costs work, not rows.
#include "processor/expr/expr_internal.h"

// Never fail, whatever their arguments' types.
static const char total[] = "= <> < <= > >= nullif greatest least lower upper length char_length character_length "
                            "octet_length bit_length strpos position left right starts_with ^@ btrim ltrim rtrim || "
                            "reverse md5";

static bool is_listed(const char *name) {
    size_t len = strlen(name);
    for (const char *at = total; *at != '\0'; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, name, len) == 0)
            return true;
        at += word;
    }
    return false;
}

static bool is_like(const char *name) {
    return strcmp(name, "~~") == 0 || strcmp(name, "!~~") == 0 || strcmp(name, "~~*") == 0 || strcmp(name, "!~~*") == 0;
}

// Casts that have a place for every value, and those to text.
static bool widens(enum br_type from, enum br_type to) {
    switch (from) {
    case BR_INTEGER:
        return true;
    case BR_BIGINT:
        return to != BR_INTEGER;
    case BR_NUMERIC:
        return to == BR_DOUBLE || to == BR_TEXT;
    case BR_BOOLEAN:
    case BR_TIMESTAMPTZ:
        return true;
    default:
        return to == BR_TEXT;
    }
}

static bool call_may_fail(const struct br_expr *call) {
    const char *name = call->function->name;
    if (strcmp(name, "::") == 0)
        return !widens(call->arguments[0]->type, call->type);
    if (is_like(name)) // a pattern that isn't constant may end within an escape
        return call->arguments[1]->kind != BR_EXPR_CONST;
    return !is_listed(name);
}

bool br_expr_may_fail(const struct br_expr *expr) {
    for (uint32_t i = 0; i < expr->argument_count; i++)
        if (br_expr_may_fail(expr->arguments[i]))
            return true;
    return expr->kind == BR_EXPR_CALL && call_may_fail(expr);
}
