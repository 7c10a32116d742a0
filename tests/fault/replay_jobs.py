#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replay jobs as records: plans, the commands that make and command them, and what is seen of a worker's doings, which the
test writes into the records itself."""
import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_FAILED, EXIT_NO, INPUT, OUTPUT, Worker, check, check_words, until  # noqa: E402

BUCKET = "KV_BRAID_faults_replays"
EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
RUNNING, PAUSED, DONE, PROMOTED, FAILED = 2, 3, 4, 6, 9  # ReplayPhase
PHASE, WISH, WORKER, PROGRESS, ERROR, FIRST_BAD, FINDING = 30, 31, 32, 36, 37, 38, 39  # fields of ReplayJob


def opened(world, count=400):
    """A pipeline that has worked through events in epochs of at most 50, and stopped."""
    world.open()
    worker = Worker(world, flags=("--epoch-rows", "50")).started()
    world.feed(count)
    world.caught_up(worker)
    worker.stopped()
    return world


def replay(world, verb, *words, status=0):
    return world.braid("replay", verb, *words, "--server", world.server.url, status=status)


def start(world, *flags):
    return replay(world, "start", "faults", *flags).strip()


def job(world, name):
    return json.loads(replay(world, "status", "faults", name, "--json"))


def listed(world):
    return [json.loads(line) for line in replay(world, "list", "faults", "--json").splitlines()]


def record(world, name):
    found = [bytes_ for _, bytes_ in world.client.messages(BUCKET, f"$KV.BRAID_faults_replays.{name}")]
    check(len(found) == 1, f"{len(found)} messages of {name}")
    return found[0]


def worker_writes(world, name, *fields):
    """What a worker would: later fields of a protobuf message override the earlier ones."""
    world.client.store(f"$KV.BRAID_faults_replays.{name}", record(world, name) + b"".join(fields))


def epochs(world):
    """epoch -> (first, last) of the input."""
    found = {}
    for _, bytes_ in world.client.messages(OUTPUT, harness.COMMITS):
        commit = proto.read(bytes_)
        where = proto.read(commit[4][0])
        found[commit[1][0]] = (where.get(4, [0])[0], where.get(5, [0])[0])
    return found


def plan(world, *flags, status=0):
    text = subprocess.run([harness.BRAID, "replay", "plan", "faults", "--json", "--server", world.server.url, *flags],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    check(text.returncode == status, f"exit status {text.returncode}: {text.stderr}")
    return json.loads(text.stdout)


# --- plans
def test_a_plan_tells_sequences_epochs_and_sizes(world):
    opened(world)
    recorded = epochs(world)
    last = max(recorded)
    whole = plan(world)
    check(whole["inputs"][0]["stream"] == {"first": 1, "last": 400}, whole)
    check((whole["base_lineage"], whole["base_first_epoch"], whole["base_last_epoch"]) == ("live", 1, last), whole)
    check(whole["messages"] == 400 and whole["bytes"] == world.client.stream(INPUT)["bytes"], whole)
    for epoch in recorded:
        part = plan(world, "--from", f"epoch:{epoch}", "--to", f"epoch:{epoch}")
        first, end = recorded[epoch]
        check(part["inputs"][0].get("stream") == ({"first": first, "last": end} if first else None), f"{epoch}: {part}")
        check((part["base_first_epoch"], part["base_last_epoch"]) == (epoch, epoch), part)
    some = plan(world, "--from", "seq:120", "--to", "230")
    check(some["inputs"][0]["stream"] == {"first": 120, "last": 230}, some)
    first = next(e for e in recorded if recorded[e][1] >= 120)
    check(some["base_first_epoch"] == first, some)
    text = replay(world, "plan", world.pipeline)
    check_words(text, f"epochs 1 to {last} of live", f"stream {INPUT}: 1..400", "400 messages")
    check_words(replay(world, "plan", "faults", "--from", f"epoch:{last + 1}", status=EXIT_NO), "no epoch", str(last))
    check_words(replay(world, "plan", "faults", "--from", "yesterday-ish", status=EXIT_NO), "yesterday-ish", "epoch:N")


def test_a_time_is_a_sequence(world):
    opened(world)
    stored = {}
    for sequence in (1, 200, 400):
        found = world.client.api(f"STREAM.MSG.GET.{INPUT}", {"seq": sequence})["message"]
        stored[sequence] = found["time"]
    world.client.api(f"STREAM.MSG.DELETE.{INPUT}", {"seq": 199})
    world.client.api(f"STREAM.MSG.DELETE.{INPUT}", {"seq": 201})
    # Stored within the same microsecond or later: nothing between can be told apart by the time that is given.
    got = plan(world, "--from", stored[200][:26] + "Z" if len(stored[200]) > 27 else stored[200])["inputs"][0]["stream"]
    check(190 <= got["first"] <= 200 and got["last"] == 400, f"{got} from {stored}")
    got = plan(world, "--from", "1 day")["inputs"][0]["stream"]
    check(got == {"first": 1, "last": 400}, got)
    got = plan(world, "--from", "2100-01-01")
    check("stream" not in got["inputs"][0] and got["notes"], got)


def test_what_the_stream_has_lost_is_a_hole_that_is_named(world):
    opened(world)
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": 151})
    holes = plan(world, status=EXIT_NO)["holes"]
    check(len(holes) == 1 and (holes[0]["first"], holes[0]["last"]) == (1, 150), holes)
    check_words(replay(world, "start", "faults", status=EXIT_NO), "hole", "1 to 150", INPUT, "--from")
    check(plan(world, "--from", "seq:151")["holes"] == [], "what is left can be read")
    check(listed(world) == [], "nothing was started")
    check(start(world, "--from", "seq:151") == "r1", "what is left can be replayed")


# --- jobs
def test_a_job_from_its_start_to_its_drop(world):
    opened(world)
    check(start(world, "--reason", "a wrong filter", "--rate", "500", "--only", "totals", "--lateness", "1 hour",
                "--include", "late,quarantine") == "r1", "the first")
    state = job(world, "r1")
    want = {"phase": "planned", "wish": "run", "mode": "recompute", "reason": "a wrong filter", "rate": 500,
            "only": ["totals"], "include": "late,quarantine", "lateness_seconds": 3600, "base_lineage": "live"}
    check({key: state.get(key) for key in want} == want, state)
    check(state["inputs"][0]["first_sequence"] == 1 and state["inputs"][0]["last_sequence"] == 400, state)
    check(state["progress"]["messages_total"] == 400, state)
    check_words(replay(world, "list", "faults"), "r1", "planned", "a wrong filter", "0.0 %")
    check_words(replay(world, "status", world.pipeline, "r1"), "r1", "planned", "1..400")
    replay(world, "pause", "faults", "r1")
    check(job(world, "r1")["wish"] == "pause", "paused")
    replay(world, "resume", "faults", "r1")
    check(job(world, "r1")["wish"] == "run", "resumed")
    replay(world, "cancel", "faults", "r1")
    check(job(world, "r1")["phase"] == "cancelled", "nobody had begun: nothing to be done by a worker")
    check(replay(world, "promote", "faults", "r1", status=EXIT_NO).strip()
          == "braid: r1 is cancelled; only a job that is done can be promoted", "in words")
    replay(world, "drop", "faults", "r1")
    check(listed(world) == [], "dropped ones aren't listed")
    check(start(world) == "r2", "ids are never given twice")


def test_unknown_jobs_and_pipelines_and_wrong_options_are_told(world):
    opened(world, 10)
    check_words(replay(world, "status", "faults", "r7", status=EXIT_NO), "no replay", "r7", "braid replay list")
    check_words(replay(world, "pause", "faults", "x.*", status=EXIT_NO), "no replay")
    check_words(replay(world, "list", "nowhere", status=EXIT_FAILED), "nowhere", "has it ever run")
    check_words(replay(world, "list", "faults", "--rate", "3", status=EXIT_USAGE), "--rate isn't for `braid replay list`")
    check_words(replay(world, "start", "faults", "--rate", "fast", status=EXIT_USAGE), "behind live")
    check_words(replay(world, "frobnicate", "faults", status=EXIT_USAGE), "plan|start")
    check_words(replay(world, "status", "faults", status=EXIT_USAGE), "which replay")
    check_words(replay(world, "start", world.pipeline, "--only", "nothing", status=EXIT_NO), "no view", "nothing")


def test_a_changed_pipeline_goes_into_the_job_under_the_name_of_the_running_one(world):
    opened(world, 50)
    text = harness.PIPELINE.replace("'faults'", "'another'", 1).replace("count(*)", "count(id)")
    changed = world.write("changed.sql", text)
    check_words(replay(world, "start", changed, "--name", "faults", status=EXIT_NO), "has changed", "--pipeline")
    views = {view["view"]: view["verdict"] for view in
             json.loads(replay(world, "plan", world.pipeline, "--pipeline", changed, "--json"))["views"]}
    check(views == {"passed": "keep", "totals": "rebuild"}, views)
    check(start(world, "--pipeline", changed) == "r1", "started")
    fields = proto.read(record(world, "r1"))
    check(fields[7][0].decode() == text and fields[8][0].decode() == changed, "the text is in the record")
    live = job(world, start(world))
    check(live["plan_hash"] != job(world, "r1")["plan_hash"], "another plan")
    broken = world.write("broken.sql", "CREATE MATERIALIZED VIEW v AS SELECT x FROM nowhere;")
    check_words(replay(world, "start", "faults", "--pipeline", broken, status=EXIT_NO), "broken.sql:1")
    check(len(listed(world)) == 2, "what has errors isn't started")


def test_a_changed_pipeline_may_come_through_a_pipe(world):
    opened(world, 50)
    text = harness.PIPELINE.replace("count(*)", "count(id)")
    done = subprocess.run([harness.BRAID, "replay", "start", "faults", "--pipeline", "-", "--server", world.server.url],
                          capture_output=True, text=True, check=False, input=text, timeout=60)
    check(done.returncode == 0 and done.stdout.strip() == "r1", done.stderr)
    check(proto.read(record(world, "r1"))[7][0].decode() == text, "the text is in the record")
    fifo = os.path.join(world.folder, "changed.fifo")
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: open(fifo, "w", encoding="utf-8").write(text))
    writer.start()
    check(start(world, "--pipeline", fifo) == "r2", "started")
    writer.join()
    check(proto.read(record(world, "r2"))[7][0].decode() == text, "the text is in the record")
    # A record that has lost its text isn't run as what the worker has.
    worker_writes(world, "r2", proto.data(7, b""))
    worker = Worker(world).started()
    until(lambda: job(world, "r2")["phase"] == "failed", "r2 to fail", worker=worker)
    check_words(job(world, "r2")["error"], "r2", "planned as plan", "start a new replay")
    until(lambda: job(world, "r1")["phase"] == "done", "r1 to be done", worker=worker)
    worker.stopped()


# --- races
def all_at_once(count, what):
    """Runs what(i) in threads; their results."""
    results = [None] * count

    def run(i):
        try:
            results[i] = what(i)
        except harness.Failure as failure:
            results[i] = failure
    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def test_jobs_made_at_the_same_time_get_ids_of_their_own(world):
    opened(world, 10)
    ids = all_at_once(12, lambda i: start(world, "--reason", f"number {i}"))
    check(sorted(ids) == sorted(f"r{n}" for n in range(1, 13)), ids)
    reasons = {state["id"]: state["reason"] for state in listed(world)}
    check(reasons == {name: f"number {i}" for i, name in enumerate(ids)}, reasons)


def test_wishes_made_at_the_same_time_are_all_made(world):
    opened(world, 10)
    start(world)
    before = world.client.stream(BUCKET)["last_seq"]
    all_at_once(10, lambda i: replay(world, "pause" if i % 2 else "resume", "faults", "r1"))
    check(world.client.stream(BUCKET)["last_seq"] == before + 10, "each was written once, none over another")
    check(job(world, "r1")["wish"] in ("pause", "run"), "one of them is the last")
    replay(world, "cancel", "faults", "r1")
    all_at_once(4, lambda i: replay(world, "resume", "faults", "r1", status=EXIT_NO))


# --- watching
def watching(world, *words, verb="watch"):
    return subprocess.Popen([harness.BRAID, "replay", verb, "faults", *words, "--server", world.server.url],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def ended(process, status):
    out, err = process.communicate(timeout=harness.PATIENCE_S)
    check(process.returncode == status, f"exit status {process.returncode}, not {status}: {out}{err}")
    return [json.loads(line) for line in out.splitlines()], err


def progress(done):
    return proto.data(PROGRESS, proto.number(1, done) + proto.number(2, 10) + proto.number(6, 1))


def test_watch_follows_a_job_as_json_lines_to_its_end(world):
    opened(world, 10)
    start(world)
    watch = watching(world, "r1")
    first = json.loads(watch.stdout.readline())
    check(first["phase"] == "planned", first)
    seen = []
    for done in (3, 7):
        worker_writes(world, "r1", proto.number(PHASE, RUNNING), proto.data(WORKER, "w"), progress(done))
        seen.append(json.loads(watch.stdout.readline()))
    check([(line["phase"], line["progress"]["messages_done"]) for line in seen] == [("running", 3), ("running", 7)], seen)
    worker_writes(world, "r1", proto.number(PHASE, PAUSED))
    check(json.loads(watch.stdout.readline())["phase"] == "paused", "a pause is not the end")
    worker_writes(world, "r1", proto.number(PHASE, DONE), progress(10))
    lines, _ = ended(watch, 0)
    check(lines[-1]["phase"] == "done", lines)
    ended(watching(world, "r1"), 0)


def test_watch_tells_failures_and_findings_by_its_exit_status(world):
    opened(world, 10)
    start(world)
    worker_writes(world, "r1", proto.number(PHASE, FAILED), proto.data(ERROR, "the disk is full"))
    _, err = ended(watching(world, "r1"), EXIT_NO)
    check_words(err, "r1", "the disk is full")
    check(replay(world, "verify", "faults").strip() == "r2", "verify is a job too")
    check(job(world, "r2")["mode"] == "verify", "of its own mode")
    worker_writes(world, "r2", proto.number(PHASE, DONE), proto.data(FINDING, "epochs 1 to 2 are identical"))
    _, err = ended(watching(world, "r2"), 0)
    check_words(err, "identical")
    worker_writes(world, "r2", proto.number(FIRST_BAD, 2), proto.data(FINDING, "epoch 2 differs"))
    _, err = ended(watching(world, "r2"), EXIT_NO)
    check_words(err, "epoch 2 differs")
    check_words(replay(world, "promote", "faults", "r2", status=EXIT_NO), "only verifies")


def test_stopping_to_watch_leaves_the_job_alone(world):
    opened(world, 10)
    start(world)
    watch = watching(world, "r1")
    watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    _, err = ended(watch, EXIT_INTERRUPTED)
    check_words(err, "r1 goes on")
    check(job(world, "r1")["wish"] == "run", "nobody cancelled it")


def test_waiting_ends_when_no_worker_takes_the_job(world):
    opened(world, 10)
    _, err = ended(watching(world, "--wait", "--json", verb="start"), EXIT_FAILED)
    check_words(err, "no worker has taken r1 for 10 s", "is `braid run` running?")
    check(job(world, "r1")["phase"] == "planned", "it can still be taken")


def test_a_promotion_is_wished_with_its_gates_and_waited_for(world):
    opened(world, 10)
    start(world)
    worker_writes(world, "r1", proto.number(PHASE, DONE))
    replay(world, "promote", "faults", "r1", "--max-changed", "7", "--require-verified")
    fields = proto.read(record(world, "r1"))
    check(fields[WISH] == [5] and fields[50] == [7] and fields[51] == [1], fields)
    waiting = watching(world, "r1", "--wait", verb="promote")
    waiting.stdout.readline()
    check(proto.read(record(world, "r1")).get(51, [0]) == [0], "the last wish's gates hold")
    worker_writes(world, "r1", proto.number(PHASE, PROMOTED), proto.number(WISH, 0))
    ended(waiting, 0)
    replay(world, "rollback", "faults", "r1")
    check(job(world, "r1")["wish"] == "roll back", "rolled back")
    worker_writes(world, "r1", proto.number(PHASE, DONE), proto.number(WISH, 0))
    refused = watching(world, "r1", "--wait", verb="promote")
    refused.stdout.readline()
    worker_writes(world, "r1", proto.number(WISH, 0), proto.data(ERROR, "8 rows would change"))
    _, err = ended(refused, EXIT_NO)
    check_words(err, "8 rows would change", "r1 is done")


def test_a_bar_is_drawn_on_a_terminal(world):
    opened(world, 10)
    start(world)
    worker_writes(world, "r1", proto.number(PHASE, RUNNING), proto.data(WORKER, "w"), progress(5))
    main, terminal = os.openpty()
    watch = subprocess.Popen([harness.BRAID, "replay", "watch", "faults", "r1", "--server", world.server.url],
                             stdout=subprocess.PIPE, stderr=terminal, text=True, stdin=subprocess.DEVNULL)
    os.close(terminal)
    drawn = ""

    def has_drawn():
        nonlocal drawn
        drawn += os.read(main, 4096).decode()
        return "50.0 %" in drawn
    until(has_drawn, "a bar at half")
    worker_writes(world, "r1", proto.number(PHASE, DONE), progress(10))
    out, _ = watch.communicate(timeout=harness.PATIENCE_S)
    os.close(main)
    check(watch.returncode == 0 and out == "", f"{watch.returncode}: {out}")
    check_words(drawn, "r1 running [###############---------------]", "5/10")


harness.main()
