"""Whether a table of the right name is coinspider's, and can take what a crawl writes.

These problems would otherwise fail row by row, or go unnoticed.
"""

import logging

from coinspider.errors import ConfigurationError
from coinspider.store.definition import Table
from coinspider.store.found_table import FoundTable

logger = logging.getLogger(__name__)

_KINDS = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view",
    "f": "foreign table", "S": "sequence", "i": "index", "I": "index", "c": "type",
}  # fmt: skip
KEEP_APART = "rename it, or set POSTGRES_SCHEMA to a schema for coinspider's tables alone"
# Wider types that a user may have given a column.
_WIDER = {
    "integer": ("bigint", "numeric"),
    "smallint[]": ("integer[]", "bigint[]"),
    "bigint": ("numeric",),
    "text": ("character varying",),
}


def newer_columns(table: Table, found: FoundTable, recorded: set[str]) -> list[str]:
    """The columns of a newer coinspider, which this one does not know."""
    return sorted(recorded & found.columns.keys() - table.columns.keys())


def check_table(table: Table, found: FoundTable, recorded: set[str]) -> None:
    """Raises :exc:`ConfigurationError`, one line that says what to do.

    ``recorded`` are the columns that coinspider made, as recorded in the database.
    """
    wanted = "p" if table.is_partitioned else "r"
    if found.kind != wanted:
        raise ConfigurationError(
            f"{table.name} is a {_KINDS.get(found.kind, 'relation')}, where a {_KINDS[wanted]} is"
            f" needed: {KEEP_APART}"
        )
    _check_newer(table, found, recorded)
    if not recorded and (missing := sorted(table.first_columns - found.columns.keys())):
        raise ConfigurationError(
            f"the table {table.name} is not coinspider's, as it has no column"
            f" {', '.join(missing)}: {KEEP_APART}"
        )
    if missing := [name for name in table.primary_key if name not in found.columns]:
        raise ConfigurationError(
            f"the primary key of the table {table.name} can't get the column {', '.join(missing)}:"
            " rename the table, and a new one will be made"
        )
    _check_columns(table, found)
    if not any(set(key) == set(table.primary_key) for key in found.unique_keys):
        raise ConfigurationError(
            f"the table {table.name} has no primary key of {', '.join(table.primary_key)}, which"
            f" tells its rows apart: add one, or {KEEP_APART}"
        )
    if not found.may_write:
        raise ConfigurationError(
            f"the table {table.name} may not be written to: GRANT SELECT, INSERT, UPDATE on it to"
            " the user of DATABASE_URL"
        )
    if found.has_rules:
        raise ConfigurationError(
            f"the table {table.name} has a rule, which may swallow rows: DROP RULE, and use a"
            " trigger instead"
        )


def _check_newer(table: Table, found: FoundTable, recorded: set[str]) -> None:
    newer = newer_columns(table, found, recorded)
    if needed := [name for name in newer if found.columns[name].is_needed]:
        raise ConfigurationError(
            f"the table {table.name} belongs to a newer coinspider, which needs the column"
            f" {', '.join(needed)}: update this one; or, if the field was taken out on purpose,"
            f" DROP the column"
        )
    if newer:
        logger.warning(
            "A newer coinspider has been here: this one leaves %s of the table %s as it is",
            ", ".join(newer),
            table.name,
        )


def _check_columns(table: Table, found: FoundTable) -> None:
    for name, column in table.columns.items():
        there = found.columns.get(name)
        if there and not holds(there.type, column.type):
            raise ConfigurationError(
                f"the column {name} of the table {table.name} is {there.type}, where"
                f" {column.type} is needed: ALTER its type, or rename the table, and a new one"
                " will be made"
            )
        if there and column.is_identity and not there.has_default:
            raise ConfigurationError(
                f"the column {name} of the table {table.name} does not number the rows:"
                f" make it GENERATED ALWAYS AS IDENTITY, or {KEEP_APART}"
            )
        if there and there.is_generated and not column.is_identity:
            raise ConfigurationError(
                f"the column {name} of the table {table.name} is generated, where a crawl has to"
                f" write it: DROP EXPRESSION, or {KEEP_APART}"
            )
    for name in sorted(found.columns.keys() - table.columns.keys()):
        own = found.columns[name]
        if own.is_needed:
            raise ConfigurationError(
                f"the table {table.name} has a column {name} of your own that may not be null:"
                " give it a DEFAULT, or DROP NOT NULL"
            )


def holds(found: str, needed: str) -> bool:
    """Whether a column of type ``found`` holds every value of ``needed`` unchanged."""
    return found == needed or found in _WIDER.get(needed, ())
