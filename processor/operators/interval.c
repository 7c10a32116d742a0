// SPDX-License-Identifier: Apache-2.0
// Changes of a view held back for its emit_interval: published as net changes in the first epoch whose clock reading is
// at or past the last publication + interval.
//
// State (one table, 65534 - view index): "t" → the clock reading of the last publication, 8 bytes big-endian; "p" + key
// bytes (+ row bytes for a view without key) → what is pending:
//   keyed     flags (1: published row, 2: current row), varint length of the published row, its bytes, current row's
//   multiset  zigzag varint net count, row bytes
// A pending entry whose two sides have become equal is dropped when it is published. All of it comes back after a
// restart; clock readings are part of the commits, so a replay holds and publishes the same.
#include "processor/operators/operator_internal.h"

#include <stdio.h>

enum { HAS_PUBLISHED = 1, HAS_CURRENT = 2 };

struct br_interval_gate {
    const struct br_view *view;
    struct br_state_table *table;
    enum br_type *types;
    uint32_t column_count;
    bool keyed, known; // known: the two below were read from state
    bool pending, published;
    int64_t last_us;
    struct br_buffer key, value, row;
};

struct pending {
    struct br_slice published, current; // ptr NULL: no such row
};

static const struct br_slice last_key = {(const uint8_t *)"t", 1}, pending_begin = {(const uint8_t *)"p", 1},
                             pending_end = {(const uint8_t *)"q", 1};

enum br_status br_interval_gate_create(struct br_state *state, const struct br_view *view,
                                       struct br_interval_gate **ret, struct br_error *error) {
    (void)error;
    struct br_interval_gate *gate = br_calloc(1, sizeof *gate);
    char name[80];
    snprintf(name, sizeof name, "view %u pending", view->index);
    gate->view = view;
    gate->keyed = view->root->has_key;
    gate->table = br_state_open_table(state, (uint16_t)(BR_VIEW_TABLE_MAX - view->index), name);
    gate->column_count = view->root->field_count;
    gate->types = br_calloc(gate->column_count + 1, sizeof *gate->types);
    for (uint32_t c = 0; c < gate->column_count; c++)
        gate->types[c] = view->root->fields[c].type;
    *ret = gate;
    return BR_OK;
}

void br_interval_gate_destroy(struct br_interval_gate **gate_ptr) {
    struct br_interval_gate *gate = *gate_ptr;
    if (gate == NULL)
        return;
    br_buffer_free(&gate->key);
    br_buffer_free(&gate->value);
    br_buffer_free(&gate->row);
    free(gate->types);
    free(gate);
    *gate_ptr = NULL;
}

static enum br_status read_state(struct br_interval_gate *gate, struct br_error *error) {
    if (gate->known)
        return BR_OK;
    struct br_entry *entry = NULL;
    BR_TRY(br_state_find(gate->table, last_key, br_state_hash(last_key), &entry, error));
    gate->published = entry != NULL;
    if (entry != NULL && entry->value_len != 8)
        return br_error_set(error, BR_FATAL, "state of view %s: time of the last publication has %u bytes, not 8",
                            gate->view->name, entry->value_len);
    if (entry != NULL)
        gate->last_us = (int64_t)br_be64_get(entry->value);
    struct br_state_iterator *iterator = NULL;
    BR_TRY(br_state_scan(gate->table, pending_begin, pending_end, &iterator, error));
    struct br_slice key, value;
    gate->pending = br_state_iterator_next(iterator, &key, &value);
    enum br_status status = br_state_iterator_status(iterator, error);
    br_state_iterator_destroy(&iterator);
    gate->known = status == BR_OK;
    return status;
}

static enum br_status corrupt(const struct br_interval_gate *gate, struct br_error *error) {
    return br_error_set(error, BR_FATAL, "state of view %s: a pending change is malformed", gate->view->name);
}

static struct br_slice encode_row(struct br_interval_gate *gate, const struct br_batch *batch, uint32_t row) {
    br_buffer_clear(&gate->row);
    br_row_encode(batch, row, NULL, gate->column_count, &gate->row);
    return br_buffer_slice(&gate->row);
}

// --- keyed
static bool read_pending(struct br_slice value, struct pending *ret) {
    if (value.len < 2)
        return false;
    uint8_t flags = value.ptr[0];
    uint64_t len;
    size_t size = br_varint_get(value.ptr + 1, value.ptr + value.len, &len);
    if (size == 0 || len > value.len - 1 - size)
        return false;
    const uint8_t *at = value.ptr + 1 + size;
    *ret = (struct pending){0};
    if ((flags & HAS_PUBLISHED) != 0)
        ret->published = (struct br_slice){at, len};
    if ((flags & HAS_CURRENT) != 0)
        ret->current = (struct br_slice){at + len, value.len - 1 - size - len};
    return true;
}

