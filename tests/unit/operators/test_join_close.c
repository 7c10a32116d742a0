// SPDX-License-Identifier: Apache-2.0
// Joins under windows: what a change of the joined table does to windows that are closed, and what joins let go.
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EXPECT(text, wanted) cr_assert_str_eq((text), (wanted))

static const int first_column[] = {0, -1};

// Events (time, key) in windows of 10 (every `slide`) joined with rooms (key, room), counted by room and window_start.
struct bench {
    struct world *world;
    uint32_t events, rooms, view;
    struct br_node *join;
};

static struct bench bench_of(bool left_outer, int64_t slide_us, int64_t lateness_us) {
    struct bench bench = {.world = world_create()};
    struct world *world = bench.world;
    bench.events = world_table(world, "e", "Ti", NULL);
    bench.rooms = world_table(world, "d", "it", first_column);
    struct br_node *window = world_window(world, world_source(world, bench.events), 0, 10, slide_us);
    bench.join = world_join(world, window, world_source(world, bench.rooms), "1", "0", left_outer);
    struct br_aggregate counts[] = {world_agg(bench.join, BR_AGG_COUNT, -1)};
    struct br_node *groups = world_aggregate(world, bench.join, "5,2", counts, 1);
    groups->aggregate.lateness_us = lateness_us;
    bench.view = world_view(world, "v", groups);
    world_start(world);
    return bench;
}

static void end_epoch(struct bench *bench, int64_t watermark_us) {
    bench->world->after[bench->events].us = watermark_us;
    world_end_epoch(bench->world);
}

static const char *seen(struct bench *bench) {
    EXPECT(world_seen(bench->world, bench->view), world_scan(bench->world, bench->view));
    return world_seen(bench->world, bench->view);
}

static const char *late(struct bench *bench) {
    return relation_text(&bench->world->late, bench->world->arena);
}

Test(join_close, changed_table_moves_open_windows_alone_and_makes_nothing_late) {
    for (int outer = 0; outer < 2; outer++) {
        struct bench bench = bench_of(outer != 0, 10, 0);
        world_push(bench.world, bench.rooms, 1, "1|r1");
        const char *rows[] = {"1|1", "2|1", "11|1", "50|1"};
        world_push_rows(bench.world, bench.events, 4, NULL, rows);
        end_epoch(&bench, 49);
        EXPECT(seen(&bench), "r1|0|2\nr1|10|1\nr1|50|1\n");
        cr_assert_eq(world_stored_by(bench.world, bench.join), 2, "a bag and its place");
        world_push(bench.world, bench.rooms, 1, "1|r2");
        end_epoch(&bench, 49);
        world_restart(bench.world);
        world_push(bench.world, bench.rooms, 1, "1|r3");
        end_epoch(&bench, 49);
        EXPECT(seen(&bench), "r1|0|2\nr1|10|1\nr3|50|1\n");
        world_push(bench.world, bench.rooms, -1, "1|");
        end_epoch(&bench, 60);
        EXPECT(seen(&bench), outer ? "r1|0|2\nr1|10|1\n|50|1\n" : "r1|0|2\nr1|10|1\n");
        cr_assert_eq(world_stored_by(bench.world, bench.join), 0);
        world_push(bench.world, bench.rooms, 1, "1|r4");
        end_epoch(&bench, 60);
        EXPECT(seen(&bench), outer ? "r1|0|2\nr1|10|1\n|50|1\n" : "r1|0|2\nr1|10|1\n");
        EXPECT(late(&bench), "");
        world_destroy(&bench.world);
    }
}

Test(join_close, late_event_is_reported_once_and_not_kept) {
    for (int outer = 0; outer < 2; outer++) {
        struct bench bench = bench_of(outer != 0, 10, 0);
        world_push(bench.world, bench.rooms, 1, "1|r1");
        world_push(bench.world, bench.events, 1, "25|1");
        end_epoch(&bench, 20);
        world_push(bench.world, bench.events, 1, "5|1");
        world_push(bench.world, bench.events, 1, "6|2"); // of no room
        world_push(bench.world, bench.rooms, 1, "1|r2");
        end_epoch(&bench, 20);
        world_push(bench.world, bench.rooms, 1, "2|r2");
        world_push(bench.world, bench.rooms, 1, "1|r3");
        end_epoch(&bench, 20);
        EXPECT(seen(&bench), "r3|20|1\n");
        EXPECT(late(&bench), outer ? "v: 5|1|0|10|1|r1 [0, 10) by 10\nv: 6|2|0|10|| [0, 10) by 10\n"
                                   : "v: 5|1|0|10|1|r1 [0, 10) by 10\n");
        cr_assert_eq(world_stored_by(bench.world, bench.join), 2);
        world_destroy(&bench.world);
    }
}

