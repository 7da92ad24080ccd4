#!/usr/bin/env python3
"""The events bench: dashboards over observability and product events, by 1 and by 10 clients over HTTP.

Ten million events (a month of 40 services; made by the same INSERT … SELECT in both) and 14 queries as dashboards send
them: counts per time bucket, error rates, quantiles, top lists, unique users, funnels, retention, the last lines of a log,
filters on a few services. Services and times are drawn anew for each request, the same sequence for both.

The peer is ClickHouse (chdb) behind a threaded HTTP server of Python's, each thread with a cursor of its own. Both get as
many threads per query, and no result or condition cache. Before the clock runs each query's answers are compared.

  python3 benches/events/run.py [--rows 10000000] [--seconds 30] [--clients 1 10] [--no-record]

Needs a build of pumphouse (`--profile dist`) and the Python package chdb.
"""
import argparse, asyncio, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BINARY = os.environ.get("PUMPHOUSE_BINARY", os.path.join(TARGET, "dist", "pumphouse"))
THREADS = 2
SERVICES = 40
START, SPAN = 1714521600, 30 * 86400  # May 2024
SETTINGS = {"max_threads": THREADS, "use_query_cache": 0, "use_query_condition_cache": 0}

CREATE = """CREATE TABLE events (service LowCardinality(String), ts DateTime64(3, 'UTC'), name LowCardinality(String), level LowCardinality(String),
    user_id UInt64, session_id UInt64, trace_id String, url String, country LowCardinality(String), status UInt16, duration_us UInt32, bytes UInt32,
    message String, attributes Map(LowCardinality(String), String)) ENGINE = MergeTree ORDER BY (service, ts)"""
# Few services have most events; users come back; one in 25 fails, and slowly.
FILL = """INSERT INTO events SELECT concat('service-', toString(intDiv(h % 1600, 40) * (h % 40) % {services})), toDateTime64({start} + number * {span} / {rows}, 3, 'UTC'),
    ['page_view', 'click', 'search', 'add_to_cart', 'checkout', 'purchase', 'rpc', 'job'][h % 8 + 1], if(h % 25 = 0, 'error', if(h % 7 = 0, 'warn', 'info')),
    intDiv(h, 64) % (1 + number % 500000), intDiv(number, 12) % 1000000, lower(hex(cityHash64(intDiv(number, 6)))),
    concat('/', ['item', 'list', 'cart', 'home'][h % 4 + 1], '/', toString(intDiv(h, 1024) % 3000)),
    ['DE', 'FR', 'US', 'JP', 'BR', 'IN'][intDiv(h, 8) % 6 + 1], if(h % 25 = 0, 500 + h % 4, 200), intDiv(h, 4096) % (if(h % 25 = 0, 900000, 90000)) + 50,
    intDiv(h, 256) % 65536, concat('request ', toString(intDiv(h, 32) % 100000), if(h % 25 = 0, ' failed: timeout after ', ' served in '), toString(h % 977), ' ms'),
    map('host', concat('h', toString(intDiv(h, 16) % 30)), 'version', concat('1.', toString(intDiv(h, 128) % 9)))
    FROM (SELECT number, cityHash64(number) AS h FROM numbers({rows}))"""

