#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pipeline whose state is ten times its memory budget: right results, resident memory within budget + 150 MiB."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import INPUT, Worker, check, until  # noqa: E402

MIB = 1 << 20
BUDGET_MIB = 16
KEYS = 1_200_000  # rows of 150 bytes and more: 170 MiB
PIPELINE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (key bytea NOT NULL, id bigint NOT NULL, amount bigint NOT NULL)
  WITH (subject = 'faults.in', layout = 'delimited');
CREATE MATERIALIZED VIEW totals WITH (layout = 'packed') AS
SELECT key, max(id) AS id, count(*) AS n, sum(amount) AS total FROM events GROUP BY key;
"""


def key(index):
    half = hashlib.blake2b(index.to_bytes(8, "big"), digest_size=64).digest()
    return half + half[::-1]  # nothing that compression could use


def amount(index):
    return index * 31 % 1000


def events():
    """Every key once, then every third again: those must come back from the disk."""
    for index in range(KEYS):
        yield proto.data(1, key(index)) + proto.number(2, index) + proto.number(3, amount(index))
    for index in range(0, KEYS, 3):
        yield proto.data(1, key(index)) + proto.number(2, index) + proto.number(3, 7)


def feed(world):
    frame, size = [], 0
    for event in events():
        frame.append(proto.varint(len(event)) + event)
        size += len(frame[-1])
        if size > 64000:
            world.client.publish("faults.in", b"".join(frame))
            frame, size = [], 0
    world.client.publish("faults.in", b"".join(frame))
    world.client.flush(60)


def test_a_state_of_ten_budgets(world):
    world.open()
    path = world.write("totals.sql", PIPELINE)
    worker = Worker(world, pipeline=path, flags=["--state-memory", str(BUDGET_MIB), "--query-time", "120000"]).started()
    feed(world)
    until(lambda: world.client.stream(INPUT)["bytes"] > KEYS * 128, "the input stream")
    status = world.caught_up(worker, patience_s=240)
    disk_mib = status["state"]["store_disk_bytes"] / MIB
    print(f"state {disk_mib:.0f} MiB on disk, {worker.peak_mib():.0f} MiB resident at the peak, {status['state']}", flush=True)
    check(disk_mib >= 10 * BUDGET_MIB, f"the state has only {disk_mib:.0f} MiB: the test proves nothing")
    for index in [0, 1, 2, 3, KEYS - 1] + world.random.sample(range(KEYS), 20):
        hexa = key(index).hex()
        rows = world.query(f"SELECT id, n, total FROM totals WHERE key = '\\x{hexa}'::bytea")
        visits = 2 if index % 3 == 0 else 1
        check(rows == [{"id": index, "n": visits, "total": amount(index) + 7 * (visits - 1)}], f"key {index}: {rows}")
    # Last: for nine times as long as it takes no other query has its turn.
    rows = world.query("SELECT count(*) AS keys, sum(n) AS n, sum(total) AS total FROM totals")
    again = len(range(0, KEYS, 3))
    want = {"keys": KEYS, "n": KEYS + again, "total": sum(map(amount, range(KEYS))) + 7 * again}
    check(rows == [want], f"{rows} for {want}")
    peak = worker.peak_mib()  # with the queries
    check(peak <= BUDGET_MIB + 150, f"{peak:.0f} MiB resident with a budget of {BUDGET_MIB} MiB")
    worker.stopped()


harness.main()
