#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The control plane of workers and commands: what is asked of a worker doesn't touch its pipeline, wherever the answer is wanted, however
much is asked, and whatever the server does to that connection."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import nats  # noqa: E402
from harness import BRAID, OUTPUT, Worker, check, check_words, until  # noqa: E402

STATUS, QUERY = "braid_api.faults.status", "braid_api.faults.query"
COUNT = b'{"sql":"SELECT count(*) AS n FROM totals"}'


def tail(world):
    return world.braid("tail", world.pipeline, "--from-start", "--no-follow", "--server", world.server.url).splitlines()


def opened(world, count=100):
    world.open()
    worker = Worker(world).started()
    world.feed(count)
    world.caught_up(worker)
    return worker


# --- answers
def test_answers_go_to_inboxes_only(world):
    worker = opened(world)
    subjects = ["braid.faults.commit.0", "braid.faults.view.totals", "faults.in", "$JS.API.STREAM.PURGE." + OUTPUT, "_INBOXES.a", "_INBOX"]
    before = world.client.stream(OUTPUT)["messages"]
    for subject in subjects:
        for asked in (STATUS, QUERY, "braid_api.faults.hold", "braid_api.faults.checkpoint", "braid_api.faults.history", "$SRV.PING", "$SRV.INFO.braid"):
            world.client.publish(asked, COUNT, reply=subject)
    world.client.flush()
    check(len(json.loads(world.client.request(STATUS).payload)["views"]) == 2, "an honest asker gets an answer")
    check(world.client.stream(OUTPUT)["messages"] == before, "an answer lies in the pipeline's stream")
    check(world.client.stream(harness.INPUT)["messages"] == 100, "an answer lies in the input")
    check_words(worker.log(), "no inbox", "reply=")
    check(worker.log().count("no inbox") <= 3, "one line a second")
    world.feed(50)
    world.caught_up(worker)
    world.check_outcome()
    worker.kill()
    worker = Worker(world).started()
    world.check_outcome()
    worker.stopped()


def test_a_prefix_for_inboxes_can_be_configured(world):
    world.open()
    worker = Worker(world, flags=("--inbox-prefix", "_INBOX_team.braid")).started()
    client = world.server.connect()
    client.send(b"SUB _INBOX_team.> 99\r\n")
    client.publish(STATUS, b"{}", reply="_INBOX_team.braid.x.1")
    client.publish(STATUS, b"{}", reply="_INBOX_team.other.x.1")
    deadline = time.monotonic() + 10
    while not client.waiting:
        client.read_one(deadline)
    check([m.subject for m in client.waiting] == ["_INBOX_team.braid.x.1"], [m.subject for m in client.waiting])
    check(json.loads(world.client.request(STATUS).payload)["pipeline"] == "faults", "the usual inboxes are answered as well")
    out = world.braid("query", "faults", "SELECT count(*) FROM totals", "--inbox-prefix", "_INBOX_team.braid", "--server", world.server.url)
    check_words(out, "0")
    worker.stopped()


def test_it_is_listed_as_a_service(world):
    worker = opened(world)
    ping = json.loads(world.client.request("$SRV.PING").payload)
    check(ping["type"] == "io.nats.micro.v1.ping_response" and ping["name"] == "braid" and ping["version"].count(".") == 2, ping)
    info = json.loads(world.client.request(f"$SRV.INFO.braid.{ping['id']}").payload)
    check(info["type"] == "io.nats.micro.v1.info_response" and info["id"] == ping["id"] and "faults" in info["description"], info)
    check({"braid_api.faults." + what for what in ("query", "status", "hold", "checkpoint", "history")} == {e["subject"] for e in info["endpoints"]}, info)
    for _ in range(7):
        world.client.request(QUERY, COUNT)
    stats = json.loads(world.client.request("$SRV.STATS.braid").payload)
    check({e["name"]: e["num_requests"] for e in stats["endpoints"]}["query"] == 7 and stats["started"].endswith("Z"), stats)
    worker.stopped()


def test_of_two_workers_that_answer_one_is_heard(world):
    """As when one has just been fenced: the parts of two answers must not be mixed."""
    world.open()
    stop = []

    def answer():
        client = world.server.connect()
        client.send(b"SUB braid_api.faults.query 7\r\n")
        client.flush()
        stop.append(client)
        try:
            while True:
                client.read_one(time.monotonic() + 60)
                for message in client.waiting:
                    head = '{"columns":[{"name":"a","type":"bigint"}],"epoch":1}\n'
                    for who, part, last in (("w1", head, 0), ("w2", head, 0), ("w1", "[1]\n", 0), ("w2", "[2]\n", 0), ("w2", '{"rows":1}\n', 1), ("w1", '{"rows":1}\n', 1)):
                        client.publish(message.reply, part.encode(), {"Braid-From": who} | ({"Braid-Last": "1"} if last else {}))
                    client.flush()
                client.waiting.clear()
        except (nats.NatsError, OSError):
            pass

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    until(lambda: stop, "it serves")
    for _ in range(5):
        out = world.braid("query", "faults", "SELECT 1", "--json", "--server", world.server.url)
        check(json.loads(out) == {"a": 1}, out)
    stop[0].close()
    thread.join()


