#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The archive of a worker that is killed, whose stream forgets, whose disk is full: every message once, or said aloud."""
import base64
import collections
import fcntl
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import segments  # noqa: E402
from harness import EXIT_NO, INPUT, Skip, Worker, check, until  # noqa: E402

FLAGS = ("--archive-every", "1", "--epoch-rows", "50")


def archived_pipeline(world, folder):
    return world.write("archived.sql", f"SET braid.archive = 'file://{folder}';\n{harness.PIPELINE}")


def start(world, **options):
    return Worker(world, pipeline=world.archived, flags=FLAGS, **options)


def prepare(world, folder=None, **stream):
    world.open()
    if stream:
        world.client.api(f"STREAM.UPDATE.{INPUT}", {"name": INPUT, "subjects": ["faults.in"], "storage": "file", **stream})
    world.archive = folder or os.path.join(world.folder, "archive")
    world.archived = archived_pipeline(world, world.archive)


def listing(world):
    text = world.braid("archive", "ls", world.archived, "events", "--json")
    return [json.loads(line) for line in text.splitlines()]


def archived_to(world):
    found = listing(world)
    return found[-1]["to"] if found else 0


def await_archived(world, worker, sequence):
    until(lambda: archived_to(world) >= sequence, f"the archive holds everything up to {sequence}", worker=worker)


def check_archive(world, events):
    """Sound, and each event once."""
    world.braid("archive", "verify", world.archived)
    text = world.braid("archive", "cat", world.archived, "events")
    seen = collections.Counter(json.loads(line)["row"]["id"] for line in text.splitlines())
    check(seen == collections.Counter(events), f"{len(seen)} events of {len(events)} in the archive")


def test_a_killed_worker_archives_each_message_once(world):
    prepare(world)
    for _ in range(6):
        world.feed(world.random.randrange(50, 400))
        worker = start(world)
        until(lambda: "archiving" in worker.log(), "archiving begins", worker=worker)
        if world.random.random() < 0.5:
            await_archived(world, worker, world.random.randrange(1, world.fed))
        worker.kill()
    worker = start(world).started()
    await_archived(world, worker, world.fed)
    worker.stopped()
    check_archive(world, range(world.fed))


def test_a_stream_that_forgets_what_is_archived(world):
    prepare(world)
    for _ in range(4):
        worker = start(world).started()
        world.feed(200)
        await_archived(world, worker, world.fed)
        world.caught_up(worker)
        worker.stopped()
        world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": archived_to(world) + 1})
    check_archive(world, range(world.fed))


def test_what_the_stream_forgot_before_it_was_archived_is_said_aloud(world):
    prepare(world)
    world.feed(100)
    worker = start(world).started()
    await_archived(world, worker, 100)
    worker.stopped()
    elsewhere = Worker(world, flags=("--epoch-rows", "50")).started()  # without an archive
    world.feed(100)
    world.caught_up(elsewhere)
    elsewhere.stopped()
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": 181})
    world.feed(50)
    worker = start(world).started()
    world.caught_up(worker)
    until(lambda: "archiving has stopped" in worker.log(), "the hole is told", worker=worker)
    check("sequences 101 to 180 are gone" in worker.log(), worker.log()[-2000:])
    status = until(lambda: (found := world.status()) and found.get("warnings") and found, "the status tells", worker=worker)
    check("101 to 180" in status["warnings"][0], status["warnings"])
    worker.stopped()  # the pipeline has gone on
    check_archive(world, range(100))


