// SPDX-License-Identifier: Apache-2.0
// The forms of a report, and the verdicts over it.
#include "compare_world.h"

#include "base/json.h"
#include "replay/exact_sum.h"
#include "replay/report.h"

#define SQL                                                                                                            \
    "CREATE TABLE t (region text NOT NULL PRIMARY KEY, revenue numeric, rate double precision) "                       \
    "WITH (subject = 't');\n"                                                                                          \
    "CREATE TABLE s (id bigint);\n"                                                                                    \
    "CREATE MATERIALIZED VIEW revenue AS SELECT region, revenue, rate FROM t;\n"                                       \
    "CREATE MATERIALIZED VIEW stream AS SELECT id FROM s;\n"

struct reported {
    struct lineage before, after;
    struct br_compare_report *report;
    Braid__V1__ReconcileReport message;
};

static void open_report(struct reported *reported) {
    *reported = (struct reported){.before = lineage_open(SQL), .after = lineage_open(SQL)};
    lineage_fill(&reported->before, "t", "eu|100.50|1\nus|7|2\nas|1|3\nwürz|2|");
    lineage_fill(&reported->after, "t", "eu|110.50|1.5\nus|7|2\naf||4\nwürz|2|");
    struct br_compare_options options = {.samples = 3};
    reported->report = compare(&reported->before, &reported->after, &options);
    braid__v1__reconcile_report__init(&reported->message);
    br_compare_report_fill(reported->report, &reported->message);
    reported->message.pipeline = (char *)(uintptr_t) "shop";
    reported->message.id = (char *)(uintptr_t) "r1";
    reported->message.lineage_before = (char *)(uintptr_t) "live";
    reported->message.lineage_after = (char *)(uintptr_t) "r1";
    reported->message.epoch_before = 12;
    reported->message.epoch_after = 9;
    reported->message.seconds = 0.25;
}

static void close_report(struct reported *reported) {
    br_compare_report_destroy(&reported->report);
    lineage_close(&reported->before);
    lineage_close(&reported->after);
}

