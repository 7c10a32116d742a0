// SPDX-License-Identifier: Apache-2.0
// Joins: inner and left outer, of changing inputs; and lookups.
//
// Each side's rows are kept under the join key; a change of one side meets the rows of the other at once:
// d(L x R) = dL x R + L x dR. Rows with a NULL in the key match nothing.
//   J1. A side that is an upsert table keyed by the join key, or some columns of it, is not stored again: the join
//   reads
//       the source's own rows. The source has taken the whole batch when it pushes it, so the rows read are always the
//       new ones; that is right as long as the same source does not reach both sides.
//   J2. Otherwise a side is stored as bags (bag.h), state table 0 left, 1 right.
//   J3. Left outer: a left row is given with NULLs while the weight of its matches is not positive. With a residual
//       condition the matches are counted per left row when the right side changes, else per key.
//   J4. A lookup join reads the right side as it was when the left row's message was stored (past.h), or as it is for a
//       row that comes of no one message: nothing of the left is stored, a change of the right gives nothing. The right
//       side is always the source's own rows (J1): that the left rows looked up the same table before doesn't matter.
//   J5. What no open window needs is let go (join_close.c).
// Rows given for a left row have its origin; rows given because the right side changed have none.
#include "processor/operators/join_internal.h"

// --- keys of a batch
static bool has_null(const struct br_batch *batch, const struct br_join_side *side, uint32_t row) {
    for (uint32_t k = 0; k < side->key_count; k++)
        if (br_column_is_null(&batch->columns[side->keys[k]], row))
            return true;
    return false;
}

static bool may_be_null(const struct br_batch *batch, const struct br_join_side *side) {
    for (uint32_t k = 0; k < side->key_count; k++)
        if (batch->columns[side->keys[k]].validity != NULL)
            return true;
    return false;
}

static void find_keys(struct br_join *join, const struct br_batch *batch, const struct br_join_side *side,
                      struct br_join_keys *keys) {
    struct br_arena *arena = join->op.arena;
    uint32_t count = batch->row_count;
    *keys = (struct br_join_keys){.count = count};
    keys->keys = br_arena_alloc(arena, count * sizeof *keys->keys);
    keys->hashes = br_arena_alloc(arena, count * sizeof *keys->hashes);
    br_batch_keys(batch, side->keys, side->key_count, arena, keys->keys);
    for (uint32_t r = 0; r < count; r++)
        keys->hashes[r] = br_state_hash(keys->keys[r]);
    if (!may_be_null(batch, side))
        return;
    keys->null = br_arena_alloc(arena, count);
    for (uint32_t r = 0; r < count; r++)
        keys->null[r] = has_null(batch, side, r);
}

static bool key_is_null(const struct br_join_keys *keys, uint32_t row) {
    return keys->null != NULL && keys->null[row];
}

// --- stored rows
static enum br_status find_stored(struct br_join *join, const struct br_join_side *side,
                                  const struct br_join_keys *keys, struct br_entry ***ret, struct br_error *error) {
    *ret = br_arena_alloc(join->op.arena, keys->count * sizeof(struct br_entry *));
    return br_state_find_many(side->rows, keys->keys, keys->hashes, keys->count, *ret, error);
}

static void hold_one(struct br_join *join, struct br_bag_rows *rows, struct br_slice row) {
    if (rows->capacity == 0) {
        rows->rows = br_arena_alloc(join->op.arena, sizeof *rows->rows);
        rows->capacity = 1;
    }
    rows->rows[0] = (struct br_bag_row){row, 1};
    rows->count = 1;
}

static enum br_status read_stored(struct br_join *join, const struct br_join_side *side, const struct br_entry *entry,
                                  struct br_bag_rows *rows, struct br_error *error) {
    rows->count = 0;
    if (entry == NULL)
        return BR_OK;
    if (!side->shared) {
        BR_TRY(br_bag_read(side->rows, entry, join->op.arena, rows, error));
        return side->index == NULL ? BR_OK : br_join_drop_closed(join, side, rows, error);
    }
    hold_one(join, rows, (struct br_slice){entry->value, entry->value_len});
    return BR_OK;
}

