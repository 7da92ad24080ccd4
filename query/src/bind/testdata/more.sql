# things found on the way
SELECT t.a, -t.a AS a FROM t ORDER BY a
SELECT tupleElement((a, b), 1) FROM t ORDER BY a
SELECT a FROM t WHERE a IN (1, 2) AND b IN ('x') ORDER BY a
SELECT count() FROM hits WHERE id BETWEEN 10 AND 20 AND g IN (1, 2, 3)
SELECT count() FROM hits WHERE (id > 90 OR id < 5) AND user != 'u1'
SELECT count() FROM hits WHERE id = 5 OR id = 7 OR id IN (9, 11)
SELECT user, count() AS c FROM hits WHERE id % 2 = 0 GROUP BY user HAVING c > 9 ORDER BY c DESC, user LIMIT 3
SELECT sum(id) FILTER (WHERE g = 1) / count() AS r FROM hits
SELECT multiIf(g = 0, 'a', g = 1, 'b', 'c') AS k, count() FROM hits GROUP BY k ORDER BY k
SELECT CASE g WHEN 0 THEN 'zero' WHEN 1 THEN 'one' ELSE 'many' END AS k, count() FROM hits GROUP BY k ORDER BY k
SELECT CASE WHEN g = 0 THEN 1 END AS k, count() FROM hits GROUP BY k ORDER BY k
SELECT toStartOfInterval(ts, INTERVAL 6 HOUR) AS b, count() FROM hits GROUP BY b ORDER BY b LIMIT 3
SELECT ts + INTERVAL 1 DAY FROM hits ORDER BY id LIMIT 1
SELECT dateDiff('hour', min(ts), max(ts)) FROM hits
SELECT id FROM hits WHERE ts BETWEEN '2025-01-01 01:00:00' AND '2025-01-01 03:30:00' ORDER BY id
SELECT max(ts) FROM hits WHERE toStartOfDay(ts) <= '2025-01-02'
SELECT count() FROM hits WHERE toYYYYMM(ts) = 202501
SELECT count() FROM hits WHERE toDate(ts) > toDate('2025-01-03') - 1
SELECT count() FROM hits WHERE ts > toDate('2025-01-03')
SELECT count() FROM hits WHERE toHour(ts) IN (1, 2)
SELECT b FROM t GROUP BY b ORDER BY max(a) DESC
SELECT b, groupArray(a) FROM (SELECT a, b FROM t ORDER BY a) GROUP BY b ORDER BY b
SELECT any(x) FROM (SELECT 1 AS x) WHERE x = 1
SELECT a, b FROM t WHERE (a, b) = (1, 'x')
SELECT a FROM t WHERE a IN (SELECT max(a) FROM t GROUP BY b) ORDER BY a
SELECT *, a + 1 AS next FROM t2 ORDER BY next
SELECT * FROM t2 WHERE e LIKE '%2'
SELECT e, e AS e2, upper(e) FROM t2 ORDER BY e
SELECT a FROM t ORDER BY b DESC, a ASC
SELECT toString(a) AS s FROM t ORDER BY s DESC
SELECT count() AS c, c + 1 FROM t
SELECT sum(a) OVER (ORDER BY a) AS running, running * 2 FROM t ORDER BY a
SELECT a, if(a = 1, 'one', NULL) FROM t ORDER BY a
SELECT ifNull(c, 0) + 1, coalesce(c, a) FROM t ORDER BY a
SELECT c = 5, c != 5, c IS NULL, isNotNull(c) FROM t ORDER BY a
SELECT a FROM t WHERE c = 5
SELECT a FROM t WHERE NOT (c = 5)
SELECT a FROM t WHERE c NOT IN (5) ORDER BY a
SELECT sum(c), avg(c), count(c) FROM t
SELECT a FROM t WHERE d > '2025-01-01' ORDER BY d
SELECT d + 1, d - toDate('2025-01-01') FROM t ORDER BY a
SELECT a AS `a b`, `a b` * 2 FROM t ORDER BY `a b`
SELECT "a" FROM t WHERE "b" = 'y'
SELECT t.`a` FROM `t` ORDER BY `t`.`a`
SELECT default.t.a FROM default.t ORDER BY a
SELECT 1::UInt8 + 1, 1.5 + 1, '1'::UInt8
SELECT -1, - 1, 1 - 1, toTypeName(-1)
SELECT 0x10, 1e3, 1_000, 0b11
SELECT [1, 2, 3] AS a, a[1] + a[2]
SELECT (1, 2) AS p, p.1 + p.2
SELECT 1 IN (1, 2), 3 NOT IN (1, 2), (1, 2) IN ((1, 2), (3, 4)), 'a' IN ('a')
SELECT count() FROM t WHERE a GLOBAL NOT IN (SELECT a FROM t2)
SELECT * FROM (SELECT number AS n FROM numbers(4)) WHERE n IN (SELECT number FROM numbers(2)) ORDER BY n
SELECT n, n IN (1, 3) FROM nulls ORDER BY n
SELECT k, v FROM lc WHERE k IN ('k1', 'k2') ORDER BY v LIMIT 3
SELECT k = 'k1', k || 'z', upper(k), length(k) FROM lc ORDER BY v LIMIT 2
SELECT toTypeName(k), toTypeName(o), toTypeName(upper(k)), toTypeName(k = 'x') FROM lc LIMIT 1
SELECT min(k), max(o) FROM lc
SELECT DISTINCT k FROM lc ORDER BY k
SELECT k, o, count() FROM lc GROUP BY k, o ORDER BY k, o
SELECT a FROM t LIMIT 1 BY a LIMIT 2 BY b
SELECT a FROM t GROUP BY a ORDER BY b
SELECT a, sum(a) FROM t
SELECT sum(a), b FROM t
SELECT * FROM t GROUP BY a
SELECT sum(a) FROM t GROUP BY zzz
SELECT a FROM t ORDER BY zzz
SELECT a FROM t HAVING sum(a)
SELECT arrayMap(x -> x + zzz, [1])
SELECT count(a, b, c)
SELECT sum()
SELECT sum(*) FROM t
SELECT a FROM t JOIN t2
SELECT intDiv(1, 0)
SELECT toUInt8('x')
SELECT a FROM t WHERE a = 'x'
SELECT a FROM t WHERE d = 'garbage'
SELECT d FROM t WHERE a + b > 1
SELECT b + 1 FROM t
SELECT * FROM t WHERE
SELECT a b c FROM t
SELECT group_by_use_nulls FROM t
SELECT g % 2 AS p, user, count() FROM hits GROUP BY ROLLUP(p, user) ORDER BY p, user SETTINGS group_by_use_nulls = 1
SELECT g % 2 AS p, count() FROM hits GROUP BY GROUPING SETS ((p), ()) ORDER BY p SETTINGS group_by_use_nulls = 1
SELECT id, sum(id) OVER w AS s, avg(id) OVER w FROM hits WHERE id < 4 WINDOW w AS (ORDER BY id ROWS UNBOUNDED PRECEDING) ORDER BY id
SELECT a, b FROM t ORDER BY a WITH FILL FROM 1 TO 6
SELECT d, sum(a) FROM t GROUP BY d ORDER BY d WITH FILL TO toDate('2025-01-06') STEP INTERVAL 1 DAY
SELECT number AS n FROM numbers(3) ORDER BY n DESC WITH FILL FROM 5 TO 0 STEP -1
SELECT toDate('2025-01-31') + INTERVAL number MONTH AS m FROM numbers(2) ORDER BY m WITH FILL STEP INTERVAL 1 DAY LIMIT 3
SELECT a FROM t ORDER BY ALL LIMIT 2
SELECT sum(a) FROM t ORDER BY sum(a) LIMIT 1
SELECT a, a * 2 AS d2 FROM t WHERE d2 > 2 ORDER BY d2 DESC
SELECT max(a) AS m FROM t HAVING m > 1
SELECT x FROM (SELECT a AS x, b FROM t) GROUP BY x ORDER BY x
SELECT uniqExact(b) AS u, u + 1 AS v FROM t
SELECT round(avg(a), 1), round(sum(v), 2) FROM t, hits
SELECT concat(b, '-', toString(a)) AS k FROM t ORDER BY k
SELECT min(a) + max(a) FROM t WHERE b = 'x'
SELECT b, a FROM t ORDER BY (b, a)
SELECT b, count() FROM t GROUP BY b HAVING b IN ('x') ORDER BY b
SELECT sumIf(a, b = 'x') AS sx, sum(a) - sx FROM t
SELECT a FROM t WHERE b = 'x' AND a = (SELECT min(a) FROM t WHERE b = 'x')
SELECT s FROM (SELECT sum(a) AS s, b FROM t GROUP BY b) WHERE b = 'x'
SELECT count() FROM (SELECT * FROM t WHERE a > 1) AS q WHERE q.b = 'x'
SELECT a + b FROM (SELECT 1 AS a, 2 AS b)
SELECT * FROM (SELECT 1 AS `x y`, 2 AS `SELECT`)
SELECT count() FROM t AS t1, t AS t2, t AS t3 WHERE t1.a = t2.a AND t2.a = t3.a
SELECT t1.a FROM t AS t1, t AS t2 WHERE t1.a = t2.a + 1 ORDER BY t1.a
SELECT toInt64(a) AS a, count() FROM t GROUP BY a ORDER BY a
SELECT avg(a) AS a, max(b) FROM t GROUP BY d ORDER BY a
