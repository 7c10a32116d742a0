#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays as workers do them: what they find, what a promotion publishes and a rollback takes back, and workers that die at it.
What must come out is a fold of the input, computed here."""
import collections
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import BRAID, EXIT_NO, INPUT, OUTPUT, Worker, check, check_words, event, until  # noqa: E402

FIXED = harness.PIPELINE.replace("FROM events GROUP BY key", "FROM events WHERE amount > 0 GROUP BY key") + \
    "CREATE MATERIALIZED VIEW most AS SELECT key, max(amount) AS most FROM events GROUP BY key;\n"
SMALL_EPOCHS = ("--epoch-rows", "50")
TAKEOVER_S = 30  # a lease of 10 s has to run out


def command(world, verb, *words, status=0):
    return world.braid("replay", verb, "faults", *words, "--server", world.server.url, status=status)


def job(world, name):
    return json.loads(command(world, "status", name, "--json"))


def opened(world, count=400):
    """A pipeline that has worked through events, and its worker; world.fixed is the same with a filter and a new view."""
    world.open()
    world.fixed = world.write("fixed.sql", FIXED)
    worker = Worker(world, flags=SMALL_EPOCHS).started()
    world.feed(count)
    world.caught_up(worker)
    return worker


def totals(world, keep):
    rows = collections.defaultdict(lambda: [0, 0])
    for row in map(event, range(world.fed)):
        if keep(row):
            rows[row["key"]][0] += 1
            rows[row["key"]][1] += row["amount"]
    return dict(rows)


def old_totals(world):
    return totals(world, lambda row: True)


def new_totals(world):
    return totals(world, lambda row: row["amount"] > 0)


def most(world):
    rows = {}
    for row in map(event, range(world.fed)):
        rows[row["key"]] = max(rows.get(row["key"], row["amount"]), row["amount"])
    return rows


def folded(world):
    """What a subscriber holds who has applied every message: rows of totals, of most, and the ids that passed."""
    text = world.braid("tail", world.fixed, "--from-start", "--no-follow", "--server", world.server.url)
    views = {"totals": {}, "most": {}}
    passed = collections.Counter()
    for change in map(json.loads, text.splitlines()):
        row = change["row"]
        if change["view"] == "passed":
            passed[row["id"]] += 1
        elif change["view"] in views and change["op"] == "upsert":
            views[change["view"]][row["key"]] = [row["n"], row["total"]] if change["view"] == "totals" else row["most"]
        elif change["view"] in views:
            del views[change["view"]][row["key"]]
    return views["totals"], views["most"], passed


def check_folds(world, want_totals, want_most):
    got_totals, got_most, passed = folded(world)
    check(got_totals == want_totals, f"totals: {sorted(got_totals.items())[:3]} for {sorted(want_totals.items())[:3]}")
    check(got_most == want_most, f"most: {sorted(got_most.items())[:3]} for {sorted(want_most.items())[:3]}")
    check(passed == collections.Counter(range(world.fed)), "an event didn't pass exactly once")


def start(world, *flags):
    name = command(world, "start", *flags).split()[0]
    check(name.startswith("r"), name)
    return name


def done(world, *flags):
    name = start(world, *flags)
    until(lambda: job(world, name)["phase"] == "done", f"{name} is done")
    return name


def progress(world, name):
    return job(world, name)["progress"]["messages_done"]


def epochs_of(world, lineage):
    """Numbers of the epochs that a replay has committed on its own subject."""
    found = []
    for _, bytes_ in world.client.messages(OUTPUT, f"braid.faults.commit.{lineage}.0"):
        commit = proto.read(bytes_)
        if commit[7] == commit[8]:
            found.append(commit[1][0])
    return found


# --- the whole way
def test_a_changed_pipeline_is_compared_promoted_and_rolled_back(world):
    worker = opened(world)
    name = done(world, "--pipeline", world.fixed, "--reason", "a filter was missing")
    # The report has exactly the rows that differ.
    report = json.loads(command(world, "diff", name, "--json", "--samples", "100", "--fail-on", "unknown>0"))
    views = {view["view"]: view for view in report["views"]}
    old, new = old_totals(world), new_totals(world)
    differing = {key for key in old if old[key] != new.get(key)}
    check(differing and differing & set(new), "the test has nothing to compare")
    samples = {sample["before"]["key"]: sample for sample in views["totals"]["samples"]}
    check(set(samples) == differing and len(views["totals"]["samples"]) == len(differing), f"{set(samples) ^ differing}")
    for key, sample in samples.items():
        before, after = sample["before"], sample.get("after")
        check([before["n"], before["total"]] == old[key], f"{sample}")
        check((after and [after["n"], after["total"]]) == new.get(key) and sample["cause"] == "changed plan", f"{sample}")
    check(views["most"]["extra"] == len(most(world)), views["most"])
    check("keeps no rows" in views["passed"]["skipped"], views["passed"])
    command(world, "diff", name, "--last", status=EXIT_NO)  # rows differ: that is the answer
    # Promoted: subscribers who have applied every message hold the rows of the new pipeline.
    command(world, "promote", name, "--wait")
    check_folds(world, new, most(world))
    corrections = [message for message in world.client.stored(OUTPUT, "braid.faults.view.>") if message.header("Braid-Replay")]
    check(len(corrections) == len(differing) + len(most(world)), f"{len(corrections)} corrections")
    headers = {(m.header("Braid-Replay"), m.header("Braid-Corrects"), m.header("Braid-Lineage")) for m in corrections}
    check(headers == {(name, "live", name)}, headers)
    marker = [proto.read(bytes_) for _, bytes_ in world.client.messages(OUTPUT, "braid.faults.cutover")]
    check(len(marker) == 1 and marker[0][2] == [name.encode()] and marker[0][3] == [b"a filter was missing"], marker)
    world.feed(150)
    world.caught_up(worker)
    check_folds(world, new_totals(world), most(world))
    rows = {row["key"]: [row["n"], row["total"]] for row in world.query("SELECT key, n, total FROM totals")}
    check(rows == new_totals(world), "the worker's answer isn't the new pipeline's")
    # Rolled back: those of the old one again, and nothing is left of the new view.
    command(world, "rollback", name, "--wait")
    check_folds(world, old_totals(world), {})
    world.feed(50)
    world.caught_up(worker)
    check_folds(world, old_totals(world), {})
    check(job(world, name)["phase"] == "rolled back", "rolled back")
    command(world, "drop", name, "--wait")
    check(epochs_of(world, name) == [], "its commits are gone")
    worker.stopped()
    worker = Worker(world, flags=SMALL_EPOCHS).started()  # with the old file: it is what runs
    world.feed(10)
    world.caught_up(worker)
    check_folds(world, old_totals(world), {})
    worker.stopped()


# --- gates
def test_gates_refuse_a_promotion(world):
    worker = opened(world)
    name = done(world, "--pipeline", world.fixed)
    before = world.client.stream(OUTPUT)["last_seq"]
    check_words(command(world, "promote", name, "--wait", "--max-changed", "3", status=EXIT_NO), "rows would change", "3 allowed")
    check_words(command(world, "promote", name, "--wait", "--require-verified", status=EXIT_NO), "--require-verified", "verify")
    check(job(world, name)["phase"] == "done", "it can still be promoted")
    text = command(world, "promote", name, "--dry-run")
    check_words(text, "nothing was published", "most", "extra (changed plan)", "totals")
    check_words(command(world, "promote", name, "--dry-run", "--max-changed", "3", status=EXIT_NO), "rows would change")
    live = [m.header("Braid-Lineage") for m in world.client.stored(OUTPUT, "braid.faults.view.>") if m.sequence > before]
    check(live == [], f"{len(live)} messages were published")
    check_words(subprocess.run([BRAID, "replay", "verify", "faults", "--wait", "--server", world.server.url], check=True,
                               capture_output=True, text=True, timeout=60).stderr, "identical")
    world.feed(50)  # which no verification has seen
    world.caught_up(worker)
    fresh = done(world, "--epochs", "fresh")
    check_words(command(world, "promote", fresh, "--wait", "--require-verified", status=EXIT_NO), "--require-verified", "has reached epoch")
    command(world, "promote", name, "--wait", "--require-verified")
    check_folds(world, new_totals(world), most(world))
    worker.stopped()


# --- commands while it runs
def test_pause_resume_cancel_and_drop(world):
    worker = opened(world, 1000)
    name = start(world, "--pipeline", world.fixed, "--rate", "300")
    until(lambda: progress(world, name) >= 100, "some progress")
    command(world, "pause", name, "--wait")
    paused = job(world, name)
    check(paused["phase"] == "paused" and 0 < paused["progress"]["messages_done"] < 1000, paused)
    command(world, "resume", name)
    until(lambda: progress(world, name) > paused["progress"]["messages_done"], "it goes on")
    command(world, "cancel", name, "--wait")
    check(job(world, name)["phase"] == "cancelled" and progress(world, name) < 1000, "cancelled")
    folder = os.path.join(worker.data, "faults", name)
    check(os.path.isdir(folder) and epochs_of(world, name), "what it has made is there")
    command(world, "drop", name, "--wait")
    check(not os.path.exists(folder) and epochs_of(world, name) == [], "nothing is left of it")
    world.feed(50)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_rate_is_kept(world):
    worker = opened(world, 600)
    begin = time.monotonic()
    done(world, "--rate", "300")
    took = time.monotonic() - begin
    check(took > 1.8, f"600 messages at 300/s took {took:.1f} s")
    worker.stopped()


def test_a_replay_publishes_its_changes_when_asked_to(world):
    worker = opened(world)
    before = world.client.stream(OUTPUT)["last_seq"]
    name = done(world, "--pipeline", world.fixed, "--publish")
    rows = {}
    for message in world.client.stored(OUTPUT, f"braid.faults.replay.{name}.view.totals"):
        fields = proto.read(message.payload)
        check(message.header("Braid-Op") == "upsert" and message.header("Braid-Lineage") == name, message.headers)
        rows[fields[1][0].decode()] = fields[2][0]
    check(rows == {key: row[0] for key, row in new_totals(world).items()}, f"{rows}")
    check(len(list(world.client.stored(OUTPUT, f"braid.faults.replay.{name}.view.most"))) > 0, "the new view's too")
    after = [m for m in world.client.stored(OUTPUT, "braid.faults.view.>") if m.sequence > before]
    check(after == [], f"{len(after)} messages on the live subjects")
    worker.stopped()


# --- workers that die
def follow_until_done(world, name):
    """Its progress never goes back."""
    last = 0

    def ended():
        nonlocal last
        state = job(world, name)
        check(state["progress"]["messages_done"] >= last, f"{last} -> {state['progress']['messages_done']}")
        last = state["progress"]["messages_done"]
        return state["phase"] == "done"
    until(ended, f"{name} is done", TAKEOVER_S + 30)


class Asker(threading.Thread):
    """Asks a question every few milliseconds; each must be answered, whoever owns the outputs."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.client = world.server.connect()
        self.asked, self.over, self.found = 0, False, None

    def run(self):
        try:
            while not self.over:
                self.client.request("braid_api.faults.query", b"SELECT count(*) FROM totals", timeout_s=10)
                self.asked += 1
        except Exception as error:  # pylint: disable=broad-except
            self.found = f"question {self.asked + 1}: {error!r}"

    def end(self):
        self.over = True
        self.join()
        self.client.close()
        check(self.found is None and self.asked > 20, f"{self.asked} questions were answered; {self.found}")


