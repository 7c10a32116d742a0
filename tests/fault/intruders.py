#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What comes from those who don't belong: messages of others where a pipeline's commits are, paths of another's choice,
records that nobody of ours has written, folders that others can read."""
import json
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import nats  # noqa: E402
from harness import COMMITS, OUTPUT, Worker, check, check_words, until  # noqa: E402

FOREIGN = [b"", b'{"pipeline":"faults","epoch":7}', b"\xff\xff no commit", b"+OK"]
PASSED_OVER = "somebody else has published where only this pipeline's commits belong"


def intrude(world):
    for payload in FOREIGN:
        world.client.store(COMMITS, payload, {"Braid-Last": "1"} if payload[:1] == b"{" else None)


def test_messages_of_others_among_the_commits(world):
    """An answer that was sent there, or anything: the running worker, its successor, and who only reads pass it over."""
    world.open()
    worker = Worker(world).started()
    world.feed(50)
    world.caught_up(worker)
    intrude(world)
    world.feed(50)
    world.caught_up(worker)
    check_words(worker.log(), PASSED_OVER, COMMITS, OUTPUT)
    intrude(world)
    worker.stopped()
    intrude(world)
    for data in ("state", "nothing"):  # with its state, and without
        worker = Worker(world, data=data).started()
        world.feed(50)
        world.caught_up(worker)
        check_words(worker.log(), PASSED_OVER)
        world.check_outcome()
        intrude(world)
        if data == "state":
            worker.stopped()
    world.braid("replay", "verify", "faults", "--wait", "--server", world.server.url)
    world.braid("replay", "start", "faults", "--wait", "--server", world.server.url)
    intrude(world)
    world.client.store("braid.faults.commit.r1.0", b"{}")
    text = world.braid("replay", "diff", "faults", "r2", "--server", world.server.url)
    check_words(text, "faults")
    world.braid("replay", "promote", "faults", "r2", "--wait", "--server", world.server.url)
    world.feed(50)
    world.caught_up(worker)
    intrude(world)
    world.braid("replay", "rollback", "faults", "r2", "--wait", "--server", world.server.url)
    world.feed(50)
    world.caught_up(worker)
    worker.stopped()
    text = world.braid("verify", world.pipeline, "--state", "--data", worker.data, "--server", world.server.url)
    check_words(text, "sound")


def test_a_message_that_was_passed_over_is_removed(world):
    world.open()
    worker = Worker(world).started()
    world.feed(50)
    world.caught_up(worker)
    intrude(world)
    world.feed(0)
    worker.stopped()
    worker = Worker(world).started()
    until(lambda: PASSED_OVER in worker.log(), "it is passed over", worker=worker)
    for sequence in range(world.client.stream(OUTPUT)["last_seq"] - len(FOREIGN) + 1, world.client.stream(OUTPUT)["last_seq"] + 1):
        world.client.api(f"STREAM.MSG.DELETE.{OUTPUT}", {"seq": sequence})
    world.feed(50)
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_former_worker_beside_it(world):
    """It slept while another took the task over, and a foreign message has moved the fence under both."""
    world.open()
    former = Worker(world).started()
    world.feed(50)
    world.caught_up(former)
    former.process.send_signal(signal.SIGSTOP)
    intrude(world)
    worker = Worker(world, data="other").started()
    before = world.client.stream(OUTPUT)["last_seq"]
    world.feed(50)
    until(lambda: any(harness.read_commit(bytes_) and sequence > before for sequence, bytes_ in world.client.messages(OUTPUT, COMMITS)),
          "the second worker commits", worker=worker)
    intrude(world)
    former.process.send_signal(signal.SIGCONT)
    world.feed(50)
    former.failed("fenced", "no longer owns the task")
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_a_flood_among_the_commits(world):
    """Faster than it is passed over: the worker goes on, says so once a second, and ends when it is told to."""
    world.open()
    worker = Worker(world).started()
    stop = threading.Event()

    def flood():
        client = world.server.connect()
        while not stop.is_set():
            client.store(COMMITS, b"{}")
            time.sleep(0.02)  # several for each look
        client.close()
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        began = time.monotonic()
        for _ in range(5):
            world.feed(20)
            world.caught_up(worker)
        lines = worker.log().count(PASSED_OVER)
        check(0 < lines <= time.monotonic() - began + 2, f"{lines} lines in {time.monotonic() - began:.1f} s")
        worker.process.send_signal(signal.SIGINT)
        worker.waited(20)
    finally:
        stop.set()
        thread.join()
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome()
    worker.stopped()


def test_another_answers_in_the_workers_place(world):
    """Where a checkpoint lies is known here: what whoever answers says of it is nothing that is believed, or removed."""
    world.open()
    worker = Worker(world).started()
    world.feed(200)
    world.caught_up(worker)
    victim = os.path.join(world.folder, "victim")
    os.makedirs(os.path.join(victim, "deep"))
    for name in ("precious", "deep/too"):
        world.write(f"victim/{name}", "x")
    os.makedirs(os.path.join(worker.data, "faults", "checkpoints"), exist_ok=True)
    false = world.server.connect()
    false.send(b"SUB braid_api.faults.checkpoint 7\r\n")
    false.flush()
    answered, stop = [], threading.Event()

    def answer():
        while not stop.is_set():
            try:
                false.read_one(time.monotonic() + 0.1)
            except nats.NatsError:
                continue
            while false.waiting:
                reply = false.waiting.pop().reply
                for path in (f"{worker.data}/faults/checkpoints/../../../victim", victim):
                    body = json.dumps({"path": path, "host": socket.gethostname(), "epoch": 1}).encode()
                    false.publish(reply, body, {"Braid-Last": "1"})
                    answered.append(path)
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        world.braid("replay", "start", "faults", "--wait", "--server", world.server.url)
        world.braid("replay", "diff", "faults", "r1", "--server", world.server.url)
        until(lambda: answered, "the answer is asked for")
        world.braid("replay", "drop", "faults", "r1", "--wait", "--server", world.server.url)
    finally:
        stop.set()
        thread.join()
    check(sorted(os.listdir(victim)) == ["deep", "precious"] and os.listdir(os.path.join(victim, "deep")) == ["too"],
          "the folder that was named in an answer is gone")
    until(lambda: not os.listdir(os.path.join(worker.data, "faults", "checkpoints")), "no checkpoint stays behind", worker=worker)
    worker.stopped()


def test_records_of_jobs_that_none_of_ours_has_made(world):
    """One line in the log for each, whatever is in them; the others go on, and the command removes them."""
    world.open()
    worker = Worker(world).started()
    world.feed(20)
    world.caught_up(worker)
    world.braid("replay", "start", "faults", "--wait", "--server", world.server.url)
    for key, value in (("r2", b"\xff\xff"), ("r3", b"{}"), ("r999999999999999999", b""), ("r4", harness.proto.data(1, "r4"))):
        world.client.store(f"$KV.BRAID_faults_replays.{key}", value)
    until(lambda: worker.log().count("a replay job is left out") >= 3, "they are left out", worker=worker)
    before = worker.log().count("a replay job is left out")
    check(world.braid("replay", "start", "faults", "--wait", "--server", world.server.url).startswith("r5"), "the next one is r5")
    time.sleep(3)
    check(worker.log().count("a replay job is left out") == before, worker.log())
    for key in ("r2", "r3", "r4", "r999999999999999999"):
        said = world.braid("replay", "status", "faults", key, "--server", world.server.url, status=harness.EXIT_FAILED)
        check_words(said, f"braid replay drop faults {key}")
        world.braid("replay", "drop", "faults", key, "--wait", "--server", world.server.url)
        world.braid("replay", "status", "faults", key, "--server", world.server.url, status=harness.EXIT_NO)
    worker.stopped()


def test_folders_are_closed_to_others(world):
    """Made so, and tightened where an earlier version made them."""
    world.open()
    old = os.umask(0o022)
    os.makedirs(os.path.join(world.folder, "state/faults/live"), 0o755)
    os.chmod(os.path.join(world.folder, "state/faults/live"), 0o757)
    worker = Worker(world).started()
    world.feed(20)
    world.caught_up(worker)
    mode = os.stat(os.path.join(worker.data, "faults/live")).st_mode & 0o7777
    check(mode == 0o750, oct(mode))
    check_words(worker.log(), "open to others", "faults/live")
    worker.stopped()
    worker = Worker(world, data="new").started()
    world.caught_up(worker)
    for path in (worker.data, os.path.join(worker.data, "faults"), os.path.join(worker.data, "faults/live")):
        mode = os.stat(path).st_mode & 0o7777
        check(mode == 0o700, f"{path}: {oct(mode)}")
    worker.stopped()
    os.umask(old)


def test_secrets_are_no_arguments_for_long(world):
    """Whoever lists processes sees neither --password nor what a URL holds."""
    world.server = harness.Server(world, config='authorization { users: [ {user: "worker", password: "open-sesame"} ] }')
    host = f"127.0.0.1:{world.server.port}"
    world.client = nats.Nats(f"nats://worker:open-sesame@{host}")
    world.client.create_stream(harness.INPUT, ["faults.in"])
    world.server.url = f"nats://nobody:no-secret@{host},nats://worker:open-sesame@{host}"
    for flags in ((), ("--server", f"nats://{host}", "--user", "worker", "--password", "open-sesame"),
                  ("--server", f"nats://{host}", "--user", "worker", "--password=open-sesame")):
        worker = Worker(world, flags=flags).started()
        with open(f"/proc/{worker.process.pid}/cmdline", "rb") as file:
            line = file.read()
        check(b"open-sesame" not in line and b"no-secret" not in line and host.encode() in line, line)
        check("open-sesame" not in worker.log(), worker.log())
        worker.stopped()


if __name__ == "__main__":
    harness.main()
