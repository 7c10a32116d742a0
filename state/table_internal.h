// SPDX-License-Identifier: Apache-2.0
// The innards of state tables, shared by table.c (lookups and changes), evict.c, flush.c and scan.c.
//
// An entry's flags, and what the store holds of its key:
//   T1. Neither DIRTY nor DELETED: exactly this value.
//   T2. DIRTY: something else; ABSENT as well: nothing, or only what a pending range deletes.
//   T3. DELETED: the key is known to be gone; the entry stays in the map (so that lookups don't ask the store) until
//   the
//       delete is flushed, or, when ABSENT tells that there is nothing to flush, until the end of the epoch or the next
//       sweep of the dirty list. Value memory is gone at once.
//   T4. A DIRTY entry is in state->dirty exactly once. A DELETED entry that isn't DIRTY is in state->graveyard.
//   T5. table->cold false: every key of the table that the store holds is in the map, or in a pending range. True: keys
//       above cold_last are (so that new windows and ascending ids cost no read).
//   T6. A key that is in no entry and inside a pending range is gone, whatever the store says.
//   T7. An ordered table's entries are in table->order or in table->unordered; entries are freed only when unordered is
//       empty (state_absorb_all).
#ifndef BR_STATE_TABLE_INTERNAL_H
#define BR_STATE_TABLE_INTERNAL_H

#include "state/hot.h"
#include "state/order.h"
#include "state/slab.h"
#include "state/sort.h"

enum {
    ENTRY_LIVE = 1, // never 0 in an entry: a block with 0 there is free (slab.h)
    ENTRY_REFERENCED = 2,
    ENTRY_DIRTY = 4,
    ENTRY_DELETED = 8,
    ENTRY_ABSENT = 16,
    ENTRY_OUTSIDE = 32, // the value has a block of its own
    ENTRY_HUGE = 64,    // the value is malloc'ed, a struct huge_head before it
    ENTRY_BIG = 128,    // the entry is malloc'ed (its key is very long), a struct huge_head before it
};
_Static_assert(offsetof(struct br_entry, flags) == SLAB_MARK_OFFSET, "the slab clears flags in free blocks");

struct huge_head {
    size_t bytes; // usable, without the head
    size_t place; // in state->big
};

// Pending range deletes of one table: disjoint, ascending, never adjacent.
struct range {
    struct br_buffer first, last; // last.len 0: to the table's end
};

// A growing list of entries.
struct entry_list {
    struct br_entry **items;
    size_t count, capacity;
};

// The dirty entries, in no order. They are sort records, so that a flush sorts them where they are.
struct dirty_list {
    struct sort_record *items; // item: the entry's address
    size_t count, capacity;
};

struct br_state_table {
    struct br_state *state;
    char *name;
    uint16_t number, index; // the plan's; place in state->tables
    bool cold;              // T5
    struct br_buffer cold_last;
    struct br_error *open_error; // opening has no way to fail: the first use tells. NULL: all is well
    bool ordered;                // T7
    uint64_t ordered_use;        // state->epochs when the order was last asked for
    struct hot_map map;
    struct order order;
    struct entry_list unordered;
    struct range *ranges; // T6
    size_t range_count, range_capacity;
};

struct meta_fact {
    char *name;
    struct br_buffer value;
};

struct br_state {
    struct br_store *store;
    size_t budget_bytes;
    struct br_state_table **tables;
    size_t table_count;
    struct slab_pool slabs;
    uint64_t malloc_bytes;   // big entries and huge values
    struct entry_list big;   // ENTRY_BIG
    struct dirty_list dirty; // T4
    size_t dirty_dead;       // DELETED and ABSENT ones among them
    uint64_t dirty_bytes;
    struct entry_list graveyard; // T4
    struct meta_fact *meta;      // not yet flushed, ascending by name
    size_t meta_count;
    uint64_t flushed_epoch;
    uint64_t epochs; // ended since creation
    uint64_t blocks_at_epoch;
    uint32_t hand; // of the clock, in slabs.ring
    uint64_t hits, misses, evictions, flushes;
    // Scratch of lookups, kept from one to the next.
    uint32_t *missed;
    size_t missed_capacity;
    struct sort_record *records;
    struct br_slice *store_keys, *store_values;
    bool *store_found;
    struct br_buffer key_bytes;
};

#define TABLE_PREFIX_BYTES 2

static inline struct br_slice entry_key(const struct br_entry *entry) {
    return (struct br_slice){entry->key, entry->key_len};
}
static inline void put_table_prefix(uint8_t *at, uint16_t number) {
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
}
static inline void entry_list_add(struct entry_list *list, struct br_entry *entry) {
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->items = br_realloc(list->items, list->capacity * sizeof(struct br_entry *));
    }
    list->items[list->count++] = entry;
}
// Whether the store may hold the key though the map doesn't (T5).
static inline bool may_be_cold(const struct br_state_table *table, struct br_slice key) {
    return table->cold && br_slice_compare(key, br_buffer_slice(&table->cold_last)) <= 0;
}
void entry_list_free(struct entry_list *list);
static inline struct br_entry *dirty_entry(const struct dirty_list *list, size_t at) {
    return (struct br_entry *)(uintptr_t)list->items[at].item;
}
// Passes over the list are bound by memory: call for a place some way ahead. An entry's head and its key reach into a
// second cache line, mostly. Always inline: gcc 12 takes a function that only prefetches for one without effects, and
// drops the calls.
__attribute__((always_inline)) static inline void dirty_prefetch(const struct dirty_list *list, size_t at) {
    if (at >= list->count)
        return;
    __builtin_prefetch(dirty_entry(list, at));
    __builtin_prefetch((const void *)((uintptr_t)dirty_entry(list, at) + 63));
}

// table.c
enum br_status table_check_opened(const struct br_state_table *table, struct br_error *error) BR_MUST_CHECK;

// entry.c
// A new entry in the map, value bytes unset.
struct br_entry *entry_create(struct br_state_table *table, struct br_slice key, uint64_t hash, size_t value_len,
                              uint8_t flags);
// Takes the entry out of everything and frees it. The dirty list and the graveyard are the caller's (T4).
void entry_free(struct br_state *state, struct br_entry *entry);
// Gives the entry, which has no value memory of its own now, room for a value of this length.
void entry_place_value(struct br_state *state, struct br_entry *entry, size_t value_len);
void entry_drop_value(struct br_state *state, struct br_entry *entry);
// What the entry takes, nearly: by its lengths.
size_t entry_bytes(const struct br_entry *entry);
// T3; marks it dirty when there is something to flush.
void entry_bury(struct br_state_table *table, struct br_entry *entry);

// meta.c
enum meta_kind { META_EPOCH = 'e', META_FACT = 'm' }; // in the order of their keys
void meta_key(struct br_buffer *key, enum meta_kind kind, const char *name);
void meta_clear(struct br_state *state);

// scan.c
bool ranges_cover(const struct br_state_table *table, struct br_slice key);
void ranges_clear(struct br_state_table *table);
void state_absorb_all(struct br_state *state);
void table_drop_order(struct br_state_table *table);

// evict.c
uint64_t state_used_bytes(const struct br_state *state);
void state_free_graveyard(struct br_state *state);
// Frees the dirty entries that are DELETED and ABSENT: there is nothing to tell the store of them.
void state_sweep_dirty(struct br_state *state);

#endif
