"""Random typed expressions: templates by the kind of their result, over the columns in scope.

A kind is a family of types that may stand for each other: int, float, dec, str, date, dt, bool, aint and
astr (arrays), map, tup, enum, uuid, ip. `{int}` in a template is replaced by an expression of that kind;
`{aint:x}` would not be one: lambdas are written by hand below. Nothing here depends on the clock, on the
order of rows, or on how floats are summed.
"""

KINDS = {
    "int": """
({int} + {int})|({int} - {int})|({int} * {int})|intDiv({int}, {nz})|({int} % {nz})|abs({int})|-{int}
length({str})|toInt32({int})|toUInt8({int})|toInt64({int})|toUInt16({int})|toInt64OrZero({str})|toInt32OrNull({str})
if({bool}, toInt64({int}), toInt64({int}))|if({bool}, {lit}, {lit})|multiIf({bool}, {lit}, {bool}, {lit}, {lit})
coalesce({int}, {lit})|ifNull({int}, {lit})|nullIf({int}, {int})|toYear({date})|toMonth({dt})|toDayOfMonth({date})
toDayOfWeek({date})|toHour({dt})|toMinute({dt})|toSecond({dt})|dateDiff('day', {date}, {date})|dateDiff('hour', {dt}, {dt})
dateDiff('month', {dt}, {date})|position({str}, {str})|positionCaseInsensitive({str}, 'a')|{aint}[{tiny}]|{aint}[-1]
arraySum({aint})|arrayMax({aint})|arrayMin({aint})|indexOf({aint}, {int})|countEqual({aint}, {int})|length({aint})|length({astr})
length({map})|greatest({lit}, {lit})|greatest(toInt64({int}), toInt64({int}))|least(toInt64({int}), {lit})|bitAnd({int}, {int})
bitOr({int}, {int})|bitXor({int}, {int})|bitShiftLeft({int}, {tiny})|bitShiftRight({int}, {tiny})|bitNot({int})|bitCount({int})
toUnixTimestamp({dt})|cityHash64({str})|cityHash64({int}, {str})|sipHash64({str})|xxHash64({str})|murmurHash3_64({str})
intHash32({int})|intHash64({int})|sign({int})|sign({float})|gcd({int}, {nz})|toYYYYMM({date})|toYYYYMMDD({date})|toYYYYMMDDhhmmss({dt})
toDayOfYear({date})|toISOWeek({date})|toISOYear({date})|toQuarter({date})|toWeek({date})|toRelativeDayNum({date})
toRelativeMonthNum({dt})|{map}['a']|{map}[{str}]|tupleElement({tup}, 1)|{tup}.1|transform({int}, [1, 2, 3], [10, 20, 30], 0)
positiveModulo({int}, {nz})|toInt8({bool})|toInt16({enum})|CAST({enum}, 'Int8')|({date} - {date})|({dt} - {dt})|({int} DIV {nz})
intDivOrZero({int}, {int})|moduloOrZero({int}, {int})|toUInt64({bool})|lengthUTF8({str})|countSubstrings({str}, 'a')
arrayFirstIndex(x -> {bool+x}, {aint})|arrayCount(x -> {bool+x}, {aint})|arraySum(x -> {int+x}, {aint})|arrayUniq({aint})
arrayFold((acc, x) -> acc + toInt64(x), {aint}, toInt64({lit}))|arrayMax(x -> {int+x}, {aint})|arrayElementOrNull({aint}, {tiny})
CASE WHEN {bool} THEN {lit} ELSE {lit} END|CASE {int} WHEN 1 THEN 10 WHEN 2 THEN 20 ELSE 0 END|{int}::Int64|assumeNotNull({int})
toInt64(round({float}))|bitTest({int}, {tiny})|hasSubsequence({str}, 'a')|ascii({str})|toUInt32(toIPv4({ipstr}))
byteSwap({int})|JSONExtractInt({json}, 'a')|JSONLength({json})|minus({int}, {int})|plus({dec}, 0) = 1
toModifiedJulianDay('2020-01-01')|editDistance({str}, {str})|toInt128({int})|toUInt256({int})|arrayLastIndex(x -> {bool+x}, {aint})
arrayReduce('sum', {aint})|arrayReduce('max', {aint})|isNull({any})|isNotNull({any})|empty({str})|notEmpty({aint})|ignore({any})
(SELECT max({sub:int}))|(SELECT count({sub:any}))|arraySum(mapValues({map}))|arrayElement({aint}, -2)|arrayMax(arrayMap((x, y) -> x * y, {aint}, {aint}))
arrayProduct([{lit}, {tinyu}])|length(arrayZip({aint}, {aint}))|arraySum(x -> x.1, arrayZip({aint}, {aint}))|bitPositionsToArray(5)[1]
dotProduct([1, 2], [3, {lit}])|toUInt32OrDefault({str}, toUInt32(7))|accurateCastOrNull({int}, 'UInt8')|toInt32OrDefault({str}, toInt32({tiny}))
""",
    "float": """
({num} / {num})|sqrt({num})|round({float}, {tiny})|round({float})|floor({float})|ceil({float})|trunc({float})|toFloat64({num})
toFloat32({int})|({float} + {num})|({float} - {float})|({float} * {num})|abs({float})|-{float}|if({bool}, {float}, {float})
ifNull({float}, 0.5)|arrayAvg({aint})|greatest({float}, {float})|least({float}, 1.5)|toFloat64OrZero({str})|toFloat64OrNull({str})
round(exp({tiny}), 6)|round(log({nz}), 6)|round(pow({int}, 2), 3)|degrees(0)|ifNotFinite({float}, 0)|toFloat64({dec})|roundBankers({float}, 1)
{float} % {nz}|nullIf({float}, {float})|coalesce({float}, {float})|multiIf({bool}, {float}, {bool}, {float}, 0.25)|JSONExtractFloat({json}, 'b')
""",
    "dec": """
({dec} + {dec})|({dec} - {dec})|({dec} * {int8})|toDecimal64({lit}, 2)|toDecimal32({tiny}, 1)|abs({dec})|-{dec}|round({dec}, 1)|floor({dec})
toDecimal128({lit}, 3)|({dec} / {nz})|({dec} + {lit})|ceil({dec})|trunc({dec})
greatest({dec}, {dec})|{dec}::Decimal(18, 3)|toDecimal64OrZero({str}, 2)|({dec} * {dec})
""",
    "str": """
concat({str}, {str})|({str} || {str})|upper({str})|lower({str})|substring({str}, {tiny}, {tiny})|substring({str}, -2)|toString({int})
toString({date})|toString({dt})|toString({dec})|toString({aint})|toString({bool})|toString({uuid})|toString({enum})|toString({float})
trimBoth({str})|replaceAll({str}, 'a', {str})|replaceOne({str}, 'b', 'X')|reverse({str})|leftPad({str}, {tinyu}, '*')|rightPad({str}, {tinyu})
hex({str})|hex({int})|unhex(hex({str}))|repeat({str}, {tinyu})|splitByChar(',', {str})[1]|arrayStringConcat({astr}, ',')|{astr}[{tiny}]
formatDateTime({dt}, '%Y-%m-%d %H:%i')|formatDateTime({date}, '%d/%m/%y')|if({bool}, {str}, {str})|multiIf({bool}, {str}, {bool}, 'm', {str})
coalesce({str}, 'z')|ifNull({str}, {str})|nullIf({str}, {str})|toJSONString({int})|toJSONString({aint})|toJSONString({str})|toJSONString({map})
base64Encode({str})|substringUTF8({str}, 1, {tinyu})|extract({str}, '[a-z]+')|replaceRegexpAll({str}, '[aeiou]', '_')
replaceRegexpOne({str}, '(.)', '\\\\1\\\\1')|dateName('month', {date})|monthName({date})|left({str}, {tinyu})|right({str}, {tinyu})|initcap({str})
format('{{}}-{{}}', {str}, {str})|tupleElement({tup}, 2)|{tup}.2|CAST({enum}, 'String')|transform({str}, ['a', 'b'], ['A', 'B'], 'other')
CASE WHEN {bool} THEN {str} ELSE 'e' END|bin({int8})|char(65, 66)|toFixedString('ab', 4)|substringIndex({str}, ',', {tiny})|concat({str}, toString({int}))
lower(hex(MD5({str})))|toString(toIPv4({ipstr}))|formatReadableSize({int})|trimLeft({str})|trimRight({str})|soundex({str})
JSONExtractString({json}, 'c')|JSONExtractRaw({json}, 'a')|toString({tup})|toString({map})|domain('http://x.y/' || {str})|arrayStringConcat(arrayMap(x -> toString(x), {aint}))
lowerUTF8({str})|upperUTF8({str})|toValidUTF8({str})|encodeURLComponent({str})|alphaTokens({str})[1]|IPv4NumToString({int})|repeat('x', {tinyu})
""",
    "date": """
toDate({dt})|({date} + {tiny})|({date} - {tiny})|toStartOfMonth({date})|toStartOfYear({dt})|toStartOfQuarter({date})|addDays({date}, {tiny})
addMonths({date}, {tiny})|subtractWeeks({date}, {tiny})|toMonday({date})|toStartOfWeek({date})|toLastDayOfMonth({date})|makeDate(2020, 5, {tinyu})
({date} + INTERVAL {tiny} DAY)|({date} - INTERVAL {tiny} MONTH)|addYears({date}, {tiny})|if({bool}, {date}, {date})|toDateOrNull({str})
dateTrunc('month', {date})|greatest({date}, {date})|ifNull({date}, toDate('2021-01-01'))|toStartOfInterval({date}, INTERVAL 1 WEEK)|toDate32({date})
""",
    "dt": """
toStartOfHour({dt})|({dt} + INTERVAL {tiny} HOUR)|toDateTime({date}, 'UTC')|toStartOfInterval({dt}, INTERVAL 15 MINUTE)|dateTrunc('hour', {dt})
addMinutes({dt}, {tiny})|toStartOfDay({dt})|toStartOfFiveMinutes({dt})|subtractSeconds({dt}, {tiny})|({dt} - INTERVAL 1 MONTH)|({dt} + {tiny})
if({bool}, {dt}, {dt})|toStartOfMinute({dt})|toDateTime64({dt}, 3, 'UTC')|toTimeZone({dt}, 'UTC')|addWeeks({dt}, {tiny})|toDateTimeOrNull({str}, 'UTC')
least({dt}, {dt})|fromUnixTimestamp64Milli(toInt64({lit}), 'UTC')|addMonths({dt}, {tiny})|toStartOfSecond(toDateTime64({dt}, 3, 'UTC'))
""",
    "bool": """
({int} = {int})|({int} < {int})|({int} >= {lit})|({int} != {int})|({str} = {str})|({str} < {str})|({str} != 'a')|({date} < {date})|({dt} >= {dt})
({date} = '2020-02-03')|({dt} < '2020-02-03 04:00:00')|({float} > {num})|({dec} <= {dec})|({dec} = {lit})|({bool} AND {bool})|({bool} OR {bool})
({bool} AND {bool} AND {bool})|NOT {bool}|xor({bool}, {bool})|({int} IN (1, 2, 3))|({int} NOT IN (0, 7))|({str} IN ('a', 'b', 'c'))|({int} BETWEEN {lit} AND {lit})
({str} LIKE '%a%')|({str} ILIKE 'B%')|({str} NOT LIKE '_b')|startsWith({str}, 'a')|endsWith({str}, {str})|empty({str})|notEmpty({aint})|has({aint}, {int})
has({astr}, {str})|hasAny({aint}, {aint})|hasAll({aint}, {aint})|isNull({int})|isNotNull({str})|({int} IS NULL)|({date} IS NOT NULL)|match({str}, '^a')
(({int}, {str}) = ({int}, {str}))|(({int}, {int}) < ({int}, {int}))|(({int}, {str}) IN ((1, 'a'), (2, 'b')))|({int} IN (SELECT {sub:int}))|({str} NOT IN (SELECT {sub:str}))
isNaN({float})|isFinite({float})|isInfinite({float})|({int} = {float})|({int} IS NOT DISTINCT FROM {int})|({int} <=> {int})|arrayExists(x -> {bool+x}, {aint})
arrayAll(x -> {bool+x}, {aint})|mapContainsKey({map}, 'a')|toBool({int})|({enum} = 'one')|({enum} IN ('one', 'two'))|({uuid} = {uuid})|({int} ? true : false)
({aint} = {aint})|({astr} < {astr})|({tup} = {tup})|({tup} IN ((1, 'a')))|isZeroOrNull({int})|hasToken({str}, 'a')|true|false|if({bool}, {bool}, {bool})
({map} = {map})|({int} GLOBAL IN (1, 5))|({date} IN ('2020-01-01', '2020-02-03'))|({dt} BETWEEN '2020-01-01 00:00:00' AND '2021-01-01 00:00:00')
({enum} < {enum})|({int} > ANY (SELECT {sub:int}))|multiSearchAny({str}, ['a', 'c'])|({str} REGEXP 'b+')|({bool} = true)|({bool} IS TRUE)|JSONHas({json}, 'a')
({int} IN {aint})|({str} IN {astr})|(({int}, {int}) IN ((1, 2), (3, NULL)))|({float} BETWEEN 0 AND {float})|has([1, NULL], {int})
arrayExists((x, y) -> x = y, {aint}, {aint})|hasSubstr({aint}, [1])|({str} IS NULL OR {bool})|NOT ({int} IN (1, NULL))|mapContainsValue({map}, 1)|mapExists((k, v) -> v > 1, {map})
""",
    "aint": """
[{lit}, {lit}]|[toInt64({int}), toInt64({int})]|arrayMap(x -> {int+x}, {aint})|arrayFilter(x -> {bool+x}, {aint})|arraySort({aint})|arrayReverse({aint})
arrayConcat({aint}, [1, 2])|arraySlice({aint}, {tiny}, 2)|range({tinyu})|arrayDistinct({aint})|arrayCumSum({aint})|arrayEnumerate({aint})|arrayPushBack({aint}, 1)
arrayResize({aint}, {tinyu})|mapValues({map})|arrayReverseSort({aint})|arrayCompact({aint})|arrayPopFront({aint})|arrayPushFront({aint}, 7)|arraySort(x -> -x, {aint})
arrayIntersect({aint}, [1, 2, 3])|arrayEnumerateUniq({aint})|arrayWithConstant({tinyu}, {lit})|arrayPopBack({aint})|emptyArrayUInt8()|arrayDifference({aint})
arrayFlatten([[{lit}], [{lit}, {lit}]])|arrayRotateLeft({aint}, {tiny})|arrayMap((x, y) -> x + y, {aint}, {aint})|if({bool}, [{lit}], [{lit}, 2])
arrayMap(x -> toInt64(x), {aint})|CAST({aint}, 'Array(Int64)')|arrayFill(x -> {bool+x}, {aint})|arrayMap(x -> if({bool+x}, x, {lit}), {aint})|arrayMap(p -> p.1, arrayZip({aint}, {aint}))|arraySplit(x -> {bool+x}, {aint})[1]
arrayConcat({aint}, {aint})|arrayIntersect({aint}, {aint})|arrayShiftLeft({aint}, 1)|arrayEnumerateDense({aint})|arrayMap(x -> ifNull(x, {int+x}), {aint})|arrayReverseFill(x -> {bool+x}, {aint})
""",
    "astr": """
splitByChar(',', {str})|arrayMap(x -> toString(x), {aint})|mapKeys({map})|arraySort({astr})|[{str}, {str}]|arrayFilter(x -> x != '', {astr})|splitByString('a', {str})
arrayDistinct({astr})|arrayReverse({astr})|extractAll({str}, '[a-z]')|arrayConcat({astr}, {astr})|arraySlice({astr}, 1, {tinyu})|alphaTokens({str})|arrayMap(x -> upper(x), {astr})
splitByRegexp('[,;]', {str})|ngrams({str}, 2)|arrayResize({astr}, {tinyu}, 'r')|splitByWhitespace({str})|tokens({str})
""",
    "map": """
map('a', {lit}, 'b', {lit})|mapFilter((k, v) -> v > 1, {map})|mapAdd({map}, map('a', 1))|mapUpdate({map}, map('z', 9))|mapApply((k, v) -> (upper(k), v), {map})
mapFromArrays(['x', 'y'], [{lit}, {lit}])|mapSort({map})|mapConcat(map('q', 1), {map})|mapSubtract({map}, map('a', 1))
""",
    "tup": "({lit}, {str})|tuple({int}, {str})|({int}, {str}, {int})|if({bool}, (1, 'a'), (2, 'b'))",
    "enum": "CAST('one', 'Enum8(\\'one\\' = 1, \\'two\\' = 2)')|CAST({oneortwo}, 'Enum8(\\'one\\' = 1, \\'two\\' = 2)')",
    "uuid": "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')|toUUIDOrZero({str})|toUUIDOrNull({str})",
    "ip": "toIPv4({ipstr})|toIPv6({ipstr})|toIPv4OrNull({str})",
}
KINDS = {k: [t for line in v.strip().split("\n") for t in line.split("|") if t.strip()] for k, v in KINDS.items()}
# A `|` inside a template was cut: put `||` together again.
KINDS["str"] = [t for t in KINDS["str"] if t.count("(") == t.count(")")] + ["({str} || {str})", "({str} || toString({int}) || 'x')"]

