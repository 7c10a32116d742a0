-- A week of earthquakes as the U.S. Geological Survey revised them: see SOURCE.md. The events come in the order of their
-- last revision, which half of them had four hours or more after the earthquake, some of them days after.
CREATE TABLE quakes (
  id        text        NOT NULL,
  at        timestamptz NOT NULL,
  updated   timestamptz NOT NULL,
  magnitude numeric,
  place     text,
  network   text        NOT NULL,
  status    text        NOT NULL,
  kind      text        NOT NULL,
  longitude double precision,
  latitude  double precision,
  depth_km  double precision
) WITH (subject = 'quakes', event_time = 'at', watermark = '1 hour');

-- Six-hour windows that wait half a day for late reports; what comes later still goes to the ledger,
-- braid.earthquakes.late.per_quarter_day.
CREATE MATERIALIZED VIEW per_quarter_day WITH (emit = 'final', lateness = '12 hours') AS
SELECT window_start, count(*) AS quakes, max(magnitude) AS strongest
FROM tumble(quakes, at, interval '6 hours')
WHERE kind = 'earthquake'
GROUP BY window_start;

-- No window, nothing is late: what each network has reported so far.
CREATE MATERIALIZED VIEW networks AS
SELECT network, count(*) AS quakes, count(*) FILTER (WHERE status = 'reviewed') AS reviewed, max(magnitude) AS strongest,
       max(updated) AS last_revision
FROM quakes
GROUP BY network;
