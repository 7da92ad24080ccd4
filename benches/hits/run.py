#!/usr/bin/env python3
"""The hits bench: 43 analytical queries over a table of 70 columns, against ClickHouse (chdb) and DuckDB.

The same generated rows are loaded into all three (each on two threads, one part, warm cache, result caches
off); then every query runs in turn on each engine, several tries, the fastest counts. Our times include HTTP and its client.
The ratio of a query is our time to the better peer's, both plus 10 ms; their geometric mean is what counts. Beside it stands
the same by the server's own clock (`geomean_served_vs_best`), since the peers, in their process, have no protocol to pay for.

  python3 benches/hits/run.py [--rows 10000000] [--tries 3] [--only 5,21] [--other-shape] [--cold] [--engines pumphouse,chdb,duckdb]

Needs: pumphouse (`--profile dist`), a release build of hits_generate, and the Python packages chdb and duckdb. Data is kept
below target/hits-<rows> for the next run; remove it to load anew.
"""
import argparse, atexit, http.client, json, math, os, re, shutil, signal, socket, subprocess, sys, threading, time, urllib.parse, urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BINARY = os.environ.get("PUMPHOUSE_BINARY", os.path.join(TARGET, "dist", "pumphouse"))
GENERATOR = os.environ.get("HITS_GENERATE", os.path.join(TARGET, "release", "hits_generate"))
THREADS = 2


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def held_bytes(pid):
    """Memory that is the process's own. Pages of files, which the kernel drops at once when they are needed for
    something else, count for nobody, whether they are mapped (Pumphouse) or copied (ClickHouse)."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


class Watch(threading.Thread):
    """Looks a hundred times a second at how much a process holds."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.over = pid, held_bytes(pid), threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            self.peak = max(self.peak, held_bytes(self.pid))


WATCHES = {}


def reset_peak(pid):
    """Begins to watch."""
    WATCHES[pid] = Watch(pid)


def peak_bytes(pid):
    """Ends it; the most that was seen."""
    watch = WATCHES.pop(pid)
    watch.over.set()
    watch.join()
    return max(watch.peak, held_bytes(pid))


def folder_bytes(path):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(path) for f in files)


