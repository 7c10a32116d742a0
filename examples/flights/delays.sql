-- How punctual airports are, hour by hour. A flight is reported when it has left, so the reports of late ones come late.
-- `make demo-replay` rolls this file out over delays-bug.sql, what was there before, and repairs what that one published.

CREATE TABLE flights (
  departed    timestamptz NOT NULL,
  origin      text        NOT NULL,
  destination text        NOT NULL,
  distance_mi integer,
  delay_min   integer
) WITH (subject = 'flights.departed', event_time = 'departed', watermark = '10 minutes');

CREATE MATERIALIZED VIEW hourly WITH (format = 'json', lateness = '1 day') AS
SELECT origin AS airport, window_start AS hour, count(*) AS flights, count(*) FILTER (WHERE delay_min >= 15) AS delayed
FROM tumble(flights, departed, interval '1 hour')
GROUP BY origin, window_start;

-- How many flights an airport had, and the longest delay.
CREATE MATERIALIZED VIEW airports WITH (format = 'json') AS
SELECT origin AS airport, count(*) AS flights, max(delay_min) AS worst_delay
FROM flights
GROUP BY origin;
