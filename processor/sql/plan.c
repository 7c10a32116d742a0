// SPDX-License-Identifier: Apache-2.0
// What is fixed once all views are bound: nodes in topological order, columns of tables that are read, numbers of state
// tables, signatures, the plan's hash. All of it is a function of the file's text (and descriptors) alone.
#include "processor/operators/graph.h"
#include "processor/sql/sql_internal.h"

#include <xxhash.h>

#define STATE_TABLES_MAX BR_INDEX_TABLE_MIN // numbers above have other uses (operators/graph.h)

// --- order
struct order {
    struct br_node **list;
    uint32_t count;
};

static void visit(struct order *order, struct br_node *node) {
    if (node->id != UINT32_MAX)
        return;
    for (uint32_t i = 0; i < node->input_count; i++)
        visit(order, node->inputs[i]);
    if (node->id != UINT32_MAX)
        return;
    node->id = order->count;
    order->list[order->count++] = node;
}

static uint32_t unvisit(struct br_node *node) {
    uint32_t count = 1;
    if (node->id == UINT32_MAX)
        return 0;
    node->id = UINT32_MAX;
    for (uint32_t i = 0; i < node->input_count; i++)
        count += unvisit(node->inputs[i]);
    return count;
}

void sql_number_nodes(struct sql_binder *binder, struct br_node **roots, uint32_t root_count,
                      struct br_node ***ret_nodes, uint32_t *ret_count) {
    uint32_t bound = 0;
    for (uint32_t i = 0; i < root_count; i++)
        bound += unvisit(roots[i]);
    struct order order = {br_arena_array(binder->arena, struct br_node *, bound + 1), 0};
    for (uint32_t i = 0; i < root_count; i++)
        visit(&order, roots[i]);
    *ret_nodes = order.list;
    *ret_count = order.count;
}

// --- used columns
static void mark_inputs(const struct br_node *node, bool *const *needed) {
    bool *own = needed[node->id], *first = node->input_count > 0 ? needed[node->inputs[0]->id] : NULL;
    uint32_t first_count = node->input_count > 0 ? node->inputs[0]->field_count : 0;
    switch (node->kind) {
    case BR_NODE_FILTER:
        br_expr_mark_columns(node->filter.predicate, first);
        for (uint32_t i = 0; i < node->field_count; i++)
            first[i] |= own[i];
        break;
    case BR_NODE_PROJECT: // all of it is computed
        for (uint32_t i = 0; i < node->field_count; i++)
            br_expr_mark_columns(node->project.exprs[i], first);
        break;
    case BR_NODE_WINDOW:
        for (uint32_t i = 0; i < first_count; i++)
            first[i] |= own[i];
        first[node->window.time_column] = true;
        break;
    case BR_NODE_AGGREGATE:
        for (uint32_t i = 0; i < node->aggregate.group_count; i++)
            first[node->aggregate.group[i]] = true;
        for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
            const struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
            if (aggregate->argument >= 0)
                first[aggregate->argument] = true;
            if (aggregate->filter >= 0)
                first[aggregate->filter] = true;
        }
        break;
    case BR_NODE_JOIN: {
        bool *second = needed[node->inputs[1]->id];
        if (node->join.residual != NULL)
            br_expr_mark_columns(node->join.residual, own);
        for (uint32_t i = 0; i < node->field_count; i++)
            if (own[i])
                *(i < first_count ? &first[i] : &second[i - first_count]) = true;
        for (uint32_t i = 0; i < node->join.key_count; i++)
            first[node->join.left_keys[i]] = second[node->join.right_keys[i]] = true;
        break;
    }
    case BR_NODE_SOURCE:
    case BR_NODE_SCAN:
        break;
    }
}

// Keys and gates read columns too: primary key, event time, NOT NULL, CHECK.
static void mark_gates(const struct br_table *table, bool *used) {
    for (uint32_t i = 0; i < table->primary_key_count; i++)
        used[table->primary_key[i]] = true;
    for (uint32_t i = 0; i < table->check_count; i++)
        br_expr_mark_columns(table->checks[i].condition, used);
    for (uint32_t i = 0; i < table->row_type.column_count; i++)
        used[i] |= table->row_type.columns[i].not_null;
    if (table->event_time >= 0)
        used[table->event_time] = true;
}

