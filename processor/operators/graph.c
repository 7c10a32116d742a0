// SPDX-License-Identifier: Apache-2.0
// The graph: makes operators for a plan's nodes, wires them, and drives them through an epoch. See graph.h.
#include "processor/operators/operator_internal.h"

#include <stdio.h>

// --- operators
void *br_operator_alloc(struct br_graph *graph, const struct br_node *node, const struct br_operator_class *class,
                        size_t size) {
    struct br_operator *op = br_calloc(1, size);
    op->class = class;
    op->graph = graph;
    op->node = node;
    op->arena = br_arena_create();
    op->types = br_calloc(node->field_count + 1, sizeof *op->types);
    for (uint32_t f = 0; f < node->field_count; f++)
        op->types[f] = node->fields[f].type;
    return op;
}

void br_operator_free(struct br_operator *op) {
    br_arena_destroy(&op->arena);
    free(op->types);
    free(op->outputs);
    free(op);
}

void br_operator_connect(struct br_operator *from, struct br_operator *to, uint32_t port) {
    from->outputs = br_realloc(from->outputs, (from->output_count + 1) * sizeof *from->outputs);
    from->outputs[from->output_count++] = (struct br_edge){to, port};
}

enum br_status br_operator_table(struct br_operator *op, uint16_t offset, const char *what, struct br_state_table **ret,
                                 struct br_error *error) {
    if (op->node->state_table == 0 || op->node->state_table_count <= offset)
        return br_error_set(error, BR_FATAL, "plan: node %u (%s) has %u state tables and needs one more for its %s",
                            op->node->id, op->class->name, op->node->state_table_count, what);
    char name[64];
    snprintf(name, sizeof name, "%s %u %s", op->class->name, op->node->id, what);
    *ret = br_state_open_table(op->graph->state, (uint16_t)(op->node->state_table + offset), name);
    return BR_OK;
}

enum br_status br_operator_emit(struct br_operator *op, const struct br_batch *batch, struct br_error *error) {
    if (batch->row_count == 0)
        return BR_OK;
    BR_TRY(br_operator_look(op, error));
    for (uint32_t i = 0; i < op->output_count; i++) {
        struct br_operator *target = op->outputs[i].target;
        BR_TRY(target->class->push(target, op->outputs[i].port, batch, error));
    }
    return BR_OK;
}

static enum br_status give_downstream(void *context, const struct br_batch *batch, struct br_error *error) {
    return br_operator_emit(context, batch, error);
}

struct br_output br_operator_output(struct br_operator *op) {
    return (struct br_output){give_downstream, op, true};
}

enum br_status br_operator_report(struct br_operator *op, const struct br_batch *batch, uint32_t row,
                                  const char *message, struct br_error *error) {
    const struct br_sink *sink = &op->graph->sink;
    if (sink->failed == NULL)
        return BR_OK;
    return sink->failed(sink->context, op->node->view, op->node, batch, row, message, error);
}

enum br_status br_operator_report_all(struct br_operator *op, const struct br_batch *batch, const struct br_eval *eval,
                                      struct br_error *error) {
    for (uint32_t i = 0; i < eval->error_count; i++) {
        const struct br_row_error *failure = &eval->errors[i];
        if (br_batch_weight(batch, failure->row) > 0)
            BR_TRY(br_operator_report(op, batch, failure->row, failure->message, error));
    }
    return BR_OK;
}

// --- making a graph
static enum br_status create_operator(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                      struct br_error *error) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return br_source_create(graph, node, ret, error);
    case BR_NODE_FILTER:
        return br_filter_create(graph, node, ret, error);
    case BR_NODE_PROJECT:
        return br_project_create(graph, node, ret, error);
    case BR_NODE_WINDOW:
        return br_window_create(graph, node, ret, error);
    case BR_NODE_AGGREGATE:
        return br_aggregate_create(graph, node, ret, error);
    case BR_NODE_JOIN:
        return br_join_create(graph, node, ret, error);
    case BR_NODE_SCAN:
        return br_scan_create(graph, node, ret, error);
    }
    return br_error_set(error, BR_FATAL, "plan: node %u has the unknown kind %d", node->id, (int)node->kind);
}

