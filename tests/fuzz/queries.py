"""Random tables and queries through our server and through ClickHouse: same rows, names, types, errors.

Every query's answer is determined: rows are compared without order unless there is a LIMIT, which always
comes with a total order. A query that disagrees is shrunk by itself, as long as it disagrees in the same
way. Two errors with different codes are counted apart.

    queries.py URL [--queries N] [--seed S] [--report FILE] [--allow-percent P]
"""

import argparse
import collections
import random
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import zlib

from chdb.session import Session

from expressions import AGGREGATES, KEYS, WINDOWS, Expressions
from tables import Table

# Of one type in all parts of a UNION, INTERSECT or EXCEPT.
CASTS = {
    "int": "CAST({}, 'Nullable(Int64)')",
    "str": "CAST({}, 'Nullable(String)')",
    "date": "CAST({}, 'Nullable(Date)')",
    "dt": "CAST({}, 'Nullable(DateTime(\'UTC\'))')",
    "bool": "CAST({}, 'Nullable(UInt8)')",
    "dec": "CAST({}, 'Nullable(Decimal(38, 2))')",
    "enum": "CAST({}, 'Nullable(String)')",
    "uuid": "CAST({}, 'Nullable(UUID)')",
    "aint": "length({})",
}
class Queries:
    def __init__(self, rng, tables):
        self.rng, self.tables = rng, tables
        self.made = Expressions(rng, self.subquery)

    def chance(self, percent):
        return self.rng.random() * 100 < percent

    def subquery(self, kind):
        table = self.rng.choice(self.tables)
        inner = Expressions(self.rng)
        where = f" WHERE {inner.write('bool', table.columns, 1)}" if self.chance(40) else ""
        return f"{inner.write(kind, table.columns, 1)} FROM {table.name}{where}"

    def source(self):
        """FROM text, its columns, and the columns that make its rows unique (None: not known)."""
        rng, roll = self.rng, self.rng.randrange(100)
        a, b = rng.choice(self.tables), rng.choice(self.tables)
        if roll < 50:
            return a.name, a.columns, "id"
        if roll < 58:
            inner = self.made.write("bool", a.columns, 2)
            items = ", ".join(f"{self.made.write(k, a.columns, 2)} AS {c}" for c, k in a.columns[1:5])
            columns = a.columns[:5]
            if self.chance(50):
                return f"(SELECT id, {items} FROM {a.name} WHERE {inner})", columns, "id"
            self.cte = f"WITH q AS (SELECT id, {items} FROM {a.name} WHERE {inner}) "
            return "q", columns, "id"
        if roll < 66:
            arrays = [c for c, k in a.columns if k == "aint"]
            array = rng.choice(arrays) if arrays else "[1, 2, 3]"
            word = rng.choice(["ARRAY JOIN", "LEFT ARRAY JOIN"])
            return f"{a.name} {word} {array} AS e", a.columns + [("e", "int"), ("e", "int")], None
        if roll < 69:
            return self.united(a, b)
        if roll < 72:
            return "numbers(20)", [("number", "int"), ("number", "int")], "number"
        kind = rng.choice(["INNER", "LEFT", "RIGHT", "FULL", "LEFT SEMI", "LEFT ANTI", "CROSS", "LEFT", "INNER", "RIGHT SEMI", "RIGHT ANTI", "ANY LEFT"])
        left = [(f"l.{c}", k) for c, k in a.columns]
        right = [(f"r.{c}", k) for c, k in b.columns]
        shared = [k for _, k in a.columns if k in KEYS and any(o == k for _, o in b.columns)]
        of = rng.choice(shared)
        on = f"l.{rng.choice([c for c, k in a.columns if k == of])} = r.{rng.choice([c for c, k in b.columns if k == of])}"
        if kind == "ANY LEFT":
            on = "l.id = r.id"
        elif self.chance(20):
            on += f" AND l.{rng.choice(a.columns)[0]} IS NOT NULL"
        elif self.chance(10) and "A" not in kind and "SEMI" not in kind:
            on += " AND l.id < r.id"
        columns = left if kind in ("LEFT SEMI", "LEFT ANTI") else right if kind.startswith("RIGHT ") else left + right
        unique = {"LEFT SEMI": "l.id", "LEFT ANTI": "l.id", "ANY LEFT": "l.id"}.get(kind)
        on = "" if kind == "CROSS" else f" ON {on}"
        if kind in ("INNER", "LEFT", "FULL", "RIGHT") and self.chance(20):
            on = " USING (id)"
        text = f"{a.name} AS l {kind} JOIN {b.name} AS r{on}"
        if kind in ("INNER", "LEFT", "CROSS") and self.chance(20):
            third = rng.choice(self.tables)
            text += f" {rng.choice(['INNER', 'LEFT', 'LEFT ANY'])} JOIN {third.name} AS m ON l.id = m.id"
            columns = columns + [(f"m.{c}", k) for c, k in third.columns]
        return text, columns, unique

    def united(self, a, b):
        """Two tables, one after the other, of the kinds that both have."""
        kinds = [k for k in ("int", "str", "date", "dec", "bool") if all(any(o == k for _, o in t.columns) for t in (a, b))]
        parts = []
        for n, table in enumerate((a, b)):
            items = ", ".join(f"{CASTS[k].format(self.made.write(k, table.columns, 1))} AS u{i}" for i, k in enumerate(kinds))
            parts.append(f"SELECT id * 2 + {n} AS id, {items} FROM {table.name}")
        return f"({' UNION ALL '.join(parts)})", [("id", "int")] + [(f"u{i}", k) for i, k in enumerate(kinds)], "id"

    def query(self):
        rng = self.rng
        self.cte = ""
        if self.chance(6):
            return self.set_operation()
        source, columns, unique = self.source()
        where = ""
        if self.chance(50):
            where = f" WHERE {self.made.write('bool', columns, 3)}"
            if self.chance(15) and re.fullmatch(r"t\d+", source):
                where = f" PREWHERE {self.made.write('bool', columns, 2)}" + where
        if self.chance(35):
            text = self.aggregation(source, columns, where, unique)
        elif self.chance(12) and unique:
            text = self.window(source, columns, where, unique)
        else:
            text = self.plain(source, columns, where, unique)
        return self.cte + text + self.settings()

    def settings(self):
        rng = self.rng
        chosen = [f"max_threads = {rng.choice([1, 4])}"]
        for name, values in (("join_use_nulls", "1"), ("group_by_use_nulls", "1"), ("transform_null_in", "1"), ("max_block_size", "3")):
            if self.chance(8):
                chosen.append(f"{name} = {values}")
        return " SETTINGS " + ", ".join(chosen)

    def item(self, columns, depth=3):
        text = self.made.write("any", columns, depth)
        return text + (f" AS a{self.rng.randrange(1000)}" if self.chance(10) else "")

    def plain(self, source, columns, where, unique):
        rng = self.rng
        items = ", ".join(self.item(columns) for _ in range(rng.randrange(1, 4)))
        tail, distinct = "", ""
        if unique and self.chance(40):
            items += f", {unique}"
            tail = f" ORDER BY {self.made.write('key', columns, 1)}{rng.choice(['', ' DESC', ' NULLS FIRST'])}, {unique}"
            if self.chance(25):
                tail += f" LIMIT {rng.choice([1, 2])} BY {self.made.write('key', columns, 1)}"
            if self.chance(60):
                tail += f" LIMIT {rng.choice(['3', '1, 4', '5 OFFSET 2', '0'])}"
        elif self.chance(20):
            distinct = "DISTINCT "
        elif self.chance(20):
            tail = " ORDER BY ALL"
        return f"SELECT {distinct}{items} FROM {source}{where}{tail}"

    def aggregation(self, source, columns, where, unique):
        rng = self.rng
        usable = [a for a in AGGREGATES if "id" not in a or "id," not in a and ", id" not in a or unique]
        aggregates = []
        for _ in range(rng.randrange(1, 4)):
            text = rng.choice(usable)
            if unique:
                text = text.replace(", id", f", {unique}")
            aggregates.append(self.made.fill(text, columns, 2))
        keys = [self.made.write("key", columns, 2) for _ in range(rng.randrange(0, 3))]
        text = f"SELECT {', '.join(keys + aggregates)} FROM {source}{where}"
        if keys:
            group = ", ".join(keys)
            text += " GROUP BY " + rng.choice([group] * 8 + [f"ROLLUP({group})", f"CUBE({group})", f"{group} WITH TOTALS", f"GROUPING SETS (({group}), ())"])
        if self.chance(20):
            text += f" HAVING {self.made.fill(rng.choice(['count() > 1', 'sum({int}) > 3', 'min({str}) != {lit_str}'.replace('{lit_str}', chr(39) * 2)]), columns, 1)}"
        return text

    def window(self, source, columns, where, unique):
        text = self.rng.choice(WINDOWS)
        part = f"PARTITION BY {self.made.write('key', columns, 1)} " if self.chance(50) else ""
        text = text.replace("{part_only}", part).replace("{part}", part).replace("{ids}", unique)
        items = self.made.fill(text, columns, 1)
        if self.chance(20):
            return f"SELECT {unique}, {items} AS w FROM {source}{where} QUALIFY w = {self.rng.choice(['1', '2', 'w'])}"
        if self.chance(30):
            more = self.rng.choice(["row_number() OVER w", "sum({int}) OVER w", "max({str}) OVER w", "count() OVER (w ROWS 1 PRECEDING)"])
            items += f", {self.made.fill(more, columns, 1)}"
            where += f" WINDOW w AS (ORDER BY {unique})"
        return f"SELECT {unique}, {items} FROM {source}{where}"

    def set_operation(self):
        rng = self.rng
        kinds = [rng.choice(KEYS) for _ in range(rng.randrange(1, 3))]
        parts = []
        for _ in range(rng.randrange(2, 4)):
            table = rng.choice(self.tables)
            items = ", ".join(CASTS.get(k, "{}").format(self.made.write(k, table.columns, 2)) for k in kinds)
            parts.append(f"SELECT {items} FROM {table.name}" + (f" WHERE {self.made.write('bool', table.columns, 2)}" if self.chance(50) else ""))
        operators = ["UNION ALL", "UNION DISTINCT", "INTERSECT", "EXCEPT", "UNION ALL"]
        text = parts[0] + "".join(f" {rng.choice(operators)} {p}" for p in parts[1:])
        if self.chance(20):
            return f"SELECT count(), {rng.choice(['uniqExact(*)', 'count(*)', '1'])} FROM ({text})"
        return text


