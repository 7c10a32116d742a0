// SPDX-License-Identifier: Apache-2.0
// GROUP BY: groups in state, changed in place while rows come and go; changes go out once, at the end of the epoch.
//
// State tables: groups (key → value, see aggregate_internal.h), closed rows (close.c), then one per aggregate for
// DISTINCT and for min/max that retract. The first touch of a group in an epoch saves its old value in the epoch's
// arena; at the end, old and new are finalised in key order and given as -old +new where the rows differ. A group whose
// result can't be shown (overflow) is left out, and reported when that begins; it comes back by itself.
#include "processor/operators/aggregate_internal.h"

// Changes are built for so many groups at a time: two rows each.
#define GROUPS_AT_ONCE (BR_BATCH_ROWS / 2)

static const uint8_t global_key[1] = {BR_KEY_VALUE}; // of the one group when there are no group columns

// --- taking rows
static void note_touched(struct br_aggregator *aggregator, struct br_entry *entry, bool is_new) {
    const struct br_epoch *epoch = aggregator->op.graph->epoch;
    if (aggregator->touched_count == aggregator->touched_capacity) {
        size_t capacity = aggregator->touched_capacity == 0 ? BR_BATCH_ROWS : 2 * aggregator->touched_capacity;
        aggregator->touched = br_realloc(aggregator->touched, capacity * sizeof *aggregator->touched);
        aggregator->touched_capacity = capacity;
    }
    struct br_touched *touched = &aggregator->touched[aggregator->touched_count++];
    *touched = (struct br_touched){.entry = entry};
    entry->touched_epoch = epoch->number;
    if (is_new) {
        ((struct br_group *)entry->value)->slot_capacity = 1;
    } else if (!aggregator->op.node->aggregate.emit_final) {
        uint8_t *old = br_arena_alloc(epoch->arena, entry->value_len);
        memcpy(old, entry->value, entry->value_len);
        touched->old = old;
        touched->old_len = entry->value_len;
    }
}

static void note_bound(struct br_aggregator *aggregator, const struct br_batch *batch, uint32_t row) {
    const struct br_column *bounds = &batch->columns[aggregator->op.node->aggregate.group[aggregator->window_field]];
    if (br_column_is_null(bounds, row))
        return;
    int64_t bound = ((const int64_t *)bounds->values)[row];
    if (bound < aggregator->smallest_open)
        aggregator->smallest_open = bound;
}

static void group_keys(struct br_aggregator *aggregator, const struct br_batch *batch, struct br_slice *keys) {
    uint32_t group_count = aggregator->op.node->aggregate.group_count;
    if (!aggregator->global) {
        br_batch_keys(batch, aggregator->key_columns, group_count, aggregator->op.arena, keys);
        return;
    }
    for (uint32_t r = 0; r < batch->row_count; r++)
        keys[r] = (struct br_slice){global_key, sizeof global_key};
}

// Finds or makes the rows' groups, notes the touched ones, and counts rows.
static enum br_status find_groups(struct br_aggregator *aggregator, const struct br_batch *batch,
                                  struct br_intake *intake, struct br_error *error) {
    struct br_arena *arena = aggregator->op.arena;
    uint32_t count = batch->row_count;
    struct br_slice *keys = br_arena_alloc(arena, count * sizeof *keys);
    uint64_t *hashes = br_arena_alloc(arena, count * sizeof *hashes);
    bool *is_new = br_arena_alloc(arena, count);
    intake->entries = br_arena_alloc(arena, count * sizeof(struct br_entry *));
    intake->values = br_arena_alloc(arena, count * sizeof(uint8_t *));
    group_keys(aggregator, batch, keys);
    for (uint32_t r = 0; r < count; r++)
        hashes[r] = br_state_hash(keys[r]);
    BR_TRY(br_state_obtain_many(aggregator->groups, keys, hashes, count,
                                aggregator->fixed_size + aggregator->slots_size, intake->entries, is_new, error));
    uint64_t epoch = aggregator->op.graph->epoch->number;
    for (uint32_t r = 0; r < count; r++) {
        struct br_entry *entry = intake->entries[r];
        if (entry->touched_epoch != epoch) {
            note_touched(aggregator, entry, is_new[r]);
            br_entry_mark_dirty(aggregator->groups, entry);
            if (is_new[r] && aggregator->window_field >= 0)
                note_bound(aggregator, batch, r);
        }
        intake->values[r] = entry->value;
        ((struct br_group *)entry->value)->rows += intake->weights[r];
    }
    intake->keys = keys;
    return BR_OK;
}

