#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From one build to the next, and not back: a pipeline that a later build (BRAID_LATER) computes otherwise is refused with the command
that computes its history again and publishes what differs from what was published. Subscribers' folds are what a fresh pipeline of
the later build gives."""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
import recordings  # noqa: E402
from harness import EXIT_FAILED, EXIT_NO, OUTPUT, Worker, check, check_words, until  # noqa: E402

LATER = os.environ.get("BRAID_LATER", os.path.join(harness.ROOT, "build", "release", "tests", "braid_later"))
NAMES = ["Bo", "ann", "bib", "eve", "kim", "ob", "BB", ""]
# Every way in which a view is published. upper() gives other text in the later build; `plain` has none of it.
PIPELINE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL) WITH (subject = 'faults.in');
CREATE TABLE people (key text PRIMARY KEY, home text) WITH (subject = 'faults.people');
CREATE MATERIALIZED VIEW keyed AS SELECT key, count(*) AS n, max(upper(key) || amount) AS most FROM events GROUP BY key;
CREATE MATERIALIZED VIEW groups AS SELECT upper(key) AS key, count(*) AS n FROM events GROUP BY 1;
CREATE MATERIALIZED VIEW bag AS SELECT p.home, upper(e.key) AS key, e.amount % 3 AS kind FROM events e JOIN people p USING (key);
CREATE MATERIALIZED VIEW packed WITH (layout = 'packed') AS SELECT key, max(upper(key)) AS name, sum(amount) AS total FROM events GROUP BY key;
CREATE MATERIALIZED VIEW packed_bag WITH (layout = 'packed') AS SELECT upper(e.key) AS key, p.home FROM events e LEFT JOIN people p USING (key);
CREATE MATERIALIZED VIEW held WITH (emit_interval = '400 milliseconds') AS SELECT upper(key) AS key, sum(amount) AS total FROM events GROUP BY 1;
CREATE MATERIALIZED VIEW told WITH (format = 'json', subject = 'faults.told.{key}') AS SELECT upper(key) AS key, avg(amount) AS mean, min(amount / 3.0) AS least FROM events GROUP BY 1;
CREATE MATERIALIZED VIEW homes AS SELECT p.home, count(*) AS n FROM people p WHERE upper(p.key) <> '8B' GROUP BY 1;
CREATE MATERIALIZED VIEW plain AS SELECT key, sum(amount) AS total FROM events GROUP BY key;
CREATE MATERIALIZED VIEW passed AS SELECT id, upper(key) AS key FROM events;
CREATE MATERIALIZED VIEW mails WITH (effect = true) AS SELECT upper(key) AS key, count(*) AS n FROM events GROUP BY 1;
"""
KEYS = {"keyed": ["key"], "groups": ["key"], "bag": None, "packed": ["key"], "packed_bag": None, "held": ["key"], "told": ["key"], "homes": ["home"],
        "plain": ["key"]}


def feed(world, count):
    """Events and people, a tenth of them; every now and then a person goes."""
    for index in range(world.fed, world.fed + count):
        name = NAMES[index * 7 % len(NAMES)]
        world.client.store("faults.in", proto.number(1, index) + proto.data(2, name) + proto.number(3, index * 31 % 1000 - 300))
        if index % 10 == 3:
            gone = index % 40 == 33
            row = proto.data(1, NAMES[index * 3 % len(NAMES)]) + (b"" if gone else proto.data(2, f"h{index % 4}"))
            world.client.store("faults.people", row, {"Braid-Op": "delete"} if gone else None)
    world.fed += count


def opened(world, count=200, flags=("--epoch-rows", "20"), sql=PIPELINE):
    """What the present build has made of some events. The worker goes on."""
    world.open()
    world.client.create_stream("IN_PEOPLE", ["faults.people"])
    world.pipeline = world.write("faults.sql", sql)
    worker = Worker(world, flags=flags).started()
    feed(world, count)
    caught_up(world, worker)
    return worker


