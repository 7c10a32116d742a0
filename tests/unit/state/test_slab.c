// SPDX-License-Identifier: Apache-2.0
#include "state/slab.h"

#include <criterion/criterion.h>
#include <string.h>

Test(slab, every_size_gets_a_block_that_holds_it_with_an_eighth_to_spare_at_most) {
    for (size_t size = 1; size <= SLAB_BLOCK_MAX; size++) {
        size_t bytes = slab_class_bytes(size);
        cr_assert_geq(bytes, size);
        cr_assert_eq(bytes % 8, 0);
        cr_assert(bytes < size + 16 || bytes <= size + size / 8 + 1, "%zu for %zu", bytes, size);
    }
}

Test(slab, blocks_do_not_overlap_and_stay_as_they_are) {
    struct slab_pool pool = {0};
    enum { N = 20000 };
    static uint8_t *blocks[N];
    static size_t sizes[N];
    uint64_t bytes = 0;
    for (size_t i = 0; i < 3 * N; i++) {
        size_t at = i * 7919 % N;
        if (blocks[at] != NULL) {
            for (size_t k = 0; k < sizes[at]; k++)
                cr_assert_eq(blocks[at][k], (uint8_t)at);
            bytes -= slab_class_bytes(sizes[at]);
            slab_free(&pool, blocks[at]);
            blocks[at] = NULL;
            continue;
        }
        sizes[at] = 48 + i * 31 % 500;
        blocks[at] = slab_alloc(&pool, at % 2 == 0 ? SLAB_ENTRIES : SLAB_VALUES, sizes[at]);
        memset(blocks[at], (int)(at & 0xff), sizes[at]);
        bytes += slab_class_bytes(sizes[at]);
        cr_assert_eq(pool.live_bytes, bytes);
    }
    slab_pool_destroy(&pool);
}

Test(slab, memory_of_one_size_serves_another_once_it_is_free) {
    struct slab_pool pool = {0};
    enum { N = 40000 };
    static void *blocks[N];
    size_t regions = 0;
    for (size_t size = 64; size <= 1024; size *= 2) {
        size_t count = N * 64 / size;
        for (size_t i = 0; i < count; i++)
            blocks[i] = slab_alloc(&pool, SLAB_ENTRIES, size);
        for (size_t i = 0; i < count; i++)
            slab_free(&pool, blocks[i]);
        cr_assert_eq(pool.slab_bytes, 0);
        cr_assert_eq(pool.ring_count, 0);
        regions = size == 64 ? pool.region_count : regions;
        cr_assert_leq(pool.region_count, regions + 1);
    }
    slab_pool_trim(&pool, 4);
    cr_assert_leq(pool.empty_resident, 4);
    uint8_t *block = slab_alloc(&pool, SLAB_ENTRIES, 64); // trimmed slabs serve again
    memset(block, 1, 64);
    slab_pool_destroy(&pool);
}

Test(slab, free_entry_blocks_are_marked) {
    struct slab_pool pool = {0};
    uint8_t *first = slab_alloc(&pool, SLAB_ENTRIES, 80), *second = slab_alloc(&pool, SLAB_ENTRIES, 80);
    first[SLAB_MARK_OFFSET] = second[SLAB_MARK_OFFSET] = 1;
    slab_free(&pool, first);
    const struct slab *slab = slab_of(second);
    cr_assert_eq(slab, slab_of(first));
    cr_assert_eq(slab->fresh, 2);
    cr_assert_eq(slab_block(slab_of(first), 0)[SLAB_MARK_OFFSET], 0);
    cr_assert_eq(slab_block(slab_of(first), 1)[SLAB_MARK_OFFSET], 1);
    slab_pool_destroy(&pool);
}