static void mark_used(struct sql_binder *binder) {
    struct br_pipeline *pipeline = binder->pipeline;
    bool **needed = br_arena_array(binder->arena, bool *, pipeline->node_count + 1);
    for (uint32_t i = 0; i < pipeline->node_count; i++)
        needed[i] = br_arena_array(binder->arena, bool, pipeline->nodes[i]->field_count + 1);
    for (uint32_t i = 0; i < pipeline->view_count; i++)
        memset(needed[pipeline->views[i].root->id], true, pipeline->views[i].root->field_count);
    for (uint32_t i = pipeline->node_count; i-- > 0;) {
        struct br_node *node = pipeline->nodes[i];
        mark_inputs(node, needed);
        if (node->kind != BR_NODE_SOURCE)
            continue;
        node->source.table->read = true;
        for (uint32_t c = 0; c < node->field_count; c++)
            node->source.table->used[c] |= needed[i][c];
    }
    for (uint32_t i = 0; i < pipeline->table_count; i++)
        mark_gates(&pipeline->tables[i], pipeline->tables[i].used);
}

static void mark_below(const struct br_node *node, bool *reached) {
    reached[node->id] = true;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (!reached[node->inputs[i]->id])
            mark_below(node->inputs[i], reached);
}

void br_view_mark_columns(const struct br_pipeline *pipeline, const struct br_view *view, const struct br_table *table,
                          bool *columns) {
    struct br_arena *arena = br_arena_create();
    bool **needed = br_arena_array(arena, bool *, pipeline->node_count + 1);
    bool *reached = br_arena_array(arena, bool, pipeline->node_count + 1);
    mark_below(view->root, reached);
    for (uint32_t i = 0; i < pipeline->node_count; i++)
        needed[i] = reached[i] ? br_arena_array(arena, bool, pipeline->nodes[i]->field_count + 1) : NULL;
    memset(needed[view->root->id], true, view->root->field_count);
    for (uint32_t i = view->root->id + 1; i-- > 0;) {
        const struct br_node *node = pipeline->nodes[i];
        if (!reached[i])
            continue;
        mark_inputs(node, needed);
        for (uint32_t c = 0; node->kind == BR_NODE_SOURCE && node->source.table == table && c < node->field_count; c++)
            columns[c] |= needed[i][c];
    }
    mark_gates(table, columns);
    br_arena_destroy(&arena);
}

// --- signatures: bytes that say all that matters, and their hash. What is added here belongs into likeness.c too.
static void put_number(struct br_buffer *out, int64_t number) {
    br_buffer_append_varint(out, br_zigzag(number));
}
static void put_text(struct br_buffer *out, const char *text) {
    put_number(out, text == NULL ? -1 : (int64_t)strlen(text));
    br_buffer_append_text(out, text == NULL ? "" : text);
}

static void put_shape(struct br_buffer *out, const struct br_expr *expr) {
    put_number(out, expr->kind);
    put_number(out, expr->type);
    put_number(out, expr->kind == BR_EXPR_COLUMN ? expr->column : 0);
    put_number(out, expr->argument_count);
    for (uint32_t i = 0; i < expr->argument_count; i++)
        put_shape(out, expr->arguments[i]);
}

static uint32_t highest_column(const struct br_expr *expr) {
    uint32_t highest = expr->kind == BR_EXPR_COLUMN ? expr->column : 0;
    for (uint32_t i = 0; i < expr->argument_count; i++) {
        uint32_t below = highest_column(expr->arguments[i]);
        highest = below > highest ? below : highest;
    }
    return highest;
}

// Its text with columns by number, which names functions and constants, and its types.
static void put_expr(struct sql_binder *binder, struct br_buffer *out, const struct br_expr *expr) {
    put_number(out, expr == NULL ? 0 : 1);
    if (expr == NULL)
        return;
    uint32_t count = highest_column(expr) + 1;
    const char **names = br_arena_array(binder->arena, const char *, count);
    for (uint32_t i = 0; i < count; i++)
        names[i] = br_arena_printf(binder->arena, "$%u", i);
    br_expr_print(expr, names, out);
    put_shape(out, expr);
}

// How the column lies on the wire: a descriptor that changes makes another plan.
static void put_path(struct sql_binder *binder, struct br_buffer *out, const struct br_message_type *message,
                     const char *path) {
    for (size_t len = strcspn(path, ".");; len += 1 + strcspn(path + len + 1, ".")) {
        const struct br_message_field *field;
        struct br_error error;
        if (br_message_find_path(message, br_arena_strndup(binder->arena, path, len), &field, &error) != BR_OK)
            return;
        put_number(out, field->number);
        put_number(out, field->kind);
        put_number(out, field->has_presence);
        put_number(out, field->oneof_index);
        put_number(out, (int64_t)field->default_value.len);
        br_buffer_append_slice(out, field->default_value);
        for (uint32_t i = 0; field->enumeration != NULL && i < field->enumeration->count; i++) {
            put_number(out, field->enumeration->numbers[i]);
            put_text(out, field->enumeration->names[i]);
        }
        if (path[len] == '\0')
            return;
    }
}

