#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays of some views, of a key, with another lateness, with late and quarantined events, through the command and a
worker: against a fold of the same events."""
import collections
import datetime
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_NO, OUTPUT, Worker, check, check_words, until  # noqa: E402

PIPELINE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, region text NOT NULL, amount bigint CHECK (amount >= 0), at timestamptz NOT NULL)
  WITH (subject = 'faults.in', event_time = 'at', watermark = '0 seconds');
CREATE TABLE others (id bigint NOT NULL) WITH (subject = 'faults.others');
CREATE MATERIALIZED VIEW per_minute WITH (format = 'json') AS
  SELECT region, window_start, count(*) AS n, sum(amount) AS total
  FROM tumble(events, at, interval '1 minute') GROUP BY region, window_start;
CREATE MATERIALIZED VIEW busiest WITH (format = 'json') AS SELECT region, max(n) AS most FROM per_minute GROUP BY region;
CREATE MATERIALIZED VIEW shouted AS SELECT upper(region) AS name, count(*) AS n FROM events GROUP BY 1;
CREATE MATERIALIZED VIEW mails WITH (effect = true, subject = 'faults.mails', format = 'json') AS
  SELECT region, count(*) AS n FROM events GROUP BY region;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM others;
"""
START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)
REGIONS = ("EU", "US", "ASIA")


