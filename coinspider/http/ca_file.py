"""The file of additional certificate authorities that a crawl trusts."""

import ssl

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError


def check_ca_file(settings: BaseSettings) -> str | None:
    """``DOWNLOAD_CA_FILE``. Raises :exc:`ConfigurationError` if it has no certificate."""
    path: str | None = settings.get("DOWNLOAD_CA_FILE")
    if path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            raise ConfigurationError(
                f"DOWNLOAD_CA_FILE={path} has no certificate in PEM form"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"DOWNLOAD_CA_FILE={path}: {error.strerror}") from None
    return path
