-- Equal keys that are written differently (2 and 2.0, 30 days and 1 mon): when a group's rows leave it one by one, what is
-- shown of its key may change; subscribers, who compare text, must not be left with both.
CREATE TABLE t (id bigint PRIMARY KEY, a numeric, i interval);
CREATE MATERIALIZED VIEW distinct_a AS SELECT DISTINCT a FROM t;
CREATE MATERIALIZED VIEW per_a AS SELECT a, count(*) AS n FROM t GROUP BY a;
CREATE MATERIALIZED VIEW per_case AS SELECT CASE WHEN id = 2 THEN 2 ELSE a END AS a, count(*) AS n FROM t GROUP BY 1;
CREATE MATERIALIZED VIEW copied AS SELECT a FROM t;
CREATE MATERIALIZED VIEW spans AS SELECT extract(epoch FROM i) AS seconds, count(*) AS n FROM t GROUP BY i, 1;
