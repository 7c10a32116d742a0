// SPDX-License-Identifier: Apache-2.0
// Columns that nobody above needs are dropped as low as possible: a join stores rows, a filter and a window copy them.
//
// Goes down from a view's root with the set of needed columns and comes back with where they are now. Nodes shared with
// other views (sources, roots of views) stay as they are; a projection is put on top where that drops columns. Fields,
// keys and marks of what was changed are derived again on the way up.
#include "processor/sql/sql_internal.h"

static struct br_node *narrow(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map,
                              bool project);

static uint32_t *map_of(struct sql_binder *binder, const struct br_node *node) {
    return br_arena_array(binder->arena, uint32_t, node->field_count + 1);
}
static bool *set_of(struct sql_binder *binder, const struct br_node *node) {
    return br_arena_array(binder->arena, bool, node->field_count + 1);
}

// At least one column stays: a batch without columns has no rows to speak of.
static uint32_t keep(const struct br_node *node, bool *needed, uint32_t *map) {
    uint32_t count = 0;
    bool any = false;
    for (uint32_t i = 0; i < node->field_count; i++)
        any |= needed[i];
    if (!any && node->field_count != 0)
        needed[0] = true;
    for (uint32_t i = 0; i < node->field_count; i++)
        map[i] = needed[i] ? count++ : UINT32_MAX;
    return count;
}

static void identity(const struct br_node *node, uint32_t *map) {
    for (uint32_t i = 0; i < node->field_count; i++)
        map[i] = i;
}

static struct br_node *narrow_shared(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map,
                                     bool project) {
    uint32_t count = project ? keep(node, needed, map) : node->field_count;
    if (count == node->field_count) {
        identity(node, map);
        return node;
    }
    struct br_expr **exprs = br_arena_array(binder->arena, struct br_expr *, count + 1);
    const char **names = br_arena_array(binder->arena, const char *, count + 1);
    for (uint32_t i = 0; i < node->field_count; i++)
        if (map[i] != UINT32_MAX) {
            exprs[map[i]] = br_expr_column(binder->arena, i, node->fields[i].type, -1);
            names[map[i]] = node->fields[i].name;
        }
    return sql_node_project(binder, node, exprs, names, count);
}

static bool is_shared(const struct sql_binder *binder, const struct br_node *node) {
    return node->kind == BR_NODE_SOURCE || node->kind == BR_NODE_SCAN || node->view != binder->view ||
           sql_is_view_root(binder, node);
}

static bool only_columns(const struct br_node *project) {
    for (uint32_t i = 0; i < project->field_count; i++)
        if (project->project.exprs[i]->kind != BR_EXPR_COLUMN)
            return false;
    return true;
}

static void narrow_project(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map) {
    while (!is_shared(binder, node->inputs[0]) && node->inputs[0]->kind == BR_NODE_PROJECT &&
           only_columns(node->inputs[0])) { // a projection that only moves columns melts into the one above
        struct br_node *inner = node->inputs[0];
        for (uint32_t i = 0; i < node->field_count; i++)
            node->project.exprs[i] = sql_substitute(binder->arena, node->project.exprs[i], inner->project.exprs);
        node->inputs[0] = inner->inputs[0];
    }
    struct br_node *input = node->inputs[0];
    bool *below = set_of(binder, input);
    uint32_t *moved = map_of(binder, input);
    uint32_t count = keep(node, needed, map);
    for (uint32_t i = 0; i < node->field_count; i++)
        if (map[i] != UINT32_MAX) {
            br_expr_mark_columns(node->project.exprs[i], below);
            node->project.exprs[map[i]] = node->project.exprs[i];
            node->fields[map[i]] = node->fields[i];
        }
    node->field_count = count;
    node->inputs[0] = narrow(binder, input, below, moved, false);
    for (uint32_t i = 0; i < count; i++)
        node->project.exprs[i] = br_expr_remap(binder->arena, node->project.exprs[i], moved);
}

static void narrow_filter(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map) {
    br_expr_mark_columns(node->filter.predicate, needed);
    node->inputs[0] = narrow(binder, node->inputs[0], needed, map, true);
    node->filter.predicate = br_expr_remap(binder->arena, node->filter.predicate, map);
    node->field_count = node->inputs[0]->field_count;
}

