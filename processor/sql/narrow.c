// SPDX-License-Identifier: Apache-2.0
// A pipeline narrowed for a replay: only some of its views, only rows whose key matches (br_plan_changes).
//
// N1. What a kept view stands on is planned into it: views that aren't kept end as if they were plain ones, and what
//     fails or comes late in them is reported under a view that is kept.
// N2. Each AND part of the key condition goes down from the view's root by itself, and ends as a filter right above the
//     tables it comes to. It goes through filters; through projections and groups by plain columns; through windows,
//     but not by their bounds; through a join to each side that has all its columns, be it by the equality of join
//     keys. It must reach a table, else there is an error that says what stood in its way.
// N3. A row of the view that matches is made of rows that the filters let through, all of them. Other rows of the view
//     may be there or not: whoever compares leaves them out by the same condition.
// N4. The filter stands behind the rows of a table with a key, not before them: a row whose region changes from EU to
//     US goes.
// N5. Views share nothing then but tables: what one of them narrows would be missing in the other.
#include "processor/sql/sql_internal.h"

#define KEY_OF "the key condition"

// --- only some views
static struct br_view *find_view(const struct br_pipeline *pipeline, const char *name) {
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (strcmp(pipeline->views[v].name, name) == 0)
            return &pipeline->views[v];
    return NULL;
}

static enum br_status unknown_view(struct sql_binder *binder, const char *name, struct br_error *error) {
    const struct br_pipeline *pipeline = binder->pipeline;
    struct sql_nearest nearest = {.wanted = name};
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        sql_nearest_try(&nearest, pipeline->views[v].name);
    const char *hint = sql_nearest_hint(binder, &nearest);
    return br_error_set(error, BR_DATA, "pipeline %s has no view \"%s\"%s%s", pipeline->name, name,
                        hint == NULL ? "" : "; ", hint == NULL ? "" : hint);
}

// Nodes of views that are kept become those of the views' new places; the others stay where they are.
static void move_nodes(struct br_node *node, struct br_view *const *moved) {
    if (node->view != NULL && moved[node->view->index] != NULL && node->view != moved[node->view->index])
        node->view = moved[node->view->index];
    for (uint32_t i = 0; i < node->input_count; i++)
        move_nodes(node->inputs[i], moved);
}

// N1: `kept` are the views' new places; a node of a view that isn't there goes to the first view that needs it.
static void adopt_nodes(struct br_node *node, const struct br_view *view, const struct br_view *kept, uint32_t count) {
    if (node->view != NULL && (node->view < kept || node->view >= kept + count))
        node->view = view;
    for (uint32_t i = 0; i < node->input_count; i++)
        adopt_nodes(node->inputs[i], view, kept, count);
}

static bool is_named(const struct br_plan_changes *changes, const char *name) {
    for (size_t i = 0; i < changes->only_count; i++)
        if (strcmp(changes->only[i], name) == 0)
            return true;
    return false;
}

static enum br_status keep_views(struct sql_binder *binder, struct br_error *error) {
    const struct br_plan_changes *changes = binder->changes;
    struct br_pipeline *pipeline = binder->pipeline;
    for (size_t i = 0; i < changes->only_count; i++)
        if (find_view(pipeline, changes->only[i]) == NULL)
            return unknown_view(binder, changes->only[i], error);
    struct br_view *kept = br_arena_array(binder->arena, struct br_view, changes->only_count + 1);
    struct br_view **moved = br_arena_array(binder->arena, struct br_view *, pipeline->view_count + 1);
    uint32_t count = 0;
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (is_named(changes, pipeline->views[v].name)) {
            kept[count] = pipeline->views[v];
            moved[v] = &kept[count++];
        }
    for (uint32_t v = 0; v < count; v++)
        move_nodes(kept[v].root, moved);
    for (uint32_t v = 0; v < count; v++) {
        adopt_nodes(kept[v].root, &kept[v], kept, count);
        kept[v].index = v;
    }
    pipeline->views = kept;
    pipeline->view_count = count;
    return BR_OK;
}

// --- only the tables that are read
static void mark_tables(const struct br_node *node, bool *read) {
    if (node->kind == BR_NODE_SOURCE)
        read[node->source.table->index] = true;
    for (uint32_t i = 0; i < node->input_count; i++)
        mark_tables(node->inputs[i], read);
}

// Fields' marks name tables by index. Each node once: `done` is its id.
static void move_tables(struct br_node *node, struct br_table *tables, const uint32_t *map, uint32_t done) {
    if (node->id == done)
        return;
    node->id = done;
    for (uint32_t f = 0; f < node->field_count; f++)
        if (node->fields[f].mark.kind != BR_MARK_NONE)
            node->fields[f].mark.table = map[node->fields[f].mark.table];
    if (node->kind == BR_NODE_SOURCE)
        node->source.table = &tables[map[node->source.table->index]];
    for (uint32_t i = 0; i < node->input_count; i++)
        move_tables(node->inputs[i], tables, map, done);
}

