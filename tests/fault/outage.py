#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The nats-server goes away and comes back: the worker waits and goes on; nothing is lost or doubled.

BRAID_OUTAGE_S says how long it is away (default 8); long_outage.py makes it 30."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import Worker  # noqa: E402

AWAY_S = float(os.environ.get("BRAID_OUTAGE_S", "8"))


def go_away(world, worker, how, away_s):
    world.server.stop(how)
    time.sleep(away_s)
    harness.check(worker.process.poll() is None, f"the worker has ended:\n{worker.log()}")
    world.server.start()
    world.reconnect()


def test_a_server_that_stops_and_comes_back(world):
    world.open()
    world.feed(5000)
    worker = Worker(world).started()
    go_away(world, worker, harness.signal.SIGTERM, AWAY_S)
    world.feed(5000)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_server_killed_in_the_middle_of_commits(world):
    """The process is killed, not the machine: what it has acknowledged is in the page cache and comes back."""
    world.open()
    worker = Worker(world).started()
    for _ in range(4):
        world.feed(4000)
        time.sleep(world.random.uniform(0, 0.2))
        go_away(world, worker, harness.signal.SIGKILL, 0.2)
    world.feed(100)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_worker_that_starts_before_its_server(world):
    world.open()
    world.feed(100)
    world.server.stop()
    worker = Worker(world)
    harness.until(worker.log, "the worker says that it waits", worker=worker)
    world.server.start()
    world.reconnect()
    worker.started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_server_that_hangs(world):
    """It stands still with its connections open, as in a long pause of a virtual machine."""
    world.open()
    world.feed(2000)
    worker = Worker(world).started()
    world.server.process.send_signal(harness.signal.SIGSTOP)
    time.sleep(AWAY_S)
    world.server.process.send_signal(harness.signal.SIGCONT)
    world.reconnect()
    world.feed(2000)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_an_output_stream_that_is_full(world):
    """The server refuses what goes beyond the stream's limit: the worker waits, says why, and goes on when there is room."""
    world.open()
    world.feed(500)
    worker = Worker(world).started()
    world.caught_up(worker)
    config = world.client.api(f"STREAM.INFO.{harness.OUTPUT}")["config"]
    used = world.client.stream(harness.OUTPUT)["bytes"]
    world.client.api(f"STREAM.UPDATE.{harness.OUTPUT}", {**config, "max_bytes": used + 1000, "discard": "new"})
    world.feed(2000)
    harness.until(lambda: "maximum bytes exceeded" in worker.log(), "the worker says what the server says", worker=worker)
    world.client.api(f"STREAM.UPDATE.{harness.OUTPUT}", {**config, "max_bytes": -1})
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_server_without_room_for_more(world):
    """JetStream's own storage is used up."""
    world.open(config="", storage="max_file_store: 4MB")
    world.feed(500)
    worker = Worker(world).started()
    world.caught_up(worker)
    filler = world.client
    filler.create_stream("FILLER", ["filler"])
    room = 512 << 10
    while room > 1000:  # fills up what is left
        try:
            filler.store("filler", bytes(room))
        except harness.nats.NatsError:
            room //= 2
    try:
        for _ in range(100):
            world.client.store("faults.in", harness.payload(world.fed))
            world.fed += 1
    except harness.nats.NatsError:
        pass  # no room for input either
    filler.api("STREAM.DELETE.FILLER")
    world.feed(1000)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


if __name__ == "__main__":
    harness.main()
