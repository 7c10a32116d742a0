// SPDX-License-Identifier: Apache-2.0
// Operators and the special syntaxes around them: IN, BETWEEN, LIKE … ESCAPE, IS DISTINCT FROM, NULLIF, ANY and ALL of
// a list, CASE, GREATEST and LEAST. Those that PostgreSQL defines by others are made of others.
#include "processor/sql/sql_internal.h"

#define LABELS_SHOWN_MAX 20

static bool is_number(struct br_slice text) {
    size_t at = text.len > 1 && text.ptr[0] == '-' ? 1 : 0;
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
        at++;
    return at == text.len && text.len != 0;
}

// A word that is compared with an enum must be one of its names; numbers are those that the enum doesn't know.
static bool is_label(struct sql_binder *binder, const struct br_expr *column, const struct br_expr *other) {
    const struct br_enum_type *labels = column->labels;
    if (labels == NULL || binder->rules < 1 || other->kind != BR_EXPR_CONST || other->value.is_null ||
        (other->type != BR_UNKNOWN && other->type != BR_TEXT) || is_number(other->value.bytes))
        return true;
    const char *all = "its names are ";
    struct sql_nearest nearest = {
        .wanted = br_arena_strndup(binder->arena, (const char *)other->value.bytes.ptr, other->value.bytes.len)};
    for (uint32_t i = 0; i < labels->count; i++) {
        if (strcmp(labels->names[i], nearest.wanted) == 0)
            return true;
        sql_nearest_try(&nearest, labels->names[i]);
        if (i < LABELS_SHOWN_MAX)
            all = br_arena_printf(binder->arena, "%s%s%s", all, i == 0 ? "" : ", ", labels->names[i]);
    }
    const char *near = sql_nearest_hint(binder, &nearest);
    sql_error(binder, other->location, near != NULL ? near : all, "invalid input value for enum %s: \"%s\"",
              labels->name, nearest.wanted);
    return false;
}

static bool check_labels(struct sql_binder *binder, const struct br_expr *a, const struct br_expr *b) {
    return is_label(binder, a, b) && is_label(binder, b, a);
}

static struct br_expr *call_two(struct sql_binder *binder, const char *name, struct br_expr *a, struct br_expr *b,
                                int location) {
    if (a == NULL || b == NULL)
        return NULL;
    bool equality = strcmp(name, "=") == 0 || strcmp(name, "<>") == 0 || strcmp(name, "nullif") == 0;
    if (equality && !check_labels(binder, a, b))
        return NULL;
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 2);
    arguments[0] = a;
    arguments[1] = b;
    return sql_call(binder, name, arguments, 2, location);
}

static struct br_expr *logic(struct sql_binder *binder, enum br_expr_kind kind, struct br_expr **arguments,
                             uint32_t count, int location) {
    for (uint32_t i = 0; i < count; i++)
        if (arguments[i] == NULL)
            return NULL;
    if (count == 1 && kind != BR_EXPR_NOT)
        return arguments[0];
    return br_expr_of(binder->arena, kind, BR_BOOLEAN, arguments, count, location);
}

static struct br_expr *logic_two(struct sql_binder *binder, enum br_expr_kind kind, struct br_expr *a,
                                 struct br_expr *b, int location) {
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 2);
    arguments[0] = a;
    arguments[1] = b;
    return logic(binder, kind, arguments, 2, location);
}

static struct br_expr *negate(struct sql_binder *binder, struct br_expr *expr, int location) {
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 1);
    arguments[0] = expr;
    return logic(binder, BR_EXPR_NOT, arguments, 1, location);
}

static bool unify(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, const char *what,
                  enum br_type *ret_type, int location) {
    struct br_error error;
    for (uint32_t i = 0; i < count; i++)
        if (exprs[i] == NULL)
            return false;
    if (br_expr_unify(binder->arena, exprs, count, what, ret_type, &error) == BR_OK)
        return true;
    sql_unify_error(binder, exprs, count, location, &error);
    return false;
}