// The rows that an aggregate takes: its filter is TRUE and its argument not NULL.
static void choose_rows(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                        struct br_intake *intake) {
    const struct br_batch *batch = intake->batch;
    const struct br_aggregate *aggregate = accumulator->aggregate;
    const struct br_column *argument = aggregate->argument < 0 ? NULL : &batch->columns[aggregate->argument];
    const struct br_column *filter = aggregate->filter < 0 ? NULL : &batch->columns[aggregate->filter];
    intake->rows = aggregator->all_rows;
    intake->count = batch->row_count;
    if (filter == NULL && (argument == NULL || argument->validity == NULL))
        return;
    uint32_t *rows = br_arena_alloc(aggregator->op.arena, batch->row_count * sizeof *rows);
    uint32_t count = 0;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        bool takes = filter == NULL || (!br_column_is_null(filter, r) && ((const bool *)filter->values)[r]);
        takes = takes && (argument == NULL || !br_column_is_null(argument, r));
        rows[count] = r;
        count += takes;
    }
    intake->rows = rows;
    intake->count = count;
}

static enum br_status accumulate(struct br_aggregator *aggregator, const struct br_accumulator *accumulator,
                                 struct br_intake *intake, struct br_error *error) {
    struct br_intake taken = *intake;
    choose_rows(aggregator, accumulator, &taken);
    bool extreme = accumulator->form == BR_FORM_EXTREME || accumulator->form == BR_FORM_TEXT_EXTREME;
    if (accumulator->distinct)
        BR_TRY(br_distinct_take(aggregator, accumulator, &taken, error));
    if (extreme && accumulator->multiset != NULL)
        BR_TRY(br_multiset_take(aggregator, accumulator, &taken, error));
    else
        br_accumulator_take(aggregator, accumulator, &taken);
    if (!taken.moved)
        return BR_OK;
    for (uint32_t r = 0; r < intake->batch->row_count; r++)
        intake->values[r] = intake->entries[r]->value;
    return BR_OK;
}

// Scales of numeric group columns (G3).
static void count_group_scales(struct br_aggregator *aggregator, struct br_intake *intake) {
    const struct br_node *node = aggregator->op.node;
    for (uint32_t g = 0; g < node->aggregate.group_count; g++) {
        struct br_tracker tracker = aggregator->group_scales[g];
        const struct br_column *column = &intake->batch->columns[node->aggregate.group[g]];
        if (tracker.size == 0)
            continue;
        const struct br_numeric *numerics = column->values;
        for (uint32_t r = 0; r < intake->batch->row_count; r++)
            if (!br_column_is_null(column, r) && br_scaled_count(aggregator, tracker, intake->entries[r],
                                                                 br_numeric_scale(numerics[r]), intake->weights[r]))
                intake->moved = true;
    }
    if (intake->moved)
        for (uint32_t r = 0; r < intake->batch->row_count; r++)
            intake->values[r] = intake->entries[r]->value;
}

static enum br_status take_batch(struct br_aggregator *aggregator, const struct br_batch *batch,
                                 struct br_error *error) {
    if (aggregator->window_field >= 0)
        BR_TRY(br_windows_take_late(aggregator, batch, &batch, error));
    if (batch->row_count == 0)
        return BR_OK;
    struct br_intake intake = {.batch = batch};
    intake.weights = batch->weights != NULL ? batch->weights : aggregator->ones;
    BR_TRY(find_groups(aggregator, batch, &intake, error));
    if (aggregator->slots_size != 0)
        count_group_scales(aggregator, &intake);
    for (uint32_t a = 0; a < aggregator->accumulator_count; a++)
        BR_TRY(accumulate(aggregator, &aggregator->accumulators[a], &intake, error));
    return BR_OK;
}

