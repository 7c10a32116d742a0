// SPDX-License-Identifier: Apache-2.0
// FROM and WHERE: tables, views, derived tables, CTEs, tumble and hop; comma lists become joins by what WHERE says.
#include "processor/sql/sql_internal.h"

#include "processor/expr/datetime.h"

static struct sql_relation failed(void) {
    return (struct sql_relation){.scope = {.poisoned = true}};
}

// --- names and aliases
static void alias_columns(struct sql_binder *binder, struct sql_scope *scope, const PgQuery__Alias *alias,
                          int location) {
    uint32_t visible = 0;
    for (uint32_t i = 0; i < scope->count; i++)
        visible += scope->columns[i].hidden ? 0 : 1;
    if (alias->n_colnames > visible) {
        sql_error(binder, location, NULL, "table \"%s\" has %u columns available but %zu columns specified",
                  alias->aliasname, visible, alias->n_colnames);
        return;
    }
    for (uint32_t i = 0, named = 0; i < scope->count && named < alias->n_colnames; i++)
        if (!scope->columns[i].hidden)
            scope->columns[i].name = br_arena_strdup(binder->arena, sql_string(alias->colnames[named++]));
}

static const char *alias_of(struct sql_binder *binder, const PgQuery__Alias *alias, const char *name) {
    return br_arena_strdup(binder->arena, alias == NULL ? name : alias->aliasname);
}

static struct sql_relation relation_of(struct sql_binder *binder, struct br_node *node, const char *const *names,
                                       uint32_t visible, const char *alias) {
    struct sql_relation relation = {.node = node};
    const struct br_row_type *row_type = node->kind == BR_NODE_SOURCE ? &node->source.table->row_type : NULL;
    sql_scope_add_relation(binder, &relation.scope, alias, row_type);
    for (uint32_t i = 0; i < node->field_count; i++)
        sql_scope_add(binder, &relation.scope,
                      (struct sql_column){.relation = alias,
                                          .name = names[i],
                                          .type = node->fields[i].type,
                                          .column = i,
                                          .labels = node->fields[i].labels,
                                          .hidden = i >= visible});
    return relation;
}

// --- what a name stands for
static struct sql_symbol *find_cte(const struct sql_binder *binder, const char *name) {
    for (struct sql_symbol *cte = binder->ctes; cte != NULL; cte = cte->next)
        if (strcmp(cte->name, name) == 0)
            return cte;
    return NULL;
}

static void report_unknown(struct sql_binder *binder, const char *name, int location) {
    struct sql_nearest nearest = {.wanted = name};
    for (const struct sql_symbol *cte = binder->ctes; cte != NULL; cte = cte->next)
        sql_nearest_try(&nearest, cte->name);
    for (const struct sql_symbol *symbol = binder->symbols; symbol != NULL; symbol = symbol->next)
        if (symbol->kind != SQL_TYPE)
            sql_nearest_try(&nearest, symbol->name);
    for (uint32_t i = 0; binder->queried != NULL && i < binder->queried->view_count; i++)
        sql_nearest_try(&nearest, binder->queried->views[i].name);
    const char *hint = sql_nearest_hint(binder, &nearest);
    sql_error(binder, location, hint == NULL ? "a table or view must be declared before it is read" : hint,
              "relation \"%s\" does not exist", name);
}

// A plain view or CTE is bound anew for each use; what is wrong with it was said where it was declared.
static struct sql_relation expand_select(struct sql_binder *binder, const struct sql_symbol *symbol, const char *alias,
                                         int location) {
    struct sql_binder saved = *binder;
    struct sql_select select;
    if (binder->node_count > SQL_NODES_MAX) {
        sql_error(binder, location, "make some of its plain views materialized", "the plan is too large");
        return failed();
    }
    binder->ctes = symbol->select_ctes;
    binder->base = symbol->base;
    binder->fixed = false;
    binder->muted = true;
    bool ok = sql_bind_select(binder, symbol->select, false, &select);
    binder->ctes = saved.ctes;
    binder->base = saved.base;
    binder->fixed = saved.fixed;
    binder->muted = saved.muted;
    if (!ok)
        return failed();
    for (uint32_t i = 0; i < symbol->name_count && i < select.count; i++)
        select.names[i] = symbol->names[i];
    return relation_of(binder, select.node, select.names, select.count, alias);
}

