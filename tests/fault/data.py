#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The data directory: another pipeline's, in use, lost, ahead of the log (X9), on a full disk."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import OUTPUT, Server, Skip, Worker, check, check_words, until  # noqa: E402


def work(world, count, flags=()):
    world.feed(count)
    worker = Worker(world, flags=flags).started()
    world.caught_up(worker)
    return worker


def test_a_data_directory_in_use(world):
    world.open()
    first = work(world, 100)
    Worker(world).failed(first.data, "in use", "another process", "another folder")
    world.feed(100)
    world.caught_up(first)
    world.check_outcome()
    first.stopped()


def test_a_data_directory_of_another_pipeline(world):
    world.open()
    work(world, 100).stopped()
    # A data directory has a folder for each pipeline: only who moves one can mix them up.
    os.rename(os.path.join(world.folder, "state", "faults"), os.path.join(world.folder, "state", "other"))
    path = world.write("other.sql", harness.PIPELINE.replace("'faults'", "'other'"))
    Worker(world, pipeline=path).failed("belongs to pipeline faults", "not to other", "--data")


def test_a_data_directory_that_is_a_file(world):
    world.open()
    world.write("state", "")
    Worker(world).failed(os.path.join(world.folder, "state"))


def test_a_data_directory_that_can_not_be_made(world):
    world.open()
    Worker(world, data="/proc/braid").failed("/proc/braid")


def test_a_lost_state_is_rebuilt_from_the_log(world):
    world.open()
    worker = work(world, 3000)
    worker.kill()
    shutil.rmtree(worker.data)
    worker = work(world, 1000)
    check_words(worker.log(), "recovered")
    world.check_outcome()
    worker.stopped()


def test_a_state_that_is_damaged(world):
    """Files of the state cut to nothing: it is set aside, and rebuilt by itself."""
    world.open()
    worker = work(world, 3000)
    worker.stopped()
    for folder, _, files in os.walk(worker.data):
        for name in files:
            if name.startswith("MANIFEST"):
                os.truncate(os.path.join(folder, name), 10)
    worker = work(world, 10)
    check_words(worker.log(), "damaged", "MANIFEST", "set aside and rebuilt from the log", worker.data)
    world.check_outcome()
    worker.stopped()


def test_a_state_ahead_of_the_log_is_set_aside_and_rebuilt(world):
    """The server goes back to an older copy of the output stream, as after a restore or a power loss."""
    world.open()
    work(world, 1000, ["--epoch-rows", "100"]).stopped()
    folder = os.path.join(world.server.store, "jetstream", "$G", "streams", OUTPUT)
    world.server.stop()
    shutil.copytree(folder, folder + ".copy")
    os.rename(folder + ".copy", os.path.join(world.folder, "copy"))
    world.server.start()
    world.reconnect()
    work(world, 500, ["--epoch-rows", "100"]).stopped()
    world.server.stop()
    shutil.rmtree(folder)
    os.rename(os.path.join(world.folder, "copy"), folder)
    world.server.start()
    world.reconnect()
    worker = work(world, 500)
    check_words(worker.log(), "set aside", "rebuilt from the log")
    world.check_outcome()
    worker.stopped()
    aside = [name for name in os.listdir(os.path.join(worker.data, "faults")) if name != "live"]
    check(aside, "the state that was set aside is nowhere")


def test_the_last_commit_lost(world):
    """Only the newest batch is gone from the log (its commit message): the state was one epoch ahead."""
    world.open()
    work(world, 1000, ["--epoch-rows", "100"]).stopped()
    commits = [sequence for sequence, _ in world.client.messages(OUTPUT, harness.COMMITS)]
    for sequence in range(commits[-2] + 1, commits[-1] + 1):
        world.client.api(f"STREAM.MSG.DELETE.{OUTPUT}", {"seq": sequence})
    worker = work(world, 100)
    check_words(worker.log(), "set aside")
    world.check_outcome()
    worker.stopped()


# Values long enough to fill a small disk.
WIDE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL, filler text) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW last AS SELECT id, max(filler) AS filler FROM events GROUP BY id;
"""


def test_a_full_disk_stops_the_worker_and_loses_nothing(world):
    world.server = Server(world)
    world.client = world.server.connect()
    world.client.create_stream(harness.INPUT, ["faults.in"])
    disk = os.path.join(world.folder, "disk")
    os.mkdir(disk)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        raise Skip(f"can't mount a small tmpfs: {mounted.stderr.decode().strip()}")
    world.mounts.append(disk)
    path = world.write("wide.sql", WIDE)
    count = 40000
    for index in range(count):
        filler = "".join(world.random.choices("0123456789abcdef", k=40)) * 25  # a kilobyte that hardly compresses away
        world.client.publish("faults.in", harness.payload(index) + harness.proto.data(4, f"{index} {filler}"))
    until(lambda: world.client.stream(harness.INPUT)["last_seq"] == count, "the input stream")
    flags = ["--state-memory", "16"]
    Worker(world, data=disk + "/state", pipeline=path, flags=flags).failed(disk, "No space left on device")
    # With room again it goes on where the log says.
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    worker = Worker(world, data=disk + "/state", pipeline=path, flags=flags).started()
    world.caught_up(worker)
    rows = world.query("SELECT count(*) AS n, count(DISTINCT id) AS ids, max(id) AS last FROM last")
    check(rows == [{"n": count, "ids": count, "last": count - 1}], f"{rows}")
    text = world.braid("tail", path, "--from-start", "--no-follow", "--server", world.server.url)
    check(len(text.splitlines()) == count, f"{len(text.splitlines())} changes for {count} events")
    worker.stopped()


harness.main()
