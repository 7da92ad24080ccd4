"""Mutated statements through our parser and ClickHouse's: is the text a statement, and how is it printed?

Statements of tests/sql and seeds.sql are cut into tokens; tokens are dropped, doubled, swapped, replaced,
put into parentheses; clauses change places; statements are spliced. `formatQuerySingleLineOrNull` of both
sides is compared. Differences are shrunk, token by token, and printed in groups of one form.

    parser.py URL [--count N] [--seed S] [--report FILE] [--valid PERCENT] [--text PERCENT]

It fails when fewer than these percents agree, or when the server does not answer.
"""

import argparse
import collections
import glob
import json
import os
import random
import re
import sys
import tempfile
import urllib.parse
import urllib.request

from chdb.session import Session

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|`[^`]*`|\"[^\"]*\"|\$\w*\$.*?\$\w*\$"
    r"|\d+\.?\d*(?:[eE][+-]?\d+)?|\w+|<=>|->|::|\|\||==|!=|<>|<=|>=|@@|\S",
    re.S,
)
CLAUSES = (
    "WITH SELECT FROM PREWHERE WHERE GROUP HAVING WINDOW QUALIFY ORDER LIMIT OFFSET SETTINGS FORMAT UNION "
    "EXCEPT INTERSECT ENGINE PARTITION PRIMARY SAMPLE TTL COMMENT AS VALUES JOIN LEFT ARRAY USING ON"
).split()
EXTRA = (
    "1 0 -1 1.5 'x' '' NULL true x `x` \"x\" ( ) [ ] { } , . ; : ? + - * / % = < > || :: -> @ ! ^ ~ & $ \\ "
    "AND OR NOT IN IS LIKE BETWEEN CASE WHEN THEN ELSE END INTERVAL DAY AS DISTINCT ALL BY ASC DESC NULLS "
    "FIRST LAST FINAL OVER FILTER APPLY REPLACE COLUMNS /**/ --x # DATE TIMESTAMP CAST EXTRACT TRIM SUBSTRING "
    "EXISTS ANY GLOBAL IF ON CLUSTER TABLE DATABASE TEMPORARY count(*) (SELECT 1) {a:UInt8} 0x1 1e5 "
    "inf nan tuple() [] INTO OUTFILE"
).split(" ")


def statements(path):
    lines = [line for line in open(path).read().split("\n") if not line.strip().startswith("--")]
    return [s.strip().rstrip(";") for s in "\n".join(lines).split(";\n") if s.strip()]


def corpus():
    found = statements(os.path.join(HERE, "seeds.sql"))
    for path in sorted(glob.glob(os.path.join(HERE, "../sql/*.sql"))):
        found += statements(path)
    # Texts that are not UTF-8 are printed as bytes by ClickHouse, escaped by us.
    return [s for s in dict.fromkeys(found) if len(s) < 1500 and not re.search(r"\\x[89a-fA-F]", s)]


def tokens_of(text):
    return TOKEN.findall(text)


def text_of(tokens):
    """Blanks only where tokens would run together, so that `a.1` stays what it is."""
    out = []
    for token in tokens:
        if token.startswith("--") or token.startswith("#"):
            token += "\n"
        if out and (out[-1][-1:].isalnum() or out[-1][-1:] in "_'`\"$") and (
            token[:1].isalnum() or token[:1] in "_'`\"$"
        ):
            out.append(" ")
        elif out and token not in (".", "(", ")", ",", "[", "]", "::") and out[-1] not in (".", "(", "[", "::"):
            out.append(" ")
        out.append(token)
    return "".join(out)