class Events:
    """What was fed: mostly in order, some of it minutes late, some of it negative."""

    def __init__(self, world):
        self.world, self.list, self.second = world, [], 0
        world.open()
        world.client.create_stream("OTHERS", ["faults.others"])
        world.pipeline = world.write("faults.sql", PIPELINE)

    def event(self, region, amount, second):
        index = len(self.list)
        self.list.append((region, amount, second))
        self.world.client.store("faults.in", proto.number(1, index) + proto.data(2, region) + proto.number(3, amount) +
                                proto.timestamp(4, int(START.timestamp()) + second))

    def feed(self, count):
        for index in range(count):
            random = self.world.random
            self.second += random.randrange(12)
            late = random.randrange(300, 1200) if random.random() < 0.15 and self.second > 1200 else 0
            amount = -1 if random.random() < 0.05 else random.randrange(1000)
            self.event(random.choice(REGIONS), amount, self.second - late)
            if index % 10 == 0:
                self.world.client.store("faults.others", proto.number(1, index))

    def fold(self, bad=False, region=None, allowed=lambda second: True):
        """(region, minute) -> (n, total)"""
        found = collections.defaultdict(lambda: [0, 0])
        for name, amount, second in self.list:
            if (amount >= 0 or bad) and region in (None, name) and allowed(second):
                minute = (START + datetime.timedelta(seconds=second // 60 * 60)).strftime("%Y-%m-%dT%H:%M:%SZ")
                found[name, minute][0] += 1
                found[name, minute][1] += amount
        return {key: tuple(value) for key, value in found.items()}


def opened(world, count=400):
    """A pipeline that has worked through events in small epochs; its worker goes on."""
    events = Events(world)
    worker = Worker(world, flags=("--epoch-rows", "20")).started()
    events.feed(count)
    world.caught_up(worker)
    return events, worker


def replay(world, verb, *words, status=0):
    return world.braid("replay", verb, "faults", *words, "--server", world.server.url, status=status)


def job(world, name):
    return json.loads(replay(world, "status", name, "--json"))


def reconciled(world, name):
    """view -> its part of the report"""
    subprocess.run([harness.BRAID, "replay", "diff", "faults", name, "--server", world.server.url], capture_output=True,
                   check=False, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE_S)
    names = {2: "rows_before", 3: "rows_after", 4: "equal", 5: "changed", 6: "missing", 7: "extra", 10: "late",
             11: "quarantined", 12: "plan", 13: "function", 14: "unknown"}
    _, report = list(world.client.messages(OUTPUT, f"braid.faults.reconcile.{name}"))[-1]
    views = [proto.read(view) for view in proto.read(report)[9]]  # ReconcileReport, ViewReport
    return {view[1][0].decode(): {text: view.get(field, [0])[0] for field, text in names.items()} for view in views}


def published(world, name, view):
    """What a subscriber of a replay's changes knows: per_minute as the folds have it."""
    rows = {}
    for _, bytes_ in world.client.messages(OUTPUT, f"braid.faults.replay.{name}.view.{view}"):
        row = json.loads(bytes_)
        rows[row["region"], row["window_start"]] = (int(row["n"]), int(row["total"]))
    return rows


def live_rows(world):
    return {(row["region"], row["window_start"]): (int(row["n"]), int(row["total"])) for row in
            world.query("SELECT region, window_start, n, total FROM per_minute")}


def same(got, want):
    wrong = {key: (got.get(key), want.get(key)) for key in got.keys() | want.keys() if got.get(key) != want.get(key)}
    check(not wrong, f"{len(wrong)} of {len(want)} rows differ: {sorted(wrong.items())[:3]}")


def causes(view):
    return {cause: view[cause] for cause in ("late", "quarantined", "plan", "function", "unknown") if view[cause] != 0}


def test_late_and_quarantined_events_are_taken_in_and_told_as_causes(world):
    events, worker = opened(world)
    live = live_rows(world)
    want = events.fold(bad=True)
    check(live != events.fold(), "some events must be late")
    check(replay(world, "start", "--include", "late,quarantine", "--publish").strip() == "r1", "the first")
    replay(world, "watch", "r1")
    same(published(world, "r1", "per_minute"), want)
    view = reconciled(world, "r1")["per_minute"]
    check(view["changed"] + view["extra"] == sum(1 for key in want if live.get(key) != want[key]), view)
    check(set(causes(view)) == {"late", "quarantined"}, view)
    check(list(world.client.messages(OUTPUT, "braid.faults.replay.r1.view.mails")) == [], "effects are never released")
    # The plan is as it was: promoted, the file that runs goes on, and takes late events for late again.
    replay(world, "promote", "r1", "--wait")
    until(lambda: world.status()["lineage"] == "r1", "the promoted lineage answers", worker=worker)
    same({key: value for key, value in live_rows(world).items()}, want)
    worker.stopped()
    worker = Worker(world).started()
    events.event("EU", 5, 10)
    world.caught_up(worker)
    same(live_rows(world), want)
    worker.stopped()


def test_fresh_epochs_take_late_and_quarantined_events_in(world):
    events, worker = opened(world)
    want = events.fold(bad=True)
    check(live_rows(world) != want, "some events must be late")
    replay(world, "start", "--epochs", "fresh", "--include", "late,quarantine", "--publish")
    replay(world, "watch", "r1")
    same(published(world, "r1", "per_minute"), want)
    check_words(replay(world, "status", "r1"), "fresh")
    replay(world, "promote", "r1", "--wait")
    until(lambda: world.status()["lineage"] == "r1", "the promoted lineage answers", worker=worker)
    events.event("EU", 5, 10)  # late again
    world.caught_up(worker)
    same({key: value for key, value in live_rows(world).items()}, want)
    worker.stopped()


def test_some_views_of_a_key_are_replayed_and_compared_by_it(world):
    events, worker = opened(world)
    key = "region = 'EU'"
    replay(world, "start", "--only", "per_minute,busiest", "--key", key, "--include", "late", "--publish", "--rate", "300")
    until(lambda: job(world, "r1")["progress"].get("messages_done", 0) > 50, "some of it", worker=worker)
    worker.kill()
    worker = Worker(world, flags=("--epoch-rows", "20")).started()
    replay(world, "watch", "r1")
    state = job(world, "r1")["progress"]
    check(state["messages_done"] == state["messages_total"], state)
    want = events.fold(region="EU")
    same(published(world, "r1", "per_minute"), want)
    views = reconciled(world, "r1")
    check(set(views) == {"per_minute", "busiest"}, views)
    live = {name: row for name, row in live_rows(world).items() if name[0] == "EU"}
    per_minute = views["per_minute"]
    check((per_minute["rows_before"], per_minute["rows_after"]) == (len(live), len(want)), per_minute)
    check(per_minute["changed"] + per_minute["extra"] == sum(1 for row in want if live.get(row) != want[row]), per_minute)
    check(set(causes(per_minute)) == {"late"}, per_minute)
    check(views["busiest"]["rows_after"] == 1, views)
    replay(world, "promote", "r1", "--wait", status=EXIT_NO)
    check_words(job(world, "r1")["error"], "only a part of the pipeline", "not promoted")
    check(job(world, "r1")["phase"] == "done", "it stays as it was")
    worker.stopped()


def test_what_cannot_be_selected_is_refused_before_there_is_a_job(world):
    _, worker = opened(world, 20)
    worker.stopped()

    def refused(*words):
        return world.braid("replay", "start", world.pipeline, *words, "--server", world.server.url, status=EXIT_NO)
    check_words(refused("--only", "per_minut"), "no view", "per_minut", 'did you mean "per_minute"?')
    check_words(refused("--only", "per_minute", "--key", "n > 3"), "view per_minute", "column n isn't in its key")
    check_words(refused("--only", "shouted", "--key", "name = 'EU'"), "view shouted", "name is computed, upper(")
    check_words(refused("--key", "region = 'EU'"), "view shouted", "region")
    check_words(refused("--only", "per_minute", "--key", "window_start > '2026-03-01'"), "bound of a window", "--from")
    check(replay(world, "list", "--json") == "", "nothing was started")


def test_another_lateness_is_promoted_and_goes_on_with_the_same_file(world):
    events, worker = opened(world)
    want = events.fold()  # nothing is later than the hour
    replay(world, "start", "--lateness", "1 hour", "--publish")
    replay(world, "watch", "r1")
    same(published(world, "r1", "per_minute"), want)
    check(causes(reconciled(world, "r1")["per_minute"]).get("late"), "late events explain it")
    replay(world, "promote", "r1", "--wait")
    events.event("EU", 5, events.second - 1800)
    until(lambda: live_rows(world) == events.fold(), "it is taken in now", worker=worker)
    worker.stopped()
    worker = Worker(world).started()  # with the file, which says nothing of it
    check_words(worker.log(), "promoted", "lateness", "lineage=r1")
    events.event("EU", 7, events.second - 1700)
    world.caught_up(worker)
    same(live_rows(world), events.fold())
    worker.stopped()
    # Who puts it into the file has the same plan.
    written = world.write("faults.sql", PIPELINE.replace("per_minute WITH (", "per_minute WITH (lateness = '1 hour', "))
    worker = Worker(world, pipeline=written).started()
    check("lateness" not in worker.log(), worker.log())
    world.caught_up(worker)
    worker.stopped()


harness.main()
