"""The measure `formats`: for narrow CSV, JSON, Avro and Protobuf and for JSON of 250 bytes, in one run over the same
messages (4 partitions): Pumphouse with one consumer and with four in parallel, a librdkafka consumer that inserts the
same blocks into the real ClickHouse engine (chdb), and librdkafka alone (alone.c), which is the limit.

Counted are rows per second and per CPU-second of the whole consuming process; tries alternate, the best of each counts.

The measure `consumers`, over ten times the rows (Avro: fifty times): one consumer whose own thread parses, one that has
other cores parse as well, and four. A member that joins a group waits for the others' next heartbeat; over few rows that
wait is most of what is measured. Told beside it: which part of both cores the server and the broker, which is on the same
machine, had together.
"""
import glob, json, os, shutil, subprocess, sys, tempfile, time

from run import Pumphouse, cpu_seconds

PROTO = 'syntax = "proto3"; message Row { uint64 id = 1; string name = 2; double price = 3; uint32 tags = 4; }'
NARROW = ("id UInt64, name String, price Float64, tags UInt32",
          "number, concat('name', toString(number % 1000)), number / 7, toUInt32(number % 97)")
WIDE = ("id UInt64, session String, page String, referrer String, price Float64",
        "number, lower(hex(sipHash128(toString(number)))), concat('/product/', toString(number % 5000), '/details'), "
        "concat('https://example.com/search?q=', repeat('x', 90), toString(number % 1000)), number / 7")
# Name, further settings, row. A container file of Avro holds many rows; one message a row otherwise.
FORMATS = [("JSONEachRow", "", "narrow"), ("JSONEachRow", "", "250 bytes"), ("CSV", "", "narrow"), ("Avro", "", "narrow"),
           ("Protobuf", ", kafka_schema = 'row.proto:Row'", "narrow")]

# In a process of its own, so that its CPU time is its own; blocks as large as Pumphouse's may be.
PEER = r'''
import json, os, random, shutil, sys, tempfile, time
from confluent_kafka import Consumer
from chdb.session import Session
address, topic, messages, rows_per_message, columns, fmt, proto = sys.argv[1:8]
messages, rows_per_message = int(messages), int(rows_per_message)
folder, files = tempfile.mkdtemp(), tempfile.mkdtemp(dir="/dev/shm")
session = Session(folder)
session.query("CREATE DATABASE d; CREATE TABLE d.t (%s) ENGINE = MergeTree ORDER BY id SETTINGS default_compression_codec = 'LZ4'" % columns)
consumer = Consumer({"bootstrap.servers": address, "group.id": "peer%f" % random.random(), "auto.offset.reset": "earliest",
    "enable.auto.commit": False, "queued.min.messages": 1000000, "fetch.message.max.bytes": 8000000})
def cpu():
    t = os.times()
    return t.user + t.system
schema = "" if fmt != "Protobuf" else " SETTINGS format_schema_source = 'string', format_schema = '%s', format_schema_message_name = 'Row'" % proto
def insert(pending):
    if fmt in ("JSONEachRow", "CSV"):
        session.query("INSERT INTO d.t FORMAT %s\n" % fmt + b"\n".join(m.rstrip(b"\n") for m in pending).decode())
        return
    parts = pending if fmt == "Avro" else [b"".join(pending)]
    for i, part in enumerate(parts):
        with open("%s/%d" % (files, i), "wb") as f:
            f.write(part)
    session.query("INSERT INTO d.t SELECT * FROM file('%s/{0..%d}', '%s', '%s')%s" % (files, len(parts) - 1, fmt, columns, schema))
began, cpu0, insert_cpu, taken, pending = time.time(), cpu(), 0.0, 0, []
consumer.subscribe([topic])
while taken < messages:
    pending += [m.value() for m in consumer.consume(65536, timeout=0.2) if not m.error()]
    if len(pending) * rows_per_message >= 250000 or taken + len(pending) >= messages:
        before = cpu()
        insert(pending)
        insert_cpu += cpu() - before
        taken, pending = taken + len(pending), []
seconds, used = time.time() - began, cpu() - cpu0
check = str(session.query("SELECT count(), sum(id), uniqExact(id), sum(cityHash64(*)) FROM d.t", "TSV")).strip()
print(json.dumps({"seconds": seconds, "cpu": used, "insert_cpu": insert_cpu, "check": check}))
shutil.rmtree(folder, ignore_errors=True), shutil.rmtree(files, ignore_errors=True)
sys.stdout.flush()
os._exit(0)
'''


