#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker that is given a changed file: it refuses, and says what the change means, from the text that the former worker stored."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import OUTPUT, Worker, check, check_words  # noqa: E402

CHANGED = harness.PIPELINE.replace("FROM events GROUP BY key", "FROM events WHERE amount > 0 GROUP BY key")


def test_a_changed_file_is_explained(world):
    world.open()
    world.feed(50)
    for _ in range(3):  # every start finds it there
        worker = Worker(world).started()
        world.caught_up(worker)
        worker.stopped()
    texts = list(world.client.messages(OUTPUT, "braid.faults.plan.*"))
    check(len(texts) == 1, f"{len(texts)} texts are stored")
    text = proto.read(texts[0][1])
    check(text[1] == [b"faults"] and text[3] == [harness.PIPELINE.encode()], f"{text}")
    path = world.write("changed.sql", CHANGED)
    worker = Worker(world, pipeline=path)
    worker.failed("has changed", "--name", OUTPUT, "1 kept, 1 rebuilt, 0 new, 0 removed",
                  "WHERE added", f"braid replay start faults --pipeline {path}", "braid replay promote")
    line = next(line for line in worker.log().splitlines() if "totals" in line and "rebuild" in line)
    check_words(line, "events", "(amount > 0)")
    check(len(list(world.client.messages(OUTPUT, "braid.faults.plan.*"))) == 1, "the refused text was stored")
    world.feed(10)
    worker = Worker(world).started()  # the former file still runs
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_without_the_former_text_the_refusal_stays_short(world):
    world.open()
    world.feed(5)
    worker = Worker(world).started()
    world.caught_up(worker)
    worker.stopped()
    sequence = next(iter(world.client.messages(OUTPUT, "braid.faults.plan.*")))[0]
    world.client.request(f"$JS.API.STREAM.MSG.DELETE.{OUTPUT}", b'{"seq": %d}' % sequence)
    worker = Worker(world, pipeline=world.write("changed.sql", CHANGED))
    worker.failed("has changed", "braid replay start faults", "--name")
    check("verdict" not in worker.log(), worker.log())
    worker = Worker(world).started()
    worker.stopped()
    check(len(list(world.client.messages(OUTPUT, "braid.faults.plan.*"))) == 1, "the text isn't stored again")


harness.main()
