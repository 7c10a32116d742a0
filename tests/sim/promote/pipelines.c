// SPDX-License-Identifier: Apache-2.0
// The pipelines of the two lineages of sim_promote.
#include "world.h"

// more: columns that nobody reads, which the changed pipeline's tables have; stored rows have a place for each.
#define TABLES_WITH(more)                                                                                              \
    "CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint, at timestamptz NOT NULL" more ")\n"        \
    "  WITH (subject = 'sim.orders', event_time = 'at', max_future = '1 day');\n"                                      \
    "CREATE TABLE customers (customer text PRIMARY KEY, region text" more ") WITH (subject = 'sim.customers');\n"      \
    "CREATE TABLE labels (label text PRIMARY KEY, name text" more ") WITH (subject = 'sim.labels');\n"                 \
    "CREATE TABLE ticks (n bigint NOT NULL, at timestamptz NOT NULL) WITH (subject = 'sim.ticks', event_time = 'at', " \
    "max_future = '1 day');\n"
#define TABLES TABLES_WITH("")
#define LARGER TABLES_WITH(", c3 text, c4 text, c5 text, c6 text, c7 text, c8 text, c9 bigint")

// Views that stay as they are, and sleep until they take their state over: over a stream, over a table with a key
// (whose rows a view that changes reads too), over another view, held back, unstored; over tables that nobody else
// reads; with one row from the beginning.
#define KEPT                                                                                                           \
    "CREATE MATERIALIZED VIEW same WITH (subject = 'out.same.{customer}') AS SELECT customer, count(*) AS n, "         \
    "min(amount) AS low FROM orders WHERE amount > 4 GROUP BY customer;\n"                                             \
    "CREATE MATERIALIZED VIEW joined AS SELECT c.region, o.amount FROM orders o JOIN customers c USING (customer) "    \
    "WHERE o.amount > 13;\n"                                                                                           \
    "CREATE MATERIALIZED VIEW above WITH (subject = 'out.above.{n}') AS SELECT n, count(*) AS customers FROM same "    \
    "GROUP BY n;\n"                                                                                                    \
    "CREATE MATERIALIZED VIEW slow WITH (subject = 'out.slow.{customer}', emit_interval = '50 milliseconds') AS "      \
    "SELECT customer, sum(amount) AS total FROM orders WHERE amount < 8 GROUP BY customer;\n"                          \
    "CREATE MATERIALIZED VIEW windows WITH (subject = 'out.windows.{window_start}', emit = final) AS SELECT "          \
    "window_start, sum(amount) AS total FROM tumble(orders, at, interval '3 seconds') GROUP BY window_start;\n"        \
    "CREATE MATERIALIZED VIEW passed WITH (subject = 'out.unstored.passed') AS SELECT id FROM orders WHERE amount = "  \
    "3;\n"                                                                                                             \
    "CREATE MATERIALIZED VIEW names WITH (subject = 'out.names.{label}') AS SELECT label, name FROM labels;\n"         \
    "CREATE MATERIALIZED VIEW ticked WITH (subject = 'out.ticked.{window_start}', emit = final) AS SELECT "            \
    "window_start, sum(n) AS total FROM tumble(ticks, at, interval '4 seconds') GROUP BY window_start;\n"              \
    "CREATE MATERIALIZED VIEW counted WITH (subject = 'out.counted') AS SELECT count(*) AS n FROM labels;\n"

// Every fate of a view: tracked (packed, keyed, without key, held back, windows, final), replaced, removed, new,
// unstored.
const char *const texts[LINEAGES] = {
    TABLES "CREATE MATERIALIZED VIEW packed WITH (layout = 'packed') AS SELECT customer, count(*) AS n FROM orders "
           "WHERE amount > 5 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW keyed WITH (subject = 'out.keyed.{customer}') AS SELECT customer, sum(amount) AS "
           "total FROM orders WHERE amount > 5 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW bag AS SELECT c.region, o.amount FROM orders o JOIN customers c USING (customer) "
           "WHERE o.amount > 12;\n"
           "CREATE MATERIALIZED VIEW held WITH (subject = 'out.held.{customer}', emit_interval = '50 milliseconds') AS "
           "SELECT customer, max(amount) AS top FROM orders WHERE amount < 9 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW closed WITH (subject = 'out.closed.{window_start}', emit = final) AS SELECT "
           "window_start, count(*) AS n FROM tumble(orders, at, interval '5 seconds') WHERE amount > 3 GROUP BY "
           "window_start;\n"
           "CREATE MATERIALIZED VIEW moved WITH (subject = 'out.old.{region}') AS SELECT region, count(*) AS n FROM "
           "customers GROUP BY region;\n"
           "CREATE MATERIALIZED VIEW whole WITH (subject = 'out.whole') AS SELECT count(*) AS n, sum(amount) AS total "
           "FROM orders WHERE amount > 5;\n"
           "CREATE MATERIALIZED VIEW gone WITH (subject = 'out.gone.{customer}', emit_interval = '50 milliseconds') AS "
           "SELECT customer, count(*) AS n FROM orders GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW unstored WITH (subject = 'out.unstored') AS SELECT id FROM orders WHERE amount > "
           "5;\n" KEPT,
    LARGER "CREATE MATERIALIZED VIEW packed WITH (layout = 'packed') AS SELECT customer, count(*) AS n FROM orders "
           "WHERE amount > 7 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW keyed WITH (subject = 'out.keyed.{customer}') AS SELECT customer, sum(amount) AS "
           "total FROM orders WHERE amount > 7 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW bag AS SELECT c.region, o.amount FROM orders o JOIN customers c USING (customer) "
           "WHERE o.amount > 10;\n"
           "CREATE MATERIALIZED VIEW held WITH (subject = 'out.held.{customer}', emit_interval = '50 milliseconds') AS "
           "SELECT customer, max(amount) AS top FROM orders WHERE amount < 11 GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW closed WITH (subject = 'out.closed.{window_start}', emit = final) AS SELECT "
           "window_start, count(*) AS n FROM tumble(orders, at, interval '5 seconds') WHERE amount > 4 GROUP BY "
           "window_start;\n"
           "CREATE MATERIALIZED VIEW moved WITH (subject = 'out.new.{region}') AS SELECT region, count(*) AS n, "
           "min(customer) AS first FROM customers GROUP BY region;\n"
           "CREATE MATERIALIZED VIEW whole WITH (subject = 'out.whole') AS SELECT count(*) AS n, sum(amount) AS total "
           "FROM orders WHERE amount > 7;\n"
           "CREATE MATERIALIZED VIEW fresh WITH (subject = 'out.fresh.{customer}') AS SELECT customer, count(*) AS n "
           "FROM orders GROUP BY customer;\n"
           "CREATE MATERIALIZED VIEW unstored WITH (subject = 'out.unstored') AS SELECT id FROM orders WHERE amount > "
           "7;\n" KEPT,
};