Test(report, the_table_has_a_line_per_view_then_columns_and_samples) {
    struct reported reported;
    struct br_buffer out = {0};
    open_report(&reported);
    br_report_print(&reported.message, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq(
        (const char *)out.ptr,
        "shop r1: live (epoch 12) against r1 (epoch 9), 0.2 s\n"
        "view     before  after  equal  changed  missing  extra  late  quarantined  function  plan  unknown\n"
        "revenue       4      4      2        1        1      1     0            0         0     0        3\n"
        "stream: not compared: view stream: keeps no rows: it only passes on rows of the stream of table s. Read its "
        "output stream instead (braid tail), or query a view that aggregates it\n"
        "\n"
        "revenue\n"
        "  column   rows  sum before  sum after  difference  largest\n"
        "  revenue     1      101.50     110.50       +9.00         \n"
        "  rate        1           4        5.5        +1.5      0.5\n"
        "    changed (unknown) {\"region\":\"eu\"}\n"
        "      revenue: 100.50 -> 110.50\n"
        "      rate: 1 -> 1.5\n"
        "    missing (unknown) {\"region\":\"as\",\"revenue\":1,\"rate\":3}\n"
        "    extra (unknown) {\"region\":\"af\",\"revenue\":null,\"rate\":4}\n");
    br_buffer_free(&out);
    close_report(&reported);
}

Test(report, json_is_one_object_with_rows_in_it) {
    struct reported reported;
    struct br_buffer out = {0};
    struct br_json json;
    struct br_error error = {0};
    open_report(&reported);
    br_report_print_json(&reported.message, &out);
    must(br_json_parse(br_buffer_slice(&out), &json, &error), &error);
    br_buffer_append_byte(&out, 0);
    const char *text = (const char *)out.ptr;
    cr_expect_not_null(strstr(text, "\"view\":\"revenue\",\"rows_before\":4,\"rows_after\":4,\"equal\":2,\"changed\":1,"
                                    "\"missing\":1,\"extra\":1,\"causes\":{\"late\":0"));
    cr_expect_not_null(strstr(text, "{\"column\":\"revenue\",\"rows\":1,\"sum_before\":101.50,\"sum_after\":110.50,"
                                    "\"sum_difference\":9.00,\"largest\":0}"));
    cr_expect_not_null(strstr(text, "{\"kind\":\"missing\",\"cause\":\"unknown\",\"key\":{\"region\":\"as\"},"
                                    "\"before\":{\"region\":\"as\",\"revenue\":1,\"rate\":3},\"after\":null}"));
    cr_expect_not_null(strstr(text, "{\"view\":\"stream\",\"skipped\":\"view stream: keeps no rows"));
    br_buffer_free(&out);
    close_report(&reported);
}

// --- verdicts
static bool fails(const Braid__V1__ReconcileReport *message, const char *expression) {
    bool result = false;
    struct br_buffer why = {0};
    struct br_error error = {0};
    must(br_report_fails_on(expression, message, &result, &why, &error), &error);
    cr_expect_eq(result, why.len != 0);
    br_buffer_free(&why);
    return result;
}

Test(report, fail_on_judges_totals) {
    struct reported reported;
    open_report(&reported);
    const Braid__V1__ReconcileReport *message = &reported.message;
    cr_expect(fails(message, "unknown>0"));
    cr_expect(!fails(message, "unknown > 3"));
    cr_expect(fails(message, "unknown>=3"));
    cr_expect(fails(message, "changed>10,missing>0"));
    cr_expect(!fails(message, "changed>10, missing>1"));
    cr_expect(fails(message, "differing=3"));
    cr_expect(fails(message, "equal<3"));
    cr_expect(fails(message, "equal <= 2"));
    cr_expect(fails(message, "late!=1"));
    cr_expect(fails(message, "skipped==1"));
    cr_expect(!fails(message, "late>0,quarantined>0,function>0,plan>0,extra>1"));
    close_report(&reported);
}

static void expect_complaint(const char *expression, const char *words) {
    bool result;
    struct br_buffer why = {0};
    struct br_error error = {0};
    cr_expect_eq(br_report_fails_on(expression, NULL, &result, &why, &error), BR_DATA, "%s", expression);
    cr_expect_not_null(strstr(error.message, words), "%s: %s", expression, error.message);
    cr_expect_not_null(strstr(error.message, "fail-on"), "%s", error.message);
    br_buffer_free(&why);
}

Test(report, fail_on_says_what_is_wrong_with_an_expression) {
    expect_complaint("", "a condition is missing");
    expect_complaint("unknown>0,", "a condition is missing");
    expect_complaint("unknwon>0", "no count \"unknwon\"");
    expect_complaint("unknown", "after \"unknown\" comes one of");
    expect_complaint("unknown~3", "not \"~3\"");
    expect_complaint("unknown>", "comes a whole number");
    expect_complaint("unknown>-1", "comes a whole number");
    expect_complaint("unknown>1x", "comes a comma or the end");
    expect_complaint("unknown>99999999999999999999", "too large");
    bool result;
    struct br_error error = {0};
    must(br_report_fails_on("unknown>0, changed >= 10", NULL, &result, NULL, &error), &error);
    cr_expect(!result);
}

// --- sums
static void expect_sum(const char *const *values, int64_t times, const char *text) {
    struct br_exact_sum sum = {0};
    struct br_buffer out = {0};
    for (; *values != NULL; values++) {
        struct br_numeric value;
        cr_assert(br_numeric_parse(br_slice_of(*values), &value));
        br_exact_sum_add(&sum, value, times);
    }
    br_exact_sum_print(&sum, NULL, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, text);
    br_buffer_free(&out);
}

Test(exact_sum, keeps_every_digit) {
    expect_sum((const char *[]){NULL}, 1, "0");
    expect_sum((const char *[]){"0.00", NULL}, 1, "0.00");
    expect_sum((const char *[]){"-0.5", "0.25", NULL}, 1, "-0.25");
    expect_sum((const char *[]){"1", "-1.000", NULL}, 1, "0.000");
    expect_sum((const char *[]){"12345678901234567890", "0.000000000000000001", NULL}, 1,
               "12345678901234567890.000000000000000001");
    expect_sum((const char *[]){"99.5", NULL}, 1000000007, "99500000696.5");
}

Test(exact_sum, goes_past_what_a_numeric_holds) {
    struct br_exact_sum sum = {0}, other = {0};
    struct br_numeric value;
    struct br_buffer out = {0};
    cr_assert(br_numeric_parse(br_slice_of("999999999999999999999999999999999999"), &value));
    for (int i = 0; i < 1000; i++)
        br_exact_sum_add(&sum, value, 1);
    br_exact_sum_print(&sum, NULL, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, "999999999999999999999999999999999999000");
    br_buffer_clear(&out);
    br_exact_sum_add(&other, value, 1001);
    br_exact_sum_print(&sum, &other, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, "-999999999999999999999999999999999999");
    br_buffer_free(&out);
}
