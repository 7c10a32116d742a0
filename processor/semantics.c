// SPDX-License-Identifier: Apache-2.0
// See semantics.h. The table `changes` is the history of what builds compute; a row is never taken out, and its
// predicate never made narrower, as long as logs with a smaller number may be met.
#include "processor/semantics.h"

// --- what predicates are made of

typedef bool expr_test(const struct br_expr *expr);

static bool any_expr(const struct br_expr *expr, expr_test *test) {
    if (expr == NULL)
        return false;
    if (test(expr))
        return true;
    for (uint32_t i = 0; i < expr->argument_count; i++)
        if (any_expr(expr->arguments[i], test))
            return true;
    return false;
}

static bool any_column_expr(const struct br_table *table, expr_test *test) {
    for (uint32_t c = 0; c < table->row_type.column_count; c++)
        if (any_expr(table->row_type.columns[c].default_value, test))
            return true;
    for (uint32_t c = 0; c < table->check_count; c++)
        if (any_expr(table->checks[c].condition, test))
            return true;
    return false;
}

static bool any_lift_expr(const struct br_table *table, expr_test *test) {
    for (uint32_t v = 0; v < table->version_count; v++)
        for (uint32_t s = 0; s < table->versions[v].step_count; s++) {
            const struct br_version *version = &table->versions[v];
            uint32_t columns =
                s + 1 < version->step_count ? version->steps[s + 1].from->column_count : table->row_type.column_count;
            for (uint32_t c = 0; c < columns; c++)
                if (any_expr(version->steps[s].exprs[c], test))
                    return true;
        }
    return false;
}

// Does the node, or the table that it reads, evaluate such an expression?
static bool node_has(const struct br_node *node, expr_test *test) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return any_column_expr(node->source.table, test) || any_lift_expr(node->source.table, test);
    case BR_NODE_FILTER:
        return any_expr(node->filter.predicate, test);
    case BR_NODE_PROJECT:
        for (uint32_t c = 0; c < node->field_count; c++)
            if (any_expr(node->project.exprs[c], test))
                return true;
        return false;
    case BR_NODE_JOIN:
        return any_expr(node->join.residual, test);
    default:
        return false;
    }
}

typedef bool aggregate_test(const struct br_aggregate *aggregate);

static bool node_aggregates(const struct br_node *node, aggregate_test *test) {
    if (node->kind != BR_NODE_AGGREGATE)
        return false;
    for (uint32_t a = 0; a < node->aggregate.aggregate_count; a++)
        if (test(&node->aggregate.aggregates[a]))
            return true;
    return false;
}

// --- the table

struct change {
    uint32_t number; // the first that computes it so
    bool (*affects)(const struct br_pipeline *pipeline, const struct br_node *node);
    const char *what;
};

// Their last bit depended on the processor and the C library.
static bool computes_elementary(const struct br_pipeline *pipeline, const struct br_node *node) {
    (void)pipeline;
    return node_has(node, br_expr_is_elementary);
}

// Of lookups nothing is kept that could differ: epochs say by which rules they were computed.
static bool on_may_fail(const struct br_pipeline *pipeline, const struct br_node *node) {
    (void)pipeline;
    return node->kind == BR_NODE_JOIN && node->join.left_outer && !node->join.lookup && node->join.residual != NULL &&
           br_expr_may_fail(node->join.residual);
}

static bool sums_doubles(const struct br_aggregate *aggregate) {
    switch (aggregate->kind) {
    case BR_AGG_SUM:
    case BR_AGG_AVG:
    case BR_AGG_STDDEV_SAMP:
    case BR_AGG_STDDEV_POP:
    case BR_AGG_VAR_SAMP:
    case BR_AGG_VAR_POP:
        return aggregate->argument_type == BR_DOUBLE;
    default:
        return false;
    }
}

static bool exact_doubles(const struct br_pipeline *pipeline, const struct br_node *node) {
    (void)pipeline;
    return node_aggregates(node, sums_doubles);
}

static bool averages_intervals(const struct br_aggregate *aggregate) {
    return aggregate->kind == BR_AGG_AVG && aggregate->argument_type == BR_INTERVAL;
}

static bool interval_averages(const struct br_pipeline *pipeline, const struct br_node *node) {
    (void)pipeline;
    return node_aggregates(node, averages_intervals);
}

static bool refuses_pattern(const struct br_pipeline *pipeline, const struct br_node *node) {
    (void)pipeline;
    return node_has(node, br_expr_regex_is_refused);
}

static bool matches_otherwise(const struct br_pipeline *pipeline, const struct br_node *node) {
    (void)pipeline;
    return node_has(node, br_expr_regex_differs);
}

static const struct change changes[] = {
    {1, refuses_pattern,
     "its regular expression is one that is not taken any more: write it otherwise (docs/expressions.md) in a changed "
     "file, and give that to the rebuild by --pipeline"},
    {1, exact_doubles, "sum, avg, stddev and variance of double precision are exact now, whatever has left the group"},
    {1, interval_averages, "avg(interval) divides months, days and time each by itself now, as interval / n does"},
    {1, computes_elementary,
     "exp, ln, log, power, cbrt and the functions of angles are rounded correctly now, the same on every processor"},
    {1, on_may_fail, "a LEFT JOIN leaves out the rows on which its ON fails"},
    {1, matches_otherwise,
     "what a regular expression matches is PostgreSQL's now, no longer PCRE2's (docs/expressions.md)"},
};

static void name_node(const struct br_node *node, struct br_buffer *words) {
    if (node->kind == BR_NODE_SOURCE)
        br_buffer_printf(words, "table %s", node->source.table->name);
    else
        br_buffer_printf(words, "view %s", node->view->name);
}

uint32_t br_semantics(void) {
    return BR_SEMANTICS;
}

bool br_semantics_lack(const struct br_pipeline *pipeline, struct br_buffer *words) {
    for (uint32_t n = 0; n < pipeline->node_count; n++)
        if (refuses_pattern(pipeline, pipeline->nodes[n])) {
            name_node(pipeline->nodes[n], words);
            br_buffer_append_text(words, ": its regular expression is one that is not taken any more");
            return true;
        }
    return false;
}

bool br_semantics_differ(const struct br_pipeline *pipeline, uint32_t since, struct br_buffer *words) {
    if (pipeline->bound_otherwise) {
        br_buffer_append_text(words, "a constant in its SQL text has another value");
        return true;
    }
    for (size_t c = 0; c < sizeof changes / sizeof *changes; c++)
        for (uint32_t n = 0; n < pipeline->node_count && changes[c].number > since; n++)
            if (changes[c].affects(pipeline, pipeline->nodes[n])) {
                name_node(pipeline->nodes[n], words);
                br_buffer_printf(words, ": %s", changes[c].what);
                return true;
            }
    return false;
}
