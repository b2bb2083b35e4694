"""Which servers' certificates a crawl trusts."""

import os
from typing import Any

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from coinspider._compat import client_tls_options

_UNTRUSTED = "certificate verify failed"
_OWN_STORE = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Authorities:
    """The authorities of the system, of Mozilla, and of a file.

    OpenSSL's ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` replace the first two.
    """

    def __init__(self, ca_file: str | None):
        self.ca_file = ca_file

    def __call__(self, context: SSL.Context) -> None:
        context.set_default_verify_paths()
        if not any(map(os.environ.get, _OWN_STORE)):
            import certifi  # only for an API with TLS

            context.load_verify_locations(certifi.where())
        if self.ca_file:
            context.load_verify_locations(self.ca_file)


@implementer(IPolicyForHTTPS)
class VerifyingPolicy:
    """Scrapy's policy with other authorities, which it reads once for each host."""

    def __init__(self, scrapys: Any, authorities: Authorities):
        self._scrapys, self._authorities = scrapys, authorities
        self._creators: dict[tuple[bytes, int], Any] = {}

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:  # noqa: N802
        known = self._creators.get((hostname, port))
        if not known:
            known = client_tls_options(self._scrapys, hostname.decode(), self._authorities)
            self._creators[hostname, port] = known
        return known


def certificate_problem(error: BaseException | None) -> str | None:
    """What is wrong with a server's certificate, if that made a download fail."""
    for reason in getattr(error, "reasons", ()):
        value = reason.value
        if isinstance(value, (VerificationError, CertificateError)):
            return "its certificate is for another name"
        if isinstance(value, SSL.Error) and _UNTRUSTED in str(value):
            return (
                "its certificate is self-signed, expired, or from an unknown authority"
                " (DOWNLOAD_CA_FILE names one to trust)"
            )
    return None
