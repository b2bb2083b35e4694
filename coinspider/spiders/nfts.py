"""CoinGecko's NFT collections."""

from coinspider.http.pagination import PageNumber
from coinspider.items import NftCollection
from coinspider.spiders.coins import CoinGeckoSpider


class NftsSpider(CoinGeckoSpider):
    """https://docs.coingecko.com/reference/nfts-list"""

    name = "nfts"
    path = "nfts/list"
    item_class = NftCollection
    pagination = PageNumber(limit=250)