ANY = ["int", "int", "str", "str", "float", "date", "dt", "dec", "bool", "aint", "astr", "enum", "uuid", "map", "tup"]
KEYS = ["int", "int", "str", "date", "bool", "enum", "dt", "dec", "uuid", "aint"]

LITERALS = {
    "int": ["0", "1", "2", "3", "7", "-1", "-5", "100", "255", "256", "1000", "65536", "-129", "2147483648", "NULL"],
    "lit": ["0", "1", "2", "3", "7", "10", "200", "300", "70000"],
    "nz": ["1", "2", "3", "7", "-2", "10", "256"],
    "tiny": ["0", "1", "2", "3", "-1", "-2", "5"],
    "tinyu": ["0", "1", "2", "3", "4"],
    "int8": ["1", "2", "-3"],
    "float": ["0.5", "1.25", "-2.75", "1e3", "0.", "inf", "nan", "-0.", "1e10"],
    "dec": ["toDecimal32('1.25', 2)", "toDecimal64('-7.5', 3)", "CAST('10.10', 'Decimal(10, 4)')"],
    "str": ["''", "'a'", "'b'", "'abc'", "'a,b'", "'Äpfel'", "'12'", "'x y'", "NULL", "'2020-02-03'"],
    "date": ["toDate('2020-02-03')", "toDate('1999-12-31')", "toDate('2024-02-29')"],
    "dt": ["toDateTime('2020-02-03 04:05:06', 'UTC')", "toDateTime('2021-12-31 23:59:59', 'UTC')"],
    "bool": ["true", "false", "1", "0"],
    "aint": ["[1, 2, 3]", "[]::Array(UInt8)", "[5, -1]", "[NULL, 2]"],
    "astr": ["['a', 'b']", "['', 'x', 'a']"],
    "map": ["map('a', 1)"],
    "tup": ["(1, 'a')"],
    "ipstr": ["'1.2.3.4'", "'127.0.0.1'"],
    "oneortwo": ["'one'", "'two'", "1", "2"],
    "json": ["'{\"a\": 1, \"b\": 2.5, \"c\": \"x\"}'", "'{}'", "'[1, 2]'", "'bad'"],
}
KINDS.update({"num": [], "any": [], "lit": [], "nz": [], "tiny": [], "tinyu": [], "int8": [], "ipstr": [], "oneortwo": [], "json": []})

