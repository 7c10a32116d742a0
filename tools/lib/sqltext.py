# SPDX-License-Identifier: Apache-2.0
"""Rewrites a pipeline's SQL so that PostgreSQL can run it. Lexical: no parser, just tokens.

What changes: WITH options of tables and views go; materialized views become plain ones; tumble(t, time, size) and
hop(t, time, slide, size) in FROM become subselects; SET braid.…, COMMENT ON, GRANT and SECURITY LABEL are left out.
The rest is PostgreSQL already, and stays as written.
"""
import re

TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<dollar>(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag))
      | (?P<string>[eEbBxX]?'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)
      | (?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
      | (?P<other>.)""",
    re.S | re.X,
)
# Words after a FROM item that are no alias of it.
NOT_ALIAS = set("where group having order limit offset fetch window union intersect except for join inner left right full "
                "cross natural on using with tablesample lateral".split())


class Unsupported(Exception):
    """The pipeline holds something that PostgreSQL has no counterpart of; the text says what."""


def tokens(text):
    return [(match.lastgroup if match.lastgroup != "tag" else "dollar", match.group()) for match in TOKEN.finditer(text)]


def words(statement):
    """The tokens that count, names folded as PostgreSQL folds them."""
    return [fold(text) if kind == "name" else text for kind, text in statement if kind != "space"]


def fold(name):
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def split(text):
    """Statements, as lists of tokens; empty ones left out."""
    statement = []
    for token in tokens(text):
        if token == ("other", ";"):
            if words(statement):
                yield statement
            statement = []
        else:
            statement.append(token)
    if words(statement):
        yield statement


def significant(statement, start=0):
    """Index of the first token from start on that is neither blank nor comment; len(statement) when there is none."""
    while start < len(statement) and statement[start][0] == "space":
        start += 1
    return start


def closing(statement, start):
    """Index of the parenthesis that closes the one at start."""
    depth = 0
    for i in range(start, len(statement)):
        if statement[i] == ("other", "("):
            depth += 1
        elif statement[i] == ("other", ")"):
            depth -= 1
            if depth == 0:
                return i
    raise Unsupported("a parenthesis is never closed")


def render(statement):
    return "".join(text for _, text in statement)


def is_word(token, *names):
    return token[0] == "name" and not token[1].startswith('"') and token[1].lower() in names


def without_options(statement, stop=None):
    """The statement without its first WITH (…) outside parentheses (before the word `stop`)."""
    i = 0
    while i < len(statement):
        if statement[i] == ("other", "("):
            i = closing(statement, i)
        elif stop and is_word(statement[i], stop):
            break
        elif is_word(statement[i], "with"):
            opening = significant(statement, i + 1)
            if opening < len(statement) and statement[opening] == ("other", "("):
                return statement[:i] + statement[closing(statement, opening) + 1:]
        i += 1
    return statement


def arguments(statement):
    """Splits tokens at the commas outside parentheses."""
    parts, part, i = [], [], 0
    while i < len(statement):
        if statement[i] == ("other", "("):
            end = closing(statement, i)
            part += statement[i:end + 1]
            i = end
        elif statement[i] == ("other", ","):
            parts.append(part)
            part = []
        else:
            part.append(statement[i])
        i += 1
    return parts + [part]


def window_select(kind, args):
    args = [render(arg).strip() for arg in args]
    if len(args) != (3 if kind == "tumble" else 4):
        raise Unsupported(f"{kind} takes {3 if kind == 'tumble' else 4} arguments")
    table, time, size = args[0], args[1], args[-1]
    origin = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
    if kind == "tumble":
        starts = f"(SELECT date_bin({size}, _t.{time}, {origin}) AS _w OFFSET 0)"
    else:
        slide = args[2]
        starts = (f"(SELECT _w FROM generate_series(date_bin({slide}, _t.{time}, {origin}), "
                  f"_t.{time} - ({size}) + interval '1 microsecond', -({slide})) AS _g(_w))")
    return (f"(SELECT _t.*, _x._w AS window_start, _x._w + ({size}) AS window_end "
            f"FROM {table} AS _t CROSS JOIN LATERAL {starts} AS _x WHERE _x._w IS NOT NULL)")


def rewrite_windows(statement):
    result, i = [], 0
    while i < len(statement):
        token = statement[i]
        opening = significant(statement, i + 1)
        if is_word(token, "tumble", "hop") and opening < len(statement) and statement[opening] == ("other", "("):
            end = closing(statement, opening)
            args = arguments(rewrite_windows(statement[opening + 1:end]))
            result.append(("name", window_select(token[1].lower(), args)))
            after = significant(statement, end + 1)
            aliased = after < len(statement) and statement[after][0] == "name" and (
                statement[after][1].startswith('"') or statement[after][1].lower() not in NOT_ALIAS)
            if not aliased:
                result.append(("name", f" AS {token[1].lower()} "))
            i = end + 1
            continue
        result.append(token)
        i += 1
    return result


class Pipeline:
    """statements: what PostgreSQL is to run, in order. tables, views (materialized ones), in order of the file.
    casts: {old type: new type}."""

    def __init__(self, text):
        self.statements, self.tables, self.views, self.casts = [], [], [], {}
        for statement in split(text):
            self.add(statement)

    def add(self, statement):
        word = words(statement)
        if word[0] == "set" and word[1] == "braid" or word[0] in ("comment", "grant", "revoke", "security"):
            return
        if word[:2] == ["create", "table"]:
            self.add_table(statement, word)
        elif word[:2] == ["create", "view"] or word[:3] == ["create", "materialized", "view"]:
            self.add_view(statement, word)
        elif word[:2] == ["create", "cast"]:
            self.casts[word[3]] = word[5]
            self.statements.append(render(statement))
        elif word[0] == "create" and word[1] in ("type", "function", "domain"):
            self.statements.append(render(statement))
        else:
            raise Unsupported(f"the statement {' '.join(word[:3]).upper()} …")

    def add_table(self, statement, word):
        at = 5 if word[2:5] == ["if", "not", "exists"] else 2
        if at + 1 >= len(word) or word[at + 1] != "(":
            raise Unsupported(f'table "{word[at]}" has no column list (its columns are those of its message)')
        self.tables.append(word[at])
        self.statements.append(render(without_options(statement)))

    def add_view(self, statement, word):
        materialized = word[1] == "materialized"
        name = word[3 if materialized else 2]
        if materialized:
            self.views.append(name)
            statement = [token for i, token in enumerate(statement)
                         if not (is_word(token, "materialized") and i < statement_index(statement, 3))]
        self.statements.append(render(rewrite_windows(without_options(statement, stop="as"))))


def statement_index(statement, count):
    """Index just past the count-th token that counts."""
    for i, (kind, _) in enumerate(statement):
        if kind != "space":
            count -= 1
            if count == 0:
                return i + 1
    return len(statement)
