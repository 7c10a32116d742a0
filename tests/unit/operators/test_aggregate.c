// SPDX-License-Identifier: Apache-2.0
// Aggregates one by one: what they give, under retraction, over NULLs, at their limits.
#include "world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EXPECT(text, wanted) cr_assert_str_eq((text), (wanted))

static const int first_column[] = {0, -1};

// A table (id, k, v) keyed by id, grouped by k.
struct bench {
    struct world *world;
    uint32_t table, view;
};

static struct bench bench_of(const char *columns, const char *group, size_t count, const enum br_aggregate_kind *kinds,
                             bool distinct) {
    struct bench bench = {.world = world_create()};
    bench.table = world_table(bench.world, "t", columns, first_column);
    struct br_node *source = world_source(bench.world, bench.table);
    struct br_aggregate aggregates[16];
    for (size_t i = 0; i < count; i++) {
        aggregates[i] = world_agg(source, kinds[i], 2);
        aggregates[i].distinct = distinct;
    }
    struct br_node *node = world_aggregate(bench.world, source, group, aggregates, (uint32_t)count);
    bench.view = world_view(bench.world, "v", node);
    world_start(bench.world);
    return bench;
}

static const char *after(struct bench *bench, size_t count, const char *const *rows) {
    for (size_t i = 0; i < count; i++) {
        bool delete = rows[i][0] == '-';
        world_push(bench->world, bench->table, delete ? -1 : 1, rows[i] + delete);
    }
    world_end_epoch(bench->world);
    EXPECT(world_seen(bench->world, bench->view), world_scan(bench->world, bench->view));
    return world_seen(bench->world, bench->view);
}
#define AFTER(bench, ...)                                                                                              \
    after((bench), sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

Test(aggregate, groups_change_come_and_vanish) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_COUNT, BR_AGG_SUM};
    struct bench bench = bench_of("iti", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|5", "2|a|7", "3|b|", "4||1"), "a|2|12\nb|0|\n|1|1\n");
    EXPECT(AFTER(&bench, "2|b|7", "-4||"), "a|1|5\nb|1|7\n");
    EXPECT(world_changes(bench.world, bench.view), "+a|1|5\n+b|1|7\n-a|2|12\n-b|0|\n-|1|1\n");
    EXPECT(AFTER(&bench, "-1||", "-2||", "-3||"), "");
    EXPECT(AFTER(&bench, "9|a|1"), "a|1|1\n");
    world_destroy(&bench.world);
}

Test(aggregate, group_that_ends_as_it_was_gives_nothing) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM};
    struct bench bench = bench_of("iti", "1", 1, kinds, false);
    AFTER(&bench, "1|a|5", "2|a|7");
    unsigned calls = bench.world->change_calls;
    EXPECT(AFTER(&bench, "1|a|7", "2|a|5"), "a|12\n");
    cr_assert_eq(bench.world->change_calls, calls);
    world_destroy(&bench.world);
}

Test(aggregate, global_aggregate_has_a_row_before_any_input) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_COUNT, BR_AGG_SUM, BR_AGG_MIN};
    struct bench bench = bench_of("iti", "", 3, kinds, false);
    world_end_epoch(bench.world);
    EXPECT(world_seen(bench.world, bench.view), "0||\n");
    EXPECT(AFTER(&bench, "1|a|5"), "1|5|5\n");
    EXPECT(AFTER(&bench, "-1||"), "0||\n");
    world_restart(bench.world);
    EXPECT(AFTER(&bench, "1|a|6"), "1|6|6\n");
    world_destroy(&bench.world);
}

Test(aggregate, numeric_sum_shows_the_largest_scale_of_what_is_there) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM, BR_AGG_AVG};
    struct bench bench = bench_of("itn", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|1.50", "2|a|2.5"), "a|4.00|2.0000000000000000\n");
    EXPECT(AFTER(&bench, "3|a|1", "4|a|0.125", "5|a|0.0001"), "a|5.1251|1.02502000000000000000\n");
    EXPECT(AFTER(&bench, "-1||", "-4||", "-5||"), "a|3.5|1.7500000000000000\n");
    EXPECT(AFTER(&bench, "-2||"), "a|1|1.00000000000000000000\n");
    world_destroy(&bench.world);
}

Test(aggregate, numeric_group_keys_ignore_scale_and_show_the_largest) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_COUNT};
    struct bench bench = bench_of("ini", "1", 1, kinds, false);
    EXPECT(AFTER(&bench, "1|1.0|1", "2|1.00|1", "3|1|1"), "1.00|3\n");
    EXPECT(AFTER(&bench, "-2||"), "1.0|2\n");
    EXPECT(AFTER(&bench, "4|1.0000|1", "-1||"), "1.0000|2\n");
    world_destroy(&bench.world);
}