static enum br_status push(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                           struct br_error *error) {
    (void)port;
    enum br_status status = take_batch((struct br_aggregator *)op, batch, error);
    br_arena_reset(op->arena);
    return status;
}

// --- results
// A numeric as its key gives it has the smallest scale; the group's rows say how it is shown.
static void widen_scales(const struct br_aggregator *aggregator, struct br_tracker tracker,
                         const struct br_results *results, struct br_column *column) {
    struct br_numeric *values = column->values;
    for (uint32_t r = 0; r < results->count; r++) {
        if (br_column_is_null(column, r))
            continue;
        unsigned scale = br_numeric_scale(values[r]);
        unsigned wanted = br_scaled_largest(aggregator, tracker, results->values[r]);
        __int128 coefficient = br_numeric_coefficient(values[r]);
        for (; scale < wanted; scale++)
            coefficient *= 10;
        struct br_numeric widened;
        if (br_numeric_make(coefficient, scale, &widened))
            values[r] = widened;
    }
}

static void read_group_columns(struct br_aggregator *aggregator, const struct br_slice *keys,
                               const struct br_results *results, struct br_batch *batch) {
    const struct br_node *node = aggregator->op.node;
    for (uint32_t r = 0; r < results->count; r++) {
        struct br_slice rest = keys[r];
        for (uint32_t k = 0; k < node->aggregate.group_count; k++) {
            uint32_t field = aggregator->key_fields[k];
            struct br_value value;
            size_t size = br_key_read_value(rest, aggregator->op.types[field], aggregator->op.arena, &value);
            BR_CHECK(size != 0);
            br_column_set(&batch->columns[field], r, &value);
            rest = (struct br_slice){rest.ptr + size, rest.len - size};
        }
    }
    for (uint32_t g = 0; g < node->aggregate.group_count; g++)
        if (aggregator->group_scales[g].size != 0)
            widen_scales(aggregator, aggregator->group_scales[g], results, &batch->columns[g]);
}

struct br_batch *br_aggregate_results(struct br_aggregator *aggregator, const struct br_slice *keys,
                                      struct br_results *results) {
    const struct br_node *node = aggregator->op.node;
    struct br_arena *arena = aggregator->op.arena;
    struct br_batch *batch = br_batch_sized(arena, aggregator->op.types, NULL, node->field_count, results->count);
    batch->row_count = results->count;
    results->failed = br_validity_create(arena, results->count, false);
    results->messages = br_arena_array(arena, const char *, results->count);
    read_group_columns(aggregator, keys, results, batch);
    for (uint32_t a = 0; a < aggregator->accumulator_count; a++)
        br_accumulator_finish(aggregator, &aggregator->accumulators[a], results,
                              &batch->columns[node->aggregate.group_count + a]);
    return batch;
}

// --- the end of the epoch
// The rows of up to GROUPS_AT_ONCE touched groups, old and new, and which of them go out.
struct changes {
    struct br_slice keys[BR_BATCH_ROWS];
    const uint8_t *values[BR_BATCH_ROWS];
    int32_t weights[BR_BATCH_ROWS];
    uint32_t rows[BR_BATCH_ROWS]; // that go out
    uint32_t row_count;
    struct br_results results;
};

static bool is_there(const struct br_aggregator *aggregator, const uint8_t *value) {
    return value != NULL && (aggregator->global || ((const struct br_group *)value)->rows > 0);
}

static void add_row(struct changes *changes, const struct br_entry *entry, const uint8_t *value, int32_t weight) {
    uint32_t row = changes->results.count++;
    changes->keys[row] = (struct br_slice){entry->key, entry->key_len};
    changes->values[row] = value;
    changes->weights[row] = weight;
}