def caught_up(world, worker, name="faults"):
    last = {"events": world.client.stream(harness.INPUT)["last_seq"], "people": world.client.stream("IN_PEOPLE")["last_seq"]}

    def done():
        said = subprocess.run([harness.BRAID, "status", name, "--json", "--server", world.server.url], capture_output=True, text=True, check=False)
        status = json.loads(said.stdout) if said.returncode == 0 else None
        return status and all(i["sequence"] == last[i["table"]] for i in status["inputs"]) and status["committed"] == status["epoch"]
    until(done, "the worker consumes everything", worker=worker)


def later(world, *argv, status=0, **options):
    done = subprocess.run([LATER, *argv, "--server", world.server.url], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=world.folder,
                          check=False, timeout=harness.PATIENCE_S, **options)
    check(done.returncode == status, f"braid {' '.join(argv)}: exit status {done.returncode}, not {status}:\n{done.stdout}\n{done.stderr[-3000:]}")
    return done.stdout if status == 0 else done.stderr


def later_worker(world, data="state", pipeline=None, flags=()):
    worker = LaterWorker(world, data=data, pipeline=pipeline, flags=flags)
    return worker


class LaterWorker(Worker):
    def __init__(self, world, **options):
        former, harness.BRAID = harness.BRAID, LATER
        try:
            super().__init__(world, **options)
        finally:
            harness.BRAID = former


def refusal(world, data="state"):
    """The later build doesn't start, and says how it would."""
    worker = LaterWorker(world, data=data)
    worker.failed("computed by an older build", "view keyed: upper() gives 8 for B now", "nothing was changed", "braid replay rebuild")
    check("damaged" not in worker.log(), worker.log())
    return worker.log()


def way_out(world, data="state"):
    """The command of the refusal, as it is pasted."""
    line = refusal(world, data).splitlines()[-1]
    check(line.startswith("braid replay rebuild "), line)
    return line


