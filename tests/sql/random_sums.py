#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums, averages and deviations of rows that come and go, compared with exact arithmetic.

tests/sql/random_sums.py --braid PATH [--count N] [--seed N] [--keep FOLDER]

PostgreSQL is no oracle here: its own sums of doubles depend on the order of the rows. Each seed draws a table whose rows
are inserted, corrected and deleted: doubles from 5e-324 to the largest one, outliers that are taken back, infinities,
NaN, -0; bigints, numerics and intervals whose sums pass their types' bounds and come back. What each aggregate should be
is computed here from the rows that are left, with fractions: sums and variances are rounded once, averages are the sum by
the count, deviations the variance's root (from the exact value where that passes the range of doubles). The changes of every epoch are added up and
compared at its end, bit by bit; the same events run once more with a crash after every epoch. --seed S --count 1 repeats
seed S; BRAID_RANDOM_COUNT says how many (default 60). Exit status 1 when any failed.
"""
import argparse
import collections
import concurrent.futures
import fractions
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

TIMEOUT_S = 120
LARGEST = sys.float_info.max
NUMERIC_END = 1 << 121  # coefficients of numerics are smaller
DAY_US = 86400 * 1000000
MISSING = object()  # the row is left out

DOUBLES = {
    "sum": "sum({})", "avg": "avg({})", "var_samp": "var_samp({})", "var_pop": "var_pop({})", "stddev_samp": "stddev_samp({})",
    "stddev_pop": "stddev_pop({})"}
PALETTES = [
    ["price"], ["price", "outlier"], ["price", "special"], ["price", "huge"], ["tiny", "price"], ["any"], ["any", "special"], ["huge"],
    ["huge", "tiny", "special", "price"], ["zero"], ["zero", "price"], ["whole", "outlier", "any"]]


def draw_double(rng, palette):
    kind = rng.choice(palette)
    sign = rng.choice([1, -1])
    if kind == "price":
        return sign * round(rng.uniform(0, 1000), rng.choice([0, 2, 2, 15]))
    if kind == "outlier":
        return sign * rng.choice([1e36 / 3, 2e36 / 3, 1e22, 9.999999e15, 1e-30, 1e300])
    if kind == "special":
        return rng.choice([math.inf, -math.inf, math.nan, -0.0, 0.0])
    if kind == "huge":
        return sign * rng.choice([LARGEST, LARGEST / 2, 1e308, 1.5e308, 8.9e307, 1e154, 1.4e154, LARGEST])
    if kind == "tiny":
        return sign * rng.choice([5e-324, 1e-323, 2.2250738585072014e-308, 1e-300, 1e-162, 1.5e-154, 1e-20])
    if kind == "zero":
        return rng.choice([0.0, -0.0, -0.0])
    if kind == "whole":
        return float(rng.randint(-5, 5))
    return sign * math.ldexp(rng.random(), rng.randint(-1073, 1024)) if rng.random() < 0.9 else 0.0


# --- what should be there
def rounded(value):
    """A fraction as the nearest double, MISSING beyond the largest one."""
    try:
        return value.numerator / value.denominator  # of integers: rounded once, half to even
    except OverflowError:
        return MISSING


def root(value):
    """The nearest double to the square root of a fraction."""
    if value == 0:
        return 0.0
    shift = 140 - (value.numerator.bit_length() - value.denominator.bit_length())
    shift += shift % 2
    scaled, rest = divmod(value.numerator << max(shift, 0), value.denominator << max(-shift, 0))
    found = math.isqrt(scaled)
    inexact = rest != 0 or found * found != scaled
    return rounded(fractions.Fraction(2 * found + inexact) * fractions.Fraction(2) ** (-shift // 2 - 1))


def special_sum(values):
    if any(math.isnan(v) for v in values) or (math.inf in values and -math.inf in values):
        return math.nan
    return math.inf if math.inf in values else -math.inf if -math.inf in values else None


def model_double(name, values):
    """values: finite and not, with repetitions."""
    if len(values) < (2 if name.endswith("_samp") else 1):
        return None
    special = special_sum(values)
    if name in ("sum", "avg") and special is not None:
        return special
    if special is not None:
        return math.nan
    exact = [fractions.Fraction(v) for v in values]
    total, n = sum(exact), len(exact)
    if name == "sum":
        if total == 0:
            return -0.0 if all(v == 0 and math.copysign(1, v) < 0 for v in values) else 0.0
        return rounded(total)
    if name == "avg":
        whole = rounded(total)
        return rounded(total / n) if whole is MISSING else whole / n
    spread = (sum(v * v for v in exact) - total * total / n) / (n - 1 if name.endswith("_samp") else n)
    variance = rounded(spread)
    if name.startswith("var"):
        return variance
    normal = variance is not MISSING and (variance >= sys.float_info.min or spread == 0)
    return math.sqrt(variance) if normal else root(spread)


def distinct_doubles(values):
    found = {}
    for v in values:
        found["nan" if math.isnan(v) else v + 0.0] = v + 0.0  # -0 is 0
    return list(found.values())


def model_whole(values):
    """sum of bigints or of whole numerics, a numeric."""
    if not values:
        return None
    total = sum(values)
    return total if abs(total) < NUMERIC_END else MISSING


def print_interval(months, days, us):
    parts, negative = [], False
    years = int(months / 12) if months else 0
    for value, unit in ((years, "year"), (months - 12 * years, "mon"), (days, "day")):
        if value != 0:
            parts.append(f"{'+' if negative and value > 0 else ''}{value} {unit}{'' if value == 1 else 's'}")
            negative = value < 0
    if us or not parts:
        seconds, fraction = divmod(abs(us), 1000000)
        text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        text += f".{fraction:06}".rstrip("0") if fraction else ""
        parts.append(("-" if us < 0 else "+" if negative else "") + text)
    return " ".join(parts)


def fits_interval(months, days, us):
    return abs(months) < 1 << 31 and abs(days) < 1 << 31 and abs(us) < 1 << 63


def model_interval_sum(values):
    if not values:
        return None
    fields = [sum(v[f] for v in values) for f in range(3)]
    return print_interval(*fields) if fits_interval(*fields) else MISSING


# --- one seed
class Run:
    def __init__(self, seed):
        self.rng, self.seed = random.Random(seed), seed
        rng = self.rng
        self.palette = rng.choice(PALETTES)
        self.groups = rng.choice([1, 2, 3])
        self.keys = rng.choice([3, 6, 20, 60])
        self.rows, self.copies = {}, {}
        self.views = {}  # name: (keys of its row, the model: rows of t → {key: value or MISSING})
        self.sql = [
            "CREATE TABLE t (id integer PRIMARY KEY, g integer, d double precision, b bigint, n numeric, v interval, f boolean);",
            "CREATE TABLE u (id integer PRIMARY KEY, g integer);",
            "CREATE TABLE e (d double precision, at timestamptz) WITH (event_time = 'at', watermark = '1 day');",
            "CREATE MATERIALIZED VIEW copies AS SELECT g FROM u;"]
        for name, text in DOUBLES.items():
            self.view(name, "g", f"SELECT g, {text.format('d')} AS x FROM t GROUP BY g", lambda rows, name=name: model_double(name, [r["d"] for r in rows if r["d"] is not None]))
            self.view(f"{name}_distinct", "g", f"SELECT g, {text.format('DISTINCT d')} AS x FROM t GROUP BY g",
                      lambda rows, name=name: model_double(name, distinct_doubles([r["d"] for r in rows if r["d"] is not None])))
            self.view(f"{name}_filtered", "g", f"SELECT g, {text.format('d')} FILTER (WHERE f) AS x FROM t GROUP BY g",
                      lambda rows, name=name: model_double(name, [r["d"] for r in rows if r["d"] is not None and r["f"]]))
            self.view(f"{name}_of_all", None, f"SELECT {text.format('d')} AS x FROM t", lambda rows, name=name: model_double(name, [r["d"] for r in rows if r["d"] is not None]))
            # Rows of a view without a key are kept with their number: they come with weights beyond one.
            self.view(f"{name}_copied", "g", f"SELECT c.g, {text.format('d')} AS x FROM copies c JOIN t ON t.g = c.g GROUP BY c.g",
                      lambda rows, name=name: model_double(name, [r["d"] for r in rows if r["d"] is not None for _ in range(self.copied(r["g"]))]), copied=True)
        self.view("sums_of_two", "g", "SELECT g, sum(d) AS x, max(d) AS y, min(n::text) AS z FROM t GROUP BY g", lambda rows: model_double("sum", [r["d"] for r in rows if r["d"] is not None]), only="x")
        self.view("sum_bigint", "g", "SELECT g, sum(b) AS x FROM t GROUP BY g", lambda rows: model_whole([r["b"] for r in rows if r["b"] is not None]))
        self.view("sum_numeric", "g", "SELECT g, sum(n) AS x FROM t GROUP BY g", lambda rows: model_whole([r["n"] for r in rows if r["n"] is not None]))
        self.view("sum_interval", "g", "SELECT g, sum(v) AS x FROM t GROUP BY g", lambda rows: model_interval_sum([r["v"] for r in rows if r["v"] is not None]))
        for name in ("sum", "avg", "stddev_pop", "var_samp"):
            select = f"SELECT window_start AS g, {DOUBLES[name].format('d')} AS x FROM tumble(e, at, interval '1 minute') GROUP BY window_start"
            for kind in ("windows", "final"):
                self.sql.append(f"CREATE MATERIALIZED VIEW {name}_{kind}{' WITH (emit = final)' if kind == 'final' else ''} AS {select};")
        self.windows, self.ended = collections.defaultdict(list), False
        self.events = []

    def window_rows(self, kind, name):
        """{window: value}: as they go, or when all have closed."""
        if kind == "final" and not self.ended:
            return {}
        found = {start: model_double(name, [d for d in values if d is not None]) for start, values in self.windows.items()}
        return {start: v for start, v in found.items() if v is not MISSING}

    def copied(self, group):
        return sum(1 for g in self.copies.values() if g == group)

    def view(self, name, key, select, model, copied=False, only=None):
        self.sql.append(f"CREATE MATERIALIZED VIEW {name} AS {select};")
        self.views[name] = (key, model, copied, only)

    def wanted(self, name):
        """{group: value}, without the groups that are left out."""
        key, model, copied, _ = self.views[name]
        if key is None:
            found = {None: model(list(self.rows.values()))}
        else:
            groups = collections.defaultdict(list)
            for row in self.rows.values():
                groups[row["g"]].append(row)
            found = {g: model(rows) for g, rows in groups.items() if not copied or self.copied(g)}
        return {g: v for g, v in found.items() if v is not MISSING}

    def draw_row(self):
        rng = self.rng
        return {"g": rng.randrange(self.groups), "d": None if rng.random() < 0.1 else draw_double(rng, self.palette),
                "b": rng.choice([None, 1, -7, (1 << 63) - 1, -(1 << 63), 1 << 62]),
                "n": rng.choice([None, 1, -3, 10 ** 36, -2 * 10 ** 36, 17]),
                "v": rng.choice([None, (1, -3, 5), ((1 << 31) - 1, 0, 0), (0, 0, (1 << 63) - 1), (0, -(1 << 31) + 1, -7), (-14, 3, 3600000000)]),
                "f": rng.choice([True, False])}

    def change(self):
        rng = self.rng
        if rng.random() < 0.2:
            minute, d = rng.randrange(3), None if rng.random() < 0.1 else draw_double(rng, self.palette)
            self.windows[f"2026-01-01T00:0{minute}:00Z"].append(d)
            return {"table": "e", "row": {"d": shown_double(d), "at": f"2026-01-01T00:0{minute}:{rng.randrange(60):02}Z"}}
        if rng.random() < 0.15:
            key = rng.randrange(8)
            if rng.random() < 0.3:
                self.copies.pop(key, None)
                return {"table": "u", "op": "delete", "row": {"id": key}}
            self.copies[key] = rng.randrange(self.groups)
            return {"table": "u", "row": {"id": key, "g": self.copies[key]}}
        key = rng.randrange(self.keys)
        if self.rows and rng.random() < 0.3:
            key = rng.choice(sorted(self.rows))
            del self.rows[key]
            return {"table": "t", "op": "delete", "row": {"id": key}}
        row = self.rows[key] = self.draw_row()
        shown = {**row, "id": key, "d": shown_double(row["d"]), "v": None if row["v"] is None else print_interval(*row["v"])}
        return {"table": "t", "row": shown}

    def make(self):
        """Events, and what each view holds after each epoch."""
        expected = []
        for _ in range(self.rng.randint(8, 25)):
            for _ in range(self.rng.choice([1, 1, 2, 5, 20])):
                self.events.append(self.change())
            self.events.append({"epoch": True})
            expected.append(self.all_wanted())
        self.events.append({"watermark": "final"})
        self.ended = True
        expected.append(self.all_wanted())
        return expected

    def all_wanted(self):
        wanted = {name: self.wanted(name) for name in self.views}
        for name in ("sum", "avg", "stddev_pop", "var_samp"):
            wanted.update({f"{name}_{kind}": self.window_rows(kind, name) for kind in ("windows", "final")})
        return wanted


def shown_double(d):
    return d if d is None or math.isfinite(d) else "NaN" if math.isnan(d) else "Infinity" if d > 0 else "-Infinity"


def bits(value):
    """Doubles by their bits, so that -0 isn't 0, and all NaN are one."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()
    return value


