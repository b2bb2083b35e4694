"""The sections ``[schedule:NAME]``, and when their runs are due."""

from configparser import ConfigParser
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import Mock

import pytest
from scrapyd import Config

from coinspider.daemon.configuration import LOCAL_FILE, add_local_file, files_of_times, sections
from coinspider.daemon.schedules import service as module
from coinspider.daemon.schedules.schedule import Schedule, read_schedules
from coinspider.daemon.schedules.service import ScheduleService
from coinspider.daemon.schedules.states import ScheduleState
from coinspider.errors import ConfigurationError
from tests.helpers.processes import PROJECT

DAY = 86_400  # seconds
START = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)


def read(text):
    parser = ConfigParser()
    parser.read_string(text)
    return read_schedules(parser)


def schedule(**options):
    options = {"spider": "coins"} | options
    lines = "\n".join(f"{name} = {value}" for name, value in options.items())
    [found] = read(f"[schedule:test]\n{lines}")
    return found


def test_shipped_schedule_spends_the_credits_or_crawls_all_coins_every_three_minutes():
    assert read((PROJECT / "scrapyd.conf").read_text()) == [
        Schedule("coins", "coins", every=timedelta(minutes=3), budget="auto")
    ]


def test_section_gives_arguments_and_settings():
    found = schedule(every="90s", **{"argument.vs_currency": "eur", "setting.log_level": "DEBUG"})
    assert found.every == timedelta(seconds=90)
    assert (found.arguments, found.settings) == ({"vs_currency": "eur"}, {"LOG_LEVEL": "DEBUG"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": "3m"}, "every 3 min"),
        ({"every": "90s"}, "every 90 s"),
        ({"budget": "auto"}, "as often as the month's calls allow (every 3 min if unlimited)"),
        (
            {"budget": "10000", "every": "1h"},
            "as often as 10,000 calls a month allow (every 1 h if unlimited)",
        ),
        (
            {"cron": "*/15 8-20 * * 1-5", "timezone": "Europe/Berlin"},
            "at */15 8-20 * * 1-5 (cron), Europe/Berlin time",
        ),
    ],
)
def test_times_are_in_words(options, words):
    assert schedule(**options).said == words


@pytest.mark.parametrize(
    ("own", "when", "file"),
    [
        ("every = 5m", "every 5m", LOCAL_FILE),
        ("cron = 0 6 * * *", "cron 0 6 * * * UTC", LOCAL_FILE),
        ("cron =\nbudget =", "every 3m", LOCAL_FILE),
        ("budget = 9000", "budget 9000", LOCAL_FILE),
        ("budget = auto\nevery = 5m", "budget auto", LOCAL_FILE),
        ("argument.vs_currency = eur", "budget auto", "scrapyd.conf"),
    ],
)
def test_local_times_replace_those_that_they_contradict(own, when, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scrapyd.conf").write_text((PROJECT / "scrapyd.conf").read_text())
    (tmp_path / LOCAL_FILE).write_text(f"[schedule:coins]\n{own}\n")
    config = Config()
    add_local_file(config)
    [found] = read_schedules(sections(config), files_of_times(config))
    assert (found.when, found.file) == (when, file)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "give either every = 3m or cron"),
        ({"every": "3m", "cron": "* * * * *"}, "give either"),
        ({"budget": "auto", "cron": "* * * * *"}, "give either budget or cron"),
        ({"budget": "0"}, "budget = 0: auto, or a number of calls a month from 1"),
        ({"budget": "many"}, "budget = many: auto, or a number"),
        ({"budget": "auto", "spider": "next"}, "budget is for the spider coins"),
        ({"budget": "auto", "argument.pages": "4"}, "it takes no argument.pages, only"),
        ({"budget": "auto", "argument.per_page": "9"}, "it takes no argument.per_page, only"),
        ({"every": "3"}, "every = 3: a number from 1 with s, m, h or d"),
        ({"every": "0m"}, "every = 0m"),
        ({"cron": "* * * *"}, "five fields"),
        ({"cron": "61 * * * *"}, "cron = 61"),
        ({"cron": "0 0 30 2 *"}, "cron = 0 0 30 2 *: Bad day-of-month"),
        ({"cron": "* * * * *", "timezone": "Mars/Base"}, "timezone = Mars/Base"),
        ({"every": "3m", "overlap": "maybe"}, "overlap = maybe: one of skip, wait"),
        ({"every": "3m", "enabled": "perhaps"}, "enabled = perhaps"),
        ({"every": "3m", "sipder": "x"}, "unknown sipder: allowed are spider"),
        ({"every": "3m", "spider": ""}, "spider is missing"),
    ],
)
def test_error_names_the_wrong_section_and_the_reason(options, reason):
    with pytest.raises(ConfigurationError) as caught:
        schedule(**options)
    assert str(caught.value).startswith("[schedule:test]: ")
    assert reason in str(caught.value)


def cron_times(expression, timezone, start, count):
    found = schedule(cron=expression, timezone=timezone)
    times = [found.first_time(start)]
    while len(times) < count:
        times.append(found.next_time(times[-1], times[-1]))
    return times


def test_hour_that_comes_twice_causes_no_second_run():
    start = datetime(2025, 10, 25, 20, tzinfo=UTC)
    assert cron_times("30 2 * * *", "Europe/Berlin", start, 2) == [
        datetime(2025, 10, 26, 0, 30, tzinfo=UTC),
        datetime(2025, 10, 27, 1, 30, tzinfo=UTC),
    ]
    times = cron_times("*/30 * * * *", "Europe/Berlin", start, 20)
    assert {b - a for a, b in pairwise(times)} == {timedelta(minutes=30)}