def test_what_is_asked_while_the_outputs_change_hands_is_answered(world):
    worker = opened(world, 100)
    asker = Asker(world)
    asker.start()
    for _ in range(4):
        name = done(world, "--pipeline", world.fixed)
        command(world, "promote", name, "--wait")
        command(world, "rollback", name, "--wait")
    asker.end()
    check_folds(world, old_totals(world), {})
    worker.stopped()


def test_a_worker_that_is_killed_in_the_middle_of_a_replay(world):
    worker = opened(world, 1500)
    name = start(world, "--pipeline", world.fixed, "--rate", "500")
    until(lambda: progress(world, name) >= 500, "a third of it")
    worker.kill()
    had, made = progress(world, name), epochs_of(world, name)
    worker = Worker(world, flags=SMALL_EPOCHS).started()
    follow_until_done(world, name)
    epochs = epochs_of(world, name)
    check(had > 0 and epochs[:len(made)] == made and epochs == list(range(1, len(epochs) + 1)),
          f"epochs are made once: {made} then {epochs}")
    report = json.loads(command(world, "diff", name, "--json", "--fail-on", "unknown>0"))
    check(report["views"][1]["changed"] > 0, report)
    command(world, "promote", name, "--wait")
    check_folds(world, new_totals(world), most(world))
    worker.stopped()


