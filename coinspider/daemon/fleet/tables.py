"""The tables that the nodes of a fleet share, in addition to Procrastinate's."""

from typing import LiteralString

import psycopg
from psycopg import sql

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('coinspider fleet'))"
_HAS_QUEUE = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
_TABLES = """
CREATE TABLE IF NOT EXISTS fleet_node (
    name text PRIMARY KEY,
    worker_id bigint,
    url text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS fleet_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue_id bigint,
    project text NOT NULL,
    spider text NOT NULL,
    job text NOT NULL,
    node text NOT NULL,
    process_id integer,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    outcome text,
    log_tail text NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS fleet_run_running ON fleet_run (node) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS fleet_run_ended ON fleet_run (ended_at);
CREATE INDEX IF NOT EXISTS fleet_run_job ON fleet_run (job);
CREATE TABLE IF NOT EXISTS fleet_egg (
    project text,
    version text,
    egg bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, version)
);
CREATE TABLE IF NOT EXISTS fleet_failed_job (
    job text PRIMARY KEY,
    spider text NOT NULL,
    arguments jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    exit_status integer,
    message text NOT NULL
);
CREATE TABLE IF NOT EXISTS fleet_schedule (
    name text PRIMARY KEY,
    definition text NOT NULL,
    next_time timestamptz NOT NULL,
    last_time timestamptz,
    last_job text,
    run_count bigint NOT NULL DEFAULT 0,
    skipped_count bigint NOT NULL DEFAULT 0,
    paused boolean NOT NULL DEFAULT false
);
"""


def create_tables(
    connection: psycopg.Connection, queue_schema: LiteralString, schema: str | None
) -> None:
    """Create what is missing; nodes that start together wait for each other.

    ``schema`` is ``POSTGRES_SCHEMA``, which otherwise the first crawl creates.
    """
    with connection.transaction():
        connection.execute(_LOCK)
        if schema:
            name = sql.Identifier(schema)
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        row = connection.execute(_HAS_QUEUE).fetchone()
        if row and not row[0]:
            connection.execute(queue_schema)
        connection.execute(_TABLES)
