"""Random tables: columns of many types, engines and keys, and some rows."""

from expressions import KEYS

TYPES = [
    ("int", "Int32"), ("int", "UInt8"), ("int", "UInt64"), ("int", "Int64"), ("int", "Int16"), ("int", "Nullable(Int32)"),
    ("int", "Nullable(UInt8)"), ("int", "LowCardinality(UInt16)"), ("int", "UInt32"), ("int", "Int8"), ("int", "Int128"),
    ("str", "String"), ("str", "LowCardinality(String)"), ("str", "Nullable(String)"), ("str", "LowCardinality(Nullable(String))"),
    ("str", "FixedString(3)"), ("float", "Float64"), ("float", "Float32"), ("float", "Nullable(Float64)"), ("dec", "Decimal(9, 2)"),
    ("dec", "Decimal(18, 4)"), ("dec", "Nullable(Decimal(9, 1))"), ("date", "Date"), ("date", "Date32"), ("date", "Nullable(Date)"),
    ("dt", "DateTime('UTC')"), ("dt", "DateTime64(3, 'UTC')"), ("dt", "Nullable(DateTime('UTC'))"), ("bool", "Bool"),
    ("aint", "Array(Int32)"), ("aint", "Array(UInt8)"), ("aint", "Array(Nullable(Int64))"), ("astr", "Array(String)"),
    ("astr", "Array(LowCardinality(String))"), ("map", "Map(String, Int64)"), ("tup", "Tuple(UInt8, String)"),
    ("tup", "Tuple(a Int32, b String)"), ("enum", "Enum8('one' = 1, 'two' = 2, 'three' = -3)"), ("uuid", "UUID"), ("bool", "Nullable(Bool)"),
    ("int", "LowCardinality(Nullable(UInt8))"), ("int", "UInt256"), ("aint", "Array(LowCardinality(UInt8))"), ("astr", "Array(Nullable(String))"),
    ("astr", "Array(LowCardinality(Nullable(String)))"), ("map", "Map(LowCardinality(String), UInt8)"), ("map", "Map(String, Nullable(Int32))"),
    ("date", "LowCardinality(Date)"), ("dt", "DateTime64(6, 'UTC')"), ("enum", "Nullable(Enum8('one' = 1, 'two' = 2, 'three' = -3))"),
    ("uuid", "Nullable(UUID)"), ("dec", "Decimal(30, 5)"), ("tup", "Tuple(Nullable(Int32), LowCardinality(String))"),
]
STRINGS = ["", "a", "b", "abc", "Abc", "a,b", "12", "ü", "x y", "zz"]


def value_of(rng, kind, type_):
    """A literal of a column's type."""
    if "Nullable" in type_ and "Array" not in type_ and rng.random() < 0.25:
        return "NULL"
    number = lambda: str(rng.choice([0, 1, 2, 3, 5, 7, 100, 127] if "8" in type_ or "U" in type_ else [0, 1, -1, 2, 3, -7, 100, 127]))
    text = lambda: "'" + rng.choice([s for s in STRINGS if "Fixed" not in type_ or len(s.encode()) < 4]) + "'"
    many = lambda one: "[" + ", ".join(one() for _ in range(rng.randrange(4))) + "]"
    if kind == "int":
        return number()
    if kind == "str":
        return text()
    if kind == "float":
        return rng.choice(["0", "0.5", "-1.25", "3", "100.75", "nan", "inf"])
    if kind == "dec":
        return rng.choice(["0", "1.5", "-2.2", "100", "3.1"])
    if kind == "date":
        return rng.choice(["'2020-01-01'", "'2020-02-03'", "'2021-12-31'", "'1999-06-15'"])
    if kind == "dt":
        return rng.choice(["'2020-01-01 00:00:00'", "'2020-02-03 04:05:06'", "'2021-12-31 23:59:59'"])
    if kind == "bool":
        return rng.choice(["true", "false"])
    if kind == "aint":
        return many(lambda: "NULL" if "Nullable" in type_ and rng.random() < 0.2 else number())
    if kind == "astr":
        return many(text)
    if kind == "map":
        return "{" + ", ".join(f"'{k}': {rng.randrange(5)}" for k in rng.sample("abc", rng.randrange(3))) + "}"
    if kind == "tup":
        return f"({number()}, {text()})"
    if kind == "enum":
        return rng.choice(["'one'", "'two'", "'three'"])
    return rng.choice(["'61f0c404-5cb3-11e7-907b-a6006ad3dba0'", "'00000000-0000-0000-0000-000000000001'"])


class Table:
    def __init__(self, rng, name):
        self.name = name
        self.columns = [("id", "int")]
        declared = ["id UInt32"]
        for n, (kind, type_) in enumerate(rng.sample(TYPES, rng.randrange(5, 12))):
            self.columns.append((f"c{n}", kind))
            declared.append(f"c{n} {type_}")
        types = dict(zip([c for c, _ in self.columns], declared))
        keys = [c for c, k in self.columns if k in KEYS and k != "aint" and "Nullable" not in types[c]]
        key = ", ".join(rng.sample(keys, rng.randrange(0, min(3, len(keys)) + 1)))
        partition = rng.choice(["", "", " PARTITION BY id % 3"])
        granularity = rng.choice([8192, 2, 5])
        engine = f"MergeTree{partition} ORDER BY ({key}) SETTINGS index_granularity = {granularity}" if rng.random() < 0.8 else "Memory"
        self.statements = [f"CREATE TABLE {name} ({', '.join(declared)}) ENGINE = {engine}"]
        id_ = 0
        kinds = [(k, d.split(" ", 1)[1]) for (_, k), d in zip(self.columns, declared)]
        for _ in range(rng.randrange(0, 4)):
            rows = []
            for _ in range(rng.randrange(1, 12)):
                id_ += rng.randrange(1, 3)
                rows.append("(" + ", ".join([str(id_)] + [value_of(rng, k, t) for k, t in kinds[1:]]) + ")")
            self.statements.append(f"INSERT INTO {name} VALUES {', '.join(rows)}")
