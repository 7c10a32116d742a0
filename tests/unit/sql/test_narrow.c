// SPDX-License-Identifier: Apache-2.0
// A pipeline planned again for a replay: some views, some keys, another lateness.
#include "sql_test.h"

#define REFUNDS "CREATE TABLE refunds (order_id text NOT NULL, amount numeric);\n"
#define PER_MINUTE                                                                                                     \
    "CREATE MATERIALIZED VIEW per_minute AS SELECT customer, window_start, sum(amount) AS total\n"                     \
    "FROM tumble(orders, placed_at, interval '1 minute') GROUP BY customer, window_start;\n"
#define BEST                                                                                                           \
    "CREATE MATERIALIZED VIEW best AS SELECT customer AS who, max(total) AS top FROM per_minute GROUP BY customer;\n"
#define SHOP                                                                                                           \
    REFUNDS ORDERS CUSTOMERS PER_MINUTE BEST                                                                           \
        "CREATE MATERIALIZED VIEW refunded AS SELECT count(*) AS n FROM refunds;\n"                                    \
        "CREATE MATERIALIZED VIEW joined AS SELECT o.order_id, o.customer, c.region FROM orders o JOIN customers c "   \
        "USING (customer);\n"                                                                                          \
        "CREATE MATERIALIZED VIEW kept AS SELECT customer, region FROM customers WHERE vip;\n"

static enum br_status change(const char *text, const struct br_plan_changes *changes, struct loaded *ret,
                             struct br_error *error) {
    struct loaded loaded = load_ok(text);
    *ret = (struct loaded){0};
    enum br_status status = br_pipeline_change(loaded.pipeline, changes, &ret->pipeline, error);
    unload(&loaded);
    return status;
}

static struct loaded changed(const char *text, struct br_plan_changes changes) {
    struct loaded loaded;
    struct br_error error = {0};
    cr_assert_eq(change(text, &changes, &loaded, &error), BR_OK, "%s", error.message);
    return loaded;
}

static struct loaded only(const char *text, const char *view) {
    return changed(text, (struct br_plan_changes){.only = &view, .only_count = view != NULL});
}

static void expect_refusal(const char *text, const char *view, const char *key, const char *words) {
    struct loaded loaded;
    struct br_error error = {0};
    struct br_plan_changes changes = {.only = &view, .only_count = 1, .key = key};
    cr_expect_eq(change(text, &changes, &loaded, &error), BR_DATA, "%s: %s", view, key);
    cr_expect(strstr(error.message, words) != NULL, "%s: %s", key, error.message);
    if (loaded.pipeline != NULL)
        unload(&loaded);
}

static const char *shape(const struct br_view *view, struct br_buffer *out) {
    br_buffer_clear(out);
    shape_into(view->root, out);
    *br_buffer_reserve(out, 1) = 0;
    return (const char *)out->ptr;
}

#define EXPECT_KEY_SHAPE(text, view, condition, expected)                                                              \
    do {                                                                                                               \
        const char *one = (view);                                                                                      \
        struct loaded narrowed =                                                                                       \
            changed((text), (struct br_plan_changes){.only = &one, .only_count = 1, .key = (condition)});              \
        struct br_buffer out = {0};                                                                                    \
        cr_expect_str_eq(shape(view_of(&narrowed, one), &out), (expected));                                            \
        br_buffer_free(&out);                                                                                          \
        unload(&narrowed);                                                                                             \
    } while (0)

// --- only
Test(narrow, a_kept_view_takes_what_it_stands_on_with_it) {
    struct loaded loaded = only(SHOP, "best");
    cr_assert_eq(loaded.pipeline->view_count, 1);
    const struct br_view *best = &loaded.pipeline->views[0];
    cr_expect_str_eq(best->name, "best");
    cr_expect_eq(best->index, 0);
    for (uint32_t n = 0; n < loaded.pipeline->node_count; n++)
        cr_expect(loaded.pipeline->nodes[n]->view == NULL || loaded.pipeline->nodes[n]->view == best,
                  "late rows of what is beneath are reported under a view that there is");
    unload(&loaded);
}