ANSWER_MAX = 50_000_000
LIMITS = {"max_memory_usage": 1000000000, "max_execution_time": 10, "max_result_bytes": 20000000}


class Sides:
    def __init__(self, url):
        self.url = url
        self.session = Session()
        # What the tables of the moment were made with.
        self.created = ""
        # `max(x + 1)` of nothing is 1 with it, 0 without.
        self.session.query("SET optimize_arithmetic_operations_in_aggregate_functions = 0")
        self.session.query("SET allow_suspicious_low_cardinality_types = 1")
        # A shrunk query may ask for more than the machine has.
        self.session.query(f"SET {', '.join(f'{k} = {v}' for k, v in LIMITS.items())}")

    def theirs(self, query):
        try:
            return self.session.query(query, "TabSeparatedWithNamesAndTypes").bytes().decode("utf-8", "replace")
        except Exception as error:
            # What a failed query has written already stands before the next answer, else.
            self.session.query("SELECT 1")
            code = re.search(r"Code: (\d+)", str(error))
            return int(code.group(1)) if code else 0

    def create(self, statements):
        """Runs statements on both sides, and there once more without LowCardinality; yields their answers."""
        self.created = " ".join(statements)
        self.session.query("CREATE DATABASE IF NOT EXISTS plain")
        for statement in statements:
            yield statement, self.theirs(statement), self.ours(statement)
            self.theirs_in_plain_tables(re.sub(r"LowCardinality\(((?:[^()]|\([^()]*\))*)\)", r"\1", statement))

    def theirs_in_plain_tables(self, query):
        self.session.query("USE plain")
        try:
            return self.theirs(query)
        finally:
            self.session.query("USE default")

    def ours(self, query):
        limits = "".join(f"&{k}={v}" for k, v in LIMITS.items())
        url = f"{self.url}/?default_format=TabSeparatedWithNamesAndTypes{limits}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=query.encode()), timeout=20) as answer:
                text = answer.read(ANSWER_MAX + 1)
                if len(text) > ANSWER_MAX:
                    print(f"an answer of more than {ANSWER_MAX} bytes: {query}", file=sys.stderr)
                return text.decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            code = error.headers.get("X-ClickHouse-Exception-Code")
            return int(code or 0)
        except OSError as error:
            print(f"no answer ({error}): {query}", file=sys.stderr)
            return -1


