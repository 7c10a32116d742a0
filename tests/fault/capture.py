#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""braid capture: what it writes gives in `braid test` what the live worker gave: rows, changes by epoch, quarantined and late events."""
import collections
import datetime
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import Worker, check, check_words, until  # noqa: E402

SQL = """SET braid.pipeline = 'shop';
CREATE TYPE order_v1 AS (id bigint, cents bigint, at timestamptz);
CREATE TABLE orders (id bigint NOT NULL, customer text, amount numeric CHECK (amount >= 0), at timestamptz)
  WITH (subject = 'shop.orders', event_time = 'at', watermark = '2 seconds');
CREATE FUNCTION lift(o order_v1) RETURNS orders LANGUAGE SQL IMMUTABLE AS 'SELECT o.id, ''old'', o.cents / 100.0, o.at';
CREATE CAST (order_v1 AS orders) WITH FUNCTION lift(order_v1);
CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'shop.customers.{customer}');
CREATE TABLE clicks (page text NOT NULL, n integer) WITH (subject = 'shop.clicks', layout = 'delimited');
CREATE MATERIALIZED VIEW per_window WITH (lateness = '1 second') AS
  SELECT window_start, count(*) AS n, sum(amount) AS amount FROM tumble(orders, at, interval '5 seconds') GROUP BY window_start;
CREATE MATERIALIZED VIEW final WITH (emit = 'final') AS
  SELECT customer, window_start, max(amount) AS most FROM tumble(orders, at, interval '5 seconds') GROUP BY customer, window_start;
CREATE MATERIALIZED VIEW per_region AS
  SELECT region, sum(amount) AS amount FROM orders JOIN customers USING (customer) GROUP BY region;
CREATE MATERIALIZED VIEW regions AS SELECT customer, region FROM customers;
CREATE MATERIALIZED VIEW share AS SELECT id, 1 / (amount - 5) AS share FROM orders;
CREATE MATERIALIZED VIEW pages AS SELECT page, sum(n) AS n, count(*) AS clicks FROM clicks GROUP BY page;
"""
CLOCKED = SQL + """CREATE MATERIALIZED VIEW seen AS SELECT id, now() AS seen FROM orders;
CREATE MATERIALIZED VIEW lags AS SELECT id, now() - at AS lag FROM orders;
CREATE MATERIALIZED VIEW held WITH (emit_interval = '30 milliseconds') AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;
"""


def exact(text):
    """JSON with its numbers as they are written."""
    return json.loads(text, parse_float=str, parse_int=str)


