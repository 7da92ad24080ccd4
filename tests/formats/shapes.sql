-- Result shapes, one a line: every type, edge values, names, totals, extremes, empty and long results.
-- What is known to differ from ClickHouse stands in docs/differences.md and is left out here.
SELECT CAST(number - 1 AS Int8) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS UInt8) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS Int16) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS UInt16) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS Int32) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS UInt32) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS Int64) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS UInt64) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS Int128) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS UInt128) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS Int256) AS v, number AS n FROM numbers(4)
SELECT CAST(number - 1 AS UInt256) AS v, number AS n FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(Int8))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(UInt8))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(Int16))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(UInt16))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(Int32))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(UInt32))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(Int64))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(UInt64))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(Int128))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(UInt128))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(Int256))) AS v FROM numbers(4)
SELECT if(number % 2 = 0, NULL, CAST(number AS Nullable(UInt256))) AS v FROM numbers(4)
SELECT toFloat32(number / 3) AS f, toFloat64(number / 7) AS g, -1e300 * number AS h FROM numbers(5)
SELECT arrayJoin([nan, inf, -inf, 0.0, -0.0, 1e21, 1e-7, 123456789.123]) AS f
SELECT arrayJoin([toFloat32(1e10), toFloat32(0.1), toFloat32(1.17549435e-38)]) AS f
SELECT arrayJoin([NULL, 1.5, nan]) AS f
SELECT CAST(number * 1.25 - 2 AS Decimal(9, 2)) AS d FROM numbers(4)
SELECT CAST(number * 1.25 - 2 AS Decimal(9, 0)) AS d FROM numbers(4)
SELECT CAST(number * 1.25 - 2 AS Decimal(18, 4)) AS d FROM numbers(4)
SELECT CAST(number * 1.25 - 2 AS Decimal(38, 10)) AS d FROM numbers(4)
SELECT toDecimal64OrNull(arrayJoin(['1.5','x','-0.01']), 3) AS d
SELECT arrayJoin(['', 'a', 'a\tb', 'line\nbreak', 'quote"in', 'apo\'s', 'back\\slash', '\0nul', 'ünïcödé', '日本語', '😀 emoji', '<b>&amp;</b>', 'a,b;c', '|pipe|', '\x01\x02\x1f', ' lead and trail ']) AS s, length(s) AS n
SELECT unhex('FF') AS bad, unhex('C3') AS b2, unhex('E282') AS b3, 'x' AS ok
SELECT toFixedString('ab', 5) AS f, toFixedString('', 1) AS g
SELECT arrayJoin([NULL, 'a', '', 'NULL', '\\N']) AS s
SELECT toLowCardinality(arrayJoin(['a','b','a'])) AS l, CAST(arrayJoin([NULL,'x']) AS LowCardinality(Nullable(String))) AS m ORDER BY l, m
SELECT toDate('2024-02-29') + number AS d, toDate32('1925-01-01') + number AS e FROM numbers(3)
SELECT toDateTime('2024-02-29 12:34:56', 'UTC') + number AS d, toDateTime('2024-02-29 12:34:56', 'Asia/Tokyo') AS e FROM numbers(3)
SELECT toDateTime64('2024-02-29 12:34:56.789', 3, 'UTC') AS a, toDateTime64('1969-12-31 23:59:59.5', 6, 'UTC') AS b, toDateTime64('2024-02-29 12:34:56.789', 0, 'UTC') AS c, toDateTime64('2024-02-29 12:34:56.123456789', 9, 'Europe/Berlin') AS d
SELECT toDate(0) AS d, toDate(65535) AS e, toDateTime(0, 'UTC') AS f, toDateTime(4294967295, 'UTC') AS g
SELECT CAST(NULL AS Nullable(Date)) AS d, CAST(NULL AS Nullable(DateTime('UTC'))) AS e, CAST(NULL AS Nullable(DateTime64(3, 'UTC'))) AS f
SELECT toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u, CAST(NULL AS Nullable(UUID)) AS v, toIPv4('127.0.0.1') AS a, toIPv6('::1') AS b, toIPv6('2001:db8::ff00:42:8329') AS c, toIPv6('::ffff:1.2.3.4') AS d
SELECT CAST(arrayJoin(['a','b']) AS Enum8('a' = 1, 'b' = 2)) AS e, CAST('x y' AS Enum16('x y' = 1000)) AS f, CAST(NULL AS Nullable(Enum8('q' = 1))) AS g
SELECT true AS t, false AS f, CAST(NULL AS Nullable(Bool)) AS n, [true, false] AS a, map('k', true) AS m
SELECT NULL AS n
SELECT [] AS e
SELECT [NULL] AS e, [[]] AS f
SELECT map() AS m
SELECT tuple() AS t
SELECT INTERVAL 5 DAY AS i, INTERVAL -3 MONTH AS j, INTERVAL 1 SECOND AS k
SELECT [1, 1] AS a, number FROM numbers(2)
SELECT [toUInt8(1), toUInt8(1)] AS a, number FROM numbers(2)
SELECT [-5, -5] AS a, number FROM numbers(2)
SELECT [1.5, 1.5] AS a, number FROM numbers(2)
SELECT [nan, nan] AS a, number FROM numbers(2)
SELECT ['a', 'a'] AS a, number FROM numbers(2)
SELECT ['q"uo\'te\t\n', 'q"uo\'te\t\n'] AS a, number FROM numbers(2)
SELECT [NULL, NULL] AS a, number FROM numbers(2)
SELECT [toDate('2024-01-02'), toDate('2024-01-02')] AS a, number FROM numbers(2)
SELECT [toDateTime('2024-01-02 03:04:05','UTC'), toDateTime('2024-01-02 03:04:05','UTC')] AS a, number FROM numbers(2)
SELECT [toDateTime64('2024-01-02 03:04:05.678',3,'UTC'), toDateTime64('2024-01-02 03:04:05.678',3,'UTC')] AS a, number FROM numbers(2)
SELECT [toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')] AS a, number FROM numbers(2)
SELECT [toIPv4('1.2.3.4'), toIPv4('1.2.3.4')] AS a, number FROM numbers(2)
SELECT [toDecimal64(1.50, 2), toDecimal64(1.50, 2)] AS a, number FROM numbers(2)
SELECT [toInt128(7), toInt128(7)] AS a, number FROM numbers(2)
SELECT [CAST('a','Enum8(\'a\'=1)'), CAST('a','Enum8(\'a\'=1)')] AS a, number FROM numbers(2)
SELECT [true, true] AS a, number FROM numbers(2)
SELECT [toFixedString('ab',3), toFixedString('ab',3)] AS a, number FROM numbers(2)
SELECT [(1,'x'), (1,'x')] AS a, number FROM numbers(2)
SELECT [map('a',1), map('a',1)] AS a, number FROM numbers(2)
SELECT [[1,2], [1,2]] AS a, number FROM numbers(2)
SELECT [unhex('FFFE'), unhex('FFFE')] AS a, number FROM numbers(2)
SELECT (1, 1, 'z') AS t, number FROM numbers(2)
SELECT (toUInt8(1), toUInt8(1), 'z') AS t, number FROM numbers(2)
SELECT (-5, -5, 'z') AS t, number FROM numbers(2)
SELECT (1.5, 1.5, 'z') AS t, number FROM numbers(2)
SELECT (nan, nan, 'z') AS t, number FROM numbers(2)
SELECT ('a', 'a', 'z') AS t, number FROM numbers(2)
SELECT ('q"uo\'te\t\n', 'q"uo\'te\t\n', 'z') AS t, number FROM numbers(2)
SELECT (NULL, NULL, 'z') AS t, number FROM numbers(2)
SELECT (toDate('2024-01-02'), toDate('2024-01-02'), 'z') AS t, number FROM numbers(2)
SELECT (toDateTime('2024-01-02 03:04:05','UTC'), toDateTime('2024-01-02 03:04:05','UTC'), 'z') AS t, number FROM numbers(2)
SELECT (toDateTime64('2024-01-02 03:04:05.678',3,'UTC'), toDateTime64('2024-01-02 03:04:05.678',3,'UTC'), 'z') AS t, number FROM numbers(2)
SELECT (toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), 'z') AS t, number FROM numbers(2)
SELECT (toIPv4('1.2.3.4'), toIPv4('1.2.3.4'), 'z') AS t, number FROM numbers(2)
SELECT (toDecimal64(1.50, 2), toDecimal64(1.50, 2), 'z') AS t, number FROM numbers(2)
SELECT (toInt128(7), toInt128(7), 'z') AS t, number FROM numbers(2)
SELECT (CAST('a','Enum8(\'a\'=1)'), CAST('a','Enum8(\'a\'=1)'), 'z') AS t, number FROM numbers(2)
SELECT (true, true, 'z') AS t, number FROM numbers(2)
SELECT (toFixedString('ab',3), toFixedString('ab',3), 'z') AS t, number FROM numbers(2)
SELECT ((1,'x'), (1,'x'), 'z') AS t, number FROM numbers(2)
SELECT (map('a',1), map('a',1), 'z') AS t, number FROM numbers(2)
SELECT ([1,2], [1,2], 'z') AS t, number FROM numbers(2)
SELECT (unhex('FFFE'), unhex('FFFE'), 'z') AS t, number FROM numbers(2)
SELECT map('k"1', 1, 'k2', 1) AS m, number FROM numbers(2)
SELECT map('k"1', toUInt8(1), 'k2', toUInt8(1)) AS m, number FROM numbers(2)
SELECT map('k"1', -5, 'k2', -5) AS m, number FROM numbers(2)
SELECT map('k"1', 1.5, 'k2', 1.5) AS m, number FROM numbers(2)
SELECT map('k"1', nan, 'k2', nan) AS m, number FROM numbers(2)
SELECT map('k"1', 'a', 'k2', 'a') AS m, number FROM numbers(2)
SELECT map('k"1', 'q"uo\'te\t\n', 'k2', 'q"uo\'te\t\n') AS m, number FROM numbers(2)
SELECT map('k"1', toDate('2024-01-02'), 'k2', toDate('2024-01-02')) AS m, number FROM numbers(2)
SELECT map('k"1', toDateTime('2024-01-02 03:04:05','UTC'), 'k2', toDateTime('2024-01-02 03:04:05','UTC')) AS m, number FROM numbers(2)
SELECT map('k"1', toDateTime64('2024-01-02 03:04:05.678',3,'UTC'), 'k2', toDateTime64('2024-01-02 03:04:05.678',3,'UTC')) AS m, number FROM numbers(2)
SELECT map('k"1', toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), 'k2', toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')) AS m, number FROM numbers(2)
SELECT map('k"1', toIPv4('1.2.3.4'), 'k2', toIPv4('1.2.3.4')) AS m, number FROM numbers(2)
SELECT map('k"1', toDecimal64(1.50, 2), 'k2', toDecimal64(1.50, 2)) AS m, number FROM numbers(2)
SELECT map('k"1', toInt128(7), 'k2', toInt128(7)) AS m, number FROM numbers(2)
SELECT map('k"1', CAST('a','Enum8(\'a\'=1)'), 'k2', CAST('a','Enum8(\'a\'=1)')) AS m, number FROM numbers(2)
SELECT map('k"1', true, 'k2', true) AS m, number FROM numbers(2)
SELECT map('k"1', toFixedString('ab',3), 'k2', toFixedString('ab',3)) AS m, number FROM numbers(2)
SELECT map('k"1', (1,'x'), 'k2', (1,'x')) AS m, number FROM numbers(2)
SELECT map('k"1', map('a',1), 'k2', map('a',1)) AS m, number FROM numbers(2)
SELECT map('k"1', [1,2], 'k2', [1,2]) AS m, number FROM numbers(2)
SELECT map('k"1', unhex('FFFE'), 'k2', unhex('FFFE')) AS m, number FROM numbers(2)
SELECT map(1, 1) AS m
SELECT map('a', 1) AS m
SELECT map(toDate('2024-01-02'), 1) AS m
SELECT map(toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), 1) AS m
SELECT map(toIPv4('1.2.3.4'), 1) AS m
SELECT map(toInt64(-3), 1) AS m
SELECT map(toUInt128(5), 1) AS m
SELECT [[1,2],[],[3]] AS a, [['a'],['b\'c']] AS b, [[(1,'a')],[]] AS c
SELECT [map('a',[1,2]), map()] AS a, map('x', map('y', [1])) AS b
SELECT CAST((1, 'x') AS Tuple(a UInt8, b String)) AS t, [CAST((1, 'x') AS Tuple(a UInt8, b String))] AS u
SELECT CAST((1, (2, 'q')) AS Tuple(a UInt8, b Tuple(c UInt8, d String))) AS t
SELECT CAST((1, NULL) AS Tuple(`a b` UInt8, `c"d` Nullable(String))) AS `we"ird`, 1 AS `sp ace`, 2 AS `tab\there`, 3 AS `<x>&`, 4 AS `日本`
SELECT (1, NULL, 'x') AS t, tuple(1) AS one, (1, (2, (3, [4]))) AS deep
SELECT number AS a, toString(number) AS b, [number] AS c, number % 2 = 0 AS d FROM numbers(0)
SELECT 'a' AS s FROM numbers(0)
SELECT number, repeat('x', number * 7) AS s FROM numbers(12)
SELECT number * 1000000007 AS big, -number AS neg, number / 2 AS half FROM numbers(30)
SELECT repeat('ab', 60) AS long, 1 AS x
SELECT repeat('日', 30) AS wide, 'x' AS y
SELECT arrayMap(x -> x, range(number)) AS r FROM numbers(5)
SELECT number, if(number % 3 = 0, NULL, number) AS n, if(number % 2 = 0, NULL, toString(number)) AS s, [if(number = 1, NULL, number)] AS a FROM numbers(5)
SELECT number % 3 AS k, count() AS c, sum(number) AS s FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k
SELECT toString(number % 3) AS k, avg(number) AS c FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k
SELECT number AS n, toString(number) AS s FROM numbers(5) ORDER BY n SETTINGS extremes = 1
SELECT number % 3 AS k, max(toDate('2024-01-01') + number) AS c, min(toString(number)) AS s FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k SETTINGS extremes = 1
SELECT number AS n FROM numbers(100) WHERE n % 2 = 0 ORDER BY n LIMIT 5
SELECT number AS n FROM numbers(20) ORDER BY n DESC LIMIT 3, 4
SELECT 1 AS a, 2 AS a2, 'x' AS `a.b`, 4 AS `a.c`
SELECT 1, 'a', 1 + 1, [1], (1, 'a'), NULL, map('a', 1), toDate('2024-01-01'), -1, 1.5
SELECT count(), sum(number), avg(number), max(number), any(number) FROM numbers(10)
SELECT quantiles(0.5, 0.9)(number) AS q, groupArray(number) AS g, uniq(number) AS u FROM numbers(10)
SELECT '{"a":1}' AS js, '[1,2]' AS arr, '1' AS num, 'true' AS b, 'null' AS n
SELECT 'http://example.com/a?b=c&d=e' AS url, 'C:\\path' AS p, 'a=b' AS eq
SELECT 18446744073709551615 AS u, -9223372036854775808 AS i, 9007199254740993 AS j, toUInt64(1) AS k, toInt64(-1) AS l
SELECT 1e15 AS a, 1e16 AS b, 1e17 AS c, 123456.789e3 AS d, 1e-5 AS e, 1e-6 AS f, 0.1 + 0.2 AS g
SELECT toFloat64(number) * 1e20 AS f FROM numbers(3)
SELECT toDateTime('2024-01-01 00:00:00', 'America/New_York') AS t, [t] AS a, (t, 1) AS b
SELECT number, number AS n2 FROM numbers(11000) ORDER BY number LIMIT 10500, 3
SELECT toUInt8(200) AS a, toInt16(-200) AS b, toUInt32(4000000000) AS c, toInt8(-128) AS d, toUInt16(65535) AS e
SELECT arrayJoin([toDecimal32(0, 2), toDecimal32(-1.5, 2), toDecimal32(100, 2)]) AS d, [d] AS e
SELECT 'multi\nline' AS a, 'x' AS b UNION ALL SELECT 'single', 'two\nlines' ORDER BY a
SELECT '' AS a, '' AS b
SELECT ' ' AS a, '\r\n' AS c, '\b\f\v\a\e' AS d
SELECT 'e\u0301' AS combining, '👩‍👩‍👧' AS family, '\u200b' AS zero, 'ａ' AS wide
SELECT groupArray((number, toString(number))) AS t FROM numbers(3)
SELECT arrayZip([1,2],['a','b']) AS z, mapFromArrays(['x','y'],[1,2]) AS m
SELECT CAST([1, NULL] AS Array(Nullable(UInt8))) AS a, CAST([NULL, 'x'] AS Array(Nullable(String))) AS b, CAST([NULL, 1.5] AS Array(Nullable(Float64))) AS c
SELECT number AS n, [number, NULL] AS a, (number, NULL) AS t FROM numbers(3)
SELECT map('a', NULL, 'b', 1) AS m, map('x', [NULL, 1]) AS o
SELECT [(1, [2, 3]), (4, [])] AS a, [[(1, 2)]] AS b
SELECT (([1], 'a'), map('k', (1, 'v'))) AS deep
SELECT toString(number) AS `a"b`, number AS `c'd`, number AS `e\\f`, number AS `g,h`, number AS `i|j` FROM numbers(2)
SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a
SELECT number % 2 AS k, arraySort(groupArray(number)) AS g, sum(number) AS s FROM numbers(6) GROUP BY k WITH ROLLUP ORDER BY k, s
SELECT number % 2 AS k, number % 3 AS j, count() AS c FROM numbers(12) GROUP BY k, j WITH CUBE ORDER BY k, j, c
SELECT [toDate('2024-01-02')] AS a, map(toDate('2024-01-02'), toDateTime('2024-01-02 03:04:05', 'UTC')) AS m
SELECT [toDateTime64('2024-01-02 03:04:05.678', 3, 'UTC'), NULL] AS a
SELECT [toDecimal32(1.5, 2), NULL] AS a, [toDecimal128(-1.5, 10)] AS b
SELECT map('é', 'ü', 'tab\t', 'nl\n', 'q"', 'a\'b') AS m
SELECT ['<a>', '&', '"', '\'', '\\', '\t', '\n', ']]>'] AS a
SELECT ('<a>', '&amp;', 'x,y', 'p|q') AS t, '[1]' AS x, '{}' AS y, '()' AS z
SELECT toUInt64(18446744073709551615) AS a, [toUInt64(18446744073709551615)] AS b, (toInt64(-9223372036854775808), 1) AS c
SELECT toInt256('-57896044618658097711785492504343953926634992332820282019728792003956564819968') AS a, toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS b
SELECT toInt128('-170141183460469231731687303715884105728') AS a, toUInt128('340282366920938463463374607431768211455') AS b
SELECT toFloat32(16777217) AS a, toFloat64(9007199254740993) AS b, toFloat32(3.4028235e38) AS c, toFloat64(1.7976931348623157e308) AS d, toFloat64(5e-324) AS e
SELECT [nan, inf, -inf, 1.5, -0.0] AS a, (nan, inf) AS t, map('k', -inf) AS m
SELECT toNullable(toDate('2024-01-02')) AS a, toNullable(toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')) AS b, toNullable(toIPv4('1.2.3.4')) AS c, toNullable(toDecimal64(1.5, 3)) AS d, toNullable(true) AS e
SELECT repeat('x', 300) AS s, repeat('y', 70000) AS t, number FROM numbers(2)
SELECT arrayMap(x -> repeat('z', x), range(5)) AS a FROM numbers(2)
SELECT range(1000) AS a
SELECT number FROM numbers(300)
SELECT number, toString(number), number / 3, toDate('2024-01-01') + number FROM numbers(1100)
SELECT CAST(map('a', 1), 'Map(LowCardinality(String), UInt8)') AS m, CAST(('x', 1), 'Tuple(s LowCardinality(String), n UInt8)') AS t
SELECT CAST([('a', [1, 2]), ('b', [])], 'Array(Tuple(name String, items Array(UInt8)))') AS a
SELECT CAST((1, (2, [(3, 'x')])), 'Tuple(a UInt8, b Tuple(c UInt8, d Array(Tuple(e UInt8, f String))))') AS t
SELECT toTypeName(number) AS t, toTypeName([1]) AS u, toTypeName((1, 'a')) AS v FROM numbers(1)
SELECT if(number = 0, '', toString(number)) AS s, if(number = 0, [], [number]) AS a FROM numbers(2)
SELECT '\r' AS a, '\r\n' AS b, 'x\ry' AS c, '\\N' AS d, '\\' AS e, 'NULL' AS f, 'null' AS g, 'nan' AS h, 'true' AS i
SELECT toDateTime('2106-02-07 06:28:15', 'UTC') AS a, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC') AS b, toDateTime64('1900-01-01 00:00:00.000', 3, 'UTC') AS c, toDate32('2299-12-31') AS d, toDate32('1900-01-01') AS e
SELECT toDateTime('2024-03-31 01:30:00', 'Europe/Berlin') + INTERVAL number HOUR AS t FROM numbers(4)
SELECT count() AS c, NULL AS n, '' AS e, [] AS a FROM numbers(3)
SELECT number AS n, -toInt32(number) AS m FROM numbers(5) ORDER BY m LIMIT 2 SETTINGS extremes = 1
SELECT toFixedString('a\0b', 4) AS f, [toFixedString('xy', 2)] AS a, toNullable(toFixedString('q', 2)) AS n
SELECT (1, 2.5)::Point AS geometry, 'x' AS id, 1 AS a, [1, 2] AS b
SELECT [[(0, 0), (1, 0), (1, 1), (0, 0)]]::Polygon AS p, 7 AS id, map('k', 1) AS properties
SELECT [[[(0, 0), (1, 0), (1, 1), (0, 0)]], [[(5, 5), (6, 5), (6, 6), (5, 5)]]]::MultiPolygon AS p, 'a"b' AS `c"d`
SELECT number::UInt16 AS n FROM numbers(5)
SELECT [number, number + 1]::Array(Float32) AS n FROM numbers(3)
SELECT arrayJoin(['a', 'bcd', '']) AS s
SELECT arrayJoin([toInt64(1)::Dynamic, 'ab'::Dynamic, NULL::Dynamic, [1, 2]::Dynamic, toDate('2020-01-01')::Dynamic, toInt8(number)::Dynamic]) AS d FROM numbers(2) SETTINGS output_format_native_use_flattened_dynamic_and_json_serialization = 1
SELECT number::Dynamic AS d, toJSONString(map('k', number))::JSON AS j, map('x', d) AS m FROM numbers(3) SETTINGS output_format_native_use_flattened_dynamic_and_json_serialization = 1
SELECT toDateTime(number * 1000000007, 'Asia/Tokyo') AS a, toDateTime64(number * 1.5 - 3, 6, 'UTC') AS b, [b] AS c, map('k', b) AS d, (a, b) AS e FROM numbers(3) SETTINGS date_time_output_format = 'iso'
SELECT toDateTime(number * 1000000007, 'Asia/Tokyo') AS a, toDateTime64(number * 1.5, 6, 'UTC') AS b, [b] AS c, map('k', b) AS d, (a, b) AS e FROM numbers(3) SETTINGS date_time_output_format = 'unix_timestamp'
SELECT toDateTime64(number * 1.5 - 3, 4, 'UTC') AS a, fromUnixTimestamp64Micro(toInt64(number * 1001000), 'UTC') AS b, [a] AS c FROM numbers(3) SETTINGS date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands = 1
SELECT number = 1 AS u, number = 1 = true AS a, CAST(number = 1 AS Bool) AS b, [b] AS c, (b, 1) AS d, map('k', b) AS e FROM numbers(2) SETTINGS bool_true_representation = 'yes', bool_false_representation = '<no>'
SELECT arrayJoin([0.25, -1 / 3, 1e-7, 1e21, 1e60, 123456.789, 0.0004, 2, nan]) AS a, toFloat32(a) AS b, [a] AS c, map('k', a) AS d FROM numbers(1) SETTINGS output_format_float_precision = 3
SELECT toDecimal32(number * 1.5, 3) AS a, toDecimal128(number, 20) AS b, toDecimal32(number, 0) AS c, number / 2 AS d, [a] AS e, -0.0 AS f, 1e100 AS g FROM numbers(3) SETTINGS output_format_decimal_trailing_zeros = 1, output_format_always_write_decimal_point_in_float_and_decimal = 1
SELECT toTime(5) AS a, toTime64(5.25, 2) AS b, toNullable(toTime64(-5, 3)) AS c
SELECT 1 AS x, toLowCardinality('a') AS y, [toDecimal64(1, 3)] AS z, (1, 'x')::Tuple(a UInt8, `b c` String) AS t SETTINGS output_format_native_encode_types_in_binary_format = 1, output_format_binary_encode_types_in_binary_format = 1
SELECT '{"a":1,"b":{"c":[1,2]}}'::JSON AS j, map('k', j) AS m SETTINGS output_format_binary_write_json_as_string = 1
