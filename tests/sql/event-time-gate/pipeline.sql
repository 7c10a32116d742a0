-- Event times that are missing or too far ahead of when the stream stored the event (an hour, or max_future) are quarantined and
-- move no watermark: no window closes because of them, and nothing after them is late.
-- test: no oracle, gates
-- test: epochs are fixed
CREATE TABLE t (id bigint NOT NULL, at timestamptz) WITH (event_time = 'at', watermark = '0 seconds');
CREATE TABLE strict (id bigint NOT NULL, at timestamptz NOT NULL) WITH (event_time = 'at', watermark = '0 seconds', max_future = '10 minutes');
CREATE MATERIALIZED VIEW per_minute WITH (emit = 'final') AS SELECT window_start, count(*) AS n FROM tumble(t, at, interval '1 minute') GROUP BY window_start;
CREATE MATERIALIZED VIEW strict_minutes WITH (emit = 'final') AS SELECT window_start, count(*) AS n FROM tumble(strict, at, interval '1 minute') GROUP BY window_start;
