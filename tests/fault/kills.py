#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed, doubled or stopped while events flow: nothing is lost or doubled (X1 to X7)."""
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import Worker, check, until  # noqa: E402

KILLS = 10
EVENTS = 20000


class Flow:
    """Feeds events from a thread of its own, with a connection of its own, until there are enough or it is told to end."""

    def __init__(self, world, count, per_second):
        self.world, self.count, self.per_second = world, count, per_second
        self.client = world.server.connect()
        self.ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        begin = time.monotonic()
        for index in range(self.count):
            self.client.publish("faults.in", harness.payload(index))
            self.world.fed = index + 1
            if index % 50 == 49:
                time.sleep(max(0, begin + index / self.per_second - time.monotonic()))
            if self.ended:
                break

    def join(self):
        self.thread.join()
        until(lambda: self.world.client.stream(harness.INPUT)["last_seq"] == self.world.fed, "the input stream")
        self.client.close()


def kill_again_and_again(world, flags=()):
    flow = Flow(world, EVENTS, 2500)
    worker = Worker(world, flags=flags)
    for _ in range(KILLS):
        # From before it has connected to well into its work.
        time.sleep(world.random.uniform(0.02, 0.7))
        worker.kill()
        worker = Worker(world, flags=flags)
    flow.join()
    worker.started()
    world.caught_up(worker)
    world.check_outcome()
    return worker


def test_a_worker_killed_again_and_again(world):
    kill_again_and_again(world.open()).stopped()


def test_a_worker_killed_between_flushes_of_its_state(world):
    """So little memory that the state is written all the time: workers go on from what the one before has written."""
    world.write("faults.sql", harness.PIPELINE +
                "CREATE MATERIALIZED VIEW per_id AS SELECT id, count(*) AS n FROM events GROUP BY id;\n")
    worker = kill_again_and_again(world.open(), ["--state-memory", "1"])
    rows = world.query("SELECT count(*) AS ids, sum(n) AS n, max(n) AS most FROM per_id")
    check(rows == [{"ids": EVENTS, "n": EVENTS, "most": 1}], f"{rows}")
    until(lambda: world.status()["state"]["flushes"] > 0, "the state is written", worker=worker)
    worker.kill()
    world.feed(10)
    worker = Worker(world).started()
    check(re.search(r"epoch=[1-9]", worker.log()) and "state_epoch=0" not in worker.log(), worker.log())
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_worker_killed_in_the_middle_of_epochs_of_many_parts(world):
    world.open()
    world.feed(12000)
    flags = ["--epoch-rows", "4000"]  # five parts an epoch
    for _ in range(6):
        worker = Worker(world, flags=flags).started()
        time.sleep(world.random.uniform(0, 0.06))
        worker.kill()
    worker = Worker(world, flags=flags).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_two_workers_on_two_data_directories(world):
    """The second takes over, the first is fenced at its next commit and stops with a message."""
    world.open()
    flow = Flow(world, EVENTS, 4000)
    first = Worker(world, data="one").started()
    until(lambda: any(True for _ in world.client.messages(harness.OUTPUT, harness.COMMITS)), "a first commit", worker=first)
    second = Worker(world, data="two")
    until(lambda: first.process.poll() is not None or second.process.poll() is not None, "one of the workers is fenced")
    fenced, other = (first, second) if first.process.poll() is not None else (second, first)
    fenced.failed("fenced", "faults", "no longer owns the task")
    flow.join()
    world.caught_up(other)
    world.check_outcome()
    other.stopped()


def test_ctrl_c_stops_cleanly(world):
    world.open()
    flow = Flow(world, EVENTS, 4000)
    worker = Worker(world).started()
    until(lambda: any(True for _ in world.client.messages(harness.OUTPUT, harness.COMMITS)), "a first commit", worker=worker)
    worker.stopped()
    harness.check_words(worker.log(), "stopped", "faults")
    flow.ended = True
    flow.join()
    worker = Worker(world).started()
    check("recovered" not in worker.log(), "after a clean stop there was something to recover")
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_ctrl_c_while_the_server_is_away(world):
    world.open()
    world.feed(3000)
    worker = Worker(world, flags=["--epoch-rows", "50"]).started()
    world.server.stop(harness.signal.SIGKILL)
    worker.process.send_signal(harness.signal.SIGINT)
    # Idle when it came: it stops cleanly. With a commit under way: it can't wait for its answer.
    status = worker.waited(30)
    check(status in (0, 130), f"exit status {status}:\n{worker.log()[-2000:]}")
    harness.check_words(worker.log(), "stopped")
    world.server.start()
    world.reconnect()
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_ctrl_c_during_recovery(world):
    world.open()
    world.feed(4000)
    worker = Worker(world, flags=["--epoch-rows", "10"]).started()
    world.caught_up(worker)
    worker.kill()
    harness.shutil.rmtree(worker.data)
    for _ in range(3):
        worker = Worker(world)
        time.sleep(world.random.uniform(0.02, 0.2))
        worker.process.send_signal(harness.signal.SIGINT)
        # Before signals are caught it dies of this one; in recovery it is interrupted; after it, it stops.
        check(worker.waited(10) in (-2, 0, 130), f"exit status {worker.process.returncode}:\n{worker.log()[-2000:]}")
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_ctrl_c_while_there_is_no_server_yet(world):
    world.server = harness.Server(world)
    world.server.stop()
    worker = Worker(world)
    until(lambda: os.path.exists(f"/proc/{worker.process.pid}/exe") and worker.log(), "the worker says that it waits",
          worker=worker)
    worker.process.send_signal(harness.signal.SIGINT)
    check(worker.waited(20) in (0, 130), f"exit status {worker.process.returncode}")


harness.main()
