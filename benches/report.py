#!/usr/bin/env python3
"""Writes docs/benchmarks.md and its charts from the last records in benches/results/*.jsonl.

  python3 benches/report.py

Run it after a bench has appended its record; the page then says what was measured at which commit.
"""
import json, os

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
RESULTS = os.path.join(ROOT, "benches", "results")
PICTURES = os.path.join(ROOT, "docs", "pictures")
COLOURS = {"pumphouse": "#0a7d6c", "chdb": "#c98a00", "duckdb": "#6a6fb5"}


def last(bench, wanted=lambda record: True):
    """The newest record of a bench that is as wanted, or None."""
    path = os.path.join(RESULTS, bench + ".jsonl")
    if not os.path.exists(path):
        return None
    records = [json.loads(line) for line in open(path) if line.strip()]
    return next((record for record in reversed(records) if wanted(record)), None)


def history(bench, key, wanted=lambda record: True):
    path = os.path.join(RESULTS, bench + ".jsonl")
    if not os.path.exists(path):
        return []
    records = [json.loads(line) for line in open(path) if line.strip()]
    return [(r.get("commit", ""), r[key]) for r in records if key in r and wanted(r)]


def chart(times):
    """Bars of every query, each engine's time as a share of the slowest of the three."""
    row, width, left = 26, 720, 46
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {len(times) * row + 40}" font-family="sans-serif" font-size="10">',
             "<title>Time of each query next to its peers</title>",
             f'<rect width="{width}" height="{len(times) * row + 40}" fill="#ffffff"/>']
    for place, (name, colour) in enumerate(COLOURS.items()):
        lines.append(f'<rect x="{left + place * 110}" y="8" width="10" height="10" fill="{colour}"/>'
                     f'<text x="{left + place * 110 + 15}" y="17" fill="#222222">{name}</text>')
    for number, time in enumerate(times):
        y = 30 + number * row
        most = max(time[name] for name in COLOURS)
        lines.append(f'<text x="4" y="{y + 14}" fill="#222222">Q{time["q"]}</text>')
        for place, (name, colour) in enumerate(COLOURS.items()):
            length = max(1, (width - left - 80) * time[name] / most)
            lines.append(f'<rect x="{left}" y="{y + place * 7}" width="{length:.1f}" height="6" fill="{colour}"/>'
                         f'<text x="{left + length + 4:.1f}" y="{y + place * 7 + 6}" font-size="7" fill="#444444">{time[name]} ms</text>')
    return "\n".join(lines + ["</svg>", ""])


