// SPDX-License-Identifier: Apache-2.0
// See hot.h.
#include "state/hot.h"

// Three quarters full: 2.5 slots read per hit, within one or two cache lines.
static bool is_full(uint32_t count, uint64_t slots_log) {
    return count >= (3u << slots_log) / 4;
}

// A map that was large once must not hold its memory for ever: the budget counts it.
static bool is_sparse(uint32_t count, uint64_t slots_log) {
    return slots_log > HOT_SLOTS_LOG_MIN && count < (1u << slots_log) / 8;
}

static struct hot_segment *segment_of(uint64_t word) {
    return (struct hot_segment *)((uint8_t *)hot_slots(word) - offsetof(struct hot_segment, slots));
}

static size_t segment_bytes(uint64_t slots_log) {
    return sizeof(struct hot_segment) + (sizeof(uint64_t) << slots_log);
}

static uint64_t create_segment(struct hot_map *map, uint64_t slots_log, uint32_t depth) {
    size_t bytes = segment_bytes(slots_log);
    struct hot_segment *segment = aligned_alloc(64, bytes);
    BR_CHECK(segment != NULL); // as br_alloc
    memset(segment, 0, bytes);
    segment->depth = depth;
    map->bytes += bytes;
    return (uint64_t)(uintptr_t)segment->slots | slots_log;
}

static void free_segment(struct hot_map *map, uint64_t word) {
    map->bytes -= segment_bytes(word & 63);
    free(segment_of(word));
}

void hot_map_init(struct hot_map *map) {
    *map = (struct hot_map){.bytes = sizeof(uint64_t)};
    map->directory = br_alloc(sizeof(uint64_t));
    map->directory[0] = create_segment(map, HOT_SLOTS_LOG_MIN, 0);
}

// The directory words of one segment are neighbours; the first of them stands for all.
static bool is_first(const struct hot_map *map, size_t at) {
    return at == 0 || map->directory[at] != map->directory[at - 1];
}

void hot_map_free(struct hot_map *map) {
    if (map->directory == NULL)
        return;
    uint64_t previous = 0;
    for (size_t at = 0; at < (size_t)1 << map->depth; at++) {
        uint64_t word = map->directory[at];
        if (word != previous)
            free_segment(map, word);
        previous = word;
    }
    free(map->directory);
    *map = (struct hot_map){0};
}

void hot_map_each(const struct hot_map *map, void (*visit)(void *context, struct br_entry *entry), void *context) {
    for (size_t at = 0; at < (size_t)1 << map->depth; at++) {
        if (!is_first(map, at))
            continue;
        uint64_t word = map->directory[at];
        const uint64_t *slots = hot_slots(word);
        for (uint64_t i = 0; i <= hot_mask(word); i++) {
            if (i % 8 == 0) // the visitor will want the entries of the next line
                for (uint64_t ahead = i + 8; ahead < i + 16; ahead++)
                    __builtin_prefetch(hot_slot_entry(slots[ahead & hot_mask(word)]));
            if (slots[i] != 0)
                visit(context, hot_slot_entry(slots[i]));
        }
    }
}

static void place(uint64_t word, uint64_t slot) {
    uint64_t *slots = hot_slots(word);
    uint64_t mask = hot_mask(word);
    uint64_t at = slot & mask; // the tag's low bits are the home (H1)
    while (slots[at] != 0)
        at = (at + 1) & mask;
    slots[at] = slot;
    segment_of(word)->count += 1;
}

static void set_directory(struct hot_map *map, uint64_t hash, uint32_t depth, uint64_t word) {
    size_t run = (size_t)1 << (map->depth - depth); // directory words that share depth bits
    size_t first = map->depth == 0 ? 0 : (size_t)(hash >> (64 - map->depth)) & ~(run - 1);
    for (size_t i = 0; i < run; i++)
        map->directory[first + i] = word;
}

