# GROUP BY, HAVING, totals, rollup, aggregates in expressions
SELECT g, count() FROM hits GROUP BY g ORDER BY g
SELECT g AS k, count() AS c, sum(v) / count() AS avg_v FROM hits GROUP BY k HAVING c > 14 ORDER BY k
SELECT user, max(ts), min(ts) FROM hits GROUP BY user ORDER BY user
SELECT toHour(ts) AS h, count() FROM hits GROUP BY h ORDER BY h LIMIT 5
SELECT toDate(ts) AS d, g % 2 AS odd, sum(s) FROM hits GROUP BY d, odd ORDER BY d, odd
SELECT g, user, count() FROM hits GROUP BY g, user ORDER BY g, user LIMIT 7
SELECT count(), sum(id), min(id), max(id), avg(id) FROM hits
SELECT count(), sum(a), min(a), max(b), avg(f), any(b) FROM empty
SELECT a, count() FROM empty GROUP BY a
SELECT count() FROM empty WHERE a > 5
SELECT sum(id) + 1, -sum(id), sum(id) * sum(s), toString(count()) FROM hits
SELECT sum(id + 1), sum(id), sum(id + 2) FROM hits
SELECT sum(g + 1), sum(g + 2), sum(g - 3), sum(g), count() FROM hits
SELECT sum(s + 1), sum(s - 1), sum(1 + s) FROM hits
SELECT g, sum(s + 1), sum(s + 2) FROM hits GROUP BY g ORDER BY g
SELECT g, g + 1, g - 1, count() FROM hits GROUP BY g, g + 1, g - 1 ORDER BY g
SELECT 1, g, count() FROM hits GROUP BY 1, g ORDER BY g
SELECT 'c' AS c, count() FROM hits GROUP BY c
SELECT g, count() FROM hits WHERE id < 50 GROUP BY g WITH TOTALS ORDER BY g
SELECT g, count() FROM hits GROUP BY g WITH TOTALS HAVING g > 4 ORDER BY g
SELECT g, sum(v) FROM hits GROUP BY g WITH ROLLUP ORDER BY g
SELECT g % 2 AS p, user, count() FROM hits GROUP BY p, user WITH ROLLUP ORDER BY p, user
SELECT g % 2 AS p, user, count() FROM hits GROUP BY p, user WITH CUBE ORDER BY p, user
SELECT g % 2 AS p, user, count() FROM hits GROUP BY GROUPING SETS ((p, user), (p)) ORDER BY p, user
SELECT g % 2 AS p, user, count() FROM hits GROUP BY GROUPING SETS ((p), (user), ()) ORDER BY p, user
SELECT g % 2 AS p, grouping(p), count() FROM hits GROUP BY p ORDER BY p
SELECT g % 2 AS p, grouping(p) AS gp, count() FROM hits GROUP BY ROLLUP(p) ORDER BY gp, p
SELECT g, count() FROM hits GROUP BY ALL ORDER BY g
SELECT g + 1, user, count() + g FROM hits GROUP BY ALL ORDER BY ALL
SELECT DISTINCT g FROM hits ORDER BY g
SELECT DISTINCT g % 3 AS m, user FROM hits WHERE id < 10 ORDER BY m, user
SELECT count(DISTINCT g), uniqExact(g), count(DISTINCT g, user) FROM hits
SELECT sum(DISTINCT g) FROM hits
SELECT countIf(g = 1), sumIf(id, g = 1), avgIf(v, g > 3), minIf(id, g = 6), maxIf(id, g = 0) FROM hits
SELECT count() FILTER (WHERE g = 1), sum(id) FILTER (WHERE user = 'u1') FROM hits
SELECT sum(n), count(n), count(), avg(n), min(n), max(n) FROM nulls
SELECT n, count() FROM nulls GROUP BY n ORDER BY n
SELECT p, sum(n), count(n) FROM nulls GROUP BY p ORDER BY p
SELECT sum(n) FROM nulls WHERE n IS NULL
SELECT k, count(), sum(v) FROM lc GROUP BY k ORDER BY k
SELECT o, count() FROM lc GROUP BY o ORDER BY o
SELECT k, o FROM lc WHERE k = 'k1' ORDER BY v
SELECT argMax(user, id), argMin(user, id) FROM hits
SELECT any(g), anyLast(g) FROM hits WHERE g = 3
SELECT groupArray(g) FROM hits WHERE id < 5
SELECT groupUniqArray(g) FROM hits WHERE g = 2
SELECT g, max(id) - min(id) AS spread FROM hits GROUP BY g HAVING spread > 90 ORDER BY g
SELECT g FROM hits GROUP BY g HAVING max(id) > 97 ORDER BY g
SELECT sum(g) AS g FROM hits
SELECT max(id) AS id, id FROM hits
SELECT g, sum(id) AS s FROM hits GROUP BY g ORDER BY s DESC, g LIMIT 3
SELECT g, sum(id) AS total FROM hits GROUP BY g ORDER BY sum(id) DESC LIMIT 2
SELECT g, user FROM hits GROUP BY g, user ORDER BY count() DESC, g, user LIMIT 3
SELECT user, countIf(g = 0) AS z, countIf(g != 0) AS nz, z / (z + nz) AS share FROM hits GROUP BY user ORDER BY user
SELECT if(g > 3, 'hi', 'lo') AS bucket, count() FROM hits GROUP BY bucket ORDER BY bucket
SELECT g, count() AS c, c * 2 AS d FROM hits GROUP BY g ORDER BY d DESC, g LIMIT 2
SELECT avg(c) FROM (SELECT user, count() AS c FROM hits GROUP BY user)
SELECT max(m) FROM (SELECT max(id) AS m FROM hits GROUP BY g)
SELECT g, h FROM (SELECT g, max(id) AS h FROM hits GROUP BY g) WHERE g > 4 ORDER BY g
SELECT g FROM (SELECT g, count() AS c FROM hits GROUP BY g) WHERE c > 14 ORDER BY g
SELECT count() FROM (SELECT DISTINCT g, user FROM hits)
SELECT count() FROM (SELECT g FROM hits GROUP BY g)
SELECT count() FROM hits WHERE g = 1 OR g = 2
SELECT count() FROM hits WHERE NOT (g = 1)
SELECT sum(id) FROM hits WHERE ts >= '2025-01-02' AND ts < '2025-01-03'
SELECT count() FROM hits WHERE toDate(ts) = '2025-01-02'
SELECT count() FROM hits WHERE toDate(ts) BETWEEN '2025-01-02' AND '2025-01-03'
SELECT count() FROM hits WHERE user IN ('u1', 'u3') AND g IN (1, 2, 900)
SELECT count() FROM hits WHERE (g, user) IN ((1, 'u1'), (2, 'u2'))
SELECT count() FROM hits WHERE id IN (SELECT id FROM hits WHERE g = 5)
SELECT count() FROM hits WHERE id NOT IN (SELECT id FROM hits WHERE g = 5)
SELECT count() FROM hits WHERE v > (SELECT avg(v) FROM hits)
SELECT g, count() * 100 / (SELECT count() FROM hits) AS pct FROM hits GROUP BY g ORDER BY g LIMIT 2
SELECT user, count() FROM hits WHERE ts > toDateTime('2025-01-03 00:00:00') GROUP BY user HAVING count() >= 10 ORDER BY user
SELECT toStartOfDay(ts) AS day, uniqExact(user) FROM hits GROUP BY day ORDER BY day
SELECT toStartOfHour(ts) AS hour, count() FROM hits GROUP BY hour ORDER BY hour LIMIT 3
SELECT count() FROM hits GROUP BY g ORDER BY g LIMIT 2
SELECT 1 FROM hits GROUP BY g LIMIT 3
SELECT g FROM hits GROUP BY g, user HAVING user = 'u1' ORDER BY g
SELECT user FROM hits GROUP BY user HAVING user LIKE 'u%' AND count() > 1 ORDER BY user DESC
SELECT sum(v) OVER () FROM hits WHERE id < 2
SELECT g FROM hits HAVING g = 1 ORDER BY id LIMIT 2
SELECT count(1), count(NULL), count(n) FROM nulls
SELECT sum(1), sum(2) FROM hits
SELECT count() + sum(1) FROM hits
SELECT sumMap(map('a', 1)) FROM hits
SELECT toTypeName(sum(g)), toTypeName(sum(s)), toTypeName(sum(v)), toTypeName(avg(g)), toTypeName(max(ts)), toTypeName(any(user)) FROM hits
SELECT toTypeName(count()), toTypeName(uniqExact(g)), toTypeName(sum(n)), toTypeName(min(n)) FROM hits, nulls
SELECT quantile(0.5)(id), median(id), quantiles(0.1, 0.9)(id) FROM hits
SELECT stddevPop(id), varSamp(id) FROM hits
SELECT corr(id, v) FROM hits
SELECT topK(2)(user) FROM hits WHERE user IN ('u1', 'u2')
SELECT g, groupArray(id) AS ids, length(ids) FROM hits WHERE id < 20 GROUP BY g ORDER BY g
SELECT finalizeAggregation(sumState(g)) FROM hits
SELECT sumMerge(st) FROM (SELECT sumState(id) AS st FROM hits GROUP BY g)
SELECT minMap(map(g, id)) FROM hits WHERE id < 8
