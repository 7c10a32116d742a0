// SPDX-License-Identifier: Apache-2.0
// Sources, filters, projections, windows and sinks, through a whole graph.
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EXPECT(text, wanted) cr_assert_str_eq((text), (wanted))

static const int first_column[] = {0, -1};

Test(graph, append_only_view_gives_rows_with_each_batch) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "it", NULL);
    struct br_node *source = world_source(world, t);
    struct br_node *kept =
        world_filter(world, source, world_call(world, ">", world_column(world, source, 0), world_number(world, 1)));
    uint32_t view = world_view(world, "v", kept);
    world_start(world);
    const char *rows[] = {"1|a", "2|b", "|c", "3|"};
    world_push_rows(world, t, 4, NULL, rows);
    EXPECT(world_seen(world, view), "2|b\n3|\n");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "2|b\n3|\n");
    cr_assert_eq(world->change_calls, 0);
    cr_assert(strstr(world_scan(world, view), "keeps no rows") != NULL);
    world_destroy(&world);
}

Test(graph, upsert_table_gives_net_changes_once_an_epoch) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "itn", first_column);
    uint32_t view = world_view(world, "v", world_source(world, t));
    world_start(world);
    world_push(world, t, 1, "1|a|1.0");
    world_push(world, t, 1, "2|b|2");
    world_push(world, t, 1, "1|c|1.0");
    world_push(world, t, -1, "2||");
    world_push(world, t, -1, "3||");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "+1|c|1.0\n");
    const char *rows[] = {"1|c|1.00", "4|d|", "4||", "5|e|"};
    world_push_rows(world, t, 4, (const int32_t[]){1, 1, -1, 1}, rows);
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "+1|c|1.00\n+5|e|\n-1|c|1.0\n");
    world_push(world, t, 1, "5|e|");
    world_push(world, t, 1, "1|x|1");
    world_push(world, t, 1, "1|c|1.00");
    unsigned calls = world->change_calls;
    world_end_epoch(world);
    cr_assert_eq(world->change_calls, calls, "nothing changed, yet the sink was called");
    EXPECT(world_seen(world, view), "1|c|1.00\n5|e|\n");
    EXPECT(world_scan(world, view), "1|c|1.00\n5|e|\n");
    world_destroy(&world);
}

Test(graph, columns_that_nobody_reads_make_no_changes) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "it", first_column);
    world->tables[t].used[1] = false;
    struct br_node *source = world_source(world, t);
    uint32_t view = world_view(world, "v", source);
    world_start(world);
    struct br_batch *batch = br_batch_create(world->arena, (const enum br_type[]){BR_INTEGER, BR_TEXT}, NULL, 2);
    struct br_value one = {.type = BR_INTEGER, .integer = 1}, text = {.type = BR_TEXT, .bytes = br_slice_of("x")};
    struct br_error error = {0};
    for (int i = 0; i < 2; i++) {
        text.bytes = br_slice_of(i == 0 ? "x" : "y");
        batch->row_count = 1;
        br_column_set(&batch->columns[0], 0, &one);
        br_column_set(&batch->columns[1], 0, &text);
        world->epoch.arena = world->epoch_arena;
        cr_assert_eq(br_graph_push(world->graph, t, batch, &world->epoch, &error), BR_OK);
        world_end_epoch(world);
    }
    EXPECT(world_changes(world, view), "");
    EXPECT(world_seen(world, view), "1|\n");
    world_destroy(&world);
}

