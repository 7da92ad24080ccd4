-- INTERPOLATE of filled rows.
-- Statements end with `;` at a line's end; both engines must answer the same.
SELECT n, source, inter FROM (SELECT toFloat32(number % 10) AS n, 'original' AS source, number AS inter FROM numbers(10) WHERE number % 3 = 1) ORDER BY n WITH FILL FROM 0 TO 5.51 STEP 0.5 INTERPOLATE (inter AS inter + 1);
SELECT n, source, inter FROM (SELECT toFloat32(number % 10) AS n, 'original' AS source, number AS inter FROM numbers(10) WHERE number % 3 = 1) ORDER BY n WITH FILL FROM 0 TO 5.51 STEP 0.5 INTERPOLATE (inter);
SELECT n, source, inter FROM (SELECT toFloat32(number % 10) AS n, 'original' AS source, number AS inter FROM numbers(10) WHERE number % 3 = 1) ORDER BY n WITH FILL FROM 0 TO 5.51 STEP 0.5 INTERPOLATE;
SELECT n, source, inter FROM (SELECT number AS n, 'original' AS source, number * 2 AS inter FROM numbers(10) WHERE number % 3 = 1) ORDER BY n WITH FILL FROM 0 TO 9 INTERPOLATE (source AS 'filled', inter AS n + 100);
SELECT n, inter FROM (SELECT number AS n, number * 2 AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n DESC WITH FILL STEP -1 INTERPOLATE (inter AS inter - 1);
SELECT n, inter AS k FROM (SELECT number AS n, number * 2 AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (k AS k * 2);
SELECT n, inter FROM (SELECT number AS n, number * 2 AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (n AS n + 1);
SELECT n, inter FROM (SELECT number AS n, number * 2 AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (nope AS 1);
SELECT n, inter FROM (SELECT number AS n, toString(number * 2) AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (inter AS concat(inter, 'x'));
SELECT d, v FROM (SELECT toDate('2024-01-01') + number * 3 AS d, number AS v FROM numbers(3)) ORDER BY d WITH FILL STEP INTERVAL 1 DAY INTERPOLATE (v AS v);
SELECT n, inter FROM (SELECT number AS n, toNullable(number * 2) AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (inter AS inter + 1);
SELECT count(), sum(inter) FROM (SELECT n, inter FROM (SELECT number AS n, number * 2 AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (inter AS inter + 1));
SELECT n, inter FROM (SELECT number AS n, number * 2 AS inter FROM numbers(10) WHERE number % 4 = 1) ORDER BY n WITH FILL INTERPOLATE (inter AS inter + 1) LIMIT 3;
