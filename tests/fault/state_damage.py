#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""State that isn't what was written: copied while the worker ran, cut, with files missing. It is set aside and rebuilt by
itself, and nothing wrong comes out; what isn't damage (a disk that can't be written, a folder in use) is left where it is."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
from harness import Skip, Worker, check  # noqa: E402
from wide import FLAGS, aside, check_rebuilt, check_rows, files, folder, manifest, start, wide, work  # noqa: E402


def test_a_folder_copied_while_the_worker_runs(world):
    """The MANIFEST first, the rest after more flushes: what a file-by-file backup of a large state gives."""
    wide(world)
    worker = start(world)
    work(world, worker, 3000)
    copy = os.path.join(world.folder, "copy")
    os.mkdir(copy)
    for name in os.listdir(folder(world)):
        if name.startswith(("CURRENT", "MANIFEST", "OPTIONS", "IDENTITY")):
            shutil.copy(os.path.join(folder(world), name), copy)
    work(world, worker, 12000)  # files of their own
    work(world, worker, 100)  # a small flush, which the WAL holds
    for name in os.listdir(folder(world)):
        if not os.path.exists(os.path.join(copy, name)) and name != "runs":
            shutil.copy(os.path.join(folder(world), name), copy)
    worker.kill()
    shutil.rmtree(folder(world))
    os.rename(copy, folder(world))
    worker = start(world)
    check_rebuilt(world, worker)
    worker.stopped()
    shutil.rmtree(folder(world))
    worker = start(world)  # and the log is one that it can be rebuilt from
    check_rows(world)
    worker.stopped()


def test_a_manifest_that_lost_its_end(world):
    wide(world)
    worker = start(world)
    work(world, worker, 8000)
    worker.stopped()
    worker = start(world)
    work(world, worker, 200)
    worker.stopped()
    good = os.path.join(world.folder, "good")
    shutil.copytree(folder(world), good)
    size = os.path.getsize(manifest(world))
    for cut in (1, 20, 60, 100, size - 50):
        shutil.rmtree(os.path.dirname(folder(world)))
        shutil.copytree(good, folder(world))
        os.truncate(manifest(world), size - cut)
        worker = start(world)
        check_rebuilt(world, worker, os.path.basename(manifest(world))[:9], "bytes that it had")
        worker.stopped()


def test_files_that_are_missing(world):
    wide(world)
    worker = start(world)
    work(world, worker, 8000)
    worker.stopped()
    good = os.path.join(world.folder, "good")
    shutil.copytree(folder(world), good)
    for name in ("CURRENT", "PROOF", os.path.basename(manifest(world)), files(world, ".sst")[0]):
        shutil.rmtree(os.path.dirname(folder(world)))
        shutil.copytree(good, folder(world))
        os.remove(os.path.join(folder(world), name))
        worker = start(world)
        check_rebuilt(world, worker, name.removesuffix(".sst"))
        worker.stopped()


def test_what_is_no_damage_is_left_where_it_is(world):
    wide(world)
    disk = os.path.join(world.folder, "state")
    os.mkdir(disk)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        raise Skip(f"can't mount a small tmpfs: {mounted.stderr.decode().strip()}")
    world.mounts.append(disk)
    worker = start(world)
    work(world, worker, 3000)
    Worker(world, flags=FLAGS).failed("in use", "another process")
    worker.stopped()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    Worker(world, flags=FLAGS).failed(folder(world), "ead-only file system")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    os.chmod(folder(world), 0o555)
    if os.geteuid() == 0:
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        os.chmod(world.folder, 0o755)
        Worker(world, flags=FLAGS, prefix=nobody).failed(folder(world), "Permission denied")
    os.chmod(folder(world), 0o755)
    check(aside(world) == [], f"{aside(world)} set aside")
    worker = start(world)
    check("recovered" not in worker.log() and aside(world) == [], worker.log())
    check_rows(world)
    worker.stopped()


harness.main()
