# SPDX-License-Identifier: Apache-2.0
"""What the tests of faults share: a private nats-server, workers, an input of which it is known what must come out.

A test is a function test_…(world) in a file of tests/fault; harness.main() runs each with a World of its own, which stops
all that it started and removes its folder. `FILE.py NAME…` runs only the tests named. Nothing waits for a time to pass:
tests wait until something is so, and fail when it isn't within PATIENCE_S.

Environment: BRAID, the command; BRAID_NATS_SERVER, the server (tests/fault/with-server finds one).
"""
import collections
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import nats
import proto

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BRAID = os.environ.get("BRAID", os.path.join(ROOT, "build", "release", "braid"))
PATIENCE_S = 60
EXIT_OK, EXIT_NO, EXIT_FAILED = 0, 1, 3  # `braid --help` tells them

# An append-only view, in which every event must stand exactly once, and a grouped one.
PIPELINE = """
SET braid.pipeline = 'faults';
CREATE TABLE events (id bigint NOT NULL, key text NOT NULL, amount bigint NOT NULL) WITH (subject = 'faults.in');
CREATE MATERIALIZED VIEW passed AS SELECT id, amount FROM events;
CREATE MATERIALIZED VIEW totals AS SELECT key, count(*) AS n, sum(amount) AS total FROM events GROUP BY key;
"""
INPUT, OUTPUT, COMMITS = "IN_FAULTS", "BRAID_faults", "braid.faults.commit.0"
KEYS = 20


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failure(why)


def check_words(text, *words):
    """Every one of the words stands in the text: a message names the thing, the place and the way out."""
    missing = [word for word in words if word not in text]
    check(not missing, f"{missing} missing in:\n{text}")


def until(condition, what, patience_s=PATIENCE_S, worker=None):
    """Waits until the condition gives something true, and gives it."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if worker is not None and worker.process.poll() is not None:
            raise Failure(f"{what}: the worker has ended ({worker.process.returncode}):\n{worker.log()[-3000:]}")
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {patience_s} s" + (f":\n{worker.log()[-3000:]}" if worker else ""))
        time.sleep(0.02)


def event(index):
    return {"id": index, "key": f"k{index * 7919 % KEYS}", "amount": index * 31 % 1000 - 300}


def payload(index):
    row = event(index)
    return proto.number(1, row["id"]) + proto.data(2, row["key"]) + proto.number(3, row["amount"])


def read_commit(bytes_):
    """None when it isn't one: others may have published there."""
    try:
        commit = proto.read(bytes_)
        return commit if all(field in commit for field in (1, 2, 7, 8)) else None
    except (IndexError, TypeError):
        return None


def server_program():
    if "BRAID_NATS_SERVER" not in os.environ:
        found = subprocess.run([os.path.join(ROOT, "tools", "nats-server")], stdout=subprocess.PIPE, text=True, check=True)
        os.environ["BRAID_NATS_SERVER"] = found.stdout.strip()
    return os.environ["BRAID_NATS_SERVER"]


