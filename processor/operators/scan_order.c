// SPDX-License-Identifier: Apache-2.0
// In which order a scan gives a view's rows: what can be told from the plan.
//
// State tables are scanned in key order, and what stands between them and the view keeps that order: a filter leaves
// rows out, a projection moves columns. The columns come back as those of the view, most significant first. When a
// projection drops one of them, or computes with it, nothing is promised.
#include "processor/operators/graph.h"

static uint32_t aggregate_order(const struct br_node *node, uint32_t *columns) {
    uint32_t count = 0;
    int32_t window = node->aggregate.window_column;
    if (window >= 0) // it begins the key in state
        columns[count++] = (uint32_t)window;
    for (uint32_t g = 0; g < node->aggregate.group_count; g++)
        if ((int32_t)g != window)
            columns[count++] = g;
    return count;
}

// Where the projection gives the input's column on unchanged; field_count: nowhere.
static uint32_t find_projected(const struct br_node *node, uint32_t column) {
    for (uint32_t f = 0; f < node->field_count; f++)
        if (node->project.exprs[f]->kind == BR_EXPR_COLUMN && node->project.exprs[f]->column == column)
            return f;
    return node->field_count;
}

static bool node_order(const struct br_node *node, uint32_t *columns, uint32_t *ret_count) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        *ret_count = node->source.table->primary_key_count;
        for (uint32_t k = 0; k < *ret_count; k++)
            columns[k] = node->source.table->primary_key[k];
        return *ret_count != 0;
    case BR_NODE_AGGREGATE:
        *ret_count = aggregate_order(node, columns);
        return true;
    case BR_NODE_FILTER:
        return node_order(node->inputs[0], columns, ret_count);
    case BR_NODE_PROJECT:
        break;
    case BR_NODE_WINDOW:
    case BR_NODE_JOIN:
    case BR_NODE_SCAN:
        return false;
    }
    uint32_t *inner = br_calloc(node->inputs[0]->field_count + 1, sizeof *inner);
    bool ordered = node_order(node->inputs[0], inner, ret_count);
    for (uint32_t k = 0; ordered && k < *ret_count; k++) {
        uint32_t field = find_projected(node, inner[k]);
        ordered = field < node->field_count;
        if (ordered)
            columns[k] = field;
    }
    free(inner);
    return ordered;
}

bool br_view_scan_order(const struct br_view *view, uint32_t *ret_columns, uint32_t *ret_count) {
    return node_order(view->root, ret_columns, ret_count);
}
