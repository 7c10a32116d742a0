// SPDX-License-Identifier: Apache-2.0
#include "sql_test.h"

static struct loaded pipeline(void) {
    return load_ok(ORDERS CUSTOMERS "CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total, "
                                    "count(*) AS n FROM orders GROUP BY 1;\n"
                                    "CREATE MATERIALIZED VIEW people AS SELECT customer, region FROM customers");
}

static struct br_query *bind(const struct loaded *l, const char *sql) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("query", sql);
    struct br_query *query = NULL;
    struct br_error error;
    enum br_status status = br_query_bind(l->pipeline, sql, diagnostics, &query, &error);
    cr_assert_eq(status, BR_OK, "%s: %s", sql, diagnostics->count == 0 ? "?" : diagnostics->list[0].message);
    br_diagnostics_destroy(&diagnostics);
    return query;
}

static void expect_query_error(const struct loaded *l, const char *sql, uint32_t column, const char *message) {
    struct br_diagnostics *diagnostics = br_diagnostics_create("query", sql);
    struct br_query *query = NULL;
    struct br_error error;
    cr_assert_eq(br_query_bind(l->pipeline, sql, diagnostics, &query, &error), BR_DATA, "%s", sql);
    cr_assert_eq(diagnostics->error_count, 1);
    cr_expect_str_eq(diagnostics->list[0].message, message);
    cr_expect_eq(diagnostics->list[0].column, column, "%s: %u", message, diagnostics->list[0].column);
    br_diagnostics_destroy(&diagnostics);
}

Test(query, reads_a_view) {
    struct loaded l = pipeline();
    struct br_query *query = bind(&l, "SELECT * FROM totals WHERE total > 3 LIMIT 10 OFFSET 2;");
    expect_shape(query->root, "filter(scan)");
    cr_expect_eq(query->visible_count, 3);
    cr_expect_eq(query->limit, 10);
    cr_expect_eq(query->offset, 2);
    cr_expect_str_eq(query->root->fields[1].name, "total");
    cr_expect_eq(find_node(query->root, BR_NODE_SCAN)->scan.view, 0);
    br_query_destroy(&query);
    query = bind(&l, "TABLE people");
    cr_expect_eq(query->limit, -1);
    cr_expect_eq(query->offset, 0);
    br_query_destroy(&query);
    unload(&l);
}
Test(query, sorts_by_what_is_not_selected) {
    struct loaded l = pipeline();
    struct br_query *query = bind(&l, "SELECT customer AS c FROM totals ORDER BY total DESC, c, n + 1 ASC NULLS FIRST");
    cr_assert_eq(query->order_count, 3);
    cr_expect_eq(query->visible_count, 1);
    cr_expect_eq(query->root->field_count, 3);
    cr_expect(query->order[0].column == 1 && query->order[0].descending && query->order[0].nulls_first);
    cr_expect(query->order[1].column == 0 && !query->order[1].descending && !query->order[1].nulls_first);
    cr_expect(query->order[2].column == 2 && query->order[2].nulls_first);
    br_query_destroy(&query);
    unload(&l);
}
Test(query, joins_groups_and_filters_groups) {
    struct loaded l = pipeline();
    struct br_query *query =
        bind(&l, "SELECT p.region, sum(t.total) AS total FROM totals t JOIN people p USING (customer)\n"
                 "GROUP BY p.region HAVING sum(t.total) > 10 ORDER BY 2 DESC");
    expect_shape(query->root, "filter(aggregate(join(project(scan), scan)))");
    cr_expect_eq(query->order[0].column, 1);
    br_query_destroy(&query);
    query = bind(&l, "SELECT DISTINCT region FROM people WHERE now() > '2026-01-01'");
    expect_shape(query->root, "aggregate(project(filter(project(scan))))");
    br_query_destroy(&query);
    unload(&l);
}
Test(query, errors_name_what_is_wrong) {
    struct loaded l = pipeline();
    expect_query_error(&l, "SELECT * FROM orders", 15, "\"orders\" is a table");
    expect_query_error(&l, "SELECT * FROM total", 15, "relation \"total\" does not exist");
    expect_query_error(&l, "DELETE FROM totals", 1, "a query is a SELECT");
    expect_query_error(&l, "SELECT 1 AS a FROM totals; SELECT 2", 28, "a query is one statement");
    expect_query_error(&l, "SELECT totl FROM totals", 8, "column \"totl\" does not exist");
    expect_query_error(&l, "SELECT n FROM totals LIMIT n", 28,
                       "column \"n\" does not exist: no column can be used in LIMIT");
    expect_query_error(&l, "SELECT n FROM totals LIMIT -1", 28, "LIMIT must not be negative");
    expect_query_error(&l, "SELECT DISTINCT n FROM totals ORDER BY total", 40,
                       "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
    expect_query_error(&l, "SELECT n FROM totals ORDER BY 2", 31, "ORDER BY position 2 is not in select list");
    expect_query_error(&l, "", 1, "there is no statement");
    unload(&l);
}