// What the left row finds of a lookup table.
static enum br_status read_found(struct br_join *join, const struct br_batch *batch, const struct br_join_keys *keys,
                                 uint32_t row, const struct br_entry *entry, struct br_bag_rows *rows,
                                 struct br_error *error) {
    const struct br_epoch *epoch = join->op.graph->epoch;
    struct br_slice earlier;
    if (join->past == NULL || !br_past_is_any(join->past, epoch) ||
        !br_past_find(join->past, epoch, keys->keys[row], keys->hashes[row], br_batch_origin(batch, row), &earlier))
        return read_stored(join, &join->sides[1], entry, rows, error);
    rows->count = 0;
    if (earlier.len != 0)
        hold_one(join, rows, earlier);
    return BR_OK;
}

struct storing {
    struct br_entry **entries; // by row; NULL for rows that are not stored
    struct br_entry **emptied;
    uint32_t emptied_count;
};

static enum br_status note_new_bags(struct br_join *join, struct br_join_side *side, const struct br_batch *batch,
                                    const struct br_slice *keys, const uint32_t *rows, const bool *is_new,
                                    uint32_t count, struct br_error *error) {
    for (uint32_t i = 0; i < count; i++)
        if (is_new[i])
            BR_TRY(br_join_note_bag(join, side, keys[i], batch, rows[i], error));
    return BR_OK;
}

static enum br_status obtain_bags(struct br_join *join, struct br_join_side *side, const struct br_batch *batch,
                                  const struct br_join_keys *keys, bool store_null, struct storing *storing,
                                  struct br_error *error) {
    struct br_arena *arena = join->op.arena;
    struct br_slice *wanted = br_arena_alloc(arena, keys->count * sizeof *wanted);
    uint64_t *hashes = br_arena_alloc(arena, keys->count * sizeof *hashes);
    uint32_t *rows = br_arena_alloc(arena, keys->count * sizeof *rows), count = 0;
    bool *keeps = NULL;
    if (side->index != NULL) {
        BR_TRY(br_join_need_index(join, side, error));
        BR_TRY(br_join_keeps(join, side, batch, keys, &keeps, error));
    }
    for (uint32_t r = 0; r < keys->count; r++) {
        if ((key_is_null(keys, r) && !store_null) || (keeps != NULL && !keeps[r]))
            continue;
        wanted[count] = keys->keys[r];
        hashes[count] = keys->hashes[r];
        rows[count++] = r;
    }
    struct br_entry **found = br_arena_alloc(arena, count * sizeof(struct br_entry *));
    bool *is_new = br_arena_alloc(arena, count);
    storing->entries = br_arena_array(arena, struct br_entry *, keys->count);
    storing->emptied = br_arena_alloc(arena, count * sizeof(struct br_entry *));
    storing->emptied_count = 0;
    BR_TRY(br_state_obtain_many(side->rows, wanted, hashes, count, BR_BAG_HEAD_SIZE, found, is_new, error));
    for (uint32_t i = 0; i < count; i++)
        storing->entries[rows[i]] = found[i];
    side->stored += count;
    return side->index == NULL ? BR_OK : note_new_bags(join, side, batch, wanted, rows, is_new, count, error);
}

static enum br_status add_to_bags(struct br_join *join, const struct br_join_side *side, const struct br_batch *batch,
                                  struct storing *storing, struct br_error *error) {
    for (uint32_t r = 0; r < batch->row_count; r++) {
        struct br_entry *entry = storing->entries[r];
        if (entry == NULL)
            continue;
        br_buffer_clear(&join->encoded);
        br_row_encode(batch, r, NULL, batch->column_count, &join->encoded);
        BR_TRY(br_bag_add(side->rows, entry, br_buffer_slice(&join->encoded), br_batch_weight(batch, r), join->op.arena,
                          error));
        if (!br_bag_is_empty(entry) || entry->touched == join)
            continue;
        entry->touched = join;
        storing->emptied[storing->emptied_count++] = entry;
    }
    return BR_OK;
}

