// SPDX-License-Identifier: Apache-2.0
// Views that sleep, and how they wake (X17 in docs/exactly-once.md).
//
// A replay with a changed pipeline repeats the epochs of another lineage, its base. A view whose plan is the same in
// both needs no computing: at the same epoch its state is the base's. It sleeps until the replay stands where a task of
// the base stands, and is given that task's state: the graft. Commits say of each view whether it slept, so that
// recovery does the same; where they say that sleeping views woke, the base's state is built from its own commits.
//
//   view        sleeps                                                  awake
//   ---------   ----------------------------------------------------   ----------------------------------------
//   node        all views above it sleep: no rows, no ends of epochs    any view above it is awake
//   table       all its sources sleep: nothing is read, its position    a source is awake: it is read
//               is the base's
//
// G1. The state of a sleeping view is never looked at; what is there (of a graft that was cut, of a time before the log
//     took another turn) is cleared first.
// G2. Rows are copied under the record of an epoch at which the views sleep; the record that has them awake is written
//     when all of them are there. A crash in between leaves sleeping views.
// G3. A node below a view that wakes is either asleep, and its tables are copied, or awake, and has none, or is the
// source
//     of a table with a key: then its rows have to be the base's, byte for byte.
// G4. Nodes are laid beside each other by their likeness (sql/likeness.c): the table of one may have columns that
// nobody
//     reads and the other's hasn't. Rows of a table with a key have a place for each, so they are moved.
#include "processor/task_internal.h"

#include "base/logging.h"
#include "processor/expr/row.h"
#include "processor/sql/sql.h"

#include <inttypes.h>
#include <stdio.h>

#define TICK_ROWS 64

// --- who sleeps

static void mark_below(const struct br_node *node, bool *nodes) {
    if (nodes[node->id])
        return;
    nodes[node->id] = true;
    for (uint32_t i = 0; i < node->input_count; i++)
        mark_below(node->inputs[i], nodes);
}

// Nodes that no view which is awake stands on.
static void find_sleeping_nodes(struct br_task *task) {
    const struct br_pipeline *pipeline = task->pipeline;
    bool *awake = br_calloc(pipeline->node_count + 1, sizeof *awake);
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (!task->asleep[v])
            mark_below(pipeline->views[v].root, awake);
    memset(task->asleep_nodes, 0, pipeline->node_count * sizeof *task->asleep_nodes);
    for (uint32_t v = 0; v < pipeline->view_count; v++)
        if (task->asleep[v])
            mark_below(pipeline->views[v].root, task->asleep_nodes);
    for (uint32_t n = 0; n < pipeline->node_count; n++)
        task->asleep_nodes[n] &= !awake[n];
    free(awake);
}

static bool input_sleeps(const struct br_task *task, uint32_t table) {
    bool any = false;
    for (uint32_t n = 0; n < task->pipeline->node_count; n++) {
        const struct br_node *node = task->pipeline->nodes[n];
        if (node->kind != BR_NODE_SOURCE || node->source.table->index != table)
            continue;
        if (!task->asleep_nodes[n])
            return false;
        any = true;
    }
    return any;
}

void task_set_asleep(struct br_task *task, const bool *views) {
    size_t size = task->pipeline->view_count * sizeof *task->asleep;
    if (views == NULL)
        memset(task->asleep, 0, size);
    else if (views != task->asleep)
        memcpy(task->asleep, views, size);
    find_sleeping_nodes(task);
    for (uint32_t i = 0; i < task->input_count; i++) {
        task->inputs[i].asleep = input_sleeps(task, i);
        if (task->inputs[i].asleep)
            br_reader_close(&task->inputs[i].reader);
    }
}

bool br_task_sleeps(const struct br_task *task) {
    for (uint32_t v = 0; v < task->pipeline->view_count; v++)
        if (task->asleep[v])
            return true;
    return false;
}

// --- what commits say

static bool *said_by(const struct br_task *task, const Braid__V1__Commit *commit) {
    bool *views = br_calloc(task->pipeline->view_count + 1, sizeof *views);
    for (uint32_t v = 0; v < task->pipeline->view_count; v++)
        views[v] = commit->views[v]->asleep;
    return views;
}

