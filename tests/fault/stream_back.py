#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An input stream goes back: the server comes up with an older copy of it, as after messages that it had acknowledged were lost, and
publishers go on, so that other messages stand where some were read. Whoever read them is told, by sequence; nothing is
left out in silence. Where what was read last is gone by right (a bucket, a limit), what is left speaks for it."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import INPUT, Server, Worker, check, check_words, until  # noqa: E402

CHANGED = (f"stream {INPUT} has changed at sequence", "stored 20", "hash ", "is another one now")


class Copy:
    """What the stream is now, as the server has it on disk."""

    def __init__(self, world, stream=INPUT):
        self.world = world
        self.path = os.path.join(world.server.store, "jetstream", "$G", "streams", stream)
        self.copy = os.path.join(world.folder, "copy-of-" + stream)
        world.server.stop()
        shutil.copytree(self.path, self.copy)
        world.server.start()
        world.reconnect()

    def comes_back(self, fill, worker=None):
        """And publishers are there again before a worker that runs has looked."""
        if worker is not None:
            worker.process.send_signal(harness.signal.SIGSTOP)
        self.world.server.stop(harness.signal.SIGKILL)
        shutil.rmtree(self.path)
        shutil.copytree(self.copy, self.path)
        self.world.server.start()
        self.world.reconnect()
        fill()
        if worker is not None:
            worker.process.send_signal(harness.signal.SIGCONT)


def read_then_lost(world, kept=500, lost=20, flags=()):
    """The worker has read 520 events; of the copy there are 500."""
    world.open()
    world.feed(kept)
    worker = Worker(world, flags=flags).started()
    world.caught_up(worker)
    copy = Copy(world)
    world.feed(lost)
    world.caught_up(worker)
    return worker, copy


def test_a_stream_filled_up_again_under_a_running_worker(world):
    worker, copy = read_then_lost(world)
    copy.comes_back(lambda: world.feed(200), worker)
    worker.failed(*CHANGED, "sequence 520", "braid replay rebuild faults --epochs fresh")
    Worker(world).failed(*CHANGED, "sequence 520")  # and whoever comes after it


def test_a_stream_filled_up_again_while_no_worker_runs(world):
    worker, copy = read_then_lost(world)
    worker.kill()
    copy.comes_back(lambda: world.feed(200))
    Worker(world).failed(*CHANGED, "sequence 520")


def test_a_stream_filled_up_again_and_no_state(world):
    """Its epochs can't be repeated, and why they can't is what is said."""
    worker, copy = read_then_lost(world)
    worker.kill()
    shutil.rmtree(worker.data)
    copy.comes_back(lambda: world.feed(200))
    worker = Worker(world)
    worker.failed(*CHANGED, "sequence 520", "epoch ")
    check("can't be repeated" not in worker.log(), worker.log()[-2000:])


def test_a_stream_that_is_not_filled_up_again(world):
    worker, copy = read_then_lost(world)
    copy.comes_back(lambda: world.feed(5), worker)
    worker.failed(INPUT, "lost its newest messages", "505", "520", "braid replay rebuild faults --epochs fresh")


def test_what_is_lost_before_it_was_read_is_nobodys(world):
    world.open()
    world.feed(500)
    worker = Worker(world).started()
    world.caught_up(worker)
    copy = Copy(world)
    worker.stopped()
    before = world.fed
    world.feed(20)  # nobody reads these
    copy.comes_back(lambda: world.feed(30))
    worker = Worker(world).started()
    world.caught_up(worker)
    world.check_outcome([*range(before), *range(before + 20, world.fed)])
    worker.stopped()


def paste(world, line):
    done = harness.subprocess.run(["sh", "-c", line.replace("braid", harness.BRAID, 1)], capture_output=True, text=True,
                                  stdin=harness.subprocess.DEVNULL, cwd=world.folder, check=False, timeout=harness.PATIENCE_S)
    return done.returncode, done.stdout + done.stderr


