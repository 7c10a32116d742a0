#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What keeps a worker from working is said, in the log and in the status, with the subject or the limit; and the worker goes on by itself
when it is mended. The server's configuration is changed while it runs (SIGHUP)."""
import glob
import json
import os
import resource
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import INPUT, OUTPUT, Worker, check, until  # noqa: E402

# The worker's user may do all but what a test denies; the test's may do all.
USERS = """
authorization {{ users = [
    {{ user: worker, password: w, permissions: {{ publish: {{ allow: ">"{publish} }}, subscribe: {{ allow: ">"{subscribe} }} }} }}
    {{ user: test, password: t }} ] }}
"""


def denied(publish=(), subscribe=()):
    def words(subjects):
        return ", deny: [" + ", ".join(f'"{subject}"' for subject in subjects) + "]" if subjects else ""
    return USERS.format(publish=words(publish), subscribe=words(subscribe))


class As:
    def __init__(self, server, user):
        self.url = server.url.replace("//", f"//{user}:{user[0]}@")


def opened(world, config="", storage=""):
    """A server with users, whose configuration is `config`."""
    server = world.server = harness.Server(world, config=config or denied(), storage=storage)
    server.base = open(server.config, encoding="utf-8").read().replace(config or denied(), "@")
    server.plain, server.url = server.url, As(server, "test").url
    world.client = server.connect()
    world.client.create_stream(INPUT, ["faults.in"])
    return world


def reload(world, config):
    with open(world.server.config, "w", encoding="utf-8") as file:
        file.write(world.server.base.replace("@", config))
    seen = world.log("nats").count("Reloaded")
    world.server.process.send_signal(signal.SIGHUP)
    until(lambda: world.log("nats").count("Reloaded") > seen, "the server takes its new configuration")


def worker_of(world, **options):
    class Of:
        url = As(type("plain", (), {"url": world.server.plain})(), "worker").url
    return Worker(world, server=Of, **options)


def said(world, worker, *words, status=True, patience_s=30):
    """The words stand in a line of the log, and in the status."""
    def in_log():
        return any(all(word in line for word in words) for line in worker.log().splitlines() if "level=warn" in line)
    until(in_log, f"a warning with {words}", patience_s, worker)

    def in_status():
        answer = world.status()
        return answer and any(all(word in line for word in words) for line in answer["troubles"] + answer["needs"])
    if status:
        until(in_status, f"the status says {words}", patience_s, worker)


def goes_on(world, worker, feed=500):
    if feed:
        world.feed(feed)
    world.caught_up(worker)
    world.check_outcome()
    until(lambda: world.status()["troubles"] == [], "no trouble is left", worker=worker)
    worker.stopped()
    check(len(worker.log().splitlines()) < 60, f"too many lines:\n{worker.log()[:3000]}")


def test_a_views_subject_that_may_not_be_published(world):
    opened(world)
    world.feed(500)
    worker = worker_of(world).started()
    world.caught_up(worker)
    reload(world, denied(publish=["braid.faults.view.passed"]))
    world.feed(500)
    said(world, worker, "braid.faults.view.passed", "permit")
    reload(world, denied())
    goes_on(world, worker)


def test_commits_that_may_not_be_published(world):
    opened(world, denied(publish=["braid.faults.commit.>"]))
    world.feed(500)
    worker = worker_of(world)
    said(world, worker, "braid.faults.commit.0", "permit")
    reload(world, denied())
    goes_on(world, worker)


def test_a_worker_that_waits_for_a_permission_ends_when_it_is_told_to(world):
    opened(world, denied(publish=["braid.faults.commit.>"]))
    world.feed(500)
    worker = worker_of(world)
    said(world, worker, "braid.faults.commit.0", "permit")
    worker.process.send_signal(signal.SIGTERM)
    worker.waited()


def test_a_consumer_that_may_not_be_created(world):
    opened(world, denied(publish=["$JS.API.CONSUMER.CREATE.IN_FAULTS.>", "$JS.API.CONSUMER.CREATE.IN_FAULTS"]))
    world.feed(500)
    worker = worker_of(world)
    said(world, worker, "$JS.API.CONSUMER.CREATE.IN_FAULTS", "permit")
    reload(world, denied())
    goes_on(world, worker)


def test_a_consumer_that_may_not_be_created_after_an_outage(world):
    opened(world)
    world.feed(500)
    worker = worker_of(world).started()
    world.caught_up(worker)
    world.server.stop()
    with open(world.server.config, "w", encoding="utf-8") as file:
        file.write(world.server.base.replace("@", denied(publish=["$JS.API.CONSUMER.CREATE.>"])))
    said(world, worker, "no connection", status=False)
    world.server.start()
    world.reconnect()
    said(world, worker, "$JS.API.CONSUMER.CREATE", "permit", "table")
    check(world.status()["lag"] is None, "a lag is told that nobody knows")
    harness.check_words(worker.log(), "the connection is back", "away_ms=")
    reload(world, denied())
    goes_on(world, worker)


