#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages that are still needed are gone from an input stream: the worker stops, says which, and prints a command. That command, as
it is pasted, computes all from what is left, and nothing is left out that wasn't said. Where others' messages stand in their places
the stream went back, and that is what is said."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import INPUT, Worker, check, check_words  # noqa: E402
from stream_back import CHANGED, Copy, bucket, check_rebuilt, known, paste, put, read_all  # noqa: E402

WAY_OUT = " --epochs fresh --from oldest"


def work_through(world, count=8, each=50):
    world.open()
    worker = Worker(world).started()
    for _ in range(count):
        world.feed(each)
        world.caught_up(worker)
    return worker


def lose_state(worker):
    worker.kill()
    shutil.rmtree(worker.data)


def purge(world, first_kept):
    world.client.api(f"STREAM.PURGE.{INPUT}", {"seq": first_kept})


def follow(world, worker, *words, dry=True):
    """The refusal's last three lines are followed: the dry run, then the command. The first of them says `words`."""
    *_, try_it, _, line = worker.log().splitlines()
    check(line.startswith("braid replay rebuild ") and line.endswith(WAY_OUT), worker.log()[-1500:])
    check(try_it.endswith(": " + line + " --dry-run"), try_it)
    if dry:
        code, said = paste(world, line + " --dry-run")
        check(code == 0 and "nothing was published" in said, said)
        check_words(said, *words)
        Worker(world).failed("braid replay rebuild")
    code, said = paste(world, line)
    check(code == 0 and "owns the outputs" in said, said)
    check_words(said, *(() if dry else words))


def goes_on(world, ids):
    """The worker starts, and can be rebuilt without its state from then on."""
    worker = Worker(world).started()
    world.caught_up(worker)
    check_rebuilt(world, ids)
    before = world.fed
    world.feed(50)
    world.caught_up(worker)
    lose_state(worker)
    worker = Worker(world).started()
    world.caught_up(worker)
    check_rebuilt(world, [*ids, *range(before, world.fed)])
    worker.stopped()


def test_the_oldest_messages_are_gone_and_recovery_needs_them(world):
    worker = work_through(world)
    lose_state(worker)
    purge(world, 101)
    worker = Worker(world)
    worker.failed("table events", INPUT, "history has a hole", "epoch 1", "sequences 1 to ", "braid replay rebuild faults" + WAY_OUT)
    follow(world, worker, f"Table events is read from sequence 101 of stream {INPUT} on", "from oldest")
    job = world.braid("replay", "status", "faults", "r1", "--server", world.server.url)
    check_words(job, "from           oldest", f"events       {INPUT} 101..400")
    goes_on(world, range(100, 400))


def test_it_happens_again(world):
    """To the lineage that began later, too; where that began isn't missing any more."""
    worker = work_through(world, count=4)
    for first in (101, 151):
        lose_state(worker)
        purge(world, first)
        worker = Worker(world)
        worker.failed("braid replay rebuild faults" + WAY_OUT)
        follow(world, worker, f"is read from sequence {first} of", dry=False)
        worker = Worker(world).started()
        world.caught_up(worker)
        check_rebuilt(world, range(first - 1, world.fed))
    verified = world.braid("replay", "verify", "faults", "--wait", "--server", world.server.url)
    worker.stopped()
    check("hole" not in verified, verified)


def test_what_was_never_read_is_gone(world):
    worker = work_through(world)
    worker.stopped()
    world.feed(100)
    purge(world, 451)
    worker = Worker(world)
    worker.failed("events", INPUT, "sequences 401 to 450 are gone", "it begins at 451", "braid replay rebuild faults" + WAY_OUT)
    follow(world, worker, f"Table events is read from sequence 451 of stream {INPUT} on")
    goes_on(world, range(450, 500))


def test_all_of_it_is_gone(world):
    worker = work_through(world)
    lose_state(worker)
    purge(world, 401)
    worker = Worker(world)
    worker.failed("history has a hole")
    follow(world, worker)
    goes_on(world, [])


