// SPDX-License-Identifier: Apache-2.0
// Function calls: aggregates, functions of the file (inlined), functions of expr/.
#include "processor/sql/sql_internal.h"

static const struct {
    const char *name;
    enum br_aggregate_kind kind;
} aggregate_names[] = {
    {"count", BR_AGG_COUNT},
    {"sum", BR_AGG_SUM},
    {"min", BR_AGG_MIN},
    {"max", BR_AGG_MAX},
    {"avg", BR_AGG_AVG},
    {"bool_and", BR_AGG_BOOL_AND},
    {"every", BR_AGG_BOOL_AND},
    {"bool_or", BR_AGG_BOOL_OR},
    {"stddev", BR_AGG_STDDEV_SAMP},
    {"stddev_samp", BR_AGG_STDDEV_SAMP},
    {"stddev_pop", BR_AGG_STDDEV_POP},
    {"variance", BR_AGG_VAR_SAMP},
    {"var_samp", BR_AGG_VAR_SAMP},
    {"var_pop", BR_AGG_VAR_POP},
};
#define AGGREGATE_COUNT (sizeof aggregate_names / sizeof aggregate_names[0])

// PostgreSQL's aggregates that we lack: better named than "does not exist".
static const char *const missing_aggregates[] = {
    "array_agg", "string_agg", "json_agg",   "jsonb_agg",       "bit_and",
    "bit_or",    "corr",       "mode",       "percentile_cont", "percentile_disc",
    "covar_pop", "covar_samp", "regr_slope", "json_object_agg", "jsonb_object_agg"};