static enum br_status change_sleep(struct br_task *task, const bool *views, struct br_error *error) {
    if (memcmp(views, task->asleep, task->pipeline->view_count * sizeof *views) == 0)
        return BR_OK;
    task_set_asleep(task, views);
    return task_make_graph(task, error);
}

enum br_status task_adopt_sleep(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    bool *views = said_by(task, commit);
    enum br_status status = change_sleep(task, views, error);
    free(views);
    return status;
}

static enum br_status ask_for_graft(struct br_task *task, struct br_error *error) {
    if (task->options.graft == NULL)
        return br_error_set(error, BR_FATAL,
                            "lineage %s took state from lineage %s at its epoch %" PRIu64
                            " and can't be rebuilt without it here; use the braid command of the worker's machine",
                            task->options.lineage, task->follows_lineage, task->follows);
    enum br_status status = task->options.graft(task->options.graft_context, task, error);
    if (status != BR_OK)
        br_error_context(error, "state of lineage %s at epoch %" PRIu64 ", which lineage %s took",
                         task->follows_lineage, task->follows, task->options.lineage);
    return status;
}

// Views that fall asleep again (the log took another turn than this state) are given their state anew when they wake.
enum br_status task_follow_sleep(struct br_task *task, const Braid__V1__Commit *commit, struct br_error *error) {
    bool *views = said_by(task, commit);
    bool wakes = false;
    for (uint32_t v = 0; v < task->pipeline->view_count; v++)
        wakes |= task->asleep[v] && !views[v];
    enum br_status status = BR_OK;
    if (wakes && task->epoch != 0 && commit->epoch == task->epoch + 1)
        status = ask_for_graft(task, error);
    if (status == BR_OK)
        status = change_sleep(task, views, error);
    free(views);
    return status;
}

// --- the graft

struct graft {
    struct br_task *task, *base;
    bool *met; // by node of the task's plan
    uint64_t rows;
    uint32_t *columns; // of the rows of the base's table at hand: where they are in the task's; NULL: where they were
    uint32_t from_count, to_count;
    struct br_buffer row;
    enum br_status (*tick)(void *context, struct br_error *error);
    void *tick_context;
};

static enum br_status count_row(struct graft *graft, struct br_error *error) {
    if (++graft->rows % TICK_ROWS != 0)
        return BR_OK;
    struct br_task *task = graft->task;
    br_state_end_epoch(task->state);
    if (br_state_wants_flush(task->state))
        BR_TRY(br_state_flush(task->state, task->epoch, error)); // G2
    return graft->tick == NULL ? BR_OK : graft->tick(graft->tick_context, error);
}

static struct br_state_table *table_of(struct br_task *task, uint16_t number) {
    return br_state_open_table(task->state, number, "graft");
}

// G4
static void lay_columns(struct graft *graft, const struct br_node *node, const struct br_node *base) {
    free(graft->columns);
    graft->columns = NULL;
    if (node->kind != BR_NODE_SOURCE)
        return;
    const struct br_row_type *to = &node->source.table->row_type, *from = &base->source.table->row_type;
    graft->from_count = from->column_count;
    graft->to_count = to->column_count;
    graft->columns = br_calloc(from->column_count + 1, sizeof *graft->columns);
    bool same = from->column_count == to->column_count;
    for (uint32_t c = 0; c < from->column_count; c++) {
        graft->columns[c] = UINT32_MAX;
        for (uint32_t o = 0; o < to->column_count; o++)
            if (strcmp(from->columns[c].name, to->columns[o].name) == 0)
                graft->columns[c] = o;
        same &= graft->columns[c] == c;
    }
    if (!same)
        return;
    free(graft->columns);
    graft->columns = NULL;
}

static enum br_status move_row(struct graft *graft, struct br_slice *row, struct br_error *error) {
    if (graft->columns == NULL)
        return BR_OK;
    br_buffer_clear(&graft->row);
    if (!br_row_move_columns(*row, graft->columns, graft->from_count, graft->to_count, &graft->row))
        return br_error_set(error, BR_FATAL, "damaged state: a row of lineage %s isn't one of its table",
                            graft->base->options.lineage);
    *row = br_buffer_slice(&graft->row);
    return BR_OK;
}

