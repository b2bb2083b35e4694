"""``scrapy database``: gives other programs the database, or dumps, restores or moves it."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING

from scrapy.settings import BaseSettings

from coinspider.crawl.command import PlainCommand, WrongUsageError, one_line_errors, reject_options
from coinspider.errors import ConfigurationError, DatabaseError
from coinspider.text import counted

if TYPE_CHECKING:
    from coinspider.store.database_url import DatabaseSettings


class Command(PlainCommand):
    """Every action uses ``DATABASE_URL``, or else the embedded server."""

    summary = "Connect other programs to the database, dump it, restore it, or move it"
    usage = "url | dump FILE | restore FILE | move URL | role NAME"
    description = (
        "url: print its URL for other programs, and keep the embedded PostgreSQL running until"
        " Ctrl-C. dump FILE: write all of it to a file, in pg_dump's custom format."
        " restore FILE: read such a file into the database, which must be empty. move URL: copy"
        " all of it, with its history, to the empty database at URL. role NAME: make a user"
        " that can only read what crawls stored, with POSTGRES_ROLE_PASSWORD or a password that"
        " is shown once; again after the first crawl of another table."
    )
    examples = (
        "scrapy database url",
        "scrapy database dump coins.dump",
        "scrapy database move postgresql://me:secret@host/coins",
        "scrapy database role reader",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--demo", action="store_true", help="the demo's database")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.store.connection import database_settings

        actions: dict[tuple[str, int], Callable[..., None]] = {
            ("url", 1): _show,
            ("dump", 2): _dump,
            ("restore", 2): _restore,
            ("move", 2): _move,
            ("role", 2): partial(_role, self.settings),
        }
        reject_options(self.parser, args)
        action = actions.get((args[0], len(args))) if args else None
        if action is None:
            raise WrongUsageError(f"give one of: {self.syntax()}")
        assert self.settings
        with one_line_errors():
            action(database_settings(self.settings, opts.demo), *args[1:])


def _show(database: "DatabaseSettings") -> None:
    print(database.url, flush=True)
    try:
        Event().wait()
    except KeyboardInterrupt:
        return


def _dump(database: "DatabaseSettings", file: str) -> None:
    from coinspider.store.transfer import count_rows, dump

    if Path(file).exists():
        raise ConfigurationError(f"{file} exists already: name another file, or remove it")
    dump(str(database.url), Path(file), database.schema)
    _tell(f"Written to {file}:", count_rows(str(database.url), database.schema))


def _restore(database: "DatabaseSettings", file: str) -> None:
    from coinspider.store.database_url import describe
    from coinspider.store.transfer import count_rows, restore

    if not Path(file).is_file():
        raise ConfigurationError(f"there is no file {file}")
    url = str(database.url)
    try:
        restore(url, Path(file), database.schema)
    except DatabaseError as error:
        raise DatabaseError(f"{file} is not restored: {error}") from None
    _tell(f"Restored into {describe(url)}:", count_rows(url, database.schema))


def _move(database: "DatabaseSettings", target: str) -> None:
    from coinspider.store.database_url import check_url, describe
    from coinspider.store.transfer import check_is_empty, count_rows, dump, restore

    target, schema = check_url(target), database.schema
    # Before the dump, which may take long.
    check_is_empty(target, schema)
    with TemporaryDirectory(prefix="coinspider-") as directory:
        dump(str(database.url), Path(directory, "dump"), schema)
        restore(target, Path(directory, "dump"), schema)
    _tell(f"Copied to {describe(target)}:", count_rows(target, schema))
    print("From now on: DATABASE_URL=... of that database, in the environment or in .env")


def _role(settings: BaseSettings | None, database: "DatabaseSettings", name: str) -> None:
    from coinspider.store.database_url import describe
    from coinspider.store.reader import make_reader

    assert settings
    reader = make_reader(database, name, settings.get("POSTGRES_ROLE_PASSWORD"))
    where = describe(str(database.url))
    print(f"{name} can read {', '.join(reader.tables) or 'nothing yet'} of {where}")
    if not reader.tables:
        print("Run this again after the first crawl, which makes the tables")
    if reader.password:
        print(f"Its password, which is not shown again: {reader.password}")


def _tell(heading: str, tables: list[tuple[str, int]]) -> None:
    print(heading)
    for name, rows in tables:
        print(f"  {name}: {counted(rows, 'row')}")
