// SPDX-License-Identifier: Apache-2.0
// What a changed file means for each view. Every test changes one thing of one pipeline.
#include "processor/sql/sql.h"
#include "replay/upgrade.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define NAME "SET braid.pipeline = 'shop';\n"
#define TYPES "CREATE TYPE order_v1 AS (id text, cents bigint);\n"
#define ORDERS                                                                                                         \
    "CREATE TABLE orders (id text NOT NULL, customer text, amount numeric CHECK (amount >= 0), at timestamptz)"        \
    " WITH (event_time = 'at', watermark = '5 seconds');\n"
#define CUSTOMERS "CREATE TABLE customers (customer text PRIMARY KEY, region text, since date);\n"
#define NET "CREATE FUNCTION net(x numeric) RETURNS numeric LANGUAGE SQL IMMUTABLE AS 'SELECT x * 0.9';\n"
#define LIFT                                                                                                           \
    "CREATE FUNCTION lift(o order_v1) RETURNS orders LANGUAGE SQL IMMUTABLE AS "                                       \
    "'SELECT o.id, NULL::text, o.cents / 100.0, NULL::timestamptz';\n"                                                 \
    "CREATE CAST (order_v1 AS orders) WITH FUNCTION lift(order_v1);\n"
#define LARGE "CREATE VIEW large AS SELECT * FROM orders WHERE amount > 10;\n"
#define REVENUE                                                                                                        \
    "CREATE MATERIALIZED VIEW revenue WITH (lateness = '1 minute') AS SELECT region, window_start, sum(net(amount)) "  \
    "AS "                                                                                                              \
    "revenue FROM tumble(orders, at, interval '1 minute') o JOIN customers c USING (customer) WHERE amount > 1 "       \
    "GROUP BY region, window_start;\n"
#define TOP "CREATE MATERIALIZED VIEW top AS SELECT region, max(revenue) AS best FROM revenue GROUP BY region;\n"
#define COUNTS "CREATE MATERIALIZED VIEW counts AS SELECT customer, count(*) AS n FROM large GROUP BY customer;\n"
#define REGIONS "CREATE MATERIALIZED VIEW regions AS SELECT customer, region FROM customers;\n"
#define ALL NAME TYPES ORDERS CUSTOMERS NET LIFT LARGE REVENUE TOP COUNTS REGIONS

static struct br_pipeline *load(const char *sql) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("shop.sql", sql);
    struct br_pipeline *pipeline = NULL;
    struct br_error error;
    enum br_status status = br_pipeline_load("shop.sql", sql, NULL, diagnostics, &pipeline, &error);
    cr_assert_eq(status, BR_OK, "%s: %s", error.message, diagnostics->count != 0 ? diagnostics->list[0].message : "");
    br_diagnostics_destroy(&diagnostics);
    return pipeline;
}

struct changed {
    struct br_pipeline *before, *after;
    struct br_upgrade *upgrade;
};

static struct changed compare(const char *before, const char *after) {
    struct changed changed = {load(before), load(after), NULL};
    changed.upgrade = br_upgrade_compare(changed.before, changed.after);
    return changed;
}

static void done(struct changed *changed) {
    br_upgrade_destroy(&changed->upgrade);
    br_pipeline_destroy(&changed->after);
    br_pipeline_destroy(&changed->before);
}

// ALL with `old` put in place of the first occurrence of `fresh`'s argument.
static char *replaced(const char *from, const char *to) {
    static char text[8192];
    const char *at = strstr(ALL, from);
    cr_assert(at != NULL, "%s", from);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - ALL), ALL, to, at + strlen(from));
    return text;
}

static void expect(const struct changed *changed, const char *view, enum br_upgrade_verdict verdict, const char *why) {
    const struct br_upgrade_view *row = br_upgrade_find(changed->upgrade, view);
    cr_assert(row != NULL, "%s", view);
    cr_expect_eq(row->verdict, verdict, "%s: %s: %s", view, br_upgrade_verdict_name(row->verdict), row->why);
    cr_expect(strstr(row->why, why) != NULL, "%s: %s (wanted: %s)", view, row->why, why);
}

static void expect_kept(const struct changed *changed, const char *const *views) {
    for (; *views != NULL; views++) {
        expect(changed, *views, BR_UPGRADE_KEEP, "");
        cr_expect_str_eq(br_upgrade_find(changed->upgrade, *views)->why, "");
    }
}
#define KEPT(...)                                                                                                      \
    (const char *const[]) {                                                                                            \
        __VA_ARGS__, NULL                                                                                              \
    }

Test(upgrade, the_same_file_keeps_everything) {
    struct changed changed = compare(ALL, ALL);
    expect_kept(&changed, KEPT("revenue", "top", "counts", "regions"));
    cr_expect_eq(changed.upgrade->counts[BR_UPGRADE_KEEP], 4);
    done(&changed);
}

