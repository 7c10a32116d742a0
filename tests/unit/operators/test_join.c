// SPDX-License-Identifier: Apache-2.0
// Joins: inner, left outer, with a residual condition, lookups, and what they keep.
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EXPECT(text, wanted) cr_assert_str_eq((text), (wanted))

static const int first_column[] = {0, -1};

// l (id, k, v) and r (id, k, v), both upsert tables by id; joined on k unless told otherwise.
struct bench {
    struct world *world;
    uint32_t left, right, view;
    struct br_node *join;
};

static struct bench bench_of(bool left_outer, const char *left_keys, const char *right_keys, bool residual) {
    struct bench bench = {.world = world_create()};
    struct world *world = bench.world;
    bench.left = world_table(world, "l", "iti", first_column);
    bench.right = world_table(world, "r", "iti", first_column);
    struct br_node *l = world_source(world, bench.left), *r = world_source(world, bench.right);
    bench.join = world_join(world, l, r, left_keys, right_keys, left_outer);
    if (residual)
        bench.join->join.residual =
            world_call(world, ">", world_column(world, bench.join, 2),
                       world_call(world, "/", world_number(world, 100), world_column(world, bench.join, 5)));
    bench.view = world_view(world, "v", bench.join);
    world_start(world);
    return bench;
}

static const char *seen(struct bench *bench) {
    world_end_epoch(bench->world);
    EXPECT(world_seen(bench->world, bench->view), world_scan(bench->world, bench->view));
    return world_seen(bench->world, bench->view);
}

Test(join, inner_join_follows_both_sides) {
    struct bench bench = bench_of(false, "1", "1", false);
    world_push(bench.world, bench.left, 1, "1|a|10");
    world_push(bench.world, bench.left, 1, "2||10");
    world_push(bench.world, bench.right, 1, "7|a|70");
    world_push(bench.world, bench.right, 1, "8||80");
    EXPECT(seen(&bench), "1|a|10|7|a|70\n");
    world_push(bench.world, bench.left, 1, "3|a|30");
    world_push(bench.world, bench.right, 1, "9|a|90");
    EXPECT(seen(&bench), "1|a|10|7|a|70\n1|a|10|9|a|90\n3|a|30|7|a|70\n3|a|30|9|a|90\n");
    world_restart(bench.world);
    world_push(bench.world, bench.left, 1, "1|b|10");
    world_push(bench.world, bench.right, -1, "9||");
    EXPECT(seen(&bench), "3|a|30|7|a|70\n");
    world_destroy(&bench.world);
}

Test(join, left_outer_join_gives_nulls_while_nothing_matches) {
    struct bench bench = bench_of(true, "1", "1", false);
    world_push(bench.world, bench.left, 1, "1|a|10");
    world_push(bench.world, bench.left, 1, "2||20");
    EXPECT(seen(&bench), "1|a|10|||\n2||20|||\n");
    world_push(bench.world, bench.right, 1, "7|a|70");
    world_push(bench.world, bench.right, 1, "8||80");
    EXPECT(seen(&bench), "1|a|10|7|a|70\n2||20|||\n");
    world_push(bench.world, bench.right, 1, "7|a|71");
    world_push(bench.world, bench.right, 1, "6|a|60");
    EXPECT(seen(&bench), "1|a|10|6|a|60\n1|a|10|7|a|71\n2||20|||\n");
    world_push(bench.world, bench.right, -1, "7||");
    world_push(bench.world, bench.right, -1, "6||");
    EXPECT(seen(&bench), "1|a|10|||\n2||20|||\n");
    world_push(bench.world, bench.left, -1, "2||");
    world_push(bench.world, bench.left, -1, "1||");
    EXPECT(seen(&bench), "");
    world_destroy(&bench.world);
}

