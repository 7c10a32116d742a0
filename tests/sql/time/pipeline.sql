-- Calendar arithmetic in UTC.
CREATE TABLE t (id bigint NOT NULL, at timestamptz, day date, span interval);
CREATE MATERIALIZED VIEW truncated AS
SELECT id, date_trunc('microseconds', at) AS us, date_trunc('second', at) AS s, date_trunc('minute', at) AS mi, date_trunc('hour', at) AS h, date_trunc('day', at) AS d, date_trunc('week', at) AS w, date_trunc('month', at) AS mo,
       date_trunc('quarter', at) AS q, date_trunc('year', at) AS y FROM t;
CREATE MATERIALIZED VIEW parts AS
SELECT id, extract(year FROM at) AS y, extract(quarter FROM at) AS q, extract(month FROM at) AS mo, extract(week FROM at) AS w, extract(day FROM at) AS d, extract(dow FROM at) AS dow, extract(isodow FROM at) AS isodow,
       extract(doy FROM at) AS doy, extract(hour FROM at) AS h, extract(minute FROM at) AS mi, extract(second FROM at)::text AS s, extract(epoch FROM at)::text AS e, extract(milliseconds FROM at)::text AS ms, extract(year FROM day) AS dy FROM t;
CREATE MATERIALIZED VIEW arithmetic AS
SELECT id, at + interval '1 month' AS next_month, at - interval '1 day 1 hour' AS before, at + span AS plus, (at - timestamptz '2000-01-01 00:00:00+00')::text AS since, day + 1 AS tomorrow, day - date '2000-01-01' AS days,
       (span * 2)::text AS twice, (span + interval '1 hour')::text AS longer, at > timestamptz '2000-01-01 00:00:00+00' AS recent, day < date '2000-01-01' AS old, at BETWEEN timestamptz '1990-01-01 00:00:00+00' AND timestamptz '2010-01-01 00:00:00+00' AS btw FROM t;