static int find_aggregate(const char *name) {
    for (size_t i = 0; i < AGGREGATE_COUNT; i++)
        if (strcmp(aggregate_names[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool sql_is_aggregate(const char *name) {
    return find_aggregate(name) >= 0;
}

// PostgreSQL's result types; BR_UNKNOWN: there is no such aggregate over the type.
static enum br_type aggregate_type(enum br_aggregate_kind kind, enum br_type argument) {
    bool whole = argument == BR_INTEGER || argument == BR_BIGINT;
    bool number = whole || argument == BR_NUMERIC || argument == BR_DOUBLE;
    switch (kind) {
    case BR_AGG_COUNT:
        return BR_BIGINT;
    case BR_AGG_SUM:
        if (argument == BR_INTEGER)
            return BR_BIGINT;
        if (argument == BR_BIGINT)
            return BR_NUMERIC;
        return number || argument == BR_INTERVAL ? argument : BR_UNKNOWN;
    case BR_AGG_AVG:
        if (argument == BR_INTERVAL || argument == BR_DOUBLE)
            return argument;
        return number ? BR_NUMERIC : BR_UNKNOWN;
    case BR_AGG_MIN:
    case BR_AGG_MAX:
        return argument == BR_BOOLEAN ? BR_UNKNOWN : argument;
    case BR_AGG_BOOL_AND:
    case BR_AGG_BOOL_OR:
        return argument == BR_BOOLEAN ? BR_BOOLEAN : BR_UNKNOWN;
    case BR_AGG_STDDEV_SAMP:
    case BR_AGG_STDDEV_POP:
    case BR_AGG_VAR_SAMP:
    case BR_AGG_VAR_POP:
        if (argument == BR_DOUBLE)
            return BR_DOUBLE;
        return number ? BR_NUMERIC : BR_UNKNOWN;
    }
    return BR_UNKNOWN;
}

static bool same_or_absent(const struct br_expr *a, const struct br_expr *b) {
    return a == NULL || b == NULL ? a == b : br_expr_equal(a, b);
}

// The index of an equal call, which is shared, or of a new one.
static uint32_t intern_aggregate(struct sql_binder *binder, struct sql_aggregates *aggregates,
                                 struct sql_aggregate_call call) {
    for (uint32_t i = 0; i < aggregates->count; i++) {
        const struct sql_aggregate_call *other = &aggregates->list[i];
        if (other->aggregate.kind == call.aggregate.kind && other->aggregate.distinct == call.aggregate.distinct &&
            same_or_absent(other->argument, call.argument) && same_or_absent(other->filter, call.filter))
            return i;
    }
    if (aggregates->count == aggregates->capacity) {
        uint32_t capacity = aggregates->capacity == 0 ? 8 : aggregates->capacity * 2;
        struct sql_aggregate_call *list = br_arena_array(binder->arena, struct sql_aggregate_call, capacity);
        if (aggregates->count != 0)
            memcpy(list, aggregates->list, aggregates->count * sizeof *list);
        aggregates->list = list;
        aggregates->capacity = capacity;
    }
    aggregates->list[aggregates->count] = call;
    return aggregates->count++;
}

static bool aggregate_allowed(struct sql_expr_context *ctx, int location) {
    if (ctx->aggregates != NULL)
        return true;
    if (ctx->in_aggregate)
        sql_error(ctx->binder, location, "make the inner aggregate a view of its own",
                  "aggregate function calls cannot be nested");
    else
        sql_error(ctx->binder, location, strcmp(ctx->clause, "WHERE") == 0 ? "use HAVING" : NULL,
                  "aggregate functions are not allowed in %s", ctx->clause);
    return false;
}

// sum(10 / x) FILTER (WHERE x <> 0): the argument is looked at where the filter holds, else it would fail the row.
static struct br_expr *only_where(struct sql_binder *binder, struct br_expr *filter, struct br_expr *argument) {
    if (argument->kind == BR_EXPR_COLUMN || argument->kind == BR_EXPR_CONST)
        return argument;
    struct br_expr **arms = br_arena_array(binder->arena, struct br_expr *, 3);
    struct br_value null = {.type = argument->type, .is_null = true};
    arms[0] = filter;
    arms[1] = argument;
    arms[2] = br_expr_const(binder->arena, null, argument->location);
    return br_expr_of(binder->arena, BR_EXPR_CASE, argument->type, arms, 3, argument->location);
}

static struct br_expr *bind_aggregate(struct sql_expr_context *ctx, const PgQuery__FuncCall *call, const char *name) {
    struct sql_binder *binder = ctx->binder;
    int location = sql_at(binder, call->location);
    bool ok = sql_only(binder, call, "funcname args agg_filter agg_star agg_distinct funcformat");
    if (!aggregate_allowed(ctx, location) || !ok)
        return NULL;
    struct sql_aggregate_call bound = {.aggregate = {.kind = aggregate_names[find_aggregate(name)].kind}};
    struct sql_expr_context inner = *ctx;
    inner.aggregates = NULL;
    inner.in_aggregate = true;
    bool star = call->agg_star != 0;
    if (star ? bound.aggregate.kind != BR_AGG_COUNT : call->n_args != 1) {
        if (star || call->n_args == 0)
            sql_error(binder, location,
                      strcmp(name, "count") == 0 ? "count(*) counts rows"
                                                 : br_arena_printf(binder->arena, "say of what: %s(column)", name),
                      "function %s(%s) does not exist", name, star ? "*" : "");
        else
            sql_error(binder, location, "count what they have in common: one expression",
                      "%s of more than one argument is not supported", name);
        return NULL;
    }
    enum br_type argument_type = BR_UNKNOWN;
    if (!star) {
        bound.argument = sql_bind_typed(&inner, call->args[0]);
        argument_type = bound.argument == NULL ? BR_UNKNOWN : bound.argument->type;
    }
    if (call->agg_filter != NULL) {
        inner.clause = "FILTER";
        bound.filter = sql_bind_boolean(&inner, call->agg_filter);
    }
    if (bound.filter != NULL && bound.argument != NULL)
        bound.argument = only_where(binder, bound.filter, bound.argument);
    if ((!star && bound.argument == NULL) || (call->agg_filter != NULL && bound.filter == NULL))
        return NULL;
    enum br_type type = aggregate_type(bound.aggregate.kind, argument_type);
    if (type == BR_UNKNOWN) {
        sql_error(binder, location, "cast the argument to a type that it takes", "function %s(%s) does not exist", name,
                  br_type_name(argument_type));
        return NULL;
    }
    bool idempotent = bound.aggregate.kind == BR_AGG_MIN || bound.aggregate.kind == BR_AGG_MAX ||
                      bound.aggregate.kind == BR_AGG_BOOL_AND || bound.aggregate.kind == BR_AGG_BOOL_OR;
    bound.aggregate.distinct = call->agg_distinct != 0 && !idempotent;
    bound.aggregate.argument_type = argument_type;
    bound.aggregate.result_type = type;
    uint32_t index = intern_aggregate(binder, ctx->aggregates, bound);
    return br_expr_column(binder->arena, SQL_AGGREGATE_COLUMN + index, type, location);
}

// --- functions of the file
static bool castable(struct sql_binder *binder, struct br_expr *expr, enum br_type type) {
    struct br_error error;
    struct br_expr *cast;
    return expr->type == type || br_expr_cast(binder->arena, expr, type, BR_CAST_IMPLICIT, &cast, &error) == BR_OK;
}

// The function that takes the arguments: an exact match first, then one that takes them by implicit casts.
static const struct sql_function *find_function(struct sql_binder *binder, const char *name, struct br_expr **arguments,
                                                uint32_t count) {
    const struct sql_function *found = NULL;
    for (const struct sql_function *f = binder->functions; f != NULL; f = f->next) {
        if (strcmp(f->name, name) != 0 || f->parameter_count != count)
            continue;
        bool exact = true, fits = true;
        for (uint32_t i = 0; i < count && fits; i++) {
            bool scalar = f->parameters[i].row == NULL;
            exact &= scalar && arguments[i]->type == f->parameters[i].type;
            fits = scalar && castable(binder, arguments[i], f->parameters[i].type);
        }
        if (f->poisoned)
            return f;
        if (fits && (exact || found == NULL))
            found = f;
        if (fits && exact)
            return found;
    }
    return found;
}

static bool names_function(const struct sql_binder *binder, const char *name) {
    for (const struct sql_function *f = binder->functions; f != NULL; f = f->next)
        if (strcmp(f->name, name) == 0)
            return true;
    return false;
}

static struct br_expr *inline_function(struct sql_binder *binder, const struct sql_function *function,
                                       struct br_expr **arguments, uint32_t count, int location) {
    if (function->poisoned)
        return NULL;
    if (function->returns_row != NULL) {
        sql_error(binder, location, "such a function is for CREATE CAST",
                  "a row as a value is not supported: %s gives one", function->name);
        return NULL;
    }
    struct br_expr **nulls = br_arena_array(binder->arena, struct br_expr *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        arguments[i] = sql_cast_to(binder, arguments[i], function->parameters[i].type, BR_CAST_IMPLICIT, location);
        if (arguments[i] == NULL)
            return NULL;
        nulls[i] = br_expr_of(binder->arena, BR_EXPR_IS_NULL, BR_BOOLEAN, &arguments[i], 1, location);
    }
    struct br_expr *body = sql_substitute(binder->arena, function->body[0], arguments);
    if (!function->strict || count == 0)
        return body;
    struct br_expr **arms = br_arena_array(binder->arena, struct br_expr *, 3);
    arms[0] = count == 1 ? nulls[0] : br_expr_of(binder->arena, BR_EXPR_OR, BR_BOOLEAN, nulls, count, location);
    struct br_value null = {.type = body->type, .is_null = true};
    arms[1] = br_expr_const(binder->arena, null, location);
    arms[2] = body;
    return br_expr_of(binder->arena, BR_EXPR_CASE, body->type, arms, 3, location);
}

static bool is_missing_aggregate(const char *name) {
    for (size_t i = 0; i < sizeof missing_aggregates / sizeof missing_aggregates[0]; i++)
        if (strcmp(missing_aggregates[i], name) == 0)
            return true;
    return false;
}

static bool report_special(struct sql_binder *binder, const PgQuery__FuncCall *call, const char *name) {
    int location = sql_at(binder, call->location);
    if (strcmp(name, "timezone") == 0) {
        sql_error(binder, location, "all times are in UTC: convert where they are shown",
                  "AT TIME ZONE is not supported");
        return true;
    }
    if (is_missing_aggregate(name)) {
        sql_error(binder, location, "aggregates are count, sum, min, max, avg, bool_and, bool_or, stddev, variance",
                  "aggregate %s is not supported", name);
        return true;
    }
    if (strcmp(name, "tumble") == 0 || strcmp(name, "hop") == 0) {
        sql_error(binder, location, "write it in FROM: FROM tumble(orders, placed_at, interval '1 minute')",
                  "%s is not a function of a row", name);
        return true;
    }
    if (strcmp(name, "random") == 0 || strcmp(name, "clock_timestamp") == 0 || strcmp(name, "gen_random_uuid") == 0) {
        sql_error(binder, location,
                  "a view must give the same rows when it is computed again; now() is the time of the epoch",
                  "%s() is not supported", name);
        return true;
    }
    return false;
}

struct br_expr *sql_bind_function(struct sql_expr_context *ctx, const PgQuery__FuncCall *call) {
    struct sql_binder *binder = ctx->binder;
    const char *name = sql_string(call->funcname[call->n_funcname - 1]);
    int location = sql_at(binder, call->location);
    if (call->n_funcname > 1 && !sql_is_string(call->funcname[0], "pg_catalog")) {
        sql_error(binder, location, "leave the schema out", "function %s does not exist",
                  sql_dotted(binder, call->funcname, call->n_funcname));
        return NULL;
    }
    if (call->over == NULL && sql_is_aggregate(name) && !names_function(binder, name))
        return bind_aggregate(ctx, call, name);
    bool ok = sql_only(binder, call, "funcname args funcformat");
    if (!ok || report_special(binder, call, name))
        return NULL;
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, call->n_args + 1);
    for (size_t i = 0; i < call->n_args; i++) {
        arguments[i] = sql_bind(ctx, call->args[i]);
        ok &= arguments[i] != NULL;
    }
    if (!ok)
        return NULL;
    uint32_t count = (uint32_t)call->n_args;
    const struct sql_function *function = find_function(binder, name, arguments, count);
    if (function != NULL)
        return inline_function(binder, function, arguments, count, location);
    return sql_call(binder, name, arguments, count, location);
}
