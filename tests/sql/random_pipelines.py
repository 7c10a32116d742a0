#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random pipelines over random streams, compared with PostgreSQL.

tests/sql/random_pipelines.py --braid PATH --functions PATH [--count N] [--seed N] [--scale N] [--keep FOLDER]

Every pipeline comes from a seed of its own: --seed S --count 1 repeats pipeline S. Tables with and without a key get
upserts, appends and deletes; the views are one of
  expressions   a select list of random calls of the whole function table, over NULLs and extreme values. A row whose
                evaluation fails in PostgreSQL must be left out by Braid, and no other
  late events   windows that close while the stream goes on, alone and over a join whose table changes, at epochs that are
                fixed; and joins with lookup tables: compared with a model in this file
  relations     filters, DISTINCT, grouping with every aggregate (FILTER, DISTINCT, HAVING), inner and left joins with
                residuals, common table expressions, tumble and hop, and views on all of these
Each runs with `braid test` three ways: as written, epochs of 1 to 3 rows, killed and recovered every few epochs; all
must give PostgreSQL's rows over the tables' final contents. What Braid refuses PostgreSQL must refuse too, and the
other way round. BRAID_RANDOM_COUNT says how many (default 200), BRAID_RANDOM_SEED where to begin (default 1).
--keep writes each failing pipeline as a case of tests/sql/run. Exit status 1 when any failed.
"""
import argparse
import base64
import collections
import concurrent.futures
import datetime
import decimal
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "lib"))
import postgres  # noqa: E402
import rows  # noqa: E402
import sqltext  # noqa: E402

TYPES = ["boolean", "integer", "bigint", "numeric", "double precision", "text", "bytea", "timestamptz", "date", "interval"]
NUMBERS = ["integer", "bigint", "numeric", "double precision"]
# To which types a value goes by itself.
WIDER = {"integer": ["bigint", "numeric", "double precision"], "bigint": ["numeric", "double precision"],
         "numeric": ["double precision"], "date": ["timestamptz"]}
EXPLICIT = {  # casts that are written
    "boolean": ["integer", "text"], "integer": ["boolean", "bigint", "numeric", "double precision", "text"],
    "bigint": ["integer", "numeric", "double precision", "text"],
    "numeric": ["integer", "bigint", "double precision", "text"],
    "double precision": ["integer", "bigint", "numeric", "text"],
    "text": ["boolean", "integer", "bigint", "numeric", "double precision", "timestamptz", "date", "interval"],
    "bytea": ["text"], "timestamptz": ["date", "text"], "date": ["timestamptz", "text"], "interval": ["text"]}

# Values that are told apart only by their print (1.50 and 1.5, 1 mon and 30 days) or by their order of summation are
# for expressions; groups get the tame ones.
TAME = {
    "boolean": ["true", "false"],
    "integer": ["0", "1", "2", "3", "-1", "7", "2147483647", "-2147483648"],
    "bigint": ["0", "1", "2", "-5", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
    "numeric": ["0", "1", "1.0", "1.00", "-1.25", "2.5", "0.000001", "99999999.99", "12345678901234567890.123456"],
    "double precision": ["0", "1.5", "-2.25", "1000.125", "0.5", "-0.125", "NaN", "Infinity", "-Infinity"],
    "text": ["", "a", "b", "ab", "Ab", "ä", "a b", "x"],
    "bytea": ["", "00ff", "616263"],
    "timestamptz": ["2026-01-01 00:00:00+00", "2026-01-01 00:00:30+00", "2026-01-01 00:01:00+00", "2026-01-01 00:02:59.999999+00",
                    "2025-12-31 23:59:59+00", "2024-02-29 12:00:00+00"],
    "date": ["2026-01-01", "2024-02-29", "1970-01-01", "1969-12-31"],
    "interval": ["00:00:01", "01:00:00", "-02:00:00.5", "00:00:00", "00:10:00"]}
WILD = {
    "boolean": TAME["boolean"],
    "integer": TAME["integer"] + ["10", "100", "-7", "31", "65", "1000000"],
    "bigint": TAME["bigint"] + ["4294967296", "-2147483649", "1700000000", "99"],
    "numeric": ["0", "0.00", "1", "1.5", "1.50", "-2.5", "2.5", "0.5", "-0.5", "100", "12345678901234567890.123456", "0.0000000001",
                "99999999999999999999", "-99999.995", "3.14159265358979", "1e10", "-7", "33.3333333333333333", "2147483647.5"],
    "double precision": ["0", "-0", "1.5", "-2.5", "0.5", "0.1", "1e15", "1e16", "123456.789", "1e308", "1e-20", "2.5", "3.5",
                         "NaN", "Infinity", "-Infinity", "1e-7", "-1e22", "2147483647.5", "9.223372036854776e18", "45", "0.30000000000000004"],
    "text": ["", "a", "abc", "ABC def", "  x ", "ä", "ßÄé", "日本語", "100%", "a_b", "a\\b", "it's", "1", "-12.50", "1e3", "true", "2024-02-29",
             "2024-02-29 23:59:59.5+02", "NaN", "26 hours", "x" * 40, "\t\n", "🙂a", "a,b,,c", "hello world foo", "O'Neil-smith", "0x1F", " 7 ",
             "a.b.c", "AbC1_z", "İ", "ǆ", "é"],
    "bytea": ["", "00ff", "616263", "7a41", "deadbeef00"],
    "timestamptz": ["1970-01-01 00:00:00+00", "1969-12-31 23:59:59.999999+00", "2000-02-29 12:34:56.789+00", "2026-03-31 23:59:59.5+00",
                    "0044-03-15 12:00:00+00", "9999-12-31 23:59:59.999999+00", "2024-12-30 00:00:00+00", "2021-01-03 10:00:00+00",
                    "1900-01-01 00:00:00.000001+00"],
    "date": ["1970-01-01", "2024-02-29", "1999-12-31", "0001-01-01", "9999-12-31", "2021-01-03", "2026-08-31"],
    "interval": ["1 day", "1 mon", "-1 mons +2 days", "00:00:00.000001", "1 year 2 mons 3 days 04:05:06.789", "-00:00:01", "100:00:00",
                 "30 days", "-1 year", "00:00:00", "2 days -03:00:00", "14 mons 40 days 30:00:00"]}
# Outliers of doubles: rows have them for a while, never in the end, where PostgreSQL would lose digits over them.
SPIKES = ["3.333333333333333e+35", "-6.666666666666666e+35", "1e300", "-1e300", "1.7e308", "1.7976931348623157e308", "-1.7e308", "1e-300",
          "5e-324", "1e154", "-0"]
# Over a numeric these give a numeric in PostgreSQL, a double here.
DOUBLE_HERE = ("exp", "ln", "log", "log10", "power", "pow", "^")
# Arguments that only make sense as constants.
FIELDS = ["year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds", "quarter", "week", "decade", "century",
          "millennium"]
EXTRACTED = FIELDS + ["dow", "isodow", "doy", "isoyear", "epoch", "julian"]
OF_DATES = [field for field in EXTRACTED if field not in ("hour", "minute", "second", "milliseconds", "microseconds")]
OF_INTERVALS = [field for field in FIELDS if field != "week"] + ["epoch"]
PATTERNS = ["a", "^a", "b$", "[a-c]+", "(a)(b)?", "\\d+", "\\s", ".", "a|b", "[^a]", "\\w{2,}", "x*", "^$", "(?i)ABC", "[[:alpha:]]",
            "\\mfoo", "é", "a.c", "l+?", "[äÄ]", "\\.", "a|ab|abc", "(a|ab)(c|bc)*", "(\\w+?)(\\s|$)", "((a)|b)+", "(?n)^.", "\\y\\w",
            "[[:upper:][:punct:]]+", "^(.*?)([[:digit:]]*)$", "***=a.c"]
LIKES = ["a%", "%b", "_b%", "%", "", "100\\%", "%\\_%", "A%", "ä_", "a\\\\b", "%a%b%", "__", "%é%"]
ENCODINGS = ["hex", "base64", "escape"]
NOT_DRAWN = {  # what reads a clock, is a form of its own below, or is no function of PostgreSQL's
    "now", "current_date", "current_timestamp", "statement_timestamp", "transaction_timestamp", "numeric_typmod", "varchar_typmod",
    "greatest", "least", "nullif", "concat", "concat_ws", "like_escape"}
# What a row may fail with in Braid alone: values that only PostgreSQL's types hold, and what PostgreSQL 15 refuses but a later
# one takes: infinite intervals (17), whole numbers in hexadecimal, octal, binary or with underscores (16).
LACKING = re.compile("no infinite intervals|invalid input syntax for type (integer|bigint|numeric): \"\\s*[-+]?(0[xXoObB]|\\d+_\\d)|"
                     "overflows numeric|range for type numeric|neither NaN nor infinities|infinity to numeric|NaN to numeric|no infinite times|time zone not recognized|the years 1 to 9999|out of range: \"-?inf|out of range: \"-?Inf")
REFUSED = re.compile("does not exist|syntax error|is not supported|must be (type|a multiple|the name)|must appear|ambiguous|cannot cast|cannot be matched")
TIMEOUT_S = 120


def literal(type_, text):
    if type_ == "bytea":
        return f"'\\x{text}'::bytea"
    return "'" + text.replace("'", "''") + f"'::{type_}"


def json_value(type_, text):
    if text is None:
        return None
    if type_ == "boolean":
        return text == "true"
    if type_ in ("integer", "bigint"):
        return int(text)
    if type_ == "double precision":
        return text if text in ("NaN", "Infinity", "-Infinity") else float(text)
    if type_ == "bytea":
        return base64.b64encode(bytes.fromhex(text)).decode()
    if type_ == "timestamptz":
        return text.replace(" ", "T").replace("+00", "Z")
    return text


class Expressions:
    """Draws an expression of a type over columns [(text, type)]. safe: only what never fails."""

    def __init__(self, rng, functions, columns, safe):
        self.rng, self.functions, self.columns, self.safe = rng, functions, columns, safe
        self.pool = TAME if safe else WILD
        self.by_type = collections.defaultdict(list)
        for text, type_ in columns:
            self.by_type[type_].append(text)

    def draw(self, type_, depth):
        """The outermost thing is no constant: what both fold may fail when it is folded."""
        for _ in range(8):
            text = self.any(type_, depth)
            if any(column in text for column, _ in self.columns):
                return text
        return self.leaf(type_)

    def leaf(self, type_):
        if self.by_type[type_]:
            return self.rng.choice(self.by_type[type_])
        wider = [t for t in TYPES if type_ in WIDER.get(t, []) and self.by_type[t]]
        if wider:
            return f"{self.rng.choice(self.by_type[self.rng.choice(wider)])}::{type_}"
        return self.constant(type_)

    def constant(self, type_):
        # PostgreSQL folds f(NULL, fails()) to NULL; a column that is NULL isn't folded.
        if self.safe and self.rng.random() < 0.08:
            return f"NULL::{type_}"
        if type_ == "boolean" and not self.safe and self.by_type[type_]:
            return self.leaf(type_)
        text = self.rng.choice(self.pool[type_])
        if type_ in ("integer", "numeric") and self.rng.random() < 0.5 and re.fullmatch(r"\d+(\.\d+)?", text):
            return text
        if not self.safe and type_ == "text" and self.rng.random() < 0.5:
            return "'" + text.replace("'", "''") + "'"
        return literal(type_, text)

    def any(self, type_, depth):
        roll = self.rng.random()
        if depth <= 0 or roll < 0.12:
            return self.leaf(type_) if self.rng.random() < 0.8 else self.constant(type_)
        forms = self.safe_forms(type_, depth) if self.safe else self.forms(type_, depth)
        return self.rng.choice(forms)()

    def argument(self, type_, depth):
        """Of the type, or of one that goes there by itself."""
        if not self.safe and self.rng.random() < 0.12:
            narrower = [t for t in TYPES if type_ in WIDER.get(t, [])]
            if narrower:
                return self.any(self.rng.choice(narrower), depth - 1)
        return self.any(type_, depth - 1)

    # --- what is common
    def common(self, type_, depth):
        rng = self.rng
        some = lambda t=type_: self.any(t, depth - 1)  # noqa: E731

        def condition():  # no constant, which would be folded
            text = some("boolean")
            return text if any(column in text for column, _ in self.columns) else f"({text} AND {self.leaf('boolean')})"

        def case():
            arms = " ".join(f"WHEN {condition()} THEN {some()}" for _ in range(rng.randint(1, 2)))
            return f"CASE {arms}{rng.choice([' ELSE ' + some(), ''])} END"

        def simple_case():
            of = rng.choice(TYPES)
            return f"CASE {some(of)} WHEN {some(of)} THEN {some()} ELSE {some()} END"

        forms = [case, simple_case, lambda: f"COALESCE({some()}, {some()})", lambda: f"NULLIF({some()}, {some()})",
                 lambda: f"{rng.choice(['GREATEST', 'LEAST'])}({some()}, {some()})"]
        if type_ == "boolean":
            of = rng.choice(TYPES)
            forms += [lambda: f"({some()} AND {some()})", lambda: f"({some()} OR {some()})", lambda: f"(NOT {some()})",
                      lambda: f"({some(of)} IS {rng.choice(['', 'NOT '])}NULL)",
                      lambda: f"({some()} IS {rng.choice(['', 'NOT '])}{rng.choice(['TRUE', 'FALSE', 'UNKNOWN'])})",
                      lambda: f"({some(of)} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {some(of)})",
                      lambda: f"({some(of)} {rng.choice(['', 'NOT '])}IN ({some(of)}, {self.constant(of)}, {some(of)}))",
                      lambda: f"({some(of)} {rng.choice(['', 'NOT '])}BETWEEN {rng.choice(['', 'SYMMETRIC '])}{some(of)} AND {some(of)})",
                      lambda: f"({some(of)} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {some(of)})"]
        return forms

    def safe_forms(self, type_, depth):
        rng = self.rng
        some = lambda t: self.any(t, depth - 1)  # noqa: E731
        forms = self.common(type_, depth)
        forms += {
            "text": [lambda: f"lower({some('text')})", lambda: f"({some('text')} || {some('text')})", lambda: f"upper({some('text')})",
                     lambda: f"left({some('text')}, {rng.randint(-1, 2)})", lambda: f"concat({some('text')}, {some('integer')})"],
            "integer": [lambda: f"length({some('text')})", lambda: f"({some('integer')} % 3)", lambda: f"octet_length({some('bytea')})"],
            "bigint": [lambda: f"({some('integer')}::bigint + {some('integer')})", lambda: f"({some('bigint')} / 2)"],
            "numeric": [lambda: f"({some('bigint')}::numeric - {some('integer')})", lambda: f"round({some('numeric')}, 1)",
                        lambda: f"extract(epoch FROM {some('date')})"],
            "boolean": [lambda: f"({some('text')} LIKE '{rng.choice(['a%', '%b', '_'])}')"],
            "timestamptz": [lambda: f"date_trunc('minute', {some('timestamptz')})", lambda: f"({some('timestamptz')} + interval '1 hour')"],
            "date": [lambda: f"({some('timestamptz')})::date", lambda: f"({some('date')} + 1)"],
        }.get(type_, [])
        return forms

    def forms(self, type_, depth):
        rng = self.rng
        some = lambda t=type_: self.any(t, depth - 1)  # noqa: E731
        calls = [f for f in self.functions if f[2] == type_]
        forms = [lambda: self.call(rng.choice(calls), depth)] * 10 if calls else []
        forms += rng.sample(self.common(type_, depth), 3)
        sources = [t for t in TYPES if type_ in EXPLICIT[t]]
        forms += [lambda: f"CAST({some(rng.choice(sources))} AS {type_})", lambda: f"({some(rng.choice(sources))})::{type_}"] if sources else []
        if type_ == "text":
            forms += [lambda: f"concat({some()}, {some(rng.choice(TYPES))}, {some(rng.choice(TYPES))})",
                      lambda: f"concat_ws({some()}, {some(rng.choice(TYPES))}, {some()})",
                      lambda: f"({some()} || {some(rng.choice(NUMBERS))})", lambda: f"({some(rng.choice(TYPES[:5]))} || {some()})"]
        return forms

    def call(self, function, depth):
        rng = self.rng
        name, types, _ = function
        # date + interval is a timestamp without time zone in PostgreSQL: no date in place of a timestamptz there.
        arguments = [self.any(t, depth - 1) if "interval" in types else self.argument(t, depth) for t in types]
        quoted = lambda options: "'" + rng.choice(options).replace("'", "''") + "'"  # noqa: E731
        if name == "extract":
            fields = {"interval": OF_INTERVALS, "date": OF_DATES}.get(types[1], EXTRACTED)
            return f"extract({rng.choice(fields)} FROM {arguments[1]})"
        if name == "date_part":
            arguments[0] = quoted({"interval": OF_INTERVALS[:-1]}.get(types[1], EXTRACTED))  # epoch is summed in doubles there
        if name == "date_trunc":
            arguments[0] = quoted(OF_INTERVALS[:-1] if types[1] == "interval" else FIELDS)
        if name in DOUBLE_HERE:
            arguments = [f"({a})::double precision" for a in arguments]
        if name in ("convert_from", "convert_to"):
            arguments[1] = "'UTF8'"
        if name in ("encode", "decode"):
            arguments[1] = quoted(ENCODINGS)
        if name in ("regexp_replace", "regexp_like", "regexp_count", "regexp_substr", "~", "!~", "~*", "!~*") and types[-1] == "text" or (
                name == "substring" and types[-1] == "text"):
            arguments[1] = quoted(PATTERNS)
        if name == "regexp_replace":
            arguments[2] = quoted(["", "#", "<\\1>", "\\&\\&", "\\\\"])
        if name in ("regexp_replace", "regexp_like") and len(types) > 2 + (name == "regexp_replace"):
            arguments[-1] = quoted(["g", "i", "gi", ""] if name == "regexp_replace" else ["i", "", "c"])
        if name in ("~~", "!~~", "~~*", "!~~*", "like", "notlike") and rng.random() < 0.8:
            arguments[1] = quoted(LIKES)
        if name in ("repeat", "lpad", "rpad") or name in ("<<", ">>"):
            arguments[1] = str(rng.randint(0, 20))
        if name in ("round", "trunc") and len(types) == 2:
            arguments[1] = str(rng.randint(-3, 8))
        if name == "date_bin":
            arguments[0] = "interval " + quoted(["1 hour", "15 minutes", "1 day", "7 days 01:00:00"])
        if name == "chr" and rng.random() < 0.7:
            arguments[0] = f"(abs({arguments[0]} % 1000) + {rng.choice([1, 40, 8000, 128000])})"
        # left('abc', -2147483648) is 'abc' there: its negation overflows.
        if name in ("left", "right") or name in ("substring", "substr", "split_part", "overlay") and rng.random() < 0.7:
            arguments = [str(rng.randint(-2, 6)) if t == "integer" else a for a, t in zip(arguments, types)]
        if name == "width_bucket":
            arguments[1:3] = [rng.choice(["0", "10.5", "-100"]), rng.choice(["0", "10", "1000", "0.1"])]
            arguments[3] = str(rng.randint(-1, 50))
        if name in ("make_date", "make_timestamptz") and rng.random() < 0.8:
            bounds = [(1, 9999), (1, 12), (1, 31), (0, 24), (0, 59), (0, 59)]
            arguments[1:] = [str(rng.randint(*b)) for b in bounds[1:len(types)]]
        if re.match(r"\w", name):
            return f"{quote(name)}({', '.join(arguments)})"
        if len(arguments) == 1:
            return f"({name} {arguments[0]})"
        return f"({arguments[0]} {name} {arguments[1]})"


def quote(name):
    return '"position"' if name == "position" else '"overlay"' if name == "overlay" else name


class Relation:
    """name, columns {name: type}; stream: rows of an append table that nothing keeps; key: a column without NULL that
    identifies a row, or None; event_time: the column that windows may be cut by."""

    def __init__(self, name, columns, stream=False, key=None, event_time=None):
        self.name, self.columns, self.stream, self.key, self.event_time = name, columns, stream, key, event_time

    def of(self, alias):
        return [(f"{alias}.{column}", type_) for column, type_ in self.columns.items()]


class Table(Relation):
    def __init__(self, rng, name, columns, upsert, event_time=None):
        super().__init__(name, columns, stream=not upsert, key="id", event_time=event_time)
        self.upsert, self.delimited = upsert, rng.random() < 0.2
        self.rows = [] if not upsert else {}
        self.next_id = 0
        # Gates: what is missing is filled or turns the event away.
        self.defaults, self.not_null = {}, set()
        for column, type_ in list(columns.items())[1:]:
            if column != event_time and rng.random() < 0.12:
                self.defaults[column] = rng.choice(TAME[type_])
            if column != event_time and rng.random() < 0.12:
                self.not_null.add(column)
        self.keys = rng.choice([4, 8, 20])
        self.spikes, self.spiked = None, set()  # its own dice when rows have outliers for a while, and which rows do

    def ddl(self):
        columns = [f"{n} {t}{' PRIMARY KEY' if n == 'id' and self.upsert else ''}{' NOT NULL' if n in self.not_null else ''}"
                   f"{' DEFAULT ' + literal(t, self.defaults[n]) if n in self.defaults else ''}" for n, t in self.columns.items()]
        options = [f"event_time = '{self.event_time}'", "watermark = '4000 days'"] if self.event_time else []
        if self.delimited:
            options.append("layout = 'delimited'")
        return f"CREATE TABLE {self.name} ({', '.join(columns)}){' WITH (' + ', '.join(options) + ')' if options else ''};"

    def event(self, rng, pool):
        if self.upsert and self.rows and rng.random() < 0.15:
            key = rng.randrange(self.keys)
            self.rows.pop(str(key), None)
            return {"table": self.name, "op": "delete", "row": {"id": key}}
        key = rng.randrange(self.keys) if self.upsert else self.next_id
        self.next_id += 1
        row = {"id": str(key)}
        for column, type_ in self.columns.items():
            if column == "id":
                continue
            null = rng.random() < (0 if column == self.event_time else 0.15)
            row[column] = None if null else rng.choice(pool[type_])
            if self.spikes and type_ == "double precision":
                row[column] = self.spikes.choice(SPIKES if self.spikes.random() < 0.5 else ["0.5", "-2.25", "20.1", "0.3"])
                self.spiked.add(row["id"])
        gated = {n: self.defaults.get(n) if v is None else v for n, v in row.items()}
        if any(gated[n] is None for n in self.not_null):
            pass
        elif self.upsert:
            self.rows[row["id"]] = gated
        else:
            self.rows.append(gated)
        # Columns without a value are left out of the event now and then.
        return {"table": self.name, "row": {n: json_value(self.columns[n], v) for n, v in row.items() if v is not None or rng.random() < 0.5}}

    def corrections(self):
        """Events that take the outliers back."""
        for key in sorted(self.spiked & set(self.rows)):
            row = {n: "0.5" if self.columns[n] == "double precision" and v in SPIKES else v for n, v in self.rows[key].items()}
            self.rows[key] = row
            yield {"table": self.name, "row": {n: json_value(self.columns[n], v) for n, v in row.items()}}

    def sql(self):
        """The final contents, for PostgreSQL."""
        found = self.rows.values() if self.upsert else self.rows
        lines = [f"CREATE TABLE {self.name} ({', '.join(f'{n} {t}' for n, t in self.columns.items())});"]
        for row in found:
            values = ["NULL" if row[n] is None else literal(t, row[n]) for n, t in self.columns.items()]
            lines.append(f"INSERT INTO {self.name} VALUES ({', '.join(values)});")
        return "\n".join(lines)


class Pipeline:
    """seed, sql (for Braid), events, oracle (the psql script up to the views), outputs {view: {column: type}}"""

    def __init__(self, seed, functions, scale):
        self.scale = scale
        self.rng, self.seed, self.functions = random.Random(seed), seed, functions
        self.tables, self.statements, self.oracle, self.outputs = [], [], [], {}
        kind = self.rng.random()
        self.wild, self.late = kind < 0.4, kind > 0.9
        self.tolerance = 0
        self.fixed = True  # its epochs, when a model tells what it gives
        if self.late:
            self.rng.choice([self.make_late, self.make_late_join, self.make_lookup])()
            return
        if self.wild:
            self.make_expressions()
        else:
            self.make_relations()
        self.events = self.make_events()
        self.sql = "\n".join([t.ddl() for t in self.tables] + self.statements) + "\n"

    def columns(self, how_many, types=TYPES):
        chosen = [self.rng.choice(types) for _ in range(how_many)]
        return {f"c{i}_{t.split()[0]}": t for i, t in enumerate(chosen)}

    def table(self, name, upsert, extra=None, event_time=None):
        columns = {"id": "integer", **(extra or {}), **self.columns(self.rng.randint(3, 6))}
        table = Table(self.rng, name, columns, upsert, event_time)
        self.tables.append(table)
        return table

    def make_events(self):
        rng, events = self.rng, []
        for table in self.tables:
            table.keys *= self.scale
        for _ in range(rng.randint(15, 60) * self.scale):
            events.append(rng.choice(self.tables).event(rng, WILD if self.wild else TAME))
            if rng.random() < 0.1 / self.scale:
                events.append({"epoch": True})
        for table in self.tables:
            events += table.corrections() if table.spikes else []
        if any("emit_interval" in statement for statement in self.statements):
            events += [{"epoch": True}, {"clock": "2099-01-01T00:00:00Z"}]
        if any(t.event_time for t in self.tables):
            events.append({"watermark": "final"})
        return events

    # --- late events
    def make_late(self):
        """One stream, some windowed views; what they should hold and whom they should miss is computed here."""
        rng = self.rng
        delay, second = rng.choice([0, 3, 20]), 1000000
        views = []
        for v in range(rng.randint(1, 3)):
            size = rng.choice([10, 30, 60])
            slide = rng.choice([size, size // 2, size // 5])
            views.append({"name": f"v{v}", "size": size, "slide": slide, "lateness": rng.choice([0, 0, 5, 40]), "keyed": rng.random() < 0.5,
                          "final": rng.random() < 0.3, "where": rng.random() < 0.3, "groups": collections.defaultdict(list)})
        self.sql = (f"CREATE TABLE e (id integer, k integer, v integer, at timestamptz) WITH (event_time = 'at', watermark = '{delay} seconds');\n")
        for view in views:
            options = [f"lateness = '{view['lateness']} seconds'"] if view["lateness"] else []
            options += ["emit = 'final'"] if view["final"] else []
            window = (f"tumble(e, at, interval '{view['size']} seconds')" if view["slide"] == view["size"] else
                      f"hop(e, at, interval '{view['slide']} seconds', interval '{view['size']} seconds')")
            self.sql += (f"CREATE MATERIALIZED VIEW {view['name']}{' WITH (' + ', '.join(options) + ')' if options else ''} AS\n"
                         f"SELECT window_start{', k' if view['keyed'] else ''}, count(*) AS n, sum(v) AS v, max(id) AS id FROM {window}"
                         f"{' WHERE v > 1' if view['where'] else ''} GROUP BY window_start{', k' if view['keyed'] else ''};\n")
        self.events, self.wanted = [], []
        now, highest, watermark = 1767225600, None, None  # 2026-01-01
        for n in range(rng.randint(20, 80)):
            now += rng.choice([0, 0, 1, 2, 7, 30])
            at = now - rng.choice([0, 0, 0, 1, 5, 20, 100])
            row = {"id": n, "k": rng.randrange(3), "v": rng.randrange(5), "at": iso(at)}
            self.events.append({"table": "e", "row": row})
            highest = max(highest or at, at)
            for view in views:
                if view["where"] and row["v"] <= 1:
                    continue
                for start in range(at - at % view["slide"], at - view["size"], -view["slide"]):
                    end = start + view["size"]
                    if watermark is not None and end + view["lateness"] <= watermark:
                        self.wanted.append({"late": view["name"], "row": {"id": n}, "window_start": iso(start), "window_end": iso(end)})
                    else:
                        view["groups"][(start, row["k"] if view["keyed"] else None)].append(row)
            if rng.random() < 0.25:
                self.events.append({"epoch": True})
                watermark = highest - delay
        self.events.append({"watermark": "final"})
        for view in views:
            for (start, k), members in view["groups"].items():
                row = {"window_start": iso(start), "n": len(members), "v": sum(m["v"] for m in members), "id": max(m["id"] for m in members)}
                self.wanted.append({"view": view["name"], "row": {**row, **({"k": k} if view["keyed"] else {})}})

    def make_late_join(self):
        """Windows over a stream that is joined with a table: rows of closed windows stay as they are, whatever becomes of the
        table, and only an event that comes too late is late."""
        rng = self.rng
        delay = rng.choice([0, 3, 20])
        views = []
        for v in range(rng.randint(1, 3)):
            size = rng.choice([10, 30, 60])
            views.append({"name": f"v{v}", "size": size, "slide": rng.choice([size, size // 2, size // 5]), "lateness": rng.choice([0, 0, 5, 40]),
                          "outer": rng.random() < 0.5, "over": rng.random() < 0.3, "events": collections.defaultdict(list), "closed": {}})
        self.sql = (f"CREATE TABLE e (id integer, k integer, at timestamptz) WITH (event_time = 'at', watermark = '{delay} seconds');\n"
                    "CREATE TABLE d (k integer PRIMARY KEY, v integer);\n")
        for view in views:
            slide, size = f"interval '{view['slide']} seconds'", f"interval '{view['size']} seconds'"
            window = f"tumble({{}}, at, {size})" if view["slide"] == view["size"] else f"hop({{}}, at, {slide}, {size})"
            join = "LEFT JOIN" if view["outer"] else "JOIN"
            options = f" WITH (lateness = '{view['lateness']} seconds')" if view["lateness"] else ""
            if view["over"]:  # the windows are made of the joined rows
                self.sql += f"CREATE VIEW j{view['name']} AS SELECT e.id, e.at, d.v FROM e {join} d USING (k);\n"
                source = window.format("j" + view["name"])
            else:
                source = f"{window.format('e')} e {join} d USING (k)"
            self.sql += (f"CREATE MATERIALIZED VIEW {view['name']}{options} AS SELECT v, window_start, count(*) AS n, sum(id) AS ids FROM {source} "
                         "GROUP BY v, window_start;\n")
        self.events, self.wanted, table, waiting = [], [], {}, []
        highest, watermark = None, None

        def groups(view, start):
            found = collections.defaultdict(list)
            for event in view["events"][start]:
                if event["k"] in table or view["outer"]:
                    found[table.get(event["k"])].append(event["id"])
            return {v: {"n": len(ids), "ids": sum(ids)} for v, ids in found.items()}

        def take(view, event, at):
            for start in range(at - at % view["slide"], at - view["size"], -view["slide"]):
                end = start + view["size"]
                if watermark is None or end + view["lateness"] > watermark:
                    view["events"][start].append(event)
                elif event["k"] in table or view["outer"]:
                    self.wanted.append({"late": view["name"], "row": {"id": event["id"]}, "window_start": iso(start), "window_end": iso(end)})

        def end_epoch(until):
            nonlocal watermark
            for event, at in waiting:
                for view in views:
                    take(view, event, at)
            waiting.clear()
            watermark = until
            for view in views:
                for start in list(view["events"]):
                    if until is None or start + view["size"] + view["lateness"] <= until:
                        view["closed"].setdefault(start, groups(view, start))

        now = 1767225600  # 2026-01-01
        for n in range(rng.randint(20, 80)):
            if rng.random() < 0.3:
                k = rng.randrange(4)
                if rng.random() < 0.25:
                    table.pop(k, None)
                    self.events.append({"table": "d", "op": "delete", "row": {"k": k}})
                else:
                    table[k] = rng.choice([None, 1, 2, 3])
                    self.events.append({"table": "d", "row": {"k": k, "v": table[k]}})
            else:
                now += rng.choice([0, 0, 1, 2, 7, 30])
                at = now - rng.choice([0, 0, 0, 1, 5, 20, 100])
                event = {"id": n, "k": rng.randrange(4)}
                self.events.append({"table": "e", "row": {**event, "at": iso(at)}})
                waiting.append((event, at))
                highest = max(highest or at, at)
            if rng.random() < 0.25:
                self.events.append({"epoch": True})
                end_epoch(highest - delay if highest is not None else -math.inf)
        self.events.append({"watermark": "final"})
        end_epoch(None)
        for view in views:
            for start, found in view["closed"].items():
                self.wanted += [{"view": view["name"], "row": {"v": v, "window_start": iso(start), **row}} for v, row in found.items()]

    def make_lookup(self):
        """A stream joined with a lookup table: each event sees the table as it was when the event was stored, whatever goes
        into one epoch."""
        rng = self.rng
        self.fixed = False
        fails = rng.random() < 0.5
        on = " AND 12 / d.v > 4" if fails else " AND d.v > 1"
        joins = {"inner_join": "JOIN", "left_join": "LEFT JOIN"}
        self.sql = ("CREATE TABLE e (id integer, k integer);\nCREATE TABLE d (k integer PRIMARY KEY, v integer) WITH (lookup = true);\n" + "".join(
            f"CREATE MATERIALIZED VIEW {name} AS SELECT e.id, e.k, d.v FROM e {join} d ON d.k = e.k{on if name == 'left_join' else ''};\n"
            f"CREATE MATERIALIZED VIEW {name}_per_v AS SELECT d.v, count(*) AS n, sum(e.id) AS ids FROM e {join} d USING (k) GROUP BY d.v;\n"
            for name, join in joins.items()))
        self.events, self.wanted, table = [], [], {}
        groups = {name: collections.defaultdict(list) for name in joins}

        def take(event):
            v = table.get(event["k"])
            if v == 0 and fails:
                self.wanted.append({"quarantined": "left_join", "reason": "expression", "detail": "division by zero"})
            else:
                meets = v is not None and (12 // v > 4 if fails else v > 1)
                self.wanted.append({"view": "left_join", "row": {**event, "v": v if meets else None}})
            groups["left_join"][v].append(event["id"])
            if event["k"] in table:
                self.wanted.append({"view": "inner_join", "row": {**event, "v": v}})
                groups["inner_join"][v].append(event["id"])

        for n in range(rng.randint(20, 80)):
            k = rng.choice([None, *range(5)])
            if k is None or rng.random() < 0.6:
                self.events.append({"table": "e", "row": {"id": n, "k": k}})
                take({"id": n, "k": k})
            elif rng.random() < 0.2:
                table.pop(k, None)
                self.events.append({"table": "d", "op": "delete", "row": {"k": k}})
            else:
                table[k] = rng.choice([None, 0, 1, 2, 3])
                self.events.append({"table": "d", "row": {"k": k, "v": table[k]}})
            if rng.random() < 0.1:
                self.events.append({"epoch": True})
        self.wanted += [{"view": f"{name}_per_v", "row": {"v": v, "n": len(ids), "ids": sum(ids)}}
                        for name, of in groups.items() for v, ids in of.items()]

    # --- expressions
    def make_expressions(self):
        rng = self.rng
        table = Table(rng, "t", {"id": "integer", **{"c_" + t.split()[0]: t for t in TYPES}, "d_int": "integer", "d_text": "text"},
                      upsert=rng.random() < 0.3)
        self.tables.append(table)
        draw = Expressions(rng, self.functions, table.of("t")[1:], safe=False)
        for v in range(rng.randint(1, 3)):
            columns, list_ = {"id": "integer"}, ["t.id"]
            for i in range(rng.randint(1, 4)):
                type_ = rng.choice(TYPES)
                text, name = draw.draw(type_, rng.randint(1, 3)), f"e{i}"
                if type_ == "numeric" and rng.random() < 0.5:
                    text, type_ = f"({text})::text", "text"  # so that its digits are compared
                columns[name] = type_
                list_.append(f"{text} AS {name}")
            where = ""
            if rng.random() < 0.3:
                where = " WHERE " + Expressions(rng, self.functions, table.of("t"), safe=True).draw("boolean", 1)
            name, select = f"v{v}", ",\n  ".join(list_)
            self.statements.append(f"CREATE MATERIALIZED VIEW {name} AS SELECT\n  {select}\nFROM t{where};")
            self.outputs[name] = columns
            # Row by row, so that a row that fails is left out alone.
            self.oracle.append(
                f"CREATE TABLE {name} AS SELECT {select} FROM t{where} WITH NO DATA;\n"
                f"DO $$ DECLARE r t; BEGIN FOR r IN SELECT * FROM t LOOP BEGIN INSERT INTO {name} SELECT {select} FROM (SELECT (r).*) AS t{where};\n"
                f"EXCEPTION WHEN OTHERS THEN INSERT INTO failed VALUES ('{name}', r.id, SQLERRM); END; END LOOP; END $$;")

    # --- relations
    def make_relations(self):
        rng = self.rng
        relations = []
        for i in range(rng.randint(1, 3)):
            upsert = i > 0 or rng.random() < 0.5
            timed = not upsert and rng.random() < 0.6
            relations.append(self.table(f"t{i}", upsert, {"k": "integer", **({"at": "timestamptz"} if timed else {})}, "at" if timed else None))
            spikes = random.Random(self.seed * 10 + i)
            self.tables[-1].spikes = spikes if upsert and spikes.random() < 0.5 else None
        for v in range(rng.randint(1, 4)):
            shape = rng.choice([self.projection, self.grouping, self.grouping, self.join, self.join, self.distinct, self.windowed])
            made = shape(relations)
            if made is None:
                continue
            select, columns, key = made
            name = f"v{v}"
            plain = rng.random() < 0.15
            options = []
            if not plain:
                options += ["layout = 'packed'"] if rng.random() < 0.2 else ["format = 'json'"] if rng.random() < 0.2 else []
                options += ["emit_interval = '1 hour'"] if rng.random() < 0.1 else []
                options += ["emit = 'final'"] if shape == self.windowed and not re.search("HAVING", select) and rng.random() < 0.3 else []
            with_ = f" WITH ({', '.join(options)})" if options else ""
            head = f"CREATE {'' if plain else 'MATERIALIZED '}VIEW {name}{with_} AS"
            self.statements.append(f"{head}\n{select};")
            self.oracle.append(render_windows(f"CREATE VIEW {name} AS\n{select};"))
            stream = plain and all(r.stream for r in relations if re.search(rf"\b{r.name}\b", select)) and shape == self.projection
            relations.append(Relation(name, columns, stream=stream, key=key))
            if not plain:
                self.outputs[name] = columns

    def pick(self, relations, wanted=lambda r: True):
        found = [r for r in relations if wanted(r)]
        return self.rng.choice(found[-3:] + found) if found else None

    def safe(self, columns):
        return Expressions(self.rng, self.functions, columns, safe=True)

    def where(self, columns, chance=0.5):
        whole = [text for text, t in columns if t == "integer"]
        if whole and self.rng.random() < 0.1:
            return "\nWHERE {0} <> 0 AND 100 / {0} < 60".format(self.rng.choice(whole))
        return f"\nWHERE {self.safe(columns).draw('boolean', 2)}" if self.rng.random() < chance else ""

    def source(self, relation, alias):
        """The FROM item: by name, or through a subselect."""
        if self.rng.random() < 0.1 and not relation.stream:
            return f"(SELECT * FROM {relation.name} AS x{self.where(relation.of('x'))}) AS {alias}"
        return f"{relation.name} AS {alias}"

    def list_of(self, columns, how_many, names="e"):
        draw, chosen, list_ = self.safe(columns), {}, []
        for i in range(how_many):
            type_ = self.rng.choice(TYPES)
            chosen[f"{names}{i}"] = type_
            list_.append(f"{draw.draw(type_, 2)} AS {names}{i}")
        return chosen, list_

    def projection(self, relations):
        relation = self.pick(relations)
        columns, list_ = self.list_of(relation.of("a"), self.rng.randint(1, 4))
        key = None
        if relation.key:
            columns, list_, key = {"id": relation.columns[relation.key], **columns}, [f"a.{relation.key} AS id"] + list_, "id"
        return f"SELECT {', '.join(list_)}\nFROM {self.source(relation, 'a')}{self.where(relation.of('a'))}", columns, key

    def distinct(self, relations):
        relation = self.pick(relations)
        columns, list_ = self.list_of(relation.of("a"), self.rng.randint(1, 2))
        return f"SELECT DISTINCT {', '.join(list_)}\nFROM {self.source(relation, 'a')}{self.where(relation.of('a'), 0.3)}", columns, None

    def aggregate(self, columns):
        rng, draw = self.rng, self.safe(columns)
        name = rng.choice(["count", "sum", "min", "max", "avg", "bool_and", "bool_or", "stddev", "stddev_pop", "var_samp", "var_pop", "every",
                           "variance", "stddev_samp"])
        types = {"count": TYPES, "min": [t for t in TYPES if t not in ("boolean", "bytea")],
                 "sum": NUMBERS + ["interval"], "bool_and": ["boolean"], "bool_or": ["boolean"], "every": ["boolean"]}
        types["max"], types["avg"] = types["min"], types["sum"]
        type_ = rng.choice(types.get(name, NUMBERS))
        if type_ == "double precision":  # PostgreSQL loses digits where others are mixed in
            draw = self.safe([c for c in columns if c[1] == type_])
            argument = draw.leaf(type_)
            draw = self.safe(columns)
        else:
            argument = draw.draw(type_, 1)
        result = {"count": "bigint", "min": type_, "max": type_, "bool_and": "boolean", "bool_or": "boolean", "every": "boolean"}.get(name)
        if name == "sum":
            result = {"integer": "bigint", "bigint": "numeric"}.get(type_, type_)
        result = result or (type_ if type_ in ("double precision", "interval") else "numeric")
        if type_ == "double precision" and name not in ("count", "min", "max"):
            self.tolerance = 1e-9
        whole = [text for text, t in columns if t == "integer"]
        if name in ("sum", "avg", "count", "min") and whole and rng.random() < 0.1:  # its filter guards the argument
            column = rng.choice(whole)
            return f"{name}(100 / {column}) FILTER (WHERE {column} <> 0)", {"count": "bigint", "sum": "bigint", "min": "integer"}.get(name, "numeric")
        if name == "count" and rng.random() < 0.4:
            text = "count(*)"
        else:
            text = f"{name}({'DISTINCT ' if rng.random() < 0.25 else ''}{argument})"
        if rng.random() < 0.25:
            text += f" FILTER (WHERE {draw.draw('boolean', 1)})"
        return text, result

    def grouped(self, columns, groups, source, where):
        """SELECT groups, aggregates FROM source GROUP BY groups. groups: [(expression, name, type)]"""
        rng, list_, chosen = self.rng, [], {}
        for text, name, type_ in groups:
            list_.append(f"{text} AS {name}")
            chosen[name] = type_
        for i in range(rng.randint(0 if groups else 1, 4)):
            text, type_ = self.aggregate(columns)
            if type_ == "numeric" and rng.random() < 0.3 and not re.search(r"min|max|DISTINCT", text):
                text, type_ = f"({text})::text", "text"
            list_.append(f"{text} AS a{i}")
            chosen[f"a{i}"] = type_
        by = f"\nGROUP BY {', '.join(rng.choice([text, str(i + 1)]) for i, (text, _, _) in enumerate(groups))}" if groups else ""
        having = ""
        if rng.random() < 0.25:
            text, type_ = self.aggregate(columns)
            having = f"\nHAVING {text} {rng.choice(['>', '<=', '<>', 'IS DISTINCT FROM'])} {self.safe([]).constant(type_)}"
        return f"SELECT {', '.join(list_)}\nFROM {source}{where}{by}{having}", chosen

    def grouping(self, relations):
        relation = self.pick(relations)
        columns = relation.of("a")
        groups, draw = [], self.safe(columns)
        for i in range(self.rng.choice([0, 1, 1, 1, 2])):
            type_ = self.rng.choice(TYPES)
            groups.append((draw.draw(type_, self.rng.randint(0, 1)), f"g{i}", type_))
        groups = [g for i, g in enumerate(groups) if g[0] not in [h[0] for h in groups[:i]]]
        select, chosen = self.grouped(columns, groups, self.source(relation, "a"), self.where(columns, 0.3))
        return select, chosen, None

    def windowed(self, relations):
        relation = self.pick(relations, lambda r: r.event_time)
        if relation is None:
            return None
        rng = self.rng
        size = rng.choice(["1 minute", "30 seconds", "1 hour"])
        window = f"tumble({relation.name}, {relation.event_time}, interval '{size}')"
        if rng.random() < 0.5:
            slide = {"1 minute": "20 seconds", "30 seconds": "10 seconds", "1 hour": "30 minutes"}[size]
            window = f"hop({relation.name}, {relation.event_time}, interval '{slide}', interval '{size}')"
        columns = relation.of("a") + [("a.window_start", "timestamptz"), ("a.window_end", "timestamptz")]
        groups = [(f"a.{n}", n, "timestamptz") for n in rng.choice([["window_start"], ["window_start", "window_end"], ["window_end"]])]
        if rng.random() < 0.6:
            type_ = rng.choice(TYPES)
            groups.append((self.safe(relation.of("a")).draw(type_, 1), "g0", type_))
        select, chosen = self.grouped(columns, groups, f"{window} AS a", self.where(relation.of("a"), 0.3))
        return select, chosen, None

    def equality(self, left, right):
        """ON conditions: at least one equality of columns that compare."""
        rng = self.rng
        pairs = [(a, b) for a, s in left for b, t in right if s == t or s in NUMBERS[:3] and t in NUMBERS[:3]]
        if not pairs:
            return None
        text = "%s = %s" % rng.choice(pairs)
        if rng.random() < 0.2:
            text += " AND %s = %s" % rng.choice(pairs)
        if rng.random() < 0.15:
            text = text.replace(" = ", " + 1 = ", 1) if re.match(r"\w+\.id ", text) else text
        while rng.random() < 0.35:
            text += f" AND {self.safe(left + right).draw('boolean', 1)}"
        return text

    def join(self, relations):
        rng = self.rng
        left, right = self.pick(relations), self.pick(relations, lambda r: not r.stream)
        if right is None:
            return None
        outer = rng.random() < 0.5
        on = self.equality(left.of("a"), right.of("b"))
        if on is None:
            return None
        both = left.of("a") + right.of("b")
        source = f"{self.source(left, 'a')} {'LEFT ' if outer else ''}JOIN {self.source(right, 'b')} ON {on}"
        third = self.pick(relations, lambda r: not r.stream)
        if rng.random() < 0.2:
            again = self.equality(both, third.of("c"))
            if again:
                source += f" {rng.choice(['LEFT ', ''])}JOIN {third.name} AS c ON {again}"
                both = both + third.of("c")
        if rng.random() < 0.3:
            groups = [(text, f"g{i}", type_) for i, (text, type_) in enumerate(rng.sample(both, rng.randint(0, 2)))]
            select, chosen = self.grouped(both, groups, source, self.where(both, 0.3))
            return select, chosen, None
        columns, list_ = self.list_of(both, rng.randint(1, 3))
        for i, (text, type_) in enumerate(rng.sample(both, min(2, len(both)))):
            columns[f"j{i}"] = type_
            list_.append(f"{text} AS j{i}")
        return f"SELECT {', '.join(list_)}\nFROM {source}{self.where(both, 0.4)}", columns, None

    # --- what PostgreSQL runs
    def script(self):
        schema = f"p{self.seed}"
        lines = [f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; SET search_path = {schema};",
                 # Else a row's values are folded as constants: NULL < fails() would be NULL, not a failure.
                 "SET plan_cache_mode = force_generic_plan;",
                 "CREATE TABLE failed (view text, id integer, message text);"]
        lines += [table.sql() for table in self.tables] + self.oracle
        for view, columns in self.outputs.items():
            selected = ", ".join(f"{render(c, t)} AS {c}" for c, t in columns.items())
            lines.append(f"SELECT json_build_object('view', '{view}', 'row', row_to_json(r)) FROM (SELECT {selected} FROM {view}) AS r;")
        lines.append("SELECT json_build_object('failed', view, 'id', id, 'message', message) FROM failed;")
        return "\n".join(lines) + f"\nDROP SCHEMA {schema} CASCADE;\n"


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def render(column, type_):
    if type_ == "timestamptz":
        return f"replace(to_jsonb({column}::timestamptz) #>> '{{}}', '+00:00', 'Z')"
    if type_ == "bytea":
        return f"translate(encode({column}, 'base64'), E'\\n', '')"
    return column


def render_windows(statement):
    return sqltext.render(sqltext.rewrite_windows(sqltext.tokens(statement)))


# --- one pipeline
class Failure(Exception):
    pass


def run_braid(braid, folder, flags):
    argv = [braid, "test", os.path.join(folder, "pipeline.sql"), "--in", os.path.join(folder, "in.jsonl"), *flags]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(flags)}: not done after {TIMEOUT_S} s") from None
    return done


def long_fraction(value):
    return isinstance(value, (str, decimal.Decimal)) and re.fullmatch(r"-?\d+\.\d+", str(value)) and len(re.sub(r"\D|^-?0\.0*", "", str(value))) > 34


def without_long_fractions(missing, extra):
    """Fractions are rounded to what 36 digits leave: such values are compared as numbers."""
    extra, left = list(extra), []
    for line in missing:
        def near(other):
            a, b = line["row"], other["row"]
            return line["view"] == other["view"] and all(
                k in b and (a[k] == b[k] or long_fraction(a[k]) and math.isclose(float(a[k]), float(b[k]), rel_tol=1e-15)) for k in a)
        other = next((e for e in extra if near(e)), None)
        if other is None:
            left.append(line)
        else:
            extra.remove(other)
    return left, extra


def compare(pipeline, wanted, got, flags):
    wanted_rows, got_rows = [l for l in wanted if "view" in l], [l for l in got if "view" in l]
    beyond = [l for l in got if "quarantined" in l and LACKING.search(l.get("detail") or "")]
    if beyond and not pipeline.wild:
        return
    ids = {(l["quarantined"], l["row"]["id"]) for l in beyond}
    wanted_rows, got_rows = ([l for l in lines if (l["view"], l["row"].get("id")) not in ids] for lines in (wanted_rows, got_rows))
    missing, extra = rows.differences(wanted_rows, got_rows, pipeline.tolerance)
    missing, extra = without_long_fractions(missing, extra)
    if not missing and not extra:
        return
    why = [f"{' '.join(flags) or 'plain'}:"]
    why += [f"  missing {rows.show(l)}" for l in missing[:3]] + [f"  extra   {rows.show(l)}" for l in extra[:3]]
    failed = [l for l in wanted if "failed" in l]
    why += [f"  PostgreSQL fails: {l['failed']} id {l['id']}: {l['message']}" for l in failed if
            any(e["view"] == l["failed"] and e["row"].get("id") == l["id"] for e in extra[:3])]
    why += [f"  Braid fails: {rows.show(l)}" for l in got if "quarantined" in l and
            any(m["view"] == l["quarantined"] and m["row"].get("id") == l.get("row", {}).get("id") for m in missing[:3])]
    raise Failure("\n".join(why))


def folded(complaint):
    """Is it a constant that Braid complains of, not the pipeline? PostgreSQL says so for every row, or folds fewer of them."""
    said = re.findall(r": error: (.*)", complaint)
    return said and not any(REFUSED.search(message) for message in said)


def check_late(options, pipeline, folder):
    few = str(pipeline.seed % 3 + 1)
    for flags in ([], ["--crash-every", few]) if pipeline.fixed else ([], ["--epoch-rows", few], ["--crash-every", few, "--epoch-rows", "7"]):
        done = run_braid(options.braid, folder, flags)
        if done.returncode:
            raise Failure(f"{' '.join(flags)}: exit status {done.returncode}: {done.stderr.strip()[:2000]}")
        missing, extra = rows.differences(pipeline.wanted, [rows.parse(line) for line in done.stdout.splitlines()])
        if missing or extra:
            raise Failure("\n".join([" ".join(flags)] + [f"  missing {rows.show(l)}" for l in missing[:5]] + [f"  extra   {rows.show(l)}" for l in extra[:5]]))
    return "same"


def check(server, options, pipeline, folder):
    with open(os.path.join(folder, "pipeline.sql"), "w", encoding="utf-8") as file:
        file.write(pipeline.sql)
    with open(os.path.join(folder, "in.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(e, ensure_ascii=False) + "\n" for e in pipeline.events)
    if pipeline.late:
        return check_late(options, pipeline, folder)
    refused = ""
    try:
        wanted = [rows.parse(line) for line in server.run(pipeline.script()).splitlines()]
    except postgres.PostgresError as error:
        refused = str(error)
    few, some = pipeline.seed % 3 + 1, (pipeline.seed % 4 + 1) * pipeline.scale
    ways = [[], ["--epoch-rows", str(few)], ["--crash-every", str(pipeline.seed % 2 + 1), "--epoch-rows", str(some)]]
    for flags in ways:
        done = run_braid(options.braid, folder, flags)
        if refused and done.returncode == 1:
            return "refused by both"
        if refused:
            raise Failure(f"PostgreSQL refuses: {refused[:600]}\n  Braid: exit status {done.returncode} {done.stderr[:300]}")
        if done.returncode == 1 and folded(done.stderr):
            return "refused: a constant fails"
        if done.returncode:
            raise Failure(f"{' '.join(flags)}: exit status {done.returncode}: {done.stderr.strip()[:2000]}")
        compare(pipeline, wanted, [rows.parse(line) for line in done.stdout.splitlines()], flags)
    return "same"


def keep(options, pipeline, folder):
    target = os.path.join(options.keep, f"random-{pipeline.seed}")
    os.makedirs(target, exist_ok=True)
    for name in ("pipeline.sql", "in.jsonl"):
        with open(os.path.join(folder, name), encoding="utf-8") as source, open(os.path.join(target, name), "w", encoding="utf-8") as file:
            file.write(source.read())
    if not pipeline.late:
        with open(os.path.join(target, "oracle.sql"), "w", encoding="utf-8") as file:
            file.write(pipeline.script())


def run_one(server, options, functions, seed):
    pipeline = Pipeline(seed, functions, options.scale)
    with tempfile.TemporaryDirectory(prefix="braid-random-") as folder:
        try:
            return seed, check(server, options, pipeline, folder), ""
        except Failure as failure:
            if options.keep:
                keep(options, pipeline, folder)
            return seed, "FAIL", f"{failure}\n" + ("" if options.quiet else pipeline.sql)


def read_functions(program):
    listed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    functions = []
    for line in listed.splitlines():
        name, arguments, result = line.split("\t")
        # date + interval is a timestamp without time zone there, which Braid hasn't.
        if name not in NOT_DRAWN and "any" not in arguments and not ("date" in arguments and "interval" in arguments):
            functions.append((name, arguments.split(", ") if arguments else [], result))
    return [f for f in functions if f[1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", required=True, metavar="PATH")
    parser.add_argument("--functions", required=True, metavar="PATH", help="the program that prints the function table")
    parser.add_argument("--count", type=int, default=int(os.environ.get("BRAID_RANDOM_COUNT", "200")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("BRAID_RANDOM_SEED", "1")))
    parser.add_argument("--scale", type=int, default=1, metavar="N", help="N times as many events and keys")
    parser.add_argument("--keep", metavar="FOLDER")
    parser.add_argument("--quiet", action="store_true", help="without the SQL of what failed")
    options = parser.parse_args()
    functions = read_functions(options.functions)
    results = collections.Counter()
    with postgres.Postgres() as server, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for seed, result, why in pool.map(lambda s: run_one(server, options, functions, s), range(options.seed, options.seed + options.count)):
            results[result] += 1
            if why:
                print(f"FAIL seed {seed}: {why}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in sorted(results.items())))
    sys.exit(1 if results["FAIL"] or not results["same"] else 0)


main()
