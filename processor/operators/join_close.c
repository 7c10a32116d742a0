// SPDX-License-Identifier: Apache-2.0
// A join lets go of rows that no open window needs (closing.h says which).
//
// State, beside the side's bags: an index (a table of its own), bound, epoch, number → join keys. Their bags are
// looked at when a watermark passes the bound.
//   value         bytes used (4), then varint length and bytes of each key; the rest is room
//   C1. Every bag is in the index, first with the bound of its first row. States that older builds wrote have no
//       index: it is made when the side is used for the first time.
//   C2. A bag that is looked at loses its rows of closed windows. What is left is looked at again half way between
//       the earliest and the latest window in it: a row is read few times, however many windows are open, and once
//       the latest has closed nothing is left.
//   C3. Which rows are gone already never shows: those of closed windows aren't met (N1), or nothing comes that could
//       meet them (N2). So an epoch does no more of it than a multiple of what it stores, and the next one goes on.
//   C4. A row that comes when its window has closed isn't stored; its retraction neither.
//   C5. Under the rules of version 0.1.0 all rows are kept and met.
#include "processor/operators/join_internal.h"
#include "state/keys.h"

#include <stdio.h>

// Bags and rows that an epoch may look at, whatever it stores; and for each row that it stores. A row is read twice or
// three times before it goes.
#define WORK_MIN 16384
#define WORK_TIMES 4
#define ROWS_AT_ONCE 16384
#define PLACE_SIZE_MAX 4096 // of a value of the index

// --- bounds
bool br_join_closed(const struct br_join *join, const struct br_join_side *side, int64_t *ret_last) {
    const struct br_epoch *epoch = join->op.graph->epoch;
    if (side->index == NULL || epoch->by_old_rules)
        return false;
    return br_closing_last(&side->closing, epoch->watermarks_before, ret_last);
}

static int64_t bound_of(const struct br_column *bounds, uint32_t row) {
    return br_column_is_null(bounds, row) ? INT64_MAX : ((const int64_t *)bounds->values)[row];
}

// bounds: of as many rows, in the operator's arena.
static enum br_status read_bounds(struct br_join *join, const struct br_join_side *side, const struct br_bag_rows *rows,
                                  int64_t **ret_bounds, struct br_error *error) {
    struct br_arena *arena = join->op.arena;
    bool *wanted = br_arena_array(arena, bool, side->stored_count);
    int64_t *bounds = *ret_bounds = br_arena_alloc(arena, rows->count * sizeof *bounds);
    uint32_t size = rows->count < BR_BATCH_ROWS ? (uint32_t)rows->count : BR_BATCH_ROWS;
    wanted[side->closing.column] = true;
    struct br_batch *batch = br_batch_sized(arena, side->types, wanted, side->stored_count, size);
    for (size_t i = 0; i < rows->count; i++) {
        uint32_t r = (uint32_t)(i % BR_BATCH_ROWS);
        BR_TRY(br_row_decode(rows->rows[i].bytes, batch, r, 0, side->stored_count, arena, false, error));
        bounds[i] = bound_of(&batch->columns[side->closing.column], r);
    }
    return BR_OK;
}

enum br_status br_join_drop_closed(struct br_join *join, const struct br_join_side *side, struct br_bag_rows *rows,
                                   struct br_error *error) {
    int64_t closed, *bounds;
    size_t kept = 0;
    if (!side->closing.ignored || rows->count == 0 || !br_join_closed(join, side, &closed))
        return BR_OK;
    BR_TRY(read_bounds(join, side, rows, &bounds, error));
    for (size_t i = 0; i < rows->count; i++)
        if (bounds[i] > closed)
            rows->rows[kept++] = rows->rows[i];
    rows->count = kept;
    return BR_OK;
}

// --- the index
static enum br_status malformed(const struct br_join *join, struct br_error *error) {
    return br_error_set(error, BR_FATAL, "damaged state: node %u has a malformed index of rows", join->op.node->id);
}

