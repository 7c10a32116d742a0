// SPDX-License-Identifier: Apache-2.0
// Windows of an aggregate: rows that come too late, and groups that close behind the watermark.
//
// W1. A window is closed by a watermark when window_end + lateness <= watermark. A row whose window is closed by the
//     watermark of the epoch's start is not applied. When it is a new event it is late and goes to the ledger.
// W2. Windows are closed by the watermark of the epoch's end, after the epoch's changes have gone out: so what an
//     upstream aggregate gives when it closes its windows still finds them open here.
// W3. A group that closes leaves its row in the table of closed rows (group key → row bytes), when a view reads it
// back;
//     its value and the values counted for it are deleted as one range of keys. With emit_final its row goes out then.
// W4. Windows with a NULL bound never close.
// W5. A row is a new event when an event of the table whose watermark closes the windows has brought it. What a
//     change of a joined table makes of events that were there before is none: they came in time, and were counted.
#include "processor/operators/aggregate_internal.h"
#include "processor/operators/closing.h"

// A chunk of closed rows is written when it has so many bytes.
#define CLOSED_CHUNK_SIZE 4096

bool br_windows_closed_by(const struct br_aggregator *aggregator, struct br_event_time watermark, int64_t *ret_bound) {
    __int128 offset = aggregator->op.node->aggregate.lateness_us;
    if (aggregator->mark.kind == BR_MARK_START)
        offset += aggregator->mark.size_us;
    return br_closed_up_to(watermark, offset, ret_bound);
}

// --- late rows
static struct br_event_time clamp(__int128 us) {
    return (struct br_event_time){us > INT64_MAX ? INT64_MAX : us < INT64_MIN ? INT64_MIN : (int64_t)us};
}

// Does the bound come with the rows of left sides alone? Those that a join gives for a new row of its left side have
// that row's origin, others have none.
static bool comes_from_left(const struct br_node *node, uint32_t column) {
    switch (node->kind) {
    case BR_NODE_FILTER:
        return comes_from_left(node->inputs[0], column);
    case BR_NODE_PROJECT:
        return node->project.exprs[column]->kind != BR_EXPR_COLUMN ||
               comes_from_left(node->inputs[0], node->project.exprs[column]->column);
    case BR_NODE_WINDOW:
        return comes_from_left(node->inputs[0],
                               column < node->inputs[0]->field_count ? column : node->window.time_column);
    case BR_NODE_JOIN:
        return column < node->inputs[0]->field_count && comes_from_left(node->inputs[0], column);
    case BR_NODE_SOURCE:
    case BR_NODE_AGGREGATE:
    case BR_NODE_SCAN:
        break;
    }
    return true;
}

// Can rows of another table change what the node gives?
static bool follows_only(const struct br_node *node, uint32_t table) {
    if (node->kind == BR_NODE_SOURCE)
        return node->source.table->index == table;
    bool lookup = node->kind == BR_NODE_JOIN && node->join.lookup;
    for (uint32_t i = 0; i < node->input_count - lookup; i++)
        if (!follows_only(node->inputs[i], table))
            return false;
    return true;
}

void br_windows_plan(struct br_aggregator *aggregator) {
    const struct br_node *node = aggregator->op.node;
    aggregator->from_left = comes_from_left(node->inputs[0], node->aggregate.group[aggregator->window_field]);
    aggregator->of_one_table = follows_only(node->inputs[0], aggregator->mark.table);
}

// W5. What an aggregate below gives at the end of an epoch bears no trace of its cause: it is due to new events where
// nothing else can change it.
static bool is_new_event(const struct br_aggregator *aggregator, const struct br_batch *batch, uint32_t row) {
    const struct br_graph *graph = aggregator->op.graph;
    uint32_t table = aggregator->mark.table;
    if (graph->epoch->by_old_rules)
        return true;
    if (graph->cause == BR_NO_TABLE)
        return aggregator->of_one_table;
    return graph->cause == table && (br_batch_origin(batch, row) != BR_NO_ORIGIN) == aggregator->from_left;
}

static enum br_status report_late(struct br_aggregator *aggregator, const struct br_batch *batch, uint32_t row,
                                  int64_t bound, struct br_error *error) {
    struct br_operator *op = &aggregator->op;
    const struct br_sink *sink = &op->graph->sink;
    if (sink->late == NULL || br_batch_weight(batch, row) < 0 || !is_new_event(aggregator, batch, row))
        return BR_OK;
    bool is_start = aggregator->mark.kind == BR_MARK_START;
    __int128 start = is_start ? bound : (__int128)bound - aggregator->mark.size_us;
    __int128 end = is_start ? (__int128)bound + aggregator->mark.size_us : bound;
    struct br_event_time watermark = op->graph->epoch->watermarks_before[aggregator->mark.table];
    int64_t late_by_us = clamp(watermark.us - (end + op->node->aggregate.lateness_us)).us;
    return sink->late(sink->context, op->node->view, op->node, batch, row, clamp(start), clamp(end), late_by_us, error);
}