AGGREGATES = """
count()|sum({int})|min({int})|max({str})|max({date})|min({dt})|uniqExact({key})|avg({int})|sum({dec})|count({int})|countIf({bool})|sumIf({int}, {bool})
uniqExactIf({key}, {bool})|arraySort(groupUniqArray({int}))|arraySort(groupArray({str}))|quantileExact(0.5)({int})|argMin({any}, id)|argMax({any}, id)|minIf({date}, {bool})
groupBitAnd({int})|groupBitOr({int})|groupBitXor({int})|count(DISTINCT {key})|sumOrNull({int})|minOrNull({str})|avgIf({int}, {bool})|maxOrDefault({int})|sumDistinct({int})
sumArray({aint})|uniqExactArray({aint})|maxArray({aint})|sumMap({map})|minMap({map})|uniqExactMerge(st)|countMerge(cs)|sum({bool})|uniqExact({key}, {key})|min({tup})|max({aint})
anyIf(1, {bool})|sumForEach({aint})|quantilesExact(0.25, 0.75)({int})|median({int8})|sumWithOverflow({int})|arraySort(groupArrayDistinct({int}))|finalizeAggregation(sumState({int}))
argMinIf({any}, id, {bool})|countDistinctIf({int}, {bool})|groupArraySorted(3)({int})|maxMap({map})|sum({int} + 1) + 1|min(toNullable({int}))|sumIfOrNull({int}, {bool})|avg({dec})
sumMerge(ss)|count() > 1|max({float})|min({enum})|uniqExact({tup})|arraySort(groupUniqArrayArray({aint}))|avgOrNull({int})|sumResample(0, 10, 2)({int}, {tinyu})|sumKahan(0.25)|topK(1)(1)
""".strip().replace("\n", "|").split("|")
AGGREGATES = [a for a in AGGREGATES if not a.endswith(("(st)", "(cs)", "(ss)"))]

