"""What a job may bring along by HTTP."""

from collections.abc import Iterable
from functools import cache

from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings
from scrapyd import Config
from twisted.web import error, http

from coinspider.crawl.arguments import parse_arguments
from coinspider.daemon.schedules.schedule import PROJECT
from coinspider.errors import ConfigurationError

# Arguments that lead a crawl to another address.
_ADDRESSES = frozenset({"url"})


def check_settings(given: Iterable[str]) -> None:
    """Raise for a setting that ``settings_allowed`` in ``scrapyd.conf`` does not name."""
    allowed = _allowed("settings_allowed")
    for setting in given:
        name = setting.partition("=")[0]
        if "=" not in setting or name not in allowed:
            raise refusal(
                f"setting {name} may not be given by HTTP: settings_allowed in scrapyd.conf"
                f" has {', '.join(sorted(allowed)) or 'none'}"
            )


def check_arguments(project: str, spider: str, given: dict[str, str]) -> None:
    """Raise for an argument that the command line would refuse, or that names an address."""
    if refused := (_ADDRESSES & given.keys()) - _allowed("arguments_allowed"):
        raise refusal(
            f"argument {', '.join(refused)} may not be given by HTTP, unless arguments_allowed in"
            " scrapyd.conf names it"
        )
    spider_class = _spiders().get(spider) if project in (PROJECT, "default") else None
    declaration = getattr(spider_class, "arguments_class", None)
    if declaration:
        try:
            parse_arguments(declaration, given)
        except ConfigurationError as problem:
            raise refusal(str(problem)) from None
    elif replaced := [name for name in given if hasattr(spider_class, name)]:
        raise refusal(f"argument {', '.join(replaced)} is no argument of {spider}")


def refusal(message: str) -> error.Error:
    # As scrapyd tells errors: with the status in the body.
    return error.Error(code=http.OK, message=message.encode())


@cache
def _spiders() -> dict[str, type]:
    loader = SpiderLoader.from_settings(get_project_settings())
    return {name: loader.load(name) for name in loader.list()}


@cache
def _allowed(option: str) -> frozenset[str]:
    return frozenset(Config().get(option, "").replace(",", " ").split())
