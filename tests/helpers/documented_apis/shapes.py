"""APIs that send all records at once, in unusual shapes; where the page does not say so, we do."""

from typing import Any

from tests.helpers.documented_apis.server import COUNT, THINGS, Request, api


@api("CoinPaprika", "https://api.coinpaprika.com/", price="quotes.USD.price", pagination="none")
def coinpaprika(_: Request) -> Any:
    return [{"id": f"c-{r['id']}", "quotes": {"USD": {"price": r["price"]}}} for r in THINGS]


@api("Binance", "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/"
     "market-data-endpoints#klinecandlestick-data", key="open_time", price="open",
     names="open_time,open,high,low,close", pagination="none")  # fmt: skip
def binance(_: Request) -> Any:
    start = 1499040000000
    return [[start + r["id"] * 60000, r["price"], "0.8", "0.01", "0.02", 5] for r in THINGS]


@api("Kraken", "https://docs.kraken.com/api/docs/rest-api/get-ticker-information",
     key="pair", price="o", pagination="none")  # fmt: skip
def kraken(_: Request) -> Any:
    pairs = {f"X{r['id']}USD": {"a": ["1.0", "1"], "o": r["price"]} for r in THINGS}
    return {"error": [], "result": pairs}


@api("DefiLlama", "https://api-docs.defillama.com/", key="key", pagination="none")
def defillama(_: Request) -> Any:
    coins = {f"ethereum:0x{r['id']:x}": {"decimals": 8, "price": r["price"]} for r in THINGS}
    return {"coins": coins}


@api("CoinGecko's simple/price", "https://docs.coingecko.com/reference/simple-price", key="key",
     price="usd", pagination="none")  # fmt: skip
def simple_price(_: Request) -> Any:
    return {f"coin-{row['id']}": {"usd": row["price"]} for row in THINGS}


@api("DataTables", "https://datatables.net/manual/server-side")
def datatables(_: Request) -> Any:
    return {"draw": 1, "recordsTotal": COUNT, "recordsFiltered": COUNT, "data": THINGS}


@api("OData v3", "https://www.odata.org/documentation/odata-version-3-0/json-verbose-format/",
     key="Id", pagination="none")  # fmt: skip
def odata_verbose(_: Request) -> Any:
    return {"d": {"results": [{"Id": row["id"], "price": row["price"]} for row in THINGS]}}
