// SPDX-License-Identifier: Apache-2.0
// The store in memory: an ordered set of items, each with its key and value in one allocation. A batch is a list of
// operations, applied in order at write. Iterators walk the set itself, so nothing may be written while one is open
// (checked).
#include "state/order.h"
#include "state/store_internal.h"

struct item {
    uint32_t key_len;
    uint32_t value_len;
    uint8_t bytes[]; // key, then value
};

struct memory_store {
    struct br_store base;
    struct order order;
    uint64_t item_bytes;
    size_t open_iterators;
    size_t handles; // br_store_share_memory
};

enum operation { OPERATION_PUT, OPERATION_DELETE, OPERATION_DELETE_RANGE };

struct operation_head {
    uint32_t operation;
    uint32_t first_len, second_len; // key and value, or the ends of the range
};

struct memory_batch {
    struct br_store_batch base;
    struct br_buffer operations; // heads, each followed by its bytes
};

struct memory_iterator {
    struct br_store_iterator base;
    struct order_place place;
    struct br_buffer last;
};

static struct br_slice key_of(const void *any) {
    const struct item *item = any;
    return (struct br_slice){item->bytes, item->key_len};
}

static struct br_slice value_of(const struct item *item) {
    return (struct br_slice){item->bytes + item->key_len, item->value_len};
}

static void drop_item(struct memory_store *store, struct item *item) {
    order_remove(&store->order, key_of(item));
    store->item_bytes -= sizeof *item + item->key_len + item->value_len;
    free(item);
}

static void put(struct memory_store *store, struct br_slice key, struct br_slice value) {
    struct item *old = order_find(&store->order, key);
    if (old != NULL && old->value_len == value.len) {
        if (value.len != 0)
            memcpy(old->bytes + key.len, value.ptr, value.len);
        return;
    }
    if (old != NULL)
        drop_item(store, old);
    struct item *item = br_alloc(sizeof *item + key.len + value.len);
    item->key_len = (uint32_t)key.len;
    item->value_len = (uint32_t)value.len;
    if (key.len != 0)
        memcpy(item->bytes, key.ptr, key.len);
    if (value.len != 0)
        memcpy(item->bytes + key.len, value.ptr, value.len);
    order_insert(&store->order, item);
    store->item_bytes += sizeof *item + key.len + value.len;
}

static void delete_range(struct memory_store *store, struct br_slice first, struct br_slice last) {
    for (;;) {
        struct item *item = order_at(&store->order, order_seek(&store->order, first));
        if (item == NULL || br_slice_compare(key_of(item), last) >= 0)
            return;
        drop_item(store, item);
    }
}

static void memory_destroy(struct br_store *base) {
    struct memory_store *store = (struct memory_store *)base;
    BR_CHECK(store->handles > 0);
    if (--store->handles != 0)
        return;
    BR_CHECK(store->open_iterators == 0);
    for (struct order_place place = {0}; order_at(&store->order, place) != NULL;
         place = order_next(&store->order, place))
        free(order_at(&store->order, place));
    order_clear(&store->order);
    free(store);
}

static enum br_status memory_get_many(struct br_store *base, const struct br_slice *keys, size_t count,
                                      struct br_slice *ret_values, bool *ret_found, struct br_error *error) {
    (void)error;
    struct memory_store *store = (struct memory_store *)base;
    for (size_t i = 0; i < count; i++) {
        const struct item *item = order_find(&store->order, keys[i]);
        ret_found[i] = item != NULL;
        ret_values[i] = (struct br_slice){0};
        if (item != NULL)
            ret_values[i] = value_of(item);
    }
    return BR_OK;
}

static struct br_store_batch *memory_batch_create(struct br_store *base) {
    struct memory_batch *batch = br_calloc(1, sizeof *batch);
    batch->base.store = base;
    return &batch->base;
}

static void memory_batch_destroy(struct br_store_batch *base) {
    struct memory_batch *batch = (struct memory_batch *)base;
    br_buffer_free(&batch->operations);
    free(batch);
}

static void memory_batch_clear(struct br_store_batch *base) {
    br_buffer_clear(&((struct memory_batch *)base)->operations);
}

static void append(struct br_store_batch *base, enum operation operation, struct br_slice a, struct br_slice b) {
    struct br_buffer *operations = &((struct memory_batch *)base)->operations;
    struct operation_head head = {operation, (uint32_t)a.len, (uint32_t)b.len};
    br_buffer_append(operations, &head, sizeof head);
    br_buffer_append_slice(operations, a);
    br_buffer_append_slice(operations, b);
}

static void memory_batch_put(struct br_store_batch *base, struct br_slice key, struct br_slice value) {
    append(base, OPERATION_PUT, key, value);
}

static void memory_batch_delete(struct br_store_batch *base, struct br_slice key) {
    append(base, OPERATION_DELETE, key, (struct br_slice){0});
}

static void memory_batch_delete_range(struct br_store_batch *base, struct br_slice first, struct br_slice last) {
    append(base, OPERATION_DELETE_RANGE, first, last);
}

static size_t memory_batch_size(const struct br_store_batch *base) {
    return ((const struct memory_batch *)base)->operations.len;
}

