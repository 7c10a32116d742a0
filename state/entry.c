// SPDX-License-Identifier: Apache-2.0
// The memory of one entry: head, key and (when it fits) value in one block of the slabs; a value that outgrew its place
// has a block of its own, a huge one is malloc'ed. The head and key never move (S1).
#include "state/table_internal.h"

static size_t value_offset(size_t key_len) {
    return (offsetof(struct br_entry, key) + key_len + 7) & ~(size_t)7;
}

void entry_list_free(struct entry_list *list) {
    free(list->items);
    *list = (struct entry_list){0};
}

static struct huge_head *head_of(void *bytes) {
    return (struct huge_head *)bytes - 1;
}

static void *huge_alloc(struct br_state *state, size_t bytes) {
    struct huge_head *head = br_alloc(sizeof *head + bytes);
    *head = (struct huge_head){.bytes = bytes};
    state->malloc_bytes += sizeof *head + bytes;
    return head + 1;
}

static void huge_free(struct br_state *state, void *bytes) {
    state->malloc_bytes -= sizeof(struct huge_head) + head_of(bytes)->bytes;
    free(head_of(bytes));
}

// How long a value may get where it is.
static size_t value_capacity(const struct br_entry *entry) {
    if ((entry->flags & ENTRY_OUTSIDE) != 0)
        return slab_of(entry->value)->stride;
    if ((entry->flags & ENTRY_HUGE) != 0)
        return head_of(entry->value)->bytes;
    return (entry->flags & ENTRY_BIG) != 0 ? 0 : slab_of(entry)->stride - value_offset(entry->key_len);
}

size_t entry_bytes(const struct br_entry *entry) {
    size_t offset = value_offset(entry->key_len);
    size_t both = offset + entry->value_len;
    if ((entry->flags & (ENTRY_OUTSIDE | ENTRY_HUGE | ENTRY_BIG)) == 0 && both <= SLAB_BLOCK_MAX)
        return slab_class_bytes(both);
    return both + both / 16;
}

void entry_place_value(struct br_state *state, struct br_entry *entry, size_t value_len) {
    entry->value_len = (uint32_t)value_len;
    if ((entry->flags & ENTRY_BIG) == 0 && value_len <= value_capacity(entry)) {
        entry->value = (uint8_t *)entry + value_offset(entry->key_len);
    } else if (value_len <= SLAB_BLOCK_MAX) {
        entry->value = slab_alloc(&state->slabs, SLAB_VALUES, value_len == 0 ? 1 : value_len);
        entry->flags |= ENTRY_OUTSIDE;
    } else {
        entry->value = huge_alloc(state, (value_len + value_len / 8 + 15) & ~(size_t)15);
        entry->flags |= ENTRY_HUGE;
    }
}

void entry_drop_value(struct br_state *state, struct br_entry *entry) {
    if ((entry->flags & ENTRY_OUTSIDE) != 0)
        slab_free(&state->slabs, entry->value);
    else if ((entry->flags & ENTRY_HUGE) != 0)
        huge_free(state, entry->value);
    entry->flags &= (uint8_t) ~(ENTRY_OUTSIDE | ENTRY_HUGE);
    entry->value = NULL;
    entry->value_len = 0;
}

struct br_entry *entry_create(struct br_state_table *table, struct br_slice key, uint64_t hash, size_t value_len,
                              uint8_t flags) {
    struct br_state *state = table->state;
    BR_CHECK(key.len <= UINT32_MAX && value_len <= UINT32_MAX);
    size_t offset = value_offset(key.len);
    struct br_entry *entry;
    if (offset > SLAB_BLOCK_MAX) {
        entry = huge_alloc(state, offset);
        head_of(entry)->place = state->big.count;
        entry_list_add(&state->big, entry);
        flags |= ENTRY_BIG;
    } else {
        size_t both = offset + value_len;
        entry = slab_alloc(&state->slabs, SLAB_ENTRIES, both <= SLAB_BLOCK_MAX ? both : offset);
    }
    *entry = (struct br_entry){
        .hash = hash, .key_len = (uint32_t)key.len, .table = table->index, .flags = flags | ENTRY_LIVE};
    if (key.len != 0)
        memcpy(entry->key, key.ptr, key.len);
    entry_place_value(state, entry, value_len);
    hot_map_insert(&table->map, entry);
    if (table->ordered)
        entry_list_add(&table->unordered, entry);
    return entry;
}

void entry_free(struct br_state *state, struct br_entry *entry) {
    struct br_state_table *table = state->tables[entry->table];
    if (table->ordered)
        order_remove(&table->order, entry_key(entry)); // T7
    hot_map_remove(&table->map, entry);
    entry_drop_value(state, entry);
    if ((entry->flags & ENTRY_BIG) == 0) {
        slab_free(&state->slabs, entry);
        return;
    }
    struct br_entry *moved = state->big.items[--state->big.count];
    state->big.items[head_of(entry)->place] = moved;
    head_of(moved)->place = head_of(entry)->place;
    huge_free(state, entry);
}

void entry_bury(struct br_state_table *table, struct br_entry *entry) {
    struct br_state *state = table->state;
    entry_drop_value(state, entry);
    br_entry_mark_dirty(table, entry);
    entry->flags |= ENTRY_DELETED;
    if ((entry->flags & ENTRY_ABSENT) != 0)
        state->dirty_dead += 1;
}

static void add_dirty(struct dirty_list *list, struct br_entry *entry) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->items = br_realloc(list->items, list->capacity * sizeof(struct sort_record));
    }
    list->items[list->count++].item = (uint64_t)(uintptr_t)entry;
}

void br_entry_mark_dirty(struct br_state_table *table, struct br_entry *entry) {
    struct br_state *state = table->state;
    if ((entry->flags & ENTRY_DIRTY) != 0)
        return;
    entry->flags |= ENTRY_DIRTY;
    add_dirty(&state->dirty, entry);
    state->dirty_bytes += entry_bytes(entry);
}

void br_entry_resize(struct br_state_table *table, struct br_entry *entry, uint32_t value_len) {
    struct br_state *state = table->state;
    BR_CHECK((entry->flags & ENTRY_DELETED) == 0);
    uint32_t old_len = entry->value_len;
    if (value_len > value_capacity(entry)) {
        uint8_t *old = entry->value;
        uint8_t old_flags = entry->flags;
        entry->flags &= (uint8_t) ~(ENTRY_OUTSIDE | ENTRY_HUGE);
        entry_place_value(state, entry, value_len);
        memcpy(entry->value, old, old_len);
        if ((old_flags & ENTRY_OUTSIDE) != 0)
            slab_free(&state->slabs, old);
        else if ((old_flags & ENTRY_HUGE) != 0)
            huge_free(state, old);
    }
    if (value_len > old_len)
        memset(entry->value + old_len, 0, value_len - old_len);
    entry->value_len = value_len;
    if ((entry->flags & ENTRY_DIRTY) != 0 && value_len > old_len)
        state->dirty_bytes += value_len - old_len;
    br_entry_mark_dirty(table, entry);
}
