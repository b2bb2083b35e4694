"""``scrapy alert``: a test of ``ALERT_URL``."""

import argparse

from coinspider.crawl.command import PlainCommand, WrongUsageError, one_line_errors


class Command(PlainCommand):
    """Sends one alert, as scrapyd does when crawls fail."""

    summary = "Send a test alert to ALERT_URL"
    examples = (
        "ALERT_URL=https://alerts.example/coins scrapy alert",
        "ALERT_URL=ntfy://coins scrapy alert",
    )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.daemon.alerts.watch import Alert, receiver

        self.reject_arguments(args)
        assert self.settings
        with one_line_errors():
            where = receiver(self.settings)
        if where is None:
            raise WrongUsageError(
                "ALERT_URL is not set: the address to send to, in the environment or in .env"
            )
        problem = where.send(Alert("test", "test", "nothing is wrong, this is a test").fields())
        print(f"{where.host}: {problem or 'the alert was taken'}")
        self.exitcode = 1 if problem else 0
