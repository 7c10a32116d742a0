// SPDX-License-Identifier: Apache-2.0
// See closing.h. Everything here is a function of the plan.
#include "processor/operators/closing.h"

// Values of a column up to the least of watermark - offset.
struct bound {
    uint32_t count;
    struct br_closing_bound parts[2];
};

bool br_closed_up_to(struct br_event_time watermark, __int128 offset_us, int64_t *ret_last) {
    if (watermark.us == BR_EVENT_TIME_MIN)
        return false;
    if (watermark.us == BR_EVENT_TIME_MAX) {
        *ret_last = INT64_MAX;
        return true;
    }
    __int128 last = (__int128)watermark.us - offset_us;
    if (last < INT64_MIN)
        return false;
    *ret_last = last > INT64_MAX ? INT64_MAX : (int64_t)last;
    return true;
}

bool br_closing_last(const struct br_closing *closing, const struct br_event_time *watermarks, int64_t *ret_last) {
    int64_t last = INT64_MAX;
    for (uint32_t i = 0; i < closing->bound_count; i++) {
        int64_t of_table;
        if (!br_closed_up_to(watermarks[closing->bounds[i].table], closing->bounds[i].offset_us, &of_table))
            return false;
        last = of_table < last ? of_table : last;
    }
    *ret_last = last;
    return closing->bound_count != 0;
}

static bool add(struct bound *bound, int64_t more_us) {
    for (uint32_t i = 0; i < bound->count; i++)
        if (__builtin_add_overflow(bound->parts[i].offset_us, more_us, &bound->parts[i].offset_us))
            return false;
    return true;
}

// Of two reasons each of which is enough, the one that holds earlier, as far as that can be told. Is it the other one?
static bool take_earlier(bool *known, struct bound *best, bool other_known, const struct bound *other) {
    if (!other_known)
        return false;
    if (*known && (other->count > best->count || other->parts[0].offset_us >= best->parts[0].offset_us))
        return false;
    *known = true;
    *best = *other;
    return true;
}

// Both must hold.
static bool take_later(struct bound *bound, const struct bound *other) {
    for (uint32_t o = 0; o < other->count; o++) {
        const struct br_closing_bound *part = &other->parts[o];
        uint32_t i = 0;
        while (i < bound->count && bound->parts[i].table != part->table)
            i++;
        if (i == sizeof bound->parts / sizeof *bound->parts)
            return false;
        if (i == bound->count)
            bound->parts[bound->count++] = *part;
        else if (part->offset_us > bound->parts[i].offset_us)
            bound->parts[i].offset_us = part->offset_us;
    }
    return true;
}

static bool closing_bound(const struct br_node *aggregate, struct bound *ret) {
    const struct br_window_mark *mark =
        &aggregate->inputs[0]->fields[aggregate->aggregate.group[aggregate->aggregate.window_column]].mark;
    *ret = (struct bound){1, {{mark->table, aggregate->aggregate.lateness_us}}};
    return add(ret, mark->kind == BR_MARK_START ? mark->size_us : 0);
}

// --- who ignores a row (N1)
static bool output_ignored(const struct br_pipeline *pipeline, const struct br_node *node, uint32_t column,
                           struct bound *ret);

static bool project_ignores(const struct br_pipeline *pipeline, const struct br_node *node, uint32_t column,
                            struct bound *ret) {
    bool known = false;
    for (uint32_t f = 0; f < node->field_count; f++) {
        const struct br_expr *expr = node->project.exprs[f];
        struct bound bound;
        if (expr->kind == BR_EXPR_COLUMN && expr->column == column)
            (void)take_earlier(&known, ret, output_ignored(pipeline, node, f, &bound), &bound);
    }
    return known;
}

// A row's windows begin no later than its time, and end no later than a window's size after it.
static bool window_ignores(const struct br_pipeline *pipeline, const struct br_node *node, uint32_t column,
                           struct bound *ret) {
    struct bound bound;
    bool known = output_ignored(pipeline, node, column, ret);
    if (column != node->window.time_column)
        return known;
    (void)take_earlier(&known, ret, output_ignored(pipeline, node, node->field_count - 2, &bound), &bound);
    bool ends = output_ignored(pipeline, node, node->field_count - 1, &bound);
    (void)take_earlier(&known, ret, ends && add(&bound, node->window.size_us), &bound);
    return known;
}

