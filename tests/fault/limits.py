#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Input streams with limits: what they can't keep is said before the first event, and what a limit takes is lost only where it must be."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import INPUT, Worker, check, until  # noqa: E402

USERS = """
SET braid.pipeline = 'faults';
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL) WITH (subject = 'users.*');
CREATE MATERIALIZED VIEW names AS SELECT name, count(*) AS n FROM users GROUP BY name;
"""


def user(world, number, name):
    world.client.store(f"users.{number}", proto.number(1, number) + proto.data(2, name))


def names(world):
    return {row["name"]: row["n"] for row in world.query("SELECT name, n FROM names")}


def compacted(world, **more):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    world.client.api("STREAM.CREATE.USERS", {"name": "USERS", "subjects": ["users.*"], "storage": "file", "max_msgs_per_subject": 1, **more})
    path = world.write("users.sql", USERS)
    for number in range(3):
        user(world, number, "old")
    return path


def frozen_over_a_restart(world, worker, change):
    """The worker sees nothing of what is changed meanwhile."""
    worker.process.send_signal(harness.signal.SIGSTOP)
    world.server.stop()
    world.server.start()
    world.reconnect()
    change()
    worker.process.send_signal(harness.signal.SIGCONT)


def test_messages_that_were_replaced_before_they_were_read(world):
    path = compacted(world)
    worker = Worker(world, pipeline=path).started()
    until(lambda: names(world) == {"old": 3}, "the rows", worker=worker)

    def change():
        for turn in range(10):
            for number in range(3):
                user(world, number, f"live{turn}")
    frozen_over_a_restart(world, worker, change)
    until(lambda: "the connection is back" in worker.log(), "the connection", worker=worker)
    until(lambda: names(world) == {"live9": 3}, "the newest rows", worker=worker)
    worker.stopped()
    for turn in range(10):
        for number in range(3):
            user(world, number, f"away{turn}")
    worker = Worker(world, pipeline=path).started()
    until(lambda: names(world) == {"away9": 3}, "the newest rows", worker=worker)
    worker.stopped()


def test_rows_that_a_limit_took_are_missed(world):
    """Where the stream has another limit it isn't known that what is gone was replaced."""
    path = compacted(world, max_msgs=3)
    worker = Worker(world, pipeline=path).started()
    until(lambda: names(world) == {"old": 3}, "the rows", worker=worker)
    worker.stopped()
    for number in range(3, 10):
        user(world, number, "new")
    Worker(world, pipeline=path).failed("users", "USERS", "are gone")


def test_events_that_were_replaced_are_missed(world):
    """They have no key: each counts."""
    world.open()
    config = world.client.api(f"STREAM.INFO.{INPUT}")["config"]
    world.client.api(f"STREAM.UPDATE.{INPUT}", {**config, "max_msgs_per_subject": 500})
    world.feed(400)
    worker = Worker(world).started()
    world.caught_up(worker)
    worker.stopped()
    world.feed(900)
    Worker(world).failed("events", INPUT, "are gone")


def test_what_was_received_before_a_limit_took_the_rest_is_committed(world):
    world.open()
    config = world.client.api(f"STREAM.INFO.{INPUT}")["config"]
    world.client.api(f"STREAM.UPDATE.{INPUT}", {**config, "max_msgs": 2000})
    world.feed(1000)
    worker = Worker(world, flags=["--epoch-rows", "20"])
    until(lambda: "running" in worker.log(), "the start", worker=worker)
    world.caught_up(worker)
    world.feed(1000)  # received, or on its way, when the worker is frozen
    frozen_over_a_restart(world, worker, lambda: world.feed(5000))
    worker.failed("events", INPUT, "are gone")
    seen = [change["row"]["id"] for change in world.changes() if change["view"] == "passed"]
    first = int(worker.log().split("sequences ")[1].split(" ")[0])  # the first that is gone
    check(seen == list(range(first - 1)), f"{len(seen)} events are committed; what is gone begins at {first}")


def stream(world, name, **config):
    world.client.api(f"STREAM.CREATE.{name}", {"name": name, "storage": "file", **config})


def events_of(options):
    return harness.PIPELINE.replace("subject = 'faults.in'", options)