// Inputs come before their users in the plan, so their operators are there already (joins look at them while being
// made).
static enum br_status add_operator(struct br_graph *graph, const struct br_node *node, struct br_error *error) {
    struct br_operator *op = NULL;
    BR_TRY(create_operator(graph, node, &op, error));
    graph->operators[node->id] = op;
    for (uint32_t i = 0; i < node->input_count; i++) {
        op->inputs[i] = graph->operators[node->inputs[i]->id];
        br_operator_connect(op->inputs[i], op, i);
    }
    return BR_OK;
}

// The operators that a scan of the view goes through: down to the first that stores rows of its own.
static void mark_scanned(struct br_operator *op) {
    op->scanned = true;
    enum br_node_kind kind = op->node->kind;
    if (kind == BR_NODE_FILTER || kind == BR_NODE_PROJECT || kind == BR_NODE_WINDOW)
        mark_scanned(op->inputs[0]);
}

enum br_status br_graph_build(const struct br_pipeline *pipeline, struct br_node **nodes, uint32_t node_count,
                              struct br_state *state, const struct br_sink *sink, struct br_graph **ret_graph,
                              struct br_error *error) {
    struct br_graph *graph = br_calloc(1, sizeof *graph);
    graph->pipeline = pipeline;
    graph->cause = BR_NO_TABLE;
    graph->nodes = nodes;
    graph->node_count = node_count;
    graph->state = state;
    graph->sink = *sink;
    graph->arena = br_arena_create();
    graph->operators = br_calloc(node_count + 1, sizeof *graph->operators);
    for (uint32_t n = 0; n < node_count; n++) {
        BR_CHECK(nodes[n]->id == n);
        enum br_status status = add_operator(graph, nodes[n], error);
        if (status != BR_OK) {
            br_graph_destroy(&graph);
            return status;
        }
    }
    *ret_graph = graph;
    return BR_OK;
}

enum br_status br_graph_create(const struct br_pipeline *pipeline, struct br_state *state, const struct br_sink *sink,
                               struct br_graph **ret_graph, struct br_error *error) {
    struct br_graph *graph = NULL;
    BR_TRY(br_graph_build(pipeline, pipeline->nodes, pipeline->node_count, state, sink, &graph, error));
    graph->sinks = br_calloc(pipeline->view_count + 1, sizeof *graph->sinks);
    for (uint32_t v = 0; v < pipeline->view_count; v++) {
        enum br_status status = br_sink_create(graph, &pipeline->views[v], &graph->sinks[v], error);
        if (status != BR_OK) {
            br_graph_destroy(&graph);
            return status;
        }
        graph->sink_count = v + 1;
        struct br_operator *root = graph->operators[pipeline->views[v].root->id];
        graph->sinks[v]->inputs[0] = root;
        br_operator_connect(root, graph->sinks[v], 0);
        mark_scanned(root);
    }
    *ret_graph = graph;
    return BR_OK;
}

void br_graph_destroy(struct br_graph **graph_ptr) {
    struct br_graph *graph = *graph_ptr;
    if (graph == NULL)
        return;
    for (uint32_t v = 0; v < graph->sink_count; v++)
        graph->sinks[v]->class->destroy(graph->sinks[v]);
    for (uint32_t n = 0; n < graph->node_count; n++)
        if (graph->operators[n] != NULL)
            graph->operators[n]->class->destroy(graph->operators[n]);
    free(graph->sinks);
    free(graph->operators);
    br_arena_destroy(&graph->arena);
    free(graph);
    *graph_ptr = NULL;
}

static void fall_asleep(struct br_operator *op) {
    op->asleep = true;
    op->output_count = 0;
}

static void drop_sleeping_outputs(struct br_operator *op) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < op->output_count; i++)
        if (!op->outputs[i].target->asleep)
            op->outputs[kept++] = op->outputs[i];
    op->output_count = kept;
}

void br_graph_put_to_sleep(struct br_graph *graph, const bool *nodes, const bool *views) {
    for (uint32_t n = 0; n < graph->node_count; n++)
        if (nodes[n])
            fall_asleep(graph->operators[n]);
    for (uint32_t v = 0; v < graph->sink_count; v++)
        if (views[v])
            fall_asleep(graph->sinks[v]);
    for (uint32_t n = 0; n < graph->node_count; n++)
        drop_sleeping_outputs(graph->operators[n]);
}

