#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Before the first event a view without GROUP BY has its row: subscribers get it, queries see it, and it is made once."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import Worker, check, until  # noqa: E402

TABLES = """SET braid.pipeline = 'quiet';
CREATE TABLE items (id integer PRIMARY KEY, v integer) WITH (subject = 'quiet.items');
CREATE TABLE events (id integer, at timestamptz) WITH (subject = 'quiet.events', event_time = 'at');
"""
VIEWS = """CREATE MATERIALIZED VIEW whole WITH (format = 'json') AS SELECT count(*) AS n, sum(v) AS s FROM items;
CREATE MATERIALIZED VIEW above WITH (format = 'json') AS SELECT count(*) AS n FROM whole;
CREATE MATERIALIZED VIEW none WITH (format = 'json') AS SELECT count(*) AS n FROM events HAVING count(*) = 0;
"""
GROUPED = "CREATE MATERIALIZED VIEW per_item AS SELECT v, count(*) AS n FROM items GROUP BY v;\n"


def open_world(world, views=VIEWS):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    world.client.create_stream("QUIET", ["quiet.>"])
    world.pipeline = world.write("quiet.sql", TABLES + views)


def item(world, identity, v):
    world.client.store("quiet.items", proto.number(1, identity) + proto.number(2, v))


def query(world, sql, *more):
    return [json.loads(line) for line in world.braid("query", *more, sql, "--json", "--server", world.server.url).splitlines()]


def status(world):
    return json.loads(world.braid("status", "quiet", "--json", "--server", world.server.url))


def published(world, view):
    return [json.loads(payload) for _, payload in world.client.messages("BRAID_quiet", f"braid.quiet.view.{view}")]


def settled(world, worker, epoch):
    until(lambda: status(world)["committed"] >= epoch, f"epoch {epoch}", worker=worker)
    check(status(world)["committed"] == epoch, status(world))


def test_rows_before_the_first_event(world):
    open_world(world)
    worker = Worker(world).started()
    settled(world, worker, 1)
    check(query(world, "SELECT * FROM whole", "quiet") == [{"n": 0, "s": None}], "the row is there")
    check(query(world, "SELECT count(*) AS n FROM whole", "quiet") == [{"n": 1}], "for queries too")
    check(published(world, "whole") == [{"n": 0, "s": None}], published(world, "whole"))
    check(published(world, "above") == [{"n": 1}], published(world, "above"))
    check(published(world, "none") == [{"n": 0}], published(world, "none"))
    check(query(world, "SELECT count(*) AS n FROM items", world.pipeline, "--over", "history") == [{"n": 0}], "over an empty history")
    worker.kill()
    worker = Worker(world).started()
    settled(world, worker, 1)
    worker.kill()
    worker = Worker(world, data="another").started()  # from the log alone
    settled(world, worker, 1)
    check(len(published(world, "whole")) == 1, "it is published once")
    item(world, 7, 5)
    settled(world, worker, 2)
    check(query(world, "SELECT * FROM whole", "quiet") == [{"n": 1, "s": 5}], "and follows the first event")
    check(published(world, "none") != [], published(world, "none"))
    worker.stopped()


def test_what_is_there_at_the_start_is_in_the_first_epoch(world):
    open_world(world)
    for identity in range(300):
        item(world, identity, 1)
    worker = Worker(world).started()
    until(lambda: query(world, "SELECT * FROM whole", "quiet") == [{"n": 300, "s": 300}], "the events", worker=worker)
    check(published(world, "whole")[0]["n"] != 0, published(world, "whole"))
    worker.stopped()


def test_a_pipeline_without_such_views_waits(world):
    open_world(world, GROUPED)
    worker = Worker(world).started()
    harness.time.sleep(1)
    check(status(world)["committed"] == 0, status(world))
    item(world, 1, 1)
    settled(world, worker, 1)
    worker.stopped()


def test_a_replay_of_nothing_is_promoted(world):
    open_world(world)
    worker = Worker(world).started()
    settled(world, worker, 1)
    changed = world.write("changed.sql", TABLES + VIEWS.replace("sum(v) AS s FROM items", "sum(v + 1) AS s FROM items WHERE v > 0") +
                          "CREATE MATERIALIZED VIEW fresh WITH (format = 'json') AS SELECT count(*) AS n FROM events;\n")
    replay = world.braid("replay", "start", "quiet", "--pipeline", changed, "--server", world.server.url).strip()
    until(lambda: json.loads(world.braid("replay", "status", "quiet", replay, "--json", "--server", world.server.url))["phase"] == "done",
          "the replay", worker=worker)
    world.braid("replay", "promote", "quiet", replay, "--wait", "--server", world.server.url)
    until(lambda: query(world, "SELECT * FROM fresh", "quiet") == [{"n": 0}], "the new view's row", worker=worker)
    check(published(world, "fresh") == [{"n": 0}], published(world, "fresh"))
    item(world, 7, 5)
    until(lambda: query(world, "SELECT * FROM whole", "quiet") == [{"n": 1, "s": 6}], "the promoted lineage", worker=worker)
    worker.stopped()


harness.main()
