#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Views that a changed file leaves as they are take the owner's state over: nothing of them is read again, nobody notices, and
a worker that has lost everything rebuilds it all the same. What must come out is a fold of the input, computed here."""
import collections
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_NO, KEYS, OUTPUT, Worker, check, check_words, event, until  # noqa: E402

LABELS = "IN_LABELS"
OLD = harness.PIPELINE + """
CREATE TABLE labels (key text NOT NULL, label text NOT NULL) WITH (subject = 'faults.labels');
CREATE MATERIALIZED VIEW labelled AS SELECT key, count(*) AS times, max(label) AS last FROM labels GROUP BY key;
CREATE MATERIALIZED VIEW most WITH (emit_interval = '100 milliseconds') AS SELECT key, max(amount) AS most FROM events GROUP BY key;
"""
NEW = OLD.replace("sum(amount) AS total FROM events GROUP BY", "sum(amount) AS total FROM events WHERE amount > 0 GROUP BY")
SMALL_EPOCHS = ("--epoch-rows", "50")


def command(world, verb, *words, status=0):
    return world.braid("replay", verb, "faults", *words, "--server", world.server.url, status=status)


def job(world, name):
    return json.loads(command(world, "status", name, "--json"))


def feed_labels(world, count):
    want = world.client.stream(LABELS)["last_seq"] + count
    for index in range(world.labels, world.labels + count):
        world.client.publish("faults.labels", proto.data(1, f"k{index % KEYS}") + proto.data(2, f"l{index}"))
    world.labels += count
    until(lambda: world.client.stream(LABELS)["last_seq"] == want, "the labels' stream")


def opened(world, count=600):
    world.open()
    world.client.create_stream(LABELS, ["faults.labels"])
    world.labels = 0
    world.pipeline, world.new = world.write("old.sql", OLD), world.write("new.sql", NEW)
    worker = Worker(world, flags=SMALL_EPOCHS).started()
    feed_labels(world, 100)
    world.feed(count)
    caught_up(world, worker)
    return worker


def caught_up(world, worker):
    """Both inputs are consumed and committed, and nothing is held back any more."""
    wanted = {"events": world.client.stream(harness.INPUT)["last_seq"], "labels": world.client.stream(LABELS)["last_seq"]}

    def done():
        status = world.status()
        return status and all(i["sequence"] == wanted[i["table"]] for i in status["inputs"]) \
            and status["committed"] == status["epoch"]
    until(done, "the worker consumes everything", worker=worker)


def wanted(world, fixed):
    views = {"totals": {}, "most": {}, "labelled": {}}
    for row in map(event, range(world.fed)):
        key = row["key"]
        views["most"][key] = max(views["most"].get(key, row["amount"]), row["amount"])
        if not fixed or row["amount"] > 0:
            n, total = views["totals"].get(key, (0, 0))
            views["totals"][key] = (n + 1, total + row["amount"])
    for index in range(world.labels):
        times, last = views["labelled"].get(f"k{index % KEYS}", (0, ""))
        views["labelled"][f"k{index % KEYS}"] = (times + 1, max(last, f"l{index}"))
    return views


def folded(world):
    views = {"totals": {}, "most": {}, "labelled": {}}
    passed = collections.Counter()
    text = world.braid("tail", world.new, "--from-start", "--no-follow", "--server", world.server.url)
    for change in map(json.loads, text.splitlines()):
        row, view = change["row"], change["view"]
        if view == "passed":
            passed[row["id"]] += 1
        elif view in views and change["op"] == "upsert":
            values = tuple(value for name, value in row.items() if name != "key")
            views[view][row["key"]] = values[0] if view == "most" else values
        elif view in views:
            del views[view][row["key"]]
    return views, passed


def check_folds(world, fixed):
    want = wanted(world, fixed)
    until(lambda: folded(world)[0]["most"] == want["most"], "what was held back")
    views, passed = folded(world)
    for view, rows in want.items():
        check(views[view] == rows, f"{view}: {sorted(views[view].items())[:3]} for {sorted(rows.items())[:3]}")
    check(passed == collections.Counter(range(world.fed)), "an event didn't pass exactly once")
    rows = {row["key"]: (row["n"], row["total"]) for row in world.query("SELECT key, n, total FROM totals")}
    check(rows == want["totals"], "the worker's answer isn't the fold")
    rows = {row["key"]: (row["times"], row["last"]) for row in world.query("SELECT key, times, last FROM labelled")}
    check(rows == want["labelled"], "the worker's answer isn't the fold (labelled)")


def slept(world, lineage):
    """Which views slept, by the commits on the lineage's own subject: those of the first and of the last one."""
    found = []
    for _, bytes_ in world.client.messages(OUTPUT, f"braid.faults.commit.{lineage}.0"):
        views = [proto.read(view) for view in proto.read(bytes_)[6]]
        found.append({view[1][0].decode() for view in views if view.get(7, [0])[0]})
    return found