static void put_row_type(struct sql_binder *binder, struct br_buffer *out, const struct br_row_type *row_type) {
    put_text(out, row_type->message_name);
    put_number(out, row_type->column_count);
    for (uint32_t i = 0; i < row_type->column_count; i++) {
        const struct br_column_def *column = &row_type->columns[i];
        put_text(out, column->name);
        put_text(out, column->path);
        if (row_type->message != NULL)
            put_path(binder, out, row_type->message, column->path);
        put_number(out, column->type);
        put_number(out, column->not_null);
        put_expr(binder, out, column->default_value);
    }
}

// A step gives the columns of the next step's row, the last one those of the table.
static void put_version(struct sql_binder *binder, struct br_buffer *out, const struct br_table *table,
                        const struct br_version *version) {
    put_text(out, version->message_name);
    put_row_type(binder, out, version->row_type);
    put_number(out, version->step_count);
    for (uint32_t i = 0; i < version->step_count; i++) {
        const struct br_row_type *to = i + 1 < version->step_count ? version->steps[i + 1].from : &table->row_type;
        for (uint32_t c = 0; c < to->column_count; c++)
            put_expr(binder, out, version->steps[i].exprs[c]);
    }
}

// Which columns are stored, and so which are used, is part of the state of a table with a key.
static void put_table(struct sql_binder *binder, struct br_buffer *out, const struct br_table *table) {
    put_text(out, table->name);
    put_text(out, table->subject);
    put_number(out, table->layout);
    put_row_type(binder, out, &table->row_type);
    put_number(out, table->primary_key_count);
    for (uint32_t i = 0; i < table->primary_key_count; i++)
        put_number(out, table->primary_key[i]);
    put_number(out, table->event_time);
    put_number(out, table->watermark_delay_us);
    put_number(out, table->future_bound_us);
    put_number(out, table->check_count);
    for (uint32_t i = 0; i < table->check_count; i++)
        put_expr(binder, out, table->checks[i].condition);
    put_number(out, table->version_count);
    for (uint32_t i = 0; i < table->version_count; i++)
        put_version(binder, out, table, &table->versions[i]);
    for (uint32_t i = 0; i < table->row_type.column_count && table->primary_key_count != 0; i++)
        put_number(out, table->used[i]);
}

// By the table's name: where it stands in the file makes no other state.
static void put_mark(struct sql_binder *binder, struct br_buffer *out, const struct br_window_mark *mark) {
    put_number(out, mark->kind);
    put_text(out, mark->kind == BR_MARK_NONE ? NULL : binder->pipeline->tables[mark->table].name);
    put_number(out, mark->size_us);
    put_number(out, mark->lateness_us);
}

static void put_aggregate(struct br_buffer *out, const struct br_node *node) {
    put_number(out, node->aggregate.group_count);
    for (uint32_t i = 0; i < node->aggregate.group_count; i++)
        put_number(out, node->aggregate.group[i]);
    put_number(out, node->aggregate.aggregate_count);
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
        const struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
        put_number(out, aggregate->kind);
        put_number(out, aggregate->distinct);
        put_number(out, aggregate->argument);
        put_number(out, aggregate->filter);
        put_number(out, aggregate->argument_type);
        put_number(out, aggregate->result_type);
    }
    put_number(out, node->aggregate.window_column);
    put_number(out, node->aggregate.lateness_us);
    put_number(out, node->aggregate.emit_final);
}

static void put_join(struct sql_binder *binder, struct br_buffer *out, const struct br_node *node) {
    put_number(out, node->join.left_outer);
    put_number(out, node->join.lookup);
    put_number(out, node->join.key_count);
    for (uint32_t i = 0; i < node->join.key_count; i++) {
        put_number(out, node->join.left_keys[i]);
        put_number(out, node->join.right_keys[i]);
    }
    put_expr(binder, out, node->join.residual);
}

