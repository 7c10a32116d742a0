// SPDX-License-Identifier: Apache-2.0
// Plan nodes and what follows for each from its inputs:
//
//   fields       names, types, NULLs, window marks
//   append_only  never a negative weight: append tables and what keeps them so; an aggregate that gives a row only when
//                its window closes; a lookup join of such rows
//   key          of an upsert table its primary key; through filters as is; through a projection when all of its
//                columns survive, or those an inner join makes equal to them; hop adds window_start; of an aggregate
//                its group; of a join the left key when the right key is covered by the join (and the other way round
//                for inner joins), else both together
//   of_clock     of projections that call now(), once, when they are made; passed on by whatever reads such a column
//   marks        made by windows over the event time of a table, passed on by plain columns; behind an aggregate they
//                carry its lateness
//
// sql_node_derive computes all of it and may be called again after the node was changed (prune.c).
#include "processor/sql/sql_internal.h"

static struct br_node *make_node(struct sql_binder *binder, enum br_node_kind kind, uint32_t field_count) {
    struct br_node *node = br_arena_new(binder->arena, struct br_node);
    node->kind = kind;
    node->view = binder->view;
    node->field_count = field_count;
    node->fields = br_arena_array(binder->arena, struct br_field, field_count + 1);
    binder->node_count++;
    (void)sql_check_memory(binder, binder->statement);
    return node;
}

bool sql_is_view_root(const struct sql_binder *binder, const struct br_node *node) {
    for (uint32_t i = 0; i < binder->pipeline->view_count; i++)
        if (binder->pipeline->views[i].root == node)
            return true;
    return false;
}

// --- event time: does a column hold the event time of a table, or a bound of its windows?
struct time_origin {
    bool known;
    uint32_t table;
    int64_t slack_us; // how long after its own time a row may still come or change
};

static const struct br_node *find_window(const struct br_node *node, uint32_t column) {
    for (;;) {
        switch (node->kind) {
        case BR_NODE_FILTER:
            node = node->inputs[0];
            break;
        case BR_NODE_PROJECT:
            if (node->project.exprs[column]->kind != BR_EXPR_COLUMN)
                return NULL;
            column = node->project.exprs[column]->column;
            node = node->inputs[0];
            break;
        case BR_NODE_WINDOW:
            if (column >= node->field_count - 2)
                return node;
            node = node->inputs[0];
            break;
        case BR_NODE_AGGREGATE:
            if (column >= node->aggregate.group_count)
                return NULL;
            column = node->aggregate.group[column];
            node = node->inputs[0];
            break;
        case BR_NODE_JOIN: {
            uint32_t left = node->inputs[0]->field_count;
            node = node->inputs[column < left ? 0 : 1];
            column -= column < left ? 0 : left;
            break;
        }
        case BR_NODE_SOURCE:
        case BR_NODE_SCAN:
            return NULL;
        }
    }
}

// A window's row may change until its end (and lateness): seen from its start that is its size, less when the windows
// over it are made of whole ones.
static int64_t inner_slack(const struct br_node *node, uint32_t column, const struct br_window_mark *mark,
                           int64_t size_us, int64_t slide_us) {
    if (mark->kind == BR_MARK_END)
        return mark->lateness_us;
    const struct br_node *window = find_window(node, column);
    int64_t slide = window == NULL ? mark->size_us : window->window.slide_us;
    if (size_us % slide == 0 && slide_us % slide == 0)
        return mark->lateness_us + mark->size_us - slide;
    return mark->lateness_us + mark->size_us;
}