def way_out(world, worker, more=""):
    """The command that the worker's refusal ends with, as it is pasted."""
    line = worker.log().splitlines()[-1]
    check(line.startswith("braid replay rebuild ") and line.endswith(" --epochs fresh"), line)
    return paste(world, line + more)


def check_rebuilt(world, ids):
    """Subscribers of the grouped view hold what a fold of the stream gives; of the view without rows nothing is taken back."""
    want, folded = {}, {}
    for row in map(harness.event, ids):
        n, total = want.get(row["key"], (0, 0))
        want[row["key"]] = (n + 1, total + row["amount"])
    for change in world.changes():
        if change["view"] == "totals" and change["op"] == "upsert":
            folded[change["row"]["key"]] = (change["row"]["n"], change["row"]["total"])
        elif change["view"] == "totals":
            folded.pop(change["row"]["key"])
    check(folded == want, f"{sorted(folded.items())[:3]} for {sorted(want.items())[:3]}")
    rows = {row["key"]: (row["n"], row["total"]) for row in world.query("SELECT key, n, total FROM totals")}
    check(rows == want, "the worker's answer to a query differs from the fold")


def test_the_way_out(world):
    """All is computed anew from what the stream holds now, and what differs is published."""
    worker, copy = read_then_lost(world)
    before = world.fed - 20
    copy.comes_back(lambda: world.feed(200), worker)
    worker.failed(*CHANGED)
    code, said = way_out(world, worker, " --dry-run")
    check(code == 0 and "nothing was published" in said, said)
    Worker(world).failed(*CHANGED)
    code, said = way_out(world, worker)
    check(code == 0 and "owns the outputs" in said, said)
    ids = [*range(before), *range(before + 20, world.fed)]
    worker = Worker(world).started()
    world.caught_up(worker)
    check_rebuilt(world, ids)
    world.feed(50)
    world.caught_up(worker)
    worker.kill()
    shutil.rmtree(worker.data)  # its lineage has an input that is there
    worker = Worker(world).started()
    world.caught_up(worker)
    check_rebuilt(world, [*ids, *range(world.fed - 50, world.fed)])
    worker.stopped()


def rows_of(view, report):
    """Before, after, equal, changed, …"""
    return next([int(word) for word in line.split()[1:]] for line in report.splitlines() if line.startswith(view + "  "))


def test_a_dry_run_compares_with_all_that_was_published(world):
    """Not with the first epoch: up to where the owner had read, only rows of keys that had a lost event, or have a new one, differ."""
    world.open()
    worker = Worker(world).started()
    for _ in range(5):
        world.feed(100)
        world.caught_up(worker)
    copy = Copy(world)
    world.feed(3)
    world.caught_up(worker)
    epoch = world.status()["epoch"]
    copy.comes_back(lambda: world.feed(6), worker)
    worker.failed(*CHANGED)
    keys = {harness.event(number)["key"] for number in range(500, 506)}
    for changed, code in ((len(keys) - 1, harness.EXIT_NO), (len(keys), 0)):
        have, said = way_out(world, worker, f" --dry-run --max-changed {changed}")
        check(have == code, said)
        check_words(said, f"live (epoch {epoch}) against r1", "unknown")
        check(rows_of("totals", said)[:4] == [20, 20, 20 - len(keys), len(keys)], said)
        check("changed function" not in said, said)
    # and by the verbs that there are anyway
    code, said = paste(world, f"braid replay diff faults r1 --local --data {worker.data} --server {world.server.url}")
    check(code == harness.EXIT_NO and f"live (epoch {epoch}) against r1" in said and rows_of("totals", said)[3] == len(keys), said)
    code, said = way_out(world, worker, f" --max-changed {len(keys)}")
    check(code == 0 and "owns the outputs" in said, said)