static void drop_emptied(const struct br_join_side *side, struct storing *storing) {
    for (uint32_t i = 0; i < storing->emptied_count; i++) {
        struct br_entry *entry = storing->emptied[i];
        entry->touched = NULL;
        if (br_bag_is_empty(entry))
            br_entry_delete(side->rows, entry);
    }
}

static enum br_status store(struct br_join *join, struct br_join_side *side, const struct br_batch *batch,
                            const struct br_join_keys *keys, bool store_null, struct br_error *error) {
    struct storing storing;
    if (side->shared)
        return BR_OK;
    BR_TRY(obtain_bags(join, side, batch, keys, store_null, &storing, error));
    BR_TRY(add_to_bags(join, side, batch, &storing, error));
    drop_emptied(side, &storing);
    return BR_OK;
}

// --- left rows meet the right side
enum br_status br_join_probe_left(struct br_join *join, const struct br_batch *batch, const struct br_join_keys *keys,
                                  const struct br_output *output, struct br_error *error) {
    const struct br_join_side *right = &join->sides[1];
    struct br_entry **entries;
    struct br_bag_rows rows = {0};
    BR_TRY(find_stored(join, right, keys, &entries, error));
    struct br_pairs *pairs = br_pairs_begin(join, output, batch, 0);
    if (join->left_outer)
        pairs->matches = br_arena_array(join->op.arena, int64_t, batch->row_count);
    for (uint32_t r = 0; r < batch->row_count; r++) {
        if ((entries[r] == NULL && join->past == NULL) || key_is_null(keys, r))
            continue;
        int64_t weight = br_batch_weight(batch, r);
        BR_TRY(read_found(join, batch, keys, r, entries[r], &rows, error));
        for (size_t i = 0; i < rows.count; i++)
            BR_TRY(br_pairs_add(pairs, r, rows.rows[i].bytes, weight * rows.rows[i].weight, rows.rows[i].weight, r,
                                error));
    }
    BR_TRY(br_pairs_flush(pairs, error));
    if (!join->left_outer)
        return BR_OK;
    int64_t *matches = pairs->matches;
    pairs = br_pairs_begin(join, output, batch, 0);
    pairs->stored_null = true;
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (matches[r] <= 0)
            BR_TRY(br_pairs_add(pairs, r, (struct br_slice){0}, br_batch_weight(batch, r), 0, r, error));
    return br_pairs_flush(pairs, error);
}

static enum br_status push_left(struct br_join *join, const struct br_batch *batch, struct br_error *error) {
    struct br_join_keys keys;
    struct br_output output = br_operator_output(&join->op);
    find_keys(join, batch, &join->sides[0], &keys);
    BR_TRY(br_join_probe_left(join, batch, &keys, &output, error));
    if (join->lookup)
        return BR_OK;
    return store(join, &join->sides[0], batch, &keys, join->left_outer, error);
}

// --- right rows meet the left side
static enum br_status probe_right(struct br_join *join, const struct br_batch *batch, const struct br_join_keys *keys,
                                  struct br_error *error) {
    const struct br_join_side *left = &join->sides[0];
    struct br_output output = br_operator_output(&join->op);
    struct br_entry **entries;
    struct br_bag_rows rows = {0};
    BR_TRY(find_stored(join, left, keys, &entries, error));
    struct br_pairs *pairs = br_pairs_begin(join, &output, batch, 1);
    for (uint32_t r = 0; r < batch->row_count; r++) {
        if (entries[r] == NULL || key_is_null(keys, r))
            continue;
        int64_t weight = br_batch_weight(batch, r);
        BR_TRY(read_stored(join, left, entries[r], &rows, error));
        for (size_t i = 0; i < rows.count; i++)
            BR_TRY(br_pairs_add(pairs, r, rows.rows[i].bytes, weight * rows.rows[i].weight, 0, 0, error));
    }
    return br_pairs_flush(pairs, error);
}

