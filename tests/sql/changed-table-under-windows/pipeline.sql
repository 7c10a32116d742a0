-- The joined table changes after windows have closed: their rows stay, no event that came in time is late, and one that
-- comes too late is, once per window and view. Inner and left joins, hop, lateness, windows over the joined rows, joins of
-- joins, emit = 'final', a joined view that is published itself.
-- test: no oracle, PostgreSQL has no windows that close
-- test: changes
CREATE TABLE e (id integer, k integer, at timestamptz) WITH (event_time = 'at', watermark = '1 second');
CREATE TABLE d (k integer PRIMARY KEY, room text);
CREATE TABLE floors (room text PRIMARY KEY, floor integer);
CREATE MATERIALIZED VIEW by_room AS
SELECT d.room, window_start, count(*) AS n FROM tumble(e, at, interval '1 minute') JOIN d USING (k) GROUP BY d.room, window_start;
CREATE MATERIALIZED VIEW maybe WITH (lateness = '2 minutes') AS
SELECT d.room, window_end, count(*) AS n FROM tumble(e, at, interval '1 minute') LEFT JOIN d USING (k) GROUP BY d.room, window_end;
CREATE MATERIALIZED VIEW sliding AS
SELECT d.room, window_start, sum(id) AS ids FROM hop(e, at, interval '30 seconds', interval '1 minute') JOIN d USING (k) GROUP BY d.room, window_start;
CREATE VIEW joined AS SELECT e.id, e.at, d.room FROM e JOIN d USING (k);
CREATE MATERIALIZED VIEW over_joined AS
SELECT room, window_start, count(*) AS n FROM tumble(joined, at, interval '1 minute') GROUP BY room, window_start;
CREATE MATERIALIZED VIEW by_floor AS
SELECT f.floor, window_start, count(*) AS n FROM tumble(e, at, interval '1 minute') JOIN d USING (k) LEFT JOIN floors f ON f.room = d.room
GROUP BY f.floor, window_start;
CREATE MATERIALIZED VIEW at_last WITH (emit = 'final') AS
SELECT d.room, window_start, count(*) AS n FROM tumble(e, at, interval '1 minute') JOIN d USING (k) GROUP BY d.room, window_start;
CREATE MATERIALIZED VIEW plain AS SELECT e.id, d.room, window_start FROM tumble(e, at, interval '1 minute') e JOIN d USING (k);
CREATE MATERIALIZED VIEW over_plain AS SELECT room, window_start, count(*) AS n FROM plain GROUP BY room, window_start;