def test_a_worker_goes_on_with_what_a_killed_process_began(world):
    worker = opened(world, 1500)
    local = world.start([BRAID, "replay", "start", "faults", "--local", "--pipeline", world.fixed, "--rate", "500", "--server",
                         world.server.url, "--data", os.path.join(world.folder, "elsewhere")], "local")
    until(lambda: "r1" in world.log("local") and progress(world, "r1") >= 300, "the process works on it")
    owner = job(world, "r1")["worker"]
    check(owner not in worker.log(), "the worker has left it alone")
    world.end(local, 9)
    follow_until_done(world, "r1")
    check("replay=r1" in worker.log(), "the worker has done the rest")
    epochs = epochs_of(world, "r1")
    check(epochs == list(range(1, len(epochs) + 1)), f"{epochs}")
    command(world, "promote", "r1", "--wait")
    check_folds(world, new_totals(world), most(world))
    worker.stopped()


def test_a_process_that_is_interrupted_gives_its_job_back(world):
    worker = opened(world, 1500)
    worker.stopped()
    local = world.start([BRAID, "replay", "start", "faults", "--local", "--rate", "400", "--server", world.server.url,
                         "--data", os.path.join(world.folder, "elsewhere")], "local")
    until(lambda: "r1" in world.log("local") and progress(world, "r1") >= 300, "the process works on it")
    world.end(local, 2)
    check(local.returncode == 130, f"exit status {local.returncode}")
    check_words(world.log("local"), "r1 stops here", "--local")
    state = job(world, "r1")
    check(state["phase"] == "running" and "worker" not in state, state)
    world.braid("replay", "resume", "faults", "r1", "--local", "--server", world.server.url, "--data",
                os.path.join(world.folder, "elsewhere"))
    check(job(world, "r1")["phase"] == "done", "done here")
    epochs = epochs_of(world, "r1")
    check(epochs == list(range(1, len(epochs) + 1)), f"{epochs}")
    out = world.braid("replay", "diff", "faults", "r1", "--local", "--server", world.server.url, "--data",
                      os.path.join(world.folder, "elsewhere"))
    check_words(out, "totals", "r1")