static struct time_origin time_origin_of(const struct br_node *node, uint32_t column) {
    switch (node->kind) {
    case BR_NODE_SOURCE: {
        const struct br_table *table = node->source.table;
        return (struct time_origin){table->event_time == (int32_t)column, table->index, 0};
    }
    case BR_NODE_FILTER:
        return time_origin_of(node->inputs[0], column);
    case BR_NODE_PROJECT:
        if (node->project.exprs[column]->kind == BR_EXPR_COLUMN)
            return time_origin_of(node->inputs[0], node->project.exprs[column]->column);
        return (struct time_origin){0};
    case BR_NODE_WINDOW:
        if (column < node->field_count - 2)
            return time_origin_of(node->inputs[0], column);
        return (struct time_origin){0};
    case BR_NODE_AGGREGATE:
        if (column < node->aggregate.group_count)
            return time_origin_of(node->inputs[0], node->aggregate.group[column]);
        return (struct time_origin){0};
    case BR_NODE_JOIN: {
        uint32_t left = node->inputs[0]->field_count;
        if (column < left)
            return time_origin_of(node->inputs[0], column);
        if (!node->join.left_outer)
            return time_origin_of(node->inputs[1], column - left);
        break;
    }
    case BR_NODE_SCAN:
        break;
    }
    return (struct time_origin){0};
}

static struct time_origin window_origin(const struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    const struct br_window_mark *mark = &input->fields[node->window.time_column].mark;
    if (mark->kind == BR_MARK_NONE)
        return time_origin_of(input, node->window.time_column);
    int64_t slack = inner_slack(input, node->window.time_column, mark, node->window.size_us, node->window.slide_us);
    return (struct time_origin){true, mark->table, slack};
}

// --- keys
static void set_key(struct sql_binder *binder, struct br_node *node, const uint32_t *columns, uint32_t count) {
    uint32_t *key = br_arena_array(binder->arena, uint32_t, count + 1);
    if (count != 0)
        memcpy(key, columns, count * sizeof *key);
    node->key = key;
    node->key_count = count;
    node->has_key = true;
}

static bool covered(const struct br_node *input, const uint32_t *columns, uint32_t count) {
    if (!input->has_key)
        return false;
    for (uint32_t i = 0; i < input->key_count; i++) {
        bool found = false;
        for (uint32_t j = 0; j < count; j++)
            found |= columns[j] == input->key[i];
        if (!found)
            return false;
    }
    return true;
}

static void derive_join_key(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *left = node->inputs[0], *right = node->inputs[1];
    uint32_t count = left->key_count + right->key_count;
    uint32_t *columns = br_arena_array(binder->arena, uint32_t, count + 1);
    for (uint32_t i = 0; i < left->key_count; i++)
        columns[i] = left->key[i];
    for (uint32_t i = 0; i < right->key_count; i++)
        columns[left->key_count + i] = right->key[i] + left->field_count;
    if (left->has_key && covered(right, node->join.right_keys, node->join.key_count))
        set_key(binder, node, columns, left->key_count);
    else if (right->has_key && !node->join.left_outer && covered(left, node->join.left_keys, node->join.key_count))
        set_key(binder, node, columns + left->key_count, right->key_count);
    else if (left->has_key && right->has_key)
        set_key(binder, node, columns, count);
}

// The column that an inner join says is equal; UINT32_MAX: none.
static uint32_t equal_column(const struct br_node *node, uint32_t column) {
    while (node->kind == BR_NODE_FILTER)
        node = node->inputs[0];
    if (node->kind != BR_NODE_JOIN || node->join.left_outer)
        return UINT32_MAX;
    uint32_t left = node->inputs[0]->field_count;
    for (uint32_t i = 0; i < node->join.key_count; i++) {
        if (node->join.left_keys[i] == column)
            return node->join.right_keys[i] + left;
        if (node->join.right_keys[i] + left == column)
            return node->join.left_keys[i];
    }
    return UINT32_MAX;
}

static bool find_projected(const struct br_node *node, uint32_t column, uint32_t *ret_index) {
    for (uint32_t i = 0; i < node->field_count; i++)
        if (node->project.exprs[i]->kind == BR_EXPR_COLUMN && node->project.exprs[i]->column == column) {
            *ret_index = i;
            return true;
        }
    return false;
}

