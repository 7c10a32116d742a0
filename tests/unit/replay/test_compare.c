// SPDX-License-Identifier: Apache-2.0
// Two lineages compared: what is equal, what isn't, and what the report says about it.
#include "compare_world.h"

#include "processor/expr/row.h"

#define PAIRS                                                                                                          \
    "CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, name text, amount numeric, rate double precision) "               \
    "WITH (subject = 't');\n"
#define KEYED PAIRS "CREATE MATERIALIZED VIEW v AS SELECT id, name, amount, rate FROM t;\n"
#define MULTISET PAIRS "CREATE MATERIALIZED VIEW v AS SELECT name, amount, rate FROM t;\n"

static struct lineage filled(const char *sql, const char *rows) {
    struct lineage lineage = lineage_open(sql);
    lineage_fill(&lineage, "t", rows);
    return lineage;
}

struct seen {
    struct br_buffer text;
    enum br_status answer;
};

// "kind before after xN\n", rows as the view's first column.
static enum br_status see(void *context, const struct br_difference *difference, struct br_error *error) {
    static const char *const kinds[] = {"changed", "missing", "extra"};
    struct seen *seen = context;
    br_buffer_printf(&seen->text, "%s", kinds[difference->kind]);
    if (difference->before != NULL) {
        struct br_value value = br_column_get(&difference->before->columns[0], difference->before_row);
        br_buffer_append_text(&seen->text, " -");
        br_value_print(&value, &seen->text);
    }
    if (difference->after != NULL) {
        struct br_value value = br_column_get(&difference->after->columns[0], difference->after_row);
        br_buffer_append_text(&seen->text, " +");
        br_value_print(&value, &seen->text);
    }
    br_buffer_printf(&seen->text, " x%ld\n", (long)difference->count);
    return seen->answer == BR_OK ? BR_OK : br_error_set(error, seen->answer, "enough");
}

static void expect_between(const char *before_sql, const char *before_rows, const char *after_sql,
                           const char *after_rows, const char *differences) {
    struct lineage before = filled(before_sql, before_rows), after = filled(after_sql, after_rows);
    struct seen seen = {0};
    struct br_compare_options options = {.each = see, .each_context = &seen};
    struct br_compare_report *report = compare(&before, &after, &options);
    br_buffer_append_byte(&seen.text, 0);
    cr_expect_str_eq((const char *)seen.text.ptr, differences);
    br_buffer_free(&seen.text);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, equal_changed_missing_and_extra_rows_by_key) {
    struct lineage before = filled(KEYED, "1|a|1|1\n2|b|2|2\n3|c|3|3\n5|e|5|5");
    struct lineage after = filled(KEYED, "1|a|1|1\n2|x|2|2\n4|d|4|4\n5|e|5|5");
    struct br_compare_options options = {.samples = 5};
    struct br_compare_report *report = compare(&before, &after, &options);
    const struct br_view_report *view = report_of(report, "v");
    EXPECT_COUNTS(view, 2, 1, 1, 1);
    cr_expect(view->rows_before == 4 && view->rows_after == 4);
    cr_expect_eq(view->causes[BR_CAUSE_UNKNOWN], 3);
    cr_assert_eq(view->sample_count, 3);
    cr_expect_str_eq(view->samples[0].key, "{\"id\":2}");
    cr_expect_str_eq(view->samples[0].before, "{\"id\":2,\"name\":\"b\",\"amount\":2,\"rate\":2}");
    cr_expect_str_eq(view->samples[0].after, "{\"id\":2,\"name\":\"x\",\"amount\":2,\"rate\":2}");
    cr_expect_str_eq(view->samples[1].before, "{\"id\":3,\"name\":\"c\",\"amount\":3,\"rate\":3}");
    cr_expect_null(view->samples[1].after);
    cr_expect_str_eq(view->samples[2].key, "{\"id\":4}");
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, rows_that_differ_are_told_in_key_order) {
    expect_between(KEYED, "1|a||\n2|b||\n9|z||\n-5|n||", KEYED, "2|c||\n3|d||\n9|z||\n-6|n||",
                   "extra +-6 x1\nmissing --5 x1\nmissing -1 x1\nchanged -2 +2 x1\nextra +3 x1\n");
}