def hits(page):
    record = last("hits", lambda r: r["queries"] == 43 and not r.get("other_shape"))
    if record is None:
        return
    times = record["times"]
    open(os.path.join(PICTURES, "hits.svg"), "w").write(chart(times))
    page += ["## hits: 43 analytical queries over a web-analytics table", "",
             f"{record['rows']:,} rows × 70 columns, codec {record['codec']}, two threads each, warm, result caches off, the fastest of "
             f"{record['tries']} tries; ours over one HTTP connection, the peers in their own process. Commit `{record.get('commit', '')}`, {record.get('date', '')}.", "",
             f"- Geometric mean of our time to the *better* peer's (both + 10 ms): **{record['geomean_vs_best']}**; as fast or faster in "
             f"{record['wins']} of {record['queries']}; the worst query {record['worst']}.",
             f"- The same by the server's own clock, without HTTP and its client, as the peers are timed: {record.get('geomean_served_vs_best', '?')}.",
             f"- On disk {record.get('disk_vs_clickhouse', '?')} of ClickHouse's."]
    load = record.get("load", {})
    if "pumphouse" in load and "chdb" in load:
        insert = load["chdb"]["insert"]["cpu_s"] / load["pumphouse"]["insert"]["cpu_s"]
        merge = load["chdb"]["optimize"]["cpu_s"] / load["pumphouse"]["optimize"]["cpu_s"]
        page.append(f"- Rows per CPU-second against ClickHouse: INSERT of TabSeparated {insert:.2f}, OPTIMIZE FINAL {merge:.2f}.")
    slow = sorted((t for t in times if t["ratio"] > 1.3), key=lambda t: -t["ratio"])
    if slow:
        page.append("- Above 1.3: " + ", ".join(f"Q{t['q']} ({t['ratio']})" for t in slow) + ".")
    page += ["", "![Time of each query](pictures/hits.svg)", "", "| Query | Pumphouse ms | ClickHouse ms | DuckDB ms | to the better | peak MB | answer |", "|---|---|---|---|---|---|---|"]
    for t in times:
        peak = " / ".join(str(t["peak_mb"][name]) for name in COLOURS)
        page.append(f"| Q{t['q']} | {t['pumphouse']} | {t['chdb']} | {t['duckdb']} | {t['ratio']} | {peak} | {t['answer']} |")
    other = last("hits", lambda r: r["queries"] == 43 and r.get("other_shape"))
    if other:
        page += ["", f"The second data set (other seed, other skew, {other['rows']:,} rows): geometric mean {other['geomean_vs_best']}, wins {other['wins']}."]
    cold = last("hits_cold", lambda r: r["queries"] == 43)
    if cold:
        page += ["", f"Cold (`--cold`: every query after a new start of its engine, page cache dropped; the faster of {cold['tries']}): geometric "
                 f"mean {cold['geomean_vs_best']}, wins {cold['wins']}, the worst query {cold['worst']}. Commit `{cold.get('commit', '')}`."]
    page += ["", "Peak MB is what the processes hold themselves (`RssAnon`); pages of files count for nobody."]
    page += ["", "`ties` and `open`: rows differ only where the query's order leaves them open. To reproduce: `python3 benches/hits/run.py`.", ""]


def scaling(page):
    record = last("scaling", lambda r: len(r["queries"]) > 20)
    if record is None:
        return
    page += ["## scaling: two threads against one", "",
             f"Queries of `hits` that take 20 ms and more on one thread, {record['rows']:,} rows, the middle one of {record['tries']} tries. `machine`: what two such queries on one thread "
             f"each come to at once, the most that the machine gives two threads. Commit `{record.get('commit', '')}`, {record.get('date', '')}.", "",
             f"Geometric means: ours **{record['gain']}**, the machine {record['machine']}, ClickHouse {record.get('chdb')}, DuckDB {record.get('duckdb')}.", "",
             "| query | one ms | two ms | gain | machine | ClickHouse | DuckDB |", "|---|---|---|---|---|---|---|"]
    page += [f"| Q{q['query']} | {q['one_ms']} | {q['two_ms']} | **{q['gain']}** | {q['machine']} | {q.get('chdb', '')} | {q.get('duckdb', '')} |" for q in record["queries"]]
    page += ["", "To reproduce: `python3 benches/hits/scaling.py`.", ""]


def joins(page):
    record = last("joins", lambda r: r["queries"] == 35 and not r.get("settings"))
    if record is None:
        return
    sets = record.get("geomean_by_set", {})
    page += ["## joins: TPC-H and the Star Schema Benchmark", "",
             f"Scale factor {record['scale']}, codec {record['codec']}, two threads each, warm, the fastest of {record['tries']} tries; queries as the benchmarks word them. "
             f"Commit `{record.get('commit', '')}`, {record.get('date', '')}.", "",
             f"- Geometric mean of our time to the *better* peer's (both + 10 ms): **{record['geomean_vs_best']}** (TPC-H {sets.get('tpch', '?')}, SSB {sets.get('ssb', '?')}); "
             f"as fast or faster in {record['wins']} of {record['queries']}; the worst query {record['worst']}.",
             "- Answers that differ from a peer's: " + (", ".join(record["different"]) or "none") + ".", "",
             "| Query | Pumphouse ms | ClickHouse ms | DuckDB ms | to the better | peak MB | answer |", "|---|---|---|---|---|---|---|"]
    for t in record["times"]:
        peak = " / ".join(str(t["peak_mb"].get(name, "")) for name in COLOURS)
        page.append(f"| {t['q']} | {t.get('pumphouse')} | {t.get('chdb')} | {t.get('duckdb')} | {t.get('ratio')} | {peak} | {t.get('answer', '')} |")
    limited = last("joins", lambda r: r.get("settings"))
    if limited:
        failed = [t["q"] for t in limited["times"] if t.get("pumphouse") is None]
        peak = max(t["peak_mb"]["pumphouse"] for t in limited["times"])
        page += ["", f"With {limited['settings']}: {len(limited['times']) - len(failed)} of {len(limited['times'])} queries finish"
                 + (f" (not: {', '.join(failed)})" if failed else "") + f"; the process has at most {peak} MB."]
    page += ["", "To reproduce: `python3 benches/joins/run.py`.", ""]


