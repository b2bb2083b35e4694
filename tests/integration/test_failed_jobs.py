"""What scrapyd shows about jobs that end before their row in ``crawl`` begins."""

import socket
from html import unescape
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest

from coinspider.daemon.failed_jobs import FailedJobs, JobWatch
from tests.helpers.processes import wait_until

NO_URL = "name the API: -a url=https://..."


def finished(daemon, job):
    def is_finished():
        return daemon.get(f"status.json?job={job}")["currstate"] == "finished"

    wait_until(is_finished)


def log_of(daemon, spider, job):
    return (daemon.directory / f".scrapy/scrapyd/logs/coinspider/{spider}/{job}.log").read_text()


def page(daemon):
    try:
        return unescape(daemon.open("crawls"))
    except HTTPError as error:  # no table yet, or no database
        with error:
            return unescape(error.read().decode())


def metric(daemon, name):
    lines = daemon.open("metrics").splitlines()
    return [line.rpartition(" ")[2] for line in lines if line.startswith(name)]


def test_refused_argument_is_shown_everywhere(scrapyd, database_url, sandbox):
    daemon = scrapyd(DATABASE_URL=database_url, COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    job = daemon.get("schedule.json", project="coinspider", spider="next", table="thing")["jobid"]
    finished(daemon, job)
    [crawl] = daemon.get(f"crawls.json?job={job}")["crawls"]
    assert (crawl["outcome"], crawl["exit_status"], crawl["id"]) == ("misconfigured", 2, None)
    assert (crawl["message"], crawl["arguments"]) == (NO_URL, {"table": "thing"})
    shown = page(daemon)
    assert NO_URL in shown
    assert f'href="logs/coinspider/next/{job}.log"' in shown
    assert NO_URL in log_of(daemon, "next", job)
    assert metric(daemon, 'coinspider_failed_jobs{spider="next"}') == ["1.0"]
    assert metric(daemon, "coinspider_database_up") == ["1.0"]
    # A job with a row in the database is shown by that row only; all are in their order.
    good = daemon.finish(pages="1")
    bad = daemon.finish(ids="none", pages="1")
    assert good["outcome"] == "complete"
    jobs = [crawl["job"] for crawl in daemon.get("crawls.json")["crawls"]]
    assert jobs == [bad["job"], good["job"], job]
    daemon.stop()
    daemon.start()
    assert [crawl["job"] for crawl in daemon.get("crawls.json")["crawls"]] == jobs


def test_crawl_that_failed_for_lack_of_a_database_is_shown_without_one(scrapyd):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://me:geheim@127.0.0.1:{nobody.getsockname()[1]}/coins"
        daemon = scrapyd(DATABASE_URL=url)
        job = daemon.run()
        finished(daemon, job)
        answer = daemon.get(f"crawls.json?job={job}")
        [crawl] = answer["crawls"]
        assert (crawl["outcome"], crawl["exit_status"]) == ("failed", 1)
        assert "can't be reached" in crawl["message"]
        assert "refused" in answer["database_error"]
        assert "can't be reached" in log_of(daemon, "coins", job)
        assert metric(daemon, 'coinspider_failed_jobs{spider="coins"}') == ["1.0"]
        assert metric(daemon, "coinspider_database_up") == ["0.0"]
        assert "can't be reached" in page(daemon)
        assert "geheim" not in page(daemon) + str(answer) + log_of(daemon, "coins", job)


class Process(SimpleNamespace):
    """The parts of scrapyd's process protocol that are used."""

    heard: list

    def errReceived(self, data):
        self.heard.append(data)

    def processEnded(self, status):
        self.heard.append(status)


@pytest.mark.parametrize(
    ("code", "signal", "stderr", "message"),
    [
        (1, None, [b"a log line\ncoinspider: the cr", b"awl failed: x\n"], "the crawl failed: x"),
        (1, None, [b"Traceback ...\nImportError: no y\n"], "ImportError: no y"),
        (1, None, [], "it said nothing: see its log"),
        (None, 9, [b"anything\n"], "signal 9 ended its process"),
        (None, 15, [], "it was told to stop before it began to crawl"),
        (1, None, [b"\xff" * 50_000 + b"\nlast"], "last"),
        (1, None, [b"x" * 50_000], "x" * 500),
    ],
)
def test_end_of_a_process_is_recorded_and_passed_on(tmp_path, code, signal, stderr, message):
    jobs = FailedJobs(tmp_path / "dbs/failed_jobs.db")
    process = Process(job="a", spider="coins", heard=[])
    JobWatch(process, {"pages": "2"}, jobs.add)
    for part in stderr:
        process.errReceived(part)
    status = SimpleNamespace(value=SimpleNamespace(exitCode=code, signal=signal))
    process.processEnded(status)
    assert process.heard == [*stderr, status]
    [job] = jobs.newest()
    status = 130 if signal == 15 else code
    assert (job.message, job.exit_status, job.arguments) == (message, status, {"pages": "2"})
    assert job.ended_at >= job.started_at


def test_job_that_ends_well_is_not_recorded(tmp_path):
    jobs = FailedJobs(tmp_path / "failed_jobs.db")
    process = Process(job="a", spider="coins", heard=[])
    JobWatch(process, {}, jobs.add)
    process.processEnded(SimpleNamespace(value=SimpleNamespace(exitCode=0, signal=None)))
    assert jobs.newest() == []


def test_only_the_newest_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("coinspider.daemon.failed_jobs.KEPT", 3)
    jobs = FailedJobs(tmp_path / "failed_jobs.db")
    for number in range(5):
        process = Process(job=str(number), spider="coins", heard=[])
        JobWatch(process, {}, jobs.add)
        process.processEnded(SimpleNamespace(value=SimpleNamespace(exitCode=1, signal=None)))
    assert [job.job for job in jobs.newest()] == ["4", "3", "2"]
    assert [job.job for job in jobs.newest(limit=1)] == ["4"]
    assert [job.job for job in jobs.newest(job="3")] == ["3"]