def paste(world, line, status=0, more=""):
    """In a shell that finds the later build under the name braid."""
    folder = os.path.join(world.folder, "bin")
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(os.path.join(folder, "braid")):
        os.symlink(LATER, os.path.join(folder, "braid"))
    done = subprocess.run(["sh", "-c", line + more], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=world.folder, check=False,
                          env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]}, timeout=harness.PATIENCE_S)
    check(done.returncode == status, f"{line}{more}: exit status {done.returncode}, not {status}:\n{done.stdout}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def folded(world, pipeline=None, keys=None):
    text = later(world, "tail", pipeline or world.pipeline, "--from-start", "--no-follow")
    return recordings.fold(recordings.lines(text), keys or KEYS)


def fresh(world, sql=PIPELINE, keys=None):
    """What the later build gives from the beginning, under another name."""
    path = world.write("fresh.sql", sql.replace("'faults'", "'fresh'").replace("faults.told", "fresh.told"))
    worker = LaterWorker(world, pipeline=path, data="fresh").started()
    caught_up(world, worker, "fresh")
    rows = {}
    for view in keys or KEYS:
        answer = later(world, "query", "fresh", f"SELECT * FROM {view}", "--json")
        rows[view] = recordings.canonical(recordings.lines(answer))
    worker.stopped()
    world.client.api("STREAM.DELETE.BRAID_fresh")
    shutil.rmtree(os.path.join(world.folder, "fresh"))
    return rows


def check_outcome(world, worker, sql=PIPELINE, keys=None, pipeline=None):
    """What subscribers know, what the worker answers and what a fresh pipeline gives are one."""
    caught_up(world, worker)
    want = fresh(world, sql, keys)
    until(lambda: folded(world, pipeline, keys)["held"] == want["held"], "what was held back", 20)
    found = folded(world, pipeline, keys)
    for view, rows in want.items():
        check(found[view] == rows, f"{view}: subscribers know\n{found[view]}\nfor\n{rows}")
        answer = recordings.canonical(recordings.lines(later(world, "query", "faults", f"SELECT * FROM {view}", "--json")))
        check(answer == rows, f"{view}: the worker answers\n{answer}\nfor\n{rows}")


def corrected(world, replay="r1"):
    return {m.subject for m in world.client.stored(OUTPUT, "braid.faults.view.>") if m.header("Braid-Replay") == replay}


def test_the_command_of_the_refusal_works(world):
    worker = opened(world)
    worker.stopped()
    before = folded(world)
    line = way_out(world)
    check(folded(world) == before, "the refusal changed something")
    said = paste(world, line, more=" --dry-run")
    check_words(said, "computed otherwise by this build: view keyed", "repeats the epochs 1 to", "nothing was published", "keyed", "groups")
    check(folded(world) == before, "the dry run changed something")
    check_words(paste(world, line, status=EXIT_NO, more=" --max-changed 2"), "goes on", "more than the 2 allowed")
    check(folded(world) == before, "the gate let something through")
    check_words(paste(world, line), "goes on", "owns the outputs")
    check_words(paste(world, line), "needs no rebuild")
    check("braid.faults.view.plain" not in corrected(world) and "braid.faults.view.mails" not in corrected(world), corrected(world))
    worker = LaterWorker(world).started()
    check_words(worker.log(), "lineage=r1")
    check_outcome(world, worker)
    feed(world, 60)
    check_outcome(world, worker)
    worker.kill()
    shutil.rmtree(worker.data)  # and it is rebuilt from its own commits
    worker = LaterWorker(world).started()
    feed(world, 20)
    check_outcome(world, worker)
    later(world, "replay", "verify", "faults", "--wait", "--local", "--data", "state")
    check_words(later(world, "replay", "rollback", "faults", "r1", "--local", "--data", "state", status=EXIT_NO), "lineage live",
                "older build", "otherwise")
    later(world, "replay", "drop", "faults", "r1", "--local", "--data", "state")
    worker.stopped()


def test_the_former_build_runs_until_the_outputs_are_taken_over(world):
    worker = opened(world)
    line = way_out(world, data="later")
    feed(world, 50)
    rebuild = subprocess.Popen(["sh", "-c", line.replace("braid ", LATER + " ", 1)], cwd=world.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    while rebuild.poll() is None:  # events flow all the time
        feed(world, 2)
        time.sleep(0.01)
    check(rebuild.returncode == 0, rebuild.stdout.read())
    worker.failed("was computed by a later build", "no way back")
    worker = LaterWorker(world, data="later").started()
    feed(world, 40)
    check_outcome(world, worker)
    twin = LaterWorker(world, data="twin")  # a second one of the new build, from the log alone
    until(lambda: twin.process.poll() is not None or worker.process.poll() is not None or "running" in twin.log(), "the twin's start")
    feed(world, 40)
    alive = until(lambda: [w for w in (worker, twin) if w.process.poll() is None and "running" in w.log()], "a worker goes on")
    until(lambda: len([w for w in (worker, twin) if w.process.poll() is None]) == 1, "one of the two is fenced")
    alive = [w for w in (worker, twin) if w.process.poll() is None]
    check_outcome(world, alive[0])
    alive[0].stopped()


def while_events_flow(world, done, what):
    deadline = time.monotonic() + harness.PATIENCE_S
    while not done():
        check(time.monotonic() < deadline, f"{what}: not within {harness.PATIENCE_S} s")
        feed(world, 2)
        time.sleep(0.01)


# What both builds compute alike.
ALIKE = PIPELINE.replace("upper(key)", "key").replace("upper(e.key)", "e.key").replace("upper(p.key)", "p.key")


def test_workers_are_replaced_while_events_flow(world):
    """From one build to the next: beside the former worker, from the log alone; then over its folder; and never back."""
    former = opened(world, sql=ALIKE)
    beside = LaterWorker(world, data="beside")
    while_events_flow(world, lambda: "running" in beside.log() or beside.process.poll() is not None, "the later worker's start")
    while_events_flow(world, lambda: former.process.poll() is not None or beside.process.poll() is not None, "one of both is fenced")
    if former.process.poll() is None:  # which was faster, and is asked to stop
        check_words(beside.log(), "fenced")
        former.stopped()
        worker = LaterWorker(world, data="state")
    else:
        check_words(former.log(), "fenced")
        worker = beside
    while_events_flow(world, lambda: "running" in worker.log(), "the later worker goes on")
    check_outcome(world, worker, ALIKE)
    refused = Worker(world, data="refused")
    while_events_flow(world, lambda: refused.process.poll() is not None, "the former build stops")
    refused.failed("computed by a later build", "no way back")
    check_outcome(world, worker, ALIKE)
    worker.stopped()
    worker = LaterWorker(world, data="state" if worker is beside else "beside").started()  # folders that the log has left behind
    check("set aside" not in worker.log(), worker.log())
    check_outcome(world, worker, ALIKE)
    worker.stopped()


def test_killed_at_any_time_it_is_gone_on_with(world):
    sql = PIPELINE.replace("e.amount % 3 AS kind", "e.id AS kind")  # every row of the bag is one of its own
    worker = opened(world, 1600, flags=("--epoch-rows", "50"), sql=sql)
    line = way_out(world, data="later")
    worker.kill()
    kills = 0
    for attempt in range(60):
        rebuild = subprocess.Popen([LATER, *line.split()[1:]], cwd=world.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            rebuild.wait(0.02 + world.random.random() * attempt * 0.03)
            check(rebuild.returncode == 0, rebuild.stdout.read())
            break
        except subprocess.TimeoutExpired:
            rebuild.kill()
            rebuild.wait()
            kills += 1
            forget_lease(world)
    else:
        check(subprocess.run([LATER, *line.split()[1:]], cwd=world.folder, capture_output=True, check=False).returncode == 0, "left alone it ends")
    check(kills > 2, f"{kills} kills")
    jobs = [json.loads(text) for text in later(world, "replay", "list", "faults", "--json").splitlines()]
    check([job["id"] for job in jobs] == ["r1"], f"one job does it all: {jobs}")
    worker = LaterWorker(world, data="later").started()
    until(lambda: json.loads(later(world, "replay", "status", "faults", "r1", "--json"))["phase"] == "promoted", "it is noted")
    feed(world, 30)
    check_outcome(world, worker, sql)
    worker.stopped()


def forget_lease(world):
    """Of a process that was killed: nobody waits for it to run out."""
    bucket = "KV_BRAID_faults_replays"
    for message in list(world.client.stored(bucket, "$KV.BRAID_faults_replays.r*")):
        fields = proto.read(message.payload)
        if 32 not in fields:
            continue
        kept, at = b"", 0
        while at < len(message.payload):  # field by field; those of the lease are left out
            begin, (number, at) = at, next_field(message.payload, at)
            kept += message.payload[begin:at] if number not in (32, 33) else b""
        world.client.store(message.subject, kept)


def next_field(message, at):
    """The number of the field there, and where the next one begins."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 128:
                return value, at
    key, at = varint(at)
    if key & 7 == 0:
        return key >> 3, varint(at)[1]
    if key & 7 == 2:
        size, at = varint(at)
        return key >> 3, at + size
    return key >> 3, at + {1: 8, 5: 4}[key & 7]


def lose(world, view, which=3):
    """One message of a view is gone, as by a limit; who followed has it all the same."""
    message = list(world.client.stored(OUTPUT, f"braid.faults.view.{view}"))[which]
    world.client.api(f"STREAM.MSG.DELETE.{OUTPUT}", {"seq": message.sequence})


def changes(world, pipeline=None):
    return recordings.lines(later(world, "tail", pipeline or world.pipeline, "--from-start", "--no-follow"))


def test_what_isnt_all_there_any_more_is_published_anew(world):
    worker = opened(world)
    worker.stopped()
    before = changes(world)
    lose(world, "keyed")
    lose(world, "plain")
    line = way_out(world)
    said = paste(world, line)
    check_words(said, "keyed: not compared", "not all that was published of it is there any more", "plain: not compared")
    check({"braid.faults.view.plain", "braid.faults.view.keyed"} <= corrected(world), corrected(world))
    worker = LaterWorker(world).started()
    feed(world, 30)
    caught_up(world, worker)
    want = fresh(world)
    until(lambda: folded(world)["held"] == want["held"], "what was held back", 20)
    after = changes(world)
    known = recordings.fold(before + after[len(before) - 2:], KEYS)
    check(known == want, f"subscribers know\n{known}\nfor\n{want}")
    worker.stopped()


def test_of_a_history_with_holes_what_is_left_is_computed(world):
    """By the words of the refusal: somebody has to say that what is gone goes from the results."""
    worker = opened(world)
    worker.stopped()
    world.client.api(f"STREAM.PURGE.{harness.INPUT}", {"seq": 61})
    line = way_out(world)
    said = paste(world, line, status=EXIT_NO)
    check_words(said, "table events: sequences 1 to 60", "are gone", "the same command with --epochs fresh --from oldest")
    check_words(paste(world, line, more=" --epochs fresh --from oldest"), "read from sequence 61 of stream", "owns the outputs")
    worker = LaterWorker(world).started()
    feed(world, 30)
    check_outcome(world, worker)
    worker.kill()
    shutil.rmtree(worker.data)
    worker = LaterWorker(world).started()
    check_outcome(world, worker)
    worker.stopped()


def test_rows_without_a_key_that_nobody_knows_need_another_name(world):
    worker = opened(world)
    worker.stopped()
    lose(world, "bag")
    line = way_out(world)
    check_words(paste(world, line, status=EXIT_NO), "view bag: nobody can tell what its subscribers know", "another name", "--pipeline")
    renamed = PIPELINE.replace("VIEW bag ", "VIEW rows ")
    path = world.write("renamed.sql", renamed)
    check_words(paste(world, line, more=f" --pipeline {path}"), "rows", "owns the outputs")
    worker = LaterWorker(world, pipeline=path).started()
    feed(world, 30)
    keys = {("rows" if view == "bag" else view): key for view, key in KEYS.items()}
    check_outcome(world, worker, renamed, keys, path)
    worker.stopped()


CHANGED = PIPELINE.replace("count(*) AS n, max(upper(key) || amount) AS most FROM events", "count(*) AS n, max(upper(key) || amount) AS most, min(amount) AS least FROM events").replace(
    "faults.told.{key}", "faults.told.anew.{key}").replace("VIEW packed WITH (layout = 'packed')", "VIEW packed").replace(
    "CREATE MATERIALIZED VIEW homes AS SELECT p.home, count(*) AS n FROM people p WHERE upper(p.key) <> '8B' GROUP BY 1;", "").replace(
    "sum(amount) AS total FROM events GROUP BY key;\nCREATE MATERIALIZED VIEW passed", "sum(amount) AS total FROM events WHERE amount > 0 GROUP BY key;\nCREATE MATERIALIZED VIEW passed")


def test_what_was_published_goes_on_over_takeovers(world):
    worker = opened(world)
    path = world.write("changed.sql", CHANGED)
    name = replay(world, "--pipeline", path)
    feed(world, 60)
    caught_up(world, worker)
    replay(world)  # the same again
    feed(world, 20)
    caught_up(world, worker)
    world.braid("replay", "drop", "faults", name, "--wait", "--server", world.server.url)
    worker.stopped()
    said = paste(world, f"braid replay rebuild {path} --server {world.server.url} --data state")
    check("not all that was published" not in said and "not compared: what" not in said, said)
    worker = LaterWorker(world, pipeline=path).started()
    feed(world, 30)
    keys = {view: key for view, key in KEYS.items() if view != "homes"}
    check_outcome(world, worker, CHANGED, keys, path)
    worker.stopped()


WINDOWS = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL, at timestamptz) WITH (subject = 'faults.in', event_time = 'at');
CREATE TABLE people (key text PRIMARY KEY, home text) WITH (subject = 'faults.people');
CREATE MATERIALIZED VIEW windows AS SELECT window_start, upper(key) AS key, count(*) AS n FROM tumble(events, at, interval '1 minute') GROUP BY 1, 2;
CREATE MATERIALIZED VIEW finals WITH (emit = 'final') AS SELECT window_start, max(upper(key)) AS key, count(*) AS n FROM tumble(events, at, interval '1 minute') GROUP BY 1;
CREATE MATERIALIZED VIEW held AS SELECT home, count(*) AS n FROM people GROUP BY 1;
"""


def feed_windows(world, moments):
    for moment in moments:
        world.client.store("faults.in", proto.number(1, world.fed) + proto.data(2, NAMES[world.fed % len(NAMES)]) + proto.number(3, 1)
                           + proto.timestamp(4, 1_600_000_000 + moment))
        world.fed += 1
    world.client.store("faults.people", proto.data(1, f"p{world.fed}") + proto.data(2, "h"))


def test_late_events_that_were_taken_in_stay(world):
    world.open()
    world.client.create_stream("IN_PEOPLE", ["faults.people"])
    world.pipeline = world.write("faults.sql", WINDOWS)
    worker = Worker(world).started()
    for moments in ([5, 20, 70], [130, 200], [10, 15, 140], [300]):
        feed_windows(world, moments)
        caught_up(world, worker)
    replay(world, "--include", "late")
    feed_windows(world, [20, 310, 420])  # late again
    caught_up(world, worker)
    worker.stopped()
    line = f"braid replay rebuild {world.pipeline} --server {world.server.url} --data state"
    keys = {"windows": ["window_start", "key"], "finals": ["window_start"], "held": ["home"]}
    before = folded(world, keys=keys)
    paste(world, line)
    after = folded(world, keys=keys)
    check(sum(json.loads(row)["n"] for row in before["windows"]) == 11, before)  # all but the one that came too late after the promotion
    check(sorted(row.replace("B", "8") for row in before["windows"]) == sorted(after["windows"]), f"{before}\n{after}")
    counts = [[(json.loads(row)["window_start"], json.loads(row)["n"]) for row in rows["finals"]] for rows in (before, after)]
    check(sorted(counts[0]) == sorted(counts[1]), f"{before}\n{after}")
    worker = LaterWorker(world).started()
    feed_windows(world, [600])
    caught_up(world, worker)
    later(world, "replay", "verify", "faults", "--wait", "--local", "--data", "state")
    worker.stopped()


def test_imported_events_are_those_that_the_owner_had(world):
    world.open()
    world.client.create_stream("IN_PEOPLE", ["faults.people"])
    archived = PIPELINE.replace("SET braid.pipeline = 'faults';", "SET braid.pipeline = 'faults';\nSET braid.archive = 'file:///proc/self/cwd/archive';")
    world.pipeline = world.write("faults.sql", archived)

    def import_rows(first, time):
        path = world.write("rows.jsonl", "".join(json.dumps({"id": -n, "key": "bob", "amount": n}) + "\n" for n in range(first, first + 4)))
        world.braid("import", world.pipeline, "events", "--from", path, "--at", time, "--server", world.server.url)
    import_rows(1, "2020-01-01T00:00:00Z")
    worker = Worker(world).started()
    feed(world, 60)
    caught_up(world, worker)
    replay(world, "--reason", "with what was imported")
    import_rows(11, "2020-01-02T00:00:00Z")  # which nobody has asked for yet
    feed(world, 20)
    said = until(lambda: world.braid("query", "faults", "SELECT n FROM keyed WHERE key = 'bob'", "--json", "--server", world.server.url), "the row")
    check(json.loads(said)["n"] == 4, said)
    worker.stopped()
    before = folded(world)
    paste(world, way_out(world))
    after = folded(world)
    check([row.replace("BOB", "8O8") for row in before["keyed"] if "bob" in row] == [row for row in after["keyed"] if "bob" in row], after["keyed"])
    check(before["plain"] == after["plain"] and "braid.faults.view.plain" not in corrected(world, "r2"), f"{before['plain']}\n{after['plain']}")
    worker = LaterWorker(world).started()
    feed(world, 20)
    worker.kill()
    shutil.rmtree(worker.data)
    LaterWorker(world).started().stopped()


def replay(world, *flags):
    """Started, done, promoted by the worker."""
    name = world.braid("replay", "start", "faults", *flags, "--server", world.server.url).split()[0]
    until(lambda: json.loads(world.braid("replay", "status", "faults", name, "--json", "--server", world.server.url))["phase"] == "done", "it is done")
    world.braid("replay", "promote", "faults", name, "--wait", "--server", world.server.url)
    return name


def test_a_constant_that_is_folded_otherwise(world):
    sql = PIPELINE.replace("upper(p.key) <> '8B'", "length(p.key) <> length(upper('b')) AND p.key <> upper('b')").replace("upper(key)", "key").replace(
        "upper(e.key)", "e.key")
    worker = opened(world, sql=sql)
    worker.stopped()
    refused = LaterWorker(world)
    refused.failed("a constant in its SQL text has another value", "braid replay rebuild")
    check_words(later(world, "replay", "verify", "faults", "--wait", "--local", "--data", "state", status=EXIT_NO), "a constant in its SQL text")
    check_words(paste(world, refused.log().splitlines()[-1]), "owns the outputs")
    worker = LaterWorker(world).started()
    feed(world, 30)
    check_outcome(world, worker, sql)
    worker.kill()
    shutil.rmtree(worker.data)
    worker = LaterWorker(world).started()
    check_outcome(world, worker, sql)
    worker.stopped()


def test_the_steps_one_by_one(world):
    """What rebuild does in one go, by the verbs that there are anyway, beside the worker of the former build."""
    worker = opened(world)
    name = later(world, "replay", "start", "faults", "--local", "--data", "state").split()[0]
    feed(world, 20)
    later(world, "replay", "diff", "faults", name, "--local", "--data", "state", status=EXIT_NO)
    later(world, "replay", "promote", "faults", name, "--local", "--data", "state")
    worker.failed("computed by a later build")
    worker = LaterWorker(world).started()
    feed(world, 20)
    check_outcome(world, worker)
    worker.stopped()


def test_there_is_no_way_back(world):
    worker = opened(world)
    worker.stopped()
    paste(world, way_out(world))
    Worker(world).failed("computed by a later build", "semantics", "no way back")
    Worker(world, data="empty").failed("computed by a later build")
    refused = world.braid("replay", "start", "faults", "--server", world.server.url, status=EXIT_FAILED)
    check_words(refused, "computed by a later build")
    refused = world.braid("replay", "promote", "faults", "r1", "--server", world.server.url, status=EXIT_NO)
    check_words(refused, "r1 was made by a later build", "semantics")
    check_words(world.braid("replay", "list", "faults", "--server", world.server.url), "r1")  # shown it is
    check_words(world.braid("capture", world.pipeline, "--epochs", "--server", world.server.url, status=EXIT_FAILED), "computed by a later build")
    # A pipeline that is computed alike goes on with the later build, and not back either.
    path = world.write("alike.sql", ALIKE.replace("'faults'", "'alike'").replace("faults.told", "alike.told"))
    worker = Worker(world, pipeline=path, data="alike").started()
    caught_up(world, worker, "alike")
    worker.kill()
    worker = LaterWorker(world, pipeline=path, data="alike").started()
    feed(world, 10)
    caught_up(world, worker, "alike")
    worker.stopped()
    Worker(world, pipeline=path, data="alike").failed("computed by a later build")


def test_state_of_a_later_build_is_refused(world):
    """The log went back to where the present build had left it, the folder didn't."""
    worker = opened(world, 50, sql=ALIKE)
    worker.stopped()

    def with_server_down(do):
        world.client.close()
        world.server.stop()
        do()
        world.server.start()
        world.client = world.server.connect()
    kept = os.path.join(world.folder, "kept")
    with_server_down(lambda: shutil.copytree(world.server.store, kept))
    worker = LaterWorker(world).started()
    feed(world, 20)
    caught_up(world, worker)
    worker.stopped()

    def go_back():
        shutil.rmtree(world.server.store)
        os.rename(kept, world.server.store)
    with_server_down(go_back)
    Worker(world).failed("the state in the data directory", "later build")
    shutil.rmtree(os.path.join(world.folder, "state"))
    Worker(world).started().stopped()


def test_records_of_later_builds_are_refused_by_their_numbers(world):
    worker = opened(world, 50)
    subject = next(m.subject for m in world.client.stored(OUTPUT, "braid.faults.plan.*"))
    text = next(world.client.messages(OUTPUT, subject))[1]
    kept, at = b"", 0
    while at < len(text):
        begin, (number, at) = at, next_field(text, at)
        kept += text[begin:at] if number != 8 else b""
    world.client.store(subject, kept + proto.number(8, 77))  # binding rules
    check_words(world.braid("replay", "plan", "faults", "--server", world.server.url, status=EXIT_FAILED), "made by a later build", "binding rules 77",
                "no way back")
    worker.stopped()


if __name__ == "__main__":
    harness.main()
