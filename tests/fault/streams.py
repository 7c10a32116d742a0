#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Input streams that lost what a worker needs (X8): an error that names the missing range; nothing is skipped."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import INPUT, OUTPUT, Worker, check  # noqa: E402


def work_through(world, count=400, flags=("--epoch-rows", "50")):
    world.feed(count)
    worker = Worker(world, flags=flags).started()
    world.caught_up(worker)
    return worker


def test_a_stream_purged_below_the_position_is_told_at_the_start(world):
    world.open()
    work_through(world).stopped()
    world.feed(100)
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": 451})  # 401 to 450 were never read
    Worker(world).failed("events", INPUT, "401", "450")


def test_a_stream_purged_above_the_position_does_no_harm(world):
    world.open()
    work_through(world).stopped()
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": 401})
    world.feed(100)
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_stream_purged_of_what_recovery_must_repeat(world):
    world.open()
    worker = work_through(world)
    worker.kill()  # before its state is written, or after: then there is nothing to repeat, so the state goes too
    harness.shutil.rmtree(worker.data)
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": 101})
    Worker(world).failed("events", INPUT, "history has a hole", "epoch 1")


def test_a_message_deleted_from_what_recovery_must_repeat(world):
    world.open()
    worker = work_through(world)
    worker.kill()
    harness.shutil.rmtree(worker.data)
    world.client.api(f"STREAM.MSG.DELETE.{INPUT}", {"seq": 75})
    Worker(world).failed("events", INPUT, "history has a hole", " to 100")


def test_a_stream_purged_while_the_worker_is_away_and_refilled(world):
    world.open()
    worker = work_through(world)
    worker.stopped()
    world.client.api(f"STREAM.PURGE.{INPUT}")
    world.feed(10)
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_stream_deleted_and_made_anew(world):
    world.open()
    work_through(world).stopped()
    world.client.api(f"STREAM.DELETE.{INPUT}")
    world.client.create_stream(INPUT, ["faults.in"])
    world.feed(500)
    Worker(world).failed("events", INPUT, "made anew", OUTPUT)


def test_a_stream_deleted_and_made_anew_under_a_running_worker(world):
    world.open()
    worker = work_through(world)
    world.client.api(f"STREAM.DELETE.{INPUT}")
    world.client.create_stream(INPUT, ["faults.in"])
    world.feed(500)
    worker.failed("events", INPUT)
    check(len([c for c in world.changes() if c["view"] == "passed"]) == 400, "events of the new stream went into the views")


def test_the_output_stream_deleted_under_a_running_worker(world):
    world.open()
    worker = work_through(world)
    world.client.api(f"STREAM.DELETE.{OUTPUT}")
    world.feed(10)
    worker.failed(OUTPUT)
    # Its state is ahead of a log that is gone: the next one begins anew.
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_commit_deleted_from_the_middle(world):
    world.open()
    worker = work_through(world)
    worker.kill()
    harness.shutil.rmtree(worker.data)
    third = [sequence for sequence, _ in world.client.messages(OUTPUT, harness.COMMITS)][2]
    world.client.api(f"STREAM.MSG.DELETE.{OUTPUT}", {"seq": third})
    Worker(world).failed("hole", "epoch 2", "epoch 4", OUTPUT)


def test_a_changed_pipeline(world):
    world.open()
    work_through(world).stopped()
    path = world.write("faults.sql", harness.PIPELINE.replace("count(*)", "count(id)"))
    Worker(world, pipeline=path).failed("faults", "has changed", "--name", OUTPUT)


harness.main()
