"""How a table is defined: its columns, its key, its options."""

from typing import LiteralString, NamedTuple

from psycopg import sql


class SqlColumn(NamedTuple):
    """A column of a table; its type is named as by PostgreSQL's ``format_type``."""

    type: LiteralString
    nullable: bool = True
    default: LiteralString | None = None
    is_identity: bool = False
    references: LiteralString | None = None
    since_added: bool = False
    """Whether the default is only for future rows: for existing ones the value is not known."""

    def definition(self) -> sql.SQL:
        """What follows the name in ``CREATE TABLE``."""
        parts: list[LiteralString] = [self.type]
        if not self.nullable:
            parts.append("NOT NULL")
        if self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        if self.is_identity:
            parts.append("GENERATED ALWAYS AS IDENTITY")
        if self.references:
            parts.append(f"REFERENCES {self.references}")
        return sql.SQL(" ".join(parts))

    def for_old_rows(self) -> "SqlColumn":
        """The same for a table with rows: the next crawl fills the column."""
        if self.since_added:
            return self._replace(nullable=True, default=None)
        return self if self.default is not None else self._replace(nullable=True)


class Table(NamedTuple):
    """A table: its columns by name, its primary key, and the rest of its definition.

    ``fill`` has the statements that fill columns added to a table with rows; ``made_with`` are the
    columns of its first version.
    """

    name: str
    columns: dict[str, SqlColumn]
    primary_key: list[str]
    options: LiteralString = ""
    fill: dict[str, LiteralString] = {}  # noqa: RUF012
    made_with: frozenset[str] = frozenset()

    @property
    def first_columns(self) -> frozenset[str]:
        """The columns of the table's first version, by which it is recognised."""
        return self.made_with or frozenset(self.columns)

    @property
    def is_partitioned(self) -> bool:
        return self.options.startswith("PARTITION BY")


TEXT, NEEDED_TEXT = SqlColumn("text"), SqlColumn("text", nullable=False)
TIME, NEEDED_TIME = (
    SqlColumn("timestamp with time zone"),
    SqlColumn("timestamp with time zone", nullable=False),
)
NOW = NEEDED_TIME._replace(default="now()")
FIRST_CRAWLED = TIME._replace(default="now()", since_added=True)
COUNT = SqlColumn("bigint", nullable=False, default="0")
IDENTITY = SqlColumn("bigint", nullable=False, is_identity=True)