def test_a_message_in_the_middle_is_gone(world):
    worker = work_through(world)
    lose_state(worker)
    world.client.api(f"STREAM.MSG.DELETE.{INPUT}", {"seq": 75})
    worker = Worker(world)
    worker.failed("history has a hole", "sequence")
    follow(world, worker)
    goes_on(world, [number for number in range(400) if number != 74])


def test_no_one_begins_later_without_saying_so(world):
    """`rebuild` itself refuses, names what is gone, and says what to add."""
    worker = work_through(world)
    lose_state(worker)
    purge(world, 101)
    command = f"braid replay rebuild {world.pipeline} --data {worker.data} --server {world.server.url}"
    for more, add in (("", WAY_OUT), (" --epochs fresh", " --from oldest")):
        code, said = paste(world, command + more)
        if not more:  # this build computes it as before
            check(code == 0 and "needs no rebuild" in said, said)
            continue
        check(code == harness.EXIT_NO, said)
        check_words(said, "table events: sequences 1 to 100", "are gone", "the same command with" + WAY_OUT)
        code, said = paste(world, command + more + add)
        check(code == 0 and "owns the outputs" in said, said)
    for wrong in (" --from oldest", " --epochs fresh --from seq:120"):
        code, said = paste(world, command + wrong)
        check(code not in (0, harness.EXIT_NO) and WAY_OUT.strip() in said, said)
    goes_on(world, range(100, 400))


def test_a_replay_from_the_oldest_is_there_to_compare(world):
    worker = work_through(world)
    purge(world, 101)
    refused = world.braid("replay", "start", "faults", "--epochs", "fresh", "--server", world.server.url, status=harness.EXIT_NO)
    check_words(refused, "1 to 100", "begin later (--from)")
    world.braid("replay", "start", "faults", "--epochs", "fresh", "--from", "oldest", "--wait", "--server", world.server.url)
    refused = world.braid("replay", "promote", "faults", "r1", "--wait", "--server", world.server.url, status=harness.EXIT_NO)
    check_words(refused, "begins at oldest", "not promoted")
    worker.stopped()


# --- a bucket

def test_a_bucket_whose_messages_were_replaced(world):
    """What was replaced isn't missed by epochs of one's own: nothing has to be left out."""
    worker = bucket(world, hot=2)
    put(world, "calm", 2)  # so that the stream begins later
    read_all(world, worker)
    lose_state(worker)
    for more in ("", " --from oldest"):
        worker = Worker(world)
        worker.failed("history has a hole", "KV_rates", "replaced", WAY_OUT)
        line = worker.log().splitlines()[-1]
        code, said = paste(world, line.replace(" --from oldest", more))
        check(code == 0 and "owns the outputs" in said, said)
        worker = Worker(world).started()
        read_all(world, worker)
        check(known(world) == {"calm": 2, "c0": 18, "c1": 19}, known(world))
        put(world, "calm", 2)
        read_all(world, worker)
        put(world, "calm", 2)
        read_all(world, worker)
        lose_state(worker)


# --- others stand there

def test_a_stream_that_went_back_before_state_was_written(world):
    """Epochs that no state holds can't be repeated, as other messages stand in their places, somebody else's too: it is said what happened."""
    world.open()
    world.feed(500)
    worker = Worker(world).started()
    world.caught_up(worker)
    worker.stopped()
    copy = Copy(world)
    worker = Worker(world).started()
    world.feed(20)
    world.caught_up(worker)
    worker.kill()  # before it is written

    def fill():
        config = world.client.api(f"STREAM.INFO.{INPUT}")["config"]
        world.client.api(f"STREAM.UPDATE.{INPUT}", {**config, "subjects": ["faults.in", "others"]})
        for _ in range(50):
            world.client.store("others", b"")
        world.feed(30)
    copy.comes_back(fill)
    worker = Worker(world)
    worker.failed(*CHANGED, "the message that epoch ", "braid replay rebuild faults --epochs fresh")
    check("expired" not in worker.log(), worker.log())
    code, said = paste(world, worker.log().splitlines()[-1])
    check(code == 0 and "owns the outputs" in said, said)
    goes_on(world, [*range(500), *range(520, 550)])


if __name__ == "__main__":
    harness.main()