Test(join_close, old_epochs_keep_and_report_as_they_did) {
    struct bench bench = bench_of(false, 10, 0);
    bench.world->epoch.by_old_rules = true;
    world_push(bench.world, bench.rooms, 1, "1|r1");
    world_push(bench.world, bench.events, 1, "5|1");
    world_push(bench.world, bench.events, 1, "25|1");
    end_epoch(&bench, 20);
    world_push(bench.world, bench.rooms, 1, "1|r2");
    end_epoch(&bench, 20);
    EXPECT(late(&bench), "v: 5|1|0|10|1|r2 [0, 10) by 10\n");
    bench.world->epoch.by_old_rules = false; // from here on it is as if it had never been otherwise
    world_push(bench.world, bench.rooms, 1, "1|r3");
    world_end_epoch(bench.world);
    EXPECT(late(&bench), "v: 5|1|0|10|1|r2 [0, 10) by 10\n");
    EXPECT(seen(&bench), "r1|0|1\nr3|20|1\n");
    end_epoch(&bench, 30);
    cr_assert_eq(world_stored_by(bench.world, bench.join), 0);
    world_destroy(&bench.world);
}

// A state that an older build wrote has bags and no index.
Test(join_close, rows_without_an_index_go_too) {
    struct bench bench = bench_of(false, 10, 0);
    struct world *world = bench.world;
    struct br_error error = {0};
    char row[32];
    for (int i = 0; i < 200; i++) {
        snprintf(row, sizeof row, "%d|%d", i % 40, i % 20);
        world_push(world, bench.events, 1, row);
    }
    end_epoch(&bench, BR_EVENT_TIME_MIN);
    uint16_t number = br_join_index_table(&world->pipeline, bench.join, 0);
    struct br_slice all = {0};
    cr_assert_eq(world_stored_by(world, bench.join), 20 + 2, "bags, and a place for each window");
    cr_assert_eq(br_state_delete_range(br_state_open_table(world->state, number, "any"), all, all, &error), BR_OK);
    world_restart(world);
    cr_assert_eq(world_stored_by(world, bench.join), 20);
    end_epoch(&bench, 20);
    cr_assert_eq(world_stored_by(world, bench.join), 20 + 2);
    end_epoch(&bench, 40);
    cr_assert_eq(world_stored_by(world, bench.join), 0);
    world_destroy(&world);
}

Test(join_close, bag_with_many_rows_loses_those_of_closed_windows) {
    struct bench bench = bench_of(false, 10, 0);
    struct world *world = bench.world;
    world_push(world, bench.rooms, 1, "1|r");
    char texts[1000][16];
    const char *rows[1000];
    for (int time = 0; time < 100; time += 10) {
        for (int i = 0; i < 1000; i++) {
            snprintf(texts[i], sizeof texts[i], "%d|1", time + i % 10);
            rows[i] = texts[i];
        }
        world_push_rows(world, bench.events, 1000, NULL, rows);
    }
    end_epoch(&bench, 5);
    size_t all = world_stored_by(world, bench.join);
    cr_assert_gt(all, 12, "rows fill %zu chunks", all);
    end_epoch(&bench, 90);
    cr_assert_lt(world_stored_by(world, bench.join), all / 3);
    world_push(world, bench.rooms, 1, "1|s");
    end_epoch(&bench, 90);
    EXPECT(seen(&bench), "r|0|1000\nr|10|1000\nr|20|1000\nr|30|1000\nr|40|1000\nr|50|1000\nr|60|1000\nr|70|1000\n"
                         "r|80|1000\ns|90|1000\n");
    end_epoch(&bench, 100);
    cr_assert_eq(world_stored_by(world, bench.join), 0);
    world_destroy(&world);
}