enum br_status br_windows_take_late(struct br_aggregator *aggregator, const struct br_batch *batch,
                                    const struct br_batch **ret_batch, struct br_error *error) {
    struct br_operator *op = &aggregator->op;
    int64_t closed;
    *ret_batch = batch;
    if (!br_windows_closed_by(aggregator, op->graph->epoch->watermarks_before[aggregator->mark.table], &closed))
        return BR_OK;
    const struct br_column *column = &batch->columns[op->node->aggregate.group[aggregator->window_field]];
    const int64_t *bounds = column->values;
    uint32_t late = 0;
    for (uint32_t r = 0; r < batch->row_count; r++)
        late += bounds[r] <= closed;
    if (late == 0)
        return BR_OK;
    uint32_t *rows = br_arena_alloc(op->arena, batch->row_count * sizeof *rows), count = 0;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        if (br_column_is_null(column, r) || bounds[r] > closed)
            rows[count++] = r;
        else
            BR_TRY(report_late(aggregator, batch, r, bounds[r], error));
    }
    *ret_batch = br_batch_select(batch, rows, count, op->arena);
    return BR_OK;
}

// --- closing
// The range of keys whose bound is at most `bound`: [ "", end ).
static struct br_slice range_end(struct br_aggregator *aggregator, int64_t bound) {
    struct br_buffer key = {0};
    if (bound == INT64_MAX)
        br_key_append_null(&key);
    else
        br_key_append_int64(&key, bound + 1);
    struct br_slice end = br_arena_copy(aggregator->op.graph->epoch->arena, br_buffer_slice(&key));
    br_buffer_free(&key);
    return end;
}

static enum br_status find_smallest(struct br_aggregator *aggregator, struct br_error *error) {
    if (aggregator->smallest_known)
        return BR_OK;
    struct br_state_iterator *groups = NULL;
    BR_TRY(br_state_scan(aggregator->groups, (struct br_slice){0}, (struct br_slice){0}, &groups, error));
    struct br_slice key, value;
    aggregator->smallest_open = INT64_MAX;
    if (br_state_iterator_next(groups, &key, &value))
        (void)br_key_read_int64(key, &aggregator->smallest_open); // NULL bounds stand last and read as nothing
    enum br_status status = br_state_iterator_status(groups, error);
    br_state_iterator_destroy(&groups);
    aggregator->smallest_known = status == BR_OK;
    return status;
}

// Windows close once, so a chunk's key is new; should it be there all the same, the rows are added to it.
static enum br_status put_chunk(struct br_aggregator *aggregator, struct br_slice first_key, struct br_error *error) {
    struct br_slice rows = br_buffer_slice(&aggregator->other_buffer);
    struct br_entry *entry;
    bool is_new;
    if (rows.len == 0)
        return BR_OK;
    BR_TRY(br_state_obtain(aggregator->closed, first_key, br_state_hash(first_key), (uint32_t)rows.len, &entry, &is_new,
                           error));
    uint32_t old_len = is_new ? 0 : entry->value_len;
    if (!is_new)
        br_entry_resize(aggregator->closed, entry, old_len + (uint32_t)rows.len);
    memcpy(entry->value + old_len, rows.ptr, rows.len);
    br_buffer_clear(&aggregator->other_buffer);
    return BR_OK;
}

static enum br_status store_closed(struct br_aggregator *aggregator, const struct br_slice *keys,
                                   const struct br_results *results, const struct br_batch *batch,
                                   struct br_error *error) {
    struct br_buffer *row = &aggregator->buffer, *chunk = &aggregator->other_buffer;
    uint32_t first = 0;
    br_buffer_clear(chunk);
    for (uint32_t r = 0; r < results->count; r++) {
        if (br_bit(results->failed, r))
            continue;
        if (chunk->len == 0)
            first = r;
        br_buffer_clear(row);
        br_row_encode(batch, r, NULL, batch->column_count, row);
        br_buffer_append_varint(chunk, row->len);
        br_buffer_append_slice(chunk, br_buffer_slice(row));
        if (chunk->len >= CLOSED_CHUNK_SIZE)
            BR_TRY(put_chunk(aggregator, keys[first], error));
    }
    return put_chunk(aggregator, keys[first], error);
}

static enum br_status give_final(struct br_aggregator *aggregator, const struct br_results *results,
                                 const struct br_batch *batch, struct br_error *error) {
    uint32_t *rows = br_arena_alloc(aggregator->op.arena, results->count * sizeof *rows), count = 0;
    for (uint32_t r = 0; r < results->count; r++) {
        if (!br_bit(results->failed, r))
            rows[count++] = r;
        else
            BR_TRY(br_operator_report(&aggregator->op, batch, r, results->messages[r], error));
    }
    if (count == 0)
        return BR_OK;
    return br_operator_emit(&aggregator->op, br_batch_select(batch, rows, count, aggregator->op.arena), error);
}