Test(join, left_outer_join_with_residual_counts_matches_per_row) {
    struct bench bench = bench_of(true, "1", "1", true); // l.v > 100 / r.v
    world_push(bench.world, bench.left, 1, "1|a|10");
    world_push(bench.world, bench.left, 1, "2|a|60");
    world_push(bench.world, bench.right, 1, "7|a|2");
    EXPECT(seen(&bench), "1|a|10|||\n2|a|60|7|a|2\n");
    world_push(bench.world, bench.right, 1, "8|a|20");
    EXPECT(seen(&bench), "1|a|10|8|a|20\n2|a|60|7|a|2\n2|a|60|8|a|20\n");
    world_push(bench.world, bench.right, 1, "8|a|3");
    world_push(bench.world, bench.right, 1, "7|a|1");
    EXPECT(seen(&bench), "1|a|10|||\n2|a|60|8|a|3\n");
    world_push(bench.world, bench.right, 1, "8|a|0");
    EXPECT(seen(&bench), "");
    EXPECT(relation_text(&bench.world->failed, bench.world->arena), "v: division by zero\nv: division by zero\n");
    world_push(bench.world, bench.left, 1, "3|a|5");
    world_push(bench.world, bench.right, 1, "8|a|50");
    EXPECT(seen(&bench), "1|a|10|8|a|50\n2|a|60|8|a|50\n3|a|5|8|a|50\n");
    world_destroy(&bench.world);
}

Test(join, upsert_tables_keyed_by_the_join_key_are_not_stored_twice) {
    for (int outer = 0; outer < 2; outer++) {
        struct bench bench = bench_of(outer != 0, "2", "0", false); // l.v = r.id
        world_push(bench.world, bench.left, 1, "1|a|7");
        world_push(bench.world, bench.left, 1, "2|b|7");
        world_push(bench.world, bench.left, 1, "3|c|8");
        world_push(bench.world, bench.right, 1, "7|x|0");
        EXPECT(seen(&bench), outer ? "1|a|7|7|x|0\n2|b|7|7|x|0\n3|c|8|||\n" : "1|a|7|7|x|0\n2|b|7|7|x|0\n");
        cr_assert_eq(world_stored(bench.world), 3 + 1 + 2, "%zu keys", world_stored(bench.world));
        world_push(bench.world, bench.right, 1, "7|y|0");
        world_push(bench.world, bench.right, 1, "8|z|0");
        EXPECT(seen(&bench), "1|a|7|7|y|0\n2|b|7|7|y|0\n3|c|8|8|z|0\n");
        world_push(bench.world, bench.right, -1, "7||");
        EXPECT(seen(&bench), outer ? "1|a|7|||\n2|b|7|||\n3|c|8|8|z|0\n" : "3|c|8|8|z|0\n");
        const char *rows[] = {"7|p|0", "7||", "7|q|0"};
        world_push_rows(bench.world, bench.right, 3, (const int32_t[]){1, -1, 1}, rows);
        EXPECT(seen(&bench), "1|a|7|7|q|0\n2|b|7|7|q|0\n3|c|8|8|z|0\n");
        world_destroy(&bench.world);
    }
}

Test(join, columns_chosen_from_an_upsert_table_are_read_in_place_too) {
    struct world *world = world_create();
    uint32_t l = world_table(world, "l", "it", NULL), r = world_table(world, "r", "itin", (const int[]){0, 2, -1});
    struct br_node *left = world_source(world, l), *right = world_source(world, r);
    struct br_expr *inner[] = {world_column(world, right, 3), world_column(world, right, 2),
                               world_column(world, right, 0)};
    struct br_node *middle = world_project(world, right, 3, inner);
    struct br_expr *outer[] = {world_column(world, middle, 1), world_column(world, middle, 2),
                               world_column(world, middle, 0)};
    struct br_node *chosen = world_project(world, middle, 3, outer); // (r2, r0, r3)
    uint32_t view = world_view(world, "v", world_join(world, left, chosen, "0,0", "0,1", true));
    world_start(world);
    world_push(world, l, 1, "1|a");
    world_push(world, r, 1, "1|x|1|0.5");
    world_push(world, r, 1, "1|x|2|7");
    world_push(world, l, 1, "2|b");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|a|1|1|0.5\n2|b|||\n");
    cr_assert_eq(world_stored(world), 2 + 2, "%zu keys", world_stored(world));
    world_push(world, r, 1, "2|y|2|3");
    world_push(world, r, -1, "1||1|");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|a|||\n2|b|2|2|3\n");
    EXPECT(world_scan(world, view), "1|a|||\n2|b|2|2|3\n");
    world_destroy(&world);
}

