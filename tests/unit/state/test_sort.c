// SPDX-License-Identifier: Apache-2.0
#include "state/sort.h"

#include <criterion/criterion.h>

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static struct br_slice key_of(const void *context, uint64_t item) {
    return ((const struct br_slice *)context)[item];
}

static void check_sorted(const struct br_slice *keys, size_t count) {
    struct sort_record *records = br_calloc(count + 1, sizeof *records);
    bool *seen = br_calloc(count + 1, sizeof *seen);
    for (size_t i = 0; i < count; i++)
        records[i].item = i;
    sort_by_key(records, count, key_of, keys);
    for (size_t i = 0; i < count; i++) {
        cr_assert_not(seen[records[i].item], "an item stands twice");
        seen[records[i].item] = true;
        if (i > 0)
            cr_assert_leq(br_slice_compare(keys[records[i - 1].item], keys[records[i].item]), 0, "at %zu", i);
    }
    free(records);
    free(seen);
}

// Few different bytes, zeros among them, so that keys share prefixes, repeat, and end in zeros.
Test(sort, keys_of_any_shape_come_out_in_order) {
    uint64_t seed = 3;
    enum { N = 5000, LEN = 40 };
    static uint8_t bytes[N][LEN];
    static struct br_slice keys[N];
    static const size_t counts[] = {0, 1, 2, 23, 24, 25, 100, 1000, N};
    for (size_t round = 0; round < 40; round++) {
        size_t count = counts[round % 9], alphabet = 1 + next_random(&seed) % 4, longest = 1 + next_random(&seed) % LEN;
        for (size_t i = 0; i < count; i++) {
            size_t len = next_random(&seed) % (longest + 1);
            for (size_t k = 0; k < len; k++)
                bytes[i][k] = (uint8_t)(next_random(&seed) % alphabet);
            keys[i] = (struct br_slice){bytes[i], len};
        }
        check_sorted(keys, count);
    }
}

Test(sort, random_numbers_behind_a_shared_prefix_come_out_in_order) {
    uint64_t seed = 5;
    enum { N = 20000 };
    static uint8_t bytes[N][20];
    static struct br_slice keys[N];
    for (size_t i = 0; i < N; i++) {
        memcpy(bytes[i], "window-1-", 9);
        br_be64_put(bytes[i] + 9, next_random(&seed) >> (i % 64));
        keys[i] = (struct br_slice){bytes[i], 17};
    }
    check_sorted(keys, N);
}

Test(sort, equal_keys_cost_no_more_than_others) {
    enum { N = 100000 };
    static struct br_slice keys[N];
    for (size_t i = 0; i < N; i++)
        keys[i] = br_slice_of(i % 2 == 0 ? "the same long key for all of them" : "");
    check_sorted(keys, N);
}
