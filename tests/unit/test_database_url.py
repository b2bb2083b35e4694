"""``DATABASE_URL``, as people write it."""

import asyncio

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.store.connection import CrawlConnection, connect
from coinspider.store.database_url import DatabaseSettings, check_url, describe

PLAIN = {"user": "u", "password": "secret", "host": "h", "port": "5433", "dbname": "d"}
URL = "postgresql://u:secret@h:5433/d"
SECRETS = ("s3cr", "t0p")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(URL, id="as it should be"),
        pytest.param(f"{URL}\n", id="line break after it"),
        pytest.param(f"  {URL}\r\n", id="spaces and a line break of Windows"),
        pytest.param(f'"{URL}"', id="double quotes"),
        pytest.param(f"'{URL}'", id="single quotes"),
        pytest.param(f"DATABASE_URL={URL}", id="with its name"),
        pytest.param(f"export DATABASE_URL='{URL}'\n", id="line of a shell"),
        pytest.param("postgres://u:secret@h:5433/d", id="postgres"),
        pytest.param("postgresql+psycopg://u:secret@h:5433/d", id="SQLAlchemy"),
        pytest.param("postgres+asyncpg://u:secret@h:5433/d", id="asyncpg"),
        pytest.param("POSTGRESQL://u:secret@h:5433/d", id="capitals"),
        pytest.param("host=h port=5433 user=u password=secret dbname=d", id="key=value"),
        pytest.param("host=h port=5433 user=u password='secret' dbname=d", id="quoted value"),
    ],
)
def test_usual_ways_to_write_a_url_mean_the_same(text):
    assert conninfo_to_dict(check_url(text)) == PLAIN


@pytest.mark.parametrize(
    ("given", "password"),
    [
        ("p@ss", "p@ss"),
        ("p@ss@word@", "p@ss@word@"),
        ("p#ss", "p#ss"),
        ("p%ss", "p%ss"),
        ("100%", "100%"),
        ("p/ss", "p/ss"),
        ("p?a=b", "p?a=b"),
        ("p:ss", "p:ss"),
        ("p ss", "p ss"),
        ("[p]ss", "[p]ss"),
        ("päss@", "päss@"),
        ("p%40ss", "p@ss"),
        ("p%25%2F", "p%/"),
        ("p'\"\\ss", "p'\"\\ss"),
        ("", None),
    ],
)
@pytest.mark.parametrize(
    "rest", ["h/d", "h:5433/d?sslmode=require", "h1:1,h2:2/d", "[::1]:1/d", ""]
)
def test_unquoted_password_is_accepted_if_it_is_unambiguous(given, password, rest):
    parts = conninfo_to_dict(check_url(f"postgresql://u:{given}@{rest}"))
    assert parts["user"] == "u"
    assert parts.get("password") == password
    assert parts.get("host") == (
        {"[::1]:1/d": "::1", "h1:1,h2:2/d": "h1,h2", "": None}.get(rest, "h")
    )


def test_user_name_may_contain_an_at_sign():
    parts = conninfo_to_dict(check_url("postgresql://me@server:secret@h/d"))
    assert (parts["user"], parts["password"], parts["host"]) == ("me@server", "secret", "h")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "it is empty"),
        ('""', "it is empty"),
        ("postgresql://u:s3cr%40t0p@x@h/d", "percent-encoded in parts only"),
        ("postgresql://u:s3cr@t0p@h/d/e", "what follows the last @ is not a host"),
        ("postgresql://u:s3cr/t0p", "its port is not a number"),
        ("postgresql://u:s3cr@h:t0p/d", "its port is not a number"),
        ("postgresql://u:s3cr@h:99999/d", "from 1 to 65535"),
        ("postgresql://u:s3crt0p@h/d?schema=x", "set POSTGRES_SCHEMA instead"),
        ("postgresql://u:s3crt0p@h/d?pgbouncer=true", "the parameter pgbouncer"),
        ("postgresql://u:s3cr@h/d\nt0p", "one line"),
        ("mysql://u:s3crt0p@h/d", "begins with mysql://"),
        ("jdbc:postgresql://u:s3crt0p@h/d", "begins with jdbc:postgresql://"),
        ("u:s3crt0p@h/d", "neither a URL"),
        ("host=h password=s3cr t0p", "in single quotes"),
        ("s3crt0p", "neither a URL"),
        ("'postgresql://u:s3crt0p@h/d", "neither a URL"),
    ],
)
def test_error_for_an_ambiguous_url_does_not_show_the_password(text, message):
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL can't be read: ") as caught:
        check_url(text)
    assert message in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (URL, "d on h:5433"),
        ("postgresql://u@/", "u on localhost:5432"),
        ("postgresql:///d?host=/run/postgresql", "d on /run/postgresql:5432"),
        ("postgresql://h1:1,h2:2/d", "d on h1:1,h2:2"),
        ("host=h1,h2 dbname=d", "d on h1:5432,h2:5432"),
        ("service=coins", "of the service coins"),
    ],
)
def test_description_names_the_place(url, text):
    assert describe(url) == text


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TimeoutError(), "it does not answer"),
        (psycopg.OperationalError("refused\n\tIs the server running?"), "refused"),
    ],
)
def test_error_for_a_database_that_can_not_be_reached_says_why(monkeypatch, error, why):
    async def refuse(**_):
        raise error

    monkeypatch.setattr(CrawlConnection, "connect", refuse)
    database = DatabaseSettings("postgresql://db.example/coins", None, 5, 5.0, 5.0)
    with pytest.raises(DatabaseUnreachableError, match=f"can't be reached: {why}$"):
        asyncio.run(connect(database))