// The rows of a key that stand within a batch only: a join doesn't see them, an expression that fails does.
Test(graph, rows_that_stand_for_a_moment_only_leave_reports_at_most) {
    struct world *world = world_create();
    uint32_t s = world_table(world, "s", "ii", NULL), t = world_table(world, "t", "ii", first_column),
             u = world_table(world, "u", "ii", first_column);
    struct br_node *source = world_source(world, u);
    struct br_expr *exprs[] = {world_column(world, source, 0),
                               world_call(world, "/", world_number(world, 10), world_column(world, source, 1))};
    struct br_node *quotients = world_project(world, source, 2, exprs);
    quotients->has_key = true;
    quotients->key = source->key;
    quotients->key_count = 1;
    uint32_t divided = world_view(world, "divided", quotients);
    uint32_t joined =
        world_view(world, "joined", world_join(world, world_source(world, s), world_source(world, t), "1", "0", true));
    world_start(world);
    world_push(world, s, 1, "100|1");
    world_push(world, s, 1, "200|2");
    const char *rows[] = {"1|5", "1|0", "2|7", "1|", "1|2", "2|8", "2|", "3|0", "3|"};
    const int32_t weights[] = {1, 1, 1, -1, 1, 1, -1, 1, -1};
    world_push_rows(world, t, 9, weights, rows);
    world_push_rows(world, u, 9, weights, rows);
    world_end_epoch(world);
    EXPECT(world_changes(world, joined), "+100|1|1|2\n+200|2||\n");
    EXPECT(world_changes(world, divided), "+1|5\n");
    EXPECT(relation_text(&world->failed, world->arena), "divided: division by zero\ndivided: division by zero\n");
    const char *more[] = {"1|3", "1|2", "2|6", "2|", "2|9"};
    world_push_rows(world, t, 5, (const int32_t[]){1, 1, 1, -1, 1}, more);
    world_end_epoch(world);
    EXPECT(world_changes(world, joined), "+200|2|2|9\n-200|2||\n");
    EXPECT(world_scan(world, joined), "100|1|1|2\n200|2|2|9\n");
    world_destroy(&world);
}

Test(graph, upsert_rows_survive_a_restart_on_disk) {
    char path[] = "/tmp/braid_operators_XXXXXX";
    cr_assert_not_null(mkdtemp(path));
    struct world *world = world_create();
    world->store_path = path;
    uint32_t t = world_table(world, "t", "it", first_column);
    uint32_t view = world_view(world, "v", world_source(world, t));
    world_start(world);
    world_push(world, t, 1, "1|a");
    world_push(world, t, 1, "2|b");
    world_end_epoch(world);
    world_restart(world);
    world_push(world, t, 1, "1|z");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "+1|z\n-1|a\n");
    EXPECT(world_scan(world, view), "1|z\n2|b\n");
    world_destroy(&world);
    struct br_error error;
    cr_assert_eq(br_store_remove(NULL, path, &error), BR_OK);
}

Test(graph, failing_rows_are_left_out_and_reported_once) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "ii", first_column);
    struct br_node *source = world_source(world, t);
    struct br_expr *exprs[] = {world_column(world, source, 0),
                               world_call(world, "/", world_number(world, 10), world_column(world, source, 1))};
    struct br_node *ratio = world_project(world, source, 2, exprs);
    ratio->has_key = true;
    ratio->key = source->key;
    ratio->key_count = 1;
    uint32_t view = world_view(world, "v", ratio);
    world_start(world);
    world_push(world, t, 1, "1|5");
    world_push(world, t, 1, "2|0");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|2\n");
    EXPECT(relation_text(&world->failed, world->arena), "v: division by zero\n");
    world_push(world, t, 1, "2|1");
    world_push(world, t, 1, "1|0");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "2|10\n");
    EXPECT(world_scan(world, view), "2|10\n");
    EXPECT(relation_text(&world->failed, world->arena), "v: division by zero\nv: division by zero\n");
    world_destroy(&world);
}

Test(graph, view_without_key_counts_equal_rows) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "in", first_column);
    struct br_node *source = world_source(world, t);
    struct br_expr *exprs[] = {world_column(world, source, 1)};
    uint32_t view = world_view(world, "v", world_project(world, source, 1, exprs));
    world_start(world);
    world_push(world, t, 1, "1|2.0");
    world_push(world, t, 1, "2|2.0");
    world_push(world, t, 1, "3|2.00");
    world_push(world, t, 1, "4|");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "\n2.0\n2.0\n2.00\n");
    world_push(world, t, 1, "3|2.0");
    world_push(world, t, -1, "4|");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "+2.0\n-\n-2.00\n");
    EXPECT(world_scan(world, view), "2.0\n2.0\n2.0\n");
    world_destroy(&world);
}

