# SPDX-License-Identifier: Apache-2.0
"""A pipeline whose state is large enough for several files, for tests that damage them."""
import hashlib
import os
import subprocess

import harness
from harness import INPUT, Server, Worker, check, check_words, until

# Values long enough for several files of state.
WIDE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL, filler text) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW last AS SELECT id % 20000 AS slot, count(*) AS n, sum(amount) AS total, max(filler) AS filler
  FROM events GROUP BY id % 20000;
"""
FLAGS = ["--state-memory", "16"]
ALL = "SELECT count(*) AS slots, sum(n) AS n, sum(total) AS total FROM last"


def wide(world):
    world.server = Server(world)
    world.client = world.server.connect()
    world.client.create_stream(INPUT, ["faults.in"])
    world.pipeline = world.write("wide.sql", WIDE)


def feed(world, count):
    for index in range(world.fed, world.fed + count):
        filler = hashlib.sha256(str(index).encode()).hexdigest() * 15
        world.client.publish("faults.in", harness.payload(index) + harness.proto.data(4, filler))
    world.fed += count
    until(lambda: world.client.stream(INPUT)["last_seq"] == world.fed, "the input stream")


def start(world, **options):
    worker = Worker(world, flags=FLAGS, **options).started()
    world.caught_up(worker)
    return worker


def work(world, worker, count):
    """Feeds, and waits until all of it is in the files."""
    feed(world, count)
    world.caught_up(worker)
    until(lambda: world.status()["state"]["dirty_bytes"] == 0, "a flush", worker=worker)


def check_rows(world):
    want = {"slots": len({index % 20000 for index in range(world.fed)}), "n": world.fed,
            "total": sum(harness.event(index)["amount"] for index in range(world.fed))}
    rows = [{name: int(value) for name, value in row.items()} for row in world.query(ALL)]
    check(rows == [want], f"{rows} instead of {want}")
    world.check_commits()


def folder(world, lineage="live"):
    return os.path.join(world.folder, "state", "faults", lineage)


def aside(world):
    return sorted(name for name in os.listdir(os.path.dirname(folder(world))) if ".aside-" in name)


def check_rebuilt(world, worker, *words):
    check_words(worker.log(), "damaged", "set aside and rebuilt from the log", *words)
    check(len(aside(world)) == 1, f"{aside(world)} set aside")
    feed(world, 100)
    world.caught_up(worker)
    check_rows(world)


def files(world, suffix):
    return sorted(name for name in os.listdir(folder(world)) if name.endswith(suffix))


def manifest(world):
    with open(os.path.join(folder(world), "CURRENT"), encoding="ascii") as file:
        return os.path.join(folder(world), file.read().strip())


def flip_blocks(world, lineage="live"):
    """A byte in every few kilobytes of every SST; neither where opening reads, nor in its end."""
    names = [name for name in os.listdir(folder(world, lineage)) if name.endswith(".sst")]
    check(names, f"no files to spoil in {folder(world, lineage)}")
    for name in names:
        with open(os.path.join(folder(world, lineage), name), "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            for offset in range(size // 4, size * 3 // 4, 3000):
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ 1]))


def verify(world, *flags, status=harness.EXIT_OK):
    done = subprocess.run([harness.BRAID, "verify", world.pipeline, "--state", "--data", os.path.join(world.folder, "state"),
                           *flags], capture_output=True, text=True, check=False, timeout=60)
    check(done.returncode == status, f"exit status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
