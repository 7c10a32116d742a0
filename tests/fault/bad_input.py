#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad and enormous messages through a worker: they are quarantined or passed on whole, and never stop it."""
import base64
import collections
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_FAILED, INPUT, Server, Worker, check, check_words, until  # noqa: E402

MIB = 1 << 20


def quarantined(world, path=None):
    text = world.braid("quarantine", "ls", path or world.pipeline, "--server", world.server.url)
    return [json.loads(line) for line in text.splitlines()]


def test_garbage_among_events(world):
    world.open()
    worker = Worker(world).started()
    garbage = []
    for index in range(400):
        world.client.publish("faults.in", harness.payload(index))
        # A tag that no field has makes sure that the bytes can't be an event by chance.
        bad = b"\x07" + world.random.randbytes(world.random.randrange(0, 300))
        world.client.publish("faults.in", bad)
        garbage.append(bad)
    world.fed = 400
    until(lambda: world.client.stream(INPUT)["last_seq"] == 800, "the input stream")
    world.caught_up(worker)
    world.check_outcome()
    reports = quarantined(world)
    check(collections.Counter(base64.b64decode(report["payload"]) for report in reports) == collections.Counter(garbage),
          f"{len(reports)} reports for {len(garbage)} messages, or with other bytes")
    check(all(r["quarantined"] == "events" and r["reason"] == "decode" and "number 0" in r["detail"] for r in reports),
          f"{reports[:2]}")
    check(world.status()["quarantined"] == 400, "the status counts them otherwise")
    worker.stopped()


def test_strange_headers(world):
    world.open()
    worker = Worker(world).started()
    for index, headers in enumerate([{"ce-type": "nobody.v1.Knows"}, {"ce-type": "x" * 100000}, {"ce-type": ""},
                                     {"Braid-Op": "delete"}, {"Braid-Op": "explode"}, {"Nats-Batch-Commit": "no"},
                                     {f"X-{i}": "y" * 100 for i in range(500)}, {"X": "\u2603" * 30}]):
        world.client.publish("faults.in", harness.payload(index), headers)
    world.client.publish("faults.in", b"", {})
    world.client.flush()
    stored = until(lambda: world.client.stream(INPUT)["last_seq"], "the input stream")
    world.fed = 0
    world.feed(10)
    world.caught_up(worker)
    reasons = collections.Counter(report["reason"] for report in quarantined(world))
    check(reasons["version"] >= 2, f"{stored} messages, reports: {reasons}")
    worker.stopped()


CLOCKS = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, at timestamptz) WITH (subject = 'faults.in', event_time = 'at');
CREATE TABLE patient (id bigint NOT NULL, at timestamptz) WITH (subject = 'faults.in', event_time = 'at', max_future = '1 day');
CREATE MATERIALIZED VIEW per_day AS SELECT window_start, count(*) AS n FROM tumble(events, at, interval '1 minute') GROUP BY window_start;
CREATE MATERIALIZED VIEW kept AS SELECT id, at FROM patient;
"""


def test_an_event_of_a_clock_that_is_ahead(world):
    """One whose clock is most of a day ahead doesn't make the others late: it is quarantined, and the status counts it."""
    world.open()
    path = world.write("clocks.sql", CLOCKS)
    worker = Worker(world, pipeline=path).started()
    now = int(time.time())
    for index, ahead in enumerate([-5, 23 * 3600, 50 * 60, 70 * 60, 0, None]):
        world.client.store("faults.in", proto.number(1, index) + (proto.timestamp(2, now + ahead) if ahead is not None else b""))
    world.caught_up(worker)
    reports = [report for report in quarantined(world, path) if report["quarantined"] == "events"]
    check([(r["row"]["id"], "max_future" in r["detail"]) for r in reports] == [(1, True), (3, True), (5, False)], f"{reports}")
    status = world.status()
    check([(i["table"], i["ahead"], i["quarantined"]) for i in status["inputs"]] == [("events", 2, 3), ("patient", 0, 1)], f"{status['inputs']}")
    check(status["late"] <= 1, f"{status['late']} events are late")  # that of now is, behind the one 50 minutes ahead
    said = world.braid("status", "faults", "--server", world.server.url)
    check(any(line.split()[:2] == ["table", "events"] and "ahead 2" in line for line in said.splitlines()), said)
    worker.stopped()


KEYED = """
SET braid.pipeline = 'faults';
CREATE TABLE stock (id integer PRIMARY KEY, n integer) WITH (subject = 'faults.in.{id}');
CREATE MATERIALIZED VIEW copies AS SELECT id, n FROM stock;
"""


