# joins of every kind
SELECT t.a, t.b, t2.e FROM t JOIN t2 ON t.b = t2.b ORDER BY t.a
SELECT t.a, t2.e FROM t LEFT JOIN t2 ON t.b = t2.b ORDER BY t.a
SELECT t.a, t2.e FROM t RIGHT JOIN t2 ON t.b = t2.b ORDER BY t.a, t2.e
SELECT t.a, t2.e FROM t FULL JOIN t2 ON t.b = t2.b ORDER BY t.a, t2.e
SELECT t.a, t2.e FROM t CROSS JOIN t2 ORDER BY t.a, t2.e
SELECT t.a, t2.e FROM t, t2 WHERE t.b = t2.b ORDER BY t.a
SELECT t.a, t2.e FROM t, t2 WHERE t.b = t2.b AND t.a > 1 AND t2.a < 5 ORDER BY t.a
SELECT t.a, t2.e FROM t LEFT JOIN t2 ON t.b = t2.b ORDER BY t.a SETTINGS join_use_nulls = 1
SELECT t.a, t2.e FROM t RIGHT JOIN t2 ON t.b = t2.b ORDER BY t.a, t2.e SETTINGS join_use_nulls = 1
SELECT t.a, t2.a, e FROM t FULL JOIN t2 ON t.a = t2.a ORDER BY t.a, t2.a SETTINGS join_use_nulls = 1
SELECT a, e FROM t FULL JOIN t2 USING (a) ORDER BY a
SELECT a, e FROM t FULL JOIN t2 USING (a) ORDER BY a SETTINGS join_use_nulls = 1
SELECT a, b, e FROM t LEFT JOIN t2 USING (a, b) ORDER BY a
SELECT t.a, e FROM t ANY LEFT JOIN t2 ON t.b = t2.b ORDER BY t.a
SELECT t2.e, count() FROM t2 LEFT JOIN t ON t.b = t2.b GROUP BY t2.e ORDER BY t2.e
SELECT t.a FROM t SEMI LEFT JOIN t2 ON t.b = t2.b ORDER BY t.a
SELECT t.a FROM t LEFT ANTI JOIN t2 ON t.b = t2.b ORDER BY t.a
SELECT t2.e FROM t RIGHT SEMI JOIN t2 ON t.b = t2.b ORDER BY t2.e
SELECT t2.e FROM t RIGHT ANTI JOIN t2 ON t.b = t2.b ORDER BY t2.e
SELECT l.a, r.a FROM t AS l JOIN t AS r ON l.b = r.b AND l.a < r.a ORDER BY l.a, r.a
SELECT l.a, r.a FROM t AS l LEFT JOIN t AS r ON l.b = r.b AND l.a < r.a ORDER BY l.a, r.a
SELECT l.a, r.a FROM t AS l LEFT JOIN t AS r ON l.a = r.a AND l.a > 1 ORDER BY l.a
SELECT l.a, r.a FROM t AS l LEFT JOIN t AS r ON l.a = r.a AND r.a > 1 ORDER BY l.a
SELECT l.a, r.a FROM t AS l INNER JOIN t AS r ON l.a = r.a AND r.a > 1 AND l.b = 'x' ORDER BY l.a
SELECT l.a, r.a FROM t AS l RIGHT JOIN t AS r ON l.a = r.a AND l.a > 1 ORDER BY r.a
SELECT l.a, r.a FROM t AS l FULL JOIN t AS r ON l.a = r.a AND l.a > 1 ORDER BY l.a, r.a
SELECT l.a, r.a, q.a FROM t l JOIN t r ON l.a = r.a JOIN t q ON r.a = q.a ORDER BY l.a
SELECT l.a, r.e, z FROM t l LEFT JOIN t2 r ON l.b = r.b LEFT JOIN t3 ON t3.a = l.a ORDER BY l.a
SELECT count() FROM hits h1 JOIN hits h2 ON h1.id = h2.id
SELECT h1.g, count() FROM hits h1 JOIN hits h2 ON h1.g = h2.g GROUP BY h1.g ORDER BY h1.g
SELECT count() FROM hits h1 JOIN hits h2 ON h1.user = h2.user WHERE h1.id < 5 AND h2.id < 10
SELECT x.a, y.c FROM (SELECT a FROM t) x JOIN (SELECT a, count() AS c FROM t GROUP BY a) y ON x.a = y.a ORDER BY x.a
SELECT * FROM (SELECT a FROM t) x JOIN (SELECT a, b FROM t) y USING a ORDER BY a
SELECT x.a + y.a FROM t x JOIN t y ON x.a + 1 = y.a ORDER BY 1
SELECT t.a FROM t JOIN t2 ON t.a = t2.a AND t.b = t2.b
SELECT n, t.a FROM nulls JOIN t ON nulls.n = t.a ORDER BY n
SELECT n, t.a FROM nulls LEFT JOIN t ON nulls.n = t.a ORDER BY n, t.a
SELECT l.n, r.n FROM nulls l JOIN nulls r ON l.n = r.n ORDER BY l.n
SELECT l.k, r.v FROM lc l JOIN lc r ON l.k = r.k AND l.v = r.v ORDER BY r.v LIMIT 4
SELECT a, e FROM t JOIN t2 USING a
SELECT t2.* FROM t JOIN t2 USING a
SELECT t.a AS x, t2.a AS y FROM t JOIN t2 ON x = y
SELECT a, b FROM t JOIN t2 USING (zzz)
SELECT count() FROM numbers(10) AS a, numbers(10) AS b WHERE a.number = b.number
SELECT count() FROM numbers(10) AS a, numbers(10) AS b WHERE a.number < b.number
SELECT count() FROM numbers(10) a JOIN numbers(10) b ON a.number = b.number OR a.number = b.number + 1
SELECT count() FROM numbers(10) a JOIN numbers(5) b ON a.number % 5 = b.number % 5 AND a.number != b.number
SELECT a.number, b.number FROM numbers(3) a LEFT JOIN numbers(2) b ON a.number = b.number ORDER BY 1
SELECT a.number, b.number FROM numbers(3) a INNER JOIN numbers(1, 3) b ON a.number = b.number WHERE b.number > 1
SELECT sum(a.number * b.number) FROM numbers(4) a CROSS JOIN numbers(4) b
SELECT h.id, q.x FROM hits h ASOF JOIN (SELECT toUInt16(1) AS g, toUInt64(50) AS x) q ON h.g = q.g AND h.id >= q.x ORDER BY h.id LIMIT 3
SELECT h.id, q.x FROM hits h ASOF LEFT JOIN (SELECT toUInt16(1) AS g, toUInt64(50) AS x) q ON h.g = q.g AND h.id >= q.x WHERE h.g = 1 ORDER BY h.id LIMIT 10
SELECT * FROM (SELECT 1 AS a, 2 AS b) x PASTE JOIN (SELECT 3 AS c) y
SELECT t.a FROM t GLOBAL JOIN t2 ON t.a = t2.a
SELECT t.a, t2.e FROM t ALL INNER JOIN t2 ON t.b = t2.b ORDER BY t.a, t2.e
SELECT t.a, x FROM t JOIN t2 ON t.b = t2.b ARRAY JOIN arr AS x ORDER BY t.a, x
SELECT count() FROM t JOIN t2 ON t.b = t2.b WHERE t2.e = 'e1'
SELECT count() FROM t LEFT JOIN t2 ON t.b = t2.b WHERE t2.e = ''
SELECT count() FROM t LEFT JOIN t2 ON t.b = t2.b WHERE t2.e != ''
SELECT t.a FROM t LEFT JOIN t2 ON t.b = t2.b WHERE t.a > 1 ORDER BY t.a
SELECT max(t.a), t2.b FROM t JOIN t2 ON t.b = t2.b GROUP BY t2.b
SELECT b, sum(t.a) FROM t JOIN t2 USING b GROUP BY b
SELECT x.a AS a, y.a AS b FROM t x LEFT JOIN t y ON x.a = y.a + 1 ORDER BY a
SELECT * FROM t3 JOIN t2 ON t3.a = t2.a
SELECT t3.*, t2.e FROM t3 JOIN t2 ON t3.a = t2.a
SELECT COLUMNS('a|z') FROM t3 JOIN t2 ON t3.a = t2.a
SELECT * EXCEPT (e) FROM t3 JOIN t2 ON t3.a = t2.a
SELECT toTypeName(t2.a) FROM t LEFT JOIN t2 ON t.a = t2.a LIMIT 1 SETTINGS join_use_nulls = 1
SELECT l.a FROM t l WHERE l.a IN (SELECT r.a FROM t2 r)
SELECT l.a FROM t l JOIN (SELECT r.a AS k FROM t2 r) q ON l.a = q.k
SELECT a FROM t WHERE a = 1 AND a IN (SELECT a FROM t WHERE b = 'x') ORDER BY a
SELECT l.id, r.id FROM hits l JOIN hits r ON l.id = r.id + 1 WHERE l.g = 1 ORDER BY l.id LIMIT 3
