"""Records that are set aside: what could not be stored, and why."""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import AsyncConnection

_INSERT = """
INSERT INTO rejected_record (crawl_id, source_url, text, reason) VALUES (%s, %s, %s, %s)
"""


class RejectedRecord(NamedTuple):
    """A row of the table ``rejected_record``; its text is the record's own, byte for byte.

    Bytes that are not UTF-8 and NUL characters, which PostgreSQL can't hold, appear as ``\\xff``.
    """

    source_url: str | None
    text: str
    reason: str


def readable(text: bytes) -> str:
    """The text of a record in a form that PostgreSQL can hold."""
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


async def quarantine(
    connection: AsyncConnection, crawl_id: int, records: Sequence[RejectedRecord]
) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(_INSERT, [(crawl_id, *record) for record in records])
