"""Checks before a job is scheduled that it can work: its project, its spider, its arguments."""

import re
from collections.abc import Mapping
from functools import cache

from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings
from scrapyd import Config
from scrapyd.utils import get_project_list

from coinspider.crawl.arguments import parse_arguments
from coinspider.daemon.configuration import sections
from coinspider.daemon.protocols import Message
from coinspider.errors import ConfigurationError

PROJECT = "coinspider"
# scrapyd's names for the project in its own folder, whose spiders can be inspected.
_OWN_PROJECTS = (PROJECT, "default")
JOB = re.compile(r"[\w.:-]{1,200}")
# Arguments that lead a crawl to another address.
ADDRESSES = frozenset({"url"})


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


def names_in(config: Config, option: str) -> frozenset[str]:
    """The names in an option such as ``settings_allowed``."""
    return frozenset(config.get(option, "").replace(",", " ").split())


class JobRules:
    """What a job may be, whoever wrote it into the queue: a row may not what ``schedule.json`` may
    not, except for what the schedules of this scrapyd's own files say.
    """

    def __init__(self, config: Config):
        self.settings = names_in(config, "settings_allowed")
        self.addresses = ADDRESSES - names_in(config, "arguments_allowed")
        self.has_eggs = config.getboolean("egg_upload", False)
        self.scheduled = {
            (name.lower(), value)
            for section, options in sections(config).items()
            if section.startswith("schedule:")
            for name, value in options.items()
        }

    def check(self, message: Message, arguments: Mapping[str, str]) -> None:
        """Raise :exc:`ConfigurationError` for a message that scrapyd must not run."""
        texts = [*arguments, *arguments.values(), message["_spider"], message["_project"]]
        if not JOB.fullmatch(str(message["_job"])) or any("\0" in str(text) for text in texts):
            raise ConfigurationError("its id, its spider or an argument is none that can be sent")
        if message.get("_version") and not self.has_eggs:
            raise ConfigurationError("it runs an egg, and scrapyd.conf has no egg_upload = yes")
        for name, value in dict(message.get("settings") or {}).items():
            self._check_origin("setting", name, value, name in self.settings)
        for name in self.addresses & arguments.keys():
            self._check_origin("argument", name, arguments[name], False)
        check_spider_arguments(message["_project"], message["_spider"], arguments)

    def _check_origin(self, kind: str, name: str, value: object, is_allowed: bool) -> None:
        if not is_allowed and (f"{kind}.{name}".lower(), str(value)) not in self.scheduled:
            raise ConfigurationError(
                f"its {kind} {name} is neither allowed by scrapyd.conf nor that of a schedule there"
            )


@cache
def spiders() -> dict[str, type]:
    """The spider classes of this project, by name."""
    loader = SpiderLoader.from_settings(get_project_settings())
    return {name: loader.load(name) for name in loader.list()}
