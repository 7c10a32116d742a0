// SPDX-License-Identifier: Apache-2.0
// A pipeline narrowed to a key gives the rows of that key that the whole gives, whatever stands between them and the
// tables: random events, every kind of plan.
#include "compare_world.h"

#include <stdlib.h>

#define ROUNDS 30
#define PUSHES 40

static const char tables[] =
    "CREATE TABLE orders (id bigint NOT NULL, customer text, price numeric, at timestamptz NOT NULL)\n"
    "WITH (subject = 'o', event_time = 'at', watermark = '0 seconds');\n"
    "CREATE TABLE customers (customer text PRIMARY KEY, region text, credit numeric) WITH (subject = 'c');\n"
    "CREATE TABLE regions (region text PRIMARY KEY, name text) WITH (subject = 'r', lookup = true);\n";

// What the key condition is pushed through; the condition is over the view's key.
static const struct {
    const char *view, *key;
    bool narrower; // other rows are gone
} cases[] = {
    {"SELECT customer, count(*) AS n, max(price) AS top FROM orders GROUP BY customer", "customer = 'c1'", true},
    {"SELECT customer, window_start, count(*) AS n FROM tumble(orders, at, interval '1 minute') GROUP BY customer, "
     "window_start",
     "customer IN ('c1', 'c2') AND customer <> 'c2'", true},
    {"SELECT customer, region FROM customers", "customer = 'c1'", true},
    // A customer's region changes: rows come and go.
    {"SELECT region, count(*) AS n FROM customers GROUP BY region", "region = 'r1'", true},
    {"SELECT region, count(*) AS n FROM customers GROUP BY region", "region IS NULL", true},
    {"SELECT c.region, sum(o.price) AS total FROM orders o JOIN customers c USING (customer) GROUP BY c.region",
     "region = 'r1'", true},
    {"SELECT o.id, o.customer, c.region FROM orders o JOIN customers c USING (customer)", "customer = 'c1' OR id < 5",
     true},
    {"SELECT c.customer, count(*) AS n FROM orders o JOIN customers c USING (customer) GROUP BY c.customer",
     "customer = 'c1'", true},
    {"SELECT o.customer, count(*) AS n, count(c.region) AS known FROM orders o LEFT JOIN customers c ON c.customer = "
     "o.customer GROUP BY o.customer",
     "customer = 'c1'", true},
    {"SELECT o.customer, count(*) AS n, count(c.region) AS known FROM orders o LEFT JOIN customers c ON c.customer = "
     "o.customer GROUP BY o.customer",
     "customer IS NULL", true},
    {"SELECT a.customer, b.region FROM customers a JOIN customers b ON a.region = b.region",
     "customer = 'c1' AND region = 'r1'", true},
    {"SELECT o.price, count(*) AS n FROM orders o GROUP BY o.price", "price = 1.0 OR price IS NULL", true},
    {"SELECT a.credit, count(*) AS n FROM customers a JOIN customers b ON a.credit = b.credit GROUP BY a.credit",
     "credit BETWEEN 1 AND 2", true},
    {"SELECT s.customer, s.n FROM (SELECT customer, count(*) AS n FROM orders GROUP BY customer HAVING count(*) > 2) s",
     "customer = 'c1'", true},
};

static uint64_t state;
static uint32_t draw(uint32_t bound) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % bound;
}

static struct lineage open_narrowed(const char *sql, const char *key) {
    static const struct br_sink quiet;
    struct lineage lineage = lineage_open(sql);
    struct br_error error = {0};
    struct br_pipeline *narrowed = NULL;
    struct br_plan_changes changes = {.key = key};
    must(br_pipeline_change(lineage.pipeline, &changes, &narrowed, &error), &error);
    br_graph_destroy(&lineage.graph);
    br_state_destroy(&lineage.state);
    br_pipeline_destroy(&lineage.pipeline);
    lineage.pipeline = narrowed;
    must(br_state_create(br_store_create_memory(), (size_t)64 << 20, &lineage.state, &error), &error);
    must(br_graph_create(lineage.pipeline, lineage.state, &quiet, &lineage.graph, &error), &error);
    return lineage;
}

static void push(struct lineage *whole, struct lineage *narrowed, uint32_t id) {
    static const char *const regions[] = {"r0", "r1", "r2", ""};
    static const char *const prices[] = {"1.0", "1.00", "3", "4.5", ""};
    char row[200];
    bool order = draw(3) != 0, deletes = !order && draw(4) == 0;
    char customer[8] = "";
    if (!order || draw(8) != 0)
        snprintf(customer, sizeof customer, "c%u", draw(4));
    if (order)
        snprintf(row, sizeof row, "%u|%s|%s|2026-01-01 00:%02u:00+00", id, customer, prices[draw(5)], draw(5));
    else
        snprintf(row, sizeof row, "%s|%s|%s", customer, regions[draw(4)], prices[draw(5)]);
    struct lineage *both[2] = {whole, narrowed};
    for (int i = 0; i < 2; i++) {
        lineage_push_weighted(both[i], order ? "orders" : "customers", row, deletes ? -1 : 1);
        if (id % 3 == 0)
            lineage_end_epoch(both[i], NULL);
    }
}

Test(selection_keys, rows_of_the_key_are_those_of_the_whole) {
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char sql[2000];
        uint64_t matched = 0, left_out = 0;
        snprintf(sql, sizeof sql, "%sCREATE MATERIALIZED VIEW v AS %s;\n", tables, cases[c].view);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            state = c * 1000 + round;
            struct lineage whole = lineage_open(sql), narrowed = open_narrowed(sql, cases[c].key);
            for (uint32_t id = 1; id <= PUSHES; id++)
                push(&whole, &narrowed, id);
            lineage_end_epoch(&whole, NULL);
            lineage_end_epoch(&narrowed, NULL);
            struct br_compare_options of_key = {.condition = cases[c].key}, all = {0};
            struct br_compare_report *report = compare(&whole, &narrowed, &of_key);
            const struct br_view_report *v = report_of(report, "v");
            cr_expect(v->skipped == NULL && v->changed + v->missing + v->extra == 0,
                      "%s by %s, round %u: changed %lu missing %lu extra %lu", cases[c].view, cases[c].key, round,
                      (unsigned long)v->changed, (unsigned long)v->missing, (unsigned long)v->extra);
            matched += v->equal;
            br_compare_report_destroy(&report);
            report = compare(&whole, &narrowed, &all);
            left_out += report_of(report, "v")->missing;
            br_compare_report_destroy(&report);
            lineage_close(&whole);
            lineage_close(&narrowed);
        }
        cr_expect_gt(matched, 0, "%s by %s: the test tests nothing", cases[c].view, cases[c].key);
        cr_expect_eq(left_out != 0, cases[c].narrower, "%s by %s", cases[c].view, cases[c].key);
    }
}