def restarted(world):
    """A worker with the file of whoever owns the outputs."""
    for path in (world.pipeline, world.fixed):
        worker = Worker(world, pipeline=path, flags=SMALL_EPOCHS)
        until(lambda w=worker: "running" in w.log() or w.process.poll() is not None, "the worker starts or refuses")
        if worker.process.poll() is None:
            return worker
        check_words(worker.log(), "has changed")
    raise harness.Failure("it runs with neither of the files")


def killed_at(world, worker, name, verb):
    """Somewhere between the beginning of it and a little after its end."""
    begun = worker.log().count("working on a replay")
    command(world, verb, name)
    until(lambda: worker.log().count("working on a replay") > begun, f"it begins to {verb}", worker=worker)
    time.sleep(world.random.uniform(0, 0.15))
    worker.kill()
    return restarted(world)


def test_workers_that_are_killed_while_they_promote_and_roll_back(world):
    worker = opened(world, 500)
    for _ in range(2):
        name = done(world, "--pipeline", world.fixed)
        worker = killed_at(world, worker, name, "promote")
        until(lambda n=name: job(world, n)["phase"] == "promoted", "promoted in the end", TAKEOVER_S)
        world.feed(30)
        world.caught_up(worker)
        check_folds(world, new_totals(world), most(world))
        worker = killed_at(world, worker, name, "rollback")
        until(lambda n=name: job(world, n)["phase"] == "rolled back", "rolled back in the end", TAKEOVER_S)
        world.feed(30)
        world.caught_up(worker)
        check_folds(world, old_totals(world), {})
    worker.stopped()


# --- verify
def rewritten(world, forge):
    """Makes the output stream anew with the same messages at the same sequences, some of them forged."""
    config = world.client.api(f"STREAM.INFO.{OUTPUT}")["config"]
    messages = list(world.client.stored(OUTPUT, ">"))
    check([message.sequence for message in messages] == list(range(1, len(messages) + 1)), "the stream has gaps")
    world.client.api(f"STREAM.DELETE.{OUTPUT}")
    world.client.api(f"STREAM.CREATE.{OUTPUT}", config)
    for message in messages:
        lines = [line.split(": ", 1) for line in message.headers.split("\r\n")[1:] if ": " in line]
        headers = {key: value for key, value in lines if not key.startswith(("Nats-Batch", "Nats-Expected"))}
        world.client.store(message.subject, forge(message), headers or None)