def difference(query, theirs, ours):
    """How the answers differ; None if they agree."""
    if isinstance(theirs, int) or isinstance(ours, int):
        if theirs == ours:
            return None
        if isinstance(theirs, int) and isinstance(ours, int):
            return f"codes {theirs} {ours}"
        return f"ClickHouse {theirs}" if isinstance(theirs, int) else f"ours {ours}"
    # Subqueries that are folded away are counted differently.
    theirs, ours = (re.sub(r"_subquery_\d+", "_subquery", text) for text in (theirs, ours))
    if theirs == ours:
        return None
    a, b = theirs.split("\n"), ours.split("\n")
    if re.search(r"Variant|Dynamic|JSON", a[1] if len(a) > 1 else ""):
        return None
    if a and a[0] == "" and sorted(a) == sorted(b):
        # An empty result's totals come before its header there.
        return None
    if a[:1] != b[:1]:
        return "names"
    if a[1:2] != b[1:2]:
        return "types"
    ordered = " LIMIT " in query
    if ordered and "ORDER BY" not in query:
        return None if len(a) == len(b) else "rows"
    return None if not ordered and sorted(a) == sorted(b) else "rows"


# Whether the error of a row that a filter, a branch, a NULL or a join makes unneeded is raised depends on them.
# `SELECT l.number FROM numbers(3) l JOIN (SELECT number + 10 AS number FROM numbers(3)) r ON l.number = r.number
# WHERE intDiv(1, l.number)` fails with the last one alone.
ORDERS = [
    "query_plan_filter_push_down = 0",
    "query_plan_enable_optimizations = 0",
    "short_circuit_function_evaluation = 'disable'",
    "short_circuit_function_evaluation_for_nulls = 0",
    "optimize_move_to_prewhere = 0",
    "enable_multiple_prewhere_read_steps = 0",
    "query_plan_join_swap_table = 'true'",
    "query_plan_lift_up_array_join = 0",
    "query_plan_merge_filters = 0",
    "query_plan_execute_functions_after_sorting = 0",
    "optimize_rewrite_aggregate_function_with_if = 0",
    "optimize_functions_to_subcolumns = 0",
    "optimize_use_projections = 0, optimize_trivial_count_query = 0",
]


