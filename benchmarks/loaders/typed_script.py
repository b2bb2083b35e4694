"""Plain Python at its best: msgspec types, one upsert per page, no framework."""

import http.client
import os
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit

import msgspec
import psycopg
from msgspec import Raw, Struct


class Coin(Struct):
    id: str
    symbol: str
    name: str
    image: str | None
    current_price: Decimal | None
    market_cap: Decimal | None
    market_cap_rank: int | None
    fully_diluted_valuation: Decimal | None
    total_volume: Decimal | None
    high_24h: Decimal | None
    low_24h: Decimal | None
    price_change_24h: Decimal | None
    price_change_percentage_24h: Decimal | None
    market_cap_change_24h: Decimal | None
    market_cap_change_percentage_24h: Decimal | None
    circulating_supply: Decimal | None
    total_supply: Decimal | None
    max_supply: Decimal | None
    ath: Decimal | None
    ath_change_percentage: Decimal | None
    ath_date: datetime | None
    atl: Decimal | None
    atl_change_percentage: Decimal | None
    atl_date: datetime | None
    roi: Raw
    last_updated: datetime | None


SQL_TYPES = {str: "text", Decimal: "numeric", int: "bigint", datetime: "timestamptz", Raw: "jsonb"}
TYPES = {
    name: SQL_TYPES[getattr(hint, "__args__", [hint])[0]]
    for name, hint in Coin.__annotations__.items()
}
COLUMNS = ", ".join(TYPES)
CREATE = f"""
CREATE TABLE IF NOT EXISTS full_coin (
    {", ".join(f"{name} {type_}" for name, type_ in TYPES.items())},
    vs_currency text DEFAULT 'usd', PRIMARY KEY (id, vs_currency)
)"""
UPSERT = f"""
INSERT INTO full_coin ({COLUMNS})
SELECT {COLUMNS} FROM json_to_recordset(%s::json)
    AS ({", ".join(f"{name} {type_}" for name, type_ in TYPES.items())})
ON CONFLICT (id, vs_currency) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in TYPES)}
"""  # noqa: S608
decode = msgspec.json.Decoder(list[Coin]).decode
encode = msgspec.json.Encoder(decimal_format="number").encode


def main() -> None:
    url = urlsplit(os.environ["API_URL"])
    api = http.client.HTTPConnection(url.netloc)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(CREATE)
        page = 1
        while True:
            api.request("GET", f"{url.path}/coins/markets?vs_currency=usd&per_page=250&page={page}")
            coins = decode(api.getresponse().read())
            if not coins:
                return
            connection.execute(UPSERT, [encode(coins).decode()])
            page += 1


if __name__ == "__main__":
    main()