static void begin_key(struct br_interval_gate *gate, struct br_slice key) {
    br_buffer_clear(&gate->key);
    br_buffer_append_byte(&gate->key, 'p');
    br_buffer_append_slice(&gate->key, key);
}

// The first held change of a key tells what was published; later ones only what is current.
static enum br_status hold_keyed(struct br_interval_gate *gate, const struct br_change *change,
                                 struct br_error *error) {
    begin_key(gate, change->key);
    struct br_slice key = br_buffer_slice(&gate->key);
    struct br_entry *entry = NULL;
    BR_TRY(br_state_find(gate->table, key, br_state_hash(key), &entry, error));
    struct pending pending = {0};
    if (entry != NULL && !read_pending((struct br_slice){entry->value, entry->value_len}, &pending))
        return corrupt(gate, error);
    if (entry == NULL && change->old_batch != NULL)
        pending.published = encode_row(gate, change->old_batch, change->old_row);
    uint8_t flags =
        (uint8_t)((pending.published.ptr != NULL ? HAS_PUBLISHED : 0) | (change->new_batch != NULL ? HAS_CURRENT : 0));
    br_buffer_clear(&gate->value);
    br_buffer_append_byte(&gate->value, flags);
    br_buffer_append_varint(&gate->value, pending.published.len);
    br_buffer_append_slice(&gate->value, pending.published);
    if (change->new_batch != NULL)
        br_buffer_append_slice(&gate->value, encode_row(gate, change->new_batch, change->new_row));
    return br_state_put(gate->table, key, br_buffer_slice(&gate->value), error);
}

// --- multiset
static enum br_status hold_counted(struct br_interval_gate *gate, const struct br_change *change,
                                   struct br_error *error) {
    bool comes = change->new_batch != NULL;
    struct br_slice row = comes ? encode_row(gate, change->new_batch, change->new_row)
                                : encode_row(gate, change->old_batch, change->old_row);
    int64_t net = comes ? change->count : -change->count;
    begin_key(gate, change->key);
    br_buffer_append_slice(&gate->key, row);
    struct br_slice key = br_buffer_slice(&gate->key);
    struct br_entry *entry = NULL;
    BR_TRY(br_state_find(gate->table, key, br_state_hash(key), &entry, error));
    if (entry != NULL) {
        uint64_t held;
        if (br_varint_get(entry->value, entry->value + entry->value_len, &held) == 0)
            return corrupt(gate, error);
        net += br_unzigzag(held);
    }
    if (net == 0)
        return br_state_delete(gate->table, key, error);
    br_buffer_clear(&gate->value);
    br_buffer_append_varint(&gate->value, br_zigzag(net));
    br_buffer_append_slice(&gate->value, row);
    return br_state_put(gate->table, key, br_buffer_slice(&gate->value), error);
}

static enum br_status hold(struct br_interval_gate *gate, const struct br_change *changes, size_t count,
                           struct br_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (gate->keyed)
            BR_TRY(hold_keyed(gate, &changes[i], error));
        else
            BR_TRY(hold_counted(gate, &changes[i], error));
    }
    gate->pending = gate->pending || count != 0;
    return BR_OK;
}

// --- publishing
struct publishing {
    struct br_interval_gate *gate;
    struct br_arena *arena;
    struct br_batch *batch; // being filled with rows
    struct br_change *changes;
    size_t count, capacity;
};

static enum br_status publish_row(struct publishing *publishing, struct br_slice bytes, const struct br_batch **batch,
                                  uint32_t *row, struct br_error *error) {
    struct br_interval_gate *gate = publishing->gate;
    if (publishing->batch == NULL || publishing->batch->row_count == BR_BATCH_ROWS)
        publishing->batch = br_batch_create(publishing->arena, gate->types, NULL, gate->column_count);
    struct br_batch *target = publishing->batch;
    BR_TRY(br_row_decode(bytes, target, target->row_count, 0, gate->column_count, publishing->arena, true, error));
    *batch = target;
    *row = target->row_count++;
    return BR_OK;
}

static struct br_change *add_change(struct publishing *publishing, struct br_slice key) {
    if (publishing->count == publishing->capacity) {
        size_t capacity = publishing->capacity == 0 ? 64 : 2 * publishing->capacity;
        struct br_change *changes = br_arena_alloc(publishing->arena, capacity * sizeof *changes);
        if (publishing->count != 0)
            memcpy(changes, publishing->changes, publishing->count * sizeof *changes);
        publishing->changes = changes;
        publishing->capacity = capacity;
    }
    struct br_change *change = &publishing->changes[publishing->count++];
    *change = (struct br_change){.key = br_arena_copy(publishing->arena, key), .count = 1};
    return change;
}