def test_verify_names_the_epoch_and_the_rows_that_differ(world):
    worker = opened(world)
    worker.stopped()
    commits = {}
    for sequence, bytes_ in world.client.messages(OUTPUT, harness.COMMITS):
        commits[proto.read(bytes_)[1][0]] = sequence
    epoch = sorted(commits)[len(commits) // 2]
    forged = max(m.sequence for m in world.client.stored(OUTPUT, "braid.faults.view.totals") if m.sequence < commits[epoch])
    check(forged > commits.get(epoch - 1, 0), "the epoch has a row of totals")

    def forge(message):
        fields = proto.read(message.payload)
        if message.sequence == forged:  # one more than there were
            wrong = proto.data(1, fields[1][0]) + proto.number(2, fields[2][0] + 1) + proto.data(3, fields[3][0])
            check(len(wrong) == len(message.payload), "what the row is made of")
            forge.key = fields[1][0].decode()
            return wrong
        if message.sequence == commits[epoch]:
            digest = fields[10][0]
            check(message.payload.count(digest) == 1, "the digest stands in it once")
            return message.payload.replace(digest, bytes([digest[0] ^ 1]) + digest[1:])
        return message.payload
    verify = [BRAID, "replay", "verify", "faults", "--local", "--server", world.server.url, "--data", worker.data]
    good = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    check(good.returncode == 0 and f"epochs 1 to {max(commits)} are identical" in good.stderr, good.stderr)
    rewritten(world, forge)
    bad = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=60)
    check(bad.returncode == EXIT_NO, f"{bad.returncode}: {bad.stderr}")
    check_words(bad.stderr, f"epochs 1 to {epoch - 1} are identical", f"epoch {epoch}", "totals", forge.key, "published", "repeated")
    jobs = [json.loads(line) for line in command(world, "list", "--json").splitlines()]
    check(max(state.get("first_bad_epoch", 0) for state in jobs) == epoch, jobs)


# --- reconcile
def test_a_reconcile_in_one_command(world):
    worker = opened(world)
    out = world.braid("reconcile", "faults", "--server", world.server.url)
    check_words(out, "totals", "r1")
    check(command(world, "list", "--json") == "", "it has dropped itself")
    check(epochs_of(world, "r1") == [], "with its commits")
    until(lambda: "reconciled" in worker.log(), "the worker says so", worker=worker)
    check_words(world.braid("reconcile", "faults", "--fail-on", "equal>0", "--server", world.server.url, status=EXIT_NO),
                "equal is 20, and equal>0 fails")
    check_words(worker.log(), "level=error", "equal is 20")
    check_words(world.braid("reconcile", "faults", "--tolerance", "totals.n=1", "--server", world.server.url, status=EXIT_NO),
                "totals.n", "double precision")
    report = json.loads(world.braid("reconcile", "faults", "--local", "--json", "--server", world.server.url))
    check(report["views"][1]["equal"] == harness.KEYS, report)
    worker.stopped()


def shown(world):
    done_ = subprocess.run([BRAID, "reconcile", "faults", "--show", "--json", "--server", world.server.url], check=False,
                           capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done_.stdout.splitlines()]
    return lines if done_.returncode == 0 else None


def test_reconciles_on_a_schedule(world):
    worker = opened(world)
    world.braid("reconcile", "faults", "--every", "1 second", "--fail-on", "equal>0", "--server", world.server.url)

    def third():
        lines = shown(world)
        return lines and len(lines) == 2 and lines[0]["last_job"] not in ("r1", "r2") and lines
    schedule, report = until(third, "the third of them, and its report", worker=worker)
    check(schedule["every_seconds"] == 1 and report["views"][1]["equal"] == harness.KEYS, f"{schedule} {report}")
    check(worker.log().count("a reconcile has found differences") >= 2, "told each time")
    keys = {message.subject for message in world.client.stored("KV_BRAID_faults_replays", ">")}
    check(len(keys) <= 3, f"records of dropped ones don't pile up: {keys}")
    # Another worker goes on with the schedule, each turn is made once.
    worker.kill()
    worker = Worker(world, flags=SMALL_EPOCHS).started()
    until(lambda: "a scheduled reconcile begins" in worker.log(), "the next one", TAKEOVER_S, worker=worker)
    world.braid("reconcile", "faults", "--stop", "--server", world.server.url)
    check(shown(world) is None, "stopped")
    until(lambda: command(world, "list", "--json") == "", "what was under way ends")
    made = worker.log().count("a scheduled reconcile begins")
    time.sleep(2.5)  # two turns
    check(worker.log().count("a scheduled reconcile begins") == made, "none is made any more")
    world.braid("reconcile", "faults", "--every", "1 day", "--server", world.server.url)
    until(lambda: (shown(world) or [{}])[0].get("last_job"), "the first one at once")
    worker.stopped()


harness.main()
