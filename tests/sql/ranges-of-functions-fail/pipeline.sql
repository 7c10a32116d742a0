-- test: no oracle, PostgreSQL stops at the first row that fails
CREATE TABLE d (id bigint NOT NULL, x double precision);
CREATE MATERIALIZED VIEW in_degrees AS SELECT id, degrees(x) AS v FROM d;
CREATE MATERIALIZED VIEW in_radians AS SELECT id, radians(x) AS v FROM d;
CREATE TABLE b (id bigint NOT NULL, x double precision, n integer);
CREATE MATERIALIZED VIEW buckets AS SELECT id, width_bucket(x, 0, 10, n) AS v FROM b;
CREATE TABLE o (id bigint NOT NULL, s text, first integer, count integer);
CREATE MATERIALIZED VIEW overlaid AS SELECT id, overlay(s placing 'X' from first for count) AS v FROM o;
