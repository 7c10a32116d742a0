// SPDX-License-Identifier: Apache-2.0
// An ad-hoc SELECT: a graph of its own over a store in memory, fed with the rows of the running graph's views.
//
// It is one epoch of that graph: scans push what the views hold now, aggregates give their rows at its end, and what
// reaches the root, net, is the result. No watermark stands in its way: nothing is late and no window closes. A failing
// expression ends the query with BR_DATA.
//
// It is bounded (br_query_limits): every batch of every step asks whether it may go on. That isn't suspended and taken
// up again: rows of views live in hot state that changes in place, so that a query over several epochs would need all
// of it flushed, and read from the disk, to see one epoch's.
//
// Views of which one key is wanted, or one beginning of a key, are read by it (equal.c).
//
// A result that only grows (no aggregate, no outer join behind the scans) with a LIMIT is not gathered whole: without
// ORDER BY the scans stop when there are rows enough, with it all but the best are thrown away from time to time.
#include "processor/operators/operator_internal.h"

#include "state/keys.h"

#include <inttypes.h>

// All but the best rows are thrown away when this many more than four times the wanted ones have come.
#define KEEP_ROWS 16384
// Larger limits bound nothing worth the trouble.
#define LIMIT_MAX 100000000

struct result_row {
    const struct br_batch *batch;
    uint32_t row;
    int64_t count;
};

struct br_query_rows {
    const struct br_query *query;
    struct br_change_set set;
    uint32_t *all_columns;
    enum br_type *types;
    struct br_arena *arena, *other_arena; // of the rows; the other one is empty
    bool bounded;                         // by a LIMIT, and rows never go
    bool enough;                          // no more rows are wanted
    size_t wanted;                        // offset + limit
    struct br_arena *result_arena;        // of what is given
    struct result_row *rows;              // net and sorted
    size_t row_count;
};

// The operator behind the root.
struct result {
    struct br_operator op;
    struct br_query_rows *rows;
};

struct running {
    const struct br_query *query;
    const struct br_query_limits *limits;
    struct br_watch watch;
    struct br_arena *arena; // as long as the query
    struct br_state *state;
    struct br_graph *graph;
    struct result *result;
    struct br_epoch epoch;
};

// --- the order of the result
// One byte puts NULL before or after all values; the value's key bytes, inverted when descending, do the rest.
static void append_sort_key(struct br_buffer *key, const struct br_sort_key *order, const struct br_batch *batch,
                            uint32_t row) {
    const struct br_column *column = &batch->columns[order->column];
    bool null = column->values == NULL || br_column_is_null(column, row);
    br_buffer_append_byte(key, !null ? 1 : order->nulls_first ? 0 : 2);
    if (null)
        return;
    size_t begin = key->len;
    br_key_append_value(key, column, row);
    for (size_t i = begin; order->descending && i < key->len; i++)
        key->ptr[i] = (uint8_t)~key->ptr[i];
}

static struct br_sort_item *sort_rows(const struct br_query *query, const struct result_row *rows, size_t count,
                                      struct br_arena *arena) {
    struct br_sort_item *items = br_arena_alloc(arena, count * sizeof *items);
    struct br_buffer key = {0};
    BR_CHECK(count <= UINT32_MAX);
    for (size_t i = 0; i < count; i++) {
        br_buffer_clear(&key);
        for (uint32_t o = 0; o < query->order_count; o++)
            append_sort_key(&key, &query->order[o], rows[i].batch, rows[i].row);
        items[i] = (struct br_sort_item){.key = br_arena_copy(arena, br_buffer_slice(&key)), .index = (uint32_t)i};
    }
    br_buffer_free(&key);
    br_sort_items(items, count, arena);
    return items;
}

