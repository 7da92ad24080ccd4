"""Queries in the dialects of SQLite, PostgreSQL and DuckDB: the same text through the database itself (SQLite of Python's own,
DuckDB also for PostgreSQL's texts that both read alike) and through our server with `dialect` set; the rows must be equal.

  compare.py PORT
"""
import datetime, decimal, json, math, sqlite3, sys, urllib.error, urllib.parse, urllib.request

import duckdb

PORT = sys.argv[1]
ROWS = [(1, "Ada", "eng", 100, 2.5, "2024-01-31"), (2, "bob", "eng", None, -1.25, "2024-02-29"), (3, "Čeněk", "ops", 70, None, "2023-12-31"),
        (4, "dia", None, 40, 0.0, "2024-03-10"), (5, "Eve", "ops", 70, 9.75, None), (6, "it's", "law", -7, 3.0, "2024-03-11")]
ORDERS = [(1, 1, 10), (2, 1, 15), (3, 2, 7), (4, 9, 1), (5, 5, None)]
COMMON = """
SELECT count(*), count(pay), sum(pay), min(pay), max(score) FROM people
SELECT sum(pay), avg(pay), count(*) FROM people WHERE id > 100
SELECT team, count(*) AS n, sum(pay) FROM people GROUP BY team ORDER BY team, n
SELECT team, max(pay) AS pay FROM people WHERE pay > 50 GROUP BY team HAVING max(pay) > 60 ORDER BY pay DESC, team
SELECT p.name, o.amount FROM people p LEFT JOIN orders o ON p.id = o.person ORDER BY p.id, o.amount
SELECT p.id, o.id FROM people AS p FULL JOIN orders AS o ON p.id = o.person ORDER BY 1, 2
SELECT name FROM people WHERE id IN (SELECT person FROM orders WHERE amount > 8) ORDER BY name
SELECT id, CASE WHEN pay IS NULL THEN 'none' WHEN pay < 50 THEN 'low' ELSE 'high' END AS class FROM people ORDER BY id
SELECT team FROM people UNION SELECT 'new' ORDER BY 1
SELECT id FROM people UNION ALL SELECT person FROM orders ORDER BY 1
SELECT person FROM orders INTERSECT SELECT id FROM people ORDER BY 1
SELECT person FROM orders EXCEPT SELECT id FROM people ORDER BY 1
WITH paid AS (SELECT * FROM people WHERE pay IS NOT NULL) SELECT team, count(*) FROM paid GROUP BY team ORDER BY team
SELECT name, row_number() OVER (PARTITION BY team ORDER BY id) AS n, sum(pay) OVER (ORDER BY id) AS running FROM people ORDER BY id
SELECT name, lag(pay) OVER (ORDER BY id) AS before, lead(pay, 1, 0) OVER (ORDER BY id) AS after FROM people ORDER BY id
SELECT coalesce(pay, 0) + 1, nullif(team, 'eng'), abs(score), length(name), upper(name), substr(name, 2, 2) FROM people ORDER BY id
SELECT name || '-' || coalesce(team, '?') AS label FROM people ORDER BY id DESC LIMIT 3 OFFSET 1
SELECT CAST(pay AS VARCHAR), CAST('12' AS INTEGER) + 1, CAST(score AS REAL) FROM people ORDER BY id
SELECT id FROM people WHERE name LIKE 'E%' OR team IS NULL ORDER BY id
SELECT id FROM people WHERE pay BETWEEN 40 AND 80 AND NOT (team = 'law') ORDER BY id
SELECT distinct pay FROM people ORDER BY pay
SELECT count(DISTINCT pay), sum(DISTINCT pay) FROM people
SELECT id % 4, -id, id * 2.5 FROM people ORDER BY id
SELECT max(amount) FILTER (WHERE person = 1), count(*) FILTER (WHERE amount IS NULL) FROM orders
SELECT (SELECT max(amount) FROM orders) AS top, EXISTS (SELECT 1 FROM orders WHERE person = 77) AS gone
SELECT round(score, 1), round(score) FROM people ORDER BY id
SELECT replace(name, 'a', 'o'), trim('  x '), ltrim(' y'), rtrim('z ') FROM people ORDER BY id
SELECT 'back\\slash', 'it''s', '%' FROM people WHERE id = 1
"""
SQLITE = """
SELECT 7 / 2, -7 / 2, 7 / 2.0, 7 % 3, pay / 3 FROM people ORDER BY id
SELECT id, pay FROM people ORDER BY pay, id
SELECT id, pay FROM people ORDER BY pay DESC, id
SELECT group_concat(team) FROM (SELECT team FROM people WHERE team IS NOT NULL ORDER BY id)
SELECT ifnull(pay, -1), instr(name, 'e'), min(id) FROM people GROUP BY 1, 2 ORDER BY 1, 2
"""
POSTGRESQL = """
SELECT id, pay FROM people ORDER BY pay NULLS LAST, id
SELECT pay::bigint, '5'::int + 1, score::text IS NULL, day::date FROM people ORDER BY id
SELECT id FROM people WHERE name ILIKE 'E%' ORDER BY id
SELECT string_agg(name, '; ' ORDER BY id DESC) FROM people
SELECT array_agg(id ORDER BY id DESC) FROM people
SELECT team, string_agg(name, ',' ORDER BY id) AS names FROM people GROUP BY team ORDER BY team NULLS FIRST
SELECT date_trunc('month', day::date)::date AS m, count(*) FROM people WHERE day IS NOT NULL GROUP BY 1 ORDER BY 1
SELECT extract(year FROM day::date), extract(dow FROM day::date), extract(doy FROM day::date), date_part('month', day::date) FROM people WHERE day IS NOT NULL ORDER BY id
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY pay) FROM people
SELECT split_part('a-b-c', '-', 2), strpos('hello', 'l'), left('hello', 2), right('hello', 3), reverse('abc'), lpad('7', 3, '0')
SELECT bool_and(pay > 0), bool_or(pay > 90) FROM people
SELECT name ~ '^[A-Z]', regexp_replace(name, '[aeiou]', '_', 'g') FROM people WHERE id < 5 ORDER BY id
SELECT greatest(1, NULL, 3), least(2, 1), power(2, 10), mod(7, 4)
SELECT DISTINCT ON (team) team, id FROM people ORDER BY team NULLS FIRST, id
SELECT id FROM people WHERE team = ANY(ARRAY['ops', 'law']) ORDER BY id
SELECT position('b' IN 'abc'), substring('abcdef' FROM 2 FOR 3), char_length('Čeněk'), octet_length('abc'::bytea)
SELECT sum(amount) OVER (PARTITION BY person ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders ORDER BY id
SELECT stddev(pay), variance(pay), stddev_pop(pay) FROM people
"""
DUCKDB = """
SELECT 7 / 2, 7 // 2 FROM people WHERE id = 1
SELECT [1, 2, 3][2], len('abc') FROM people WHERE id = 1
SELECT id, pay FROM people ORDER BY pay NULLS FIRST, id
SELECT team, sum(pay) FROM people GROUP BY ALL ORDER BY ALL NULLS FIRST
"""


