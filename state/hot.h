// SPDX-License-Identifier: Apache-2.0
// The hash map of a table's hot entries: extendible hashing over segments of at most 4,096 slots, so that growing
// splits one segment at a time (no pause, no second copy of a large map). Included in state/ only.
//
// H1. The top `depth` bits of the hash choose a segment in the directory; the low 19 bits are the tag, and the tag's
// low
//     bits are the home slot. A slot packs the entry's address (48 bits, multiple of 8) and the tag into one word.
// H2. Linear probing; a probe ends at the first empty slot. Removal shifts back what may move (the home of each slot is
//     in its tag), so there are no tombstones. A sparse segment is halved; the directory stays.
// H3. A directory word packs the address of a segment's slots (64-byte aligned) and the binary logarithm of their
// number,
//     so that a lookup touches the directory, the slot's line and the entry, and nothing else.
#ifndef BR_STATE_HOT_H
#define BR_STATE_HOT_H

#include "state/table.h"

#define HOT_TAG_BITS 19
#define HOT_TAG_MASK ((UINT64_C(1) << HOT_TAG_BITS) - 1)
#define HOT_SLOTS_LOG_MIN 6
#define HOT_SLOTS_LOG_MAX 12

struct hot_segment {
    uint32_t count, depth; // entries; bits of the hash that all of them share
    uint64_t padding[7];
    uint64_t slots[];
};

struct hot_map {
    uint64_t *directory;
    uint32_t depth;
    size_t count;
    size_t bytes; // of segments and directory
};

void hot_map_init(struct hot_map *map);
void hot_map_free(struct hot_map *map);
// The entry's key isn't in yet.
void hot_map_insert(struct hot_map *map, struct br_entry *entry);
void hot_map_remove(struct hot_map *map, const struct br_entry *entry);
// Calls visit for every entry, in no order; visit must not change the map.
void hot_map_each(const struct hot_map *map, void (*visit)(void *context, struct br_entry *entry), void *context);

static inline struct br_entry *hot_slot_entry(uint64_t slot) {
    return (struct br_entry *)(uintptr_t)(slot >> HOT_TAG_BITS << 3);
}

static inline uint64_t hot_directory_word(const struct hot_map *map, uint64_t hash) {
    return map->directory[map->depth == 0 ? 0 : hash >> (64 - map->depth)];
}
static inline uint64_t *hot_slots(uint64_t word) {
    return (uint64_t *)(uintptr_t)(word & ~UINT64_C(63));
}
static inline uint64_t hot_mask(uint64_t word) {
    return (UINT64_C(1) << (word & 63)) - 1;
}

static inline bool hot_bytes_equal(const uint8_t *a, const uint8_t *b, size_t len) {
    if (len < 8)
        return memcmp(a, b, len) == 0;
    uint64_t x, y;
    size_t at = 0;
    for (; at + 8 < len; at += 8) {
        memcpy(&x, a + at, 8);
        memcpy(&y, b + at, 8);
        if (x != y)
            return false;
    }
    memcpy(&x, a + len - 8, 8);
    memcpy(&y, b + len - 8, 8);
    return x == y;
}

static inline bool hot_is(const struct br_entry *entry, struct br_slice key, uint64_t hash) {
    return entry->hash == hash && entry->key_len == key.len && hot_bytes_equal(entry->key, key.ptr, key.len);
}

// The first entry from slot *at on whose tag fits, NULL at the end of the probe; *at goes past it.
static inline struct br_entry *hot_probe(uint64_t word, uint64_t hash, uint64_t *at) {
    const uint64_t *slots = hot_slots(word);
    uint64_t mask = hot_mask(word);
    for (;;) {
        uint64_t slot = slots[*at & mask];
        *at += 1;
        if (slot == 0)
            return NULL;
        if (((slot ^ hash) & HOT_TAG_MASK) == 0)
            return hot_slot_entry(slot);
    }
}

static inline struct br_entry *hot_map_find(const struct hot_map *map, struct br_slice key, uint64_t hash) {
    uint64_t word = hot_directory_word(map, hash);
    uint64_t at = hash & hot_mask(word);
    struct br_entry *entry;
    while ((entry = hot_probe(word, hash, &at)) != NULL)
        if (hot_is(entry, key, hash))
            return entry;
    return NULL;
}

#endif