static enum br_status copy_table(struct graft *graft, uint16_t from, uint16_t to, struct br_error *error) {
    static const struct br_slice all;
    struct br_state_table *target = table_of(graft->task, to);
    struct br_state_iterator *rows;
    struct br_slice key, value;
    BR_TRY(br_state_delete_range(target, all, all, error)); // G1
    BR_TRY(br_state_scan(table_of(graft->base, from), all, all, &rows, error));
    enum br_status status = BR_OK;
    while (status == BR_OK && br_state_iterator_next(rows, &key, &value)) {
        status = move_row(graft, &value, error);
        if (status == BR_OK)
            status = br_state_put(target, key, value, error);
        if (status == BR_OK)
            status = count_row(graft, error);
    }
    if (status == BR_OK)
        status = br_state_iterator_status(rows, error);
    br_state_iterator_destroy(&rows);
    return status;
}

static enum br_status compare_rows(struct graft *graft, struct br_state_iterator *own, struct br_state_iterator *base,
                                   bool *ret_same, struct br_error *error) {
    for (*ret_same = true; *ret_same;) {
        struct br_slice key, value, base_key, base_value;
        bool more = br_state_iterator_next(own, &key, &value);
        bool base_more = br_state_iterator_next(base, &base_key, &base_value);
        *ret_same = more == base_more;
        if (!more || !base_more)
            break;
        BR_TRY(move_row(graft, &base_value, error));
        *ret_same = br_slice_compare(key, base_key) == 0 && br_slice_compare(value, base_value) == 0;
        if (++graft->rows % TICK_ROWS == 0 && graft->tick != NULL)
            BR_TRY(graft->tick(graft->tick_context, error));
    }
    BR_TRY(br_state_iterator_status(own, error));
    return br_state_iterator_status(base, error);
}

// G3
static enum br_status check_source(struct graft *graft, const struct br_node *node, const struct br_node *base_node,
                                   struct br_error *error) {
    static const struct br_slice all;
    struct br_task *task = graft->task;
    struct br_state_iterator *own, *base;
    bool same = false;
    BR_TRY(br_state_scan(table_of(task, node->state_table), all, all, &own, error));
    enum br_status status = br_state_scan(table_of(graft->base, base_node->state_table), all, all, &base, error);
    if (status == BR_OK) {
        status = compare_rows(graft, own, base, &same, error);
        br_state_iterator_destroy(&base);
    }
    br_state_iterator_destroy(&own);
    BR_TRY(status);
    if (same)
        return BR_OK;
    return br_error_set(error, BR_FATAL,
                        "table %s has other rows in lineage %s at epoch %" PRIu64
                        " than in lineage %s, so views over it can't take their state from there; when quarantined "
                        "events were taken in there, start the replay anew with --include quarantine",
                        node->source.table->name, task->follows_lineage, task->follows, task->options.lineage);
}

static enum br_status plans_differ(const struct graft *graft, const struct br_view *view, struct br_error *error) {
    return br_error_set(error, BR_FATAL,
                        "view %s hasn't the same plan in lineage %s, so lineage %s can't take its state from there",
                        view->name, graft->base->options.lineage, graft->task->options.lineage);
}

// When the rows of a join's sides can go.
static enum br_status copy_indexes(struct graft *graft, const struct br_node *node, const struct br_node *base,
                                   struct br_error *error) {
    for (uint32_t port = 0; port < 2; port++) {
        uint16_t from = br_join_index_table(graft->base->pipeline, base, port);
        uint16_t to = br_join_index_table(graft->task->pipeline, node, port);
        if (from != 0 && to != 0)
            BR_TRY(copy_table(graft, from, to, error));
    }
    return BR_OK;
}