def build_alone(folder):
    """The program of alone.c, or None without a C compiler."""
    import confluent_kafka
    library = glob.glob(os.path.join(os.path.dirname(confluent_kafka.__file__), "..", "confluent_kafka.libs", "librdkafka-*"))
    out = os.path.join(folder, "alone")
    if not library or not shutil.which("cc"):
        return None
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "alone.c")
    rpath = "-Wl,-rpath," + os.path.dirname(os.path.abspath(library[0]))
    built = subprocess.run(["cc", "-O2", "-o", out, source, library[0], rpath, "-Wl,--allow-shlib-undefined"])
    return out if built.returncode == 0 else None


def alone(program, broker, topic, messages):
    out = subprocess.run([program, broker.address, topic, str(messages), "true"], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def peer(broker, topic, messages, rows_per_message, columns, fmt):
    out = subprocess.run([sys.executable, "-c", PEER, broker.address, topic, str(messages), str(rows_per_message), columns, fmt, PROTO],
                         check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out.splitlines()[-1])


def ours(binary, broker, topic, columns, fmt, more, rows, consumers, parsing_threads=0):
    folder = tempfile.mkdtemp()
    server = Pumphouse(binary, folder)
    try:
        write_schema(server)
        server.sql(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY id SETTINGS default_compression_codec = 'LZ4'")
        server.sql(f"CREATE TABLE q ({columns}) ENGINE = Kafka SETTINGS kafka_broker_list = '{broker.address}', kafka_topic_list = '{topic}', "
                   f"kafka_group_name = 'g{time.time()}', kafka_format = '{fmt}', kafka_num_consumers = {consumers}, kafka_thread_per_consumer = 1, "
                   f"kafka_parsing_threads = {parsing_threads}{more}")
        cpu, began = cpu_seconds(server.process.pid), time.time()
        server.sql("CREATE MATERIALIZED VIEW mv TO t AS SELECT * FROM q")
        seen = 0
        while seen < rows:
            # Seldom until the end comes: asking is not what is measured.
            time.sleep(0.25 if seen < rows * 0.8 else 0.05)
            seen = int(server.sql("SELECT count() FROM t"))
            if time.time() - began > 300:
                sys.exit(f"{fmt} stands still: " + server.sql("SELECT * FROM system.kafka_consumers FORMAT Vertical"))
        seconds, cpu = time.time() - began, cpu_seconds(server.process.pid) - cpu
        return {"seconds": seconds, "cpu": cpu, "check": server.sql("SELECT count(), sum(id), uniqExact(id), sum(cityHash64(*)) FROM t")}
    finally:
        server.stop()
        shutil.rmtree(folder)


def write_schema(server):
    os.makedirs(server.data + "/format_schemas", exist_ok=True)
    with open(server.data + "/format_schemas/row.proto", "w") as f:
        f.write(PROTO)


def formats(binary, broker, a):
    folder = tempfile.mkdtemp()
    program, results = build_alone(folder), []
    for i, (fmt, more, what) in enumerate(FORMATS):
        if a.only and fmt not in a.only.split(","):
            continue
        columns, values = NARROW if what == "narrow" else WIDE
        rows_per_message, topic = 1000 if fmt == "Avro" else 1, f"format{i}"
        # So many that the reading lasts longer than the beginning.
        n = a.format_rows * (5 if fmt == "Avro" else 1)
        fill(binary, broker, topic, columns, values, fmt, f", kafka_max_rows_per_message = {rows_per_message}{more}", n)
        messages = n // rows_per_message
        one, four, chdb, limit = [], [], [], []
        for _ in range(a.tries):
            one.append(ours(binary, broker, topic, columns, fmt, more, n, 1))
            chdb.append(peer(broker, topic, messages, rows_per_message, columns, fmt))
            four.append(ours(binary, broker, topic, columns, fmt, more, n, 4))
            if program:
                limit.append(alone(program, broker, topic, messages))
            checks = {t["check"] for t in one + chdb + four}
            assert len(checks) == 1, f"{fmt}: the tables differ: {checks}"
        best = lambda tries, key: min(t[key] for t in tries)
        result = {"format": fmt, "row": what, "rows_per_message": rows_per_message, "rows": n, "tries": a.tries,
                  "rows_per_s": round(n / best(one, "seconds")), "rows_per_cpu_s": round(n / best(one, "cpu")),
                  "four_consumers_rows_per_s": round(n / best(four, "seconds")), "four_consumers_rows_per_cpu_s": round(n / best(four, "cpu")),
                  "four_consumers_vs_one": round(best(one, "seconds") / best(four, "seconds"), 2),
                  "chdb_rows_per_s": round(n / best(chdb, "seconds")), "chdb_rows_per_cpu_s": round(n / best(chdb, "cpu")),
                  "chdb_insert_only_rows_per_cpu_s": round(n / best(chdb, "insert_cpu")),
                  "rows_per_cpu_s_vs_chdb": round(best(chdb, "cpu") / best(one, "cpu"), 2)}
        if limit:
            result["librdkafka_rows_per_s"] = round(n / best(limit, "seconds"))
            result["librdkafka_rows_per_cpu_s"] = round(n / best(limit, "cpu"))
            result["percent_of_librdkafka"] = round(100 * best(limit, "seconds") / best(one, "seconds"), 1)
            result["percent_of_librdkafka_four_consumers"] = round(100 * best(limit, "seconds") / best(four, "seconds"), 1)
            result["percent_of_librdkafka_per_cpu_s"] = round(100 * best(limit, "cpu") / best(one, "cpu"), 1)
        results.append(result)
        print(json.dumps(result), flush=True)
    shutil.rmtree(folder)
    return results


def consumers(binary, broker, a):
    folder = tempfile.mkdtemp()
    program, results = build_alone(folder), []
    for i, (fmt, more, what) in enumerate(FORMATS):
        if a.only and fmt not in a.only.split(","):
            continue
        columns, values = NARROW if what == "narrow" else WIDE
        rows_per_message, topic = 1000 if fmt == "Avro" else 1, f"consumers{i}"
        n = a.format_rows * (50 if fmt == "Avro" else 10)
        fill(binary, broker, topic, columns, values, fmt, f", kafka_max_rows_per_message = {rows_per_message}{more}", n)
        # Consumers, threads that parse for each.
        ways = {"one": (1, 1), "one_parsing_beside": (1, 0), "four": (4, 1)}
        tries = {way: [] for way in ways}
        for _ in range(a.tries):
            for way, (count, threads) in ways.items():
                before = cpu_seconds(broker.process.pid)
                taken = ours(binary, broker, topic, columns, fmt, more, n, count, threads)
                taken["busy"] = (taken["cpu"] + cpu_seconds(broker.process.pid) - before) / taken["seconds"] / os.cpu_count()
                tries[way].append(taken)
        checks = {t["check"] for one in tries.values() for t in one}
        assert len(checks) == 1, f"{fmt}: the tables differ: {checks}"
        best = {way: min(tries[way], key=lambda t: t["seconds"]) for way in ways}
        result = {"format": fmt, "row": what, "rows": n, "tries": a.tries,
                  "four_vs_one": round(best["one"]["seconds"] / best["four"]["seconds"], 2),
                  "parsing_beside_vs_one": round(best["one"]["seconds"] / best["one_parsing_beside"]["seconds"], 2)}
        for way, taken in best.items():
            result[way] = {"rows_per_s": round(n / taken["seconds"]), "rows_per_cpu_s": round(n / taken["cpu"]),
                           "machine_busy": round(taken["busy"], 2)}
        if program:
            result["librdkafka_rows_per_s"] = round(n / alone(program, broker, topic, n // rows_per_message)["seconds"])
        results.append(result)
        print(json.dumps(result), flush=True)
    shutil.rmtree(folder)
    return results


def fill(binary, broker, topic, columns, values, fmt, more, rows):
    """Writes the messages, by a server of its own."""
    from measure import kafka_table, write
    folder = tempfile.mkdtemp()
    broker.create_topic(topic)
    server = Pumphouse(binary, folder)
    try:
        write_schema(server)
        kafka_table(server, broker, "out", topic, columns, fmt, more)
        write(server, "out", values, rows)
    finally:
        server.stop()
        shutil.rmtree(folder)