static void add_group(const struct br_aggregator *aggregator, struct changes *changes,
                      const struct br_touched *touched) {
    const struct br_entry *entry = touched->entry;
    bool was_there = is_there(aggregator, touched->old), is_now = is_there(aggregator, entry->value);
    if (was_there && is_now && touched->old_len == entry->value_len &&
        memcmp(touched->old, entry->value, entry->value_len) == 0)
        return;
    if (was_there)
        add_row(changes, entry, touched->old, -1);
    if (is_now)
        add_row(changes, entry, entry->value, 1);
}

static enum br_status report_new_failure(struct br_aggregator *aggregator, struct changes *changes,
                                         const struct br_batch *batch, uint32_t row, struct br_error *error) {
    const struct br_results *results = &changes->results;
    bool failed_before = row > 0 && changes->weights[row - 1] < 0 && br_bit(results->failed, row - 1) &&
                         br_slice_equal(changes->keys[row - 1], changes->keys[row]);
    if (failed_before)
        return BR_OK;
    return br_operator_report(&aggregator->op, batch, row, results->messages[row], error);
}

static enum br_status choose_changes(struct br_aggregator *aggregator, struct changes *changes,
                                     const struct br_batch *batch, struct br_error *error) {
    const uint64_t *failed = changes->results.failed;
    for (uint32_t r = 0; r < batch->row_count; r++) {
        bool pair = changes->weights[r] < 0 && r + 1 < batch->row_count && changes->weights[r + 1] > 0 &&
                    br_slice_equal(changes->keys[r], changes->keys[r + 1]);
        if (pair && !br_bit(failed, r) && !br_bit(failed, r + 1) && br_rows_identical(batch, r, batch, r + 1)) {
            r++;
            continue;
        }
        if (!br_bit(failed, r))
            changes->rows[changes->row_count++] = r;
        else if (changes->weights[r] > 0)
            BR_TRY(report_new_failure(aggregator, changes, batch, r, error));
    }
    return BR_OK;
}

static enum br_status give_changes(struct br_aggregator *aggregator, const struct br_sort_item *items, size_t count,
                                   struct br_error *error) {
    struct changes *changes = br_arena_alloc(aggregator->op.arena, sizeof *changes);
    changes->row_count = 0;
    changes->results = (struct br_results){.values = changes->values};
    for (size_t i = 0; i < count; i++)
        add_group(aggregator, changes, &aggregator->touched[items[i].index]);
    if (changes->results.count == 0)
        return BR_OK;
    struct br_batch *batch = br_aggregate_results(aggregator, changes->keys, &changes->results);
    batch->weights = changes->weights;
    BR_TRY(choose_changes(aggregator, changes, batch, error));
    if (changes->row_count == 0)
        return BR_OK;
    struct br_batch *chosen = br_batch_select(batch, changes->rows, changes->row_count, aggregator->op.arena);
    return br_operator_emit(&aggregator->op, chosen, error);
}

static void drop_vanished(struct br_aggregator *aggregator, const struct br_sort_item *items, size_t count) {
    for (size_t i = 0; i < count && !aggregator->global; i++) {
        struct br_entry *entry = aggregator->touched[items[i].index].entry;
        if (((const struct br_group *)entry->value)->rows == 0)
            br_entry_delete(aggregator->groups, entry);
    }
}

static enum br_status refresh_extremes(struct br_aggregator *aggregator, struct br_error *error) {
    for (uint32_t a = 0; a < aggregator->accumulator_count; a++) {
        const struct br_accumulator *accumulator = &aggregator->accumulators[a];
        if (accumulator->multiset == NULL || accumulator->distinct)
            continue;
        for (size_t t = 0; t < aggregator->touched_count; t++)
            BR_TRY(br_extreme_refresh(aggregator, accumulator, aggregator->touched[t].entry, error));
    }
    return BR_OK;
}

