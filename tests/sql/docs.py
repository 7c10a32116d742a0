#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the examples of docs/sql.md, and sees that no function is without one.

tests/sql/docs.py --braid PATH --functions PATH [--oracle] [--write]

What is run, by the first words after the fence or in the table's head:
  ```sql            a pipeline: behind the tables of the last ```sql tables, unless it is ```sql alone
  ```sql tables     the tables that the examples below it begin with
  ```proto NAME     NAME.proto, made into NAME.binpb beside the examples below it
  ```text file NAME a file beside the examples below it
  ```jsonl in       the events of the sql block above it; right after ```sql tables: those of all examples below
  ```jsonl out      what `braid test` prints then; `jsonl out changes`: with --changes. Also with a crash at every epoch
  ```text error     what `braid check` prints of the sql block above it
  ```text explain   what `braid explain` prints of it
  ```proto schema   what `braid schema export` prints of it
  | expression | result |      the expression's text, NULL when it is none; in one view, over one row
  | expression | error |       what `braid check` says of it
  | aggregate | result |       over the rows of the last ```sql tables, from its first table
  | statement | error | hint | what `braid check` says of it behind those tables; a statement that begins with a lower
                               case letter is an expression in SELECT … FROM the first table
Every sql block must pass `braid check`, but for those with an error below them. --oracle compares results, rows and
errors with PostgreSQL too, but for blocks and tables marked `no-oracle` (in the fence; before a table as a comment line
<!-- no-oracle -->). --write puts what Braid says into the file: read it before you commit. Exit status 1 when an example
breaks or a function of the function table stands in no expression of the page.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools", "lib"))
import oracle  # noqa: E402
import postgres  # noqa: E402
import rows  # noqa: E402
import sqltext  # noqa: E402

PAGE = os.path.join(ROOT, "docs", "sql.md")
# Made by casts and by the parser: nobody writes them.
UNWRITTEN = {"numeric_typmod", "varchar_typmod", "like_escape", "like", "notlike"}


class Block:
    def __init__(self, line, words, text, place):
        self.line, self.words, self.text, self.place = line, words, text, place  # place: lines of the text, [begin, end)
        self.error, self.events = None, None


class Table:
    def __init__(self, head, no_oracle):
        self.head, self.no_oracle, self.lines = head, no_oracle, []  # [(line, [cells])]


def cells_of(line):
    """The cells of a table's line, `|` within them written \\|."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def code(cell):
    match = re.fullmatch(r"(`+) ?(.*?) ?\1", cell)
    return match.group(2) if match else cell


def parse(lines):
    items, i, no_oracle = [], 0, False
    while i < len(lines):
        fence = re.match(r"```(\w+) ?(.*)$", lines[i])
        if fence:
            end = lines.index("```", i + 1)
            words = [fence.group(1)] + fence.group(2).split()
            items.append(Block(i + 1, words, "".join(line + "\n" for line in lines[i + 1:end]), (i + 1, end)))
            i = end
        elif lines[i].startswith("|") and i + 1 < len(lines) and re.match(r"\|[ :|-]+$", lines[i + 1]):
            table = Table([cell.lower() for cell in cells_of(lines[i])], no_oracle)
            i += 2
            while i < len(lines) and lines[i].startswith("|"):
                table.lines.append((i, cells_of(lines[i])))
                i += 1
            items.append(table)
            i -= 1
        no_oracle = lines[i].strip() == "<!-- no-oracle -->" or (no_oracle and not lines[i].strip())
        i += 1
    return items


