#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random regular expressions over random texts, compared with PostgreSQL.

tests/sql/regex.py --program PATH [--count N] [--seed N]      PATH: the program of regex.c

Patterns are of everything that the syntax has, now and then broken at a place; texts are of the patterns' letters. For
each the same must come out: whether it matches, the error's words, where each match and each of its groups is, what
regexp_replace makes of all matches and of the first, regexp_count, substring. A pattern that either finds too
complex is passed over; what Braid refuses by name (back references, look-around, (?b) and (?e)) must hold such a thing.
BRAID_RANDOM_COUNT says how many thousand (default 4), BRAID_RANDOM_SEED where to begin (default 1). Exit status 1 when
any differed.
"""
import argparse
import os
import random
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "lib"))
import postgres  # noqa: E402

AT_ONCE = 1000
REFUSED = {"back references are not supported": r"\\[1-9]", "look-around is not supported": r"\(\?<?[=!]",
           "the embedded options b and e are not supported": r"\(\?[a-z]*[be]"}
ASSERTIONS = ["^", "$", r"\m", r"\M", r"\y", r"\Y", r"\A", r"\Z", "[[:<:]]", "[[:>:]]"]
SETS = [".", r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", "[ab]", "[^a]", "[a-c]", "[^b-c]", "[[:alpha:]]", "[[:digit:]b]", r"[\w-]",
        r"[^\W]", "[[:upper:]]", "[[:lower:]x]", "[[:punct:]]", "[^[:space:]]", r"\n", r"\x62", r"\u0061", "[[.a.]-c]", "[[=b=]]",
        "[]a]", "[^]a]", "[a-]", "[é-ü]", "[[:alnum:]_]", r"[^\n]", "[[:graph:]]", "[^[:print:]]", "[[:blank:][:cntrl:]]",
        "[[:xdigit:]]", "[[:word:]]", "[[:ascii:]]", r"\101", r"[^\D\s]", "[[.hyphen.]]", r"\cJ", "[a-zß-ſ]", "[Α-ω]"]
QUANTIFIERS = ["*", "+", "?", "{2}", "{1,2}", "{0,2}", "{1,}", "{0,3}", "{2,3}", "{1}", "{0}", "{1,1}", "{0,1}", "{2,2}", "{2,}",
               "{0,}", "{3}", "{0,0}", "{0,9}"]
ALPHABETS = ["ab", "ab", "abc", "aB ", "a1_ -", "äbÄß", "abé\n", "aAkKsSſ\u212a", "ab\n", "日本a", "ǅǆa", "ab\u00a0\u2003"]
BEGINS = ["(?i)", "(?n)", "***:", "***=", "(?x)", "(?q)", "(?s)", "***:(?i)", "(?w)", "(?p)", "(?ix)"]
DIRT = list("()[]{}*+?|\\^$-,1x#: .") + ["(?", "[[:", "(?#x)", "\\1", "(?=", "{,2}", " # c\n"]

# For every match (of the text, from character 1) and group its place, as the program prints it.
FUNCTIONS = r"""
CREATE FUNCTION matches(p text, t text, f text, groups integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text := ''; at integer;
BEGIN
    FOR k IN 1 .. 40 LOOP
        at := regexp_instr(t, p, 1, k, 0, f, 0);
        EXIT WHEN at = 0;
        found := found || at || ':' || regexp_instr(t, p, 1, k, 1, f, 0);
        FOR g IN 1 .. groups LOOP
            at := regexp_instr(t, p, 1, k, 0, f, g);
            found := found || CASE WHEN at = 0 THEN ',-' ELSE ',' || at || ':' || regexp_instr(t, p, 1, k, 1, f, g) END;
        END LOOP;
        found := found || ' ';
    END LOOP;
    RETURN found;
END $$;
CREATE FUNCTION hex(x text) RETURNS text LANGUAGE sql AS $$ SELECT coalesce('=' || encode(convert_to(x, 'UTF8'), 'hex'), '-') $$;
CREATE FUNCTION answer(p text, t text, f text, groups integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE parts constant text := '<\1|\2|\3|\4|\5|\6|\7|\8|\9|\&>';
BEGIN
    RETURN concat_ws(E'\t', CASE WHEN regexp_like(t, p, f) THEN 't' ELSE 'f' END, regexp_count(t, p), matches(p, t, f, groups),
                     hex(regexp_replace(t, p, parts, 'g' || f)), hex(regexp_replace(t, p, parts, f)), hex(substring(t from p)));
EXCEPTION WHEN others THEN
    RETURN '!' || sqlerrm;
END $$;
"""


class Patterns:
    """One random pattern: how deep, how lazy, with how many groups, assertions and sets."""

    def __init__(self, source, letters):
        self.source, self.letters = source, letters
        self.depth = source.choice([1, 2, 2, 3])
        self.lazy = source.choice([0, 0, 0.3, 0.6])
        self.assertions = source.choice([0, 0, 0.05, 0.15])
        self.sets = source.choice([0.07, 0.12, 0.3])
        self.groups = source.choice([0.3, 0.7, 1])

    def atom(self, depth):
        drawn = self.source.random()
        if depth > 0 and drawn < 0.3:
            return ("(" if self.source.random() < self.groups else "(?:") + self.alternatives(depth - 1) + ")"
        if drawn < 0.3 + self.sets:
            return self.source.choice(SETS)
        if drawn < 0.3 + self.sets + self.assertions:
            return self.source.choice(ASSERTIONS)
        return self.source.choice(self.letters)

    def quantifier(self, atom):
        if self.source.random() < (0.98 if atom in ASSERTIONS else 0.55):
            return ""
        return self.source.choice(QUANTIFIERS) + ("?" if self.source.random() < self.lazy else "")

    def branch(self, depth):
        length = self.source.choice([0, 1, 1, 2, 2, 3, 3, 4] if depth < self.depth else [1, 2, 3, 4, 5])
        atoms = [self.atom(depth) for _ in range(length)]
        return "".join(atom + self.quantifier(atom) for atom in atoms)

    def alternatives(self, depth):
        count = self.source.choice([1, 1, 1, 2, 2, 3] if depth < self.depth else [1, 1, 2])
        return "|".join(self.branch(depth) for _ in range(count))

    def pattern(self):
        made = self.alternatives(self.depth)
        if self.source.random() < 0.03:
            made = self.source.choice(BEGINS) + made
        if self.source.random() < 0.05:
            at = self.source.randrange(len(made) + 1)
            made = made[:at] + self.source.choice(DIRT) + made[at:]
        return made


def cases(seed, count):
    source = random.Random(seed)
    for _ in range(count):
        letters = source.choice(ALPHABETS)
        pattern = Patterns(source, list(letters)).pattern()
        options = source.choice(["", "", "", "", "i", "n", "p", "w", "x", "in", "xi"])
        more = ("ab" if source.random() < 0.3 else "") + ("_ 9\n" if source.random() < 0.2 else "")
        length = source.choice([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20])
        yield pattern, "".join(source.choice(letters + more) for _ in range(length)), options


def ask_braid(program, asked):
    lines = "".join(" ".join(part.encode().hex() for part in case) + "\n" for case in asked)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, errors="replace")
    answers = done.stdout.split("\n")[:-1]
    if done.returncode or len(answers) != len(asked):
        sys.exit(f"regex: the program ended with {done.returncode} at {asked[len(answers)]!r}\n{done.stderr[-3000:]}")
    return answers


def quoted(text):
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"


def ask_postgres(server, asked, answers):
    rows = []
    for index, ((pattern, text, options), answer) in enumerate(zip(asked, answers)):
        found = answer.split("\t")[2].split(" ")[0] if "\t" in answer else ""
        rows.append(f"({index}, {quoted(pattern)}, {quoted(text)}, '{options}', {found.count(',')})")
    out = server.run("SELECT answer(p, t, f, g) FROM (VALUES\n" + ",\n".join(rows) + ") AS cases (i, p, t, f, g) ORDER BY i;")
    return [line.replace("!invalid regular expression: ", "!") for line in out.split("\n")[:len(asked)]]


class Outcome:
    def __init__(self):
        self.same = self.matched = self.errors = self.refused = self.passed_over = self.wrong = 0

    def note(self, case, ours, theirs):
        ours = ours.replace("!invalid regular expression: ", "!")
        if "!regular expression is too complex" in (ours, theirs):
            self.passed_over += 1
        elif ours[:1] == "!" and re.search(REFUSED.get(ours[1:], r"(?!)"), case[0]):
            self.refused += 1
        elif ours == theirs:
            self.same += 1
            self.errors += ours[:1] == "!"
            self.matched += ours[:1] == "t"
        else:
            self.wrong += 1
            if self.wrong <= 20:
                print(f"pattern {case[0]!r}, text {case[1]!r}, options {case[2]!r}\n  braid      {ours}\n  PostgreSQL {theirs}")

    def __str__(self):
        return (f"{self.same} the same ({self.matched} match, {self.errors} errors), {self.refused} refused by name, "
                f"{self.passed_over} too complex for one, {self.wrong} differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=int(os.environ.get("BRAID_RANDOM_COUNT", "4")), help="thousands")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("BRAID_RANDOM_SEED", "1")))
    options = parser.parse_args()
    outcome = Outcome()
    with postgres.Postgres() as server:
        server.run(FUNCTIONS)
        for seed in range(options.seed, options.seed + options.count):
            asked = list(cases(seed, AT_ONCE))
            answers = ask_braid(options.program, asked)
            for found in zip(asked, answers, ask_postgres(server, asked, answers)):
                outcome.note(*found)
    print(f"regex: {outcome}")
    # Cases that prove nothing must stay few.
    total = options.count * AT_ONCE
    proven = outcome.same > 0.97 * total and outcome.matched > 0.3 * total and outcome.errors > 0.01 * total
    sys.exit(0 if outcome.wrong == 0 and proven else 1)


main()
