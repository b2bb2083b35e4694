"""Adds a token to a request's query at the last moment, so that nothing logs it."""

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

from coinspider.http.credentials import TOKEN_META
from coinspider.http.download_handler import HTTP11DownloadHandler


class TokenParameterDownloadHandler(HTTP11DownloadHandler):
    """Adds the API's token to the query as ``API_TOKEN_PARAMETER``, at the last moment.

    The rest of the crawl sees and logs requests and responses without it.
    """

    def __init__(self, crawler: Crawler):
        super().__init__(crawler)
        self.parameter = crawler.settings.get("API_TOKEN_PARAMETER")
        credential_setting = getattr(crawler.spider, "credential_setting", "API_TOKEN")
        self.token = crawler.settings.get(credential_setting)

    async def download_request(self, request: Request) -> Response:
        if not self.token or not request.meta.get(TOKEN_META):
            return await super().download_request(request)
        url = add_or_replace_parameter(request.url, self.parameter, self.token)
        sent = request.replace(url=url)
        try:
            response = await super().download_request(sent)
        except Exception as error:
            error.args = tuple(str(arg).replace(url, request.url) for arg in error.args)
            raise
        # Scrapy expects the latency and other facts in the request that it knows.
        request.meta.update(sent.meta)
        return response.replace(url=request.url)
