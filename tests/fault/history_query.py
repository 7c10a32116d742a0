#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""braid query --over history: SELECTs over what the streams hold, compared with PostgreSQL over the same events, or a fold."""
import collections
import datetime
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import check, check_words, until  # noqa: E402

TABLES = """SET braid.pipeline = 'shop';
CREATE TABLE orders (id bigint NOT NULL, customer text, amount numeric CHECK (amount >= 0), pieces integer, at timestamptz)
  WITH (subject = 'shop.orders', event_time = 'at', watermark = '5 seconds');
CREATE TABLE payments (order_id bigint, paid numeric, at timestamptz) WITH (subject = 'shop.payments', event_time = 'at');
CREATE TABLE customers (customer text PRIMARY KEY, region text) WITH (subject = 'shop.customers.{customer}');
"""
VIEWS = """
CREATE VIEW large AS SELECT * FROM orders WHERE amount > 50;
CREATE MATERIALIZED VIEW per_minute WITH (emit = 'final') AS
  SELECT window_start, count(*) AS n, sum(amount) AS amount FROM tumble(orders, at, interval '1 minute') GROUP BY window_start;
CREATE MATERIALIZED VIEW per_customer AS SELECT customer, sum(amount) AS amount, count(*) AS n FROM orders GROUP BY customer;
CREATE MATERIALIZED VIEW price AS SELECT id, amount / pieces AS price FROM orders;
"""
START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)