// --- collecting
// Keeps the first `wanted` rows of the order; of equal ones those that came first.
static void keep_best(struct br_query_rows *result) {
    struct br_change_set *set = &result->set;
    struct result_row *rows = br_arena_alloc(result->arena, set->count * sizeof *rows);
    for (size_t i = 0; i < set->count; i++)
        rows[i] = (struct result_row){set->rows[i].batch, set->rows[i].row, set->rows[i].weight};
    struct br_sort_item *best = sort_rows(result->query, rows, set->count, result->arena);
    struct br_collected *old = br_arena_alloc(result->arena, set->count * sizeof *old);
    memcpy(old, set->rows, set->count * sizeof *old);
    size_t count = set->count < result->wanted ? set->count : result->wanted;
    set->count = 0;
    for (size_t begin = 0; begin < count; begin += BR_BATCH_ROWS) {
        struct br_batch *batch = br_batch_create(result->arena, result->types, NULL, result->query->root->field_count);
        br_batch_need_weights(batch, result->arena);
        for (size_t i = begin; i < count && i < begin + BR_BATCH_ROWS; i++) {
            const struct br_collected *row = &old[best[i].index];
            batch->weights[batch->row_count] = row->weight;
            br_batch_append_row(batch, row->batch, row->row);
        }
        br_change_set_add(set, batch, result->other_arena);
    }
    struct br_arena *emptied = result->arena;
    br_arena_reset(emptied);
    result->arena = result->other_arena;
    result->other_arena = emptied;
}

struct br_query_rows *br_query_rows_create(const struct br_query *query) {
    const struct br_node *root = query->root;
    struct br_query_rows *rows = br_calloc(1, sizeof *rows);
    rows->query = query;
    rows->all_columns = br_calloc(root->field_count + 1, sizeof *rows->all_columns);
    rows->types = br_calloc(root->field_count + 1, sizeof *rows->types);
    for (uint32_t c = 0; c < root->field_count; c++) {
        rows->all_columns[c] = c;
        rows->types[c] = root->fields[c].type;
    }
    rows->set = (struct br_change_set){.name = "query", .key = rows->all_columns, .key_count = root->field_count};
    rows->arena = br_arena_create();
    rows->other_arena = br_arena_create();
    rows->result_arena = br_arena_create();
    rows->bounded = root->append_only && query->limit >= 0 && query->limit <= LIMIT_MAX && query->offset <= LIMIT_MAX;
    if (rows->bounded)
        rows->wanted = (size_t)query->limit + (size_t)(query->offset > 0 ? query->offset : 0);
    return rows;
}

void br_query_rows_destroy(struct br_query_rows **rows) {
    if (*rows == NULL)
        return;
    br_change_set_free(&(*rows)->set);
    br_arena_destroy(&(*rows)->arena);
    br_arena_destroy(&(*rows)->other_arena);
    br_arena_destroy(&(*rows)->result_arena);
    free((*rows)->all_columns);
    free((*rows)->types);
    free(*rows);
    *rows = NULL;
}

void br_query_rows_add(struct br_query_rows *rows, const struct br_batch *batch) {
    br_change_set_add(&rows->set, batch, rows->arena);
    if (!rows->bounded)
        return;
    if (rows->query->order_count == 0)
        rows->enough = rows->set.count >= rows->wanted;
    else if (rows->set.count > 4 * rows->wanted + KEEP_ROWS)
        keep_best(rows);
}

bool br_query_rows_enough(const struct br_query_rows *rows) {
    return rows->enough;
}

// --- the operator
static enum br_status collect(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                              struct br_error *error) {
    (void)port;
    struct br_query_rows *rows = ((struct result *)op)->rows;
    br_query_rows_add(rows, batch);
    return rows->enough ? br_error_set(error, BR_RETRY, "rows enough") : BR_OK;
}

static void destroy_result(struct br_operator *op) {
    br_query_rows_destroy(&((struct result *)op)->rows);
    br_operator_free(op);
}

static const struct br_operator_class result_class = {"result", collect, NULL, NULL, destroy_result};

static void attach_result(struct running *running) {
    struct br_operator *root = running->graph->operators[running->query->root->id];
    struct result *result = br_operator_alloc(running->graph, root->node, &result_class, sizeof *result);
    result->rows = br_query_rows_create(running->query);
    br_operator_connect(root, &result->op, 0);
    running->result = result;
}

static enum br_status fail(void *context, const struct br_view *view, const struct br_node *node,
                           const struct br_batch *batch, uint32_t row, const char *message, struct br_error *error) {
    (void)context, (void)view, (void)node, (void)batch, (void)row;
    return br_error_set(error, BR_DATA, "%s", message);
}

// --- limits
static enum br_status too_much_memory(const struct running *running, struct br_error *error) {
    return br_error_set(
        error, BR_DATA,
        "the query needs more than %zu MiB of memory for its groups, joined rows and texts: narrow it by "
        "WHERE, ask for fewer columns, or let a materialized view hold the result (limit: braid run "
        "--query-memory)",
        running->limits->memory_max >> 20);
}

