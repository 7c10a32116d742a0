// SPDX-License-Identifier: Apache-2.0
// See slab.h.
#define _GNU_SOURCE // MAP_ANONYMOUS, MADV_HUGEPAGE
#include "state/slab.h"

#include <string.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct slab) == 64, "the header is a cache line");

// Classes: steps of 8 bytes up to 128 (16, 24, …), then eight steps per doubling.
#define FINE_MAX 128
#define FINE_CLASSES 15

#define PAGE_BYTES 4096
#define TRIM_STEP 32 // empty slabs: trimming goes over their list, so it must be worth it

static uint8_t class_of(size_t size) {
    if (size <= FINE_MAX)
        return size <= 16 ? 0 : (uint8_t)((size + 7) / 8 - 2);
    int shift = 60 - __builtin_clzll(size - 1); // the class step is 1 << shift
    size_t step = (size - 1) >> shift;          // 8..15
    return (uint8_t)(FINE_CLASSES + 8 * (size_t)(shift - 4) + (step - 8));
}

static uint32_t class_stride(uint8_t class_index) {
    if (class_index < FINE_CLASSES)
        return (class_index + 2u) * 8;
    uint32_t over = class_index - FINE_CLASSES;
    return (over % 8 + 9) << (over / 8 + 4);
}

size_t slab_class_bytes(size_t size) {
    return class_stride(class_of(size));
}

static void add_region(struct slab_pool *pool) {
    // Twice the size, then cut to an aligned piece: huge pages and slab_of need the alignment.
    uint8_t *raw = mmap(NULL, 2 * SLAB_REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BR_CHECK(raw != MAP_FAILED); // as br_alloc: a worker that is out of memory is restarted and recovers
    size_t head = (SLAB_REGION_BYTES - ((uintptr_t)raw & (SLAB_REGION_BYTES - 1))) & (SLAB_REGION_BYTES - 1);
    uint8_t *region = raw + head;
    if (head != 0)
        munmap(raw, head);
    munmap(region + SLAB_REGION_BYTES, SLAB_REGION_BYTES - head);
    BR_CHECK((uintptr_t)region >> 48 == 0); // the hot map packs pointers into 48 bits
    madvise(region, SLAB_REGION_BYTES, MADV_HUGEPAGE);
    if (pool->region_count == pool->region_capacity) {
        pool->region_capacity = pool->region_capacity == 0 ? 16 : 2 * pool->region_capacity;
        pool->regions = br_realloc(pool->regions, pool->region_capacity * sizeof(void *));
    }
    pool->regions[pool->region_count++] = region;
    for (size_t at = SLAB_REGION_BYTES; at != 0; at -= SLAB_BYTES) {
        struct slab *slab = (struct slab *)(region + at - SLAB_BYTES);
        slab->next = pool->empty;
        pool->empty = slab;
        pool->empty_count += 1;
        pool->empty_resident += 1;
    }
}

void slab_pool_destroy(struct slab_pool *pool) {
    for (size_t i = 0; i < pool->region_count; i++)
        munmap(pool->regions[i], SLAB_REGION_BYTES);
    free(pool->regions);
    free(pool->ring);
    *pool = (struct slab_pool){0};
}

static void link_partial(struct slab_pool *pool, struct slab *slab) {
    struct slab **head = &pool->partial[slab->kind][slab->class_index];
    slab->previous = NULL;
    slab->next = *head;
    if (*head != NULL)
        (*head)->previous = slab;
    *head = slab;
    slab->partial = true;
}

static void unlink_partial(struct slab_pool *pool, struct slab *slab) {
    if (slab->previous != NULL)
        slab->previous->next = slab->next;
    else
        pool->partial[slab->kind][slab->class_index] = slab->next;
    if (slab->next != NULL)
        slab->next->previous = slab->previous;
    slab->partial = false;
}

static struct slab *take_empty(struct slab_pool *pool, enum slab_kind kind, uint8_t class_index) {
    if (pool->empty == NULL)
        add_region(pool);
    struct slab *slab = pool->empty;
    pool->empty = slab->next;
    pool->empty_count -= 1;
    pool->empty_resident -= !slab->dropped;
    uint32_t stride = class_stride(class_index);
    *slab = (struct slab){.stride = stride,
                          .capacity = (uint32_t)((SLAB_BYTES - sizeof *slab) / stride),
                          .kind = (uint8_t)kind,
                          .class_index = class_index};
    pool->slab_bytes += SLAB_BYTES;
    if (kind == SLAB_ENTRIES) {
        if (pool->ring_count == pool->ring_capacity) {
            pool->ring_capacity = pool->ring_capacity == 0 ? 64 : 2 * pool->ring_capacity;
            pool->ring = br_realloc(pool->ring, pool->ring_capacity * sizeof(struct slab *));
        }
        slab->ring = pool->ring_count;
        pool->ring[pool->ring_count++] = slab;
    }
    link_partial(pool, slab);
    return slab;
}

static void give_empty(struct slab_pool *pool, struct slab *slab) {
    if (slab->partial)
        unlink_partial(pool, slab);
    if (slab->kind == SLAB_ENTRIES) {
        struct slab *moved = pool->ring[--pool->ring_count];
        pool->ring[slab->ring] = moved;
        moved->ring = slab->ring;
    }
    slab->next = pool->empty;
    pool->empty = slab;
    pool->empty_count += 1;
    pool->empty_resident += 1;
    pool->slab_bytes -= SLAB_BYTES;
}

void *slab_alloc(struct slab_pool *pool, enum slab_kind kind, size_t size) {
    uint8_t class_index = class_of(size);
    struct slab *slab = pool->partial[kind][class_index];
    if (slab == NULL)
        slab = take_empty(pool, kind, class_index);
    uint8_t *block;
    if (slab->first_free != 0) {
        block = (uint8_t *)slab + slab->first_free;
        memcpy(&slab->first_free, block, sizeof slab->first_free);
    } else {
        block = slab_block(slab, slab->fresh++);
    }
    slab->used += 1;
    if (slab->used == slab->capacity)
        unlink_partial(pool, slab);
    pool->live_bytes += slab->stride;
    pool->blocks_handed += 1;
    return block;
}

void slab_free(struct slab_pool *pool, void *block) {
    struct slab *slab = slab_of(block);
    BR_CHECK(slab->used != 0);
    memcpy(block, &slab->first_free, sizeof slab->first_free);
    if (slab->kind == SLAB_ENTRIES)
        ((uint8_t *)block)[SLAB_MARK_OFFSET] = 0;
    slab->first_free = (uint32_t)((uint8_t *)block - (uint8_t *)slab);
    slab->used -= 1;
    pool->live_bytes -= slab->stride;
    if (slab->used == 0)
        give_empty(pool, slab);
    else if (!slab->partial)
        link_partial(pool, slab);
}

void slab_pool_trim(struct slab_pool *pool, size_t keep) {
    if (pool->empty_resident <= keep + TRIM_STEP)
        return;
    // The list's links stand in the slabs' first pages: those stay. The newest empty slabs are in front and stay too.
    size_t seen = 0;
    for (struct slab *slab = pool->empty; slab != NULL && pool->empty_resident > keep; slab = slab->next) {
        if (seen++ < keep || slab->dropped)
            continue;
        madvise((uint8_t *)slab + PAGE_BYTES, SLAB_BYTES - PAGE_BYTES, MADV_DONTNEED);
        slab->dropped = true;
        pool->empty_resident -= 1;
    }
}
