// SPDX-License-Identifier: Apache-2.0
#include "sql_test.h"

#define VIEW "CREATE MATERIALIZED VIEW v AS "
// Column 31 is where the SELECT of VIEW begins.

Test(errors, unknown_column_hints_at_the_nearest) {
    expect_error(ORDERS VIEW "SELECT amout FROM orders", 3, 38, "column \"amout\" does not exist",
                 "did you mean \"amount\"?");
    expect_error(ORDERS VIEW "SELECT o.amout FROM orders o", 3, 38, "column o.amout does not exist",
                 "did you mean \"amount\"?");
    expect_error(ORDERS VIEW "SELECT p.amount FROM orders o", 3, 38, "missing FROM-clause entry for table \"p\"",
                 "FROM has o");
}
Test(errors, columns_count_characters_not_bytes) {
    expect_error(ORDERS VIEW "SELECT 'äöü' AS x, amout FROM orders", 3, 50, "column \"amout\" does not exist",
                 "amount");
    expect_error("-- ü\n  CREATE TABLE ü (a text, a text)", 2, 27, "column \"a\" specified more than once", NULL);
    expect_error(ORDERS VIEW "SELECT 'ä' x y FROM orders", 3, 44, "syntax error at or near \"y\"", NULL);
}
Test(errors, unknown_relation_hints_at_the_nearest) {
    expect_error(ORDERS VIEW "SELECT 1 AS one FROM ordrs", 3, 52, "relation \"ordrs\" does not exist",
                 "did you mean \"orders\"?");
    expect_error(ORDERS VIEW "SELECT 1 AS one FROM tumble(ordrs, placed_at, interval '1 minute')", 3, 59,
                 "relation \"ordrs\" does not exist", "did you mean \"orders\"?");
}
Test(errors, unknown_function_hints_at_the_nearest) {
    expect_error(ORDERS VIEW "SELECT lenght(order_id) AS l FROM orders", 3, 38, "function lenght(text) does not exist",
                 "\"length\"");
}
Test(errors, all_errors_of_a_file_are_reported_in_order) {
    struct loaded l =
        load(ORDERS VIEW "SELECT a1 FROM orders;\nCREATE MATERIALIZED VIEW w AS SELECT b1, c1 FROM orders;\n"
                         "CREATE MATERIALIZED VIEW x AS SELEC 1;\nDROP TABLE orders;");
    cr_assert_eq(l.diagnostics->error_count, 5);
    cr_expect_str_eq(l.diagnostics->list[0].message, "column \"a1\" does not exist");
    cr_expect_str_eq(l.diagnostics->list[1].message, "column \"b1\" does not exist");
    cr_expect_str_eq(l.diagnostics->list[2].message, "column \"c1\" does not exist");
    cr_expect_str_eq(l.diagnostics->list[3].message, "syntax error at or near \"SELEC\"");
    cr_expect_str_eq(l.diagnostics->list[4].message, "DROP TABLE is not supported in a pipeline");
    cr_expect_eq(l.diagnostics->list[4].line, 6);
    unload(&l);
}
Test(errors, what_depends_on_a_failed_statement_is_silent) {
    expect_error("CREATE TABLE t (a text, b nonsense);\nCREATE VIEW p AS SELECT a, zzz FROM t;\n"
                 "CREATE MATERIALIZED VIEW v AS SELECT p.a, t.x FROM p JOIN t USING (a);\nCOMMENT ON TABLE t IS 'x';",
                 1, 27, "type \"nonsense\" does not exist", "types are boolean");
    expect_error("CREATE TABLE t (a text,;\nCREATE MATERIALIZED VIEW v AS SELECT a FROM t;", 1, 24,
                 "syntax error at or near \";\"", "comma too many");
}
Test(errors, a_table_without_parentheses_hints_at_them) {
    expect_error("CREATE TABLE t WITH (message = 'x');\nCREATE MATERIALIZED VIEW v AS SELECT a FROM t;", 1, 36,
                 "syntax error at end of input", "CREATE TABLE name () WITH");
}
Test(errors, unsupported_clauses_are_named) {
    expect_error(ORDERS VIEW "SELECT order_id FROM orders ORDER BY order_id", 3, 68,
                 "ORDER BY in a view is not supported", "sort where it is read");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders LIMIT 3", 3, 65, "LIMIT in a view is not supported",
                 "LIMIT n");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders OFFSET 3", 3, 66, "OFFSET in a view is not supported",
                 "OFFSET");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders FOR UPDATE", 3, 38,
                 "FOR UPDATE or FOR SHARE is not supported", "leave it out");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders UNION ALL SELECT order_id FROM orders", 3, 38,
                 "UNION, INTERSECT and EXCEPT are not supported", "make a view of each part");
    expect_error(ORDERS VIEW "SELECT DISTINCT ON (customer) order_id FROM orders", 3, 51,
                 "DISTINCT ON is not supported", "group by");
    expect_error(ORDERS VIEW "SELECT customer, count(*) FROM orders GROUP BY ROLLUP (customer)", 3, 78,
                 "GROUPING SETS, ROLLUP or CUBE is not supported", "for each grouping");
    expect_error(ORDERS VIEW "WITH RECURSIVE x AS (SELECT 1 AS a FROM orders) SELECT a FROM x", 3, 31,
                 "WITH RECURSIVE is not supported", NULL);
    expect_error(ORDERS VIEW "SELECT order_id FROM orders TABLESAMPLE SYSTEM (1)", 3, 71,
                 "TABLESAMPLE is not supported", NULL);
    expect_error(ORDERS VIEW "VALUES (1)", 3, 39, "VALUES is not supported", "come from events");
    expect_error(ORDERS VIEW "SELECT 1 AS one", 3, 38, "a SELECT without FROM is not supported", "FROM");
}
Test(errors, unsupported_expressions_are_named) {
    expect_error(ORDERS VIEW "SELECT row_number() OVER (ORDER BY order_id) AS n FROM orders", 3, 56,
                 "a window function (OVER) is not supported", "tumble or hop");
    expect_error(ORDERS VIEW "SELECT (SELECT max(amount) FROM orders) AS m FROM orders", 3, 38,
                 "a subquery in an expression is not supported", "join with a view");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders WHERE EXISTS (SELECT 1)", 3, 65,
                 "a subquery in an expression is not supported", "join with a view");
    expect_error(ORDERS VIEW "SELECT ARRAY[order_id] AS a FROM orders", 3, 38, "an array as a value is not supported",
                 "x IN");
    expect_error(ORDERS VIEW "SELECT ROW(order_id, amount) AS r FROM orders", 3, 38,
                 "a row as a value is not supported", "one by one");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders WHERE customer SIMILAR TO 'a%'", 3, 74,
                 "SIMILAR TO is not supported", "regular expression");
    expect_error(ORDERS VIEW "SELECT order_id COLLATE \"C\" AS c FROM orders", 3, 47, "COLLATE is not supported",
                 "bytes");
    expect_error(ORDERS VIEW "SELECT placed_at::timestamptz(3) AS a FROM orders", 3, 49,
                 "a length, precision or range of timestamptz is not supported", "leave it out");
    expect_error(ORDERS VIEW "SELECT placed_at::timestamp AS a FROM orders", 3, 49,
                 "type timestamp without time zone is not supported", "timestamptz");
    expect_error(ORDERS VIEW "SELECT string_agg(customer, ',') AS a FROM orders", 3, 38,
                 "aggregate string_agg is not supported", "count, sum");
    expect_error(ORDERS VIEW "SELECT sum(amount ORDER BY customer) AS a FROM orders", 3, 58,
                 "ORDER BY in an aggregate is not supported", "order of rows");
    expect_error(ORDERS VIEW "SELECT random() AS r FROM orders", 3, 38, "random() is not supported", "computed again");
    expect_error(ORDERS VIEW "SELECT current_user AS r FROM orders", 3, 38,
                 "this function of the session is not supported", "now()");
    expect_error(ORDERS VIEW "SELECT orders AS o FROM orders", 3, 38,
                 "a whole row (orders) as a value is not supported", "one by one");
}
Test(errors, unsupported_statements_are_named) {
    static const struct {
        const char *sql, *message;
    } cases[] = {
        {"INSERT INTO t VALUES (1)", "INSERT is not supported in a pipeline"},
        {"CREATE INDEX i ON t (a)", "CREATE INDEX is not supported in a pipeline"},
        {"CREATE SCHEMA s", "CREATE SCHEMA is not supported in a pipeline"},
        {"CREATE TABLE x AS SELECT 1", "CREATE TABLE AS is not supported"},
        {"SELECT 1", "a SELECT of its own is not supported in a pipeline"},
        {"BEGIN", "BEGIN is not supported in a pipeline"},
        {"GRANT SELECT ON t TO x", "GRANT is not supported in a pipeline"},
        {"ALTER TABLE t ADD b text", "ALTER TABLE is not supported in a pipeline"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loaded l = load(cases[i].sql);
        cr_assert_eq(l.diagnostics->error_count, 1, "%s", cases[i].sql);
        cr_expect_str_eq(l.diagnostics->list[0].message, cases[i].message);
        cr_expect_eq(l.diagnostics->list[0].column, 1);
        unload(&l);
    }
}
Test(errors, grouping_is_checked_in_postgresqls_words) {
    expect_error(ORDERS VIEW "SELECT customer, amount FROM orders o GROUP BY customer", 3, 48,
                 "column \"o.amount\" must appear in the GROUP BY clause or be used in an aggregate function",
                 "GROUP BY");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders WHERE count(*) > 1", 3, 65,
                 "aggregate functions are not allowed in WHERE", "HAVING");
    expect_error(ORDERS VIEW "SELECT count(*) FROM orders GROUP BY count(*)", 3, 68,
                 "aggregate functions are not allowed in GROUP BY", NULL);
    expect_error(ORDERS VIEW "SELECT sum(count(*)) AS s FROM orders", 3, 42,
                 "aggregate function calls cannot be nested", "a view of its own");
    expect_error(ORDERS VIEW "SELECT customer FROM orders GROUP BY 2", 3, 68,
                 "GROUP BY position 2 is not in select list", NULL);
    expect_error(ORDERS VIEW "SELECT sum(customer) AS s FROM orders", 3, 38, "function sum(text) does not exist",
                 "cast");
    expect_error(ORDERS VIEW "SELECT order_id FROM orders WHERE amount", 3, 65,
                 "argument of WHERE must be type boolean, not type numeric", NULL);
    expect_error(ORDERS VIEW "SELECT order_id FROM orders WHERE true AND amount", 3, 74,
                 "argument of AND must be type boolean, not type numeric", NULL);
}
Test(errors, output_columns_need_names_of_their_own) {
    expect_error(ORDERS VIEW "SELECT order_id, customer AS order_id FROM orders", 3, 48,
                 "column \"order_id\" specified more than once", "AS");
    expect_error(ORDERS CUSTOMERS VIEW "SELECT * FROM orders o JOIN customers c ON o.customer = c.customer", 4, 38,
                 "column \"customer\" specified more than once", "AS");
    expect_error(ORDERS CUSTOMERS VIEW "SELECT customer FROM orders o JOIN customers c ON o.customer = c.customer", 4,
                 38, "column reference \"customer\" is ambiguous", "alias");
}
Test(errors, constants_that_fail_are_found_while_binding) {
    expect_error(ORDERS VIEW "SELECT 1 / 0 AS x FROM orders", 3, 40, "division by zero", NULL);
    expect_error(ORDERS VIEW "SELECT 'abc'::integer AS x FROM orders", 3, 38,
                 "invalid input syntax for type integer: \"abc\"", NULL);
}
Test(errors, names_are_declared_once) {
    expect_error(CUSTOMERS "CREATE TABLE customers (a text)", 2, 14, "relation \"customers\" already exists",
                 "another name");
    expect_error(ORDERS "CREATE MATERIALIZED VIEW orders AS SELECT order_id FROM orders", 3, 26,
                 "relation \"orders\" already exists", "another name");
}
Test(errors, settings_are_known_ones) {
    expect_error("SET braid.pipelin = 'x'", 1, 1, "unrecognized configuration parameter \"braid.pipelin\"",
                 "braid.pipeline");
    expect_error("SET braid.pipeline = 'a b'", 1, 22, "invalid pipeline name 'a b'", "letters");
    expect_error("SET braid.descriptors = 'none.binpb'", 1, 25, "none.binpb: No such file or directory", "protoc");
}
Test(errors, print_as_a_compiler_does) {
    struct loaded l = load(ORDERS "CREATE MATERIALIZED VIEW v AS\n\tSELECT 'ä',\tamout FROM orders;");
    struct br_buffer out = {0};
    br_diagnostics_print(l.diagnostics, false, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr, "shop.sql:4:14: error: column \"amout\" does not exist\n"
                                            "  \tSELECT 'ä',\tamout FROM orders;\n"
                                            "  \t           \t^\n"
                                            "hint: did you mean \"amount\"?\n");
    br_buffer_clear(&out);
    br_diagnostics_print(l.diagnostics, true, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_str_eq((const char *)out.ptr,
                     "{\"path\":\"shop.sql\",\"line\":4,\"column\":14,\"severity\":\"error\",\"message\":\"column "
                     "\\\"amout\\\" does not exist\",\"hint\":\"did you mean \\\"amount\\\"?\"}\n");
    br_buffer_free(&out);
    unload(&l);
}
Test(errors, of_a_long_line_the_part_around_is_shown) {
    struct br_buffer text = {0}, out = {0};
    br_buffer_append_text(&text, ORDERS VIEW "SELECT '");
    for (int i = 0; i < 300; i++)
        br_buffer_append_text(&text, "ä");
    br_buffer_append_text(&text, "' AS a, amout FROM orders");
    br_buffer_append_byte(&text, 0);
    struct loaded l = load((const char *)text.ptr);
    cr_expect_eq(l.diagnostics->list[0].column, 347);
    br_diagnostics_print(l.diagnostics, false, &out);
    br_buffer_append_byte(&out, 0);
    cr_expect_lt(out.len, 700);
    const char *line = strstr((const char *)out.ptr, "\n  ") + 3, *caret = strstr(line, "\n  ") + 3;
    size_t characters = 0;
    for (const char *at = line; at < strstr(line, "amout"); at++)
        characters += ((unsigned char)*at & 0xC0) != 0x80;
    cr_expect_eq(strcspn(caret, "^"), characters);
    br_buffer_free(&text);
    br_buffer_free(&out);
    unload(&l);
}
Test(errors, text_that_is_not_utf8_is_refused) {
    expect_error("-- \xff\n", 1, 4, "the file is not valid UTF-8", "UTF-8");
}
Test(errors, an_unclosed_string_is_reported_where_it_begins) {
    expect_error("CREATE TABLE t (a text);\nSET braid.pipeline = 'abc", 2, 22,
                 "unterminated quoted string at or near \"'abc\"", "single quote");
}
static void expect_repeated(const char *before, const char *part, int times, const char *after, const char *message) {
    struct br_buffer text = {0};
    br_buffer_printf(&text, "%s%s%s", ORDERS, VIEW, before);
    for (int i = 0; i < times; i++)
        br_buffer_append_text(&text, part);
    br_buffer_append_text(&text, after);
    br_buffer_append_byte(&text, 0);
    struct loaded l = load((const char *)text.ptr);
    cr_assert_eq(l.diagnostics->error_count, message == NULL ? 0 : 1, "%s: %u", part, l.diagnostics->error_count);
    if (message != NULL)
        cr_expect_str_eq(l.diagnostics->list[0].message, message);
    unload(&l);
    br_buffer_free(&text);
}
Test(errors, deep_nesting_is_refused_not_crashed_on) {
    const char *message = "the statement is nested too deeply";
    expect_repeated("SELECT 1", "+1", 100000, " AS x FROM orders", message);
    expect_repeated("SELECT 1", "+1", 2000, " AS x FROM orders", message);
    expect_repeated("SELECT ", "NOT ", 2000, "true AS x FROM orders", message);
    expect_repeated("SELECT ", "(", 100000, "", message);
    expect_repeated("SELECT 1", "+1", 200, " AS x FROM orders", NULL);
}
Test(errors, long_lists_are_not_deep) {
    expect_repeated("SELECT order_id FROM orders WHERE amount IN (1", ", -1", 20000, ")", NULL);
    expect_repeated("SELECT CASE customer", " WHEN 'a' THEN 1", 500, " END AS x FROM orders", NULL);
    expect_repeated("SELECT order_id FROM orders WHERE customer = 'x'", " OR customer = 'a'", 1000, "", NULL);
}
Test(errors, plain_views_that_multiply_are_bounded) {
    struct br_buffer text = {0};
    br_buffer_append_text(&text, CUSTOMERS "CREATE VIEW v0 AS SELECT customer FROM customers;\n");
    for (int i = 1; i < 30; i++)
        br_buffer_printf(&text, "CREATE VIEW v%d AS SELECT customer FROM v%d a JOIN v%d b USING (customer);\n", i,
                         i - 1, i - 1);
    br_buffer_append_byte(&text, 0);
    struct loaded l = load((const char *)text.ptr);
    cr_assert_eq(l.diagnostics->error_count, 1);
    cr_expect(strstr(l.diagnostics->list[0].message, "too large") != NULL ||
              strstr(l.diagnostics->list[0].message, "can't be planned") != NULL);
    unload(&l);
    br_buffer_free(&text);
}
Test(errors, functions_that_multiply_are_refused_where_they_are_too_large) {
    struct br_buffer text = {0};
    br_buffer_append_text(&text, CUSTOMERS "CREATE FUNCTION f0(x bigint) RETURNS bigint LANGUAGE SQL AS 'SELECT x';\n");
    for (int i = 1; i <= 30; i++)
        br_buffer_printf(&text,
                         "CREATE FUNCTION f%d(x bigint) RETURNS bigint LANGUAGE SQL AS 'SELECT f%d(x) + f%d(x)';\n", i,
                         i - 1, i - 1);
    br_buffer_append_byte(&text, 0);
    struct loaded l = load((const char *)text.ptr);
    cr_assert_eq(l.diagnostics->error_count, 1);
    cr_expect_not_null(strstr(l.diagnostics->list[0].message, "more than 200000 parts"));
    cr_expect_not_null(strstr(l.diagnostics->list[0].hint, "view"));
    unload(&l);
    br_buffer_free(&text);
}
Test(errors, comments_within_comments_are_read_once) {
    struct br_buffer text = {0};
    for (int i = 0; i < 120000; i++)
        br_buffer_append_text(&text, i < 60000 ? "/*" : "*/");
    br_buffer_append_text(&text, "\n" CUSTOMERS VIEW "SELECT custmer FROM customers;");
    br_buffer_append_byte(&text, 0);
    struct loaded l = load((const char *)text.ptr);
    cr_assert_eq(l.diagnostics->error_count, 1);
    cr_expect_str_eq(l.diagnostics->list[0].message, "column \"custmer\" does not exist");
    unload(&l);
    br_buffer_clear(&text);
    for (int i = 0; i < 60000; i++)
        br_buffer_append_text(&text, "/*");
    br_buffer_append_byte(&text, 0);
    l = load((const char *)text.ptr);
    cr_assert_eq(l.diagnostics->error_count, 1);
    cr_expect_str_eq(l.diagnostics->list[0].message, "unterminated /* comment");
    unload(&l);
    br_buffer_free(&text);
}
