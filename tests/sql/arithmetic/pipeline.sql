-- Integer, exact and floating arithmetic, with PostgreSQL's result types, rounding and scales.
CREATE TABLE n (id bigint NOT NULL, a integer, b bigint, c numeric, d double precision);
CREATE MATERIALIZED VIEW ints AS
SELECT id, b + a AS plus, b - a AS minus, a / 3 AS third, a % 3 AS rest, -(a / 2) AS half, b / 2 AS big_half, a * 1 AS same, abs(a / 2) AS size FROM n;
CREATE MATERIALIZED VIEW exact AS
SELECT id, (c + a)::text AS plus, (c * 3)::text AS times, (c * 0.5)::text AS halved, (c / 3)::text AS third, (c - 0.1)::text AS minus, round(c, 1)::text AS rounded,
       round(c)::text AS whole, trunc(c, 1)::text AS cut, floor(c)::text AS floor, ceil(c)::text AS ceil, sign(c)::text AS sign, abs(c)::text AS size, (-c)::text AS negative FROM n;
CREATE MATERIALIZED VIEW floating AS
SELECT id, d + a AS plus, d * 3 AS times, d / 4 AS quarter, -d AS negative, abs(d) AS size, floor(d) AS floor, ceil(d) AS ceil, d + b AS with_bigint FROM n;
CREATE MATERIALIZED VIEW mixed AS
SELECT id, c * d AS float_wins, b * c AS numeric_wins, a + d AS float_again FROM n WHERE c < 100 AND b < 100;
