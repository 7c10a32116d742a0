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

// --- what newer rules refuse

static bool accepts(uint32_t rules, const char *text) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", text);
    struct br_pipeline_options options = {.rules = &rules};
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    enum br_status status = br_pipeline_load("shop.sql", text, &options, diagnostics, &pipeline, &error);
    br_pipeline_destroy(&pipeline);
    br_diagnostics_destroy(&diagnostics);
    return status == BR_OK;
}

// newest: the last rules that accept it; those before do too, and those behind don't.
static void expect_newest(uint32_t newest, const char *text) {
    for (uint32_t rules = 0; rules <= BR_BINDING_RULES; rules++)
        cr_expect_eq(accepts(rules, text), rules <= newest, "rules %u: %.200s", rules, text);
}

Test(rules, subjects_of_views) {
    static const struct {
        uint32_t newest;
        const char *subject;
    } cases[] = {{2, "braid.shop.view.v"},  {2, "braid.shop.view.v.{customer}"}, {2, "views.{customer}"},
                 {1, "braid.shop.view.w"},  {1, "braid.other.commit.0"},         {1, "{customer}.views"},
                 {0, "braid.shop.commit.0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[500];
        snprintf(text, sizeof text,
                 ORDERS "CREATE MATERIALIZED VIEW v WITH (subject = '%s') AS SELECT customer FROM orders;",
                 cases[i].subject);
        expect_newest(cases[i].newest, text);
    }
}

static void repeat(struct br_buffer *text, const char *what, size_t count) {
    for (size_t i = 0; i < count; i++)
        br_buffer_append_text(text, what);
}

Test(rules, limits_of_a_file) {
    struct br_buffer text = {0};
    br_buffer_append_text(&text, ORDERS);
    repeat(&text, "COMMENT ON TABLE orders IS 'x';\n", 2100);
    br_buffer_append_byte(&text, 0);
    expect_newest(1, (const char *)text.ptr);
    text.len = 0;
    br_buffer_append_text(&text, ORDERS);
    br_buffer_append_text(&text, "CREATE MATERIALIZED VIEW v AS SELECT order_id FROM orders;\n");
    repeat(&text, "-- a comment of a line that makes the file longer than it may be today\n", 16000);
    br_buffer_append_byte(&text, 0);
    expect_newest(1, (const char *)text.ptr);
    br_buffer_free(&text);
}
