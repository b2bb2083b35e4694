"""A script of half an hour's work: httpx, ``parse_float=Decimal``, ``executemany``."""

import json
import os
from decimal import Decimal

import httpx
import psycopg

FIELDS = """
id symbol name image current_price market_cap market_cap_rank fully_diluted_valuation total_volume
high_24h low_24h price_change_24h price_change_percentage_24h market_cap_change_24h
market_cap_change_percentage_24h circulating_supply total_supply max_supply ath
ath_change_percentage ath_date atl atl_change_percentage atl_date last_updated
""".split()  # noqa: SIM905
TEXTS = ("id", "symbol", "name", "image")


def sql_type(name: str) -> str:
    if name in TEXTS:
        return "text"
    return "timestamptz" if name.endswith(("_date", "_updated")) else "numeric"


CREATE = f"""
CREATE TABLE IF NOT EXISTS full_coin (
    {", ".join(f"{name} {sql_type(name)}" for name in FIELDS)},
    vs_currency text DEFAULT 'usd', PRIMARY KEY (id, vs_currency)
)"""
UPSERT = f"""
INSERT INTO full_coin ({", ".join(FIELDS)}) VALUES ({", ".join(["%s"] * len(FIELDS))})
ON CONFLICT (id, vs_currency) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in FIELDS)}
"""  # noqa: S608


def main() -> None:
    url = f"{os.environ['API_URL']}/coins/markets"
    with httpx.Client() as api, psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(CREATE)
        page = 1
        while True:
            query = {"vs_currency": "usd", "per_page": 250, "page": page}
            coins = json.loads(api.get(url, params=query).text, parse_float=Decimal)
            if not coins:
                return
            with connection.cursor() as cursor:
                cursor.executemany(UPSERT, [[coin[name] for name in FIELDS] for coin in coins])
            connection.commit()
            page += 1


if __name__ == "__main__":
    main()
