#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""State that isn't what was written: copied while the worker ran, cut, flipped. It is set aside and rebuilt by itself, and
nothing wrong comes out; what isn't damage (a disk that can't be written, a folder in use) is left where it is."""
import hashlib
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import INPUT, Server, Skip, Worker, check, check_words, until  # noqa: E402

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


def test_a_folder_copied_while_the_worker_runs(world):
    """The MANIFEST first, the rest after more flushes: what a file-by-file backup of a large state gives."""
    wide(world)
    worker = start(world)
    work(world, worker, 3000)
    copy = os.path.join(world.folder, "copy")
    os.mkdir(copy)
    for name in os.listdir(folder(world)):
        if name.startswith(("CURRENT", "MANIFEST", "OPTIONS", "IDENTITY")):
            shutil.copy(os.path.join(folder(world), name), copy)
    work(world, worker, 12000)  # files of their own
    work(world, worker, 100)  # a small flush, which the WAL holds
    for name in os.listdir(folder(world)):
        if not os.path.exists(os.path.join(copy, name)) and name != "runs":
            shutil.copy(os.path.join(folder(world), name), copy)
    worker.kill()
    shutil.rmtree(folder(world))
    os.rename(copy, folder(world))
    worker = start(world)
    check_rebuilt(world, worker)
    worker.stopped()
    shutil.rmtree(folder(world))
    worker = start(world)  # and the log is one that it can be rebuilt from
    check_rows(world)
    worker.stopped()


def test_a_manifest_that_lost_its_end(world):
    wide(world)
    worker = start(world)
    work(world, worker, 8000)
    worker.stopped()
    worker = start(world)
    work(world, worker, 200)
    worker.stopped()
    good = os.path.join(world.folder, "good")
    shutil.copytree(folder(world), good)
    size = os.path.getsize(manifest(world))
    for cut in (1, 20, 60, 100, size - 50):
        shutil.rmtree(os.path.dirname(folder(world)))
        shutil.copytree(good, folder(world))
        os.truncate(manifest(world), size - cut)
        worker = start(world)
        check_rebuilt(world, worker, os.path.basename(manifest(world))[:9], "bytes that it had")
        worker.stopped()


def test_files_that_are_missing(world):
    wide(world)
    worker = start(world)
    work(world, worker, 8000)
    worker.stopped()
    good = os.path.join(world.folder, "good")
    shutil.copytree(folder(world), good)
    for name in ("CURRENT", "PROOF", os.path.basename(manifest(world)), files(world, ".sst")[0]):
        shutil.rmtree(os.path.dirname(folder(world)))
        shutil.copytree(good, folder(world))
        os.remove(os.path.join(folder(world), name))
        worker = start(world)
        check_rebuilt(world, worker, name.removesuffix(".sst"))
        worker.stopped()


def test_blocks_that_are_found_damaged_while_the_worker_runs(world):
    wide(world)
    worker = start(world)
    work(world, worker, 24000)
    worker.stopped()
    check(len(files(world, ".sst")) > 1, "too few files for this test")
    flip_blocks(world)
    # Nothing shows before blocks are read.
    worker = Worker(world, flags=FLAGS).started()
    check("damaged" not in worker.log(), worker.log())
    feed(world, 4000)
    world.caught_up(worker)
    check_rebuilt(world, worker, "checksum", "found while")
    check(worker.log().count("message=running") == 2, worker.log())  # the same process
    # Once more: now something is wrong with the machine.
    work(world, worker, 24000)
    flip_blocks(world)
    world.braid("query", "faults", ALL, "--server", world.server.url, status=harness.EXIT_NO)  # reads what isn't hot
    worker.failed("damaged again", "--data on another disk")
    # The next start begins anew all the same.
    worker = start(world)
    check_rows(world)
    worker.stopped()


def test_a_replay_whose_state_is_damaged(world):
    """It is found while it is compared; and again when the replay is live, in the process that promoted it."""
    wide(world)
    worker = start(world)
    work(world, worker, 24000)
    server = ["--server", world.server.url]
    name = world.braid("replay", "start", "faults", "--wait", *server).split()[0].rstrip(":")
    flip_blocks(world, name)
    world.braid("replay", "promote", "faults", name, "--wait", *server)
    check(aside(world) == [name + ".aside-1"], f"{aside(world)} set aside")
    check_words(worker.log(), "set aside and rebuilt from the log", f"lineage={name}", "begins anew")
    work(world, worker, 24000)
    check_rows(world)
    flip_blocks(world, name)
    world.braid("query", "faults", ALL, *server, status=harness.EXIT_NO)
    until(lambda: len(aside(world)) == 2, "the state of the lineage that was promoted to be set aside", worker=worker)
    feed(world, 100)
    world.caught_up(worker)
    check_rows(world)
    worker.stopped()


def test_what_is_no_damage_is_left_where_it_is(world):
    wide(world)
    disk = os.path.join(world.folder, "state")
    os.mkdir(disk)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        raise Skip(f"can't mount a small tmpfs: {mounted.stderr.decode().strip()}")
    world.mounts.append(disk)
    worker = start(world)
    work(world, worker, 3000)
    Worker(world, flags=FLAGS).failed("in use", "another process")
    worker.stopped()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    Worker(world, flags=FLAGS).failed(folder(world), "ead-only file system")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    os.chmod(folder(world), 0o555)
    if os.geteuid() == 0:
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        os.chmod(world.folder, 0o755)
        Worker(world, flags=FLAGS, prefix=nobody).failed(folder(world), "Permission denied")
    os.chmod(folder(world), 0o755)
    check(aside(world) == [], f"{aside(world)} set aside")
    worker = start(world)
    check("recovered" not in worker.log() and aside(world) == [], worker.log())
    check_rows(world)
    worker.stopped()


def test_verify(world):
    """Beside the worker, without it, without a server; and what it says of damage."""
    wide(world)
    server = ["--server", world.server.url]
    worker = start(world)
    work(world, worker, 10000)
    check_words(verify(world, *server).stdout, "live: sound", "every checksum is right", "all there", "the log has it")
    feed(world, 3000)  # while it works
    verify(world, *server)
    world.caught_up(worker)
    worker.stopped()
    found = json.loads(verify(world, "--json", *server).stdout)
    check(found["sound"] and found["log"] == "confirmed" and found["proof"] and found["flush"] == found["proven_flush"] > 0
          and found["files"] > 0 and found["bytes"] > 1000000 and found["epoch"] > 0, f"{found}")
    done = verify(world, "--server", "nats://127.0.0.1:1")
    check_words(done.stdout, "live: sound", "no server could be asked")
    check_words(done.stderr, "the log isn't asked")
    verify(world, "--lineage", "other", *server, status=harness.EXIT_FAILED)
    flip_blocks(world)
    found = json.loads(verify(world, "--json", *server, status=harness.EXIT_NO).stdout)
    check(not found["sound"] and "checksum" in found["damage"], f"{found}")
    check(aside(world) == [] and "DAMAGED" not in os.listdir(folder(world)), "verify has changed the folder")
    check_words(verify(world, *server, status=harness.EXIT_NO).stdout, "live: not sound", "rebuilds it from the log")
    shutil.rmtree(os.path.dirname(folder(world)))
    check_words(verify(world, *server, status=harness.EXIT_FAILED).stderr, "no state in", "--data")


harness.main()