static struct sql_relation scan_view(struct sql_binder *binder, const char *name, const char *alias, int location) {
    const struct br_view *view = br_pipeline_find_view(binder->queried, name);
    if (view == NULL) {
        if (br_pipeline_find_table(binder->queried, name) != NULL)
            sql_error(binder, location, "a query reads views: CREATE MATERIALIZED VIEW … AS SELECT … FROM the table",
                      "\"%s\" is a table", name);
        else
            report_unknown(binder, name, location);
        return failed();
    }
    struct br_node *node = sql_node_scan(binder, view);
    const char **names = br_arena_array(binder->arena, const char *, node->field_count + 1);
    for (uint32_t i = 0; i < node->field_count; i++)
        names[i] = view->row_type.columns[i].name;
    return relation_of(binder, node, names, node->field_count, alias);
}

static struct sql_relation read_table(struct sql_binder *binder, struct sql_symbol *symbol, const char *alias) {
    if (symbol->source == NULL)
        symbol->source = sql_node_source(binder, symbol->table);
    const struct br_row_type *row_type = &symbol->table->row_type;
    const char **names = br_arena_array(binder->arena, const char *, row_type->column_count + 1);
    for (uint32_t i = 0; i < row_type->column_count; i++)
        names[i] = row_type->columns[i].name;
    return relation_of(binder, symbol->source, names, symbol->visible_count, alias);
}

static struct sql_relation read_view(struct sql_binder *binder, const struct sql_symbol *symbol, const char *alias) {
    const struct br_row_type *row_type = &symbol->view->row_type;
    const char **names = br_arena_array(binder->arena, const char *, row_type->column_count + 1);
    for (uint32_t i = 0; i < row_type->column_count; i++)
        names[i] = row_type->columns[i].name;
    return relation_of(binder, symbol->view->root, names, row_type->column_count, alias);
}

static struct sql_relation read_name(struct sql_binder *binder, const char *name, const char *alias, int location) {
    struct sql_symbol *cte = find_cte(binder, name);
    if (cte != NULL)
        return cte->poisoned ? failed() : expand_select(binder, cte, alias, location);
    if (binder->queried != NULL)
        return scan_view(binder, name, alias, location);
    struct sql_symbol *symbol = sql_find_symbol(binder, name);
    if (symbol == NULL) {
        report_unknown(binder, name, location);
        return failed();
    }
    if (symbol->poisoned)
        return failed();
    switch (symbol->kind) {
    case SQL_TABLE:
        return read_table(binder, symbol, alias);
    case SQL_VIEW:
        return read_view(binder, symbol, alias);
    case SQL_PLAIN_VIEW:
        return expand_select(binder, symbol, alias, location);
    case SQL_TYPE:
        break;
    }
    sql_error(binder, location, "CREATE TABLE makes a source", "\"%s\" is a type, not a table", name);
    return failed();
}

static struct sql_relation bind_range_var(struct sql_binder *binder, const PgQuery__RangeVar *range) {
    int location = sql_at(binder, range->location);
    if (!sql_only(binder, range, "relname inh relpersistence alias"))
        return failed();
    struct sql_relation relation =
        read_name(binder, range->relname, alias_of(binder, range->alias, range->relname), location);
    if (range->alias != NULL)
        alias_columns(binder, &relation.scope, range->alias, location);
    return relation;
}

// Where the subquery's parenthesis opens, as well as its tree tells (which begins behind SELECT).
static int before_subquery(const struct sql_binder *binder, int location) {
    int at = location;
    while (at > binder->statement && binder->text[at] != '(')
        at--;
    return binder->text[at] == '(' ? at : location;
}