// The operator's symbol; NULL after an error.
static const char *operator_name(struct sql_binder *binder, const PgQuery__AExpr *expr) {
    const char *name = sql_string(expr->name[expr->n_name - 1]);
    if (expr->n_name > 1 && !sql_is_string(expr->name[0], "pg_catalog")) {
        sql_error(binder, sql_at(binder, expr->location), NULL, "operator %s does not exist",
                  sql_dotted(binder, expr->name, expr->n_name));
        return NULL;
    }
    return name;
}

static struct br_expr *bind_plain(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    const char *name = operator_name(binder, expr);
    struct br_expr *left = expr->lexpr == NULL ? NULL : sql_bind(ctx, expr->lexpr);
    struct br_expr *right = expr->rexpr == NULL ? NULL : sql_bind(ctx, expr->rexpr);
    int location = sql_at(binder, expr->location);
    if (name == NULL || right == NULL || (expr->lexpr != NULL && left == NULL))
        return NULL;
    if (expr->lexpr != NULL)
        return call_two(binder, name, left, right, location);
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 1);
    arguments[0] = right;
    return sql_call(binder, name, arguments, 1, location);
}

static const PgQuery__List *list_of(const PgQuery__Node *node) {
    return node != NULL && node->node_case == PG_QUERY__NODE__NODE_LIST ? node->list : NULL;
}

// exprs[0] is the left side; the rest are the list's. Compares the left side with each: OR of equals, AND of others.
static struct br_expr *compare_each(struct sql_binder *binder, struct br_expr **exprs, uint32_t count, const char *name,
                                    bool any, int location) {
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, count);
    for (uint32_t i = 1; i < count; i++)
        arguments[i - 1] = call_two(binder, name, exprs[0], exprs[i], location);
    return logic(binder, any ? BR_EXPR_OR : BR_EXPR_AND, arguments, count - 1, location);
}

static struct br_expr **bind_with_list(struct sql_expr_context *ctx, const PgQuery__Node *left, PgQuery__Node **items,
                                       size_t count) {
    struct br_expr **exprs = br_arena_array(ctx->binder->arena, struct br_expr *, count + 1);
    exprs[0] = sql_bind(ctx, left);
    bool ok = exprs[0] != NULL;
    for (size_t i = 0; i < count; i++) {
        exprs[i + 1] = sql_bind(ctx, items[i]);
        ok &= exprs[i + 1] != NULL;
    }
    return ok ? exprs : NULL;
}

static struct br_expr *bind_in(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    const PgQuery__List *list = list_of(expr->rexpr);
    BR_CHECK(list != NULL);
    bool any = sql_is_string(expr->name[0], "=");
    int location = sql_at(binder, expr->location);
    uint32_t count = (uint32_t)list->n_items + 1;
    struct br_expr **exprs = bind_with_list(ctx, expr->lexpr, list->items, list->n_items);
    enum br_type type;
    if (exprs == NULL || !unify(binder, exprs, count, "IN", &type, location))
        return NULL;
    return compare_each(binder, exprs, count, any ? "=" : "<>", any, location);
}

// x = ANY (ARRAY[…]) and x <> ALL (ARRAY[…]); other arrays there are none.
static struct br_expr *bind_any_all(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    int location = sql_at(binder, expr->location);
    const char *name = operator_name(binder, expr);
    bool any = expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY;
    if (expr->rexpr == NULL || expr->rexpr->node_case != PG_QUERY__NODE__NODE_A_ARRAY_EXPR ||
        expr->rexpr->a_array_expr->n_elements == 0) {
        sql_error(binder, location, "write x = ANY (ARRAY[a, b]) or x IN (a, b)",
                  "%s of anything but a list is not supported", any ? "ANY" : "ALL");
        return NULL;
    }
    const PgQuery__AArrayExpr *array = expr->rexpr->a_array_expr;
    uint32_t count = (uint32_t)array->n_elements + 1;
    struct br_expr **exprs = bind_with_list(ctx, expr->lexpr, array->elements, array->n_elements);
    enum br_type type;
    if (name == NULL || exprs == NULL || !unify(binder, exprs, count, "ARRAY", &type, location))
        return NULL;
    return compare_each(binder, exprs, count, name, any, location);
}