// The entry that takes keys of this bound in this epoch.
static enum br_status open_place(struct br_join *join, struct br_join_side *side, int64_t bound, size_t room,
                                 struct br_entry **ret, struct br_error *error) {
    struct br_buffer *key = &join->encoded;
    bool is_new;
    if (side->open != NULL && side->open_epoch == join->op.graph->epoch->number && side->open_bound == bound &&
        br_be32_get(side->open->value) + room <= PLACE_SIZE_MAX) {
        *ret = side->open;
        return BR_OK;
    }
    br_buffer_clear(key);
    br_key_append_int64(key, bound);
    uint8_t *at = br_buffer_reserve(key, 12);
    br_be64_put(at, join->op.graph->epoch->number);
    br_be32_put(at + 8, side->open_number++);
    key->len += 12;
    BR_TRY(br_state_obtain(side->index, br_buffer_slice(key), br_state_hash(br_buffer_slice(key)), 4, ret, &is_new,
                           error));
    side->open = *ret;
    side->open_epoch = join->op.graph->epoch->number;
    side->open_bound = bound;
    side->smallest = bound < side->smallest ? bound : side->smallest;
    return BR_OK;
}

static enum br_status put_place(struct br_join *join, struct br_join_side *side, struct br_slice key, int64_t bound,
                                struct br_error *error) {
    struct br_entry *entry = NULL;
    size_t room = BR_VARINT_SIZE_MAX + key.len;
    BR_TRY(open_place(join, side, bound, room, &entry, error));
    uint32_t used = br_be32_get(entry->value);
    if (4 + used + room > entry->value_len)
        br_entry_resize(side->index, entry, (uint32_t)(4 + 2 * used + room));
    br_entry_mark_dirty(side->index, entry);
    uint8_t *begin = entry->value + 4 + used, *at = begin + br_varint_put(begin, key.len);
    memcpy(at, key.ptr, key.len);
    br_be32_put(entry->value, used + (uint32_t)(at - begin) + (uint32_t)key.len);
    return BR_OK;
}

// C1, over a state that has none. Its bags are looked at as soon as any window closes.
static enum br_status index_all(struct br_join *join, struct br_join_side *side, struct br_error *error) {
    static const struct br_slice all;
    struct br_state_iterator *bags = NULL;
    struct br_slice key, value;
    struct br_buffer BR_CLEANUP(br_buffer_free) head = {0};
    BR_TRY(br_state_scan(side->rows, all, all, &bags, error));
    enum br_status status = BR_OK;
    while (status == BR_OK && br_state_iterator_next(bags, &key, &value)) {
        if (head.len != 0 && br_bag_is_chunk(key, br_buffer_slice(&head)))
            continue;
        br_buffer_clear(&head);
        br_buffer_append_slice(&head, key);
        status = put_place(join, side, key, INT64_MIN, error);
    }
    if (status == BR_OK)
        status = br_state_iterator_status(bags, error);
    br_state_iterator_destroy(&bags);
    return status;
}

// The index's first entry, copied into the operator's arena; key.len 0: there is none. Nothing is looked for below
// side->smallest, where the store may have many traces of entries that were deleted.
static enum br_status first_place(struct br_join *join, struct br_join_side *side, struct br_slice *ret_key,
                                  struct br_slice *ret_value, struct br_error *error) {
    static const struct br_slice none;
    struct br_state_iterator *index = NULL;
    struct br_slice key, value;
    *ret_key = *ret_value = none;
    br_buffer_clear(&join->encoded);
    br_key_append_int64(&join->encoded, side->smallest);
    side->smallest = INT64_MAX;
    BR_TRY(br_state_scan(side->index, br_buffer_slice(&join->encoded), none, &index, error));
    if (br_state_iterator_next(index, &key, &value)) {
        *ret_key = br_arena_copy(join->op.arena, key);
        *ret_value = br_arena_copy(join->op.arena, value);
    }
    enum br_status status = br_state_iterator_status(index, error);
    br_state_iterator_destroy(&index);
    bool damaged = ret_key->len != 0 && (ret_value->len < 4 || br_key_read_int64(*ret_key, &side->smallest) == 0);
    return status == BR_OK && damaged ? malformed(join, error) : status;
}

enum br_status br_join_need_index(struct br_join *join, struct br_join_side *side, struct br_error *error) {
    struct br_slice key, value;
    if (side->index == NULL || side->indexed)
        return BR_OK;
    side->smallest = INT64_MIN;
    BR_TRY(first_place(join, side, &key, &value, error));
    if (key.len == 0)
        BR_TRY(index_all(join, side, error));
    side->indexed = true;
    return BR_OK;
}

enum br_status br_join_note_bag(struct br_join *join, struct br_join_side *side, struct br_slice key,
                                const struct br_batch *batch, uint32_t row, struct br_error *error) {
    return put_place(join, side, key, bound_of(&batch->columns[side->closing.column], row), error);
}

