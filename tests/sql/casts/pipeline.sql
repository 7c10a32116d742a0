-- To text and back, between numbers, from what JSON brings; as PostgreSQL writes and rounds them.
CREATE TABLE t (id bigint NOT NULL, b boolean, i integer, n numeric, d double precision, ts timestamptz, day date, span interval, s text);
CREATE MATERIALIZED VIEW to_text AS
SELECT id, b::text AS b, i::text AS i, n::text AS n, d::text AS d, ts::text AS ts, day::text AS day, span::text AS span FROM t;
CREATE MATERIALIZED VIEW numbers AS
SELECT id, n::integer AS n_int, d::integer AS d_int, n::bigint AS n_big, d::bigint AS d_big, n::double precision AS n_dbl, d::numeric AS d_num, i::numeric AS i_num, i::boolean AS i_bool, b::integer AS b_int FROM t;
CREATE MATERIALIZED VIEW from_text AS
SELECT id, s::numeric AS n, s::double precision AS d, CAST(s AS text) AS t FROM t;
CREATE MATERIALIZED VIEW times AS
SELECT id, ts::date AS day, day::timestamptz AS ts FROM t;