def test_a_folder_that_another_process_writes_to_is_waited_for(world):
    prepare(world)
    folder = os.path.join(world.archive, "faults", "events")
    os.makedirs(folder)
    world.feed(10)
    with open(os.path.join(folder, ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        worker = start(world).started()
        until(lambda: "another process archives" in worker.log(), "the lock is told", worker=worker)
    await_archived(world, worker, 10)
    worker.stopped()
    check_archive(world, range(10))


def test_a_limit_that_will_delete_what_is_needed_is_warned_of(world):
    prepare(world, max_age=16_000_000_000, duplicate_window=1_000_000_000)
    world.feed(10)
    worker = Worker(world, pipeline=world.archived, flags=("--archive-every", "3600")).started()
    status = until(lambda: (found := world.status()) and found.get("warnings") and found, "the status warns", worker=worker)
    check("the archive of table events needs stream" in status["warnings"][0] and "max_age" in status["warnings"][0], status)
    check("level=warn message=retention" in worker.log(), worker.log()[-1000:])
    worker.stopped()
    check_archive(world, range(10))


def test_a_full_disk_stops_nothing_and_is_caught_up_with(world):
    folder = os.path.join(world.folder, "small")
    os.mkdir(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False).returncode:
        raise Skip("mounting needs root")
    world.mounts.append(folder)
    prepare(world, folder)
    ballast = os.path.join(folder, "ballast")
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, b"\0" * 4096):
            pass
    except OSError:
        os.close(descriptor)
    worker = start(world).started()
    world.feed(300)
    world.caught_up(worker)
    until(lambda: "No space left" in worker.log(), "the full disk is told", worker=worker)
    world.check_outcome()
    os.remove(ballast)
    await_archived(world, worker, world.fed)
    worker.stopped()
    check_archive(world, range(world.fed))


def test_damage_is_found_and_named(world):
    prepare(world)
    worker = start(world).started()
    for _ in range(3):
        world.feed(300)
        await_archived(world, worker, world.fed)
    worker.stopped()
    folder = os.path.join(world.archive, "faults", "events")
    path = os.path.join(folder, sorted(name for name in os.listdir(folder) if name.endswith(".avro"))[0])
    with open(path, "rb") as file:
        whole = bytearray(file.read())
    for _ in range(20):
        broken = bytearray(whole)
        broken[world.random.randrange(len(broken))] ^= 1 << world.random.randrange(8)
        with open(path, "wb") as file:
            file.write(broken)
        done = subprocess.run([harness.BRAID, "archive", "verify", world.archived], capture_output=True, text=True, check=False)
        check(done.returncode == EXIT_NO and os.path.basename(path) in done.stdout, done.stdout + done.stderr)
    with open(path, "wb") as file:
        file.write(whole)
    check_archive(world, range(world.fed))


def test_a_lost_oldest_segment_is_missed(world):
    prepare(world)
    worker = start(world).started()
    for count in (900, 300, 30):
        world.feed(count)
        await_archived(world, worker, world.fed)
    worker.stopped()
    world.client.api(f"STREAM.PURGE.{INPUT}", {"keep": 10})
    folder = os.path.join(world.archive, "faults", "events")

    def count(status=0):
        return world.braid("query", world.archived, "SELECT count(*) AS n FROM events", "--over", "history", "--json", "--server",
                           world.server.url, status=status)
    check(json.loads(count()) == {"n": world.fed}, count())
    names = sorted(name for name in os.listdir(folder) if name.endswith(".avro"))
    check(len(names) > 1, names)
    os.rename(os.path.join(folder, names[0]), os.path.join(world.folder, "kept"))
    harness.check_words(count(status=harness.EXIT_FAILED), "hole", "sequences 1 to")
    harness.check_words(world.braid("replay", "plan", "faults", "--server", world.server.url, status=EXIT_NO), "")
    done = subprocess.run([harness.BRAID, "archive", "verify", world.archived], capture_output=True, text=True, check=False)
    check(done.returncode == EXIT_NO and "sequences 1 to" in done.stdout and "not sound" in done.stdout, done.stdout)
    # A segment under another one's name isn't printed as if it were that one; a FIFO among them keeps nobody waiting.
    wrong = os.path.join(folder, f"{1:020d}-{7:020d}.avro")
    os.rename(os.path.join(world.folder, "kept"), wrong)
    harness.check_words(world.braid("archive", "cat", world.archived, "events", status=harness.EXIT_FAILED), "was it renamed")
    os.rename(wrong, os.path.join(folder, names[0]))
    os.mkfifo(os.path.join(folder, f"{9001:020d}-{9002:020d}.avro"))
    harness.check_words(world.braid("archive", "cat", world.archived, "events", status=harness.EXIT_FAILED), "no regular file")
    os.remove(os.path.join(folder, f"{9001:020d}-{9002:020d}.avro"))
    check(json.loads(count()) == {"n": world.fed}, count())
    check_archive(world, range(world.fed))


def test_the_format_is_what_its_page_says(world):
    prepare(world)
    for index in range(200):
        headers = {"A": str(index % 7), "B": "x"} if index % 3 else None
        world.client.store("faults.in", harness.payload(index) if index % 50 else b"no protobuf", headers)
    world.fed = 200
    worker = start(world).started()
    await_archived(world, worker, 200)
    worker.stopped()
    told = [json.loads(line) for line in world.braid("archive", "cat", world.archived, "events", "--raw").splitlines()]
    folder, read = os.path.join(world.archive, "faults", "events"), []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".avro"):
            metadata, messages = segments.read(os.path.join(folder, name))
            check(metadata["avro.codec"] == b"zstandard" and json.loads(metadata["avro.schema"])["name"] == "Block", metadata)
            check(int(metadata["braid.messages"]) == len(messages), metadata)
            read += messages
    check(len(read) == len(told) == 200, f"{len(read)} and {len(told)} messages")
    for index, (mine, theirs) in enumerate(zip(read, told)):
        want = harness.payload(index) if index % 50 else b"no protobuf"
        check(mine["payload"] == want == base64.b64decode(theirs["payload"]), f"message {index}: {mine} {theirs}")
        check((mine["sequence"], mine["subject"], mine["headers"]) ==
              (theirs["sequence"], theirs["subject"], theirs["headers"]), f"message {index}: {mine} {theirs}")
        check(mine["headers"] == ([["A", str(index % 7)], ["B", "x"]] if index % 3 else []), f"message {index}: {mine}")


def test_a_file_becomes_history_once(world):
    prepare(world)
    rows = [{"id": index, "key": f"k{index % 5}", "amount": index} for index in range(1000)]
    path = world.write("old.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    said = world.braid("import", world.archived, "events", "--from", path, "--at", "2020-01-01", "--server", world.server.url)
    check("1000 accepted, 0 rejected" in said and "messages 1 to 1000" in said, said)
    again = world.braid("import", world.archived, "events", "--from", path, "--at", "2021-01-01", "--server",
                        world.server.url, status=EXIT_NO)
    check("imported before" in again, again)
    text = world.braid("archive", "cat", world.archived, "events", "--import")
    check([json.loads(line)["row"] for line in text.splitlines()] == rows, text[:500])
    later = world.write("later.csv", "id,key,amount\n1,a,2\nx,b,3\n")
    bad = world.braid("import", world.archived, "events", "--from", later, "--at", "2020-01-02", "--server",
                      world.server.url, status=EXIT_NO)
    check("later.csv:3: format" in bad and "nothing was imported" in bad, bad)
    overlap = world.braid("import", world.archived, "events", "--from", later, "--skip-bad", "--at", "2020-01-02",
                          "--server", world.server.url)
    check("messages 1001 to 1001" in overlap, overlap)
    world.write("now.csv", "id,key,amount\n1,a,2\n")
    early = world.braid("import", world.archived, "events", "--from", "now.csv", "--at", "2019-01-02", "--server",
                        world.server.url, status=EXIT_NO)
    check("before the end of what was imported last" in early, early)


harness.main()
