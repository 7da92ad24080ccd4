#!/usr/bin/env python3
"""The joins bench: TPC-H's 22 queries and the Star Schema Benchmark's 13, against ClickHouse (chdb) and DuckDB.

The same Parquet files are loaded into all three (MergeTree tables in the first two, two threads each, warm, result
caches off); then every query runs in turn on each engine, several tries, the fastest counts. Our times include HTTP.
The ratio of a query is our time to the better peer's, both plus 10 ms; their geometric mean is what counts. Answers
must be equal: floats to 1e-9 of their size, decimals that ClickHouse cuts (division) to their last digit.

  python3 benches/joins/run.py [--scale 1] [--tries 3] [--sets tpch,ssb] [--only tpch:5,ssb:2.1] [--engines pumphouse,chdb,duckdb]
                               [--settings max_memory_usage=300000000]

Needs: a build of pumphouse (`--profile dist`), and the Python packages chdb, duckdb, pyarrow, numpy, tpchgen-cli. Data is kept
below target/joins-<scale> for the next run; remove it to load anew.
"""
import argparse, importlib.util, json, math, os, subprocess, sys, time, urllib.parse, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import tables

spec = importlib.util.spec_from_file_location("hits_run", os.path.join(HERE, "..", "hits", "run.py"))
hits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hits)

# Rows that a peer gives back, at most.
PEER_ROWS = 2000
DUCK = {"Int32": "INTEGER", "Int64": "BIGINT", "String": "VARCHAR", "Date": "DATE", "Decimal(15, 2)": "DECIMAL(15, 2)"}


def ddl(which, name, codec):
    key, columns = tables.SETS[which][name]
    listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    return f"CREATE TABLE {which}.{name} ({listed}) ENGINE = MergeTree ORDER BY ({key}) SETTINGS default_compression_codec = '{codec}'"


class Pumphouse(hits.Pumphouse):
    settings = {}
    database = "default"

    def use(self, which):
        self.send(f"CREATE DATABASE IF NOT EXISTS {which}")
        self.database = which

    def send(self, sql, body=None, settings=None):
        given = {"query": sql, "database": self.database, "max_threads": hits.THREADS, "use_query_cache": 0, "use_query_condition_cache": 0,
                 "join_use_nulls": 1, **(settings or {})}
        address = f"http://127.0.0.1:{self.port}/?{urllib.parse.urlencode(given)}"
        request = urllib.request.Request(address, data=body if body is not None else b"")
        try:
            return urllib.request.urlopen(request, timeout=3600).read()
        except urllib.error.HTTPError as e:
            raise RuntimeError(e.read().decode(errors="replace")[:300]) from None

    def query(self, sql):
        began = time.perf_counter()
        text = self.send(sql + " FORMAT TabSeparated", settings=self.settings)
        return time.perf_counter() - began, [line.split("\t") for line in text.decode(errors="replace").splitlines()]

    def is_loaded(self, table):
        return b"1" == self.send(f"EXISTS TABLE {table}").strip() and self.send(f"SELECT count() FROM {table}").strip() != b"0"

    def load(self, which, name, file, codec):
        table = f"{which}.{name}"
        self.send(f"DROP TABLE IF EXISTS {table}")
        self.send(ddl(which, name, codec))
        self.send(f"INSERT INTO {table} FORMAT Parquet", open(file, "rb").read())
        self.send(f"OPTIMIZE TABLE {table} FINAL")


class Peer(hits.Peer):
    def use(self, which):
        self.query(f"CREATE {'DATABASE' if self.name == 'chdb' else 'SCHEMA'} IF NOT EXISTS {which}")
        self.query(f"USE {which}")
        if self.name == "chdb":
            self.query("SET join_use_nulls = 1")

    def is_loaded(self, table):
        try:
            return self.query(f"SELECT count(*) FROM {table}")[1][0][0] != "0"
        except RuntimeError:
            return False

    def load(self, which, name, file, codec):
        table = f"{which}.{name}"
        key, columns = tables.SETS[which][name]
        self.query(f"DROP TABLE IF EXISTS {table}")
        if self.name == "chdb":
            self.query(ddl(which, name, codec))
            self.query(f"INSERT INTO {table} SELECT * FROM file('{file}', Parquet)")
            self.query(f"OPTIMIZE TABLE {table} FINAL")
            return
        typed = ", ".join(f"CAST({column} AS {DUCK[kind]}) AS {column}" for column, kind in columns.items())
        self.query(f"CREATE TABLE {table} AS SELECT {typed} FROM read_parquet('{file}') ORDER BY {key}")
        self.query("CHECKPOINT")


def read_queries(which):
    """Number and text of each query of a set."""
    found, number, text = [], None, []
    for line in open(os.path.join(HERE, f"{which}.sql")):
        line = line.rstrip()
        if line.startswith("-- Q"):
            number = line[len("-- Q"):]
        elif line and not line.startswith("--"):
            text.append(line)
            if line.endswith(";"):
                found.append((number, "\n".join(text)[:-1]))
                text = []
    return found


def cells_same(a, b):
    if hits.same(hits.cell(a), hits.cell(b)):
        return True
    # The sum of no rows is 0 in ClickHouse and NULL in DuckDB.
    if {a, b} == {"", "0"}:
        return True
    # A decimal that was cut: equal up to its last digit.
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    digits = min(len(t.partition(".")[2]) for t in (a, b))
    return digits > 0 and abs(x - y) < 10.0 ** -digits