WINDOWS = """
row_number() OVER ({part}ORDER BY {ids})|rank() OVER ({part}ORDER BY {key})|dense_rank() OVER ({part}ORDER BY {key} DESC)|sum({int}) OVER ({part}ORDER BY {ids})
sum({int}) OVER ({part}ORDER BY {ids} ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)|lagInFrame({int}) OVER ({part}ORDER BY {ids})|leadInFrame({str}, 1, 'none') OVER ({part}ORDER BY {ids} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
first_value({int}) OVER ({part}ORDER BY {ids})|last_value({str}) OVER ({part}ORDER BY {ids} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)|count() OVER ({part_only})|max({date}) OVER ({part}ORDER BY {ids} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
sum({int}) OVER ({part}ORDER BY {ids} RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING)|count({str}) OVER ({part}ORDER BY {ids} DESC ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)|groupArray({int}) OVER ({part}ORDER BY {ids} ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)
any({str}) OVER ({part}ORDER BY {ids} ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)|argMax({any}, {ids}) OVER ({part}ORDER BY {ids})|cume_dist() OVER ({part}ORDER BY {ids})|uniqExact({key}) OVER ({part}ORDER BY {ids})|min({dec}) OVER ({part_only})
avg({int}) OVER ({part}ORDER BY {ids} ROWS 3 PRECEDING)|ntile(3) OVER ({part}ORDER BY {ids})|nth_value({int}, 2) OVER ({part}ORDER BY {ids} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)|min({int}) OVER ({part}ORDER BY {int} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
lag({int}, 1) OVER ({part}ORDER BY {ids})|lead({int}, 2, 0) OVER ({part}ORDER BY {ids})|count() OVER ({part}ORDER BY {key})|percent_rank() OVER ({part}ORDER BY {ids})|sumIf({int}, {bool}) OVER ({part}ORDER BY {ids})
""".strip().replace("\n", "|").split("|")


