#!/usr/bin/env python3
"""Writes the golden files beside it with ClickHouse itself (`pip install chdb`).

writers.golden  results in every output format. Records: a line `=== case format bytes`, then the bytes.
                The record with format TSVWithNamesAndTypes is also the input that the test reads.
readers.jsonl   inputs and what ClickHouse makes of them: TSV or an error code.
"""
import json, os, re, tempfile
from chdb import session

HERE = os.path.dirname(os.path.abspath(__file__))
chdb = session.Session()


def query(sql, fmt="TSV"):
    try:
        return chdb.query(sql, fmt).bytes()
    except Exception as e:
        return int(re.search(r"Code: (\d+)", str(e))[1])


WRITERS = {
    "values": r"""SELECT number AS n, ['a','it\'s "q", x\ty\\z'][number+1] AS s, if(number=1, NULL, toInt64(-5)) AS nn,
        [1.5, nan, -inf] AS f, toDateTime('2024-02-29 01:02:03','UTC') AS t, map('k','v\n') AS m, (1,'x') AS tu,
        CAST((1,'y'),'Tuple(a UInt8, b String)') AS nt, toDecimal64(12.50,2) AS d, true AS b,
        toUUID('00112233-4455-6677-8899-aabbccddeeff') AS u FROM numbers(2)""",
    "types": r"""SELECT nan AS a, -inf AS b, toDate('2020-01-01') AS c, toDateTime64('2020-01-01 00:00:00.5',3,'UTC') AS d,
        'b'::Enum8('a'=1,'b'=2) AS e, 1::UInt256 AS f, 3::Int128 AS g, toFixedString('ab',4) AS h, toIPv6('::1') AS j,
        toIPv4('1.2.3.4') AS k, CAST(NULL,'Nullable(String)') AS m, '' AS n, CAST([],'Array(UInt8)') AS p,
        CAST(map(),'Map(String,UInt8)') AS q, true AS r, toDecimal64(1.50,4) AS s, [NULL,1] AS t, toDate32('1900-01-01') AS v,
        1e21 AS w, 0.1::Float32 AS x, toDecimal256('-123.450',5) AS y, toLowCardinality('lc') AS z,
        18446744073709551615 AS ab, -9223372036854775808 AS ac""",
    "nested": r"""SELECT [[1,2],[3]] AS a, [(1,'a')] AS b, [map('k',1)] AS c, map('a',[1]) AS d, ([1],map('x',(1,2))) AS e,
        CAST((1,(2,'x')),'Tuple(a UInt8, b Tuple(c UInt8, d String))') AS h, [[(1,2)]] AS j,
        CAST([],'Array(Tuple(UInt8,UInt8))') AS k, [toDate('2020-01-01')] AS l, map(1,NULL) AS m, [''] AS n""",
    "escapes": r"""SELECT 'a\'b\\c\n\t\0\b\f\r"/é\x01\x7f\xff\xe2\x80\xa8\x0b\x1b`<&>|' AS `s "x"`, ['\'\\\n\t"/é'] AS a, number AS n FROM numbers(2)""",
    "tables": "SELECT number AS n, toString(number * 7) AS s, 'é✓日本' AS u, if(number % 3 = 0, NULL, 1.5 * number) AS f FROM numbers(12)",
    "long": "SELECT number FROM numbers(55)",
    "single": "SELECT 123456789 AS n",
    "lines": r"SELECT 'x\ny' AS a, 5 AS n FROM numbers(2)",
    "wide": "SELECT 1 AS z, repeat('x', 63) AS a, repeat('y', 63) AS b, repeat('z', 63) AS c, repeat('w', 63) AS d FROM numbers(2)",
    "padded": "SELECT if(number = 1, repeat('x', 300), 'z') AS a, 'yy' AS b FROM numbers(3)",
    "empty": "SELECT 1 AS a, 'x' AS b WHERE 0",
}
# One result with totals and extremes; the test builds its blocks itself.
TOTALS = "SELECT number%2 AS k, count() AS c FROM numbers(5) GROUP BY k WITH TOTALS ORDER BY k LIMIT 1 SETTINGS extremes=1"