static enum br_status graft_node(struct graft *graft, const struct br_view *view, const struct br_node *node,
                                 const struct br_node *base, struct br_error *error) {
    node = br_node_chooses(node) ? node->inputs[0] : node;
    base = br_node_chooses(base) ? base->inputs[0] : base;
    if (node->likeness != base->likeness || node->state_table_count != base->state_table_count ||
        node->input_count != base->input_count)
        return plans_differ(graft, view, error);
    if (graft->met[node->id])
        return BR_OK;
    graft->met[node->id] = true;
    lay_columns(graft, node, base);
    bool copied = graft->task->asleep_nodes[node->id];
    for (uint16_t i = 0; i < node->state_table_count && copied; i++)
        BR_TRY(copy_table(graft, (uint16_t)(base->state_table + i), (uint16_t)(node->state_table + i), error));
    if (node->kind == BR_NODE_JOIN && copied)
        BR_TRY(copy_indexes(graft, node, base, error));
    if (node->state_table_count != 0 && !copied) {
        if (node->kind != BR_NODE_SOURCE)
            return plans_differ(graft, view, error);
        BR_TRY(check_source(graft, node, base, error));
    }
    for (uint32_t i = 0; i < node->input_count; i++)
        BR_TRY(graft_node(graft, view, node->inputs[i], base->inputs[i], error));
    return BR_OK;
}

static enum br_status graft_view(struct graft *graft, const struct br_view *view, struct br_error *error) {
    const struct br_view *base = br_pipeline_find_view(graft->base->pipeline, view->name);
    if (base == NULL || base->likeness != view->likeness || base->emit_interval_us != view->emit_interval_us)
        return plans_differ(graft, view, error);
    if (view->emit_interval_us != 0 && !view->root->append_only) // what is held back
        BR_TRY(copy_table(graft, (uint16_t)(BR_VIEW_TABLE_MAX - base->index),
                          (uint16_t)(BR_VIEW_TABLE_MAX - view->index), error));
    return graft_node(graft, view, view->root, base->root, error);
}

static enum br_status check_positions(const struct br_task *task, const struct br_task *base, struct br_error *error) {
    if (strcmp(base->options.lineage, task->follows_lineage) != 0 || base->epoch != task->follows)
        return br_error_set(
            error, BR_FATAL,
            "lineage %s stands at epoch %" PRIu64 " of lineage %s, not at epoch %" PRIu64 " of lineage %s",
            task->options.lineage, task->follows, task->follows_lineage, base->epoch, base->options.lineage);
    for (uint32_t i = 0; i < task->input_count; i++) {
        const struct task_input *input = &task->inputs[i];
        const struct br_table *table = br_pipeline_find_table(base->pipeline, input->table->name);
        if (!input->asleep)
            continue;
        if (table == NULL || base->inputs[table->index].last_sequence != input->last_sequence ||
            base->inputs[table->index].prehistory != input->prehistory)
            return br_error_set(error, BR_FATAL, "lineages %s and %s don't stand at the same place in table %s",
                                task->options.lineage, base->options.lineage, input->table->name);
    }
    return BR_OK;
}

enum br_status br_task_graft(struct br_task *task, struct br_task *base,
                             enum br_status (*tick)(void *context, struct br_error *error), void *tick_context,
                             struct br_error *error) {
    struct br_mono_time began = task->options.clock->mono(task->options.clock);
    BR_TRY(task_settle(task, error));
    BR_TRY(check_positions(task, base, error));
    BR_TRY(task_flush(task, error));
    struct graft graft = {.task = task, .base = base, .tick = tick, .tick_context = tick_context};
    graft.met = br_calloc(task->pipeline->node_count + 1, sizeof *graft.met);
    enum br_status status = BR_OK;
    for (uint32_t v = 0; v < task->pipeline->view_count && status == BR_OK; v++)
        if (task->asleep[v])
            status = graft_view(&graft, &task->pipeline->views[v], error);
    free(graft.met);
    free(graft.columns);
    br_buffer_free(&graft.row);
    BR_TRY(status);
    task_set_asleep(task, NULL);
    task->dirty_since_flush = true;
    br_state_end_epoch(task->state);
    BR_TRY(task_flush(task, error));
    BR_TRY(task_make_graph(task, error));
    BR_TRY(task_open_readers(task, error));
    br_log_line(BR_LEVEL_INFO, "state taken over", BR_STR("pipeline", task->pipeline->name),
                BR_STR("lineage", task->options.lineage), BR_STR("from", base->options.lineage),
                BR_INT("epoch", base->epoch), BR_INT("rows", graft.rows),
                BR_INT("ms", (task->options.clock->mono(task->options.clock).us - began.us) / 1000));
    return BR_OK;
}