// Groups that don't close would be left with rows that were never taken back, when their cause is ignored below them.
static bool aggregate_ignores(const struct br_node *node, uint32_t column, struct bound *ret) {
    int32_t window = node->aggregate.window_column;
    return window >= 0 && node->aggregate.group[window] == column && closing_bound(node, ret);
}

// A row is ignored with its pairs; a right row of a left join tells of a left row that it matches, or doesn't.
static bool join_ignores(const struct br_pipeline *pipeline, const struct br_node *node, uint32_t port, uint32_t column,
                         struct bound *ret) {
    if (port == 1 && (node->join.lookup || node->join.left_outer))
        return false;
    return output_ignored(pipeline, node, port == 0 ? column : node->inputs[0]->field_count + column, ret);
}

static bool input_ignored(const struct br_pipeline *pipeline, const struct br_node *reader, uint32_t port,
                          uint32_t column, struct bound *ret) {
    switch (reader->kind) {
    case BR_NODE_FILTER:
        return output_ignored(pipeline, reader, column, ret);
    case BR_NODE_PROJECT:
        return project_ignores(pipeline, reader, column, ret);
    case BR_NODE_WINDOW:
        return window_ignores(pipeline, reader, column, ret);
    case BR_NODE_AGGREGATE:
        return aggregate_ignores(reader, column, ret);
    case BR_NODE_JOIN:
        return join_ignores(pipeline, reader, port, column, ret);
    case BR_NODE_SOURCE:
    case BR_NODE_SCAN:
        break;
    }
    return false;
}

// A published view ignores nothing.
static bool output_ignored(const struct br_pipeline *pipeline, const struct br_node *node, uint32_t column,
                           struct bound *ret) {
    bool any = false;
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (pipeline->views[v].root == node)
            return false;
    for (uint32_t n = 0; n < pipeline->node_count; n++) {
        const struct br_node *reader = pipeline->nodes[n];
        for (uint32_t port = 0; port < reader->input_count; port++) {
            struct bound bound;
            if (reader->inputs[port] != node)
                continue;
            if (!input_ignored(pipeline, reader, port, column, &bound))
                return false;
            if (any ? !take_later(ret, &bound) : (*ret = bound, false))
                return false;
            any = true;
        }
    }
    return any;
}

// --- who changes no more (N2)
static bool is_complete(const struct br_node *node, uint32_t column, struct bound *ret);

static bool window_is_complete(const struct br_node *node, uint32_t column, struct bound *ret) {
    const struct br_node *input = node->inputs[0];
    if (column < input->field_count)
        return is_complete(input, column, ret);
    if (!is_complete(input, node->window.time_column, ret))
        return false;
    return column == input->field_count + 1 || add(ret, node->window.size_us);
}

static bool aggregate_is_complete(const struct br_node *node, uint32_t column, struct bound *ret) {
    if (column >= node->aggregate.group_count)
        return false;
    if ((int32_t)column == node->aggregate.window_column)
        return closing_bound(node, ret);
    return is_complete(node->inputs[0], node->aggregate.group[column], ret);
}

// The left side and, where it has the same column, the right one.
static bool join_is_complete(const struct br_node *node, uint32_t column, struct bound *ret) {
    struct bound right;
    if (column >= node->inputs[0]->field_count || !is_complete(node->inputs[0], column, ret))
        return false;
    if (node->join.lookup)
        return true;
    for (uint32_t k = 0; k < node->join.key_count; k++)
        if (node->join.left_keys[k] == column && is_complete(node->inputs[1], node->join.right_keys[k], &right))
            return take_later(ret, &right);
    return false;
}