def excused(sides, query, theirs, ours):
    """The reason in `docs/differences.md` that a difference has, if ClickHouse contradicts itself there; else None."""
    reasons = (
        unneeded_error,
        both_sides,
        unread_columns,
        dictionary_of_defaults,
        null_as_its_value,
        null_in_minimum,
        equal_rows,
        columns_of_one_name,
        branches_as_keys,
    )
    return next((reason.__name__ for reason in reasons if reason(sides, query, theirs, ours)), None)


def unneeded_error(sides, query, theirs, ours):
    """One side alone fails, and ClickHouse does what ours did as soon as it plans otherwise."""
    if isinstance(theirs, int) == isinstance(ours, int):
        return False
    for order in ORDERS:
        other = query + (", " if " SETTINGS " in query else " SETTINGS ") + order
        answer = sides.theirs(other)
        if answer != 115 and difference(query, answer, ours) is None:
            return True
    return False


def both_sides(sides, query, theirs, ours):
    """Both sides of INTERSECT and EXCEPT are computed here, also if one alone decides."""
    if not isinstance(ours, int) or isinstance(theirs, int) or not re.search("INTERSECT|EXCEPT", query):
        return False
    return sides.theirs(re.sub("INTERSECT|EXCEPT", "UNION ALL", query)) == ours