HEADERS = ["", "WithNames", "WithNamesAndTypes"]
FORMATS = (
    [f + h for f in ["TabSeparated", "TSVRaw", "CSV", "JSONCompactEachRow", "JSONCompactStringsEachRow", "RowBinary"] for h in HEADERS]
    + ["Native", "TSVWithNamesAndTypes", "JSON", "JSONStrings", "JSONCompact", "JSONCompactStrings", "JSONColumns", "JSONCompactColumns",
       "JSONColumnsWithMetadata", "JSONEachRow", "JSONStringsEachRow", "PrettyJSONEachRow", "JSONObjectEachRow", "Values", "SQLInsert",
       "Vertical", "XML", "Markdown", "TSKV", "Null", "LineAsString", "Pretty", "PrettyCompact", "PrettySpace"]
)


def writers():
    with open(os.path.join(HERE, "writers.golden"), "wb") as out:
        for case, sql in list(WRITERS.items()) + [("totals", TOTALS)]:
            for fmt in FORMATS:
                if (case, fmt) == ("escapes", "PrettySpace"):
                    continue  # the width of a tab depends on where it stands
                if fmt == "Native" and case in ("values", "tables"):
                    continue  # what lies under a NULL there is what the query had computed
                text = query(sql, fmt)
                assert isinstance(text, bytes), (case, fmt, text)
                # What a clock and a plan decide.
                text = re.sub(rb'("elapsed": |<elapsed>)[0-9.e-]+', rb"\g<1>0.25", text)
                text = re.sub(rb'("(rows|bytes)_read": )\d+', rb"\g<1>7", text)
                text = re.sub(rb"<((?:rows|bytes)_read)>\d+", rb"<\g<1>>7", text)
                out.write(f"=== {case} {fmt} {len(text)}\n".encode() + text + b"\n")


