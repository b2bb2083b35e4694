"""Scrapy as tutorials show it: a pipeline with one ``INSERT`` and one commit per item."""

import json
import os
from decimal import Decimal

import psycopg
import scrapy
from scrapy.crawler import CrawlerProcess

from benchmarks.loaders.simple_script import CREATE, FIELDS, UPSERT


class CoinsSpider(scrapy.Spider):
    name = "coins"

    async def start(self):
        yield self.page(1)

    def page(self, number):
        url = f"{os.environ['API_URL']}/coins/markets?vs_currency=usd&per_page=250&page={number}"
        return scrapy.Request(url, cb_kwargs={"number": number})

    def parse(self, response, number):
        coins = json.loads(response.text, parse_float=Decimal)
        for coin in coins:
            yield {name: coin[name] for name in FIELDS}
        if coins:
            yield self.page(number + 1)


class PostgresPipeline:
    def open_spider(self):
        self.connection = psycopg.connect(os.environ["DATABASE_URL"])
        self.connection.execute(CREATE)

    def process_item(self, item):
        self.connection.execute(UPSERT, [item[name] for name in FIELDS])
        self.connection.commit()
        return item

    def close_spider(self):
        self.connection.close()


if __name__ == "__main__":
    process = CrawlerProcess(
        {
            "LOG_LEVEL": "INFO",
            "ITEM_PIPELINES": {PostgresPipeline: 100},
            "TELNETCONSOLE_ENABLED": False,
            "REMOTE_CONTROL_ENABLED": False,
        }
    )
    process.crawl(CoinsSpider)
    process.start()
