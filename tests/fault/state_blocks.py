#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damaged blocks, which nothing but reading them shows: found by the worker while it runs, by a replay, by braid verify."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import Worker, check, check_words, until  # noqa: E402
from wide import ALL, FLAGS, aside, check_rebuilt, check_rows, feed, files, flip_blocks, folder, start, verify, wide, work  # noqa: E402


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
