"""asynch over the native protocol: statements, cursors, streams, inserts, errors, pools."""
import asyncio, datetime, decimal, sys, uuid

import asynch
from asynch.cursors import DictCursor
from asynch.errors import ServerException

port = int(sys.argv[2])


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


async def run(compression):
    suffix = f"?compression={compression}" if compression else ""
    async with asynch.Connection(dsn=f"clickhouse://default@127.0.0.1:{port}/default{suffix}") as connection:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT 1, currentDatabase()")
            check("one", await cursor.fetchall(), [(1, "default")])
            await cursor.execute("DROP TABLE IF EXISTS asy")
            await cursor.execute("""CREATE TABLE asy (a UInt64, s String, n Nullable(Int32), arr Array(String), d Date, dt64 DateTime64(3, 'UTC'),
                dec Decimal(18, 4), u UUID, lc LowCardinality(String), m Map(String, UInt8), t Tuple(UInt8, String), f Float64) ENGINE = MergeTree ORDER BY a""")
            at = datetime.datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)
            rows = [(i, "héllo%d" % i, None if i % 2 else i, ["a", "b"][: i % 3], datetime.date(2024, 1, 2), at, decimal.Decimal("-1.2345"),
                     uuid.UUID(int=i), "lc%d" % (i % 3), {"k": i % 100}, (1, "z"), 1.5) for i in range(2000)]
            await cursor.execute("INSERT INTO asy VALUES", rows)
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT count(), sum(a) FROM asy")
            check("inserted", await cursor.fetchone(), (2000, 2000 * 1999 // 2))
            await cursor.execute("SELECT * FROM asy ORDER BY a")
            found = await cursor.fetchall()
            for given, got in zip(rows, found):
                check("row", [str(v).replace("+00:00", "") for v in got], [str(v).replace("+00:00", "") for v in given])
        async with connection.cursor() as cursor:
            cursor.set_stream_results(True, 1000)
            await cursor.execute("SELECT number FROM numbers(200000)")
            total = 0
            async for (n,) in cursor:
                total += n
            check("stream", total, 200000 * 199999 // 2)
        async with connection.cursor(cursor=DictCursor) as cursor:
            await cursor.execute("SELECT 5 AS x, 'y' AS z")
            check("dict", await cursor.fetchall(), [{"x": 5, "z": "y"}])
        async with connection.cursor() as cursor:
            try:
                await cursor.execute("SELECT nonsense")
                assert False, "an unknown column is an error"
            except ServerException as e:
                check("code", e.code, 47)
    async with asynch.Pool(minsize=1, maxsize=4, dsn=f"clickhouse://default@127.0.0.1:{port}/default") as pool:
        async def one(i):
            async with pool.connection() as connection:
                async with connection.cursor() as cursor:
                    await cursor.execute("SELECT %(i)s + 1", {"i": i})
                    return (await cursor.fetchone())[0]
        check("pool", await asyncio.gather(*(one(i) for i in range(20))), [i + 1 for i in range(20)])
    print(f"asynch, compression {compression}: ok")


for compression in (None, "lz4"):
    asyncio.run(run(compression))