static enum br_status too_many_rows(const struct running *running, struct br_error *error) {
    return br_error_set(error, BR_DATA,
                        "the query gives more than %" PRIu64
                        " rows: narrow it by WHERE, or add LIMIT (limit: braid run "
                        "--query-rows)",
                        running->limits->rows_max);
}

static enum br_status look(void *context, size_t scratch_bytes, struct br_error *error) {
    const struct running *running = context;
    const struct br_query_limits *limits = running->limits;
    struct br_state_usage usage = {0};
    if (limits->go_on != NULL)
        BR_TRY(limits->go_on(limits->context, error));
    if (running->state != NULL)
        br_state_usage(running->state, &usage);
    size_t held = scratch_bytes + usage.hot_bytes + br_arena_footprint(running->arena);
    const struct br_query_rows *rows = running->result == NULL ? NULL : running->result->rows;
    if (rows != NULL)
        held += rows->set.capacity * sizeof *rows->set.rows + br_arena_footprint(rows->arena) +
                br_arena_footprint(rows->other_arena) + br_arena_footprint(rows->result_arena);
    if (held > limits->memory_max)
        return too_much_memory(running, error);
    return rows != NULL && rows->set.count > limits->rows_max ? too_many_rows(running, error) : BR_OK;
}

// --- one key of a view
static void add_equalities(const struct br_expr *predicate, const struct br_value **equal) {
    uint32_t column;
    const struct br_value *value;
    if (predicate->kind == BR_EXPR_AND)
        for (uint32_t i = 0; i < predicate->argument_count; i++)
            add_equalities(predicate->arguments[i], equal);
    else if (br_expr_is_column_equality(predicate, &column, &value))
        equal[column] = value;
}

// What all rows of the scan that anybody takes have in common, by column.
static const struct br_value *const *wanted_of(const struct running *running, const struct br_node *scan) {
    const struct br_value **equal = br_arena_array(running->arena, const struct br_value *, scan->field_count + 1);
    const struct br_node *only = NULL;
    uint32_t users = 0;
    for (uint32_t n = 0; n < running->query->node_count; n++)
        for (uint32_t i = 0; i < running->query->nodes[n]->input_count; i++)
            if (running->query->nodes[n]->inputs[i] == scan) {
                only = running->query->nodes[n];
                users++;
            }
    if (users != 1 || only->kind != BR_NODE_FILTER || running->query->root == scan)
        return NULL;
    add_equalities(only->filter.predicate, equal);
    return equal;
}

// --- running
static enum br_status push_scanned(void *context, const struct br_batch *batch, struct br_error *error) {
    return br_operator_emit(context, batch, error);
}

// Right sides of joins stand behind left ones in the plan: taken first, they are there when the left rows come.
static enum br_status feed(struct running *running, struct br_graph *views, const struct br_epoch *epoch,
                           struct br_error *error) {
    running->graph->epoch = &running->epoch;
    for (uint32_t n = running->query->node_count; n > 0 && !running->result->rows->enough; n--) {
        const struct br_node *node = running->query->nodes[n - 1];
        if (node->kind != BR_NODE_SCAN)
            continue;
        enum br_status status = br_graph_scan_equal(views, node->scan.view, wanted_of(running, node), epoch,
                                                    push_scanned, running->graph->operators[node->id], error);
        if (status != BR_OK && !running->result->rows->enough)
            return status;
    }
    return running->result->rows->enough ? BR_OK : br_graph_end_epoch(running->graph, &running->epoch, error);
}

static struct br_event_time *no_watermarks(struct br_arena *arena, uint32_t table_count) {
    struct br_event_time *watermarks = br_arena_alloc(arena, (table_count + 1) * sizeof *watermarks);
    for (uint32_t t = 0; t <= table_count; t++)
        watermarks[t].us = BR_EVENT_TIME_MIN;
    return watermarks;
}

static enum br_status start(struct running *running, struct br_graph *views, const struct br_epoch *epoch,
                            struct br_error *error) {
    struct br_sink sink = {.failed = fail};
    const struct br_event_time *watermarks = no_watermarks(running->arena, views->pipeline->table_count);
    running->epoch = (struct br_epoch){.number = 1,
                                       .now = epoch->now,
                                       .watermarks_before = watermarks,
                                       .watermarks_after = watermarks,
                                       .arena = running->arena};
    BR_TRY(br_state_create(br_store_create_memory(), running->limits->memory_max, &running->state, error));
    BR_TRY(br_graph_build(NULL, running->query->nodes, running->query->node_count, running->state, &sink,
                          &running->graph, error));
    running->graph->watch = &running->watch;
    attach_result(running);
    return BR_OK;
}

