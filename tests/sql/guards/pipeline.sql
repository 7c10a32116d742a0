-- What a condition rules out is not computed: in WHERE, ON, HAVING, CASE, and the argument of an aggregate with FILTER.
CREATE TABLE t (id integer PRIMARY KEY, k integer, x integer, s text);
CREATE MATERIALIZED VIEW filtered AS
SELECT k, count(*) AS n, sum(10 / x) FILTER (WHERE x <> 0) AS tenths, max(s::integer) FILTER (WHERE s ~ '^[0-9]+$') AS largest,
       count(DISTINCT 100 / x) FILTER (WHERE x > 0) AS kinds FROM t GROUP BY k;
CREATE MATERIALIZED VIEW chosen AS SELECT id, 10 / x AS q FROM t WHERE x <> 0 AND 10 / x > 1;
CREATE MATERIALIZED VIEW cased AS SELECT id, CASE WHEN x <> 0 THEN 10 / x ELSE -1 END AS q FROM t;
CREATE MATERIALIZED VIEW kept_groups AS SELECT k, 10 / sum(x) AS q FROM t GROUP BY k HAVING sum(x) <> 0 AND 10 / sum(x) >= 1;
CREATE MATERIALIZED VIEW joined AS SELECT a.id, b.id AS other FROM t a JOIN t b ON a.k = b.k AND b.x <> 0 AND 10 / b.x > 1;
CREATE MATERIALIZED VIEW left_joined AS SELECT a.id, b.id AS other FROM t a LEFT JOIN t b ON a.k = b.k AND a.x + b.x <> 0 AND 10 / (a.x + b.x) > 1;
