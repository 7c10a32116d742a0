-- Deletes that don't say which row are quarantined; a delete of a row that isn't there changes nothing, and a bad update leaves
-- the row as it was.
-- test: no oracle, payloads are bytes
CREATE TABLE t (id bigint PRIMARY KEY, name text CHECK (name <> 'bad'));
CREATE MATERIALIZED VIEW kept AS SELECT id, name FROM t;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM t;