def unread_columns(sides, query, theirs, ours):
    """It takes away columns that nobody reads from some of the parts; here all are read."""
    counted = re.fullmatch(r"SELECT count\(\), (?:count\(\*\)|1) FROM \((.*)\)", query)
    if theirs != 53 or isinstance(ours, int) or not counted or "UNION" not in query:
        return False
    if not re.search("INTERSECT|EXCEPT", query):
        return False
    whole = f"SELECT count(), uniqExact(*) FROM ({counted.group(1)})"
    return difference(whole, sides.theirs(whole), sides.ours(whole)) is None


def dictionary_of_defaults(sides, query, theirs, ours):
    """A function of a LowCardinality is computed over its dictionary, in which the type's default stands, too:
    `SELECT bitShiftLeft(CAST(number, 'LowCardinality(UInt16)'), -1) FROM numbers(1) WHERE 0` fails (69), and does
    not with `UInt16`. ROLLUP shows what the function makes of that default. So the same query over the same rows in
    tables without LowCardinality is asked; names and types must agree as they are."""
    if isinstance(ours, int) or not isinstance(theirs, int) and theirs.split("\n")[:2] != ours.split("\n")[:2]:
        return False
    if "LowCardinality" not in sides.created:
        return False
    answer = sides.theirs_in_plain_tables(query)
    if isinstance(answer, int):
        return False
    plain = lambda text: re.sub(r"LowCardinality\(((?:[^()]|\([^()]*\))*)\)", r"\1", text)
    lines = ours.split("\n")
    return difference(query, plain(answer), "\n".join(lines[:1] + [plain(l) for l in lines[1:2]] + lines[2:])) is None


def null_as_its_value(sides, query, theirs, ours):
    """hasAll, hasAny, hasSubstr and `has` of an array that is not constant see what lies under a NULL:
    `hasAll([nullIf(5, 5)], [5])` is 1 there, and `hasAll([nullIf(5, 5)], [0])` is 0. A null-safe comparison sees
    NULLs, so the same is asked with it."""
    if isinstance(theirs, int) or isinstance(ours, int) or not re.search(r"\bhas(All|Any)?\(", query):
        return False
    if "NULL" not in query and "Nullable" not in sides.created:
        return False
    answer = sides.theirs(null_safe(query))
    if isinstance(answer, int):
        return False
    # Its names are others.
    nameless = lambda text: "\n".join([""] + text.split("\n")[1:])
    return difference(query, nameless(answer), nameless(ours)) is None


def null_safe(query):
    """The calls of has, hasAll and hasAny by null-safe comparisons."""
    tokens = TOKEN.findall(query)
    at = len(tokens)
    while at > 0:
        at -= 1
        if tokens[at] not in ("has", "hasAll", "hasAny") or tokens[at + 1 : at + 2] != ["("]:
            continue
        for start, end, pieces in spans(tokens):
            if start == at + 1 and len(pieces) == 2:
                left, right = (" ".join(tokens[l + 1 : r]) for l, r in pieces)
                # Equal calls stay equal, as GROUP BY needs it.
                name = zlib.crc32(f"{left},{right}".encode())
                one = lambda item: f"arrayExists(one{name} -> isNotDistinctFrom(one{name}, {item}), {left})"
                every = f"array{tokens[at][3:].replace('Any', 'Exists')}(each{name} -> {one(f'each{name}')}, {right})"
                made = one(right) if tokens[at] == "has" else every
                tokens[at:end] = TOKEN.findall(f"toUInt8({made})")
                break
    return " ".join(tokens)


