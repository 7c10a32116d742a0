-- Within an epoch tables with a key go first, also in the first epoch: an event sees the row that came right after it.
-- Later changes of the table don't revise what was joined.
-- test: epochs are fixed
-- test: no oracle, PostgreSQL has no epochs
CREATE TABLE e (id bigint, k bigint);
CREATE TABLE d (k bigint PRIMARY KEY, v text) WITH (lookup = true);
CREATE MATERIALIZED VIEW joined AS SELECT e.id, d.v FROM e LEFT JOIN d ON d.k = e.k;
CREATE MATERIALIZED VIEW per_v AS SELECT d.v, count(*) AS n FROM e JOIN d USING (k) GROUP BY d.v;