static struct sql_relation bind_subselect(struct sql_binder *binder, const PgQuery__RangeSubselect *range) {
    int location = sql_at_node(binder, range->subquery);
    struct sql_select select;
    if (!sql_only(binder, range, "subquery alias"))
        return failed();
    if (range->subquery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
        sql_unsupported_node(binder, range->subquery);
        return failed();
    }
    // PostgreSQL 15's grammar wants an alias, that of 16 doesn't: the same file must do everywhere.
    if (range->alias == NULL) {
        sql_error(binder, before_subquery(binder, location), NULL, "subquery in FROM must have an alias");
        return failed();
    }
    if (!sql_bind_select(binder, range->subquery->select_stmt, false, &select))
        return failed();
    struct sql_relation relation =
        relation_of(binder, select.node, select.names, select.count, alias_of(binder, range->alias, "subquery"));
    alias_columns(binder, &relation.scope, range->alias, location);
    return relation;
}

// --- tumble and hop
static bool bind_size(struct sql_binder *binder, const PgQuery__Node *node, const char *what, int64_t *ret_us) {
    struct sql_scope none = {0};
    struct sql_expr_context ctx = {
        .binder = binder, .scope = &none, .clause = br_arena_printf(binder->arena, "the %s of a window", what)};
    int location = sql_at_node(binder, node);
    struct br_expr *expr = sql_bind(&ctx, node);
    if (expr != NULL && expr->type != BR_UNKNOWN && expr->type != BR_INTERVAL) {
        sql_error(binder, location, "write interval '1 minute'", "the %s of a window must be an interval, not %s", what,
                  br_type_name(expr->type));
        return false;
    }
    expr = expr == NULL ? NULL : sql_cast_to(binder, expr, BR_INTERVAL, BR_CAST_IMPLICIT, location);
    if (expr == NULL)
        return false;
    if (expr->kind != BR_EXPR_CONST || expr->value.is_null) {
        sql_error(binder, location, "write interval '1 minute'", "the %s of a window must be a constant", what);
        return false;
    }
    if (!br_interval_to_us(expr->value.interval, ret_us)) {
        sql_error(binder, location, "use days: interval '30 days'",
                  "the %s of a window can't have months: they differ in length", what);
        return false;
    }
    if (*ret_us <= 0) {
        sql_error(binder, location, "for example interval '1 minute'", "the %s of a window must be positive", what);
        return false;
    }
    return true;
}

static bool check_window(struct sql_binder *binder, int64_t size_us, int64_t slide_us, int location) {
    if (size_us > SQL_WINDOW_US_MAX) {
        sql_error(binder, location, "the calendar has 3,652,059 days: years 1 to 9999",
                  "the size of a window is longer than all of time");
        return false;
    }
    if (slide_us > size_us || size_us % slide_us != 0) {
        sql_error(binder, location, "the slide comes first: hop(t, at, interval '10 seconds', interval '1 minute')",
                  "the size of a hopping window must be a multiple of its slide");
        return false;
    }
    if (size_us / slide_us > SQL_HOP_WINDOWS_MAX) {
        sql_error(binder, location, "use a longer slide",
                  "every row would fall into %lld windows; at most %d are supported", (long long)(size_us / slide_us),
                  SQL_HOP_WINDOWS_MAX);
        return false;
    }
    return true;
}

static struct br_expr *bind_time_column(struct sql_binder *binder, const struct sql_relation *relation,
                                        const PgQuery__Node *node, const char *name) {
    struct sql_expr_context ctx = {.binder = binder, .scope = &relation->scope, .clause = name};
    int location = sql_at_node(binder, node);
    struct br_expr *time = sql_bind(&ctx, node);
    if (time == NULL)
        return NULL;
    if (time->kind != BR_EXPR_COLUMN) {
        sql_error(binder, location, "compute it in a view or a subquery in FROM first",
                  "the time of %s must be a column", name);
        return NULL;
    }
    if (time->type != BR_TIMESTAMPTZ) {
        sql_error(binder, location, "windows are cut by a timestamptz column",
                  "the time of %s must be timestamptz, not %s", name, br_type_name(time->type));
        return NULL;
    }
    return time;
}