static void keep_tables(struct sql_binder *binder) {
    struct br_pipeline *pipeline = binder->pipeline;
    bool *read = br_arena_array(binder->arena, bool, pipeline->table_count + 1);
    uint32_t *map = br_arena_array(binder->arena, uint32_t, pipeline->table_count + 1);
    struct br_table *tables = br_arena_array(binder->arena, struct br_table, pipeline->table_count + 1);
    uint32_t count = 0;
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        mark_tables(pipeline->views[v].root, read);
    for (uint32_t t = 0; t < pipeline->table_count; t++)
        if (read[t]) {
            map[t] = count;
            tables[count++] = pipeline->tables[t];
        }
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        move_tables(pipeline->views[v].root, tables, map, UINT32_MAX - 1);
    for (uint32_t t = 0; t < count; t++)
        tables[t].index = t;
    pipeline->tables = tables;
    pipeline->table_count = count;
}

// --- only rows whose key matches
struct descent {
    struct sql_binder *binder;
    const struct br_view *view;
    const char *why; // what stood in the way last
};
// One AND part of the condition over the columns of a node; names[c] is what the view calls the column.
struct part {
    const struct br_expr *expr;
    const char *const *names;
};

static bool descend(struct descent *descent, struct br_node **edge, struct part part);

static bool stop(struct descent *descent, const char *name, const char *why) {
    descent->why = br_arena_printf(descent->binder->arena, "%s %s", name, why);
    return false;
}

// The part over an input's columns; map[c] is the input's column, UINT32_MAX for those that it doesn't read.
static struct part remap(struct descent *descent, struct part part, const struct br_node *node,
                         const struct br_node *input, const uint32_t *map) {
    const char **names = br_arena_array(descent->binder->arena, const char *, input->field_count + 1);
    for (uint32_t c = 0; c < node->field_count; c++)
        if (map[c] != UINT32_MAX)
            names[map[c]] = part.names[c];
    return (struct part){br_expr_remap(descent->binder->arena, part.expr, map), names};
}

static const char *print_expr(struct descent *descent, const struct br_node *input, const struct br_expr *expr) {
    const char **names = br_arena_array(descent->binder->arena, const char *, input->field_count + 1);
    struct br_buffer text = {0};
    for (uint32_t c = 0; c < input->field_count; c++)
        names[c] = input->fields[c].name == NULL ? "?" : input->fields[c].name;
    br_expr_print(expr, names, &text);
    const char *printed = br_arena_strndup(descent->binder->arena, (const char *)text.ptr, text.len);
    br_buffer_free(&text);
    return printed;
}

static const char *not_by_value(struct descent *descent, const char *what) {
    return br_arena_printf(descent->binder->arena, "is %s: no column of a table has its value", what);
}

// Which column of its only input a column is.
static bool column_below(struct descent *descent, const struct br_node *node, uint32_t column, const char *name,
                         uint32_t *ret_column) {
    const struct br_node *input = node->inputs[0];
    struct br_arena *arena = descent->binder->arena;
    *ret_column = column;
    switch (node->kind) {
    case BR_NODE_PROJECT: {
        const struct br_expr *expr = node->project.exprs[column];
        if (expr->kind != BR_EXPR_COLUMN)
            return stop(
                descent, name,
                not_by_value(descent, br_arena_printf(arena, "computed, %s", print_expr(descent, input, expr))));
        *ret_column = expr->column;
        return true;
    }
    case BR_NODE_WINDOW:
        return column < input->field_count ||
               stop(descent, name, "is the bound of a window: choose the time by --from and --to");
    case BR_NODE_AGGREGATE:
        if (column >= node->aggregate.group_count)
            return stop(descent, name, not_by_value(descent, "an aggregate"));
        *ret_column = node->aggregate.group[column];
        return true;
    default:
        return true;
    }
}

// Values that are equal may be written in several ways: 1.0 and 1.00, 0 and -0, 1 mon and 30 days. A group and a join
// key take them for one. A condition that compares them does too, one that does anything else with them may not.
static bool equal_is_same(enum br_type type) {
    return type != BR_NUMERIC && type != BR_DOUBLE && type != BR_INTERVAL;
}