static enum br_status close_groups(struct br_aggregator *aggregator, struct br_state_iterator *groups,
                                   struct br_error *error) {
    struct br_arena *arena = aggregator->op.arena;
    struct br_slice key, value;
    bool more = br_state_iterator_next(groups, &key, &value);
    while (more) {
        struct br_slice *keys = br_arena_alloc(arena, BR_BATCH_ROWS * sizeof *keys);
        const uint8_t **values = br_arena_alloc(arena, BR_BATCH_ROWS * sizeof *values);
        struct br_results results = {.values = values};
        for (; more && results.count < BR_BATCH_ROWS; more = br_state_iterator_next(groups, &key, &value)) {
            if (((const struct br_group *)value.ptr)->rows <= 0)
                continue;
            keys[results.count] = br_arena_copy(arena, key);
            values[results.count++] = br_arena_copy(arena, value).ptr;
        }
        struct br_batch *batch = br_aggregate_results(aggregator, keys, &results);
        if (aggregator->op.node->aggregate.emit_final)
            BR_TRY(give_final(aggregator, &results, batch, error));
        if (aggregator->op.scanned)
            BR_TRY(store_closed(aggregator, keys, &results, batch, error));
        br_arena_reset(arena);
    }
    return br_state_iterator_status(groups, error);
}

static enum br_status forget_range(struct br_aggregator *aggregator, struct br_slice end, struct br_error *error) {
    BR_TRY(br_state_delete_range(aggregator->groups, (struct br_slice){0}, end, error));
    for (uint32_t a = 0; a < aggregator->accumulator_count; a++)
        if (aggregator->accumulators[a].multiset != NULL)
            BR_TRY(br_state_delete_range(aggregator->accumulators[a].multiset, (struct br_slice){0}, end, error));
    return BR_OK;
}

// An epoch in which no window closes costs one comparison.
enum br_status br_windows_close(struct br_aggregator *aggregator, struct br_error *error) {
    int64_t bound;
    struct br_event_time watermark = aggregator->op.graph->epoch->watermarks_after[aggregator->mark.table];
    if (!br_windows_closed_by(aggregator, watermark, &bound))
        return BR_OK;
    BR_TRY(find_smallest(aggregator, error));
    if (aggregator->smallest_open > bound || aggregator->smallest_open == INT64_MAX)
        return BR_OK;
    struct br_slice end = range_end(aggregator, bound);
    struct br_state_iterator *groups = NULL;
    BR_TRY(br_state_scan(aggregator->groups, (struct br_slice){0}, end, &groups, error));
    enum br_status status = close_groups(aggregator, groups, error);
    br_state_iterator_destroy(&groups);
    if (status != BR_OK)
        return status;
    aggregator->smallest_known = false;
    return forget_range(aggregator, end, error);
}

// --- reading back
struct closed_scan {
    struct br_aggregator *aggregator;
    br_graph_each each;
    void *context;
    struct br_batch *batch; // being filled; NULL: none
};

static enum br_status give_batch(struct closed_scan *scan, struct br_error *error) {
    if (scan->batch == NULL)
        return BR_OK;
    BR_TRY(br_operator_look(&scan->aggregator->op, error));
    enum br_status status = scan->each(scan->context, scan->batch, error);
    br_arena_reset(scan->aggregator->op.arena);
    scan->batch = NULL;
    return status;
}

static enum br_status scan_row(struct closed_scan *scan, struct br_slice row, struct br_error *error) {
    struct br_operator *op = &scan->aggregator->op;
    if (scan->batch == NULL)
        scan->batch = br_batch_sized(op->arena, op->types, NULL, op->node->field_count, BR_BATCH_ROWS);
    struct br_batch *batch = scan->batch;
    BR_TRY(br_row_decode(row, batch, batch->row_count, 0, batch->column_count, op->arena, true, error));
    batch->row_count += 1;
    return batch->row_count == BR_BATCH_ROWS ? give_batch(scan, error) : BR_OK;
}

static enum br_status scan_chunk(struct closed_scan *scan, struct br_slice rows, struct br_error *error) {
    const uint8_t *at = rows.ptr, *end = rows.ptr + rows.len;
    while (at < end) {
        uint64_t len;
        size_t size = br_varint_get(at, end, &len);
        if (size == 0 || len > (uint64_t)(end - at) - size)
            return br_error_set(error, BR_FATAL, "damaged state: node %u has malformed closed rows",
                                scan->aggregator->op.node->id);
        BR_TRY(scan_row(scan, (struct br_slice){at + size, len}, error));
        at += size + len;
    }
    return BR_OK;
}

static enum br_status scan_chunks(struct closed_scan *scan, struct br_state_iterator *chunks, struct br_error *error) {
    struct br_slice key, value;
    while (br_state_iterator_next(chunks, &key, &value))
        BR_TRY(scan_chunk(scan, value, error));
    BR_TRY(br_state_iterator_status(chunks, error));
    return give_batch(scan, error);
}

enum br_status br_windows_scan_closed(struct br_aggregator *aggregator, br_graph_each each, void *context,
                                      struct br_error *error) {
    struct br_state_iterator *closed = NULL;
    BR_TRY(br_state_scan(aggregator->closed, (struct br_slice){0}, (struct br_slice){0}, &closed, error));
    struct closed_scan scan = {aggregator, each, context, NULL};
    enum br_status status = scan_chunks(&scan, closed, error);
    br_state_iterator_destroy(&closed);
    return status;
}
