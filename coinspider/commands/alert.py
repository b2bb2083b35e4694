"""``scrapy alert``: a test of the webhook in ``ALERT_URL``."""

import argparse

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError


class Command(ScrapyCommand):
    """Sends one alert, as scrapyd does when crawls fail."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)

    def short_desc(self) -> str:
        return "Send a test alert to ALERT_URL"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.daemon.alerts.alert import Alert
        from coinspider.daemon.alerts.webhook import Webhook
        from coinspider.errors import ConfigurationError

        assert self.settings
        try:
            webhook = Webhook.from_settings(self.settings)
        except ConfigurationError as error:
            raise UsageError(str(error), print_help=False) from None
        if webhook is None:
            raise UsageError("ALERT_URL is not set: the address to send to", print_help=False)
        problem = webhook.send(Alert("test", "test", "nothing is wrong, this is a test").fields())
        print(f"{webhook.host}: {problem or 'the alert was taken'}")
        self.exitcode = 1 if problem else 0
