#!/usr/bin/env python3
"""The load bench: a file of each format into a MergeTree, against ClickHouse (chdb) and DuckDB.

The generated web-analytics table of 70 columns is written once in every format; then each engine loads each
file in turn into an empty table, several tries, the one of the least CPU time counts. Ours takes the file over HTTP (Parquet also
from `file()`) and syncs it; chdb reads it in its own process by `INSERT ... SELECT * FROM file()`, DuckDB by
COPY where it has the format. Merges are stopped on both sides, so that only the INSERT is measured. Count and
sums of all columns must be equal, or the bench fails.

  python3 benches/load/run.py [--rows 1000000] [--tries 2] [--formats CSV,Parquet] [--engines pumphouse,chdb,duckdb]

Needs: pumphouse (`--profile dist`), a release build of hits_generate, and the Python packages chdb and duckdb. Files are kept
below target/load-<rows> for the next run.
"""
import argparse, http.client, importlib.util, json, os, re, shutil, subprocess, sys, time, urllib.parse

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
spec = importlib.util.spec_from_file_location("hits_run", os.path.join(ROOT, "benches", "hits", "run.py"))
hits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hits)

FORMATS = ["Parquet", "CSV", "JSONEachRow", "TabSeparated", "RowBinary", "Native"]
EXTENSIONS = {"TabSeparated": "tsv", "JSONEachRow": "jsonl"}
DUCK_TYPES = {"UInt8": "UTINYINT", "UInt16": "USMALLINT", "UInt32": "UINTEGER", "UInt64": "UBIGINT", "Int8": "TINYINT",
              "Int16": "SMALLINT", "Int32": "INTEGER", "Int64": "BIGINT", "DateTime": "TIMESTAMP", "Date": "DATE"}
CODEC = "\nSETTINGS default_compression_codec = 'LZ4'"


def columns_of(ddl):
    return re.findall(r"^    (\w+) (\S+?),?$", ddl, re.M)


def sums(columns, duck=False):
    """One row that any change of a value would show in, but for two that cancel each other."""
    terms = ["count(*)"]
    for name, kind in columns:
        if kind == "String":
            terms.append(f"sum(strlen({name}))" if duck else f"sum(length({name}))")
        elif kind in ("Date", "DateTime"):
            terms.append(f"sum(epoch({name}::TIMESTAMP))::BIGINT" if duck else f"sum(toUnixTimestamp({'toDateTime(' + name + ')' if kind == 'Date' else name}))")
        elif kind.startswith(("Int", "UInt")):
            # Wraps around in one engine where another widens.
            terms.append(f"sum({name} % 1000003)" if not duck else f"sum({name} % 1000003)::HUGEINT")
    return "SELECT " + ", ".join(terms) + " FROM hits"


def files(folder, rows, formats):
    """Makes what is missing: the generator's lines, then chdb's translation of them."""
    paths = {name: os.path.join(folder, "hits." + EXTENSIONS.get(name, name.lower())) for name in FORMATS}
    lines = paths["TabSeparated"]
    if not os.path.exists(lines):
        print("generating", rows, "rows", flush=True)
        with open(lines + ".part", "wb") as out:
            subprocess.run([hits.GENERATOR, "--rows", str(rows)], check=True, stdout=out)
        os.rename(lines + ".part", lines)
    missing = [name for name in formats if not os.path.exists(paths[name])]
    if missing:
        ddl = subprocess.run([hits.GENERATOR, "--ddl"], check=True, stdout=subprocess.PIPE, text=True).stdout
        structure = ", ".join(f"{n} {t}" for n, t in columns_of(ddl))
        maker = hits.Peer("chdb", folder, True)
        for name in missing:
            print("writing", name, flush=True)
            part = paths[name] + ".part"
            maker.query(f"INSERT INTO FUNCTION file('{part}', '{name}', '{structure}') SELECT * FROM file('{lines}', 'TabSeparated', '{structure}')"
                        " SETTINGS engine_file_truncate_on_insert = 1, output_format_parquet_string_as_string = 1")
            os.rename(part, paths[name])
        maker.stop()
    return paths


class Ours:
    def __init__(self, folder, ddl):
        self.engine, self.ddl = hits.Pumphouse(folder, True), ddl + CODEC
        self.pid = self.engine.pid

    def empty(self):
        for sql in ("DROP TABLE IF EXISTS hits", self.ddl, "SYSTEM STOP MERGES"):
            self.engine.send(sql)

    def load(self, name, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=3600)
        with open(path, "rb") as body:
            connection.request("POST", "/?" + urllib.parse.urlencode({"query": f"INSERT INTO hits FORMAT {name}", "max_threads": hits.THREADS}), body=body,
                               headers={"Content-Length": str(os.path.getsize(path))})
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"pumphouse: {text[:300]}")
        connection.close()

    def load_file(self, name, path):
        folder = os.path.join(self.engine.data, "user_files")
        os.makedirs(folder, exist_ok=True)
        link = os.path.join(folder, os.path.basename(path))
        if not os.path.exists(link):
            try:
                os.link(path, link)
            except OSError:
                shutil.copyfile(path, link)
        self.engine.send(f"INSERT INTO hits SELECT * FROM file('{os.path.basename(path)}', '{name}')")

    def answer(self, columns):
        return self.engine.query(sums(columns))[1][0]


