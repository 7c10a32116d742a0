-- delays.sql as it was before it was repaired. Two things are wrong with the view hourly, and neither gives an error:
--   - a WHERE that was meant for another column leaves out all flights that were on time;
--   - the reports of late flights come when their hour is long closed, and are set aside.
SET braid.pipeline = 'delays';

CREATE TABLE flights (
  departed    timestamptz NOT NULL,
  origin      text        NOT NULL,
  destination text        NOT NULL,
  distance_mi integer,
  delay_min   integer
) WITH (subject = 'flights.departed', event_time = 'departed', watermark = '10 minutes');

CREATE MATERIALIZED VIEW hourly WITH (format = 'json') AS
SELECT origin AS airport, window_start AS hour, count(*) AS flights, count(*) FILTER (WHERE delay_min >= 15) AS delayed
FROM tumble(flights, departed, interval '1 hour')
WHERE delay_min > 0
GROUP BY origin, window_start;

CREATE MATERIALIZED VIEW airports WITH (format = 'json') AS
SELECT origin AS airport, count(*) AS flights, max(delay_min) AS worst_delay
FROM flights
GROUP BY origin;