static enum br_status publish_keyed(struct publishing *publishing, struct br_slice key, struct br_slice value,
                                    struct br_error *error) {
    struct pending pending;
    if (!read_pending(value, &pending))
        return corrupt(publishing->gate, error);
    bool unchanged = (pending.published.ptr == NULL) == (pending.current.ptr == NULL) &&
                     br_slice_equal(pending.published, pending.current);
    if (unchanged)
        return BR_OK;
    struct br_change *change = add_change(publishing, key);
    if (pending.published.ptr != NULL)
        BR_TRY(publish_row(publishing, pending.published, &change->old_batch, &change->old_row, error));
    if (pending.current.ptr != NULL)
        BR_TRY(publish_row(publishing, pending.current, &change->new_batch, &change->new_row, error));
    return BR_OK;
}

static enum br_status publish_counted(struct publishing *publishing, struct br_slice key, struct br_slice value,
                                      struct br_error *error) {
    uint64_t held;
    size_t size = br_varint_get(value.ptr, value.ptr + value.len, &held);
    if (size == 0 || value.len - size > key.len)
        return corrupt(publishing->gate, error);
    struct br_slice row = {value.ptr + size, value.len - size};
    int64_t net = br_unzigzag(held);
    struct br_change *change = add_change(publishing, (struct br_slice){key.ptr, key.len - row.len});
    change->count = net < 0 ? -net : net;
    if (net < 0)
        return publish_row(publishing, row, &change->old_batch, &change->old_row, error);
    return publish_row(publishing, row, &change->new_batch, &change->new_row, error);
}

static enum br_status publish_all(struct publishing *publishing, struct br_state_iterator *iterator,
                                  struct br_error *error) {
    struct br_slice key, value;
    while (br_state_iterator_next(iterator, &key, &value)) {
        struct br_slice bare = {key.ptr + 1, key.len - 1};
        if (publishing->gate->keyed)
            BR_TRY(publish_keyed(publishing, bare, value, error));
        else
            BR_TRY(publish_counted(publishing, bare, value, error));
    }
    return br_state_iterator_status(iterator, error);
}

enum br_status br_interval_gate_held(struct br_interval_gate *gate, struct br_arena *arena,
                                     struct br_change **ret_changes, size_t *ret_count, struct br_error *error) {
    struct publishing publishing = {.gate = gate, .arena = arena};
    struct br_state_iterator *iterator = NULL;
    BR_TRY(br_state_scan(gate->table, pending_begin, pending_end, &iterator, error));
    enum br_status status = publish_all(&publishing, iterator, error);
    br_state_iterator_destroy(&iterator);
    if (status != BR_OK)
        return status;
    *ret_changes = publishing.changes;
    *ret_count = publishing.count;
    return BR_OK;
}

enum br_status br_interval_gate_forget(struct br_interval_gate *gate, struct br_error *error) {
    gate->known = gate->known && !gate->pending; // whatever is there is looked at again
    gate->pending = false;
    return br_state_delete_range(gate->table, pending_begin, pending_end, error);
}

static enum br_status publish(struct br_interval_gate *gate, const struct br_epoch *epoch,
                              struct br_change **ret_changes, size_t *ret_count, struct br_error *error) {
    BR_TRY(br_interval_gate_held(gate, epoch->arena, ret_changes, ret_count, error));
    BR_TRY(br_state_delete_range(gate->table, pending_begin, pending_end, error));
    gate->pending = false;
    return BR_OK;
}

static enum br_status note_publication(struct br_interval_gate *gate, int64_t now_us, struct br_error *error) {
    uint8_t bytes[8];
    br_be64_put(bytes, (uint64_t)now_us);
    gate->published = true;
    gate->last_us = now_us;
    return br_state_put(gate->table, last_key, (struct br_slice){bytes, sizeof bytes}, error);
}

static bool is_due(const struct br_interval_gate *gate, int64_t now_us) {
    int64_t due_us;
    if (!gate->published)
        return true;
    return !__builtin_add_overflow(gate->last_us, gate->view->emit_interval_us, &due_us) && now_us >= due_us;
}

enum br_status br_interval_gate_pass(struct br_interval_gate *gate, struct br_change *changes, size_t count,
                                     const struct br_epoch *epoch, struct br_change **ret_changes, size_t *ret_count,
                                     struct br_error *error) {
    BR_TRY(read_state(gate, error));
    *ret_changes = NULL;
    *ret_count = 0;
    bool due = is_due(gate, epoch->now.us);
    if (!due)
        return hold(gate, changes, count, error);
    if (gate->pending) {
        BR_TRY(hold(gate, changes, count, error));
        BR_TRY(publish(gate, epoch, ret_changes, ret_count, error));
    } else {
        *ret_changes = changes;
        *ret_count = count;
    }
    return *ret_count == 0 ? BR_OK : note_publication(gate, epoch->now.us, error);
}
