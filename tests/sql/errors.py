#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong SQL files and what `braid check` says of them.

tests/sql/errors.py --braid PATH [--write]

errors.txt holds cases, each a file as a user might write it, a line "--", and what is printed. Cases are parted by lines
of "====". A line "@tables" stands for the tables below, a line "@shop" for the descriptors of tests/unit/sql/shop.proto; lines
from "@file NAME" to "@end" are a file beside it. --write puts what Braid says now: read it before you commit. Is the place
right? Does the hint name the way out? A check that ends by a signal fails whatever the file says.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "errors.txt")
TABLES = """CREATE TABLE orders (id bigint NOT NULL, customer text, amount numeric, at timestamptz) WITH (event_time = 'at');
CREATE TABLE customers (customer text PRIMARY KEY, region text);
CREATE TABLE rates (cur text PRIMARY KEY, rate numeric) WITH (lookup = true);
"""
FILES = re.compile(r"^@file (\S+)\n(.*?)^@end\n", re.M | re.S)
SHOP = os.path.join(os.path.dirname(HERE), "unit", "sql", "shop.proto")


def check(braid, sql):
    with tempfile.TemporaryDirectory(prefix="braid-errors-") as folder:
        for name, text in FILES.findall(sql):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        sql = FILES.sub("", sql)
        with open(os.path.join(folder, "pipeline.sql"), "w", encoding="utf-8") as file:
            file.write(sql.replace("@tables\n", TABLES).replace("@shop\n", "SET braid.descriptors = 'shop.binpb';\n"))
        if "@shop\n" in sql:
            subprocess.run(["protoc", "-I", os.path.dirname(SHOP), "--include_imports", f"--descriptor_set_out={folder}/shop.binpb",
                            SHOP], check=True)
        done = subprocess.run([braid, "check", "pipeline.sql"], cwd=folder, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    return f"ended by signal {-done.returncode}\n" if done.returncode < 0 else said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", required=True, metavar="PATH")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    braid = os.path.abspath(options.braid)
    with open(FILE, encoding="utf-8") as file:
        cases = [case.partition("--\n")[::2] for case in file.read().split("====\n") if case.strip()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(lambda case: check(braid, case[0]), cases))
    if options.write:
        with open(FILE, "w", encoding="utf-8") as file:
            file.write("====\n".join(f"{sql}--\n{now}" for (sql, _), now in zip(cases, said)))
        return
    failed = 0
    for (sql, wanted), now in zip(cases, said):
        if now != wanted or now.startswith("ended by signal"):
            failed += 1
            print(f"FAIL\n{sql}it is now\n{now}not\n{wanted}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
