#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins over a backlog and under windows that have closed, on a real server."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import OUTPUT, Server, Worker, check, until  # noqa: E402

GROUP = 200
RATES = ["0.9", "0.8", "0.7"]
LOOKUP = """
SET braid.pipeline = 'faults';
CREATE TABLE payments (id bigint, currency text) WITH (subject = 'faults.payments');
CREATE TABLE rates (currency text PRIMARY KEY, rate text) WITH (subject = 'faults.rates', lookup = true);
CREATE MATERIALIZED VIEW passed AS SELECT p.id, r.rate FROM payments p LEFT JOIN rates r USING (currency);
CREATE MATERIALIZED VIEW per_rate AS SELECT r.rate, count(*) AS n FROM payments p JOIN rates r USING (currency) GROUP BY r.rate;
"""
WINDOWS = """
SET braid.pipeline = 'faults';
CREATE TABLE e (id bigint, k bigint, at timestamptz) WITH (subject = 'faults.e', event_time = 'at', watermark = '1 second', max_future = '1000 days');
CREATE TABLE d (k bigint PRIMARY KEY, room text) WITH (subject = 'faults.d');
CREATE MATERIALIZED VIEW per_room AS
SELECT d.room, window_start, count(*) AS n FROM tumble(e, at, interval '1 minute') JOIN d USING (k) GROUP BY d.room, window_start;
CREATE MATERIALIZED VIEW maybe AS
SELECT d.room, window_start, count(*) AS n FROM tumble(e, at, interval '1 minute') LEFT JOIN d USING (k) GROUP BY d.room, window_start;
"""


def opened(world, text, streams):
    world.server = Server(world)
    world.client = world.server.connect()
    world.pipeline = world.write("faults.sql", text)
    world.streams, world.last = streams, {}
    for name, subjects in streams.items():
        world.client.create_stream(name, subjects)


def publish(world, subject, payloads):
    """And waits until the stream has them: what is published later is stored later."""
    name = next(name for name, subjects in world.streams.items() if subject in subjects)
    want = world.client.stream(name)["last_seq"] + len(payloads)
    for payload in payloads:
        world.client.publish(subject, payload)
    until(lambda: world.client.stream(name)["last_seq"] == want, f"stream {name}")
    world.last[subject.removeprefix("faults.")] = want


def caught_up(world, worker):
    def done():
        status = world.status()
        positions = {one["table"]: one["sequence"] for one in status["inputs"]} if status else {}
        return status and status["committed"] == status["epoch"] and all(positions[table] >= last for table, last in world.last.items())
    return until(done, "the worker consumes everything", worker=worker)


def pay_at_three_rates(world, first, pause_s):
    for number, rate in enumerate(RATES):
        publish(world, "faults.rates", [proto.data(1, "USD") + proto.data(2, rate)])
        begin = first + number * GROUP
        publish(world, "faults.payments", [proto.number(1, i) + proto.data(2, "USD") for i in range(begin, begin + GROUP)])
        time.sleep(pause_s)


