-- Groups of NULL, groups by expressions, HAVING, and groups that come and go.
CREATE TABLE items (item text PRIMARY KEY, kind text, i integer, n numeric, d double precision, f boolean);
CREATE MATERIALIZED VIEW by_expression AS
SELECT upper(kind) AS kind, i % 3 AS rest, count(*) AS rows FROM items GROUP BY upper(kind), i % 3;
CREATE MATERIALIZED VIEW by_number AS
SELECT coalesce(kind, '?') AS kind, i > 5 AS high, sum(i) + count(*) * 2 AS weight FROM items GROUP BY 1, 2;
CREATE MATERIALIZED VIEW filtered AS
SELECT kind, count(*) AS rows FROM items GROUP BY kind HAVING count(*) > 3 AND max(i) < 19;
CREATE MATERIALIZED VIEW only_keys AS
SELECT kind, f FROM items GROUP BY kind, f;
CREATE MATERIALIZED VIEW different AS
SELECT DISTINCT kind, f FROM items;
CREATE MATERIALIZED VIEW over_aggregate AS
SELECT rows, count(*) AS groups FROM by_expression GROUP BY rows;