// --- rows that come too late (C4)
enum br_status br_join_keeps(struct br_join *join, const struct br_join_side *side, const struct br_batch *batch,
                             const struct br_join_keys *keys, bool **ret_keeps, struct br_error *error) {
    const struct br_join_side *other = side == &join->sides[0] ? &join->sides[1] : &join->sides[0];
    int64_t closed;
    *ret_keeps = NULL;
    if (!br_join_closed(join, side, &closed))
        return BR_OK;
    bool *keeps = *ret_keeps = br_arena_alloc(join->op.arena, batch->row_count);
    for (uint32_t r = 0; r < batch->row_count; r++) {
        struct br_entry *partner = NULL;
        keeps[r] = bound_of(&batch->columns[side->closing.column], r) > closed;
        if (keeps[r] || !side->closing.read_back)
            continue;
        BR_TRY(br_state_find(other->rows, keys->keys[r], keys->hashes[r], &partner, error));
        keeps[r] = partner != NULL;
    }
    return BR_OK;
}

// --- letting go
struct place {
    struct br_slice *keys; // of bags
    uint64_t *hashes;
    size_t count;
};

static enum br_status read_place(struct br_join *join, struct br_slice value, struct place *place,
                                 struct br_error *error) {
    struct br_arena *arena = join->op.arena;
    uint32_t used = br_be32_get(value.ptr);
    const uint8_t *at = value.ptr + 4, *end = at + used;
    if (used > value.len - 4)
        return malformed(join, error);
    size_t room = used / 2 + 1; // a key takes two bytes or more
    *place = (struct place){.keys = br_arena_alloc(arena, room * sizeof *place->keys)};
    place->hashes = br_arena_alloc(arena, room * sizeof *place->hashes);
    while (at < end) {
        uint64_t len;
        size_t size = br_varint_get(at, end, &len);
        if (size == 0 || len == 0 || len > (uint64_t)(end - at) - size)
            return malformed(join, error);
        place->keys[place->count] = (struct br_slice){at + size, len};
        place->hashes[place->count] = br_state_hash(place->keys[place->count]);
        place->count++;
        at += size + len;
    }
    return BR_OK;
}

// They are loaded together, from the store too.
static enum br_status load_bags(struct br_join *join, uint32_t port, const struct place *place,
                                struct br_error *error) {
    const struct br_join_side *side = &join->sides[port], *other = &join->sides[1 - port];
    struct br_entry **loaded = br_arena_alloc(join->op.arena, place->count * sizeof(struct br_entry *));
    BR_TRY(br_state_find_many(side->rows, place->keys, place->hashes, place->count, loaded, error));
    if (!side->closing.read_back)
        return BR_OK;
    return br_state_find_many(other->rows, place->keys, place->hashes, place->count, loaded, error);
}

// What isn't closed stays; the bag is looked at again when some of that has closed.
static enum br_status keep_open(struct br_join *join, struct br_join_side *side, struct br_entry *bag,
                                const struct br_bag_row *rows, const int64_t *bounds, size_t count, int64_t closed,
                                struct br_error *error) {
    struct br_bag_rows kept = {.rows = br_arena_alloc(join->op.arena, count * sizeof *rows)};
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        if (bounds[i] <= closed)
            continue;
        kept.rows[kept.count++] = rows[i];
        first = bounds[i] < first ? bounds[i] : first;
        last = bounds[i] > last ? bounds[i] : last;
    }
    if (kept.count == 0)
        return br_bag_remove(side->rows, bag, join->op.arena, error);
    if (kept.count != count)
        BR_TRY(br_bag_write(side->rows, bag, &kept, join->op.arena, error));
    int64_t half_way = last - (int64_t)(((uint64_t)last - (uint64_t)first) / 2);
    BR_CHECK(half_way > closed);
    return put_place(join, side, (struct br_slice){bag->key, bag->key_len}, half_way, error);
}

// Bags whose rows are looked at together.
struct group {
    struct br_entry **bags;
    size_t *ends; // of their rows
    size_t count;
    struct br_bag_rows rows;
};

static enum br_status settle_group(struct br_join *join, struct br_join_side *side, struct group *group, int64_t closed,
                                   struct br_error *error) {
    int64_t *bounds;
    BR_TRY(read_bounds(join, side, &group->rows, &bounds, error));
    for (size_t b = 0, begin = 0; b < group->count; begin = group->ends[b++]) {
        group->bags[b]->touched = NULL;
        BR_TRY(keep_open(join, side, group->bags[b], group->rows.rows + begin, bounds + begin, group->ends[b] - begin,
                         closed, error));
    }
    group->count = group->rows.count = 0;
    return BR_OK;
}

