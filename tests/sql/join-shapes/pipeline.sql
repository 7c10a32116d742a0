-- joins as the planner turns them: swapped, computed keys, comma lists, self-joins, below CTEs
CREATE TABLE c (id text PRIMARY KEY, boss text, region text);
CREATE TABLE o (id text, c text, amount numeric, at timestamptz) WITH (event_time = 'at');
CREATE MATERIALIZED VIEW self AS SELECT a.id, b.region FROM c a JOIN c b ON a.boss = b.id;
CREATE MATERIALIZED VIEW selfl AS SELECT a.id, b.id AS boss FROM c a LEFT JOIN c b ON a.boss = b.id AND b.region <> 'x';
CREATE MATERIALIZED VIEW swapped AS SELECT x.region, o.amount FROM c x JOIN o ON upper(x.id) = upper(o.c) AND o.amount > length(x.region);
CREATE MATERIALIZED VIEW comma AS SELECT o.id, x.region FROM o, c x WHERE o.c = x.id AND o.amount < 100;
CREATE MATERIALIZED VIEW dt AS WITH t AS (SELECT c, sum(amount) AS s FROM o GROUP BY c) SELECT t.c, t.s, c.region FROM t JOIN c ON c.id = t.c WHERE t.s > 1;
CREATE MATERIALIZED VIEW dist AS SELECT DISTINCT region, amount > 2 AS big FROM swapped;
CREATE MATERIALIZED VIEW nat AS SELECT * FROM c NATURAL JOIN (SELECT id, count(*) AS n FROM o GROUP BY id) x;
CREATE MATERIALIZED VIEW grp AS SELECT CASE WHEN amount > 2 THEN 'b' ELSE 's' END AS k, count(*) AS n, max(amount) - min(amount) AS d FROM o GROUP BY k HAVING max(amount) > 0;
CREATE MATERIALIZED VIEW m1 AS SELECT window_start AS s, c, sum(amount) AS t FROM tumble(o, at, interval '1 minute') GROUP BY 1, 2;
