"""What users might put into Scrapy that gives requests up."""

from scrapy import signals
from scrapy.exceptions import IgnoreRequest


def is_second(request):
    return "page=2" in request.url


class IgnoringDownloader:
    """A downloader middleware that says why."""

    def process_request(self, request):
        if is_second(request):
            raise IgnoreRequest("not on Sundays")


class SilentMiddleware:
    """A spider middleware."""

    async def process_spider_output(self, response, result):
        async for output in result:
            if not is_second(output):
                yield output


class SilentExtension:
    @classmethod
    def from_crawler(cls, crawler):
        extension = cls()
        crawler.signals.connect(extension.request_scheduled, signals.request_scheduled)
        return extension

    def request_scheduled(self, request):
        if is_second(request):
            raise IgnoreRequest("nobody sees this")
