"""``scrapy deploy``: sends this project to a scrapyd, or says clearly why not."""

import argparse
import json
import subprocess
import sys
import time

from scrapy.commands import ScrapyCommand

from coinspider.crawl.command import WrongUsageError, reject_options, set_up
from coinspider.secrets import masked
from coinspider.text import say, visible

# As requests calls it, in a line with addresses of objects.
_UNREACHABLE = "Max retries exceeded"


class Command(ScrapyCommand):
    """Runs ``scrapyd-deploy``, which reports success even if scrapyd can't use the egg.

    A version that scrapyd can't use is deleted again, so that the last one stays in use.
    """

    requires_project = True
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012 (Scrapy declares it)

    def syntax(self) -> str:
        return "[TARGET]"

    def short_desc(self) -> str:
        return "Deploy the project to a scrapyd: [deploy:TARGET] of scrapy.cfg"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        set_up(parser, ("scrapy deploy", "scrapy deploy production"))
        super().add_options(parser)
        self.parser = parser

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        reject_options(self.parser, args)
        if len(args) > 1:
            raise WrongUsageError("give one target, or none for [deploy]")
        name, target = _target(args[0] if args else "default")
        assert self.crawler_process
        if not self.crawler_process.spider_loader.list():
            raise WrongUsageError("the project has no spider: nothing to deploy")
        version = str(int(time.time()))
        problem = _deploy(name, version)
        if problem is None:
            print(f"Deployed version {version} of {target['project']} to {target['url']}")
            return
        say(f"Not deployed to {target['url']}: {problem}")
        _take_away(target, version)
        self.exitcode = 1


def _target(name: str) -> tuple[str, dict[str, str]]:
    from scrapyd_client.utils import get_config

    config = get_config()
    section = "deploy" if name == "default" else f"deploy:{name}"
    if not config.has_section(section):
        known = [part for part in config.sections() if part.split(":")[0] == "deploy"]
        raise WrongUsageError(f"scrapy.cfg has no [{section}]: it has {', '.join(known)}")
    target = dict(config.items("deploy")) if config.has_section("deploy") else {}
    return name, target | dict(config.items(section))


def _deploy(target: str, version: str) -> str | None:
    """Build the egg and upload it; what went wrong, if anything did."""
    command = [sys.executable, "-m", "scrapyd_client.deploy", target, "--version", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer: dict[str, object] = json.loads(done.stdout)
    except ValueError:
        return done.stdout.strip() or _reason(done.stderr) or f"status {done.returncode}"
    if answer.get("status") != "ok":
        # Of a traceback the last line says what is wrong.
        return str(answer.get("message", answer)).strip().splitlines()[-1]
    return None if answer.get("spiders") else "scrapyd finds no spider in it"


def _reason(log: str) -> str:
    """The last line of what ``scrapyd-deploy`` logged."""
    if _UNREACHABLE in log:
        return "no scrapyd answers there"
    lines = log.strip().splitlines()
    return visible(masked(lines[-1])) if lines else ""


def _take_away(target: dict[str, str], version: str) -> None:
    import requests
    from scrapyd_client import ScrapydClient
    from scrapyd_client.exceptions import ErrorResponse, MalformedResponse

    user, password = target.get("username"), target.get("password")
    client = ScrapydClient(target["url"].rstrip("/"), user, password)
    try:
        client.delversion(target["project"], version)
    except (requests.RequestException, ErrorResponse, MalformedResponse):
        # It never arrived there.
        return
    say(f"Version {version} is removed again")