static void narrow_window(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map) {
    uint32_t count = node->field_count - 2;
    needed[node->window.time_column] = true;
    node->inputs[0] = narrow(binder, node->inputs[0], needed, map, true);
    node->window.time_column = map[node->window.time_column];
    node->field_count = node->inputs[0]->field_count + 2;
    map[count] = node->field_count - 2;
    map[count + 1] = node->field_count - 1;
}

static void narrow_join(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map) {
    struct br_node *left = node->inputs[0], *right = node->inputs[1];
    uint32_t left_count = left->field_count, right_count = right->field_count;
    for (uint32_t i = 0; i < node->join.key_count; i++)
        needed[node->join.left_keys[i]] = needed[left_count + node->join.right_keys[i]] = true;
    if (node->join.residual != NULL)
        br_expr_mark_columns(node->join.residual, needed);
    uint32_t *left_map = map_of(binder, left), *right_map = map_of(binder, right);
    node->inputs[0] = narrow(binder, left, needed, left_map, true);
    node->inputs[1] = narrow(binder, right, needed + left_count, right_map, !node->join.lookup);
    uint32_t offset = node->inputs[0]->field_count;
    for (uint32_t i = 0; i < left_count; i++)
        map[i] = left_map[i];
    for (uint32_t i = 0; i < right_count; i++)
        map[left_count + i] = right_map[i] == UINT32_MAX ? UINT32_MAX : right_map[i] + offset;
    for (uint32_t i = 0; i < node->join.key_count; i++) {
        node->join.left_keys[i] = left_map[node->join.left_keys[i]];
        node->join.right_keys[i] = right_map[node->join.right_keys[i]];
    }
    if (node->join.residual != NULL)
        node->join.residual = br_expr_remap(binder->arena, node->join.residual, map);
    node->field_count = offset + node->inputs[1]->field_count;
}

static void narrow_aggregate(struct sql_binder *binder, struct br_node *node, uint32_t *map) {
    struct br_node *input = node->inputs[0];
    bool *below = set_of(binder, input);
    uint32_t *moved = map_of(binder, input);
    for (uint32_t i = 0; i < node->aggregate.group_count; i++)
        below[node->aggregate.group[i]] = true;
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
        const struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
        if (aggregate->argument >= 0)
            below[aggregate->argument] = true;
        if (aggregate->filter >= 0)
            below[aggregate->filter] = true;
    }
    node->inputs[0] = narrow(binder, input, below, moved, false);
    for (uint32_t i = 0; i < node->aggregate.group_count; i++)
        node->aggregate.group[i] = moved[node->aggregate.group[i]];
    for (uint32_t i = 0; i < node->aggregate.aggregate_count; i++) {
        struct br_aggregate *aggregate = &node->aggregate.aggregates[i];
        if (aggregate->argument >= 0)
            aggregate->argument = (int32_t)moved[aggregate->argument];
        if (aggregate->filter >= 0)
            aggregate->filter = (int32_t)moved[aggregate->filter];
    }
    identity(node, map);
}

// Gives the node to use instead, and for each of its columns where it is now (UINT32_MAX: dropped).
static struct br_node *narrow(struct sql_binder *binder, struct br_node *node, bool *needed, uint32_t *map,
                              bool project) {
    if (is_shared(binder, node))
        return narrow_shared(binder, node, needed, map, project);
    switch (node->kind) {
    case BR_NODE_PROJECT:
        narrow_project(binder, node, needed, map);
        break;
    case BR_NODE_FILTER:
        narrow_filter(binder, node, needed, map);
        break;
    case BR_NODE_WINDOW:
        narrow_window(binder, node, needed, map);
        break;
    case BR_NODE_JOIN:
        narrow_join(binder, node, needed, map);
        break;
    case BR_NODE_AGGREGATE:
        narrow_aggregate(binder, node, map);
        break;
    case BR_NODE_SOURCE:
    case BR_NODE_SCAN:
        identity(node, map);
        break;
    }
    sql_node_derive(binder, node);
    return node;
}

void sql_prune(struct sql_binder *binder, struct br_node *root) {
    bool *needed = set_of(binder, root);
    uint32_t count = root->field_count;
    memset(needed, true, count * sizeof *needed);
    struct br_node *pruned = narrow(binder, root, needed, map_of(binder, root), false);
    BR_CHECK(pruned == root);
    BR_CHECK(root->field_count == count);
}