def test_hour_that_never_comes_skips_no_run():
    start = datetime(2025, 3, 29, 20, tzinfo=UTC)
    [time] = cron_times("30 2 * * *", "Europe/Berlin", start, 1)
    assert time.date() == datetime(2025, 3, 30, tzinfo=UTC).date()


class States:
    """Rows that outlive a service, as those of the database do."""

    def __init__(self):
        self.time, self.rows = START, {}

    def now(self):
        return self.time

    def read(self, schedules):
        for name, schedule in schedules.items():
            first = schedule.first_time(self.time)
            self.rows.setdefault(name, ScheduleState(schedule.when, first))
        return self.rows

    def claim(self, name, state, changed, queue=None):
        assert self.rows[name] == state
        if queue:
            queue(None)
        self.rows[name] = changed
        return True

    def write_paused(self, name, paused):
        self.rows[name] = replace(self.rows[name], paused=paused)


class Runs(ScheduleService):
    """The service with a simulated clock, and a job that is busy or not."""

    def __init__(self, found, states):
        super().__init__(Mock(), [found], states)
        self.runs, self.busy = [], None
        self.state |= states.read(self.schedules)

    def active_job(self, _):
        return self.busy

    def _queue(self, *_):
        self.runs.append((self.now() - START).total_seconds())

    def at(self, *seconds):
        for second in seconds:
            self.states.time = START + timedelta(seconds=second)
            self._look_at_all()
        return self.runs


@pytest.fixture
def service():
    kept = {}

    def start(name="schedules", **options):
        return Runs(schedule(**options), kept.setdefault(name, States()))

    return start


def test_first_run_of_an_interval_is_at_once_and_the_others_do_not_drift(service):
    assert service(every="60s").at(0, 1, 59, 60.4, 61, 120.2) == [0, 60.4, 120.2]


@pytest.mark.parametrize("options", [{"every": "60s"}, {"cron": "* * * * *"}])
def test_one_run_makes_up_for_several_missed_ones(service, options):
    assert service(**options).at(60, 1000, 1000.5, 1019, 1020)[-2:] == [1000, 1020]


def test_turning_the_clock_back_neither_stops_an_interval_nor_repeats_a_cron_time(service):
    assert service(every="60s").at(7200, 3600, 3661) == [7200, 3661]
    assert service("other", cron="0 * * * *").at(7200, 7190, 7260, 10800) == [7200, 10800]


@pytest.mark.parametrize("back", [DAY, 10 * 366 * DAY], ids=["a day", "boot in 2036, then NTP"])
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("options", "period"),
    [({"every": "3m"}, 180), ({"cron": "*/3 * * * *"}, 180), ({"cron": "0 5 * * *"}, DAY)],
    ids=["every", "cron", "daily"],
)
def test_clock_that_is_set_back_makes_no_schedule_late(service, options, period, restarted, back):
    first = service(**options)
    six = 18 * 3600  # the next morning
    begun = len(first.at(back, back + six))
    second = service(**options) if restarted else first
    looks = range(six, six + 3 * DAY, 180)
    runs = second.at(*looks)[0 if restarted else begun :]
    times = [looks[0], *runs, looks[-1]]
    assert max(after - before for before, after in pairwise(times)) <= period + looks.step


def test_clock_that_is_set_forward_runs_each_schedule_once(service):
    for options in ({"every": "3m"}, {"cron": "*/3 * * * *"}, {"cron": "0 5 * * *"}):
        schedule = service(str(options), **options)
        schedule.at(0, 180)
        schedule.runs.clear()
        assert schedule.at(3650 * DAY, 3650 * DAY + 1) == [3650 * DAY]


def test_due_run_is_skipped_or_waits_while_the_last_one_runs(service):
    for overlap, expected in (("skip", [0, 120]), ("wait", [0, 70, 120])):
        runs = service(overlap, every="60s", overlap=overlap)
        runs.at(0)
        runs.busy = "running"
        runs.at(60, 65)
        runs.busy = None
        assert runs.at(70, 120) == expected
        assert runs.state["test"].skipped_count == (overlap == "skip")


def test_paused_and_disabled_schedules_run_nothing(service):
    paused = service(every="60s")
    paused.pause(paused.schedules["test"], True)
    assert paused.at(0, 60) == []
    paused.pause(paused.schedules["test"], False)
    assert paused.at(61, 120) == [120]
    assert service(every="60s", enabled="no").at(0, 60) == []


def test_cron_time_missed_while_stopped_is_due_at_the_start(service):
    service(cron="30 * * * *").at(60)
    second = service(cron="30 * * * *")
    assert second.at(7200) == [7200]
    assert service(cron="15 * * * *").at(899) == []


@pytest.mark.parametrize("has_ended", [True, False])
def test_job_whose_crawl_has_ended_is_not_active_in_the_queue(monkeypatch, has_ended):
    """A node that was killed at that moment leaves it there."""
    found = schedule(every="1h")
    service = ScheduleService(Mock(), [found], States())
    service.state[found.name] = replace(service.state[found.name], last_job="one")
    queue = Mock(list=lambda: [{"_job": "one"}])
    monkeypatch.setattr(module, "poller", lambda _: Mock(queues={found.project: queue}))
    monkeypatch.setattr(module, "launcher", lambda _: Mock(running_jobs=set))
    monkeypatch.setattr(module, "has_ended", lambda _: has_ended)
    assert service.active_job(found) == (None if has_ended else "pending")