def stamp(seconds):
    return (START + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(field, seconds):
    return proto.timestamp(field, int(START.timestamp()) + seconds)


class Shop:
    """Streams with random orders, payments and customers, some of which go; `events` says the same for PostgreSQL."""

    def __init__(self, world, orders=300, garbage=0):
        self.world, self.events, self.orders, self.payments, self.customers = world, [], [], [], {}
        world.server = harness.Server(world)
        world.client = world.server.connect()
        for stream in ("orders", "payments", "customers"):
            world.client.create_stream(stream.upper(), [f"shop.{stream}" + (".*" if stream == "customers" else "")])
        self.path = world.write("shop.sql", TABLES + VIEWS)
        self.garbage = 0
        random = world.random
        for index in range(orders):
            if random.random() < 0.2:
                self.customer(f"c{random.randrange(12)}", random.choice(["eu", "us", None, "delete"]))
            self.order(index)
            if random.random() < 0.5:
                self.payment(random.randrange(index + 1), index)
            if random.random() < garbage:
                self.garbage += 1
                bad = random.choice([b"\x07garbage", self.encode({"id": 1, "amount": "-5"}), self.encode({"amount": "1"})])
                world.client.store("shop.orders", bad)

    @staticmethod
    def encode(row):
        bytes_ = proto.number(1, row["id"]) if "id" in row else b""
        bytes_ += proto.data(2, row["customer"]) if row.get("customer") is not None else b""
        bytes_ += proto.data(3, row["amount"]) if "amount" in row else b""
        bytes_ += proto.number(4, row["pieces"]) if row.get("pieces") is not None else b""
        return bytes_ + (at(5, row["seconds"]) if "seconds" in row else b"")

    def order(self, index):
        random = self.world.random
        row = {"id": index, "customer": random.choice([None] + [f"c{i}" for i in range(12)]),
               "amount": f"{random.randrange(10000) / 100}", "pieces": random.choice([None, 1, 2, 3, 7]),
               "seconds": max(0, index + random.randrange(-200, 60))}  # out of order by far more than the watermark allows
        self.world.client.store("shop.orders", self.encode(row))
        self.orders.append(row)
        self.events.append({"table": "orders", "row": {"id": index, "customer": row["customer"], "amount": float(row["amount"]),
                                                       "pieces": row["pieces"], "at": stamp(row["seconds"])}})

    def payment(self, order, seconds):
        paid = f"{self.world.random.randrange(10000) / 100}"
        self.world.client.store("shop.payments", proto.number(1, order) + proto.data(2, paid) + at(3, seconds))
        self.payments.append((order, paid))
        self.events.append({"table": "payments", "row": {"order_id": order, "paid": float(paid), "at": stamp(seconds)}})

    def customer(self, name, region):
        subject = f"shop.customers.{name}"
        if region == "delete":
            self.world.client.store(subject, b"")
            self.customers.pop(name, None)
            self.events.append({"table": "customers", "op": "delete", "row": {"customer": name}})
            return
        self.world.client.store(subject, proto.data(1, name) + (proto.data(2, region) if region else b""))
        self.customers[name] = region
        self.events.append({"table": "customers", "row": {"customer": name, "region": region}})

    def query(self, sql, *flags, status=0):
        out = self.world.braid("query", self.path, sql, "--over", "history", "--json", "--server", self.world.server.url, *flags,
                               status=status)
        return [json.loads(line) for line in out.splitlines()] if status == 0 else out

    def oracle(self, selects):
        """The rows that PostgreSQL gives for each SELECT, as JSON objects."""
        path = self.world.write("oracle.sql", TABLES + VIEWS.split("CREATE MATERIALIZED", maxsplit=1)[0] +
                                "".join(f"CREATE MATERIALIZED VIEW query{i} AS {select};\n" for i, select in enumerate(selects)))
        events = self.world.write("oracle.jsonl", "".join(json.dumps(event) + "\n" for event in self.events))
        done = subprocess.run([sys.executable, os.path.join(harness.ROOT, "tools", "oracle"), path, "--in", events],
                              capture_output=True, text=True, check=False, timeout=harness.PATIENCE_S)
        if done.returncode == 2 and "postgres" in done.stderr.lower():
            raise harness.Skip(done.stderr.strip())
        check(done.returncode == 0, f"tools/oracle: {done.stderr}")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return [[line["row"] for line in lines if line["view"] == f"query{i}"] for i in range(len(selects))]


def multiset(rows):
    return collections.Counter(json.dumps({k: round(v, 9) if isinstance(v, float) else v for k, v in row.items()}, sort_keys=True)
                               for row in rows)


SELECTS = [
    "SELECT id, customer, amount FROM orders",
    "SELECT id, upper(customer) AS c, amount * 2 AS twice FROM orders WHERE pieces IS NULL OR pieces > 1",
    "SELECT count(*) AS n, sum(amount) AS s, min(id) AS least, max(amount) AS most, avg(amount) AS mean FROM orders",
    "SELECT customer, count(*) AS n, count(DISTINCT pieces) AS d FROM orders GROUP BY customer HAVING count(*) > 2",
    "SELECT DISTINCT customer FROM orders",
    "SELECT customer, region FROM customers",
    "SELECT region, count(*) AS n, sum(o.amount) AS s FROM orders o JOIN customers c USING (customer) GROUP BY region",
    "SELECT o.id, c.region FROM orders o LEFT JOIN customers c USING (customer)",
    "SELECT window_start, window_end, count(*) AS n, sum(amount) AS s FROM tumble(orders, at, interval '1 minute') "
    "GROUP BY window_start, window_end",
    "SELECT customer, window_start, max(amount) AS m FROM hop(orders, at, interval '30 seconds', interval '1 minute') "
    "GROUP BY customer, window_start",
    "SELECT count(*) AS n, sum(amount) AS s FROM large",
    # History ends: both streams are kept until then.
    "SELECT o.id, o.amount, p.paid FROM orders o JOIN payments p ON p.order_id = o.id",
    "SELECT o.id, p.paid FROM orders o LEFT JOIN payments p ON p.order_id = o.id",
    "WITH t AS (SELECT order_id, sum(paid) AS paid FROM payments GROUP BY order_id) "
    "SELECT o.customer, sum(o.amount - t.paid) AS open FROM orders o JOIN t ON t.order_id = o.id GROUP BY o.customer",
]


def test_selects_give_what_postgresql_gives(world):
    shop = Shop(world)
    for select, rows in zip(SELECTS, shop.oracle(SELECTS)):
        want, got = multiset(rows), multiset(shop.query(select))
        check(want == got, f"{select}\nmissing: {list((want - got).items())[:3]}\nextra: {list((got - want).items())[:3]}")


def test_views_of_the_file_are_read_too(world):
    """A view with final rows gives all of its windows, and nothing of them is late."""
    shop = Shop(world)
    minutes = collections.defaultdict(lambda: [0, 0])
    for row in shop.orders:
        minutes[row["seconds"] // 60][0] += 1
        minutes[row["seconds"] // 60][1] += round(float(row["amount"]) * 100)
    got = {row["window_start"]: [row["n"], round(float(row["amount"]) * 100)] for row in shop.query("SELECT * FROM per_minute")}
    check(got == {stamp(m * 60): v for m, v in minutes.items()}, f"{got}")
    top = shop.query("SELECT max(n) AS n FROM per_customer")
    check(top == [{"n": max(collections.Counter(row["customer"] for row in shop.orders).values())}], f"{top}")
    check(not [s for s in world.client.api("STREAM.NAMES")["streams"] if s.startswith("BRAID")], "a query wrote a stream")


def test_order_limit_and_offset(world):
    shop = Shop(world)
    by_amount = sorted(shop.orders, key=lambda row: (-float(row["amount"]), row["id"]))
    got = shop.query("SELECT id FROM orders ORDER BY amount DESC, id LIMIT 10 OFFSET 5")
    check([row["id"] for row in got] == [row["id"] for row in by_amount[5:15]], f"{got}")
    got = shop.query("SELECT id FROM orders ORDER BY amount DESC, id")
    check([row["id"] for row in got] == [row["id"] for row in by_amount], "the whole order differs")
    got = shop.query('SELECT id AS a, amount AS a, id AS a_2, 1 AS a FROM orders ORDER BY 1 LIMIT 1')
    check([list(row) for row in got] == [["a", "a_3", "a_2", "a_4"]], f"equal names aren't told apart: {got}")
    got = shop.query("SELECT id FROM orders LIMIT 7 OFFSET 3")
    check([row["id"] for row in got] == list(range(3, 10)), f"{got}")
    check(shop.query("SELECT id FROM orders LIMIT 0") == [], "LIMIT 0 gave rows")
    counts = collections.Counter(row["customer"] for row in shop.orders)
    want = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0] is None, pair[0] or ""))[:4]
    got = shop.query("SELECT customer, count(*) AS n FROM orders GROUP BY customer ORDER BY n DESC, customer LIMIT 4")
    check([(row["customer"], row["n"]) for row in got] == want, f"{got}")


