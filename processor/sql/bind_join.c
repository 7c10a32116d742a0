// SPDX-License-Identifier: Apache-2.0
// The JOIN syntax: ON, USING, NATURAL; the columns that USING merges; and conditions taken apart at their ANDs.
#include "processor/sql/sql_internal.h"

static const struct sql_column *find_unqualified(const struct sql_scope *scope, const char *name,
                                                 uint32_t *ret_matches) {
    const struct sql_column *found = NULL;
    *ret_matches = 0;
    for (uint32_t i = 0; i < scope->count; i++)
        if (!scope->columns[i].qualified && strcmp(scope->columns[i].name, name) == 0) {
            found = &scope->columns[i];
            ++*ret_matches;
        }
    return found;
}

static const struct sql_column *using_column(struct sql_binder *binder, const struct sql_scope *scope, const char *name,
                                             const char *side, int location) {
    uint32_t matches;
    const struct sql_column *column = find_unqualified(scope, name, &matches);
    if (matches == 1)
        return column;
    if (matches > 1) {
        sql_error(binder, location, "use ON with the tables' aliases",
                  "common column name \"%s\" appears more than once in %s table", name, side);
    } else if (!scope->poisoned) {
        struct sql_nearest nearest = {.wanted = name};
        for (uint32_t i = 0; i < scope->count; i++)
            sql_nearest_try(&nearest, scope->columns[i].name);
        sql_error(binder, location, sql_nearest_hint(binder, &nearest),
                  "column \"%s\" specified in USING clause does not exist in %s table", name, side);
    }
    return NULL;
}

static void add_conjunct(struct sql_binder *binder, struct sql_conjuncts *conjuncts, struct br_expr *expr,
                         bool equality) {
    if (conjuncts->count == conjuncts->capacity) {
        uint32_t capacity = conjuncts->capacity == 0 ? 8 : conjuncts->capacity * 2;
        struct sql_conjunct *list = br_arena_array(binder->arena, struct sql_conjunct, capacity);
        if (conjuncts->count != 0)
            memcpy(list, conjuncts->list, conjuncts->count * sizeof *list);
        conjuncts->list = list;
        conjuncts->capacity = capacity;
    }
    conjuncts->list[conjuncts->count++] = (struct sql_conjunct){expr, equality};
}

bool sql_conjuncts_bind(struct sql_expr_context *ctx, const PgQuery__Node *node, struct sql_conjuncts *conjuncts) {
    if (node->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR &&
        node->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
        bool ok = true;
        struct sql_expr_context inner = *ctx;
        inner.clause = "AND";
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            ok &= sql_conjuncts_bind(&inner, node->bool_expr->args[i], conjuncts);
        return ok;
    }
    struct br_expr *expr = sql_bind_boolean(ctx, node);
    if (expr == NULL)
        return false;
    bool equality = node->node_case == PG_QUERY__NODE__NODE_A_EXPR &&
                    node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && node->a_expr->lexpr != NULL &&
                    sql_is_string(node->a_expr->name[node->a_expr->n_name - 1], "=");
    add_conjunct(ctx->binder, conjuncts, expr, equality);
    return true;
}