static void settle_doubles(struct br_aggregator *aggregator) {
    for (uint32_t a = 0; a < aggregator->accumulator_count && aggregator->has_wide_sums; a++) {
        const struct br_accumulator *accumulator = &aggregator->accumulators[a];
        if (accumulator->form != BR_FORM_DOUBLE && accumulator->form != BR_FORM_DOUBLE_VARIANCE)
            continue;
        for (size_t t = 0; t < aggregator->touched_count; t++)
            br_doubles_settle(aggregator, accumulator, aggregator->touched[t].entry);
    }
    aggregator->has_wide_sums = false;
}

// The one row of an aggregate without groups is there from the first epoch on.
static enum br_status make_global(struct br_aggregator *aggregator, struct br_error *error) {
    if (!aggregator->global || aggregator->global_made)
        return BR_OK;
    struct br_slice key = {global_key, sizeof global_key};
    struct br_entry *entry;
    bool is_new;
    BR_TRY(br_state_obtain(aggregator->groups, key, br_state_hash(key), aggregator->fixed_size + aggregator->slots_size,
                           &entry, &is_new, error));
    if (is_new)
        note_touched(aggregator, entry, true);
    aggregator->global_made = true;
    return BR_OK;
}

enum br_status br_aggregate_lacks_row(struct br_operator *op, bool *ret_lacks, struct br_error *error) {
    struct br_aggregator *aggregator = (struct br_aggregator *)op;
    struct br_slice key = {global_key, sizeof global_key};
    struct br_entry *entry;
    *ret_lacks = false;
    if (!aggregator->global || aggregator->global_made)
        return BR_OK;
    BR_TRY(br_state_find(aggregator->groups, key, br_state_hash(key), &entry, error));
    *ret_lacks = entry == NULL;
    return BR_OK;
}

static enum br_status give_touched(struct br_aggregator *aggregator, struct br_error *error) {
    struct br_arena *epoch_arena = aggregator->op.graph->epoch->arena;
    size_t count = aggregator->touched_count;
    BR_CHECK(count <= UINT32_MAX);
    struct br_sort_item *items = br_arena_alloc(epoch_arena, count * sizeof *items);
    for (size_t t = 0; t < count; t++) {
        const struct br_entry *entry = aggregator->touched[t].entry;
        items[t] = (struct br_sort_item){.key = {entry->key, entry->key_len}, .index = (uint32_t)t};
    }
    br_sort_items(items, count, epoch_arena);
    for (size_t begin = 0; begin < count; begin += GROUPS_AT_ONCE) {
        size_t left = count - begin, part = left < GROUPS_AT_ONCE ? left : GROUPS_AT_ONCE;
        if (!aggregator->op.node->aggregate.emit_final)
            BR_TRY(give_changes(aggregator, items + begin, part, error));
        drop_vanished(aggregator, items + begin, part);
        br_arena_reset(aggregator->op.arena);
    }
    return BR_OK;
}

static enum br_status end_epoch(struct br_operator *op, struct br_error *error) {
    struct br_aggregator *aggregator = (struct br_aggregator *)op;
    BR_TRY(make_global(aggregator, error));
    if (aggregator->touched_count != 0) {
        BR_TRY(refresh_extremes(aggregator, error));
        settle_doubles(aggregator);
        BR_TRY(give_touched(aggregator, error));
        aggregator->touched_count = 0;
    }
    if (aggregator->window_field >= 0)
        BR_TRY(br_windows_close(aggregator, error));
    br_arena_reset(op->arena);
    return BR_OK;
}

// --- reading back
static enum br_status give_results(struct br_aggregator *aggregator, const struct br_slice *keys,
                                   struct br_results *results, br_graph_each each, void *context,
                                   struct br_error *error) {
    struct br_arena *arena = aggregator->op.arena;
    BR_TRY(br_operator_look(&aggregator->op, error));
    struct br_batch *batch = br_aggregate_results(aggregator, keys, results);
    uint32_t *rows = br_arena_alloc(arena, results->count * sizeof *rows), count = 0;
    for (uint32_t r = 0; r < results->count; r++)
        if (!br_bit(results->failed, r))
            rows[count++] = r;
    if (count != 0)
        BR_TRY(each(context, br_batch_select(batch, rows, count, arena), error));
    br_arena_reset(arena);
    return BR_OK;
}