def read_value(name, value):
    if name.startswith(("sum_bigint", "sum_numeric", "sum_interval")) or value is None:
        return value
    return float(value)


def fold(lines, held):
    """Applies an epoch's changes: {view: {group: value}}."""
    for weight in (-1, 1):
        for line in lines:
            if line.get("view") == "copies" or "view" not in line or line["weight"] != weight:
                continue
            row, view = line["row"], held[line["view"]]
            if weight < 0:
                del view[row.get("g")]
            else:
                assert row.get("g") not in view, f"two rows for a key: {line}"
                view[row.get("g")] = read_value(line["view"], row["x"])


def run_braid(braid, folder, flags):
    argv = [braid, "test", os.path.join(folder, "pipeline.sql"), "--in", os.path.join(folder, "in.jsonl"), *flags]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        return None, f"{' '.join(flags)}: exit status {done.returncode}: {done.stderr.strip()[:2000]}"
    # Doubles stay texts until read_value, whole numbers keep their digits.
    return [json.loads(line, parse_float=lambda text: text, parse_int=lambda text: text if text == "-0" else int(text)) for line in done.stdout.splitlines()], ""


def compare(expected, held, where):
    why = []
    for name, groups in expected.items():
        found = held[name]
        for g in sorted(set(groups) | set(found), key=str):
            want, got = groups.get(g, MISSING), found.get(g, MISSING)
            if bits(want) != bits(got):
                show = lambda v: "no row" if v is MISSING else repr(v)  # noqa: E731
                why.append(f"  {where}: {name}, group {g}: wanted {show(want)}, given {show(got)}")
    return why


