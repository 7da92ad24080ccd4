"""The SQLAlchemy dialect of clickhouse-connect: engine, core statements, tables made, reflected and dropped, inspection."""
import sys

import sqlalchemy as sa
from clickhouse_connect import common
from clickhouse_connect.cc_sqlalchemy.datatypes.sqltypes import Array, DateTime64, LowCardinality, Nullable, String, UInt32, UInt64
from clickhouse_connect.cc_sqlalchemy.ddl.tableengine import MergeTree

port = int(sys.argv[1])
engine = sa.create_engine(f"clickhousedb://default:@127.0.0.1:{port}/default")


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


with engine.begin() as connection:
    check("one", connection.execute(sa.text("SELECT 1")).scalar(), 1)
    metadata = sa.MetaData()
    table = sa.Table("alchemy", metadata, sa.Column("id", UInt64), sa.Column("name", String), sa.Column("note", Nullable(UInt32)),
                     sa.Column("tag", LowCardinality(String)), sa.Column("list", Array(String)), MergeTree(order_by="id"))
    metadata.drop_all(connection)
    metadata.create_all(connection)
    connection.execute(table.insert(), [{"id": i, "name": "n%d" % i, "note": None if i % 2 else i, "tag": "t", "list": ["a"]} for i in range(50)])
    check("count", connection.execute(sa.select(sa.func.count()).select_from(table)).scalar(), 50)
    found = connection.execute(sa.select(table.c.id, table.c.name).where(table.c.id > 46).order_by(table.c.id.desc()).limit(2)).fetchall()
    check("rows", [tuple(r) for r in found], [(49, "n49"), (48, "n48")])
    grouped = connection.execute(sa.select(table.c.tag, sa.func.sum(table.c.note)).group_by(table.c.tag)).fetchall()
    check("grouped", [tuple(r) for r in grouped], [("t", sum(range(0, 50, 2)))])
    joined = table.alias("other")
    check("join", connection.execute(sa.select(sa.func.count()).select_from(table.join(joined, table.c.id == joined.c.id))).scalar(), 50)
    check("parameter", connection.execute(sa.text("SELECT name FROM alchemy WHERE id = :id"), {"id": 7}).scalar(), "n7")

inspector = sa.inspect(engine)
assert "default" in inspector.get_schema_names()
assert "alchemy" in inspector.get_table_names("default")
check("columns", [c["name"] for c in inspector.get_columns("alchemy", "default")], ["id", "name", "note", "tag", "list"])
reflected = sa.Table("alchemy", sa.MetaData(), autoload_with=engine, schema="default")
check("reflected", [c.name for c in reflected.columns], ["id", "name", "note", "tag", "list"])
with engine.begin() as connection:
    metadata.drop_all(connection)
assert "alchemy" not in sa.inspect(engine).get_table_names("default")
print("SQLAlchemy dialect of clickhouse-connect: ok")
