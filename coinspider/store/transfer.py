"""Dumps and restores a whole database, with PostgreSQL's own programs."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from coinspider.errors import ConfigurationError, DatabaseError, DatabaseUnreachableError
from coinspider.store.connection import one_line
from coinspider.store.database_url import describe, for_programs
from coinspider.store.embedded_server import bundled_program

# The user's own views, indexes and tables are included; owners and grants are not, because the
# other server has other users.
_WHAT = ["--no-owner", "--no-privileges"]
# pg_restore 18 sets it, and no server before 17 knows it.
_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
_HEAD_LINES = 60
_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p') AND NOT relispartition
      AND nspname <> 'information_schema' AND nspname !~ '^pg_'
      AND (%s::text IS NULL OR nspname = %s)
ORDER BY 1
"""


def dump(url: str, path: Path, schema: str | None = None) -> None:
    """Write the database, or one schema of it, to a file, in the form that ``pg_restore`` reads.

    Raises :exc:`DatabaseError` with what ``pg_dump`` says.
    """
    command = [*_program("pg_dump", url), *_WHAT, "--format=custom", f"--file={path}"]
    if schema:
        command.append('--schema="{}"'.format(schema.replace('"', '""')))
    try:
        with _started(command, url) as pg_dump:
            _finish(pg_dump)
    except BaseException:
        # What it has written so far is no dump.
        path.unlink(missing_ok=True)
        raise


def restore(url: str, path: Path, schema: str | None = None) -> None:
    """Read such a file into a database without tables, or without that schema.

    It is read wholly, or not at all.

    Raises :exc:`DatabaseError`, and :exc:`ConfigurationError` for a database that is not empty.
    """
    check_is_empty(url, schema)
    read = [str(bundled_program("pg_restore")), *_WHAT, "--file=-", str(path)]
    options = "--no-psqlrc --quiet --single-transaction --set=ON_ERROR_STOP=1 --output=/dev/null"
    write = [*_program("psql", url), *options.split()]
    with (
        _started(read, url, stdout=subprocess.PIPE) as pg_restore,
        _started(write, url, stdin=subprocess.PIPE) as psql,
    ):
        try:
            if _pass_on(pg_restore.stdout, psql.stdin):
                _finish(pg_restore)
            _finish(psql)
        finally:
            # At the end of a broken file psql would commit what it contained.
            psql.kill()
            pg_restore.kill()


def _pass_on(source: Any, target: Any) -> bool:
    """Whether everything was read: psql stops reading when it fails."""
    try:
        for _ in range(_HEAD_LINES):
            line = source.readline()
            if line != _UNKNOWN_BEFORE_17:
                target.write(line)
        shutil.copyfileobj(source, target)
        target.flush()
    except BrokenPipeError:
        return False
    return True


def check_is_empty(url: str, schema: str | None = None) -> None:
    """Raise :exc:`ConfigurationError` for a database, or a schema, that has a table already."""
    if found := [name for name, _ in count_rows(url, schema)]:
        raise ConfigurationError(
            f"the database {describe(url)} has tables already ({', '.join(found[:5])}):"
            " create an empty one"
        )


def count_rows(url: str, schema: str | None = None) -> list[tuple[str, int]]:
    """Each table, of one schema or of all, with its number of rows.

    Raises :exc:`DatabaseUnreachableError`.
    """
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            tables = [name for (name,) in connection.execute(_TABLES, [schema, schema])]
            return [(name, _count(connection, name)) for name in tables]
    except psycopg.Error as error:
        raise DatabaseUnreachableError(
            f"the database {describe(url)} can't be asked: {one_line(error)}"
        ) from None


def _count(connection: psycopg.Connection, table: str) -> int:
    # regclass has quoted it already.
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608
    assert row
    return int(row[0])


def _program(name: str, url: str) -> list[str]:
    return [str(bundled_program(name)), f"--dbname={for_programs(url)[0]}", "--no-password"]


def _started(command: list[str], url: str, **pipes: Any) -> "subprocess.Popen[bytes]":
    _, environment = for_programs(url)
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **pipes)  # noqa: S603


def _finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end; raise :exc:`DatabaseError` with the error output if it failed."""
    if process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.close()
    assert process.stderr
    said = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
    if process.wait():
        lines = said or [f"{process.args!s} ended with status {process.returncode}"]
        raise DatabaseError(next((line for line in lines if "error" in line.lower()), lines[-1]))