Test(aggregate, integer_sums_are_wide_and_fail_only_while_they_do_not_fit) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM, BR_AGG_AVG};
    struct bench bench = bench_of("itl", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|9223372036854775807", "2|a|9223372036854775807"),
           "a|18446744073709551614|9223372036854775807\n");
    world_destroy(&bench.world);
}

Test(aggregate, overflow_leaves_the_group_out_and_is_reported_once) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM};
    struct bench bench = bench_of("itn", "1", 1, kinds, false);
    EXPECT(AFTER(&bench, "1|a|1000000000000000000000000000000000000", "2|b|1"),
           "a|1000000000000000000000000000000000000\nb|1\n");
    EXPECT(AFTER(&bench, "3|a|2000000000000000000000000000000000000"), "b|1\n");
    EXPECT(relation_text(&bench.world->failed, bench.world->arena), "v: value overflows numeric format\n");
    EXPECT(AFTER(&bench, "4|a|1"), "b|1\n");
    EXPECT(relation_text(&bench.world->failed, bench.world->arena), "v: value overflows numeric format\n");
    EXPECT(AFTER(&bench, "-1||"), "a|2000000000000000000000000000000000001\nb|1\n");
    world_destroy(&bench.world);
}

Test(aggregate, double_sums_retract_exactly_to_nothing_and_keep_nan_and_infinity_aside) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM, BR_AGG_AVG, BR_AGG_MIN, BR_AGG_MAX};
    struct bench bench = bench_of("itd", "1", 4, kinds, false);
    EXPECT(AFTER(&bench, "1|a|0.1", "2|a|1e15", "3|a|0.2"), "a|1.0000000000000002e+15|333333333333333.44|0.1|1e+15\n");
    EXPECT(AFTER(&bench, "-2||"), "a|0.30000000000000004|0.15000000000000002|0.1|0.2\n");
    EXPECT(AFTER(&bench, "4|a|NaN"), "a|NaN|NaN|0.1|NaN\n");
    EXPECT(AFTER(&bench, "4|a|Infinity", "5|a|-Infinity"), "a|NaN|NaN|-Infinity|Infinity\n");
    EXPECT(AFTER(&bench, "-5||"), "a|Infinity|Infinity|0.1|Infinity\n");
    EXPECT(AFTER(&bench, "-4||", "-1||"), "a|0.2|0.2|0.2|0.2\n");
    EXPECT(AFTER(&bench, "-3||", "6|a|"), "a||||\n");
    world_destroy(&bench.world);
}

Test(aggregate, double_sums_beyond_the_largest_come_back) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM};
    struct bench bench = bench_of("itd", "1", 1, kinds, false);
    EXPECT(AFTER(&bench, "1|a|1e308", "2|a|1e308"), "");
    EXPECT(AFTER(&bench, "3|a|1"), "");
    EXPECT(AFTER(&bench, "-2||"), "a|1e+308\n");
    EXPECT(AFTER(&bench, "-1||"), "a|1\n");
    EXPECT(AFTER(&bench, "4|a|-1e308", "5|a|-1e308"), "");
    EXPECT(AFTER(&bench, "1|a|1e308", "2|a|1e308"), "a|1\n");
    world_destroy(&bench.world);
}

Test(aggregate, double_averages_and_deviations_need_no_sum_that_fits) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_AVG, BR_AGG_STDDEV_POP};
    struct bench bench = bench_of("itd", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|1e308", "2|a|1e308"), "a|1e+308|0\n");
    EXPECT(AFTER(&bench, "2|a|-1e308"), "a|0|1e+308\n");
    EXPECT(AFTER(&bench, "1|a|1e-300", "2|a|-1e-300"), "a|0|1e-300\n");
    world_destroy(&bench.world);
}

Test(aggregate, double_sum_of_negative_zeros_alone_is_one) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM, BR_AGG_AVG};
    struct bench bench = bench_of("itd", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|-0", "2|a|-0"), "a|-0|0\n");
    EXPECT(AFTER(&bench, "3|a|0"), "a|0|0\n");
    EXPECT(AFTER(&bench, "-3||"), "a|-0|0\n");
    EXPECT(AFTER(&bench, "3|a|NaN"), "a|NaN|NaN\n");
    EXPECT(AFTER(&bench, "-3||"), "a|-0|0\n");
    world_destroy(&bench.world);
}

