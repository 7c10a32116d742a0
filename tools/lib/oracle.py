# SPDX-License-Identifier: Apache-2.0
"""What a pipeline's views should hold, said by PostgreSQL over the same events.

Append-only tables get every event; upsert tables are folded (last row per key, deletes applied). An event that breaks
NOT NULL or CHECK, or doesn't fit its columns, is left out, as the quality gates do; an old version is lifted through the
pipeline's own casts. Lateness has no counterpart here: compare only where no event comes too late for a window.
"""
import csv
import io
import json

import rows
import sqltext

STAGING = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS braid_staging CASCADE; CREATE SCHEMA braid_staging;
CREATE TABLE braid_staging.events (n bigint PRIMARY KEY, tbl text, op text, type text, row jsonb);
COPY braid_staging.events FROM STDIN WITH (FORMAT csv);
"""


class Oracle:
    """Loads one pipeline and its events into a running Postgres (lib/postgres.py)."""

    def __init__(self, server, sql, events):
        self.server = server
        self.pipeline = sqltext.Pipeline(sql)
        self.load(events)

    def load(self, events):
        staged = io.StringIO()
        writer = csv.writer(staged, lineterminator="\n")
        for n, event in enumerate(events):
            if "table" in event and "row" in event:
                writer.writerow([n, event["table"], event.get("op", "upsert"), event.get("type", ""),
                                 json.dumps(event["row"], default=str)])
        self.server.run(STAGING + staged.getvalue() + "\\.\n" + ";\n".join(self.pipeline.statements) + ";\n")
        script = "".join(self.loader(table) for table in self.pipeline.tables)
        self.server.run("BEGIN;\n" + script + "COMMIT;\nANALYZE;\n")

    def columns(self, relation):
        """[(name, type, default expression or '')]"""
        listed = self.server.run(
            "SELECT json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), coalesce(pg_get_expr(d.adbin, d.adrelid), '')) "
            "FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
            f"WHERE a.attrelid = '{sqltext.quote(relation)}'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum")
        return [tuple(json.loads(line)) for line in listed.splitlines()]

    def primary_key(self, table):
        return self.server.run(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
            f"WHERE i.indrelid = '{sqltext.quote(table)}'::regclass AND i.indisprimary ORDER BY array_position(i.indkey, a.attnum)"
        ).split("\n")[:-1]

    def lift(self, table, version):
        """The expression that makes a row of the table from the event's JSON, or None: no way leads there."""
        step, expression = version, f"jsonb_populate_record(NULL::{sqltext.quote(version)}, e.row)"
        while step != table:
            if step not in self.pipeline.casts:
                return None
            step = self.pipeline.casts[step]
            expression += f"::{sqltext.quote(step)}"
        return expression

    def loader(self, table):
        name, key = sqltext.quote(table), self.primary_key(table)
        columns = self.columns(table)
        versions = [(v, self.lift(table, v)) for v in self.pipeline.casts]
        branches = "".join(f"WHEN '{v}' THEN r := {expression}; " for v, expression in versions if expression)
        defaults = "".join(f"r.{sqltext.quote(c)} := coalesce(r.{sqltext.quote(c)}, {default}); "
                           for c, _, default in columns if default)
        from_base64 = "".join(f"r.{sqltext.quote(c)} := decode(e.row ->> '{c}', 'base64'); " for c, t, _ in columns if t == "bytea")
        matching = " AND ".join(f"{sqltext.quote(c)} = r.{sqltext.quote(c)}" for c in key)
        conflict = ""
        if key:
            others = [sqltext.quote(c) for c, _, _ in columns if c not in key]
            action = "UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in others) if others else "NOTHING"
            conflict = f" ON CONFLICT ({', '.join(map(sqltext.quote, key))}) DO {action}"
        delete = f"IF e.op = 'delete' THEN DELETE FROM {name} WHERE {matching}; CONTINUE; END IF;" if key else ""
        return f"""
DO $braid$ DECLARE e record; r {name}; BEGIN
FOR e IN SELECT * FROM braid_staging.events WHERE tbl = '{table}' ORDER BY n LOOP
  BEGIN
    CASE coalesce(e.type, '')
      {branches}
      WHEN '', '{table}' THEN r := jsonb_populate_record(NULL::{name}, e.row); {from_base64}
      ELSE CONTINUE;
    END CASE;
    {delete}
    {defaults}
    INSERT INTO {name} VALUES (r.*){conflict};
  EXCEPTION WHEN SQLSTATE '22000' OR integrity_constraint_violation OR data_exception THEN NULL;
  END;
END LOOP; END $braid$;
"""

    def view_lines(self, view):
        """JSON lines {"view":…,"row":{…}} as `braid test` prints them, sorted."""
        selected = ", ".join(f"{render_column(sqltext.quote(c), type_)} AS {sqltext.quote(c)}"
                             for c, type_, _ in self.columns(view))
        lines = self.server.run(f"SELECT row_to_json(braid_row) FROM (SELECT {selected} FROM {sqltext.quote(view)}) AS braid_row;\n")
        return sorted(f'{{"view": {json.dumps(view)}, "row": {line}}}' for line in lines.splitlines())

    def query(self, select):
        return self.server.run(f"SELECT row_to_json(braid_row) FROM ({select}) AS braid_row;\n").splitlines()

    def lines(self):
        for view in self.pipeline.views:
            yield from self.view_lines(view)


def events_of(table, path, type_=None):
    """The rows of a file (.jsonl or .csv, also .gz) as events of a table; empty fields of CSV are NULL."""
    with rows.open_text(path) as file:
        if path.removesuffix(".gz").endswith(".csv"):
            found = [{k: v for k, v in row.items() if v != ""} for row in csv.DictReader(file)]
        else:
            found = [json.loads(line) for line in file if line.strip()]
    for row in found:
        yield {"table": table, "row": row, **({"type": type_} if type_ else {})}


def render_column(column, type_):
    # ISO 8601 in UTC with a Z, as all of Braid's JSON.
    if type_ == "timestamp with time zone":
        return f"replace(to_jsonb({column}) #>> '{{}}', '+00:00', 'Z')"
    if type_ == "bytea":
        return f"translate(encode({column}, 'base64'), E'\\n', '')"
    return column
