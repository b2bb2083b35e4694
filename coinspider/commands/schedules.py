"""``scrapy schedules``: what runs when, and which file says so."""

import argparse
from collections.abc import Iterator

from coinspider.crawl.command import PlainCommand, one_line_errors
from coinspider.secrets import masked_arguments


class Command(PlainCommand):
    """The schedules of ``scrapyd.conf`` and ``scrapyd.local.conf``; needs no running scrapyd."""

    summary = "Show what runs when, and which file says so"
    examples = ("scrapy schedules",)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        with one_line_errors():
            for line in _lines():
                print(line)


def _lines() -> Iterator[str]:
    """Raises :exc:`ConfigurationError` for a schedule that can't work."""
    from coinspider.daemon.configuration import files_of_times, local_configuration, sections
    from coinspider.daemon.schedules.schedule import check_schedules, read_schedules

    config = local_configuration()
    found = read_schedules(sections(config), files_of_times(config))
    check_schedules(config, found)
    if not found:
        yield "none: scrapyd.conf has no section [schedule:NAME]"
    for one in found:
        given = "".join(
            f" {name}={value}" for name, value in masked_arguments(one.arguments).items()
        )
        when = one.said if one.enabled else "not enabled"
        yield f"{one.name}: {one.spider}{given}, {when} ({one.file})"