class Expressions:
    """Writes expressions over `columns`: a list of (text, kind)."""

    def __init__(self, rng, subquery=None):
        self.rng = rng
        self.subquery = subquery

    def write(self, kind, columns, depth):
        rng = self.rng
        if kind == "any":
            kind = rng.choice(ANY)
        elif kind == "num":
            kind = rng.choice(["int", "int", "float", "dec"])
        elif kind == "key":
            kind = rng.choice(KEYS)
        templates = KINDS[kind]
        if depth <= 0 or not templates or rng.random() < 0.25:
            return self.leaf(kind, columns)
        return self.fill(rng.choice(templates), columns, depth - 1)

    def leaf(self, kind, columns):
        rng = self.rng
        fitting = [text for text, of in columns if of == kind]
        if fitting and rng.random() < 0.8:
            return rng.choice(fitting)
        if kind in LITERALS:
            return rng.choice(LITERALS[kind])
        return fitting[0] if fitting else self.fill(KINDS[kind][0], columns, 0)

    def fill(self, template, columns, depth):
        out, rest = "", template
        while True:
            at = rest.find("{")
            if at < 0:
                return out + rest
            if rest.startswith("{{}}", at):
                out, rest = out + rest[:at] + "{}", rest[at + 4 :]
                continue
            end = rest.index("}", at)
            out, what, rest = out + rest[:at], rest[at + 1 : end], rest[end + 1 :]
            if what.endswith("+x"):
                out += self.write(what[:-2], columns + [("x", "int"), ("x", "int")], min(depth, 1))
            elif what not in KINDS and what != "key" and not what.startswith("sub:"):
                # Text that was written before.
                out += "{" + what + "}"
            elif what.startswith("sub:"):
                out += self.subquery(what[4:]) if self.subquery else "1"
            else:
                out += self.write(what, columns, depth)
