// SPDX-License-Identifier: Apache-2.0
// Windows of aggregates: late rows, closing behind the watermark, final results.
#include "world.h"

#include <criterion/criterion.h>

#define EXPECT(text, wanted) cr_assert_str_eq((text), (wanted))

// (time, key, value) in windows of 10, counted by window_start (or window_end) and key.
struct bench {
    struct world *world;
    uint32_t table, view;
    struct br_node *node;
};

static struct bench bench_of(const char *group, int64_t lateness_us, bool emit_final) {
    struct bench bench = {.world = world_create()};
    struct world *world = bench.world;
    bench.table = world_table(world, "t", "Tti", NULL);
    struct br_node *window = world_window(world, world_source(world, bench.table), 0, 10, 10);
    struct br_aggregate aggregates[] = {world_agg(window, BR_AGG_COUNT, -1), world_agg(window, BR_AGG_SUM, 2),
                                        world_agg(window, BR_AGG_COUNT, 2)};
    aggregates[2].distinct = true;
    bench.node = world_aggregate(world, window, group, aggregates, 3);
    bench.node->aggregate.lateness_us = lateness_us;
    bench.node->aggregate.emit_final = emit_final;
    bench.node->append_only = emit_final;
    bench.view = world_view(world, "v", bench.node);
    world_start(world);
    return bench;
}

static void epoch(struct bench *bench, int64_t watermark_us, size_t count, const char *const *rows) {
    if (count != 0)
        world_push_rows(bench->world, bench->table, count, NULL, rows);
    bench->world->after[bench->table].us = watermark_us;
    world_end_epoch(bench->world);
}
#define EPOCH(bench, watermark_us, ...)                                                                                \
    epoch((bench), (watermark_us), sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                             \
          (const char *[]){__VA_ARGS__})

static const char *late(struct bench *bench) {
    return relation_text(&bench->world->late, bench->world->arena);
}

Test(close, lateness_is_judged_by_the_watermark_of_the_epochs_start) {
    struct bench bench = bench_of("3,1", 0, false);
    EPOCH(&bench, 20, "1|a|1", "25|a|2");
    EXPECT(world_seen(bench.world, bench.view), "0|a|1|1|1\n20|a|1|2|1\n");
    EPOCH(&bench, 30, "9|a|4", "19|b|4", "20|a|8", "31|a|1");
    EXPECT(late(&bench), "v: 19|b|4|10|20 [10, 20) by 0\nv: 9|a|4|0|10 [0, 10) by 10\n");
    EXPECT(world_seen(bench.world, bench.view), "0|a|1|1|1\n20|a|2|10|2\n30|a|1|1|1\n");
    EXPECT(world_scan(bench.world, bench.view), "0|a|1|1|1\n20|a|2|10|2\n30|a|1|1|1\n");
    EPOCH(&bench, 30, "25|a|2");
    EXPECT(late(&bench), "v: 19|b|4|10|20 [10, 20) by 0\nv: 25|a|2|20|30 [20, 30) by 0\nv: 9|a|4|0|10 [0, 10) by 10\n");
    world_destroy(&bench.world);
}

Test(close, closed_groups_leave_their_row_and_nothing_else) {
    struct bench bench = bench_of("3,1", 0, false);
    EPOCH(&bench, BR_EVENT_TIME_MIN, "1|a|1", "2|a|2", "3|b|2", "11|a|3");
    cr_assert_eq(world_stored(bench.world), 3 + 4);
    EPOCH(&bench, 15, );
    cr_assert_eq(world_stored(bench.world), 1 + 1 + 1, "%zu keys", world_stored(bench.world));
    EXPECT(world_scan(bench.world, bench.view), "0|a|2|3|2\n0|b|1|2|1\n10|a|1|3|1\n");
    world_restart(bench.world);
    EPOCH(&bench, BR_EVENT_TIME_MAX, );
    EXPECT(world_scan(bench.world, bench.view), "0|a|2|3|2\n0|b|1|2|1\n10|a|1|3|1\n");
    EXPECT(world_seen(bench.world, bench.view), world_scan(bench.world, bench.view));
    world_destroy(&bench.world);
}

