-- Decimals of up to 18 digits: arithmetic and comparisons at the bounds of their words, with columns and constants of other
-- scales, integers and floats; sums and averages of few groups; groups of several texts.
CREATE TABLE decimals_60 (id UInt32, a Decimal(15, 2), b Decimal(18, 6), c Decimal(9, 4), n Int32, u UInt64, f Float64, s String, t String) ENGINE = MergeTree ORDER BY id SETTINGS index_granularity = 2048;
INSERT INTO decimals_60 SELECT number, toDecimal64(toInt64(number * 7919 % 20011) - 10000, 2) / 100, toDecimal64(toInt64(number * 104729 % 3000017) - 1500000, 6) / 1000, toDecimal32(toInt32(number % 251) - 125, 4), toInt32(number % 101) - 50, number * 3, (toInt64(number % 2001) - 1000) / 100, ['A', 'N', 'R', ''][number % 4 + 1], ['F', 'O', 'Fine'][number * 31 % 3 + 1] FROM numbers(30000);
SELECT sum(a + b), sum(a - b), sum(a * c), sum(b + n), sum(1 - a), sum(a * (1 - c)), sum(a * (1 - c) * (1 + n)) FROM decimals_60;
SELECT toTypeName(a + b), toTypeName(a * b), toTypeName(a * c), toTypeName(1 - a), toTypeName(c * n), toTypeName(a + u) FROM decimals_60 LIMIT 1;
SELECT sum(a + u), sum(u - a), sum(a * u) FROM decimals_60;
SELECT countIf(a < b), countIf(a <= b), countIf(a = b), countIf(a != b), countIf(a > c), countIf(a >= c), countIf(a < n), countIf(n >= a), countIf(c = n) FROM decimals_60;
SELECT countIf(a < 10), countIf(a <= 10.5), countIf(a = toDecimal64('10.50', 3)), countIf(a > toDecimal32('-3.1', 1)), countIf(24 > a), countIf(toDecimal64('0.005', 3) < a), countIf(a >= -100) FROM decimals_60;
SELECT countIf(a >= 0.05), countIf(a <= 0.07), countIf(a = 0.06), countIf(a != 0.06), countIf(a < -0.5), countIf(0.3 > a), countIf(1e300 > a), countIf(a > -1e300), countIf(a = 1e17), countIf(a < nan), countIf(a != nan), countIf(a > inf), countIf(a > -inf) FROM decimals_60;
SELECT countIf(c >= 0.05), countIf(c = 1.0), countIf(c BETWEEN -3.5 AND 3.5), countIf(b BETWEEN 0.000001 AND 1.5), countIf(a > f), countIf(f > a), countIf(a = f) FROM decimals_60;
SELECT count(), sum(a) FROM decimals_60 WHERE a BETWEEN 0.05 AND 0.07 + 20 AND c < 24 AND n >= -3;
SELECT s, t, count(), sum(a), sum(b), sum(c), avg(a), avg(b), avg(c), sum(a * (1 - c)), min(a), max(n) FROM decimals_60 GROUP BY s, t ORDER BY s, t;
SELECT s, t, sum(a), avg(a), count() FROM decimals_60 WHERE id % 3 != 0 AND a > 0 GROUP BY s, t HAVING avg(a) > 1 ORDER BY s, t;
SELECT t, s, avg(a), count() FROM decimals_60 GROUP BY s, t WITH TOTALS ORDER BY s, t;
SELECT avg(a), avg(b), avg(c), sum(a), count() FROM decimals_60 WHERE id > 1000000;
SELECT n, avg(a), sum(a), avg(c) FROM decimals_60 GROUP BY n ORDER BY n LIMIT 7;
SELECT s, t, n, count() FROM decimals_60 GROUP BY s, t, n ORDER BY s, t, n LIMIT 9;
SELECT s, t, uniqExact(id), arraySort(groupUniqArray(n % 2 = 0)) FROM decimals_60 WHERE n IN (1, 2) GROUP BY s, t ORDER BY s, t;
SELECT s || t AS both, s, t, count() FROM decimals_60 GROUP BY both, s, t ORDER BY s, t;
-- Bounds.
SELECT materialize(toDecimal64(900000000000000000, 0)) * materialize(toDecimal64(10, 0));
SELECT materialize(toDecimal64(900000000000000000, 0)) * materialize(toDecimal64(11, 0));
SELECT materialize(toDecimal64(-900000000000000000, 0)) * 10;
SELECT materialize(toDecimal64(-900000000000000000, 0)) * 11;
SELECT materialize(toDecimal64(999999999999999999, 0)) + materialize(toDecimal64('0.5', 1));
SELECT materialize(toDecimal64(900000000000000000, 0)) + materialize(toDecimal64(900000000000000000, 0)) + materialize(toDecimal64(900000000000000000, 0));
SELECT materialize(toDecimal32(999999999, 0)) + materialize(toDecimal32(999999999, 0));
SELECT materialize(toDecimal32(999999999, 0)) + materialize(toDecimal32(999999999, 0)) + materialize(toDecimal32(999999999, 0));
SELECT materialize(toDecimal32(999999999, 0)) * materialize(toDecimal32(3, 0));
SELECT 1000000000 - materialize(toDecimal32(-999999999, 0));
SELECT materialize(toDecimal64(100000000000000000, 0)) < materialize(toDecimal64('0.5', 2));
SELECT materialize(toDecimal64(100000000000000000, 0)) < toDecimal64('0.5', 2);
SELECT toDecimal64(100000000000000000, 0) < materialize(toDecimal64('0.5', 2));
SELECT materialize(toDecimal64('0.5', 2)) < 100000000000000000;
SELECT materialize(toDecimal64('0.5', 2)) < 10000000000000000;
SELECT materialize(toDecimal32('0.5', 2)) < 100000000;
SELECT materialize(toDecimal32('0.5', 2)) < 10000000;
SELECT materialize(toDecimal64('0.5', 2)) < 18446744073709551615;
SELECT materialize(toDecimal64('0.5', 2)) < materialize(toUInt64(5)), materialize(toDecimal64('0.5', 2)) < toInt8(-5);
SELECT countIf(x > 0.1), countIf(x >= 0.1), countIf(x < 0.1), countIf(x <= 0.1), countIf(x = 0.1), countIf(x = 0.3) FROM (SELECT toDecimal64(number, 1) / 10 AS x FROM numbers(10));
SELECT countIf(x >= 922337203685477580.7), countIf(x <= -922337203685477580.8), countIf(x = 0) FROM (SELECT materialize(toDecimal64(number, 1)) AS x FROM numbers(10));
-- Conditions of many parts.
SELECT count() FROM decimals_60 WHERE (s = 'A' AND t IN ('F', 'O') AND n BETWEEN 1 AND 11 AND a > 0) OR (s = 'N' AND t IN ('F', 'O') AND n BETWEEN 10 AND 20) OR (s = '' AND t IN ('F', 'O') AND n BETWEEN 20 AND 30 AND c < 5);
SELECT count() FROM decimals_60 WHERE (s = 'A' AND n < -45 OR t = 'Fine' AND n > 45 OR a = 1.5) AND NOT (s IN ('R', 'N') OR b < -1);
SELECT count(), sum(length(s)) FROM decimals_60 WHERE (s = 'zzz' OR n = 5) AND (t = 'O' OR s = 'A' AND f > 1);
SELECT count() FROM decimals_60 WHERE n BETWEEN 3 AND 7 AND f BETWEEN -1.5 AND 2.25 AND u % 2 = 0;
DROP TABLE decimals_60;
