SELECT 0 / INTERVAL 1 DAY AND 1 < INTERVAL 1 DAY
SELECT [a, 1] MOD t.a
SELECT [a, 1]
SELECT CAST(a AS Int8) % 0
SELECT NOT [1, 2]
SELECT - _x
SELECT - 0
SELECT ((SELECT 1) LIKE quantile(0.5)(x) >= 1 / DATE '2020-01-01' AND 1 AND _x ILIKE x.y.z::Array(UInt8))
SELECT ((t.a IS NOT NULL AS k8))
SELECT (([] AS k3), ((a, b)))
SELECT f(a)
SELECT (CASE WHEN a THEN b END, INTERVAL 1 DAY NOT LIKE [] IS DISTINCT FROM (1,))
SELECT quantile(0.5)(x) REGEXP [1, 2] > 0 == {p:UInt8}
SELECT (t.a IS NOT NULL)
SELECT t.a / a IS UNKNOWN / - f(a, b) == tuple(a) || quantile(0.5)(x)
SELECT x.y.z IS NOT DISTINCT FROM (NULL) <=> -1.5 <= 2::Array(UInt8)
SELECT (-(1, 2)) OR quantile(0.5)(x) == b + ((1, 2))
SELECT (f(tuple(a) AS k) AS k2)
SELECT any(x) IGNORE NULLS
SELECT (- [])
SELECT (1,) OR (1, 2)
SELECT 2[true] BETWEEN 'x' AND b % (-any(x) IGNORE NULLS) IS DISTINCT FROM -1 BETWEEN INTERVAL 1 DAY AND (1, 2) REGEXP (a, b) <= DATE '2020-01-01' < f([]) OR -1.5::Nullable(Decimal(10, 2))
SELECT (CASE WHEN a THEN b END)
SELECT -1.5 LIKE _x
SELECT NOT 1.2 >= (CASE WHEN a THEN b END GLOBAL IN [1]) <=> (arrayMap(x -> (1, 2), CASE WHEN a THEN b END), 1.5)
SELECT tuple(a) % f(a, b).1 OR f(map(1, 2) AS k) || CAST(a AS Int8) != [] NOT IN f(x) IS NOT NULL
SELECT -1 * f(a, b) > [1, 2] > f(a, b) IS NOT NULL::String NOT LIKE NOT [1, 2] AND b MOD 2
SELECT a >= _x
SELECT -1.5 <=> (SELECT 1) LIKE (a, b) <= count() IS NOT NULL OR f(a, b)
SELECT DATE '2020-01-01'
SELECT INTERVAL 1 DAY IS NOT NULL NOT LIKE DATE '2020-01-01' <= (a, b)
SELECT f('x', map(1, 2), [])
SELECT f(a, b) AND true
SELECT (1,)
SELECT [1, 2] IN (tuple(a) >= _x)
SELECT 2.1
SELECT - f((1,)) AND NULL IS UNKNOWN
SELECT -1.5::Int8
SELECT c
SELECT f((1,) AS k)
SELECT -(1)
SELECT any(x) IGNORE NULLS > 1
SELECT - count(*) AND c[- NULL]
SELECT NOT t.a[CASE -1 WHEN (a, b) THEN quantile(0.5)(x) ELSE count(*) END]
SELECT (_x)
SELECT 1 REGEXP DATE '2020-01-01' OR (a, b) * 2
SELECT -count() / quantile(0.5)(x) <> b
SELECT quantile(0.5)(x)
SELECT x.y.z + ((1, 2) AS k1) IS NOT DISTINCT FROM map(1, 2) <> 1 NOT BETWEEN t.a REGEXP count(*)[NULL] AND tuple(a) OR INTERVAL 1 DAY + -_x
SELECT ('x') MOD (_x)
SELECT f(a, b) <> f(a) <= 1.5 IS NULL
SELECT ((_x * {p:UInt8})[(1, 2) + CAST(a AS Int8)])
SELECT (count() ILIKE -(a, b) * map(1, 2) MOD CASE WHEN a THEN b END)
SELECT f(INTERVAL 1 DAY)
SELECT (-1.5)
SELECT NULL % sum(a) OVER w[2] BETWEEN a AND 'x' IN t
SELECT INTERVAL count() DAY >= (any(x) IGNORE NULLS, -1.5)
SELECT - (1, 2) || - [a, 1]
SELECT x.y.z <=> ((a, b)).2 IN [1]
SELECT t.a <=> t.a = [{p:UInt8}, 1.5] * (sum(a) OVER w AS k1) <= tuple(a) >= CASE WHEN a THEN b END IS NULL
SELECT count()
SELECT f(1.5 AS k)
SELECT 2::Int8[any(x) IGNORE NULLS]
SELECT arrayMap(x -> (1, 2), {p:UInt8})
SELECT ((1,) - sum(a) OVER w * (1, 2) IS NOT DISTINCT FROM 1)
SELECT count() NOT IN [1] / f((1,) AS k) OR arrayMap(x -> [1, 2], a) OR NULL DIV f(a)
SELECT (NOT true < CAST(a AS Int8))
SELECT (0)
SELECT 1 > CASE WHEN a THEN b END IS TRUE % -0
SELECT count() ILIKE count()
SELECT (1, 2) >= 1 <> -1.5 < -1 MOD [a, 1] REGEXP count(*) < 1.5
SELECT CASE (1, 2) WHEN 1 THEN tuple(a) ELSE DATE '2020-01-01' END
SELECT (-1 AS k6) != x.y.z
SELECT f(a, b)
SELECT (a, b) IS NULL
SELECT quantile(0.5)(x) NOT LIKE map(1, 2) IS DISTINCT FROM _x % CAST(a AS Int8) NOT IN t IS NOT DISTINCT FROM CAST(a AS Int8) + tuple(a)
SELECT true AND 1.5 REGEXP tuple(a)
SELECT NULL MOD arrayMap(x -> DATE '2020-01-01', true) % (1,) || (1, 2) <= c
SELECT -true
SELECT - NOT c
SELECT (c, {p:UInt8})::Int8 <> NOT CAST(a AS Int8) <= f(a) AND quantile(0.5)(x) OR sum(a) OVER w[[1, 2]] OR INTERVAL 1 DAY == CASE WHEN a THEN b END
SELECT 'x'
SELECT DATE '2020-01-01' * t.a
SELECT 1.1
SELECT arrayMap(x -> [a, 1].1, - {p:UInt8})
SELECT (if(any(x) IGNORE NULLS, (a, b), f(a, b)))
SELECT count() IS DISTINCT FROM {p:UInt8} <> 1.5.1
SELECT (0 MOD map(1, 2) GLOBAL IN f(x))
SELECT t.a <= -1.5[f(a, b)]
SELECT c < NULL IS NOT NULL IS NOT FALSE
SELECT a IS NOT NULL <= []
SELECT tuple(a) DIV a OR f(a)
SELECT count() <> if(t.a, _x, [])
SELECT (t.a NOT LIKE [1, 2])
SELECT arrayMap(x -> -1, a)
SELECT (1, 2)
SELECT any(x) IGNORE NULLS <=> arrayMap(x -> 2, CASE WHEN a THEN b END) = [a, 1] MOD c / f(t.a, count(), _x)[-1.5 NOT IN (count(*))]
SELECT [(1, 2), true]
SELECT arrayMap(x -> 0, any(x) IGNORE NULLS) || b NOT IN (1) DIV NOT 1.5 / true
SELECT 'x' GLOBAL IN (a)
SELECT (a, b)
SELECT - -1
SELECT f(a, b) <= tuple(a)
SELECT - -1.5 AND -1[[]]
SELECT (f(INTERVAL 1 DAY + -1.5))
SELECT [][quantile(0.5)(x)]
SELECT [1, 2].2
SELECT (([a, 1] AS k8) = 2)
SELECT - b == (a, b) <= [DATE '2020-01-01', true] NOT IN [1]
SELECT f(f(a, b) AS k) IS NOT DISTINCT FROM NULL % (SELECT 1) IS NOT DISTINCT FROM -1 MOD -1
SELECT map(1, 2) OR b % f(a, b) DIV f(a) AND CAST(a AS Int8)
SELECT -[a, 1] IS NULL
SELECT -1 AND f(a)
SELECT - (([1, 2] AS k6) AND quantile(0.5)(x))
SELECT 0
SELECT (-1).2
SELECT (-1.5::Array(UInt8))
SELECT (([] AS k1) > CAST(a AS Int8) AND f(a, b) IS NULL)
SELECT CASE map(1, 2) WHEN sum(a) OVER w THEN (a, b) ELSE true END % (1, 2) || _x
SELECT f(sum(a) OVER w, count(*)) AND any(x) IGNORE NULLS == [a, 1]
SELECT count()::Array(UInt8) IS NULL GLOBAL IN ((INTERVAL 1 DAY))
SELECT 1 MOD -CASE WHEN a THEN b END == NULL
SELECT [2, _x].2
SELECT CASE WHEN a THEN b END IS DISTINCT FROM NOT f(a, b)
SELECT (0) DIV {p:UInt8} OR quantile(0.5)(x) IS DISTINCT FROM (INTERVAL 1 DAY) = - -1 LIKE any(x) IGNORE NULLS NOT IN (1)
SELECT f(x.y.z, any(x) IGNORE NULLS)
SELECT count(*) <= [] REGEXP count() LIKE []
SELECT (SELECT 1) % 2.1
SELECT ((1, 2) REGEXP any(x) IGNORE NULLS DIV DATE '2020-01-01' NOT LIKE (1,), -(a, b) IN (SELECT 1))
SELECT a == 'x'
SELECT t.a || -1.5 - CAST(a AS Int8).2 OR (1,)
SELECT any(x) IGNORE NULLS != - a
SELECT f(1.5)
SELECT ([1, 2]) - NULL[2]
SELECT (f(a, b) AS k1) GLOBAL IN (2, true REGEXP quantile(0.5)(x))
SELECT (CASE WHEN a THEN b END AS k8)
SELECT 1.5
SELECT ((count())) OR -x.y.z DIV NULL DIV (SELECT 1)
SELECT t.a IS DISTINCT FROM map(1, 2) NOT BETWEEN (a, b) AND f(a, b)
SELECT (2)
SELECT [-1.5, {p:UInt8}] || count(*) == [] <> f(c)
SELECT NOT (b).1 - (NOT (a, b), INTERVAL 1 DAY.1)
SELECT (1, 2) = tuple(a) <=> (1 AS k7)::Int8
SELECT NOT 2
SELECT f(INTERVAL [a, 1] DAY, ([] AS k1))
SELECT DATE '2020-01-01' <=> any(x) IGNORE NULLS
SELECT {p:UInt8}
SELECT (SELECT 1) IS NOT NULL
SELECT (1,) / tuple(a)
SELECT arrayMap(x -> ((1, 2)), [a, 1] * tuple(a)) IS NOT DISTINCT FROM CASE WHEN a THEN b END
SELECT b MOD 1
SELECT CASE WHEN a THEN b END NOT LIKE NULL OR CAST(a AS Int8) < NULL + f(true, f(a, b)) || sum(a) OVER w
SELECT (a, b).2
SELECT true - count(*) % DATE '2020-01-01' >= DATE '2020-01-01' % tuple(a) AND c.2
SELECT ([a, 1]) <=> -quantile(0.5)(x)
SELECT - -1.5 AND t.a LIKE f(2, a) AND (count())
SELECT f(c, true)
SELECT f(-1.5 * 1.5, {p:UInt8} AND (1,))
SELECT quantile(0.5)(x) OR DATE '2020-01-01'
SELECT (b)
SELECT f(a, b) NOT LIKE b + (1, 2)
SELECT sum(a) OVER w
SELECT c NOT BETWEEN 1.5 AND sum(a) OVER w || 1.5[1.5]
SELECT [a, 1] < NULL
SELECT (-1.5 - map(1, 2) AS k1) AND NOT {p:UInt8} NOT BETWEEN _x AND t.a >= f([] AS k)
SELECT -1 IS NULL
SELECT b < 'x'
SELECT -(c, count()).2
SELECT -1.5 + INTERVAL 1 DAY
SELECT - DATE '2020-01-01' > 0
SELECT (arrayMap(x -> count(*), count()))
SELECT ([a, 1])[(1,)]
SELECT any(x) IGNORE NULLS || (SELECT 1) + DATE '2020-01-01' NOT LIKE (1,)
SELECT []
SELECT [a, 1] IS DISTINCT FROM NULL AND (1, 2) DIV count() REGEXP arrayMap(x -> any(x) IGNORE NULLS, count()) OR -CAST(a AS Int8)
SELECT _x
SELECT if(NULL, CAST(a AS Int8), count())
SELECT (sum(a) OVER w)
SELECT NOT quantile(0.5)(x) <> CASE WHEN a THEN b END <= (1,) ILIKE x.y.z::Array(UInt8)
SELECT arrayMap(x -> a, b) - [(SELECT 1), 0]
SELECT INTERVAL (INTERVAL 1 DAY) DAY
SELECT (1) LIKE -CAST(a AS Int8) || map(1, 2) OR [x.y.z, -1.5]
SELECT 1 REGEXP (SELECT 1)
SELECT count(*)
SELECT INTERVAL true LIKE count(*) DAY
SELECT -[] ILIKE - CAST(a AS Int8)
SELECT _x + (SELECT 1)
SELECT NOT NOT -NULL ILIKE - (b)
SELECT -1.5
SELECT -a
SELECT f(1, [], (1, 2)) OR c OR t.a DIV true ILIKE [1, 2]
SELECT CASE 1 WHEN f(a) THEN (1,) ELSE [a, 1] END AND (quantile(0.5)(x), b)
SELECT true
SELECT (1,) >= map(1, 2) MOD 1.5 AND count(*) == f(a) AND b
SELECT (1, 2) > (f(a)).1
SELECT f((a, b) AS k) NOT BETWEEN ([a, 1]) AND f(a, b) IS NOT NULL
SELECT 2 IS NOT NULL IS NOT DISTINCT FROM NULL <= a <> (1, 2) IS DISTINCT FROM -1 IN t
SELECT (SELECT 1)
SELECT map(1, 2) <= []
SELECT (-[].2 + f(a) NOT IN t)
SELECT - c
SELECT - NOT -1.5 > (1.5 AS k5) IS NULL ILIKE [] IS NOT DISTINCT FROM 2 AND [a, 1] > -1.5 * (CASE WHEN a THEN b END AS k6)
SELECT _x > [1, 2].1 IS NULL IS NOT NULL
SELECT (SELECT 1) % 'x' IS DISTINCT FROM f(a) IS NULL
SELECT [] <=> (SELECT 1)
SELECT 1.5 NOT LIKE INTERVAL 1 DAY AND NULL IS NOT NULL
SELECT (SELECT 1) OR 1.5 = (tuple(a)) <= quantile(0.5)(x) * f(a, b) / quantile(0.5)(x) AND count(*) MOD f(a, b) BETWEEN 2 AND 'x'.1
SELECT f(tuple(a), [1, 2])
SELECT - f(f(a), t.a) - map(1, 2)
SELECT (quantile(0.5)(x))
SELECT -[a, 1]
SELECT map(1, 2)
SELECT f((1, 2), (a, b))
SELECT 1
SELECT x.y.z * CASE WHEN a THEN b END
SELECT true::Nullable(Decimal(10, 2))
SELECT (0 MOD NULL)
SELECT -x.y.z
SELECT x.y.z IS NULL != tuple(a) NOT LIKE CAST(a AS Int8) NOT BETWEEN -1.5 AND f(a)
SELECT (f(a, b) MOD -1, quantile(0.5)(x) IS NULL) NOT LIKE (NOT CAST(a AS Int8) BETWEEN CASE WHEN a THEN b END AND 'x')
SELECT if(DATE '2020-01-01', -1, sum(a) OVER w)
SELECT if((tuple(a)), a <=> (a, b) OR INTERVAL 1 DAY IN (SELECT 1), f(a, f(a, b), 1.5))
SELECT c NOT BETWEEN -1 AND [] NOT BETWEEN 1.5 AND c
SELECT f(CASE WHEN a THEN b END, 1.5, b) || f(a, b)
SELECT ((1,) AS k3)
SELECT (a AS k1) NOT IN (SELECT 1)
SELECT ('x' ILIKE c != sum(a) OVER w >= sum(a) OVER w, any(x) IGNORE NULLS >= c MOD NULL)
SELECT -1.5 ILIKE 'x' <=> _x
SELECT -1.2
SELECT x.y.z IS NOT DISTINCT FROM f([]) NOT LIKE any(x) IGNORE NULLS IS NOT NULL < INTERVAL NULL DAY
SELECT (sum(a) OVER w, map(1, 2))
SELECT NOT (SELECT 1).2
SELECT [] OR []
SELECT arrayMap(x -> [0, b] AND b != t.a, f(-1, (1, 2), f(a)) IS NOT DISTINCT FROM 'x')
SELECT x.y.z
SELECT arrayMap(x -> (a, b), {p:UInt8})
SELECT -f(2) MOD sum(a) OVER w + b.2
SELECT NULL
SELECT 2
SELECT NOT x.y.z IS NULL IS NOT DISTINCT FROM (SELECT 1) MOD _x::Nullable(Decimal(10, 2))
SELECT (tuple(a) % [a, 1] <> b DIV 'x')
SELECT NULL = true LIKE f(a)
SELECT (([-1, a]) * arrayMap(x -> [], t.a))
SELECT ([a, 1] AS k1) > INTERVAL 1 DAY
SELECT - quantile(0.5)(x) != any(x) IGNORE NULLS.2
SELECT (f(a)) = -(a, b)
SELECT tuple(a) - CASE WHEN a THEN b END
SELECT 1.5 IN (SELECT 1) LIKE true OR map(1, 2)
SELECT -map(1, 2)
SELECT DATE '2020-01-01' DIV [a, 1].2 <=> b
SELECT 1.5 / quantile(0.5)(x)
SELECT (0) LIKE (quantile(0.5)(x))
SELECT [a, 1] IS NOT DISTINCT FROM 1
SELECT if((1, 2), DATE '2020-01-01', t.a) AND f(count() AS k)
SELECT sum(a) OVER w NOT LIKE count(*)
SELECT CAST(a AS Int8) <> NULL NOT BETWEEN (1,) AND CAST(a AS Int8) IS UNKNOWN
SELECT (f(a, b))
SELECT _x >= CASE WHEN a THEN b END NOT LIKE (a) || f(x.y.z, 0, (1,))::String
SELECT 0::String DIV f(-1.5, any(x) IGNORE NULLS) ILIKE -1.5 == -1.5 != (c) >= f(1.5, CAST(a AS Int8))::String
SELECT (count() IS NOT NULL) <= ([1, 2]) GLOBAL IN f(x)
SELECT NOT t.a ILIKE count() NOT BETWEEN f(a, b) AND f(a) > f('x') AND tuple(a) - CASE WHEN a THEN b END <> []::String <> (1, 2) <=> tuple(a) BETWEEN 1 * CASE WHEN a THEN b END AND (quantile(0.5)(x))
SELECT map(1, 2) || a IS DISTINCT FROM arrayMap(x -> count(*), _x) >= [a, 1][1]
SELECT any(x) IGNORE NULLS BETWEEN _x AND CAST(a AS Int8) REGEXP INTERVAL t.a DAY
SELECT 0 > -1.5 > (1,)
SELECT (t.a, (SELECT 1)) <= ((SELECT 1)) != (a, b)
SELECT sum(a) OVER w <=> _x IS DISTINCT FROM {p:UInt8} IS NULL
SELECT NOT {p:UInt8}
SELECT count(*).1
SELECT NOT (CASE WHEN a THEN b END AS k4)
SELECT INTERVAL 1 DAY
SELECT arrayMap(x -> count(*) IS NULL::String, (a, b))
SELECT 2 - CAST(a AS Int8)
SELECT NULL IN ((1, 2), (3, 4)) <= ({p:UInt8}, _x)
SELECT [a, 1] <> c >= - 0
SELECT [1, 2] AND x.y.z
SELECT -1.5 LIKE 1
SELECT (2, (1, 2)) || (1, 2)['x'] || [[a, 1], (SELECT 1)]
SELECT a == (1, 2)
SELECT f(a) >= tuple(a) = (SELECT 1)
SELECT NOT sum(a) OVER w
SELECT CAST(a AS Int8) GLOBAL IN (SELECT 1)
SELECT (f((SELECT 1), NULL) AS k5)
SELECT 0 / {p:UInt8}
SELECT NOT f(a, b)
SELECT 0 BETWEEN -1 AND a IS TRUE || 2[true] IN (1)
SELECT [2, (a, b)]
SELECT f(a)::Int8.2
SELECT [1, 2]
SELECT arrayMap(x -> a, {p:UInt8})::Nullable(Decimal(10, 2))
SELECT 'x' != (1, 2) IS NULL
SELECT any(x) IGNORE NULLS - 1[(1, 2)].1
SELECT if(quantile(0.5)(x), 'x', f(a, b)) REGEXP t.a IS NOT DISTINCT FROM sum(a) OVER w REGEXP DATE '2020-01-01' <= 0 GLOBAL IN [1]
SELECT ((t.a))
SELECT x.y.z IS DISTINCT FROM INTERVAL 1 DAY OR b / any(x) IGNORE NULLS.2 AND (f(c, count(*), x.y.z) * CASE WHEN a THEN b END AND 0)
SELECT f(map(1, 2) <= quantile(0.5)(x) AS k) >= (-1.5 + a = f(a))
SELECT 'x' IS NOT NULL NOT BETWEEN 1 AND DATE '2020-01-01' IS NOT NULL IS NOT NULL
SELECT - quantile(0.5)(x) IS NOT NULL == (1.5, _x) <> NULL[sum(a) OVER w]
SELECT (a)
SELECT count() MOD f(a)
SELECT (1,) || count() NOT IN (true) == (SELECT 1) IS NOT DISTINCT FROM -1.5 = [(SELECT 1), (1,)]
SELECT ((1, 2) AS k6) OR any(x) IGNORE NULLS > 1.5 IN (SELECT 1)
SELECT f(arrayMap(x -> -1.5, count(*)) MOD CASE WHEN a THEN b END, NOT [] DIV f(a) * _x)
SELECT CAST(a AS Int8) IS NULL
SELECT map(1, 2)[map(1, 2)] REGEXP x.y.z == [1, 2][NULL]
SELECT [x.y.z, arrayMap(x -> 1, DATE '2020-01-01')]
SELECT INTERVAL 1 DAY IS NOT NULL
SELECT 'x'.1 < DATE '2020-01-01'[1.5]
SELECT -(1,)[1 AND DATE '2020-01-01']
SELECT [2 == b, {p:UInt8} != a]
SELECT NOT sum(a) OVER w / any(x) IGNORE NULLS < (x.y.z AS k9) ILIKE NOT NOT b < DATE '2020-01-01' > INTERVAL 1 DAY
SELECT DATE '2020-01-01' ILIKE CAST(a AS Int8)
SELECT (t.a, tuple(a))
SELECT NOT if(sum(a) OVER w, (1, 2), x.y.z) DIV -1.5 + CASE WHEN a THEN b END AND (1, 2) NOT IN (1, 2)
SELECT -[1, 2] <=> [sum(a) OVER w, -1]
SELECT (arrayMap(x -> {p:UInt8}, any(x) IGNORE NULLS))
SELECT ([] > b)
SELECT (-1.5 AS k7)
SELECT [0 <> 2, (1) >= NOT sum(a) OVER w]
SELECT [(a, b), 'x' != NOT CASE WHEN a THEN b END]
SELECT any(x) IGNORE NULLS BETWEEN map(1, 2) AND f(a)
SELECT [(1, 2), a]
SELECT [a, 1] AND c
SELECT [1, 2] REGEXP DATE '2020-01-01'
SELECT - 2 IS NULL IS NULL IN (1, 2)
SELECT 'x' AND t.a
SELECT (SELECT 1) == b >= true MOD any(x) IGNORE NULLS
SELECT (x.y.z, a) AND x.y.z OR 2 NOT LIKE x.y.z == 1 NOT LIKE sum(a) OVER w
SELECT CAST(a AS Int8) LIKE 2 MOD a <=> f(a, b)
SELECT f(a)[x.y.z] NOT IN t DIV -NOT map(1, 2) IS NOT TRUE
SELECT (1)
SELECT -count()
SELECT sum(a) OVER w >= {p:UInt8} REGEXP [a, 1] / (a, b) OR f(2) = (SELECT 1) IS NOT NULL = any(x) IGNORE NULLS
SELECT f(a, b) MOD 2
SELECT ([] AS k6)
SELECT (f(a))
SELECT (1, 2) < (1,) == [f(a, b), a]
SELECT 2 NOT BETWEEN 1.5 AND quantile(0.5)(x) || [INTERVAL 1 DAY, CASE WHEN a THEN b END] - 1
SELECT (NOT [a, 1])
SELECT NOT if(INTERVAL 1 DAY LIKE t.a, {p:UInt8} != -1, f(a, b))
SELECT (tuple(a) IS NULL / (f(a, b)) = --c)
SELECT tuple(a) IS NULL
SELECT (f([1, 2], [a, 1]) AS k1)
SELECT (1, 2)[1] <> true + (tuple(a)) LIKE any(x) IGNORE NULLS != (SELECT 1) OR {p:UInt8} - CAST(a AS Int8)[b ILIKE tuple(a)]
SELECT f(f(a, b))
SELECT (arrayMap(x -> -1.5, 'x') ILIKE true[[a, 1]] AND NOT [a, 1] % count())
SELECT [1, count(*)]
SELECT f(DATE '2020-01-01', 1.5, CASE WHEN a THEN b END) < (tuple(a))
SELECT NOT f(a, b) MOD f(a)
SELECT (- a.2 || (sum(a) OVER w, {p:UInt8})[[a, 1]])
SELECT [a, 1] MOD (a, b) > DATE '2020-01-01' % -(x.y.z) ILIKE true NOT IN (tuple(a)) MOD (1, 2) == (SELECT 1) MOD f(c, (1, 2), a)::Nullable(Decimal(10, 2))
SELECT a
SELECT f(a) + b
SELECT CAST(a AS Int8) IS NOT DISTINCT FROM any(x) IGNORE NULLS
SELECT arrayMap(x -> 1 DIV t.a, x.y.z >= DATE '2020-01-01')
SELECT f((1,), count(*))
SELECT any(x) IGNORE NULLS.1
SELECT CASE WHEN a THEN b END OR sum(a) OVER w
SELECT a != (a, b)::Int8
SELECT (count(*) != sum(a) OVER w DIV (SELECT 1) IS DISTINCT FROM f(a, b)) % f((SELECT 1) AS k)::Nullable(Decimal(10, 2)) >= count(*) - {p:UInt8} LIKE f(a) OR b
SELECT f(any(x) IGNORE NULLS, -1.5, (SELECT 1)).1
SELECT - 1
SELECT (f(CAST(a AS Int8), tuple(a), 0))
SELECT _x % 1 OR 1 AND x.y.z AND t.a BETWEEN count(*) AND 'x' LIKE 1 NOT BETWEEN ([1, 2] <> INTERVAL 1 DAY) AND (_x) / (1,)
SELECT quantile(0.5)(x)[-1] REGEXP b::Array(UInt8)[NULL::Array(UInt8)] >= [a, 1]::Array(UInt8) + c - {p:UInt8}[count() == (SELECT 1)]
SELECT (a AS k7) AND (f(a), t.a)
SELECT (1,) IS NOT NULL::Array(UInt8)
SELECT [1, 2] >= 'x' BETWEEN _x AND sum(a) OVER w
SELECT (f(x.y.z, tuple(a), f(a)))
SELECT tuple(a) * 1
SELECT f((SELECT 1) AS k) MOD [any(x) IGNORE NULLS, {p:UInt8}] == NOT -1.5 * (a, b) IS NULL == arrayMap(x -> 1.5, c)
SELECT -1.5 <= t.a < tuple(a).2 = [1, 2] || 0 AND NULL IS NOT NULL GLOBAL IN (b MOD _x)
SELECT NOT CASE WHEN a THEN b END
SELECT - count()
SELECT (a OR x.y.z)
SELECT ([1, 2]) < [(1, 2), 1.5]
SELECT f(a, 1 OR _x, sum(a) OVER w = (a, b)) NOT BETWEEN CAST(a AS Int8) == INTERVAL 1 DAY NOT BETWEEN (SELECT 1) AND true AND {p:UInt8} / any(x) IGNORE NULLS REGEXP CASE WHEN a THEN b END
SELECT (((1,) * map(1, 2))) / _x + c GLOBAL IN (1) AND a[NULL] MOD f([a, 1], x.y.z)
SELECT b DIV {p:UInt8} OR (tuple(a))
SELECT ({p:UInt8})
SELECT NOT - x.y.z <= (1,) + 1 != (SELECT 1) BETWEEN [a, 1] AND t.a
SELECT arrayMap(x -> NOT 2, (1, 2) - quantile(0.5)(x)) NOT BETWEEN -(SELECT 1) - 2 AND 1.5
SELECT (1, 2) DIV []
SELECT CASE INTERVAL 1 DAY WHEN {p:UInt8} THEN map(1, 2) ELSE CAST(a AS Int8) END
SELECT ([1, 2])
SELECT t.a NOT BETWEEN -1.5 AND c OR a.2
SELECT - (arrayMap(x -> _x, -1.5) AS k3)
SELECT tuple(a) AND (1, 2).2 IS NOT DISTINCT FROM NOT true >= (a, b) OR a ILIKE 0 || count() * c::String AND NOT NOT INTERVAL 1 DAY
SELECT (INTERVAL 1 DAY, CASE WHEN a THEN b END)
SELECT CASE WHEN a THEN b END
SELECT (-1.5 AS k7) AND count()::Nullable(Decimal(10, 2)) IS NOT NULL
SELECT -'x'::Array(UInt8) MOD f(DATE '2020-01-01', c) NOT IN [1]
SELECT INTERVAL (SELECT 1) DAY AND (1,) NOT LIKE if(any(x) IGNORE NULLS OR {p:UInt8}, [a, 1][sum(a) OVER w], ((1, 2)))
SELECT any(x) IGNORE NULLS || quantile(0.5)(x) > quantile(0.5)(x) AND x.y.z IN ((1, 2), (3, 4))
SELECT (tuple(a))
SELECT arrayMap(x -> f([1, 2] AS k), - f(a))
SELECT 1 != DATE '2020-01-01'
SELECT 1.5 IS DISTINCT FROM count(*)
SELECT a IS NOT NULL
SELECT count() >= a
SELECT (a, b) / count() IS NOT UNKNOWN <> INTERVAL 1 DAY IN (1) NOT BETWEEN t.a AND true IS NOT NULL AND NOT [f(a, b), 0]
SELECT 1.5 = NOT -1
SELECT (t.a)
SELECT [] < 2 REGEXP x.y.z || c
SELECT INTERVAL t.a DAY
SELECT [1, 2] != 2
SELECT (SELECT 1) * (f(a) AS k3)
SELECT INTERVAL 1 DAY IN (SELECT 1) REGEXP DATE '2020-01-01' - x.y.z
SELECT sum(a) OVER w IS NULL IS NULL
SELECT CAST(a AS Int8)
SELECT tuple(a) >= f(a)
SELECT CAST(a AS Int8) <=> t.a NOT LIKE -1 <> DATE '2020-01-01'
SELECT NOT ['x', NULL] * b <=> [1, 2] ILIKE {p:UInt8}.1 BETWEEN (count() AS k6) AND CAST(a AS Int8)::Array(UInt8)
SELECT 2 NOT LIKE f(NULL, f(a, b), 1.5)
SELECT [a, 1] + NULL
SELECT (SELECT 1) ILIKE {p:UInt8}
SELECT -(DATE '2020-01-01' NOT LIKE [a, 1]) DIV ([1, 2] - 0)
SELECT DATE '2020-01-01' NOT LIKE (1,).2.2
SELECT sum(a) OVER w NOT IN [1] NOT BETWEEN f(a, b) AND tuple(a) <=> _x - -[a, 1] >= x.y.z || [1, 2]
SELECT x.y.z AND [1, 2] <=> true == arrayMap(x -> f(a), x.y.z)
SELECT [INTERVAL 1 DAY, INTERVAL 1 DAY]
SELECT count() OR DATE '2020-01-01'.2
SELECT {p:UInt8} >= 'x'.1 DIV NOT [a, 1] <= f(a)
SELECT {p:UInt8} LIKE 2.2
SELECT CAST(a AS Int8) == a
SELECT c LIKE _x OR (any(x) IGNORE NULLS)
SELECT ((1,)).1 OR CASE CASE WHEN a THEN b END WHEN 2 THEN (SELECT 1) ELSE sum(a) OVER w END != CAST(a AS Int8) LIKE arrayMap(x -> [], -1.5) == (tuple(a)) <= (1,) == x.y.z
SELECT 0 MOD 1.5 >= true AND tuple(a)
SELECT CASE WHEN a THEN b END IS NOT NULL <> sum(a) OVER w = tuple(a)
SELECT ([1, 2] <=> [1, 2]) IS NOT NULL
SELECT f(_x, 0).1
SELECT CASE [a, 1] WHEN CASE WHEN a THEN b END THEN {p:UInt8} ELSE 'x' END AND (t.a MOD -1) * CASE NULL WHEN count() THEN 1 ELSE [1, 2] END REGEXP 2 REGEXP sum(a) OVER w NOT LIKE {p:UInt8} MOD x.y.z
SELECT tuple(a)
SELECT 1.5 - true
SELECT if(count(), _x, a) OR count(*) < (_x AS k8)
SELECT ((1, 2)::String)
SELECT f((SELECT 1) <> c AS k)
SELECT -map(1, 2) IN (1) = (DATE '2020-01-01') != f(a) == -1
SELECT - NOT a OR (SELECT 1)
SELECT NOT true NOT IN (1) REGEXP f((1, 2) AS k)
SELECT NULL >= [a, 1]
SELECT NOT (DATE '2020-01-01' || -1) + ((-1, 0), f([a, 1], [1, 2]))
SELECT (true)
SELECT NOT (t.a, (1, 2)) < 2 > quantile(0.5)(x)
SELECT CAST(a AS Int8) / [a, 1] + -1
SELECT (1,) AND (DATE '2020-01-01' IS NOT DISTINCT FROM CASE WHEN a THEN b END).2
SELECT f(f(a) AS k) NOT LIKE tuple(a) AND a::Int8::Array(UInt8)
SELECT f((INTERVAL 1 DAY, (a, b)), map(1, 2))
SELECT CASE WHEN a THEN b END IS NOT DISTINCT FROM {p:UInt8}
SELECT count(*) <= 0 <=> 1 <= b
SELECT -[1.5, -1.5]
SELECT if(if({p:UInt8}, any(x) IGNORE NULLS, (1,)) <> NOT 1.5, arrayMap(x -> NULL, CASE WHEN a THEN b END) IS NOT NULL, (INTERVAL 1 DAY) % [f(a), 1.5])
SELECT CASE WHEN a THEN b END IS DISTINCT FROM (SELECT 1)
SELECT (1,) NOT BETWEEN 'x' AND any(x) IGNORE NULLS * NULL LIKE (1, 2) DIV f(a, b) ILIKE f(a) >= -1 NOT LIKE CAST(a AS Int8)
SELECT f(NOT (a, b))
SELECT _x > DATE '2020-01-01' * -1.5 || f((SELECT 1), tuple(a)) < [count(), f(a)]
SELECT - -[1, 2] == f(a, b) <=> -1 BETWEEN any(x) IGNORE NULLS AND -1.5 IS DISTINCT FROM [map(1, 2), map(1, 2)]
SELECT CASE map(1, 2) IS NOT NULL WHEN (DATE '2020-01-01' AS k6) THEN (2) ELSE _x[[1, 2]] END IS NOT NULL
SELECT (-0 IS DISTINCT FROM [1, 2])
SELECT f(NULL, NULL, _x)
SELECT 2 > (a, b)::Nullable(Decimal(10, 2))
SELECT sum(a) OVER w + CASE WHEN a THEN b END
SELECT NOT DATE '2020-01-01' * f(a) OR CASE tuple(a) WHEN c THEN 1.5 ELSE b END MOD (0 OR count())::Array(UInt8)
SELECT count(*) ILIKE {p:UInt8} - -1 - x.y.z.2 <=> (INTERVAL 1 DAY AND -1.5 AS k8)
SELECT 'x' IN f(x)::String >= - t.a = b + any(x) IGNORE NULLS[([a, 1])]
SELECT NOT quantile(0.5)(x) AND map(1, 2)
SELECT INTERVAL (1, 2) DAY
SELECT t.a AND (quantile(0.5)(x))
SELECT NOT 1 || 0 LIKE (map(1, 2))
SELECT DATE '2020-01-01' DIV b
SELECT ((SELECT 1))
SELECT count() IS DISTINCT FROM a
SELECT 0 < map(1, 2)[b] AND NOT if(any(x) IGNORE NULLS, (SELECT 1), 0) - ({p:UInt8} AS k1)
SELECT - NULL IN (1) == if(count(*), tuple(a), b) LIKE (1.5)
SELECT 1 NOT IN (1) % (c)
SELECT (NULL)
SELECT (a - f(a, b) AS k2)::String
SELECT f(map(1, 2) GLOBAL IN t DIV tuple(a) % f(a), (SELECT 1) AND a <= sum(a) OVER w[0])
SELECT (a, b) * a * 'x' < sum(a) OVER w
SELECT CASE WHEN a THEN b END / b
SELECT ((1,) * count(*)) NOT BETWEEN (a, b) NOT BETWEEN {p:UInt8} AND CASE WHEN a THEN b END AND f(any(x) IGNORE NULLS, (SELECT 1), (1,)) DIV (NOT INTERVAL 1 DAY AS k5)
SELECT ((1,)) REGEXP [(1,), 1.5][2 NOT BETWEEN NULL AND (SELECT 1)] AND ([any(x) IGNORE NULLS, 'x']) = -INTERVAL b DAY
SELECT sum(a) OVER w[CAST(a AS Int8)]::String::Int8
SELECT INTERVAL (SELECT 1) DAY
SELECT (SELECT 1) LIKE 1.5 ILIKE CAST(a AS Int8)[[]] GLOBAL IN (quantile(0.5)(x) IS NOT DISTINCT FROM CASE WHEN a THEN b END, quantile(0.5)(x)) LIKE (f(a), quantile(0.5)(x)) AND [CAST(a AS Int8), 0] * 1
SELECT arrayMap(x -> (SELECT 1), tuple(a)) IN (1)
SELECT f([1, 2] OR [1, 2] = ([]), _x::Int8 != count() NOT LIKE f(a))
SELECT {p:UInt8} + a
SELECT NOT [] NOT LIKE any(x) IGNORE NULLS ILIKE a ILIKE b GLOBAL IN ((1, 2), (3, 4)) != -({p:UInt8}, any(x) IGNORE NULLS) IS UNKNOWN
SELECT CASE WHEN a THEN b END GLOBAL IN f(x)
SELECT NULL / (SELECT 1) > sum(a) OVER w <= _x
SELECT (x.y.z < {p:UInt8} AS k4)
SELECT - f('x' AS k) != - CASE WHEN a THEN b END || (c)
SELECT - (f(a, b) DIV -1)
SELECT (c, (1, 2))
SELECT [a, 1] AND (x.y.z)
SELECT (1,) % (SELECT 1)
SELECT any(x) IGNORE NULLS >= [] + quantile(0.5)(x)
SELECT 2 BETWEEN f(a, b) > b AND c > 'x' AND b MOD count() % a AND CAST(a AS Int8)
SELECT quantile(0.5)(x) IS FALSE
SELECT (DATE '2020-01-01')
SELECT -DATE '2020-01-01' NOT LIKE (a, b) IS TRUE * CAST(a AS Int8) = any(x) IGNORE NULLS || (a, b)[NULL] NOT LIKE (any(x) IGNORE NULLS) IS NULL
SELECT x.y.z::Int8
SELECT -1.5 AND -1.5 ILIKE arrayMap(x -> t.a, count())
SELECT t.a['x']
SELECT NOT INTERVAL 1 DAY > tuple(a) <= 1.5 <> 1.5 == c
SELECT count(*) OR [f(a), f(a)]
SELECT (f(1.5, []) ILIKE sum(a) OVER w IN (a)) GLOBAL IN t
SELECT f(_x, f(NULL, DATE '2020-01-01', count())) > (a, b) GLOBAL IN (SELECT 1) BETWEEN x.y.z AND [1, 2] NOT IN (1)
SELECT INTERVAL sum(a) OVER w DAY LIKE 0 > a IS DISTINCT FROM 1 > 2
SELECT 1.5 GLOBAL IN (b, true).2 LIKE INTERVAL 1 DAY != (SELECT 1) > map(1, 2)[[]] IS NOT UNKNOWN
SELECT f({p:UInt8} AS k)
SELECT - NOT INTERVAL 1 DAY >= true MOD -1.5
SELECT ([1, 2], tuple(a))
SELECT {p:UInt8} REGEXP t.a
SELECT CAST(a AS Int8) MOD NULL
SELECT (1,) % NOT map(1, 2) == (-1 AS k9) NOT LIKE NOT 1.5
SELECT f(0) / CAST(a AS Int8)
SELECT NULL REGEXP sum(a) OVER w NOT IN f(x) <=> -1.5 <> [][_x]
SELECT (SELECT 1) MOD (1, 2)
SELECT (NOT f(a))
SELECT f(CASE WHEN a THEN b END AS k)
SELECT a IS NOT DISTINCT FROM f(a)
SELECT (NULL, true)
SELECT [a, 1]::Array(UInt8)
SELECT CASE WHEN a THEN b END % -1.5 >= quantile(0.5)(x) NOT LIKE _x.1
SELECT map(1, 2) NOT BETWEEN b AND quantile(0.5)(x)
SELECT f(CASE WHEN a THEN b END, (SELECT 1), -1.5) DIV ((a, b) IS NOT TRUE) AND []
SELECT arrayMap(x -> (a, b), f(a))
SELECT a LIKE CAST(a AS Int8) <= (1,).2
SELECT (sum(a) OVER w DIV {p:UInt8})
SELECT - [] == x.y.z[x.y.z]
SELECT f(0, {p:UInt8}) < tuple(a) != CAST(a AS Int8) NOT LIKE 0 > _x MOD NOT (1,)
SELECT t.a ILIKE t.a < (sum(a) OVER w)[x.y.z]
SELECT -1 % 1
SELECT 2 REGEXP f(a, b) OR [1, 2] <=> b
SELECT CASE WHEN a THEN b END != - [a, 1] < 1.5
SELECT INTERVAL any(x) IGNORE NULLS.1 DAY
SELECT _x IS NOT NULL / f(a)
SELECT 'x' DIV INTERVAL 1 DAY || (_x) / INTERVAL _x DAY
SELECT f(a) NOT BETWEEN map(1, 2) AND DATE '2020-01-01' || NULL IS NULL
SELECT (SELECT 1) IS FALSE
SELECT -1 ILIKE c
SELECT (1, 2) NOT LIKE f(a, b) != f(a) >= DATE '2020-01-01' - (SELECT 1) IS UNKNOWN
SELECT - sum(a) OVER w >= count() AND (x.y.z) == 1
SELECT 1.5.2::Int8 <> 0 REGEXP f({p:UInt8} DIV a AS k)
SELECT if(-a * [1, 2] >= x.y.z, f(INTERVAL 1 DAY, 'x'), a AND (1, 2)::Array(UInt8))
SELECT (x.y.z IS NOT DISTINCT FROM 2 / -1 <= (2))
SELECT -1.5 BETWEEN CAST(a AS Int8) AND map(1, 2)
SELECT -[1, 2] OR (t.a)
SELECT [_x, tuple(a)] MOD 0
SELECT (tuple(a)) <> (f(a, b))
SELECT NULL + DATE '2020-01-01' REGEXP NOT a
SELECT f(NOT 1.5 + -(1,), NOT (SELECT 1) IS NULL)
SELECT (1, 2) ILIKE (1,)
SELECT -1 AND -1.5 IS NULL = count()
SELECT -(a, b)[quantile(0.5)(x)]
SELECT ({p:UInt8}) MOD CASE 1 WHEN -1.5 THEN b ELSE b END
SELECT f(2 AS k)
SELECT CAST(a AS Int8) LIKE x.y.z
SELECT (0 IS FALSE) AND [INTERVAL 1 DAY, any(x) IGNORE NULLS] < INTERVAL 1 DAY AND count()
SELECT INTERVAL quantile(0.5)(x) <=> c DAY
SELECT (true OR CASE WHEN a THEN b END == x.y.z <> 'x' OR _x)
SELECT [] AND {p:UInt8}
SELECT ((a, b) == 'x' ILIKE CASE WHEN a THEN b END)
SELECT NOT f(a)
SELECT 1 NOT BETWEEN - DATE '2020-01-01' AND [a, 1] < quantile(0.5)(x)
SELECT (any(x) IGNORE NULLS AS k2)[(f(a, b))]
SELECT -1
SELECT any(x) IGNORE NULLS == true <=> (1, 2) ILIKE - count()
SELECT f(-1, count(*)) BETWEEN -'x' AND arrayMap(x -> sum(a) OVER w, 'x')
SELECT f(1 IS FALSE)
SELECT ['x', f(a)] LIKE {p:UInt8} OR {p:UInt8} LIKE NULL > map(1, 2)
SELECT arrayMap(x -> [a, 1], -1)
SELECT -1.5.2 / -1.5 % 0
SELECT {p:UInt8}[2]
SELECT t.a < -f(any(x) IGNORE NULLS)
SELECT 'x' DIV a + [1, 2]
SELECT a = (1, 2) DIV (c) / [1, 2]
SELECT NOT f(a) * f(INTERVAL 1 DAY, sum(a) OVER w).2
SELECT NOT (quantile(0.5)(x) REGEXP sum(a) OVER w MOD 1.5)
SELECT b
SELECT 'x' REGEXP (SELECT 1)::Array(UInt8)
SELECT NOT (SELECT 1) >= CASE WHEN a THEN b END
SELECT NOT -1.1 != f(quantile(0.5)(x), quantile(0.5)(x))
SELECT ((([])))
SELECT DATE '2020-01-01' - CASE WHEN a THEN b END LIKE - 2 NOT LIKE INTERVAL 2 DAY > [] + 1.5::Int8
SELECT (a, b) % -1 * NOT (1,) == 0 IS NOT DISTINCT FROM NULL || (SELECT 1) <=> [a, 1] OR arrayMap(x -> (true), ((1,)))
SELECT - NULL
SELECT DATE '2020-01-01' REGEXP sum(a) OVER w IS NOT NULL % NOT [] <> DATE '2020-01-01'
SELECT f(a) <= CASE WHEN a THEN b END
SELECT (f(a, CAST(a AS Int8)))
SELECT (CASE WHEN a THEN b END) IN (SELECT 1) NOT LIKE f(a, b)
SELECT x.y.z > -1 == count(*)
SELECT sum(a) OVER w AND f(a)
SELECT f(- (a, b))
SELECT (_x.1).2 * INTERVAL a DAY BETWEEN {p:UInt8} NOT LIKE DATE '2020-01-01' AND tuple(a) REGEXP 'x'
SELECT ([1, 2] IS NOT NULL::Int8)
SELECT (sum(a) OVER w >= 1)[(1,) == 1]
SELECT f(count() AS k) MOD (NULL)
SELECT t.a AND 'x'
SELECT f('x' AND _x) == (INTERVAL 1 DAY AS k4)::Array(UInt8) NOT LIKE x.y.z <= [a, 1] OR INTERVAL 1 DAY AND 2
SELECT f(a) REGEXP [1, 2] OR f(a, b) * -CASE WHEN a THEN b END IS NULL
SELECT (1 AS k2)
SELECT f(INTERVAL f(a, b) DAY, 'x')
SELECT f(count() DIV {p:UInt8} AND NULL)
SELECT NOT 1 != NULL NOT LIKE NULL || -1.5 AND 'x' - DATE '2020-01-01' * ([]) / c NOT IN (1) <=> count(*) = (1,)
SELECT c % true
SELECT (((a, b)) / sum(a) OVER w < c) <=> NOT sum(a) OVER w IS DISTINCT FROM tuple(a) LIKE t.a / NULL[x.y.z]
SELECT f(sum(a) OVER w, map(1, 2), count(*))
SELECT (sum(a) OVER w DIV 'x')
SELECT (DATE '2020-01-01' AS k2)
SELECT arrayMap(x -> 2, 0) || 0 AND f(tuple(a)) IS NOT DISTINCT FROM any(x) IGNORE NULLS = -quantile(0.5)(x) <> a
SELECT ((a[(a, b)]), f((a, b) AS k) * [])
SELECT count() LIKE (1, 2) IS NOT NULL
SELECT 2 OR _x OR [1, 2][-1.5]
SELECT -1.5 AND c <= DATE '2020-01-01'[_x]
SELECT (1,) > any(x) IGNORE NULLS
SELECT true IS NOT NULL
SELECT 1 - t.a
SELECT {p:UInt8} * DATE '2020-01-01' || CASE WHEN a THEN b END
SELECT if(1, true, quantile(0.5)(x))
SELECT NOT -1.5
SELECT b >= 1 AND (tuple(a) AS k2)
SELECT (f(a, b) % [a, 1] <= NULL::Array(UInt8))
SELECT (any(x) IGNORE NULLS)
SELECT f(a, b) || (a, b)
SELECT [tuple(a), a]
SELECT quantile(0.5)(x) NOT IN (DATE '2020-01-01', _x) NOT BETWEEN 1 AND true[((SELECT 1), f(a, b))]
SELECT (1, f(a, b))
SELECT [{p:UInt8}, true]
SELECT (f(x.y.z <=> count() AS k))
SELECT INTERVAL 1 DAY != []
SELECT NOT DATE '2020-01-01' AND tuple(a) LIKE f(0 AS k)
SELECT f(a, b) AND f(a)
SELECT [c, 2] BETWEEN x.y.z AND [a, 1]
SELECT 2 < any(x) IGNORE NULLS::Int8
SELECT 'x' > 'x'
SELECT (- f(a, b)).2
SELECT f(1.5[[1, 2]], arrayMap(x -> DATE '2020-01-01', -1), [] IS DISTINCT FROM 1)
SELECT map(1, 2) >= sum(a) OVER w
SELECT NOT count() = 1.5
SELECT tuple(a) + 0
SELECT f(a) != (NULL) REGEXP x.y.z
SELECT tuple(a) < 'x'
SELECT NULL AND count(*)
SELECT (([1, 2] IN (DATE '2020-01-01', (a, b)), _x[0]))
SELECT ((NULL, (a, b)) LIKE NOT t.a)
SELECT f(c IS DISTINCT FROM CAST(a AS Int8)[{p:UInt8}] AS k)
SELECT (INTERVAL (SELECT 1) DAY)
SELECT (f(1.5, {p:UInt8}, NULL).2)
SELECT (['x', a]) - ('x') <=> f(a) >= a >= f((count(*), f(a, b)))
SELECT _x IS NULL - INTERVAL 1 DAY
SELECT (1, 2) = c OR NULL
SELECT (1,) DIV (SELECT 1)
SELECT count(*) OR x.y.z
SELECT (a, b) OR 1.5[NULL]
SELECT 0 <=> b != (tuple(a))
SELECT arrayMap(x -> -1.5, sum(a) OVER w)
SELECT (a, b).2 < -1.5 != -1 AND (quantile(0.5)(x) GLOBAL IN (1, 2)) ILIKE f('x'[NULL], NOT (1, 2))
SELECT f(a, b).2
SELECT [t.a, {p:UInt8}]
SELECT 2 BETWEEN DATE '2020-01-01' AND 1.5
SELECT (NULL, [])::String
SELECT any(x) IGNORE NULLS <=> INTERVAL t.a DAY
SELECT 0 LIKE []
SELECT - (NOT 2)
SELECT NOT t.a <=> NOT [1, 2] <= b BETWEEN -1 AND []
SELECT b - (1, 2)
SELECT -1.5 <> NOT (a, b) NOT IN (1)
SELECT ((CASE WHEN a THEN b END)).2 < (SELECT 1)
SELECT CAST(a AS Int8) IS NOT DISTINCT FROM 0 % INTERVAL [] DAY
SELECT f(NOT quantile(0.5)(x).2 AS k)
SELECT (1,) IS FALSE == f(a, b) < 0.1 || [] AND -1.5 NOT IN (a)
SELECT ([1, 2]) % {p:UInt8}.2 DIV {p:UInt8} / (1, 2) IS DISTINCT FROM f(a)[t.a]
SELECT NOT 'x' * f(any(x) IGNORE NULLS AS k) + CASE (1, 2) <= sum(a) OVER w WHEN ((1, 2)) THEN a - quantile(0.5)(x) ELSE [1, 2] END
SELECT t.a
SELECT NOT CASE x.y.z WHEN [] THEN -1 ELSE count() END
SELECT NOT count(*) OR any(x) IGNORE NULLS
SELECT (f(a, b)) IS NOT NULL <=> ((SELECT 1), (a, b)) != count()
SELECT INTERVAL {p:UInt8} DAY
SELECT -1.5 IS NULL LIKE _x <=> 2
SELECT b < ((c))
SELECT (_x, (-INTERVAL 1 DAY))
SELECT count() AND map(1, 2)
SELECT t.a.2
SELECT {p:UInt8} <> (SELECT 1)
SELECT (NULL) AND 2 <= (a, b) ILIKE x.y.z MOD [a, 1] || {p:UInt8}
SELECT ((SELECT 1)) <> f(quantile(0.5)(x))[true OR sum(a) OVER w]
SELECT - 1 ILIKE true <> [a, 1] <> b + 1.5 IS NOT NULL <= (1) AND (any(x) IGNORE NULLS AS k3)
SELECT true % c
SELECT -1 IS NOT DISTINCT FROM (SELECT 1)
SELECT count(*) == [a, 1] != INTERVAL 1 DAY ILIKE NULL REGEXP any(x) IGNORE NULLS
SELECT tuple(a)::Array(UInt8) <=> 0 <> [1, 2]
