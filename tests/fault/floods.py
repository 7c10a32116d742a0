#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server, or what stands between, that sends without end: the worker goes on, ends when it is told to, and doesn't fill its log."""
import os
import select
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import Worker, check  # noqa: E402


class Between:
    """Hands bytes on between workers and the server; while `flood` is set it sends that too, after whole lines of the server's."""

    def __init__(self, server):
        self.server, self.flood, self.cut, self.flooded, self.accepted = server, b"", False, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.accepted += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.server.port)) as upstream:
            try:
                self.hand_on(client, upstream)
            except OSError:
                pass

    def hand_on(self, client, upstream):
        whole, up = True, False  # whole: what was handed on ends with a line, so that a flood may begin
        while not (self.cut and up):
            flooding = self.flood and whole and up
            ready, _, _ = select.select([client, upstream], [], [], 0 if flooding else 0.02)
            for source, target in (client, upstream), (upstream, client):
                data = source.recv(1 << 16) if source in ready else None
                if data == b"":
                    return
                if data:
                    target.sendall(data)
                if data and source is upstream:
                    whole, up = data.endswith(b"\r\n"), up or b"PONG\r\n" in data
            if flooding and whole:
                client.sendall(self.flood)
                self.flooded += len(self.flood)


def flooded(world, flood):
    world.open()
    between = Between(world.server)
    world.feed(500)
    worker = Worker(world, server=between).started()
    world.caught_up(worker)
    between.flood = flood
    harness.until(lambda: between.flooded > 20 << 20, "the flood", worker=worker)
    world.feed(500)
    world.caught_up(worker)
    worker.stopped()
    check(len(worker.log().splitlines()) < 40, f"too many lines:\n{worker.log()[:3000]}")
    between.flood = b""


def test_a_server_that_floods_pings(world):
    flooded(world, b"PING\r\n" * 10000)


def test_a_server_that_floods_oks(world):
    flooded(world, b"+OK\r\n" * 10000)


def test_a_server_that_accepts_and_drops(world):
    """Each connection is there for a moment: the log tells of them once a second, with their number."""
    world.open()
    between = Between(world.server)
    world.feed(500)
    worker = Worker(world, server=between).started()
    world.caught_up(worker)
    between.cut = True
    harness.until(lambda: between.accepted > 60, "connections that are dropped", worker=worker)
    between.cut = False
    world.feed(500)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()
    lost = worker.log().count("connection lost")
    check(0 < lost < between.accepted / 2, f"{lost} lines for {between.accepted} connections")


if __name__ == "__main__":
    harness.main()