static bool only_compares(const struct br_expr *expr, uint32_t column) {
    if (expr->kind == BR_EXPR_COLUMN)
        return expr->column != column;
    for (uint32_t a = 0; a < expr->argument_count; a++) {
        const struct br_expr *argument = expr->arguments[a];
        bool compared = argument->kind == BR_EXPR_COLUMN && br_expr_compares(expr);
        if (!compared && !only_compares(argument, column))
            return false;
    }
    return true;
}

// May the part look at an equal value instead of this column's?
static bool equal_will_do(struct descent *descent, const struct part *part, enum br_type type, uint32_t column) {
    return equal_is_same(type) || only_compares(part->expr, column) ||
           stop(descent, part->names[column],
                "can only be compared: equal values of its type may be written in several ways, and count as one");
}

static bool descend_below(struct descent *descent, struct br_node *node, struct part part) {
    bool *used = br_arena_array(descent->binder->arena, bool, node->field_count + 1);
    uint32_t *map = br_arena_array(descent->binder->arena, uint32_t, node->field_count + 1);
    br_expr_mark_columns(part.expr, used);
    for (uint32_t c = 0; c < node->field_count; c++) {
        map[c] = UINT32_MAX;
        if (used[c] && !column_below(descent, node, c, part.names[c], &map[c]))
            return false;
        if (used[c] && node->kind == BR_NODE_AGGREGATE && !equal_will_do(descent, &part, node->fields[c].type, c))
            return false;
    }
    return descend(descent, &node->inputs[0], remap(descent, part, node, node->inputs[0], map));
}

// Which column of one side a column of a join is, or is always equal to. In the columns of the optional side of a left
// join NULL stands for no row.
static bool column_of_side(struct descent *descent, const struct br_node *node, uint32_t port, uint32_t column,
                           const struct part *part, uint32_t *ret_column) {
    const char *name = part->names[column];
    uint32_t left = node->inputs[0]->field_count, from = column < left ? 0 : 1;
    uint32_t own = column < left ? column : column - left;
    if (from == 1 && node->join.left_outer)
        return stop(descent, name, "comes from the optional side of a LEFT JOIN");
    if (from == port) {
        *ret_column = own;
        return true;
    }
    for (uint32_t k = 0; k < node->join.key_count; k++)
        if ((from == 0 ? node->join.left_keys : node->join.right_keys)[k] == own) {
            *ret_column = (port == 0 ? node->join.left_keys : node->join.right_keys)[k];
            return equal_will_do(descent, part, node->fields[column].type, column);
        }
    return stop(descent, name, "and the other columns come from two sides of a join");
}

static bool descend_side(struct descent *descent, struct br_node *node, uint32_t port, struct part part) {
    bool *used = br_arena_array(descent->binder->arena, bool, node->field_count + 1);
    uint32_t *map = br_arena_array(descent->binder->arena, uint32_t, node->field_count + 1);
    br_expr_mark_columns(part.expr, used);
    for (uint32_t c = 0; c < node->field_count; c++) {
        map[c] = UINT32_MAX;
        if (used[c] && !column_of_side(descent, node, port, c, &part, &map[c]))
            return false;
    }
    return descend(descent, &node->inputs[port], remap(descent, part, node, node->inputs[port], map));
}

// The side of a lookup table is read as it is.
static bool descend_join(struct descent *descent, struct br_node *node, struct part part) {
    bool right = !node->join.lookup && descend_side(descent, node, 1, part);
    const char *why = descent->why;
    bool left = descend_side(descent, node, 0, part);
    if (!left && !right && !node->join.lookup && !node->join.left_outer)
        descent->why = why == NULL ? descent->why : why;
    return left || (right && !node->join.left_outer);
}

static bool descend(struct descent *descent, struct br_node **edge, struct part part) {
    struct br_node *node = *edge;
    switch (node->kind) {
    case BR_NODE_SOURCE:
        *edge = sql_node_filter(descent->binder, node, (struct br_expr *)(uintptr_t)part.expr);
        return true;
    case BR_NODE_JOIN:
        return descend_join(descent, node, part);
    case BR_NODE_SCAN:
        return false;
    default:
        return descend_below(descent, node, part);
    }
}

// N5. Sources stay shared. NULL: it gets too large.
static struct br_node *copy_nodes(struct sql_binder *binder, const struct br_node *node) {
    if (node->kind == BR_NODE_SOURCE)
        return (struct br_node *)(uintptr_t)node;
    if (++binder->node_count > SQL_NODES_MAX)
        return NULL;
    struct br_node *copy = br_arena_new(binder->arena, struct br_node);
    *copy = *node;
    copy->view = binder->view;
    copy->fields = br_arena_array(binder->arena, struct br_field, node->field_count + 1);
    memcpy(copy->fields, node->fields, node->field_count * sizeof *copy->fields);
    for (uint32_t i = 0; i < node->input_count; i++)
        if ((copy->inputs[i] = copy_nodes(binder, node->inputs[i])) == NULL)
            return NULL;
    return copy;
}

