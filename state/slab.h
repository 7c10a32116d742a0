// SPDX-License-Identifier: Apache-2.0
// Memory for hot entries and for values that outgrew theirs: blocks of size classes, in slabs of 64 KiB, in regions of
// 2 MiB that the system may back with huge pages. Nothing is malloc'ed per entry, a block stays where it is, and a slab
// that has become empty serves another class, so what is held is what is counted. Larger blocks than the largest class
// come from malloc, counted too. Included in state/ only.
//
// Entry blocks are walked (for eviction): whoever owns an entry block keeps the byte at SLAB_MARK_OFFSET non-zero while
// it lives; the slab sets it to zero in blocks that are free.
#ifndef BR_STATE_SLAB_H
#define BR_STATE_SLAB_H

#include "base/status.h"

#define SLAB_BYTES ((size_t)64 << 10)
#define SLAB_REGION_BYTES ((size_t)2 << 20)
#define SLAB_BLOCK_MAX ((size_t)4096) // the largest class
#define SLAB_CLASSES 55
#define SLAB_MARK_OFFSET 42

enum slab_kind { SLAB_ENTRIES, SLAB_VALUES, SLAB_KINDS };

// Stands at the start of each slab, one cache line; blocks follow.
struct slab {
    struct slab *previous, *next; // among the slabs of its class that have free blocks; next among empty ones too
    uint32_t stride;
    uint32_t capacity, used, fresh; // blocks in all, handed out, never handed out yet
    uint32_t first_free;            // offset of a free block, 0: none but fresh ones
    uint32_t ring;                  // place in slab_pool.ring (entries only)
    uint8_t kind, class_index;
    bool partial; // in the list of its class
    bool dropped; // empty, and its memory is given back
    uint8_t padding[20];
};

struct slab_pool {
    struct slab *partial[SLAB_KINDS][SLAB_CLASSES];
    struct slab **ring; // all slabs of entries, in no order
    uint32_t ring_count, ring_capacity;
    struct slab *empty; // ready for any class
    size_t empty_count, empty_resident;
    void **regions;
    size_t region_count, region_capacity;
    uint64_t live_bytes;    // blocks handed out, whole strides
    uint64_t slab_bytes;    // slabs that hold at least one block
    uint64_t blocks_handed; // ever
};

void slab_pool_destroy(struct slab_pool *pool);
// At least size bytes (1..SLAB_BLOCK_MAX), aligned to 8.
void *slab_alloc(struct slab_pool *pool, enum slab_kind kind, size_t size);
void slab_free(struct slab_pool *pool, void *block);
// What a block of this size really takes.
size_t slab_class_bytes(size_t size);
static inline struct slab *slab_of(const void *block) {
    return (struct slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_BYTES - 1));
}
static inline uint8_t *slab_block(struct slab *slab, uint32_t index) {
    return (uint8_t *)(slab + 1) + (size_t)index * slab->stride;
}
// Gives the memory of empty slabs beyond `keep` back to the system.
void slab_pool_trim(struct slab_pool *pool, size_t keep);

#endif
