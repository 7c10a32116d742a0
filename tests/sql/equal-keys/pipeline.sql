-- Keys of joins and groups are equal when = says so: 0 and -0, NaN and NaN, 1 mon and 30 days, 2 and 2.00, across number types.
CREATE TABLE a (id integer PRIMARY KEY, d double precision, i interval, n numeric, b bigint);
CREATE TABLE c (id integer PRIMARY KEY, d double precision, i interval, n numeric, b integer);
CREATE MATERIALIZED VIEW by_d AS SELECT a.id, c.id AS other FROM a JOIN c ON a.d = c.d;
CREATE MATERIALIZED VIEW by_i AS SELECT a.id, c.id AS other FROM a JOIN c USING (i);
CREATE MATERIALIZED VIEW by_n AS SELECT a.id, c.id AS other FROM a JOIN c ON a.n = c.n;
CREATE MATERIALIZED VIEW by_b AS SELECT a.id, c.id AS other FROM a LEFT JOIN c ON a.b = c.b;
CREATE MATERIALIZED VIEW by_mixed AS SELECT a.id, c.id AS other FROM a JOIN c ON a.b = c.n;
CREATE MATERIALIZED VIEW by_double AS SELECT a.id, c.id AS other FROM a JOIN c ON a.n = c.d;
CREATE MATERIALIZED VIEW groups_d AS SELECT count(*) AS n, min(id) AS first FROM a GROUP BY d;
CREATE MATERIALIZED VIEW groups_i AS SELECT count(*) AS n, min(id) AS first FROM a GROUP BY i;
CREATE MATERIALIZED VIEW groups_n AS SELECT count(*) AS n, min(id) AS first FROM a GROUP BY n;
CREATE MATERIALIZED VIEW kinds AS SELECT count(DISTINCT d) AS d, count(DISTINCT i) AS i, count(DISTINCT n) AS n, min(i) = interval '1 day' AS least FROM a;
