"""A record that could not be stored, and why."""

from typing import NamedTuple

from coinspider.records.record import Source

TEXT_MAX = 100_000  # bytes


class RejectedRecord(NamedTuple):
    """A row of the table ``rejected_record``, with the record's own text, byte for byte.

    Bytes that are not UTF-8 and NUL characters, which PostgreSQL can't hold, appear as ``\\xff``.
    Only the first ``TEXT_MAX`` bytes of a text are kept.
    """

    source_url: str | None
    text: str
    reason: str
    column: str | None = None
    """The column, if only its value is set aside and the row is stored without it."""


class FieldSetAside(NamedTuple):
    """A field that is set aside while its record is stored: its column, its text, and why."""

    column: str
    text: bytes
    reason: str


def rejected_record(
    source: Source | None, text: bytes, reason: str, column: str | None = None
) -> RejectedRecord:
    url = source.url if source else None
    return RejectedRecord(url, storable(text[:TEXT_MAX]), reason, column)


def storable(text: bytes) -> str:
    """The text of a record in a form that PostgreSQL can hold."""
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