# --- floods
class Flood(threading.Thread):
    """As many requests as go, by a process of its own."""

    def __init__(self, world, subject, reply, payload=b"{}"):
        super().__init__(daemon=True)
        line = b"PUB %s %s%d\r\n%s\r\n" % (subject.encode(), (reply + " ").encode() if reply else b"", len(payload), payload)
        self.block = line * (64000 // len(line) + 1)
        self.address = ("127.0.0.1", int(world.server.url.rsplit(":", 1)[1]))
        self.sent, self.over = 0, False
        self.per_block = self.block.count(b"PUB ")

    def run(self):
        sock = socket.create_connection(self.address)
        sock.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n')
        sock.setblocking(True)
        while not self.over:
            try:
                sock.sendall(self.block)
                self.sent += self.per_block
            except OSError:
                sock = socket.create_connection(self.address)
                sock.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n')
        sock.close()

    def end(self):
        self.over = True
        self.join()


def asked(world):
    """Beside a flood the worker doesn't listen all the time: who asks then hears that nobody is there, and asks again."""
    for _ in range(2000):
        try:
            return world.client.request(QUERY, COUNT, timeout_s=30).payload
        except nats.NatsError as error:
            check("nobody answers" in str(error), str(error))
            time.sleep(0.005)
    return b"nobody"


def test_honest_askers_get_answers_beside_a_flood(world):
    worker = opened(world)
    for subject, reply in ((STATUS, "_INBOX.flood.1"), (QUERY, "_INBOX.flood.2"), (QUERY, None), ("braid_api.faults.hold", "braid.faults.commit.0")):
        flood = Flood(world, subject, reply, COUNT if subject == QUERY else b'{"ms":1000}')
        flood.start()
        until(lambda f=flood: f.sent > 20000, "it floods")
        before = world.fed
        for _ in range(5):
            answer = asked(world)
            check(b'"rows":1' in answer or b"busy" in answer, answer)
            out = world.braid("status", "faults", "--json", "--server", world.server.url)
            check(json.loads(out)["control"]["connected"], out)
        world.feed(20)
        world.caught_up(worker)
        until(lambda: "more requests come than are listened to" in worker.log(), "it doesn't listen to all of it", worker=worker)
        flood.end()
        check(flood.sent > 20000 and world.fed == before + 20, f"{flood.sent} sent")
    check(sum(f"level={level}" in line for line in worker.log().splitlines() for level in ("warn", "error")) < 100, worker.log()[-3000:])
    world.check_outcome()
    worker.stopped()


def test_who_asks_too_much_is_told(world):
    worker = opened(world)
    client = world.server.connect()
    client.send(b"SUB _INBOX.many.> 99\r\n" + b"PUB braid_api.faults.query _INBOX.many.x %d\r\n%s\r\n" % (len(COUNT), COUNT) * 5000)
    deadline = time.monotonic() + 20
    until(lambda: (client.read_one(deadline), any(b"busy" in m.payload for m in client.waiting))[1], "it is told that the worker is busy")
    check_words(worker.log(), "requests are refused: too many are waiting")
    until(lambda: b'"rows":1' in world.client.request(QUERY, COUNT).payload, "others are answered")
    worker.stopped()


def test_who_has_asked_is_told_that_the_worker_stops(world):
    worker = opened(world)
    client = world.server.connect()
    client.send(b"SUB _INBOX.many.> 99\r\n" + b"PUB braid_api.faults.query _INBOX.many.x %d\r\n%s\r\n" % (len(COUNT), COUNT) * 60)
    client.flush()
    deadline = time.monotonic() + 20
    while not client.waiting:
        client.read_one(deadline)
    worker.process.send_signal(signal.SIGTERM)
    check(worker.waited() == 0, worker.log())
    def ended():
        return sum(b'"rows":1' in m.payload or b"has stopped" in m.payload or m.headers.startswith("NATS/1.0 503") for m in client.waiting)
    while ended() < 60:
        client.read_one(deadline)
    check(any(b"has stopped" in m.payload for m in client.waiting), "all were answered before it stopped")


# --- the connection
def test_a_server_that_is_killed_and_comes_back(world):
    worker = opened(world)
    for _ in range(3):
        world.server.stop(signal.SIGKILL)
        world.server.start()
        world.reconnect()
        world.feed(10)
        world.caught_up(worker)
        until(lambda: b'"rows":1' in world.client.request(QUERY, COUNT).payload, "questions are answered again", 20, worker)
    check_words(worker.log(), "the control connection is back")
    status = json.loads(world.braid("status", "faults", "--json", "--server", world.server.url))
    check(status["control"]["connected"] is True and status["control"]["requests"] > 0, status["control"])
    worker.stopped()


def test_a_worker_ends_beside_a_server_that_is_mute(world):
    worker = opened(world)
    os.kill(world.server.process.pid, signal.SIGSTOP)
    try:
        time.sleep(0.5)
        asker = subprocess.Popen([BRAID, "query", "faults", "SELECT 1", "--server", world.server.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        asker.send_signal(signal.SIGINT)
        check(asker.wait(20) != 0, "nobody has answered")
        worker.process.send_signal(signal.SIGTERM)
        worker.waited(30)
    finally:
        os.kill(world.server.process.pid, signal.SIGCONT)


def test_what_is_not_permitted_is_said_and_the_pipeline_runs(world):
    world.server = harness.Server(world, config='authorization { users: [ {user: all, password: all}, {user: worker, password: w, permissions: '
                                  '{ publish: ">", subscribe: { allow: [">"], deny: ["braid_api.>"] } }} ] }\nno_auth_user: all')
    world.client = world.server.connect()
    world.client.create_stream(harness.INPUT, ["faults.in"])
    world.pipeline = world.write("faults.sql", harness.PIPELINE)
    worker = Worker(world, flags=("--user", "worker"), env=dict(os.environ, NATS_PASSWORD="w")).started()
    until(lambda: "doesn't permit" in worker.log(), "it is said", 10, worker)
    check_words(worker.log(), "braid_api.faults")
    world.feed(30)
    until(lambda: sum(json.loads(line)["view"] == "passed" for line in tail(world)) == 30, "the pipeline runs")
    worker.stopped()


# --- TLS
class Half:
    """Between a client and a server: passes bytes on; when told to, half of what the server says next, and then nothing."""

    def __init__(self, port):
        self.port, self.halve, self.halved = port, False, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tls://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, True), daemon=True).start()

    def pass_on(self, source, target, answers):
        mute = False
        try:
            while True:
                part = source.recv(65536)
                if not part:
                    break
                if mute:
                    continue
                if answers and self.halve and len(part) > 100:
                    part, mute, self.halved = part[:len(part) // 2], True, self.halved + 1
                target.sendall(part)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def certificates(world):
    def make(*argv):
        subprocess.run(["openssl", *argv], check=True, cwd=world.folder, capture_output=True)
    make("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    make("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    world.write("names", "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    make("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "2", "-extfile", "names")


def test_over_tls_and_half_a_record(world):
    certificates(world)
    folder = world.folder
    world.server = harness.Server(world, config=f'tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key" }}\n')
    port = int(world.server.url.rsplit(":", 1)[1])
    ca, url = ["--tlsca", f"{folder}/ca.pem"], f"tls://127.0.0.1:{port}"
    world.pipeline = world.write("faults.sql", harness.PIPELINE)
    worker = Worker(world, flags=("--dev", *ca), server=types.SimpleNamespace(url=url)).started()
    out = world.braid("query", "faults", "SELECT count(*) AS n FROM totals", "--json", "--server", url, *ca)
    check(json.loads(out) == {"n": 0}, out)
    check_words(world.braid("query", "faults", "SELECT count(*) AS n FROM totals", "--json", "--server", f"nats://localhost:{port}", *ca), "0")
    out = subprocess.run([BRAID, "query", "faults", "SELECT 1", "--server", url], capture_output=True, text=True, timeout=60, check=False)
    check(out.returncode == 3 and "certificate" in out.stderr, f"{out.returncode} {out.stderr}")
    half = Half(port)
    watching = world.start([BRAID, "status", "faults", "--json", "--watch", "0.1", "--server", half.url, *ca], "watching")
    until(lambda: world.log("watching").count("\n") > 3, "it is answered")
    half.halve = True
    check(watching.wait(30) == 3, "it ends by itself")
    check(half.halved >= 1, "nothing was halved")
    check_words(world.log("watching"), "connection")
    half.halve = False
    watching = world.start([BRAID, "query", "faults", "SELECT count(*) FROM totals", "--json", "--server", half.url, *ca], "again")
    check(watching.wait(30) == 0, world.log("again"))
    worker.stopped()


harness.main()