def test_fresh_epochs_compare_with_the_newest_epoch(world):
    """Also where the owner's state has to be computed from the log."""
    world.open()
    worker = Worker(world).started()
    for _ in range(3):
        world.feed(100)
        world.caught_up(worker)
    epoch = world.status()["epoch"]
    worker.stopped()
    local = ("--local", "--data", os.path.join(world.folder, "elsewhere"), "--server", world.server.url)
    world.braid("replay", "start", "faults", "--epochs", "fresh", *local)
    said = world.braid("replay", "diff", "faults", "r1", *local)
    check_words(said, f"live (epoch {epoch}) against r1")
    check(rows_of("totals", said)[:4] == [20, 20, 20, 0], said)


def test_the_way_out_of_a_stream_that_is_shorter(world):
    worker, copy = read_then_lost(world)
    before = world.fed - 20
    copy.comes_back(lambda: world.feed(5), worker)
    worker.failed("lost its newest messages")
    code, said = way_out(world, worker)
    check(code == 0 and "owns the outputs" in said, said)
    worker = Worker(world).started()
    world.feed(40)
    world.caught_up(worker)
    check_rebuilt(world, [*range(before), *range(before + 20, world.fed)])
    worker.stopped()


def test_what_was_gone_before_the_first_start_is_back(world):
    """The pipeline began behind messages that were purged; the copy of the stream has them, and the way out reads them."""
    world.open()
    world.feed(10)
    copy = Copy(world)
    world.feed(2)
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": 13})
    world.feed(5)
    worker = Worker(world).started()
    world.caught_up(worker)
    worker.stopped()
    copy.comes_back(lambda: world.feed(20))
    worker = Worker(world)
    worker.failed(*CHANGED)
    code, said = way_out(world, worker)
    check(code == 0 and "owns the outputs" in said, said)
    worker = Worker(world).started()
    world.caught_up(worker)
    check_rebuilt(world, [*range(10), *range(17, world.fed)])
    worker.stopped()


def test_an_archive_has_the_other_past(world):
    archive = os.path.join(world.folder, "archive")
    world.pipeline = world.write("faults.sql", harness.PIPELINE.replace("subject = 'faults.in'", f"subject = 'faults.in', archive = 'file://{archive}'"))
    worker, copy = read_then_lost(world)
    before = world.fed - 20
    worker.stopped()  # seals what was read
    copy.comes_back(lambda: world.feed(200))
    worker = Worker(world)
    worker.failed(*CHANGED, "move it away", archive)
    shutil.move(archive, archive + ".old")
    code, said = way_out(world, worker)
    check(code == 0 and "owns the outputs" in said, said)
    worker = Worker(world).started()
    world.caught_up(worker)
    check_rebuilt(world, [*range(before), *range(before + 20, world.fed)])
    worker.stopped()


def test_the_way_out_is_gone_on_with_when_it_was_cut(world):
    """Between two parts of its takeover. What the former owner had can't be computed any more; what it had published is there."""
    world.pipeline = world.write("faults.sql", harness.PIPELINE + "CREATE MATERIALIZED VIEW each AS SELECT id, count(*) AS n FROM events GROUP BY id;\n")
    worker, copy = read_then_lost(world, kept=1000, lost=600)
    copy.comes_back(lambda: world.feed(700), worker)
    worker.failed(*CHANGED)
    code, said = way_out(world, worker)
    check(code == 0 and "owns the outputs" in said, said)
    commits = [(sequence, proto.read(bytes_)) for sequence, bytes_ in world.client.messages(harness.OUTPUT, harness.COMMITS)]
    parts = [(sequence, commit[7][0], commit[8][0]) for sequence, commit in commits if 15 in commit]
    check([part for _, part, _ in parts] == [1, 2] and parts[0][2] == 2, parts)
    for sequence in range(parts[0][0] + 1, world.client.stream(harness.OUTPUT)["last_seq"] + 1):
        world.client.api(f"STREAM.MSG.DELETE.{harness.OUTPUT}", {"seq": sequence})
    worker = Worker(world).started()
    world.caught_up(worker)
    check_words(worker.log(), "outputs taken over")
    ids = [*range(1000), *range(1600, world.fed)]
    check_rebuilt(world, ids)
    each = {}
    for change in world.changes():
        if change["view"] == "each" and change["op"] == "upsert":
            each[change["row"]["id"]] = change["row"]["n"]
        elif change["view"] == "each":
            del each[change["row"]["id"]]
    check(each == dict.fromkeys(ids, 1), f"{len(each)} of {len(ids)}")
    worker.stopped()


