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

#define FRESH                                                                                                          \
    ORDERS CUSTOMERS                                                                                                   \
        "CREATE VIEW fresh AS SELECT order_id, customer, placed_at, now() AS seen, current_date AS day FROM orders;\n"
#define VIEW "CREATE MATERIALIZED VIEW v AS SELECT "

Test(rules, now_decides_nothing) {
    static const char *const newest[] = {
        VIEW "order_id, seen, seen - placed_at AS age, day - 1 AS before FROM fresh",
        VIEW "order_id, CASE WHEN customer = 'x' THEN seen END AS seen FROM fresh WHERE customer <> 'y'",
        VIEW "f.order_id, f.seen, c.region FROM fresh f JOIN customers c USING (customer)",
        VIEW "customer, count(*) AS n FROM fresh GROUP BY customer",
    };
    static const char *const before[] = {
        VIEW "order_id FROM fresh WHERE placed_at > seen - interval '1 day'",
        VIEW "order_id FROM (SELECT * FROM fresh) f WHERE day > date '2026-01-01'",
        VIEW "count(*) FILTER (WHERE placed_at > seen) AS n FROM fresh",
        VIEW "day, count(*) AS n FROM fresh GROUP BY day",
        VIEW "current_date AS day, count(*) AS n FROM orders GROUP BY 1",
        VIEW "max(seen) AS last FROM fresh",
        VIEW "DISTINCT customer, day FROM fresh",
        VIEW "window_start, count(*) AS n FROM tumble(fresh, seen, interval '1 day') GROUP BY 1",
        VIEW "f.order_id FROM fresh f JOIN customers c ON c.customer = f.customer AND c.region = f.day::text",
        VIEW "f.order_id FROM fresh f JOIN customers c ON c.customer = f.day::text",
        VIEW "order_id, CASE WHEN placed_at < now() THEN 1 END AS z FROM orders",
        VIEW "order_id, greatest(placed_at, now()) AS t FROM orders",
        VIEW "order_id, nullif(placed_at::date, current_date) AS t FROM orders",
        VIEW "order_id, placed_at < now() AS past FROM orders",
    };
    static const char *const oldest[] = {
        VIEW "order_id FROM orders WHERE placed_at > now() - interval '1 day'",
        VIEW "count(*) FILTER (WHERE placed_at > now()) AS n FROM orders",
    };
    char text[1000];
    for (size_t i = 0; i < sizeof newest / sizeof *newest; i++) {
        snprintf(text, sizeof text, FRESH "%s;", newest[i]);
        expect_newest(2, text);
    }
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        snprintf(text, sizeof text, FRESH "%s;", before[i]);
        expect_newest(1, text);
    }
    for (size_t i = 0; i < sizeof oldest / sizeof *oldest; i++) {
        snprintf(text, sizeof text, FRESH "%s;", oldest[i]);
        expect_newest(0, text);
    }
}

Test(rules, the_time_that_a_row_has_by_default_is_its_own) {
    expect_newest(2,
                  "CREATE TABLE t (a text, at timestamptz, came timestamptz DEFAULT now());\n" VIEW
                  "came::date AS day, count(*) FILTER (WHERE came - at > interval '1 hour') AS n FROM t GROUP BY 1;");
}
