"""A secret in every place where one can be given, and in no output."""

import json
import time
from base64 import b64encode
from itertools import count
from urllib.parse import quote, unquote

import psycopg
import pytest

from coinspider.http.api_errors import WORDS_MAX
from tests.helpers.http_server import Handler, Server, running
from tests.helpers.receiver import start_receiver
from tests.helpers.scrapyd_process import CONFIGURATION

MARK = "marked-s3cr3t*7f"
# Given as spider arguments, with {url} for the API's.
ARGUMENTS = {
    "key in the URL": {"url": f"{{url}}?api_key={MARK}"},
    "password in the URL": {"url": f"{{url}}?a=1&user=me&password={MARK}"},
    "user in the URL": {"url": f"http://me:{MARK}@127.0.0.1:9/x"},
    "header": {"url": "{url}", "headers": f"Accept=*/*,X-Api-Key={MARK}"},
    "headers in JSON": {"url": "{url}", "headers": json.dumps({"Authorization": f"Bearer {MARK}"})},
    "headers that are none": {"url": "{url}", "headers": MARK},
    "parameter": {"url": "{url}", "parameters": f"size=9,access_token={MARK}"},
    "parameters in JSON": {"url": "{url}", "parameters": json.dumps({"apikey": MARK})},
    "body": {"url": "{url}", "body": json.dumps({"filter": {"api_key": MARK}})},
    "body that is none": {"url": "{url}", "body": f'{{"token": "{MARK}", '},
}
# Given as settings or in the environment.
SETTINGS = {
    "token": {"API_TOKEN": MARK},
    "token in the query": {
        "API_TOKEN": MARK, "API_TOKEN_PARAMETER": "k",
        "DOWNLOAD_HANDLERS": '{"http":"coinspider.http.handler.TokenParameterDownloadHandler"}',
    },
    "token in a header": {"API_TOKEN": MARK, "API_TOKEN_HEADER": "X-Own"},
    "password": {"API_USERNAME": "me", "API_PASSWORD": MARK},
}  # fmt: skip
FEEDS = [f"ftp://me:{MARK}@127.0.0.1:9/x.csv", f"gs://bucket/x.csv?token={MARK}",
         f"gs://bucket/x?token={MARK}:csv"]  # fmt: skip


SCHEDULE = f"""[schedule:often]
spider = next
every = 1h
argument.url = {{api}}/refused?token={MARK}
argument.table = thing
"""


class Echo(Handler):
    """Repeats in ``/refused`` what it was sent, in ``/good`` with records, one of them bad."""

    numbers = count()

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        sent = f"{self.path} {self.headers} {self.rfile.read(length).decode()}"
        if self.path.startswith("/refused"):
            written = [MARK, b64encode(f"me:{MARK}".encode()).decode(), quote(MARK, safe="")]
            said = " ".join(written) if MARK in unquote(sent) else unquote(sent)
            # The words of an error are cut, each second time within the key.
            said = f"{'.' * (WORDS_MAX - 14) * (next(self.numbers) % 2)}{said}"
            self.send(400, json.dumps({"error": said}).replace("/", "\\/").encode())
        else:
            self.send(200, b'[{"id":"a","price":1},{"id":"b","price":2},{"price":3}]')

    do_POST = do_GET


@pytest.fixture(scope="module")
def api():
    with running(Server(Echo)) as server:
        yield server.url


TABLES = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname !~ '^procrastinate'
"""


def tables(url):
    """Every value in the database, but those of the queue that has to run a job."""
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(TABLES).fetchall()]
        assert "crawl" in names
        rows = [connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()  # noqa: S608
                for name in names]  # fmt: skip
    return str(rows)


def assert_hidden(place, text):
    in_base64 = (b64encode(b"x" * n + MARK.encode()).decode()[4:20] for n in range(3))
    for form in (MARK[:12], quote(MARK[:12], safe=""), *in_base64):
        found = text.find(form)
        assert found < 0, f"{place}: ...{text[max(0, found - 300) : found + 60]}"


def words(arguments, url):
    return [word for name, value in arguments.items()
            for word in ("-a", f"{name}={value.replace('{url}', url)}")]  # fmt: skip


def test_no_output_of_a_crawl_has_a_secret(scrapy, api, database_url, tmp_path):
    log, feed = tmp_path / "log", tmp_path / "things.jsonl"
    calls = [(given, {}) for given in ARGUMENTS.values()]
    calls += [({"url": "{url}"}, settings) for settings in SETTINGS.values()]
    done = []
    common = ["-a", "table=thing", "-a", "pagination=none", "-s", "RETRY_TIMES=0"]
    for number, (given, settings) in enumerate(calls):
        arguments = words(given, f"{api}/{'refused' if number % 2 else 'good'}")
        common[6:] = [w for name, value in settings.items() for w in ("-s", f"{name}={value}")]
        done += [scrapy("crawl", "next", *arguments, *common, "-O", feed,
                        "-s", f"LOG_FILE={log}", "-s", "LOG_LEVEL=DEBUG")]  # fmt: skip
        if number % 3 == 0:
            url = arguments[1].partition("=")[2]
            done += [scrapy("inspect", url, *arguments[2:], *common)]
    for uri in FEEDS:
        done += [scrapy("crawl", "next", *words({"url": "{url}"}, f"{api}/good"), *common[:6],
                        "-O", uri, "-s", f"LOG_FILE={log}", "-s", "LOG_LEVEL=DEBUG")]  # fmt: skip
    done += [scrapy("crawls"), scrapy("rejected")]
    said = "".join(one.stdout + one.stderr for one in done)
    assert "records     " in said
    stored = tables(database_url)
    assert stored.count(f"{api}/good") >= 5
    assert stored.count(f"{api}/refused") >= 3
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    for place, text in {"output": said, "files": written, "tables": stored}.items():
        assert_hidden(place, text)


def test_no_output_of_scrapyd_has_a_secret(scrapyd, api, database_url):
    configuration = CONFIGURATION.replace(
        "arguments_allowed =", "arguments_allowed = url headers parameters body"
    )
    with start_receiver() as receiver:
        daemon = scrapyd(
            configuration + SCHEDULE.format(api=api),
            DATABASE_URL=database_url, ALERT_URL=f"{receiver.url}?token={MARK}", RETRY_TIMES="0",
            ALERT_FAILURES="1", ALERT_INTERVAL="1",
        )  # fmt: skip
        jobs, pending = [], ""
        for given in ARGUMENTS.values():
            filled = {name: value.replace("{url}", f"{api}/good") for name, value in given.items()}
            answer = daemon.get("schedule.json", project="coinspider", spider="next",
                                table="thing", pagination="none", **filled)  # fmt: skip
            assert MARK not in str(answer)
            pending += daemon.open("listjobs.json")
            jobs += [answer["jobid"]] if answer["status"] == "ok" else []
        assert len(jobs) >= 8
        deadline = time.monotonic() + 150
        while not all(daemon.crawl(job)["outcome"] for job in jobs):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        pages = ("", "jobs", "crawls", "rejected", "logs/", "coins", "metrics", "crawls.json",
                 "schedules.json", "listjobs.json", "daemonstatus.json")  # fmt: skip
        said = {page: daemon.open(page) for page in pages if page not in ("coins", "rejected")}
        daemon.stop()
        said |= {"alerts": str(receiver.alerts), "pending jobs": pending}
    said |= {str(path): path.read_text() for path in daemon.directory.rglob("*.log")}
    said["tables"] = tables(database_url)
    for place, text in said.items():
        assert_hidden(place, text)
