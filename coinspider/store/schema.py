"""The tables: of crawls, limits and rejected records, and those of each item."""

from collections.abc import Iterable
from typing import LiteralString, NamedTuple

from psycopg import sql

from coinspider.records.table_item import (
    Column,
    TableItem,
    candle_values,
    columns,
    history_columns,
    primary_key,
)


def identifiers(names: Iterable[str], *qualifier: str) -> sql.Composed:
    """``"a", "b"``, or ``"stored"."a", "stored"."b"``."""
    return sql.SQL(", ").join(sql.Identifier(*qualifier, name) for name in names)


def each(
    template: LiteralString,
    names: Iterable[str],
    between: LiteralString = ", ",
    **parts: sql.Composable,
) -> sql.Composed:
    """The template for each name, which is an identifier as ``{0}`` and a parameter as ``{1}``."""
    return sql.SQL(between).join(
        sql.SQL(template).format(sql.Identifier(name), sql.Placeholder(name), **parts)
        for name in names
    )


def all_of(conditions: Iterable[sql.Composable]) -> sql.Composable:
    """True without any."""
    given = list(conditions)
    return sql.SQL(" AND ").join(given) if given else sql.SQL("true")


# What a crawl writes, by type, with room to spare: neither infinity nor what no program can add up
# or keep in memory.
_SOUND: dict[str, LiteralString] = {
    "timestamp with time zone": "{0} BETWEEN '0002-01-01Z' AND '9998-01-01Z'",
    "bigint": "{0} BETWEEN 0 AND 1e15",
    "integer": "{0} BETWEEN 0 AND 1e9",
    "text": "octet_length({0}) <= 1e5",
    "double precision": "{0} BETWEEN 0 AND 1e11",
    "jsonb": "pg_column_size({0}) <= 3e5 AND jsonb_typeof({0}) = 'object'"
    " AND NOT {0} @? '$.**{{9}}' AND NOT"
    " {0} @? '$.**{{0 to 8}} ? (@ > 1e300 || @ < -1e300)'",
}
_UNKNOWN: dict[str, LiteralString] = {
    "timestamp with time zone": "to_timestamp(0)",
    "jsonb": "'{}'::jsonb",
    "text": "'?'",
}


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

    def sound(self, name: str) -> str:
        """An expression: the column's value, or that of an unknown one where it can't be true."""
        if self.type not in _SOUND:
            return name
        unknown = "NULL" if self.nullable else _UNKNOWN.get(self.type, "0")
        return f"CASE WHEN {_SOUND[self.type].format(name)} THEN {name} ELSE {unknown} END"

    def for_old_rows(self) -> "SqlColumn":
        """The same for a table with rows: the next crawl fills the column."""
        if self.since_added:
            return self._replace(nullable=True, default=None)
        return self if self.default is not None else self._replace(nullable=True)


class Table(NamedTuple):
    """A table: its columns by name, its primary key, and the rest of its definition.

    ``fill`` has the statements that fill columns added to a table with rows; ``indexes`` those that
    are run when it is made or gets columns, also for how a column is stored; ``made_with`` are the
    columns of its first version.
    """

    name: str
    columns: dict[str, SqlColumn]
    primary_key: list[str]
    options: LiteralString = ""
    fill: dict[str, LiteralString] = {}  # noqa: RUF012
    made_with: frozenset[str] = frozenset()
    indexes: tuple[LiteralString, ...] = ()

    @property
    def first_columns(self) -> frozenset[str]:
        """The columns of the table's first version, by which it is recognised."""
        return self.made_with or frozenset(self.columns)

    @property
    def sound(self) -> str:
        """What to read it from in place of its name: whoever may write to it, each value is one
        that a crawl or a scrapyd writes.
        """
        read = (f"{column.sound(name)} AS {name}" for name, column in self.columns.items())
        return f"(SELECT {', '.join(read)} FROM {self.name}) AS {self.name}"  # noqa: S608

    @property
    def is_partitioned(self) -> bool:
        return self.options.startswith("PARTITION BY")


TEXT, NEEDED_TEXT = SqlColumn("text"), SqlColumn("text", nullable=False)
TIME, NEEDED_TIME = (
    SqlColumn("timestamp with time zone"),
    SqlColumn("timestamp with time zone", nullable=False),
)
NOW = NEEDED_TIME._replace(default="now()")
SINCE_ADDED = TIME._replace(default="now()", since_added=True)
COUNT = SqlColumn("bigint", nullable=False, default="0")
IDENTITY = SqlColumn("bigint", nullable=False, is_identity=True)


