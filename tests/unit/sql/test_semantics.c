// SPDX-License-Identifier: Apache-2.0
// Which plans are computed otherwise than by older builds, and which go on.
#include "processor/semantics.h"

#include "sql_test.h"

#define READINGS                                                                                                       \
    "CREATE TABLE readings (id integer PRIMARY KEY, d double precision, n numeric, b bigint, i interval);\n"

static void expect_of_text(const char *text, const char *words) {
    struct loaded loaded = load_ok(text);
    struct br_buffer found = {0};
    cr_expect_eq(br_semantics_differ(loaded.pipeline, 0, &found), words != NULL, "%s", text);
    br_buffer_append_byte(&found, 0);
    cr_expect(words == NULL || strstr((const char *)found.ptr, words) != NULL, "%s: %s", text, (const char *)found.ptr);
    cr_expect_not(br_semantics_differ(loaded.pipeline, BR_SEMANTICS, &found), "%s", text);
    br_buffer_free(&found);
    unload(&loaded);
}

static void expect_since_zero(const char *select, const char *words) {
    char text[600];
    snprintf(text, sizeof text, READINGS "CREATE MATERIALIZED VIEW v AS SELECT %s AS x FROM readings;", select);
    expect_of_text(text, words);
}

static void expect_of_join(const char *join, const char *words) {
    char text[900];
    snprintf(text, sizeof text,
             READINGS "CREATE TABLE s (k integer, a integer, t text, at timestamptz) WITH (event_time = 'at');\n"
                      "CREATE TABLE l (id integer PRIMARY KEY, b integer) WITH (lookup = true);\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT s.k FROM s %s;",
             join);
    expect_of_text(text, words);
}

Test(semantics, aggregates_of_doubles_are_named) {
    static const char *const aggregates[] = {
        "sum(d)",     "avg(d)",         "stddev(d)", "stddev_pop(d)", "variance(n::double precision)",
        "var_pop(d)", "sum(DISTINCT d)"};
    for (size_t a = 0; a < sizeof aggregates / sizeof *aggregates; a++)
        expect_since_zero(aggregates[a], "view v: sum, avg, stddev and variance of double precision");
}

Test(semantics, averages_of_intervals_are_named) {
    expect_since_zero("avg(i)", "view v: avg(interval)");
}

Test(semantics, other_aggregates_go_on) {
    static const char *const aggregates[] = {"min(d)", "count(d)", "sum(n)", "avg(b)", "stddev(n)", "sum(i)", "max(i)"};
    for (size_t a = 0; a < sizeof aggregates / sizeof *aggregates; a++)
        expect_since_zero(aggregates[a], NULL);
}

#define ROUNDED ": exp, ln, log, power, cbrt and the functions of angles are rounded correctly now"

Test(semantics, functions_that_came_from_the_c_library_are_named) {
    static const char *const calls[] = {"exp(d)",      "1 + sin(d)", "atan2(d, 1)",
                                        "power(d, 3)", "d ^ 2",      "coalesce(cbrt(d), 0)"};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        expect_since_zero(calls[c], "view v" ROUNDED);
}

Test(semantics, functions_of_a_check_are_the_tables) {
    struct loaded loaded = load_ok("CREATE TABLE t (x double precision CHECK (ln(x) < 5));\n"
                                   "CREATE MATERIALIZED VIEW v AS SELECT x FROM t");
    struct br_buffer found = {0};
    cr_expect(br_semantics_differ(loaded.pipeline, 0, &found));
    br_buffer_append_byte(&found, 0);
    cr_expect_not_null(strstr((const char *)found.ptr, "table t" ROUNDED), "%s", (const char *)found.ptr);
    br_buffer_free(&found);
    unload(&loaded);
}

Test(semantics, exact_functions_go_on) {
    static const char *const calls[] = {
        "sqrt(d)", "sqrt(n)", "floor(d)", "d / 3", "degrees(d)", "d::text", "n::double precision",
        "exp(n)"}; // numerics had none
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        expect_since_zero(calls[c], NULL);
}

Test(semantics, left_joins_whose_condition_may_fail_are_named) {
    static const char *const words = "view v: a LEFT JOIN leaves out the rows on which its ON fails";
    expect_of_join("LEFT JOIN readings r ON r.id = s.k AND 10 / s.a > 1", words);
    expect_of_join("LEFT JOIN readings r ON r.id = s.k AND r.b + 1 > s.a", words);
    expect_of_join("LEFT JOIN readings r ON r.id = s.k AND (s.t::integer > 1 OR r.b > s.a)", words);
}

Test(semantics, other_joins_go_on) {
    expect_of_join("JOIN readings r ON r.id = s.k AND 10 / s.a > 1", NULL);
    expect_of_join("LEFT JOIN readings r ON r.id = s.k", NULL);
    expect_of_join("LEFT JOIN readings r ON r.id = s.k AND r.b > s.a AND lower(s.t) LIKE 'a%%'", NULL);
    expect_of_join("LEFT JOIN l ON l.id = s.k AND 10 / l.b > s.a", NULL);
}

// Their epochs say by which rules they were computed.
Test(semantics, lookups_and_windows_over_joins_go_on) {
    expect_of_join("JOIN l ON l.id = s.k", NULL);
    expect_of_text(
        READINGS "CREATE TABLE s (k integer, at timestamptz) WITH (event_time = 'at');\n"
                 "CREATE MATERIALIZED VIEW v AS SELECT r.b, window_start, count(*) AS n FROM tumble(s, at, interval '1 "
                 "minute') w JOIN readings r ON r.id = w.k GROUP BY r.b, window_start;",
        NULL);
}
