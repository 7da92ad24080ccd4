"""The tables of the joins bench: names, columns, sorting keys, and where their rows come from.

TPC-H's rows are made by `tpchgen-cli` (PyPI; the rows of the official generator). The Star Schema Benchmark's are
made here with numpy after O'Neil's description: uniform and independent, keys dense, 30 cities per nation cut to ten.
Both give one Parquet file a table; the same scale gives the same rows.
"""
import os, subprocess

INT, LONG, TEXT, DATE, MONEY = "Int32", "Int64", "String", "Date", "Decimal(15, 2)"

TPCH = {
    "region": ("r_regionkey", {"r_regionkey": LONG, "r_name": TEXT, "r_comment": TEXT}),
    "nation": ("n_nationkey", {"n_nationkey": LONG, "n_name": TEXT, "n_regionkey": LONG, "n_comment": TEXT}),
    "supplier": ("s_suppkey", {"s_suppkey": LONG, "s_name": TEXT, "s_address": TEXT, "s_nationkey": LONG, "s_phone": TEXT,
                               "s_acctbal": MONEY, "s_comment": TEXT}),
    "customer": ("c_custkey", {"c_custkey": LONG, "c_name": TEXT, "c_address": TEXT, "c_nationkey": LONG, "c_phone": TEXT,
                               "c_acctbal": MONEY, "c_mktsegment": TEXT, "c_comment": TEXT}),
    "part": ("p_partkey", {"p_partkey": LONG, "p_name": TEXT, "p_mfgr": TEXT, "p_brand": TEXT, "p_type": TEXT, "p_size": INT,
                           "p_container": TEXT, "p_retailprice": MONEY, "p_comment": TEXT}),
    "partsupp": ("ps_partkey, ps_suppkey", {"ps_partkey": LONG, "ps_suppkey": LONG, "ps_availqty": INT, "ps_supplycost": MONEY,
                                            "ps_comment": TEXT}),
    "orders": ("o_orderkey", {"o_orderkey": LONG, "o_custkey": LONG, "o_orderstatus": TEXT, "o_totalprice": MONEY, "o_orderdate": DATE,
                              "o_orderpriority": TEXT, "o_clerk": TEXT, "o_shippriority": INT, "o_comment": TEXT}),
    "lineitem": ("l_orderkey, l_linenumber", {
        "l_orderkey": LONG, "l_partkey": LONG, "l_suppkey": LONG, "l_linenumber": INT, "l_quantity": MONEY, "l_extendedprice": MONEY,
        "l_discount": MONEY, "l_tax": MONEY, "l_returnflag": TEXT, "l_linestatus": TEXT, "l_shipdate": DATE, "l_commitdate": DATE,
        "l_receiptdate": DATE, "l_shipinstruct": TEXT, "l_shipmode": TEXT, "l_comment": TEXT}),
}

SSB = {
    "dates": ("d_datekey", {"d_datekey": INT, "d_year": INT, "d_yearmonthnum": INT, "d_yearmonth": TEXT, "d_weeknuminyear": INT,
                            "d_monthnuminyear": INT, "d_dayofweek": TEXT, "d_sellingseason": TEXT}),
    "customer": ("c_custkey", {"c_custkey": INT, "c_name": TEXT, "c_city": TEXT, "c_nation": TEXT, "c_region": TEXT, "c_mktsegment": TEXT}),
    "supplier": ("s_suppkey", {"s_suppkey": INT, "s_name": TEXT, "s_city": TEXT, "s_nation": TEXT, "s_region": TEXT}),
    "part": ("p_partkey", {"p_partkey": INT, "p_name": TEXT, "p_mfgr": TEXT, "p_category": TEXT, "p_brand1": TEXT, "p_color": TEXT,
                           "p_size": INT, "p_container": TEXT}),
    "lineorder": ("lo_orderdate, lo_orderkey", {
        "lo_orderkey": INT, "lo_linenumber": INT, "lo_custkey": INT, "lo_partkey": INT, "lo_suppkey": INT, "lo_orderdate": INT,
        "lo_orderpriority": TEXT, "lo_quantity": INT, "lo_extendedprice": INT, "lo_ordtotalprice": INT, "lo_discount": INT,
        "lo_revenue": INT, "lo_supplycost": INT, "lo_tax": INT, "lo_commitdate": INT, "lo_shipmode": TEXT}),
}

SETS = {"tpch": TPCH, "ssb": SSB}