SOURCE_STATE = Table(
    "source_state", {"source": NEEDED_TEXT, "since": NEEDED_TEXT, "updated_at": NOW}, ["source"]
)
API_ACCOUNT = Table(
    "api_account",
    {
        "name": NEEDED_TEXT,
        "state": SqlColumn("jsonb", nullable=False),
        "updated_at": NOW,
    },
    ["name"],
    # An update that finds no room takes a new page, and only a vacuum makes the old ones known.
    "WITH (fillfactor = 50, autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0)",
    # Not beside the table, where what an update leaves stays until the next vacuum.
    indexes=("ALTER TABLE api_account ALTER state SET STORAGE MAIN",),
)
# All calls, whoever made them, and what the API itself says: how many are left, and how many of
# ours had been made by then.
API_USAGE = Table(
    "api_usage",
    {
        "account": NEEDED_TEXT,
        "month": SqlColumn("date", nullable=False),
        "calls": COUNT,
        "credits": SqlColumn("bigint"),
        "credits_firm": SqlColumn("boolean"),
        "told_left": SqlColumn("bigint"),
        "told_calls": SqlColumn("bigint"),
        "told_at": TIME,
    },
    ["account", "month"],
    "WITH (fillfactor = 50)",
)
CRAWL = Table(
    "crawl",
    {
        "id": IDENTITY,
        "spider": NEEDED_TEXT,
        "job": TEXT,
        "arguments": SqlColumn("jsonb", nullable=False, default="'{}'"),
        "url": NEEDED_TEXT,
        "vs_currency": TEXT,
        "lock_name": TEXT,
        "whole": SqlColumn("boolean"),
        "host": TEXT,
        "process_id": SqlColumn("integer"),
        "node": TEXT,
        "lease_until": TIME,
        "backend_pid": SqlColumn("integer"),
        "started_at": NEEDED_TIME,
        "updated_at": NOW,
        "ended_at": TIME,
        "outcome": TEXT,
        "message": TEXT,
        "reason": TEXT,
        "reason_figures": SqlColumn("jsonb"),
        "batch_count": COUNT,
        "page_count": COUNT._replace(type="integer"),
        "expected_page_count": COUNT._replace(type="integer"),
        "record_count": COUNT,
        "inserted_count": COUNT,
        "updated_count": COUNT,
        "unchanged_count": COUNT,
        "older_count": COUNT,
        "repeated_count": COUNT,
        "rejected_count": COUNT,
        "dropped_count": COUNT,
        "set_aside_count": COUNT,
        "future_count": COUNT,
        "delisted_count": COUNT,
        # Of 0.2, which may still run beside this version; nothing reads it any more.
        "missed_keys": SqlColumn("jsonb"),
        "call_count": COUNT,
        "refused_count": COUNT,
        "wait_seconds": COUNT._replace(type="double precision"),
        "waiting_until": COUNT._replace(type="double precision"),
        "response_bytes": COUNT,
    },
    ["id"],
    # In early versions only complete crawls had a row.
    fill={"outcome": "UPDATE crawl SET outcome = 'complete' WHERE ended_at IS NOT NULL"},
    made_with=frozenset(
        ["id", "spider", "url", "started_at", "ended_at", "page_count", "record_count"]
    ),
)
# The time up to which a history's changes have become candles.
CANDLE_STATE = Table(
    "candle_state", {"history_table": NEEDED_TEXT, "rolled_up_to": NEEDED_TIME}, ["history_table"]
)
# The same field of the same record has one row, with the times of its first and last crawl.
REJECTED_RECORD = Table(
    "rejected_record",
    {
        "id": IDENTITY,
        "crawl_id": SqlColumn("bigint", references="crawl ON DELETE SET NULL"),
        "rejected_at": NOW,
        "source_url": TEXT,
        "column_name": TEXT,
        "text": NEEDED_TEXT,
        "reason": NEEDED_TEXT,
        "identity": TEXT,
        "times": COUNT._replace(default="1"),
        "last_rejected_at": SINCE_ADDED,
    },
    ["id"],
    made_with=frozenset(["id", "rejected_at", "source_url", "text", "reason"]),
    indexes=(
        "CREATE INDEX IF NOT EXISTS rejected_record_identity ON rejected_record (identity)",
        "CREATE INDEX IF NOT EXISTS rejected_record_crawl ON rejected_record (crawl_id)",
    ),
)

