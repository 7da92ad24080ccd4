#!/usr/bin/env python3
"""Measures of the Kafka engine on its own, each against one real Apache Kafka broker:

  idle       CPU and memory of a server with 100 Kafka tables (a view each) to which nothing comes
  catch-up   a backlog of 20 million rows under a memory limit of 512 MB (cgroup): all rows, never killed
  formats    rows per second and per CPU-second for CSV, JSON, Avro, Protobuf, and JSON of 250 bytes, beside chdb (formats.py)
  consumers  the same formats, ten times as many rows: one consumer, one that has other cores parse, and four; how busy the machine was
  freshness  p50 and p99 from produced to visible at 1,000, 20,000 and 100,000 rows per second

  python3 benches/kafka/measure.py idle catch-up formats consumers freshness [--rows 20000000] [--seconds 20]

Needs what run.py needs. One line of JSON a measure, appended to benches/results/kafka.jsonl.
"""
import argparse, json, os, shutil, signal, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from formats import WIDE, consumers, formats
from run import Broker, Pumphouse, ROOT, cpu_seconds, freshness

LIMIT_BYTES = 512 << 20


def rss_bytes(pid, peak=False):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmHWM:" if peak else "VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def kafka_table(server, broker, name, topic, columns, fmt="JSONEachRow", more=""):
    server.sql(f"CREATE TABLE {name} ({columns}) ENGINE = Kafka SETTINGS kafka_broker_list = '{broker.address}', "
               f"kafka_topic_list = '{topic}', kafka_group_name = 'g_{name}', kafka_format = '{fmt}'{more}")


def idle_cpu(server, seconds):
    cpu = cpu_seconds(server.process.pid)
    time.sleep(seconds)
    return round((cpu_seconds(server.process.pid) - cpu) / seconds * 100, 2)


def first_message(server, broker):
    """From a message after a rest to its row in the first of the tables' views."""
    from confluent_kafka import Producer
    producer, began = Producer({"bootstrap.servers": broker.address}), time.time()
    producer.produce("idle", b'{"id":1}')
    producer.flush()
    while server.sql("SELECT count() FROM t") == "0" and time.time() - began < 60:
        time.sleep(0.01)
    return round((time.time() - began) * 1000)


