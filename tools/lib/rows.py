# SPDX-License-Identifier: Apache-2.0
"""Reading JSON lines without losing digits, and comparing two multisets of them."""
import collections
import decimal
import gzip
import json
import math


def parse(line):
    return json.loads(line, parse_float=decimal.Decimal)


def open_text(path):
    return gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8")


def read(path):
    with open_text(path) as file:
        return [parse(line) for line in file if line.strip()]


def is_number(value):
    return isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool)


def same(want, got, tolerance):
    """Equal values; numbers within a relative tolerance (numeric 1.50 and 1.5 are the same number)."""
    if is_number(want) and is_number(got):
        return want == got or tolerance > 0 and math.isclose(want, got, rel_tol=tolerance, abs_tol=1e-30)
    if isinstance(want, dict) and isinstance(got, dict):
        return want.keys() == got.keys() and all(same(want[k], got[k], tolerance) for k in want)
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(same(a, b, tolerance) for a, b in zip(want, got))
    return type(want) is type(got) and want == got


def matches(want, got, tolerance):
    """Rows of views match whole; quarantined and late lines name only some of their keys."""
    if "view" in want:
        return same(want, got, tolerance)
    for key, value in want.items():
        if key not in got:
            return False
        if isinstance(value, dict) and isinstance(got[key], dict):
            if any(k not in got[key] or not same(v, got[key][k], tolerance) for k, v in value.items()):
                return False
        elif not same(value, got[key], tolerance):
            return False
    return True


def canonical(value):
    if isinstance(value, dict):
        return tuple(sorted((k, canonical(v)) for k, v in value.items()))
    if isinstance(value, list):
        return tuple(canonical(v) for v in value)
    if is_number(value):
        return ("number", decimal.Decimal(value).normalize())
    return (type(value).__name__, value)


def differences(want, got, tolerance=1e-9):
    """(missing, extra): lines of want that no line of got matches, and those of got that are left over."""
    left = collections.defaultdict(list)
    for line in got:
        left[canonical(line)].append(line)
    unmatched = []
    for line in want:
        same_lines = left.get(canonical(line))
        if same_lines:
            same_lines.pop()
        else:
            unmatched.append(line)
    rest = [line for lines in left.values() for line in lines]
    missing = []
    for line in unmatched:
        for i, other in enumerate(rest):
            if matches(line, other, tolerance):
                del rest[i]
                break
        else:
            missing.append(line)
    return missing, rest


def show(value):
    """As JSON, numbers with all their digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(show(v) for v in value) + "]"
    return str(value) if isinstance(value, decimal.Decimal) else json.dumps(value, ensure_ascii=False)