static bool is_complete(const struct br_node *node, uint32_t column, struct bound *ret) {
    switch (node->kind) {
    case BR_NODE_FILTER:
        return is_complete(node->inputs[0], column, ret);
    case BR_NODE_PROJECT:
        return node->project.exprs[column]->kind == BR_EXPR_COLUMN &&
               is_complete(node->inputs[0], node->project.exprs[column]->column, ret);
    case BR_NODE_WINDOW:
        return window_is_complete(node, column, ret);
    case BR_NODE_AGGREGATE:
        return aggregate_is_complete(node, column, ret);
    case BR_NODE_JOIN:
        return join_is_complete(node, column, ret);
    case BR_NODE_SOURCE:
    case BR_NODE_SCAN:
        break;
    }
    return false;
}

// --- a join's sides
static bool reads_back(const struct br_node *root, const struct br_node *join) {
    while (root != join &&
           (root->kind == BR_NODE_FILTER || root->kind == BR_NODE_PROJECT || root->kind == BR_NODE_WINDOW))
        root = root->inputs[0];
    return root == join;
}

static bool is_read_back(const struct br_pipeline *pipeline, const struct br_node *join) {
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (reads_back(pipeline->views[v].root, join))
            return true;
    return false;
}

static struct br_closing closing_of(uint32_t column, const struct bound *bound) {
    struct br_closing closing = {.closes = true, .column = column, .bound_count = bound->count};
    memcpy(closing.bounds, bound->parts, sizeof closing.bounds);
    return closing;
}

static bool find_ignored(const struct br_pipeline *pipeline, const struct br_node *join, uint32_t port,
                         struct br_closing *ret) {
    const struct br_node *side = join->inputs[port];
    uint32_t first = port == 0 ? 0 : join->inputs[0]->field_count, column = 0;
    bool known = false;
    struct bound best = {0};
    for (uint32_t c = 0; c < side->field_count && !(port == 1 && join->join.left_outer); c++) {
        struct bound bound;
        if (side->fields[c].type != BR_TIMESTAMPTZ || !output_ignored(pipeline, join, first + c, &bound))
            continue;
        if (take_earlier(&known, &best, true, &bound))
            column = c;
    }
    if (!known)
        return false;
    *ret = closing_of(column, &best);
    ret->ignored = true;
    return true;
}

// A right row that comes or goes tells whether a left row of a left join matches: there the right side must be done
// too.
static bool find_complete(const struct br_node *join, uint32_t port, struct br_closing *ret) {
    const uint32_t *own = port == 0 ? join->join.left_keys : join->join.right_keys;
    const uint32_t *others = port == 0 ? join->join.right_keys : join->join.left_keys;
    for (uint32_t k = 0; k < join->join.key_count; k++) {
        struct bound bound, right;
        if (join->inputs[port]->fields[own[k]].type != BR_TIMESTAMPTZ ||
            !is_complete(join->inputs[1 - port], others[k], &bound))
            continue;
        if (port == 1 && join->join.left_outer &&
            (!is_complete(join->inputs[1], own[k], &right) || !take_later(&bound, &right)))
            continue;
        *ret = closing_of(own[k], &bound);
        return true;
    }
    return false;
}

struct br_closing br_join_closing(const struct br_pipeline *pipeline, const struct br_node *join, uint32_t port) {
    struct br_closing closing = {0};
    if (join->join.lookup || find_ignored(pipeline, join, port, &closing) || !find_complete(join, port, &closing))
        return closing;
    closing.read_back = is_read_back(pipeline, join);
    if (closing.read_back && port == 0 && join->join.left_outer) // every left row is a row of the view
        closing = (struct br_closing){0};
    return closing;
}

uint16_t br_join_index_table(const struct br_pipeline *pipeline, const struct br_node *join, uint32_t port) {
    uint32_t number = BR_INDEX_TABLE_MIN + port;
    for (uint32_t n = 0; n < join->id; n++)
        number += pipeline->nodes[n]->kind == BR_NODE_JOIN ? 2 : 0;
    return number + pipeline->view_count < BR_VIEW_TABLE_MAX ? (uint16_t)number : 0;
}