def null_in_minimum(sides, query, theirs, ours):
    """Of tuples with a NULL inside, the NULL wins `min` in a block of several groups and does not in a block of
    one: `SELECT min((n, 1)) FROM t` and `SELECT min((n, 1)) FROM t GROUP BY toString(id % 1)` are not the same over
    the rows 5 and NULL. Here it never wins; all other columns must agree."""
    if isinstance(theirs, int) or isinstance(ours, int) or "min(" not in query:
        return False
    a, b = ([line.split("\t") for line in text.split("\n")] for text in (theirs, ours))
    if len(a) < 2 or a[:2] != b[:2] or len(a[0]) != len(a[1]):
        return False
    least = [name.startswith("min(") and kind.startswith(("Tuple(", "Array(")) and "Nullable" in kind for name, kind in zip(*a[:2])]
    if not any(least) or not any("NULL" in cell for line in a[2:] for cell, is_least in zip(line, least) if is_least):
        return False
    others = lambda rows: "\n".join("\t".join(c for c, is_least in zip(row, least + [False] * len(row)) if not is_least) for row in rows)
    return difference(query, others(a), others(b)) is None


def equal_rows(sides, query, theirs, ours):
    """NaNs of different sign are different there, so that DISTINCT keeps both: `SELECT DISTINCT arrayJoin([nan, -nan])`
    has a row twice. Asked for the texts of its own distinct rows, it must have ours."""
    if isinstance(theirs, int) or isinstance(ours, int) or "DISTINCT " not in query or "nan" not in theirs:
        return False
    whole = theirs.split("\n")[2:-1]
    if len(whole) == len(set(whole)):
        return False
    answer = sides.theirs(f"SELECT DISTINCT * APPLY(x -> toString(x)) FROM ({query})")
    rows = lambda text: "\n".join(["", ""] + text.replace("\\'", "'").split("\n")[2:])
    return not isinstance(answer, int) and difference("", rows(answer), rows(ours)) is None


def columns_of_one_name(sides, query, theirs, ours):
    """UNION DISTINCT compares columns by name, so that of two with one name the first alone counts there:
    `SELECT 'a', 'a' UNION DISTINCT SELECT 'a', 'b'` is one row. So the same is asked with names."""
    if isinstance(theirs, int) or isinstance(ours, int) or "UNION DISTINCT" not in query:
        return False
    counted = re.fullmatch(r"SELECT count\(\), \S+ FROM \((.*)\)", query)
    if counted:
        whole = counted.group(1)
        return columns_of_one_name(sides, whole, sides.theirs(whole), sides.ours(whole))
    names = theirs.split("\n")[0].split("\t")
    if len(names) == len(set(names)):
        return False
    tokens = TOKEN.findall(query)
    named, depth, count = [], 0, 0
    for token in tokens:
        depth += (token in OPEN) - (token in CLOSE)
        ends = depth == 0 and token in (",", "FROM") and count < len(names)
        named += [f"AS n{count}"] * ends + [token]
        count += ends
    answer = sides.theirs(" ".join(named))
    rows = lambda text: "\n".join([""] + text.split("\n")[1:])
    return not isinstance(answer, int) and difference("", rows(answer), rows(ours)) is None


