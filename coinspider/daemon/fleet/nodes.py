"""The table ``fleet_node``: the nodes that are alive, by the server's clock."""

import psycopg
from psycopg.rows import dict_row

_JOIN = """
INSERT INTO fleet_node (name, worker_id, url, version) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET worker_id = excluded.worker_id, url = excluded.url,
    version = excluded.version, started_at = now(), seen_at = now()
"""
_SEEN = "UPDATE fleet_node SET seen_at = now() WHERE name = %s AND worker_id = %s"
_STRIKE = "DELETE FROM fleet_node WHERE seen_at < now() - make_interval(secs => %s)"
_RESCUE = "SELECT pg_try_advisory_xact_lock(hashtext('coinspider fleet rescue'))"
_LEAVE = "DELETE FROM fleet_node WHERE name = %s AND worker_id = %s"
_NODES = """
SELECT name, url, version, started_at, extract(epoch FROM now() - seen_at)::float AS silent_seconds
FROM fleet_node ORDER BY name
"""


def join(connection: psycopg.Connection, name: str, worker_id: int, url: str, version: str) -> None:
    connection.execute(_JOIN, [name, worker_id, url, version])


def is_seen(connection: psycopg.Connection, name: str, worker_id: int) -> bool:
    """Record a node's heartbeat; return whether the others still knew it."""
    return connection.execute(_SEEN, [name, worker_id]).rowcount == 1


def may_rescue(connection: psycopg.Connection) -> bool:
    """Whether no other node rescues the jobs of the dead, until the transaction ends."""
    row = connection.execute(_RESCUE).fetchone()
    return bool(row and row[0])


def strike(connection: psycopg.Connection, silence: float) -> None:
    """Remove the nodes that were silent for ``silence`` seconds."""
    connection.execute(_STRIKE, [silence])


def leave(connection: psycopg.Connection, name: str, worker_id: int) -> None:
    connection.execute(_LEAVE, [name, worker_id])


def list_nodes(connection: psycopg.Connection) -> list[dict[str, object]]:
    return connection.cursor(row_factory=dict_row).execute(_NODES).fetchall()