class Server:
    """A nats-server on a port of its own, which it keeps over restarts."""

    def __init__(self, world, name="nats", jetstream=True, config="", storage=""):
        self.world, self.name, self.process = world, name, None
        self.store = os.path.join(world.folder, name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.config = os.path.join(world.folder, name + ".conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f'listen: "127.0.0.1:{self.port}"\n{config}\n')
            if jetstream:
                file.write(f'jetstream {{ store_dir: "{self.store}"\n{storage} }}\n')
        self.start()

    def start(self):
        self.process = self.world.start([server_program(), "-c", self.config], self.name)

        def answers():
            check(self.process.poll() is None, f"nats-server does not start:\n{self.world.log(self.name)}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        until(answers, "nats-server")

    def stop(self, how=signal.SIGTERM):
        self.world.end(self.process, how)

    def connect(self, **options):
        return nats.Nats(self.url, **options)


class Worker:
    """braid run. Its log goes to a file of its own."""
    count = 0

    def __init__(self, world, data="state", flags=(), pipeline=None, server=None, prefix=(), **popen):
        Worker.count += 1
        self.world, self.name = world, f"worker{Worker.count}"
        self.data = os.path.join(world.folder, data)
        url = (server or world.server).url
        self.process = world.start([*prefix, BRAID, "run", pipeline or world.pipeline, "--server", url, "--data", self.data,
                                    "--progress", "0", *flags], self.name, **popen)

    def log(self):
        return self.world.log(self.name)

    def started(self):
        until(lambda: "running" in self.log() and "requests are heard" in self.log(), "the worker's start", worker=self)
        return self

    def waited(self, patience_s=PATIENCE_S):
        """Its exit status, when it ends by itself."""
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"the worker does not end:\n{self.log()[-3000:]}") from None

    def failed(self, *words):
        """It ends by itself, saying these words."""
        status = self.waited()
        check(status == EXIT_FAILED, f"exit status {status}, not {EXIT_FAILED}:\n{self.log()[-3000:]}")
        check_words(self.log(), *words)

    def kill(self):
        self.world.end(self.process, signal.SIGKILL)

    def stopped(self):
        """A clean stop by Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        status = self.waited()
        check(status == EXIT_OK, f"exit status {status} after Ctrl-C:\n{self.log()[-3000:]}")

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


class World:
    def __init__(self, name):
        self.folder = tempfile.mkdtemp(prefix=f"braid-fault-{name}-")
        self.processes, self.mounts = [], []
        self.seed = int(os.environ.get("BRAID_FAULT_SEED", random.SystemRandom().randrange(1 << 32)))
        self.random = random.Random(self.seed)
        self.pipeline = self.write("faults.sql", PIPELINE)
        self.server = self.client = None
        self.fed = 0

    def close(self):
        if self.client is not None:
            self.client.close()
        for process in reversed(self.processes):
            self.end(process, signal.SIGKILL)
        for mount in self.mounts:
            subprocess.run(["umount", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- processes and files
    def start(self, argv, name, **options):
        def die_with_parent():
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
        with open(os.path.join(self.folder, name + ".log"), "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                       **{"preexec_fn": die_with_parent, **options})
        self.processes.append(process)
        return process

    def end(self, process, how):
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, name):
        with open(os.path.join(self.folder, name + ".log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def braid(self, *argv, status=EXIT_OK, **options):
        """Runs the command; its output, or what it said on stderr when another status than 0 is wanted."""
        options = {"timeout": PATIENCE_S, **options}
        done = subprocess.run([BRAID, *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=self.folder,
                              check=False, **options)
        check(done.returncode == status,
              f"braid {' '.join(argv)}: exit status {done.returncode}, not {status}:\n{done.stderr[-3000:]}")
        return done.stdout if status == EXIT_OK else done.stderr

    # --- the input
    def open(self, **options):
        """A server with the input stream."""
        self.server = Server(self, **options)
        self.client = self.server.connect()
        self.client.create_stream(INPUT, ["faults.in"])
        return self

    def reconnect(self):
        self.client.close()
        self.client = self.server.connect()

    def feed(self, count):
        """Publishes the next events and waits until the stream has them."""
        want = self.client.stream(INPUT)["last_seq"] + count
        for index in range(self.fed, self.fed + count):
            self.client.publish("faults.in", payload(index))
        self.fed += count
        until(lambda: self.client.stream(INPUT)["last_seq"] == want, "the input stream")

    # --- the outcome
    def status(self):
        """The worker's answer, None while none answers."""
        done = subprocess.run([BRAID, "status", "faults", "--json", "--server", self.server.url], capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, check=False, timeout=PATIENCE_S)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def caught_up(self, worker, patience_s=PATIENCE_S):
        """Waits until all of the input is committed."""
        last = self.client.stream(INPUT)["last_seq"]

        def done():
            status = self.status()
            return status and status["inputs"][0]["sequence"] == last and status["committed"] == status["epoch"] and status
        return until(done, f"the worker consumes everything up to {last}", patience_s, worker)

    def changes(self):
        text = self.braid("tail", self.pipeline, "--from-start", "--no-follow", "--server", self.server.url)
        return [json.loads(line) for line in text.splitlines()]

    def query(self, sql):
        text = self.braid("query", "faults", sql, "--json", "--server", self.server.url)
        return [json.loads(line) for line in text.splitlines()]

    def check_outcome(self, events=None, ask=True):
        """What subscribers saw and what queries say is what a naive fold of the input gives: every event once."""
        events = range(self.fed) if events is None else events
        want = collections.defaultdict(lambda: [0, 0])
        for index in events:
            row = event(index)
            want[row["key"]][0] += 1
            want[row["key"]][1] += row["amount"]
        seen, folded = collections.Counter(), {}
        for change in self.changes():
            row = change["row"]
            if change["view"] == "passed":
                check(change["op"] == "insert", f"an append-only view gave {change}")
                check(row["amount"] == event(row["id"])["amount"], f"a wrong row: {change}")
                seen[row["id"]] += 1
            elif change["view"] != "totals":
                continue
            elif change["op"] == "upsert":
                folded[row["key"]] = [row["n"], row["total"]]
            else:
                folded.pop(row["key"])
        lost = [index for index in events if seen[index] == 0]
        doubled = [index for index, count in seen.items() if count > 1]
        check(not lost and not doubled and len(seen) == len(events),
              f"{len(lost)} of {len(events)} events lost ({lost[:5]}…), {len(doubled)} doubled ({doubled[:5]}…)")
        check(folded == dict(want), f"the view differs: {sorted(folded.items())[:3]} for {sorted(want.items())[:3]}")
        if ask:
            rows = {row["key"]: [row["n"], row["total"]] for row in self.query("SELECT key, n, total FROM totals")}
            check(rows == dict(want), "the worker's answer to a query differs from the fold")
        self.check_commits()

    def check_commits(self):
        """Epochs follow each other, parts are whole, and positions cover the input without overlap (X3, X6)."""
        epoch = position = 0
        for sequence, bytes_ in self.client.messages(OUTPUT, COMMITS):
            commit = read_commit(bytes_)
            if commit is None:
                continue
            number, part, parts = (commit.get(field, [0])[0] for field in (1, 7, 8))
            if part != parts:
                continue
            check(number == epoch + 1, f"commit {sequence} is of epoch {number} after {epoch}")
            epoch = number
            where = proto.read(commit[4][0])
            first, last = where.get(4, [0])[0], where.get(5, [0])[0]
            check(first == 0 or first > position, f"epoch {epoch} read {first} again: {position} was read before")
            check(last >= position, f"epoch {epoch} went back from {position} to {last}")
            position = last
        last = self.client.stream(INPUT)["last_seq"]
        check(position == last, f"the commits end at position {position}, the input at {last}")


def main():
    """Runs the test_… functions of the calling file."""
    module = sys.modules["__main__"]
    tests = [(name, value) for name, value in vars(module).items() if name.startswith("test_")]
    chosen = [pair for pair in tests if not sys.argv[1:] or pair[0] in sys.argv[1:]]
    if not chosen:
        sys.exit("no such test; there are: " + ", ".join(name for name, _ in tests))
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name, test in chosen:
        begin = time.monotonic()
        world = World(name[5:])
        try:
            test(world)
            verdict = "ok"
        except Skip as why:
            verdict = f"SKIPPED: {why}"
        except Exception as error:  # whatever it is, the other tests run too
            failed += 1
            if not isinstance(error, Failure):
                traceback.print_exc()
            verdict = f"FAILED (BRAID_FAULT_SEED={world.seed}): {error}"
        finally:
            world.close()
        print(f"{name} ({time.monotonic() - begin:.1f} s): {verdict}", flush=True)
    sys.exit(1 if failed else 0)
