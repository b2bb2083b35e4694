"""The rows that a load should produce, from an independent reading of the pages."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg

from benchmarks.loaders.simple_script import FIELDS, sql_type

TABLE = f"""
DROP TABLE IF EXISTS expected;
CREATE TABLE expected ({", ".join(f"{name} {sql_type(name)}" for name in FIELDS)}, PRIMARY KEY (id))
"""


def write_rows(pages: Path) -> Path:
    """Write a file for ``COPY`` with the pages' coins, each number with the digits of its text."""
    path = pages.with_suffix(".copy")
    if not path.exists():
        path.write_text("".join(_rows(pages)))
    return path


def _rows(pages: Path) -> Iterator[str]:
    for page in pages.iterdir():
        for coin in json.loads(page.read_text(), parse_float=Decimal, parse_int=Decimal):
            yield "\t".join(_field(coin[name]) for name in FIELDS) + "\n"


def _field(value: object) -> str:
    return r"\N" if value is None else str(value).replace("\\", r"\\").replace("\t", r"\t")


def load_expected(database_url: str, rows: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLE)
        with connection.cursor().copy("COPY expected FROM STDIN") as copy:
            copy.write(rows.read_bytes())


def inexact_rows(database_url: str, key: str) -> int:
    """How many rows of ``full_coin`` are missing, wrong, or too many."""
    differs = " OR ".join(
        f"stored.{name} IS DISTINCT FROM expected.{name}"
        if sql_type(name) != "numeric"
        # 7.0 is not 7: every digit counts.
        else f"stored.{name}::text IS DISTINCT FROM expected.{name}::text"
        for name in FIELDS[1:]
    )
    query = f"""
        SELECT count(*) FROM expected FULL JOIN full_coin AS stored ON stored.{key} = expected.id
        WHERE stored.{key} IS NULL OR expected.id IS NULL OR {differs}
    """  # noqa: S608
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchone()[0]
