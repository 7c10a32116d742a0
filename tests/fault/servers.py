#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers on which a worker can't work: each is an error that names the thing, the place and the way out."""
import json
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import nats  # noqa: E402
from harness import EXIT_FAILED, EXIT_NO, Server, Worker, check, check_words  # noqa: E402


def test_a_subject_that_no_stream_holds(world):
    world.server = Server(world)
    Worker(world).failed("events", "faults.in", "stream", "nats stream add")


def test_a_stream_that_holds_other_subjects(world):
    world.server = Server(world)
    world.server.connect().create_stream("OTHER", ["other.>"])
    Worker(world).failed("events", "faults.in", "stream")


def test_a_filter_that_two_streams_share(world):
    world.server = Server(world)
    client = world.server.connect()
    client.create_stream("A", ["faults.a"])
    client.create_stream("B", ["faults.b"])
    path = world.write("two.sql", harness.PIPELINE.replace("'faults.in'", "'faults.>'"))
    Worker(world, pipeline=path).failed("events", "faults.>", "A", "B")


def test_a_server_without_jetstream(world):
    world.server = Server(world, jetstream=False)
    Worker(world).failed("JetStream", world.server.url[len("nats://"):], "-js")


def test_a_server_that_takes_tiny_messages_only(world):
    world.open(config="max_payload: 4096")
    Worker(world).failed("max_payload", "4096", "raise it")


ACCOUNT = 'authorization { user: "ann", password: "right-word" }'


def test_a_wrong_password_is_told_without_showing_it(world):
    world.server = Server(world, config=ACCOUNT)
    worker = Worker(world, flags=["--user", "ann", "--password", "wrong-word"])
    worker.failed("credentials", world.server.url[len("nats://"):], "--user")
    check("wrong-word" not in worker.log(), "the log shows the password")


def test_no_credentials_where_some_are_needed(world):
    world.server = Server(world, config=ACCOUNT)
    Worker(world).failed("credentials", "--creds")


def test_right_credentials(world):
    world.server = Server(world, config=ACCOUNT)
    client = nats.Nats(f"nats://ann:right-word@127.0.0.1:{world.server.port}")
    client.create_stream(harness.INPUT, ["faults.in"])
    flags = ["--user", "ann", "--password", "right-word"]
    Worker(world, flags=flags).started().stopped()


def test_a_file_of_credentials_that_is_not_there(world):
    world.server = Server(world)
    Worker(world, flags=["--creds", "/nonexistent/braid.creds"]).failed("/nonexistent/braid.creds")


class OldServer:
    """Says that it is an old version, and is otherwise polite."""

    def __init__(self, version):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.info = {"server_id": "OLD", "server_name": "old", "version": version, "proto": 1, "go": "go1", "host": "127.0.0.1",
                     "port": self.port, "headers": True, "max_payload": 1048576, "jetstream": True, "client_id": 1}
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        connection.sendall(b"INFO " + json.dumps(self.info).encode() + b"\r\n")
        rest = b""
        while data := connection.recv(65536):
            *lines, rest = (rest + data).split(b"\r\n")
            for line in lines:
                if line == b"PING":
                    connection.sendall(b"PONG\r\n")


def test_servers_that_are_too_old(world):
    for version in ("2.10.29", "2.12.13", "2.13.0", "2.14.3"):
        Worker(world, server=OldServer(version)).failed(version, "2.12.14", "2.14.4")


def test_commands_say_it_too(world):
    world.server = Server(world, jetstream=False)
    for command in (["tail", world.pipeline], ["status", "faults"], ["publish", world.pipeline, "events", "/dev/null"]):
        check_words(world.braid(*command, "--server", world.server.url, status=EXIT_FAILED), "JetStream")


def test_a_question_when_no_worker_runs(world):
    world.open()
    for command in (["status", "faults"], ["query", "faults", "SELECT * FROM totals"]):
        check_words(world.braid(*command, "--server", world.server.url, status=EXIT_FAILED), "faults", "no worker")
    said = world.braid("tail", world.pipeline, "--server", world.server.url, status=EXIT_FAILED)
    check_words(said, "faults", "worker")


def test_a_pipeline_whose_message_no_descriptor_set_has(world):
    descriptors = os.path.join(world.folder, "some.pb")
    world.write("some.proto", 'syntax = "proto3"; package shop.v1; message Order { string order_id = 1; }')
    harness.subprocess.run(["protoc", "-I", world.folder, "--descriptor_set_out", descriptors, "some.proto"],
                           cwd=world.folder, check=True)
    path = world.write("message.sql", "SET braid.pipeline = 'faults';\nCREATE TABLE orders (order_id text)\n"
                                      "  WITH (subject = 'o', message = 'shop.v1.Ordre');\n"
                                      "CREATE MATERIALIZED VIEW v AS SELECT order_id FROM orders;\n")
    said = world.braid("check", path, "--descriptors", descriptors, status=EXIT_NO)
    check_words(said, "message.sql:3:", "shop.v1.Ordre", "shop.v1.Order", "hint")
    said = world.braid("check", path, status=EXIT_NO)
    check_words(said, "message.sql:3:", "shop.v1.Ordre", "descriptors")


def test_a_descriptor_set_that_is_none(world):
    path = world.write("broken.pb", "this is not a descriptor set")
    check_words(world.braid("check", world.pipeline, "--descriptors", path, status=EXIT_NO), "broken.pb")
    check_words(world.braid("check", world.pipeline, "--descriptors", "absent.pb", status=EXIT_NO), "absent.pb", "No such file")


harness.main()