def check_rates(world, rounds):
    got = {row["rate"]: row["n"] for row in world.query("SELECT rate, n FROM per_rate")}
    check(got == {rate: rounds * GROUP for rate in RATES}, f"{got}, not {rounds * GROUP} payments for each rate")
    seen = {}
    for change in world.changes():
        if change["view"] == "passed":
            check(change["row"]["id"] not in seen, f"payment {change['row']['id']} came twice")
            seen[change["row"]["id"]] = change["row"]["rate"]
    wrong = [i for i, rate in seen.items() if rate != RATES[i // GROUP % 3]]
    check(len(seen) == rounds * 3 * GROUP and not wrong, f"{len(seen)} payments, {len(wrong)} with another rate than theirs: {wrong[:5]}…")


def rates_over_a_backlog(world, streams):
    opened(world, LOOKUP, streams)
    worker = Worker(world, flags=("--epoch-rows", "64")).started()
    pay_at_three_rates(world, 0, 0.3)  # while it runs
    caught_up(world, worker)
    check_rates(world, 1)
    worker.kill()
    pay_at_three_rates(world, 3 * GROUP, 1)  # while it is away: three seconds
    worker = Worker(world).started()
    caught_up(world, worker)
    check_rates(world, 2)
    worker.kill()
    harness.shutil.rmtree(worker.data)
    worker = Worker(world).started()  # repeats its epochs as they were
    check("recovered" in worker.log(), worker.log())
    check_rates(world, 2)
    # history, in epochs of its own
    text = world.braid("query", world.pipeline, "SELECT r.rate, count(*) AS n FROM payments p JOIN rates r USING (currency) GROUP BY r.rate",
                       "--over", "history", "--json", "--server", world.server.url)
    got = {row["rate"]: row["n"] for row in map(harness.json.loads, text.splitlines())}
    check(got == {rate: 2 * GROUP for rate in RATES}, f"history gives {got}")
    world.braid("replay", "start", "faults", "--wait", "--server", world.server.url)
    world.braid("replay", "promote", "faults", "r1", "--wait", "--server", world.server.url)
    check_rates(world, 2)
    worker.stopped()


def test_rates_over_a_backlog(world):
    rates_over_a_backlog(world, {"PAYMENTS": ["faults.payments"], "RATES": ["faults.rates"]})


def test_rates_over_a_backlog_of_one_stream(world):
    rates_over_a_backlog(world, {"ALL": ["faults.payments", "faults.rates"]})


def moment(second):
    return proto.data(3, proto.number(1, 1772366400 + second))  # 2026-03-01 12:00


def test_rooms_that_change_after_windows_have_closed(world):
    count, changes = 10000, 5
    opened(world, WINDOWS, {"E": ["faults.e"], "D": ["faults.d"]})
    publish(world, "faults.d", [proto.number(1, k) + proto.data(2, "before") for k in range(10)])
    worker = Worker(world).started()
    publish(world, "faults.e", [proto.number(1, i) + proto.number(2, i % 10) + moment(i * 600 // count) for i in range(count)])
    publish(world, "faults.e", [proto.number(1, count) + proto.number(2, 3) + moment(3600)])  # closes ten windows
    caught_up(world, worker)
    for n in range(changes):
        publish(world, "faults.d", [proto.number(1, k) + proto.data(2, f"after {n}") for k in range(10)])
        caught_up(world, worker)
    late = list(world.client.messages(OUTPUT, "braid.faults.late.>"))
    check(not late, f"{len(late)} events are called late that came in time")
    publish(world, "faults.e", [proto.number(1, count + 1) + proto.number(2, 3) + moment(30)])
    caught_up(world, worker)
    late = list(world.client.messages(OUTPUT, "braid.faults.late.>"))
    check(len(late) == 2, f"one event is late, for two views: {len(late)} messages")
    for view in ("per_room", "maybe"):
        rows = {(row["room"], row["window_start"][11:16]): row["n"] for row in world.query(f"SELECT room, window_start, n FROM {view}")}
        want = {("before", f"12:{minute:02d}"): count // 10 for minute in range(10)}
        want[(f"after {changes - 1}", "13:00")] = 1
        check(rows == want, f"{view}: {rows}")
    worker.stopped()
    worker = Worker(world).started()
    caught_up(world, worker)
    worker.stopped()


HOT = """
SET braid.pipeline = 'faults';
CREATE TABLE e (id bigint, k bigint) WITH (subject = 'faults.e');
CREATE TABLE d (k bigint PRIMARY KEY, room text) WITH (subject = 'faults.d');
CREATE MATERIALIZED VIEW placed AS SELECT e.id, d.room FROM e JOIN d USING (k);
CREATE MATERIALIZED VIEW per_room AS SELECT d.room, count(*) AS n FROM e JOIN d USING (k) GROUP BY d.room;
"""
HOT_EVENTS = int(os.environ.get("BRAID_HOT_EVENTS", "6000"))  # that one row is joined with: more than fit a batch
HOT_UPDATES = 20


def test_waiting_changes_of_one_row_are_taken_together(world):
    """A row that many are joined with changes again and again. Each change alone is more than an epoch should give; those that wait
    for the first ones are no more than one of them when they are taken together."""
    opened(world, HOT, {"E": ["faults.e"], "D": ["faults.d"]})
    worker = Worker(world).started()
    publish(world, "faults.d", [proto.number(1, 7) + proto.data(2, "r0")])
    publish(world, "faults.e", [proto.number(1, i) + proto.number(2, 7) for i in range(1, HOT_EVENTS + 1)])
    caught_up(world, worker)
    publish(world, "faults.d", [proto.number(1, 7) + proto.data(2, "first")])  # and the worker knows what it costs
    caught_up(world, worker)
    before, began = world.status()["epoch"], time.monotonic()
    publish(world, "faults.d", [proto.number(1, 7) + proto.data(2, f"r{n}") for n in range(1, HOT_UPDATES + 1)])
    caught_up(world, worker)
    took_s, epochs = time.monotonic() - began, world.status()["epoch"] - before
    with open(f"/proc/{worker.process.pid}/status", encoding="utf-8") as file:
        peak = next(line for line in file if line.startswith("VmHWM"))
    print(f"{epochs} epochs in {took_s:.1f} s, {peak.split()[1]} kB")
    rows = world.query("SELECT room, n FROM per_room")
    check(rows == [{"room": f"r{HOT_UPDATES}", "n": HOT_EVENTS}], f"{rows}")
    check(epochs <= HOT_UPDATES / 3, f"{HOT_UPDATES} changes of one row are {epochs} epochs")
    last = {}
    for change in world.changes():
        if change["view"] == "placed":
            last.setdefault(change["row"]["id"], {}).setdefault(change["row"]["room"], 0)
            last[change["row"]["id"]][change["row"]["room"]] += 1 if change["op"] == "insert" else -1
    wrong = [id_ for id_, rooms in last.items() if [r for r, n in rooms.items() if n] != [f"r{HOT_UPDATES}"]]
    check(len(last) == HOT_EVENTS and not wrong, f"{len(last)} rows, {len(wrong)} in another room: {wrong[:5]}")
    worker.kill()
    harness.shutil.rmtree(worker.data)
    worker = Worker(world).started()  # repeats its epochs as they were
    check("recovered" in worker.log(), worker.log())
    check(world.query("SELECT room, n FROM per_room") == rows, "another build of the state")
    worker.stopped()


harness.main()
