-- A time beyond the years 1 to 9999 is no column's value (google.protobuf.Timestamp has no more): the row is left out of
-- the view, also when it is to be taken back; within an expression it may be.
-- test: no oracle, PostgreSQL's timestamptz holds the years -4713 to 294276
CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz, by interval);
CREATE MATERIALIZED VIEW moved AS SELECT id, at + by AS v FROM t;
CREATE MATERIALIZED VIEW latest AS SELECT max(at + by) AS v, count(*) AS n FROM t;
CREATE MATERIALIZED VIEW there_and_back AS SELECT id, at + by - by AS v FROM t;
CREATE MATERIALIZED VIEW compared AS SELECT id FROM t WHERE at + by > at;
CREATE TABLE e (id bigint NOT NULL, at timestamptz NOT NULL) WITH (event_time = 'at', watermark = '1 minute', max_future = '3000000 days');
CREATE MATERIALIZED VIEW windows AS SELECT window_start, count(*) AS n FROM tumble(e, at, interval '1 day') GROUP BY window_start;