class Live:
    """Streams with a random history of everything that may stand there, published while a worker runs."""

    def __init__(self, world, sql=SQL, events=600, flags=("--epoch-rows", "37")):
        self.world, self.random, self.flags = world, world.random, flags
        world.server = harness.Server(world)
        world.client = world.server.connect()
        for stream, subject in (("ORDERS", "shop.orders"), ("CUSTOMERS", "shop.customers.*"), ("CLICKS", "shop.clicks")):
            world.client.create_stream(stream, [subject])
        self.path = world.write("shop.sql", sql)
        self.start = int(time.time()) - 600
        worker = Worker(world, pipeline=self.path, flags=flags).started()
        for index in range(events):
            self.random.choice([self.order, self.order, self.old_order, self.customer, self.click, self.garbage])(index)
            if self.random.random() < 0.05:
                time.sleep(0.01)  # an epoch ends
        self.caught_up(worker)
        worker.stopped()

    def at(self, index):
        return self.start + index // 4 + self.random.choice([0, 0, 0, -1, -3, -9, -60])

    def store(self, stream, payload, headers=None):
        self.world.client.store("shop." + stream, payload, headers)

    def order(self, index):
        row = proto.number(1, index) + proto.data(2, f"c{self.random.randrange(6)}")
        row += proto.data(3, self.random.choice(["5", "-1", "7.50", "1.0", "12345678901234567890.5", "1e3", "007"]))
        headers = self.random.choice([None, None, {"ce-type": "orders"}, {"ce-type": "shop.orders"}, {"X": "y"}])
        self.store("orders", row + proto.timestamp(4, self.at(index), self.random.choice([0, 0, 5000, 999])), headers)

    def old_order(self, index):
        row = proto.number(1, index) + proto.number(2, self.random.randrange(10000)) + proto.timestamp(3, self.at(index))
        self.store("orders", row, {"ce-type": self.random.choice(["order_v1", "shop.order_v1"])})

    def customer(self, _):
        name = f"c{self.random.randrange(6)}"
        row = proto.data(1, name) + proto.data(2, self.random.choice(["eu", "us", "\u2603", ""]))
        what = self.random.randrange(8)
        if what < 5:
            self.store(f"customers.{name}", row)
        elif what == 5:
            self.store(f"customers.{name}", b"")
        elif what == 6:
            self.store(f"customers.{name}", proto.data(1, name), {"Braid-Op": "delete"})
        else:
            self.store(f"customers.{name}", row, {"KV-Operation": "DEL"})

    def click(self, _):
        def frame():
            row = proto.data(1, self.random.choice("abc")) + proto.number(2, self.random.randrange(5))
            return proto.varint(len(row)) + row
        frames = b"".join(frame() for _ in range(self.random.randrange(5)))
        self.store("clicks", frames + self.random.choice([b"", b"", b"", b"\x80", b"\x03\x07\x07\x07", b"\x7fshort"]))

    def garbage(self, index):
        bytes_ = self.random.choice([b"\x07" + self.random.randbytes(20), b"", proto.number(1, index),
                                     proto.number(1, index) + b"\x12\x03\xff\xfe\xfd" + proto.timestamp(4, self.at(index)),
                                     proto.number(1, index) + proto.timestamp(4, self.start + 10 ** 7),
                                     proto.data(2, "nobody") + proto.timestamp(4, self.at(index)),
                                     # fields in another order, and one that nobody knows: no row is written like this
                                     proto.timestamp(4, self.at(index)) + proto.data(3, "2") + proto.number(1, index) +
                                     proto.number(99, 1)])
        self.store("orders", bytes_, self.random.choice([None, None, {"ce-type": "nobody.v1.Knows"}, {"ce-type": ""}]))
        if self.random.random() < 0.2:
            self.store("customers.x%zz", b"")

    def caught_up(self, worker):
        streams = [self.world.client.stream(s)["last_seq"] for s in ("ORDERS", "CUSTOMERS", "CLICKS")]

        def done():
            text = self.world.braid("status", self.path, "--json", "--server", self.world.server.url)
            status = json.loads(text)
            return [i["sequence"] for i in status["inputs"]] == streams and status["committed"] == status["epoch"]
        until(done, "the worker consumes everything", worker=worker)

    # --- what live gave
    def changes(self):
        """[(epoch, {(view, op, row)…})] of the epochs that gave changes, in order."""
        epochs = collections.defaultdict(collections.Counter)
        tail = self.world.braid("tail", self.path, "--from-start", "--no-follow", "--server", self.world.server.url)
        for change in map(exact, tail.splitlines()):
            epochs[int(change["epoch"])][(change["view"], change["op"], json.dumps(change["row"], sort_keys=True))] += 1
        return [epochs[number] for number in sorted(epochs)]

    def reports(self):
        lines = self.world.braid("quarantine", "ls", self.path, "--server", self.world.server.url).splitlines()
        return collections.Counter(report(exact(line)) for line in lines)

    def capture(self, *flags):
        text = self.world.braid("capture", self.path, "--server", self.world.server.url, *flags)
        self.world.write("captured.jsonl", text)
        return [json.loads(line) for line in text.splitlines()]

    def test(self, *flags):
        return [exact(line) for line in self.world.braid("test", self.path, "--in", "captured.jsonl", *flags).splitlines()]


def microseconds(text):
    match = re.fullmatch(r"(.*?)(?:\.(\d+))?Z", text)
    whole = datetime.datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(whole.timestamp()) * 1000000 + int((match.group(2) or "0").ljust(6, "0")[:6])


def report(line):
    """A quarantined or late event without where it stood."""
    return json.dumps({k: v for k, v in line.items() if k in ("quarantined", "late", "reason", "detail", "row", "payload",
                                                               "window_start", "window_end", "late_by_seconds")}, sort_keys=True)


def fold(epochs):
    """view -> rows, from changes as weights."""
    views = collections.Counter()
    for epoch in epochs:
        for (view, weight, row), count in epoch.items():
            views[(view, row)] += weight * count
    return +views


def tested(live, *flags):
    """Changes of `braid test` by epoch, and the reports."""
    epochs, reports = collections.defaultdict(collections.Counter), collections.Counter()
    for line in live.test("--changes", *flags):
        if "view" in line:
            epochs[int(line["epoch"])][(line["view"], int(line["weight"]), json.dumps(line["row"], sort_keys=True))] += 1
        else:
            reports[report(line)] += 1
    return [epochs[number] for number in sorted(epochs)], reports


def weights_of(live, keys):
    """Live changes as `braid test --changes` tells them: an upsert takes the row of its key away."""
    held, out = {}, []
    for epoch in live.changes():
        weights = collections.Counter()
        for (view, op, row), count in epoch.items():
            key = (view, json.dumps([json.loads(row)[k] for k in keys[view]])) if view in keys else None
            if op in ("insert", "remove"):
                weights[(view, 1 if op == "insert" else -1, row)] += count
                continue
            if key in held:
                weights[(view, -1, held.pop(key))] += 1
            if op == "upsert":
                weights[(view, 1, row)] += 1
                held[key] = row
        out.append(weights)
    return out