Test(join, both_sides_keyed_by_the_join_key_share_both) {
    struct bench bench = bench_of(true, "0", "0", false);
    world_push(bench.world, bench.left, 1, "1|a|7");
    world_push(bench.world, bench.right, 1, "1|x|0");
    world_push(bench.world, bench.right, 1, "2|y|0");
    EXPECT(seen(&bench), "1|a|7|1|x|0\n");
    world_push(bench.world, bench.left, 1, "2|b|7");
    world_push(bench.world, bench.left, 1, "1|a|8");
    world_push(bench.world, bench.right, -1, "1||");
    EXPECT(seen(&bench), "1|a|8|||\n2|b|7|2|y|0\n");
    world_destroy(&bench.world);
}

Test(join, table_may_be_joined_with_itself) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "ii", first_column);
    struct br_node *source = world_source(world, t);
    uint32_t view = world_view(world, "v", world_join(world, source, source, "1", "0", false));
    world_start(world);
    world_push(world, t, 1, "1|1");
    world_push(world, t, 1, "2|1");
    world_push(world, t, 1, "3|2");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|1|1|1\n2|1|1|1\n3|2|2|1\n");
    world_push(world, t, 1, "1|3");
    world_push(world, t, -1, "2|");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|3|3|2\n");
    EXPECT(world_scan(world, view), "1|3|3|2\n");
    world_destroy(&world);
}

Test(join, weights_multiply_and_bags_hold_many_rows) {
    struct world *world = world_create();
    uint32_t l = world_table(world, "l", "it", NULL), r = world_table(world, "r", "it", NULL);
    struct br_node *left = world_source(world, l), *right = world_source(world, r);
    left->append_only = right->append_only = false;
    struct br_node *join = world_join(world, left, right, "0", "0", true);
    struct br_aggregate counts[] = {world_agg(join, BR_AGG_COUNT, -1), world_agg(join, BR_AGG_COUNT, 3)};
    uint32_t view = world_view(world, "v", world_aggregate(world, join, "", counts, 2));
    world_start(world);
    char rows[1000][40];
    const char *texts[1000];
    int32_t plus[1000], minus[1000];
    for (int i = 0; i < 1000; i++) {
        snprintf(rows[i], sizeof rows[i], "1|row number %d of many", i);
        texts[i] = rows[i];
        plus[i] = 2;
        minus[i] = -2;
    }
    world_push_rows(world, l, 1000, plus, texts);
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "2000|0\n");
    world_push(world, r, 3, "1|x");
    world_push(world, r, 1, "1|y");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "8000|8000\n");
    world_restart(world);
    world_push_rows(world, l, 900, minus, texts);
    world_push(world, r, -1, "1|x");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "600|600\n");
    world_push(world, r, -2, "1|x");
    world_push(world, r, -1, "1|y");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "200|0\n");
    world_push_rows(world, l, 100, minus + 900, texts + 900);
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "0|0\n");
    cr_assert_eq(world_stored(world), 1, "%zu keys are left", world_stored(world));
    world_destroy(&world);
}

Test(join, left_row_on_which_the_condition_fails_is_left_out) {
    struct bench bench = bench_of(true, "1", "1", true); // l.v > 100 / r.v
    world_push(bench.world, bench.right, 1, "7|a|0");
    world_push(bench.world, bench.left, 1, "1|a|10");
    world_push(bench.world, bench.left, 1, "2|b|10");
    EXPECT(seen(&bench), "2|b|10|||\n");
    world_push(bench.world, bench.right, 1, "8|a|20"); // one pair fails, one passes
    world_push(bench.world, bench.right, 1, "6|b|0");
    EXPECT(seen(&bench), "1|a|10|8|a|20\n");
    world_restart(bench.world);
    world_push(bench.world, bench.right, -1, "6||");
    world_push(bench.world, bench.right, 1, "8|a|2"); // false, and the other still fails
    EXPECT(seen(&bench), "2|b|10|||\n");
    world_push(bench.world, bench.right, -1, "7||");
    EXPECT(seen(&bench), "1|a|10|||\n2|b|10|||\n");
    world_push(bench.world, bench.right, 1, "7|a|0");
    world_push(bench.world, bench.left, -1, "1||");
    world_push(bench.world, bench.left, -1, "2||");
    EXPECT(seen(&bench), "");
    cr_assert_eq(world_stored(bench.world), 2 + 1, "%zu keys", world_stored(bench.world)); // r, and its bag
    world_destroy(&bench.world);
}