static struct br_expr *bind_between(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    const PgQuery__List *list = list_of(expr->rexpr);
    BR_CHECK(list != NULL && list->n_items == 2);
    int location = sql_at(binder, expr->location);
    struct br_expr **exprs = bind_with_list(ctx, expr->lexpr, list->items, 2);
    if (exprs == NULL)
        return NULL;
    struct br_expr *value = exprs[0], *low = exprs[1], *high = exprs[2];
    struct br_expr *between = logic_two(binder, BR_EXPR_AND, call_two(binder, ">=", value, low, location),
                                        call_two(binder, "<=", value, high, location), location);
    if (expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM ||
        expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM) {
        struct br_expr *swapped = logic_two(binder, BR_EXPR_AND, call_two(binder, ">=", value, high, location),
                                            call_two(binder, "<=", value, low, location), location);
        between = logic_two(binder, BR_EXPR_OR, between, swapped, location);
    }
    bool negated = expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN ||
                   expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
    return negated && between != NULL ? negate(binder, between, location) : between;
}

// LIKE … ESCAPE e: the pattern with e replaced by the backslash that LIKE knows.
static const char *escape_pattern(struct sql_binder *binder, const char *pattern, const char *escape) {
    struct br_buffer out = {0};
    size_t escape_len = strlen(escape);
    for (const char *at = pattern; *at != '\0';) {
        if (escape_len != 0 && strncmp(at, escape, escape_len) == 0 && at[escape_len] != '\0') {
            at += escape_len;
            br_buffer_append_byte(&out, '\\');
            br_buffer_append_byte(&out, (uint8_t)*at++);
        } else {
            if (*at == '\\')
                br_buffer_append_byte(&out, '\\');
            br_buffer_append_byte(&out, (uint8_t)*at++);
        }
    }
    const char *text = br_arena_strndup(binder->arena, (const char *)out.ptr, out.len);
    br_buffer_free(&out);
    return text;
}

static const char *literal_text(const PgQuery__Node *node) {
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return NULL;
    return node->a_const->sval->sval;
}

static struct br_expr *bind_like(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    const PgQuery__Node *right = expr->rexpr;
    int location = sql_at(binder, expr->location);
    bool escaped = right->node_case == PG_QUERY__NODE__NODE_FUNC_CALL &&
                   sql_is_string(right->func_call->funcname[right->func_call->n_funcname - 1], "like_escape") &&
                   right->func_call->n_args == 2;
    if (!escaped)
        return bind_plain(ctx, expr);
    const char *pattern = literal_text(right->func_call->args[0]), *escape = literal_text(right->func_call->args[1]);
    if (pattern == NULL || escape == NULL) {
        sql_error(binder, location, "give pattern and escape as literals",
                  "ESCAPE with a computed pattern is not supported");
        return NULL;
    }
    size_t characters = 0;
    for (const char *at = escape; *at != '\0'; at++)
        characters += ((unsigned char)*at & 0xC0) != 0x80;
    if (characters > 1) {
        sql_error(binder, location, "Escape string must be empty or one character.", "invalid escape string");
        return NULL;
    }
    struct br_value value = {.type = BR_UNKNOWN, .bytes = br_slice_of(escape_pattern(binder, pattern, escape))};
    return call_two(binder, sql_string(expr->name[0]), sql_bind(ctx, expr->lexpr),
                    br_expr_const(binder->arena, value, location), location);
}

static struct br_expr *bind_distinct(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    int location = sql_at(binder, expr->location);
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 2);
    arguments[0] = sql_bind(ctx, expr->lexpr);
    arguments[1] = sql_bind(ctx, expr->rexpr);
    enum br_type type;
    if (!unify(binder, arguments, 2, "IS DISTINCT FROM", &type, location) ||
        !check_labels(binder, arguments[0], arguments[1]))
        return NULL;
    struct br_expr *distinct = br_expr_of(binder->arena, BR_EXPR_IS_DISTINCT, BR_BOOLEAN, arguments, 2, location);
    return expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT ? negate(binder, distinct, location) : distinct;
}

