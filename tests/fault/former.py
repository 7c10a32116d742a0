#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds that understand each other: what commands of version 0.1.0 ask, as it stood on the wire, is answered as that build reads it,
and what its workers answer is read by our commands."""
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import nats  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_FAILED, EXIT_NO, Worker, check, check_words, event, until  # noqa: E402

INBOX = "_INBOX.3cU1fZUJuUfiVsMAEVoIjD"  # 0.1.0's have as many letters and digits, and "-" and "_"
PART = 256 << 10  # its parts are about so large


class Asker:
    """Requests of 0.1.0: no headers, one inbox per connection, q and a number behind it. Parts up to one with Braid-Last: 1."""

    def __init__(self, world):
        self.client, self.count = world.server.connect(), 0
        self.client.send(f"SUB {INBOX}.> 1000\r\n".encode())
        self.client.flush()

    def ask(self, what, payload):
        self.count += 1
        self.client.publish("braid_api.faults." + what, payload, None, f"{INBOX}.q{self.count}")
        parts, deadline = [], time.monotonic() + harness.PATIENCE_S
        while True:
            self.client.read_one(deadline)
            for message in self.client.waiting:
                check(message.subject == f"{INBOX}.q{self.count}", message.subject)
                check(message.headers.startswith("NATS/1.0\r\n"), message.headers)
                parts.append(message.payload)
                if message.header("Braid-Last") == "1":
                    self.client.waiting.clear()
                    return parts
            self.client.waiting.clear()


def test_what_its_commands_ask_is_answered(world):
    world.open()
    worker = Worker(world).started()
    world.feed(200)
    world.caught_up(worker)
    asker = Asker(world)
    status = json.loads(b"".join(asker.ask("status", b"{}")))
    check(status["pipeline"] == "faults" and status["lineage"] == "live" and status["committed"] == status["epoch"] and status["lag"] == 0, status)
    check({"worker", "digest", "late", "quarantined", "failed", "rows_out", "clock", "last_commit", "state", "inputs", "views"} <= set(status), status)
    lines = b"".join(asker.ask("query", b'{"sql":"SELECT key, n FROM totals ORDER BY key LIMIT 3"}')).decode().splitlines()
    check(json.loads(lines[0])["columns"] == [{"name": "key", "type": "text"}, {"name": "n", "type": "bigint"}], lines[0])
    check([json.loads(line) for line in lines[1:]] == [["k0", 10], ["k1", 10], ["k10", 10], {"rows": 3}], lines)
    check_words(json.loads(b"".join(asker.ask("query", b'{"sql":"SELECT nope FROM totals"}')))["error"], '"nope" does not exist')
    made = json.loads(b"".join(asker.ask("checkpoint", b'{"name":"r1"}')))  # a replay's, before it reads on
    check(set(made) == {"path", "epoch", "host"} and made["epoch"] == status["epoch"] and os.path.isdir(made["path"]), made)
    held = json.loads(b"".join(asker.ask("hold", b'{"ms":200}')))  # a promotion's
    check(set(held) == {"epoch", "sequence"} and held["epoch"] == status["epoch"] and held["sequence"] > 0, held)
    answer = proto.read(b"".join(asker.ask("history", b"\n\x00\x12\x06events\x1a\tIN_FAULTS")))  # of `replay plan`
    check(answer[2] == [os.uname().nodename.encode()], answer)
    worker.stopped()


WIDE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW each AS SELECT id, repeat(key, 500) AS wide, count(*) AS n FROM events GROUP BY id, key;
"""


def test_an_answer_of_many_parts(world):
    world.open()
    worker = Worker(world, pipeline=world.write("wide.sql", WIDE)).started()
    world.feed(2000)
    world.caught_up(worker)
    parts = Asker(world).ask("query", b'{"sql":"SELECT id, wide FROM each"}')
    check(len(parts) > 3 and all(len(part) < 2 * PART for part in parts), [len(part) for part in parts])
    lines = [json.loads(line) for line in b"".join(parts).decode().splitlines()]
    check(lines[-1] == {"rows": 2000} and sorted(row[0] for row in lines[1:-1]) == list(range(2000)), lines[-1])
    check(all(row[1] == event(row[0])["key"] * 500 for row in lines[1:-1]), "rows differ")
    worker.stopped()


STATUS = (b'{"pipeline":"faults","task":"0","lineage":"live","worker":"vm-13443-6e114c55","epoch":2,"committed":2,"digest":"f6851d0266413fed","lag":0,'
          b'"slow":2,"late":0,"quarantined":0,"failed":0,"rows_out":240,"messages_per_second":133.1,"rows_out_per_second":159.8,"uptime_seconds":1.5,'
          b'"clock":"2026-11-30T20:57:44.657943Z","last_commit":"2026-11-30T20:57:44.671489Z","state":{"hot_bytes":2904,"hot_entries":20,'
          b'"dirty_bytes":2000,"budget_bytes":268435456,"store_memory_bytes":2200,"store_disk_bytes":2048,"hits":200,"misses":0,"flushes":0},'
          b'"inputs":[{"table":"events","stream":"IN_FAULTS","sequence":200,"lag":0,"messages":200,"rows":200,"quarantined":0,"watermark":null}],'
          b'"views":[{"view":"passed","rows":200,"late":0,"failed":0}]}')
COLUMNS = b'{"columns":[{"name":"key","type":"text"},{"name":"n","type":"bigint"}],"epoch":2}\n'


def serve(world):
    """A worker of 0.1.0, as far as it answers: without Braid-From, the last part with Braid-Last: 1."""
    client = world.server.connect()
    client.send(b"SUB braid_api.faults.* 7\r\n")
    client.flush()

    def answer(message):
        question = json.loads(message.payload)
        if message.subject.endswith(".status"):
            return [STATUS]
        if "nope" in question["sql"]:
            return [b'{"error":"query:1:8: error: column \\"nope\\" does not exist\\n"}\n']
        return [COLUMNS + b'["k0",10]\n', b'["k1",10]\n', b'["k10",10]\n{"rows":3}\n']

    def run():
        try:
            while True:
                client.read_one(time.monotonic() + harness.PATIENCE_S)
                for message in client.waiting:
                    check(message.reply.startswith("_INBOX."), message.reply)
                    parts = answer(message)
                    for i, part in enumerate(parts):
                        client.publish(message.reply, part, {"Braid-Last": "1"} if i + 1 == len(parts) else None)
                client.waiting.clear()
        except (nats.NatsError, OSError):
            pass  # the test is over
    threading.Thread(target=run, daemon=True).start()
    return client


def test_what_its_workers_answer_is_understood(world):
    world.open()
    server = ("--server", world.server.url)
    client = serve(world)
    check(json.loads(world.braid("status", "faults", "--json", *server)) == json.loads(STATUS), "status")
    check_words(world.braid("status", "faults", *server), "lineage", "live", "events", "passed", "f6851d0266413fed")
    out = world.braid("query", "faults", "SELECT key, n FROM totals ORDER BY key LIMIT 3", "--json", *server)
    check([json.loads(line) for line in out.splitlines()] == [{"key": "k0", "n": 10}, {"key": "k1", "n": 10}, {"key": "k10", "n": 10}], out)
    check_words(world.braid("query", "faults", "SELECT nope FROM totals", *server, status=EXIT_NO), '"nope" does not exist')
    client.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: "no worker answers" in world.braid("status", "faults", *server, status=EXIT_FAILED), "it is gone")


harness.main()
