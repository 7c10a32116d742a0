-- Averages of intervals spill months into days and days into time, each field by itself, as interval / n does.
CREATE TABLE t (id integer PRIMARY KEY, g integer, i interval);
CREATE MATERIALIZED VIEW averages AS SELECT g, count(*) AS n, avg(i)::text AS a, (sum(i) / count(*))::text AS b, sum(i)::text AS s FROM t GROUP BY g;
CREATE MATERIALIZED VIEW once AS SELECT g, avg(DISTINCT i)::text AS a FROM t GROUP BY g;
CREATE MATERIALIZED VIEW of_all AS SELECT avg(i)::text AS a FROM t;
