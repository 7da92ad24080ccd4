SELECT * FROM t JOIN t2 USING (b)
SELECT toTypeName(a), toTypeName(t.a), toTypeName(t2.a) FROM t JOIN t2 USING (a)
SELECT * FROM t LEFT JOIN t2 USING (b, a) ORDER BY ALL
SELECT * FROM t JOIN t2 ON t.a = t2.a JOIN t3 ON t.a = t3.a
SELECT a FROM t JOIN t2 ON t.a = t2.a JOIN t3 ON t.a = t3.a
SELECT * FROM t AS l JOIN t AS r ON l.a = r.a
SELECT * FROM (SELECT 1 AS a) AS x, (SELECT 1 AS a, 2 AS b) AS y
SELECT * FROM t LEFT JOIN t2 ON t.a = t2.a AND t2.e = 'e1' AND t.b = 'x' ORDER BY t.a
SELECT b, count() FROM t GROUP BY b WITH TOTALS
SELECT b, a, count() FROM t GROUP BY b, a WITH ROLLUP ORDER BY b, a
SELECT b, a, count() FROM t GROUP BY CUBE(b, a) ORDER BY b, a
SELECT b, a, count() , grouping(a), grouping(a,b) FROM t GROUP BY GROUPING SETS ((b), (a), ()) ORDER BY b, a
SELECT b, count() FROM t GROUP BY ALL
SELECT b, a + count(), a FROM t GROUP BY ALL
SELECT a, b FROM t ORDER BY ALL DESC
SELECT DISTINCT ON (b) a, b FROM t ORDER BY a
SELECT a, b FROM t ORDER BY a LIMIT 1 BY b
SELECT a, b FROM t ORDER BY a LIMIT 1 OFFSET 1 BY b
SELECT b FROM t ORDER BY b LIMIT 1 WITH TIES
SELECT a FROM t HAVING a > 1
SELECT count() FROM t HAVING count() > 10
SELECT a FROM t HAVING count() > 0
SELECT 1 FROM t HAVING count() > 0
SELECT a, row_number() OVER (ORDER BY a) AS rn FROM t QUALIFY rn = 2
SELECT sum(a) OVER (), sum(sum(a)) OVER () FROM t GROUP BY b
SELECT a FROM t WHERE row_number() OVER () = 1
SELECT arrayMap(x -> x + a, [1,2]) FROM t
SELECT arrayMap((x, y) -> x + y, [1,2], [3,4]), arrayFilter(x -> x > 1, [1,2])
SELECT arrayMap(x -> y, [1])
SELECT {p:UInt8}
SELECT a FROM {tt:Identifier}
SELECT 1 AS a, a + 1 AS b, b * 2
SELECT (1 AS q) + 1, q
SELECT a AS b, b AS c FROM t
SELECT if(a > 1, a, -1), toTypeName(if(a > 1, a, -1)) FROM t
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM t2 WHERE t2.a = t.a)
SELECT (SELECT max(a) FROM t2 WHERE t2.b = t.b) FROM t
SELECT 1 INTERSECT SELECT 1
SELECT 1 EXCEPT SELECT 2
SELECT a FROM t UNION ALL SELECT a FROM t LIMIT 1
SELECT a + 1 AS x, x + 1 FROM t GROUP BY x
SELECT a + 2 FROM t GROUP BY a + 1
SELECT 1 FROM t GROUP BY 1
SELECT 'k', count() FROM t GROUP BY 'k'
SELECT count() FROM t GROUP BY sum(a)
SELECT a FROM t GROUP BY 5
SELECT a FROM t ORDER BY -1
SELECT quantile(0.5)(a), quantiles(0.5, 0.9)(a) FROM t
SELECT sumIf(a, b = 'x'), countIf(b = 'x') FROM t
SELECT nosuchagg(a) OVER () FROM t
SELECT plus(1)
SELECT plus(1, 'a')
SELECT a.b.c FROM t
SELECT x.a FROM t
SELECT t.nope FROM t
SELECT nope.* FROM t
SELECT COLUMNS('zzz') FROM t
SELECT lower(A) FROM t
SELECT numbr FROM numbers(1)
SELECT * FROM numbrs(1)
SELECT * FROM view(SELECT 1 AS a)
SELECT number FROM numbers(2 + 1)
SELECT untuple((1, 'a'))
SELECT untuple((1, 'a')) AS x
SELECT a, b FROM t ORDER BY a WITH FILL FROM 0 TO 6 STEP 2
SELECT top 1 a FROM t
SELECT a FROM t WHERE a BETWEEN 1 AND 2 AND b LIKE 'x%'
SELECT a FROM t PREWHERE a > 1 WHERE b = 'x'
SELECT CAST(a AS String), a::Int8, cast(a, 'Int8') FROM t
SELECT NULL, toTypeName(NULL), [NULL, 1], toTypeName([NULL, 1]), toTypeName((1, NULL))
SELECT sum(a) AS s, s / count() AS av FROM t
SELECT a FROM t FINAL
SELECT a FROM t SAMPLE 0.1
SELECT any(b) IGNORE NULLS, any(c) RESPECT NULLS, first_value(c) RESPECT NULLS FROM t
SELECT [a, 1] AS x, x[1], (a, b) AS y, y.1 FROM t
SELECT * FROM t3 ASOF JOIN t2 ON t3.a = t2.a AND t3.z >= t2.a
SELECT * FROM t ANTI LEFT JOIN t2 ON t.a = t2.a
SELECT * FROM t SEMI LEFT JOIN t2 ON t.a = t2.a
SELECT * FROM t RIGHT ANTI JOIN t2 ON t.a = t2.a
SELECT t.a FROM t JOIN t2 ON t.a = t2.a WHERE t2.b = 'x' AND t.b = 'x'
SELECT number AS n, n % 2 AS p, count() OVER (PARTITION BY p) FROM numbers(4) ORDER BY n
SELECT number FROM numbers(3) WHERE number IN (SELECT 1 UNION ALL SELECT 2)
SELECT sum(number) FROM numbers(3) LIMIT 0
SELECT max(number) OVER (ORDER BY number ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM numbers(3)
SELECT a FROM t GROUP BY a HAVING sum(a) > 1 AND b = 'x'
