#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many tables over few connections: the worker's connections are bounded, and every event counts once whatever happens to them."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import Worker, check, until  # noqa: E402

TABLES = 32
READERS = 4  # docs/operations.md
OTHERS = 4  # control, those of replays, one to spare
PIPELINE = "SET braid.pipeline = 'faults';\n" + "".join(
    f"CREATE TABLE t{t} (id bigint NOT NULL) WITH (subject = 'many.{t}');\n"
    f"CREATE MATERIALIZED VIEW v{t} AS SELECT count(*) AS n, sum(id) AS total FROM t{t};\n" for t in range(TABLES))


def sockets(worker):
    folder, count = f"/proc/{worker.process.pid}/fd", 0
    for name in os.listdir(folder):
        try:
            count += os.readlink(os.path.join(folder, name)).startswith("socket:")
        except OSError:
            pass
    return count


class Many:
    def __init__(self, world):
        self.world, self.fed = world, [0] * TABLES
        world.server = harness.Server(world)
        world.client = world.server.connect()
        for half in range(2):  # half of the tables share a stream with the rest of their half
            world.client.create_stream(f"MANY{half}", [f"many.{t}" for t in range(TABLES) if t % 2 == half])
        self.path = world.write("many.sql", PIPELINE)

    def feed(self, table, count):
        client, stream = self.world.client, f"MANY{table % 2}"
        want = client.stream(stream)["last_seq"] + count
        for _ in range(count):
            client.publish(f"many.{table}", proto.number(1, self.fed[table]))
            self.fed[table] += 1
        until(lambda: client.stream(stream)["last_seq"] == want, "the input stream")

    def feed_all(self, count):
        for table in range(TABLES):
            self.feed(table, count)

    def check(self, worker):
        def rows(table):
            return self.world.query(f"SELECT n, total FROM v{table}")

        def done():
            status = self.world.status()
            return status and status["lag"] == 0 and status["committed"] == status["epoch"]
        until(done, "all is read", worker=worker)
        for table in range(TABLES):
            fed = self.fed[table]
            want = [{"n": fed, "total": fed * (fed - 1) // 2}]
            until(lambda: rows(table) == want, f"table {table} gives {want}, not {rows(table)}", 10, worker)


def test_tables_share_the_readers_connections(world):
    many = Many(world)
    many.feed_all(20)
    worker = Worker(world, pipeline=many.path).started()
    many.check(worker)
    check(sockets(worker) <= READERS + OTHERS, f"{sockets(worker)} connections")
    many.feed_all(5)
    many.feed(7, 20000)  # a backlog of one
    many.feed_all(5)
    many.check(worker)
    worker.stopped()
    worker = Worker(world, pipeline=many.path, flags=["--connections", "1"]).started()
    many.feed_all(5)
    many.check(worker)
    check(sockets(worker) <= 1 + OTHERS, f"{sockets(worker)} connections")
    worker.stopped()


def test_servers_that_go_away_under_shared_connections(world):
    many = Many(world)
    many.feed_all(20)
    worker = Worker(world, pipeline=many.path).started()
    for _ in range(3):
        many.feed(3, 3000)
        many.feed_all(2)
        world.server.stop(harness.signal.SIGKILL)
        world.server.start()
        world.reconnect()
    many.feed_all(2)
    many.check(worker)
    worker.kill()
    many.feed_all(2)
    worker = Worker(world, pipeline=many.path).started()
    many.check(worker)
    worker.stopped()


def test_consumers_that_are_deleted_under_shared_connections(world):
    """Its consumer is deleted again and again."""
    many = Many(world)
    many.feed_all(20)
    worker = Worker(world, pipeline=many.path).started()
    many.check(worker)
    for _ in range(5):
        for name in world.client.api("CONSUMER.NAMES.MANY1")["consumers"][:3]:
            world.client.api(f"CONSUMER.DELETE.MANY1.{name}")
        many.feed_all(2)
    many.check(worker)
    worker.stopped()


if __name__ == "__main__":
    harness.main()
