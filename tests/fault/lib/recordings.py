# SPDX-License-Identifier: Apache-2.0
"""Recordings: logs and state folders that a former build wrote, as tests/recorded/record makes them and tests/fault/recorded.py
reads them.

  tests/recorded/<version>/about.json     which build, which server, and of each pipeline the views with their keys, its replays
  tests/recorded/<version>/log.tar.zst    nats/      the server's store, after all workers were killed and the server was stopped
                                          state/     a folder of data per pipeline, as kill -9 left it
                                          clean/     the same after a clean stop, of some, from earlier
                                          archive/   of the pipelines that have one
                                          *.sql, *.fields, *.binpb
                                          expected.json   rows and folds then, what is to be published further, rows after it
"""
import collections
import json
import os
import subprocess
import tarfile

import harness

FOLDER = os.path.join(harness.ROOT, "tests", "recorded")


def pack(folder, names, path):
    with subprocess.Popen(["zstd", "-q", "-19", "--ultra", "-22", "--long=27", "-f", "-o", path], stdin=subprocess.PIPE) as zstd:
        with tarfile.open(fileobj=zstd.stdin, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for name in names:
                tar.add(os.path.join(folder, name), name, filter=nobodys)
        zstd.stdin.close()
    harness.check(zstd.returncode == 0, "zstd")


def nobodys(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def unpack(version, folder):
    subprocess.run(["tar", "--zstd", "-xf", os.path.join(FOLDER, version, "log.tar.zst"), "-C", folder], check=True)
    with open(os.path.join(folder, "expected.json"), encoding="utf-8") as file:
        return json.load(file)


def versions():
    return sorted(name for name in os.listdir(FOLDER) if os.path.exists(os.path.join(FOLDER, name, "log.tar.zst")))


def about(version):
    with open(os.path.join(FOLDER, version, "about.json"), encoding="utf-8") as file:
        return json.load(file)


def lines(text):
    """JSON lines, with the digits of their numbers."""
    return [json.loads(line, parse_float=lambda digits: "~" + digits) for line in text.splitlines()]


def canonical(rows):
    return sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)


def fold(changes, keys):
    """What subscribers know: view -> rows, canonically. keys: view -> names of its key columns, None without key."""
    tables = {view: collections.Counter() if key is None else {} for view, key in keys.items()}
    for change in changes:
        view = change.get("view")
        if view not in keys:
            continue
        row, table = change["row"], tables[view]
        text = json.dumps(row, sort_keys=True, ensure_ascii=False)
        if keys[view] is None:
            table[text] += 1 if change["op"] == "insert" else -1
            continue
        key = json.dumps([row[name] for name in keys[view]])
        if change["op"] == "upsert":
            table[key] = text
        else:
            del table[key]
    return {view: sorted(table.elements()) if keys[view] is None else sorted(table.values()) for view, table in tables.items()}


def otherwise(version):
    """pipeline -> words of the refusal, of those that this build computes otherwise."""
    found = {}
    with open(os.path.join(FOLDER, "otherwise"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                recorded, pipeline, words = line.strip().split(maxsplit=2)
                if recorded == version:
                    found[pipeline] = words
    return found