Test(join_close, many_bags_go_over_several_epochs) {
    struct bench bench = bench_of(true, 10, 0);
    struct world *world = bench.world;
    char texts[2000][16];
    const char *rows[2000];
    end_epoch(&bench, -100);
    for (int n = 0; n < 15; n++) {
        for (int i = 0; i < 2000; i++) {
            snprintf(texts[i], sizeof texts[i], "5|%d", n * 2000 + i);
            rows[i] = texts[i];
        }
        world_push_rows(world, bench.events, 2000, NULL, rows);
    }
    end_epoch(&bench, 0);
    size_t before = world_stored_by(world, bench.join), epochs = 0;
    cr_assert_gt(before, 30000);
    for (; world_stored_by(world, bench.join) != 0; epochs++) {
        world_push(world, bench.rooms, 1, "7|r");
        world_push(world, bench.rooms, -1, "7|");
        end_epoch(&bench, 10);
        cr_assert_lt(world_stored_by(world, bench.join), before);
        before = world_stored_by(world, bench.join);
        if (epochs == 0)
            world_restart(world);
    }
    cr_assert_gt(epochs, 1);
    EXPECT(seen(&bench), "|0|30000\n");
    EXPECT(late(&bench), "");
    world_destroy(&world);
}

// --- plans in which rows are needed, or not
Test(join_close, published_join_keeps_its_rows_and_its_windowed_reader_reports_nothing) {
    struct world *world = world_create();
    uint32_t e = world_table(world, "e", "Ti", NULL), d = world_table(world, "d", "it", first_column);
    struct br_node *window = world_window(world, world_source(world, e), 0, 10, 10);
    struct br_node *join = world_join(world, window, world_source(world, d), "1", "0", false);
    uint32_t rows = world_view(world, "rows", join);
    struct br_aggregate counts[] = {world_agg(join, BR_AGG_COUNT, -1)};
    uint32_t view = world_view(world, "v", world_aggregate(world, join, "5,2", counts, 1));
    world_start(world);
    world_push(world, d, 1, "1|r1");
    world_push(world, e, 1, "5|1");
    world_push(world, e, 1, "25|1");
    world->after[e].us = 20;
    world_end_epoch(world);
    world_push(world, d, 1, "1|r2");
    world_end_epoch(world);
    EXPECT(world_seen(world, rows), "25|1|20|30|1|r2\n5|1|0|10|1|r2\n");
    EXPECT(world_scan(world, rows), "25|1|20|30|1|r2\n5|1|0|10|1|r2\n");
    EXPECT(world_seen(world, view), "r1|0|1\nr2|20|1\n");
    world_push(world, e, 1, "6|1");
    world_end_epoch(world);
    EXPECT(world_seen(world, rows), "25|1|20|30|1|r2\n5|1|0|10|1|r2\n6|1|0|10|1|r2\n");
    EXPECT(relation_text(&world->late, world->arena), "rows: 6|1|0|10|1|r2 [0, 10) by 10\n");
    world_destroy(&world);
}

Test(join_close, windows_over_the_join_let_it_go_by_time) {
    struct world *world = world_create();
    uint32_t e = world_table(world, "e", "Ti", NULL), d = world_table(world, "d", "it", first_column);
    struct br_node *join = world_join(world, world_source(world, e), world_source(world, d), "1", "0", false);
    struct br_node *window = world_window(world, join, 0, 10, 5);
    struct br_aggregate counts[] = {world_agg(window, BR_AGG_COUNT, -1)};
    uint32_t view = world_view(world, "v", world_aggregate(world, window, "3,5", counts, 1)); // by window_end
    world_start(world);
    world_push(world, d, 1, "1|r1");
    world_push(world, e, 1, "7|1");
    world_push(world, e, 1, "12|1");
    world->after[e].us = 15; // of 12, a window is open until 20; of 7, none
    world_end_epoch(world);
    world_push(world, d, 1, "1|r2");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "r1|10|1\nr1|15|2\nr2|20|1\n");
    EXPECT(world_scan(world, view), "r1|10|1\nr1|15|2\nr2|20|1\n");
    EXPECT(relation_text(&world->late, world->arena), "");
    world->after[e].us = 22;
    world_end_epoch(world);
    cr_assert_eq(world_stored_by(world, join), 0);
    world_destroy(&world);
}

