#!/usr/bin/env python3
"""The steady bench: a stream of small inserts, and what it does to parts, disk and readers.

Twenty inserts a second of 1,000 rows each (every one synced before its answer) go into one table for ten
minutes. Every second we look at the number of active parts and time two queries: an aggregation over the
whole table and a look-up by key. What is told: parts at most, bytes written by merges per byte inserted (write
amplification), inserts that came late, and the queries' latency in the stream's first and last quarter.

  python3 benches/steady/run.py [--seconds 600] [--per-second 20] [--rows 1000]

Needs a build of pumphouse (`--profile dist`). There is no peer: a peer that does not sync would not run the same race.
"""
import argparse, http.client, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BINARY = os.environ.get("PUMPHOUSE_BINARY", os.path.join(TARGET, "dist", "pumphouse"))

TABLE = """CREATE TABLE events (time DateTime, service LowCardinality(String), host UInt32, level Enum8('info' = 1, 'warn' = 2, 'error' = 3),
    duration_us UInt32, trace UInt64, message String) ENGINE = MergeTree ORDER BY (service, time)"""
SERVICES = [f"service-{i}" for i in range(40)]


class Client:
    """One kept connection; a statement in, text out."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def send(self, sql, body=b""):
        self.connection.request("POST", "/?" + urllib.parse.urlencode({"query": sql}), body)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(text.decode(errors="replace")[:300])
        return text.decode().strip()


def block(number, rows):
    draw = random.Random(number)
    now = int(time.time())
    return "".join(
        f"{now}\t{draw.choice(SERVICES)}\t{draw.randrange(500)}\t{draw.choice(('info', 'info', 'info', 'warn', 'error'))}\t"
        f"{int(draw.expovariate(1 / 900))}\t{number * rows + i}\tGET /api/v1/items/{draw.randrange(100000)} took {draw.randrange(1000)} ms\n"
        for i in range(rows)).encode()


def writer(port, options, late, failures):
    client = Client(port)
    blocks = [block(n, options.rows) for n in range(min(40, options.per_second * 2))]
    began = time.perf_counter()
    for number in range(options.seconds * options.per_second):
        due = began + number / options.per_second
        pause = due - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        try:
            client.send("INSERT INTO events FORMAT TabSeparated", blocks[number % len(blocks)])
        except Exception as e:
            failures.append(str(e))
            return
        late.append(time.perf_counter() - due)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=600)
    options.add_argument("--per-second", type=int, default=20)
    options.add_argument("--rows", type=int, default=1000)
    options.add_argument("--no-record", action="store_true", help="do not append to benches/results/steady.jsonl")
    options = options.parse_args()

    folder = tempfile.mkdtemp(prefix="pumphouse-steady-", dir=os.environ.get("TMPDIR"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([BINARY, "server", "--data-dir", folder, "--http-port", str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping").read()
                break
            except OSError:
                time.sleep(0.1)
        record = measure(port, server.pid, options)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(record, indent=1))
    if not options.no_record:
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        with open(os.path.join(ROOT, "benches", "results", "steady.jsonl"), "a") as out:
            out.write(json.dumps({"bench": "steady", "commit": commit, **record}) + "\n")


def measure(port, pid, options):
    client = Client(port)
    client.send(TABLE)
    late, failures, samples = [], [], []
    stream = threading.Thread(target=writer, args=(port, options, late, failures))
    stream.start()
    began = time.perf_counter()
    while stream.is_alive():
        time.sleep(1)
        parts = int(client.send("SELECT count() FROM system.parts WHERE table = 'events' AND active"))
        t0 = time.perf_counter()
        client.send("SELECT level, count(), avg(duration_us) FROM events GROUP BY level ORDER BY level")
        t1 = time.perf_counter()
        client.send("SELECT count() FROM events WHERE service = 'service-7' AND time >= now() - 10")
        t2 = time.perf_counter()
        samples.append((t0 - began, parts, t1 - t0, t2 - t1))
        if len(samples) % 30 == 0 and sys.stderr.isatty():
            print(f"{samples[-1][0]:5.0f} s  parts {parts}", file=sys.stderr)
    stream.join()
    rows = int(client.send("SELECT count() FROM events"))
    sent = len(late) * options.rows
    if failures or rows != sent:
        sys.exit(f"{rows} rows of {sent}; failures: {failures[:3]}")
    client.send("SYSTEM FLUSH LOGS")
    written = dict(line.split("\t") for line in client.send(
        "SELECT event_type, sum(size_in_bytes) FROM system.part_log WHERE table = 'events' "
        "AND event_type IN ('NewPart', 'MergeParts') GROUP BY event_type").splitlines())
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    quarter = max(1, len(samples) // 4)
    milliseconds = lambda values: {"p50": round(quantile(values, 0.5) * 1000, 1), "p99": round(quantile(values, 0.99) * 1000, 1)}
    return {
        "seconds": options.seconds, "inserts_per_second": options.per_second, "rows_per_insert": options.rows, "rows": rows,
        "parts_at_most": max(s[1] for s in samples), "parts_at_end": samples[-1][1],
        "write_amplification": round((int(written["NewPart"]) + int(written.get("MergeParts", 0))) / int(written["NewPart"]), 2),
        "insert_late_ms": milliseconds(late), "cpu_s": round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 1),
        "aggregate_ms": {"first_quarter": milliseconds([s[2] for s in samples[:quarter]]), "last_quarter": milliseconds([s[2] for s in samples[-quarter:]])},
        "lookup_ms": {"first_quarter": milliseconds([s[3] for s in samples[:quarter]]), "last_quarter": milliseconds([s[3] for s in samples[-quarter:]])},
    }


if __name__ == "__main__":
    main()
