"""scrapyd as a real process."""

import json
import os
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import psutil

from tests.helpers.ports import free_port
from tests.helpers.processes import CLEAN, PROJECT, wait_until

SHIPPED = (PROJECT / "scrapyd.conf").read_text()
CONFIGURATION = SHIPPED.partition("[schedule:coins]")[0]


class Scrapyd:
    """A scrapyd in a separate folder, on a free port."""

    def __init__(self, directory, configuration, **environment):
        self.port = free_port()
        self.directory, self.url = Path(directory), f"http://127.0.0.1:{self.port}"
        (self.directory / "scrapyd.conf").write_text(configuration)
        if "[settings]" in configuration:
            shutil.copy(PROJECT / "scrapy.cfg", directory)
        self.environment = os.environ | CLEAN | {
            "SCRAPYD_HTTP_PORT": str(self.port), "PYTHONPATH": str(PROJECT)
        } | environment  # fmt: skip
        # A scrapyd without this project can't import its modules.
        self.module = "coinspider.daemon" if "[settings]" in configuration else "scrapyd"
        self.log = self.directory / "scrapyd.log"

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                cwd=self.directory, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_until(self.answers)
        return self

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.get("daemonstatus.json")
        except HTTPError:
            return True
        except (URLError, ConnectionError):
            return False
        return True

    def open(self, path, data=None, password=None, headers=None):
        return self.read(path, data, password, headers).decode()

    def read(self, path, data=None, password=None, headers=None):
        body = data and urlencode(data).encode()
        request = Request(f"{self.url}/{path}", body, headers or {})  # noqa: S310
        if password:
            request.add_header("Authorization", f"Basic {b64encode(password).decode()}")
        with urlopen(request, timeout=120) as answer:  # noqa: S310
            return answer.read()

    def headers(self, path, sent=None):
        request = Request(f"{self.url}/{path}", headers=sent or {})  # noqa: S310
        with urlopen(request, timeout=120) as answer:  # noqa: S310
            return answer.headers

    def get(self, path, **data):
        return json.loads(self.open(path, data or None))

    def schedule(self):
        [schedule] = self.get("schedules.json")["schedules"]
        return schedule

    def crawl(self, job):
        found = self.get(f"crawls.json?job={job}")["crawls"]
        return found[0] if found else {"outcome": None}

    def run(self, **arguments):
        answer = self.get("schedule.json", project="coinspider", spider="coins", **arguments)
        assert answer["status"] == "ok", answer
        return answer["jobid"]

    def finish(self, **arguments):
        job = self.run(**arguments)
        wait_until(lambda: self.crawl(job)["outcome"])
        return self.crawl(job)

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        self.process.wait(timeout=120)

    def end(self):
        """Stop it, unless a test has."""
        if self.process.poll() is None:
            self.stop()

    def interrupt(self):
        """Interrupt it as a terminal does, which sends the signal to all its processes."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=120)