Test(close, lateness_keeps_windows_open) {
    struct bench bench = bench_of("4,1", 5, false);
    EPOCH(&bench, 14, "1|a|1");
    EPOCH(&bench, 15, "2|a|1");
    EXPECT(late(&bench), "");
    EPOCH(&bench, 100, "3|a|1");
    EXPECT(late(&bench), "v: 3|a|1|0|10 [0, 10) by 0\n");
    EXPECT(world_seen(bench.world, bench.view), "10|a|2|2|1\n");
    EPOCH(&bench, 100, "89|a|1", "90|a|1");
    EXPECT(late(&bench), "v: 3|a|1|0|10 [0, 10) by 0\nv: 89|a|1|80|90 [80, 90) by 5\n");
    world_destroy(&bench.world);
}

Test(close, emit_final_gives_each_row_once_when_its_window_closes) {
    struct bench bench = bench_of("1,3", 0, true);
    EPOCH(&bench, 5, "1|a|1", "2|b|2", "12|a|3");
    EXPECT(world_seen(bench.world, bench.view), "");
    EXPECT(world_scan(bench.world, bench.view), "");
    EPOCH(&bench, 10, "5|a|4");
    EXPECT(world_seen(bench.world, bench.view), "a|0|2|5|2\nb|0|1|2|1\n");
    EPOCH(&bench, 19, "1|a|1");
    EXPECT(world_seen(bench.world, bench.view), "a|0|2|5|2\nb|0|1|2|1\n");
    world_restart(bench.world);
    EPOCH(&bench, BR_EVENT_TIME_MAX, );
    EXPECT(world_seen(bench.world, bench.view), "a|0|2|5|2\na|10|1|3|1\nb|0|1|2|1\n");
    EXPECT(world_scan(bench.world, bench.view), world_seen(bench.world, bench.view));
    world_destroy(&bench.world);
}

Test(close, downstream_aggregate_takes_rows_of_windows_that_close_in_the_same_epoch) {
    struct bench bench = {.world = world_create()};
    struct world *world = bench.world;
    bench.table = world_table(world, "t", "Tti", NULL);
    struct br_node *window = world_window(world, world_source(world, bench.table), 0, 10, 10);
    struct br_aggregate counts[] = {world_agg(window, BR_AGG_COUNT, -1)};
    struct br_node *inner = world_aggregate(world, window, "3,1", counts, 1);
    inner->aggregate.emit_final = true;
    inner->append_only = true;
    struct br_aggregate tops[] = {world_agg(inner, BR_AGG_MAX, 2), world_agg(inner, BR_AGG_COUNT, -1)};
    struct br_node *outer = world_aggregate(world, inner, "0", tops, 2);
    outer->aggregate.emit_final = true;
    outer->append_only = true;
    bench.view = world_view(world, "v", outer);
    world_start(world);
    EPOCH(&bench, 10, "1|a|1", "2|a|1", "3|b|1", "11|c|1");
    EXPECT(world_seen(world, bench.view), "0|2|2\n");
    EPOCH(&bench, BR_EVENT_TIME_MAX, );
    EXPECT(world_seen(world, bench.view), "0|2|2\n10|1|1\n");
    EXPECT(late(&bench), "");
    world_destroy(&world);
}

Test(close, extreme_times_do_not_overflow) {
    struct bench bench = bench_of("3,1", INT64_MAX, false);
    EPOCH(&bench, BR_EVENT_TIME_MIN + 1, "1|a|1");
    EPOCH(&bench, 1000000, "-5|a|1");
    EXPECT(late(&bench), "");
    EXPECT(world_seen(bench.world, bench.view), "-10|a|1|1|1\n0|a|1|1|1\n");
    EPOCH(&bench, BR_EVENT_TIME_MAX, );
    EPOCH(&bench, BR_EVENT_TIME_MAX, "7|a|1");
    EXPECT(world_scan(bench.world, bench.view), "-10|a|1|1|1\n0|a|1|1|1\n");
    cr_assert_eq(bench.world->late.count, 1);
    world_destroy(&bench.world);
}