REGIONS = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
NATIONS = [("ALGERIA", 0), ("ARGENTINA", 1), ("BRAZIL", 1), ("CANADA", 1), ("EGYPT", 4), ("ETHIOPIA", 0), ("FRANCE", 3), ("GERMANY", 3),
           ("INDIA", 2), ("INDONESIA", 2), ("IRAN", 4), ("IRAQ", 4), ("JAPAN", 2), ("JORDAN", 4), ("KENYA", 0), ("MOROCCO", 0),
           ("MOZAMBIQUE", 0), ("PERU", 1), ("CHINA", 2), ("ROMANIA", 3), ("SAUDI ARABIA", 4), ("VIETNAM", 2), ("RUSSIA", 3),
           ("UNITED KINGDOM", 3), ("UNITED STATES", 1)]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def generate(which, scale, folder):
    """Makes the Parquet files of a set that are not there yet."""
    os.makedirs(folder, exist_ok=True)
    if all(os.path.exists(os.path.join(folder, f"{table}.parquet")) for table in SETS[which]):
        return
    if which == "tpch":
        subprocess.run(["tpchgen-cli", "parquet", "-s", str(scale), "--overwrite", f"--output-dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    else:
        star_schema(scale, folder)


def star_schema(scale, folder):
    import datetime
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    random = np.random.default_rng(20_090_601)

    def write(table, columns):
        types = SSB[table][1]
        arrays = [pa.array(columns[name], pa.string() if kind == TEXT else pa.int32()) for name, kind in types.items()]
        pq.write_table(pa.table(arrays, names=list(types)), os.path.join(folder, f"{table}.parquet"), row_group_size=1 << 18)

    def pick(words, rows):
        return pa.array(words).take(pa.array(random.integers(0, len(words), rows)))

    first = datetime.date(1992, 1, 1)
    days = [first + datetime.timedelta(n) for n in range(2556)]
    keys = np.array([d.year * 10_000 + d.month * 100 + d.day for d in days], dtype=np.int32)
    season = {12: "Christmas", 1: "Winter", 2: "Winter", 3: "Spring", 4: "Spring", 5: "Summer", 6: "Summer", 7: "Summer", 8: "Fall"}
    write("dates", {
        "d_datekey": keys, "d_year": [d.year for d in days], "d_yearmonthnum": [d.year * 100 + d.month for d in days],
        "d_yearmonth": [f"{MONTHS[d.month - 1]}{d.year}" for d in days],
        "d_weeknuminyear": [(d.timetuple().tm_yday - 1) // 7 + 1 for d in days], "d_monthnuminyear": [d.month for d in days],
        "d_dayofweek": [d.strftime("%A") for d in days], "d_sellingseason": [season.get(d.month, "Fall") for d in days]})

    def places(rows):
        nation = random.integers(0, len(NATIONS), rows)
        cities = [f"{name[:9]:<9}{digit}" for name, _ in NATIONS for digit in range(10)]
        city = nation * 10 + random.integers(0, 10, rows)
        return {"city": pa.array(cities).take(pa.array(city)), "nation": pa.array([n for n, _ in NATIONS]).take(pa.array(nation)),
                "region": pa.array([REGIONS[r] for _, r in NATIONS]).take(pa.array(nation))}

    counts = {"customer": max(30, int(30_000 * scale)), "supplier": max(10, int(2_000 * scale)),
              "part": int(200_000 * (1 + np.log2(scale))) if scale >= 1 else max(100, int(200_000 * scale))}
    rows = counts["customer"]
    write("customer", {"c_custkey": np.arange(1, rows + 1), "c_name": [f"Customer#{n:09}" for n in range(1, rows + 1)],
                       **{f"c_{k}": v for k, v in places(rows).items()},
                       "c_mktsegment": pick(["AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY"], rows)})
    rows = counts["supplier"]
    write("supplier", {"s_suppkey": np.arange(1, rows + 1), "s_name": [f"Supplier#{n:09}" for n in range(1, rows + 1)],
                       **{f"s_{k}": v for k, v in places(rows).items()}})
    rows = counts["part"]
    maker, category, brand = random.integers(1, 6, rows), random.integers(1, 6, rows), random.integers(1, 41, rows)
    colours = ["almond", "antique", "azure", "beige", "black", "blue", "blush", "brown", "coral", "cream", "forest", "green", "ivory", "lime"]
    write("part", {"p_partkey": np.arange(1, rows + 1), "p_name": [f"part {n}" for n in range(1, rows + 1)],
                   "p_mfgr": [f"MFGR#{m}" for m in maker], "p_category": [f"MFGR#{m}{c}" for m, c in zip(maker, category)],
                   "p_brand1": [f"MFGR#{m}{c}{b}" for m, c, b in zip(maker, category, brand)], "p_color": pick(colours, rows),
                   "p_size": random.integers(1, 51, rows), "p_container": pick(["SM BOX", "LG CASE", "MED BAG", "JUMBO JAR", "WRAP PKG"], rows)})
    orders = int(1_500_000 * scale)
    lines = random.integers(1, 8, orders)
    rows = int(lines.sum())
    order = np.repeat(np.arange(1, orders + 1), lines)
    linenumber = np.arange(rows) - np.repeat(np.cumsum(lines) - lines, lines) + 1
    day = np.repeat(random.integers(0, len(days) - 120, orders), lines)
    quantity, discount, tax = random.integers(1, 51, rows), random.integers(0, 11, rows), random.integers(0, 9, rows)
    price = random.integers(90_000, 200_001, rows)
    extended = quantity * price // 10
    total = np.repeat(np.add.reduceat(extended, np.cumsum(lines) - lines), lines)
    priority = pa.array(["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECI", "5-LOW"]).take(pa.array(np.repeat(random.integers(0, 5, orders), lines)))
    write("lineorder", {
        "lo_orderkey": order, "lo_linenumber": linenumber, "lo_custkey": np.repeat(random.integers(1, counts["customer"] + 1, orders), lines),
        "lo_partkey": random.integers(1, counts["part"] + 1, rows), "lo_suppkey": random.integers(1, counts["supplier"] + 1, rows),
        "lo_orderdate": keys[day], "lo_orderpriority": priority, "lo_quantity": quantity, "lo_extendedprice": extended,
        "lo_ordtotalprice": total, "lo_discount": discount, "lo_revenue": extended * (100 - discount) // 100,
        "lo_supplycost": price * 6 // 100, "lo_tax": tax, "lo_commitdate": keys[day + random.integers(30, 91, rows)],
        "lo_shipmode": pick(["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"], rows)})