Test(join_close, joins_below_joins_let_go) {
    struct world *world = world_create();
    uint32_t e = world_table(world, "e", "Tii", NULL), d = world_table(world, "d", "it", first_column);
    uint32_t f = world_table(world, "f", "ii", first_column);
    struct br_node *window = world_window(world, world_source(world, e), 0, 10, 10); // (t, k, m, start, end)
    struct br_node *lower = world_join(world, window, world_source(world, d), "1", "0", true);
    struct br_node *upper = world_join(world, lower, world_source(world, f), "2", "0", false);
    struct br_expr *columns[] = {world_column(world, upper, 6), world_column(world, upper, 4)};
    struct br_node *narrow = world_project(world, upper, 2, columns);
    struct br_aggregate counts[] = {world_agg(narrow, BR_AGG_COUNT, -1)};
    uint32_t view = world_view(world, "v", world_aggregate(world, narrow, "0,1", counts, 1));
    world_start(world);
    world_push(world, d, 1, "1|r1");
    world_push(world, f, 1, "9|0");
    world_push(world, e, 1, "5|1|9");
    world_push(world, e, 1, "15|1|9");
    world->after[e].us = 10;
    world_end_epoch(world);
    world_push(world, d, 1, "1|r2");
    world_push(world, f, 1, "9|1");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "r1|10|1\nr2|20|1\n");
    world_push(world, f, -1, "9|");
    world_push(world, d, -1, "1|");
    world_push(world, f, 1, "9|2");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "r1|10|1\n|20|1\n");
    EXPECT(relation_text(&world->late, world->arena), "");
    world->after[e].us = 20;
    world_end_epoch(world);
    cr_assert_eq(world_stored_by(world, lower) + world_stored_by(world, upper), 0);
    world_destroy(&world);
}

// --- joined on windows: counts of a and of b by key and window, side by side
struct pair {
    struct world *world;
    uint32_t a, b, view;
    struct br_node *join;
};

static struct br_node *counted(struct world *world, uint32_t table) {
    struct br_node *window = world_window(world, world_source(world, table), 0, 10, 10);
    struct br_aggregate counts[] = {world_agg(window, BR_AGG_COUNT, -1)};
    return world_aggregate(world, window, "1,2", counts, 1); // (key, window_start, count)
}

static struct pair pair_of(bool left_outer, bool raw_left, bool grouped) {
    struct pair pair = {.world = world_create()};
    struct world *world = pair.world;
    pair.a = world_table(world, "a", "Ti", NULL);
    pair.b = world_table(world, "b", "Ti", NULL);
    struct br_node *left =
        raw_left ? world_window(world, world_source(world, pair.a), 0, 10, 10) : counted(world, pair.a);
    pair.join = world_join(world, left, counted(world, pair.b), raw_left ? "1,2" : "0,1", "0,1", left_outer);
    struct br_node *root = pair.join;
    struct br_aggregate sums[] = {world_agg(root, BR_AGG_COUNT, -1)};
    if (grouped) // by key, over all windows
        root = world_aggregate(world, root, raw_left ? "1" : "0", sums, 1);
    pair.view = world_view(world, "v", root);
    world_start(world);
    return pair;
}

static void end_pair(struct pair *pair, int64_t a_us, int64_t b_us) {
    pair->world->after[pair->a].us = a_us;
    pair->world->after[pair->b].us = b_us;
    world_end_epoch(pair->world);
    EXPECT(world_seen(pair->world, pair->view), world_scan(pair->world, pair->view));
}

Test(join_close, join_on_windows_keeps_what_is_read_back_alone) {
    struct pair pair = pair_of(false, false, false);
    struct world *world = pair.world;
    const char *as[] = {"1|1", "2|2", "3|2"}, *bs[] = {"4|2", "5|3"};
    world_push_rows(world, pair.a, 3, NULL, as);
    world_push_rows(world, pair.b, 2, NULL, bs);
    end_pair(&pair, 0, 0);
    EXPECT(world_seen(world, pair.view), "2|0|2|2|0|1\n");
    cr_assert_eq(world_stored_by(world, pair.join), 2 * (2 + 1), "two bags and a place on either side");
    end_pair(&pair, 10, 0); // a changes no more: what b has got that never met it goes
    cr_assert_eq(world_stored_by(world, pair.join), 2 + 1 + 1, "%zu", world_stored_by(world, pair.join));
    world_push(world, pair.b, 1, "6|1"); // b still may
    world_push(world, pair.b, 1, "6|4");
    end_pair(&pair, 10, 0);
    EXPECT(world_seen(world, pair.view), "1|0|1|1|0|1\n2|0|2|2|0|1\n");
    end_pair(&pair, 10, 10);
    world_restart(world);
    end_pair(&pair, 10, 10);
    EXPECT(world_seen(world, pair.view), "1|0|1|1|0|1\n2|0|2|2|0|1\n");
    cr_assert_eq(world_stored_by(world, pair.join), 2 * 2, "%zu", world_stored_by(world, pair.join));
    world_destroy(&world);
}

