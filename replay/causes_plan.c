// SPDX-License-Identifier: Apache-2.0
// What plans tell about causes: where a view's columns come from, what stands beneath it, and whether it changed.
#include "replay/causes_internal.h"

// --- where columns come from
// Follows a field of a node down to a table's column; stops at anything computed.
static void trace_source(const struct br_node *node, uint32_t field, struct br_cause_column *column) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        column->table = node->source.table;
        column->table_column = field;
        return;
    case BR_NODE_FILTER:
        trace_source(node->inputs[0], field, column);
        return;
    case BR_NODE_PROJECT:
        if (node->project.exprs[field]->kind == BR_EXPR_COLUMN)
            trace_source(node->inputs[0], node->project.exprs[field]->column, column);
        return;
    case BR_NODE_WINDOW:
        if (field < node->inputs[0]->field_count)
            trace_source(node->inputs[0], field, column);
        return;
    case BR_NODE_AGGREGATE:
        if (field < node->aggregate.group_count)
            trace_source(node->inputs[0], node->aggregate.group[field], column);
        return;
    case BR_NODE_JOIN:
        if (field < node->inputs[0]->field_count)
            trace_source(node->inputs[0], field, column);
        else
            trace_source(node->inputs[1], field - node->inputs[0]->field_count, column);
        return;
    case BR_NODE_SCAN:
        return;
    }
}

static bool has_table_index(const struct br_node *node, uint32_t table) {
    if (node->kind == BR_NODE_SOURCE)
        return node->source.table->index == table;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (has_table_index(node->inputs[i], table))
            return true;
    return false;
}

static const struct br_node *find_window(const struct br_node *node, const struct br_window_mark *mark) {
    if (node->kind == BR_NODE_WINDOW && node->window.size_us == mark->size_us && has_table_index(node, mark->table))
        return node;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct br_node *found = find_window(node->inputs[i], mark);
        if (found != NULL)
            return found;
    }
    return NULL;
}

static void add_column(struct br_view_evidence *evidence, uint32_t index) {
    const struct br_node *root = evidence->view->root;
    const struct br_field *field = &root->fields[index];
    if (evidence->column_count == BR_CAUSE_COLUMNS_MAX)
        return;
    struct br_cause_column *column = &evidence->columns[evidence->column_count++];
    *column = (struct br_cause_column){
        .column = index, .name = evidence->view->row_type.columns[index].name, .type = field->type};
    if (field->mark.kind != BR_MARK_NONE) {
        column->mark = &field->mark;
        column->window = find_window(root, &field->mark);
    } else {
        trace_source(root, index, column);
    }
}

// --- what stands beneath
static void add_name(const char **names, uint32_t *count, const char *name) {
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    names[(*count)++] = name;
}

static uint32_t count_nodes(const struct br_node *node) {
    uint32_t count = 1;
    for (uint32_t i = 0; i < node->input_count; i++)
        count += count_nodes(node->inputs[i]);
    return count;
}

static void collect_beneath(const struct br_node *node, struct br_view_evidence *evidence) {
    if (node->view != NULL)
        add_name(evidence->beneath, &evidence->beneath_count, node->view->name);
    if (node->kind == BR_NODE_SOURCE)
        add_name(evidence->tables, &evidence->table_count, node->source.table->name);
    for (uint32_t i = 0; i < node->input_count; i++)
        collect_beneath(node->inputs[i], evidence);
}

void br_view_evidence_plan(const struct br_view *view, struct br_arena *arena, struct br_view_evidence *evidence) {
    const struct br_node *root = view->root;
    *evidence = (struct br_view_evidence){.view = view};
    evidence->columns = br_arena_array(arena, struct br_cause_column, BR_CAUSE_COLUMNS_MAX);
    uint32_t count = root->has_key ? root->key_count : view->row_type.column_count;
    for (uint32_t k = 0; k < count; k++)
        add_column(evidence, root->has_key ? root->key[k] : k);
    uint32_t nodes = count_nodes(root);
    evidence->beneath = br_arena_array(arena, const char *, nodes + 1);
    evidence->tables = br_arena_array(arena, const char *, nodes + 1);
    add_name(evidence->beneath, &evidence->beneath_count, view->name);
    collect_beneath(root, evidence);
}

// --- whether it changed
static bool same_columns(const struct br_view *before, const struct br_view *after) {
    if (before->row_type.column_count != after->row_type.column_count)
        return false;
    for (uint32_t c = 0; c < before->row_type.column_count; c++)
        if (strcmp(before->row_type.columns[c].name, after->row_type.columns[c].name) != 0)
            return false;
    return true;
}

enum br_cause br_cause_of_plans(const struct br_upgrade *upgrade, const char *view) {
    const struct br_upgrade_view *row = br_upgrade_find(upgrade, view);
    if (row == NULL || row->before == NULL || row->after == NULL)
        return BR_CAUSE_PLAN;
    if (row->verdict == BR_UPGRADE_KEEP)
        return same_columns(row->before, row->after) && !row->more_labels ? BR_CAUSE_UNKNOWN : BR_CAUSE_PLAN;
    return row->only_functions ? BR_CAUSE_FUNCTION : BR_CAUSE_PLAN;
}
