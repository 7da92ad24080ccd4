#!/usr/bin/env python3
"""The serve bench: many connections, large results, look-ups by key.

  connections   1,000 kept HTTP connections, each sending a small query again and again for a minute: errors, queries
                per second, latency, memory of the server before and after
  stream        a result of 10 million rows in Native, RowBinary and JSONEachRow: MB/s, time to the first byte and
                the server's peak memory, next to ClickHouse (chdb) making the same bytes in its process
  lookup        rows by primary key out of 10 million: the server's own time and the client's

  python3 benches/serve/run.py [connections|stream|lookup ...] [--rows 10000000] [--seconds 60] [--clients 1000]

Needs a build of pumphouse (`--profile dist`); the stream also the Python package chdb.
"""
import argparse, asyncio, http.client, json, os, random, resource, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BINARY = os.environ.get("PUMPHOUSE_BINARY", os.path.join(TARGET, "dist", "pumphouse"))

CREATE = "CREATE TABLE t (id UInt64, user UInt32, time DateTime, price Float64, country String, page String) ENGINE = MergeTree ORDER BY id"
FILL = ("INSERT INTO t SELECT number, cityHash64(number) % 1000000, toDateTime('2026-01-01 00:00:00', 'UTC') + number / 100, (number * 7919 % 100000) / 100,"
        " ['DE', 'FR', 'US', 'JP', 'BR'][number % 5 + 1], concat('/page/', toString(cityHash64(number) % 50000)) FROM numbers({rows})")


def memory(pid, key="RssAnon"):
    """Megabytes of its own; pages of files count for nobody."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(key):
            return int(line.split()[1]) // 1024
    return 0


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


class Server:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pumphouse-serve-", dir=os.environ.get("TMPDIR"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen([BINARY, "server", "--data-dir", self.folder, "--http-port", str(self.port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping").read()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server does not start")

    def send(self, sql, **settings):
        query = urllib.parse.urlencode({"query": sql, **settings})
        return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/?{query}", data=b""), timeout=3600).read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


async def one_client(port, number, until, latencies, errors):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    draw = random.Random(number)
    try:
        while time.perf_counter() < until:
            sql = urllib.parse.quote(f"SELECT id, price, country FROM t WHERE id = {draw.randrange(1000000)}")
            began = time.perf_counter()
            writer.write(f"GET /?query={sql} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            if not head.startswith(b"HTTP/1.1 200"):
                errors.append(head[:60].decode())
            lower = head.lower()
            if b"content-length:" in lower:
                await reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
            else:
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            latencies.append(time.perf_counter() - began)
            await asyncio.sleep(draw.random() * 0.2)  # a dashboard between two refreshes, not a benchmark's loop
    except Exception as e:
        errors.append(repr(e))
    finally:
        writer.close()


async def many_clients(port, options, latencies, errors):
    until = time.perf_counter() + options.seconds
    await asyncio.gather(*(one_client(port, n, until, latencies, errors) for n in range(options.clients)))


def connections(server, options):
    server.send("SELECT 1")
    before = memory(server.process.pid)
    halves = []
    latencies, errors = [], []
    for _ in range(2):
        part = argparse.Namespace(seconds=options.seconds / 2, clients=options.clients)
        asyncio.run(many_clients(server.port, part, latencies, errors))
        halves.append(memory(server.process.pid))
    return {"clients": options.clients, "seconds": options.seconds, "queries": len(latencies), "queries_per_second": round(len(latencies) / options.seconds),
            "errors": len(errors), "first_errors": errors[:3], "p50_ms": round(quantile(latencies, 0.5) * 1000, 1), "p99_ms": round(quantile(latencies, 0.99) * 1000, 1),
            "memory_mb": {"before": before, "half": halves[0], "end": halves[1]}}


PEER = r'''
import sys, time
from chdb.session import Session
s = Session()
s.query("CREATE DATABASE d; USE d; SET max_threads = 2")
s.query(sys.argv[1]); s.query(sys.argv[2])
for form in sys.argv[3].split(","):
    best = 1e9
    for _ in range(3):
        began = time.perf_counter()
        size, first = 0, None
        for chunk in s.send_query("SELECT * FROM t", form):
            data = chunk.bytes() if hasattr(chunk, "bytes") else str(chunk).encode()
            first = first or time.perf_counter() - began
            size += len(data)
        best = min(best, time.perf_counter() - began)
    print(form, size, best, first, flush=True)
'''


def stream(server, options):
    formats = ["Native", "RowBinary", "JSONEachRow"]
    result = {}
    for form in formats:
        best, firsts = 1e9, []
        try:
            open(f"/proc/{server.process.pid}/clear_refs", "w").write("5")
        except OSError:
            pass
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
            began = time.perf_counter()
            connection.request("GET", "/?" + urllib.parse.urlencode({"query": f"SELECT * FROM t FORMAT {form}", "max_threads": 2}))
            answer = connection.getresponse()
            size, buffer = 0, bytearray(1 << 20)
            first = None
            while count := answer.readinto(buffer):
                first = first or time.perf_counter() - began
                size += count
            best = min(best, time.perf_counter() - began)
            firsts.append(first)
            connection.close()
        result[form] = {"bytes": size, "mb_per_s": round(size / best / 1e6), "first_byte_ms": round(min(firsts) * 1000, 1), "peak_mb": memory(server.process.pid, "VmHWM")}
    peer = subprocess.run([sys.executable, "-c", PEER, CREATE, FILL.format(rows=options.rows), ",".join(formats)], capture_output=True, text=True)
    for line in peer.stdout.splitlines():
        form, size, best, _ = line.split()
        result[form]["chdb_bytes"] = int(size)
        result[form]["chdb_mb_per_s"] = round(int(size) / float(best) / 1e6)
        result[form]["ratio"] = round(result[form]["mb_per_s"] / result[form]["chdb_mb_per_s"], 2)
    if peer.returncode:
        result["chdb"] = peer.stderr[-300:]
    return result


def lookup(server, options):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    ours, client = [], []
    for _ in range(500):
        sql = f"SELECT * FROM t WHERE id = {random.randrange(options.rows)}"
        began = time.perf_counter()
        connection.request("GET", "/?" + urllib.parse.urlencode({"query": sql}))
        answer = connection.getresponse()
        if len(answer.read().splitlines()) != 1:
            sys.exit("a look-up found no row")
        client.append(time.perf_counter() - began)
        ours.append(int(json.loads(answer.headers["X-ClickHouse-Summary"])["elapsed_ns"]) / 1e9)
    milliseconds = lambda values: {"p50": round(quantile(values, 0.5) * 1000, 2), "p99": round(quantile(values, 0.99) * 1000, 2)}
    return {"server_ms": milliseconds(ours), "client_ms": milliseconds(client)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="*", default=["connections", "stream", "lookup"])
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--clients", type=int, default=1000)
    p.add_argument("--no-record", action="store_true")
    options = p.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    server = Server()
    record = {"bench": "serve", "rows": options.rows}
    try:
        server.send(CREATE)
        server.send(FILL.format(rows=options.rows))
        server.send("OPTIMIZE TABLE t FINAL")
        for what in options.what:
            record[what] = {"connections": connections, "stream": stream, "lookup": lookup}[what](server, options)
            print(what, json.dumps(record[what]), flush=True)
    finally:
        server.stop()
    if not options.no_record:
        record["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        with open(os.path.join(ROOT, "benches", "results", "serve.jsonl"), "a") as out:
            out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