Test(narrow, tables_that_nobody_reads_any_more_are_gone_and_marks_follow_the_others) {
    struct loaded loaded = only(SHOP, "per_minute");
    cr_assert_eq(loaded.pipeline->table_count, 1);
    const struct br_table *orders = &loaded.pipeline->tables[0];
    cr_expect_str_eq(orders->name, "orders");
    cr_expect_eq(orders->index, 0, "it was the second");
    cr_expect(orders->read);
    const struct br_field *start = &view_of(&loaded, "per_minute")->root->fields[1];
    cr_expect_eq(start->mark.kind, BR_MARK_START);
    cr_expect_eq(start->mark.table, 0);
    unload(&loaded);
}

Test(narrow, a_kept_view_has_the_state_that_it_has_in_the_whole) {
    struct loaded whole = load_ok(SHOP), part = only(SHOP, "per_minute");
    cr_expect_eq(view_of(&whole, "per_minute")->root->signature, view_of(&part, "per_minute")->root->signature);
    cr_expect_neq(whole.pipeline->plan_hash, part.pipeline->plan_hash);
    unload(&whole);
    unload(&part);
}

Test(narrow, an_unknown_view_is_told_with_the_nearest) {
    expect_refusal(SHOP, "per_minut", NULL, "no view \"per_minut\"; did you mean \"per_minute\"?");
}

Test(narrow, no_changes_give_the_same_plan) {
    struct loaded whole = load_ok(SHOP), again = changed(SHOP, (struct br_plan_changes){0});
    cr_expect_eq(whole.pipeline->plan_hash, again.pipeline->plan_hash);
    cr_expect_not(again.pipeline->lateness_set);
    unload(&whole);
    unload(&again);
}

// --- lateness
Test(narrow, a_lateness_is_what_the_option_would_be_on_every_view_with_windows) {
    static const char *const written =
        REFUNDS ORDERS CUSTOMERS "CREATE MATERIALIZED VIEW per_minute WITH (lateness = '1 hour') AS SELECT customer, "
                                 "window_start, sum(amount) AS total\nFROM tumble(orders, placed_at, interval '1 "
                                 "minute') GROUP BY customer, window_start;\n" BEST;
    struct loaded option = load_ok(written),
                  given = changed(REFUNDS ORDERS CUSTOMERS PER_MINUTE BEST,
                                  (struct br_plan_changes){.lateness_set = true, .lateness_us = INT64_C(3600000000)});
    cr_expect_eq(option.pipeline->plan_hash, given.pipeline->plan_hash);
    cr_expect_eq(view_of(&given, "per_minute")->lateness_us, INT64_C(3600000000));
    cr_expect_eq(view_of(&given, "best")->lateness_us, 0, "it has no windows");
    cr_expect(given.pipeline->lateness_set);
    struct loaded none = changed(written, (struct br_plan_changes){.lateness_set = true});
    cr_expect_eq(view_of(&none, "per_minute")->lateness_us, 0, "less is possible too");
    unload(&option);
    unload(&given);
    unload(&none);
}

// --- key
Test(narrow, a_key_goes_through_groups_and_windows_down_to_the_table) {
    EXPECT_KEY_SHAPE(SHOP, "per_minute", "customer = 'ann'", "aggregate(window(project(filter(source))))");
}

Test(narrow, a_key_goes_through_the_view_beneath) {
    const char *view = "best";
    struct loaded loaded = changed(
        SHOP, (struct br_plan_changes){.only = &view, .only_count = 1, .key = "who LIKE 'a%' AND length(who) = 3"});
    uint32_t filters = 0;
    for (uint32_t n = 0; n < loaded.pipeline->node_count; n++)
        filters += loaded.pipeline->nodes[n]->kind == BR_NODE_FILTER;
    cr_expect_eq(filters, 2, "each AND part is one");
    unload(&loaded);
}

