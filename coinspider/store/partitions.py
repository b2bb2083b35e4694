"""Partitions of a table by time: lists them, creates one, drops one."""

import logging
from datetime import datetime
from typing import LiteralString, NamedTuple

from psycopg import AsyncConnection, errors, sql

from coinspider.store.migration import SCHEMA_LOCK

logger = logging.getLogger(__name__)

# Partitions whose bounds are not two times, such as the default one, are left out.
_PARTITIONS = """
SELECT relname, bound[1]::timestamptz, bound[2]::timestamptz
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid,
     regexp_match(pg_get_expr(relpartbound, pg_class.oid),
                  $$FROM \\('([^']+)'\\) TO \\('([^']+)'\\)$$) AS bound
WHERE inhparent = to_regclass(quote_ident(%s)) AND bound IS NOT NULL ORDER BY 2
"""
# Works while others read the table; CREATE TABLE ... PARTITION OF would wait for them:
# https://www.postgresql.org/docs/current/ddl-partitioning.html
_CREATE = "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)"
_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({end})"
_DROP = "DROP TABLE {partition}"
# This has to wait for other queries, which must not hold up the crawl for long.
_PATIENCE = "SET LOCAL lock_timeout = '2s'"


class Partition(NamedTuple):
    """A partition: the rows from ``first`` to before ``end``."""

    name: str
    first: datetime
    end: datetime

    def covers(self, moment: datetime) -> bool:
        return self.first <= moment < self.end


async def list_partitions(connection: AsyncConnection, table: str) -> list[Partition]:
    """All partitions in order of time, including those that users made."""
    rows = await (await connection.execute(_PARTITIONS, [table])).fetchall()
    return [Partition(*row) for row in rows]


async def make_partition(
    connection: AsyncConnection, table: str, wanted: Partition, options: LiteralString = ""
) -> None:
    """Unless there is already one for its first moment."""
    parts = {
        "partition": sql.Identifier(wanted.name),
        "table": sql.Identifier(table),
        "first": sql.Literal(wanted.first),
        "end": sql.Literal(wanted.end),
    }
    async with connection.transaction():
        await connection.execute(SCHEMA_LOCK)
        there = await list_partitions(connection, table)
        if any(partition.covers(wanted.first) for partition in there):
            return  # another crawl was quicker
        await connection.execute(sql.SQL(f"{_CREATE} {options}").format(**parts))
        await connection.execute(sql.SQL(_ATTACH).format(**parts))
    logger.debug("Made %s", wanted.name)


async def drop_partition(connection: AsyncConnection, name: str) -> None:
    """If others use it, it stays until the next crawl."""
    try:
        async with connection.transaction():
            await connection.execute(_PATIENCE)
            await connection.execute(sql.SQL(_DROP).format(partition=sql.Identifier(name)))
    except errors.LockNotAvailable:
        logger.warning("%s is too old, but in use: it stays until the next crawl", name)
    except errors.UndefinedTable:
        pass  # another crawl was quicker
    else:
        logger.info("Dropped %s, which is too old", name)
