#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may send requests to a worker can't stop it: queries, holds, checkpoints, SQL that grows, names that read like errors."""
import contextlib
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import nats  # noqa: E402
import proto  # noqa: E402
from harness import COMMITS, INPUT, OUTPUT, Worker, check, check_words, until  # noqa: E402

MANY_KEYS = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW per_id AS SELECT id, key, count(*) AS n FROM events GROUP BY id, key;
"""
IDS = 12000
SLOW = "SELECT count(*) FROM per_id a JOIN per_id b ON a.n - a.n = b.n - b.n AND a.id * b.id < 0"  # 144 million pairs, none of which meet


def opened(world, flags=()):
    world.open()
    world.pipeline = world.write("faults.sql", MANY_KEYS)
    worker = Worker(world, flags=flags).started()
    world.feed(IDS)
    world.caught_up(worker)
    return worker


def commits(world):
    return sum(1 for _ in world.client.messages(OUTPUT, COMMITS))


def ask(world, sql, client=None, timeout_s=60):
    """The answer's lines."""
    client = client or world.client
    inbox = f"{client.inbox}.q{time.monotonic_ns()}"
    client.publish("braid_api.faults.query", json.dumps({"sql": sql}).encode(), reply=inbox)
    text, deadline = b"", time.monotonic() + timeout_s
    while True:
        for message in list(client.waiting):
            if message.subject == inbox:
                client.waiting.remove(message)
                text += message.payload
                if message.header("Braid-Last"):
                    return [json.loads(line) for line in text.splitlines()]
        client.read_one(deadline)


@contextlib.contextmanager
def beside(count, work):
    """Runs work() again and again in so many threads."""
    done, failures = threading.Event(), []

    def run():
        try:
            while not done.is_set():
                work()
        except Exception as error:  # shown by the test
            failures.append(error)
    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield failures
    done.set()
    for thread in threads:
        thread.join(60)


def go_on(world, worker, rounds=10):
    """Events come one by one, and are committed one by one."""
    before = commits(world)
    for _ in range(rounds):
        world.feed(1)
        world.caught_up(worker)
    check(commits(world) - before >= rounds, "no commits")


def answers_beside(world, worker, sql, count=8):
    """The worker goes on while so many clients ask as fast as they can; what they hear."""
    local, heard = threading.local(), []

    def client():
        if not hasattr(local, "client"):
            local.client = world.server.connect()
        heard.append(ask(world, sql, local.client))
    with beside(count, client) as failures:
        go_on(world, worker)
        until(lambda: heard, "an answer")
    check(not failures, f"{failures[:1]}")
    return heard


def test_a_flood_of_queries_for_one_key(world):
    worker = opened(world)
    heard = answers_beside(world, worker, "SELECT n FROM per_id WHERE id = 7 AND key = 'k13'")
    wrong = [one for one in heard if one[1:] != [[1], {"rows": 1}] and "busy" not in one[-1].get("error", "")]
    check(not wrong, f"{wrong[:2]}")
    check(any(one[-1] == {"rows": 1} for one in heard), "nobody got an answer")
    worker.stopped()


def test_a_flood_of_joins(world):
    worker = opened(world, flags=("--query-time", "300"))
    heard = answers_beside(world, worker, SLOW)
    for one in heard:
        check("--query-time" in one[-1]["error"] or "busy" in one[-1]["error"], f"{one}")
    worker.stopped()


def test_a_query_that_takes_too_long_ends_in_words(world):
    worker = opened(world)
    answer = ask(world, SLOW)
    check_words(answer[-1]["error"], "1000 ms", "key", "--over history", "--query-time")
    go_on(world, worker, 3)
    worker.stopped()


def test_a_worker_that_is_stopped_ends_a_query(world):
    for how in (signal.SIGTERM, signal.SIGINT):
        if world.server is None:
            worker = opened(world, flags=("--query-time", "3600000"))
        else:
            worker = Worker(world, flags=("--query-time", "3600000")).started()
        client = world.server.connect()
        client.publish("braid_api.faults.query", json.dumps({"sql": SLOW}).encode(), reply=client.inbox + ".1")
        client.flush()
        time.sleep(1)  # it has begun
        worker.process.send_signal(how)
        check(worker.waited() == harness.EXIT_OK, worker.log()[-2000:])
        client.close()


def test_memory_and_rows_of_queries_are_bounded(world):
    worker = opened(world, flags=("--query-time", "60000", "--query-rows", "5000"))
    base = worker.peak_mib()
    for sql, words in {
        "SELECT a.key || b.key || repeat('x', 1000) AS x FROM per_id a JOIN per_id b ON a.n - a.n = b.n - b.n": ("--query-",),
        "SELECT a.id, b.id AS other, count(*) AS n FROM per_id a JOIN per_id b ON a.n - a.n = b.n - b.n GROUP BY a.id, b.id":
            ("64 MiB", "WHERE", "--query-memory"),
        "SELECT sum(length(repeat(key, 100000))) AS n FROM per_id": ("64 MiB", "--query-memory"),
        "SELECT max(replace(repeat(key, 300000), 'k', repeat(key, 100000))) AS n FROM per_id": ("--query-memory",),
        "SELECT id FROM per_id": ("5000 rows", "LIMIT", "--query-rows"),
    }.items():
        answer = ask(world, sql)[-1].get("error", "no error")
        # A text that is too long for its function is the query's own fault.
        check_words(answer, *(("requested length",) if "requested length" in answer else words))
    check(worker.peak_mib() < base + 400, f"{base} MiB became {worker.peak_mib()} MiB")
    until(lambda: "error" not in ask(world, "SELECT id FROM per_id WHERE id = 1")[-1], "the queries' turn")
    check(ask(world, "SELECT id FROM per_id WHERE id < 2 ORDER BY id LIMIT 2")[1:] == [[0], [1], {"rows": 2}], "a small query")
    go_on(world, worker, 3)
    worker.stopped()


def request(client, what, body):
    return json.loads(client.request(f"braid_api.faults.{what}", json.dumps(body).encode(), timeout_s=30).payload)


def test_holds_are_granted_for_a_tenth_of_a_minute(world):
    worker = opened(world)
    local = threading.local()

    def hold():
        if not hasattr(local, "client"):
            local.client = world.server.connect()
        request(local.client, "hold", {"ms": 1000})
    with beside(1, hold) as failures:
        go_on(world, worker, 3)
    check(not failures, f"{failures[:1]}")
    worker.stopped()


def test_checkpoints_are_few_and_go_with_the_next_start(world):
    worker = opened(world)
    folder = os.path.join(worker.data, "faults", "checkpoints")
    answers = [request(world.client, "checkpoint", {"name": f"mine{i}"}) for i in range(20)]
    check(len(os.listdir(folder)) == 8, f"{os.listdir(folder)}")
    check(sum("path" in answer for answer in answers) == 8, f"{answers}")
    check_words(answers[-1]["error"], "8 checkpoints", folder)
    again = request(world.client, "checkpoint", {"name": "mine1"})
    check_words(again["error"], "mine1", "already")
    worker.stopped()
    worker = Worker(world).started()
    check(os.listdir(folder) == [], f"{os.listdir(folder)}")
    check("path" in request(world.client, "checkpoint", {"name": "mine1"}), "no checkpoint after the start")
    worker.stopped()


if __name__ == "__main__":
    harness.main()
