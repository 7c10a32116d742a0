-- A row that failed is gone without a trace when it is replaced or deleted, and a group that failed comes back when it no
-- longer does; a sum that doesn't fit is right again once what made it too large has gone.
-- test: no oracle, PostgreSQL fails the whole statement
-- test: changes
CREATE TABLE t (id bigint PRIMARY KEY, k text, m numeric, b bigint);
CREATE MATERIALIZED VIEW sums AS SELECT k, count(*) AS n, sum(m) AS total FROM t GROUP BY k;
CREATE MATERIALIZED VIEW twice AS SELECT k, total * 2 AS twice FROM sums;
CREATE MATERIALIZED VIEW inverse AS SELECT id, 100 / b AS v FROM t;
CREATE MATERIALIZED VIEW inverses AS SELECT count(*) AS n, sum(v) AS v FROM inverse;
CREATE MATERIALIZED VIEW by_key AS SELECT k, 100 / sum(b) AS v FROM t GROUP BY k;