Test(compare, numbers_of_another_scale_differ_and_nulls_are_equal) {
    expect_between(KEYED, "1|a|1.0|\n2|||\n3||5|\n4||7.50|", KEYED, "1|a|1.00|\n2|||\n3|||\n4||7.50|",
                   "changed -1 +1 x1\nchanged -3 +3 x1\n");
}

Test(compare, zeros_of_two_signs_differ_and_nans_are_equal) {
    expect_between(KEYED, "1|||0\n2|||NaN\n3|||Infinity", KEYED, "1|||-0\n2|||NaN\n3|||Infinity", "changed -1 +1 x1\n");
}

Test(compare, sums_over_the_rows_that_differ_are_exact) {
    struct lineage before = filled(KEYED, "1||99999999999999999999999999999999.25|1\n2||0.75|2\n3||100|3\n7||50|7");
    struct lineage after = filled(KEYED, "1||99999999999999999999999999999999.5|1\n2||0.755|2\n4||1000|4\n7||50|7");
    struct br_compare_options options = {0};
    struct br_compare_report *report = compare(&before, &after, &options);
    const struct br_column_report *amount = column_of_report(report_of(report, "v"), "amount");
    cr_assert_not_null(amount);
    cr_expect_eq(amount->rows, 2);
    cr_expect_str_eq(amount->sum_before, "100000000000000000000000000000100.00");
    cr_expect_str_eq(amount->sum_after, "100000000000000000000000000001000.255");
    cr_expect_str_eq(amount->sum_difference, "900.255");
    cr_expect_null(column_of_report(report_of(report, "v"), "id")); // a key is no quantity
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

static void expect_tolerance(const char *sql, const struct br_tolerance *tolerance, uint64_t equal, uint64_t changed,
                             uint64_t missing, uint64_t extra) {
    struct lineage before = filled(sql, "1|a||1\n2|b||2\n3|c||\n4|d||4");
    struct lineage after = filled(sql, "1|a||1.001\n2|b||2.5\n3|c||\n4|d||4");
    struct br_compare_options options = {.tolerances = tolerance, .tolerance_count = tolerance == NULL ? 0 : 1};
    struct br_compare_report *report = compare(&before, &after, &options);
    EXPECT_COUNTS(report_of(report, "v"), equal, changed, missing, extra);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, doubles_within_their_tolerance_are_equal) {
    expect_tolerance(KEYED, NULL, 2, 2, 0, 0);
    expect_tolerance(KEYED, &(struct br_tolerance){"rate", 0.01}, 3, 1, 0, 0);
    expect_tolerance(KEYED, &(struct br_tolerance){"v.rate", 0.5}, 4, 0, 0, 0);
    expect_tolerance(MULTISET, NULL, 2, 0, 2, 2);
    expect_tolerance(MULTISET, &(struct br_tolerance){"rate", 0.01}, 3, 0, 1, 1);
    expect_tolerance(MULTISET, &(struct br_tolerance){"v.rate", 0.5}, 4, 0, 0, 0);
}

Test(compare, the_largest_distance_of_doubles_is_told) {
    struct lineage before = filled(KEYED, "1|||1\n2|||5"), after = filled(KEYED, "1|||1.5\n2|||3");
    struct br_compare_options options = {0};
    struct br_compare_report *report = compare(&before, &after, &options);
    const struct br_column_report *rate = column_of_report(report_of(report, "v"), "rate");
    cr_assert_not_null(rate);
    cr_expect_eq(rate->largest, 2);
    cr_expect_str_eq(rate->sum_difference, "-1.5");
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, multisets_count_equal_rows) {
    struct lineage before = filled(MULTISET, "1|a|1|\n2|a|1|\n3|a|1|\n4|b|2|\n5|c|3|");
    struct lineage after = filled(MULTISET, "1|a|1|\n2|b|2|\n3|b|2|\n4|b|2|\n5|d||");
    struct br_compare_options options = {0};
    struct br_compare_report *report = compare(&before, &after, &options);
    EXPECT_COUNTS(report_of(report, "v"), 2, 0, 3, 3);
    const struct br_column_report *amount = column_of_report(report_of(report, "v"), "amount");
    cr_expect_str_eq(amount->sum_before, "5");
    cr_expect_str_eq(amount->sum_after, "4");
    cr_expect_str_eq(amount->sum_difference, "-1");
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
    expect_between(MULTISET, "1|a|1|\n2|a|1|\n3|a|1|", MULTISET, "1|a|1|\n2|b||", "extra +b x1\nmissing -a x2\n");
}

// --- plans that differ
Test(compare, columns_are_matched_by_name_and_a_lacking_one_is_null) {
    expect_between(PAIRS "CREATE MATERIALIZED VIEW v AS SELECT id, name, amount FROM t;", "1|a|1|\n2|b||",
                   PAIRS "CREATE MATERIALIZED VIEW v AS SELECT id, amount, name FROM t;", "1|a|1|\n2|b||", "");
    expect_between(PAIRS "CREATE MATERIALIZED VIEW v AS SELECT id, name FROM t;", "1|a|1|\n2|b||",
                   PAIRS "CREATE MATERIALIZED VIEW v AS SELECT id, name, amount FROM t;", "1|a|1|\n2|b||",
                   "changed -1 +1 x1\n");
}

Test(compare, integer_and_bigint_are_alike_and_other_types_are_not) {
    const char *whole = "CREATE TABLE t (id bigint PRIMARY KEY, n integer);"
                        "CREATE MATERIALIZED VIEW v AS SELECT id, n FROM t;";
    const char *large = "CREATE TABLE t (id bigint PRIMARY KEY, n bigint);"
                        "CREATE MATERIALIZED VIEW v AS SELECT id, n FROM t;";
    const char *numeric = "CREATE TABLE t (id bigint PRIMARY KEY, n numeric);"
                          "CREATE MATERIALIZED VIEW v AS SELECT id, n FROM t;";
    expect_between(whole, "1|5\n2|\n3|7", large, "1|5\n2|\n3|8", "changed -3 +3 x1\n");
    expect_between(whole, "1|5\n2|", numeric, "1|5\n2|", "changed -1 +1 x1\n");
}

Test(compare, a_view_that_is_keyed_otherwise_is_compared_as_rows) {
    const char *by_name = PAIRS "CREATE MATERIALIZED VIEW v AS SELECT name, sum(amount) AS total FROM t GROUP BY name;";
    const char *unkeyed = PAIRS "CREATE MATERIALIZED VIEW v AS SELECT name, amount AS total FROM t;";
    struct lineage before = filled(by_name, "1|a|1|\n2|b|2|"), after = filled(unkeyed, "1|a|1|\n2|b|3|");
    struct br_compare_options options = {.samples = 1};
    struct br_compare_report *report = compare(&before, &after, &options);
    EXPECT_COUNTS(report_of(report, "v"), 1, 0, 1, 1);
    cr_expect_not_null(report_of(report, "v")->note);
    cr_expect_null(report_of(report, "v")->samples[0].key);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, key_columns_in_another_order_are_the_same_key) {
    const char *one = PAIRS "CREATE MATERIALIZED VIEW v AS SELECT name, amount, count(*) AS n FROM t "
                            "GROUP BY name, amount;";
    const char *two = PAIRS "CREATE MATERIALIZED VIEW v AS SELECT amount, name, count(*) AS n FROM t "
                            "GROUP BY amount, name;";
    struct lineage before = filled(one, "1|a|9|\n2|b|1|\n3|c|5|\n4|a|1|");
    struct lineage after = filled(two, "1|a|9|\n2|b|1|\n3|c|5|\n4|a|1|\n5|a|1|");
    struct br_compare_options options = {0};
    struct br_compare_report *report = compare(&before, &after, &options);
    EXPECT_COUNTS(report_of(report, "v"), 3, 1, 0, 0);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, a_view_of_one_side_is_all_missing_or_all_extra) {
    struct lineage before = filled(KEYED "CREATE MATERIALIZED VIEW old AS SELECT name FROM t;", "1|a||\n2|a||");
    struct lineage after = filled(KEYED "CREATE MATERIALIZED VIEW fresh AS SELECT name, count(*) AS n FROM t "
                                        "GROUP BY name;",
                                  "1|a||\n2|a||");
    struct br_compare_options options = {0};
    struct br_compare_report *report = compare(&before, &after, &options);
    cr_assert_eq(report->view_count, 3);
    EXPECT_COUNTS(report_of(report, "v"), 2, 0, 0, 0);
    EXPECT_COUNTS(report_of(report, "old"), 0, 0, 2, 0);
    EXPECT_COUNTS(report_of(report, "fresh"), 0, 0, 0, 1);
    cr_expect_null(report_of(report, "v")->note);
    cr_expect_not_null(report_of(report, "old")->note);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, a_view_that_keeps_no_rows_is_skipped) {
    const char *stream = "CREATE TABLE t (id bigint NOT NULL, name text);\n"
                         "CREATE MATERIALIZED VIEW v AS SELECT id, name FROM t;\n"
                         "CREATE MATERIALIZED VIEW counts AS SELECT name, count(*) AS n FROM t GROUP BY name;\n";
    struct lineage before = filled(stream, "1|a\n2|b"), after = filled(stream, "1|a");
    struct br_compare_options options = {0};
    struct br_compare_report *report = compare(&before, &after, &options);
    cr_assert_not_null(report_of(report, "v")->skipped);
    cr_expect_not_null(strstr(report_of(report, "v")->skipped, "keeps no rows"), "%s", report_of(report, "v")->skipped);
    EXPECT_COUNTS(report_of(report, "v"), 0, 0, 0, 0);
    EXPECT_COUNTS(report_of(report, "counts"), 1, 0, 1, 0);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

// Closed windows stand in another table than open ones; all of it is one key order.
Test(compare, open_and_closed_windows_are_one_view) {
    const char *sql = "CREATE TABLE t (name text, at timestamptz NOT NULL) WITH (event_time = 'at');\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT name, window_start, count(*) AS n\n"
                      "FROM tumble(t, at, interval '1 minute') GROUP BY name, window_start;\n";
    struct lineage before = lineage_open(sql), after = lineage_open(sql);
    const char *early = "a|2026-01-01 00:00:10+00\nb|2026-01-01 00:00:20+00\na|2026-01-01 00:01:10+00";
    const char *late = "a|2026-01-01 00:05:10+00\nc|2026-01-01 00:05:20+00";
    lineage_push(&before, "t", early);
    lineage_end_epoch(&before, "2026-01-01 00:03:00+00");
    lineage_push(&before, "t", late);
    lineage_end_epoch(&before, NULL);
    lineage_push(&after, "t", early);
    lineage_push(&after, "t", late);
    lineage_push(&after, "t", "b|2026-01-01 00:00:20+00\nb|2026-01-01 00:05:20+00");
    lineage_end_epoch(&after, NULL);
    struct br_compare_options options = {.samples = 2};
    struct br_compare_report *report = compare(&before, &after, &options);
    EXPECT_COUNTS(report_of(report, "v"), 4, 1, 0, 1);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

// --- options
Test(compare, only_the_wanted_views_are_compared) {
    struct lineage before = filled(KEYED "CREATE MATERIALIZED VIEW w AS SELECT name FROM t;", "1|a||");
    const char *wanted[] = {"w"}, *wrong[] = {"nothing"};
    struct br_compare_options options = {.views = wanted, .view_count = 1};
    struct lineage after = filled(KEYED "CREATE MATERIALIZED VIEW w AS SELECT name FROM t;", "1|a||");
    struct br_compare_report *report = compare(&before, &after, &options);
    cr_assert_eq(report->view_count, 1);
    cr_expect_str_eq(report->views[0].view, "w");
    br_compare_report_destroy(&report);
    struct br_error error = {0};
    options.views = wrong;
    cr_expect_eq(try_compare(&before, &after, &options, &report, &error), BR_DATA);
    cr_expect_not_null(strstr(error.message, "nothing"));
    struct br_tolerance tolerance = {"amount", 1};
    options = (struct br_compare_options){.tolerances = &tolerance, .tolerance_count = 1};
    cr_expect_eq(try_compare(&before, &after, &options, &report, &error), BR_DATA);
    cr_expect_not_null(strstr(error.message, "amount"));
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, a_callback_that_fails_ends_it) {
    struct lineage before = filled(KEYED, "1|a||\n2|b||"), after = filled(KEYED, "3|a||");
    struct seen seen = {.answer = BR_FATAL};
    struct br_compare_options options = {.each = see, .each_context = &seen};
    struct br_compare_report *report = NULL;
    struct br_error error = {0};
    cr_expect_eq(try_compare(&before, &after, &options, &report, &error), BR_FATAL);
    cr_expect_str_eq(error.message, "enough");
    cr_expect_null(report);
    struct br_flag stop = {true};
    options = (struct br_compare_options){.stop = &stop};
    cr_expect_eq(try_compare(&before, &after, &options, &report, &error), BR_RETRY);
    br_buffer_free(&seen.text);
    lineage_close(&before);
    lineage_close(&after);
}

// The promote step finds rows by these bytes.
static enum br_status check_key(void *context, const struct br_difference *difference, struct br_error *error) {
    (void)error;
    struct br_buffer key = {0};
    const struct br_batch *batch = difference->before != NULL ? difference->before : difference->after;
    uint32_t row = difference->before != NULL ? difference->before_row : difference->after_row;
    const struct br_node *root = difference->before_view->root;
    for (uint32_t k = 0; k < root->key_count; k++)
        br_key_append_value(&key, &batch->columns[root->key[k]], row);
    cr_expect(br_slice_equal(br_buffer_slice(&key), difference->key));
    br_buffer_free(&key);
    *(int *)context += 1;
    return BR_OK;
}

Test(compare, differences_bear_the_key_bytes_of_changes) {
    const char *sql = "CREATE TABLE t (name text, at timestamptz NOT NULL) WITH (event_time = 'at');\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT name, window_start, count(*) AS n\n"
                      "FROM tumble(t, at, interval '1 minute') GROUP BY name, window_start;\n";
    struct lineage before = filled(sql, "b|2026-01-01 00:00:10+00\na|2026-01-01 00:01:20+00");
    struct lineage after = filled(sql, "b|2026-01-01 00:00:10+00\nb|2026-01-01 00:00:10+00\nc|2026-01-01 00:01:20+00");
    int count = 0;
    struct br_compare_options options = {.each = check_key, .each_context = &count};
    struct br_compare_report *report = compare(&before, &after, &options);
    cr_expect_eq(count, 3);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}

Test(compare, the_message_says_what_the_report_does) {
    struct lineage before = filled(KEYED, "1|a|1|1\n3|c|3|3"), after = filled(KEYED, "1|x|1|1\n4|d|4|4");
    struct br_compare_options options = {.samples = 5};
    struct br_compare_report *report = compare(&before, &after, &options);
    Braid__V1__ReconcileReport message = BRAID__V1__RECONCILE_REPORT__INIT;
    br_compare_report_fill(report, &message);
    uint8_t bytes[4096];
    size_t size = braid__v1__reconcile_report__get_packed_size(&message);
    cr_assert_leq(size, sizeof bytes);
    braid__v1__reconcile_report__pack(&message, bytes);
    Braid__V1__ReconcileReport *read = braid__v1__reconcile_report__unpack(NULL, size, bytes);
    cr_assert_not_null(read);
    cr_assert_eq(read->n_views, 1);
    const Braid__V1__ViewReport *view = read->views[0];
    cr_expect(view->changed == 1 && view->missing == 1 && view->extra == 1 && view->equal == 0 && view->unknown == 3);
    cr_assert_eq(view->n_samples, 3);
    cr_expect_eq(view->samples[1]->kind, BRAID__V1__DIFFERENCE_KIND__DIFFERENCE_KIND_MISSING);
    cr_expect_eq(view->samples[1]->cause, BRAID__V1__DIFFERENCE_CAUSE__DIFFERENCE_CAUSE_UNKNOWN);
    cr_expect_str_eq(view->samples[1]->key, "{\"id\":3}");
    braid__v1__reconcile_report__free_unpacked(read, NULL);
    br_compare_report_destroy(&report);
    lineage_close(&before);
    lineage_close(&after);
}