def compare(ours, theirs):
    def rows_same(x, y):
        return all(len(a) == len(b) and all(map(cells_same, a, b)) for a, b in zip(x, y))
    if len(theirs) == PEER_ROWS:
        ours = ours[:PEER_ROWS]
    if len(ours) != len(theirs):
        return "DIFFERENT"
    return "equal" if rows_same(ours, theirs) or rows_same(sorted(ours), sorted(theirs)) else "DIFFERENT"


def measure(engines, which, number, sql, tries):
    """One line of the record, and the answers."""
    best, answers, peaks = {}, {}, {}
    for attempt in range(tries):
        for engine in engines:
            hits.reset_peak(engine.pid)
            try:
                seconds, rows = engine.query(sql)
            except Exception as e:
                seconds, rows = math.inf, [[f"error: {e}"]]
            if attempt == 0:
                answers[engine.name] = rows
            peaks[engine.name] = max(peaks.get(engine.name, 0), hits.peak_bytes(engine.pid))
            best[engine.name] = min(best.get(engine.name, math.inf), seconds)
    line = {"q": f"{which}:{number}", **{n: round(s * 1000, 1) if math.isfinite(s) else None for n, s in best.items()}}
    peers = [s for n, s in best.items() if n != "pumphouse"]
    if "pumphouse" in best and peers:
        ratio = (best["pumphouse"] + 0.01) / (min(peers) + 0.01)
        line["ratio"] = round(ratio, 2) if math.isfinite(ratio) else None
        line["answer"] = "equal"
        for name, rows in answers.items():
            # A peer that cannot run a query says nothing about the answer.
            if name != "pumphouse" and math.isfinite(best[name]) and compare(answers["pumphouse"], rows) != "equal":
                line["answer"] = f"DIFFERENT from {name}"
    line["peak_mb"] = {n: b >> 20 for n, b in peaks.items()}
    return line, answers


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--scale", default="1")
    p.add_argument("--tries", type=int, default=3)
    p.add_argument("--sets", default="tpch,ssb")
    p.add_argument("--only", help="queries, as tpch:5,ssb:2.1")
    p.add_argument("--engines", default="pumphouse,chdb,duckdb")
    p.add_argument("--settings", default="", help="settings of our queries, as name=value,name=value")
    p.add_argument("--codec", default="LZ4", help="default_compression_codec of both MergeTree tables")
    p.add_argument("--data", help="folder for files and databases instead of target/joins-<scale>")
    p.add_argument("--reload", action="store_true")
    p.add_argument("--no-record", action="store_true")
    return p.parse_args()


def loaded(a, data):
    """The engines, each with all tables."""
    engines = []
    for name in a.engines.split(","):
        engines.append(Pumphouse(data, a.reload) if name == "pumphouse" else Peer(name, data, a.reload))
    for which in a.sets.split(","):
        for engine in engines:
            engine.use(which)
            missing = [table for table in tables.SETS[which] if not engine.is_loaded(f"{which}.{table}")]
            if not missing:
                continue
            files = os.path.join(data, which)
            tables.generate(which, float(a.scale), files)
            began = time.time()
            for table in missing:
                engine.load(which, table, os.path.join(files, f"{table}.parquet"), a.codec)
            print(engine.name, "loaded", which, f"in {time.time() - began:.1f} s", flush=True)
    return engines


def main():
    a = arguments()
    data = a.data or os.path.join(hits.TARGET, f"joins-{a.scale}")
    os.makedirs(data, exist_ok=True)
    Pumphouse.settings = dict(pair.split("=", 1) for pair in a.settings.split(",") if pair)
    engines = loaded(a, data)
    only = set(a.only.split(",")) if a.only else None
    results, bad = [], []
    for which in a.sets.split(","):
        for engine in engines:
            engine.use(which)
        for number, sql in read_queries(which):
            if only and f"{which}:{number}" not in only:
                continue
            line, answers = measure(engines, which, number, sql, a.tries)
            results.append(line)
            print(json.dumps(line), flush=True)
            if line.get("answer", "equal") != "equal" or line.get("pumphouse", 0) is None:
                bad.append(line["q"])
                for name, rows in answers.items():
                    print("   ", name, len(rows), rows[:2])
    for engine in engines:
        engine.stop()
    ratios = [r["ratio"] if r["ratio"] is not None else 100.0 for r in results if "ratio" in r]
    if ratios:
        mean = lambda values: round(math.exp(sum(map(math.log, values)) / len(values)), 3)
        record = {"bench": "joins", "scale": a.scale, "codec": a.codec, "tries": a.tries, "settings": a.settings, "geomean_vs_best": mean(ratios),
                  "wins": sum(r <= 1 for r in ratios), "queries": len(ratios), "worst": max(ratios), "different": bad, "times": results}
        record["geomean_by_set"] = {w: mean([r["ratio"] or 100.0 for r in results if r["q"].startswith(w)]) for w in a.sets.split(",")
                                    if any(r["q"].startswith(w) for r in results)}
        record["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=hits.ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
        record["date"] = time.strftime("%Y-%m-%d")
        print(json.dumps({k: v for k, v in record.items() if k != "times"}, indent=1))
        if not a.no_record and not only:
            with open(os.path.join(hits.ROOT, "benches", "results", "joins.jsonl"), "a") as out:
                out.write(json.dumps(record) + "\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