// --- running
enum br_status br_graph_push(struct br_graph *graph, uint32_t table, const struct br_batch *batch,
                             const struct br_epoch *epoch, struct br_error *error) {
    BR_CHECK(epoch->number != 0 && batch->row_count <= BR_BATCH_ROWS);
    if (batch->row_count == 0)
        return BR_OK;
    graph->epoch = epoch;
    graph->cause = table;
    enum br_status status = BR_OK;
    for (uint32_t n = 0; n < graph->node_count && status == BR_OK; n++) {
        const struct br_node *node = graph->nodes[n];
        if (node->kind == BR_NODE_SOURCE && node->source.table->index == table && !graph->operators[n]->asleep)
            status = graph->operators[n]->class->push(graph->operators[n], 0, batch, error);
    }
    graph->cause = BR_NO_TABLE;
    graph->epoch = NULL;
    return status;
}

static enum br_status end_operator(struct br_operator *op, struct br_error *error) {
    if (op->class->end_epoch == NULL || op->asleep)
        return BR_OK;
    return op->class->end_epoch(op, error);
}

enum br_status br_graph_end_epoch(struct br_graph *graph, const struct br_epoch *epoch, struct br_error *error) {
    BR_CHECK(epoch->number != 0);
    graph->epoch = epoch;
    enum br_status status = BR_OK;
    for (uint32_t n = 0; n < graph->node_count && status == BR_OK; n++)
        status = end_operator(graph->operators[n], error);
    for (uint32_t v = 0; v < graph->sink_count && status == BR_OK; v++)
        status = end_operator(graph->sinks[v], error);
    graph->epoch = NULL;
    return status;
}

enum br_status br_graph_lacks_rows(struct br_graph *graph, bool *ret_lacks, struct br_error *error) {
    *ret_lacks = false;
    for (uint32_t n = 0; n < graph->node_count && !*ret_lacks; n++)
        if (graph->nodes[n]->kind == BR_NODE_AGGREGATE && !graph->operators[n]->asleep)
            BR_TRY(br_aggregate_lacks_row(graph->operators[n], ret_lacks, error));
    return BR_OK;
}

// Errors of the callback are its own; those of the scan say which view it was.
struct scanning {
    br_graph_each each;
    void *context;
    bool callers;
};

static enum br_status give_scanned(void *context, const struct br_batch *batch, struct br_error *error) {
    struct scanning *scanning = context;
    enum br_status status = scanning->each(scanning->context, batch, error);
    scanning->callers = status != BR_OK;
    return status;
}

enum br_status br_graph_scan_equal(struct br_graph *graph, uint32_t view, const struct br_value *const *equal,
                                   const struct br_epoch *epoch, br_graph_each each, void *context,
                                   struct br_error *error) {
    BR_CHECK(view < graph->sink_count);
    struct scanning scanning = {each, context, false};
    graph->epoch = epoch;
    struct br_operator *root = graph->sinks[view]->inputs[0];
    enum br_status status = root->class->scan(root, equal, give_scanned, &scanning, error);
    if (status != BR_OK && !scanning.callers)
        br_error_context(error, "view %s", graph->pipeline->views[view].name);
    graph->epoch = NULL;
    return status;
}

enum br_status br_graph_scan(struct br_graph *graph, uint32_t view, const struct br_epoch *epoch, br_graph_each each,
                             void *context, struct br_error *error) {
    return br_graph_scan_equal(graph, view, NULL, epoch, each, context, error);
}

enum br_status br_graph_held(struct br_graph *graph, uint32_t view, struct br_arena *arena,
                             struct br_change **ret_changes, size_t *ret_count, struct br_error *error) {
    BR_CHECK(view < graph->sink_count);
    struct br_interval_gate *gate = br_sink_gate(graph->sinks[view]);
    *ret_changes = NULL;
    *ret_count = 0;
    return gate == NULL ? BR_OK : br_interval_gate_held(gate, arena, ret_changes, ret_count, error);
}

enum br_status br_graph_forget_held(struct br_graph *graph, struct br_error *error) {
    for (uint32_t v = 0; v < graph->sink_count; v++) {
        struct br_interval_gate *gate = br_sink_gate(graph->sinks[v]);
        if (gate != NULL)
            BR_TRY(br_interval_gate_forget(gate, error));
    }
    return BR_OK;
}
