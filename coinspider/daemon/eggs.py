"""Eggs in the database: all nodes share those that are sent to any of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from threading import get_ident
from typing import IO

import psycopg
from psycopg.rows import TupleRow
from scrapyd import Config
from scrapyd.eggstorage import FilesystemEggStorage, sorted_versions
from scrapyd.exceptions import EggNotFoundError, ProjectNotFoundError
from scrapyd.interfaces import IEggStorage
from twisted.web import error, http
from zope.interface import implementer

from coinspider.daemon import database
from coinspider.daemon.queue import make_tables
from coinspider.errors import DatabaseUnreachableError

_PUT = """
INSERT INTO fleet_egg (project, version, egg) VALUES (%s, %s, %s)
ON CONFLICT (project, version) DO UPDATE SET egg = excluded.egg, stored_at = now()
"""
# Those that an earlier scrapyd had in its folder alone.
_ADOPT = """
INSERT INTO fleet_egg (project, version, egg) SELECT %s, %s, %s
ON CONFLICT (project, version) DO NOTHING
"""
_GET = "SELECT egg FROM fleet_egg WHERE project = %s AND version = %s"
_VERSIONS = "SELECT version FROM fleet_egg WHERE project = %s"
_PROJECTS = "SELECT DISTINCT project FROM fleet_egg ORDER BY 1"
_ALL = "SELECT project, version FROM fleet_egg ORDER BY stored_at"
_DELETE = "DELETE FROM fleet_egg WHERE project = %s AND (%s::text IS NULL OR version = %s)"


# A folder's, which a heartbeat of each node makes: no other name may get into the table.
_PROJECT = re.compile(r"\w[\w. +-]{0,79}")
_VERSION_MAX = 80  # characters


def _is_name(project: str, version: str = "1") -> bool:
    """Whether an egg of this name can be a file on each node, whoever wrote it into the table."""
    return bool(_PROJECT.fullmatch(project)) and len(version) <= _VERSION_MAX


def _read(sql: str, *values: object) -> list[TupleRow]:
    try:
        with database.connection() as connection:
            return connection.execute(sql, values).fetchall()
    except psycopg.errors.UndefinedTable:
        return []  # scrapyd asks before the tables are made


def latest_version(project: str) -> str | None:
    """The newest version of a project's egg; ``None`` for a project without one."""
    versions = sorted_versions([version for (version,) in _read(_VERSIONS, project)])
    return versions[-1] if versions else None


@implementer(IEggStorage)
class SharedEggs(FilesystemEggStorage):
    """Keeps eggs in the database, and those that this node runs also in ``eggs_dir``.

    A job's process reads its egg from there, without a connection. Without ``egg_upload`` there are
    no eggs, whatever the database and the folder have.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self.enabled = config.getboolean("egg_upload", False)

    def put(self, eggfile: IO[bytes], project: str, version: str) -> None:
        if not _is_name(project, version):
            line = b"a project is of 80 letters, digits and . _ + - at most, a version of 80"
            raise error.Error(http.OK, line)
        egg = eggfile.read()
        # scrapyd's own way of turning a version into a file name.
        name = Path(self._egg_path(project, version)).stem
        try:
            self._store(project, name, egg)
        except psycopg.errors.UndefinedTable:  # sent before this node has made them
            make_tables(database.database())
            self._store(project, name, egg)
        self.materialize(project, name)

    @staticmethod
    def _store(project: str, version: str, egg: bytes) -> None:
        with database.connection() as connection:
            connection.execute(_PUT, [project, version, egg])

    def get(self, project: str, version: str | None = None) -> tuple[str | None, IO[bytes] | None]:
        version = version or (latest_version(project) if self.enabled else None)
        if version is None or not self.materialize(project, version):
            return None, None
        found: tuple[str | None, IO[bytes] | None] = super().get(project, version)
        return found

    def list(self, project: str) -> Sequence[str]:
        if not self.enabled:
            return ()
        return tuple(sorted_versions([version for (version,) in _read(_VERSIONS, project)]))

    def list_projects(self) -> Sequence[str]:
        """Those in ``eggs_dir`` while the database is away."""
        if not self.enabled:
            return []
        try:
            return [project for (project,) in _read(_PROJECTS) if _is_name(project)]
        except DatabaseUnreachableError:
            found: Sequence[str] = super().list_projects()
            return found

    def delete(self, project: str, version: str | None = None) -> None:
        with database.connection() as connection:
            deleted = connection.execute(_DELETE, [project, version, version]).rowcount
        if not deleted:
            raise EggNotFoundError if version else ProjectNotFoundError
        if _is_name(project, version or ""):
            Path(self._egg_path(project, version or "")).unlink(missing_ok=True)

    def adopt(self) -> None:
        """Put the eggs of the folder into the database, if that has none yet. For threads."""
        if not self.enabled or _read(_ALL):
            return
        for path in Path(self.basedir).glob("*/*.egg"):
            with database.connection() as connection:
                connection.execute(_ADOPT, [path.parent.name, path.stem, path.read_bytes()])

    def sync(self) -> dict[str, tuple[str, ...]]:
        """Keep exactly the eggs that were sent to any node; return the versions of each project."""
        if not self.enabled:
            return {}
        stored: dict[str, list[str]] = {}
        for project, version in _read(_ALL):
            if not _is_name(project, version):
                continue
            stored.setdefault(project, []).append(version)
            self.materialize(project, version)
        for path in Path(self.basedir).glob("*/*.egg"):
            if path.stem not in stored.get(path.parent.name, ()):
                path.unlink(missing_ok=True)
        return {project: tuple(versions) for project, versions in stored.items()}

    def materialize(self, project: str, version: str) -> bool:
        """Write the egg where this node's jobs look for it; return whether there is one."""
        if not self.enabled or not _is_name(project, version):
            return False
        path = Path(self._egg_path(project, version))
        if path.exists():
            return True
        found = _read(_GET, project, path.stem)
        if found:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A heartbeat and who sends it may both do so.
            partial = path.with_suffix(f".{get_ident()}.partial")
            partial.write_bytes(found[0][0])
            partial.replace(path)
        return bool(found)
