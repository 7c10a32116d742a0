#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/history.md ("sh run" blocks), one after the other, as they stand there. One whose comment says so
ends with that exit status."""
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import ROOT, Worker, check, until  # noqa: E402

FLIGHTS = os.path.join(ROOT, "examples", "flights")


def commands():
    with open(os.path.join(ROOT, "docs", "history.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```sh run\n(.*?)^```", file.read(), re.S | re.M)
    for line in "".join(blocks).splitlines():
        status = re.search(r"# exit status (\d)", line)
        yield shlex.split(line, comments=True), int(status[1]) if status else 0


def test_every_command_of_the_page_works(world):
    server = world.server = harness.Server(world)
    mistaken = os.path.join(FLIGHTS, "delays-bug.sql")
    # Every hour's flights by delay: those that come last are late for theirs, and the watermark has passed.
    flights = [(f"2001-01-02T{hour:02}:{minute:02}:00Z", delay) for hour in range(6) for minute, delay in
               ((5, 0), (15, 40), (55, 3))] + [(f"2001-01-02T{hour:02}:30:00Z", 200) for hour in range(3)]
    world.braid("publish", mistaken, "flights", "/dev/null", "--create", "--server", server.url)
    worker = Worker(world, pipeline=mistaken, flags=("--epoch-rows", "4"), server=server).started()
    text = "departed,origin,destination,distance_mi,delay_min\n" + "".join(
        f"{departed},DEN,{to},100,{delay}\n" for departed, delay in flights for to in ("SFO", "BOS", "ORD"))
    world.braid("publish", mistaken, "flights", world.write("flights.csv", text), "--server", server.url)
    until(lambda: f'"messages":{3 * len(flights)}' in world.braid("status", mistaken, "--json", "--server", server.url), "caught up", worker=worker)
    count = 0
    for words, status in commands():
        check(words[0] == "braid", words)
        words = [os.path.join(ROOT, word) if word.startswith("examples/") else word for word in words]
        if "explain" not in words:
            words += ["--server", server.url]
        world.braid(*words[1:], status=status)
        count += 1
    check(count >= 15, f"only {count} commands were found")
    worker.stopped()


harness.main()