// --- windows
static const char *windows_of(int64_t size_us, int64_t slide_us, const char *time) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "T", NULL);
    struct br_node *window = world_window(world, world_source(world, t), 0, size_us, slide_us);
    uint32_t view = world_view(world, "v", window);
    world_start(world);
    world_push(world, t, 1, time);
    world_end_epoch(world);
    static char text[400];
    snprintf(text, sizeof text, "%s", world_seen(world, view));
    world_destroy(&world);
    return text;
}

Test(window, tumbling_windows_floor_also_before_1970) {
    EXPECT(windows_of(10, 10, "10"), "10|10|20\n");
    EXPECT(windows_of(10, 10, "19"), "19|10|20\n");
    EXPECT(windows_of(10, 10, "-1"), "-1|-10|0\n");
    EXPECT(windows_of(10, 10, "-10"), "-10|-10|0\n");
    EXPECT(windows_of(10, 10, ""), "");
}

Test(window, hopping_windows_hold_a_row_size_over_slide_times) {
    EXPECT(windows_of(10, 5, "12"), "12|10|20\n12|5|15\n");
    EXPECT(windows_of(10, 5, "-1"), "-1|-10|0\n-1|-5|5\n");
}

Test(window, hop_whose_size_is_no_multiple_of_the_slide) {
    EXPECT(windows_of(10, 4, "12"), "12|12|22\n12|4|14\n12|8|18\n");
    EXPECT(windows_of(10, 4, "15"), "15|12|22\n15|8|18\n");
}

Test(window, hop_with_gaps_drops_rows_between_windows) {
    EXPECT(windows_of(3, 10, "12"), "12|10|13\n");
    EXPECT(windows_of(3, 10, "13"), "");
}

Test(window, batches_share_columns_and_keep_origins) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "Ti", NULL);
    struct br_node *window = world_window(world, world_source(world, t), 0, 4, 2);
    uint32_t view = world_view(world, "v", window);
    world_start(world);
    const char *rows[] = {"1|7", "|8", "4|9"};
    world_push_rows(world, t, 3, NULL, rows);
    EXPECT(world_seen(world, view), "1|7|-2|2\n1|7|0|4\n4|9|2|6\n4|9|4|8\n");
    world_destroy(&world);
}

// --- emit interval
static struct world *interval_world(bool keyed, uint32_t *table, uint32_t *view) {
    struct world *world = world_create();
    *table = world_table(world, "t", "it", first_column);
    struct br_node *source = world_source(world, *table);
    struct br_expr *exprs[] = {world_column(world, source, 1)};
    *view = world_view(world, "v", keyed ? source : world_project(world, source, 1, exprs));
    world->views[*view].emit_interval_us = 100;
    world_start(world);
    return world;
}

static void check_interval(bool keyed) {
    uint32_t t, view;
    struct world *world = interval_world(keyed, &t, &view);
    world->epoch.now.us = 1000;
    world_push(world, t, 1, "1|a");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), keyed ? "+1|a\n" : "+a\n");
    world->epoch.now.us = 1050;
    world_push(world, t, 1, "1|b");
    world_push(world, t, 1, "2|x");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "");
    world_restart(world);
    world->epoch.now.us = 1099;
    world_push(world, t, 1, "1|c");
    world_push(world, t, -1, "2|");
    world_push(world, t, 1, "3|y");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "");
    world->epoch.now.us = 1100;
    world_end_epoch(world);
    EXPECT(world_changes(world, view), keyed ? "+1|c\n+3|y\n-1|a\n" : "+c\n+y\n-a\n");
    EXPECT(world_seen(world, view), world_scan(world, view));
    world->epoch.now.us = 5000;
    world_push(world, t, -1, "1|");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), keyed ? "-1|c\n" : "-c\n");
    world_destroy(&world);
}

Test(interval, keyed_view_publishes_net_changes_when_the_interval_is_over) {
    check_interval(true);
}

Test(interval, view_without_key_does_too) {
    check_interval(false);
}