def kafka(page):
    record = last("kafka", lambda r: r.get("bench") == "kafka")
    if record is None:
        return
    fresh = record.get("freshness") or {}
    page += ["## kafka: broker to synced parts", "",
             f"{record['messages']:,} JSONEachRow messages of {record['bytes_per_message']} bytes, against a librdkafka consumer that inserts the same blocks into "
             f"ClickHouse (chdb). Commit `{record.get('commit', '')}`, {record.get('date', '')}.", "",
             "| | Pumphouse | ClickHouse | ratio |", "|---|---|---|---|",
             f"| rows per CPU-second | {record['rows_per_cpu_s']:,} | {record['chdb_rows_per_cpu_s']:,} | **{record['rows_per_cpu_s_vs_chdb']}** |",
             f"| the same, only the INSERT's CPU counted for ClickHouse | | {record['chdb_insert_only_rows_per_cpu_s']:,} | {record['rows_per_cpu_s_vs_chdb_insert_only']} |",
             f"| bytes on disk | | | {record['disk_vs_chdb']} |", ""]
    if fresh:
        page += [f"Freshness at {fresh['rate']:,} rows a second, default settings: p50 {fresh['p50_ms']} ms, p99 {fresh['p99_ms']} ms.", ""]
    kafka_measures(page)


