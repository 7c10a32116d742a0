// SPDX-License-Identifier: Apache-2.0
#include "processor/expr/batch.h"

#include <criterion/criterion.h>

static struct br_arena *arena;
static void setup(void) {
    arena = br_arena_create();
}
static void teardown(void) {
    br_arena_destroy(&arena);
}
TestSuite(batch, .init = setup, .fini = teardown);

static const enum br_type TYPES[] = {BR_BOOLEAN, BR_INTEGER,     BR_BIGINT, BR_NUMERIC,  BR_DOUBLE,
                                     BR_TEXT,    BR_TIMESTAMPTZ, BR_DATE,   BR_INTERVAL, BR_BYTEA};
#define TYPE_COUNT (sizeof TYPES / sizeof TYPES[0])

static struct br_value value_of(enum br_type type, uint32_t row) {
    struct br_value value = {.type = type, .is_null = row % 7 == 3};
    switch (type) {
    case BR_BOOLEAN:
        value.boolean = row % 2 == 1;
        break;
    case BR_INTEGER:
    case BR_DATE:
        value.integer = -(int32_t)row;
        break;
    case BR_BIGINT:
    case BR_TIMESTAMPTZ:
        value.bigint = (int64_t)row << 33;
        break;
    case BR_DOUBLE:
        value.real = row * 0.5;
        break;
    case BR_NUMERIC:
        value.numeric = (struct br_numeric){row * 64 + 2, 0};
        break;
    case BR_INTERVAL:
        value.interval = (struct br_interval){row, -1, 2};
        break;
    default:
        value.bytes = br_slice_of(br_arena_printf(arena, "row %u", row));
    }
    return value;
}

static struct br_batch *filled(uint32_t rows) {
    struct br_batch *batch = br_batch_create(arena, TYPES, NULL, TYPE_COUNT);
    batch->row_count = rows;
    for (uint32_t c = 0; c < TYPE_COUNT; c++)
        for (uint32_t r = 0; r < rows; r++) {
            struct br_value value = value_of(TYPES[c], r);
            br_column_set(&batch->columns[c], r, &value);
        }
    return batch;
}

static void expect_row(const struct br_batch *batch, uint32_t at, uint32_t row) {
    for (uint32_t c = 0; c < TYPE_COUNT; c++) {
        struct br_value want = value_of(TYPES[c], row), got = br_column_get(&batch->columns[c], at);
        cr_assert_eq(got.type, want.type);
        cr_assert_eq(got.is_null, want.is_null, "column %u row %u", c, row);
        if (want.is_null)
            continue;
        struct br_buffer a = {0}, b = {0};
        br_value_print(&want, &a);
        br_value_print(&got, &b);
        cr_assert(br_slice_equal(br_buffer_slice(&a), br_buffer_slice(&b)), "column %u row %u", c, row);
        br_buffer_free(&a);
        br_buffer_free(&b);
    }
}

Test(batch, gives_back_what_was_set) {
    struct br_batch *batch = filled(BR_BATCH_ROWS);
    for (uint32_t r = 0; r < BR_BATCH_ROWS; r += 31)
        expect_row(batch, r, r);
}

Test(batch, is_made_without_values_for_unwanted_columns) {
    bool wanted[TYPE_COUNT] = {false, true};
    struct br_batch *batch = br_batch_create(arena, TYPES, wanted, TYPE_COUNT);
    cr_assert_null(batch->columns[0].values);
    cr_assert_eq(batch->columns[0].type, BR_BOOLEAN);
    cr_assert_not_null(batch->columns[1].values);
    cr_assert(br_column_get(&batch->columns[0], 0).is_null);
}

Test(batch, selects_rows_with_weights_and_origins) {
    static const uint32_t SIZES[] = {1, 63, 64, 65, 2048};
    for (size_t s = 0; s < 5; s++) {
        uint32_t rows = SIZES[s], picked[BR_BATCH_ROWS], count = 0;
        struct br_batch *batch = filled(rows);
        br_batch_need_weights(batch, arena);
        br_batch_need_origins(batch, arena);
        for (uint32_t r = 0; r < rows; r++) {
            batch->weights[r] = r % 2 == 0 ? 1 : -1;
            batch->origins[r] = 1000 + r;
            if (r % 3 != 1)
                picked[count++] = r;
        }
        struct br_batch *selected = br_batch_select(batch, picked, count, arena);
        cr_assert_eq(selected->row_count, count);
        for (uint32_t i = 0; i < count; i++) {
            expect_row(selected, i, picked[i]);
            cr_assert_eq(br_batch_weight(selected, i), picked[i] % 2 == 0 ? 1 : -1);
            cr_assert_eq(br_batch_origin(selected, i), 1000 + picked[i]);
        }
    }
}

Test(batch, selects_in_any_order_and_more_than_once) {
    struct br_batch *batch = filled(10);
    uint32_t rows[] = {9, 0, 0, 3, 9};
    struct br_batch *selected = br_batch_select(batch, rows, 5, arena);
    for (uint32_t i = 0; i < 5; i++)
        expect_row(selected, i, rows[i]);
}

Test(batch, shares_columns_when_all_rows_are_selected_in_order) {
    struct br_batch *batch = filled(3);
    uint32_t in_order[] = {0, 1, 2}, other[] = {0, 2, 1};
    cr_assert_eq(br_batch_select(batch, in_order, 3, arena)->columns[0].values, batch->columns[0].values);
    cr_assert_neq(br_batch_select(batch, other, 3, arena)->columns[0].values, batch->columns[0].values);
    cr_assert_neq(br_batch_select(batch, in_order, 2, arena)->columns[0].values, batch->columns[0].values);
}

Test(batch, drops_a_validity_without_nulls_when_rows_are_selected) {
    struct br_batch *batch = filled(3);
    uint32_t rows[] = {2, 0};
    cr_assert_null(br_batch_select(batch, rows, 2, arena)->columns[0].validity);
}

Test(batch, leaves_pruned_columns_pruned_when_rows_are_selected) {
    struct br_batch *batch = filled(3);
    batch->columns[2].values = NULL;
    uint32_t rows[] = {2, 0};
    struct br_batch *selected = br_batch_select(batch, rows, 2, arena);
    cr_assert_null(selected->columns[2].values);
    cr_assert_eq(selected->columns[2].type, BR_BIGINT);
}

Test(batch, has_weight_one_and_no_origin_by_default) {
    struct br_batch *batch = filled(2);
    cr_assert_eq(br_batch_weight(batch, 1), 1);
    cr_assert_eq(br_batch_origin(batch, 1), BR_NO_ORIGIN);
    br_batch_need_weights(batch, arena);
    br_batch_need_origins(batch, arena);
    cr_assert_eq(batch->weights[BR_BATCH_ROWS - 1], 1);
    cr_assert_eq(batch->origins[BR_BATCH_ROWS - 1], BR_NO_ORIGIN);
}