def readers(directory):
    records = []

    def case(fmt, schema, inputs, but=()):
        """`but`: inputs where ClickHouse is wrong or we differ on purpose."""
        for text in inputs:
            if text in but:
                continue
            raw = text if isinstance(text, bytes) else text.encode()
            # Never the same name twice: ClickHouse remembers files.
            path = os.path.join(directory, f"{len(records)}.in")
            with open(path, "wb") as f:
                f.write(raw)
            literal = schema.replace("'", "\\'")
            result = query(f"SELECT * FROM file('{path}', {fmt}, '{literal}') SETTINGS input_format_parallel_parsing=0, session_timezone='UTC'")
            record = {"format": fmt, "schema": schema, "input": raw.decode("latin1")}
            if isinstance(result, bytes):
                record["output"] = result.decode("latin1")
            else:
                record["code"] = result
            records.append(record)

    J = "JSONEachRow"
    case(J, "a UInt8", ['{"a":1}', '{"a":"1"}', '{"a":300}', '{"a":-1}', '{"a":1.5}', '{"a":1e2}', '{"a":true}', '{"a":null}', '{}',
        '{"b":1}', '{"a":"x"}', '{"a":""}', '{"a":1,"a":2}', '{"a":[1]}', '{"a":1}{"a":2}', '[{"a":1},{"a":2}]', '{"a":1},{"a":2}',
        '{"a":1};{"a":2}', '{"a":1} x', '{"a":1', '{"a":', '{"a"', '{', '', ' ', '\n\n', '{"a":1,}', '{"a" : 1 , "b" : 2 }', '{a:1}',
        '{"a":+1}', '{"a":01}', '{"a":1.0}', '{"a":"1.5"}', '{"a":99999999999999999999999999}', '{"b":{"c":[1,{"d":"x}"}]},"a":5}',
        '{"b":tru,"a":5}', '{"b":"\\q","a":5}', '{"b":1.2.3,"a":5}', '\ufeff{"a":1}', '{"\\u0061":7}', '{"A":7}', '[]', '[{"a":1}',
        '[{"a":1}] x', 'null', '{"a":1.9}', '{"a":"300"}', '{"a":"  1"}', '{"a":1e400}', "{'a':1}", '{"a":256}', '{"a":--1}',
        '{"b":' + '[' * 900 + ']' * 900 + ',"a":1}', '{"b":' + '{"x":' * 2000],
        but=['{"b":1.2.3,"a":5}'])  # 27 is as good as 117
    case(J, "a UInt8, z UInt8", ['{"a":1,"a":2,"z":3}', '{"a":1,"z":3,"a":2,"y":tru}', '{"z":3} ', '{"a":1,"z":2,}'])
    case(J, "a Int32", ['{"a":-5}', '{"a":"-5"}', '{"a":-5.7}', '{"a":3000000000}', '{"a":1e3}', '{"a":false}'])
    case(J, "a Int64, b UInt64", ['{"a":9223372036854775808,"b":18446744073709551616}', '{"a":1e18,"b":1.5e3}', '{"a":-0,"b":-0}'])
    case(J, "a Float64", ['{"a":1.5}', '{"a":"1.5"}', '{"a":1e999}', '{"a":null}', '{"a":nan}', '{"a":inf}', '{"a":-inf}', '{"a":"nan"}',
        '{"a":true}', '{"a":.5}', '{"a":1.}', '{"a":""}', '{"a":NaN}', '{"a":+1}', '{"a":Infinity}', '{"a":-0}', '{"a":123456789012345678}',
        '{"a":0.1}', '{"a":1234567.891}', '{"a":9007199254740993}', '{"a":3.141592653589793238}', '{"a":1.7976931348623157e308}', '{"a":5e-324}'])
    case(J, "a Float32", ['{"a":0.1}', '{"a":16777217}', '{"a":1e39}', '{"a":"2.5"}', '{"a":0.30000001192092896}', '{"a":1.00000017881393432617187499}'])
    case(J, "a String", ['{"a":"x"}', '{"a":5}', '{"a":1.50}', '{"a":true}', '{"a":null}', '{"a":{"b": [1, 2]}}', '{"a":[1, "x"]}',
        '{"a":"\\u00e9\\ud83d\\ude00"}', '{"a":"\\ud83d"}', '{"a":"\\ud83dx"}', '{"a":"\\udc00"}', '{"a":"\\u0000"}', '{"a":"a\nb"}',
        '{"a":"\\/\\b\\f\\n\\r\\t\\\\\\""}', '{"a":"\\q"}', '{"a":"\\x41"}', b'{"a":"\xff\xfe"}', '{"a":"x', '{"a":"x\\', '{"a":-5e10}',
        '{"a":nan}', '{"a":"it\'s"}', '{"a":"\\ud83d\\u0041"}', '{"a":"' + 'long ' * 50 + '\\"end"}'])
    case(J, "a Nullable(Int32), b Nullable(String)", ['{"a":null,"b":null}', '{"a":"","b":""}', '{"a":"null","b":"null"}', '{}', '{"a":5,"b":"x"}', '{"a":nul}'])
    case(J, "a Bool", ['{"a":true}', '{"a":false}', '{"a":1}', '{"a":0}', '{"a":2}', '{"a":"true"}', '{"a":"1"}', '{"a":null}', '{"a":True}', '{"a":1.5}'])
    case(J, "d Date, t DateTime", ['{"d":"2025-01-02","t":"2025-01-02 03:04:05"}', '{"d":20000,"t":1700000000}', '{"d":"20000","t":"1700000000"}',
        '{"d":"20250102","t":"2025-01-02T03:04:05Z"}', '{"d":null,"t":null}', '{"d":"","t":"x"}', '{"t":""}', '{"t":1700000000.5}', '{"t":-1}',
        '{"d":"2025-01-02 10:00:00"}', '{"d":"2025-01-02x"}', '{"d":"2025-01-02T03:04:05"}', '{"t":0}', '{"t":12345}', '{"t":99999999999}',
        '{"t":"2025-01-02 03:04:05.123"}', '{"t":"2025-01-02 03:04:05 x"}', '{"t":"1700000000123"}', '{"d":"abc"}', '{"d":70000}',
        '{"t":"2025-01-02 03:04:05+01:00"}', '{"t":"2025-01-02"}', '{"t":"23/10/2018 12:12:57"}', '{"t":"Sat, 18 Aug 2018 07:22:16 GMT"}'],
        but=['{"d":70000}'])  # ClickHouse takes it for a timestamp in this case
    case(J, "d Date32, t DateTime64(3)", ['{"d":"1950-01-02","t":"2025-01-02 03:04:05.678"}', '{"d":-5,"t":1700000000}', '{"t":1700000000.5}',
        '{"t":1700000000123}', '{"t":"1700000000"}', '{"t":"1700000000.123"}', '{"t":-1}', '{"t":"2025-01-02T03:04:05.678Z"}', '{"t":""}',
        '{"t":"2025-01-02"}', '{"t":1.5}', '{"t":12345}', '{"t":0}', '{"t":1700000000.12345}'])
    case(J, "t DateTime('Europe/Berlin'), u DateTime64(3, 'America/New_York')", ['{"t":"2025-07-01 12:00:00","u":"2025-01-01 00:00:00.5"}', '{"t":"2025-07-01T12:00:00Z","u":"2025-01-01T00:00:00Z"}'])
    case(J, "a Array(UInt8), m Map(String,UInt8), t Tuple(UInt8,String), n Tuple(x UInt8, y String)", [
        '{"a":[1,2],"m":{"a":1},"t":[1,"x"],"n":{"x":1,"y":"q"}}', '{"a":[ ],"m":{ },"n":{}}', '{"a":null,"m":null,"t":null,"n":null}', '{"a":"[1,2]"}',
        '{"m":"{\'a\':1}"}', '{"t":"(1,\'x\')"}', '{"t":[1]}', '{"t":[1,"x",3]}', '{"n":[1,"x"]}', '{"n":{"y":"q","zz":[1]}}', '{"n":{"x":1,"x":2}}',
        '{"a":[1,]}', '{"a":[1 2]}', '{"a":[null]}', '{"m":{"a":null}}', '{"m":[["a",1]]}', '{"m":{"a":1,}}', '{"m":{"a":1,"a":2}}', '{"m":{1:2}}',
        '{"a":{}}', '{"a":[1,"2"]}', '{"a":[300]}', '{"t":{"1":1,"2":"b"}}', '{"a":[1}', '{"n":{"x":null,"y":null}}', '{"a":[1,2'])
    case(J, "u UUID, i4 IPv4, i6 IPv6, e Enum8('a'=1,'b'=2), f FixedString(3), de Decimal(9,2), l LowCardinality(String)", [
        '{"u":"00112233-4455-6677-8899-aabbccddeeff","i4":"1.2.3.4","i6":"::1","e":"b","f":"ab","de":1.5,"l":"x"}', '{"e":2}', '{"e":"2"}', '{"e":"c"}',
        '{"e":3}', '{"f":"abcd"}', '{"de":"1.256"}', '{"de":1e3}', '{"de":123456789}', '{"u":"x"}', '{"u":""}', '{"i4":""}', '{"i4":16909060}', '{"l":5}',
        '{"de":true}', '{"de":""}', '{"e":""}', '{"f":5}'])
    case(J, "m Map(UInt8,String)", ['{"m":{"1":"a"}}', '{"m":{"x":"a"}}'])
    case(J, "m Map(Date,UInt8), k Map(LowCardinality(String),Array(UInt8))", ['{"m":{"2025-01-02":1},"k":{"x":[1]}}'])
    case(J, "i Int128, u UInt256, f Float32", ['{"i":-170141183460469231731687303715884105728,"u":115792089237316195423570985008687907853269984665640564039457584007913129639935,"f":0.1}', '{"i":"5","u":"7","f":"1"}'])
    C = "JSONCompactEachRow"
    case(C, "a UInt8, b String", ['[1,"x"]', '[1, "x"]\n[2,"y"]', '[1]', '[1,"x",3]', '[null,null]', '[[1,"x"],[2,"y"]]', '[1,"x"],[2,"y"]', '[]', '{"a":1}'])
    case(C + "WithNames", "a UInt8, b String", ['["b","a"]\n["x",1]', '["b"]\n["x"]', '["a","zz","b"]\n[1,[1],"y"]', '["a","a"]\n[1,2]'])
    case(C + "WithNamesAndTypes", "a UInt8, b String", ['["b","a"]\n["String","UInt8"]\n["x",1]', '["b","a"]\n["String","UInt16"]\n["x",1]'])
    case("JSONAsString", "a String", ['{"x": [1, 2]}\n{"y":1}', '[1,2]', '{"a":1} {"b":2}', '[{"a":1},{"b":"]"}]', '5', '"x"', '{"a":"}"}, {"b":1}', '{"a":'])
    case("LineAsString", "a String", ['x\ny', 'x\r\ny\n', '\n\nx', '', 'x\n'])
    case("RawBLOB", "a String", ['x\ny'])
    S = "a UInt8, b String, c Nullable(Int32)"
    case("CSV", S, ['1,x,2\n', '1,"x",2', '"1","x","2"', "1,'x',2", '1,x,\\N', '1,x,', '1,,', '1,"a""b",3', '1,"a\nb",3\n2,c,4', '1,x', '1,x,2,3',
        '1,x,2\r\n2,y,3\r\n', '', ' 1 , x , 2 ', '1,x y ,2', 'a,b,c\n1,x,2', '\n1,x,2\n', '1,"x,2', '300,x,1', '-1,x,1', 'abc,x,1', '1.5,x,1',
        '\ufeff1,x,2', '1,\\N,2', '1,"NULL","NULL"', '1,"\\N",2', '1,"",""', '1,x\\ty,2', '\\N,x,1', '1,x,2\n\n2,y,3', '"1,x,2', '1,"x" ,2',
        '"a","b","c"\n1,x,2', 'b,a\nx,1', '1\tx\t2', '1,x,"3"', ',x,1', '"",x,1'])
    case("CSV", "d Date, t DateTime, e Enum8('a'=1), f Float64, o Bool", ['2025-01-02,2025-01-02 03:04:05,a,1.5,true', '2025-01-02,1700000000,1,nan,1',
        '20250102,x,a,1,yes', '2025-01-02,,a,,', 'x,2025-01-02 03:04:05,a,1,1', '2025-01-02 ,2025-01-02 03:04:05 , a , 1.5 , true', '20000,0,a,1,1'])
    case("CSV", "a Array(UInt8), t Tuple(UInt8,String), m Map(String,UInt8)", ['"[1,2]",1,"x","{\'a\':1}"', '"[1,2]","(1,\'x\')","{\'a\':1}"', '[1],1,x,{}', '"[1]",1,x,"{}"'])
    case("CSV", "f FixedString(3), u UUID, i4 IPv4, de Decimal(9,2), t DateTime64(3), d Date32, i Int32", [
        "ab,00112233-4455-6677-8899-aabbccddeeff,1.2.3.4,1.256,2025-01-02 03:04:05.5,1950-01-01,-5",
        '"ab","00112233-4455-6677-8899-aabbccddeeff","1.2.3.4","1.256","2025-01-02 03:04:05.5","1950-01-01","-5"', ',,,,,,', 'abcd,,,,,,', 'ab,,,x,,,'])
    case("CSVWithNames", S, ['b,a\nx,1', 'a,b,c\n1,x,2', '"c","zz","a"\n5,q,7', 'a,a\n1,2', 'a,b\n', 'A,B\n1,x', '', 'b,a'])
    case("CSVWithNamesAndTypes", S, ['b,a\nString,UInt8\nx,1', 'b,a\nString,UInt16\nx,1', 'a,b\nx'])
    case("TSV", S, ['1\tx\t2\n', '1\tx\\ty\\n\\\\\\\'\t\\N', '1\tx', '1\tx\t2\t3', '\tx\t1', '1\tNULL\tNULL', '1\t\\N\t1', '\\N\tx\t1', '1\tx\t2\r\n',
        '', '\n', '1\t\\x41\\q\\0\t2', '1\tx\\\t2', '1\ta\\\nb\t2', '300\tx\t1', '1.5\tx\t1', '1 \tx\t1', 'abc\tx\t1', 'a\tb\tc\n1\tx\t2', '1\t"x"\t2',
        '\ufeff1\tx\t2', '1,x,2'])
    case("TSVRaw", S, ['1\tx\\ty\t\\N', '1\t\\N\t2'])
    case("TSVWithNames", S, ['b\ta\nx\t1', 'c\tzz\ta\n5\tq\t7'])
    case("TSVWithNamesAndTypes", S, ['b\ta\nString\tUInt8\nx\t1'])
    case("TSV", "d Date, t DateTime, e Enum8('a'=1), f Float64, o Bool, ar Array(String), m Map(String,UInt8), tu Tuple(UInt8,String)", [
        "2025-01-02\t2025-01-02 03:04:05\ta\t1.5\ttrue\t['x','y\\'z']\t{'a':1}\t(1,'x')", "2025-01-02\t1700000000\t1\tnan\t0\t[]\t{}\t(1,'x')",
        "\t\t\t\t\t\t\t", "20000\t0\ta\t1\tyes\t['x\\ty']\t{}\t(1,'x')", "2025-01-02\t2025-01-02 03:04:05\ta\t1.5\ttrue\t[\\'x\\']\t{'a':1}\t(1,'x')"])
    case("Values", S, ["(1,'x',2)", "(1,'x',2),(2,'y',NULL)", "(1,'x',2)\n(2,'y',3);", "(1,'x')", "(1,'x',2,3)", "( 1 , 'x' , 2 ) ", "(300,'x',1)",
        "('1','x','2')", "(NULL,NULL,NULL)", "(1,'x''y',2)", "", "(1,'x',2),", "(1,'x',2) (3,'y',4)", "(1,'x',DEFAULT)", "(true,'x',1)", "(1,'x',-5)",
        "(1,'x',2", "(1,'x\\n',2)", "(1,NULL,'')"])
    case("Values", "d Date, t DateTime, e Enum8('a'=1), f Float64, o Bool, ar Array(String), m Map(String,UInt8), tu Tuple(UInt8,String), de Decimal(9,2)",
        ["('2025-01-02','2025-01-02 03:04:05','a',1.5,true,['x'],{'a':1},(1,'x'),1.256)"])
    case("JSONAsObject", "j JSON", ['{"a":1} {"b":{"c":2}}', '[{"a":1},{"b":"x"}]', '[1]', '{"a":1'])
    case(J, "j JSON", ['{"j":{"a":1,"b":[1,"x"]}}', '{"j":"{}"}', '{"j":null}', '{"j":[1]}', '{}'])
    case(J, "v Variant(String, UInt64, Array(UInt64))", ['{"v":"x"}{"v":7}{"v":[3]}{"v":null}{"v":1.5}{"v":true}', '{"v":{"a":1}}'])
    case(J, "d Dynamic", ['{"d":"x"}{"d":7}{"d":[3,"a"]}{"d":null}{"d":{"a":1}}'])
    V = "v Variant(String, UInt64), d Dynamic, j JSON"
    case("CSV", V, ['abc,1,"{""a"":1}"\n42,x,{}\n'])
    case("TSV", V, ['abc\t1\t{"a":1}\n42\tx\t{}\n\\N\t\\N\t{}\n'])
    case("Values", V, ["('abc',1,'{\"a\":1}'),(42,'x','{}'),(NULL,NULL,'{}')"])
    case(C, "t Time, u Time64(3), b BFloat16, p Point", ['["01:02:03","01:02:03.5",1.1,[1,2]]'])
    with open(os.path.join(HERE, "readers.jsonl"), "w") as out:
        for record in records:
            out.write(json.dumps(record) + "\n")