def kafka_measures(page):
    """What benches/kafka/measure.py found, the newest of each."""
    def of(name):
        record = last("kafka", lambda r: r.get("measure") == name)
        if record is None:
            return None, ""
        note = f" ({record['note']})" if "note" in record else ""
        return record["result"], f"Commit `{record.get('commit', '')}`, {record.get('date', '')}{note}."
    formats, commit = of("formats")
    if formats:
        page += [f"One topic of 4 partitions a format, one consumer unless said otherwise, beside a librdkafka consumer that inserts the same blocks into ClickHouse (chdb) and beside "
                 f"librdkafka alone, which drops what it takes; the best of {formats[0]['tries']}. {commit}", "",
                 "| format | rows a message | rows per CPU-second | ClickHouse | ratio | of librdkafka's per CPU-second | rows per second, 1 and 4 consumers | of librdkafka's, 1 and 4 |", "|---|---|---|---|---|---|---|---|"]
        for f in formats:
            page.append(f"| {f['format']}, {f['row']} | {f['rows_per_message']:,} | {f['rows_per_cpu_s']:,} | {f['chdb_rows_per_cpu_s']:,} | **{f['rows_per_cpu_s_vs_chdb']}** | "
                        f"{f.get('percent_of_librdkafka_per_cpu_s', '')} % | {f['rows_per_s']:,} / {f['four_consumers_rows_per_s']:,} ({f['four_consumers_vs_one']}) | "
                        f"{f.get('percent_of_librdkafka', '')} % / {f.get('percent_of_librdkafka_four_consumers', '')} % |")
        page.append("")
    consumers, commit = of("consumers")
    if consumers:
        page += ["One consumer whose own thread parses, one that has other cores parse as well, and four; busy: the part of both cores that server and broker have together; "
                 f"the best of {consumers[0]['tries']}. {commit}", "",
                 "| format | rows | rows per second, 1 | 1, parsing beside | 4 | beside to one | four to one | busy, 1 | beside | 4 | librdkafka alone |",
                 "|---|---|---|---|---|---|---|---|---|---|---|"]
        for f in consumers:
            one, beside, four = f["one"], f["one_parsing_beside"], f["four"]
            page.append(f"| {f['format']}, {f['row']} | {f['rows']:,} | {one['rows_per_s']:,} | {beside['rows_per_s']:,} | {four['rows_per_s']:,} | {f['parsing_beside_vs_one']} | "
                        f"**{f['four_vs_one']}** | {one['machine_busy']:.0%} | {beside['machine_busy']:.0%} | {four['machine_busy']:.0%} | {f.get('librdkafka_rows_per_s', 0):,} |")
        page.append("")
    fresh, commit = of("freshness")
    if fresh:
        page += [f"From produced to visible, default settings. {commit}", "", "| rows per second | p50 ms | p99 ms |", "|---|---|---|"]
        page += [f"| {f['rate']:,} | {f['p50_ms']} | {f['p99_ms']} |" for f in fresh] + [""]
    idle, commit = of("idle")
    if idle:
        page += [f"{idle['tables']} Kafka tables to which nothing comes: {idle['cpu_percent_of_a_core']} % of a core and {idle['rss_mb']} MB ({idle['cpu_percent_of_a_core_in_the_first_minute']} % before they rest); "
                 f"the first message after that is in its table within {idle['first_message_ms']} ms. {commit}", ""]
    behind, commit = of("catch-up")
    if behind and "rows_per_s" in behind:
        page += [f"A backlog of {behind['rows']:,} rows under a memory limit of {behind['limit_mb']} MB: {behind['rows_per_s']:,} rows a second, at most {behind['rss_peak_mb']} MB resident, "
                 f"{behind['lost_or_doubled']} lost or doubled. {commit}", ""]


def load(page):
    record = last("load")
    if record is None:
        return
    page += ["## load: a file of each format into a synced part", "",
             f"{record['rows']:,} rows × {record['columns']} columns of the table of `hits`, ours over HTTP and synced, the peers from a file in their own process; the try of least "
             f"CPU time of {record['tries']}, the ratio of our better way. Commit `{record.get('commit', '')}`, {record.get('date', '')}.", "",
             "| format | MB | rows per CPU-second | ClickHouse | DuckDB | to ClickHouse | to DuckDB | seconds | peak MB | answer |", "|---|---|---|---|---|---|---|---|---|---|"]
    for f in record["formats"]:
        of = lambda way, key: f"{f[way][key]:,}" if way in f else ""
        peers = [way for way in COLOURS if way in f]
        page.append(f"| {f['format']} | {f['bytes'] // 1_000_000:,} | {of('pumphouse', 'rows_per_cpu_s')} | {of('chdb', 'rows_per_cpu_s')} | {of('duckdb', 'rows_per_cpu_s')} | "
                    f"**{f.get('vs_chdb', '')}** | {f.get('vs_duckdb', '')} | {' / '.join(str(f[way]['s']) for way in peers)} | {' / '.join(str(f[way]['peak_mb']) for way in peers)} | {f['answer']} |")
        if "pumphouse_file" in f:
            page.append(f"| {f['format']} by `file()` | | {of('pumphouse_file', 'rows_per_cpu_s')} | | | | | {f['pumphouse_file']['s']} | {f['pumphouse_file']['peak_mb']} | |")
    page.append("")


def steady(page):
    record = last("steady")
    if record is None:
        return
    look = record["lookup_ms"]
    page += ["## steady: a stream of small synced inserts", "",
             f"{record['inserts_per_second']} inserts a second of {record['rows_per_insert']:,} rows for {record['seconds']} seconds ({record['rows']:,} rows). "
             f"Commit `{record.get('commit', '')}`.", "",
             f"- Active parts at most {record['parts_at_most']}; bytes written per byte inserted {record['write_amplification']}; {record['cpu_s']} CPU-seconds in all.",
             f"- An insert is answered {record['insert_late_ms']['p50']} ms (p99 {record['insert_late_ms']['p99']}) after it was due, synced.",
             f"- A look-up by key takes {look['first_quarter']['p50']} ms in the first quarter and {look['last_quarter']['p50']} ms in the last.", ""]