static struct sql_relation bind_window(struct sql_binder *binder, const PgQuery__FuncCall *call, const char *name,
                                       const PgQuery__Alias *alias) {
    int location = sql_at(binder, call->location);
    bool hop = strcmp(name, "hop") == 0, ok = sql_only(binder, call, "funcname args funcformat");
    if (call->n_args != (hop ? 4u : 3u)) {
        sql_error(binder, location, hop ? "hop(table, time column, slide, size)" : "tumble(table, time column, size)",
                  "%s takes %d arguments", name, hop ? 4 : 3);
        return failed();
    }
    const PgQuery__Node *table = call->args[0];
    const char *table_name = table->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && table->column_ref->n_fields == 1
                                 ? sql_string(table->column_ref->fields[0])
                                 : NULL;
    if (table_name == NULL) {
        sql_error(binder, sql_at_node(binder, table), "make a view of it, or use WITH name AS (SELECT …)",
                  "the first argument of %s must be the name of a table or view", name);
        return failed();
    }
    const char *relation_alias = alias_of(binder, alias, table_name);
    struct sql_relation relation = read_name(binder, table_name, relation_alias, sql_at_node(binder, table));
    struct br_expr *time = bind_time_column(binder, &relation, call->args[1], name);
    int64_t size_us, slide_us;
    ok &= bind_size(binder, call->args[2], hop ? "slide" : "size", &slide_us);
    size_us = slide_us;
    if (hop)
        ok &= bind_size(binder, call->args[3], "size", &size_us);
    if (!ok || time == NULL || relation.node == NULL || !check_window(binder, size_us, slide_us, location) ||
        !sql_check_clock_use(binder, time, relation.node, sql_at_node(binder, call->args[1]), SQL_CLOCK_WINDOW))
        return (struct sql_relation){.scope = {.poisoned = true}};
    relation.node = sql_node_window(binder, relation.node, time->column, size_us, slide_us);
    for (uint32_t i = 0; i < 2; i++)
        sql_scope_add(binder, &relation.scope,
                      (struct sql_column){.relation = relation_alias,
                                          .name = i == 0 ? "window_start" : "window_end",
                                          .type = BR_TIMESTAMPTZ,
                                          .column = relation.node->field_count - 2 + i});
    if (alias != NULL)
        alias_columns(binder, &relation.scope, alias, location);
    return relation;
}

static struct sql_relation bind_range_function(struct sql_binder *binder, const PgQuery__RangeFunction *range) {
    if (!sql_only(binder, range, "functions alias"))
        return failed();
    const PgQuery__Node *node = range->functions[0];
    if (node->node_case == PG_QUERY__NODE__NODE_LIST && node->list->n_items > 0)
        node = node->list->items[0];
    if (node->node_case == PG_QUERY__NODE__NODE_FUNC_CALL) {
        const PgQuery__FuncCall *call = node->func_call;
        const char *name = sql_string(call->funcname[call->n_funcname - 1]);
        if (call->n_funcname == 1 && (strcmp(name, "tumble") == 0 || strcmp(name, "hop") == 0))
            return bind_window(binder, call, name, range->alias);
        struct sql_nearest nearest = {.wanted = name};
        sql_nearest_try(&nearest, "tumble");
        sql_nearest_try(&nearest, "hop");
        const char *hint = sql_nearest_hint(binder, &nearest);
        sql_error(binder, sql_at(binder, call->location),
                  hint == NULL ? "tumble and hop are the functions there" : hint,
                  "function %s in FROM is not supported", name);
        return failed();
    }
    sql_unsupported_node(binder, node);
    return failed();
}