static void put_node(struct sql_binder *binder, struct br_buffer *out, const struct br_node *node) {
    put_number(out, node->kind);
    put_number(out, node->append_only);
    put_number(out, node->field_count);
    for (uint32_t i = 0; i < node->field_count; i++) {
        put_number(out, node->fields[i].type);
        put_mark(binder, out, &node->fields[i].mark);
    }
    for (uint32_t i = 0; i < node->input_count; i++)
        put_number(out, (int64_t)node->inputs[i]->signature);
    switch (node->kind) {
    case BR_NODE_SOURCE:
        put_table(binder, out, node->source.table);
        break;
    case BR_NODE_FILTER:
        put_expr(binder, out, node->filter.predicate);
        break;
    case BR_NODE_PROJECT:
        for (uint32_t i = 0; i < node->field_count; i++)
            put_expr(binder, out, node->project.exprs[i]);
        break;
    case BR_NODE_WINDOW:
        put_number(out, node->window.time_column);
        put_number(out, node->window.size_us);
        put_number(out, node->window.slide_us);
        put_number(out, node->window.origin_us);
        break;
    case BR_NODE_AGGREGATE:
        put_aggregate(out, node);
        break;
    case BR_NODE_JOIN:
        put_join(binder, out, node);
        break;
    case BR_NODE_SCAN:
        put_number(out, node->scan.view);
        break;
    }
}

static void sign_nodes(struct sql_binder *binder, struct br_buffer *bytes) {
    for (uint32_t i = 0; i < binder->pipeline->node_count; i++) {
        struct br_node *node = binder->pipeline->nodes[i];
        br_buffer_clear(bytes);
        put_node(binder, bytes, node);
        node->signature = XXH3_64bits(bytes->ptr, bytes->len);
    }
}

static void put_view(struct sql_binder *binder, struct br_buffer *out, const struct br_view *view) {
    put_text(out, view->name);
    put_number(out, (int64_t)view->root->signature);
    put_number(out, view->root->id);
    put_row_type(binder, out, &view->row_type);
    put_number(out, view->root->has_key);
    for (uint32_t i = 0; i < view->root->key_count; i++)
        put_number(out, view->root->key[i]);
    put_number(out, view->format);
    put_number(out, view->emit_final);
    put_number(out, view->lateness_us);
    put_number(out, view->emit_interval_us);
}

static void hash_plan(struct sql_binder *binder, struct br_buffer *bytes) {
    struct br_pipeline *pipeline = binder->pipeline;
    br_buffer_clear(bytes);
    put_text(bytes, pipeline->name);
    for (uint32_t i = 0; i < pipeline->table_count; i++) {
        const struct br_table *table = &pipeline->tables[i];
        put_number(bytes, table->index);
        put_table(binder, bytes, table);
        for (uint32_t c = 0; c < table->row_type.column_count; c++) // which events can be decoded depends on it
            put_number(bytes, table->used[c]);
    }
    for (uint32_t i = 0; i < pipeline->node_count; i++) {
        put_number(bytes, (int64_t)pipeline->nodes[i]->signature);
        put_number(bytes, pipeline->nodes[i]->state_table);
    }
    for (uint32_t i = 0; i < pipeline->view_count; i++)
        put_view(binder, bytes, &pipeline->views[i]);
    pipeline->plan_hash = XXH3_64bits(bytes->ptr, bytes->len);
}

// --- state tables
static bool number_state(struct sql_binder *binder) {
    uint32_t next = 1;
    for (uint32_t i = 0; i < binder->pipeline->node_count; i++) {
        struct br_node *node = binder->pipeline->nodes[i];
        node->state_table_count = br_node_state_tables(node);
        node->state_table = node->state_table_count == 0 ? 0 : (uint16_t)next;
        next += node->state_table_count;
        if (next >= STATE_TABLES_MAX) {
            sql_error(binder, 0, "split it into several pipelines", "the pipeline needs more than %d state tables",
                      STATE_TABLES_MAX);
            return false;
        }
    }
    return true;
}

void sql_finish_plan(struct sql_binder *binder) {
    struct br_pipeline *pipeline = binder->pipeline;
    struct br_node **roots = br_arena_array(binder->arena, struct br_node *, pipeline->view_count + 1);
    for (uint32_t i = 0; i < pipeline->view_count; i++)
        roots[i] = pipeline->views[i].root;
    sql_number_nodes(binder, roots, pipeline->view_count, &pipeline->nodes, &pipeline->node_count);
    mark_used(binder);
    if (!number_state(binder))
        return;
    struct br_buffer bytes = {0};
    sign_nodes(binder, &bytes);
    hash_plan(binder, &bytes);
    br_buffer_free(&bytes);
    sql_liken(binder);
}