class ClickHouse:
    def __init__(self, folder, ddl):
        self.engine, self.ddl = hits.Peer("chdb", folder, True), ddl + CODEC
        self.pid = self.engine.pid
        self.structure = ", ".join(f"{n} {t}" for n, t in columns_of(ddl))

    def empty(self):
        for sql in ("DROP TABLE IF EXISTS hits", self.ddl, "SYSTEM STOP MERGES"):
            self.engine.query(sql)

    def load(self, name, path):
        self.engine.query(f"INSERT INTO hits SELECT * FROM file('{path}', '{name}', '{self.structure}')")

    def answer(self, columns):
        return self.engine.query(sums(columns))[1][0]


class Duck:
    def __init__(self, folder, ddl):
        self.engine, self.columns = hits.Peer("duckdb", folder, True), columns_of(ddl)
        self.pid = self.engine.pid

    def empty(self):
        self.engine.query("DROP TABLE IF EXISTS hits")
        self.engine.query("CREATE TABLE hits (" + ", ".join(f"{n} {DUCK_TYPES.get(t, 'VARCHAR')}" for n, t in self.columns) + ")")

    def load(self, name, path):
        options = {"Parquet": "FORMAT parquet", "CSV": "FORMAT csv, HEADER false, NULLSTR '\x01'", "JSONEachRow": "FORMAT json",
                   "TabSeparated": "FORMAT csv, DELIMITER '\t', QUOTE '', ESCAPE '', HEADER false, NULLSTR '\x01'"}[name]
        self.engine.query(f"COPY hits FROM '{path}' ({options})")

    def answer(self, columns):
        return self.engine.query(sums(columns, True))[1][0]


def measure(engine, load):
    engine.empty()
    hits.reset_peak(engine.pid)
    cpu, began = hits.cpu_seconds(engine.pid), time.perf_counter()
    load()
    return {"s": time.perf_counter() - began, "cpu_s": hits.cpu_seconds(engine.pid) - cpu, "peak_mb": hits.peak_bytes(engine.pid) >> 20}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--tries", type=int, default=2)
    p.add_argument("--formats", default=",".join(FORMATS))
    p.add_argument("--engines", default="pumphouse,chdb,duckdb")
    p.add_argument("--no-record", action="store_true")
    a = p.parse_args()
    formats = a.formats.split(",")
    folder = os.path.join(hits.TARGET, f"load-{a.rows}")
    os.makedirs(folder, exist_ok=True)
    paths = files(folder, a.rows, formats)
    ddl = subprocess.run([hits.GENERATOR, "--ddl"], check=True, stdout=subprocess.PIPE, text=True).stdout.rstrip()
    columns = columns_of(ddl)
    makers = {"pumphouse": Ours, "chdb": ClickHouse, "duckdb": Duck}
    engines = {name: makers[name](folder, ddl) for name in a.engines.split(",")}
    results, wrong = [], []
    for name in formats:
        best, answers = {}, {}
        for attempt in range(a.tries):
            for label, engine in engines.items():
                if label == "duckdb" and name in ("RowBinary", "Native"):
                    continue
                ways = {label: lambda: engine.load(name, paths[name])}
                if label == "pumphouse" and name == "Parquet":
                    ways["pumphouse_file"] = lambda: engine.load_file(name, paths[name])
                for way, load in ways.items():
                    try:
                        run = measure(engine, load)
                        answers[way] = engine.answer(columns)
                    except RuntimeError as e:
                        print(f"{name}: {e}", file=sys.stderr)
                        continue
                    if way not in best or run["cpu_s"] < best[way]["cpu_s"]:
                        best[way] = run
        size = os.path.getsize(paths[name])
        line = {"format": name, "bytes": size}
        for way, run in best.items():
            line[way] = {"s": round(run["s"], 2), "cpu_s": round(run["cpu_s"], 2), "rows_per_cpu_s": round(a.rows / max(run["cpu_s"], 0.01)),
                         "mb_per_cpu_s": round(size / 1e6 / max(run["cpu_s"], 0.01)), "peak_mb": run["peak_mb"]}
        for peer in ("chdb", "duckdb"):
            if peer in best and "pumphouse" in best:
                ours = min(run["cpu_s"] for way, run in best.items() if way.startswith("pumphouse"))
                line["vs_" + peer] = round(best[peer]["cpu_s"] / max(ours, 0.01), 2)
        plain = {way: [round(float(v)) for v in answer] for way, answer in answers.items()}
        if len({json.dumps(v) for v in plain.values()}) > 1 or len(answers) < len(engines) - (name in ("RowBinary", "Native") and "duckdb" in engines):
            wrong.append(name)
            line["answer"] = "DIFFERENT"
        else:
            line["answer"] = "equal"
        results.append(line)
        print(json.dumps(line), flush=True)
        if line["answer"] != "equal":
            for way, answer in answers.items():
                print("  ", way, answer, file=sys.stderr)
    for engine in engines.values():
        engine.engine.stop()
    if not a.no_record:
        record = {"bench": "load", "rows": a.rows, "columns": len(columns), "tries": a.tries, "formats": results,
                  "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip(),
                  "date": time.strftime("%Y-%m-%d")}
        with open(os.path.join(ROOT, "benches", "results", "load.jsonl"), "a") as out:
            out.write(json.dumps(record) + "\n")
    if wrong:
        sys.exit("answers differ: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
