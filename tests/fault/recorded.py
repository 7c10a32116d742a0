#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Logs and state folders that released builds wrote (tests/recorded): this build recovers them, with and without state, gives the
rows that they gave, goes on from there, verifies them, and goes on with their replays. Pipelines that it computes otherwise stand in
tests/recorded/otherwise: those it refuses by name."""
import base64
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import recordings  # noqa: E402
from harness import check, check_words, until  # noqa: E402

AT_ONCE = 8
REFUSED = {"0.1.0": {"filter_recent", "definitions_shadow", "functions_time"}, "0.2.0": {"functions_time"}}  # some of those that are, today
TWINS = ["join_grouped", "window_final", "emit_interval"]  # which two workers want to run


class Recording:
    """One that is unpacked, with a server on its copy."""

    def __init__(self, world, version):
        self.world, self.version = world, version
        self.expected = recordings.unpack(version, world.folder)
        self.about = recordings.about(version)["pipelines"]
        self.otherwise = recordings.otherwise(version)
        self.workers, self.twins = {}, {}
        check(set(self.otherwise) <= set(self.about), f"{version} has no {set(self.otherwise) - set(self.about)}")
        world.server = harness.Server(world)
        world.client = world.server.connect()

    def braid(self, *argv, **options):
        return self.world.braid(*argv, "--server", self.world.server.url, **options)

    def each(self, do, names, data=None):
        """In several threads, as each waits most of the time. data: with a worker over that folder, started here, as it dies with
        the thread that starts it."""
        for name in names if data else ():
            self.workers[name] = harness.Worker(self.world, data=f"{data}/{name}", pipeline=self.about[name]["file"], flags=("--state-memory", "8"))
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for found in [pool.submit(do, name) for name in names]:
                found.result()

    def folds(self, name):
        text = self.braid("tail", self.about[name]["file"], "--from-start", "--no-follow")
        return recordings.fold(recordings.lines(text), self.about[name]["keys"])

    def rows(self, name, view):
        return recordings.canonical(recordings.lines(self.braid("query", name, f"SELECT * FROM {view}", "--json")))

    def check_rows(self, name, when, like=None):
        """The worker's answers and what subscribers know, against what the build that wrote the log gave."""
        want = self.expected["pipelines"][like or name][when]
        for view, rows in want["rows"].items():
            if rows is not None:
                until(lambda v=view, r=rows: self.rows(name, v) == r, f"{name}.{view} is what it was ({when}): {rows}", 20, self.workers[name])
        until(lambda: self.folds(name) == want["fold"], f"{name}: what was published is what it was ({when})", 20)

    def publish_further(self):
        for subject, payload, headers in self.expected["further"]:
            self.world.client.store(subject, base64.b64decode(payload), headers)

    # --- steps
    def without_state(self, name):
        worker = self.workers[name].started()
        check_words(worker.log(), "state_epoch=0")
        self.check_rows(name, "then")
        worker.stopped()

    def with_clean_state(self, name):
        worker = self.workers[name].started()
        check("state_epoch=0" not in worker.log() and "set aside" not in worker.log(), f"{name} didn't take its state:\n{worker.log()}")
        self.check_rows(name, "then")
        worker.stopped()

    def with_killed_state(self, name):
        worker = self.workers[name].started()
        check_words(worker.log(), self.about[name]["recovered"] or "running")
        self.check_rows(name, "then")

    def goes_on(self, name):
        self.check_rows(name, "after")
        self.braid("replay", "verify", name, "--wait", "--local", "--data", f"state/{name}")

    def with_twin(self, name):
        """Two workers, one of them from the log alone: one is fenced, and the other goes on."""
        both = [self.workers[name], self.twins[name]]
        alive = until(lambda: [w for w in both if w.process.poll() is None], f"{name}: a worker goes on")
        until(lambda: any(w.process.poll() is not None for w in both), f"{name}: one of the two is fenced")
        alive = [w for w in both if w.process.poll() is None]
        check(len(alive) == 1, f"{name}: {both[0].log()}\n{both[1].log()}")
        self.workers[name] = alive[0]

    # --- what is bound otherwise
    def refused_today(self):
        """Files that this build would refuse if no log knew them."""
        checked = {name: subprocess.run([harness.BRAID, "check", self.about[name]["file"]], capture_output=True, cwd=self.world.folder, check=False)
                   for name in self.about}
        return [name for name, done in checked.items() if done.returncode != 0]

    def is_known(self, name):
        """Every command that is given the file binds it as the log does; under a name that no log has it is refused."""
        check_words(self.workers[name].log(), "bound by the rules of the build that planned it", "rules=")
        file, view = self.about[name]["file"], next(iter(self.about[name]["keys"]))
        over = recordings.canonical(recordings.lines(self.braid("query", file, f"SELECT * FROM {view}", "--over", "history", "--json")))
        check(over == self.folds(name)[view], f"{name}: {over} over history")
        self.braid("status", file)
        if self.expected["pipelines"][name]["then"]["rows"][view] is not None:
            self.braid("query", file, f"SELECT * FROM {view}")
        check(self.braid("capture", file, "--epochs"), "nothing is captured")
        self.braid("quarantine", "ls", file)
        self.braid("publish", file, "orders", "/dev/null")
        check_words(self.braid("replay", "plan", file), "keep")
        self.braid("replay", "list", file)
        self.braid("reconcile", file, "--local", "--data", f"reconciled/{name}")
        self.braid("run", file, "--name", "unknown", status=harness.EXIT_NO)
        self.braid("tail", file, "--name", "unknown", "--no-follow", status=harness.EXIT_NO)

    # --- what is computed otherwise
    def is_refused(self, name):
        self.workers[name].failed("computed by an older build", self.otherwise[name], "nothing was changed", "braid replay rebuild")
        check("damaged" not in self.workers[name].log(), self.workers[name].log())

    def way_out(self, name):
        """The command that the refusal says, as it is pasted."""
        line = self.workers[name].log().splitlines()[-1]
        check(line.startswith("braid replay rebuild "), line)
        done = subprocess.run(["sh", "-c", harness.BRAID + line[len("braid"):]], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              cwd=self.world.folder, check=False, timeout=harness.PATIENCE_S)
        check(done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        check("not all that was published" not in done.stdout, done.stdout)

    def check_rebuilt(self, name):
        """The worker's answers and what subscribers know are what this build makes of the history."""
        self.workers[name].started()
        for view in self.about[name]["keys"]:
            over = self.braid("query", self.about[name]["file"], f"SELECT * FROM {view}", "--over", "history", "--json")
            want = recordings.canonical(recordings.lines(over))
            until(lambda v=view, w=want: self.folds(name)[v] == w, f"{name}.{view}: subscribers know {want}", 20, self.workers[name])
            if self.expected["pipelines"][name]["then"]["rows"][view] is not None:
                check(self.rows(name, view) == want, f"{name}.{view}: {self.rows(name, view)} for {want}")

    def rebuilt_goes_on(self, name):
        self.check_rebuilt(name)
        self.braid("replay", "verify", name, "--wait", "--local", "--data", f"state/{name}")

    # --- replays
    def phase(self, name):
        return json.loads(self.braid("replay", "status", name, "r1", "--json"))["phase"]

    def replays(self, name):
        """What the recording says of the replay is so; it goes on as it would have."""
        begun = self.about[name]["replay"]
        phase = {"paused": "paused", "done": "done", "rolled_back": "rolled back"}.get(begun, "promoted")
        check(self.phase(name) == phase, f"{name}: {self.phase(name)}, not {phase}")
        if begun == "paused":
            self.braid("replay", "resume", name, "r1", "--wait")
        if begun in ("paused", "done"):
            self.braid("replay", "promote", name, "r1", "--wait")
            self.check_rows(name, "after", like="replay_promoted")
        if begun in ("promoted", "paused", "done"):
            self.braid("replay", "rollback", name, "r1", "--wait")
            self.check_rows(name, "after", like="replay_rolled_back")


def follow(world, version):
    recording = Recording(world, version)
    kept = [name for name in recording.about if name not in recording.otherwise]
    recording.each(recording.without_state, kept, "none")
    recording.each(recording.with_clean_state, [name for name in kept if recording.about[name]["clean"]], "clean")
    recording.each(recording.with_killed_state, kept, "state")
    otherwise = list(recording.otherwise)
    recording.each(recording.is_refused, otherwise, "none")
    recording.each(recording.is_refused, otherwise, "state")
    recording.each(recording.way_out, otherwise)
    recording.each(recording.check_rebuilt, otherwise, "state")
    refused = [name for name in recording.refused_today() if name not in recording.otherwise]
    check(REFUSED[version] <= set(refused), f"{refused}")
    twins = [name for name in TWINS if name in kept]
    recording.twins = {name: harness.Worker(world, data=f"twins/{name}", pipeline=recording.about[name]["file"]).started() for name in twins}
    recording.publish_further()
    recording.each(recording.with_twin, twins)
    recording.each(recording.goes_on, kept)
    recording.each(recording.is_known, refused)
    recording.each(recording.rebuilt_goes_on, otherwise)
    recording.each(recording.replays, [name for name in kept if recording.about[name]["replay"]])
    for name in [*kept, *otherwise]:
        recording.workers[name].stopped()


def cut_tail(folder, count):
    """A stream's store, as a server that lost its newest messages finds it."""
    blocks = sorted((name for name in os.listdir(os.path.join(folder, "msgs")) if name.endswith(".blk")), key=lambda name: int(name[:-4]))
    path = os.path.join(folder, "msgs", blocks[-1])
    with open(path, "rb") as file:
        bytes_ = file.read()
    begins, at = [], 0
    while at < len(bytes_):  # records begin with their size; its highest bit tells of headers
        begins.append(at)
        at += int.from_bytes(bytes_[at:at + 4], "little") & 0x7FFFFFFF
    check(at == len(bytes_) and len(begins) > count, f"{path}: {len(begins)} records, {len(bytes_) - at} bytes too many")
    os.truncate(path, begins[-count])
    os.unlink(os.path.join(folder, "msgs", "index.db"))


def went_back(world, version):
    """An input that isn't what the recorded build has read any more is known by what that build has recorded of it."""
    recording = Recording(world, version)
    ticks, last = "R_TICKS", world.client.stream("R_TICKS")["last_seq"]
    world.client.close()
    world.server.stop()
    cut_tail(os.path.join(world.server.store, "jetstream", "$G", "streams", ticks), 3)
    world.server.start()
    world.client = world.server.connect()
    check(world.client.stream(ticks)["last_seq"] == last - 3, "the stream isn't shorter")
    for subject, payload, headers in recording.expected["further"]:
        if subject == "rec.ticks":
            world.client.store(subject, base64.b64decode(payload), headers)
    check(world.client.stream(ticks)["last_seq"] > last, "the stream isn't filled up again")
    for data in ("none", "state"):
        worker = harness.Worker(world, data=f"{data}/trimmed", pipeline=recording.about["trimmed"]["file"])
        worker.failed(f"stream {ticks} has changed at sequence", "stored 20", "hash ", "is another one now", "--epochs fresh")


for found in recordings.versions():
    globals()["test_" + found] = lambda world, version=found: follow(world, version)
    if found != "0.1.0":  # whose commits have no fingerprints
        globals()["test_" + found + "_and_a_stream_that_went_back"] = lambda world, version=found: went_back(world, version)

harness.main()