// --- the result's rows
static enum br_status net_rows(struct br_query_rows *rows, struct br_error *error) {
    struct br_change *changes = NULL;
    size_t count = 0;
    BR_TRY(br_change_set_net(&rows->set, rows->arena, &changes, &count, error));
    rows->rows = br_arena_alloc(rows->arena, count * sizeof *rows->rows);
    for (size_t i = 0; i < count; i++) {
        BR_CHECK(changes[i].new_batch != NULL);
        rows->rows[i] = (struct result_row){changes[i].new_batch, changes[i].new_row, changes[i].count};
    }
    rows->row_count = count;
    return BR_OK;
}

static void order_rows(struct br_query_rows *rows) {
    if (rows->query->order_count == 0)
        return;
    const struct br_sort_item *items = sort_rows(rows->query, rows->rows, rows->row_count, rows->arena);
    struct result_row *sorted = br_arena_alloc(rows->arena, rows->row_count * sizeof *sorted);
    for (size_t i = 0; i < rows->row_count; i++)
        sorted[i] = rows->rows[items[i].index];
    rows->rows = sorted;
}

static enum br_status give_full(const struct br_batch *batch, br_graph_each each, void *context,
                                struct br_error *error) {
    return batch == NULL || batch->row_count == 0 ? BR_OK : each(context, batch, error);
}

enum br_status br_query_rows_give(struct br_query_rows *rows, br_graph_each each, void *context,
                                  struct br_error *error) {
    const struct br_query *query = rows->query;
    BR_TRY(net_rows(rows, error));
    order_rows(rows);
    int64_t skip = query->offset > 0 ? query->offset : 0, left = query->limit;
    struct br_arena *arena = rows->result_arena;
    struct br_batch *batch = NULL;
    for (size_t i = 0; i < rows->row_count && left != 0; i++) {
        const struct result_row *row = &rows->rows[i];
        int64_t count = row->count <= skip ? 0 : row->count - skip;
        skip -= row->count - count;
        if (left >= 0 && count > left)
            count = left;
        left -= left >= 0 ? count : 0;
        for (; count > 0; count--) {
            if (batch == NULL)
                batch = br_batch_create(arena, rows->types, NULL, query->root->field_count);
            br_batch_append_row(batch, row->batch, row->row);
            if (batch->row_count < BR_BATCH_ROWS)
                continue;
            BR_TRY(each(context, batch, error));
            br_arena_reset(arena);
            batch = NULL;
        }
    }
    return give_full(batch, each, context, error);
}

// A row that was gathered once may stand for many.
struct giving {
    struct running *running;
    br_graph_each each;
    void *context;
    uint64_t rows;
};

static enum br_status give_watched(void *context, const struct br_batch *batch, struct br_error *error) {
    struct giving *giving = context;
    BR_TRY(look(giving->running, 0, error));
    giving->rows += batch->row_count;
    if (giving->rows > giving->running->limits->rows_max)
        return too_many_rows(giving->running, error);
    return giving->each(giving->context, batch, error);
}

static enum br_status run(struct running *running, struct br_graph *views, const struct br_epoch *epoch,
                          br_graph_each each, void *context, struct br_error *error) {
    BR_TRY(start(running, views, epoch, error));
    BR_TRY(feed(running, views, epoch, error));
    struct giving giving = {running, each, context, 0};
    return br_query_rows_give(running->result->rows, give_watched, &giving, error);
}

enum br_status br_graph_query(struct br_graph *graph, const struct br_query *query,
                              const struct br_query_limits *limits, const struct br_epoch *epoch, br_graph_each each,
                              void *context, struct br_error *error) {
    struct running running = {.query = query, .limits = limits, .arena = br_arena_create()};
    running.watch = (struct br_watch){look, &running};
    graph->watch = &running.watch;
    enum br_status status = run(&running, graph, epoch, each, context, error);
    graph->watch = NULL;
    if (running.result != NULL)
        destroy_result(&running.result->op);
    br_graph_destroy(&running.graph);
    br_state_destroy(&running.state);
    br_arena_destroy(&running.arena);
    return status;
}
