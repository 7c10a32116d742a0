-- A row on which the ON of a LEFT JOIN fails is left out of the view, not published as one that matches nothing: whether
-- it matches isn't known. What fails is a pair of rows: a row whose key meets nobody has NULLs, and one that fails with
-- one partner is there with the others.
-- test: no oracle, PostgreSQL fails the whole statement
-- test: changes
CREATE TABLE s (id integer, a integer, k integer);
CREATE TABLE u (id integer PRIMARY KEY, a integer, k integer);
CREATE TABLE v (k integer PRIMARY KEY, b text);
CREATE TABLE w (id integer PRIMARY KEY, k integer, n integer);
CREATE TABLE l (k integer PRIMARY KEY, b text) WITH (lookup = true);
CREATE MATERIALIZED VIEW by_left AS SELECT s.id, v.b FROM s LEFT JOIN v ON v.k = s.k AND 10 / s.a > 1;
CREATE MATERIALIZED VIEW by_right AS SELECT s.id, v.b FROM s LEFT JOIN v ON v.k = s.k AND v.b::integer > 1;
CREATE MATERIALIZED VIEW by_right_key AS SELECT s.id, v.b FROM s LEFT JOIN v ON v.k = s.k AND v.b::integer = s.a;
CREATE MATERIALIZED VIEW by_both AS SELECT u.id, w.id AS w FROM u LEFT JOIN w ON w.k = u.k AND 10 / (u.a - w.n) > 1;
CREATE MATERIALIZED VIEW looked_up AS SELECT s.id, l.b FROM s LEFT JOIN l ON l.k = s.k AND l.b::integer > 1;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, count(w) AS matched FROM by_both;
CREATE MATERIALIZED VIEW never_fails AS SELECT s.id, v.b FROM s LEFT JOIN v ON v.k = s.k AND lower(v.b) LIKE '1%';