def ours(sql, dialect=""):
    settings = {"default_format": "JSONCompact", "output_format_json_quote_64bit_integers": 0, "dialect": dialect}
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/?{urllib.parse.urlencode(settings)}", sql.encode())
    try:
        body = urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as e:
        return e.read().decode()[:300]
    return json.loads(body)["data"] if body else []


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return str(value)[:10] if value.time() == datetime.time() else str(value)
    if isinstance(value, datetime.date):
        return str(value)
    return value


def equal(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    return a == b


def fill(run):
    run("CREATE TABLE people (id INTEGER, name TEXT, team TEXT, pay INTEGER, score DOUBLE PRECISION, day TEXT)")
    run("CREATE TABLE orders (id INTEGER, person INTEGER, amount INTEGER)")
    insert_rows(run)


def insert_rows(run):
    value = lambda v: "NULL" if v is None else "'" + v.replace("'", "''") + "'" if isinstance(v, str) else str(v)
    for table, rows in (("people", ROWS), ("orders", ORDERS)):
        run(f"INSERT INTO {table} VALUES " + ", ".join("(" + ", ".join(map(value, row)) + ")" for row in rows))


lite, duck = sqlite3.connect(":memory:"), duckdb.connect()
fill(lite.execute)
fill(duck.execute)
ours("CREATE TABLE people (id Int32, name String, team Nullable(String), pay Nullable(Int32), score Nullable(Float64), day Nullable(String)) ENGINE = MergeTree ORDER BY id")
ours("CREATE TABLE orders (id Int32, person Int32, amount Nullable(Int32)) ENGINE = MergeTree ORDER BY id")
insert_rows(ours)

bad = count = 0
for dialect, peer, texts in (("sqlite", lite, COMMON + SQLITE), ("postgresql", duck, COMMON + POSTGRESQL), ("duckdb", duck, COMMON + DUCKDB)):
    for sql in filter(None, texts.splitlines()):
        expected = [plain(list(row)) for row in peer.execute(sql).fetchall()]
        found = ours(sql, dialect)
        count += 1
        if not equal(plain(found), expected):
            bad += 1
            print(f"{dialect}: {sql}\n  expected {expected}\n  found    {found}")
print(f"{count} queries, {bad} differ")
sys.exit(bad > 0)
