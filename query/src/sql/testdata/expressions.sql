SELECT a+1
SELECT -a
SELECT NOT a
SELECT a AND b OR c
SELECT -1
SELECT - 1
SELECT -(1)
SELECT - -1
SELECT 1 - -1
SELECT a.1
SELECT a[1]
SELECT (1,2).1
SELECT [1,2]
SELECT (1,)
SELECT tuple(1)
SELECT a::Int8
SELECT 1::Int8
SELECT -2::Int8
SELECT '3'::Int8
SELECT CAST(a AS Int8)
SELECT CAST(a, 'Int8')
SELECT (a+b)*c
SELECT a+(b*c)
SELECT (a)
SELECT ((a))
SELECT (a+b) AS x
SELECT a + b AS x
SELECT (a AS x) + 1
SELECT f(a AS b, c)
SELECT CASE WHEN a THEN 1 ELSE 2 END
SELECT CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 END
SELECT (a+b)*c, a+(b*c), (a), ((a)), (a+b) AS x, a + b AS x, (a AS x) + 1, f(a AS b, c), CASE WHEN a THEN 1 ELSE 2 END, CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 END
SELECT a BETWEEN 1 AND 2
SELECT a NOT BETWEEN 1 AND 2
SELECT a IN (1,2)
SELECT a NOT IN (1)
SELECT a IN (SELECT 1)
SELECT a GLOBAL IN t
SELECT a LIKE 'x%'
SELECT a NOT ILIKE 'x'
SELECT a IS NULL
SELECT a IS NOT NULL
SELECT a IS DISTINCT FROM b
SELECT a <=> b
SELECT count(*)
SELECT COUNT(DISTINCT a)
SELECT sum(a) FILTER (WHERE b)
SELECT quantile(0.9)(x)
SELECT quantiles(0.5, 0.9)(x)
SELECT any(x) IGNORE NULLS
SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
SELECT sum(a) OVER w
SELECT a ? b : c
SELECT x -> x+1
SELECT (x, y) -> x+y
SELECT arrayMap(x -> x+1, arr)
SELECT arrayMap((x, y) -> (x+y, 1), arr, arr2)
SELECT arrayMap((x) -> x, a)
SELECT a ? b : c, x -> x+1, (x, y) -> x+y, arrayMap(x -> x+1, arr), arrayMap((x, y) -> (x+y, 1), arr, arr2), arrayMap((x) -> x, a)
SELECT *
SELECT t.*
SELECT * EXCEPT (a)
SELECT * EXCEPT a
SELECT * REPLACE(a+1 AS a)
SELECT * APPLY(sum)
SELECT COLUMNS('^a') APPLY(x -> x+1)
SELECT t.COLUMNS(a, b)
SELECT *, t.*, * EXCEPT (a), * EXCEPT a, * REPLACE(a+1 AS a), * APPLY(sum), COLUMNS('^a') APPLY(x -> x+1), t.COLUMNS(a, b) FROM t
SELECT 'a''b'
SELECT '\x41'
SELECT '\d'
SELECT 'a\\b'
SELECT "a b"
SELECT `a b`
SELECT 1.50
SELECT 1e3
SELECT 0xFF
SELECT 0b101
SELECT 1_000
SELECT 1.
SELECT .5
SELECT 1e100
SELECT 18446744073709551616
SELECT -9223372036854775808
SELECT -9223372036854775809
SELECT NULL
SELECT true
SELECT FALSE
SELECT inf
SELECT nan
SELECT 1 UNION ALL SELECT 2 UNION DISTINCT SELECT 3
SELECT 1 EXCEPT SELECT 2
SELECT * FROM a ANY LEFT JOIN b USING k, j ASOF LEFT JOIN c ON a.k = c.k AND a.t >= c.t CROSS JOIN d, e
SELECT * FROM a GLOBAL ALL INNER JOIN (SELECT 1) AS b ON a.x = b.x
SELECT * FROM numbers(10) AS n, remote('h', db.t)
SELECT 1 FORMAT
SELECT FROM
SELECT (1
SELECT (a AND b) AND c
SELECT a AND (b AND c)
SELECT a OR b OR c
SELECT a BETWEEN 1 AND 2 AND c
SELECT c AND a BETWEEN 1 AND 2
SELECT a||b||c
SELECT (a||b)||c
SELECT NOT (a AND b)
SELECT NOT NOT a
SELECT NOT a = b
SELECT (NOT a) = b
SELECT NOT a IS NULL
SELECT -a + b
SELECT (-a) + b
SELECT b + -a
SELECT b - (-a)
SELECT -a.1
SELECT (-a).1
SELECT -(-a)
SELECT -(a+b)
SELECT - (a)
SELECT -a[1]
SELECT (a+b)[1]
SELECT (a+b).1
SELECT f(a).1
SELECT a[1].2
SELECT t.1.2
SELECT f(a).x
SELECT (a).1
SELECT a.b.c
SELECT a.b.c.1
SELECT -a + b, (-a) + b, b + -a, b - (-a), -a.1, (-a).1, -(-a), -(a+b), - (a), -a[1], (a+b)[1], (a+b).1, f(a).1, a[1].2, t.1.2, f(a).x, (a).1, a.b.c, a.b.c.1
SELECT x -> y -> x+y
SELECT f(x -> y)
SELECT f(x -> y, z)
SELECT f((x -> y), z)
SELECT (x -> y)(z)
SELECT x -> (y, z)
SELECT arrayMap(x, y -> x+y, a, b)
SELECT f(1, 2)(x -> y)
SELECT x -> y -> x+y, f(x -> y), f(x -> y, z), f((x -> y), z), (x -> y)(z), x -> (y, z), arrayMap(x, y -> x+y, a, b), f(1, 2)(x -> y)
SELECT a IS NULL + 1
SELECT (a IS NULL) + 1
SELECT a = b IS NULL
SELECT a + b IS NULL
SELECT -a IS NULL
SELECT a IN (1,2) IS NULL
SELECT (a IN (1)) + 1
SELECT a IN 1
SELECT a IN (1)
SELECT a IN (b)
SELECT a IN [1,2]
SELECT a IN f(x)
SELECT a IN ((1,2),(3,4))
SELECT a IN tuple(1, 2)
SELECT (a, b) IN ((1,2))
SELECT a IN (b, c)
SELECT a IN ('x')
SELECT []
SELECT [a]
SELECT [1, a]
SELECT ()
SELECT (a, b)
SELECT (a, 1)
SELECT tuple()
SELECT tuple(a)
SELECT tuple(a, b)
SELECT array(1, 2)
SELECT map('a', 1)
SELECT map(a, b)
SELECT [(1, 'x'), (2, 'y')]
SELECT [1,2]::Array(Int8)
SELECT (1,2)::Tuple(Int8, Int8)
SELECT [a]::Array(Int8)
SELECT [1, 2.5]::Array(String)
SELECT ['a']::Array(String)
SELECT NULL::Nullable(Int8)
SELECT true::Bool
SELECT 3.90::Decimal(3, 2)
SELECT 'x'::String::Int8
SELECT plus(a, 1)
SELECT plus(1, 2) * 3
SELECT equals(a, b)
SELECT and(a, b)
SELECT or(a, b, c)
SELECT not(a)
SELECT isNull(a)
SELECT negate(a)
SELECT in(a, (1, 2))
SELECT like(a, 'b')
SELECT if(a, b, c)
SELECT multiIf(a, b, c)
SELECT arrayElement(a, 1)
SELECT tupleElement(a, 1)
SELECT concat(a, b)
SELECT concat(a, b, c)
SELECT tuple(1, 2)
SELECT CAST(a + 1 AS String)
SELECT modulo(a, 2)
SELECT intDiv(a, 2)
SELECT divide(a, b)
SELECT minus(a,b)
SELECT between(a, 1, 2)
SELECT a DIV b
SELECT a MOD b
SELECT a % b
SELECT a / b
SELECT a == b
SELECT a <> b
SELECT a != b
SELECT a REGEXP 'x'
SELECT a RLIKE 'x'
SELECT a IS TRUE
SELECT a IS NOT FALSE
SELECT a IS UNKNOWN
SELECT ts AT TIME ZONE 'UTC'
SELECT EXISTS(SELECT 1)
SELECT NOT EXISTS (SELECT 1)
SELECT a NOT IN (SELECT 1)
SELECT a GLOBAL NOT IN (1)
SELECT +1
SELECT +a
SELECT (a b), 1
SELECT f(a b)
SELECT a ? b : c + 1
SELECT (a ? b : c) + 1
SELECT a > 1 ? 'x' : 'y'
SELECT a ? (b ? 1 : 2) : c
SELECT * EXCEPT (a, b)
SELECT * EXCEPT STRICT a
SELECT * EXCEPT('^a')
SELECT * REPLACE (a+1 AS a, b AS b)
SELECT * REPLACE STRICT a+1 AS a
SELECT * APPLY(sum) APPLY(x -> x + 1)
SELECT * APPLY(quantile(0.9))
SELECT * APPLY sum
SELECT COLUMNS(a, b) EXCEPT a
SELECT COLUMNS('x') REPLACE (1 AS a)
SELECT t.* EXCEPT a
SELECT db.t.*
SELECT * EXCEPT (a) REPLACE (b AS b)
SELECT a AS `x y`
SELECT `a b`.c
SELECT a.`b-c`
SELECT `select`
SELECT select
SELECT `1a`
SELECT 1a
SELECT _a
SELECT a$
SELECT `é`
SELECT "x""y"
SELECT `x``y`
SELECT `a\nb`
SELECT value
SELECT key
SELECT date
SELECT end
SELECT index
SELECT partition
SELECT `from`
SELECT `Date`
SELECT a AS `x y`, `a b`.c, a.`b-c`, `select`, select, `1a`, 1a, _a, a$, `é`, "x""y", `x``y`, `a\nb`, value, key, date, end, index, partition, `from`, `Date`
SELECT 1.0
SELECT 1.5e10
SELECT 1e20
SELECT 1e21
SELECT 1e-7
SELECT 0.00001
SELECT 123456789.123
SELECT 1e15
SELECT 1e16
SELECT 1.7976931348623157e308
SELECT 1e400
SELECT -0.0
SELECT 0x1p4
SELECT -1.5
SELECT 0xFFFFFFFFFFFFFFFF
SELECT 0x10000000000000000
SELECT 1e0
SELECT 00012
SELECT 1_000.5
SELECT 1e3::Int32
SELECT -1.50::Decimal(3,2)
SELECT b'01000001'
SELECT x'4142'
SELECT -inf
SELECT NaN
SELECT INF
SELECT 'a\tb\r\0\b\f\\\'"'
SELECT '\a\v\e\z\%\_\/'
SELECT 'é'
SELECT $$x'y$$, $tag$a$tag$, '\N', 'a\
SELECT count()
SELECT count(a)
SELECT COUNT(DISTINCT *)
SELECT count(DISTINCT a, b)
SELECT sum(DISTINCT a)
SELECT groupArray(DISTINCT a)
SELECT count(DISTINCT a) FILTER (WHERE x)
SELECT count(*) FILTER (WHERE a > 1)
SELECT countIf(a)
SELECT any(a) RESPECT NULLS
SELECT Any(x)
SELECT SUM(x)
SELECT sum(ALL a)
SELECT sum(a) OVER ()
SELECT sum(a) OVER (PARTITION BY a)
SELECT sum(a) OVER (ORDER BY a, b DESC)
SELECT sum(a) OVER (w ORDER BY b)
SELECT sum(a) OVER (PARTITION BY a, b ORDER BY c ROWS 1 PRECEDING)
SELECT sum(a) OVER (ORDER BY a RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING)
SELECT sum(a) OVER (ORDER BY a ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
SELECT first_value(a) IGNORE NULLS OVER w
SELECT sum(a) OVER (ROWS UNBOUNDED PRECEDING)
SELECT sum(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)
SELECT INTERVAL 1 SECOND
SELECT INTERVAL a + 1 HOUR
SELECT INTERVAL (a) DAY
SELECT INTERVAL -1 DAY
SELECT INTERVAL '1' DAY
SELECT INTERVAL 1 WEEKS
SELECT INTERVAL 1 SQL_TSI_MONTH
SELECT INTERVAL 1 q
SELECT interval
SELECT INTERVAL '5 minute'
SELECT now() - INTERVAL 7 DAY
SELECT interval + 1
SELECT CAST(a, 'Array(Int8)')
SELECT CAST(a AS Array ( Int8 ))
SELECT CAST(a AS Tuple(x Int8, y String))
SELECT a::Nullable(Decimal(10,2))
SELECT a::Enum8('x'=1,'y'=2)
SELECT a::INT
SELECT a::int unsigned
SELECT a::DOUBLE PRECISION
SELECT CAST(a AS VARCHAR(10))
SELECT a::DateTime64(3,'UTC')
SELECT CAST(a AS AggregateFunction(quantile(0.5), Float64))
SELECT _CAST(a, 'Int8')
SELECT CAST(1 AS UInt8)
SELECT CAST('1' AS UInt8) AS x
SELECT CAST(a AS x, 'Int8')
SELECT {p:UInt8}, {p: Array(String)}, {p : Identifier} FROM {tbl:Identifier}
SELECT a AS b
SELECT a b
SELECT a as from1
SELECT a + b AS c
SELECT sum(a AS x) AS y
SELECT (a AS b)
SELECT (a AS b, c AS d)
SELECT [a AS b]
SELECT @@version, @@max_threads
SELECT j.a.b
SELECT j.^a
SELECT j.a.:Int64
SELECT j.arr[].x
SELECT j.a.:`Array(JSON)`.b
SELECT j.^a.b
SELECT j.a.b, j.^a, j.a.:Int64, j.arr[].x, j.a.:`Array(JSON)`.b, j.^a.b
SELECT 1,
SELECT a, FROM t
SELECT 'x' 'y'
SELECT case when a then b end, case a when b then c else d end, CASE WHEN a THEN b WHEN c THEN d END + 1
SELECT DISTINCT a, SELECT 1
SELECT TRUE
SELECT True
SELECT null
SELECT Null
SELECT TRUE, True, null, Null
SELECT a.* , b.c.* FROM a, b
SELECT f()
SELECT f(a)(b)
SELECT f(a, b)(c, d)
SELECT `f x`(a)
SELECT F(A)
SELECT f(), f(a)(b), f(a, b)(c, d), `f x`(a), F(A)
SELECT a IN (SELECT 1 UNION ALL SELECT 2), a IN db.t, a IN `t`, a IN (db.t), a IN (t)
SELECT a LIKE b ESCAPE '!'
SELECT a ILIKE 'x' AND b
SELECT a LIKE 'x' || 'y'
SELECT a || b LIKE 'c'
SELECT a = b || c
SELECT a || b || c || 'd' = 'e'
SELECT a LIKE b ESCAPE '!', a ILIKE 'x' AND b, a LIKE 'x' || 'y', a || b LIKE 'c', a = b || c, a || b || c || 'd' = 'e'
SELECT a + b - c
SELECT a - (b - c)
SELECT a * b / c
SELECT a * (b / c)
SELECT a + b * c
SELECT (a + b) + c
SELECT a - b + c
SELECT a = b = c
SELECT a < b < c
SELECT a + b - c, a - (b - c), a * b / c, a * (b / c), a + b * c, (a + b) + c, a - b + c, a = b = c, a < b < c, a <=> b
SELECT a DIV b, a MOD b, a % b, a / b, a == b, a <> b, a != b, a REGEXP 'x'
SELECT a IS TRUE, a IS NOT FALSE, a IS UNKNOWN, ts AT TIME ZONE 'UTC', EXISTS(SELECT 1), NOT EXISTS (SELECT 1), a NOT IN (SELECT 1), a GLOBAL NOT IN (1)
SELECT 1.0, 1.5e10, 1e20, 1e21, 1e-7, 0.00001, 123456789.123, 1e15, 1e16, 1.7976931348623157e308
SELECT $$x'y$$, $tag$a$tag$, '\N'
SELECT x -> (y -> x+y)
SELECT (x -> y) AS k
SELECT x -> (y -> x+y), f(x -> y), f(x -> y, z), f((x -> y), z), (x -> y) AS k, x -> (y, z), arrayMap(x, y -> x+y, a, b), f(1, 2)(x -> y)
SELECT f(x -> -y)
SELECT f(x -> NOT y)
SELECT f(x -> y[1])
SELECT f(x -> y.1)
SELECT f(x -> y IS NULL)
SELECT f(x -> (y))
SELECT f(x -> (y + 1))
SELECT f(x -> (SELECT 1))
SELECT f(x -> [1])
SELECT f(x -> if(y, 1, 2))
SELECT f(x -> y AND z)
SELECT f(x -> y || z)
SELECT f(x -> x IN (1))
SELECT f(x -> 1)
SELECT f(() -> 1)
SELECT f(x -> (y, z))
SELECT f(x -> y::Int8)
SELECT f(x -> x AS k)
SELECT -1 + a
SELECT a + -1
SELECT -1::Int8 + 1
SELECT -1[1]
SELECT - 1.5
SELECT -a * b
SELECT a * -b
SELECT -a IN (1)
SELECT - -a
SELECT NOT -a
SELECT -NOT a
SELECT a.b[1]
SELECT a[1][2]
SELECT a[1].x
SELECT a.1.2.3
SELECT t.b.1
SELECT (a + b).1.2
SELECT f(x)[1]
SELECT [1,2][1]
SELECT (1,2)[1]
SELECT 'abc'[1]
SELECT (SELECT 1)[1]
SELECT (SELECT (1,2)).1
SELECT f(x)(y)[1]
SELECT CAST(a AS Int8)[1]
SELECT a::Int8[1]
SELECT x[-1]
SELECT x[a + 1]
SELECT case when 1 then 2 end[1]
SELECT f(x -> y)[1]
SELECT (x IN (1)).1
SELECT (NOT a)[1]
SELECT (a IS NULL)[1]
SELECT (a, b)[1]
SELECT (a, b).1
SELECT ((a, b)).1
SELECT [a].1
SELECT [a][1]
SELECT (-a)[1]
SELECT a.*[1]
SELECT f(x -> y)[1], (x IN (1)).1, (NOT a)[1], (a IS NULL)[1], (a, b)[1], (a, b).1, ((a, b)).1, [a].1, [a][1], (-a)[1], a.*[1]
SELECT a IN ((1))
SELECT a IN (1, (2))
SELECT a IN ((1, 2))
SELECT a IN ((1, 2), 3)
SELECT a IN (((1, 2)))
SELECT a IN ((SELECT 1))
SELECT a IN (1 + 2)
SELECT a IN (f(1))
SELECT a IN f
SELECT a IN (NULL)
SELECT a IN NULL
SELECT a IN 'x'
SELECT a IN -1
SELECT a IN (-1)
SELECT a IN ([1])
SELECT a IN ([1], [2])
SELECT a IN ()
SELECT a IN a + 1
SELECT a IN (a AS b)
SELECT (a IN b) IN c
SELECT a NOT IN 1
SELECT NOT(a)
SELECT NOT (a)
SELECT NOT 1
SELECT NOT f(a)
SELECT NOT a + 1
SELECT NOT (a, b)
SELECT NOT a.1
SELECT NOT a[1]
SELECT NOT (SELECT 1)
SELECT not(a, b)
SELECT not(a) + 1
SELECT NOT a AND NOT b
SELECT NOT a, NOT(a), NOT (a), NOT 1, NOT f(a), NOT a + 1, NOT (a, b), NOT a.1, NOT a[1], NOT (SELECT 1), not(a, b), not(a) + 1, NOT a AND NOT b
SELECT a AS b + 1
SELECT a AND (b OR c) AND NOT d OR e AND f
SELECT a IS NULL AND b IS NOT NULL
SELECT a LIKE 'x' AND b
SELECT NOT a LIKE 'x'
SELECT a NOT LIKE 'x'
SELECT a IS NULL AND b IS NOT NULL, a LIKE 'x' AND b, NOT a LIKE 'x', a NOT LIKE 'x'
SELECT EXISTS(SELECT 1) AND a
SELECT a = (SELECT 1)
SELECT a IN (SELECT 1) AND b
SELECT (SELECT 1) IN (1)
SELECT EXISTS(SELECT 1) + 1
SELECT EXISTS(SELECT 1) AND a, a = (SELECT 1), a IN (SELECT 1) AND b, (SELECT 1) IN (1), EXISTS(SELECT 1) + 1
SELECT tuple(1)::Tuple(Int8)
SELECT (a,)
SELECT ((1,),)
SELECT [(1,)]
SELECT [[1],[2]]
SELECT [[]]
SELECT ((1, 2), (3, 4))
SELECT (1, 'a', NULL, true, [1, 2])
SELECT [NULL, 1]
SELECT [true]
SELECT [-1, 2]
SELECT (1, -2.5)
SELECT [1 + 1, 2]
SELECT (((a + 1)))
SELECT any(a) FILTER (WHERE b) OVER w
SELECT countIf(a) FILTER (WHERE b)
SELECT sum(a) FILTER(WHERE b AND c)
SELECT quantile(0.5)(a) FILTER (WHERE b)
SELECT count(DISTINCT a) OVER ()
SELECT sum(DISTINCT a) OVER w
SELECT (a BETWEEN 1 AND 2) AND c
SELECT NOT a BETWEEN 1 AND 2
SELECT a BETWEEN b + 1 AND c * 2
SELECT a + 1 BETWEEN 1 AND 2
SELECT a BETWEEN 1 AND 2 OR b
SELECT a BETWEEN 1 AND 2 = 1
SELECT map('a', 1)['a'], {'a': 1}
SELECT {'a': 1}['a']
SELECT a.b.c.d.e FROM t
SELECT x.y(1)
SELECT if(a, b, c) ? 1 : 2
SELECT a ?b:c
SELECT a? b :c
SELECT if(a, b, c) ? 1 : 2, a ?b:c, a? b :c
SELECT date '2020-01-01'
SELECT DATE'2020-01-01'
SELECT timestamp '2020-01-01'
SELECT TIMESTAMP '2020-01-01 00:00:00' + INTERVAL '1' DAY
SELECT DATE '2020-01-01' - 1
SELECT date + 1
SELECT TIME '10:00:00'
SELECT INTERVAL '1 day' + a
SELECT INTERVAL 1 DAY + INTERVAL 2 HOUR
SELECT (INTERVAL 1 DAY)
SELECT INTERVAL (1 + 2) DAY
SELECT INTERVAL f(x) DAY
SELECT a - INTERVAL 1 DAY * 2
SELECT INTERVAL '-1 day'
SELECT INTERVAL 1 MILLISECOND
SELECT INTERVAL 1 MICROSECOND
SELECT INTERVAL 1 NANOSECOND
SELECT INTERVAL 1 YEAR
SELECT INTERVAL 1 minutes
SELECT INTERVAL 1 h
SELECT INTERVAL '1.5 day'