// N1. A key may stand in the index twice.
static enum br_status drop_rows(struct br_join *join, struct br_join_side *side, const struct place *place,
                                int64_t closed, size_t *work, struct br_error *error) {
    struct br_arena *arena = join->op.arena;
    struct group group = {.bags = br_arena_alloc(arena, place->count * sizeof(struct br_entry *)),
                          .ends = br_arena_alloc(arena, place->count * sizeof(size_t))};
    for (size_t p = 0; p < place->count; p++) {
        struct br_entry *bag = NULL;
        // It may have gone with a group before.
        BR_TRY(br_state_find(side->rows, place->keys[p], place->hashes[p], &bag, error));
        if (bag == NULL || bag->touched == side)
            continue;
        bag->touched = side;
        size_t before = group.rows.count;
        BR_TRY(br_bag_read(side->rows, bag, arena, &group.rows, error));
        *work += group.rows.count - before;
        group.bags[group.count] = bag;
        group.ends[group.count++] = group.rows.count;
        if (group.rows.count >= ROWS_AT_ONCE)
            BR_TRY(settle_group(join, side, &group, closed, error));
    }
    return settle_group(join, side, &group, closed, error);
}

// N2. All rows of a bag have the bound in their key.
static enum br_status drop_bags(struct br_join *join, uint32_t port, const struct place *place,
                                struct br_error *error) {
    struct br_join_side *side = &join->sides[port];
    for (size_t p = 0; p < place->count; p++) {
        struct br_entry *bag = NULL, *partner = NULL;
        BR_TRY(br_state_find(side->rows, place->keys[p], place->hashes[p], &bag, error));
        if (bag != NULL && side->closing.read_back)
            BR_TRY(br_state_find(join->sides[1 - port].rows, place->keys[p], place->hashes[p], &partner, error));
        if (bag != NULL && partner == NULL)
            BR_TRY(br_bag_remove(side->rows, bag, join->op.arena, error));
    }
    return BR_OK;
}

static enum br_status look_at(struct br_join *join, uint32_t port, struct br_slice key, struct br_slice value,
                              int64_t closed, size_t *work, struct br_error *error) {
    struct br_join_side *side = &join->sides[port];
    struct place place = {0};
    side->open = NULL;
    BR_TRY(br_state_delete(side->index, key, error));
    BR_TRY(read_place(join, value, &place, error));
    BR_TRY(load_bags(join, port, &place, error));
    *work += place.count;
    return side->closing.ignored ? drop_rows(join, side, &place, closed, work, error)
                                 : drop_bags(join, port, &place, error);
}

static enum br_status close_side(struct br_join *join, uint32_t port, struct br_error *error) {
    struct br_join_side *side = &join->sides[port];
    const struct br_epoch *epoch = join->op.graph->epoch;
    int64_t closed;
    if (side->index == NULL || epoch->by_old_rules ||
        !br_closing_last(&side->closing, epoch->watermarks_after, &closed))
        return BR_OK;
    BR_TRY(br_join_need_index(join, side, error));
    size_t work = 0, most = WORK_MIN + WORK_TIMES * side->stored;
    side->stored = 0;
    while (side->smallest <= closed && work < most) {
        struct br_slice key, value;
        BR_TRY(first_place(join, side, &key, &value, error));
        if (key.len == 0 || side->smallest > closed)
            break;
        BR_TRY(look_at(join, port, key, value, closed, &work, error));
        br_arena_reset(join->op.arena);
    }
    br_arena_reset(join->op.arena);
    return BR_OK;
}

enum br_status br_join_close(struct br_operator *op, struct br_error *error) {
    struct br_join *join = (struct br_join *)op;
    for (uint32_t port = 0; port < 2; port++)
        BR_TRY(close_side(join, port, error));
    return BR_OK;
}

// --- making
void br_join_plan_closing(struct br_join *join) {
    const struct br_graph *graph = join->op.graph;
    for (uint32_t port = 0; port < 2 && graph->pipeline != NULL; port++) {
        struct br_join_side *side = &join->sides[port];
        struct br_closing closing = br_join_closing(graph->pipeline, join->op.node, port);
        uint16_t number = br_join_index_table(graph->pipeline, join->op.node, port);
        char name[64];
        if (!closing.closes || side->shared || number == 0)
            continue;
        snprintf(name, sizeof name, "join %u %s rows, by window", join->op.node->id, port == 0 ? "left" : "right");
        side->closing = closing;
        side->index = br_state_open_table(graph->state, number, name);
    }
}
