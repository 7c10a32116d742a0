// SPDX-License-Identifier: Apache-2.0
#include "processor/operators/operator_internal.h"
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void check(uint64_t seed, uint32_t count, uint32_t spread, size_t prefix) {
    struct dice dice = {seed};
    struct br_arena *arena = br_arena_create();
    struct br_sort_item *items = br_arena_alloc(arena, (count + 1) * sizeof *items);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[64];
        memset(bytes, 'p', sizeof bytes);
        size_t len = prefix + dice_roll(&dice, 24);
        for (size_t b = prefix; b < len; b++)
            bytes[b] = (uint8_t)dice_roll(&dice, spread);
        items[i] = (struct br_sort_item){.key = br_arena_copy(arena, (struct br_slice){bytes, len}), .index = i};
    }
    br_sort_items(items, count, arena);
    for (uint32_t i = 1; i < count; i++) {
        int order = br_slice_compare(items[i - 1].key, items[i].key);
        cr_assert(order < 0 || (order == 0 && items[i - 1].index < items[i].index), "seed %lu at %u",
                  (unsigned long)seed, i);
    }
    br_arena_destroy(&arena);
}

Test(sort, keys_are_sorted_and_equal_ones_stay_in_order) {
    for (uint64_t seed = 1; seed <= 60; seed++)
        check(seed, (uint32_t)(seed * seed), seed % 3 == 0 ? 2 : 256, seed % 4 * 7);
}
