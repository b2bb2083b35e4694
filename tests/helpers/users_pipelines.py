"""Pipelines that users might put between those of coinspider."""

import asyncio
from dataclasses import dataclass

from scrapy.exceptions import DropItem

from coinspider.items import Asset, FullCoin
from coinspider.records.record import Record


def number(item):
    return int(item.coin_id[-7:])


class Change:
    def process_item(self, item):
        item.name += "!"
        return item


class Copy:
    def process_item(self, item):
        return FullCoin(coin_id=item.coin_id, vs_currency="usd", symbol="s", name="copy")


class Other:
    """Gives another item, which goes into another table."""

    def process_item(self, item):
        return Asset(asset_id=item.coin_id, symbol="s", name="n")


class Drop:
    def process_item(self, item):
        if number(item) % 2:
            raise DropItem("it is odd")
        return item


class DropRecord:
    def process_item(self, item):
        if isinstance(item, Record) and b'"coin-0000003"' in bytes(item.text):
            raise DropItem("not this one")
        return item


class Dict:
    def process_item(self, item):
        return {"coin_id": item.coin_id}


@dataclass
class Ticker:
    coin_id: str


class Dataclass:
    def process_item(self, item):
        return Ticker(item.coin_id)


class Nothing:
    def process_item(self, item):
        pass


class Raise:
    def process_item(self, item):
        if number(item) == 3:
            raise ZeroDivisionError
        return item


class Spoil:
    """Gives values that no column of their type can hold."""

    def process_item(self, item):
        if number(item) == 3:
            item.current_price = "dear"
        elif number(item) == 4:
            item.market_cap = object()
        elif number(item) == 5:
            item.name = None
        return item


class Same:
    """Gives the same coin each time."""

    def process_item(self, item):
        item.coin_id = "one"
        return item


class Unopened:
    async def open_spider(self):
        await asyncio.sleep(0)
        raise OSError("no such device")

    def process_item(self, item):
        return item