Test(narrow, join_keys_carry_a_key_to_both_sides) {
    static const char *const text = ORDERS CUSTOMERS
        "CREATE MATERIALIZED VIEW n AS SELECT c.customer, count(*) AS n FROM orders o JOIN customers c "
        "USING (customer) GROUP BY c.customer;\n"
        "CREATE MATERIALIZED VIEW regions AS SELECT c.region, count(*) AS n FROM orders o JOIN "
        "customers c USING (customer) GROUP BY c.region;\n"
        "CREATE MATERIALIZED VIEW all_orders AS SELECT o.customer, count(c.region) AS n FROM orders o "
        "LEFT JOIN customers c ON c.customer = o.customer GROUP BY o.customer;\n";
    struct loaded loaded = changed(
        text, (struct br_plan_changes){.only = (const char *const[]){"n"}, .only_count = 1, .key = "customer = 'ann'"});
    uint32_t over[2] = {0};
    for (uint32_t n = 0; n < loaded.pipeline->node_count; n++) {
        const struct br_node *node = loaded.pipeline->nodes[n];
        if (node->kind == BR_NODE_FILTER && node->inputs[0]->kind == BR_NODE_SOURCE)
            over[node->inputs[0]->source.table->index]++;
    }
    cr_expect(over[0] == 1 && over[1] == 1);
    unload(&loaded);
    // A customer's region may change: the filter is behind the rows, so that what was EU goes.
    loaded = changed(text, (struct br_plan_changes){
                               .only = (const char *const[]){"regions"}, .only_count = 1, .key = "region = 'EU'"});
    unload(&loaded);
    loaded =
        changed(text, (struct br_plan_changes){
                          .only = (const char *const[]){"all_orders"}, .only_count = 1, .key = "customer = 'ann'"});
    unload(&loaded);
}

Test(narrow, views_that_share_are_narrowed_each_for_itself) {
    struct loaded loaded = changed(ORDERS PER_MINUTE "CREATE MATERIALIZED VIEW again AS SELECT customer, max(total) AS "
                                                     "top FROM per_minute GROUP BY customer;\n",
                                   (struct br_plan_changes){.key = "customer = 'ann'"});
    const struct br_view *per_minute = view_of(&loaded, "per_minute"), *again = view_of(&loaded, "again");
    for (const struct br_node *node = again->root; node->kind != BR_NODE_SOURCE; node = node->inputs[0]) {
        cr_expect_neq(node, per_minute->root);
        cr_expect_eq(node->view, again);
    }
    unload(&loaded);
}

Test(narrow, what_stands_in_the_way_of_a_key_is_told) {
    static const char *const text = ORDERS CUSTOMERS PER_MINUTE
        "CREATE MATERIALIZED VIEW shouted AS SELECT upper(customer) AS name, count(*) AS n FROM orders GROUP BY 1;\n"
        "CREATE MATERIALIZED VIEW optional AS SELECT c.region, count(*) AS n FROM orders o LEFT JOIN customers c ON "
        "c.customer = o.customer GROUP BY c.region;\n"
        "CREATE MATERIALIZED VIEW two AS SELECT o.order_id, c.region, count(*) AS n FROM orders o JOIN customers c ON "
        "c.customer = o.customer GROUP BY o.order_id, c.region;\n"
        "CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS n FROM orders;\n"
        "CREATE MATERIALIZED VIEW amounts AS SELECT amount, count(*) AS n FROM orders GROUP BY amount;\n"
        "CREATE MATERIALIZED VIEW counts AS SELECT n, count(*) AS customers FROM (SELECT customer, count(*) AS n FROM "
        "orders GROUP BY customer) x GROUP BY n;\n";
    expect_refusal(text, "per_minute", "total > 5", "view per_minute: column total isn't in its key");
    expect_refusal(text, "per_minute", "region = 'EU'", "column \"region\" does not exist");
    expect_refusal(text, "per_minute", "window_start > '2026-01-01'", "window_start is the bound of a window");
    expect_refusal(text, "per_minute", "customer = 'ann' AND window_start > '2026-01-01'", "--from");
    expect_refusal(text, "per_minute", "customer", "boolean");
    expect_refusal(text, "per_minute", "1 = 1", "names no column");
    expect_refusal(text, "per_minute", "customer = ", "syntax error");
    expect_refusal(text, "per_minute", "customer = now()::text", "clock");
    expect_refusal(text, "shouted", "name = 'ANN'", "name is computed, upper(");
    expect_refusal(text, "optional", "region = 'EU'", "region comes from the optional side of a LEFT JOIN");
    expect_refusal(text, "two", "region = order_id", "two sides of a join");
    expect_refusal(text, "whole", "n = 1", "n isn't in its key");
    expect_refusal(text, "amounts", "amount::text = '1.0'", "amount can only be compared");
    expect_refusal(text, "counts", "n = 1", "n is an aggregate");
}