# --- what was read last is gone by right

BUCKET = """
SET braid.pipeline = 'faults';
CREATE TABLE rates (currency text PRIMARY KEY, rate bigint) WITH (subject = '$KV.rates.{currency}');
CREATE MATERIALIZED VIEW known AS SELECT currency, rate FROM rates;
"""


def put(world, currency, rate):
    return world.client.store(f"$KV.rates.{currency}", proto.data(1, currency) + proto.number(2, rate))["seq"]


def bucket(world, hot, keeps=1):
    """A bucket whose keys c0 … have been written by turns; the worker has read all of it."""
    world.server = Server(world)
    world.client = world.server.connect()
    world.client.create_stream("KV_rates", ["$KV.rates.>"], max_msgs_per_subject=keeps, allow_rollup_hdrs=True, allow_direct=True)
    world.pipeline = world.write("rates.sql", BUCKET)
    put(world, "calm", 1)
    worker = Worker(world, flags=("--epoch-rows", "1")).started()
    for round_ in range(20):
        put(world, f"c{round_ % hot}", round_)
    read_all(world, worker)
    return worker


def read_all(world, worker):
    last = world.client.stream("KV_rates")["last_seq"]

    def done():
        status = world.status()
        return status and status["inputs"][0]["sequence"] == last and status["committed"] == status["epoch"]
    until(done, "the worker reads the bucket", worker=worker)


def known(world):
    return {row["currency"]: row["rate"] for row in world.query("SELECT currency, rate FROM known")}


def test_a_bucket_whose_newest_keys_were_written_again(world):
    worker = bucket(world, hot=5)
    worker.stopped()
    put(world, "c4", 1000)  # the message that was read last is gone
    worker = Worker(world).started()
    read_all(world, worker)
    check(known(world) == {"calm": 1, "c0": 15, "c1": 16, "c2": 17, "c3": 18, "c4": 1000}, known(world))
    check("can't be proven" not in worker.log(), worker.log())
    worker.stopped()


def test_a_bucket_of_which_all_marks_are_gone(world):
    worker = bucket(world, hot=2)
    worker.stopped()
    for key in ("c0", "c1"):
        put(world, key, 1000)
    worker = Worker(world).started()  # "calm", which is older, is still there
    read_all(world, worker)
    check(known(world) == {"calm": 1, "c0": 1000, "c1": 1000}, known(world))
    check("can't be proven" not in worker.log(), worker.log())
    worker.stopped()


def test_a_bucket_that_went_back(world):
    worker = bucket(world, hot=5)
    copy = Copy(world, "KV_rates")
    put(world, "c0", 1000)
    read_all(world, worker)
    copy.comes_back(lambda: [put(world, f"c{1 + number}", 2000) for number in range(3)], worker)
    worker.failed("stream KV_rates has changed at sequence 22")


