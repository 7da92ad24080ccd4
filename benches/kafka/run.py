#!/usr/bin/env python3
"""Kafka to table: Pumphouse against a librdkafka consumer that feeds the real ClickHouse engine.

Both read the same messages of one topic (4 partitions, JSONEachRow, 10 fields, about 270 bytes a row)
from one real Apache Kafka broker into a MergeTree table with the same columns and key; tries alternate.
Where Debian's clickhouse-server is installed, its Kafka engine (of 2018) runs too.
Counted are rows per second and per CPU-second (user + system of the whole consuming process) from the
first poll until the last row can be read. Pumphouse syncs every part and its log; the peer syncs nothing.

  python3 benches/kafka/run.py [--messages 2000000] [--tries 3] [--freshness-seconds 30]

Needs: a build of pumphouse (`--profile dist`), java and the broker's jars (PUMPHOUSE_KAFKA_LIBS or the folder that
the end-to-end tests fetched), and the Python packages chdb and confluent-kafka.
"""
import argparse, glob, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, time
import urllib.parse, urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PARTITIONS = 4
COLUMNS = ("ts DateTime, user_id UInt64, session String, page String, country LowCardinality(String), "
           "device LowCardinality(String), duration_ms UInt32, status UInt16, price Float64, referrer String")
# The same codec in both: ClickHouse 26.9 takes ZSTD(3) where none is named.
ORDER = "ORDER BY (country, ts) SETTINGS default_compression_codec = 'LZ4'"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def kafka_libs():
    given = os.environ.get("PUMPHOUSE_KAFKA_LIBS")
    if given:
        return given
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    found = glob.glob(os.path.join(target, "**", "kafka-*", "libs"), recursive=True)
    if not found:
        sys.exit("no broker jars: run the end-to-end tests once, or set PUMPHOUSE_KAFKA_LIBS")
    return found[0]


class Broker:
    def __init__(self, folder):
        self.port, controller = free_port(), free_port()
        config = os.path.join(folder, "server.properties")
        with open(config, "w") as f:
            f.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
