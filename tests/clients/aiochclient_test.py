"""aiochclient over HTTP: queries, records, inserts, parameters, errors, streams, decoding of types."""
import asyncio, datetime, decimal, sys, uuid

import aiohttp
from aiochclient import ChClient
from aiochclient.exceptions import ChClientError

url = f"http://127.0.0.1:{sys.argv[1]}"


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


async def run(compress):
    async with aiohttp.ClientSession() as session:
        client = ChClient(session, url=url, compress_response=compress)
        check("alive", await client.is_alive(), True)
        await client.execute("DROP TABLE IF EXISTS aio")
        await client.execute("""CREATE TABLE aio (a UInt8, s String, n Nullable(Int32), arr Array(String), d Date, dt DateTime, dt64 DateTime64(3), dec Decimal(9, 4),
            u UUID, lc LowCardinality(String), t Tuple(UInt8, String), f Float64, b Bool) ENGINE = MergeTree ORDER BY a""")
        at = datetime.datetime(2024, 1, 2, 3, 4, 5)
        rows = [(i, "it's\t%d\\" % i, None if i % 2 else i, ["a'", "b"], datetime.date(2024, 1, 2), at, at.replace(microsecond=678000), decimal.Decimal("-1.2345"),
                 uuid.UUID(int=i), "lc", (1, "z"), 1.5, True) for i in range(100)]
        await client.execute("INSERT INTO aio VALUES", *rows)
        found = await client.fetch("SELECT * FROM aio ORDER BY a")
        check("rows", [tuple(r.values()) for r in found], rows)
        check("by name", found[3]["s"], "it's\t3\\")
        await client.execute("INSERT INTO aio (a, s) VALUES", (200, "x"))
        check("value", await client.fetchval("SELECT max(a) FROM aio"), 200)
        check("parameters", await client.fetchval("SELECT {x}", params={"x": "it's"}), "it's")
        check("json", await client.fetch("SELECT 1 AS a, 'x' AS b", json=True), [{"a": 1, "b": "x"}])
        total = 0
        async for row in client.iterate("SELECT number FROM numbers(50000)"):
            total += row[0]
        check("stream", total, 50000 * 49999 // 2)
        try:
            await client.fetch("SELECT nonsense")
            assert False, "an unknown column is an error"
        except ChClientError as e:
            assert "Code: 47" in str(e), e
        print(f"aiochclient, compressed answers {compress}: ok")


for compress in (False, True):
    asyncio.run(run(compress))
