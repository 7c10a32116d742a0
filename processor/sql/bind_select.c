// SPDX-License-Identifier: Apache-2.0
// SELECT: FROM and WHERE (bind_from.c), then the select list, GROUP BY, HAVING, DISTINCT; ORDER BY and LIMIT of
// queries.
//
// With aggregates the plan is: [project what is grouped and aggregated] → aggregate → [filter HAVING] → [project the
// select list]. The select list is bound over the input first, with SQL_AGGREGATE_COLUMN + i for the i-th aggregate,
// and then rewritten over the aggregate's output; a column that is left over is not grouped.
#include "processor/sql/sql_internal.h"

struct target {
    const char *name;
    const PgQuery__Node *node; // NULL: from *
    struct br_expr *expr;
    int location;
};

struct select {
    struct sql_binder *binder;
    const PgQuery__SelectStmt *tree;
    struct sql_relation from;
    struct sql_aggregates aggregates;
    struct target *targets; // visible ones, then those only sorted by
    uint32_t count, visible, capacity;
    struct br_expr **groups;
    const char **group_names;
    uint32_t group_count;
    struct br_expr *having;
    struct sql_conjuncts having_parts;
    bool aggregated, top;
    struct br_node *node;
};

static struct sql_expr_context context_of(struct select *select, const char *clause, bool aggregates) {
    return (struct sql_expr_context){.binder = select->binder,
                                     .scope = &select->from.scope,
                                     .clause = clause,
                                     .aggregates = aggregates ? &select->aggregates : NULL};
}

static void add_target(struct select *select, struct target target) {
    if (select->count == select->capacity) {
        uint32_t capacity = select->capacity == 0 ? 16 : select->capacity * 2;
        struct target *targets = br_arena_array(select->binder->arena, struct target, capacity);
        if (select->count != 0)
            memcpy(targets, select->targets, select->count * sizeof *targets);
        select->targets = targets;
        select->capacity = capacity;
    }
    select->targets[select->count++] = target;
    (void)sql_check_columns(select->binder, select->count, target.location, "a SELECT");
}

// --- the select list
static bool is_star(const PgQuery__Node *node, const char **ret_relation) {
    if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
        return false;
    const PgQuery__ColumnRef *ref = node->column_ref;
    if (ref->fields[ref->n_fields - 1]->node_case != PG_QUERY__NODE__NODE_A_STAR)
        return false;
    *ret_relation = ref->n_fields == 2 ? sql_string(ref->fields[0]) : NULL;
    return ref->n_fields <= 2;
}

static bool expand_star(struct select *select, const char *relation, int location) {
    struct sql_binder *binder = select->binder;
    const struct sql_scope *scope = &select->from.scope;
    bool any = false;
    for (uint32_t i = 0; i < scope->count; i++) {
        const struct sql_column *column = &scope->columns[i];
        bool wanted =
            relation == NULL ? !column->qualified : column->relation != NULL && strcmp(column->relation, relation) == 0;
        if (!wanted || column->hidden)
            continue;
        any = true;
        struct br_expr *expr = br_expr_column(binder->arena, column->column, column->type, location);
        expr->labels = column->labels;
        add_target(select, (struct target){.name = column->name, .expr = expr, .location = location});
    }
    for (uint32_t i = 0; any && i < scope->relation_count; i++)
        if (relation == NULL || strcmp(scope->relations[i], relation) == 0)
            sql_note_unread(binder, scope->row_types[i], location);
    if (any || scope->poisoned)
        return any;
    if (relation != NULL) {
        struct sql_nearest nearest = {.wanted = relation};
        for (uint32_t i = 0; i < scope->relation_count; i++)
            sql_nearest_try(&nearest, scope->relations[i]);
        const char *near = sql_nearest_hint(binder, &nearest);
        sql_error(binder, location, near != NULL ? near : sql_relations_hint(binder, scope),
                  "missing FROM-clause entry for table \"%s\"", relation);
    } else {
        sql_error(binder, location, NULL, "SELECT * with no tables specified is not valid");
    }
    return false;
}