# {s}, {t}: services; {hour}, {day}, {week}: conditions on time.
QUERIES = {
    "requests per minute": "SELECT toStartOfMinute(ts) AS t, count() FROM events WHERE service = {s} AND {hour} GROUP BY t ORDER BY t",
    "error rate": "SELECT toStartOfFiveMinutes(ts) AS t, countIf(level = 'error') / count() AS rate FROM events WHERE service IN ({s}, {t}) AND {day} GROUP BY t ORDER BY t",
    "latency": "SELECT toStartOfHour(ts) AS t, quantilesExact(0.5, 0.95, 0.99)(duration_us) FROM events WHERE service = {s} AND {day} GROUP BY t ORDER BY t",
    "latency by service": "SELECT service, count(), avg(duration_us), max(duration_us) FROM events WHERE {hour} GROUP BY service ORDER BY service",
    "top pages": "SELECT url, count() AS c FROM events WHERE service = {s} AND {day} GROUP BY url ORDER BY c DESC, url LIMIT 10",
    "unique users per day": "SELECT toDate(ts) AS d, uniqExact(user_id) FROM events WHERE service IN ({s}, {t}) AND {week} GROUP BY d ORDER BY d",
    "users by country": "SELECT country, uniqExact(user_id) AS u, count() FROM events WHERE {day} GROUP BY country ORDER BY u DESC, country",
    "funnel": "SELECT level, count() FROM (SELECT user_id, windowFunnel(86400)(toUInt32(ts), name = 'page_view', name = 'add_to_cart', name = 'purchase') AS level"
              " FROM events WHERE service = {s} AND {day} GROUP BY user_id) GROUP BY level ORDER BY level",
    "retention": "SELECT sum(r[1]), sum(r[2]), sum(r[3]) FROM (SELECT user_id, retention(ts < {mid}, ts >= {mid}, name = 'purchase') AS r FROM events"
                 " WHERE service = {s} AND {week} GROUP BY user_id)",
    "last lines": "SELECT ts, level, message FROM events WHERE service = {s} AND {hour} ORDER BY ts DESC LIMIT 100",
    "search": "SELECT ts, message FROM events WHERE service IN ({s}, {t}) AND {day} AND message LIKE '%timeout after 97%' ORDER BY ts LIMIT 50",
    "a trace": "SELECT ts, name, duration_us FROM events WHERE service = {s} AND {hour} AND trace_id = lower(hex(cityHash64({trace}))) ORDER BY ts, name, duration_us",
    "by attribute": "SELECT attributes['version'] AS v, count(), countIf(status >= 500) FROM events WHERE service = {s} AND {day} GROUP BY v ORDER BY v",
    "heat map": "SELECT toHour(ts) AS h, intDiv(duration_us, 10000) AS b, count() FROM events WHERE service = {s} AND {week} GROUP BY h, b ORDER BY h, b",
}


def drawn(draw, name):
    """The query with its places filled in."""
    service = lambda: f"'service-{min(draw.randrange(SERVICES), draw.randrange(SERVICES))}'"

    def between(seconds):
        first = START + draw.randrange(SPAN - seconds)
        first -= first % 60
        return first, f"ts >= toDateTime64({first}, 3, 'UTC') AND ts < toDateTime64({first + seconds}, 3, 'UTC')"

    week = between(7 * 86400)
    places = {"s": service(), "t": service(), "hour": between(3600)[1], "day": between(86400)[1], "week": week[1],
              "mid": f"toDateTime64({week[0] + 3 * 86400}, 3, 'UTC')", "trace": draw.randrange(1_000_000)}
    return QUERIES[name].format(**places)


PEER = r'''
import http.server, json, socketserver, sys, threading, urllib.parse
import chdb
folder, port, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
session = chdb.session.Session(folder)
session.query("CREATE DATABASE IF NOT EXISTS d"); session.query("USE d")
session.query("SET " + ", ".join(f"{k} = {v}" for k, v in settings.items()))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            status, body = 200, session.query(sql, "TSV").bytes()
        except Exception as e:
            status, body = 500, str(e).encode()
        body = body or b""
        self.wfile.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), bytes(body)))
    def log_message(self, *args):
        pass

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

Server(("127.0.0.1", port), Handler).serve_forever()
'''


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Engine:
    def __init__(self, name):
        self.name, self.port = name, free_port()
        self.folder = tempfile.mkdtemp(prefix=f"events-{name}-", dir=os.environ.get("TMPDIR"))
        if name == "pumphouse":
            command = [BINARY, "server", "--data-dir", self.folder, "--http-port", str(self.port)]
        else:
            command = [sys.executable, "-c", PEER, self.folder, str(self.port), json.dumps(SETTINGS)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.path = "/?" + urllib.parse.urlencode(SETTINGS) if name == "pumphouse" else "/"
        for _ in range(600):
            try:
                self.send("SELECT 1")
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"{name} ended with {self.process.returncode} before it answered")
                time.sleep(0.1)
        sys.exit(f"{name} does not answer")

    def send(self, sql):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.path}", sql.encode(), timeout=3600).read()
        except urllib.error.HTTPError as e:
            sys.exit(f"{self.name}: {e.read().decode(errors='replace')[:500]}\n{sql}")

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


