"""What a job may bring along by HTTP."""

from collections.abc import Iterable
from functools import cache

from twisted.web import error, http

from coinspider.daemon.configuration import local_configuration
from coinspider.daemon.job_check import check_spider_arguments
from coinspider.errors import ConfigurationError

# Arguments that lead a crawl to another address.
_ADDRESSES = frozenset({"url"})


def check_settings(given: Iterable[str]) -> None:
    """Raise for a setting that ``settings_allowed`` in ``scrapyd.conf`` does not name."""
    allowed = _allowed("settings_allowed")
    for setting in given:
        name = setting.partition("=")[0]
        if "=" not in setting or name not in allowed:
            raise request_error(
                f"setting {name} may not be given by HTTP: settings_allowed in scrapyd.conf"
                f" has {', '.join(sorted(allowed)) or 'none'}"
            )


def may_be_sent(given: Iterable[str]) -> bool:
    """Whether none of these arguments leads a crawl to an address that is not allowed."""
    return not (_ADDRESSES.intersection(given) - _allowed("arguments_allowed"))


def check_arguments(project: str, spider: str, given: dict[str, str]) -> None:
    """Raise for an argument that the command line would refuse, or that names an address."""
    if refused := (_ADDRESSES & given.keys()) - _allowed("arguments_allowed"):
        raise request_error(
            f"argument {', '.join(refused)} may not be given by HTTP, unless arguments_allowed in"
            " scrapyd.conf names it"
        )
    try:
        check_spider_arguments(project, spider, given)
    except ConfigurationError as problem:
        raise request_error(str(problem)) from None


def request_error(message: str) -> error.Error:
    # As scrapyd tells errors: with the status in the body.
    return error.Error(code=http.OK, message=message.encode())


@cache
def _allowed(option: str) -> frozenset[str]:
    return frozenset(local_configuration().get(option, "").replace(",", " ").split())