static bool bind_targets(struct select *select) {
    struct sql_binder *binder = select->binder;
    struct sql_expr_context ctx = context_of(select, "SELECT", true);
    bool ok = true;
    for (size_t i = 0; i < select->tree->n_target_list; i++) {
        if (sql_is_exhausted(binder))
            return false;
        const PgQuery__ResTarget *target = select->tree->target_list[i]->res_target;
        int location = sql_at(binder, target->location);
        const char *relation;
        ok &= sql_only(binder, target, "name val");
        if (is_star(target->val, &relation)) {
            ok &= expand_star(select, relation, location);
            continue;
        }
        struct br_expr *expr = sql_bind_typed(&ctx, target->val);
        const char *name = target->name != NULL && *target->name != '\0' ? br_arena_strdup(binder->arena, target->name)
                                                                         : sql_expr_name(binder, target->val);
        ok &= expr != NULL;
        add_target(select, (struct target){.name = name, .node = target->val, .expr = expr, .location = location});
    }
    if (select->tree->n_target_list == 0) {
        sql_error(binder, binder->statement, "SELECT at least one column", "a SELECT without columns is not supported");
        ok = false;
    }
    select->visible = select->count;
    return ok;
}

// --- GROUP BY and HAVING
static const char *simple_name(const PgQuery__Node *node) {
    if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || node->column_ref->n_fields != 1)
        return NULL;
    return sql_string(node->column_ref->fields[0]);
}

static bool in_scope(const struct sql_scope *scope, const char *name) {
    for (uint32_t i = 0; i < scope->count; i++)
        if (!scope->columns[i].qualified && strcmp(scope->columns[i].name, name) == 0)
            return true;
    return false;
}

static struct target *target_named(struct select *select, const char *name, int location, const char *clause) {
    struct target *found = NULL;
    for (uint32_t i = 0; i < select->visible; i++) {
        struct target *target = &select->targets[i];
        if (strcmp(target->name, name) != 0)
            continue;
        if (found != NULL && found->expr != NULL && target->expr != NULL && !br_expr_equal(found->expr, target->expr)) {
            sql_error(select->binder, location, NULL, "%s \"%s\" is ambiguous", clause, name);
            return NULL;
        }
        found = found == NULL ? target : found;
    }
    return found;
}

// `GROUP BY 2`: an integer constant is a position. False: it is none; *ret NULL after an error.
static bool by_position(struct select *select, const PgQuery__Node *node, const char *clause, struct target **ret) {
    if (node->node_case != PG_QUERY__NODE__NODE_A_CONST)
        return false;
    int location = sql_at_node(select->binder, node);
    *ret = NULL;
    if (node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL || node->a_const->isnull) {
        sql_error(select->binder, location, NULL, "non-integer constant in %s", clause);
        return true;
    }
    int32_t position = node->a_const->ival->ival;
    if (position < 1 || (uint32_t)position > select->visible)
        sql_error(select->binder, location, NULL, "%s position %d is not in select list", clause, position);
    else
        *ret = &select->targets[position - 1];
    return true;
}

static bool holds_aggregate(const struct br_expr *expr) {
    if (expr->kind == BR_EXPR_COLUMN)
        return expr->column >= SQL_AGGREGATE_COLUMN;
    for (uint32_t i = 0; i < expr->argument_count; i++)
        if (holds_aggregate(expr->arguments[i]))
            return true;
    return false;
}

static struct br_expr *bind_group(struct select *select, const PgQuery__Node *node, const char **ret_name) {
    struct sql_binder *binder = select->binder;
    int location = sql_at_node(binder, node);
    struct target *target = NULL;
    const char *name = simple_name(node);
    bool positioned = by_position(select, node, "GROUP BY", &target);
    if (!positioned && name != NULL && !in_scope(&select->from.scope, name))
        target = target_named(select, name, location, "GROUP BY");
    if (target == NULL && !positioned) {
        struct sql_expr_context ctx = context_of(select, "GROUP BY", false);
        *ret_name = sql_expr_name(binder, node);
        return sql_bind_typed(&ctx, node);
    }
    if (target == NULL || target->expr == NULL)
        return NULL;
    *ret_name = target->name;
    if (!holds_aggregate(target->expr))
        return target->expr;
    sql_error(binder, location, NULL, "aggregate functions are not allowed in GROUP BY");
    return NULL;
}

