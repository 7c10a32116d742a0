#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays of an archived table whose stream has forgotten the beginning: what comes from where, and holes."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_NO, INPUT, Worker, check, check_words, until  # noqa: E402

FILLER = proto.data(99, b"\0" * 950_000)  # a field that the table doesn't have: a segment is full after some 70 of them


def replay(world, verb, *words, status=0):
    return world.braid("replay", verb, "faults", *words, "--server", world.server.url, status=status)


def plan(world, *words, status=0):
    done = subprocess.run([harness.BRAID, "replay", "plan", "faults", "--json", "--server", world.server.url, *words],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    check(done.returncode == status, f"exit status {done.returncode}: {done.stderr}")
    return {**json.loads(done.stdout), "stderr": done.stderr}


def feed_large(world, count):
    for index in range(world.fed, world.fed + count):
        world.client.store("faults.in", harness.payload(index) + FILLER)
    world.fed += count


def archived(world, path=None):
    """Three full segments, and a stream that begins behind the second."""
    world.open()
    world.archive = os.path.join(world.folder, "archive")
    path = path or world.archive
    world.pipeline = world.write("faults.sql", harness.PIPELINE.replace(
        "subject = 'faults.in'", f"subject = 'faults.in', archive = 'file://{path}'"))
    worker = Worker(world).started()
    feed_large(world, 230)
    folder = os.path.join(world.archive, "faults", "events")

    def segments():
        names = [name for name in os.listdir(folder) if name.endswith(".avro")] if os.path.isdir(folder) else []
        return len(names) >= 3 and sorted(tuple(int(part) for part in name[:-5].split("-")) for name in names)
    ranges = until(segments, "three segments", worker=worker)
    world.feed(100)
    world.caught_up(worker)
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": ranges[1][1] + 1})
    return worker, folder, ranges


def test_a_replay_from_the_beginning_reads_archive_then_stream(world):
    worker, _, ranges = archived(world)
    got = plan(world)
    check(got["inputs"][0]["archive"] == {"first": 1, "last": ranges[2][1]}, got)
    check(got["inputs"][0]["stream"] == {"first": ranges[2][1] + 1, "last": 330}, got)
    check(got["messages"] == 330 and got["holes"] == [], got)
    check_words(replay(world, "plan"), f"archive: 1..{ranges[2][1]};", f"stream {INPUT}: {ranges[2][1] + 1}..330")
    replay(world, "start", "--wait")
    report = json.loads(replay(world, "diff", "r1", "--json"))
    totals = next(view for view in report["views"] if view["view"] == "totals")
    check((totals["rows_before"], totals["equal"]) == (harness.KEYS, harness.KEYS), report)
    check(report["position"][0]["sequence"] == 330, report)
    worker.stopped()


def test_a_time_is_found_in_the_archive(world):
    worker, _, ranges = archived(world)
    stored = json.loads(world.braid("replay", "plan", "faults", "--json", "--from", "1 hour", "--server", world.server.url))
    check(stored["inputs"][0]["archive"]["first"] == 1, stored)
    time = world.client.api(f"STREAM.MSG.GET.{INPUT}", {"seq": ranges[2][0]})["message"]["time"]
    got = plan(world, "--from", time[:26] + "Z" if len(time) > 27 else time)["inputs"][0]
    check(ranges[2][0] - 2 <= got["archive"]["first"] <= ranges[2][0], f"{got} for {time}")
    worker.stopped()


def test_a_missing_segment_is_a_hole_that_is_named(world):
    worker, folder, ranges = archived(world)
    gone = ranges[1]
    os.unlink(next(os.path.join(folder, name) for name in os.listdir(folder)
                   if name.endswith(".avro") and tuple(int(part) for part in name[:-5].split("-")) == gone))
    holes = plan(world, status=EXIT_NO)["holes"]
    check([(hole["first"], hole["last"]) for hole in holes] == [gone], holes)
    check_words(replay(world, "start", status=EXIT_NO), "hole", f"{gone[0]} to {gone[1]}", INPUT)
    check(plan(world, "--from", f"seq:{ranges[2][0]}")["holes"] == [], "what is left can be read")
    worker.stopped()


def test_a_plan_that_is_made_elsewhere_knows_the_workers_archive(world):
    # The folder is the worker's own, as on another machine: each process has another /proc/self/cwd.
    worker, _, ranges = archived(world, "/proc/self/cwd/archive")
    changed = world.write("changed.sql", open(world.pipeline, encoding="utf-8").read().replace(
        "FROM events GROUP BY key", "FROM events WHERE amount > 0 GROUP BY key"))
    for flags in ((), ("--pipeline", changed), ("--from", "1 hour")):
        got = plan(world, *flags)
        check(got["holes"] == [] and got["inputs"][0]["archive"] == {"first": 1, "last": ranges[2][1]}, f"{flags}: {got}")
    done = subprocess.run([harness.BRAID, "replay", "start", "faults", "--wait", "--server", world.server.url], check=False,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    check(done.returncode == 0, done.stderr)
    # While it works on one it answers too.
    name = replay(world, "start", "--rate", "50").split()[0]
    until(lambda: json.loads(replay(world, "status", name, "--json"))["phase"] == "running", "it works on a replay")
    check(plan(world)["holes"] == [], "a worker that is busy answers")
    replay(world, "cancel", name, "--wait")
    worker.stopped()
    got = plan(world, status=EXIT_NO)
    check([(hole["first"], hole["last"]) for hole in got["holes"]] == [(1, ranges[1][1])], got)
    check_words(got["stderr"], "/proc/self/cwd/archive", "no worker answers")


harness.main()