// One join key of a batch of the right side, for left outer joins.
struct key_change {
    uint32_t row; // the first one of the key
    const struct br_sort_item *items;
    size_t item_count;
    struct br_bag_rows left;
    int64_t delta;                    // of the key's right weight
    int64_t *new_matches, *old_delta; // by left row, with a residual: weight of matches now; how much of it is new
};

static struct key_change *group_by_key(struct br_join *join, const struct br_batch *batch,
                                       const struct br_join_keys *keys, size_t *ret_count) {
    struct br_arena *arena = join->op.arena;
    struct br_sort_item *items = br_arena_alloc(arena, batch->row_count * sizeof *items);
    size_t item_count = 0, count = 0;
    for (uint32_t r = 0; r < batch->row_count; r++)
        if (!key_is_null(keys, r))
            items[item_count++] = (struct br_sort_item){.key = keys->keys[r], .index = r};
    br_sort_items(items, item_count, arena);
    struct key_change *changes = br_arena_array(arena, struct key_change, item_count);
    for (size_t begin = 0, end; begin < item_count; begin = end) {
        struct key_change *change = &changes[count++];
        change->row = items[begin].index;
        change->items = &items[begin];
        for (end = begin; end < item_count && br_slice_equal(items[begin].key, items[end].key); end++)
            change->delta += br_batch_weight(batch, items[end].index);
        change->item_count = end - begin;
    }
    *ret_count = count;
    return changes;
}

// L x dR for one key; with a residual, the new matches of each left row are counted on the way.
static enum br_status pair_key(struct br_join *join, const struct br_batch *batch, struct key_change *change,
                               const struct br_output *output, struct br_error *error) {
    struct br_pairs *pairs = br_pairs_begin(join, output, batch, 1);
    if (join->op.node->join.residual != NULL) {
        change->old_delta = br_arena_array(join->op.arena, int64_t, change->left.count);
        pairs->matches = change->old_delta;
    }
    for (size_t i = 0; i < change->item_count; i++) {
        uint32_t r = change->items[i].index;
        int64_t weight = br_batch_weight(batch, r);
        for (size_t l = 0; l < change->left.count; l++)
            BR_TRY(br_pairs_add(pairs, r, change->left.rows[l].bytes, weight * change->left.rows[l].weight, weight,
                                (uint32_t)l, error));
    }
    return br_pairs_flush(pairs, error);
}

// How much each left row of the key matches now, by the right side as it is after the batch.
static enum br_status count_matches(struct br_join *join, struct key_change *change, const struct br_bag_rows *right,
                                    struct br_error *error) {
    change->new_matches = br_arena_array(join->op.arena, int64_t, change->left.count);
    struct br_output nowhere = {0};
    struct br_pairs *pairs = br_pairs_begin(join, &nowhere, NULL, 1);
    pairs->matches = change->new_matches;
    for (size_t l = 0; l < change->left.count; l++)
        for (size_t i = 0; i < right->count; i++)
            BR_TRY(br_pairs_add_stored(pairs, change->left.rows[l].bytes, right->rows[i].bytes, right->rows[i].weight,
                                       (uint32_t)l, error));
    return br_pairs_flush(pairs, error);
}

// Left rows whose match has come or gone: their rows with NULLs go or come.
static enum br_status give_transitions(struct br_join *join, const struct key_change *change, int64_t key_weight,
                                       const struct br_output *output, struct br_error *error) {
    struct br_pairs *pairs = br_pairs_begin(join, output, NULL, 1);
    for (size_t l = 0; l < change->left.count; l++) {
        bool by_row = change->new_matches != NULL;
        int64_t now = by_row ? change->new_matches[l] : key_weight;
        int64_t before = now - (by_row ? change->old_delta[l] : change->delta);
        if ((now > 0) == (before > 0))
            continue;
        int64_t weight = change->left.rows[l].weight;
        BR_TRY(br_pairs_add(pairs, 0, change->left.rows[l].bytes, now > 0 ? -weight : weight, 0, 0, error));
    }
    return br_pairs_flush(pairs, error);
}