struct sql_relation sql_bind_from_item(struct sql_binder *binder, const PgQuery__Node *item) {
    if (sql_is_exhausted(binder))
        return failed();
    switch (item->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR:
        return bind_range_var(binder, item->range_var);
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
        return bind_subselect(binder, item->range_subselect);
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
        return bind_range_function(binder, item->range_function);
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
        return sql_bind_join(binder, item->join_expr);
    default:
        sql_unsupported_node(binder, item);
        return failed();
    }
}

// --- comma lists
static bool within(struct sql_binder *binder, const struct br_expr *expr, uint32_t total, uint32_t begin,
                   uint32_t end) {
    bool *used = br_arena_array(binder->arena, bool, total + 1);
    bool touches = false;
    br_expr_mark_columns(expr, used);
    for (uint32_t i = 0; i < total; i++) {
        if (used[i] && i >= end)
            return false;
        touches |= used[i] && i >= begin;
    }
    return touches;
}

// Joins the items from left to right; each takes the conditions of WHERE that it makes answerable.
static struct br_node *join_items(struct sql_binder *binder, const struct sql_relation *items, const int *locations,
                                  uint32_t count, struct sql_conjuncts *where, uint32_t total) {
    struct br_node *node = items[0].node;
    for (uint32_t i = 1; i < count && node != NULL; i++) {
        uint32_t begin = node->field_count, end = begin + items[i].node->field_count;
        struct sql_conjuncts on = {br_arena_array(binder->arena, struct sql_conjunct, where->count + 1), 0, 0};
        uint32_t kept = 0;
        for (uint32_t j = 0; j < where->count; j++) {
            if (within(binder, where->list[j].expr, total, begin, end))
                on.list[on.count++] = where->list[j];
            else
                where->list[kept++] = where->list[j];
        }
        where->count = kept;
        node = sql_join(binder, node, items[i].node, &on, false, locations[i]);
    }
    return node;
}

struct sql_relation sql_bind_from(struct sql_binder *binder, const PgQuery__SelectStmt *select) {
    uint32_t count = (uint32_t)select->n_from_clause, total = 0;
    struct sql_relation *items = br_arena_array(binder->arena, struct sql_relation, count + 1);
    int *locations = br_arena_array(binder->arena, int, count + 1);
    struct sql_relation result = {0};
    bool ok = true;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = sql_bind_from_item(binder, select->from_clause[i]);
        locations[i] = sql_at_node(binder, select->from_clause[i]);
        for (uint32_t j = 0; j < items[i].scope.relation_count; j++)
            for (uint32_t k = 0; k < result.scope.relation_count; k++)
                if (strcmp(items[i].scope.relations[j], result.scope.relations[k]) == 0) {
                    sql_error(binder, locations[i], "give one of them an alias",
                              "table name \"%s\" specified more than once", items[i].scope.relations[j]);
                    ok = false;
                }
        sql_scope_append(binder, &result.scope, &items[i].scope, total);
        ok &= items[i].node != NULL;
        total += items[i].node == NULL ? items[i].scope.count : items[i].node->field_count;
    }
    result.scope.poisoned |= !ok;
    struct sql_conjuncts where = {0};
    if (select->where_clause != NULL) {
        struct sql_expr_context ctx = {.binder = binder, .scope = &result.scope, .clause = "WHERE"};
        ok &= sql_conjuncts_bind(&ctx, select->where_clause, &where);
    }
    if (!ok)
        return result;
    result.node = join_items(binder, items, locations, count, &where, total);
    for (uint32_t i = 0; i < where.count && result.node != NULL; i++) {
        struct br_expr *predicate = where.list[i].expr;
        if (!sql_check_clock_condition(binder, predicate, result.node, predicate->location))
            result.node = NULL;
        else
            result.node = sql_filter(binder, result.node, predicate);
    }
    return result;
}
