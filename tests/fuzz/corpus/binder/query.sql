CREATE TABLE t (id bigint NOT NULL, k text, m numeric, at timestamptz);
CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, sum(m) AS total FROM t GROUP BY k;
-- query
SELECT k, total / n AS mean FROM v WHERE n > 1 AND k LIKE 'a%' ORDER BY mean DESC NULLS LAST, 1 LIMIT 10 OFFSET 2