// The sums of one group's aggregates that are wide stand before the texts, and shrink when an outlier is corrected.
Test(aggregate, double_sums_and_texts_share_the_tail) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_MAX, BR_AGG_SUM, BR_AGG_VAR_POP, BR_AGG_COUNT};
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "itd", first_column);
    struct br_node *source = world_source(world, t);
    struct br_aggregate aggregates[] = {world_agg(source, kinds[0], 1), world_agg(source, kinds[1], 2),
                                        world_agg(source, kinds[2], 2), world_agg(source, BR_AGG_MIN, 1)};
    struct bench bench = {world, t, world_view(world, "v", world_aggregate(world, source, "", aggregates, 4))};
    world_start(world);
    EXPECT(AFTER(&bench, "1|xyz|1", "2|ab|3"), "xyz|4|1|ab\n");
    EXPECT(AFTER(&bench, "3|zzzzz|1e-300"), "zzzzz|4|1.5555555555555556|ab\n");
    EXPECT(AFTER(&bench, "3|zzzzzzzzz|Infinity", "1|c|1"), "zzzzzzzzz|Infinity|NaN|ab\n");
    EXPECT(AFTER(&bench, "-2||", "4|yy|1e300"), "zzzzzzzzz|Infinity|NaN|c\n");
    EXPECT(AFTER(&bench, "-3||"), "");
    EXPECT(AFTER(&bench, "4||3"), "c|4|1|c\n");
    world_destroy(&world);
}

Test(aggregate, minimum_and_maximum_find_the_next_when_they_go) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_MIN, BR_AGG_MAX};
    struct bench bench = bench_of("itn", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|x|5", "2|x|9", "3|y|1", "4|x|", "5|x|7.0"), "x|5|9\ny|1|1\n");
    EXPECT(AFTER(&bench, "-1||", "-2||"), "x|7.0|7.0\ny|1|1\n");
    EXPECT(AFTER(&bench, "6|x|7.00", "7|x|-3.5"), "x|-3.5|7.00\ny|1|1\n");
    EXPECT(AFTER(&bench, "-7||", "-6||"), "x|7.0|7.0\ny|1|1\n");
    EXPECT(AFTER(&bench, "-5||"), "x||\ny|1|1\n");
    world_destroy(&bench.world);
}

Test(aggregate, text_extremes_grow_shrink_and_retract) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_MIN, BR_AGG_MAX, BR_AGG_COUNT};
    struct bench bench = bench_of("itt", "1", 3, kinds, false);
    EXPECT(AFTER(&bench, "1|x|mm", "2|x|middle of it"), "x|middle of it|mm|2\n");
    EXPECT(AFTER(&bench, "3|x|a", "4|x|zzzzzzzzzzzzzzzzzzzzzzzzzzzz"), "x|a|zzzzzzzzzzzzzzzzzzzzzzzzzzzz|4\n");
    world_restart(bench.world);
    EXPECT(AFTER(&bench, "-3||", "-4||"), "x|middle of it|mm|2\n");
    EXPECT(AFTER(&bench, "-1||", "-2||", "5|x|"), "x|||0\n");
    world_destroy(&bench.world);
}

Test(aggregate, distinct_counts_and_sums_values_once) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_COUNT, BR_AGG_SUM, BR_AGG_AVG};
    struct bench bench = bench_of("itn", "1", 3, kinds, true);
    EXPECT(AFTER(&bench, "1|a|2.0", "2|a|2.00", "3|a|3", "4|a|"), "a|2|5.00|2.5000000000000000\n");
    EXPECT(AFTER(&bench, "-2||"), "a|2|5.0|2.5000000000000000\n");
    EXPECT(AFTER(&bench, "-1||"), "a|1|3|3.0000000000000000\n");
    EXPECT(AFTER(&bench, "-3||", "5|b|1"), "a|0||\nb|1|1|1.00000000000000000000\n");
    world_destroy(&bench.world);
}

Test(aggregate, booleans_by_counts) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_BOOL_AND, BR_AGG_BOOL_OR};
    struct bench bench = bench_of("itb", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|t", "2|a|f", "3|b|", "4|c|t"), "a|false|true\nb||\nc|true|true\n");
    EXPECT(AFTER(&bench, "-2||", "4|c|f"), "a|true|true\nb||\nc|false|false\n");
    world_destroy(&bench.world);
}