static enum br_status settle_key(struct br_join *join, struct key_change *change, const struct br_entry *right_entry,
                                 const struct br_output *output, struct br_error *error) {
    const struct br_join_side *right = &join->sides[1];
    int64_t key_weight = right_entry == NULL ? 0 : right->shared ? 1 : br_bag_total(right_entry);
    if (join->op.node->join.residual != NULL) {
        struct br_bag_rows rows = {0};
        BR_TRY(read_stored(join, right, right_entry, &rows, error));
        BR_TRY(count_matches(join, change, &rows, error));
    }
    return give_transitions(join, change, key_weight, output, error);
}

static enum br_status push_right_outer(struct br_join *join, const struct br_batch *batch,
                                       const struct br_join_keys *keys, struct br_error *error) {
    const struct br_join_side *left = &join->sides[0];
    struct br_join_side *right = &join->sides[1];
    struct br_output output = br_operator_output(&join->op);
    struct br_entry **left_entries, **right_entries;
    struct storing storing = {0};
    size_t count;
    BR_TRY(find_stored(join, left, keys, &left_entries, error));
    struct key_change *changes = group_by_key(join, batch, keys, &count);
    for (size_t c = 0; c < count; c++) {
        BR_TRY(read_stored(join, left, left_entries[changes[c].row], &changes[c].left, error));
        BR_TRY(pair_key(join, batch, &changes[c], &output, error));
    }
    if (right->shared) {
        BR_TRY(find_stored(join, right, keys, &right_entries, error));
    } else {
        BR_TRY(obtain_bags(join, right, batch, keys, false, &storing, error));
        BR_TRY(add_to_bags(join, right, batch, &storing, error));
        right_entries = storing.entries;
    }
    for (size_t c = 0; c < count; c++)
        BR_TRY(settle_key(join, &changes[c], right_entries[changes[c].row], &output, error));
    drop_emptied(right, &storing);
    return BR_OK;
}

static enum br_status push_right(struct br_join *join, const struct br_batch *batch, struct br_error *error) {
    struct br_join_keys keys;
    if (join->lookup)
        return BR_OK;
    find_keys(join, batch, &join->sides[1], &keys);
    if (join->left_outer)
        return push_right_outer(join, batch, &keys, error);
    BR_TRY(probe_right(join, batch, &keys, error));
    return store(join, &join->sides[1], batch, &keys, false, error);
}

static enum br_status push(struct br_operator *op, uint32_t port, const struct br_batch *batch,
                           struct br_error *error) {
    struct br_join *join = (struct br_join *)op;
    enum br_status status = port == 0 ? push_left(join, batch, error) : push_right(join, batch, error);
    br_arena_reset(op->arena);
    return status;
}

struct br_column *br_join_choose(const struct br_join_side *side, struct br_column *stored, struct br_arena *arena) {
    if (side->choice == NULL)
        return stored;
    struct br_column *chosen = br_arena_alloc(arena, side->column_count * sizeof *chosen);
    for (uint32_t c = 0; c < side->column_count; c++)
        chosen[c] = stored[side->choice[c]];
    return chosen;
}

// --- reading back: the left rows meet the right side again
struct rejoining {
    struct br_join *join;
    struct br_output output;
    struct br_batch *batch;
    struct br_arena *arena; // of the batch
};

