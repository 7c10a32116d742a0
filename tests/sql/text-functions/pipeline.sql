-- Lengths and positions count characters, not bytes.
CREATE TABLE t (id bigint NOT NULL, s text, n integer);
CREATE MATERIALIZED VIEW cut AS
SELECT id, length(s) AS len, char_length(s) AS chars, octet_length(s) AS bytes, substring(s from 2) AS from2, substring(s from 2 for 3) AS three, substr(s, 3, 2) AS two, substring(s for 2) AS head,
       left(s, n) AS lft, right(s, n) AS rgt, left(s, -2) AS but_two, split_part(s, ',', 2) AS part FROM t;
CREATE MATERIALIZED VIEW changed AS
SELECT id, upper(s) AS up, lower(s) AS lo, trim(s) AS t, ltrim(s) AS l, rtrim(s) AS r, btrim(s, 'ax ') AS b, trim(leading 'a' from s) AS lead, replace(s, 'l', 'L!') AS rep, reverse(s) AS rev,
       repeat(s, 2) AS rpt, lpad(s, 8, '*') AS lp, rpad(s, 8, '+-') AS rp, s || '|' || n AS glued, concat(s, n, NULL) AS cat, concat_ws('-', s, NULL, n) AS cat_ws, initcap(s) AS cap FROM t;
CREATE MATERIALIZED VIEW found AS
SELECT id, position('l' in s) AS pos, strpos(s, 'o') AS spos, starts_with(s, 'a') AS sw, s < 'b' AS before_b, s = '' AS empty, ascii(s) AS code, md5(s) AS hash FROM t;
CREATE MATERIALIZED VIEW ends AS SELECT min(s) AS lo, max(s) AS hi, count(DISTINCT s) AS n FROM t;