// --- lookups
static struct bench lookup_of(bool left_outer) {
    struct bench bench = {.world = world_create()};
    struct world *world = bench.world;
    bench.left = world_table(world, "l", "iti", NULL);
    bench.right = world_table(world, "r", "iti", first_column);
    struct br_node *l = world_source(world, bench.left), *r = world_source(world, bench.right);
    bench.join = world_join(world, l, r, "2", "0", left_outer);
    bench.join->join.lookup = true;
    bench.join->append_only = true;
    bench.view = world_view(world, "v", bench.join);
    world_start(world);
    return bench;
}

static void push_at(struct bench *bench, int64_t clock_us, uint32_t table, int32_t weight, const char *row) {
    bench->world->clock_us = clock_us;
    world_push(bench->world, table, weight, row);
}

Test(join, lookup_never_revises) {
    struct bench bench = lookup_of(false);
    world_push(bench.world, bench.left, 1, "1|a|7");
    world_push(bench.world, bench.right, 1, "7|a|1");
    world_push(bench.world, bench.left, 1, "2|a|7");
    world_push(bench.world, bench.left, 1, "3|b|8");
    world_end_epoch(bench.world);
    EXPECT(world_seen(bench.world, bench.view), "2|a|7|7|a|1\n");
    world_push(bench.world, bench.right, 1, "7|a|2");
    world_end_epoch(bench.world);
    world_push(bench.world, bench.left, 1, "4|a|7");
    world_push(bench.world, bench.right, -1, "7||");
    world_end_epoch(bench.world);
    world_push(bench.world, bench.left, 1, "5|a|7");
    world_end_epoch(bench.world);
    EXPECT(world_seen(bench.world, bench.view), "2|a|7|7|a|1\n4|a|7|7|a|2\n");
    cr_assert(strstr(world_scan(bench.world, bench.view), "keeps no rows") != NULL);
    cr_assert_eq(world_stored(bench.world), 0, "%zu keys", world_stored(bench.world));
    world_destroy(&bench.world);
}

Test(join, lookup_left_outer_gives_nulls) {
    struct bench bench = lookup_of(true);
    world_push(bench.world, bench.right, 1, "7|a|1");
    world_push(bench.world, bench.right, 1, "8|a|2");
    const char *rows[] = {"1|a|7", "2|b|9", "3|c|"};
    world_push_rows(bench.world, bench.left, 3, NULL, rows);
    world_end_epoch(bench.world);
    EXPECT(world_seen(bench.world, bench.view), "1|a|7|7|a|1\n2|b|9|||\n3|c||||\n");
    world_destroy(&bench.world);
}

// The table's rows come first within an epoch, whenever they were stored.
static void push_changes_first(struct bench *bench) {
    push_at(bench, 10, bench->right, 1, "7|a|1");
    push_at(bench, 20, bench->right, 1, "7|a|2");
    push_at(bench, 20, bench->right, 1, "8|b|1");
    push_at(bench, 30, bench->right, -1, "7||");
    push_at(bench, 40, bench->right, 1, "7|a|4");
    push_at(bench, 41, bench->right, 1, "7|a|4"); // no change
    push_at(bench, 9, bench->left, 1, "1|x|7");
    push_at(bench, 10, bench->left, 1, "2|x|7"); // stored together: the table's row was there
    push_at(bench, 19, bench->left, 1, "3|x|7");
    push_at(bench, 19, bench->left, 1, "3|x|8");
    push_at(bench, 25, bench->left, 1, "4|x|7");
    push_at(bench, 25, bench->left, 1, "4|x|8");
    push_at(bench, 35, bench->left, 1, "5|x|7");
    push_at(bench, 45, bench->left, 1, "6|x|7");
    push_at(bench, 45, bench->left, 1, "6|x|9");
    world_end_epoch(bench->world);
}

