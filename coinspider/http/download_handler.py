"""Scrapy's own HTTP download handler, which also says why it rejects a certificate."""

from functools import partial

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadFailedError
from scrapy.http import Response

from coinspider._compat import no_stack_search, replace_tls_policy
from coinspider.errors import UntrustedCertificateError
from coinspider.http.ca_file import check_ca_file

# Without the slowest part of its import.
with no_stack_search():
    from scrapy.core.downloader.handlers import http11

    from coinspider.http.tls import Authorities, VerifyingPolicy, certificate_problem


class HTTP11DownloadHandler(http11.HTTP11DownloadHandler):
    """Also trusts the authorities of ``DOWNLOAD_CA_FILE``."""

    def __init__(self, crawler: Crawler):
        super().__init__(crawler)
        if crawler.settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
            authorities = Authorities(check_ca_file(crawler.settings))
            replace_tls_policy(self, partial(VerifyingPolicy, authorities=authorities))

    async def download_request(self, request: Request) -> Response:
        try:
            return await super().download_request(request)
        except DownloadFailedError as error:
            if problem := certificate_problem(error.__cause__):
                raise UntrustedCertificateError(problem) from None
            raise