static enum br_status scan_groups(struct br_aggregator *aggregator, struct br_state_iterator *groups,
                                  br_graph_each each, void *context, struct br_error *error) {
    struct br_arena *arena = aggregator->op.arena;
    struct br_slice key, value;
    bool more = br_state_iterator_next(groups, &key, &value);
    while (more) {
        struct br_slice *keys = br_arena_alloc(arena, BR_BATCH_ROWS * sizeof *keys);
        const uint8_t **values = br_arena_alloc(arena, BR_BATCH_ROWS * sizeof *values);
        struct br_results results = {.values = values};
        for (; more && results.count < BR_BATCH_ROWS; more = br_state_iterator_next(groups, &key, &value)) {
            if (!is_there(aggregator, value.ptr))
                continue;
            keys[results.count] = br_arena_copy(arena, key);
            values[results.count++] = br_arena_copy(arena, value).ptr;
        }
        BR_TRY(give_results(aggregator, keys, &results, each, context, error));
    }
    return br_state_iterator_status(groups, error);
}

static enum br_status scan_group(struct br_aggregator *aggregator, struct br_slice key, br_graph_each each,
                                 void *context, struct br_error *error) {
    struct br_entry *entry;
    BR_TRY(br_state_find(aggregator->groups, key, br_state_hash(key), &entry, error));
    if (entry == NULL || !is_there(aggregator, entry->value))
        return BR_OK;
    const uint8_t *value = entry->value;
    struct br_results results = {.values = &value, .count = 1};
    return give_results(aggregator, &key, &results, each, context, error);
}

static enum br_status scan_open(struct br_aggregator *aggregator, const struct br_value *const *equal,
                                br_graph_each each, void *context, struct br_error *error) {
    struct br_state_iterator *groups = NULL;
    struct br_arena *arena = br_arena_create();
    struct br_key_range range;
    (void)br_key_range_of(equal, aggregator->key_fields, aggregator->op.node->aggregate.group_count, arena, &range);
    bool one = range.whole && !aggregator->global;
    enum br_status status = one ? scan_group(aggregator, range.first, each, context, error)
                                : br_state_scan(aggregator->groups, range.first, range.last, &groups, error);
    if (status == BR_OK && !one)
        status = scan_groups(aggregator, groups, each, context, error);
    br_state_iterator_destroy(&groups);
    br_arena_destroy(&arena);
    return status;
}

static enum br_status scan(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                           void *context, struct br_error *error) {
    struct br_aggregator *aggregator = (struct br_aggregator *)op;
    // Closed windows are the older ones, so all comes in the order of the groups' keys (scan_order.c).
    if (aggregator->window_field >= 0)
        BR_TRY(br_windows_scan_closed(aggregator, each, context, error));
    if (!op->node->aggregate.emit_final)
        BR_TRY(scan_open(aggregator, equal, each, context, error));
    br_arena_reset(op->arena);
    return BR_OK;
}

// --- making
static void destroy(struct br_operator *op) {
    struct br_aggregator *aggregator = (struct br_aggregator *)op;
    free(aggregator->accumulators);
    free(aggregator->in_tail);
    free(aggregator->group_scales);
    free(aggregator->key_columns);
    free(aggregator->key_fields);
    free(aggregator->touched);
    free(aggregator->all_rows);
    free(aggregator->ones);
    br_buffer_free(&aggregator->buffer);
    br_buffer_free(&aggregator->other_buffer);
    br_operator_free(op);
}

// The window bound first (G4), the other group columns in their order.
static void order_key(struct br_aggregator *aggregator) {
    const struct br_node *node = aggregator->op.node;
    uint32_t group_count = node->aggregate.group_count, k = 0;
    aggregator->key_columns = br_calloc(group_count + 1, sizeof *aggregator->key_columns);
    aggregator->key_fields = br_calloc(group_count + 1, sizeof *aggregator->key_fields);
    if (aggregator->window_field >= 0)
        aggregator->key_fields[k++] = (uint32_t)aggregator->window_field;
    for (uint32_t g = 0; g < group_count; g++)
        if ((int32_t)g != aggregator->window_field)
            aggregator->key_fields[k++] = g;
    for (k = 0; k < group_count; k++)
        aggregator->key_columns[k] = node->aggregate.group[aggregator->key_fields[k]];
}

