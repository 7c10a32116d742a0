-- An older form tells its event time in a number, or in a payload: the clock of a test without clock lines follows it all the same.
-- test: no oracle, PostgreSQL knows no versions
CREATE TYPE beat_v1 AS (id text, at_ms bigint);
CREATE TABLE beats (id text NOT NULL, at timestamptz NOT NULL) WITH (event_time = 'at');
CREATE FUNCTION lift(b beat_v1) RETURNS beats LANGUAGE SQL IMMUTABLE AS 'SELECT b.id, to_timestamp(b.at_ms / 1000.0)';
CREATE CAST (beat_v1 AS beats) WITH FUNCTION lift(beat_v1);
CREATE MATERIALIZED VIEW seen AS SELECT id, at FROM beats;