Test(join, lookup_finds_what_stood_there_when_its_row_was_stored) {
    struct bench bench = lookup_of(true);
    push_changes_first(&bench);
    EXPECT(world_seen(bench.world, bench.view),
           "1|x|7|||\n2|x|7|7|a|1\n3|x|7|7|a|1\n3|x|8|||\n4|x|7|7|a|2\n4|x|8|8|b|1\n5|x|7|||\n6|x|7|7|a|4\n6|x|9|||\n");
    push_at(&bench, 60, bench.right, 1, "7|a|5");
    push_at(&bench, 50, bench.left, 1, "7|x|7");
    push_at(&bench, 61, bench.left, 1, "8|x|7");
    world_end_epoch(bench.world);
    cr_assert(strstr(world_seen(bench.world, bench.view), "7|x|7|7|a|4\n8|x|7|7|a|5\n") != NULL);
    world_destroy(&bench.world);
}

Test(join, lookup_by_the_rules_of_old_epochs_finds_what_is_there) {
    struct bench bench = lookup_of(false);
    bench.world->epoch.by_old_rules = true;
    push_changes_first(&bench);
    EXPECT(world_seen(bench.world, bench.view),
           "1|x|7|7|a|4\n2|x|7|7|a|4\n3|x|7|7|a|4\n3|x|8|8|b|1\n4|x|7|7|a|4\n4|x|8|8|b|1\n5|x|7|7|a|4\n6|x|7|7|a|4\n");
    world_destroy(&bench.world);
}

Test(join, lookup_within_one_stream_goes_by_sequence) {
    struct bench bench = lookup_of(true);
    struct world *world = bench.world;
    world->streams[bench.left] = world->streams[bench.right] = 0;
    push_at(&bench, 50, bench.right, 1, "7|a|1"); // sequence 1; then the clock goes back
    push_at(&bench, 20, bench.right, 1, "7|a|2");
    world->sequence = 0;
    push_at(&bench, 50, bench.left, 1, "1|x|7"); // sequence 1, the same message: the table is read first
    push_at(&bench, 10, bench.left, 1, "2|x|7");
    world_end_epoch(world);
    EXPECT(world_seen(world, bench.view), "1|x|7|7|a|1\n2|x|7|7|a|2\n");
    world_destroy(&bench.world);
}

Test(join, lookup_of_a_table_whose_clock_goes_back_keeps_its_order) {
    struct bench bench = lookup_of(true);
    push_at(&bench, 50, bench.right, 1, "7|a|1");
    push_at(&bench, 20, bench.right, 1, "7|a|2"); // stands at 50 too
    push_at(&bench, 60, bench.right, 1, "7|a|3");
    push_at(&bench, 30, bench.left, 1, "1|x|7");
    push_at(&bench, 50, bench.left, 1, "2|x|7");
    push_at(&bench, 70, bench.left, 1, "3|x|7");
    world_end_epoch(bench.world);
    EXPECT(world_seen(bench.world, bench.view), "1|x|7|||\n2|x|7|7|a|2\n3|x|7|7|a|3\n");
    world_destroy(&bench.world);
}

Test(join, table_may_be_looked_up_twice) {
    struct world *world = world_create();
    uint32_t l = world_table(world, "l", "ii", NULL), r = world_table(world, "r", "ii", first_column);
    struct br_node *source = world_source(world, l), *table = world_source(world, r);
    struct br_node *once = world_join(world, source, table, "1", "0", false);
    once->join.lookup = true;
    once->append_only = true;
    struct br_node *twice = world_join(world, once, table, "3", "0", false);
    twice->join.lookup = true;
    twice->append_only = true;
    uint32_t view = world_view(world, "v", twice);
    world_start(world);
    world->clock_us = 10;
    world_push(world, r, 1, "1|2");
    world_push(world, r, 1, "2|3");
    world->clock_us = 20;
    world_push(world, r, 1, "1|1");
    world->clock_us = 15;
    world_push(world, l, 1, "5|1");
    world->clock_us = 25;
    world_push(world, l, 1, "6|1");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "5|1|1|2|2|3\n6|1|1|1|1|1\n");
    cr_assert_eq(world_stored(world), 2, "%zu keys", world_stored(world));
    world_destroy(&world);
}