static void derive_project_key(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    uint32_t *columns = br_arena_array(binder->arena, uint32_t, input->key_count + 1);
    for (uint32_t i = 0; i < input->key_count; i++)
        if (!find_projected(node, input->key[i], &columns[i]) &&
            !find_projected(node, equal_column(input, input->key[i]), &columns[i]))
            return;
    if (input->has_key)
        set_key(binder, node, columns, input->key_count);
}

// --- by kind
static void derive_source(struct sql_binder *binder, struct br_node *node) {
    const struct br_table *table = node->source.table;
    node->field_count = table->row_type.column_count;
    node->fields = br_arena_array(binder->arena, struct br_field, node->field_count + 1);
    for (uint32_t i = 0; i < node->field_count; i++) {
        const struct br_column_def *column = &table->row_type.columns[i];
        node->fields[i] = (struct br_field){.name = column->name,
                                            .type = column->type,
                                            .nullable = !column->not_null,
                                            .labels = sql_labels(&table->row_type, i)};
    }
    node->append_only = table->primary_key_count == 0;
    if (table->primary_key_count != 0)
        set_key(binder, node, table->primary_key, table->primary_key_count);
}

static void copy_fields(struct br_node *node, uint32_t at, const struct br_node *input) {
    for (uint32_t i = 0; i < input->field_count; i++)
        node->fields[at + i] = input->fields[i];
}

static void derive_filter(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    copy_fields(node, 0, input);
    node->append_only = input->append_only;
    if (input->has_key)
        set_key(binder, node, input->key, input->key_count);
}

static void derive_project(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    for (uint32_t i = 0; i < node->field_count; i++) {
        const struct br_expr *expr = node->project.exprs[i];
        struct br_field *field = &node->fields[i];
        field->type = expr->type;
        field->nullable = !(expr->kind == BR_EXPR_CONST && !expr->value.is_null);
        field->mark = (struct br_window_mark){0};
        field->labels = NULL;
        if (expr->kind == BR_EXPR_COLUMN) {
            field->labels = input->fields[expr->column].labels;
            field->nullable = input->fields[expr->column].nullable;
            field->mark = input->fields[expr->column].mark;
        }
    }
    node->append_only = input->append_only;
    derive_project_key(binder, node);
}

static void derive_window(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    copy_fields(node, 0, input);
    uint32_t start = input->field_count;
    node->fields[start] = (struct br_field){.name = "window_start", .type = BR_TIMESTAMPTZ};
    node->fields[start + 1] = (struct br_field){.name = "window_end", .type = BR_TIMESTAMPTZ};
    struct time_origin origin = window_origin(node);
    if (origin.known) {
        struct br_window_mark mark = {.kind = BR_MARK_START,
                                      .table = origin.table,
                                      .size_us = node->window.size_us,
                                      .lateness_us = origin.slack_us};
        node->fields[start].mark = mark;
        mark.kind = BR_MARK_END;
        node->fields[start + 1].mark = mark;
    }
    node->append_only = input->append_only;
    if (!input->has_key)
        return;
    uint32_t *columns = br_arena_array(binder->arena, uint32_t, input->key_count + 1);
    if (input->key_count != 0)
        memcpy(columns, input->key, input->key_count * sizeof *columns);
    columns[input->key_count] = start;
    bool hop = node->window.size_us != node->window.slide_us;
    set_key(binder, node, columns, input->key_count + (hop ? 1 : 0));
}

// The group column that closes groups: a window's end, else its start.
static void find_window_column(struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    node->aggregate.window_column = -1;
    for (uint32_t i = 0; i < node->aggregate.group_count; i++) {
        const struct br_window_mark *mark = &input->fields[node->aggregate.group[i]].mark;
        int32_t chosen = node->aggregate.window_column;
        if (mark->kind == BR_MARK_NONE)
            continue;
        if (chosen < 0 ||
            (mark->kind == BR_MARK_END && input->fields[node->aggregate.group[chosen]].mark.kind == BR_MARK_START))
            node->aggregate.window_column = (int32_t)i;
    }
}

