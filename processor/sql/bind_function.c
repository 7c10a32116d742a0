// SPDX-License-Identifier: Apache-2.0
// CREATE FUNCTION … LANGUAGE SQL: one SELECT of expressions over the parameters, bound once when it is declared and
// inlined where it is called (bind_call.c) or made a lift step (bind_cast.c).
//
// A parameter is a scalar (a name, or $1) or a row of a type, table or protobuf message ("shop.v1.Order"), whose fields
// are o.id, o.customer.name. The body is text in a string: where it stands verbatim in the file, errors in it have
// their own place, else that of the string.
#include "processor/sql/sql_internal.h"

struct body {
    const char *text;
    const PgQuery__Node *tree; // RETURN expr, or BEGIN ATOMIC … END: already parsed
    int location;
};

// --- rows by name
static struct sql_symbol *find_message_row(struct sql_binder *binder, const char *name) {
    for (struct sql_symbol *symbol = binder->messages; symbol != NULL; symbol = symbol->next)
        if (strcmp(symbol->name, name) == 0)
            return symbol;
    const struct br_message_type *message = br_descriptors_find(binder->descriptors, name);
    if (message == NULL || message->derived)
        return NULL;
    struct sql_symbol *symbol = br_arena_new(binder->arena, struct sql_symbol);
    struct br_row_type *row_type = br_arena_new(binder->arena, struct br_row_type);
    symbol->kind = SQL_TYPE;
    symbol->name = br_arena_strdup(binder->arena, name);
    symbol->row_type = row_type;
    row_type->name = row_type->message_name = symbol->name;
    row_type->message = message;
    sql_message_columns(binder, row_type, &symbol->visible_count);
    symbol->next = binder->messages;
    binder->messages = symbol;
    return symbol;
}

static void report_no_type(struct sql_binder *binder, const char *name, int location) {
    struct sql_nearest nearest = {.wanted = name};
    for (const struct sql_symbol *s = binder->symbols; s != NULL; s = s->next)
        if (s->kind == SQL_TABLE || s->kind == SQL_TYPE)
            sql_nearest_try(&nearest, s->name);
    if (nearest.best == NULL)
        nearest.best = br_descriptors_nearest(binder->descriptors, name);
    const char *hint = sql_nearest_hint(binder, &nearest);
    sql_error(binder, location, hint != NULL ? hint : "declare it by CREATE TYPE … AS (…), or give its descriptor set",
              "type \"%s\" does not exist", name);
}

// The row that a type name means: of a type or table, else of a protobuf message. NULL when it is none (reported when
// asked for) or poisoned.
const struct sql_symbol *sql_find_row(struct sql_binder *binder, const PgQuery__TypeName *type_name, bool report) {
    int location = sql_at(binder, type_name->location);
    if (!sql_only(binder, type_name, "names typemod"))
        return NULL;
    const char *name = sql_dotted(binder, type_name->names, type_name->n_names);
    const struct sql_symbol *symbol = sql_find_symbol(binder, name);
    if (symbol != NULL && (symbol->kind == SQL_TABLE || symbol->kind == SQL_TYPE))
        return symbol->poisoned ? NULL : symbol;
    struct sql_symbol *message = find_message_row(binder, name);
    if (message == NULL && report)
        report_no_type(binder, name, location);
    return message;
}

static bool is_scalar(const PgQuery__TypeName *type_name) {
    enum br_type type;
    const char *name = sql_string(type_name->names[type_name->n_names - 1]);
    bool plain = type_name->n_names == 1 || sql_is_string(type_name->names[0], "pg_catalog");
    return plain && name != NULL && br_type_from_name(name, &type);
}

// --- parameters
static bool bind_parameter(struct sql_binder *binder, const PgQuery__FunctionParameter *tree,
                           struct sql_parameter *parameter, uint32_t *column) {
    bool ok = sql_only(binder, tree, "name arg_type mode");
    if (tree->mode != PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_IN &&
        tree->mode != PG_QUERY__FUNCTION_PARAMETER_MODE__FUNC_PARAM_DEFAULT) {
        sql_error(binder, sql_at_node(binder, NULL), "use RETURNS",
                  "OUT, INOUT, VARIADIC and TABLE parameters are not supported");
        return false;
    }
    if (tree->name != NULL && *tree->name != '\0')
        parameter->name = br_arena_strdup(binder->arena, tree->name);
    parameter->first_column = *column;
    if (is_scalar(tree->arg_type)) {
        parameter->type = sql_bind_type(binder, tree->arg_type);
        *column += 1;
        return ok && parameter->type != BR_UNKNOWN;
    }
    parameter->row = sql_find_row(binder, tree->arg_type, true);
    if (parameter->row != NULL)
        *column += parameter->row->row_type->column_count;
    return ok && parameter->row != NULL;
}