static bool bind_groups(struct select *select) {
    size_t count = select->tree->n_group_clause;
    if (!sql_check_columns(select->binder, count, select->binder->statement, "GROUP BY"))
        return false;
    select->groups = br_arena_array(select->binder->arena, struct br_expr *, count + select->capacity + 1);
    select->group_names = br_arena_array(select->binder->arena, const char *, count + select->capacity + 1);
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL;
        struct br_expr *expr = bind_group(select, select->tree->group_clause[i], &name);
        bool known = expr == NULL;
        ok &= expr != NULL;
        for (uint32_t j = 0; j < select->group_count && !known; j++)
            known = br_expr_equal(select->groups[j], expr);
        if (known)
            continue;
        select->groups[select->group_count] = expr;
        select->group_names[select->group_count++] = name;
    }
    return ok;
}

// --- over the aggregate's output
static const char *column_words(struct select *select, uint32_t column) {
    for (uint32_t i = 0; i < select->from.scope.count; i++) {
        const struct sql_column *c = &select->from.scope.columns[i];
        if (c->column != column || c->relation == NULL)
            continue;
        return br_arena_printf(select->binder->arena, "%s.%s", c->relation, c->name);
    }
    return "?";
}

static struct br_expr *rewrite(struct select *select, struct br_expr *expr) {
    struct br_arena *arena = select->binder->arena;
    for (uint32_t i = 0; i < select->group_count; i++)
        if (br_expr_equal(select->groups[i], expr))
            return br_expr_column(arena, i, expr->type, expr->location);
    if (expr->kind == BR_EXPR_COLUMN && expr->column >= SQL_AGGREGATE_COLUMN)
        return br_expr_column(arena, select->group_count + expr->column - SQL_AGGREGATE_COLUMN, expr->type,
                              expr->location);
    if (expr->kind == BR_EXPR_COLUMN) {
        sql_error(select->binder, expr->location, "add it to GROUP BY",
                  "column \"%s\" must appear in the GROUP BY clause or be used in an aggregate function",
                  column_words(select, expr->column));
        return NULL;
    }
    struct br_expr *copy = br_arena_new(arena, struct br_expr);
    *copy = *expr;
    copy->arguments = br_arena_array(arena, struct br_expr *, expr->argument_count + 1);
    for (uint32_t i = 0; i < expr->argument_count; i++) {
        copy->arguments[i] = rewrite(select, expr->arguments[i]);
        if (copy->arguments[i] == NULL)
            return NULL;
    }
    br_expr_measure(copy);
    return copy;
}

// Expressions that the aggregate needs as columns, each once.
struct needed {
    struct br_expr **exprs;
    const char **names;
    uint32_t count;
    bool computed;
};

static uint32_t need(struct needed *needed, struct br_expr *expr, const char *name) {
    for (uint32_t i = 0; i < needed->count; i++)
        if (br_expr_equal(needed->exprs[i], expr))
            return i;
    needed->computed |= expr->kind != BR_EXPR_COLUMN;
    needed->exprs[needed->count] = expr;
    needed->names[needed->count] = name;
    return needed->count++;
}

static const char *name_of(const struct br_node *input, const struct br_expr *expr, const char *otherwise) {
    return expr->kind == BR_EXPR_COLUMN ? input->fields[expr->column].name : otherwise;
}

static uint32_t column_in(const struct needed *needed, uint32_t index) {
    return needed->computed ? index : needed->exprs[index]->column;
}

// The first `groups` are those of GROUP BY; FILTERs have been looked at.
static bool check_needed(struct sql_binder *binder, const struct needed *needed, const struct br_node *input,
                         uint32_t groups) {
    bool ok = true;
    for (uint32_t i = 0; i < needed->count; i++) {
        const struct br_expr *expr = needed->exprs[i];
        ok &= sql_check_clock(binder, expr, input, expr->location) &&
              sql_check_clock_use(binder, expr, input, expr->location,
                                  i < groups ? SQL_CLOCK_GROUP : SQL_CLOCK_AGGREGATE);
    }
    return ok;
}

