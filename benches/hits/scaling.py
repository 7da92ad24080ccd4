#!/usr/bin/env python3
"""Two threads against one, query by query: Pumphouse and DuckDB, and what the machine itself gives.

Every query runs in turn on one thread, on two threads, and (Pumphouse) twice at once on one thread each. Two
that share nothing but the machine are the most that two threads of one query can come to: on two cores that
share caches, memory or clock it is less than 2. Of several tries the fastest counts, of a pair its slower half.
`of_machine` is our gain with two threads to the pair's.

  python3 benches/hits/scaling.py [--rows 10000000] [--tries 5] [--only 5,21] [--ms-min 20]

Needs what `run.py` loaded. Queries below `--ms-min` on one thread are left out: their time is not the threads'.
"""
import argparse, http.client, json, math, os, subprocess, sys, threading, time, urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run as hits


class Client:
    """One connection to our server, one thread count a query."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)

    def ms(self, sql, threads):
        query = urllib.parse.urlencode({"query": sql + " FORMAT Null", "max_threads": threads, "use_query_cache": 0, "use_query_condition_cache": 0})
        began = time.perf_counter()
        self.connection.request("POST", f"/?{query}", b"")
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(text[:300])
        return (time.perf_counter() - began) * 1e3


def pair_ms(clients, sql):
    """The slower of two that begin together."""
    times, start = [0, 0], threading.Barrier(2)

    def one(i):
        start.wait()
        times[i] = clients[i].ms(sql, 1)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return max(times)


def geomean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=10_000_000)
    p.add_argument("--tries", type=int, default=5)
    p.add_argument("--only")
    p.add_argument("--ms-min", type=float, default=20)
    p.add_argument("--no-duckdb", action="store_true")
    p.add_argument("--no-record", action="store_true")
    a = p.parse_args()
    data = os.path.join(hits.TARGET, f"hits-{a.rows}-LZ4")
    ours = hits.Pumphouse(data, False)
    if not ours.is_loaded():
        sys.exit(f"{data} is not loaded: run benches/hits/run.py first")
    clients = [Client(ours.port), Client(ours.port)]
    duck = None if a.no_duckdb else hits.Peer("duckdb", data, False)
    wanted = [int(n) for n in a.only.split(",")] if a.only else None
    lines, chosen = [], hits.constants(ours)
    for number, query in enumerate(hits.read_queries(), 1):
        if wanted and number not in wanted:
            continue
        sql = hits.filled(query[""], chosen)
        first = min(clients[0].ms(sql, 1) for _ in range(2))
        if first < a.ms_min:
            continue
        clients[1].ms(sql, 1)
        best = {}
        for _ in range(a.tries):
            runs = {"one": clients[0].ms(sql, 1), "two": clients[0].ms(sql, 2), "pair": pair_ms(clients, sql)}
            if duck:
                text = hits.filled(query.get("duckdb", sql), chosen)
                for threads in (1, 2):
                    duck.query(f"SET threads = {threads}")
                    runs[f"duck_{threads}"] = duck.query(text)[0] * 1e3
            for name, ms in runs.items():
                best[name] = min(best.get(name, ms), ms)
        line = {"query": number, "one_ms": round(best["one"], 1), "two_ms": round(best["two"], 1),
                "gain": round(best["one"] / best["two"], 2), "pair_gain": round(2 * best["one"] / best["pair"], 2)}
        line["of_machine"] = round(best["pair"] / 2 / best["two"], 2)
        if duck:
            line["duckdb_gain"] = round(best["duck_1"] / best["duck_2"], 2)
        lines.append(line)
        print(json.dumps(line), flush=True)
    whole = {name: round(geomean([l[name] for l in lines if name in l]), 3) for name in ("gain", "pair_gain", "of_machine", "duckdb_gain")}
    print(json.dumps(whole))
    ours.stop()
    if not a.no_record:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=hits.ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
        record = {"bench": "scaling", "rows": a.rows, "tries": a.tries, **whole, "queries": lines, "commit": commit, "date": time.strftime("%Y-%m-%d")}
        with open(os.path.join(hits.ROOT, "benches", "results", "scaling.jsonl"), "a") as out:
            out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