class Mutator:
    def __init__(self, rng, sources):
        self.rng = rng
        self.sources = [t for t in map(tokens_of, sources) if t]
        self.words = collections.Counter(t for tokens in self.sources for t in tokens)
        self.pool = [w for w in self.words if len(w) < 40]

    def any_token(self):
        rng = self.rng
        if rng.random() < 0.5:
            return rng.choice(EXTRA)
        return rng.choice(self.pool)

    def clause_starts(self, tokens):
        return [i for i, t in enumerate(tokens) if t.upper() in CLAUSES]

    def mutate(self, tokens):
        rng, tokens = self.rng, list(tokens)
        if not tokens:
            return tokens
        at = rng.randrange(len(tokens))
        kind = rng.randrange(15)
        if kind in (0, 1):
            del tokens[at]
        elif kind == 2:
            tokens.insert(at, tokens[at])
        elif kind == 3:
            to = min(len(tokens) - 1, at + rng.randrange(1, 4))
            tokens[at], tokens[to] = tokens[to], tokens[at]
        elif kind in (4, 5):
            tokens[at] = self.any_token()
        elif kind == 6:
            tokens.insert(at, self.any_token())
        elif kind == 7:
            other = rng.choice(self.sources)
            tokens = tokens[:at] + other[rng.randrange(len(other)) :]
        elif kind == 8:
            other = rng.choice(self.sources)
            start = rng.randrange(len(other))
            tokens[at:at] = other[start : start + rng.randrange(1, 8)]
        elif kind == 9:
            starts = self.clause_starts(tokens)
            if len(starts) > 2:
                a, b = sorted(rng.sample(range(len(starts)), 2))
                bounds = starts + [len(tokens)]
                pieces = [tokens[bounds[i] : bounds[i + 1]] for i in range(len(starts))]
                pieces[a], pieces[b] = pieces[b], pieces[a]
                tokens = tokens[: starts[0]] + [t for piece in pieces for t in piece]
        elif kind == 10:
            end = min(len(tokens), at + rng.randrange(1, 6))
            tokens[at:end] = ["("] + tokens[at:end] + [")"]
        elif kind == 11:
            word = tokens[at]
            tokens[at] = rng.choice([word.upper(), word.lower(), f"`{word}`", f'"{word}"', f"'{word}'"])
            if any(c in word for c in "'`\"\\"):
                tokens[at] = word
        elif kind == 12:
            tokens.insert(at, rng.choice(["/* c */", "-- c\n", "\n", "\t", "/**/"]))
        elif kind == 13:
            words = [i for i, t in enumerate(tokens) if re.fullmatch(r"[\d.]+|'.*'|[a-z]\w*", t, re.S)]
            if words:
                at = rng.choice(words)
                tokens[at] = rng.choice(["1", "-1", "'s'", "x", "f(x)", "x.y", "NULL", "(1, 2)", "[1]", "x AS y", "1.", "1e3"])
        else:
            end = min(len(tokens), at + rng.randrange(1, 6))
            del tokens[at:end]
        return tokens

    def make(self):
        tokens = self.rng.choice(self.sources)
        for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3])):
            tokens = self.mutate(tokens)
        return tokens[:400]


class Sides:
    """Both parsers, asked about many texts at once."""

    def __init__(self, url):
        self.url = url
        self.session = Session()
        self.session.query("SET implicit_select = 0")
        self.file = os.path.join(tempfile.mkdtemp(prefix="pumphouse-fuzz-"), "texts.json")

    def ask(self, query, body=b"", timeout=120):
        url = self.url + "/?" + urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=timeout) as answer:
            return answer.read().decode()

    def formatted(self, texts):
        """Pairs (ClickHouse's, ours) of printed text or None."""
        rows = "\n".join(json.dumps({"i": i, "q": q}) for i, q in enumerate(texts))
        with open(self.file, "w") as out:
            out.write(rows)
        columns = "i, toValidUTF8(formatQuerySingleLineOrNull(q)) AS r"
        theirs = self.session.query(
            f"SELECT {columns} FROM file('{self.file}', 'JSONEachRow', 'i UInt32, q String') "
            "SETTINGS max_threads = 1, input_format_parallel_parsing = 0",
            "JSONCompactEachRow",
        )
        self.ask("CREATE OR REPLACE TABLE fuzzed (i UInt32, q String) ENGINE = Memory")
        self.ask("INSERT INTO fuzzed FORMAT JSONEachRow", rows.encode())
        ours = self.ask(f"SELECT {columns} FROM fuzzed FORMAT JSONCompactEachRow")
        found = [[None, None] for _ in texts]
        for side, text in enumerate((str(theirs), ours)):
            lines = text.splitlines()
            assert len(lines) == len(texts), f"{len(lines)} answers for {len(texts)} texts"
            for line in lines:
                index, value = json.loads(line)
                found[index][side] = value
        return found


