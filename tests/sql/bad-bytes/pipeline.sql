-- Messages that can't be read, or hold what no column can hold, go to quarantine with their bytes; unknown fields are kept out.
-- test: no oracle, payloads are bytes
CREATE TABLE t (id bigint NOT NULL, name text, amount numeric, d double precision, at timestamptz, n integer, b boolean, day date, raw bytea, span interval);
CREATE MATERIALIZED VIEW kept AS SELECT id, name, amount, d, at, n, b, day, raw, span::text AS span FROM t;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, max(id) AS last FROM t;
