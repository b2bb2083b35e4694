"""``scrapy psql``: opens the database, wherever it is."""

import argparse
import re
import signal
import subprocess

from coinspider.crawl.command import PlainCommand, one_line_errors


class Command(PlainCommand):
    """Runs psql on ``DATABASE_URL``, or on the embedded server, which it starts if necessary.

    Options that are not Scrapy's own are psql's.
    """

    summary = "Open psql on the crawl's database"
    usage = "[-c SQL] [--url] [--demo] [psql's options]"
    examples = (
        "scrapy psql",
        "scrapy psql -c 'SELECT count(*) FROM full_coin'",
        "scrapy psql --csv -f report.sql",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        add = parser.add_argument
        add("-c", dest="sql", metavar="SQL", action="append", default=[], help="run this and exit")
        parser.add_argument("--url", action="store_true", help="print the database's URL and exit")
        parser.add_argument("--demo", action="store_true", help="the demo's database")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.store.connection import database_settings
        from coinspider.store.database_url import for_programs
        from coinspider.store.embedded_server import bundled_program

        assert self.settings
        with one_line_errors():
            database = database_settings(self.settings, opts.demo)
        url = str(database.url)
        if opts.url:
            print(url)
            return
        without_password, environment = for_programs(url)
        if database.schema:
            # Spaces part the options: https://www.postgresql.org/docs/current/libpq-connect.html
            path = re.sub(r"([\\\s])", r"\\\1", database.search_path)
            environment["PGOPTIONS"] = f"-c search_path={path}"
        command = [str(bundled_program("psql")), "-d", without_password, *args]
        for text in opts.sql:
            command += ["-c", text]
        # Ctrl-C is for psql alone, which cancels a statement and stays. A signal that is ignored,
        # unlike one with a handler, would be ignored by psql as well.
        signal.signal(signal.SIGINT, lambda *_: None)
        self.exitcode = subprocess.run(command, env=environment, check=False).returncode
