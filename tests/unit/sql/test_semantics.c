// SPDX-License-Identifier: Apache-2.0
// Which plans are computed otherwise than by older builds, and which go on.
#include "processor/semantics.h"

#include "sql_test.h"

#define READINGS                                                                                                       \
    "CREATE TABLE readings (id integer PRIMARY KEY, d double precision, n numeric, b bigint, i interval);\n"

static void expect_since_zero(const char *select, const char *words) {
    char text[600];
    snprintf(text, sizeof text, READINGS "CREATE MATERIALIZED VIEW v AS SELECT %s AS x FROM readings;", select);
    struct loaded loaded = load_ok(text);
    struct br_buffer found = {0};
    cr_expect_eq(br_semantics_differ(loaded.pipeline, 0, &found), words != NULL, "%s", select);
    br_buffer_append_byte(&found, 0);
    cr_expect(words == NULL || strstr((const char *)found.ptr, words) != NULL, "%s: %s", select,
              (const char *)found.ptr);
    cr_expect_not(br_semantics_differ(loaded.pipeline, BR_SEMANTICS, &found), "%s", select);
    br_buffer_free(&found);
    unload(&loaded);
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