INFER = [("JSONEachRow", t) for t in ['{"b":1,"a":"x"}', '{"a":1}\n{"a":2.5,"z":null}', '{"a":"2020-01-01","b":"2020-01-01 00:00:00","c":"2020-01-01 00:00:00.5","d":true}',
    '{"a":[1,2,null]}', '[{"a":1},{"a":2}]', '{"a":[1.5,2]}', '{"a":-5}', '{"a":9223372036854775807}', '{"a":null}\n{"a":1}']]
INFER += [("CSV", t) for t in ['1,x,2.5\n', '1,"x",2020-01-01\n2,y,2020-01-02\n', '-1,,true\n', '2020-01-01 00:00:00,x\n', '"a","b"\n1,2\n']]
INFER += [("CSVWithNames", 'a,b\n1,x\n'), ("TSV", '1\tx\t2.5\n'), ("TSVWithNames", 'p\tq\n1\tx\n'), ("TSVWithNamesAndTypes", 'p\tq\nUInt8\tString\n1\tx\n'),
    ("JSONCompactEachRow", '[1,"x",[2]]\n'), ("JSONCompactEachRowWithNames", '["a","b"]\n[1,"x"]\n'), ("LineAsString", "x\n"), ("JSONAsString", '{"a":1}')]


def infer(directory):
    with open(os.path.join(HERE, "infer.jsonl"), "w") as out:
        for i, (fmt, text) in enumerate(INFER):
            path = os.path.join(directory, f"infer{i}")
            with open(path, "w") as f:
                f.write(text)
            rows = json.loads(query(f"DESCRIBE file('{path}', {fmt})", "JSONCompact"))["data"]
            columns = ", ".join(f"{r[0]} {r[1]}" for r in rows)
            out.write(json.dumps({"format": fmt, "input": text, "columns": re.sub(r"\s+", " ", columns.replace("(\n", "(").replace("\n", ""))}) + "\n")



writers()
with tempfile.TemporaryDirectory() as directory:
    readers(directory)
    infer(directory)
