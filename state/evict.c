// SPDX-License-Identifier: Apache-2.0
// The end of an epoch: what is dead is freed, and clean entries are evicted until the budget is met (S3, S4).
//
// CLOCK goes over whole slabs, so that a pass reads memory in order and empties slabs. Each hit sets the referenced
// bit; the hand clears it, and evicts what it finds without. E1. A slab with few entries left is cleared of its clean
// ones whatever their bits, so that its memory can serve other sizes. E2. The hand's way per epoch is bounded by what
// the epoch brought in, unless the budget is exceeded by a sixteenth: a state that is nearly all dirty (and waits for a
// flush) is not searched again and again.
#include "state/table_internal.h"

#define SLAB_ENTRIES_MAX (SLAB_BYTES / 48 + 1)
#define SPARSE_PARTS 4          // E1: fewer than one in so many blocks used
#define DEAD_MIN 1024           // dead entries in the dirty list that are worth a sweep of it,
#define DEAD_PARTS 4            // and at least one in so many
#define HAND_SLABS_MIN 4        // E2
#define HAND_SLABS_PER_SLAB 4   // E2: looked at per slab's worth of new blocks
#define KEEP_EMPTY_SLABS 64     // 4 MiB
#define ORDER_IDLE_EPOCHS 10000 // some minutes to hours: epochs take 5 to 500 ms

uint64_t state_used_bytes(const struct br_state *state) {
    uint64_t bytes = state->slabs.live_bytes + state->malloc_bytes;
    bytes += (state->graveyard.capacity + state->big.capacity) * sizeof(struct br_entry *);
    bytes += state->dirty.count * sizeof(struct sort_record); // pages beyond were never touched
    for (size_t i = 0; i < state->table_count; i++) {
        const struct br_state_table *table = state->tables[i];
        bytes += table->map.bytes + order_bytes(&table->order) + table->unordered.capacity * sizeof(struct br_entry *);
    }
    return bytes;
}

void state_free_graveyard(struct br_state *state) {
    for (size_t i = 0; i < state->graveyard.count; i++) {
        struct br_entry *entry = state->graveyard.items[i];
        if ((entry->flags & (ENTRY_DELETED | ENTRY_DIRTY)) == ENTRY_DELETED) // else it was revived (T4)
            entry_free(state, entry);
    }
    state->graveyard.count = 0;
}

void state_sweep_dirty(struct br_state *state) {
    const uint8_t dead = ENTRY_DELETED | ENTRY_ABSENT;
    struct dirty_list *dirty = &state->dirty;
    size_t kept = 0;
    if (state->dirty_dead == 0)
        return;
    state->dirty_bytes = 0;
    for (size_t i = 0; i < dirty->count; i++) {
        dirty_prefetch(dirty, i + 8);
        struct br_entry *entry = dirty_entry(dirty, i);
        if ((entry->flags & dead) == dead) {
            entry_free(state, entry);
            continue;
        }
        dirty->items[kept++] = dirty->items[i];
        state->dirty_bytes += entry_bytes(entry);
    }
    dirty->count = kept;
    state->dirty_dead = 0;
}

static void evict_entry(struct br_state *state, struct br_entry *entry) {
    struct br_state_table *table = state->tables[entry->table];
    if (!may_be_cold(table, entry_key(entry))) { // T5
        table->cold = true;
        br_buffer_clear(&table->cold_last);
        br_buffer_append_slice(&table->cold_last, entry_key(entry));
    }
    entry_free(state, entry);
    state->evictions += 1;
}

// Evicts from one slab; true when that emptied it (and the ring has another slab in its place).
static bool pass_slab(struct br_state *state, struct slab *slab, bool only_sparse) {
    struct br_entry *victims[SLAB_ENTRIES_MAX];
    size_t count = 0;
    bool sparse = slab->used < slab->capacity / SPARSE_PARTS;
    if (only_sparse && !sparse)
        return false;
    for (uint32_t i = 0; i < slab->fresh; i++) {
        struct br_entry *entry = (struct br_entry *)(void *)slab_block(slab, i);
        if (i + 8 < slab->fresh)
            __builtin_prefetch(slab_block(slab, i + 8) + SLAB_MARK_OFFSET, 1);
        if ((entry->flags & ENTRY_LIVE) == 0 || (entry->flags & (ENTRY_DIRTY | ENTRY_DELETED)) != 0)
            continue;
        if ((entry->flags & ENTRY_REFERENCED) != 0 && !sparse) {
            entry->flags &= (uint8_t)~ENTRY_REFERENCED;
            continue;
        }
        const struct hot_map *map = &state->tables[entry->table]->map;
        uint64_t word = hot_directory_word(map, entry->hash);
        __builtin_prefetch(hot_slots(word) + (entry->hash & hot_mask(word)), 1);
        victims[count++] = entry;
    }
    bool emptied = count == slab->used;
    for (size_t i = 0; i < count; i++)
        evict_entry(state, victims[i]);
    return emptied;
}

static void pass_big(struct br_state *state) {
    for (size_t i = 0; i < state->big.count;) {
        struct br_entry *entry = state->big.items[i];
        if ((entry->flags & (ENTRY_DIRTY | ENTRY_DELETED | ENTRY_REFERENCED)) == 0) {
            evict_entry(state, entry); // another one takes its place in the list
            continue;
        }
        entry->flags &= (uint8_t)~ENTRY_REFERENCED;
        i++;
    }
}

static bool is_over(const struct br_state *state, uint64_t bytes) {
    return state_used_bytes(state) > bytes;
}

static void evict(struct br_state *state) {
    uint64_t budget = state->budget_bytes;
    bool holes = state->slabs.slab_bytes > budget + budget / 4;
    if (!is_over(state, budget) && !holes)
        return;
    state_absorb_all(state);
    pass_big(state);
    uint64_t new_slabs = (state->slabs.blocks_handed - state->blocks_at_epoch) / 512;
    uint64_t steps = HAND_SLABS_MIN + HAND_SLABS_PER_SLAB * new_slabs;
    bool mostly_dirty = state->dirty_bytes > budget - budget / 4;
    if (is_over(state, budget + budget / 16) && !mostly_dirty)
        steps = 2 * (uint64_t)state->slabs.ring_count + 1;
    while (steps-- != 0 && state->slabs.ring_count != 0) {
        bool over = is_over(state, budget);
        if (!over && !holes)
            break;
        if (state->hand >= state->slabs.ring_count)
            state->hand = 0;
        if (!pass_slab(state, state->slabs.ring[state->hand], !over))
            state->hand += 1;
    }
}

void br_state_end_epoch(struct br_state *state) {
    state->epochs += 1;
    bool sweep = state->dirty_dead >= DEAD_MIN && state->dirty_dead >= state->dirty.count / DEAD_PARTS;
    if (state->graveyard.count != 0 || sweep)
        state_absorb_all(state);
    state_free_graveyard(state);
    if (sweep)
        state_sweep_dirty(state);
    evict(state);
    state->blocks_at_epoch = state->slabs.blocks_handed;
    slab_pool_trim(&state->slabs, KEEP_EMPTY_SLABS);
    for (size_t i = 0; i < state->table_count; i++) {
        struct br_state_table *table = state->tables[i];
        if (table->ordered && state->epochs - table->ordered_use > ORDER_IDLE_EPOCHS)
            table_drop_order(table);
    }
}