// What PostgreSQL 15 gives for the values (between bars), in the order of the kinds.
static void check_results(char type, const char *values, size_t count, const enum br_aggregate_kind *kinds,
                          const char *expected) {
    char columns[] = {'i', 't', type, 0}, row[200], text[400];
    struct bench bench = bench_of(columns, "1", count, kinds, false);
    int id = 0;
    for (const char *at = values; *at != 0; at += strcspn(at, "|") + (at[strcspn(at, "|")] == '|')) {
        snprintf(row, sizeof row, "%d|a|%.*s", ++id, (int)strcspn(at, "|"), at);
        AFTER(&bench, row);
    }
    snprintf(text, sizeof text, "a|%s\n", expected);
    EXPECT(world_seen(bench.world, bench.view), text);
    world_destroy(&bench.world);
}

Test(aggregate, variance_as_postgresql_shows_it) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_VAR_SAMP, BR_AGG_VAR_POP, BR_AGG_STDDEV_SAMP, BR_AGG_STDDEV_POP};
    check_results('i', "1", 4, kinds, "|0||0");
    check_results('i', "1|2|4", 4, kinds,
                  "2.3333333333333333|1.5555555555555556|1.5275252316519467|1.2472191289246471");
    check_results('i', "1|2|1000000", 4, kinds,
                  "333332333334.33333333|222221555556.22222222|577349.40316444|471403.81368443");
    check_results('n', "1.5|2.25|10", 4, kinds,
                  "22.1458333333333333|14.7638888888888889|4.7059359678318333|3.8423806277995012");
    check_results('n', "1.5|2.25", 4, kinds,
                  "0.28125000000000000000|0.14062500000000000000|0.53033008588991064330|0.37500000000000000000");
    check_results('n', "2.5|2.5|2.5|-1|-1", 4, kinds,
                  "3.6750000000000000|2.9400000000000000|1.9170289512680814|1.7146428199482247");
    check_results('n', "1|1|1", 4, kinds, "0|0|0|0");
    check_results('d', "100000000.5|100000001.5", 4, kinds, "0.5|0.25|0.7071067811865476|0.5");
    check_results('d', "0.1|1e15|0.2", 4, kinds,
                  "3.3333333333333325e+29|2.2222222222222214e+29|577350269189625.8|471404520791031.6");
}

Test(aggregate, wide_variance_keeps_what_fits_a_numeric) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_VAR_POP, BR_AGG_STDDEV_SAMP, BR_AGG_STDDEV_POP};
    check_results('l', "9223372036854775807|-9223372036854775807|5", 1, kinds + 1, "9223372036854775807");
    check_results('n', "123456789012345678901234567890|1.000000001|-5", 2, kinds + 1,
                  "71277810369564610034926130568.6135115|58198088462764320418561361265.5527096");
    check_results('n', "0.00000000000000000001|0.00000000000000000003", 1, kinds + 2,
                  "0.00000000000000000001000000000000000000000000000000000000");
}

Test(aggregate, averages_as_postgresql_shows_them) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM, BR_AGG_AVG};
    check_results('n', "1.50|2.5", 2, kinds, "4.00|2.0000000000000000");
    check_results('n', "1.50|2.5|1|0.125|0.0001", 2, kinds, "5.1251|1.02502000000000000000");
    check_results('n', "0|0.00", 2, kinds, "0.00|0.00000000000000000000");
    check_results('n', "12345678901234567890.5|1", 2, kinds, "12345678901234567891.5|6172839450617283945.8");
    check_results('n', "-1.5|1", 2, kinds, "-0.5|-0.25000000000000000000");
    check_results('n', "0.001|0.002|0.0005", 2, kinds, "0.0035|0.00116666666666666667");
    check_results('v', "1 mon 1 day 00:00:01|-3 mons 5 days|2 years|-10:00:00.000001", 2, kinds,
                  "1 year 10 mons 6 days -09:59:59.000001|5 mons 16 days 09:30:00.25");
}

Test(aggregate, variance_retracts) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_VAR_SAMP, BR_AGG_STDDEV_POP};
    struct bench bench = bench_of("itn", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|1.5", "2|a|2.25", "3|a|10.000"), "a|22.1458333333333333|3.8423806277995012\n");
    EXPECT(AFTER(&bench, "-3||"), "a|0.28125000000000000000|0.37500000000000000000\n");
    world_destroy(&bench.world);
    bench = bench_of("itd", "1", 2, kinds, false);
    EXPECT(AFTER(&bench, "1|a|100000000.5", "2|a|100000001.5", "3|a|1e12"),
           "a|3.332666699993334e+23|471357380338.4812\n");
    EXPECT(AFTER(&bench, "-3||"), "a|0.5|0.5\n");
    EXPECT(AFTER(&bench, "4|a|NaN"), "a|NaN|NaN\n");
    world_destroy(&bench.world);
}

