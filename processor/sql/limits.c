// SPDX-License-Identifier: Apache-2.0
// How large a plan may get: functions and plain views are planned into their users, so that a short text can make a
// plan that nothing holds.
//
// Under rules 0 and 1 the limits are those beyond which no build has run a plan; what logs know goes on. docs/limits.md
// tells those of new plans.
#include "processor/sql/sql_internal.h"

#include <stdio.h>

#define STATEMENTS_MAX 2000
#define COLUMNS_MAX 1600      // PostgreSQL's, of a table
#define ALL_COLUMNS_MAX 30000 // of all tables, types and views
#define EXPR_NODES_MAX 200000 // of one expression
#define EXPR_DEPTH_MAX 2000   // calls within calls
#define PLAN_DEPTH_MAX 300    // nodes one on the other: rows are handed down on the stack
#define PLAN_BYTES_MAX ((size_t)128 << 20)
#define QUERY_BYTES_MAX ((size_t)16 << 20) // of a query, which a worker plans between two epochs
#define OLD_EXPR_NODES_MAX 1000000
#define OLD_EXPR_DEPTH_MAX 10000
#define OLD_PLAN_BYTES_MAX ((size_t)2 << 30)

void sql_exhaust(struct sql_binder *binder, int location, const char *hint, const char *format, ...) {
    char message[BR_ERROR_MESSAGE_SIZE];
    if (sql_is_exhausted(binder))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    bool muted = binder->muted;
    binder->muted = false; // what is bound again may be larger than it was
    sql_error(binder, location, hint, "%s", message);
    binder->muted = muted;
    binder->exhausted = true;
}

bool sql_check_memory(struct sql_binder *binder, int location) {
    size_t max = binder->queried != NULL ? QUERY_BYTES_MAX : binder->rules < 2 ? OLD_PLAN_BYTES_MAX : PLAN_BYTES_MAX;
    if (br_arena_footprint(binder->arena) > max)
        sql_exhaust(
            binder, location,
            "plain views, CTEs and functions are planned into their users each time: make some views materialized, or "
            "make several pipelines of it",
            "the plan is too large: it takes more than %zu MiB", max >> 20);
    return !sql_is_exhausted(binder);
}

bool sql_check_statements(struct sql_binder *binder, size_t count, int location) {
    if (count > STATEMENTS_MAX && binder->rules >= 2)
        sql_exhaust(binder, location, "make several pipelines of it", "the file has %zu statements, more than %d",
                    count, STATEMENTS_MAX);
    return !sql_is_exhausted(binder);
}

bool sql_check_columns(struct sql_binder *binder, size_t count, int location, const char *of) {
    if (count > COLUMNS_MAX && binder->rules >= 2)
        sql_exhaust(binder, location, "make several of it, or put what belongs together into a message of its own",
                    "%s can have at most %d columns", of, COLUMNS_MAX);
    return !sql_is_exhausted(binder);
}

bool sql_check_all_columns(struct sql_binder *binder, uint32_t count, int location) {
    binder->column_count += count;
    if (binder->column_count > ALL_COLUMNS_MAX && binder->rules >= 2)
        sql_exhaust(binder, location, "make several pipelines of it",
                    "the tables, types and views have more than %d columns together", ALL_COLUMNS_MAX);
    return !sql_is_exhausted(binder);
}

bool sql_expr_fits(const struct sql_binder *binder, const struct br_expr *expr) {
    return expr->size <= (binder->rules < 2 ? OLD_EXPR_NODES_MAX : EXPR_NODES_MAX) &&
           expr->depth <= (binder->rules < 2 ? OLD_EXPR_DEPTH_MAX : EXPR_DEPTH_MAX);
}

struct br_expr *sql_check_expr(struct sql_binder *binder, struct br_expr *expr, int location) {
    if (expr == NULL)
        return NULL;
    if (!sql_expr_fits(binder, expr))
        sql_exhaust(
            binder, location,
            "functions are put into their callers each time they are called: compute the parts in a view of their own, "
            "and the rest from its columns",
            "the expression is too large: with its functions it has more than %d parts, or more than %d within each "
            "other",
            binder->rules < 2 ? OLD_EXPR_NODES_MAX : EXPR_NODES_MAX,
            binder->rules < 2 ? OLD_EXPR_DEPTH_MAX : EXPR_DEPTH_MAX);
    return sql_check_memory(binder, location) ? expr : NULL;
}

void sql_check_depth(struct sql_binder *binder, const struct br_node *node) {
    if (node->depth > PLAN_DEPTH_MAX && binder->rules >= 2)
        sql_exhaust(binder, binder->statement, "read what it reads from a view further below",
                    "the plan is too deep: more than %d steps stand on each other below this statement",
                    PLAN_DEPTH_MAX);
}