class Page:
    def __init__(self, options, server, folder):
        self.options, self.server, self.folder = options, server, folder
        with open(PAGE, encoding="utf-8") as file:
            self.lines = file.read().split("\n")
        self.items = parse(self.lines)
        self.tables, self.rows, self.failures, self.ran = "", None, 0, 0
        self.expressions = []
        self.replaced = {}  # {(begin, end): text} for --write

    def fail(self, line, why):
        self.failures += 1
        print(f"FAIL docs/sql.md:{line}: {why}")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def braid(self, *arguments):
        self.ran += 1
        return subprocess.run([self.options.braid, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    def check(self, sql):
        """[(message, hint)] of `braid check`, and all that it prints."""
        self.write("pipeline.sql", sql)
        done = self.braid("check", "pipeline.sql")
        found = re.findall(r"^pipeline\.sql:\d+:\d+: error: (.*)\n.*\n.*\n(?:hint: (.*)\n)?", done.stderr, re.M)
        if done.returncode not in (0, 1) or (done.returncode == 1) != bool(found):
            found = [(f"exit status {done.returncode}: {done.stderr}", "")]
        return found, done.stderr

    def run(self):
        previous = None
        for item in self.items:
            if isinstance(item, Table):
                self.table(item)
                continue
            kind = item.words[0]
            if kind == "sql":
                self.finish(previous)
                previous = item
                if "tables" in item.words:
                    self.tables, self.rows = item.text, None
            elif kind == "proto" and "schema" not in item.words:
                self.proto(item)
            elif kind == "text" and item.words[1:2] == ["file"]:
                self.write(item.words[2], item.text)
            elif kind == "jsonl" and item.words[1:2] == ["in"]:
                previous.events = item.text
                if "tables" in previous.words:
                    self.rows = item.text
            elif kind == "jsonl":
                self.output(previous, item)
            elif kind == "text" and item.words[1:2] == ["error"]:
                previous.error = True
                self.same(item, self.check(self.sql(previous))[1])
            elif item.words[1:2] in (["explain"], ["schema"]):
                self.write("pipeline.sql", self.sql(previous))
                command = ["explain"] if item.words[1] == "explain" else ["schema", "export"]
                done = self.braid(*command, "pipeline.sql", *([item.words[2]] if len(item.words) > 2 else []))
                self.same(item, re.sub(r"\bplan [0-9a-f]{16}", "plan …", done.stdout + done.stderr))
        self.finish(previous)
        self.functions()
        if self.replaced:
            for (begin, end), text in sorted(self.replaced.items(), reverse=True):
                self.lines[begin:end] = text
            with open(PAGE, "w", encoding="utf-8") as file:
                file.write("\n".join(self.lines))

    def sql(self, block):
        return block.text if "alone" in block.words or "tables" in block.words else self.tables + block.text

    def finish(self, block):
        if block is None or block.error:
            return
        found, _ = self.check(self.sql(block))
        for message, _ in found:
            self.fail(block.line, message)

    def same(self, block, got):
        if got == block.text:
            return
        if self.options.write:
            self.replaced[block.place] = got.rstrip("\n").split("\n")
        else:
            self.fail(block.line, f"it is now\n{got}")

    def proto(self, block):
        name = block.words[1]
        self.write(f"{name}.proto", block.text)
        subprocess.run(["protoc", "--include_imports", f"--descriptor_set_out={name}.binpb", f"{name}.proto"], cwd=self.folder,
                       check=True)

    # --- examples with rows
    def output(self, example, block):
        self.write("pipeline.sql", self.sql(example))
        events = example.events or self.rows
        if events is None:
            self.fail(block.line, "there are no events for it")
            return
        self.write("in.jsonl", events)
        changes = ["--changes"] if "changes" in block.words else []
        for flags in ([], ["--crash-every", "1"]):
            done = self.braid("test", "pipeline.sql", "--in", "in.jsonl", *changes, *flags)
            if done.returncode:
                self.fail(block.line, f"{' '.join(flags)} exit status {done.returncode}: {done.stderr}")
                return
            got = [rows.parse(line) for line in done.stdout.splitlines()]
            want = [rows.parse(line) for line in block.text.splitlines() if line != "?"]
            missing, extra = rows.differences(want, got)
            if not missing and not extra:
                continue
            if self.options.write and not flags:
                self.replaced[block.place] = done.stdout.splitlines()
                block.text = done.stdout
                continue
            self.fail(block.line, " ".join(flags) + "\n" + "\n".join(
                [f"  missing {rows.show(line)}" for line in missing] + [f"  extra   {rows.show(line)}" for line in extra]))
        if self.server and not changes and "no-oracle" not in example.words:
            self.compare_rows(example, events, block)

    def compare_rows(self, example, events, block):
        try:
            parsed = [rows.parse(line) for line in events.splitlines()]
            lines = [rows.parse(line) for line in oracle.Oracle(self.server, self.sql(example), parsed).lines()]
        except (sqltext.Unsupported, postgres.PostgresError) as error:
            self.fail(block.line, f"PostgreSQL: {error}")
            return
        want = [line for line in (rows.parse(line) for line in block.text.splitlines()) if "view" in line]
        missing, extra = rows.differences(lines, want)
        for line in missing:
            self.fail(block.line, f"PostgreSQL has {rows.show(line)}")
        for line in extra:
            self.fail(block.line, f"PostgreSQL lacks {rows.show(line)}")

    # --- tables
    def table(self, table):
        if table.head[:2] == ["expression", "result"]:
            self.expressions += [code(cells[0]) for _, cells in table.lines]
            self.results(table, "CREATE TABLE one (id bigint);\n", "one", '{"clock": "2026-03-01T12:00:00Z"}\n{"table": "one", "row": {"id": 1}}\n')
        elif table.head[:2] == ["aggregate", "result"]:
            self.results(table, self.tables, self.first_table(), self.rows)
        elif table.head[:2] == ["expression", "error"]:
            self.expressions += [code(cells[0]) for _, cells in table.lines]
            self.errors(table, "CREATE TABLE one (id bigint);\n", "one")
        elif table.head[:2] == ["statement", "error"]:
            self.errors(table, self.tables, self.first_table())

    def first_table(self):
        return re.search(r"CREATE TABLE (\w+)", self.tables).group(1)

    def cell(self, line, cells, column, got):
        """Compares one cell, or puts it there."""
        if code(cells[column]) == got:
            return
        if self.options.write:
            old = self.replaced.get((line, line + 1), [None])[0]
            now = cells_of(old) if old else list(cells)
            now[column] = "`" * (2 if "`" in got else 1) + got + "`" * (2 if "`" in got else 1) if got else ""
            self.replaced[(line, line + 1)] = ["| " + " | ".join(cell.replace("|", "\\|") for cell in now) + " |"]
        else:
            self.fail(line + 1, f"{cells[0]}: it is now {got}, not {cells[column]}")

    def results(self, table, ddl, of, events):
        selected = ",\n".join(f"({code(cells[0])})::text AS e{i}" for i, (_, cells) in enumerate(table.lines))
        self.write("pipeline.sql", f"{ddl}CREATE MATERIALIZED VIEW v AS SELECT\n{selected}\nFROM {of};\n")
        self.write("in.jsonl", events)
        done = self.braid("test", "pipeline.sql", "--in", "in.jsonl")
        found = [line["row"] for line in map(rows.parse, done.stdout.splitlines()) if line.get("view") == "v"]
        if len(found) != 1:
            self.fail(table.lines[0][0] + 1, f"these expressions give no row: {done.stdout}{done.stderr}")
            return
        shown = lambda value: "NULL" if value is None else value  # noqa: E731
        for i, (line, cells) in enumerate(table.lines):
            self.cell(line, cells, 1, shown(found[0][f"e{i}"]))
        if self.server and not table.no_oracle:
            parsed = [rows.parse(line) for line in events.splitlines()]
            answer = oracle.Oracle(self.server, ddl, parsed).query(f"SELECT {selected} FROM {of}")
            theirs = json.loads(answer[0])
            for i, (line, cells) in enumerate(table.lines):
                if shown(theirs[f"e{i}"]) != shown(found[0][f"e{i}"]):
                    self.fail(line + 1, f"{cells[0]}: PostgreSQL says {shown(theirs[f'e{i}'])}")

    def errors(self, table, ddl, of):
        for line, cells in table.lines:
            text = code(cells[0])
            whole = re.match(r"[A-Z]", text) and not re.match(r"(CAST|CASE|EXTRACT|ARRAY|ROW|EXISTS|DATE|TIMESTAMP)\b", text)
            if whole and text.startswith("SELECT"):
                text = "CREATE MATERIALIZED VIEW v AS " + text
            elif not whole:
                text = f"CREATE MATERIALIZED VIEW v AS SELECT {text} AS e FROM {of}"
            found, said = self.check(f"{ddl}{text};\n")
            if len(found) != 1:
                self.fail(line + 1, f"{cells[0]}: not one error but {len(found)}:\n{said}")
                continue
            self.cell(line, cells, 1, found[0][0])
            if len(table.head) > 2:
                self.cell(line, cells, 2, found[0][1])
            elif self.server and not table.no_oracle:
                self.compare_error(line, cells, text, ddl, found[0][0])

    def compare_error(self, line, cells, text, ddl, message):
        try:
            self.server.run(oracle.STAGING + "\\.\n" + ddl + "INSERT INTO one VALUES (1);\n" + text.replace("MATERIALIZED VIEW v", "TABLE v", 1) + ";\n")
            self.fail(line + 1, f"{cells[0]}: PostgreSQL takes it")
        except postgres.PostgresError as error:
            if message not in str(error):
                self.fail(line + 1, f"{cells[0]}: PostgreSQL says {error}")

    # --- what has no example
    def functions(self):
        listed = subprocess.run([self.options.functions], capture_output=True, text=True, check=True).stdout
        names = sorted({line.split("\t")[0] for line in listed.splitlines()} - UNWRITTEN)
        texts = [re.sub(r"'(?:[^']|'')*'", "''", text) for text in self.expressions]
        words = {word.lower() for text in texts for word in re.findall(r"\w+", text)}
        symbols = {symbol for text in texts for symbol in re.findall(r"[-+*/<>=~!@#%^&|]+", text)}
        for name in names:
            if name not in (words if re.match(r"\w", name) else symbols):
                self.fail(1, f"{name} of the function table has no example")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", required=True, metavar="PATH")
    parser.add_argument("--functions", required=True, metavar="PATH", help="the program that prints the function table")
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    options.braid = os.path.abspath(options.braid)
    with tempfile.TemporaryDirectory(prefix="braid-docs-") as folder:
        if options.oracle:
            with postgres.Postgres() as server:
                page = Page(options, server, folder)
                page.run()
        else:
            page = Page(options, None, folder)
            page.run()
    print(f"{page.ran} runs, {page.failures} failed")
    sys.exit(1 if page.failures else 0)


main()