const char *sql_parameter_alias(struct sql_binder *binder, const struct sql_parameter *parameter, uint32_t number) {
    return parameter->name != NULL ? parameter->name : br_arena_printf(binder->arena, "$%u", number);
}

static struct sql_scope parameter_scope(struct sql_binder *binder, const struct sql_function *function) {
    struct sql_scope scope = {0};
    for (uint32_t i = 0; i < function->parameter_count; i++) {
        const struct sql_parameter *parameter = &function->parameters[i];
        if (parameter->row == NULL) {
            if (parameter->name != NULL)
                sql_scope_add(binder, &scope,
                              (struct sql_column){
                                  .name = parameter->name, .type = parameter->type, .column = parameter->first_column});
            continue;
        }
        const char *alias = sql_parameter_alias(binder, parameter, i + 1);
        sql_scope_add_relation(binder, &scope, alias, parameter->row->row_type);
        for (uint32_t j = 0; j < parameter->row->row_type->column_count; j++) {
            const struct br_column_def *column = &parameter->row->row_type->columns[j];
            sql_scope_add(binder, &scope,
                          (struct sql_column){.relation = alias,
                                              .name = column->name,
                                              .type = column->type,
                                              .column = parameter->first_column + j,
                                              .labels = sql_labels(parameter->row->row_type, j),
                                              .hidden = j >= parameter->row->visible_count,
                                              .qualified = true});
        }
    }
    return scope;
}

// --- options
static bool read_language(struct sql_binder *binder, const PgQuery__DefElem *element) {
    const char *language = sql_string(element->arg);
    if (language != NULL && strcmp(language, "sql") == 0)
        return true;
    sql_error(binder, sql_at(binder, element->location), "use LANGUAGE SQL", "LANGUAGE %s is not supported",
              language == NULL ? "?" : language);
    return false;
}

static bool read_body(struct sql_binder *binder, const PgQuery__DefElem *element, struct body *body) {
    body->location = sql_at(binder, element->location);
    if (element->arg->node_case != PG_QUERY__NODE__NODE_LIST || element->arg->list->n_items != 1) {
        sql_error(binder, body->location, "AS 'SELECT …'", "a function in an object file is not supported");
        return false;
    }
    body->text = sql_string(element->arg->list->items[0]);
    return body->text != NULL;
}

static bool read_options(struct sql_binder *binder, const PgQuery__CreateFunctionStmt *tree,
                         struct sql_function *function, struct body *body) {
    bool ok = true, language = false;
    for (size_t i = 0; i < tree->n_options; i++) {
        const PgQuery__DefElem *element = tree->options[i]->def_elem;
        if (strcmp(element->defname, "language") != 0)
            continue;
        language = true;
        if (!read_language(binder, element))
            return false; // the rest is for another language
    }
    for (size_t i = 0; i < tree->n_options; i++) {
        const PgQuery__DefElem *element = tree->options[i]->def_elem;
        int location = sql_at(binder, element->location);
        if (strcmp(element->defname, "as") == 0) {
            ok &= read_body(binder, element, body);
        } else if (strcmp(element->defname, "strict") == 0) {
            function->strict = element->arg->boolean->boolval != 0;
        } else if (strcmp(element->defname, "volatility") == 0) {
            if (sql_is_string(element->arg, "volatile")) {
                sql_error(binder, location, "declare it IMMUTABLE", "a VOLATILE function is not supported");
                ok = false;
            }
        } else if (strcmp(element->defname, "parallel") != 0 && strcmp(element->defname, "language") != 0) {
            sql_error(binder, location, "leave it out", "%s in CREATE FUNCTION is not supported", element->defname);
            ok = false;
        }
    }
    if (!language && tree->sql_body == NULL) {
        sql_error(binder, binder->statement, "add LANGUAGE SQL", "no language specified");
        ok = false;
    }
    return ok;
}

// --- the body
static bool bind_result(struct sql_binder *binder, struct sql_expr_context *ctx, const PgQuery__Node *node,
                        struct sql_function *function, uint32_t index) {
    enum br_type type =
        function->returns_row == NULL ? function->returns : function->returns_row->row_type->columns[index].type;
    struct br_expr *expr = sql_bind(ctx, node);
    struct br_error error;
    if (expr == NULL)
        return false;
    if (br_expr_cast(binder->arena, expr, type, BR_CAST_ASSIGNMENT, &function->body[index], &error) == BR_OK)
        return true;
    int location = sql_at_node(binder, node);
    if (expr->type == BR_UNKNOWN)
        sql_error_of(binder, location, &error);
    else if (function->returns_row != NULL)
        sql_error(binder, location, "cast it", "the function gives %s for column \"%s\" of type %s",
                  br_type_name(expr->type), function->returns_row->row_type->columns[index].name, br_type_name(type));
    else
        sql_error(binder, location, "cast it", "return type mismatch in function declared to return %s: it gives %s",
                  br_type_name(type), br_type_name(expr->type));
    return false;
}

