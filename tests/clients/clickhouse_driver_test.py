"""clickhouse-driver over the native protocol: every kind of type both ways, compressions, errors, cancel."""
import datetime, decimal, ipaddress, logging, sys, uuid

from clickhouse_driver import Client, errors

COLUMNS = """a UInt64, s String, n Nullable(Int32), arr Array(String), d Date, dt DateTime('UTC'), dt64 DateTime64(3, 'UTC'),
dec Decimal(18, 4), u UUID, lc LowCardinality(String), m Map(String, UInt8), t Tuple(UInt8, String), e Enum8('x' = 1, 'y' = 2),
f Float64, b Bool, ip IPv4, fs FixedString(3), big Int128, lcn LowCardinality(Nullable(String)), nested Array(Array(Nullable(UInt8)))"""


def row(i):
    return (i, "héllo%d" % i, None if i % 2 else i, ["a", "b"][: i % 3], datetime.date(2024, 1, 2),
            datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), datetime.datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc),
            decimal.Decimal("-1.2345"), uuid.UUID(int=i), "lc%d" % (i % 3), {"k": i % 100}, (1, "z"), "y", 1.5, i % 2 == 0,
            ipaddress.IPv4Address("1.2.3.4"), "abc", -(2**100), None if i % 5 else "v", [[1, None], []])


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


class Lines(logging.Handler):
    """What the server says of statements."""
    said = []

    def emit(self, record):
        self.said.append(record.getMessage())


logging.getLogger("clickhouse_driver.log").addHandler(Lines())
logging.getLogger("clickhouse_driver.log").setLevel(logging.DEBUG)


def said(*words):
    assert all(any(word in line for line in Lines.said) for word in words), (words, Lines.said)
    Lines.said.clear()


for compression in (False, "lz4", "zstd"):
    client = Client("127.0.0.1", port=int(sys.argv[2]), compression=compression, settings={"max_threads": 2})
    check("one", client.execute("SELECT 1, currentDatabase()"), [(1, "default")])
    client.execute("DROP TABLE IF EXISTS t")
    client.execute(f"CREATE TABLE t ({COLUMNS}) ENGINE = MergeTree ORDER BY a")
    rows = [row(i) for i in range(3000)]
    check("inserted", client.execute("INSERT INTO t VALUES", rows), 3000)
    check("written", client.execute("SELECT count(), sum(a) FROM t"), [(3000, 3000 * 2999 // 2)])
    check("types", client.execute("SELECT * FROM t ORDER BY a"), rows)
    check("generator", client.execute("INSERT INTO t (a, s) VALUES", ({"a": i, "s": ""} for i in range(5))), 5)
    check("parameter", client.execute("SELECT count() FROM t WHERE a > %(x)s", {"x": 2998}), [(1,)])
    check("many blocks", client.execute("SELECT sum(number) FROM (SELECT number FROM numbers(300000))"), [(300000 * 299999 // 2,)])
    check("stream", sum(x for x, in client.execute_iter("SELECT number FROM numbers(200000)")), 200000 * 199999 // 2)
    check("columns", client.execute("SELECT 1 AS a, 'x' AS b", with_column_types=True), ([(1, "x")], [("a", "UInt8"), ("b", "String")]))
    check("totals", client.execute("SELECT number % 2 AS k, count() FROM numbers(4) GROUP BY k WITH TOTALS ORDER BY k"), [(0, 2), (1, 2), (0, 4)])
    outside = {"name": "outside", "structure": [("x", "Int32"), ("s", "Array(String)")], "data": [{"x": 1, "s": ["a"]}, {"x": 5, "s": []}]}
    check("external table", client.execute("SELECT sum(x), max(s) FROM outside", external_tables=[outside]), [(6, ["a"])])
    try:
        client.execute("SELECT nonsense")
        assert False, "an unknown column is an error"
    except errors.ServerException as e:
        check("code", e.code, 47)
    client.execute("INSERT INTO t (a, s) FORMAT CSV\n900001,\"in text\"\n900002,two\n")
    client.execute("INSERT INTO t (a, s) VALUES (900003, 'three')")
    check("rows within the text", client.execute("SELECT a, s FROM t WHERE a > 900000 ORDER BY a"), [(900001, "in text"), (900002, "two"), (900003, "three")])
    try:
        client.execute("INSERT INTO nowhere VALUES", [(1,)])
        assert False, "an unknown table is an error"
    except errors.ServerException as e:
        check("code", e.code, 60)
    check("usable after errors", client.execute("SELECT 2"), [(2,)])
    loud = {"send_logs_level": "debug"}
    check("log", client.execute("SELECT sum(number) FROM numbers(10)", settings=loud), [(45,)])
    said("SELECT sum(number) FROM numbers(10) (stage: Complete)", "Read 10 rows, 80.00 B in ", "Query memory usage (peak)")
    check("log of an insert", client.execute("INSERT INTO t (a, s) VALUES", [(900004, "four")], settings=loud), 1)
    said("INSERT INTO t (a, s) VALUES")
    try:
        client.execute("SELECT nonsense", settings={"send_logs_level": "error"})
    except errors.ServerException as e:
        check("code", e.code, 47)
    said("Code: 47. DB::Exception")
    client.execute("SELECT 1")
    check("silence", Lines.said, [])
    progress = client.execute_with_progress("SELECT count() FROM t")
    check("with progress", progress.get_result(), [(3009,)])
    check("session", (client.execute("CREATE DATABASE IF NOT EXISTS other"), client.execute("USE other"), client.execute("SELECT currentDatabase()"))[2], [("other",)])
    client.execute("USE default")
    client.execute("SELECT sleepEachRow(0.05) FROM numbers(5) SETTINGS max_block_size = 1")
    running = client.execute_iter("SELECT number FROM numbers(100000000000)", settings={"max_block_size": 1000})
    next(running)
    client.cancel()
    client.disconnect()
    print(f"clickhouse-driver, compression {compression}: ok")
try:
    Client("127.0.0.1", port=int(sys.argv[2]), password="wrong").execute("SELECT 1")
    assert False, "a wrong password is an error"
except errors.ServerException as e:
    check("password", e.code, 516)
try:
    Client("127.0.0.1", port=int(sys.argv[2]), database="nowhere").execute("SELECT 1")
    assert False, "an unknown database is an error"
except errors.ServerException as e:
    check("database", e.code, 81)