static void derive_aggregate(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *input = node->inputs[0];
    uint32_t groups = node->aggregate.group_count;
    find_window_column(node);
    int32_t window = node->aggregate.window_column;
    node->aggregate.lateness_us = node->view == NULL ? 0 : node->view->lateness_us;
    if (window >= 0) {
        int64_t inherited = input->fields[node->aggregate.group[window]].mark.lateness_us;
        if (inherited > node->aggregate.lateness_us)
            node->aggregate.lateness_us = inherited;
    }
    uint32_t *key = br_arena_array(binder->arena, uint32_t, groups + 1);
    for (uint32_t i = 0; i < groups; i++) {
        const struct br_field *from = &input->fields[node->aggregate.group[i]];
        struct br_field *field = &node->fields[i];
        field->type = from->type;
        field->nullable = from->nullable;
        field->mark = from->mark;
        field->labels = from->labels;
        field->of_clock = from->of_clock;
        if (window >= 0 && field->mark.kind != BR_MARK_NONE)
            field->mark.lateness_us = node->aggregate.lateness_us;
        key[i] = i;
    }
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
        const struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
        struct br_field *field = &node->fields[groups + i];
        field->type = aggregate->result_type;
        field->nullable = aggregate->kind != BR_AGG_COUNT;
        field->mark = (struct br_window_mark){0};
    }
    node->append_only = node->aggregate.emit_final;
    set_key(binder, node, key, groups);
}

static void derive_join(struct sql_binder *binder, struct br_node *node) {
    const struct br_node *left = node->inputs[0], *right = node->inputs[1];
    copy_fields(node, 0, left);
    copy_fields(node, left->field_count, right);
    for (uint32_t i = left->field_count; i < node->field_count && node->join.left_outer; i++) {
        node->fields[i].nullable = true; // a row without partner has no window either
        node->fields[i].mark = (struct br_window_mark){0};
    }
    node->append_only = left->append_only && (node->join.lookup || (right->append_only && !node->join.left_outer));
    derive_join_key(binder, node);
}

static void derive_scan(struct sql_binder *binder, struct br_node *node) {
    const struct br_view *view = &binder->queried->views[node->scan.view];
    for (uint32_t i = 0; i < node->field_count; i++)
        node->fields[i] = (struct br_field){.name = view->row_type.columns[i].name,
                                            .type = view->row_type.columns[i].type,
                                            .nullable = view->root->fields[i].nullable,
                                            .labels = view->root->fields[i].labels};
    node->append_only = true; // a query sees the view as it stands: rows, not changes
    if (view->root->has_key)
        set_key(binder, node, view->root->key, view->root->key_count);
}

void sql_node_derive(struct sql_binder *binder, struct br_node *node) {
    node->has_key = false;
    node->key = NULL;
    node->key_count = 0;
    switch (node->kind) {
    case BR_NODE_SOURCE:
        derive_source(binder, node);
        break;
    case BR_NODE_FILTER:
        derive_filter(binder, node);
        break;
    case BR_NODE_PROJECT:
        derive_project(binder, node);
        break;
    case BR_NODE_WINDOW:
        derive_window(binder, node);
        break;
    case BR_NODE_AGGREGATE:
        derive_aggregate(binder, node);
        break;
    case BR_NODE_JOIN:
        derive_join(binder, node);
        break;
    case BR_NODE_SCAN:
        derive_scan(binder, node);
        break;
    }
    node->depth = 1;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (node->depth <= node->inputs[i]->depth)
            node->depth = node->inputs[i]->depth + 1;
    sql_check_depth(binder, node);
}

// --- making
static void set_inputs(struct br_node *node, struct br_node *left, struct br_node *right) {
    node->inputs[0] = left;
    node->inputs[1] = right;
    node->input_count = right == NULL ? 1 : 2;
}

struct br_node *sql_node_source(struct sql_binder *binder, struct br_table *table) {
    struct br_node *node = make_node(binder, BR_NODE_SOURCE, table->row_type.column_count);
    node->view = NULL;
    node->source.table = table;
    sql_node_derive(binder, node);
    return node;
}

