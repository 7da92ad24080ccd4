SELECT b FROM t JOIN t2 ON t.a = t2.a JOIN t3 ON t.a = t3.a
SELECT a FROM t JOIN t2 ON t.b = t2.b JOIN t3 ON t.d = t3.a
SELECT a FROM t, t2, t3
SELECT b FROM t, t2 WHERE t.a = t2.a
SELECT k, n.x, n.y FROM n
SELECT k, n.x, n.y FROM n ARRAY JOIN n
SELECT k, q.x, n.x FROM n ARRAY JOIN n AS q
SELECT k, n.x, n.y FROM n ARRAY JOIN n.x
SELECT * FROM n ARRAY JOIN n.x AS z
SELECT x FROM (SELECT a AS x FROM t) WHERE x > 1
SELECT count() FROM t t1 JOIN t t2 ON t1.a = t2.a AND t1.b = 'x' WHERE t1.a > 1 GROUP BY t1.b
SELECT t.a, count() FROM t JOIN t2 USING a GROUP BY t.a
SELECT a FROM (SELECT a, b FROM t) AS q WHERE q.b = 'x' ORDER BY q.a
SELECT 1 WHERE NULL
SELECT a FROM t WHERE c
SELECT number FROM numbers(5) ORDER BY number DESC LIMIT 2, 2
SELECT a FROM t LIMIT 1.5
SELECT a FROM t LIMIT a
SELECT a FROM t LIMIT 1 + 1
SELECT a FROM t LIMIT {n:UInt8}
SELECT sum(a) FROM t WHERE 0
SELECT a, sum(a) FROM t GROUP BY a WITH TOTALS HAVING sum(a) > 1 ORDER BY a LIMIT 1
SELECT * FROM t ORDER BY c NULLS FIRST, a DESC
SELECT max(b), x FROM t GROUP BY a % 2 AS x ORDER BY x
SELECT uniq(a), min(a), a % 2 AS p FROM t GROUP BY p HAVING p = 1
SELECT (SELECT sum(a) FROM t) AS s, a / s FROM t
SELECT a FROM t WHERE a = (SELECT max(a) FROM t)
SELECT a FROM t WHERE (a, b) IN (SELECT a, b FROM t2)
SELECT a FROM t WHERE a NOT IN (1, 2)
SELECT a FROM t WHERE a GLOBAL IN (SELECT 1)
SELECT arrayJoin([1,2,3]) AS x WHERE x > 1
SELECT arrayJoin([1,2,3]) AS x, count() GROUP BY x ORDER BY x
SELECT sum(arrayJoin([1,2,3]))
SELECT DISTINCT b, count() OVER () FROM t ORDER BY b
SELECT b, count() AS c FROM t GROUP BY b ORDER BY c DESC LIMIT 1
SELECT a AS x FROM t WHERE x > 1 AND t.a < 3
SELECT t.x FROM (SELECT a AS x FROM t) AS t
WITH q AS (SELECT a FROM t), r AS (SELECT a + 1 AS a FROM q) SELECT q.a, r.a FROM q, r WHERE q.a = r.a ORDER BY q.a
WITH t AS (SELECT 1 AS one FROM t) SELECT * FROM t
WITH q(x, y) AS (SELECT 1, 2) SELECT x, y FROM q
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r
WITH x -> x + 1 AS f SELECT f(1)
SELECT c IN (SELECT NULL), c IN (SELECT 5) FROM t
SELECT NULL IN (NULL), 1 IN (NULL), NULL IN (1)
SELECT '2025-01-01' IN (d) FROM t
SELECT 1.5 IN (1.5, 2), 1 IN ('1'), 300::UInt16 IN (300, 70000), 'a' IN ('a', 1)
SELECT toUInt8(1) IN (1.0, 1.5)
SELECT [1] IN ([1], [2]), [1,2] IN ([[1,2]]), (1,2) IN ([(1,2)])
SELECT has([1,2], a) FROM t
SELECT a IN (t.a, 7) FROM t
SELECT number IN [number] FROM numbers(2)
SELECT not a IN (1) AS z FROM t
SELECT notIn(a, (1, 2)), in(a, (1,2)) FROM t
SELECT toDate('2025-01-02') IN ('2025-01-02', 'garbage')
SELECT a FROM t WHERE a IN (SELECT b FROM t)
SELECT b IN (SELECT a FROM t) FROM t
SELECT count(), a FROM t GROUP BY ROLLUP(a) ORDER BY 1, 2
SELECT b, count() FROM t GROUP BY b WITH CUBE WITH TOTALS
SELECT a FROM t GROUP BY a, a
SELECT lagInFrame(a, 1, 0) OVER (ORDER BY a), leadInFrame(a) OVER (ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), lag(a) OVER (ORDER BY a), ntile(2) OVER (ORDER BY a), rank() OVER (ORDER BY b), nth_value(a, 2) OVER (ORDER BY a) FROM t
SELECT first_value(a) OVER w, last_value(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY a)
SELECT sum(a) OVER nope FROM t
SELECT sum(a) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (ORDER BY a)
SELECT a, toTypeName(percent_rank() OVER (ORDER BY a)), toTypeName(cume_dist() OVER (ORDER BY a)), toTypeName(ntile(2) OVER (ORDER BY a)), toTypeName(dense_rank() OVER (ORDER BY a)), toTypeName(lag(a) OVER (ORDER BY a)), toTypeName(lagInFrame(c) OVER (ORDER BY a)) FROM t LIMIT 1
SELECT * FROM numbers(3) AS a JOIN numbers(3) AS b ON a.number = b.number ORDER BY 1
SELECT * FROM t AS l LEFT JOIN t2 AS r USING (a) WHERE r.e = '' ORDER BY a
SELECT 'a' 'b'
SELECT a.1 FROM (SELECT (1,2) AS a)
SELECT a AS `my col`, `my col` + 1 FROM t
SELECT sumOrNull(a) FROM t WHERE 0
SELECT groupArray(a), groupArray(2)(a) FROM t
SELECT -a, - 5, a - -1 FROM t
SELECT a::String || 'x', NOT a, a IS NULL, a BETWEEN 1 AND 2 FROM t
SELECT CASE WHEN a = 1 THEN 'one' ELSE 'other' END, CASE a WHEN 1 THEN 'x' END FROM t
SELECT INTERVAL 1 DAY + d FROM t
SELECT identity(a) AS x FROM t ORDER BY identity(a) DESC
SELECT a FROM t ORDER BY b COLLATE 'en'
SELECT * FROM t UNION DISTINCT SELECT * FROM t ORDER BY a LIMIT 2
(SELECT a FROM t ORDER BY a LIMIT 1) UNION ALL (SELECT a FROM t ORDER BY a DESC LIMIT 1)
SELECT a FROM t EXCEPT SELECT 2
SELECT toTypeName(a) FROM (SELECT 1 AS a UNION ALL SELECT NULL)
SELECT toTypeName(a) FROM (SELECT 1 AS a UNION ALL SELECT 1.5)
SELECT a, count() FROM t GROUP BY t.a
SELECT t.a AS q FROM t GROUP BY q
SELECT sum(a) + b FROM t GROUP BY b
SELECT any(a) AS a, any(a) FROM t
SELECT count(*), count(t.*) FROM t
SELECT count(a, b) FROM t
SELECT avg(b) FROM t
SELECT sumIf(a) FROM t
SELECT quantile(a)(a) FROM t
