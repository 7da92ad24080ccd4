"""Writes the golden answers of the .sql files here, as the real engine (chdb) gives them.

Each .sql file holds one query a line; `#` begins a comment. `tables.sql` holds `name: SELECT …`, the
tables that queries read (their rows go to `name.rows`). The golden file repeats each query behind `>> ` and gives either the result
as TSVWithNamesAndTypes or `ERR code message`. Run: python3 generate.py [file.sql …]
"""

import pathlib
import re
import sys

from chdb import session

here = pathlib.Path(__file__).parent


def lines(path):
    for line in path.read_text().splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


def main():
    chosen = [pathlib.Path(p) for p in sys.argv[1:]] or sorted(here.glob("*.sql"))
    s = session.Session()
    s.query("CREATE DATABASE IF NOT EXISTS default")
    for line in lines(here / "tables.sql"):
        name, query = line.split(": ", 1)
        s.query(f"CREATE TABLE {name} ENGINE = Memory AS {query}")
        rows = s.query(f"SELECT * FROM {name}", "TSVWithNamesAndTypes")
        (here / f"{name}.rows").write_text(str(rows))
    for path in chosen:
        if path.name == "tables.sql":
            continue
        out = []
        for query in lines(path):
            out.append(">> " + query)
            try:
                out.append(str(s.query(query, "TSVWithNamesAndTypes")).rstrip("\n"))
            except Exception as e:
                match = re.search(r"Code: (\d+)\. DB::Exception: (.*)", str(e).split("\n")[0])
                code, message = match.groups() if match else ("0", str(e))
                out.append(f"ERR {code} {message}")
        path.with_suffix(".golden").write_text("\n".join(out) + "\n")


main()
