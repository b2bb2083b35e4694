"""Checks before a job is scheduled that it can work: its project, its spider, its arguments."""

from collections.abc import Mapping
from functools import cache

from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings
from scrapyd import Config
from scrapyd.utils import get_project_list

from coinspider.crawl.arguments import parse_arguments
from coinspider.errors import ConfigurationError

PROJECT = "coinspider"
# scrapyd's names for the project in its own folder, whose spiders can be inspected.
_OWN_PROJECTS = (PROJECT, "default")


def check_project(config: Config, project: str) -> None:
    """Raise :exc:`ConfigurationError` for a project that scrapyd does not have."""
    known = get_project_list(config)
    if project not in known:
        raise ConfigurationError(f"there is no project {project}: there are {', '.join(known)}")


def check_spider(project: str, spider: str) -> None:
    """Raise :exc:`ConfigurationError` for a spider that this project does not have.

    An egg's spiders are known only in its own process.
    """
    if project in _OWN_PROJECTS and spider not in spiders():
        raise ConfigurationError(f"no spider is named {spider}: there are {', '.join(spiders())}")


def check_spider_arguments(project: str, spider: str, given: Mapping[str, str]) -> None:
    """Raise :exc:`ConfigurationError` for an argument that the command line would reject."""
    spider_class = spiders().get(spider) if project in _OWN_PROJECTS else None
    declaration = getattr(spider_class, "arguments_class", None)
    if declaration:
        parse_arguments(declaration, dict(given))
    elif replaced := [name for name in given if hasattr(spider_class, name)]:
        raise ConfigurationError(f"the spider {spider} has no argument {', '.join(replaced)}")


@cache
def spiders() -> dict[str, type]:
    """The spider classes of this project, by name."""
    loader = SpiderLoader.from_settings(get_project_settings())
    return {name: loader.load(name) for name in loader.list()}