Test(join_close, join_on_windows_that_is_not_read_back_keeps_nothing) {
    for (int outer = 0; outer < 2; outer++) {
        struct pair pair = pair_of(outer != 0, false, true);
        struct world *world = pair.world;
        const char *as[] = {"1|1", "2|2", "3|2", "11|2"}, *bs[] = {"4|2", "5|3", "12|1"};
        world_push_rows(world, pair.a, 4, NULL, as);
        world_push_rows(world, pair.b, 3, NULL, bs);
        end_pair(&pair, 10, 10);
        EXPECT(world_seen(world, pair.view), outer ? "1|1\n2|2\n" : "2|1\n");
        world_push(world, pair.a, 1, "13|1");
        world_push(world, pair.b, 1, "13|2");
        end_pair(&pair, 10, 10);
        EXPECT(world_seen(world, pair.view), outer ? "1|2\n2|2\n" : "1|1\n2|2\n");
        end_pair(&pair, 20, 10);
        end_pair(&pair, 20, 20);
        cr_assert_eq(world_stored_by(world, pair.join), 0, "%zu", world_stored_by(world, pair.join));
        EXPECT(world_seen(world, pair.view), outer ? "1|2\n2|2\n" : "1|1\n2|2\n");
        world_destroy(&world);
    }
}

Test(join_close, rows_of_a_stream_that_met_no_group_of_their_window_go) {
    struct pair pair = pair_of(false, true, false);
    struct world *world = pair.world;
    const char *as[] = {"1|1", "2|2", "3|2"}, *bs[] = {"4|2", "5|3"};
    world_push_rows(world, pair.a, 3, NULL, as);
    world_push_rows(world, pair.b, 2, NULL, bs);
    end_pair(&pair, 50, 10);
    EXPECT(world_seen(world, pair.view), "2|2|0|10|2|0|1\n3|2|0|10|2|0|1\n");
    cr_assert_eq(world_stored_by(world, pair.join), 1 + 2, "left rows of key 2, right rows of keys 2 and 3");
    world_push(world, pair.a, 1, "4|3"); // a view of plain rows takes them whenever they come
    world_push(world, pair.a, 1, "4|1");
    end_pair(&pair, 50, 10);
    EXPECT(world_seen(world, pair.view), "2|2|0|10|2|0|1\n3|2|0|10|2|0|1\n4|3|0|10|3|0|1\n");
    cr_assert_leq(world_stored_by(world, pair.join), 2 + 2 + 1);
    end_pair(&pair, 50, 20);
    cr_assert_eq(world_stored_by(world, pair.join), 2 + 2);
    world_destroy(&world);
}

// --- random: events and rooms in any order against counts made anew
#define EPOCHS 60
#define KEYS 5
struct event {
    int time, key;
};
struct model {
    struct event events[2000];
    size_t count;
    int room[KEYS];                    // by key; -1: none
    long final[EPOCHS * 5 / 5 + 8][6]; // by window and room + 1: of closed windows
    int watermark;
    size_t late;
    bool outer;
    int slide, lateness;
};

static bool closed(const struct model *model, int window) {
    return window * model->slide + 10 + model->lateness <= model->watermark;
}

static long counts_of(const struct model *model, int window, int room) {
    long count = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct event *event = &model->events[i];
        int start = window * model->slide;
        count += event->time >= start && event->time < start + 10 && model->room[event->key] == room;
    }
    return room < 0 && !model->outer ? 0 : count;
}

