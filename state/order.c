// SPDX-License-Identifier: Apache-2.0
// See order.h.
#include "state/order.h"

#define CHUNK_SPARSE (ORDER_CHUNK_ITEMS / 4)

void order_clear(struct order *order) {
    for (size_t i = 0; i < order->chunk_count; i++)
        free(order->chunks[i]);
    free(order->chunks);
    *order = (struct order){.key_of = order->key_of};
}

static int compare_item(const struct order *order, const void *item, struct br_slice key) {
    return br_slice_compare(order->key_of(item), key);
}

// The last chunk whose first item is <= key, else the first chunk. There is at least one.
static size_t chunk_of(const struct order *order, struct br_slice key) {
    size_t low = 0, high = order->chunk_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (compare_item(order, order->chunks[middle]->items[0], key) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static size_t lower_bound(const struct order *order, const struct order_chunk *chunk, struct br_slice key) {
    size_t low = 0, high = chunk->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_item(order, chunk->items[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct order_place order_seek(const struct order *order, struct br_slice key) {
    if (order->chunk_count == 0 || key.len == 0)
        return (struct order_place){0, 0};
    struct order_place place = {.chunk = chunk_of(order, key)};
    place.at = lower_bound(order, order->chunks[place.chunk], key);
    if (place.at == order->chunks[place.chunk]->count)
        place = (struct order_place){place.chunk + 1, 0};
    return place;
}

void *order_find(const struct order *order, struct br_slice key) {
    void *item = order_at(order, order_seek(order, key));
    return item != NULL && compare_item(order, item, key) == 0 ? item : NULL;
}

static struct order_chunk *add_chunk(struct order *order, size_t at) {
    if (order->chunk_count == order->chunk_capacity) {
        order->chunk_capacity = order->chunk_capacity == 0 ? 8 : 2 * order->chunk_capacity;
        order->chunks = br_realloc(order->chunks, order->chunk_capacity * sizeof(struct order_chunk *));
    }
    struct order_chunk *chunk = br_alloc(sizeof *chunk);
    chunk->count = 0;
    memmove(order->chunks + at + 1, order->chunks + at, (order->chunk_count - at) * sizeof(struct order_chunk *));
    order->chunks[at] = chunk;
    order->chunk_count += 1;
    return chunk;
}

void order_append(struct order *order, void *item) {
    struct order_chunk *chunk = order->chunk_count == 0 ? NULL : order->chunks[order->chunk_count - 1];
    if (chunk == NULL || chunk->count == ORDER_CHUNK_ITEMS)
        chunk = add_chunk(order, order->chunk_count);
    chunk->items[chunk->count++] = item;
    order->count += 1;
}

void order_insert(struct order *order, void *item) {
    struct br_slice key = order->key_of(item);
    if (order->chunk_count == 0) {
        order_append(order, item);
        return;
    }
    size_t index = chunk_of(order, key);
    struct order_chunk *chunk = order->chunks[index];
    size_t at = lower_bound(order, chunk, key);
    BR_CHECK(at == chunk->count || compare_item(order, chunk->items[at], key) != 0);
    if (chunk->count == ORDER_CHUNK_ITEMS) {
        // At the very end keys are likely to go on ascending: leave the full chunk as it is.
        size_t keep = index + 1 == order->chunk_count && at == chunk->count ? chunk->count : chunk->count / 2;
        struct order_chunk *right = add_chunk(order, index + 1);
        right->count = chunk->count - keep;
        memcpy(right->items, chunk->items + keep, right->count * sizeof(void *));
        chunk->count = keep;
        if (at > keep || right->count == 0) {
            chunk = right;
            at -= keep;
        }
    }
    memmove(chunk->items + at + 1, chunk->items + at, (chunk->count - at) * sizeof(void *));
    chunk->items[at] = item;
    chunk->count += 1;
    order->count += 1;
}

static void drop_chunk(struct order *order, size_t index) {
    free(order->chunks[index]);
    order->chunk_count -= 1;
    memmove(order->chunks + index, order->chunks + index + 1,
            (order->chunk_count - index) * sizeof(struct order_chunk *));
}

// Joins a chunk with the next one when both easily fit in one.
static bool join_next(struct order *order, size_t index) {
    if (index + 1 >= order->chunk_count)
        return false;
    struct order_chunk *chunk = order->chunks[index], *right = order->chunks[index + 1];
    if (chunk->count + right->count > ORDER_CHUNK_ITEMS / 2)
        return false;
    memcpy(chunk->items + chunk->count, right->items, right->count * sizeof(void *));
    chunk->count += right->count;
    drop_chunk(order, index + 1);
    return true;
}

void order_remove(struct order *order, struct br_slice key) {
    struct order_place place = order_seek(order, key);
    void *item = order_at(order, place);
    BR_CHECK(item != NULL && compare_item(order, item, key) == 0);
    struct order_chunk *chunk = order->chunks[place.chunk];
    chunk->count -= 1;
    memmove(chunk->items + place.at, chunk->items + place.at + 1, (chunk->count - place.at) * sizeof(void *));
    order->count -= 1;
    if (chunk->count == 0)
        drop_chunk(order, place.chunk);
    else if (chunk->count <= CHUNK_SPARSE && !join_next(order, place.chunk) && place.chunk > 0)
        join_next(order, place.chunk - 1);
}

size_t order_bytes(const struct order *order) {
    return order->chunk_count * sizeof(struct order_chunk) + order->chunk_capacity * sizeof(struct order_chunk *);
}
