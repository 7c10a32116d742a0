// SPDX-License-Identifier: Apache-2.0
#include "sql_test.h"

#define TYPE "CREATE TYPE old AS (id text, cents bigint, at timestamptz);\n"
#define TABLE "CREATE TABLE orders (order_id text, amount numeric, at timestamptz) WITH (event_time = 'at');\n"

Test(function, a_lift_is_a_projection) {
    struct loaded l = load_ok(
        TYPE TABLE "CREATE FUNCTION lift(o old) RETURNS orders LANGUAGE SQL AS 'SELECT o.id, o.cents / 100.0, o.at';\n"
                   "CREATE CAST (old AS orders) WITH FUNCTION lift(old);");
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "orders");
    cr_assert_eq(t->version_count, 2);
    cr_expect_str_eq(t->versions[1].message_name, "old");
    cr_expect_str_eq(t->versions[1].row_type->message_name, "shop.old");
    cr_assert_eq(t->versions[1].step_count, 1);
    cr_expect_eq(t->versions[1].steps[0].exprs[0]->kind, BR_EXPR_COLUMN);
    cr_expect_eq(t->versions[1].steps[0].exprs[1]->type, BR_NUMERIC);
    cr_expect_eq(l.pipeline->type_count, 1);
    unload(&l);
}
Test(function, of_several_ways_the_shortest_is_taken) {
    struct loaded l =
        load_ok(TYPE TABLE "CREATE TYPE older AS (id text);\n"
                           "CREATE FUNCTION f(o older) RETURNS old LANGUAGE SQL AS 'SELECT o.id, 1, NULL';\n"
                           "CREATE FUNCTION g(o older) RETURNS orders LANGUAGE SQL AS 'SELECT o.id, 1, NULL';\n"
                           "CREATE FUNCTION h(old) RETURNS orders LANGUAGE SQL AS 'SELECT $1.id, 1, NULL';\n"
                           "CREATE CAST (older AS old) WITH FUNCTION f(older);\n"
                           "CREATE CAST (old AS orders) WITH FUNCTION h(old);\n"
                           "CREATE CAST (older AS orders) WITH FUNCTION g(older);");
    const struct br_table *t = br_pipeline_find_table(l.pipeline, "orders");
    cr_assert_eq(t->version_count, 3);
    for (uint32_t i = 1; i < 3; i++)
        cr_expect_eq(t->versions[i].step_count, 1);
    unload(&l);
}
Test(function, scalar_functions_are_inlined) {
    struct loaded l = load_ok(
        TABLE
        "CREATE FUNCTION twice(x numeric) RETURNS numeric LANGUAGE SQL AS 'SELECT x * 2';\n"
        "CREATE FUNCTION half(numeric) RETURNS numeric LANGUAGE SQL STRICT RETURN $1 / 2;\n"
        "CREATE FUNCTION pair(x numeric) RETURNS text LANGUAGE SQL BEGIN ATOMIC SELECT twice(half(x))::text; END;\n"
        "CREATE MATERIALIZED VIEW v AS SELECT twice(amount) AS a, pair(1) AS b, half(amount) AS c FROM orders");
    const struct br_node *root = view_of(&l, "v")->root;
    cr_expect_eq(root->project.exprs[0]->kind, BR_EXPR_CALL);
    cr_expect_eq(root->project.exprs[1]->type, BR_TEXT);
    cr_expect_eq(root->project.exprs[2]->kind, BR_EXPR_CASE);
    unload(&l);
}
Test(function, errors_in_a_body_have_their_own_place) {
    expect_error(TYPE TABLE
                 "CREATE FUNCTION lift(o old) RETURNS orders LANGUAGE SQL AS\n  'SELECT o.id, o.cent, o.at';",
                 4, 17, "column o.cent does not exist", "did you mean \"cents\"?");
    expect_error("CREATE FUNCTION f(x text) RETURNS text LANGUAGE SQL AS $$\nSELECT x ||| 'a' $$;", 2, 10,
                 "operator does not exist: text ||| unknown", "operator");
    expect_error("CREATE FUNCTION f(x text) RETURNS text LANGUAGE SQL AS 'SELECT x FRM';\n"
                 "CREATE FUNCTION g(x text) RETURNS text LANGUAGE SQL AS 'SELECT ''a'' || y';",
                 2, 53, "column \"y\" does not exist", "columns are x");
}
Test(function, results_are_checked) {
    expect_error(TYPE TABLE "CREATE FUNCTION lift(o old) RETURNS orders LANGUAGE SQL AS 'SELECT o.id, o.at'", 3, 57,
                 "the function gives 2 columns, its result has 3", "for each column");
    expect_error(TYPE TABLE "CREATE FUNCTION lift(o old) RETURNS orders LANGUAGE SQL AS 'SELECT o.id, o.at, o.at'", 3,
                 74, "the function gives timestamptz for column \"amount\" of type numeric", "cast");
    expect_error("CREATE FUNCTION f(x text) RETURNS bigint LANGUAGE SQL AS 'SELECT x'", 1, 66,
                 "return type mismatch in function declared to return bigint: it gives text", "cast");
    expect_error("CREATE FUNCTION f(x text) RETURNS text LANGUAGE C AS 'lib.so', 'f'", 1, 40,
                 "LANGUAGE c is not supported", "SQL");
    expect_error("CREATE FUNCTION f(x txt) RETURNS text LANGUAGE SQL AS 'SELECT x'", 1, 21,
                 "type \"txt\" does not exist", "CREATE TYPE");
}
Test(function, casts_name_their_function) {
    expect_error(TYPE TABLE "CREATE FUNCTION lift(o old) RETURNS orders LANGUAGE SQL AS 'SELECT o.id, 1, o.at';\n"
                            "CREATE CAST (old AS orders) WITH FUNCTION lifft(old);",
                 4, 49, "function lifft(old) does not exist", "did you mean \"lift\"?");
    expect_error(TYPE TABLE "CREATE CAST (old AS orders) WITHOUT FUNCTION", 3, 1,
                 "CREATE CAST … WITHOUT FUNCTION is not supported", "WITH FUNCTION");
    expect_error(TYPE TABLE "CREATE CAST (olld AS orders) WITH FUNCTION f(olld)", 3, 14, "type \"olld\" does not exist",
                 "did you mean \"old\"?");
}