async def client(engine, number, until, latencies):
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    draw = random.Random(number)
    names = list(QUERIES)
    at = draw.randrange(len(names))
    while time.perf_counter() < until:
        name = names[at % len(names)]
        at += 1
        body = drawn(draw, name).encode()
        began = time.perf_counter()
        writer.write(f"POST {engine.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length:" in lower:
            answer = await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
        else:
            answer = b""
            while size := int(await reader.readline(), 16):
                answer += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{engine.name}: {answer[:300]}")
        latencies.setdefault(name, []).append(time.perf_counter() - began)
    writer.close()


def run(engine, clients, seconds):
    latencies = {}

    async def all_clients():
        until = time.perf_counter() + seconds
        await asyncio.gather(*(client(engine, n, until, latencies) for n in range(clients)))

    before, began = engine.cpu(), time.perf_counter()
    asyncio.run(all_clients())
    took = time.perf_counter() - began
    every = sorted(value for values in latencies.values() for value in values)
    ms = lambda values, q: round(sorted(values)[min(len(values) - 1, int(q * len(values)))] * 1000, 2)
    return {"queries": len(every), "queries_per_second": round(len(every) / took, 1), "p50_ms": ms(every, 0.5), "p99_ms": ms(every, 0.99),
            "cpu_s": round(engine.cpu() - before, 1), "by_query_p50_ms": {name: ms(values, 0.5) for name, values in sorted(latencies.items())}}


def compare(engines):
    """Each query a few times by both; the names of those whose answers differ."""
    draw, different = random.Random(7), []
    for name in QUERIES:
        for _ in range(3):
            sql = drawn(draw, name)
            ours, theirs = (engine.send(sql) for engine in engines)
            if ours != theirs and name not in different:
                different.append(name)
                print(f"{name} differs:\n{sql}\n{ours[:200]}\n{theirs[:200]}", file=sys.stderr)
    return different


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--clients", type=int, nargs="+", default=[1, 10])
    p.add_argument("--no-record", action="store_true")
    options = p.parse_args()
    record = {"bench": "events", "rows": options.rows, "threads": THREADS, "queries": len(QUERIES)}
    engines = []
    try:
        for name in ["pumphouse", "chdb"]:
            engines.append(Engine(name))
            for sql in [CREATE, FILL.format(rows=options.rows, services=SERVICES, start=START, span=SPAN), "OPTIMIZE TABLE events FINAL"]:
                engines[-1].send(sql)
        record["different"] = compare(engines)
        for clients in options.clients:
            # By turns, the second half in the other order.
            halves = {engine.name: [] for engine in engines}
            for turn in [engines, engines[::-1]]:
                for engine in turn:
                    halves[engine.name].append(run(engine, clients, options.seconds / 2))
            best = {name: max(runs, key=lambda r: r["queries_per_second"]) for name, runs in halves.items()}
            best["queries_per_second_vs_chdb"] = round(best["pumphouse"]["queries_per_second"] / best["chdb"]["queries_per_second"], 2)
            record[f"{clients}_clients"] = best
            print(f"{clients} clients", json.dumps(best), flush=True)
    finally:
        for engine in engines:
            engine.stop()
    if not options.no_record:
        record["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        with open(os.path.join(ROOT, "benches", "results", "events.jsonl"), "a") as f:
            f.write(json.dumps(record) + "\n")
    if record["different"]:
        sys.exit("answers differ: " + ", ".join(record["different"]))


main()
