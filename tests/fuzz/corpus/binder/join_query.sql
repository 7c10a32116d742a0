CREATE TABLE o (id bigint PRIMARY KEY, c text, amount numeric);
CREATE TABLE c (c text PRIMARY KEY, region text) WITH (lookup = true);
CREATE MATERIALIZED VIEW v AS SELECT o.id, o.amount, c.region FROM o LEFT JOIN c USING (c);
CREATE MATERIALIZED VIEW w AS SELECT region, max(amount) FILTER (WHERE amount > 0) AS top FROM v GROUP BY region HAVING count(DISTINCT id) > 1;
-- query
SELECT v.*, w.top FROM v JOIN w ON v.region IS NOT DISTINCT FROM w.region AND v.amount < w.top