KEYS = {"per_window": ["window_start"], "final": ["customer", "window_start"], "per_region": ["region"], "regions": ["customer"], "pages": ["page"],
        "held": ["customer"]}


def same(live):
    want = weights_of(live, KEYS)
    got, reports = tested(live)
    check(len(want) > 5, f"only {len(want)} epochs")
    check(len(want) == len(got), f"{len(want)} epochs live, {len(got)} in the test")
    for number, (a, b) in enumerate(zip(want, got)):
        check(a == b, f"epoch {number} differs:\nlive only: {list((a - b).items())[:4]}\ntest only: {list((b - a).items())[:4]}")
    check(fold(want) == fold(got), "the rows differ")
    live_reports = live.reports()
    check(live_reports == reports, f"reports differ:\nlive only: {list((live_reports - reports))[:4]}\n"
                                   f"test only: {list((reports - live_reports))[:4]}")
    return reports


def test_a_captured_history_gives_what_live_gave(world):
    live = Live(world)
    lines = live.capture("--epochs")
    reports = same(live)
    kinds = collections.Counter(json.loads(line).get("reason", "late") for line in reports)
    check(set(kinds) >= {"late", "decode", "version", "check", "time", "null", "expression"}, f"not everything came up: {kinds}")
    check(any("row" in line and line.get("type") == "order_v1" for line in lines), "no old version as a row")
    check(any(line.get("op") == "delete" and "row" in line for line in lines), "no delete as a row")
    check(any("payload" in line for line in lines) and any(line.get("framed") for line in lines), "no bytes")


def test_clock_readings_are_captured_where_they_matter(world):
    live = Live(world, sql=CLOCKED, events=300)
    live.capture("--epochs")
    same(live)


def test_stream_timestamps_are_what_they_were(world):
    """A clock line, and a microsecond for each event after it."""
    live = Live(world, events=120)
    got, clock = [], None
    for line in live.capture("--table", "orders"):
        if "clock" in line:
            clock = microseconds(line["clock"])
        else:
            clock += 1
            got.append(clock)
    last = world.client.stream("ORDERS")["last_seq"]
    want = [microseconds(world.client.api("STREAM.MSG.GET.ORDERS", {"seq": s})["message"]["time"]) for s in range(1, last + 1)]
    want = [max(us, want[i - 1] + 1) if i and us <= want[i - 1] else us for i, us in enumerate(want)]
    check(got == want, f"{[pair for pair in zip(got, want) if pair[0] != pair[1]][:3]}")


def test_a_slice_by_bounds_tables_and_key(world):
    live = Live(world, events=200)
    lines = live.capture("--table", "orders", "--from", "11", "--to", "20")
    check(sum("table" in line for line in lines) == 10 and all(line.get("table", "orders") == "orders" for line in lines), f"{lines}")
    lines = live.capture("--table", "orders", "--key", "customer = 'c1' AND amount > 1")
    rows = [line["row"] for line in lines if "row" in line]
    check(rows and all(row["customer"] == "c1" and row["amount"] > 1 for row in rows), f"{rows}")
    everything = [line["row"] for line in live.capture("--table", "orders") if "row" in line and "type" not in line]
    check(len(rows) == sum(row["customer"] == "c1" and row["amount"] is not None and row["amount"] > 1 for row in everything),
          "not all of them")
    # A lifted row is what the condition sees.
    check(all(line["type"] == "order_v1" for line in live.capture("--table", "orders", "--key", "customer = 'old'") if "row" in line),
          "old orders")
    deletes = [line for line in live.capture("--table", "customers", "--key", "customer = 'c2'") if line.get("op") == "delete"]
    check(all("c2" in json.dumps(line) for line in deletes), f"{deletes}")
    clicks = [line["row"]["page"] for line in live.capture("--table", "clicks", "--key", "page <> 'a'") if "row" in line]
    check(clicks and set(clicks) == {"b", "c"}, f"{set(clicks)}")


def test_what_is_wrong_is_told(world):
    live = Live(world, events=20)

    def fails(status, *flags):
        return world.braid("capture", live.path, "--server", world.server.url, *flags, status=status)
    check_words(fails(1, "--table", "nope"), "no table", "nope")
    check_words(fails(1, "--table", "orders", "--key", "custmer = 'x'"), "--key:1:1", "custmer", "customer")
    check_words(fails(1, "--table", "orders", "--key", "customer"), "boolean")
    check_words(fails(1, "--key", "page = 'a'"), "orders", "--table")
    check_words(fails(3, "--from", "yesterdayish"), "yesterdayish")
    check_words(world.braid("capture", live.path, "--name", "other", "--epochs", "--server", world.server.url, status=3), "BRAID_other")


harness.main()