// `o.*`, or an expression: how many columns of the result.
static bool is_row_star(const PgQuery__Node *node, const struct sql_function *function,
                        const struct sql_parameter **ret) {
    if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || node->column_ref->n_fields != 2 ||
        node->column_ref->fields[1]->node_case != PG_QUERY__NODE__NODE_A_STAR)
        return false;
    const char *name = sql_string(node->column_ref->fields[0]);
    for (uint32_t i = 0; i < function->parameter_count; i++)
        if (function->parameters[i].row != NULL && function->parameters[i].name != NULL &&
            strcmp(function->parameters[i].name, name) == 0) {
            *ret = &function->parameters[i];
            return true;
        }
    return false;
}

struct results {
    const PgQuery__Node **nodes; // NULL: column `column` of the parameters
    uint32_t *columns;
    uint32_t count;
};

static struct results list_results(struct sql_binder *binder, PgQuery__Node **targets, size_t count,
                                   const struct sql_function *function) {
    uint32_t bound = 0;
    const struct sql_parameter *row;
    for (size_t i = 0; i < count; i++)
        bound += is_row_star(targets[i]->res_target->val, function, &row) ? row->row->visible_count : 1;
    struct results results = {br_arena_array(binder->arena, const PgQuery__Node *, bound + 1),
                              br_arena_array(binder->arena, uint32_t, bound + 1), 0};
    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *node = targets[i]->res_target->val;
        if (!is_row_star(node, function, &row)) {
            results.nodes[results.count++] = node;
            continue;
        }
        for (uint32_t j = 0; j < row->row->visible_count; j++)
            results.columns[results.count++] = row->first_column + j;
    }
    return results;
}

static bool bind_results(struct sql_binder *binder, struct sql_function *function, const struct results *results,
                         int location) {
    struct sql_scope scope = parameter_scope(binder, function);
    struct sql_expr_context ctx = {.binder = binder,
                                   .scope = &scope,
                                   .clause = "a function's SELECT",
                                   .parameters = function->parameters,
                                   .parameter_count = function->parameter_count};
    uint32_t wanted = function->returns_row == NULL ? 1 : function->returns_row->visible_count;
    if (results->count != wanted) {
        sql_error(binder, location, "SELECT one expression for each column of the result",
                  "the function gives %u column%s, its result has %u", results->count, results->count == 1 ? "" : "s",
                  wanted);
        return false;
    }
    function->body = br_arena_array(binder->arena, struct br_expr *, wanted + 1);
    function->body_count = wanted;
    bool ok = true;
    for (uint32_t i = 0; i < wanted; i++) {
        if (results->nodes[i] != NULL) {
            ok &= bind_result(binder, &ctx, results->nodes[i], function, i);
            continue;
        }
        enum br_type type = BR_UNKNOWN;
        for (uint32_t j = 0; j < scope.count; j++)
            if (scope.columns[j].column == results->columns[i])
                type = scope.columns[j].type;
        struct br_expr *column = br_expr_column(binder->arena, results->columns[i], type, location);
        enum br_type target =
            function->returns_row == NULL ? function->returns : function->returns_row->row_type->columns[i].type;
        function->body[i] = sql_cast_to(binder, column, target, BR_CAST_ASSIGNMENT, location);
        ok &= function->body[i] != NULL;
    }
    return ok;
}

static bool bind_select_body(struct sql_binder *binder, struct sql_function *function, const PgQuery__Node *node,
                             int location) {
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
        sql_error(binder, location, "AS 'SELECT …'", "the body of a function must be one SELECT");
        return false;
    }
    const PgQuery__SelectStmt *select = node->select_stmt;
    if (select->n_from_clause != 0 || select->where_clause != NULL) {
        sql_error(binder, sql_at(binder, sql_location(select)),
                  "a function computes from its parameters; join in a view",
                  "FROM and WHERE in a function are not supported");
        return false;
    }
    if (!sql_only(binder, select, "target_list limit_option"))
        return false;
    struct results results = list_results(binder, select->target_list, select->n_target_list, function);
    return bind_results(binder, function, &results, location);
}

// Where the body stands verbatim in the file, its places are the file's.
static bool bind_text_body(struct sql_binder *binder, struct sql_function *function, const struct body *body) {
    const char *verbatim = strstr(binder->text + body->location, body->text);
    struct sql_binder saved = *binder;
    struct sql_statements statements;
    int base = verbatim == NULL ? body->location : (int)(verbatim - binder->text);
    if (!sql_parse(binder, body->text, base, verbatim == NULL, &statements))
        return false;
    if (statements.count != 1) {
        sql_error(binder, body->location, "AS 'SELECT …'", "the body of a function must be one SELECT");
        return false;
    }
    binder->base = base;
    binder->fixed = verbatim == NULL;
    bool ok = bind_select_body(binder, function, statements.list[0].node, body->location);
    binder->base = saved.base;
    binder->fixed = saved.fixed;
    return ok;
}

