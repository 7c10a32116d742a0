// SPDX-License-Identifier: Apache-2.0
// An ordered set of things with key bytes: a directory of chunks of pointers (a B-tree of two levels). Inserting moves
// at most one chunk and, at a split, the directory's tail, so it suits up to some ten million items. The items' keys
// must not change while they are in. Included in state/ only.
#ifndef BR_STATE_ORDER_H
#define BR_STATE_ORDER_H

#include "base/bytes.h"

#define ORDER_CHUNK_ITEMS 127 // with the count: 1 KiB

struct order_chunk {
    size_t count; // never 0 for a chunk in the directory
    void *items[ORDER_CHUNK_ITEMS];
};

struct order {
    struct br_slice (*key_of)(const void *item);
    struct order_chunk **chunks;
    size_t chunk_count, chunk_capacity;
    size_t count;
};

// A place between items; valid until the next insert or remove.
struct order_place {
    size_t chunk, at;
};

// Zero-initialise, then set key_of. Clearing frees the memory.
void order_clear(struct order *order);
// The first item with a key >= key.
struct order_place order_seek(const struct order *order, struct br_slice key);
// The item at the place, NULL at the end.
static inline void *order_at(const struct order *order, struct order_place place) {
    return place.chunk < order->chunk_count ? order->chunks[place.chunk]->items[place.at] : NULL;
}
static inline struct order_place order_next(const struct order *order, struct order_place place) {
    if (++place.at == order->chunks[place.chunk]->count)
        place = (struct order_place){place.chunk + 1, 0};
    return place;
}
// The item with this key, NULL when there is none.
void *order_find(const struct order *order, struct br_slice key);
// Inserts an item whose key isn't in yet.
void order_insert(struct order *order, void *item);
// Appends an item whose key is greater than all that are in: fills chunks without gaps.
void order_append(struct order *order, void *item);
// Removes the item with this key, which must be in.
void order_remove(struct order *order, struct br_slice key);
size_t order_bytes(const struct order *order);

#endif
