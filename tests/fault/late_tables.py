#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that begin late: the first message of a table isn't the stream's first, and comes in a later epoch than the
pipeline's first. A lineage that was promoted over them is rebuilt, verified and rolled back like any other."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import Worker, check, until  # noqa: E402

MINI = """
SET braid.pipeline = 'mini';
CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'mini.customers');
CREATE TABLE orders (id bigint NOT NULL, customer text, amount bigint NOT NULL) WITH (subject = 'mini.orders');
CREATE MATERIALIZED VIEW per_region AS SELECT c.region, count(*) AS n, sum(o.amount) AS total
  FROM orders o JOIN customers c USING (customer) GROUP BY c.region;
CREATE MATERIALIZED VIEW regions AS SELECT region, count(*) AS n FROM customers GROUP BY region;
"""
CHANGED = MINI.replace("JOIN customers c USING (customer) GROUP", "JOIN customers c USING (customer) WHERE o.amount > 5 GROUP")
LATER = CHANGED + """
CREATE TABLE returns (id bigint NOT NULL, amount bigint NOT NULL) WITH (subject = 'mini.returns');
CREATE MATERIALIZED VIEW returned AS SELECT count(*) AS n, sum(amount) AS total FROM returns;
"""


def command(world, verb, *words, status=0):
    return world.braid("replay", verb, "mini", *words, "--server", world.server.url, status=status)


def job(world, name):
    return json.loads(command(world, "status", name, "--json"))


def status(world):
    text = world.braid("status", "mini", "--json", "--server", world.server.url)
    return json.loads(text)


def caught_up(world, worker):
    last = {}
    for subject, sequence in world.sent:
        last[subject] = sequence

    def done():
        now = status(world)
        return now["committed"] == now["epoch"] and all(
            i["sequence"] >= last.get("mini." + i["table"], 0) for i in now["inputs"])
    until(done, "the worker consumes everything", worker=worker)


def send(world, subject, payload):
    world.sent.append((subject, world.client.store(subject, payload)["seq"]))


def customer(world, name, region):
    send(world, "mini.customers", proto.data(1, name) + proto.data(2, region))


def order(world, number, name, amount):
    send(world, "mini.orders", proto.number(1, number) + proto.data(2, name) + proto.number(3, amount))


def opened(world, trim=0):
    """Customers in the first epochs, orders in a later one; the stream may have been trimmed before anybody read it."""
    world.server = harness.Server(world)
    world.client = world.server.connect()
    world.client.create_stream("MINI", ["mini.>"])
    world.sent = []
    for _ in range(trim):
        world.client.store("mini.other", b"x")
    if trim != 0:
        world.client.api("STREAM.PURGE.MINI", {"seq": trim})
    world.pipeline = world.write("mini.sql", MINI)
    world.changed = world.write("changed.sql", CHANGED)
    worker = Worker(world, pipeline=world.pipeline).started()
    customer(world, "ann", "north")
    caught_up(world, worker)
    order(world, 1, "ann", 10)
    caught_up(world, worker)
    order(world, 2, "ann", 3)
    customer(world, "bob", "south")
    caught_up(world, worker)
    return worker


def promoted(world, *flags):
    name = command(world, "start", *flags).split()[0]
    until(lambda: job(world, name)["phase"] == "done", f"{name} is done")
    command(world, "promote", name, "--wait")
    return name


def rebuilt(world, worker, pipeline):
    """The worker dies with its state; the next one has the log alone."""
    worker.kill()
    shutil.rmtree(worker.data)
    worker = Worker(world, pipeline=pipeline).started()
    order(world, 100 + len(world.sent), "bob", 7)
    caught_up(world, worker)
    return worker


def rows(world):
    text = world.braid("query", "mini", "SELECT region, n, total FROM per_region", "--json", "--server", world.server.url)
    return {row["region"]: (row["n"], row["total"]) for row in map(json.loads, text.splitlines())}


def test_an_owner_is_rebuilt_and_verified_after_a_promotion(world):
    worker = opened(world)
    promoted(world)
    worker = rebuilt(world, worker, world.pipeline)
    check(rows(world) == {"north": (2, 13), "south": (1, 7)}, rows(world))
    command(world, "verify", "--wait")
    worker.stopped()


def test_a_way_back_without_the_worker(world):
    worker = opened(world)
    name = promoted(world, "--pipeline", world.changed)
    worker.stopped()
    shutil.rmtree(worker.data)
    command(world, "rollback", name, "--local", "--wait", "--data", worker.data)
    worker = rebuilt(world, Worker(world, pipeline=world.pipeline).started(), world.pipeline)
    check(rows(world) == {"north": (2, 13), "south": (1, 7)}, rows(world))
    worker.stopped()


def test_a_stream_that_was_trimmed_before(world):
    worker = opened(world, trim=100)
    promoted(world, "--pipeline", world.changed)
    worker = rebuilt(world, worker, world.changed)
    check(rows(world) == {"north": (1, 10), "south": (1, 7)}, rows(world))
    command(world, "verify", "--wait")
    worker.stopped()


def test_a_second_promotion_and_a_table_that_comes_with_it(world):
    worker = opened(world)
    promoted(world, "--pipeline", world.changed)
    later = world.write("later.sql", LATER)
    order(world, 3, "bob", 20)
    caught_up(world, worker)
    promoted(world, "--pipeline", later)
    worker = rebuilt(world, worker, later)
    send(world, "mini.returns", proto.number(1, 1) + proto.number(2, 4))
    caught_up(world, worker)
    worker = rebuilt(world, worker, later)
    check(rows(world) == {"north": (1, 10), "south": (3, 34)}, rows(world))
    command(world, "verify", "--wait")
    worker.stopped()


if __name__ == "__main__":
    harness.main()
