"""Finds a coin by what people call it."""

from typing import Any

from psycopg import Connection

from coinspider.daemon.web.templating import link
from coinspider.errors import ViewError
from coinspider.items import FullCoin
from coinspider.store.queries import find_row

_NAMED = """
SELECT coin_id FROM full_coin
WHERE vs_currency = %(currency)s AND (lower(symbol) = %(text)s OR lower(name) = %(text)s)
ORDER BY delisted_at IS NOT NULL, market_cap_rank NULLS LAST, coin_id LIMIT 1
"""
_CURRENCIES = "SELECT vs_currency FROM full_coin WHERE coin_id = %s ORDER BY 1"


class UnknownCoinError(ViewError):
    """No coin has this id, symbol or name; ``links`` lead to what may have been meant."""

    def __init__(self, text: str, currency: str, links: dict[str, str]):
        super().__init__(404, f"There is no coin {text[:100]} in {currency[:20]}.")
        self.links = links


def find_coin(connected: Connection, coin_id: str, currency: str) -> dict[str, Any]:
    """The row of an id. Raises :exc:`UnknownCoinError`."""
    coin = find_row(connected, FullCoin, coin_id, {"vs_currency": currency})
    if coin:
        return coin
    others = coin_currencies(connected, coin_id)
    links = {f"it in {code}": f"coin{link({}, id=coin_id, currency=code)}" for code in others}
    if named := _named(connected, coin_id, currency):
        links[named] = f"coin{link({}, id=named, currency=currency)}"
    links["a search for it"] = f"coins{link({}, search=coin_id[:100], currency=currency)}"
    raise UnknownCoinError(coin_id, currency, links)


def find_named_coin(connected: Connection, text: str, currency: str) -> dict[str, Any]:
    """The row of an id or, else, of a symbol or name. Raises :exc:`UnknownCoinError`."""
    try:
        return find_coin(connected, text, currency)
    except UnknownCoinError:
        named = _named(connected, text, currency)
        if not named:
            raise
        return find_coin(connected, named, currency)


def coin_currencies(connected: Connection, coin_id: str) -> list[str]:
    """The currencies in which it was crawled."""
    return [currency for (currency,) in connected.execute(_CURRENCIES, [coin_id])]


def _named(connected: Connection, text: str, currency: str) -> str | None:
    """The id of the largest coin with this symbol or name."""
    values = {"currency": currency, "text": text.strip().lower()}
    row = connected.execute(_NAMED, values).fetchone()
    return row[0] if row else None
