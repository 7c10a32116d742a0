// SPDX-License-Identifier: Apache-2.0
#include "state/order.h"

#include <criterion/criterion.h>

// Items are their numbers' big-endian bytes.
struct item {
    uint8_t bytes[8];
};

static struct br_slice key_of(const void *item) {
    return (struct br_slice){((const struct item *)item)->bytes, 8};
}

static struct item *create(uint64_t number) {
    struct item *item = br_alloc(sizeof *item);
    br_be64_put(item->bytes, number);
    return item;
}

static struct br_slice key_bytes(uint64_t number, uint8_t out[8]) {
    br_be64_put(out, number);
    return (struct br_slice){out, 8};
}

enum { N = 6000 };

// Checks contents and order against the marks; returns nothing so that every use is an assertion.
static void check(const struct order *order, const bool *in) {
    struct order_place place = order_seek(order, (struct br_slice){0});
    size_t count = 0;
    for (uint64_t n = 0; n < N; n++) {
        if (!in[n])
            continue;
        const struct item *item = order_at(order, place);
        cr_assert_not_null(item);
        cr_assert_eq(br_be64_get(item->bytes), n);
        place = order_next(order, place);
        count += 1;
    }
    cr_assert_null(order_at(order, place));
    cr_assert_eq(order->count, count);
}

static void finish(struct order *order) {
    for (struct order_place place = {0}; order_at(order, place) != NULL; place = order_next(order, place))
        free(order_at(order, place));
    order_clear(order);
    cr_assert_eq(order_bytes(order), 0);
}

Test(order, inserts_and_removes_anywhere_keep_the_order) {
    struct order order = {.key_of = key_of};
    static bool in[N];
    uint8_t key[8];
    for (uint64_t i = 0; i < 3 * N; i++) {
        uint64_t number = i * 2654435761u % N;
        struct item *item = order_find(&order, key_bytes(number, key));
        cr_assert_eq(item != NULL, in[number]);
        if (item == NULL) {
            order_insert(&order, create(number));
        } else if (i % 3 != 0) {
            order_remove(&order, key_bytes(number, key));
            free(item);
        } else {
            continue;
        }
        in[number] = !in[number];
        if (i % 1000 == 0)
            check(&order, in);
    }
    check(&order, in);
    finish(&order);
}

Test(order, ascending_inserts_fill_chunks) {
    struct order order = {.key_of = key_of};
    for (uint64_t n = 0; n < N; n++)
        order_insert(&order, create(n));
    cr_assert_leq(order.chunk_count, N / ORDER_CHUNK_ITEMS + 1);
    finish(&order);
}

Test(order, emptied_regions_give_their_chunks_back) {
    struct order order = {.key_of = key_of};
    uint8_t key[8];
    for (uint64_t n = 0; n < N; n++)
        order_insert(&order, create(n));
    for (uint64_t n = 0; n < N; n++) {
        if (n % 50 == 0)
            continue;
        struct item *item = order_find(&order, key_bytes(n, key));
        order_remove(&order, key_bytes(n, key));
        free(item);
    }
    cr_assert_eq(order.count, N / 50);
    cr_assert_leq(order.chunk_count, 2 + N / 50 / 16);
    finish(&order);
}

Test(order, seek_finds_the_next_key_and_the_end) {
    struct order order = {.key_of = key_of};
    uint8_t key[8];
    cr_assert_null(order_at(&order, order_seek(&order, key_bytes(1, key))));
    for (uint64_t n = 0; n < N; n += 10)
        order_append(&order, create(n));
    for (uint64_t n = 0; n < N - 10; n++) {
        const struct item *item = order_at(&order, order_seek(&order, key_bytes(n, key)));
        cr_assert_eq(br_be64_get(item->bytes), (n + 9) / 10 * 10);
    }
    cr_assert_null(order_at(&order, order_seek(&order, key_bytes(N, key))));
    finish(&order);
}