def test_what_is_written_wrongly_is_told_with_its_place(world):
    """Rows as people write them: nothing is taken for what it isn't, and nothing of it is published."""
    world.server = Server(world)
    world.client = world.server.connect()
    world.client.create_stream(INPUT, ["faults.in.*"])
    path = world.write("keyed.sql", KEYED)
    for row, words in (('{"id":1,"n":2,"id":3}', 'member "id" is there twice (byte '), ('{"id":1,"n":2,"\\ud800":3}', "in pairs (byte "),
                       ('{"id":null,"n":2}', "it can't be NULL"), ('{"n":2}', "it can't be NULL")):
        lines = world.write("lines.jsonl", '{"table":"stock","row":{"id":1,"n":1}}\n{"table":"stock","row":%s}\n' % row)
        rows = world.write("rows.jsonl", '{"id":1,"n":1}\n%s\n' % row)
        for said in (world.braid("test", path, "--in", lines, status=EXIT_FAILED),
                     world.braid("publish", path, lines, "--server", world.server.url, status=EXIT_FAILED)):
            check_words(said, "lines.jsonl:2: ", words)
        check_words(world.braid("publish", path, "stock", rows, "--server", world.server.url, status=EXIT_FAILED), "rows.jsonl:2: ", words)
    check_words(world.braid("test", path, "--in", lines, status=EXIT_FAILED), 'column "id" is of the PRIMARY KEY of "stock"', "'faults.in.{id}'")
    check(world.client.stream(INPUT)["last_seq"] <= 12, "what is wrong was published")
    # What somebody else has published there is captured, and is the same when it is tested.
    world.client.store("faults.in.%N", proto.number(2, 7))
    worker = Worker(world, pipeline=path).started()
    world.caught_up(worker)
    worker.stopped()
    captured = world.write("captured.jsonl", world.braid("capture", path, "--server", world.server.url))
    tested = [json.loads(line) for line in world.braid("test", path, "--in", captured).splitlines()]
    live = quarantined(world, path)
    check([line["detail"] for line in tested if "quarantined" in line] == [report["detail"] for report in live] and len(live) == 1, f"{tested}\n{live}")


DOCUMENTS = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, body text) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW copies AS SELECT id, body FROM events;
CREATE MATERIALIZED VIEW sizes AS SELECT id, length(body) AS n FROM events;
CREATE MATERIALIZED VIEW largest AS SELECT id, max(body) AS body FROM events GROUP BY id;
CREATE MATERIALIZED VIEW blocks WITH (layout = 'packed') AS SELECT id, max(body) AS body FROM events GROUP BY id;
"""


def document(id_, size, letter="x"):
    return proto.number(1, id_) + proto.data(2, letter * size)


def outputs(world, path):
    """view -> list of (op, id, size of the body or n)"""
    views = collections.defaultdict(list)
    for line in world.braid("tail", path, "--from-start", "--no-follow", "--server", world.server.url).splitlines():
        change = json.loads(line)
        row = change["row"]
        views[change["view"]].append((change["op"], row["id"], row.get("n", len(row.get("body") or ""))))
    return views


def test_streams_that_are_called_like_parts_of_answers(world):
    """What a server says is parsed, not searched: the acknowledgement of a stream called "error" is none."""
    world.server = harness.Server(world)
    world.client = world.server.connect()
    path = world.write("named.sql", "SET braid.pipeline = 'faults';\n" + "".join(
        f"CREATE TABLE {name}_rows (id bigint NOT NULL) WITH (subject = 'named.{name}');\n" for name in ("error", "seq", "duplicate")) +
        "CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM error_rows;\n")
    for name in ("error", "seq", "duplicate"):
        world.client.create_stream(name, [f"named.{name}"])
        lines = world.write("lines.jsonl", '{"id": 1}\n{"id": 2}\n')
        world.braid("publish", path, f"{name}_rows", lines, "--server", world.server.url)
        check(world.client.stream(name)["messages"] == 2, f"{name}: {world.client.stream(name)}")
    worker = Worker(world, pipeline=path).started()
    until(lambda: world.query("SELECT n FROM counts") == [{"n": 2}], "the rows", worker=worker)
    worker.stopped()


def test_messages_of_eight_mebibytes(world):
    world.open(config="max_payload: 16777216, max_pending: 134217728")
    path = world.write("documents.sql", DOCUMENTS)
    worker = Worker(world, pipeline=path).started()
    for id_, size in ((1, 8 * MIB), (2, 10), (3, 8 * MIB)):
        world.client.store("faults.in", document(id_, size), timeout_s=30)
    world.client.store("faults.in", b"\x07" + bytes(8 * MIB), timeout_s=30)
    world.client.store("faults.in", document(4, 11))
    world.caught_up(worker)
    views = outputs(world, path)
    want = [(1, 8 * MIB), (2, 10), (3, 8 * MIB), (4, 11)]
    check(views["copies"] == [("insert", *pair) for pair in want], f"{views['copies']}")
    check(views["sizes"] == [("insert", *pair) for pair in want], f"{views['sizes']}")
    check(sorted(views["largest"]) == [("upsert", *pair) for pair in want], f"{views['largest']}")
    check(sorted(views["blocks"]) == [("upsert", *pair) for pair in want], f"{views['blocks']}")
    reports = quarantined(world, path)
    check(len(reports) == 1 and len(reports[0]["payload"]) > 8 * MIB, "the bad message isn't quarantined as a whole")
    worker.stopped()


def test_rows_that_fit_no_message(world):
    """The largest messages that the server takes: their copies, with Braid's headers, are too large to publish."""
    world.open()
    path = world.write("documents.sql", DOCUMENTS)
    worker = Worker(world, pipeline=path).started()
    large = MIB - 20
    feed = [(1, 10, "a"), (2, 20, "a"), (1, large, "b"), (3, large, "c"), (4, 40, "a"), (3, 30, "d"), (5, MIB - 6000, "e")]
    for id_, size, letter in feed:
        world.client.store("faults.in", document(id_, size, letter))
        world.caught_up(worker)
    world.client.store("faults.in", b"\x07" + bytes(MIB - 10))
    world.caught_up(worker)
    views = outputs(world, path)
    check(views["sizes"] == [("insert", id_, size) for id_, size, _ in feed], f"{views['sizes']}")
    check(views["copies"] == [("insert", id_, size) for id_, size, _ in feed if size != large], f"{views['copies']}")
    # Row 1 grew beyond what can be told: subscribers see it go. Row 3 came too large and shrank to "ddd…", the larger text.
    want = [("upsert", 1, 10), ("upsert", 2, 20), ("delete", 1, 0), ("upsert", 4, 40), ("upsert", 3, 30), ("upsert", 5, MIB - 6000)]
    for view in ("largest", "blocks"):
        seen = [change for change in views[view] if change != ("delete", 3, 0)]
        check(seen == want, f"{view}: {views[view]}")
    reports = quarantined(world, path)
    sizes = collections.Counter((report["quarantined"], report["reason"]) for report in reports)
    check(sizes == {("copies", "size"): 2, ("largest", "size"): 2, ("blocks", "size"): 2, ("events", "decode"): 1}, f"{sizes}")
    harness.check_words(next(r["detail"] for r in reports if r["reason"] == "size"), "max_payload", str(MIB))
    # Queries see what can't be published.
    rows = world.query("SELECT id, length(body) AS n FROM largest ORDER BY id")
    check(rows == [{"id": i, "n": n} for i, n in ((1, large), (2, 20), (3, 30), (4, 40), (5, MIB - 6000))], f"{rows}")
    worker.kill()
    harness.shutil.rmtree(worker.data)
    worker = Worker(world, pipeline=path).started()  # digests agree
    check(outputs(world, path) == views, "recovery published something again")
    worker.stopped()


