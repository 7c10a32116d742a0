// SPDX-License-Identifier: Apache-2.0
// Bags: what they hold, whatever way it came, and that they do not grow without bound.
#include "processor/operators/bag.h"
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct bench {
    struct br_state *state;
    struct br_state_table *table;
    struct br_arena *arena;
};

static struct bench open_bench(void) {
    struct bench bench = {.arena = br_arena_create()};
    struct br_error error;
    cr_assert_eq(br_state_create(br_store_create_memory(), 1 << 20, &bench.state, &error), BR_OK);
    bench.table = br_state_open_table(bench.state, 1, "bags");
    return bench;
}

static void close_bench(struct bench *bench) {
    br_state_destroy(&bench->state);
    br_arena_destroy(&bench->arena);
}

static struct br_entry *head_of(struct bench *bench) {
    struct br_entry *entry;
    struct br_error error;
    bool is_new;
    struct br_slice key = br_slice_of("key");
    cr_assert_eq(br_state_obtain(bench->table, key, br_state_hash(key), BR_BAG_HEAD_SIZE, &entry, &is_new, &error),
                 BR_OK);
    return entry;
}

static void add(struct bench *bench, const char *row, int64_t weight) {
    struct br_error error;
    cr_assert_eq(br_bag_add(bench->table, head_of(bench), br_slice_of(row), weight, bench->arena, &error), BR_OK);
}

static const char *contents(struct bench *bench) {
    struct br_bag_rows rows = {0};
    struct br_error error;
    struct relation relation = {0};
    cr_assert_eq(br_bag_read(bench->table, head_of(bench), bench->arena, &rows, &error), BR_OK);
    for (size_t i = 0; i < rows.count; i++)
        relation_add(&relation,
                     br_arena_strndup(bench->arena, (const char *)rows.rows[i].bytes.ptr, rows.rows[i].bytes.len),
                     (long)rows.rows[i].weight);
    const char *text = relation_text(&relation, bench->arena);
    relation_free(&relation);
    return text;
}

static size_t stored_bytes(struct bench *bench) {
    struct br_state_iterator *values;
    struct br_slice all = {0}, key, value;
    struct br_error error;
    size_t bytes = 0;
    cr_assert_eq(br_state_scan(bench->table, all, all, &values, &error), BR_OK);
    while (br_state_iterator_next(values, &key, &value))
        bytes += value.len;
    br_state_iterator_destroy(&values);
    return bytes;
}

Test(bag, rows_cancel_in_any_order) {
    struct bench bench = open_bench();
    add(&bench, "b", -1);
    add(&bench, "a", 2);
    add(&bench, "b", 3);
    add(&bench, "a", -1);
    cr_assert_str_eq(contents(&bench), "a\nb\nb\n");
    cr_assert_eq(br_bag_total(head_of(&bench)), 3);
    add(&bench, "a", -1);
    add(&bench, "b", -2);
    cr_assert(br_bag_is_empty(head_of(&bench)));
    close_bench(&bench);
}

Test(bag, random_rows_come_and_go_and_leave_no_rubbish) {
    struct bench bench = open_bench();
    struct dice dice = {5};
    struct relation model = {0};
    char row[80];
    long live[400] = {0};
    for (int round = 0; round < 20000; round++) {
        uint32_t id = dice_roll(&dice, 400);
        bool goes = live[id] > 0 && dice_roll(&dice, 100) < (round / 2000 % 2 == 0 ? 30 : 90);
        sprintf(row, "row %u with some text to make it longer than nothing", id);
        add(&bench, row, goes ? -1 : 1);
        live[id] += goes ? -1 : 1;
        relation_add(&model, row, goes ? -1 : 1);
        if (round % 500 == 0) {
            cr_assert_str_eq(contents(&bench), relation_text(&model, bench.arena));
            br_state_end_epoch(bench.state);
            br_arena_reset(bench.arena);
        }
    }
    for (uint32_t id = 0; id < 400; id++) {
        sprintf(row, "row %u with some text to make it longer than nothing", id);
        long keep = id < 20 ? 1 : 0;
        if (live[id] != keep)
            add(&bench, row, keep - live[id]);
    }
    cr_assert_eq(br_bag_total(head_of(&bench)), 20);
    cr_assert_lt(stored_bytes(&bench), (size_t)16384, "%zu bytes for 20 rows", stored_bytes(&bench));
    relation_free(&model);
    close_bench(&bench);
}