def branches_as_keys(sides, query, theirs, ours):
    """With group_by_use_nulls a key `if(0, id = 10, false)` that is selected is an error (215, 10), and `if(NOT 0, false,
    id = 10)` is not. So the same is asked with branches exchanged; there both must agree, and with what ours said."""
    if theirs not in (10, 215) or isinstance(ours, int) or "group_by_use_nulls = 1" not in query:
        return False
    tokens = TOKEN.findall(query)
    for at in reversed([n for n, token in enumerate(tokens[:-1]) if token == "if" and tokens[n + 1] == "("]):
        for start, end, pieces in spans(tokens):
            if start == at + 1 and len(commas := list(cuts_of(tokens, start, end))) == 2:
                condition = tokens[start + 1 : commas[0]]
                yes, no = tokens[commas[0] + 1 : commas[1]], tokens[commas[1] + 1 : end - 1]
                tokens[start + 1 : end - 1] = ["NOT", "("] + condition + [")", ","] + no + [","] + yes
                break
    other = " ".join(tokens)
    answer = sides.theirs(other)
    if isinstance(answer, int) or difference(other, answer, sides.ours(other)) is not None:
        return False
    # The first branch decides between Bool and UInt8.
    plain = lambda text: re.sub(r"\bfalse\b", "0", re.sub(r"\btrue\b", "1", text.split("\n", 1)[1].replace("Bool", "UInt8")))
    return difference("", "\n" + plain(answer), "\n" + plain(ours)) is None


def cuts_of(tokens, start, end):
    """Places of the commas between the arguments of a call whose parentheses stand at `start` and before `end`."""
    depth = 0
    for at in range(start, end):
        depth += (tokens[at] in OPEN) - (tokens[at] in CLOSE)
        if depth == 1 and tokens[at] == ",":
            yield at


TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|[\w.]+|->|<=>|\|\||::|!=|>=|<=|\S")
OPEN, CLOSE = {"(", "["}, {")", "]"}


def spans(tokens):
    """Begin and end of all balanced pieces between separators."""
    found, stack = [], []
    for i, token in enumerate(tokens):
        if token in OPEN:
            stack.append((i, [i]))
        elif token in CLOSE and stack:
            start, cuts = stack.pop()
            cuts.append(i)
            found += [(start, i + 1, list(zip(cuts, cuts[1:])))]
        elif stack and token in (",", "=", "<", ">", "<=", ">=", "!=", "+", "-", "*", "/", "%", "AND", "OR", "||", "->", "BETWEEN", "IN"):
            stack[-1][1].append(i)
    return found