class Pumphouse:
    name = "pumphouse"

    def __init__(self, data, fresh):
        self.data = os.path.join(data, "pumphouse")
        if fresh:
            shutil.rmtree(self.data, ignore_errors=True)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.makedirs(self.data, exist_ok=True)
        self.process = subprocess.Popen(
            [BINARY, "server", "--data-dir", self.data, "--http-port", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=open(os.path.join(data, "pumphouse.log"), "w"))
        self.pid = self.process.pid
        atexit.register(self.process.kill)
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(open(os.path.join(data, "pumphouse.log")).read())
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping").read()
                break
            except OSError:
                time.sleep(0.1)
        self.served = 0.0  # seconds of the last statement, by the server's clock
        self.connection, self.used = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600), 0

    def send(self, sql, body=None):
        query = urllib.parse.urlencode({"query": sql, "max_threads": THREADS, "use_query_cache": 0, "use_query_condition_cache": 0})
        # One kept connection, as the peers have a session; the server closes what is idle.
        if time.monotonic() - self.used > 5:
            self.connection.close()
        self.connection.request("POST", f"/?{query}", body if body is not None else b"")
        answer = self.connection.getresponse()
        text = answer.read()
        self.used = time.monotonic()
        if answer.status != 200:
            raise RuntimeError(text.decode(errors="replace")[:300])
        self.served = int(json.loads(answer.headers.get("X-ClickHouse-Summary") or "{}").get("elapsed_ns", 0)) / 1e9
        return text

    def is_loaded(self):
        return b"1" == self.send("EXISTS TABLE hits").strip() and self.send("SELECT count() FROM hits").strip() != b"0"

    def load(self, ddl, file):
        self.send("DROP TABLE IF EXISTS hits")
        self.send(ddl)
        with open(file, "rb") as lines:
            while True:
                chunk = lines.read(256 << 20)
                if not chunk:
                    break
                chunk += lines.readline()
                self.send("INSERT INTO hits FORMAT TabSeparated", chunk)

    def optimize(self):
        self.send("OPTIMIZE TABLE hits FINAL")

    def disk(self):
        return int(self.send("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'hits' AND active"))

    def query(self, sql):
        began = time.perf_counter()
        text = self.send(sql + " FORMAT TabSeparated")
        return time.perf_counter() - began, [line.split("\t") for line in text.decode(errors="replace").splitlines()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


# A peer runs in a process of its own, so that its memory and CPU time are its own: a JSON line in, one out.
PEER = r'''
import json, sys, time, os, shutil
kind, folder = sys.argv[1], sys.argv[2]
if kind == "chdb":
    from chdb.session import Session
    session = Session(folder)
    session.query("CREATE DATABASE IF NOT EXISTS d; USE d; SET max_threads = %s; SET use_query_condition_cache = 0" % sys.argv[3])
    def run(sql):
        return [l.split("\t") for l in str(session.query(sql, "TSV")).splitlines()]
else:
    import duckdb
    os.makedirs(folder, exist_ok=True)
    con = duckdb.connect(os.path.join(folder, "hits.duckdb"))
    con.execute("SET enable_progress_bar = false; SET threads = %s; SET TimeZone = 'UTC'" % sys.argv[3])
    def run(sql):
        return [["" if v is None else str(v) for v in row] for row in con.execute(sql).fetchall()]
for line in sys.stdin:
    began = time.perf_counter()
    try:
        rows = run(json.loads(line))
        print(json.dumps({"s": time.perf_counter() - began, "rows": rows[:2000]}), flush=True)
    except Exception as e:
        print(json.dumps({"error": str(e)[:300]}), flush=True)
'''


class Peer:
    def __init__(self, name, data, fresh):
        self.name, self.folder = name, os.path.join(data, name)
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.process = subprocess.Popen([sys.executable, "-c", PEER, name, self.folder, str(THREADS)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        atexit.register(self.process.kill)

    def query(self, sql):
        self.process.stdin.write(json.dumps(sql) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer["s"], answer["rows"]

    def is_loaded(self):
        try:
            return self.query("SELECT count(*) FROM hits")[1][0][0] != "0"
        except RuntimeError:
            return False

    def load(self, ddl, file):
        columns = re.findall(r"^    (\w+) (\S+?),?$", ddl, re.M)
        self.query("DROP TABLE IF EXISTS hits")
        if self.name == "chdb":
            self.query(ddl)
            structure = ", ".join(f"{n} {t}" for n, t in columns)
            self.query(f"INSERT INTO hits SELECT * FROM file('{file}', 'TabSeparated', '{structure}')")
            return
        names = {"UInt8": "UTINYINT", "UInt16": "USMALLINT", "UInt32": "UINTEGER", "UInt64": "UBIGINT", "Int8": "TINYINT",
                 "Int16": "SMALLINT", "Int32": "INTEGER", "Int64": "BIGINT", "DateTime": "TIMESTAMP", "Date": "DATE"}
        typed = ", ".join(f"'{n}': '{names.get(t, 'VARCHAR')}'" for n, t in columns)
        # Sorted as the others' key sorts, so that its zone maps can prune as theirs do.
        self.query("CREATE TABLE hits AS SELECT * FROM read_csv('%s', delim='\t', quote='', escape='', header=false, nullstr='\x01', columns={%s})"
                   " ORDER BY CounterID, EventDate, UserID, EventTime, WatchID" % (file, typed))
        self.query("CHECKPOINT")

    def optimize(self):
        if self.name == "chdb":
            self.query("OPTIMIZE TABLE hits FINAL")

    def disk(self):
        if self.name == "chdb":
            return int(self.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'hits' AND active")[1][0][0])
        return folder_bytes(self.folder)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


def read_queries():
    queries = []
    for line in open(os.path.join(ROOT, "benches", "hits", "queries.sql")):
        line = line.strip()
        if line.startswith("-- duckdb: "):
            queries[-1]["duckdb"] = line[len("-- duckdb: "):]
        elif line == "{sums}":
            queries.append({"": "SELECT " + ", ".join(f"sum(ResolutionWidth + {i})" for i in range(90)) + " FROM hits"})
        elif line and not line.startswith("--"):
            queries.append({"": line})
    return queries


def constants(engine):
    """What the queries ask for by name: a user of few rows, the page and the referer that one site has most of."""
    user = ("SELECT any(UserID) FROM (SELECT UserID, count(*) AS c FROM hits GROUP BY UserID HAVING c BETWEEN 3 AND 10 ORDER BY UserID LIMIT 1)"
            if engine.name != "duckdb" else "SELECT any_value(UserID) FROM hits")
    page = "SELECT URLHash FROM hits WHERE CounterID = 85 GROUP BY URLHash ORDER BY count(*) DESC, URLHash LIMIT 1"
    referer = "SELECT RefererHash FROM hits WHERE CounterID = 85 AND RefererHash <> 0 GROUP BY RefererHash ORDER BY count(*) DESC, RefererHash LIMIT 1"
    return {name: engine.query(sql)[1][0][0] for name, sql in (("user", user), ("url_hash", page), ("referer_hash", referer))}


def filled(sql, chosen):
    for name, value in chosen.items():
        sql = sql.replace("{" + name + "}", value)
    return sql


def cell(text):
    try:
        return float(text)
    except ValueError:
        return text


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1)
    return a == b


def order_column(sql):
    """Where the first ORDER BY column stands in the SELECT list; None if it is not there."""
    found = re.search(r"ORDER BY (\w+)", sql)
    items = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", sql.split(" FROM ")[0])).split(",")
    names = [item.split()[-1] for item in items]
    return names.index(found[1]) if found and found[1] in names else None


def compare(sql, ours, theirs):
    """`equal`; `ties` or `open` if only rows differ that the query's order leaves open; `DIFFERENT`."""
    if len(ours) != len(theirs):
        return "DIFFERENT"
    def rows_same(x, y):
        return all(len(a) == len(b) and all(same(cell(p), cell(q)) for p, q in zip(a, b)) for a, b in zip(x, y))
    if rows_same(ours, theirs) or rows_same(sorted(ours), sorted(theirs)):
        return "equal"
    if "ORDER BY" not in sql and "LIMIT" in sql:
        return "open"
    key = order_column(sql)
    if key is None:
        return "DIFFERENT"
    return "ties" if all(same(cell(a[key]), cell(b[key])) for a, b in zip(ours, theirs)) else "DIFFERENT"


def started_cold(engine, data):
    """The engine started anew, with nothing of its files in memory but what a query without tables needs."""
    engine.stop()
    os.sync()
    open("/proc/sys/vm/drop_caches", "w").write("3")
    engine = Pumphouse(data, False) if engine.name == "pumphouse" else Peer(engine.name, data, False)
    engine.query("SELECT 1")
    return engine


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--tries", type=int, default=3)
    p.add_argument("--only", help="numbers of queries, from 1")
    p.add_argument("--engines", default="pumphouse,chdb,duckdb")
    p.add_argument("--other-shape", action="store_true", help="the second data set: other seed, other skew")
    p.add_argument("--codec", default="LZ4", help="default_compression_codec of both MergeTree tables (ClickHouse's own default is ZSTD(3))")
    p.add_argument("--cold", action="store_true", help="every query after a new start of its engine, with the page cache dropped (needs root)")
    p.add_argument("--reload", action="store_true")
    p.add_argument("--load-only", action="store_true")
    p.add_argument("--no-record", action="store_true")
    a = p.parse_args()
    plain = re.sub(r"\W", "", a.codec)
    data = os.path.join(TARGET, f"hits-{a.rows}-{plain}" + ("-other" if a.other_shape else ""))
    os.makedirs(data, exist_ok=True)
    ddl = subprocess.run([GENERATOR, "--ddl"], check=True, stdout=subprocess.PIPE, text=True).stdout.rstrip() + f"\nSETTINGS default_compression_codec = '{a.codec}'"
    file = os.path.join(data, "hits.tsv")
    engines, load = [], {}
    for name in a.engines.split(","):
        engines.append(Pumphouse(data, a.reload) if name == "pumphouse" else Peer(name, data, a.reload))
    for engine in engines:
        if engine.is_loaded():
            continue
        if not os.path.exists(file):
            print("generating", a.rows, "rows", flush=True)
            with open(file + ".part", "wb") as out:
                subprocess.run([GENERATOR, "--rows", str(a.rows)] + (["--other-shape"] if a.other_shape else []), check=True, stdout=out)
            os.rename(file + ".part", file)
        def timed(what):
            cpu, began = cpu_seconds(engine.pid), time.time()
            what()
            return {"s": round(time.time() - began, 2), "cpu_s": round(cpu_seconds(engine.pid) - cpu, 2)}
        insert, merge = timed(lambda: engine.load(ddl, file)), timed(engine.optimize)
        load[engine.name] = {"insert": insert, "optimize": merge, "disk": engine.disk()}
        print(engine.name, json.dumps(load[engine.name]), flush=True)
    if load:
        with open(os.path.join(data, "load.json"), "w") as out:
            json.dump(load, out)
    if a.load_only:
        for engine in engines:
            engine.stop()
        return
    chosen = constants(engines[0])
    only = set(map(int, a.only.split(","))) if a.only else None
    results, wins, logs, served_logs, bad = [], 0, [], [], []
    for number, texts in enumerate(read_queries(), 1):
        if only and number not in only:
            continue
        best, answers, peaks, served = {}, {}, {}, math.inf
        for attempt in range(a.tries):
            for place, engine in enumerate(engines):
                if a.cold:
                    engine = engines[place] = started_cold(engine, data)
                sql = filled(texts.get(engine.name, texts[""]), chosen)
                reset_peak(engine.pid)
                try:
                    seconds, rows = engine.query(sql)
                except Exception as e:
                    seconds, rows = math.inf, [[f"error: {e}"]]
                if attempt == 0:
                    answers[engine.name] = rows
                peaks[engine.name] = max(peaks.get(engine.name, 0), peak_bytes(engine.pid))
                best[engine.name] = min(best.get(engine.name, math.inf), seconds)
                if engine.name == "pumphouse" and math.isfinite(seconds):
                    served = min(served, engine.served)
        line = {"q": number, **{n: round(s * 1000, 1) for n, s in best.items()}}
        ours = best.get("pumphouse")
        peers = {n: s for n, s in best.items() if n != "pumphouse"}
        if ours is not None and peers:
            ratio = (ours + 0.01) / (min(peers.values()) + 0.01)
            line["ratio"] = round(ratio, 2)
            logs.append(math.log(ratio) if math.isfinite(ratio) else math.log(100))
            line["served"] = round(served * 1000, 1) if math.isfinite(served) else None
            served_logs.append(math.log((served + 0.01) / (min(peers.values()) + 0.01)) if math.isfinite(served) else math.log(100))
            wins += ratio <= 1
            line["answer"] = compare(texts[""], answers["pumphouse"], answers[next(iter(peers))])
            if line["answer"] == "DIFFERENT":
                bad.append((number, answers["pumphouse"][:3], answers[next(iter(peers))][:3]))
        line["peak_mb"] = {n: b >> 20 for n, b in peaks.items()}
        results.append(line)
        print(json.dumps(line), flush=True)
    for number, ours, theirs in bad:
        print(f"Q{number} differs:\n  {ours}\n  {theirs}")
    for engine in engines:
        engine.stop()
    if logs:
        saved = os.path.join(data, "load.json")
        loads = json.load(open(saved)) if os.path.exists(saved) else {}
        name = "hits_cold" if a.cold else "hits"
        record = {"bench": name, "rows": a.rows, "codec": a.codec, "other_shape": a.other_shape, "tries": a.tries,
                  "geomean_vs_best": round(math.exp(sum(logs) / len(logs)), 3),
                  "geomean_served_vs_best": round(math.exp(sum(served_logs) / len(served_logs)), 3), "wins": wins, "queries": len(logs),
                  "worst": max(r["ratio"] for r in results), "different": [b[0] for b in bad], "load": loads}
        if "pumphouse" in loads and "chdb" in loads:
            record["disk_vs_clickhouse"] = round(loads["pumphouse"]["disk"] / loads["chdb"]["disk"], 3)
        record["times"] = results
        record["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
        record["date"] = time.strftime("%Y-%m-%d")
        print(json.dumps({k: v for k, v in record.items() if k != "times"}, indent=1))
        if not a.no_record and not only:
            with open(os.path.join(ROOT, "benches", "results", name + ".jsonl"), "a") as out:
                out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