Test(upgrade, comments_and_white_space_keep_everything) {
    struct changed changed =
        compare(ALL, replaced("WHERE amount > 1 GROUP", "/* more */ WHERE\n amount>1 -- x\n GROUP"));
    expect_kept(&changed, KEPT("revenue", "top", "counts", "regions"));
    done(&changed);
}

Test(upgrade, another_where_rebuilds_the_view_and_those_that_read_it) {
    struct changed changed = compare(ALL, replaced("amount > 1 GROUP", "amount > 2 GROUP"));
    expect(&changed, "revenue", BR_UPGRADE_REBUILD, "WHERE changed: (amount > 2) (was (amount > 1))");
    expect(&changed, "top", BR_UPGRADE_REBUILD, "reads view revenue, which is rebuilt");
    expect_kept(&changed, KEPT("counts", "regions"));
    const struct br_upgrade_view *revenue = br_upgrade_find(changed.upgrade, "revenue");
    cr_assert_eq(revenue->read_count, 2);
    cr_expect_str_eq(revenue->reads[0], "orders");
    cr_expect_str_eq(revenue->reads[1], "customers");
    cr_expect_eq(br_upgrade_find(changed.upgrade, "counts")->read_count, 0);
    done(&changed);
}

Test(upgrade, what_changed_in_a_select_is_named) {
    static const struct {
        const char *from, *to, *view, *why;
    } cases[] = {
        {"GROUP BY customer", "GROUP BY customer, id", "counts", "group key changed: customer, id (was customer)"},
        {"max(revenue)", "min(revenue)", "top", "aggregates changed: min(revenue) (was max(revenue))"},
        {"interval '1 minute') o", "interval '2 minutes') o", "revenue", "window changed"},
        {"JOIN customers c USING (customer)", "LEFT JOIN customers c USING (customer)", "revenue", "join changed"},
        {"FROM large GROUP", "FROM orders GROUP", "counts", "WHERE removed (was (amount > 10))"},
        {"lateness = '1 minute'", "lateness = '2 minutes'", "revenue", "lateness changed"},
        {"FROM large GROUP BY customer", "FROM large GROUP BY customer HAVING count(*) > 1", "counts", "HAVING added"},
        {"SELECT customer, region FROM", "SELECT customer, upper(region) AS region FROM", "regions",
         "select list changed"},
        {"SELECT customer, count(*) AS n FROM large", "SELECT customer, count(*) AS n FROM customers", "counts",
         "what is read changed: customers (was orders)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct changed changed = compare(ALL, replaced(cases[i].from, cases[i].to));
        expect(&changed, cases[i].view, BR_UPGRADE_REBUILD, cases[i].why);
        done(&changed);
    }
}

Test(upgrade, a_function_is_named_not_what_it_was_planned_into) {
    struct changed changed = compare(ALL, replaced("x * 0.9", "x * 0.8"));
    expect(&changed, "revenue", BR_UPGRADE_REBUILD, "function net changed");
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "revenue")->why, "function net changed");
    cr_expect(br_upgrade_find(changed.upgrade, "revenue")->only_functions);
    expect_kept(&changed, KEPT("counts", "regions"));
    done(&changed);
    changed = compare(ALL, replaced("o.cents / 100.0", "o.cents / 10.0"));
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "counts")->why, "function lift changed");
    expect_kept(&changed, KEPT("regions"));
    done(&changed);
}

Test(upgrade, a_plain_view_is_named) {
    struct changed changed = compare(ALL, replaced("amount > 10;", "amount > 100;"));
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "counts")->why, "view large changed");
    expect_kept(&changed, KEPT("revenue", "top", "regions"));
    done(&changed);
}