def idle(binary, broker, a):
    tables, seconds = a.tables, 30
    folder = tempfile.mkdtemp()
    server = Pumphouse(binary, folder)
    try:
        broker.create_topic("idle")
        before = rss_bytes(server.process.pid)
        server.sql("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
        for i in range(tables):
            kafka_table(server, broker, f"q{i}", "idle", "id UInt64")
            server.sql(f"CREATE MATERIALIZED VIEW v{i} TO t AS SELECT id FROM q{i}")
        for _ in range(120):
            ready = int(server.sql("SELECT countIf(length(assignments.topic) > 0) FROM system.kafka_consumers"))
            if ready == tables:
                break
            time.sleep(1)
        time.sleep(10)
        waiting = idle_cpu(server, seconds // 2)
        # After a minute without a message they rest.
        for _ in range(180):
            resting = int(server.sql("SELECT countIf(state = 'resting') FROM system.kafka_consumers"))
            if resting == tables:
                break
            time.sleep(1)
        time.sleep(5)
        percent = idle_cpu(server, seconds)
        threads = len(os.listdir(f"/proc/{server.process.pid}/task"))
        return {"tables": tables, "assigned": ready, "resting": resting, "cpu_percent_of_a_core_in_the_first_minute": waiting,
                "cpu_percent_of_a_core": percent, "rss_mb": rss_bytes(server.process.pid) >> 20,
                "rss_mb_without_tables": before >> 20, "threads": threads, "first_message_ms": first_message(server, broker)}
    finally:
        server.stop()
        shutil.rmtree(folder)


class MemoryLimit:
    """A memory cgroup (v1 or v2) for one process, or an address space limit where there is none to be had."""

    def __init__(self, limit):
        self.limit, self.folder, self.kind = limit, None, "none"
        for folder, name in (("/sys/fs/cgroup/memory/pumphouse-measure", "memory.limit_in_bytes"),
                             ("/sys/fs/cgroup/pumphouse-measure", "memory.max")):
            try:
                os.makedirs(folder, exist_ok=True)
                with open(f"{folder}/{name}", "w") as f:
                    f.write(str(limit))
                self.folder, self.kind = folder, folder
                return
            except OSError:
                continue

    def wrap(self, command):
        if self.folder:
            return ["sh", "-c", f"echo $$ > {self.folder}/cgroup.procs; exec \"$@\"", "sh"] + command
        return ["sh", "-c", f"ulimit -v {self.limit * 4 // 1024}; exec \"$@\"", "sh"] + command

    def failures(self):
        for name in ("memory.failcnt", "memory.events"):
            try:
                return open(f"{self.folder}/{name}").read().strip().replace("\n", ", ")
            except OSError:
                continue
        return "unknown"

    def remove(self):
        if self.folder:
            try:
                os.rmdir(self.folder)
            except OSError:
                pass


def write(server, table, values, rows, step=200000):
    for start in range(0, rows, step):
        server.sql(f"INSERT INTO {table} SELECT {values} FROM numbers({start}, {min(step, rows - start)})")


def backlog(binary, broker, rows):
    """Rows of about 250 bytes, all different, written by a server of their own."""
    folder = tempfile.mkdtemp()
    server = Pumphouse(binary, folder)
    try:
        columns, values = WIDE
        kafka_table(server, broker, "out", "backlog", columns, more=", kafka_compression_codec = 'lz4'")
        write(server, "out", values, rows)
    finally:
        server.stop()
        shutil.rmtree(folder)


def catch_up(binary, broker, a):
    rows = a.rows
    broker.create_topic("backlog")
    backlog(binary, broker, rows)
    limit = MemoryLimit(LIMIT_BYTES)
    folder = tempfile.mkdtemp()
    server = Pumphouse(limit.wrap([binary]), folder)
    try:
        server.sql(f"CREATE TABLE t ({WIDE[0]}) ENGINE = MergeTree ORDER BY id")
        kafka_table(server, broker, "q", "backlog", WIDE[0])
        cpu, began = cpu_seconds(server.process.pid), time.time()
        server.sql("CREATE MATERIALIZED VIEW mv TO t AS SELECT * FROM q")
        moved, last = time.time(), 0
        while last < rows:
            if server.process.poll() is not None:
                return {"killed": server.process.returncode, "at_rows": last, "limit": limit.kind}
            now = int(server.sql("SELECT count() FROM t"))
            if now > last:
                last, moved = now, time.time()
            if time.time() - moved > 120:
                return {"stands_still_at": last, "limit": limit.kind,
                        "consumers": server.sql("SELECT state, last_error FROM system.kafka_consumers")}
            time.sleep(0.5)
        seconds, cpu = time.time() - began, cpu_seconds(server.process.pid) - cpu
        peak, hits = rss_bytes(server.process.pid, True) >> 20, limit.failures()
        count, total = server.sql("SELECT count(), sum(id) FROM t").split("\t")
        return {"rows": last, "seconds": round(seconds, 1), "rows_per_s": round(last / seconds), "rows_per_cpu_s": round(last / cpu),
                "limit_mb": LIMIT_BYTES >> 20, "rss_peak_mb": peak, "limit": limit.kind, "limit_hits": hits,
                "lost_or_doubled": int(count) - rows, "sum_is_right": int(total) == rows * (rows - 1) // 2}
    finally:
        if server.process.poll() is None:
            server.stop()
        limit.remove()
        shutil.rmtree(folder, ignore_errors=True)


def fresh(binary, broker, a):
    return [freshness(binary, broker, a.seconds, rate, f"fresh{rate}") for rate in (1000, 20000, 100000)]


MEASURES = {"idle": idle, "catch-up": catch_up, "formats": formats, "consumers": consumers, "freshness": fresh}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("measures", nargs="+", choices=MEASURES)
    arguments.add_argument("--rows", type=int, default=20000000)
    arguments.add_argument("--tables", type=int, default=100)
    arguments.add_argument("--format-rows", type=int, default=1000000)
    arguments.add_argument("--only", help="formats, consumers: these alone, separated by commas")
    arguments.add_argument("--tries", type=int, default=2)
    arguments.add_argument("--seconds", type=int, default=20)
    arguments.add_argument("--binary", default=os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "dist", "pumphouse"))
    a = arguments.parse_args()
    folder = tempfile.mkdtemp()
    broker = Broker(folder)
    try:
        for name in a.measures:
            result = {"measure": name, "result": MEASURES[name](a.binary, broker, a)}
            result["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE).stdout.decode().strip()
            result["date"] = time.strftime("%Y-%m-%d")
            print(json.dumps(result), flush=True)
            os.makedirs(os.path.join(ROOT, "benches", "results"), exist_ok=True)
            with open(os.path.join(ROOT, "benches", "results", "kafka.jsonl"), "a") as f:
                f.write(json.dumps(result) + "\n")
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
