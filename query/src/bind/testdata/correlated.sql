# subqueries that read columns of the query around them
SELECT a, (SELECT sum(a) + 1 FROM t2 WHERE t2.b = t.b) AS s FROM t ORDER BY a
SELECT a, (SELECT count() FROM t2 WHERE t2.a = t.a) FROM t ORDER BY a
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM t2 WHERE t2.a = t.a AND t2.e = 'e1') ORDER BY a
SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM t2 WHERE t2.a = t.a) ORDER BY a
SELECT a FROM t WHERE a > (SELECT avg(t3.a) FROM t AS t3 WHERE t3.b = t.b) ORDER BY a
SELECT a, EXISTS (SELECT 1 FROM t2 WHERE t2.b = t.b) AS e FROM t ORDER BY a
SELECT b, count() FROM t WHERE EXISTS (SELECT * FROM t2 WHERE t2.b = t.b) GROUP BY b
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM t2 WHERE t2.a = t.a AND t2.b = t.b) ORDER BY a
SELECT a FROM t WHERE EXISTS (SELECT 1 FROM t2 WHERE t2.b = t.b AND t2.a < t.a) ORDER BY a
SELECT a, (SELECT e FROM t2 WHERE t2.b = t.b) AS m FROM t ORDER BY a
SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM t2 WHERE t2.a = t.c) ORDER BY a
SELECT h.id FROM hits h WHERE h.v = (SELECT max(q.v) FROM hits q WHERE q.g = h.g) ORDER BY h.id
SELECT g, count() FROM hits h WHERE h.id >= (SELECT avg(q.id) FROM hits q WHERE q.user = h.user) GROUP BY g ORDER BY g
SELECT count() FROM hits h WHERE EXISTS (SELECT 1 FROM hits q WHERE q.id = h.id + 1 AND q.g = 3)
SELECT count() FROM hits h WHERE NOT EXISTS (SELECT 1 FROM hits q WHERE q.g = h.g AND q.id > h.id)