def test_bounds_by_sequence_and_by_time(world):
    shop = Shop(world, orders=60)
    # Bounds are included, and count in the table's own stream.
    ids = [row["id"] for row in shop.query("SELECT id FROM orders", "--from", "11", "--to", "20")]
    check(ids == list(range(10, 20)), f"{ids}")

    def stored(sequence):  # to the microsecond
        return re.sub(r"(\.\d{1,6})\d*Z", r"\1Z", world.client.api("STREAM.MSG.GET.ORDERS", {"seq": sequence})["message"]["time"])
    times = {sequence: stored(sequence) for sequence in range(1, 61)}
    begin, end = times[21], times[40]
    ids = [row["id"] for row in shop.query("SELECT id FROM orders", "--from", begin, "--to", end)]
    padded = {s: re.sub(r"(\.\d+)?Z", lambda m: (m.group(1) or ".").ljust(7, "0"), t) for s, t in times.items()}
    want = [s - 1 for s in padded if padded[21] <= padded[s] <= padded[40]]
    check(ids == want, f"from {begin} to {end}: {ids}, not {want}")
    check(shop.query("SELECT count(*) AS n FROM orders", "--from", "1 hour ago") == [{"n": 60}], "an hour ago")
    check(shop.query("SELECT count(*) AS n FROM orders", "--to", "1 hour ago") == [{"n": 0}], "until an hour ago")
    check(shop.query("SELECT count(*) AS n FROM orders", "--from", "beginning", "--to", "now") == [{"n": 60}], "all")
    # Tables with a key are read whole.
    check(shop.query("SELECT count(*) AS n FROM customers", "--from", "50") == [{"n": len(shop.customers)}], "customers")
    check_words(shop.query("SELECT id FROM orders", "--from", "yesterdayish", status=2), "yesterdayish", "2 hours ago")
    check(shop.query("SELECT id FROM orders", "--from", "1000") == [], "beyond the end there is nothing")
    world.client.api("STREAM.PURGE.ORDERS", {"seq": 30})
    check_words(shop.query("SELECT id FROM orders", "--from", "11", status=3), "orders", "11", "29")
    ids = [row["id"] for row in shop.query("SELECT id FROM orders")]
    check(ids == list(range(29, 60)), f"{ids}")


