-- Results at and beyond the ranges of functions: what PostgreSQL refuses fails that row, and nothing else does.
-- Each view has a table of its own, since a failing expression leaves out the whole row.
CREATE TABLE d (id bigint NOT NULL, x double precision);
CREATE MATERIALIZED VIEW in_degrees AS SELECT id, degrees(x) AS v FROM d WHERE abs(x) < 1e305 OR x = 'Infinity';
CREATE MATERIALIZED VIEW in_radians AS SELECT id, radians(x) AS v FROM d WHERE x = 0 OR abs(x) > 1e-300;
CREATE TABLE b (id bigint NOT NULL, x double precision, n integer);
CREATE MATERIALIZED VIEW buckets AS SELECT id, width_bucket(x, 0, 10, n) AS v FROM b WHERE x < 10 OR n < 2147483647;
CREATE TABLE s (id bigint NOT NULL, d text, i text, days double precision);
CREATE MATERIALIZED VIEW read AS SELECT id, d::double precision AS d, (i::interval)::text AS i, (interval '1 day' * days)::text AS span FROM s;
CREATE TABLE days (id bigint NOT NULL, day date);
CREATE MATERIALIZED VIEW parts AS SELECT id, date_part('hour', day) AS h, date_part('dow', day) AS dow, date_part('epoch', day) AS e FROM days;
