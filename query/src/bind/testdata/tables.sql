# name: SELECT that fills it in the reference; generate.py writes the rows to name.rows for our side.
t: SELECT toUInt32(a) AS a, b, c, d, arr, m, tup FROM (SELECT 1 AS a, 'x' AS b, CAST(NULL, 'Nullable(Int64)') AS c, toDate('2025-01-01') AS d, [1, 2]::Array(UInt8) AS arr, map('k', 1::UInt64) AS m, CAST((1, 'q'), 'Tuple(x Int8, y String)') AS tup UNION ALL SELECT 2, 'y', 5, toDate('2025-01-02'), [3], map('k', 2), CAST((2, 'r'), 'Tuple(x Int8, y String)') UNION ALL SELECT 3, 'x', 7, toDate('2025-01-03'), [], map('j', 3), CAST((3, 's'), 'Tuple(x Int8, y String)')) ORDER BY a
t2: SELECT e, b, toInt64(a) AS a FROM (SELECT 'e1' AS e, 'x' AS b, 1 AS a UNION ALL SELECT 'e2', 'q', 9) ORDER BY e
t3: SELECT toUInt8(1) AS a, toUInt8(1) AS z
n: SELECT toUInt8(1) AS k, CAST([1, 2], 'Array(UInt8)') AS `n.x`, ['a', 'b'] AS `n.y`
hits: SELECT number AS id, toDateTime('2025-01-01 00:00:00', 'UTC') + number * 3601 AS ts, toUInt16(number % 7) AS g, concat('u', toString(number % 5)) AS user, toFloat64(number) / 4 AS v, toInt32(number) - 50 AS s FROM numbers(100)
empty: SELECT toUInt32(number) AS a, toString(number) AS b, toFloat64(number) AS f FROM numbers(0)
nulls: SELECT CAST(if(number % 3 = 0, NULL, number), 'Nullable(UInt32)') AS n, number % 2 AS p FROM numbers(9)
lc: SELECT toLowCardinality(concat('k', toString(number % 3))) AS k, CAST(if(number % 4 = 0, NULL, toString(number)), 'LowCardinality(Nullable(String))') AS o, number AS v FROM numbers(12)