static enum br_status rejoin_batch(struct rejoining *rejoining, struct br_error *error) {
    struct br_join *join = rejoining->join;
    struct br_join_keys keys;
    if (rejoining->batch == NULL || rejoining->batch->row_count == 0)
        return BR_OK;
    const struct br_join_side *left = &join->sides[0];
    struct br_batch batch = *rejoining->batch;
    batch.columns = br_join_choose(left, batch.columns, rejoining->arena);
    batch.column_count = left->column_count;
    BR_TRY(br_operator_look(&join->op, error));
    find_keys(join, &batch, left, &keys);
    enum br_status status = br_join_probe_left(join, &batch, &keys, &rejoining->output, error);
    br_arena_reset(join->op.arena);
    br_arena_reset(rejoining->arena);
    rejoining->batch = NULL;
    return status;
}

static enum br_status rejoin_row(struct rejoining *rejoining, struct br_slice bytes, int64_t weight,
                                 struct br_error *error) {
    const struct br_join_side *left = &rejoining->join->sides[0];
    struct br_arena *arena = rejoining->arena;
    if (rejoining->batch == NULL) {
        rejoining->batch = br_batch_sized(arena, left->types, left->wanted, left->stored_count, BR_BATCH_ROWS);
        br_batch_need_weights(rejoining->batch, arena);
    }
    struct br_batch *batch = rejoining->batch;
    BR_TRY(br_row_decode(bytes, batch, batch->row_count, 0, left->stored_count, arena, true, error));
    BR_CHECK(weight <= INT32_MAX && weight >= INT32_MIN);
    batch->weights[batch->row_count++] = (int32_t)weight;
    return batch->row_count == BR_BATCH_ROWS ? rejoin_batch(rejoining, error) : BR_OK;
}

static enum br_status rejoin_bag(struct rejoining *rejoining, struct br_bag_rows *rows, struct br_arena *arena,
                                 struct br_error *error) {
    br_bag_consolidate(rows, arena);
    for (size_t i = 0; i < rows->count; i++)
        BR_TRY(rejoin_row(rejoining, rows->rows[i].bytes, rows->rows[i].weight, error));
    rows->count = rows->capacity = 0;
    br_arena_reset(arena);
    return BR_OK;
}

// Bags come as a head and its chunks, one after the other.
static enum br_status rejoin_bags(struct rejoining *rejoining, struct br_state_iterator *stored, struct br_arena *arena,
                                  struct br_error *error) {
    struct br_slice key, value, head = {0};
    struct br_bag_rows rows = {0};
    while (br_state_iterator_next(stored, &key, &value)) {
        bool is_chunk = head.len != 0 && br_bag_is_chunk(key, head);
        if (!is_chunk) {
            BR_TRY(rejoin_bag(rejoining, &rows, arena, error));
            head = br_arena_copy(arena, key);
        }
        BR_TRY(br_bag_read_value(br_arena_copy(arena, value), !is_chunk, arena, &rows, error));
    }
    BR_TRY(rejoin_bag(rejoining, &rows, arena, error));
    return br_state_iterator_status(stored, error);
}

static enum br_status rejoin_rows(struct rejoining *rejoining, struct br_state_iterator *stored,
                                  struct br_error *error) {
    struct br_slice key, value;
    while (br_state_iterator_next(stored, &key, &value))
        BR_TRY(rejoin_row(rejoining, value, 1, error));
    return br_state_iterator_status(stored, error);
}

// Which left rows can give rows with these values: by the join's keys, which both sides have.
static struct br_key_range left_range(const struct br_join *join, const struct br_value *const *equal,
                                      struct br_arena *arena) {
    const struct br_join_side *left = &join->sides[0];
    struct br_key_range range = {0};
    if (equal == NULL)
        return range;
    const struct br_value **known = br_arena_array(arena, const struct br_value *, left->column_count + 1);
    for (uint32_t k = 0; k < left->key_count; k++) {
        const struct br_value *of_right = equal[left->column_count + join->sides[1].keys[k]];
        known[left->keys[k]] = equal[left->keys[k]] != NULL ? equal[left->keys[k]] : of_right;
    }
    (void)br_key_range_of(known, left->keys, left->key_count, arena, &range);
    return range;
}