def serve(page):
    record = last("serve", lambda r: "connections" in r and "stream" in r and "lookup" in r)
    if record is None:
        return
    c, lookup = record["connections"], record["lookup"]
    page += ["## serve: many clients, large results", "",
             f"Commit `{record.get('commit', '')}`; the clients run on the same two cores.", "",
             f"- {c['clients']:,} kept connections for {c['seconds']} s: {c['queries']:,} queries, {c['errors']} errors, p50 {c['p50_ms']} ms, p99 {c['p99_ms']} ms; "
             f"memory {c['memory_mb']['before']} → {c['memory_mb']['half']} → {c['memory_mb']['end']} MB.",
             f"- A row by primary key out of {record['rows']:,}: {lookup['server_ms']['p50']} ms (p99 {lookup['server_ms']['p99']}) on the server.", "",
             "| 10 million rows as | MB/s | ClickHouse MB/s | ratio | first byte ms |", "|---|---|---|---|---|"]
    for name, s in record["stream"].items():
        page.append(f"| {name} | {s['mb_per_s']} | {s.get('chdb_mb_per_s', '')} | {s.get('ratio', '')} | {s['first_byte_ms']} |")
    page.append("")


def events(page):
    record = last("events", lambda r: "10_clients" in r)
    if record is None:
        return
    page += ["## events: dashboards over HTTP", "",
             f"{record['rows']:,} events, {record['queries']} queries with services and times drawn anew, {record['threads']} threads a query; ClickHouse (chdb) behind a threaded HTTP "
             f"server. Commit `{record.get('commit', '')}`; the clients run on the same two cores.", "",
             "| clients | queries/s | ClickHouse | ratio | p50 ms | ClickHouse | p99 ms | ClickHouse |", "|---|---|---|---|---|---|---|---|"]
    runs = {key.split("_")[0]: value for key, value in record.items() if key.endswith("_clients")}
    for clients, run in runs.items():
        ours, peer = run["pumphouse"], run["chdb"]
        page.append(f"| {clients} | {ours['queries_per_second']} | {peer['queries_per_second']} | {run['queries_per_second_vs_chdb']} | {ours['p50_ms']} | {peer['p50_ms']} "
                    f"| {ours['p99_ms']} | {peer['p99_ms']} |")
    if "1" in runs:
        page += ["", "| query, one client | p50 ms | ClickHouse |", "|---|---|---|"]
        peer = runs["1"]["chdb"]["by_query_p50_ms"]
        page += [f"| {name} | {ms} | {peer.get(name, '')} |" for name, ms in runs["1"]["pumphouse"]["by_query_p50_ms"].items()]
    page.append("")


def course(page):
    steps = history("hits", "geomean_vs_best", lambda r: r["queries"] == 43 and not r.get("other_shape"))
    if len(steps) > 1:
        page += ["## How hits went", "", "| commit | geometric mean to the better peer |", "|---|---|"]
        page += [f"| `{commit}` | {value} |" for commit, value in steps] + [""]


def main():
    os.makedirs(PICTURES, exist_ok=True)
    page = ["# Benchmarks", "", "Written by `benches/report.py` from `benches/results/*.jsonl`; what each bench does stands in `benches/README.md`.",
            "All on one machine of two shared, noisy cores: look at ratios, not at milliseconds.", ""]
    for section in (hits, scaling, joins, kafka, load, events, steady, serve, course):
        section(page)
    open(os.path.join(ROOT, "docs", "benchmarks.md"), "w").write("\n".join(page).rstrip() + "\n")


if __name__ == "__main__":
    main()
