// SPDX-License-Identifier: Apache-2.0
// What files bind to under the rules of older builds, and what of it this build computes otherwise.
#include "processor/semantics.h"
#include "sql_test.h"

static struct loaded load_by(uint32_t rules, const char *text) {
    struct loaded loaded = {NULL, br_diagnostics_create("shop.sql", text)};
    struct br_pipeline_options options = {.rules = &rules};
    struct br_error error;
    enum br_status status = br_pipeline_load("shop.sql", text, &options, loaded.diagnostics, &loaded.pipeline, &error);
    cr_assert_eq(status, BR_OK);
    return loaded;
}

#define POWERS                                                                                                         \
    ORDERS "CREATE MATERIALIZED VIEW v AS SELECT exp(amount), ln(amount), log(amount), log10(amount),\n"               \
           "power(amount, 2), pow(2, amount), amount ^ 0.5 FROM orders"

Test(rules, powers_of_numerics_are_numeric) {
    struct loaded l = load_by(1, POWERS);
    for (uint32_t c = 0; c < 7; c++)
        cr_expect_eq(view_of(&l, "v")->row_type.columns[c].type, BR_NUMERIC, "column %u", c);
    unload(&l);
}

Test(rules, powers_of_numerics_were_of_doubles_under_rules_0) {
    struct loaded l = load_by(0, POWERS);
    for (uint32_t c = 0; c < 7; c++)
        cr_expect_eq(view_of(&l, "v")->row_type.columns[c].type, BR_DOUBLE, "column %u", c);
    unload(&l);
}

static void expect_difference(uint32_t rules, const char *text, const char *words) {
    struct loaded l = load_by(rules, text);
    struct br_buffer out = {0};
    bool differs = br_semantics_differ(l.pipeline, 0, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_eq(differs, words != NULL, "%s", text);
    if (words != NULL)
        cr_expect_eq(strncmp((const char *)out.ptr, words, strlen(words)), 0, "%s", (const char *)out.ptr);
    cr_expect(!br_semantics_differ(l.pipeline, BR_SEMANTICS, &out), "a build differs from itself");
    br_buffer_free(&out);
    unload(&l);
}

#define WORDS ": exp, ln, log, power, cbrt and the functions of angles are rounded correctly now"

Test(semantics, functions_that_came_from_the_c_library_differ_from_0) {
    expect_difference(0, ORDERS "CREATE MATERIALIZED VIEW v AS SELECT exp(amount) AS e FROM orders", "view v" WORDS);
    expect_difference(1,
                      ORDERS "CREATE MATERIALIZED VIEW v AS SELECT 1 + sin(amount::double precision) AS e FROM orders",
                      "view v" WORDS);
    expect_difference(
        1, ORDERS "CREATE MATERIALIZED VIEW v AS SELECT order_id FROM orders WHERE cbrt(amount::double precision) > 2",
        "view v" WORDS);
    expect_difference(0,
                      "CREATE TABLE t (x double precision CHECK (x ^ 2 < 5));\n"
                      "CREATE MATERIALIZED VIEW v AS SELECT x FROM t",
                      "table t" WORDS);
}

Test(semantics, exact_functions_do_not_differ_from_0) {
    expect_difference(0,
                      ORDERS
                      "CREATE MATERIALIZED VIEW v AS SELECT sqrt(amount) AS a, sqrt(amount::double precision) AS b,\n"
                      "floor(amount::double precision) AS c, amount::double precision / 3 AS d FROM orders",
                      NULL);
}
