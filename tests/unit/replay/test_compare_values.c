// SPDX-License-Identifier: Apache-2.0
// Runs of rows compared as memory: NULLs at every place of a word, on either side, whatever stands beneath them.
#include "replay/compare_internal.h"

#include <criterion/criterion.h>

#define ROWS 300

static uint32_t roll(uint64_t *seed, uint32_t sides) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % sides;
}

static struct br_batch *make_batch(struct br_arena *arena, uint64_t *seed) {
    enum br_type types[] = {BR_BIGINT};
    struct br_batch *batch = br_batch_create(arena, types, NULL, 1);
    int64_t *values = batch->columns[0].values;
    batch->row_count = ROWS;
    for (uint32_t r = 0; r < ROWS; r++) {
        values[r] = (int64_t)r;
        if (roll(seed, 100) != 0)
            br_bit_set(batch->columns[0].validity, r);
    }
    return batch;
}

Test(compare_values, runs_are_compared_as_rows_are) {
    uint64_t seed = 7;
    struct br_arena *arena = br_arena_create();
    struct br_column_pair column = {.types = {BR_BIGINT, BR_BIGINT}, .tolerance = -1};
    struct br_view_pair pair = {.columns = &column, .column_count = 1};
    unsigned differing = 0, runs_alike = 0;
    for (int round = 0; round < 2000; round++) {
        uint32_t a_row = roll(&seed, 150), b_row = roll(&seed, 150), count = 1 + roll(&seed, ROWS - 150);
        struct br_batch *a = make_batch(arena, &seed), *b = make_batch(arena, &seed);
        bool differs[ROWS];
        memcpy((int64_t *)b->columns[0].values + b_row, (int64_t *)a->columns[0].values + a_row,
               count * sizeof(int64_t)); // beneath NULLs too
        bool any = br_rows_differ(&pair, a, a_row, b, b_row, count, differs), expected = false;
        for (uint32_t r = 0; r < count; r++) {
            bool differ = br_column_is_null(&a->columns[0], a_row + r) != br_column_is_null(&b->columns[0], b_row + r);
            expected |= differ;
            differing += differ;
            cr_assert_eq(differs[r], differ, "round %d row %u", round, r);
        }
        cr_assert_eq(any, expected);
        runs_alike += !any;
        br_arena_reset(arena);
    }
    cr_expect_gt(differing, 1000);
    cr_expect_gt(runs_alike, 100);
    br_arena_destroy(&arena);
}
