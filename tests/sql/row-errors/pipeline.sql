-- A row whose expression fails is left out of that view only, and reported with it; aggregates over the table keep it.
-- test: no oracle, PostgreSQL fails the whole statement
CREATE TABLE t (id bigint NOT NULL, i integer, b bigint, m numeric, d double precision, s text, at timestamptz);
CREATE MATERIALIZED VIEW int_plus AS SELECT id, i + 1 AS v FROM t WHERE i IS NOT NULL;
CREATE MATERIALIZED VIEW int_minus AS SELECT id, -i AS v, abs(i) AS a FROM t WHERE i IS NOT NULL;
CREATE MATERIALIZED VIEW big_times AS SELECT id, b * 2 AS v FROM t WHERE b IS NOT NULL;
CREATE MATERIALIZED VIEW big_cast AS SELECT id, b::integer AS v FROM t WHERE b IS NOT NULL;
CREATE MATERIALIZED VIEW big_over AS SELECT id, b / -1 AS v FROM t WHERE b IS NOT NULL;
CREATE MATERIALIZED VIEW num_times AS SELECT id, m * m AS v FROM t WHERE m IS NOT NULL;
CREATE MATERIALIZED VIEW num_int AS SELECT id, m::bigint AS v FROM t WHERE m IS NOT NULL;
CREATE MATERIALIZED VIEW zero_i AS SELECT id, 10 / i AS v, 10 % i AS r FROM t WHERE i IS NOT NULL;
CREATE MATERIALIZED VIEW zero_m AS SELECT id, 10 / m AS v FROM t WHERE m IS NOT NULL;
CREATE MATERIALIZED VIEW zero_d AS SELECT id, 10 / d AS v FROM t WHERE d IS NOT NULL;
CREATE MATERIALIZED VIEW dbl_times AS SELECT id, d * d AS v FROM t WHERE d IS NOT NULL;
CREATE MATERIALIZED VIEW dbl_cast AS SELECT id, d::numeric AS n FROM t WHERE d IS NOT NULL;
CREATE MATERIALIZED VIEW dbl_int AS SELECT id, d::integer AS n FROM t WHERE d IS NOT NULL;
CREATE MATERIALIZED VIEW txt AS SELECT id, s::bigint AS v FROM t WHERE s IS NOT NULL;
CREATE MATERIALIZED VIEW later AS SELECT id, at + interval '300000 years' AS v FROM t WHERE at IS NOT NULL;
CREATE MATERIALIZED VIEW where_fails AS SELECT id FROM t WHERE 10 / i > 0;
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n, sum(i) AS i, sum(b) AS b, sum(m) AS m, sum(d) AS d, avg(m) AS am FROM t;
CREATE MATERIALIZED VIEW having_fails AS SELECT i % 2 AS odd, 1 / (count(*) - 2) AS v FROM t WHERE i IS NOT NULL GROUP BY i % 2;