WORDS = {"SELECT", "FROM", "WHERE", "PREWHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "SETTINGS", "UNION", "EXCEPT", "INTERSECT", "WITH"}


def smaller(tokens):
    """Texts that are shorter: calls become arguments, items and clauses go, expressions become 1."""
    for start, end, pieces in spans(tokens):
        begin = start - 1 if start and re.fullmatch(r"[\w.]+", tokens[start - 1]) and tokens[start - 1] not in WORDS | {"AND", "OR", "IN", "BY", "ON", "NOT", "AS"} else start
        for left, right in pieces:
            inner = tokens[left + 1 : right]
            if inner and inner != tokens[begin:end]:
                yield tokens[:begin] + inner + tokens[end:]
        for left, right in pieces:
            if len(pieces) > 1:
                yield tokens[: left + (left == start)] + tokens[right + (left == start and tokens[right] not in CLOSE) :]
        for constant in ("1", "'a'", "NULL"):
            if end - begin > 1:
                yield tokens[:begin] + [constant] + tokens[end:]
    depth, tops = 0, []
    for i, token in enumerate(tokens):
        depth += (token in OPEN) - (token in CLOSE)
        if depth == 0 and (token in WORDS or token in (",", "AND", "OR")):
            tops.append(i)
    tops.append(len(tokens))
    for a, b in zip(tops, tops[1:]):
        if tokens[a] != "SELECT":
            yield tokens[:a] + tokens[b:]
        elif tokens[b : b + 1] == [","]:
            yield tokens[: a + 1] + tokens[b + 1 :]
    for i, token in enumerate(tokens):
        if re.fullmatch(r"\w+\.?\w*", token) and token not in WORDS and not token.endswith(("1", "BY", "id", "number")):
            yield tokens[:i] + ["1"] + tokens[i + 1 :]
        yield tokens[:i] + tokens[i + 1 :]


def determined(text):
    """Whether the rows that LIMIT leaves are the same everywhere: what it sorts by ends in an id."""
    limit = re.search(r"LIMIT|PARTITION BY|OVER", text)
    return not limit or re.search(r"ORDER BY [^)]*\b(id|number)\b", text) is not None


def shrink(sides, query, kind, tries=150):
    tokens = TOKEN.findall(query)
    progress = True
    while progress and tries > 0:
        progress = False
        for candidate in sorted(smaller(tokens), key=len):
            if len(candidate) > len(tokens) or candidate == tokens or tries <= 0:
                continue
            if len(candidate) == len(tokens) and candidate.count("1") <= tokens.count("1"):
                continue
            text = " ".join(candidate)
            if not determined(text):
                continue
            tries -= 1
            if difference(text, sides.theirs(text), sides.ours(text)) == kind:
                tokens, progress = candidate, True
                break
    return " ".join(tokens)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("--queries", type=int, default=400)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--report", default="-")
    arguments.add_argument("--shrink", type=int, default=100)
    arguments.add_argument("--allow-percent", type=float, default=0, help="disagreements that are no failure")
    chosen = arguments.parse_args()
    rng = random.Random(chosen.seed)
    sides = Sides(chosen.url)
    out = sys.stdout if chosen.report == "-" else open(chosen.report, "w", buffering=1)
    counts, shrunk = collections.Counter(), 0
    per_schema = max(20, min(400, chosen.queries // 50))
    asked = 0
    while asked < chosen.queries:
        tables = [Table(rng, f"t{n}") for n in range(3)]
        statements = [s for t in tables for s in [f"DROP TABLE IF EXISTS {t.name}"] + t.statements]
        for statement, *pair in sides.create(statements):
            if isinstance(pair[0], int) or isinstance(pair[1], int):
                print(f"setup {pair}: {statement}", file=out)
                counts["setup"] += 1
        queries = Queries(rng, tables)
        for _ in range(per_schema):
            query = queries.query()
            asked += 1
            theirs, ours = sides.theirs(query), sides.ours(query)
            kind = difference(query, theirs, ours)
            if kind is not None:
                # Neither side may be blamed for a moment's trouble.
                theirs, ours = sides.theirs(query), sides.ours(query)
                kind = difference(query, theirs, ours)
            reason = kind and excused(sides, query, theirs, ours)
            if reason:
                kind, counts["excused"] = None, counts["excused"] + 1
                print(f"excused, {reason}: {query}", file=out)
            counts[(kind or "same").split(" ")[0]] += 1
            counts["errors on both sides"] += isinstance(theirs, int) and isinstance(ours, int)
            if kind is None or (kind.startswith("codes") and counts["codes"] > 60):
                continue
            small = query
            if shrunk < chosen.shrink:
                shrunk += 1
                small = shrink(sides, query, kind)
            theirs, ours = sides.theirs(small), sides.ours(small)
            print(f"{kind}: {small}", file=out)
            if small != query:
                print(f"    of: {query}", file=out)
            if kind in ("rows", "types", "names"):
                schema = "; ".join(s for t in tables for s in t.statements[:1] if t.name in small)
                print(f"    ClickHouse: {str(theirs)[:300]!r}\n    ours:       {str(ours)[:300]!r}\n    {schema}", file=out)
    different = sum(counts[k] for k in ("rows", "types", "names", "ClickHouse", "ours", "setup"))
    print(f"{asked} queries, {different} disagree, {counts['codes']} have other error codes: {dict(counts)}")
    if different > asked * chosen.allow_percent / 100:
        sys.exit(1)


if __name__ == "__main__":
    main()