Test(upgrade, gates_of_a_table_decide_the_rows_of_views_over_it) {
    static const struct {
        const char *from, *to, *why;
    } cases[] = {
        {"CHECK (amount >= 0)", "CHECK (amount > 0)", "table orders: CHECK changed"},
        {"CHECK (amount >= 0)", "", "table orders: CHECK changed"},
        {"id text NOT NULL", "id text", "table orders: column id may be NULL now"},
        {"customer text, amount", "customer text DEFAULT 'x', amount",
         "table orders: column customer has another DEFAULT"},
        {"watermark = '5 seconds'", "watermark = '6 seconds'", "table orders: watermark changed"},
        {"watermark = '5 seconds'", "watermark = '5 seconds', max_future = '2 hours'",
         "table orders: max_future is '7200 seconds' now (was '3600 seconds')"},
        {"event_time = 'at'", "subject = 'o.>', event_time = 'at'", "table orders: subject changed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct changed changed = compare(ALL, replaced(cases[i].from, cases[i].to));
        expect(&changed, "counts", BR_UPGRADE_REBUILD, cases[i].why);
        expect(&changed, "revenue", BR_UPGRADE_REBUILD, cases[i].why);
        expect(&changed, "regions", BR_UPGRADE_KEEP, "");
        done(&changed);
    }
}

Test(upgrade, a_column_of_another_type_is_told) {
    struct changed changed =
        compare("CREATE TABLE t (a integer, b text); CREATE MATERIALIZED VIEW v AS SELECT a FROM t;",
                "CREATE TABLE t (a bigint, b text); CREATE MATERIALIZED VIEW v AS SELECT a FROM t;");
    expect(&changed, "v", BR_UPGRADE_REBUILD, "table t: column a is bigint now (was integer)");
    done(&changed);
}

Test(upgrade, the_order_of_tables_and_new_views_keep_the_others) {
    struct changed changed =
        compare(NAME TYPES ORDERS CUSTOMERS NET LIFT LARGE REVENUE TOP COUNTS REGIONS,
                NAME TYPES "CREATE TABLE zero (a text);\n" CUSTOMERS ORDERS NET LIFT LARGE
                           "CREATE MATERIALIZED VIEW zeros AS SELECT a FROM zero;\n" REGIONS COUNTS REVENUE TOP);
    expect_kept(&changed, KEPT("revenue", "top", "counts", "regions"));
    expect(&changed, "zeros", BR_UPGRADE_NEW, "");
    cr_expect_str_eq(br_upgrade_find(changed.upgrade, "zeros")->reads[0], "zero");
    done(&changed);
}

Test(upgrade, a_column_read_too_is_told_where_rows_are_stored_it_rebuilds) {
    struct changed changed = compare("CREATE TABLE t (a text, b text); CREATE MATERIALIZED VIEW v AS SELECT a FROM t;",
                                     "CREATE TABLE t (a text, b text); CREATE MATERIALIZED VIEW v AS SELECT a FROM t;"
                                     "CREATE MATERIALIZED VIEW w AS SELECT b FROM t;");
    expect(&changed, "v", BR_UPGRADE_KEEP, "table t: b is read too from now on");
    done(&changed);
    changed = compare(ALL, ALL "CREATE MATERIALIZED VIEW w AS SELECT since FROM customers;");
    expect(&changed, "regions", BR_UPGRADE_REBUILD, "table customers: column since of its rows is stored too");
    expect(&changed, "counts", BR_UPGRADE_KEEP, "");
    done(&changed);
}

Test(upgrade, messages_may_change_while_rows_stay) {
    static const char *const options[] = {"subject = 'x.y'", "format = 'json'", "layout = 'packed'", "ttl = '1 day'"};
    for (size_t i = 0; i < 4; i++) {
        char to[200];
        snprintf(to, sizeof to, "VIEW regions WITH (%s) AS", options[i]);
        struct changed changed = compare(ALL, replaced("VIEW regions AS", to));
        expect(&changed, "regions", BR_UPGRADE_KEEP, "rows stay, messages change");
        cr_expect(br_upgrade_find(changed.upgrade, "regions")->messages_change);
        done(&changed);
    }
}

Test(upgrade, removed_and_effect_views_are_told) {
    struct changed changed = compare(ALL, NAME TYPES ORDERS CUSTOMERS NET LIFT LARGE REVENUE COUNTS REGIONS);
    expect(&changed, "top", BR_UPGRADE_REMOVED, "");
    expect_kept(&changed, KEPT("revenue", "counts", "regions"));
    done(&changed);
    changed = compare(ALL, replaced("VIEW regions AS", "VIEW regions WITH (effect = true) AS"));
    expect(&changed, "regions", BR_UPGRADE_KEEP, "effect is true now");
    cr_expect(changed.after->plan_hash == changed.before->plan_hash, "an effect is no part of the plan");
    cr_expect(br_pipeline_find_view(changed.after, "regions")->effect);
    done(&changed);
}

Test(upgrade, renderers_show_every_view) {
    struct changed changed = compare(ALL, replaced("amount > 1 GROUP", "amount > 2 GROUP"));
    struct br_buffer text = {0};
    br_upgrade_print(changed.upgrade, false, &text);
    br_buffer_append_byte(&text, '\0');
    cr_expect(strstr((const char *)text.ptr, "2 kept, 2 rebuilt, 0 new, 0 removed") != NULL, "%s", text.ptr);
    br_buffer_clear(&text);
    br_upgrade_print(changed.upgrade, true, &text);
    br_buffer_append_byte(&text, '\0');
    cr_expect(strstr((const char *)text.ptr,
                     "{\"view\":\"top\",\"verdict\":\"rebuild\",\"why\":\"reads view revenue, which is rebuilt\","
                     "\"reads\":[\"orders\",\"customers\"],\"messages_change\":false}") != NULL,
              "%s", text.ptr);
    br_buffer_free(&text);
    done(&changed);
}
