#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables over what others write as changes of rows: views of another pipeline, key-value buckets, streams whose messages
expire. What a table can't apply is quarantined, and a key that stands in the subject is the row's."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import Worker, check, until  # noqa: E402


def quarantined(world, path):
    text = world.braid("quarantine", "ls", path, "--server", world.server.url)
    return [json.loads(line) for line in text.splitlines()]


def query(world, name, sql):
    text = world.braid("query", name, sql, "--json", "--server", world.server.url)
    return [json.loads(line) for line in text.splitlines()]


def status(world, name):
    return json.loads(world.braid("status", name, "--json", "--server", world.server.url))


FIRST = """SET braid.pipeline = 'first';
CREATE TABLE stock (item text PRIMARY KEY, kind text, n integer) WITH (subject = 'stock');
CREATE MATERIALIZED VIEW per_kind AS SELECT kind, sum(n) AS n FROM stock GROUP BY kind;
CREATE MATERIALIZED VIEW kinds AS SELECT kind, n FROM stock;
CREATE MATERIALIZED VIEW packed WITH (layout = 'packed') AS SELECT item, n FROM stock;
"""
SECOND = """SET braid.pipeline = 'second';
CREATE TABLE changes (kind text, n bigint) WITH (subject = 'braid.first.view.per_kind');
CREATE TABLE rows (kind text PRIMARY KEY, n bigint) WITH (subject = 'braid.first.view.per_kind');
CREATE TABLE bag (kind text, n integer) WITH (subject = 'braid.first.view.kinds');
CREATE TABLE last (kind text PRIMARY KEY, n integer) WITH (subject = 'braid.first.view.kinds');
CREATE TABLE block (item text, n integer) WITH (subject = 'braid.first.view.packed');
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM changes;
CREATE MATERIALIZED VIEW same AS SELECT kind, n FROM rows;
CREATE MATERIALIZED VIEW in_bag AS SELECT count(*) AS n FROM bag;
CREATE MATERIALIZED VIEW kept AS SELECT kind, n FROM last;
CREATE MATERIALIZED VIEW blocks AS SELECT count(*) AS n FROM block;
"""


def test_views_of_another_pipeline(world):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    world.client.create_stream("STOCK", ["stock"])
    first = Worker(world, pipeline=world.write("first.sql", FIRST), data="first").started()

    def stock(item, kind, n, headers=None):
        world.client.store("stock", proto.data(1, item) + proto.data(2, kind) + proto.number(3, n), headers)
    for item, kind, n in (("a", "tea", 1), ("b", "tea", 2), ("c", "rum", 3), ("a", "tea", 5), ("c", "tea", 4)):
        before = status(world, "first")["epoch"]
        stock(item, kind, n)
        until(lambda: status(world, "first")["committed"] > before, "an epoch of its own", worker=first)
    before = status(world, "first")["epoch"]
    world.client.store("stock", proto.data(1, "b"), {"Braid-Op": "delete"})
    until(lambda: status(world, "first")["committed"] > before, "an epoch of its own", worker=first)
    path = world.write("second.sql", SECOND)
    text = world.braid("check", path, "--streams", "--server", world.server.url, status=harness.EXIT_NO)
    harness.check_words(text, "table changes reads view per_kind of pipeline first, which replaces and deletes rows", "PRIMARY KEY",
                        "table bag reads view kinds", "table last reads view kinds", "table block reads view packed", "blocks of rows")
    check("table rows" not in text, text)
    second = Worker(world, pipeline=path, data="second").started()
    until(lambda: status(world, "second")["lag"] == 0 and query(world, "second", "SELECT * FROM same"), "the second",
          worker=second)
    check(query(world, "second", "SELECT * FROM same") == [{"kind": "tea", "n": 9}], "the table with the view's key")
    check(query(world, "second", "SELECT * FROM counted") in ([], [{"n": 0}]), "changes of rows are no events")
    check(query(world, "second", "SELECT * FROM in_bag") == [{"n": 5}], "each insert is an event, a remove is none")
    check({row["kind"]: row["n"] for row in query(world, "second", "SELECT * FROM kept")} == {"tea": 4, "rum": 3}, "the last inserts")
    check(query(world, "second", "SELECT * FROM blocks") in ([], [{"n": 0}]), "a block is no event")
    reports = quarantined(world, path)
    check({report["reason"] for report in reports} == {"operation"}, reports)
    counts = {}
    for report in reports:
        counts.setdefault(report["quarantined"], []).append(report["detail"])
    check(all("upsert" in detail or "delete" in detail for detail in counts["changes"]), counts)
    check(all("remove" in detail for detail in counts["bag"] + counts["last"]), counts)
    check(len(counts["bag"]) == len(counts["last"]) == 3, counts)
    second.stopped()
    first.stopped()