static void push_event(struct bench *bench, struct model *model, int time, int key) {
    char row[32];
    snprintf(row, sizeof row, "%d|%d", time, key);
    world_push(bench->world, bench->events, 1, row);
    bool any_open = false;
    for (int w = 0; w <= time / model->slide; w++) {
        if (time >= w * model->slide + 10)
            continue;
        if (!closed(model, w))
            any_open = true;
        else
            model->late += model->outer || model->room[key] >= 0;
    }
    if (any_open) // closed windows are counted no more
        model->events[model->count++] = (struct event){time, key};
}

static void push_room(struct bench *bench, struct model *model, struct dice *dice) {
    int key = (int)dice_roll(dice, KEYS);
    char row[32];
    bool goes = dice_roll(dice, 4) == 0;
    model->room[key] = goes ? -1 : (int)dice_roll(dice, 4);
    snprintf(row, sizeof row, goes ? "%d|" : "%d|r%d", key, model->room[key]);
    world_push(bench->world, bench->rooms, goes ? -1 : 1, row);
}

static const char *expected(struct model *model, int windows, int former, struct br_arena *arena) {
    struct relation relation = {0};
    int watermark = model->watermark;
    for (int w = 0; w < windows; w++)
        for (int room = -1; room < 4; room++) {
            char line[64], name[16];
            model->watermark = former;
            if (!closed(model, w))
                model->final[w][room + 1] = counts_of(model, w, room);
            snprintf(name, sizeof name, "r%d", room);
            name[room < 0 ? 0 : 2] = 0;
            snprintf(line, sizeof line, "%s|%d|%ld", name, w * model->slide, model->final[w][room + 1]);
            if (model->final[w][room + 1] != 0)
                relation_add(&relation, line, 1);
        }
    model->watermark = watermark;
    const char *text = relation_text(&relation, arena);
    relation_free(&relation);
    return text;
}

static void run(uint64_t seed) {
    struct dice dice = {seed};
    static struct model model;
    model = (struct model){.watermark = -1000,
                           .outer = seed % 2 == 0,
                           .slide = seed % 3 == 0 ? 5 : 10,
                           .lateness = (int)dice_roll(&dice, 3) * 6};
    for (int k = 0; k < KEYS; k++)
        model.room[k] = -1;
    struct bench bench = bench_of(model.outer, model.slide, model.lateness);
    bench.world->budget = 20000;
    int newest = 0, windows = EPOCHS * 5 / model.slide + 8;
    if (windows > EPOCHS + 8)
        windows = EPOCHS + 8;
    for (int e = 0; e < EPOCHS; e++) {
        for (uint32_t n = dice_roll(&dice, 12); n > 0; n--) {
            int time = e * 5 - (int)dice_roll(&dice, 30);
            if (dice_roll(&dice, 4) == 0) {
                push_room(&bench, &model, &dice);
                continue;
            }
            time = time < 10 ? 10 : time;
            newest = time > newest ? time : newest;
            push_event(&bench, &model, time, (int)dice_roll(&dice, KEYS));
        }
        int former = model.watermark;
        model.watermark = newest - 3;
        end_epoch(&bench, model.watermark);
        const char *wanted = expected(&model, windows, former, bench.world->epoch_arena);
        cr_assert_str_eq(world_seen(bench.world, bench.view), wanted, "seed %lu epoch %d: changes", (unsigned long)seed,
                         e);
        cr_assert_str_eq(world_scan(bench.world, bench.view), wanted, "seed %lu epoch %d: scan", (unsigned long)seed,
                         e);
        cr_assert_leq(world_stored_by(bench.world, bench.join), 3 * KEYS);
        if (dice_roll(&dice, 6) == 0)
            world_restart(bench.world);
    }
    size_t reported = 0;
    for (size_t i = 0; i < bench.world->late.count; i++)
        reported += (size_t)bench.world->late.rows[i].count;
    cr_assert_eq(reported, model.late, "seed %lu: %zu are late, %zu were reported", (unsigned long)seed, model.late,
                 reported);
    cr_assert_gt(reported, 0);
    end_epoch(&bench, BR_EVENT_TIME_MAX);
    cr_assert_eq(world_stored_by(bench.world, bench.join), 0);
    world_destroy(&bench.world);
}

Test(join_close, windows_over_a_changing_table_equal_a_recomputation) {
    for (uint64_t seed = 1; seed <= 24; seed++)
        run(seed);
}