static enum br_status scan(struct br_operator *op, const struct br_value *const *equal, br_graph_each each,
                           void *context, struct br_error *error) {
    struct br_join *join = (struct br_join *)op;
    if (join->lookup)
        return br_error_set(error, BR_DATA,
                            "keeps no rows: it joins rows with a lookup table as they pass. Read its output stream "
                            "instead (braid tail), or query a view that aggregates it");
    struct br_arena *bag_arena = br_arena_create();
    struct rejoining rejoining = {join, {each, context, false}, NULL, br_arena_create()};
    struct br_state_iterator *stored = NULL;
    struct br_key_range range = left_range(join, equal, rejoining.arena);
    enum br_status status = br_state_scan(join->sides[0].rows, range.first, range.last, &stored, error);
    if (status == BR_OK)
        status = join->sides[0].shared ? rejoin_rows(&rejoining, stored, error)
                                       : rejoin_bags(&rejoining, stored, bag_arena, error);
    if (status == BR_OK)
        status = rejoin_batch(&rejoining, error);
    br_state_iterator_destroy(&stored);
    br_arena_destroy(&bag_arena);
    br_arena_destroy(&rejoining.arena);
    return status;
}

// --- making
static bool has_table(const struct br_node *from, const struct br_table *table) {
    if (from->kind == BR_NODE_SOURCE)
        return from->source.table == table;
    for (uint32_t i = 0; i < from->input_count; i++)
        if (has_table(from->inputs[i], table))
            return true;
    return false;
}

// The upsert source that an input is, or whose columns it chooses; choice[f] is the source's column of the input's
// field.
static const struct br_node *chosen_source(struct br_join *join, const struct br_node *input, uint32_t *choice) {
    for (uint32_t f = 0; f < input->field_count; f++)
        choice[f] = f;
    const struct br_node *node = input;
    for (; node->kind == BR_NODE_PROJECT; node = node->inputs[0]) {
        for (uint32_t f = 0; f < input->field_count; f++) {
            const struct br_expr *expr = node->project.exprs[choice[f]];
            if (expr->kind != BR_EXPR_COLUMN)
                return NULL;
            choice[f] = expr->column;
        }
    }
    bool upsert = node->kind == BR_NODE_SOURCE && br_source_rows(join->op.graph->operators[node->id]) != NULL;
    return upsert ? node : NULL;
}

// The join keys in the order of the table's primary key, when they are its columns (J1); false when they are not.
static bool order_as_primary_key(const struct br_table *table, const uint32_t *keys, const uint32_t *choice,
                                 uint32_t key_count, uint32_t *ret_order) {
    if (table->primary_key_count != key_count)
        return false;
    for (uint32_t p = 0; p < key_count; p++) {
        uint32_t k = 0;
        while (k < key_count && choice[keys[k]] != table->primary_key[p])
            k++;
        if (k == key_count)
            return false;
        ret_order[p] = k;
    }
    return true;
}

static void share_rows(struct br_join *join, uint32_t port, const struct br_node *source, uint32_t *choice) {
    struct br_join_side *side = &join->sides[port];
    struct br_arena *arena = join->op.graph->arena;
    const struct br_node *input = join->op.node->inputs[port];
    side->shared = true;
    side->rows = br_source_rows(join->op.graph->operators[source->id]);
    side->stored_count = source->field_count;
    side->types = join->op.graph->operators[source->id]->types;
    side->wanted = source->source.table->used;
    if (source == input)
        return;
    bool *wanted = br_arena_array(arena, bool, source->field_count);
    for (uint32_t f = 0; f < input->field_count; f++)
        wanted[choice[f]] = source->source.table->used[choice[f]];
    side->wanted = wanted;
    side->choice = choice;
}

