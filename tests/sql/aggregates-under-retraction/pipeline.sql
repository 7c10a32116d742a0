-- Every aggregate, over rows that change and go.
CREATE TABLE items (item text PRIMARY KEY, kind text, i integer, n numeric, d double precision, f boolean);
CREATE MATERIALIZED VIEW plain AS
SELECT kind, count(*) AS rows, count(i) AS i_count, sum(i) AS i_sum, sum(n)::text AS n_sum, sum(d) AS d_sum, min(i) AS i_min, max(i) AS i_max, min(n)::text AS n_min, max(d) AS d_max, min(item) AS first, max(item) AS last FROM items GROUP BY kind;
CREATE MATERIALIZED VIEW averages AS
SELECT kind, avg(i)::text AS i, avg(n)::text AS n, avg(d) AS d FROM items GROUP BY kind;
CREATE MATERIALIZED VIEW logic AS
SELECT kind, bool_and(f) AS all_f, bool_or(f) AS any_f, every(f) AS every_f FROM items GROUP BY kind;
CREATE MATERIALIZED VIEW spread AS
SELECT kind, stddev(d) AS sd, stddev_pop(d) AS sd_pop, variance(d) AS var, var_pop(i) AS i_var_pop, stddev_samp(i) AS i_sd, var_samp(d) AS var_samp FROM items GROUP BY kind;
CREATE MATERIALIZED VIEW chosen AS
SELECT kind, count(*) FILTER (WHERE i > 5) AS high, sum(i) FILTER (WHERE f) AS f_sum, count(DISTINCT i) AS different, count(DISTINCT f) FILTER (WHERE i > 0) AS different_f, sum(DISTINCT i) AS sum_different, max(i) FILTER (WHERE NOT f) AS not_f FROM items GROUP BY kind;
CREATE MATERIALIZED VIEW whole AS
SELECT count(*) AS rows, sum(i) AS total, avg(d) AS mean, max(item) AS last FROM items;
CREATE MATERIALIZED VIEW empty AS
SELECT count(*) AS rows, sum(i) AS total, bool_or(f) AS any_f FROM items WHERE i > 1000;
