-- Every type through a table.
CREATE TABLE types (id UInt8, i8 Int8, i16 Int16, i32 Int32, i64 Int64, u16 UInt16, u32 UInt32, u64 UInt64, f32 Float32, f64 Float64, s String, fs FixedString(4), d Date, d32 Date32, dt DateTime('UTC'), dt64 DateTime64(3, 'UTC'), b Bool, n Nullable(Int32), ns Nullable(String), lc LowCardinality(String), a Array(UInt32), aa Array(Array(String)), e Enum8('x' = 1, 'y' = 2), u UUID, dec Decimal(18, 4), t Tuple(UInt8, String), m Map(String, UInt64)) ENGINE = MergeTree ORDER BY id;
INSERT INTO types VALUES (1, -128, -32768, -2147483648, -9223372036854775808, 65535, 4294967295, 18446744073709551615, 1.5, -0.1, 'a\tb\\c\'d\n', 'abcd', '2026-11-25', '1925-01-01', '2026-11-25 10:20:30', '2026-11-25 10:20:30.123', true, NULL, NULL, 'low', [1, 2, 3], [['a', 'b'], []], 'x', '61f0c404-5cb3-11e7-907b-a6006ad3dba0', 12345.6789, (7, 'seven'), {'k': 1, 'l': 2});
INSERT INTO types (id, n, ns, lc) VALUES (2, -5, 'text', ''), (3, 0, '', 'low');
SELECT * FROM types ORDER BY id;
SELECT toTypeName(dt), toTypeName(dt64), toTypeName(dec), toTypeName(lc), toTypeName(a), toTypeName(e) FROM types LIMIT 1;
SELECT id, n IS NULL, ifNull(n, 42), coalesce(ns, 'none'), length(s), empty(lc) FROM types ORDER BY id;
SELECT a[1], a[-1], length(a), has(a, 2), t.1, t.2, m['k'], mapKeys(m) FROM types ORDER BY id;
SELECT id FROM types WHERE e = 'x' ORDER BY id;
SELECT id FROM types WHERE d >= '2026-01-01' AND dt < '2026-12-01 00:00:00' ORDER BY id;
SELECT count(n), sum(n), min(n), max(n), avg(n), any(ns) FROM types;
SELECT lc, count() FROM types GROUP BY lc ORDER BY lc;
SELECT sum(i64), sum(u64), sum(f64), sum(dec), max(dt64), min(d32) FROM types;
