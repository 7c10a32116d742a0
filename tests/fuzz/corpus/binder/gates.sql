CREATE TYPE v1 AS (id text, cents bigint);
CREATE TABLE t (id text NOT NULL, amount numeric DEFAULT 0.5 CHECK (amount >= 0), at timestamptz NOT NULL, CONSTRAINT c CHECK (id <> '')) WITH (subject = 'a.{id}.>', event_time = 'at', watermark = '5 seconds', max_future = '1 hour', layout = 'delimited');
CREATE FUNCTION lift(v1) RETURNS t LANGUAGE SQL AS $$ SELECT ($1).id, ($1).cents / 100.0, now() $$;
CREATE CAST (v1 AS t) WITH FUNCTION lift(v1);
COMMENT ON TABLE t IS 'gates';
CREATE MATERIALIZED VIEW v WITH (subject = 'out.{id}', format = 'json', emit = 'final', lateness = '1 minute', emit_interval = '1 second', ttl = '1 day') AS SELECT id, window_start, window_end, avg(amount) AS a FROM hop(t, at, interval '10 seconds', interval '1 minute') GROUP BY id, window_start, window_end;