-- Ways to insert, defaults, errors that insert nothing.
CREATE TABLE d (a UInt32, b UInt32 DEFAULT a * 2, c String MATERIALIZED concat('c', toString(a)), e UInt32 ALIAS a + b) ENGINE = MergeTree ORDER BY a;
INSERT INTO d (a) VALUES (1), (2);
INSERT INTO d VALUES (3, 4);
INSERT INTO d (b, a) SELECT number, number + 10 FROM numbers(2);
SELECT a, b, c, e FROM d ORDER BY a;
SELECT * FROM d ORDER BY a;
INSERT INTO d (a, zz) VALUES (1, 2);
INSERT INTO d (a) VALUES ('x');
INSERT INTO d (c) VALUES ('x');
SELECT count() FROM d;
INSERT INTO d (a, b) VALUES (100, 1 + 1), (toUInt32(101), length('abc'));
SELECT a, b FROM d WHERE a >= 100 ORDER BY a;
INSERT INTO d SELECT 1;
INSERT INTO d (a) FORMAT JSONEachRow {"a": 200} {"a": 201};
INSERT INTO d (a, b) FORMAT CSV
300,301
302,303;
SELECT a, b FROM d WHERE a >= 200 ORDER BY a;
TRUNCATE TABLE d;
SELECT count(), sum(a) FROM d;
