-- test: epochs are fixed
-- test: no oracle, PostgreSQL knows no late events
CREATE TABLE t (id integer, at timestamptz) WITH (event_time='at');
CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS n FROM tumble(t, at, interval '1 minute') GROUP BY 1;