def done(world, *flags):
    name = command(world, "start", *flags).split()[0]
    until(lambda: job(world, name)["phase"] == "done", f"{name} is done")
    return name


def test_what_stays_takes_its_state_over(world):
    worker = opened(world)
    plan = json.loads(command(world, "plan", "--pipeline", world.new, "--json"))
    taken = {view["view"] for view in plan["views"] if view["taken_over"]}
    check(taken == {"passed", "most", "labelled"}, taken)
    check_words(command(world, "plan", "--pipeline", world.new), "its state is taken over", "labels           nothing")
    plain = json.loads(command(world, "plan", "--json"))
    check(not any(view["taken_over"] for view in plain["views"]), "a plain replay computes everything")
    # Labels are forgotten: nothing could compute that view again.
    world.client.request("$JS.API.STREAM.PURGE." + LABELS, b'{"keep":5}')
    name = done(world, "--pipeline", world.new)
    check(set(job(world, name)["taken_over"]) == taken, job(world, name))
    check(all(views == taken for views in slept(world, name)), "they sleep")
    feed_labels(world, 30)
    world.feed(100)
    caught_up(world, worker)
    report = json.loads(command(world, "diff", name, "--json", "--fail-on", "unknown>0"))
    views = {view["view"]: view for view in report["views"]}
    for view in ("most", "labelled"):
        check(views[view]["equal"] == KEYS and not any(views[view][kind] for kind in ("changed", "missing", "extra")),
              views[view])
    check(views["totals"]["changed"] + views["totals"]["missing"] > 0, views["totals"])
    command(world, "promote", name, "--wait")
    check(slept(world, name)[0] == taken and slept(world, name)[-1] == set(), "they have woken")
    corrected = {m.subject.split(".")[3] for m in world.client.stored(OUTPUT, "braid.faults.view.>") if m.header("Braid-Replay")}
    check(corrected == {"totals"}, f"corrections of {corrected}")
    check_folds(world, True)
    feed_labels(world, 30)
    world.feed(100)
    caught_up(world, worker)
    check_folds(world, True)
    worker.kill()
    worker = Worker(world, pipeline=world.new, flags=SMALL_EPOCHS).started()
    feed_labels(world, 7)
    world.feed(50)
    caught_up(world, worker)
    check_folds(world, True)
    command(world, "rollback", name, "--wait")
    check_folds(world, False)
    worker.stopped()


def test_state_that_was_taken_over_is_rebuilt_from_the_log(world):
    worker = opened(world)
    name = done(world, "--pipeline", world.new)
    command(world, "promote", name, "--wait")
    feed_labels(world, 20)
    world.feed(100)
    caught_up(world, worker)
    worker.kill()
    shutil.rmtree(worker.data)
    worker = Worker(world, pipeline=world.new, flags=SMALL_EPOCHS).started()
    check_words(worker.log(), f"lineage={name}", "state_epoch=0")
    feed_labels(world, 20)
    world.feed(100)
    caught_up(world, worker)
    check_folds(world, True)
    check(not [entry for entry in os.listdir(os.path.join(worker.data, "faults", "checkpoints")) if "former" in entry],
          "the former lineage's state is cleared away")
    command(world, "verify", "--wait")
    # A second change on top, which takes the state of the first over; the first one's commits then have to stay.
    newer = world.write("newer.sql", NEW.replace("amount > 0", "amount > 100"))
    second = done(world, "--pipeline", newer)
    check("labelled" in job(world, second)["taken_over"], "taken over")
    command(world, "promote", second, "--wait")
    command(world, "drop", second, "--wait")  # the way back goes
    command(world, "drop", name, "--wait")
    check(len(slept(world, name)) > 0, "who took state from a lineage needs its commits")
    caught_up(world, worker)
    worker.kill()
    shutil.rmtree(worker.data)
    worker = Worker(world, pipeline=newer, flags=SMALL_EPOCHS).started()
    feed_labels(world, 20)
    world.feed(50)
    caught_up(world, worker)
    rows = {row["key"]: (row["times"], row["last"]) for row in world.query("SELECT key, times, last FROM labelled")}
    check(rows == wanted(world, True)["labelled"], "labelled")
    command(world, "verify", "--wait")
    worker.stopped()


def test_a_replay_that_is_to_compute_anew_does(world):
    worker = opened(world, 200)
    for flags in (("--pipeline", world.new, "--include", "late"), ("--pipeline", world.new, "--only", "most"), ()):
        name = done(world, *flags)
        check("taken_over" not in job(world, name) and slept(world, name)[0] == set(), f"{flags}")
    world.client.request("$JS.API.STREAM.PURGE." + LABELS, b'{"keep":5}')
    check_words(command(world, "start", status=EXIT_NO), "hole", "labels")
    worker.stopped()


if __name__ == "__main__":
    harness.main()