static struct br_node *plan_aggregate(struct select *select) {
    struct sql_binder *binder = select->binder;
    struct br_node *input = select->from.node;
    uint32_t bound = select->group_count + 2 * select->aggregates.count, groups = select->group_count;
    struct needed needed = {br_arena_array(binder->arena, struct br_expr *, bound + 1),
                            br_arena_array(binder->arena, const char *, bound + 1), 0, false};
    uint32_t *indexes = br_arena_array(binder->arena, uint32_t, bound + 1), *at = indexes;
    bool ok = true;
    for (uint32_t i = 0; i < groups; i++)
        *at++ = need(&needed, select->groups[i], select->group_names[i]);
    for (uint32_t i = 0; i < select->aggregates.count; i++) {
        const struct sql_aggregate_call *call = &select->aggregates.list[i];
        *at++ = call->argument == NULL ? 0 : need(&needed, call->argument, name_of(input, call->argument, "argument"));
        ok &= call->filter == NULL || sql_check_clock_condition(binder, call->filter, input, call->filter->location);
        *at++ = call->filter == NULL ? 0 : need(&needed, call->filter, name_of(input, call->filter, "filter"));
    }
    if (!ok || !check_needed(binder, &needed, input, groups))
        return NULL;
    if (needed.computed)
        input = sql_node_project(binder, input, needed.exprs, needed.names, needed.count);
    uint32_t *group = br_arena_array(binder->arena, uint32_t, groups + 1);
    struct br_aggregate *aggregates = br_arena_array(binder->arena, struct br_aggregate, select->aggregates.count + 1);
    for (uint32_t i = 0; i < groups; i++)
        group[i] = column_in(&needed, indexes[i]);
    for (uint32_t i = 0; i < select->aggregates.count; i++) {
        const struct sql_aggregate_call *call = &select->aggregates.list[i];
        const uint32_t *pair = indexes + groups + 2 * i;
        aggregates[i] = call->aggregate;
        aggregates[i].argument = call->argument == NULL ? -1 : (int32_t)column_in(&needed, pair[0]);
        aggregates[i].filter = call->filter == NULL ? -1 : (int32_t)column_in(&needed, pair[1]);
    }
    return sql_node_aggregate(binder, input, group, select->group_names, groups, aggregates, select->aggregates.count);
}

static bool plan_grouped(struct select *select) {
    struct sql_binder *binder = select->binder;
    struct br_node *node = plan_aggregate(select);
    if (node == NULL)
        return false;
    bool ok = true;
    for (uint32_t i = 0; i < select->having_parts.count; i++) {
        struct br_expr *predicate = rewrite(select, select->having_parts.list[i].expr);
        ok &= predicate != NULL && sql_check_clock_condition(binder, predicate, node, predicate->location);
        if (predicate != NULL)
            node = sql_filter(binder, node, predicate);
    }
    for (uint32_t i = 0; i < select->count; i++) {
        select->targets[i].expr = rewrite(select, select->targets[i].expr);
        ok &= select->targets[i].expr != NULL;
    }
    select->node = node;
    return ok;
}

// --- the output
static bool is_identity(const struct select *select) {
    if (select->node->field_count != select->count || sql_is_view_root(select->binder, select->node) ||
        select->node->kind == BR_NODE_SOURCE || select->node->kind == BR_NODE_SCAN)
        return false;
    for (uint32_t i = 0; i < select->count; i++)
        if (select->targets[i].expr->kind != BR_EXPR_COLUMN || select->targets[i].expr->column != i)
            return false;
    return true;
}

static bool plan_project(struct select *select) {
    struct sql_binder *binder = select->binder;
    struct br_expr **exprs = br_arena_array(binder->arena, struct br_expr *, select->count + 1);
    const char **names = br_arena_array(binder->arena, const char *, select->count + 1);
    bool ok = true, identity = is_identity(select);
    for (uint32_t i = 0; i < select->count; i++) {
        exprs[i] = select->targets[i].expr;
        names[i] = select->targets[i].name;
        ok &= sql_check_clock(binder, exprs[i], select->node, select->targets[i].location);
        if (identity) // the node is ours: it may bear the names
            select->node->fields[i].name = names[i];
    }
    if (!identity)
        select->node = sql_node_project(binder, select->node, exprs, names, select->count);
    return ok;
}

static bool plan_distinct(struct select *select) {
    struct sql_binder *binder = select->binder;
    uint32_t *group = br_arena_array(binder->arena, uint32_t, select->count + 1);
    const char **names = br_arena_array(binder->arena, const char *, select->count + 1);
    bool ok = true;
    for (uint32_t i = 0; i < select->count; i++) {
        struct target *target = &select->targets[i];
        const struct br_expr *column = br_expr_column(binder->arena, i, target->expr->type, target->location);
        group[i] = i;
        names[i] = target->name;
        ok &= sql_check_clock_use(binder, column, select->node, target->location, SQL_CLOCK_DISTINCT);
    }
    select->node = sql_node_aggregate(binder, select->node, group, names, select->count, NULL, 0);
    return ok;
}

