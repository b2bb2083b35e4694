"""A crawl on each version of PostgreSQL that this machine has."""

import asyncio
import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.store.connection import connect
from coinspider.store.database_url import DatabaseSettings
from tests.helpers.needs import need
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.ports import free_port
from tests.helpers.postgres_versions import VERSIONS, control, server_of_version
from tests.helpers.processes import Scrapy, last_line, wait_until
from tests.helpers.tls_api import Authority

FIGURES = """
SELECT outcome, inserted_count, updated_count, unchanged_count, delisted_count
FROM crawl ORDER BY id
"""


@pytest.fixture(scope="module", params=sorted(VERSIONS) or ["none"])
def url_of_version(request):
    need("another PostgreSQL")
    with server_of_version(request.param) as url:
        yield url


def crawl_twice(url, sandbox):
    """Crawl twice; the second crawl misses 20 of 600 coins."""
    scrapy = Scrapy({"DATABASE_URL": url})
    for coins in (600, 580):
        api = sandbox("--coins", coins)
        done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
        assert done.returncode == 0, done.stderr
    listed = scrapy("coins", "--columns", "coin_id")
    assert len(listed.stdout.splitlines()) == 581
    return scrapy


def test_crawl_on_a_version(url_of_version, sandbox):
    scrapy = crawl_twice(url_of_version, sandbox)
    api = sandbox("--coins", 5000, "--latency", "0.3")
    with psycopg.connect(url_of_version, autocommit=True) as connection:
        assert connection.execute(FIGURES).fetchall() == [
            ("complete", 600, 0, 0, 0),
            ("complete", 0, 0, 580, 20),
        ]
        killed = scrapy.start("crawl", "coins", "-s", "LOOKAHEAD_PAGES=1",
                              COINGECKO_BASE_URL=api.url)  # fmt: skip
        wait_until(lambda: len(api.calls()) > 3)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        again = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
        assert again.returncode == 0, last_line(again)
        assert connection.execute(FIGURES).fetchall()[2][0] == "died"


@contextmanager
def tls_server(version, url, certificate):
    """The directory and the port of a server on TCP with this certificate."""
    directory = conninfo_to_dict(url)["host"]
    port = free_port()
    key = Path(directory, "server.pem")
    shutil.copy(certificate, key)
    if os.geteuid() == 0:
        shutil.chown(key, "nobody")
    key.chmod(0o600)
    options = f"-c ssl=on -c ssl_cert_file={key} -c ssl_key_file={key} -c port={port}"
    options += f" -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory}"
    control(version, directory, "restart", "-m", "fast", "-o", options)
    yield directory, port
    control(version, directory, "restart", "-m", "fast", "-o",
            f"-c listen_addresses= -c unix_socket_directories={directory}")  # fmt: skip


def attempt(url):
    """Whether a crawl's connection is encrypted, or else the line with which it fails."""

    async def open_and_close():
        try:
            connection = await connect(DatabaseSettings(url, None, 5, 60, 10))
        except (DatabaseUnreachableError, ConfigurationError) as error:
            return str(error)
        async with connection:
            return connection.pgconn.ssl_in_use

    return asyncio.run(open_and_close())


@pytest.mark.needs("PostgreSQL 15")  # others have no TLS
@pytest.mark.parametrize("url_of_version", ["15"], indirect=True)
def test_sslmode_and_a_replica(url_of_version, tmp_path):
    authority = Authority(tmp_path)
    certificate = authority.issue("localhost")
    with tls_server("15", url_of_version, certificate) as (directory, port):

        def by(mode, host, ca=authority.file):
            url = f"postgresql://postgres:s3cret@{host}:{port}/postgres"
            return attempt(f"{url}?sslmode={mode}&sslrootcert={ca}")

        assert by("verify-full", "localhost") is True
        assert 'server certificate for "localhost"' in by("verify-full", "127.0.0.1")
        assert "SSL error: " in by("verify-ca", "localhost", _other_ca(tmp_path))
        assert by("require", "127.0.0.1", "") is True
        assert by("disable", "127.0.0.1", "") is False
        Path(directory, "data/standby.signal").touch()
        control("15", directory, "restart", "-m", "fast", "-o",
                f"-c listen_addresses= -c unix_socket_directories={directory}")  # fmt: skip
        assert attempt(url_of_version) == (
            "the database postgres is a replica, which can't be written to:"
            " DATABASE_URL must lead to the primary server"
        )
        Path(directory, "data/standby.signal").unlink()


def _other_ca(directory):
    other = directory / "other"
    other.mkdir()
    return Authority(other).file


@pytest.mark.needs("pgbouncer", "another PostgreSQL")
def test_oldest_version_behind_pgbouncer(sandbox):
    """The other tests use the newest one."""
    with server_of_version(min(VERSIONS)) as url, pgbouncer(url) as pooled:
        crawl_twice(pooled, sandbox)
