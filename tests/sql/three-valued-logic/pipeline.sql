-- NULL is neither true nor false, nor equal to anything.
CREATE TABLE t (id bigint NOT NULL, p boolean, q boolean, x integer, y integer);
CREATE MATERIALIZED VIEW logic AS
SELECT id, p AND q AS conj, p OR q AS disj, NOT p AS neg, p = q AS eq, p IS DISTINCT FROM q AS differ, p IS NOT DISTINCT FROM q AS alike, p IS TRUE AS is_t, p IS NOT TRUE AS not_t,
       p IS FALSE AS is_f, p IS UNKNOWN AS is_u, p IS NULL AS is_n FROM t;
CREATE MATERIALIZED VIEW comparison AS
SELECT id, x < y AS lt, x <= y AS le, x = y AS eq, x <> y AS ne, x BETWEEN 1 AND y AS btw, x NOT BETWEEN 1 AND 2 AS nbtw, x IN (1, 2) AS one_of, x IN (1, y) AS one_of_y, x NOT IN (1, NULL) AS none_of FROM t;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM t WHERE p OR x > 1;
CREATE MATERIALIZED VIEW negated AS SELECT id FROM t WHERE NOT (p OR x > 1);
CREATE MATERIALIZED VIEW short_circuit AS SELECT id FROM t WHERE CASE WHEN x <> 0 THEN 10 / x > 4 ELSE false END;
