// SPDX-License-Identifier: Apache-2.0
// Expressions of the parse tree → bound expressions. Functions and operators are resolved by expr/ (br_expr_call);
// this file knows the syntax: constants, column references, casts, boolean logic.
#include "processor/sql/sql_internal.h"

#include "processor/expr/numeric.h"

#include <stdlib.h>

// Under rules 0 powers, exponentials and logarithms were those of doubles only: numerics were cast.
static void take_doubles(struct sql_binder *binder, const char *name, struct br_expr **arguments, uint32_t count) {
    static const char *const names[] = {"^", "power", "pow", "exp", "ln", "log", "log10"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = strcmp(name, names[i]) == 0;
    for (uint32_t i = 0; i < count && found; i++)
        if (arguments[i]->type == BR_NUMERIC)
            BR_CHECK(br_expr_cast(binder->arena, arguments[i], BR_DOUBLE, BR_CAST_IMPLICIT, &arguments[i], NULL) ==
                     BR_OK);
}

struct br_expr *sql_call(struct sql_binder *binder, const char *name, struct br_expr **arguments, uint32_t count,
                         int location) {
    struct br_error error;
    struct br_expr *expr = NULL;
    if (binder->rules < 1)
        take_doubles(binder, name, arguments, count);
    if (br_expr_call(binder->arena, name, arguments, count, location, &expr, &error) == BR_OK)
        return expr;
    // What is planned already is refused where it is started, if at all (semantics.c), with the view's name.
    if (binder->rules < 1 && br_expr_call_as_planned(binder->arena, name, arguments, count, location, &expr))
        return expr;
    const char *hint = sql_call_hint(binder, name, arguments, count, error.message);
    char *end = strstr(error.message, "\nhint: ");
    if (hint != NULL && end != NULL)
        *end = '\0';
    location = sql_literal_location(binder, arguments, count, error.message, location);
    if (hint == NULL)
        sql_error_of(binder, location, &error);
    else
        sql_error(binder, location, hint, "%s", error.message);
    return NULL;
}

struct br_expr *sql_cast_to(struct sql_binder *binder, struct br_expr *expr, enum br_type type,
                            enum br_cast_context context, int location) {
    struct br_error error;
    struct br_expr *cast = NULL;
    if (expr->type == type)
        return expr;
    if (br_expr_cast(binder->arena, expr, type, context, &cast, &error) == BR_OK)
        return cast;
    sql_error_of(binder, location, &error);
    return NULL;
}

// --- constants and types
// Digits after the point that a literal asks for.
static long scale_of(const char *text) {
    const char *exponent = text + strcspn(text, "eE"), *point = strchr(text, '.');
    long digits = point == NULL || point > exponent ? 0 : exponent - point - 1;
    return digits - (*exponent == '\0' ? 0 : strtol(exponent + 1, NULL, 10));
}

static struct br_expr *bind_number(struct sql_binder *binder, const char *text, int location) {
    struct br_value value = {.type = BR_BIGINT};
    struct br_error error;
    char *end;
    if (text[strspn(text, "0123456789")] == '\0' && strlen(text) < 19) {
        value.bigint = strtoll(text, &end, 10);
        return br_expr_const(binder->arena, value, location);
    }
    if (strlen(text) >= 19 && text[strspn(text, "0123456789")] == '\0' &&
        br_value_parse(BR_BIGINT, br_slice_of(text), binder->arena, &value, &error) == BR_OK)
        return br_expr_const(binder->arena, value, location);
    struct br_error ignored;
    bool tiny = scale_of(text) > BR_NUMERIC_SCALE_MAX;
    if (!tiny && br_value_parse(BR_NUMERIC, br_slice_of(text), binder->arena, &value, &error) == BR_OK)
        return br_expr_const(binder->arena, value, location);
    // 1e300 and 1e-300 are numerics for PostgreSQL; for us, beyond what a numeric holds, doubles.
    if (text[strcspn(text, "eE")] != '\0' &&
        br_value_parse(BR_DOUBLE, br_slice_of(text), binder->arena, &value, &ignored) == BR_OK)
        return br_expr_const(binder->arena, value, location);
    if (tiny && br_value_parse(BR_NUMERIC, br_slice_of(text), binder->arena, &value, &error) == BR_OK)
        return br_expr_const(binder->arena, value, location);
    sql_error_of(binder, location, &error);
    return NULL;
}

static struct br_expr *bind_const(struct sql_binder *binder, const PgQuery__AConst *constant) {
    int location = sql_at(binder, constant->location);
    struct br_value value = {.type = BR_UNKNOWN, .is_null = true};
    if (constant->isnull)
        return br_expr_const(binder->arena, value, location);
    value.is_null = false;
    switch (constant->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        value.type = BR_INTEGER;
        value.integer = constant->ival->ival;
        return br_expr_const(binder->arena, value, location);
    case PG_QUERY__A__CONST__VAL_FVAL:
        return bind_number(binder, constant->fval->fval, location);
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        value.type = BR_BOOLEAN;
        value.boolean = constant->boolval->boolval != 0;
        return br_expr_const(binder->arena, value, location);
    case PG_QUERY__A__CONST__VAL_SVAL:
        value.bytes = br_slice_of(constant->sval->sval);
        return br_expr_const(binder->arena, value, location);
    default:
        sql_error(binder, location, "bytea is written '\\x…'::bytea", "a bit string is not supported");
        return NULL;
    }
}

// PostgreSQL's types that we lack, by its inner names: better named than "does not exist".
static const struct {
    const char *name, *shown, *hint;
} missing_types[] = {
    {"timestamp", "timestamp without time zone", "use timestamptz: all times are in UTC"},
    {"time", "time", "use interval, or text"},
    {"timetz", "time with time zone", "use timestamptz"},
    {"int2", "smallint", "use integer"},
    {"serial", "serial", "use bigint: a publisher numbers its events"},
    {"bigserial", "bigserial", "use bigint: a publisher numbers its events"},
    {"float4", "real", "use double precision"},
    {"money", "money", "use numeric"},
    {"bpchar", "character", "use text"},
    {"uuid", "uuid", "use text"},
    {"json", "json", "use text, or a protobuf message with a field for each value"},
    {"jsonb", "jsonb", "use text, or a protobuf message with a field for each value"},
    {"inet", "inet", "use text"},
    {"cidr", "cidr", "use text"},
    {"bit", "bit", "use bytea"},
    {"varbit", "bit varying", "use bytea"},
    {"point", "point", "use two columns of double precision"},
};

static void report_type(struct sql_binder *binder, const PgQuery__TypeName *type_name, const char *name, bool ours,
                        int location) {
    const struct sql_symbol *symbol = ours && name != NULL ? sql_find_symbol(binder, name) : NULL;
    if (symbol != NULL) {
        if (!symbol->poisoned)
            sql_error(binder, location, "name its columns one by one", "a row of \"%s\" as a value is not supported",
                      name);
        return;
    }
    for (size_t i = 0; ours && name != NULL && i < sizeof missing_types / sizeof missing_types[0]; i++)
        if (strcmp(missing_types[i].name, name) == 0) {
            sql_error(binder, location, missing_types[i].hint, "type %s is not supported", missing_types[i].shown);
            return;
        }
    sql_error(binder, location,
              "types are boolean, integer, bigint, numeric, double precision, text, bytea, timestamptz, date, interval",
              "type \"%s\" does not exist",
              ours && name != NULL ? name : sql_dotted(binder, type_name->names, type_name->n_names));
}

// The type without its length or precision.
static enum br_type bind_type_name(struct sql_binder *binder, const PgQuery__TypeName *type_name) {
    if (!sql_only(binder, type_name, "names typmods typemod"))
        return BR_UNKNOWN;
    const char *name = sql_string(type_name->names[type_name->n_names - 1]);
    bool ours =
        type_name->n_names == 1 || (type_name->n_names == 2 && sql_is_string(type_name->names[0], "pg_catalog"));
    enum br_type type;
    if (ours && name != NULL && br_type_from_name(name, &type) && type != BR_UNKNOWN)
        return type;
    report_type(binder, type_name, name, ours, sql_at(binder, type_name->location));
    return BR_UNKNOWN;
}

enum br_type sql_bind_type(struct sql_binder *binder, const PgQuery__TypeName *type_name) {
    int location = sql_at(binder, type_name->location);
    enum br_type type = bind_type_name(binder, type_name);
    if (type == BR_UNKNOWN)
        return BR_UNKNOWN;
    if (type_name->n_typmods != 0) {
        const char *hint = type == BR_NUMERIC
                               ? "write numeric, and x::numeric(p, s) in a view where digits are to be cut"
                           : type == BR_INTERVAL ? "write interval '1 minute'"
                           : type == BR_TEXT     ? "write text, with CHECK (length(x) <= n) for a bound"
                                                 : "leave it out";
        sql_error(binder, location, hint, "a length, precision or range of %s is not supported", br_type_name(type));
        return BR_UNKNOWN;
    }
    return type;
}

#define SIZE_OF_TYPE_MAX 10485760 // PostgreSQL's for varchar
// x::numeric(p, s) and x::varchar(n): the value cut to that.
static struct br_expr *bind_sized_cast(struct sql_binder *binder, struct br_expr *value, enum br_type type,
                                       const PgQuery__TypeName *type_name) {
    struct br_expr *arguments[3] = {value};
    int location = sql_at(binder, type_name->location);
    uint32_t most = type == BR_NUMERIC ? 2 : 1, count = 1;
    bool ok = type_name->n_typmods <= most;
    for (size_t i = 0; ok && i < type_name->n_typmods; i++) {
        const PgQuery__Node *node = type_name->typmods[i];
        ok = node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
        if (ok)
            arguments[count++] = bind_const(binder, node->a_const);
    }
    if (ok && count > 1)
        ok = arguments[1]->value.integer >= 1 && arguments[1]->value.integer <= SIZE_OF_TYPE_MAX;
    if (ok && count > 2)
        ok =
            arguments[2]->value.integer >= -BR_NUMERIC_SCALE_MAX && arguments[2]->value.integer <= BR_NUMERIC_SCALE_MAX;
    if (!ok) {
        sql_error(binder, location,
                  type == BR_NUMERIC ? "numeric(precision, scale): at least 1, and -63 to 63"
                                     : "varchar(n) with n from 1 on",
                  "invalid length, precision or scale of %s", br_type_name(type));
        return NULL;
    }
    if (type == BR_NUMERIC && count == 2)
        arguments[count++] = br_expr_const(binder->arena, (struct br_value){.type = BR_INTEGER}, location);
    return sql_call(binder, type == BR_NUMERIC ? "numeric_typmod" : "varchar_typmod", arguments, count, location);
}

static struct br_expr *bind_cast(struct sql_expr_context *ctx, const PgQuery__TypeCast *cast) {
    struct sql_binder *binder = ctx->binder;
    sql_only(binder, cast, "arg type_name");
    struct br_expr *argument = sql_bind(ctx, cast->arg);
    enum br_type named = bind_type_name(binder, cast->type_name);
    bool sized = cast->type_name->n_typmods != 0 && (named == BR_NUMERIC || named == BR_TEXT);
    enum br_type type = sized || named == BR_UNKNOWN ? named : sql_bind_type(binder, cast->type_name);
    if (argument == NULL || type == BR_UNKNOWN)
        return NULL;
    struct br_expr *value = sql_cast_to(binder, argument, type, BR_CAST_EXPLICIT, sql_at_node(binder, cast->arg));
    return sized && value != NULL ? bind_sized_cast(binder, value, type, cast->type_name) : value;
}

// --- columns
static struct br_expr *bind_names(struct sql_expr_context *ctx, PgQuery__Node **fields, size_t count,
                                  PgQuery__Node **more, size_t more_count, int location) {
    const char **names = br_arena_array(ctx->binder->arena, const char *, count + more_count);
    for (size_t i = 0; i < count + more_count; i++) {
        const PgQuery__Node *node = i < count || more == NULL ? fields[i] : more[i - count];
        names[i] = sql_string(node);
        if (names[i] == NULL) {
            if (node->node_case == PG_QUERY__NODE__NODE_A_STAR)
                sql_error(ctx->binder, location, "name the columns", "* can't be used here");
            else
                sql_error(ctx->binder, location, NULL, "a subscript is not supported");
            return NULL;
        }
    }
    return sql_resolve(ctx, names, (uint32_t)(count + more_count), location);
}

// (customer).name, and $1.name of a function's row.
static struct br_expr *bind_indirection(struct sql_expr_context *ctx, const PgQuery__AIndirection *indirection) {
    struct sql_binder *binder = ctx->binder;
    int location = sql_at(binder, sql_location(indirection));
    const PgQuery__Node *of = indirection->arg;
    if (of != NULL && of->node_case == PG_QUERY__NODE__NODE_COLUMN_REF)
        return bind_names(ctx, of->column_ref->fields, of->column_ref->n_fields, indirection->indirection,
                          indirection->n_indirection, location);
    uint32_t number =
        of != NULL && of->node_case == PG_QUERY__NODE__NODE_PARAM_REF ? (uint32_t)of->param_ref->number : 0;
    if (number < 1 || number > ctx->parameter_count || ctx->parameters[number - 1].row == NULL) {
        sql_error(binder, location, "only a column has fields: (customer).name",
                  "field selection is not supported here");
        return NULL;
    }
    const char **names = br_arena_array(binder->arena, const char *, indirection->n_indirection + 1);
    names[0] = sql_parameter_alias(binder, &ctx->parameters[number - 1], number);
    for (size_t i = 0; i < indirection->n_indirection; i++) {
        names[i + 1] = sql_string(indirection->indirection[i]);
        if (names[i + 1] == NULL) {
            sql_error(binder, location, "name the fields", "* or a subscript can't be used here");
            return NULL;
        }
    }
    return sql_resolve(ctx, names, (uint32_t)indirection->n_indirection + 1, location);
}

static struct br_expr *bind_parameter(struct sql_expr_context *ctx, const PgQuery__ParamRef *ref) {
    int location = sql_at(ctx->binder, ref->location);
    if (ref->number < 1 || (uint32_t)ref->number > ctx->parameter_count) {
        sql_error(ctx->binder, location, NULL, "there is no parameter $%d", ref->number);
        return NULL;
    }
    const struct sql_parameter *parameter = &ctx->parameters[ref->number - 1];
    if (parameter->row != NULL) {
        sql_error(ctx->binder, location, "name its fields one by one", "a whole row ($%d) as a value is not supported",
                  ref->number);
        return NULL;
    }
    return br_expr_column(ctx->binder->arena, parameter->first_column, parameter->type, location);
}

// --- boolean logic
static struct br_expr *bind_condition(struct sql_expr_context *ctx, const PgQuery__Node *node, const char *of) {
    struct br_expr *expr = sql_bind(ctx, node);
    if (expr == NULL || expr->type == BR_BOOLEAN)
        return expr;
    if (expr->type != BR_UNKNOWN) {
        sql_error(ctx->binder, sql_at_node(ctx->binder, node), NULL, "argument of %s must be type boolean, not type %s",
                  of, br_type_name(expr->type));
        return NULL;
    }
    return sql_cast_to(ctx->binder, expr, BR_BOOLEAN, BR_CAST_IMPLICIT, expr->location);
}

struct br_expr *sql_bind_boolean(struct sql_expr_context *ctx, const PgQuery__Node *node) {
    return bind_condition(ctx, node, ctx->clause);
}

static struct br_expr *bind_bool_expr(struct sql_expr_context *ctx, const PgQuery__BoolExpr *expr) {
    static const char *const words[] = {"", "AND", "OR", "NOT"};
    static const enum br_expr_kind kinds[] = {BR_EXPR_AND, BR_EXPR_AND, BR_EXPR_OR, BR_EXPR_NOT};
    BR_CHECK(expr->boolop >= 1 && expr->boolop <= 3);
    struct br_expr **arguments = br_arena_array(ctx->binder->arena, struct br_expr *, expr->n_args);
    bool ok = true;
    for (size_t i = 0; i < expr->n_args; i++) {
        arguments[i] = bind_condition(ctx, expr->args[i], words[expr->boolop]);
        ok &= arguments[i] != NULL;
    }
    if (!ok)
        return NULL;
    return br_expr_of(ctx->binder->arena, kinds[expr->boolop], BR_BOOLEAN, arguments, (uint32_t)expr->n_args,
                      sql_at(ctx->binder, expr->location));
}

static struct br_expr *of_one(struct sql_binder *binder, enum br_expr_kind kind, struct br_expr *argument,
                              int location) {
    struct br_expr **arguments = br_arena_array(binder->arena, struct br_expr *, 1);
    arguments[0] = argument;
    return br_expr_of(binder->arena, kind, BR_BOOLEAN, arguments, 1, location);
}

static struct br_expr *bind_null_test(struct sql_expr_context *ctx, const PgQuery__NullTest *test) {
    struct br_expr *argument = sql_bind_typed(ctx, test->arg);
    bool is_null = test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    return argument == NULL ? NULL
                            : of_one(ctx->binder, is_null ? BR_EXPR_IS_NULL : BR_EXPR_IS_NOT_NULL, argument,
                                     sql_at(ctx->binder, test->location));
}

static struct br_expr *bind_boolean_test(struct sql_expr_context *ctx, const PgQuery__BooleanTest *test) {
    static const struct {
        const char *word;
        enum br_expr_kind kind;
        bool negate;
    } tests[] = {
        {"", BR_EXPR_IS_TRUE, false},
        {"IS TRUE", BR_EXPR_IS_TRUE, false},
        {"IS NOT TRUE", BR_EXPR_IS_TRUE, true},
        {"IS FALSE", BR_EXPR_IS_FALSE, false},
        {"IS NOT FALSE", BR_EXPR_IS_FALSE, true},
        {"IS UNKNOWN", BR_EXPR_IS_NULL, false},
        {"IS NOT UNKNOWN", BR_EXPR_IS_NOT_NULL, false},
    };
    BR_CHECK(test->booltesttype >= 1 && test->booltesttype <= 6);
    struct br_expr *argument = bind_condition(ctx, test->arg, tests[test->booltesttype].word);
    if (argument == NULL)
        return NULL;
    int location = sql_at(ctx->binder, test->location);
    struct br_expr *expr = of_one(ctx->binder, tests[test->booltesttype].kind, argument, location);
    return tests[test->booltesttype].negate ? of_one(ctx->binder, BR_EXPR_NOT, expr, location) : expr;
}

static struct br_expr *bind_coalesce(struct sql_expr_context *ctx, const PgQuery__CoalesceExpr *coalesce) {
    struct br_expr **arguments = br_arena_array(ctx->binder->arena, struct br_expr *, coalesce->n_args);
    bool ok = true;
    for (size_t i = 0; i < coalesce->n_args; i++) {
        arguments[i] = sql_bind(ctx, coalesce->args[i]);
        ok &= arguments[i] != NULL;
    }
    if (!ok)
        return NULL;
    struct br_error error;
    enum br_type type;
    int location = sql_at(ctx->binder, coalesce->location);
    if (br_expr_unify(ctx->binder->arena, arguments, (uint32_t)coalesce->n_args, "COALESCE", &type, &error) != BR_OK) {
        sql_unify_error(ctx->binder, arguments, (uint32_t)coalesce->n_args, location, &error);
        return NULL;
    }
    return br_expr_of(ctx->binder->arena, BR_EXPR_COALESCE, type, arguments, (uint32_t)coalesce->n_args, location);
}

// CURRENT_DATE and the like are numbered differently by PostgreSQL's versions in places; these two are not.
static struct br_expr *bind_value_function(struct sql_expr_context *ctx, const PgQuery__SQLValueFunction *function) {
    int location = sql_at(ctx->binder, function->location);
    if (function->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE)
        return sql_call(ctx->binder, "current_date", NULL, 0, location);
    if (function->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP)
        return sql_call(ctx->binder, "now", NULL, 0, location);
    sql_error(ctx->binder, location, "use now() or current_date", "this function of the session is not supported");
    return NULL;
}

static struct br_expr *bind_node(struct sql_expr_context *ctx, const PgQuery__Node *node) {
    struct sql_binder *binder = ctx->binder;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
        return bind_const(binder, node->a_const);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return bind_names(ctx, node->column_ref->fields, node->column_ref->n_fields, node->column_ref->fields, 0,
                          sql_at(binder, node->column_ref->location));
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return bind_indirection(ctx, node->a_indirection);
    case PG_QUERY__NODE__NODE_PARAM_REF:
        return bind_parameter(ctx, node->param_ref);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return sql_bind_operator(ctx, node->a_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return bind_bool_expr(ctx, node->bool_expr);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return sql_bind_function(ctx, node->func_call);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return bind_cast(ctx, node->type_cast);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return sql_bind_case(ctx, node->case_expr);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return bind_coalesce(ctx, node->coalesce_expr);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return sql_bind_min_max(ctx, node->min_max_expr);
    case PG_QUERY__NODE__NODE_NULL_TEST:
        return bind_null_test(ctx, node->null_test);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return bind_boolean_test(ctx, node->boolean_test);
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return bind_value_function(ctx, node->sqlvalue_function);
    default:
        sql_unsupported_node(binder, node);
        return NULL;
    }
}

struct br_expr *sql_bind(struct sql_expr_context *ctx, const PgQuery__Node *node) {
    if (node == NULL || sql_message(node) == NULL) {
        sql_unsupported_node(ctx->binder, node);
        return NULL;
    }
    ctx->binder->depth++;
    BR_CHECK(ctx->binder->depth <= SQL_TREE_DEPTH_MAX * 4); // the parser's bound holds for each nesting of functions
    struct br_expr *expr = sql_is_exhausted(ctx->binder) ? NULL : bind_node(ctx, node);
    ctx->binder->depth--;
    return expr == NULL ? NULL : sql_check_expr(ctx->binder, expr, sql_at_node(ctx->binder, node));
}

struct br_expr *sql_bind_typed(struct sql_expr_context *ctx, const PgQuery__Node *node) {
    struct br_expr *expr = sql_bind(ctx, node);
    if (expr == NULL || expr->type != BR_UNKNOWN)
        return expr;
    return sql_cast_to(ctx->binder, expr, BR_TEXT, BR_CAST_IMPLICIT, expr->location);
}

struct br_expr *sql_bind_as(struct sql_expr_context *ctx, const PgQuery__Node *node, enum br_type type,
                            enum br_cast_context cast) {
    struct br_expr *expr = sql_bind(ctx, node);
    return expr == NULL ? NULL : sql_cast_to(ctx->binder, expr, type, cast, sql_at_node(ctx->binder, node));
}

struct br_expr *sql_substitute(struct br_arena *arena, const struct br_expr *expr, struct br_expr *const *exprs) {
    if (expr->kind == BR_EXPR_COLUMN)
        return exprs[expr->column];
    struct br_expr *copy = br_arena_new(arena, struct br_expr);
    *copy = *expr;
    copy->arguments = br_arena_array(arena, struct br_expr *, expr->argument_count + 1);
    for (uint32_t i = 0; i < expr->argument_count; i++)
        copy->arguments[i] = sql_substitute(arena, expr->arguments[i], exprs);
    br_expr_measure(copy);
    return copy;
}

// --- names that PostgreSQL gives to columns
static const char *last_name(PgQuery__Node **names, size_t count) {
    for (size_t i = count; i > 0; i--)
        if (sql_string(names[i - 1]) != NULL)
            return sql_string(names[i - 1]);
    return NULL;
}

static const char *given_name(const PgQuery__Node *node, bool *ret_weak) {
    *ret_weak = false;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return last_name(node->column_ref->fields, node->column_ref->n_fields);
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return last_name(node->a_indirection->indirection, node->a_indirection->n_indirection);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return last_name(node->func_call->funcname, node->func_call->n_funcname);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? "nullif" : NULL;
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
        const char *name = given_name(node->type_cast->arg, ret_weak);
        if (name != NULL && !*ret_weak)
            return name;
        *ret_weak = true;
        return last_name(node->type_cast->type_name->names, node->type_cast->type_name->n_names);
    }
    case PG_QUERY__NODE__NODE_CASE_EXPR: {
        const char *name = node->case_expr->defresult == NULL ? NULL : given_name(node->case_expr->defresult, ret_weak);
        if (name != NULL && !*ret_weak)
            return name;
        *ret_weak = true;
        return "case";
    }
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return "coalesce";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return node->sqlvalue_function->op == PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE ? "current_date"
                                                                                                 : "current_timestamp";
    default:
        return NULL;
    }
}

const char *sql_expr_name(struct sql_binder *binder, const PgQuery__Node *node) {
    bool weak;
    const char *name = given_name(node, &weak);
    return br_arena_strdup(binder->arena, name == NULL ? "?column?" : name);
}
