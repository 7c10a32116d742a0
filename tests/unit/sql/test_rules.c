// SPDX-License-Identifier: Apache-2.0
// What files bind to under the rules of older builds.
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