static struct br_expr *null_of(struct sql_binder *binder, enum br_type type, int location) {
    struct br_value value = {.type = type, .is_null = true};
    return br_expr_const(binder->arena, value, location);
}

struct br_expr *sql_bind_operator(struct sql_expr_context *ctx, const PgQuery__AExpr *expr) {
    switch (expr->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        return bind_plain(ctx, expr);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        return bind_any_all(ctx, expr);
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return bind_distinct(ctx, expr);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return call_two(ctx->binder, "nullif", sql_bind(ctx, expr->lexpr), sql_bind(ctx, expr->rexpr),
                        sql_at(ctx->binder, expr->location));
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return bind_in(ctx, expr);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return bind_like(ctx, expr);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
        return bind_between(ctx, expr);
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        sql_error(ctx->binder, sql_at(ctx->binder, expr->location), "use a regular expression: x ~ '^(a|b)$'",
                  "SIMILAR TO is not supported");
        return NULL;
    default:
        sql_error(ctx->binder, sql_at(ctx->binder, expr->location), NULL, "this operator syntax is not supported");
        return NULL;
    }
}

// --- CASE
static struct br_expr *bind_when(struct sql_expr_context *ctx, struct br_expr *operand, const PgQuery__CaseWhen *when) {
    if (operand == NULL) {
        struct sql_expr_context inner = *ctx;
        inner.clause = "CASE/WHEN";
        struct br_expr *condition = sql_bind_boolean(&inner, when->expr);
        return condition;
    }
    struct br_expr *value = sql_bind(ctx, when->expr);
    return call_two(ctx->binder, "=", operand, value, sql_at_node(ctx->binder, when->expr));
}

struct br_expr *sql_bind_case(struct sql_expr_context *ctx, const PgQuery__CaseExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    int location = sql_at(binder, expr->location);
    struct br_expr *operand = expr->arg == NULL ? NULL : sql_bind_typed(ctx, expr->arg);
    bool ok = expr->arg == NULL || operand != NULL;
    uint32_t pairs = (uint32_t)expr->n_args;
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, pairs * 2 + 1);
    struct br_expr **results = br_arena_array(binder->arena, struct br_expr *, pairs + 1);
    for (uint32_t i = 0; i < pairs; i++) {
        const PgQuery__CaseWhen *when = expr->args[i]->case_when;
        arguments[i * 2] = ok || expr->arg == NULL ? bind_when(ctx, operand, when) : NULL;
        results[i] = sql_bind(ctx, when->result);
        ok &= arguments[i * 2] != NULL && results[i] != NULL;
    }
    results[pairs] = expr->defresult == NULL ? null_of(binder, BR_UNKNOWN, location) : sql_bind(ctx, expr->defresult);
    enum br_type type;
    if (!ok || !unify(binder, results, pairs + 1, "CASE", &type, location))
        return NULL;
    for (uint32_t i = 0; i < pairs; i++)
        arguments[i * 2 + 1] = results[i];
    arguments[pairs * 2] = results[pairs];
    return br_expr_of(binder->arena, BR_EXPR_CASE, type, arguments, pairs * 2 + 1, location);
}

struct br_expr *sql_bind_min_max(struct sql_expr_context *ctx, const PgQuery__MinMaxExpr *expr) {
    struct sql_binder *binder = ctx->binder;
    const char *name = expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
    int location = sql_at(binder, expr->location);
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, expr->n_args);
    for (size_t i = 0; i < expr->n_args; i++)
        arguments[i] = sql_bind(ctx, expr->args[i]);
    enum br_type type;
    if (!unify(binder, arguments, (uint32_t)expr->n_args, name, &type, location))
        return NULL;
    return sql_call(binder, name, arguments, (uint32_t)expr->n_args, location);
}