BUCKET = """SET braid.pipeline = 'bucket';
CREATE TABLE users (name text PRIMARY KEY, age integer) WITH (subject = '$KV.users.{name}');
CREATE TABLE visits (name text, age integer) WITH (subject = '$KV.users.>');
CREATE TABLE ids () WITH (message = 'ids.Row', subject = 'ids.{id}');
CREATE MATERIALIZED VIEW all_users AS SELECT name, age FROM users;
CREATE MATERIALIZED VIEW all_visits AS SELECT count(*) AS n FROM visits;
"""


def test_keys_that_stand_in_the_subject(world):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    proto_file = world.write("ids.proto", 'syntax = "proto3"; package ids; message Row { int64 id = 1; string text = 2; }')
    world.start(["protoc", "-I", world.folder, "--include_imports", f"--descriptor_set_out={world.folder}/ids.binpb",
                 proto_file], "protoc").wait()
    world.client.create_stream("KV_users", ["$KV.users.>"], max_msgs_per_subject=5)
    world.client.create_stream("IDS", ["ids.>"])
    sql = BUCKET.replace("CREATE TABLE ids () WITH (message", "CREATE TABLE ids (id bigint PRIMARY KEY, text text) WITH (message")
    sql = "SET braid.descriptors = 'ids.binpb';\n" + sql + "CREATE MATERIALIZED VIEW all_ids AS SELECT id, text FROM ids;\n"
    path = world.write("bucket.sql", sql)
    worker = Worker(world, pipeline=path).started()
    put = world.client.store
    put("$KV.users.ann", proto.number(2, 30))                          # the subject only
    put("$KV.users.bob", proto.data(1, "bob") + proto.number(2, 40))   # both
    put("$KV.users.cid", proto.data(1, "dan") + proto.number(2, 50))   # contradiction
    put("$KV.users.eve", proto.number(2, 60))
    put("$KV.users.eve", b"", {"KV-Operation": "DEL"})
    put("$KV.users.fay", proto.number(2, 70))
    put("$KV.users.fay", b"", {"Nats-Marker-Reason": "MaxAge"})        # as the server writes when it has expired
    put("$KV.users.gus", b"")                                          # never there
    put("ids.5", proto.data(2, "five"))                                # int64 without presence: its zero is no value
    put("ids.6", proto.number(1, 6) + proto.data(2, "six"))
    put("ids.7", proto.number(1, 8) + proto.data(2, "seven or eight"))
    put("ids.x", proto.data(2, "no number"))
    want = [{"name": "ann", "age": 30}, {"name": "bob", "age": 40}]
    until(lambda: query(world, "bucket", "SELECT * FROM all_users ORDER BY name") == want, "the users", worker=worker)
    rows = query(world, "bucket", "SELECT * FROM all_ids ORDER BY id")
    check(rows == [{"id": 5, "text": "five"}, {"id": 6, "text": "six"}], rows)
    # Without a key a put is an event, a delete can't be applied, and the server's marker is nothing. So is an empty value.
    until(lambda: query(world, "bucket", "SELECT * FROM all_visits") == [{"n": 6}], "the visits", worker=worker)
    reports = [(r["quarantined"], r["reason"]) for r in quarantined(world, path)]
    check(sorted(reports) == [("ids", "key"), ("ids", "key"), ("users", "key"), ("visits", "operation")], reports)
    details = " ".join(r["detail"] for r in quarantined(world, path))
    check("name is dan" in details and "$KV.users.cid" in details and "id is 8" in details, details)
    digest = status(world, "bucket")["digest"]
    worker.stopped()
    worker = Worker(world, pipeline=path).started()
    until(lambda: status(world, "bucket"), "the worker", worker=worker)
    check(status(world, "bucket")["digest"] == digest, "started again it is the same")
    worker.stopped()


harness.main()