static bool bind_tree_body(struct sql_binder *binder, struct sql_function *function, const PgQuery__Node *tree) {
    while (tree != NULL && tree->node_case == PG_QUERY__NODE__NODE_LIST && tree->list->n_items == 1)
        tree = tree->list->items[0]; // BEGIN ATOMIC is a list of lists
    if (tree == NULL || tree->node_case != PG_QUERY__NODE__NODE_RETURN_STMT)
        return bind_select_body(binder, function, tree, binder->statement);
    const PgQuery__Node *nodes[1] = {tree->return_stmt->returnval};
    uint32_t columns[1] = {0};
    struct results results = {nodes, columns, 1};
    return bind_results(binder, function, &results, sql_at_node(binder, nodes[0]));
}

// --- the statement
static bool same_parameters(const struct sql_function *a, const struct sql_function *b) {
    if (strcmp(a->name, b->name) != 0 || a->parameter_count != b->parameter_count)
        return false;
    for (uint32_t i = 0; i < a->parameter_count; i++)
        if (a->parameters[i].row != b->parameters[i].row || a->parameters[i].type != b->parameters[i].type)
            return false;
    return true;
}

static bool bind_signature(struct sql_binder *binder, const PgQuery__CreateFunctionStmt *tree,
                           struct sql_function *function) {
    bool ok = true;
    uint32_t columns = 0;
    function->parameters = br_arena_array(binder->arena, struct sql_parameter, tree->n_parameters + 1);
    function->parameter_count = (uint32_t)tree->n_parameters;
    for (size_t i = 0; i < tree->n_parameters; i++)
        ok &= bind_parameter(binder, tree->parameters[i]->function_parameter, &function->parameters[i], &columns);
    if (tree->return_type == NULL) {
        sql_error(binder, binder->statement, "add RETURNS type", "function result type must be specified");
        return false;
    }
    if (is_scalar(tree->return_type)) {
        function->returns = sql_bind_type(binder, tree->return_type);
        return ok && function->returns != BR_UNKNOWN;
    }
    function->returns_row = sql_find_row(binder, tree->return_type, true);
    return ok && function->returns_row != NULL;
}

struct builtin {
    const char *name;
    bool found;
};

static void compare_name(void *context, const char *name, const char *arguments, const char *result) {
    struct builtin *builtin = context;
    (void)arguments, (void)result;
    builtin->found |= strcmp(name, builtin->name) == 0;
}

// PostgreSQL would take its own function, Braid the file's: nobody could say what the file means. One over a row is
// another function in both.
static bool check_not_builtin(struct sql_binder *binder, const struct sql_function *function) {
    struct builtin builtin = {function->name, sql_is_aggregate(function->name)};
    br_function_each(compare_name, &builtin);
    for (uint32_t i = 0; i < function->parameter_count; i++)
        if (function->parameters[i].row != NULL)
            return true;
    if (!builtin.found || binder->rules < 1)
        return true;
    sql_error(binder, binder->statement, "give it another name",
              "function \"%s\" is one of PostgreSQL's, whose own would be called", function->name);
    return false;
}

void sql_bind_function_statement(struct sql_binder *binder, const PgQuery__CreateFunctionStmt *tree) {
    struct sql_function *function = br_arena_new(binder->arena, struct sql_function);
    struct body body = {.location = binder->statement};
    function->name = br_arena_strdup(binder->arena, sql_dotted(binder, tree->funcname, tree->n_funcname));
    bool ok = sql_only(binder, tree, "replace funcname parameters return_type options sql_body");
    ok &= read_options(binder, tree, function, &body);
    ok &= bind_signature(binder, tree, function);
    ok &= check_not_builtin(binder, function);
    for (const struct sql_function *other = binder->functions; ok && other != NULL; other = other->next)
        if (!other->poisoned && same_parameters(function, other)) {
            sql_error(binder, binder->statement, "use another name",
                      "function \"%s\" already exists with same argument types", function->name);
            ok = false;
        }
    if (ok && tree->sql_body != NULL) {
        ok = bind_tree_body(binder, function, tree->sql_body);
    } else if (ok && body.text != NULL) {
        ok = bind_text_body(binder, function, &body);
    } else if (ok) {
        sql_error(binder, binder->statement, "AS 'SELECT …'", "no function body specified");
        ok = false;
    }
    function->poisoned = !ok;
    function->next = binder->functions;
    binder->functions = function;
}
