#!/usr/bin/env python3
"""Makes <family>.tsv from <family>.txt: what the reference engine answers to each expression.

Each line of a .txt file is one SQL expression. Each line of the .tsv is the expression, its type and
its text; or the expression, `ERROR` and the error code. Text is escaped (\\\\, \\n, \\t), NULL is `\\N`.
Needs the Python package chdb; the tests need only the .tsv files.
Usage: generate.py [family ...]
"""
import pathlib
import re
import sys

from chdb import session

HERE = pathlib.Path(__file__).parent


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescape(text):
    plain = {"n": "\n", "t": "\t", "0": "\0", "b": "\b", "f": "\f", "r": "\r"}
    return re.sub(r"\\(.)", lambda m: plain.get(m.group(1), m.group(1)), text, flags=re.S)


def answers(engine, expressions):
    """One query for many expressions; halves where one of them fails."""
    items = ", ".join(f"toTypeName({e}), {e}" for e in expressions)
    try:
        row = engine.query(f"SELECT {items}", "TSV").bytes().decode("utf-8", "replace")
    except Exception as error:
        if len(expressions) == 1:
            code = re.search(r"Code: (\d+)", str(error))
            return [["ERROR", code.group(1) if code else "?"]]
        half = len(expressions) // 2
        return answers(engine, expressions[:half]) + answers(engine, expressions[half:])
    fields = row.removesuffix("\n").split("\t")
    out = []
    for name, text in zip(fields[::2], fields[1::2]):
        name = re.sub(r"\(\s+", "(", re.sub(r",\s+", ", ", unescape(name)))
        out.append([escape(name), text if text == "\\N" else escape(unescape(text))])
    return out


def main():
    families = sys.argv[1:] or [p.stem for p in sorted(HERE.glob("*.txt"))]
    engine = session.Session()
    for family in families:
        lines = (HERE / f"{family}.txt").read_text().splitlines()
        expressions = list(dict.fromkeys(l for l in lines if l.strip() and not l.startswith("#")))
        with open(HERE / f"{family}.tsv", "w") as out:
            for start in range(0, len(expressions), 32):
                batch = expressions[start : start + 32]
                for expression, answer in zip(batch, answers(engine, batch)):
                    out.write("\t".join([expression, *answer]) + "\n")
        print(family, len(expressions))


if __name__ == "__main__":
    main()