static enum br_status memory_write(struct br_store *base, struct br_store_batch *batch_base, struct br_error *error) {
    (void)error;
    struct memory_store *store = (struct memory_store *)base;
    BR_CHECK(store->open_iterators == 0);
    const struct br_buffer *operations = &((struct memory_batch *)batch_base)->operations;
    for (size_t at = 0; at < operations->len;) {
        struct operation_head head;
        memcpy(&head, operations->ptr + at, sizeof head);
        struct br_slice a = {operations->ptr + at + sizeof head, head.first_len};
        struct br_slice b = {a.ptr + a.len, head.second_len};
        at += sizeof head + a.len + b.len;
        struct item *item;
        if (head.operation == OPERATION_PUT)
            put(store, a, b);
        else if (head.operation == OPERATION_DELETE_RANGE)
            delete_range(store, a, b);
        else if ((item = order_find(&store->order, a)) != NULL)
            drop_item(store, item);
    }
    return BR_OK;
}

static enum br_status memory_scan(struct br_store *base, struct br_slice first, struct br_slice last,
                                  struct br_store_iterator **ret_iterator, struct br_error *error) {
    (void)error;
    struct memory_store *store = (struct memory_store *)base;
    struct memory_iterator *iterator = br_calloc(1, sizeof *iterator);
    iterator->base.store = base;
    iterator->place = order_seek(&store->order, first);
    br_buffer_append_slice(&iterator->last, last);
    store->open_iterators += 1;
    *ret_iterator = &iterator->base;
    return BR_OK;
}

static bool memory_iterator_next(struct br_store_iterator *base, struct br_slice *ret_key, struct br_slice *ret_value) {
    struct memory_iterator *iterator = (struct memory_iterator *)base;
    struct memory_store *store = (struct memory_store *)base->store;
    const struct item *item = order_at(&store->order, iterator->place);
    if (item == NULL ||
        (iterator->last.len != 0 && br_slice_compare(key_of(item), br_buffer_slice(&iterator->last)) >= 0))
        return false;
    iterator->place = order_next(&store->order, iterator->place);
    *ret_key = key_of(item);
    *ret_value = value_of(item);
    return true;
}

static enum br_status memory_iterator_status(const struct br_store_iterator *base, struct br_error *error) {
    (void)base;
    (void)error;
    return BR_OK;
}

static void memory_iterator_destroy(struct br_store_iterator *base) {
    struct memory_iterator *iterator = (struct memory_iterator *)base;
    ((struct memory_store *)base->store)->open_iterators -= 1;
    br_buffer_free(&iterator->last);
    free(iterator);
}

static enum br_status memory_last_key(struct br_store *base, struct br_slice first, struct br_slice last,
                                      struct br_buffer *key, bool *ret_found, struct br_error *error) {
    (void)error;
    const struct order *order = &((struct memory_store *)base)->order;
    struct order_place place = order_seek(order, last);
    *ret_found = false;
    if (place.at == 0 && place.chunk == 0)
        return BR_OK;
    place = place.at != 0 ? (struct order_place){place.chunk, place.at - 1}
                          : (struct order_place){place.chunk - 1, order->chunks[place.chunk - 1]->count - 1};
    struct br_slice found = key_of(order_at(order, place));
    if (br_slice_compare(found, first) < 0)
        return BR_OK;
    br_buffer_append_slice(key, found);
    *ret_found = true;
    return BR_OK;
}

static enum br_status memory_checkpoint(struct br_store *base, const char *path, struct br_error *error) {
    (void)base;
    return br_error_set(error, BR_FATAL,
                        "cannot copy the state to %s: it is held in memory only; run with a state folder", path);
}

static void memory_usage(struct br_store *base, uint64_t *ret_memory, uint64_t *ret_disk) {
    const struct memory_store *store = (struct memory_store *)base;
    *ret_memory = store->item_bytes + order_bytes(&store->order);
    *ret_disk = 0;
}

struct br_store *br_store_create_memory(void) {
    static const struct store_ops ops = {
        .destroy = memory_destroy,
        .get_many = memory_get_many,
        .batch_create = memory_batch_create,
        .batch_destroy = memory_batch_destroy,
        .batch_clear = memory_batch_clear,
        .batch_put = memory_batch_put,
        .batch_delete = memory_batch_delete,
        .batch_delete_range = memory_batch_delete_range,
        .batch_size = memory_batch_size,
        .write = memory_write,
        .scan = memory_scan,
        .iterator_next = memory_iterator_next,
        .iterator_status = memory_iterator_status,
        .iterator_destroy = memory_iterator_destroy,
        .last_key = memory_last_key,
        .checkpoint = memory_checkpoint,
        .usage = memory_usage,
    };
    struct memory_store *store = br_calloc(1, sizeof *store);
    store->base.ops = &ops;
    store->order.key_of = key_of;
    store->handles = 1;
    return &store->base;
}

struct br_store *br_store_share_memory(struct br_store *base) {
    struct memory_store *store = (struct memory_store *)base;
    BR_CHECK(base->ops->destroy == memory_destroy);
    store->handles++;
    return base;
}
