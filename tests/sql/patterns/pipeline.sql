-- LIKE, ILIKE with escapes; regular expressions.
CREATE TABLE t (id bigint NOT NULL, s text);
CREATE MATERIALIZED VIEW v AS
SELECT id, s LIKE 'a%' AS l1, s LIKE '%b' AS l2, s LIKE '_b%' AS l3, s LIKE '100\%' AS l4, s LIKE 'x!%y' ESCAPE '!' AS l5, s NOT LIKE '%c%' AS l6, s ILIKE 'A%B' AS i1, s LIKE '%' AS any, s LIKE '' AS none,
       s ~ '^[a-c]+$' AS r1, s ~* '^AB' AS r2, s !~ '[0-9]' AS r3, s !~* 'B' AS r4, s ~ 'é.' AS r5, regexp_replace(s, '[0-9]+', '#') AS rr, regexp_replace(s, '(a)(b)', '\2\1', 'g') AS sw FROM t;
