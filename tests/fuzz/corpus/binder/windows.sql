-- Tumbling and hopping windows, with joins, filters and aliases.
CREATE TABLE reads (sensor text NOT NULL, at timestamptz NOT NULL, v numeric) WITH (event_time = 'at', watermark = '1 minute');
CREATE TABLE sensors (sensor text PRIMARY KEY, room text);
CREATE MATERIALIZED VIEW per_minute AS
SELECT sensor, window_start, window_end, count(*) AS n, sum(v)::text AS total FROM tumble(reads, at, interval '1 minute') GROUP BY sensor, window_start, window_end;
CREATE MATERIALIZED VIEW sliding WITH (emit = 'final') AS
SELECT window_start, window_end, count(*) AS n, count(DISTINCT sensor) AS sensors, max(v)::text AS top FROM hop(reads, at, interval '20 seconds', interval '1 minute') GROUP BY window_start, window_end;
CREATE MATERIALIZED VIEW aliased AS
SELECT w.window_end, count(*) AS n FROM hop(reads, at, interval '15 seconds', interval '1 minute') AS w WHERE w.v > 0 GROUP BY w.window_end;
CREATE MATERIALIZED VIEW per_room WITH (lateness = '1 hour') AS
SELECT s.room, r.window_start, count(*) AS n FROM tumble(reads, at, interval '2 minutes') r JOIN sensors s USING (sensor) GROUP BY s.room, r.window_start;
CREATE MATERIALIZED VIEW busiest AS
SELECT window_start, max(n) AS n FROM per_minute GROUP BY window_start;
CREATE MATERIALIZED VIEW rows AS
SELECT sensor, at, window_start FROM tumble(reads, at, interval '30 seconds') WHERE sensor = 's1';