static void double_directory(struct hot_map *map) {
    size_t count = (size_t)1 << map->depth;
    map->directory = br_realloc(map->directory, 2 * count * sizeof(uint64_t));
    for (size_t at = count; at-- > 0;)
        map->directory[2 * at] = map->directory[2 * at + 1] = map->directory[at];
    map->depth += 1;
    map->bytes += count * sizeof(uint64_t);
}

static void resize_segment(struct hot_map *map, uint64_t hash, uint64_t word, uint64_t slots_log) {
    BR_CHECK(slots_log <= HOT_TAG_BITS);
    uint64_t resized = create_segment(map, slots_log, segment_of(word)->depth);
    for (uint64_t i = 0; i <= hot_mask(word); i++)
        if (hot_slots(word)[i] != 0)
            place(resized, hot_slots(word)[i]);
    set_directory(map, hash, segment_of(word)->depth, resized);
    free_segment(map, word);
}

static void split_segment(struct hot_map *map, uint64_t hash, uint64_t word) {
    struct hot_segment *segment = segment_of(word);
    uint32_t depth = segment->depth + 1;
    BR_CHECK(depth + HOT_TAG_BITS < 64);
    if (depth > map->depth)
        double_directory(map);
    uint64_t halves[2] = {create_segment(map, word & 63, depth), create_segment(map, word & 63, depth)};
    uint64_t *slots = hot_slots(word);
    uint64_t mask = hot_mask(word);
    for (uint64_t i = 0; i <= mask; i++) {
        if (i + 16 <= mask)
            __builtin_prefetch(hot_slot_entry(slots[i + 16])); // its hash; NULL is fine
        if (slots[i] != 0)
            place(halves[hot_slot_entry(slots[i])->hash >> (64 - depth) & 1], slots[i]);
    }
    uint64_t bit = UINT64_C(1) << (64 - depth);
    set_directory(map, hash & ~bit, depth, halves[0]);
    set_directory(map, hash | bit, depth, halves[1]);
    free_segment(map, word);
}

// With honest hashes a segment shares about log2(count) - 11 bits. Keys made to collide share more: their segment
// grows, because splitting would double the directory again and again.
static bool is_crowded(const struct hot_map *map, const struct hot_segment *segment) {
    return segment->depth > 63 - (uint32_t)__builtin_clzll(map->count | 1);
}

void hot_map_insert(struct hot_map *map, struct br_entry *entry) {
    uint64_t word = hot_directory_word(map, entry->hash);
    while (is_full(segment_of(word)->count, word & 63)) {
        if ((word & 63) < HOT_SLOTS_LOG_MAX || is_crowded(map, segment_of(word)))
            resize_segment(map, entry->hash, word, (word & 63) + 1);
        else
            split_segment(map, entry->hash, word);
        word = hot_directory_word(map, entry->hash);
    }
    place(word, (uint64_t)(uintptr_t)entry >> 3 << HOT_TAG_BITS | (entry->hash & HOT_TAG_MASK));
    map->count += 1;
}

void hot_map_remove(struct hot_map *map, const struct br_entry *entry) {
    uint64_t word = hot_directory_word(map, entry->hash);
    uint64_t *slots = hot_slots(word);
    uint64_t mask = hot_mask(word);
    uint64_t hole = entry->hash & mask;
    while (slots[hole] == 0 || hot_slot_entry(slots[hole]) != entry) {
        BR_CHECK(slots[hole] != 0);
        hole = (hole + 1) & mask;
    }
    // Shift back: a later slot fills the hole unless its home lies after the hole.
    for (uint64_t at = (hole + 1) & mask; slots[at] != 0; at = (at + 1) & mask) {
        uint64_t home = slots[at] & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            slots[hole] = slots[at];
            hole = at;
        }
    }
    slots[hole] = 0;
    segment_of(word)->count -= 1;
    map->count -= 1;
    if (is_sparse(segment_of(word)->count, word & 63))
        resize_segment(map, entry->hash, word, (word & 63) - 1);
}