def test_a_bucket_that_went_back_where_others_were_replaced(world):
    """In the lost message's place stood one that was replaced in turn: nothing is there, and nothing of the lost one's key behind it."""
    worker = bucket(world, hot=5)
    copy = Copy(world, "KV_rates")
    put(world, "c0", 1000)
    read_all(world, worker)
    copy.comes_back(lambda: [put(world, "c1", 2000 + number) for number in range(3)], worker)
    worker.failed("stream KV_rates has changed at sequence 22: the message that was read there (stored 20", "is gone", "'$KV.rates.c0'", "sequence 17")
    code, said = way_out(world, worker)
    check(code == 0 and "owns the outputs" in said, said)
    worker = Worker(world).started()
    read_all(world, worker)
    check(known(world) == {"calm": 1, "c0": 15, "c1": 2002, "c2": 17, "c3": 18, "c4": 19}, known(world))
    worker.stopped()


def test_a_bucket_that_lost_a_new_key(world):
    """As if its key had been purged: nothing can prove either, and that is said."""
    worker = bucket(world, hot=5)
    copy = Copy(world, "KV_rates")
    worker.stopped()
    worker = Worker(world, flags=("--epoch-rows", "1")).started()
    put(world, "new", 1000)
    read_all(world, worker)
    worker.stopped()
    copy.comes_back(lambda: [put(world, "c1", 2000 + number) for number in range(3)])
    worker = Worker(world).started()
    read_all(world, worker)
    check_words(worker.log(), "can't be proven", "read at sequence 22 is gone")
    worker.stopped()


def test_a_bucket_that_keeps_several_of_each_key(world):
    worker = bucket(world, hot=2, keeps=3)
    worker.stopped()
    for number in range(3):
        put(world, "c1", 1000 + number)
    worker = Worker(world).started()
    read_all(world, worker)
    check(known(world) == {"calm": 1, "c0": 18, "c1": 1002}, known(world))
    check("can't be proven" not in worker.log(), worker.log())
    worker.stopped()


# --- what was read last is deleted by hand

def test_a_stream_filled_up_by_others_and_a_message_deleted(world):
    """Nothing is in the place of what was read last, and somebody else's message that came later than all of it stands before."""
    worker, copy = read_then_lost(world)
    worker.stopped()

    def fill():
        config = world.client.api(f"STREAM.INFO.{INPUT}")["config"]
        world.client.api(f"STREAM.UPDATE.{INPUT}", {**config, "subjects": ["faults.in", "others"]})
        for _ in range(200):
            world.client.store("others", b"")
        world.client.api(f"STREAM.MSG.DELETE.{INPUT}", {"seq": 520})
    copy.comes_back(fill)
    worker = Worker(world)
    worker.failed(f"stream {INPUT} has changed at sequence 520: the message that was read there (stored 20", "is gone", "at sequence 519", "came later than all")


def test_a_message_that_was_deleted(world):
    world.open()
    world.feed(500)
    worker = Worker(world).started()
    world.caught_up(worker)
    worker.stopped()
    world.client.api(f"STREAM.MSG.DELETE.{INPUT}", {"seq": 500})
    world.feed(20)
    worker = Worker(world).started()
    world.caught_up(worker)
    check_words(worker.log(), "can't be proven", "read at sequence 500 is gone")
    world.check_outcome()
    worker.stopped()


# --- who may not look

LOCKED = """authorization { users: [
  { user: "ann", password: "a" }
  { user: "bob", password: "b", permissions: { publish: { allow: [">"], deny: ["$JS.API.STREAM.MSG.GET.IN_FAULTS"] }, subscribe: ">" } }
] }"""


def test_a_worker_that_may_not_read_single_messages_goes_on(world):
    world.server = Server(world, config=LOCKED)
    world.server.url = world.server.url.replace("//", "//ann:a@")
    world.client = world.server.connect()
    world.client.create_stream(INPUT, ["faults.in"])
    flags = ("--user", "bob", "--password", "b")
    for _ in range(2):
        worker = Worker(world, flags=flags).started()
        world.feed(100)
        world.caught_up(worker)
        world.check_outcome()
        worker.stopped()
    check_words(worker.log(), "can't be proven", "permit", INPUT)
    check(worker.log().count("can't be proven") == 1, "told more than once")


if __name__ == "__main__":
    harness.main()