""")
        java = ["java", "-Xmx1g", "-cp", kafka_libs() + "/*"]
        subprocess.run(java + ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", config],
                       check=True, stdout=subprocess.DEVNULL, cwd=folder)
        self.log = open(os.path.join(folder, "broker.log"), "w")
        self.process = subprocess.Popen(java + ["kafka.Kafka", config], stdout=self.log, stderr=self.log, cwd=folder)
        self.address = f"127.0.0.1:{self.port}"

    def create_topic(self, name):
        from confluent_kafka.admin import AdminClient, NewTopic
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        for _ in range(60):
            try:
                for future in admin.create_topics([NewTopic(name, PARTITIONS, 1)], request_timeout=5).values():
                    future.result()
                return
            except Exception as e:
                if "already exists" in str(e):
                    return
                time.sleep(1)
        sys.exit("the broker does not answer")

    def stop(self):
        self.process.kill()
        self.process.wait()


def row(rng, i, ts):
    return json.dumps({
        "ts": ts, "user_id": rng.randrange(1 << 40), "session": "%032x" % rng.getrandbits(128),
        "page": "/product/%d/details" % (rng.randrange(5000)), "country": rng.choice(["US", "DE", "IN", "BR", "JP"]),
        "device": rng.choice(["mobile", "desktop", "tablet"]), "duration_ms": rng.randrange(60000),
        "status": rng.choice([200, 200, 200, 404, 500]), "price": round(rng.random() * 100, 2),
        "referrer": "https://example.com/search?q=%d" % rng.randrange(100000)}, separators=(",", ":")).encode()


def produce(broker, topic, n):
    from confluent_kafka import Producer
    rng = random.Random(1)
    distinct = [row(rng, i, 1764000000 + i % 3600) for i in range(50000)]
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 20, "batch.size": 1000000,
                         "queue.buffering.max.messages": 1000000, "queue.buffering.max.kbytes": 1000000})
    for i in range(n):
        while True:
            try:
                producer.produce(topic, distinct[i % len(distinct)], partition=i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.05)
        if i % 10000 == 0:
            producer.poll(0)
    producer.flush()
    return sum(map(len, distinct)) / len(distinct)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pumphouse:
    def __init__(self, binary, folder):
        self.port = free_port()
        self.data = os.path.join(folder, "data")
        self.log = open(os.path.join(folder, "server.log"), "a")
        # A list begins with what the server is started by.
        command = binary if isinstance(binary, list) else [binary]
        self.process = subprocess.Popen(command + ["server", "--data-dir", self.data, "--http-port", str(self.port)],
                                        stderr=self.log, stdout=self.log)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping").read()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the server does not answer")

    def sql(self, text):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", data=text.encode())
        try:
            return urllib.request.urlopen(request).read().decode().rstrip("\n")
        except urllib.error.HTTPError as e:
            sys.exit(f"{text}: {e.read().decode()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def pumphouse_try(binary, broker, topic, n, consumers):
    folder = tempfile.mkdtemp()
    server = Pumphouse(binary, folder)
    try:
        server.sql(f"CREATE TABLE t ({COLUMNS}) ENGINE = MergeTree {ORDER}")
        server.sql(f"CREATE TABLE q ({COLUMNS}) ENGINE = Kafka SETTINGS kafka_broker_list = '{broker.address}', "
                   f"kafka_topic_list = '{topic}', kafka_group_name = 'bench{random.random()}', kafka_format = 'JSONEachRow', "
                   f"kafka_num_consumers = {consumers}, kafka_thread_per_consumer = 1")
        cpu, began = cpu_seconds(server.process.pid), time.time()
        server.sql("CREATE MATERIALIZED VIEW mv TO t AS SELECT * FROM q")
        while int(server.sql("SELECT count() FROM t")) < n:
            if time.time() - began > 600:
                sys.exit("stands still: " + server.sql("SELECT * FROM system.kafka_consumers FORMAT Vertical"))
            time.sleep(0.1)
        seconds, cpu = time.time() - began, cpu_seconds(server.process.pid) - cpu
        check = server.sql("SELECT count(), sum(user_id), sum(duration_ms), uniqExact(session) FROM t")
        server.sql("OPTIMIZE TABLE t FINAL")  # sizes are compared in the same state: one part
        parts = server.sql("SELECT count(), sum(bytes_on_disk) FROM system.parts WHERE table = 't' AND active").split("\t")
        return {"seconds": seconds, "cpu": cpu, "check": check, "parts": int(parts[0]), "bytes": int(parts[1])}
    finally:
        server.stop()
        shutil.rmtree(folder)


# Runs in a process of its own so that its CPU time is its own. Blocks are as large as Pumphouse's may be.
PEER = r'''
import json, os, sys, time, random, tempfile, shutil
from confluent_kafka import Consumer
from chdb.session import Session
address, topic, n, columns, order = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
folder = tempfile.mkdtemp()
session = Session(folder)
session.query("CREATE DATABASE d; CREATE TABLE d.t (%s) ENGINE = MergeTree %s" % (columns, order))
consumer = Consumer({"bootstrap.servers": address, "group.id": "peer%f" % random.random(), "auto.offset.reset": "earliest",
    "enable.auto.commit": False, "queued.min.messages": 1000000, "fetch.message.max.bytes": 8000000})
def cpu():
    t = os.times()
    return t.user + t.system
began, cpu0 = time.time(), cpu()
consumer.subscribe([topic])
rows = 0
insert_cpu = 0.0
pending = []
while rows < n:
    messages = consumer.consume(65536, timeout=0.2)
    pending += [m.value() for m in messages if not m.error()]
    if len(pending) >= 250000 or rows + len(pending) >= n:
        before = cpu()
        session.query(b"INSERT INTO d.t FORMAT JSONEachRow\n".decode() + b"\n".join(pending).decode())
        insert_cpu += cpu() - before
        rows += len(pending)
        pending = []
seconds, used = time.time() - began, cpu() - cpu0
check = str(session.query("SELECT count(), sum(user_id), sum(duration_ms), uniqExact(session) FROM d.t", "TSV")).strip()
session.query("OPTIMIZE TABLE d.t FINAL")
size = str(session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 't' AND active", "TSV")).strip()
print(json.dumps({"seconds": seconds, "cpu": used, "insert_cpu": insert_cpu, "check": check, "bytes": int(size)}))
consumer.close()
shutil.rmtree(folder, ignore_errors=True)
os._exit(0)
'''


def peer_try(broker, topic, n):
    out = subprocess.run([sys.executable, "-c", PEER, broker.address, topic, str(n), COLUMNS, ORDER],
                         check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out.splitlines()[-1])


DEBIAN_CONFIG = """<yandex><logger><level>warning</level><log>{0}/log</log><errorlog>{0}/err</errorlog></logger>
<http_port>{1}</http_port><tcp_port>{2}</tcp_port><interserver_http_port>{3}</interserver_http_port>
<listen_host>127.0.0.1</listen_host><path>{0}/data/</path><tmp_path>{0}/tmp/</tmp_path><mark_cache_size>1000000000</mark_cache_size>
<users_config>users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
<timezone>UTC</timezone></yandex>"""
DEBIAN_USERS = """<yandex><profiles><default><max_memory_usage>10000000000</max_memory_usage></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas></yandex>"""


def debian_try(broker, topic, n, consumers):
    """The Kafka engine of Debian's clickhouse-server (18.16), or None where it is not installed or stands still."""
    if not shutil.which("clickhouse-server"):
        return None
    folder, port = tempfile.mkdtemp(), free_port()
    os.makedirs(folder + "/data")
    os.makedirs(folder + "/tmp")
    with open(folder + "/config.xml", "w") as f:
        f.write(DEBIAN_CONFIG.format(folder, port, free_port(), free_port()))
    with open(folder + "/users.xml", "w") as f:
        f.write(DEBIAN_USERS)
    out = open(folder + "/out", "w")
    server = subprocess.Popen(["clickhouse-server", "--config-file=" + folder + "/config.xml"], stdout=out, stderr=out, cwd=folder)

    def sql(text):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", data=text.encode()).read().decode().rstrip("\n")
        except urllib.error.HTTPError as e:
            sys.exit(f"{text}: {e.read().decode()}")
    try:
        for _ in range(100):
            try:
                sql("SELECT 1")
                break
            except OSError:
                time.sleep(0.1)
        columns = COLUMNS.replace("LowCardinality(String)", "String")
        order = ORDER.split(" SETTINGS")[0]  # it knows no such setting
        sql(f"CREATE TABLE t ({columns}) ENGINE = MergeTree {order}")
        sql(f"CREATE TABLE q ({columns}) ENGINE = Kafka SETTINGS kafka_broker_list = '{broker.address}', kafka_topic_list = '{topic}', "
            f"kafka_group_name = 'debian{random.random()}', kafka_format = 'JSONEachRow', kafka_row_delimiter = '\\n', kafka_num_consumers = {consumers}")
        cpu, began = cpu_seconds(server.pid), time.time()
        sql("CREATE MATERIALIZED VIEW mv TO t AS SELECT * FROM q")
        rows, moved = 0, time.time()
        while rows < n:
            now = int(sql("SELECT count() FROM t"))
            if now > rows:
                rows, moved = now, time.time()
            if time.time() - moved > 60:
                print(f"       clickhouse-server 18.16 stands still at {rows} rows", flush=True)
                return None
            time.sleep(0.1)
        return {"seconds": time.time() - began, "cpu": cpu_seconds(server.pid) - cpu, "rows": rows,
                "check": sql("SELECT count(), sum(user_id), sum(duration_ms), uniqExact(session) FROM t")}
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def freshness(binary, broker, seconds, rate=20000, topic="fresh"):
    """p50 / p99 of the time from produced to visible, default settings."""
    from confluent_kafka import Producer
    broker.create_topic(topic)
    folder = tempfile.mkdtemp()
    server = Pumphouse(binary, folder)
    server.sql("CREATE TABLE t (seq UInt64, text String) ENGINE = MergeTree ORDER BY seq")
    server.sql(f"CREATE TABLE q (seq UInt64, text String) ENGINE = Kafka SETTINGS kafka_broker_list = '{broker.address}', "
               f"kafka_topic_list = '{topic}', kafka_group_name = 'fresh', kafka_format = 'JSONEachRow'")
    server.sql("CREATE MATERIALIZED VIEW mv TO t AS SELECT * FROM q")
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 5})
    sent, waiting, delays, parts = 0, [], [], []
    began = time.time()
    while time.time() - began < seconds:
        due = int((time.time() - began) * rate)
        while sent < due:
            try:
                producer.produce(topic, b'{"seq":%d,"text":"some text of a few words"}' % sent, partition=0)
                sent += 1
            except BufferError:  # the broker is behind: less is due
                producer.poll(0.01)
        waiting.append((sent, time.time()))
        producer.poll(0)
        visible = int(server.sql("SELECT count() FROM t"))
        now = time.time()
        while waiting and waiting[0][0] <= visible:
            delays.append(now - waiting.pop(0)[1])
        if len(delays) % 20 == 0:
            parts.append(int(server.sql("SELECT count() FROM system.parts WHERE table = 't'")))
        time.sleep(0.01)
    server.stop()
    shutil.rmtree(folder)
    delays = sorted(delays[len(delays) // 10:])
    at = lambda q: round(delays[min(len(delays) - 1, int(len(delays) * q))] * 1000)
    return {"rate": rate, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "parts_max": max(parts) if parts else None, "rows": sent}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--messages", type=int, default=2000000)
    arguments.add_argument("--tries", type=int, default=3)
    arguments.add_argument("--consumers", type=int, default=2)
    arguments.add_argument("--freshness-seconds", type=int, default=30)
    arguments.add_argument("--binary", default=os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "dist", "pumphouse"))
    a = arguments.parse_args()
    folder = tempfile.mkdtemp()
    broker = Broker(folder)
    try:
        broker.create_topic("bench")
        size = produce(broker, "bench", a.messages)
        print(f"{a.messages} messages of {size:.0f} bytes on average", flush=True)
        ours, theirs, debian = [], [], []
        for i in range(a.tries):
            ours.append(pumphouse_try(a.binary, broker, "bench", a.messages, a.consumers))
            theirs.append(peer_try(broker, "bench", a.messages))
            print(f"try {i + 1}: pumphouse {ours[-1]}\n       chdb {theirs[-1]}", flush=True)
            assert ours[-1]["check"] == theirs[-1]["check"], "the tables differ"
            old = debian_try(broker, "bench", a.messages, a.consumers)
            if old:
                debian.append(old)
                print(f"       clickhouse-server 18.16 {old}", flush=True)
        best = lambda tries, key: min(t[key] for t in tries)
        n = a.messages
        result = {
            "bench": "kafka", "messages": n, "bytes_per_message": round(size), "tries": a.tries,
            "rows_per_s": round(n / best(ours, "seconds")), "rows_per_cpu_s": round(n / best(ours, "cpu")),
            "chdb_rows_per_s": round(n / best(theirs, "seconds")), "chdb_rows_per_cpu_s": round(n / best(theirs, "cpu")),
            "chdb_insert_only_rows_per_cpu_s": round(n / best(theirs, "insert_cpu")),
            "rows_per_cpu_s_vs_chdb": round(best(theirs, "cpu") / best(ours, "cpu"), 2),
            "rows_per_cpu_s_vs_chdb_insert_only": round(best(theirs, "insert_cpu") / best(ours, "cpu"), 2),
            "disk_vs_chdb": round(ours[-1]["bytes"] / theirs[-1]["bytes"], 2),
        }
        if debian:
            result["debian_rows_per_cpu_s"] = round(n / best(debian, "cpu"))
            result["rows_per_cpu_s_vs_debian"] = round(best(debian, "cpu") / best(ours, "cpu"), 2)
        if a.freshness_seconds:
            result["freshness"] = freshness(a.binary, broker, a.freshness_seconds)
        result["commit"] = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE).stdout.decode().strip()
        result["date"] = time.strftime("%Y-%m-%d")
        print(json.dumps(result, indent=1))
        with open(os.path.join(ROOT, "benches", "results", "kafka.jsonl"), "a") as f:
            f.write(json.dumps(result) + "\n")
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