static void share_source(struct br_join *join, uint32_t port, const uint32_t *keys, uint32_t *order, bool *ordered) {
    const struct br_node *node = join->op.node, *other = node->inputs[1 - port];
    uint32_t wanted[BR_JOIN_KEYS_MAX];
    uint32_t *choice = br_arena_array(join->op.graph->arena, uint32_t, node->inputs[port]->field_count);
    const struct br_node *source = chosen_source(join, node->inputs[port], choice);
    if (source == NULL || (!join->lookup && has_table(other, source->source.table)))
        return;
    if (!order_as_primary_key(source->source.table, keys, choice, node->join.key_count, wanted))
        return;
    if (*ordered && memcmp(order, wanted, node->join.key_count * sizeof *wanted) != 0)
        return;
    memcpy(order, wanted, node->join.key_count * sizeof *wanted);
    *ordered = true;
    share_rows(join, port, source, choice);
    if (join->lookup)
        join->past = br_source_keep_past(join->op.graph->operators[source->id]);
}

static enum br_status plan_side(struct br_join *join, uint32_t port, const uint32_t *keys, const uint32_t *order,
                                struct br_error *error) {
    const struct br_node *input = join->op.node->inputs[port];
    struct br_join_side *side = &join->sides[port];
    struct br_arena *arena = join->op.graph->arena;
    side->column_count = input->field_count;
    side->key_count = join->op.node->join.key_count;
    side->keys = br_arena_array(arena, uint32_t, side->key_count);
    for (uint32_t k = 0; k < side->key_count; k++)
        side->keys[k] = keys[order[k]];
    if (side->shared)
        return BR_OK;
    side->stored_count = input->field_count;
    side->types = br_arena_array(arena, enum br_type, input->field_count);
    for (uint32_t f = 0; f < input->field_count; f++)
        side->types[f] = input->fields[f].type;
    side->wanted = input->kind == BR_NODE_SOURCE ? input->source.table->used : NULL;
    if (port == 0 && join->lookup)
        return BR_OK;
    return br_operator_table(&join->op, (uint16_t)port, port == 0 ? "left rows" : "right rows", &side->rows, error);
}

static enum br_status plan(struct br_join *join, struct br_error *error) {
    const struct br_node *node = join->op.node;
    uint32_t order[BR_JOIN_KEYS_MAX];
    bool ordered = false;
    if (node->join.key_count == 0 || node->join.key_count > BR_JOIN_KEYS_MAX)
        return br_error_set(error, BR_FATAL, "plan: node %u joins on %u columns; between 1 and %d can be", node->id,
                            node->join.key_count, BR_JOIN_KEYS_MAX);
    join->left_outer = node->join.left_outer;
    join->lookup = node->join.lookup;
    for (uint32_t k = 0; k < node->join.key_count; k++)
        order[k] = k;
    share_source(join, 1, node->join.right_keys, order, &ordered);
    if (join->lookup && !join->sides[1].shared)
        return br_error_set(error, BR_FATAL, "plan: node %u looks up a table by other columns than its primary key",
                            node->id);
    if (!join->lookup)
        share_source(join, 0, node->join.left_keys, order, &ordered);
    BR_TRY(plan_side(join, 0, node->join.left_keys, order, error));
    BR_TRY(plan_side(join, 1, node->join.right_keys, order, error));
    br_join_plan_closing(join);
    br_pairs_prepare(join);
    return BR_OK;
}

static void destroy(struct br_operator *op) {
    struct br_join *join = (struct br_join *)op;
    br_arena_destroy(&join->pair_arena);
    br_buffer_free(&join->encoded);
    br_operator_free(op);
}

static const struct br_operator_class join_class = {"join", push, br_join_close, scan, destroy};

enum br_status br_join_create(struct br_graph *graph, const struct br_node *node, struct br_operator **ret,
                              struct br_error *error) {
    struct br_join *join = br_operator_alloc(graph, node, &join_class, sizeof *join);
    join->pair_arena = br_arena_create();
    enum br_status status = plan(join, error);
    if (status != BR_OK) {
        destroy(&join->op);
        return status;
    }
    *ret = &join->op;
    return BR_OK;
}