struct br_node *sql_node_scan(struct sql_binder *binder, const struct br_view *view) {
    struct br_node *node = make_node(binder, BR_NODE_SCAN, view->row_type.column_count);
    node->scan.view = view->index;
    sql_node_derive(binder, node);
    return node;
}

struct br_node *sql_node_filter(struct sql_binder *binder, struct br_node *input, struct br_expr *predicate) {
    struct br_node *node = make_node(binder, BR_NODE_FILTER, input->field_count);
    set_inputs(node, input, NULL);
    node->filter.predicate = predicate;
    sql_node_derive(binder, node);
    return node;
}

struct br_node *sql_node_project(struct sql_binder *binder, struct br_node *input, struct br_expr **exprs,
                                 const char *const *names, uint32_t count) {
    struct br_node *node = make_node(binder, BR_NODE_PROJECT, count);
    set_inputs(node, input, NULL);
    node->project.exprs = exprs;
    const bool *of_clock = sql_clock_columns(binder, input, NULL);
    for (uint32_t i = 0; i < count; i++) {
        node->fields[i].name = names[i];
        node->fields[i].of_clock = br_expr_clock_use(exprs[i], of_clock).by != NULL;
    }
    sql_node_derive(binder, node);
    return node;
}

struct br_node *sql_node_window(struct sql_binder *binder, struct br_node *input, uint32_t time_column, int64_t size_us,
                                int64_t slide_us) {
    struct br_node *node = make_node(binder, BR_NODE_WINDOW, input->field_count + 2);
    set_inputs(node, input, NULL);
    node->window.time_column = time_column;
    node->window.size_us = size_us;
    node->window.slide_us = slide_us;
    sql_node_derive(binder, node);
    return node;
}

struct br_node *sql_node_aggregate(struct sql_binder *binder, struct br_node *input, const uint32_t *group,
                                   const char *const *group_names, uint32_t group_count,
                                   const struct br_aggregate *aggregates, uint32_t aggregate_count) {
    static const char *const kinds[] = {"count",   "sum",    "min",        "max",      "avg",    "bool_and",
                                        "bool_or", "stddev", "stddev_pop", "variance", "var_pop"};
    struct br_node *node = make_node(binder, BR_NODE_AGGREGATE, group_count + aggregate_count);
    set_inputs(node, input, NULL);
    node->aggregate.group = br_arena_array(binder->arena, uint32_t, group_count + 1);
    node->aggregate.group_count = group_count;
    node->aggregate.aggregates = br_arena_array(binder->arena, struct br_aggregate, aggregate_count + 1);
    node->aggregate.aggregate_count = aggregate_count;
    for (uint32_t i = 0; i < group_count; i++) {
        node->aggregate.group[i] = group[i];
        node->fields[i].name = group_names[i];
    }
    for (uint32_t i = 0; i < aggregate_count; i++) {
        node->aggregate.aggregates[i] = aggregates[i];
        node->fields[group_count + i].name = kinds[aggregates[i].kind];
    }
    sql_node_derive(binder, node);
    return node;
}

struct br_node *sql_node_join(struct sql_binder *binder, struct br_node *left, struct br_node *right, bool left_outer,
                              bool lookup, const uint32_t *left_keys, const uint32_t *right_keys, uint32_t key_count,
                              struct br_expr *residual) {
    struct br_node *node = make_node(binder, BR_NODE_JOIN, left->field_count + right->field_count);
    set_inputs(node, left, right);
    node->join.left_outer = left_outer;
    node->join.lookup = lookup;
    node->join.left_keys = br_arena_array(binder->arena, uint32_t, key_count + 1);
    node->join.right_keys = br_arena_array(binder->arena, uint32_t, key_count + 1);
    for (uint32_t i = 0; i < key_count; i++) {
        node->join.left_keys[i] = left_keys[i];
        node->join.right_keys[i] = right_keys[i];
    }
    node->join.key_count = key_count;
    node->join.residual = residual;
    sql_node_derive(binder, node);
    return node;
}
