-- CASE in both forms, COALESCE, NULLIF, GREATEST, LEAST: types found over all branches.
CREATE TABLE t (id bigint NOT NULL, a integer, b bigint, c numeric, s text);
CREATE MATERIALIZED VIEW v AS
SELECT id, CASE WHEN a > 1 THEN 'many' WHEN a = 1 THEN 'one' END AS searched, CASE s WHEN 'x' THEN 1 WHEN 'y' THEN 2 ELSE 0 END AS simple,
       CASE WHEN a IS NULL THEN b ELSE c END AS widened, coalesce(a, b, 0) AS first, coalesce(s, 'none') AS named, nullif(a, 1) AS not_one,
       greatest(a, b, 3) AS most, least(a, b) AS lowest, greatest(s, 'm') AS last_word FROM t;