static bool is_among(const char *const *names, uint32_t count, const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

// Both sides' columns; those merged by USING come first, and are the left side's.
static struct sql_scope joined_scope(struct sql_binder *binder, const struct sql_relation *left,
                                     const struct sql_relation *right, uint32_t left_count, const char *const *using,
                                     uint32_t using_count) {
    struct sql_scope scope = {0}, both = {0};
    for (uint32_t i = 0; i < using_count; i++) {
        uint32_t matches;
        const struct sql_column *column = find_unqualified(&left->scope, using[i], &matches);
        struct sql_column merged = *column;
        merged.relation = NULL;
        merged.qualified = false;
        sql_scope_add(binder, &scope, merged);
    }
    sql_scope_append(binder, &both, &left->scope, 0);
    sql_scope_append(binder, &both, &right->scope, left_count);
    for (uint32_t i = 0; i < both.count; i++) {
        struct sql_column column = both.columns[i];
        if (is_among(using, using_count, column.name)) {
            if (column.relation == NULL)
                continue;
            column.qualified = true;
        }
        sql_scope_add(binder, &scope, column);
    }
    for (uint32_t i = 0; i < both.relation_count; i++)
        sql_scope_add_relation(binder, &scope, both.relations[i], both.row_types[i]);
    scope.poisoned = both.poisoned;
    return scope;
}

static const char **common_names(struct sql_binder *binder, const struct sql_scope *left, const struct sql_scope *right,
                                 uint32_t *ret_count) {
    const char **names = br_arena_array(binder->arena, const char *, left->count + 1);
    *ret_count = 0;
    for (uint32_t i = 0; i < left->count; i++) {
        uint32_t matches;
        const struct sql_column *column = &left->columns[i];
        if (!column->qualified && !column->hidden && find_unqualified(right, column->name, &matches) != NULL)
            names[(*ret_count)++] = column->name;
    }
    return names;
}

static bool bind_using(struct sql_binder *binder, const struct sql_relation *left, const struct sql_relation *right,
                       uint32_t left_count, const char *const *names, uint32_t count, int location,
                       struct sql_conjuncts *conjuncts) {
    bool ok = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct sql_column *a = using_column(binder, &left->scope, names[i], "left", location);
        const struct sql_column *b =
            a == NULL ? NULL : using_column(binder, &right->scope, names[i], "right", location);
        ok &= a != NULL && b != NULL;
        if (a == NULL || b == NULL)
            continue;
        if (a->type != b->type) {
            sql_error(binder, location, "use ON", "JOIN/USING types %s and %s of column \"%s\" differ",
                      br_type_name(a->type), br_type_name(b->type), names[i]);
            ok = false;
            continue;
        }
        struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 2);
        arguments[0] = br_expr_column(binder->arena, a->column, a->type, location);
        arguments[1] = br_expr_column(binder->arena, b->column + left_count, b->type, location);
        struct br_expr *equal = sql_call(binder, "=", arguments, 2, location);
        ok &= equal != NULL;
        if (equal != NULL)
            add_conjunct(binder, conjuncts, equal, true);
    }
    return ok;
}

static bool check_aliases(struct sql_binder *binder, const struct sql_scope *left, const struct sql_scope *right,
                          int location) {
    for (uint32_t i = 0; i < right->relation_count; i++)
        if (is_among(left->relations, left->relation_count, right->relations[i])) {
            sql_error(binder, location, "give one of them an alias", "table name \"%s\" specified more than once",
                      right->relations[i]);
            return false;
        }
    return true;
}

struct sql_relation sql_bind_join(struct sql_binder *binder, const PgQuery__JoinExpr *join) {
    bool ok = sql_only(binder, join, "jointype is_natural larg rarg using_clause quals rtindex");
    struct sql_relation left = sql_bind_from_item(binder, join->larg);
    struct sql_relation right = sql_bind_from_item(binder, join->rarg);
    if (!sql_check_memory(binder, sql_at_node(binder, join->rarg)))
        return (struct sql_relation){.scope = {.poisoned = true}};
    int location = sql_at_node(binder, join->rarg);
    bool left_outer = join->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT;
    if (!left_outer && join->jointype != PG_QUERY__JOIN_TYPE__JOIN_INNER) {
        bool is_right = join->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT;
        sql_error(binder, location, is_right ? "swap the sides and use LEFT JOIN" : "use LEFT JOIN",
                  "%s JOIN is not supported", is_right ? "RIGHT" : "FULL");
        ok = false;
    }
    bool apart = check_aliases(binder, &left.scope, &right.scope, location);
    ok &= apart;
    uint32_t left_count = left.node == NULL ? left.scope.count : left.node->field_count;
    uint32_t using_count = (uint32_t)join->n_using_clause;
    const char **using = br_arena_array(binder->arena, const char *, using_count + 1);
    for (uint32_t i = 0; i < using_count; i++)
        using[i] = br_arena_strdup(binder->arena, sql_string(join->using_clause[i]));
    if (join->is_natural)
        using = common_names(binder, &left.scope, &right.scope, &using_count);
    struct sql_conjuncts conjuncts = {0};
    struct sql_relation result = {0};
    ok &= bind_using(binder, &left, &right, left_count, using, using_count, location, &conjuncts);
    result.scope = joined_scope(binder, &left, &right, left_count, using, ok ? using_count : 0);
    if (join->quals != NULL && apart) { // else every name would be ambiguous
        struct sql_expr_context ctx = {.binder = binder, .scope = &result.scope, .clause = "JOIN/ON"};
        ok &= sql_conjuncts_bind(&ctx, join->quals, &conjuncts);
    }
    if (ok && left.node != NULL && right.node != NULL)
        result.node = sql_join(binder, left.node, right.node, &conjuncts, left_outer, location);
    result.scope.poisoned |= left.node == NULL || right.node == NULL || !apart;
    return result;
}