def test_streams_that_may_not_be_looked_at(world):
    opened(world, denied(publish=["$JS.API.STREAM.INFO.>"]))
    world.feed(500)
    worker = worker_of(world)
    said(world, worker, "$JS.API.STREAM.INFO", "permit", status=False)
    reload(world, denied())
    goes_on(world, worker)


def asked(world):
    try:
        return json.loads(world.client.request("braid_api.faults.status").payload)["pipeline"]
    except harness.nats.NatsError:
        return None


def test_requests_that_may_not_be_served(world):
    opened(world, denied(subscribe=["braid_api.>"]))
    world.feed(500)
    worker = worker_of(world).started()
    said(world, worker, "braid_api.faults", "permit", "braid_api.<pipeline>.>", status=False)
    reload(world, denied())
    until(lambda: asked(world), "questions are answered", 30, worker)
    until(lambda: "is permitted now" in worker.log(), "it is said", 30, worker)
    goes_on(world, worker)


def test_the_jobs_bucket_that_may_not_be_used(world):
    """The worker works; replays can't."""
    opened(world, denied(publish=["$JS.API.STREAM.*.KV_BRAID_faults_replays", "$JS.API.STREAM.MSG.GET.KV_BRAID_faults_replays"]))
    world.feed(500)
    worker = worker_of(world).started()
    said(world, worker, "KV_BRAID_faults_replays", "permit")
    reload(world, denied())
    goes_on(world, worker)


def test_connections_that_are_used_up(world):
    opened(world)
    world.feed(500)
    worker = worker_of(world).started()
    world.caught_up(worker)
    world.client.close()
    world.server.stop()
    few = denied() + "max_connections: 1\n"
    with open(world.server.config, "w", encoding="utf-8") as file:
        file.write(world.server.base.replace("@", few))
    world.server.start()
    said(world, worker, "maximum connections exceeded", status=False)
    reload(world, denied() + "max_connections: 1000\n")
    world.reconnect()
    goes_on(world, worker)


def test_file_descriptors_that_are_used_up(world):
    opened(world)
    world.feed(500)
    worker = worker_of(world).started()
    world.caught_up(worker)
    _, most = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (5, most))
    world.server.stop()
    world.server.start()
    world.reconnect()
    said(world, worker, "ulimit -n", status=False)
    world.feed(500)
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (most, most))
    goes_on(world, worker)


def threads_of_the_user():
    """As its limit counts them."""
    if os.getuid() == 0:
        return 0
    count = 0
    for path in glob.glob("/proc/[0-9]*/task"):
        try:
            count += len(os.listdir(path)) if os.stat(path).st_uid == os.getuid() else 0
        except OSError:
            pass
    return count


def test_threads_that_are_used_up(world):
    opened(world)
    world.feed(500)
    os.chmod(world.folder, 0o755)
    alone = 64123  # root has no limit: a user of whom nothing else runs has one

    def bounded(most):
        def enter():
            if os.getuid() == 0:
                os.setgid(alone)
                os.setuid(alone)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        return enter
    said_so = ran = 0
    for more in [*range(1, 30, 3), 60]:
        data = f"state{more}"
        os.mkdir(os.path.join(world.folder, data), 0o700)
        if os.getuid() == 0:
            os.chown(os.path.join(world.folder, data), alone, alone)
        worker = Worker(world, data=data, preexec_fn=bounded(threads_of_the_user() + more))
        until(lambda w=worker: w.process.poll() is not None or "running" in w.log(), "its end or its start")
        if worker.process.poll() is None:
            ran += 1
            worker.stopped()
        else:
            status = worker.waited()
            check(status in (1, 3) and "thread" in worker.log(), f"exit status {status} with {more} threads: {worker.log()[-2000:]}")
            said_so += "raise its limit" in worker.log()
    check(said_so > 0 and ran > 0, f"refused for threads {said_so} times, ran {ran} times")


def test_a_stream_that_loses_a_tables_subject(world):
    opened(world)
    world.feed(500)
    worker = worker_of(world).started()
    world.caught_up(worker)
    config = world.client.api(f"STREAM.INFO.{INPUT}")["config"]
    world.client.api(f"STREAM.UPDATE.{INPUT}", {**config, "subjects": ["other.in"]})
    said(world, worker, INPUT, "'faults.in'", "table")
    world.client.api(f"STREAM.UPDATE.{INPUT}", config)
    goes_on(world, worker)


def test_an_output_stream_that_is_full(world):
    opened(world)
    world.feed(500)
    worker = worker_of(world).started()
    world.caught_up(worker)
    config = world.client.api(f"STREAM.INFO.{OUTPUT}")["config"]
    used = world.client.stream(OUTPUT)["bytes"]
    world.client.api(f"STREAM.UPDATE.{OUTPUT}", {**config, "max_bytes": used + 1000, "discard": "new"})
    world.feed(2000)
    said(world, worker, OUTPUT, "maximum bytes exceeded")
    world.client.api(f"STREAM.UPDATE.{OUTPUT}", {**config, "max_bytes": -1})
    goes_on(world, worker, feed=0)


if __name__ == "__main__":
    harness.main()
