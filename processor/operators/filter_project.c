// SPDX-License-Identifier: Apache-2.0
// Filter and project: rows in, rows out, nothing kept.
//
// A row whose expression fails is left out and reported for the view that the node was planned for; its retraction
// fails the same way (evaluation is a pure function of the row) and is dropped silently. A batch all of whose rows pass
// is handed on as it is; a projection shares the columns that it only names.
#include "processor/operators/operator_internal.h"

typedef enum br_status (*apply_step)(struct br_operator *op, const struct br_batch *batch,
                                     const struct br_output *output, struct br_error *error);
struct stateless {
    struct br_operator op;
    apply_step apply;
};
struct scan_step {
    struct stateless *step;
    struct br_output output;
};

static enum br_status push(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                           struct br_error *error) {
    (void)port;
    struct br_output output = br_operator_output(op);
    enum br_status status = ((struct stateless *)op)->apply(op, batch, &output, error);
    br_arena_reset(op->arena);
    return status;
}

static enum br_status scan_batch(void *context, const struct br_batch *batch, struct br_error *error) {
    struct scan_step *scan = context;
    enum br_status status = scan->step->apply(&scan->step->op, batch, &scan->output, error);
    br_arena_reset(scan->step->op.arena);
    return status;
}

// A filter's columns are its input's; a window's too, with the bounds behind.
static enum br_status scan_input(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                                 void *context, struct br_error *error) {
    struct scan_step scan = {(struct stateless *)op, {each, context, false}};
    return op->inputs[0]->class->scan(op->inputs[0], equal, scan_batch, &scan, error);
}

static enum br_status scan_projected(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                                     void *context, struct br_error *error) {
    const struct br_node *node = op->node;
    if (equal == NULL)
        return scan_input(op, NULL, each, context, error);
    const struct br_value **inner = br_calloc(node->inputs[0]->field_count + 1, sizeof *inner);
    for (uint32_t f = 0; f < node->field_count; f++)
        if (equal[f] != NULL && node->project.exprs[f]->kind == BR_EXPR_COLUMN)
            inner[node->project.exprs[f]->column] = equal[f];
    enum br_status status = scan_input(op, inner, each, context, error);
    free(inner);
    return status;
}

static struct br_eval start_eval(struct br_operator *op) {
    return (struct br_eval){.arena = op->arena, .now = op->graph->epoch->now, .watch = op->graph->watch};
}

static enum br_status give(const struct br_output *output, const struct br_batch *batch, struct br_error *error) {
    return batch->row_count == 0 ? BR_OK : output->give(output->context, batch, error);
}

static enum br_status filter_batch(struct br_operator *op, const struct br_batch *batch, const struct br_output *output,
                                   struct br_error *error) {
    struct br_eval eval = start_eval(op);
    uint32_t rows[BR_BATCH_ROWS];
    uint32_t count = 0;
    BR_TRY(br_expr_filter(op->node->filter.predicate, batch, &eval, rows, &count, error));
    if (eval.error_count != 0 && output->report)
        BR_TRY(br_operator_report_all(op, batch, &eval, error));
    if (count == 0)
        return BR_OK;
    return give(output, br_batch_select(batch, rows, count, op->arena), error);
}

static const struct br_batch *without_failed(const struct br_batch *batch, const uint64_t *failed,
                                             struct br_arena *arena) {
    uint32_t rows[BR_BATCH_ROWS];
    uint32_t count = 0;
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (!br_bit(failed, r))
            rows[count++] = r;
    return br_batch_select(batch, rows, count, arena);
}

static enum br_status project_batch(struct br_operator *op, const struct br_batch *batch,
                                    const struct br_output *output, struct br_error *error) {
    struct br_eval eval = start_eval(op);
    const struct br_node *node = op->node;
    struct br_batch projected = {.row_count = batch->row_count,
                                 .column_count = node->field_count,
                                 .weights = batch->weights,
                                 .origins = batch->origins};
    projected.columns = br_arena_array(op->arena, struct br_column, node->field_count);
    bool bounded = op->graph->pipeline != NULL; // what a query gives is printed, no message is made of it
    for (uint32_t f = 0; f < node->field_count; f++) {
        const struct br_expr *expr = node->project.exprs[f];
        if (expr->kind == BR_EXPR_COLUMN)
            projected.columns[f] = batch->columns[expr->column];
        else
            BR_TRY(br_expr_eval(expr, batch, NULL, &eval, &projected.columns[f], error));
        if (bounded && expr->kind != BR_EXPR_COLUMN && expr->type == BR_TIMESTAMPTZ)
            br_eval_bound_times(&eval, &projected.columns[f], batch->row_count);
    }
    if (eval.error_count == 0)
        return give(output, &projected, error);
    if (output->report)
        BR_TRY(br_operator_report_all(op, batch, &eval, error));
    return give(output, without_failed(&projected, eval.failed, op->arena), error);
}

static const struct br_operator_class filter_class = {"filter", push, NULL, scan_input, br_operator_free};
static const struct br_operator_class project_class = {"project", push, NULL, scan_projected, br_operator_free};
static const struct br_operator_class window_class = {"window", push, NULL, scan_input, br_operator_free};

enum br_status br_filter_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                struct br_error *error) {
    (void)error;
    struct stateless *filter = br_operator_alloc(graph, node, &filter_class, sizeof *filter);
    filter->apply = filter_batch;
    *ret = &filter->op;
    return BR_OK;
}

enum br_status br_project_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                 struct br_error *error) {
    (void)error;
    struct stateless *project = br_operator_alloc(graph, node, &project_class, sizeof *project);
    project->apply = project_batch;
    *ret = &project->op;
    return BR_OK;
}

enum br_status br_window_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                struct br_error *error) {
    (void)error;
    struct stateless *window = br_operator_alloc(graph, node, &window_class, sizeof *window);
    window->apply = br_window_apply;
    *ret = &window->op;
    return BR_OK;
}
