"""clickhouse-connect over HTTP: queries, frames, inserts of every kind of type, streaming, settings, sessions."""
import datetime, decimal, ipaddress, sys, uuid

import clickhouse_connect
import pandas
import pyarrow
from clickhouse_connect.driver.exceptions import DatabaseError

port = int(sys.argv[1])
COLUMNS = """a UInt64, s String, n Nullable(Int32), arr Array(String), d Date, dt DateTime('UTC'), dt64 DateTime64(3, 'UTC'),
dec Decimal(18, 4), u UUID, lc LowCardinality(String), m Map(String, UInt8), t Tuple(UInt8, String), e Enum8('x' = 1, 'y' = 2),
f Float64, b Bool, ip IPv4, fs FixedString(3), lcn LowCardinality(Nullable(String))"""


def row(i):
    utc = datetime.timezone.utc
    return [i, "héllo%d" % i, None if i % 2 else i, ["a", "b"][: i % 3], datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=utc),
            datetime.datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=utc), decimal.Decimal("-1.2345"), uuid.UUID(int=i), "lc%d" % (i % 3), {"k": i % 100},
            (1, "z"), "y", 1.5, i % 2 == 0, ipaddress.IPv4Address("1.2.3.4"), b"abc", None if i % 5 else "v"]


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


for compress in (False, "lz4", "zstd", "gzip", "br"):
    client = clickhouse_connect.get_client(host="127.0.0.1", port=port, compress=compress, query_limit=0)
    check("one", client.query("SELECT 1").result_rows, [(1,)])
    client.command("DROP TABLE IF EXISTS t")
    client.command(f"CREATE TABLE t ({COLUMNS}) ENGINE = MergeTree ORDER BY a")
    rows = [row(i) for i in range(2000)]
    names = [c.split()[0] for c in COLUMNS.replace("\n", " ").split(", ") if c[0].isalpha() and not c.startswith(("UInt8)", "String)", "'"))]
    client.insert("t", rows)
    check("count", client.command("SELECT count() FROM t"), 2000)
    found = client.query("SELECT * FROM t ORDER BY a").result_rows
    check("rows", len(found), 2000)
    for i in (0, 1, 5, 1999):
        for given, got in zip(rows[i], found[i]):
            assert got == given or str(got) == str(given) or (isinstance(got, datetime.datetime) and got.replace(tzinfo=datetime.timezone.utc) == given), f"row {i}: {got!r} instead of {given!r}"
    check("parameters", client.query("SELECT {x:String}, {n:UInt8} + 1", parameters={"x": "it's", "n": 4}).result_rows, [("it's", 5)])
    check("settings", client.query("SELECT count() FROM numbers(10)", settings={"max_threads": 1, "max_block_size": 3}).result_rows, [(10,)])
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as stream:
        check("stream", sum(r[0] for block in stream for r in block), 300000 * 299999 // 2)
    frame = client.query_df("SELECT number AS n, toString(number) AS s FROM numbers(1000)")
    check("frame", (len(frame), int(frame["n"].sum()), frame["s"][7]), (1000, 499500, "7"))
    client.command("DROP TABLE IF EXISTS f")
    client.command("CREATE TABLE f (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    client.insert_df("f", pandas.DataFrame({"n": [1, 2, 3], "s": ["a", "b", "c"]}))
    check("inserted frame", client.query("SELECT sum(n), max(s) FROM f").result_rows, [(6, "c")])
    arrow = client.query_arrow("SELECT number AS n, toString(number) AS s FROM numbers(10)", use_strings=True)
    check("arrow", (arrow.num_rows, arrow.column("s").to_pylist()[3]), (10, "3"))
    client.insert_arrow("f", pyarrow.table({"n": pyarrow.array([4], pyarrow.uint64()), "s": ["d"]}))
    check("inserted arrow", client.query("SELECT count(), max(s) FROM f").result_rows, [(4, "d")])
    check("raw", client.raw_query("SELECT 1, 2", fmt="CSV"), b"1,2\n")
    client.raw_insert("f", ["n", "s"], "5,e\n6,f\n", fmt="CSV")
    check("inserted raw", client.command("SELECT max(s) FROM f"), "f")
    try:
        client.query("SELECT nonsense")
        assert False, "an unknown column is an error"
    except DatabaseError as e:
        assert "47" in str(e) and "UNKNOWN_IDENTIFIER" in str(e), str(e)
    check("query id", bool(client.query("SELECT 1").query_id), True)
    check("summary", int(client.insert("f", [[9, "z"]]).written_rows), 1)
    client.close()
    print(f"clickhouse-connect, compression {compress}: ok")

client = clickhouse_connect.get_client(host="127.0.0.1", port=port)
client.command("DROP TABLE IF EXISTS j")
client.command("CREATE TABLE j (id UInt32, j JSON, v Variant(String, UInt64, Array(UInt64)), d Dynamic) ENGINE = MergeTree ORDER BY id")
client.insert("j", [[1, {"a": 1, "b": {"c": "x", "d": [1, 2, None]}, "f": 1.5}, "abc", "text"], [2, {"a": "s", "h": [{"i": 1}, {"i": 2, "j": "z"}]}, 42, 7], [3, {}, [1, 2], 1.5]],
              column_names=["id", "j", "v", "d"])
client.command("INSERT INTO j VALUES (4, '{\"a\":[1]}', NULL, NULL)")
check("json", client.query("SELECT id, j, v, d FROM j ORDER BY id").result_rows,
      [(1, {"a": 1, "b": {"c": "x", "d": [1, 2, None]}, "f": 1.5}, "abc", "text"), (2, {"a": "s", "h": [{"i": 1}, {"i": 2, "j": "z"}]}, 42, 7),
       (3, {}, [1, 2], 1.5), (4, {"a": [1]}, None, None)])
check("paths", client.query("SELECT j.a, j.a.:Int64, j.^b, variantType(v), dynamicType(d) FROM j ORDER BY id").result_rows,
      [(1, 1, {"c": "x", "d": [1, 2, None]}, "String", "String"), ("s", None, {}, "UInt64", "Int64"), (None, None, {}, "Array(UInt64)", "Float64"), ([1], None, {}, "None", "None")])
check("geometry", client.query("SELECT (1, 2)::Point, [(1, 2), (3, 4)]::Ring").result_rows, [((1.0, 2.0), [(1.0, 2.0), (3.0, 4.0)])])
client.close()
