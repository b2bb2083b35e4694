"""A database user that only reads: for Grafana, Metabase and other programs."""

from secrets import token_urlsafe
from typing import NamedTuple

import psycopg
from psycopg import Connection, sql

from coinspider.errors import ConfigurationError
from coinspider.store.connection import one_line, plain_errors
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.schema import (
    API_ACCOUNT,
    API_USAGE,
    DAEMON_TABLES,
    REJECTED_RECORD,
    SOURCE_STATE,
    identifiers,
)

# Arguments and settings of jobs, code, the state of keys, and records as they came.
_NOT_READ = (*DAEMON_TABLES, SOURCE_STATE, API_ACCOUNT, API_USAGE, REJECTED_RECORD)
# All other tables and views that the user may pass on; procrastinate's have the jobs that wait.
_READ = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
      AND relname <> ALL(%s) AND NOT starts_with(relname, 'procrastinate_')
      AND has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION')
ORDER BY 1
"""
_ROLE = "SELECT %s = current_user FROM pg_roles WHERE rolname = %s"


class Reader(NamedTuple):
    """What was made: tables and views that it may read, and its password if that is a new one."""

    tables: list[str]
    password: str | None


def make_reader(database: DatabaseSettings, name: str, password: str | None) -> Reader:
    """Let a user read what crawls store, and nothing of what scrapyd keeps for itself.

    One that is missing is made, with this password or a new one; one that is there gets the
    password if there is one. Once more gives it the tables that are new. Raises
    :exc:`ConfigurationError` and :exc:`DatabaseUnreachableError`.
    """
    with plain_errors(), psycopg.connect(str(database.url), connect_timeout=10) as connection:
        given = _user(connection, name, password)
        schema = database.schema or _value(connection, "SELECT current_schema()")
        names = [table.name for table in _NOT_READ]
        tables = [row[0] for row in connection.execute(_READ, [schema, names])]
        role, place = sql.Identifier(name), sql.Identifier(schema)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(place, role))
        if tables:
            grant = sql.SQL("GRANT SELECT ON {} TO {}")
            listed = sql.SQL(", ").join(identifiers([table], schema) for table in tables)
            connection.execute(grant.format(listed, role))
    return Reader(tables, given)


def _user(connection: Connection, name: str, password: str | None) -> str | None:
    """Make it, or give it the password; a password that was made up, to be shown once."""
    found = connection.execute(_ROLE, [name, name]).fetchone()
    if found and found[0]:
        raise ConfigurationError(f"{name} is the user of DATABASE_URL: name one that only reads")
    made = None if found or password else token_urlsafe(18)
    verb = "ALTER" if found else "CREATE"
    if secret := password or made:
        # The server's log, which may have the statement, gets no password.
        hashed = connection.pgconn.encrypt_password(secret.encode(), name.encode()).decode()
        statement = sql.SQL(f"{verb} ROLE {{}} LOGIN PASSWORD {{}}")
        try:
            connection.execute(statement.format(sql.Identifier(name), hashed))
        except (
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.ReadOnlySqlTransaction,
        ) as error:
            raise ConfigurationError(
                f"{one_line(error)}: let an administrator do it ({verb} ROLE {name} LOGIN PASSWORD"
                " '...'), then run this again without a password, which lets it read"
            ) from None
    if not found:
        calm = sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on")
        connection.execute(calm.format(sql.Identifier(name)))
    return made


def _value(connection: Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""
