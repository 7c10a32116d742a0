// SPDX-License-Identifier: Apache-2.0
// Sinks: where a view's rows leave the graph.
//
// An append-only view's rows go out with each batch. Any other view's are gathered and go out once, at the end of the
// epoch, net and in canonical order; with an emit interval they are held back in state until it is over (interval.c).
#include "processor/operators/operator_internal.h"

struct view_sink {
    struct br_operator op;
    const struct br_view *view;
    struct br_change_set changes;
    uint32_t *all_columns;
    struct br_interval_gate *gate; // NULL: every epoch
};

// --- append-only views
static bool all_plus_one(const struct br_batch *batch) {
    if (batch->weights == NULL)
        return true;
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (batch->weights[r] != 1)
            return false;
    return true;
}

static enum br_status give_rows(struct view_sink *sink, const struct br_batch *batch, struct br_error *error) {
    const struct br_sink *target = &sink->op.graph->sink;
    struct br_batch plain = *batch;
    plain.weights = NULL;
    return target->rows == NULL ? BR_OK : target->rows(target->context, sink->view, &plain, error);
}

// A row of weight n goes out n times.
static enum br_status give_repeated(struct view_sink *sink, const struct br_batch *batch, struct br_error *error) {
    uint32_t rows[BR_BATCH_ROWS];
    uint32_t count = 0;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        int32_t weight = br_batch_weight(batch, r);
        if (weight <= 0)
            return br_error_set(error, BR_FATAL,
                                "view %s: a row goes away that was planned never to: a fault of the engine",
                                sink->view->name);
        for (int32_t i = 0; i < weight; i++) {
            rows[count++] = r;
            if (count == BR_BATCH_ROWS) {
                BR_TRY(give_rows(sink, br_batch_select(batch, rows, count, sink->op.arena), error));
                br_arena_reset(sink->op.arena);
                count = 0;
            }
        }
    }
    if (count != 0)
        BR_TRY(give_rows(sink, br_batch_select(batch, rows, count, sink->op.arena), error));
    br_arena_reset(sink->op.arena);
    return BR_OK;
}

static enum br_status push_rows(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                                struct br_error *error) {
    (void)port;
    struct view_sink *sink = (struct view_sink *)op;
    return all_plus_one(batch) ? give_rows(sink, batch, error) : give_repeated(sink, batch, error);
}

// --- views that retract
static enum br_status push_changes(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                                   struct br_error *error) {
    (void)port, (void)error;
    br_change_set_add(&((struct view_sink *)op)->changes, batch, op->graph->epoch->arena);
    return BR_OK;
}

static enum br_status give_changes(struct br_operator *op, struct br_error *error) {
    struct view_sink *sink = (struct view_sink *)op;
    const struct br_sink *target = &op->graph->sink;
    const struct br_epoch *epoch = op->graph->epoch;
    struct br_change *changes = NULL;
    size_t count = 0;
    if (sink->changes.count != 0)
        BR_TRY(br_change_set_net(&sink->changes, epoch->arena, &changes, &count, error));
    if (count != 0 && target->net != NULL)
        BR_TRY(target->net(target->context, sink->view, changes, count, error));
    if (sink->gate != NULL)
        BR_TRY(br_interval_gate_pass(sink->gate, changes, count, epoch, &changes, &count, error));
    if (count == 0 || target->changes == NULL)
        return BR_OK;
    return target->changes(target->context, sink->view, changes, count, error);
}

struct br_interval_gate *br_sink_gate(struct br_operator *op) {
    return ((struct view_sink *)op)->gate;
}

// --- making
static void destroy(struct br_operator *op) {
    struct view_sink *sink = (struct view_sink *)op;
    br_change_set_free(&sink->changes);
    br_interval_gate_destroy(&sink->gate);
    free(sink->all_columns);
    br_operator_free(op);
}

static const struct br_operator_class rows_class = {"sink", push_rows, NULL, NULL, destroy};
static const struct br_operator_class changes_class = {"sink", push_changes, give_changes, NULL, destroy};

enum br_status br_sink_create(struct br_graph *graph, const struct br_view *view, struct br_operator **ret,
                              struct br_error *error) {
    const struct br_node *root = view->root;
    struct view_sink *sink =
        br_operator_alloc(graph, root, root->append_only ? &rows_class : &changes_class, sizeof *sink);
    sink->view = view;
    sink->all_columns = br_calloc(root->field_count + 1, sizeof *sink->all_columns);
    for (uint32_t f = 0; f < root->field_count; f++)
        sink->all_columns[f] = f;
    sink->changes = (struct br_change_set){.name = view->name,
                                           .keyed = root->has_key,
                                           .key = root->has_key ? root->key : sink->all_columns,
                                           .key_count = root->has_key ? root->key_count : root->field_count};
    if (view->emit_interval_us > 0 && !root->append_only) {
        enum br_status status = br_interval_gate_create(graph->state, view, &sink->gate, error);
        if (status != BR_OK) {
            destroy(&sink->op);
            return status;
        }
    }
    *ret = &sink->op;
    return BR_OK;
}
