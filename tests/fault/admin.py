#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes by the control plane beside questions: what commands do to streams, publishing, and a worker's replay jobs. Which
connection is of which plane shows by what it says of itself to the server."""
import json
import signal
import socket
import subprocess
import sys
import os
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import BRAID, EXIT_FAILED, INPUT, OUTPUT, Worker, check, check_words, until  # noqa: E402

BUCKET = "KV_BRAID_faults_replays"


def opened(world):
    """A server that tells of its connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        world.monitor = f"http://127.0.0.1:{probe.getsockname()[1]}"
    world.open(config=f'http: "{world.monitor[7:]}"')
    return world


def planes(world, name):
    """By the data plane, by the control plane: how many connections of this name are open."""
    with urllib.request.urlopen(world.monitor + "/connz?limit=1000", timeout=10) as answer:
        versions = [c["version"] for c in json.load(answer)["connections"] if c.get("name") == name]
    return versions.count("braid"), len(versions) - versions.count("braid")


def begin(world, *argv):
    return subprocess.Popen([BRAID, *argv, "--server", world.server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, cwd=world.folder)


def rows(count):
    return "".join(json.dumps(harness.event(index)) + "\n" for index in range(count))


def test_a_worker_has_one_connection_for_questions_and_one_for_replays(world):
    opened(world)
    worker = Worker(world).started()
    world.feed(100)
    world.caught_up(worker)
    until(lambda: BUCKET in world.client.api("STREAM.NAMES")["streams"], "the jobs' bucket", worker=worker)
    check(planes(world, "braid run") == (2, 2), planes(world, "braid run"))  # commits and one reader
    worker.stopped()


def test_publish_and_the_verbs_of_replays_have_no_other_connection(world):
    opened(world)
    worker = Worker(world).started()
    path = world.write("rows.jsonl", rows(2000))
    feeding = begin(world, "publish", world.pipeline, "events", path, "--rate", "100")
    check(until(lambda: (found := planes(world, "braid publish")) != (0, 0) and found, "it connects") == (0, 1), "publish")
    watched = begin(world, "replay", "start", "faults", "--rate", "1", "--wait")
    check(until(lambda: (found := planes(world, "braid replay")) != (0, 0) and found, "it connects")[0] == 0, "replay start")
    for process in feeding, watched:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    worker.stopped()


def test_what_a_bucket_or_a_stream_says_of_itself_survives_a_change(world):
    world.open()
    world.client.create_stream("OWN", ["own.a"], metadata={"team": "orders"}, allow_atomic=True, description="ours")
    world.write("own.sql", "SET braid.pipeline = 'own';\nCREATE TABLE a (id bigint NOT NULL) WITH (subject = 'own.b', stream = 'OWN');\n"
                           "CREATE MATERIALIZED VIEW v AS SELECT id FROM a;\n")
    world.write("own.jsonl", '{"id": 1}\n')
    world.braid("publish", "own.sql", "a", "own.jsonl", "--create", "--server", world.server.url)
    config = world.client.api("STREAM.INFO.OWN")["config"]
    check(sorted(config["subjects"]) == ["own.a", "own.b"] and config["allow_atomic"] and config["description"] == "ours", config)
    check(config["metadata"]["team"] == "orders", config)
    worker = Worker(world).started()
    until(lambda: BUCKET in world.client.api("STREAM.NAMES")["streams"], "the jobs' bucket", worker=worker)
    before = world.client.api(f"STREAM.INFO.{BUCKET}")["config"]
    check(before["max_msgs_per_subject"] == 1 and before["deny_delete"] and before["allow_rollup_hdrs"], before)
    world.braid("replay", "list", "faults", "--server", world.server.url)
    check(world.client.api(f"STREAM.INFO.{BUCKET}")["config"] == before, "it is left as it is")
    worker.stopped()


def test_a_server_that_goes_away_under_publish_is_told_with_what_is_unknown(world):
    opened(world)
    feeding = begin(world, "publish", world.pipeline, "events", world.write("rows.jsonl", rows(200000)), "--rate", "50000")
    until(lambda: world.client.stream(INPUT)["messages"] > 1000, "some are there")
    world.server.process.send_signal(signal.SIGSTOP)
    until(lambda: feeding.poll() is not None, "it ends though nobody answers")
    world.server.process.send_signal(signal.SIGCONT)
    check(feeding.returncode == EXIT_FAILED, feeding.returncode)
    check_words(feeding.stderr.read(), "faults.in", "may or may not be stored")


def test_publishing_that_is_not_permitted_is_said_at_once(world):
    world.open(config='authorization { users: [{user: a, password: b}, {user: poor, password: p, permissions: '
                      '{publish: {deny: ["faults.in"]}}}], timeout: 5 }\nno_auth_user: a')
    path = world.write("rows.jsonl", rows(10))
    said = world.braid("publish", world.pipeline, "events", path, "--user", "poor", "--password", "p", "--server",
                       world.server.url, status=EXIT_FAILED)
    check_words(said, "doesn't permit", "'faults.in'", "allow it for this user")


def test_a_replay_beside_a_flood_of_requests_keeps_its_lease(world):
    world.open()
    worker = Worker(world, flags=("--epoch-rows", "50")).started()
    world.feed(600)
    world.caught_up(worker)
    ends = threading.Event()

    def flood():
        client = world.server.connect()
        request = b"PUB braid_api.faults.status _INBOX.flood.1 2\r\n{}\r\n" * 2000
        while not ends.is_set():
            client.send(request)
        client.close()

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    # 600 messages at 50 a second: longer than a lease holds that isn't renewed.
    started = world.braid("replay", "start", "faults", "--rate", "50", "--wait", "--server", world.server.url).split()[0]
    ends.set()
    flooding.join(20)
    job = json.loads(world.braid("replay", "status", "faults", started, "--json", "--server", world.server.url))
    check(job["phase"] == "done", job)
    check(worker.log().count("working on a replay") == 1, "the lease was lost:\n" + worker.log()[-2000:])
    check(OUTPUT in world.client.api("STREAM.NAMES")["streams"], "all is there")
    worker.stopped()


harness.main()
