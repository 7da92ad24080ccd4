"""ibis against a server: `ibis_test.py HTTP_PORT`. Fails where an answer is wrong."""
import datetime
import sys

import ibis
import pandas

checks = 0


def check(name, found, expected):
    global checks
    checks += 1
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


con = ibis.clickhouse.connect(host="127.0.0.1", port=int(sys.argv[1]), user="default", password="", database="default")
check("dialect", con.name, "clickhouse")
check("version", con.version.count(".") >= 2, True)
con.drop_table("visits", force=True)
frame = pandas.DataFrame({
    "id": range(1000),
    "city": [["oslo", "rome", "lima"][i % 3] for i in range(1000)],
    "amount": [i / 4 for i in range(1000)],
    "at": [datetime.datetime(2026, 1, 1) + datetime.timedelta(hours=i) for i in range(1000)],
    "tags": [["a", "b"][: i % 3] for i in range(1000)],
})
types = ibis.schema({"id": "!int64", "city": "!string", "amount": "float64", "at": "timestamp", "tags": "array<string>"})
visits = con.create_table("visits", frame, schema=types, engine="MergeTree", order_by=["id"])
check("listed", "visits" in con.list_tables(), True)
check("databases", "system" in con.list_databases(), True)
check("count", visits.count().execute(), 1000)
check("schema", [str(t) for t in con.table("visits").schema().types][:3], ["!int64", "!string", "float64"])
groups = visits.group_by("city").aggregate(n=visits.count(), top=visits.amount.max(), mean=visits.amount.mean().round(2)).order_by("city").execute()
check("groups", groups.values.tolist(), [["lima", 333, 249.5, 125.0], ["oslo", 334, 249.75, 124.88], ["rome", 333, 249.25, 124.75]])
days = visits.group_by(day=visits.at.truncate("D")).aggregate(n=visits.count()).order_by("day").limit(2).execute()
check("days", days.n.tolist(), [24, 24])
window = ibis.window(group_by="city", order_by="id", preceding=1, following=0)
running = visits.mutate(two=visits.amount.sum().over(window)).filter(visits.id < 7).order_by("id").execute()
check("window", running.two.tolist(), [0.0, 0.25, 0.5, 0.75, 1.25, 1.75, 2.25])
rank = visits.mutate(r=ibis.row_number().over(ibis.window(group_by="city", order_by=ibis.desc("amount")))).filter(lambda t: t.r == 0).order_by("city")
check("rank", rank.id.execute().tolist(), [998, 999, 997])
names = con.create_table("names", pandas.DataFrame({"city": ["oslo", "rome"], "country": ["no", "it"]}), overwrite=True, schema=ibis.schema({"city": "!string", "country": "string"}), engine="MergeTree", order_by=["city"])
joined = visits.join(names, "city").group_by("country").aggregate(n=lambda t: t.count()).order_by("country").execute()
check("join", joined.values.tolist(), [["it", 333], ["no", 334]])
left = visits.left_join(names, "city").filter(lambda t: t.country.isnull()).count().execute()
check("left join", left, 333)
check("anti join", visits.anti_join(names, "city").count().execute(), 333)
check("unnest", visits.select(t=visits.tags.unnest()).t.value_counts().order_by("t").execute().iloc[:, 1].tolist(), [666, 333])
check("array", visits.filter(visits.id == 5).select(n=visits.tags.length()).execute().n.tolist(), [2])
check("strings", visits.filter(visits.city.like("%o%")).city.upper().nunique().execute(), 2)
check("case", visits.select(k=ibis.cases((visits.amount > 200, "big"), (visits.amount > 100, "mid"), else_="small")).k.value_counts().order_by("k").execute().iloc[:, 1].tolist(), [199, 400, 401])
check("arrow", visits.filter(visits.id < 3).select("id", "city").to_pyarrow().num_rows, 3)
check("batches", sum(b.num_rows for b in visits.to_pyarrow_batches(chunk_size=100)), 1000)
check("sql", con.sql("SELECT city, count() AS n FROM visits GROUP BY city").filter(lambda t: t.n > 333).city.execute().tolist(), ["oslo"])
check("raw", con.raw_sql("SELECT 1").result_rows, [(1,)])
con.insert("visits", frame.head(5))
check("inserted", con.table("visits").count().execute(), 1005)
view = con.create_view("big_visits", visits.filter(visits.amount > 249), overwrite=True)
check("view", view.count().execute(), 3)
con.truncate_table("names")
check("truncated", con.table("names").count().execute(), 0)
try:
    con.raw_sql("SELECT nonsense")
    raise SystemExit("an unknown column is an error")
except Exception as e:
    check("code", "Code: 47" in str(e) or "code: 47" in str(e), True)
for name in ("big_visits",):
    con.drop_view(name)
for name in ("visits", "names"):
    con.drop_table(name)
print(f"{checks} checks")
