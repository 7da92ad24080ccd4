#!/usr/bin/env python3
"""Two threads against one, query by query: Pumphouse, ClickHouse (chdb), DuckDB, and the machine itself.

Every query runs in turn on one thread and on two, on each engine, and (Pumphouse) twice at once on one thread
each: two that share nothing but the machine are the most that two threads of one query can come to (`machine`).
On two cores that share caches, memory or clock it is less than 2. Of several tries the middle one counts, of a
pair its slower half.

  python3 benches/hits/scaling.py [--rows 10000000] [--tries 5] [--only 5,21] [--ms-min 20]

Needs what `run.py` loaded. Queries below `--ms-min` on one thread are left out: their time is not the threads'.
"""
import argparse, http.client, json, math, os, statistics, subprocess, sys, threading, time, urllib.parse

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
    p.add_argument("--tries", type=int, default=7)
    p.add_argument("--only")
    p.add_argument("--ms-min", type=float, default=20)
    p.add_argument("--peers", default="chdb,duckdb")
    p.add_argument("--no-record", action="store_true")
    a = p.parse_args()
    data = os.path.join(hits.TARGET, f"hits-{a.rows}-LZ4")
    ours = hits.Pumphouse(data, False)
    if not ours.is_loaded():
        sys.exit(f"{data} is not loaded: run benches/hits/run.py first")
    clients = [Client(ours.port), Client(ours.port)]
    peers = [hits.Peer(name, data, False) for name in a.peers.split(",") if name]
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
        all_ms = {}
        for _ in range(a.tries):
            runs = {"one": clients[0].ms(sql, 1), "two": clients[0].ms(sql, 2), "pair": pair_ms(clients, sql)}
            for peer in peers:
                text = hits.filled(query.get(peer.name, sql), chosen)
                for threads in (1, 2):
                    peer.query(f"SET {'threads' if peer.name == 'duckdb' else 'max_threads'} = {threads}")
                    runs[peer.name, threads] = peer.query(text)[0] * 1e3
            for name, ms in runs.items():
                all_ms.setdefault(name, []).append(ms)
        middle = {name: statistics.median(times) for name, times in all_ms.items()}
        line = {"query": number, "one_ms": round(middle["one"], 1), "two_ms": round(middle["two"], 1),
                "gain": round(middle["one"] / middle["two"], 2), "machine": round(2 * middle["one"] / middle["pair"], 2)}
        for peer in peers:
            line[peer.name] = round(middle[peer.name, 1] / middle[peer.name, 2], 2)
        lines.append(line)
        print(json.dumps(line), flush=True)
    names = ["gain", "machine"] + [peer.name for peer in peers]
    whole = {name: round(geomean([line[name] for line in lines]), 3) for name in names}
    reached = [line for line in lines if any(line[peer.name] >= 1.8 for peer in peers)]
    whole["where_a_peer_has_1_8"] = {"queries": len(reached), "below_1_8": [line["query"] for line in reached if line["gain"] < 1.8]}
    print(json.dumps(whole))
    for engine in [ours] + peers:
        engine.stop()
    if not a.no_record:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=hits.ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
        record = {"bench": "scaling", "rows": a.rows, "tries": a.tries, **whole, "queries": lines, "commit": commit, "date": time.strftime("%Y-%m-%d")}
        with open(os.path.join(hits.ROOT, "benches", "results", "scaling.jsonl"), "a") as out:
            out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