static void plan_groups(struct br_aggregator *aggregator) {
    const struct br_node *node = aggregator->op.node;
    aggregator->fixed_size = sizeof(struct br_group);
    aggregator->global = node->aggregate.group_count == 0;
    aggregator->group_scales = br_calloc(node->aggregate.group_count + 1, sizeof *aggregator->group_scales);
    for (uint32_t g = 0; g < node->aggregate.group_count; g++) {
        if (node->fields[g].type != BR_NUMERIC)
            continue;
        aggregator->group_scales[g] = (struct br_tracker){aggregator->slots_size, BR_SCALE_SLOT};
        aggregator->slots_size += BR_SCALE_SLOT;
    }
    aggregator->window_field = node->aggregate.window_column;
    if (aggregator->window_field >= 0)
        aggregator->mark = node->inputs[0]->fields[node->aggregate.group[aggregator->window_field]].mark;
    aggregator->smallest_open = INT64_MAX;
    order_key(aggregator);
    aggregator->all_rows = br_calloc(BR_BATCH_ROWS, sizeof *aggregator->all_rows);
    aggregator->ones = br_calloc(BR_BATCH_ROWS, sizeof *aggregator->ones);
    for (uint32_t r = 0; r < BR_BATCH_ROWS; r++) {
        aggregator->all_rows[r] = r;
        aggregator->ones[r] = 1;
    }
}

static void plan_tail(struct br_aggregator *aggregator) {
    aggregator->in_tail = br_calloc(aggregator->accumulator_count + 1, sizeof *aggregator->in_tail);
    for (int texts = 0; texts <= 1; texts++)
        for (uint32_t a = 0; a < aggregator->accumulator_count; a++) {
            enum br_accumulator_form form = aggregator->accumulators[a].form;
            bool has_part =
                texts != 0 ? form == BR_FORM_TEXT_EXTREME : form == BR_FORM_DOUBLE || form == BR_FORM_DOUBLE_VARIANCE;
            if (has_part)
                aggregator->in_tail[aggregator->in_tail_count++] = a;
        }
}

static enum br_status plan(struct br_aggregator *aggregator, struct br_error *error) {
    const struct br_node *node = aggregator->op.node;
    plan_groups(aggregator);
    BR_TRY(br_operator_table(&aggregator->op, 0, "groups", &aggregator->groups, error));
    if (aggregator->window_field >= 0) {
        if (aggregator->mark.kind == BR_MARK_NONE)
            return br_error_set(error, BR_FATAL, "plan: node %u closes by a column without a window mark", node->id);
        BR_TRY(br_operator_table(&aggregator->op, 1, "closed rows", &aggregator->closed, error));
        br_windows_plan(aggregator);
    }
    aggregator->accumulator_count = node->aggregate.aggregate_count;
    aggregator->accumulators = br_calloc(aggregator->accumulator_count + 1, sizeof *aggregator->accumulators);
    for (uint32_t a = 0; a < aggregator->accumulator_count; a++)
        BR_TRY(br_accumulator_plan(aggregator, &aggregator->accumulators[a], &node->aggregate.aggregates[a],
                                   !node->inputs[0]->append_only, error));
    plan_tail(aggregator);
    return BR_OK;
}

static const struct br_operator_class aggregate_class = {"aggregate", push, end_epoch, scan, destroy};

enum br_status br_aggregate_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                                   struct br_error *error) {
    struct br_aggregator *aggregator = br_operator_alloc(graph, node, &aggregate_class, sizeof *aggregator);
    enum br_status status = plan(aggregator, error);
    if (status != BR_OK) {
        destroy(&aggregator->op);
        return status;
    }
    *ret = &aggregator->op;
    return BR_OK;
}
