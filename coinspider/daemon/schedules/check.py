"""Checks before scrapyd starts that the jobs of schedules can work, like ``schedule.json``."""

from collections.abc import Iterable

from scrapyd import Config

from coinspider.daemon.job_check import check_project, check_spider, check_spider_arguments
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.section import SECTION
from coinspider.errors import ConfigurationError


def check_schedules(config: Config, schedules: Iterable[Schedule]) -> None:
    """Raises :exc:`ConfigurationError` with the section's name. Disabled ones are checked too."""
    for schedule in schedules:
        try:
            check_project(config, schedule.project)
            check_spider(schedule.project, schedule.spider)
            check_spider_arguments(schedule.project, schedule.spider, schedule.arguments)
        except ConfigurationError as error:
            raise ConfigurationError(f"[{SECTION}{schedule.name}]: {error}") from None