def kind_of(theirs, ours):
    if theirs == ours:
        return None
    if ours is None:
        return "refused"
    return "accepted" if theirs is None else "text"


def shrink(sides, cases):
    """Shortens all cases together, as long as each keeps its kind of difference."""
    sizes = [max(1, len(tokens) // 2) for tokens, _ in cases]
    done = [False] * len(cases)
    for _ in range(60):
        tried = []
        for n, (tokens, _) in enumerate(cases):
            if done[n]:
                continue
            for at in range(0, len(tokens), sizes[n]):
                tried.append((n, tokens[:at] + tokens[at + sizes[n] :]))
        if not tried:
            break
        changed = set()
        for part in range(0, len(tried), 20000):
            slice_ = tried[part : part + 20000]
            for (n, tokens), pair in zip(slice_, sides.formatted([text_of(t) for _, t in slice_])):
                if n not in changed and tokens and kind_of(*pair) == cases[n][1]:
                    cases[n] = (tokens, cases[n][1])
                    changed.add(n)
        for n in range(len(cases)):
            if not done[n] and n not in changed:
                done[n] = sizes[n] == 1
                sizes[n] = max(1, sizes[n] // 2)
    return cases


def form_of(tokens, keywords):
    """The text with names and literals made alike, to find differences of one cause."""
    out = []
    for token in tokens:
        if token[0].isdigit():
            token = "1"
        elif token[0] == "'":
            token = "'s'"
        elif re.match(r"\w", token):
            token = token.upper() if token.upper() in keywords else "x"
        out.append(token)
    return " ".join(out)


def report(sides, differing, out, keywords):
    cases = shrink(sides, [(tokens_of(text), kind) for text, kind in differing])
    groups = collections.defaultdict(list)
    for tokens, kind in cases:
        groups[(kind, form_of(tokens, keywords))].append(text_of(tokens))
    ranked = sorted(groups.items(), key=lambda g: -len(g[1]))
    examples = sides.formatted([texts[0] for _, texts in ranked])
    for ((kind, _), texts), (theirs, ours) in zip(ranked, examples):
        print(f"{len(texts):5} {kind}: {texts[0]!r}", file=out)
        if kind == "text":
            print(f"        ClickHouse: {theirs!r}\n        ours:       {ours!r}", file=out)
        elif kind == "refused":
            print(f"        ClickHouse: {theirs!r}", file=out)
        else:
            print(f"        ours:       {ours!r}", file=out)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("--count", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--report", default="-")
    arguments.add_argument("--shrink", type=int, default=300, help="differences that are shrunk")
    arguments.add_argument("--valid", type=float, default=99.5)
    arguments.add_argument("--text", type=float, default=99.0)
    chosen = arguments.parse_args()
    sources = corpus()
    mutator = Mutator(random.Random(chosen.seed), sources)
    keywords = {w.upper() for w in mutator.words if w.isupper()}
    sides = Sides(chosen.url)
    counts, differing = collections.Counter(), []
    made = 0
    while made < chosen.count:
        texts = sources if made == 0 else []
        texts = texts + [text_of(mutator.make()) for _ in range(min(20000, chosen.count - made))]
        made += len(texts)
        for text, (theirs, ours) in zip(texts, sides.formatted(texts)):
            kind = kind_of(theirs, ours)
            counts[kind] += 1
            counts["valid"] += theirs is not None and ours is not None
            if kind:
                differing.append((text, kind))
    total = sum(counts[k] for k in (None, "refused", "accepted", "text"))
    valid = 100 * (1 - (counts["refused"] + counts["accepted"]) / total)
    text = 100 * (1 - counts["text"] / max(1, counts["valid"]))
    print(
        f"{total} statements, {counts['valid']} valid on both sides; validity equal {valid:.2f} %, text equal "
        f"{text:.2f} % of these; refused {counts['refused']}, accepted {counts['accepted']}, text {counts['text']}"
    )
    out = sys.stdout if chosen.report == "-" else open(chosen.report, "w")
    if differing and chosen.shrink:
        random.Random(1).shuffle(differing)
        report(sides, differing[: chosen.shrink], out, keywords)
    if valid < chosen.valid or text < chosen.text:
        sys.exit(1)


if __name__ == "__main__":
    main()
