-- Three days of flights in the United States, and what is known about airports: see SOURCE.md.
--
--   braid publish examples/flights/flights.sql airports examples/flights/airports.csv
--   braid run     examples/flights/flights.sql
--   braid tail    examples/flights/flights.sql delay_bands

-- A flight that has left. Departures are in the airport's local time, which the data gives without a zone; here they are
-- taken as if they were UTC.
CREATE TABLE flights (
  departed    timestamptz NOT NULL,
  origin      text        NOT NULL,
  destination text        NOT NULL,
  distance_mi integer     CHECK (distance_mi > 0),
  delay_min   integer
) WITH (subject = 'flights.departed', event_time = 'departed', watermark = '10 minutes');

-- The form that the feed had on 1 January: other names, kilometres, seconds. Old events are read as they are and lifted.
CREATE TYPE flight_v1 AS (dep timestamptz, orig text, dest text, km integer, delay_s integer);
CREATE FUNCTION lift_flight(old flight_v1) RETURNS flights LANGUAGE SQL IMMUTABLE AS
  'SELECT old.dep, old.orig, old.dest, (old.km / 1.609344)::integer, old.delay_s / 60';
CREATE CAST (flight_v1 AS flights) WITH FUNCTION lift_flight(flight_v1);

-- The last row per code counts; a changed airport changes the rows that were joined with it.
CREATE TABLE airports (
  iata      text PRIMARY KEY,
  name      text,
  city      text,
  state     text,
  country   text,
  latitude  double precision,
  longitude double precision
) WITH (subject = 'flights.airports');

-- Tumbling windows, enriched: departures of every hour by state.
CREATE MATERIALIZED VIEW departures_by_state AS
SELECT a.state, f.window_start AS hour, count(*) AS flights, count(*) FILTER (WHERE f.delay_min >= 15) AS delayed,
       sum(f.distance_mi) AS miles
FROM tumble(flights, departed, interval '1 hour') f JOIN airports a ON a.iata = f.origin
GROUP BY a.state, f.window_start;

-- Hopping windows: how busy each airport was in the last hour, every 15 minutes; said once, when the hour is over.
CREATE MATERIALIZED VIEW airport_load WITH (emit = 'final') AS
SELECT origin AS airport, window_end, count(*) AS departures, max(delay_min) AS worst_delay
FROM hop(flights, departed, interval '15 minutes', interval '1 hour')
GROUP BY origin, window_end;

-- No window: one row per airport that is kept up to date for good.
CREATE MATERIALIZED VIEW airport_delay AS
SELECT origin AS airport, count(*) AS flights, sum(delay_min) AS total_delay, avg(delay_min) AS mean_delay,
       max(delay_min) AS worst_delay
FROM flights
GROUP BY origin;

-- A view over a view: airports move from one band to another as their mean changes.
CREATE MATERIALIZED VIEW delay_bands AS
SELECT CASE WHEN mean_delay < 0 THEN '1: early'
            WHEN mean_delay < 15 THEN '2: on time'
            WHEN mean_delay < 30 THEN '3: delayed'
            ELSE '4: very late' END AS band,
       count(*) AS airports, sum(flights) AS flights
FROM airport_delay
WHERE flights >= 10
GROUP BY CASE WHEN mean_delay < 0 THEN '1: early'
              WHEN mean_delay < 15 THEN '2: on time'
              WHEN mean_delay < 30 THEN '3: delayed'
              ELSE '4: very late' END;

-- Rows of their own: flights that were three hours late or more, with the names of both cities.
CREATE MATERIALIZED VIEW stranded AS
SELECT f.departed, o.city AS "from", d.city AS "to", f.delay_min / 60 AS hours_late
FROM flights f JOIN airports o ON o.iata = f.origin JOIN airports d ON d.iata = f.destination
WHERE f.delay_min >= 180;
