#!/usr/bin/env python3
"""The scan bench: how fast a column is read, against the machine's own LZ4 decoder, and look-ups by key.

The generated web-analytics table of 70 columns is loaded and merged into one part (LZ4). Each of some columns is
then read whole by one thread (`SELECT column FROM hits FORMAT Null`), several times; the least processor time
of the server counts, less what a query takes that reads nothing. The measure is the reference decoder (liblz4 of
the Python package `lz4`) on the column's values, laid out as we lay them in memory and compressed in blocks of
1 MiB, in the least processor time of as many tries; what does not compress it only copies. Look-ups read five
columns, and all 70, of rows whose full key is known; the time is the server's own, and its processor time of each.

  python3 benches/scan/run.py [--rows 1000000] [--tries 7] [--lookups 300]

Needs: pumphouse (`--profile dist`), a release build of hits_generate, and `pip install lz4`. Data is kept below target/scan-<rows>.
"""
import argparse, importlib.util, json, os, random, struct, subprocess, sys, time, urllib.parse, urllib.request

import lz4.block

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
spec = importlib.util.spec_from_file_location("hits_run", os.path.join(ROOT, "benches", "hits", "run.py"))
hits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hits)

# Long texts, short ones that are mostly empty, identifiers, small numbers.
COLUMNS = {"URL": "String", "Title": "String", "Referer": "String", "SearchPhrase": "String", "UserID": "Q", "WatchID": "Q",
           "ClientIP": "I", "ResolutionWidth": "H", "SendTiming": "i"}
BLOCK = 1 << 20
KEY = ["CounterID", "EventDate", "UserID", "EventTime", "WatchID"]


def read(server, sql):
    """The body, and what the server says it took, in seconds."""
    query = urllib.parse.urlencode({"query": sql, "max_threads": 1, "use_query_cache": 0, "use_query_condition_cache": 0})
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/?{query}", timeout=600) as answer:
        body = answer.read()
        return body, int(json.loads(answer.headers["X-ClickHouse-Summary"])["elapsed_ns"]) / 1e9


def fine_cpu(pid):
    """Processor time of all threads, in seconds: the kernel's nanoseconds, not its ticks."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
        except OSError:
            pass
    return total / 1e9


def cpu_of(server, sql, tries):
    best = float("inf")
    for _ in range(tries):
        before = fine_cpu(server.pid)
        read(server, sql)
        best = min(best, fine_cpu(server.pid) - before)
    return best


def scan(server, column, tries):
    whole = cpu_of(server, f"SELECT {column} FROM hits FORMAT Null", tries)
    return whole - cpu_of(server, f"SELECT {column} FROM hits LIMIT 0 FORMAT Null", 3 * tries)


def values(server, column, kind):
    """The column as it lies in memory: words, or an offset of four bytes a row and the bytes of all."""
    if kind != "String":
        numbers = read(server, f"SELECT {column} FROM hits FORMAT TabSeparated")[0].split()
        return struct.pack(f"<{len(numbers)}{kind}", *map(int, numbers))
    body = read(server, f"SELECT {column} FROM hits FORMAT RowBinary")[0]
    at, end, offsets, texts = 0, 0, [], []
    while at < len(body):
        length, shift = 0, 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        texts.append(body[at:at + length])
        at += length
        end += length
        offsets.append(end)
    return struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(texts)


def decode(data, tries):
    blocks = [lz4.block.compress(data[i:i + BLOCK], store_size=False) for i in range(0, len(data), BLOCK)]
    sizes = [min(BLOCK, len(data) - i) for i in range(0, len(data), BLOCK)]
    best = float("inf")
    for _ in range(tries):
        began = time.process_time()
        for block, size in zip(blocks, sizes):
            lz4.block.decompress(block, uncompressed_size=size, return_bytearray=True)
        best = min(best, time.process_time() - began)
    return best


def lookups(server, count):
    """Rows whose full key is known: a few columns of them, and all."""
    keys = read(server, f"SELECT {', '.join(KEY)} FROM hits WHERE cityHash64(WatchID) % 997 = 0 LIMIT {count} FORMAT TabSeparated")[0]
    keys = [line.split("\t") for line in keys.decode().splitlines()]
    random.Random(1).shuffle(keys)
    found = {"lookups": len(keys)}
    for label, columns in (("few", "URL, Title, ClientIP, RegionID, SearchPhrase"), ("all", "*")):
        times, before = [], fine_cpu(server.pid)
        for key in keys:
            condition = " AND ".join(f"{name} = '{value}'" for name, value in zip(KEY, key))
            body, seconds = read(server, f"SELECT {columns} FROM hits WHERE {condition} FORMAT TabSeparated")
            if not body.strip():
                sys.exit(f"no row for {key}")
            times.append(seconds * 1000)
        cpu = (fine_cpu(server.pid) - before) * 1000 / len(times)
        times.sort()
        found[label] = {"cpu_ms": round(cpu, 2), "p50_ms": round(times[len(times) // 2], 2), "p99_ms": round(times[len(times) * 99 // 100], 2)}
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--tries", type=int, default=7)
    p.add_argument("--lookups", type=int, default=300)
    p.add_argument("--no-record", action="store_true")
    a = p.parse_args()
    folder = os.path.join(hits.TARGET, f"scan-{a.rows}")
    os.makedirs(folder, exist_ok=True)
    server = hits.Pumphouse(folder, False)
    if not server.is_loaded():
        file = os.path.join(folder, "hits.tsv")
        with open(file, "wb") as out:
            subprocess.run([hits.GENERATOR, "--rows", str(a.rows)], check=True, stdout=out)
        ddl = subprocess.run([hits.GENERATOR, "--ddl"], check=True, stdout=subprocess.PIPE, text=True).stdout.rstrip()
        server.load(ddl + "\nSETTINGS default_compression_codec = 'LZ4'", file)
        server.optimize()
        os.remove(file)
    results = []
    for column, kind in COLUMNS.items():
        data = values(server, column, kind)
        ours, reference = scan(server, column, a.tries), decode(data, a.tries)
        mb = len(data) / 1e6
        results.append({"column": column, "mb": round(mb, 1), "scan_mb_per_cpu_s": round(mb / ours), "lz4_mb_per_cpu_s": round(mb / reference),
                        "ratio": round(reference / ours, 2)})
        print(json.dumps(results[-1]), flush=True)
    found = lookups(server, a.lookups)
    print(json.dumps(found), flush=True)
    server.stop()
    if not a.no_record:
        record = {"bench": "scan", "rows": a.rows, "tries": a.tries, "columns": results, "least": min(r["ratio"] for r in results), **found,
                  "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip(),
                  "date": time.strftime("%Y-%m-%d")}
        with open(os.path.join(ROOT, "benches", "results", "scan.jsonl"), "a") as out:
            out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
