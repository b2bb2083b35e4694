"""``scrapy alert``: a test of ``ALERT_URL``."""

import argparse

from scrapy.exceptions import UsageError

from coinspider.crawl.command import PlainCommand, one_line_errors


class Command(PlainCommand):
    """Sends one alert, as scrapyd does when crawls fail."""

    examples = (
        "ALERT_URL=https://alerts.example/coins scrapy alert",
        "ALERT_URL=ntfy://coins scrapy alert",
    )

    def short_desc(self) -> str:
        return "Send a test alert to ALERT_URL"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.daemon.alerts.watch import Alert, receiver

        self.reject_arguments(args)
        assert self.settings
        with one_line_errors():
            where = receiver(self.settings)
        if where is None:
            raise UsageError(
                "ALERT_URL is not set: the address to send to, in the environment or in .env",
                print_help=False,
            )
        problem = where.send(Alert("test", "test", "nothing is wrong, this is a test").fields())
        print(f"{where.host}: {problem or 'the alert was taken'}")
        self.exitcode = 1 if problem else 0