static bool check_distinct(struct select *select) {
    for (size_t i = 0; i < select->tree->n_distinct_clause; i++)
        if (sql_message(select->tree->distinct_clause[i]) != NULL) {
            sql_error(select->binder, sql_at_node(select->binder, select->tree->distinct_clause[i]),
                      "group by those columns and take min or max of the others", "DISTINCT ON is not supported");
            return false;
        }
    return true;
}

// --- ORDER BY and LIMIT of queries
static uint32_t sort_target(struct select *select, const PgQuery__Node *node, bool *ret_ok) {
    struct sql_binder *binder = select->binder;
    int location = sql_at_node(binder, node);
    struct target *target = NULL;
    const char *name = simple_name(node);
    *ret_ok = true;
    bool positioned = by_position(select, node, "ORDER BY", &target);
    if (!positioned && name != NULL)
        target = target_named(select, name, location, "ORDER BY");
    if (target != NULL)
        return (uint32_t)(target - select->targets);
    struct sql_expr_context ctx = context_of(select, "ORDER BY", true);
    struct br_expr *expr = positioned ? NULL : sql_bind_typed(&ctx, node);
    *ret_ok = expr != NULL;
    for (uint32_t i = 0; i < select->count && expr != NULL; i++)
        if (select->targets[i].expr != NULL && br_expr_equal(select->targets[i].expr, expr))
            return i;
    if (expr != NULL && select->tree->n_distinct_clause != 0) {
        sql_error(binder, location, NULL, "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
        *ret_ok = false;
    }
    add_target(select, (struct target){.name = "sort", .node = node, .expr = expr, .location = location});
    return select->count - 1;
}

static bool bind_sort(struct select *select, struct sql_select *ret) {
    size_t count = select->tree->n_sort_clause;
    bool all = true;
    ret->order = br_arena_array(select->binder->arena, struct br_sort_key, count + 1);
    for (size_t i = 0; i < count; i++) {
        const PgQuery__SortBy *sort = select->tree->sort_clause[i]->sort_by;
        bool ok;
        all &= sql_only(select->binder, sort, "node sortby_dir sortby_nulls");
        struct br_sort_key *key = &ret->order[ret->order_count++];
        key->column = sort_target(select, sort->node, &ok);
        key->descending = sort->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
        key->nulls_first = sort->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_DEFAULT
                               ? key->descending
                               : sort->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST;
        all &= ok;
    }
    return all;
}

static bool bind_count(struct sql_binder *binder, const PgQuery__Node *node, const char *what, int64_t otherwise,
                       int64_t *ret_count) {
    struct sql_scope none = {0};
    struct sql_expr_context ctx = {.binder = binder, .scope = &none, .clause = what};
    *ret_count = otherwise;
    if (node == NULL)
        return true;
    struct br_expr *expr = sql_bind_as(&ctx, node, BR_BIGINT, BR_CAST_ASSIGNMENT);
    if (expr == NULL)
        return false;
    if (expr->kind != BR_EXPR_CONST) {
        sql_error(binder, sql_at_node(binder, node), NULL, "%s must be a constant", what);
        return false;
    }
    if (expr->value.is_null)
        return true;
    if (expr->value.bigint < 0) {
        sql_error(binder, sql_at_node(binder, node), NULL, "%s must not be negative", what);
        return false;
    }
    *ret_count = expr->value.bigint;
    return true;
}

// --- CTEs
static bool bind_ctes(struct sql_binder *binder, const PgQuery__WithClause *with) {
    bool supported = sql_only(binder, with, "ctes"), ok = supported;
    const struct sql_symbol *outer = binder->ctes;
    for (size_t i = 0; i < with->n_ctes; i++) {
        const PgQuery__CommonTableExpr *tree = with->ctes[i]->common_table_expr;
        struct sql_symbol *cte = br_arena_new(binder->arena, struct sql_symbol);
        struct sql_select select;
        cte->kind = SQL_PLAIN_VIEW;
        cte->name = br_arena_strdup(binder->arena, tree->ctename);
        cte->base = binder->base;
        cte->select_ctes = binder->ctes;
        cte->names = br_arena_array(binder->arena, const char *, tree->n_aliascolnames + 1);
        for (size_t j = 0; j < tree->n_aliascolnames; j++)
            cte->names[cte->name_count++] = br_arena_strdup(binder->arena, sql_string(tree->aliascolnames[j]));
        bool handled = supported && sql_only(binder, tree, "ctename aliascolnames ctematerialized ctequery");
        if (tree->ctequery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
            sql_unsupported_node(binder, tree->ctequery);
            handled = false;
        } else {
            cte->select = tree->ctequery->select_stmt;
        }
        for (const struct sql_symbol *other = binder->ctes; other != outer; other = other->next)
            if (strcmp(other->name, cte->name) == 0) {
                sql_error(binder, sql_at(binder, tree->location), "use another name",
                          "WITH query name \"%s\" specified more than once", cte->name);
                handled = false;
            }
        cte->poisoned = !handled || !sql_bind_select(binder, cte->select, false, &select);
        if (!cte->poisoned && cte->name_count > select.count) {
            sql_error(binder, sql_at(binder, tree->location), NULL,
                      "WITH query \"%s\" has %u columns available but %u columns specified", cte->name, select.count,
                      cte->name_count);
            cte->poisoned = true;
        }
        cte->next = binder->ctes;
        binder->ctes = cte;
        ok &= !cte->poisoned;
    }
    return ok;
}

static bool bind_body(struct select *select, struct sql_select *ret) {
    struct sql_binder *binder = select->binder;
    const PgQuery__SelectStmt *tree = select->tree;
    bool query = select->top && (binder->queried != NULL || binder->history);
    if (tree->op > PG_QUERY__SET_OPERATION__SETOP_NONE) {
        sql_error(binder, sql_at(binder, sql_location(tree)), "make a view of each part",
                  "UNION, INTERSECT and EXCEPT are not supported");
        return false;
    }
    bool ok = sql_only(binder, tree,
                       query ? "distinct_clause target_list from_clause where_clause group_clause having_clause "
                               "with_clause sort_clause limit_count limit_offset limit_option"
                             : "distinct_clause target_list from_clause where_clause group_clause having_clause "
                               "with_clause limit_option");
    if (tree->n_values_lists != 0)
        return false; // reported; there is nothing else to look at
    if (query && tree->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES) {
        sql_error(binder, sql_at_node(binder, tree->limit_count), "use LIMIT", "FETCH … WITH TIES is not supported");
        ok = false;
    }
    if (tree->with_clause != NULL)
        ok &= bind_ctes(binder, tree->with_clause);
    if (tree->n_from_clause == 0) {
        sql_error(binder, sql_at(binder, sql_location(tree)), "SELECT … FROM a table or view",
                  "a SELECT without FROM is not supported");
        return false;
    }
    ok &= check_distinct(select);
    select->from = sql_bind_from(binder, tree);
    ok &= select->from.node != NULL;
    ok &= bind_targets(select);
    if (query) {
        ok &= bind_sort(select, ret);
        ok &= bind_count(binder, tree->limit_count, "LIMIT", -1, &ret->limit);
        ok &= bind_count(binder, tree->limit_offset, "OFFSET", 0, &ret->offset);
    }
    ok &= bind_groups(select);
    if (tree->having_clause != NULL) {
        struct sql_expr_context ctx = context_of(select, "HAVING", true);
        ok &= sql_conjuncts_bind(&ctx, tree->having_clause, &select->having_parts);
    }
    select->aggregated = select->aggregates.count != 0 || tree->n_group_clause != 0 || tree->having_clause != NULL;
    if (!ok)
        return false;
    select->node = select->from.node;
    if (select->aggregated && !plan_grouped(select))
        return false;
    ok = plan_project(select);
    if (ok && tree->n_distinct_clause != 0)
        ok = plan_distinct(select);
    return ok;
}

bool sql_bind_select(struct sql_binder *binder, const PgQuery__SelectStmt *tree, bool top, struct sql_select *ret) {
    struct sql_symbol *ctes = binder->ctes;
    struct select select = {.binder = binder, .tree = tree, .top = top};
    *ret = (struct sql_select){.limit = -1};
    bool ok = !sql_is_exhausted(binder) && bind_body(&select, ret) && !sql_is_exhausted(binder);
    binder->ctes = ctes;
    if (!ok)
        return false;
    ret->node = select.node;
    ret->count = select.visible;
    ret->names = br_arena_array(binder->arena, const char *, select.visible + 1);
    ret->locations = br_arena_array(binder->arena, int, select.visible + 1);
    for (uint32_t i = 0; i < select.visible; i++) {
        ret->names[i] = select.targets[i].name;
        ret->locations[i] = select.targets[i].location;
    }
    return true;
}
