// SPDX-License-Identifier: Apache-2.0
// Net changes: weighted rows gathered over an epoch become at most one change per key, in canonical order.
//
// Canonical order is that of the key bytes, then of the row bytes (row.h). Rows are compared as they are stored: 1.0
// and 1.00 are the same key and two different rows. Aggregates give -old +new in key order, so the sort mostly finds
// its work done, and the usual run of one key is one or two rows that need no row bytes.
#include "processor/operators/operator_internal.h"

struct netting {
    struct br_change_set *set;
    struct br_arena *arena;
    struct br_change *changes;
    size_t count;
    struct br_buffer encoded;
};

void br_change_set_free(struct br_change_set *set) {
    free(set->rows);
    set->rows = NULL;
    set->count = set->capacity = 0;
}

static void make_room(struct br_change_set *set, size_t extra) {
    if (set->capacity - set->count >= extra)
        return;
    while (set->capacity - set->count < extra)
        set->capacity = set->capacity == 0 ? BR_BATCH_ROWS : 2 * set->capacity;
    set->rows = br_realloc(set->rows, set->capacity * sizeof *set->rows);
}

void br_change_set_add(struct br_change_set *set, const struct br_batch *batch, struct br_arena *epoch_arena) {
    const struct br_batch *copy = br_batch_copy(batch, epoch_arena);
    struct br_slice *keys = br_arena_alloc(epoch_arena, batch->row_count * sizeof *keys);
    br_batch_keys(copy, set->key, set->key_count, epoch_arena, keys);
    make_room(set, batch->row_count);
    for (uint32_t r = 0; r < batch->row_count; r++)
        set->rows[set->count++] = (struct br_collected){copy, r, br_batch_weight(copy, r), keys[r]};
}

// --- one key's rows
static void add_change(struct netting *netting, const struct br_collected *row, int64_t net) {
    if (net == 0)
        return;
    struct br_change *change = &netting->changes[netting->count++];
    *change = (struct br_change){.key = row->key, .count = net < 0 ? -net : net};
    if (net < 0)
        change->old_batch = row->batch, change->old_row = row->row;
    else
        change->new_batch = row->batch, change->new_row = row->row;
}

static bool all_identical(const struct br_collected *rows, const struct br_sort_item *run, size_t count) {
    const struct br_collected *first = &rows[run[0].index];
    for (size_t i = 1; i < count; i++) {
        const struct br_collected *row = &rows[run[i].index];
        if (!br_rows_identical(first->batch, first->row, row->batch, row->row))
            return false;
    }
    return true;
}

// The run's rows sorted by their row bytes, so that identical rows stand together.
static struct br_sort_item *sort_by_row_bytes(struct netting *netting, const struct br_sort_item *run, size_t count) {
    struct br_sort_item *items = br_arena_alloc(netting->arena, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct br_collected *row = &netting->set->rows[run[i].index];
        br_buffer_clear(&netting->encoded);
        br_row_encode(row->batch, row->row, NULL, row->batch->column_count, &netting->encoded);
        struct br_slice bytes = br_arena_copy(netting->arena, br_buffer_slice(&netting->encoded));
        items[i] = (struct br_sort_item){.key = bytes, .index = run[i].index};
    }
    br_sort_items(items, count, netting->arena);
    return items;
}

// One change for each group of identical rows.
static void net_run(struct netting *netting, const struct br_sort_item *run, size_t count) {
    const struct br_collected *rows = netting->set->rows;
    if (all_identical(rows, run, count)) {
        int64_t net = 0;
        for (size_t i = 0; i < count; i++)
            net += rows[run[i].index].weight;
        add_change(netting, &rows[run[0].index], net);
        return;
    }
    const struct br_sort_item *items = sort_by_row_bytes(netting, run, count);
    for (size_t begin = 0, end; begin < count; begin = end) {
        int64_t net = 0;
        for (end = begin; end < count && br_slice_equal(items[begin].key, items[end].key); end++)
            net += rows[items[end].index].weight;
        add_change(netting, &rows[items[begin].index], net);
    }
}

// --- keyed relations: -old and +new of a key are one change
static enum br_status pair_run(struct netting *netting, size_t first, struct br_error *error) {
    struct br_change merged = {0};
    for (size_t i = first; i < netting->count; i++) {
        const struct br_change *change = &netting->changes[i];
        bool twice = change->count != 1 || (change->old_batch != NULL ? merged.old_batch : merged.new_batch) != NULL;
        if (twice)
            return br_error_set(error, BR_FATAL,
                                "view %s: two rows have the same key in one epoch, which its plan rules out: a fault "
                                "of the engine, or state of another pipeline",
                                netting->set->name);
        merged.key = change->key;
        if (change->old_batch != NULL)
            merged.old_batch = change->old_batch, merged.old_row = change->old_row;
        else
            merged.new_batch = change->new_batch, merged.new_row = change->new_row;
    }
    if (netting->count > first) {
        merged.count = 1;
        netting->changes[first] = merged;
        netting->count = first + 1;
    }
    return BR_OK;
}

// The usual run of a keyed relation: one row, or -old +new that differ.
static bool net_simple(struct netting *netting, const struct br_sort_item *run, size_t count) {
    const struct br_collected *a = &netting->set->rows[run[0].index];
    if (count == 1 && (a->weight == 1 || a->weight == -1)) {
        add_change(netting, a, a->weight);
        return true;
    }
    if (count != 2)
        return false;
    const struct br_collected *b = &netting->set->rows[run[1].index];
    if (a->weight != -1 || b->weight != 1)
        return false;
    if (!br_rows_identical(a->batch, a->row, b->batch, b->row))
        netting->changes[netting->count++] = (struct br_change){.key = a->key,
                                                                .old_batch = a->batch,
                                                                .old_row = a->row,
                                                                .new_batch = b->batch,
                                                                .new_row = b->row,
                                                                .count = 1};
    return true;
}

static enum br_status net_key(struct netting *netting, const struct br_sort_item *run, size_t count,
                              struct br_error *error) {
    if (!netting->set->keyed) {
        net_run(netting, run, count);
        return BR_OK;
    }
    if (net_simple(netting, run, count))
        return BR_OK;
    size_t first = netting->count;
    net_run(netting, run, count);
    return pair_run(netting, first, error);
}

enum br_status br_change_set_net(struct br_change_set *set, struct br_arena *epoch_arena,
                                 struct br_change **ret_changes, size_t *ret_count, struct br_error *error) {
    struct netting netting = {.set = set, .arena = epoch_arena};
    BR_CHECK(set->count <= UINT32_MAX);
    struct br_sort_item *items = br_arena_alloc(epoch_arena, set->count * sizeof *items);
    netting.changes = br_arena_alloc(epoch_arena, set->count * sizeof *netting.changes);
    for (size_t i = 0; i < set->count; i++)
        items[i] = (struct br_sort_item){.key = set->rows[i].key, .index = (uint32_t)i};
    br_sort_items(items, set->count, epoch_arena);
    enum br_status status = BR_OK;
    for (size_t begin = 0, end; begin < set->count && status == BR_OK; begin = end) {
        for (end = begin + 1; end < set->count && br_slice_equal(items[begin].key, items[end].key);)
            end++;
        status = net_key(&netting, items + begin, end - begin, error);
    }
    br_buffer_free(&netting.encoded);
    set->count = 0;
    *ret_changes = netting.changes;
    *ret_count = netting.count;
    return status;
}
