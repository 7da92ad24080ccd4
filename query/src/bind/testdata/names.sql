SELECT zz FROM t
SELECT zz + 1 FROM t WHERE a = 1
SELECT bb FROM t
SELECT foo(a) FROM t
SELECT tostring(a) FROM t
SELECT * FROM nosuch
SELECT * FROM nodb.nosuch
SELECT * FROM tt
SELECT a + 1 AS a FROM t
SELECT b1 + 1 AS a1, a1 + 1 AS b1 FROM t
SELECT x + 1 AS x
SELECT sum(a) AS a FROM t WHERE a > 1
SELECT sum(sum(a)) FROM t
SELECT a, sum(c) FROM t
SELECT a, sum(c) FROM t GROUP BY b
SELECT a, b FROM t GROUP BY (a, b)
SELECT (a, b), count() FROM t GROUP BY (a, b)
SELECT t.a, t2.a FROM t JOIN t2 ON t.a = t2.a
SELECT t.a + 1, t2.a + 1 FROM t JOIN t2 ON t.a = t2.a
SELECT a FROM t JOIN t2 ON t.a = t2.a
SELECT a FROM t JOIN t2 USING (a)
SELECT * FROM t JOIN t2 ON t.a = t2.a
SELECT * FROM t JOIN t2 USING (a)
SELECT t.*, t2.* FROM t JOIN t2 USING (a)
SELECT t.a, t2.a FROM t RIGHT JOIN t2 USING (a)
SELECT a FROM t RIGHT JOIN t2 USING (a)
SELECT a, t.a, t2.a FROM t FULL JOIN t2 USING (a)
SELECT t.b FROM t AS q
SELECT q.b, default.t.a FROM t AS q
SELECT default.t.a FROM t
SELECT tup.x, tup.1, m.keys, arr.size0, c.null FROM t
SELECT tup.* FROM t
SELECT toTypeName((SELECT 1)), toTypeName((SELECT number FROM numbers(1))), toTypeName((SELECT [1])), toTypeName((SELECT 1, 2)), toTypeName((SELECT number FROM numbers(0)))
SELECT (SELECT 1), (SELECT 2) + 1
SELECT (SELECT number FROM numbers(2))
SELECT number IN (number, 2) FROM numbers(3)
SELECT a IN t2 FROM t
SELECT a IN (SELECT a FROM t2), a IN (SELECT a, e FROM t2) FROM t
SELECT (a, b) IN ((1, 'x')), (a, b) IN (1, 'x') FROM t
SELECT a IN (1, 300, -1, 'x') FROM t
SELECT a IN (1, 300, -1, '2'), a IN [1,2], a IN 1, a IN (NULL) FROM t
SELECT c IN (5, NULL), b IN ('x', 'z'), d IN ('2025-01-01') FROM t
SELECT 1 AS x UNION ALL SELECT -1 AS y
SELECT 1, 2 UNION ALL SELECT 1
SELECT 1 UNION SELECT 1
SELECT DISTINCT b FROM t ORDER BY a DESC
SELECT 1 AS x, 2 AS x
SELECT x FROM (SELECT 1 AS x, 2 AS x)
SELECT * FROM (SELECT 1 AS x, 2 AS x)
SELECT a FROM t ORDER BY 2
SELECT a FROM t GROUP BY 1 ORDER BY 1
SELECT a FROM t WHERE b
SELECT a FROM t WHERE 'abc'
SELECT a FROM t LIMIT 'a'
SELECT COLUMNS('a|b') FROM t
SELECT COLUMNS('^a$') + 1 FROM t
SELECT * EXCEPT (arr, m, tup) REPLACE (a + 1 AS a) FROM t
SELECT * EXCEPT (arr, m, tup) APPLY toString FROM t
SELECT COLUMNS(a, c) APPLY(x -> x + 1) FROM t
SELECT COLUMNS(a, c) APPLY(sum) FROM t
SELECT COLUMNS(a, c) APPLY(quantile(0.5)) FROM t
SELECT * EXCEPT STRICT (zz) FROM t
SELECT * REPLACE (1 AS zz) FROM t
WITH 1 AS x SELECT * FROM (SELECT x)
WITH x AS (SELECT 1 AS y) SELECT * FROM x
WITH (SELECT 5) AS five SELECT five + a FROM t
WITH a + 1 AS z SELECT z FROM t
SELECT count(DISTINCT a), count(DISTINCT a, b), sum(DISTINCT a), count(*), COUNT(a), Count(1) FROM t
SELECT sum(a) FILTER (WHERE b = 'x') FROM t
SELECT a, sum(a) OVER (PARTITION BY b ORDER BY a) FROM t
SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY a ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
SELECT arrayJoin(arr), arrayJoin(arr) + 1 FROM t
SELECT arrayJoin(arr), arrayJoin([7,8]) FROM t
SELECT a, arr FROM t ARRAY JOIN arr
SELECT a, arr, x FROM t ARRAY JOIN arr AS x
SELECT a FROM t ARRAY JOIN [1,2] AS z, arrayEnumerate([1,2]) AS i