static enum br_status check_key_columns(const struct br_view *view, const struct br_expr *expr, bool *used,
                                        struct br_error *error) {
    const struct br_node *root = view->root;
    bool any = false;
    br_expr_mark_columns(expr, used);
    for (uint32_t c = 0; c < root->field_count; c++) {
        bool of_key = !root->has_key;
        for (uint32_t k = 0; root->has_key && k < root->key_count; k++)
            of_key |= root->key[k] == c;
        any |= used[c];
        if (used[c] && !of_key)
            return br_error_set(error, BR_DATA,
                                KEY_OF " can't be used with view %s: column %s isn't in its key; leave the view out "
                                       "(--only)",
                                view->name, view->row_type.columns[c].name);
    }
    if (!any)
        return br_error_set(error, BR_DATA, KEY_OF " names no column of view %s", view->name);
    if (br_expr_reads_clock(expr))
        return br_error_set(error, BR_DATA, KEY_OF " can't read the clock: a row would match at one time only");
    return BR_OK;
}

static enum br_status bind_key(struct sql_binder *binder, const struct br_view *view, struct br_expr **ret_expr,
                               struct br_error *error) {
    const char *text = binder->changes->key;
    struct br_pipeline *none = br_arena_new(binder->arena, struct br_pipeline);
    struct br_diagnostics *diagnostics = br_diagnostics_create(KEY_OF, text);
    struct sql_binder inner = {.arena = binder->arena,
                               .diagnostics = diagnostics,
                               .text = br_arena_strdup(binder->arena, text),
                               .path = KEY_OF,
                               .pipeline = none,
                               .queried = binder->pipeline,
                               .rules = binder->rules};
    enum br_status status = BR_OK;
    *ret_expr = sql_bind_condition(&inner, view->name, &view->row_type, inner.text);
    if (*ret_expr == NULL || diagnostics->error_count != 0) {
        const struct br_diagnostic *first = diagnostics->count == 0 ? NULL : &diagnostics->list[0];
        bool hinted = first != NULL && first->hint != NULL;
        status = br_error_set(error, BR_DATA, KEY_OF " can't be used with view %s: %s%s%s", view->name,
                              first == NULL ? "it can't be understood" : first->message, hinted ? "; " : "",
                              hinted ? first->hint : "");
    }
    br_diagnostics_destroy(&diagnostics);
    return status;
}

static enum br_status descend_part(struct descent *descent, struct br_view *view, struct part part,
                                   struct br_error *error) {
    if (part.expr->kind == BR_EXPR_AND) {
        for (uint32_t a = 0; a < part.expr->argument_count; a++)
            BR_TRY(descend_part(descent, view, (struct part){part.expr->arguments[a], part.names}, error));
        return BR_OK;
    }
    descent->why = NULL;
    if (descend(descent, &view->root, part))
        return BR_OK;
    return br_error_set(error, BR_DATA, KEY_OF " can't be pushed to the tables of view %s: %s", view->name,
                        descent->why == NULL ? "it comes to no table" : descent->why);
}

static enum br_status narrow_view(struct sql_binder *binder, struct br_view *view, struct br_error *error) {
    struct br_expr *expr;
    BR_TRY(bind_key(binder, view, &expr, error));
    uint32_t count = view->root->field_count;
    BR_TRY(check_key_columns(view, expr, br_arena_array(binder->arena, bool, count + 1), error));
    const char **names = br_arena_array(binder->arena, const char *, count + 1);
    for (uint32_t c = 0; c < count; c++)
        names[c] = view->row_type.columns[c].name;
    binder->view = view;
    struct descent descent = {.binder = binder, .view = view};
    view->root = copy_nodes(binder, view->root);
    enum br_status status =
        view->root == NULL
            ? br_error_set(error, BR_DATA, "pipeline %s is too large to be narrowed by key; name fewer views (--only)",
                           binder->pipeline->name)
            : descend_part(&descent, view, (struct part){expr, names}, error);
    binder->view = NULL;
    return status;
}

enum br_status sql_narrow(struct sql_binder *binder, struct br_error *error) {
    const struct br_plan_changes *changes = binder->changes;
    if (changes == NULL)
        return BR_OK;
    if (changes->only_count != 0) {
        BR_TRY(keep_views(binder, error));
        keep_tables(binder);
    }
    for (uint32_t v = 0; changes->key != NULL && v < binder->pipeline->view_count; v++)
        BR_TRY(narrow_view(binder, &binder->pipeline->views[v], error));
    return BR_OK;
}