def test_events_turned_away_are_told(world):
    shop = Shop(world, garbage=0.3)
    check(shop.garbage > 0, "no garbage")
    done = subprocess.run([harness.BRAID, "query", shop.path, "SELECT count(*) AS n FROM orders", "--over", "history", "--csv",
                           "--server", world.server.url], capture_output=True, text=True, check=True, timeout=60)
    check(done.stdout == f"n\n{len(shop.orders)}\n", done.stdout)
    check_words(done.stderr, "orders", f"{shop.garbage} events left out", "sequence")


def test_rows_that_fail(world):
    shop = Shop(world, orders=20)
    world.client.store("shop.orders", shop.encode({"id": 99, "amount": "1", "pieces": 0, "seconds": 1}))
    last = world.client.stream("ORDERS")["last_seq"]
    check_words(shop.query("SELECT id, amount / pieces AS price FROM orders", status=1), "division by zero", "table orders",
                f"sequence {last}")
    check_words(shop.query("SELECT id FROM orders WHERE 1 / pieces > 5", status=1), "division by zero")
    check(len(shop.query("SELECT id FROM orders WHERE pieces <> 0 AND 1 / pieces >= 0")) ==
          sum(row["pieces"] is not None for row in shop.orders), "a guarded division")
    # In a view that is read the row is left out, as live.
    done = subprocess.run([harness.BRAID, "query", shop.path, "SELECT count(*) AS n FROM price", "--over", "history", "--json",
                           "--server", world.server.url], capture_output=True, text=True, check=True, timeout=60)
    check(json.loads(done.stdout) == {"n": 20}, done.stdout)
    check_words(done.stderr, "1 row left out", "view price", "division by zero", f"sequence {last}")


def test_errors_of_the_select_have_their_place(world):
    shop = Shop(world, orders=1)
    for sql, words in [("SELECT nope FROM orders", ["query:1:8", "nope"]), ("SELECT id FROM nothing", ["nothing", "query:1:"]),
                       ("SELECT", ["query:1"]), ("DELETE FROM orders", ["SELECT"]), ("SELECT id FROM orders; SELECT 1", ["one statement"]),
                       ("SELECT o.id FROM orders o CROSS JOIN payments p", ["cross join"])]:
        check_words(shop.query(sql, status=1), *words)
    check_words(world.braid("query", shop.path, "SELECT id FROM orders", "--from", "3", status=2), "--over history")


def test_a_live_worker_is_not_disturbed(world):
    world.open()
    world.feed(500)
    worker = harness.Worker(world).started()
    world.caught_up(worker)
    epoch = world.status()["epoch"]
    for _ in range(3):
        out = world.braid("query", world.pipeline, "SELECT key, sum(amount) AS total FROM events GROUP BY key ORDER BY key", "--over",
                          "history", "--json", "--server", world.server.url)
        live = world.query("SELECT key, total FROM totals ORDER BY key")
        check([json.loads(line) for line in out.splitlines()] == live, "history and live differ")
    check(world.status()["epoch"] == epoch, "the worker made epochs")
    world.feed(50)
    until(lambda: world.status()["inputs"][0]["sequence"] == 550, "the worker goes on")
    world.check_outcome()
    worker.stopped()


harness.main()
