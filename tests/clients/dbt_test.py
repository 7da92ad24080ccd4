"""dbt with its ClickHouse adapter builds the project in `dbt` over both protocols: `dbt_test.py HTTP_PORT TCP_PORT`.
Each target is built, built again after more rows came (every incremental strategy), and built anew."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import clickhouse_connect

HTTP, TCP = sys.argv[1:3]
HOME = pathlib.Path(__file__).parent / "dbt"
client = clickhouse_connect.get_client(host="127.0.0.1", port=int(HTTP))
checks = 0


def check(name, found, expected):
    global checks
    checks += 1
    assert found == expected, f"{name}: {found!r} instead of {expected!r}"


def dbt(project, driver, *arguments):
    own = pathlib.Path(sys.executable).parent / "dbt"
    environment = os.environ | {"HTTP_PORT": HTTP, "TCP_PORT": TCP, "DBT_DRIVER": driver, "DBT_PROFILES_DIR": str(project),
                                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    done = subprocess.run([own, "--no-use-colors", *arguments], cwd=project, env=environment, text=True, capture_output=True, timeout=240)
    assert done.returncode == 0, f"dbt {' '.join(arguments)} over {driver}:\n{done.stdout}{done.stderr}"
    return done.stdout


def rows(sql):
    return [tuple(row) for row in client.query(sql).result_rows]


for driver in ("http", "native"):
    with tempfile.TemporaryDirectory() as folder:
        project = pathlib.Path(folder) / "shop"
        shutil.copytree(HOME, project)
        database = f"shop_{driver}"
        client.command(f"DROP DATABASE IF EXISTS {database}")
        text = dbt(project, driver, "build")
        check("all built", "PASS=16 WARN=0 ERROR=0 SKIP=0" in text, True)
        check("customers", rows(f"SELECT customer, orders, amount FROM {database}.customers ORDER BY customer"),
              [("ann", 2, 109.5), ("bob", 2, 44.5), ("cid", 1, 1.0)])
        check("days", rows(f"SELECT toString(day), orders, amount FROM {database}.days ORDER BY day"),
              [("2026-01-01", 2, 13.0), ("2026-01-02", 1, 99.0), ("2026-01-03", 2, 43.0)])
        client.command(f"INSERT INTO {database}.orders_raw VALUES (6, 'dan', 500, '2026-01-03 12:00:00'), (7, 'ann', 700, '2026-01-04 08:00:00')")
        dbt(project, driver, "build", "--exclude", "resource_type:seed")
        days = [("2026-01-01", 13.0), ("2026-01-02", 99.0), ("2026-01-03", 48.0), ("2026-01-04", 7.0)]
        for table in ("days", "days_legacy", "days_overwrite"):
            check(table, rows(f"SELECT toString(day), amount FROM {database}.{table} ORDER BY day"), days)
        check("appended", rows(f"SELECT count(), max(id) FROM {database}.days_append"), [(7, 7)])
        check("live", rows(f"SELECT customer, sum(orders) FROM {database}.live GROUP BY customer ORDER BY customer"),
              [("ann", 3), ("bob", 2), ("cid", 1), ("dan", 1)])
        check("history", rows(f"SELECT count(), countIf(dbt_valid_to IS NULL) FROM {database}.customer_history"), [(5, 4)])
        dbt(project, driver, "run", "--full-refresh", "--exclude", "live")
        check("anew", rows(f"SELECT toString(day), amount FROM {database}.days ORDER BY day"), days)
        check("documented", "catalog" in dbt(project, driver, "docs", "generate").lower(), True)
        client.command(f"DROP DATABASE {database}")
print(f"{checks} checks")