# Of scrapyd: the nodes that are alive, and each run of a job, with the end of its log.
FLEET_NODE = Table(
    "fleet_node",
    {
        "name": NEEDED_TEXT,
        "worker_id": SqlColumn("bigint"),
        "url": NEEDED_TEXT,
        "version": NEEDED_TEXT,
        "started_at": NOW,
        "seen_at": NOW,
    },
    ["name"],
)
FLEET_RUN = Table(
    "fleet_run",
    {
        "id": IDENTITY,
        "queue_id": SqlColumn("bigint"),
        "project": NEEDED_TEXT,
        "spider": NEEDED_TEXT,
        "job": NEEDED_TEXT,
        "node": NEEDED_TEXT,
        "process_id": SqlColumn("integer"),
        "started_at": NOW,
        "ended_at": TIME,
        "outcome": TEXT,
        "log_tail": NEEDED_TEXT._replace(default="''"),
    },
    ["id"],
    indexes=(
        "CREATE INDEX IF NOT EXISTS fleet_run_running ON fleet_run (node) WHERE ended_at IS NULL",
        "CREATE INDEX IF NOT EXISTS fleet_run_ended ON fleet_run (ended_at)",
        "CREATE INDEX IF NOT EXISTS fleet_run_job ON fleet_run (job)",
    ),
)
FLEET_EGG = Table(
    "fleet_egg",
    {
        "project": NEEDED_TEXT,
        "version": NEEDED_TEXT,
        "egg": SqlColumn("bytea", nullable=False),
        "stored_at": NOW,
    },
    ["project", "version"],
)
# Jobs that ended before their row in "crawl" began.
FLEET_FAILED_JOB = Table(
    "fleet_failed_job",
    {
        "job": NEEDED_TEXT,
        "spider": NEEDED_TEXT,
        "arguments": SqlColumn("jsonb", nullable=False),
        "started_at": NEEDED_TIME,
        "ended_at": NEEDED_TIME,
        "exit_status": SqlColumn("integer"),
        "message": NEEDED_TEXT,
    },
    ["job"],
)
FLEET_SCHEDULE = Table(
    "fleet_schedule",
    {
        "name": NEEDED_TEXT,
        "definition": NEEDED_TEXT,
        "next_time": NEEDED_TIME,
        "last_time": TIME,
        "last_job": TEXT,
        "run_count": COUNT,
        "skipped_count": COUNT,
        "paused": SqlColumn("boolean", nullable=False, default="false"),
    },
    ["name"],
)
# The last alert of each schedule.
ALERT = Table(
    "alert",
    {"subject": NEEDED_TEXT, "status": NEEDED_TEXT, "changed_at": NOW},
    ["subject"],
)
# The coins that an account of the pages watches.
WATCHED_COIN = Table(
    "watched_coin",
    {"username": NEEDED_TEXT, "coin_id": NEEDED_TEXT, "watched_at": NOW},
    ["username", "coin_id"],
)
DAEMON_TABLES = [
    FLEET_NODE,
    FLEET_RUN,
    FLEET_EGG,
    FLEET_FAILED_JOB,
    FLEET_SCHEDULE,
    ALERT,
    WATCHED_COIN,
]


# An array of arrays, one for each hour, so that similar values (the four prices of an hour) are
# side by side: compressed, it takes three quarters of an array for each value.
_HOURS = {"hour": SqlColumn("smallint[]"), "candles": SqlColumn("numeric[]")}
# PostgreSQL doesn't compress rows below 2 kB, and a day's candles often take a little less. With
# the filler, which shrinks to 40 bytes, they shrink to half:
# https://www.postgresql.org/docs/current/storage-toast.html
FILLER = SqlColumn("text", default="repeat(' ', 2100)")


def item_table(item_class: type[TableItem]) -> Table:
    """The table of an item: a column for each field, and those that crawls set themselves."""
    # Free space in each block lets updates stay in it without touching the index (HOT):
    # https://www.postgresql.org/docs/current/storage-hot.html
    return Table(
        item_class.table,
        {column.name: _sql_column(column) for column in columns(item_class)}
        | {"delisted_at": TIME, "first_crawled_at": SINCE_ADDED},
        primary_key(item_class),
        "WITH (fillfactor = 85)",
        made_with=frozenset([*primary_key(item_class), "extra"]),
    )


def history_table(item_class: type[TableItem]) -> Table | None:
    """The table of an item's changes, partitioned by day."""
    if not item_class.history_table:
        return None
    kept = {
        column.name: _sql_column(column)._replace(nullable=True)
        for column in history_columns(item_class)
    }
    return Table(
        item_class.history_table,
        kept | {"recorded_at": NOW},
        [*primary_key(item_class), "recorded_at"],
        "PARTITION BY RANGE (recorded_at)",
    )


def history_tables(item_class: type[TableItem]) -> list[Table]:
    """All tables of an item's history: none, changes, or changes and candles."""
    changes = history_table(item_class)
    if not changes:
        return []
    return [changes, *candle_tables(item_class)] if item_class.candle_table else [changes]


def candle_tables(item_class: type[TableItem]) -> list[Table]:
    """The tables of an item's candles: a row for the hours of a day, and one for the day itself.

    The source is null for candles of our own changes.
    """
    keys = dict.fromkeys(primary_key(item_class), NEEDED_TEXT)
    key, day = [*keys, "day"], {"day": NEEDED_TIME}
    values = ["open", "high", "low", "close", *candle_values(item_class)]
    return [
        CANDLE_STATE,
        Table(
            f"{item_class.candle_table}_hours",
            keys | day | _HOURS | {"source": TEXT, "filler": FILLER},
            key,
            "PARTITION BY RANGE (day)",
        ),
        Table(
            f"{item_class.candle_table}_days",
            keys | day | {name: SqlColumn("numeric") for name in values} | {"source": TEXT},
            key,
        ),
        # The times for which an API was asked for past prices, whatever it had.
        Table(
            f"{item_class.candle_table}_past",
            keys
            | {"hourly": SqlColumn("boolean", nullable=False)}
            | {"since": NEEDED_TIME, "until": NEEDED_TIME},
            [*keys, "hourly"],
        ),
    ]


def _sql_column(column: Column) -> SqlColumn:
    return SqlColumn(column.type.sql, nullable=not column.required)


def sql_type(column: Column) -> sql.SQL:
    return sql.SQL(column.type.sql)