def read(world, path, count):
    """A worker reads that many events, and ends."""
    worker = Worker(world, pipeline=path).started()

    def done():
        status = world.status()
        return status and status["inputs"][0]["rows"] == count and status["committed"] == status["epoch"]
    until(done, f"{count} events are read", worker=worker)
    worker.stopped()
    return worker


def test_mirrors_and_sources(world):
    world.open()
    world.feed(100)
    stream(world, "MIRRORED", mirror={"name": INPUT})
    stream(world, "SOURCED", sources=[{"name": INPUT}])
    for name in "MIRRORED", "SOURCED":
        until(lambda: world.client.stream(name)["messages"] == 100, "the copy")
        path = world.write(f"{name}.sql", events_of(f"subject = 'faults.in', stream = '{name}'").replace("'faults'", f"'of_{name}'"))
        worker = Worker(world, pipeline=path).started()

        def done():
            text = world.braid("status", f"of_{name}", "--json", "--server", world.server.url)
            return f'"stream":"{name}"' in text and '"rows":100' in text
        until(done, f"the events of {name}", worker=worker)
        worker.stopped()
    world.client.api("STREAM.DELETE.SOURCED")
    world.client.api(f"STREAM.DELETE.{INPUT}")  # now the mirror alone has them, and is found by that
    read(world, world.pipeline, 100)


def test_a_named_stream_that_is_not_there(world):
    world.open()
    path = world.write("named.sql", events_of("subject = 'faults.in', stream = 'NOWHERE'"))
    Worker(world, pipeline=path).failed("events", "no stream NOWHERE")


def test_a_stream_that_stores_under_another_subject(world):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    stream(world, "MAPPED", subjects=["raw.*"], subject_transform={"src": "raw.*", "dest": "cooked.{{wildcard(1)}}.done"})
    for index in range(50):
        world.client.store(f"raw.{index % 3}", harness.payload(index))
    path = world.write("raw.sql", events_of("subject = 'raw.*'"))
    Worker(world, pipeline=path).failed("events", "MAPPED", "raw.*", "cooked.{{wildcard(1)}}.done")
    read(world, world.write("cooked.sql", events_of("subject = 'cooked.*.done'")), 50)


def test_a_stream_that_lacks_the_subject_when_it_is_named(world):
    """Nothing would come of it, and nothing would tell."""
    world.open()
    stream(world, "OTHER", subjects=["other.in"])
    path = world.write("named.sql", events_of("subject = 'faults.in', stream = 'OTHER'"))
    Worker(world, pipeline=path).failed("events", "OTHER", "faults.in")
    check("OTHER" in world.braid("check", path, "--streams", "--server", world.server.url, status=harness.EXIT_FAILED), "check is silent")


def checked(world, status, *words):
    path = world.pipeline
    done = harness.subprocess.run([harness.BRAID, "check", path, "--streams", "--server", world.server.url], capture_output=True, text=True,
                                  check=False, timeout=60)
    check(done.returncode == status, f"exit status {done.returncode}, not {status}:\n{done.stderr}")
    harness.check_words(done.stderr, *words)


def test_limits_are_told_before_the_first_event(world):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    for config, status, words in (
            ({"max_age": 3600 * 10**9, "max_msgs": 5000}, harness.EXIT_OK, ("after 3600 s", "beyond 5000 messages", "archive")),
            ({"max_msgs_per_subject": 5}, harness.EXIT_NO, ("newest 5 of each subject", "are lost", "archive")),
            ({"retention": "interest"}, harness.EXIT_NO, ("interest", "is lost", "source"))):
        stream(world, INPUT, subjects=["faults.in"], **config)
        checked(world, status, "events", INPUT, *words)
        worker = Worker(world, data="state" + words[0].replace(" ", "")).started()
        harness.check_words(worker.log().split("message=running")[0], INPUT, *words)
        worker.stopped()
        world.client.api(f"STREAM.DELETE.{INPUT}")
        world.client.api(f"STREAM.DELETE.{harness.OUTPUT}")


def test_a_work_queue_is_refused(world):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    stream(world, INPUT, subjects=["faults.in"], retention="workqueue")
    checked(world, harness.EXIT_NO, "events", INPUT, "work queue", "source")
    Worker(world).failed("events", INPUT, "work queue", "source")


if __name__ == "__main__":
    harness.main()