Test(aggregate, intervals_are_summed_and_averaged_by_field) {
    const enum br_aggregate_kind kinds[] = {BR_AGG_SUM, BR_AGG_AVG, BR_AGG_MIN, BR_AGG_MAX};
    struct bench bench = bench_of("itv", "1", 4, kinds, false);
    EXPECT(AFTER(&bench, "1|a|1 mon", "2|a|30 days", "3|a|01:00:00"),
           "a|1 mon 30 days 01:00:00|20 days 00:20:00|01:00:00|1 mon\n");
    EXPECT(AFTER(&bench, "-1||"), "a|30 days 01:00:00|15 days 00:30:00|01:00:00|30 days\n");
    world_destroy(&bench.world);
}

Test(aggregate, filter_takes_only_rows_for_which_it_is_true) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "ibi", first_column);
    struct br_node *source = world_source(world, t);
    struct br_aggregate aggregates[] = {world_agg(source, BR_AGG_COUNT, -1), world_agg(source, BR_AGG_SUM, 2)};
    aggregates[0].filter = aggregates[1].filter = 1;
    uint32_t view = world_view(world, "v", world_aggregate(world, source, "", aggregates, 2));
    world_start(world);
    const char *rows[] = {"1|t|1", "2|f|2", "3||4", "4|t|8", "5|t|"};
    world_push_rows(world, t, 5, NULL, rows);
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "3|9\n");
    world_destroy(&world);
}

Test(aggregate, weights_multiply) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "in", NULL);
    struct br_node *source = world_source(world, t);
    source->append_only = false;
    struct br_aggregate aggregates[] = {world_agg(source, BR_AGG_COUNT, -1), world_agg(source, BR_AGG_SUM, 1),
                                        world_agg(source, BR_AGG_MIN, 1), world_agg(source, BR_AGG_VAR_POP, 1)};
    uint32_t view = world_view(world, "v", world_aggregate(world, source, "0", aggregates, 4));
    world_start(world);
    world_push(world, t, 3, "1|2.5");
    world_push(world, t, 2, "1|-1");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|5|5.5|-1|2.9400000000000000\n");
    world_push(world, t, -2, "1|-1");
    world_push(world, t, -2, "1|2.5");
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|1|2.5|2.5|0\n");
    world_destroy(&world);
}

Test(aggregate, extremes_of_rows_that_only_come_need_no_ordered_values) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "iti", NULL);
    struct br_node *source = world_source(world, t);
    struct br_aggregate aggregates[] = {world_agg(source, BR_AGG_MIN, 1), world_agg(source, BR_AGG_MAX, 1),
                                        world_agg(source, BR_AGG_MAX, 2)};
    uint32_t view = world_view(world, "v", world_aggregate(world, source, "0", aggregates, 3));
    world_start(world);
    const char *rows[] = {"1|b|4", "1|a|9", "1|c|", "2||"};
    world_push_rows(world, t, 4, NULL, rows);
    world_end_epoch(world);
    EXPECT(world_seen(world, view), "1|a|c|9\n2|||\n");
    cr_assert_eq(world_stored(world), 2, "values are kept that nobody needs");
    world_push(world, t, 1, "1|aa|10");
    world_end_epoch(world);
    EXPECT(world_changes(world, view), "+1|a|c|10\n-1|a|c|9\n");
    world_destroy(&world);
}

Test(aggregate, views_on_views_get_net_changes) {
    struct world *world = world_create();
    uint32_t t = world_table(world, "t", "iti", first_column);
    struct br_node *source = world_source(world, t);
    struct br_aggregate counts[] = {world_agg(source, BR_AGG_COUNT, -1)};
    struct br_node *by_key = world_aggregate(world, source, "1", counts, 1);
    struct br_aggregate sizes[] = {world_agg(by_key, BR_AGG_COUNT, -1), world_agg(by_key, BR_AGG_MAX, 0)};
    struct br_node *by_size = world_aggregate(world, by_key, "1", sizes, 2);
    uint32_t first = world_view(world, "by_key", by_key), second = world_view(world, "by_size", by_size);
    world_start(world);
    const char *rows[] = {"1|a|0", "2|a|0", "3|b|0", "4|c|0"};
    world_push_rows(world, t, 4, NULL, rows);
    world_end_epoch(world);
    EXPECT(world_seen(world, first), "a|2\nb|1\nc|1\n");
    EXPECT(world_seen(world, second), "1|2|c\n2|1|a\n");
    world_push(world, t, 1, "4|b|0");
    world_end_epoch(world);
    EXPECT(world_changes(world, second), "+2|2|b\n-1|2|c\n-2|1|a\n");
    EXPECT(world_scan(world, second), "2|2|b\n");
    world_destroy(&world);
}
