// SPDX-License-Identifier: Apache-2.0
#include "state/hot.h"

#include <criterion/criterion.h>

static struct br_entry *create(uint64_t number, uint64_t hash) {
    struct br_entry *entry = br_calloc(1, sizeof *entry + 8);
    memcpy(entry->key, &number, 8);
    entry->key_len = 8;
    entry->hash = hash;
    return entry;
}

static struct br_slice number_key(const uint64_t *number) {
    return (struct br_slice){(const uint8_t *)number, 8};
}

static uint64_t honest_hash(uint64_t number) {
    return br_state_hash(number_key(&number));
}

static void free_entry(void *count, struct br_entry *entry) {
    *(size_t *)count += 1;
    free(entry);
}

static void check_all(uint64_t (*hash)(uint64_t number), uint64_t count) {
    struct hot_map map;
    hot_map_init(&map);
    for (uint64_t n = 0; n < count; n++)
        hot_map_insert(&map, create(n, hash(n)));
    cr_assert_eq(map.count, count);
    for (uint64_t n = 0; n < 2 * count; n++) {
        const struct br_entry *entry = hot_map_find(&map, number_key(&n), hash(n));
        cr_assert_eq(entry != NULL, n < count);
        cr_assert(entry == NULL || memcmp(entry->key, &n, 8) == 0);
    }
    for (uint64_t n = 0; n < count; n += 2) {
        struct br_entry *entry = hot_map_find(&map, number_key(&n), hash(n));
        hot_map_remove(&map, entry);
        free(entry);
    }
    for (uint64_t n = 0; n < count; n++)
        cr_assert_eq(hot_map_find(&map, number_key(&n), hash(n)) != NULL, n % 2 == 1);
    size_t visited = 0;
    hot_map_each(&map, free_entry, &visited);
    cr_assert_eq(visited, count / 2);
    hot_map_free(&map);
}

Test(hot, entries_are_found_while_the_map_grows_and_shrinks) {
    check_all(honest_hash, 50000);
}

static uint64_t same_hash(uint64_t number) {
    (void)number;
    return UINT64_C(0x1234567890abcdef);
}

Test(hot, keys_that_all_collide_are_told_apart) {
    check_all(same_hash, 2000);
}

static uint64_t same_top_bits(uint64_t number) {
    return honest_hash(number) >> 40;
}

// Were such a segment split, the directory would double until memory ends.
Test(hot, hashes_that_share_their_top_bits_do_not_blow_up_the_directory) {
    struct hot_map map;
    hot_map_init(&map);
    for (uint64_t n = 0; n < 20000; n++)
        hot_map_insert(&map, create(n, same_top_bits(n)));
    cr_assert_leq(map.bytes, 4u << 20);
    size_t visited = 0;
    hot_map_each(&map, free_entry, &visited);
    cr_assert_eq(visited, 20000);
    hot_map_free(&map);
}

Test(hot, memory_per_entry_stays_below_twenty_bytes) {
    struct hot_map map;
    hot_map_init(&map);
    for (uint64_t n = 0; n < 100000; n++) {
        hot_map_insert(&map, create(n, honest_hash(n)));
        if (n > 20000)
            cr_assert_leq(map.bytes, 24 * n);
    }
    cr_assert_leq(map.bytes, 20 * map.count);
    for (uint64_t n = 0; n < 99000; n++) {
        struct br_entry *entry = hot_map_find(&map, number_key(&n), honest_hash(n));
        hot_map_remove(&map, entry);
        free(entry);
    }
    cr_assert_leq(map.bytes, 64 * 1000 + 64 * 1024, "memory goes when entries go");
    size_t visited = 0;
    hot_map_each(&map, free_entry, &visited);
    hot_map_free(&map);
}
