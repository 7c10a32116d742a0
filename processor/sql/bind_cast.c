// SPDX-License-Identifier: Apache-2.0
// CREATE CAST (old AS new) WITH FUNCTION f: old event versions are lifted to the table, in any number of steps.
//
// A version is a row type from which casts lead to the table, or to the protobuf message that the table names. Of
// several ways the shortest is taken, of equally long ones that whose casts were declared first. A chain that ends at
// the message gets a last step that picks the table's columns from it.
#include "processor/sql/sql_internal.h"

// --- the statement
static struct sql_function *find_lift(struct sql_binder *binder, const PgQuery__ObjectWithArgs *tree,
                                      const struct sql_symbol *from) {
    const char *name = sql_dotted(binder, tree->objname, tree->n_objname);
    struct sql_nearest nearest = {.wanted = name};
    bool named = false;
    for (struct sql_function *f = binder->functions; f != NULL; f = f->next) {
        sql_nearest_try(&nearest, f->name);
        if (strcmp(f->name, name) != 0)
            continue;
        named = true;
        if (f->poisoned || (f->parameter_count == 1 && f->parameters[0].row == from))
            return f;
    }
    sql_error(binder, sql_at(binder, sql_location(tree)),
              named ? br_arena_printf(binder->arena, "its one parameter must be of type \"%s\"", from->name)
                    : sql_nearest_hint(binder, &nearest),
              "function %s(%s) does not exist", name, from->name);
    return NULL;
}

void sql_bind_cast(struct sql_binder *binder, const PgQuery__CreateCastStmt *tree) {
    bool ok = sql_only(binder, tree, "sourcetype targettype func context");
    const struct sql_symbol *from = sql_find_row(binder, tree->sourcetype, true);
    const struct sql_symbol *to = sql_find_row(binder, tree->targettype, true);
    if (tree->func == NULL && tree->inout == 0) {
        sql_error(binder, binder->statement, "use WITH FUNCTION", "CREATE CAST … WITHOUT FUNCTION is not supported");
        return;
    }
    if (!ok || from == NULL || to == NULL)
        return;
    struct sql_function *function = find_lift(binder, tree->func, from);
    if (function == NULL || function->poisoned)
        return;
    if (function->returns_row != to) {
        sql_error(binder, sql_at(binder, sql_location(tree->func)),
                  br_arena_printf(binder->arena, "declare it RETURNS \"%s\"", to->name),
                  "the function of a cast to \"%s\" must return it", to->name);
        return;
    }
    struct sql_cast **end = &binder->casts;
    for (; *end != NULL; end = &(*end)->next)
        if ((*end)->from == from && (*end)->to == to) {
            sql_error(binder, binder->statement, NULL, "cast from type %s to type %s already exists", from->name,
                      to->name);
            return;
        }
    struct sql_cast *cast = br_arena_new(binder->arena, struct sql_cast);
    *cast = (struct sql_cast){from, to, function, NULL};
    *end = cast;
}

// --- versions
static struct br_expr *null_column(struct sql_binder *binder, enum br_type type) {
    struct br_value null = {.type = type, .is_null = true};
    return br_expr_const(binder->arena, null, -1);
}

// The step that a cast is: its function's body, and NULL for nested columns, which a function doesn't give.
static struct br_lift_step cast_step(struct sql_binder *binder, const struct sql_cast *cast) {
    const struct br_row_type *to = cast->to->row_type;
    struct br_lift_step step = {cast->from->row_type,
                                br_arena_array(binder->arena, struct br_expr *, to->column_count + 1)};
    for (uint32_t i = 0; i < to->column_count; i++)
        step.exprs[i] =
            i < cast->function->body_count ? cast->function->body[i] : null_column(binder, to->columns[i].type);
    return step;
}

// From the table's message, as a row of its own, to the table's columns.
static struct br_lift_step message_step(struct sql_binder *binder, const struct br_row_type *message,
                                        const struct br_table *table) {
    const struct br_row_type *to = &table->row_type;
    struct br_lift_step step = {message, br_arena_array(binder->arena, struct br_expr *, to->column_count + 1)};
    for (uint32_t i = 0; i < to->column_count; i++) {
        struct br_expr *expr = NULL;
        struct br_error error;
        for (uint32_t j = 0; j < message->column_count; j++)
            if (strcmp(message->columns[j].path, to->columns[i].path) == 0)
                expr = br_expr_column(binder->arena, j, message->columns[j].type, -1);
        if (expr == NULL ||
            br_expr_cast(binder->arena, expr, to->columns[i].type, BR_CAST_EXPLICIT, &step.exprs[i], &error) != BR_OK)
            step.exprs[i] = null_column(binder, to->columns[i].type);
    }
    return step;
}

struct reached {
    const struct sql_symbol *symbol;
    const struct sql_cast *cast; // the first step from here; NULL: there already
    struct reached *next;        // where it leads
};

static bool is_reached(const struct reached *reached, uint32_t count, const struct sql_symbol *symbol) {
    for (uint32_t i = 0; i < count; i++)
        if (reached[i].symbol == symbol)
            return true;
    return false;
}

static struct br_version make_version(struct sql_binder *binder, const struct reached *from,
                                      const struct br_table *table) {
    struct br_version version = {.message_name = from->symbol->name, .row_type = from->symbol->row_type};
    uint32_t bound = 1;
    for (const struct reached *at = from; at != NULL; at = at->next)
        bound++;
    version.steps = br_arena_array(binder->arena, struct br_lift_step, bound);
    const struct reached *at = from;
    for (; at->cast != NULL; at = at->next)
        version.steps[version.step_count++] = cast_step(binder, at->cast);
    if (at->symbol->table != table)
        version.steps[version.step_count++] = message_step(binder, at->symbol->row_type, table);
    return version;
}

static const struct sql_symbol *message_of(const struct sql_binder *binder, const struct br_table *table) {
    for (const struct sql_symbol *symbol = binder->messages; symbol != NULL; symbol = symbol->next)
        if (symbol->row_type->message == table->row_type.message)
            return symbol;
    return NULL;
}

static void bind_table_versions(struct sql_binder *binder, const struct sql_symbol *symbol, uint32_t cast_count) {
    struct br_table *table = symbol->table;
    struct reached *reached = br_arena_array(binder->arena, struct reached, cast_count + 3);
    uint32_t count = 0, roots;
    reached[count++].symbol = symbol;
    const struct sql_symbol *message = message_of(binder, table);
    if (message != NULL)
        reached[count++].symbol = message;
    roots = count;
    for (uint32_t i = 0; i < count; i++) // breadth first: the shortest way
        for (const struct sql_cast *cast = binder->casts; cast != NULL; cast = cast->next)
            if (cast->to == reached[i].symbol && !is_reached(reached, count, cast->from))
                reached[count++] = (struct reached){cast->from, cast, &reached[i]};
    table->versions = br_arena_array(binder->arena, struct br_version, count + 1);
    table->versions[table->version_count++] =
        (struct br_version){.message_name = table->name, .row_type = &table->row_type};
    for (uint32_t i = roots; i < count; i++)
        table->versions[table->version_count++] = make_version(binder, &reached[i], table);
}

void sql_bind_versions(struct sql_binder *binder) {
    uint32_t casts = 0;
    for (const struct sql_cast *cast = binder->casts; cast != NULL; cast = cast->next)
        casts++;
    for (struct sql_symbol *symbol = binder->symbols; symbol != NULL; symbol = symbol->next)
        if (symbol->kind == SQL_TABLE && !symbol->poisoned)
            bind_table_versions(binder, symbol, casts);
}
