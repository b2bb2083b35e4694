"""The dbt project in ``deploy/dbt``, run with the dbt that ``make dbt`` installs."""

import os
import subprocess
from datetime import timedelta
from decimal import Decimal

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.helpers.changes import NOW, History
from tests.helpers.needs import DBT
from tests.helpers.processes import PROJECT

# One process, because importing dbt takes most of a run's time; it builds for each line it reads.
BUILD = """
import sys
from dbt.cli.main import dbtRunner

for line in sys.stdin:
    built = dbtRunner().invoke(["--no-version-check", "--log-level", "error", "build"])
    print(built.success, *sorted({r.status.value for r in built.result}), flush=True)
"""
COINS = """
INSERT INTO full_coin (coin_id, vs_currency, symbol, name, extra)
SELECT key, 'usd', 'x', upper(key), '{}' FROM unnest('{a,b}'::text[]) AS key
"""
FACTS = """
SELECT name, iso_week, date::text, close FROM mart.fact_price_daily
JOIN mart.dim_coin USING (coin_id) JOIN mart.dim_date USING (date) ORDER BY name, date
"""


def environment(database_url, folder):
    parts = conninfo_to_dict(database_url)
    return os.environ | {
        "PGHOST": parts["host"],
        "PGUSER": parts["user"],
        "PGDATABASE": parts["dbname"],
        "PGPORT": str(parts.get("port", 5432)),
        "PGPASSWORD": parts.get("password", ""),
        "DBT_PROJECT_DIR": str(PROJECT / "deploy/dbt"),
        "DBT_PROFILES_DIR": str(PROJECT / "deploy/dbt"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }


@pytest.mark.needs("dbt (make dbt)")
def test_star_schema_is_built_and_then_brought_up_to_date(database_url, query, tmp_path):
    def change(coin, price, hours):
        return (coin, "usd", Decimal(price), None, None, NOW - timedelta(hours=hours))

    history = History(database_url).make(7)
    history.add(change("a", "1e-18", 24 * 5), change("a", 2, 24), change("b", "1e24", 24))
    query(COINS)
    with subprocess.Popen(
        [DBT, "-c", BUILD], env=environment(database_url, tmp_path), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as dbt:  # fmt: skip

        def build():
            dbt.stdin.write("\n")
            dbt.stdin.flush()
            assert dbt.stdout.readline().split() == ["True", "pass", "success"]
            return query(FACTS)

        first = build()
        assert first == [
            ("A", 24, "2025-06-10", Decimal("1e-18")),
            ("A", 24, "2025-06-14", Decimal(2)),
            ("B", 24, "2025-06-14", Decimal("1e24")),
        ]
        history.add(change("a", 3, 23), change("b", 4, 0))
        assert build() == [
            first[0],
            ("A", 24, "2025-06-14", Decimal(3)),
            first[2],
            ("B", 24, "2025-06-15", Decimal(4)),
        ]
        dbt.stdin.close()