SUBJECTS = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, body text) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW by_body WITH (subject = 'faults.out.{body}') AS SELECT id, body FROM events;
"""


def test_values_that_make_no_subject(world):
    world.open()
    path = world.write("subjects.sql", SUBJECTS)
    worker = Worker(world, pipeline=path).started()
    bodies = ["plain", "with.dots", "*", ">", "blank and\ttab", "", "\r\nPUB x 1\r\n", "snow \u2603", "n" * 1000, "n" * 100000, "z"]
    for id_, body in enumerate(bodies):
        world.client.store("faults.in", proto.number(1, id_) + proto.data(2, body))
    world.caught_up(worker)
    views = outputs(world, path)
    check([id_ for _, id_, _ in views["by_body"]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10], f"{views['by_body']}")
    reports = quarantined(world, path)
    check([(r["quarantined"], r["reason"]) for r in reports] == [("by_body", "size")], f"{reports}")
    harness.check_words(reports[0]["detail"], "subject")
    worker.stopped()


FRAMES = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL)
  WITH (subject = 'faults.in', layout = 'delimited');
CREATE MATERIALIZED VIEW passed AS SELECT id, amount FROM events;
"""


def test_frames_that_are_broken(world):
    """Of a packed message everything up to the break counts; what is left is one quarantined event."""
    world.open()
    path = world.write("frames.sql", FRAMES)
    worker = Worker(world, pipeline=path).started()

    def frame(index):
        return proto.varint(len(harness.payload(index))) + harness.payload(index)
    rests = [b"\x80", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x7fshort", b"\x80" * 11, proto.varint(1 << 40) + b"x"]
    for number, rest in enumerate(rests):
        world.client.store("faults.in", frame(3 * number) + frame(3 * number + 1) + b"\x02\x07\x07" + frame(3 * number + 2) + rest)
    world.client.store("faults.in", b"")
    world.caught_up(worker)
    ids = [c["row"]["id"] for c in map(json.loads, world.braid("tail", path, "--from-start", "--no-follow", "--server",
                                                             world.server.url).splitlines())]
    check(ids == list(range(3 * len(rests))), f"{ids}")
    reports = quarantined(world, path)
    check(len(reports) == 2 * len(rests), f"{len(reports)} reports: {reports}")
    bytes_ = [base64.b64decode(report["payload"]) for report in reports]
    check(bytes_.count(b"\x07\x07") == len(rests) and all(rest in bytes_ for rest in rests), f"{bytes_}")
    worker.stopped()


harness.main()