def check(braid, run, folder):
    expected = run.make()
    with open(os.path.join(folder, "pipeline.sql"), "w", encoding="utf-8") as file:
        file.write("\n".join(run.sql) + "\n")
    with open(os.path.join(folder, "in.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(e) + "\n" for e in run.events)
    for flags in (["--changes"], ["--changes", "--crash-every", "1"]):
        lines, why = run_braid(braid, folder, flags)
        if why:
            return why
        by_epoch = collections.defaultdict(list)
        for line in lines:
            if "view" in line:
                by_epoch[line["epoch"]].append(line)
        held = {name: {} for name in expected[0]}
        for e, wanted in enumerate(expected, 1):
            fold(by_epoch[e], held)
            differ = compare(wanted, held, f"{' '.join(flags)} epoch {e}")
            if differ:
                return "\n".join(differ[:6])
    return ""


def run_one(options, seed):
    run = Run(seed)
    with tempfile.TemporaryDirectory(prefix="braid-sums-") as folder:
        why = check(options.braid, run, folder)
        if why and options.keep:
            target = os.path.join(options.keep, f"sums-{seed}")
            os.makedirs(target, exist_ok=True)
            for name in ("pipeline.sql", "in.jsonl"):
                with open(os.path.join(folder, name), encoding="utf-8") as source, open(os.path.join(target, name), "w", encoding="utf-8") as file:
                    file.write(source.read())
    return seed, why


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--braid", required=True, metavar="PATH")
    parser.add_argument("--count", type=int, default=int(os.environ.get("BRAID_RANDOM_COUNT", "60")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("BRAID_RANDOM_SEED", "1")))
    parser.add_argument("--keep", metavar="FOLDER")
    options = parser.parse_args()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for seed, why in pool.map(lambda s: run_one(options, s), range(options.seed, options.seed + options.count)):
            if why:
                failed += 1
                print(f"FAIL seed {seed}:\n{why}", flush=True)
    print(f"{options.count - failed} passed, {failed} failed")
    sys.exit(failed != 0)


main()
