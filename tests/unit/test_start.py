"""What stops scrapyd from starting: one line each, before anything runs."""

import os
import shutil
import socket

import pytest
from scrapyd import Config

from coinspider.daemon.application import application
from coinspider.daemon.nodes import this_node
from tests.helpers.processes import PROJECT
from tests.helpers.scrapyd_process import CONFIGURATION

# scrapyd imports it.
pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    shutil.copy(PROJECT / "scrapy.cfg", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "coinspider.settings")
    for name in ("SCRAPYD_HTTP_PORT", "SCRAPYD_BIND_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def reason(configuration, local=None):
    """Why scrapyd does not start with it."""
    with open("scrapyd.conf", "w") as file:  # noqa: PTH123
        file.write(configuration)
    if local is not None:
        with open("scrapyd.local.conf", "w") as file:  # noqa: PTH123
            file.write(local)
    with pytest.raises(SystemExit) as caught:
        application(Config())
    line = str(caught.value.code)
    assert "\n" not in line
    return line.removeprefix("scrapyd does not start: ")


SCHEDULES = {
    "spider = coin": "no spider is named coin: there are assets, categories, coins",
    "argument.pges = 2": "unknown argument pges: allowed are vs_currency",
    "argument.per_page = 999": "wrong argument per_page=999: allowed is 1 to 250",
    "argument.order = 50%": "wrong argument order=50%: allowed is one of",
    "project = nope": "there is no project nope: there are coinspider",
    "every = 0s": "every = 0s: a number from 1",
    "cron = * * * *": "give either every",
    "evry = 3m": "unknown evry: allowed are spider",
    "timezone = Mars": "timezone = Mars: not one such as UTC",
    "overlap = no": "overlap = no: one of skip, wait",
}
DEFAULTS = {"spider": "coins", "every": "1h"}


def section(*lines):
    given = dict(line.split(" = ", 1) for line in lines)
    options = DEFAULTS | given
    return "\n".join(["[schedule:x]", *(f"{k} = {v}" for k, v in options.items()), ""])


@pytest.mark.parametrize("line", SCHEDULES)
@pytest.mark.parametrize("is_local", [False, True], ids=["scrapyd.conf", "scrapyd.local.conf"])
def test_schedule_that_can_not_work_stops_the_start(line, is_local):
    text = section(line)
    found = reason(CONFIGURATION if is_local else CONFIGURATION + text, text if is_local else None)
    assert found.startswith(f"[schedule:x]: {SCHEDULES[line]}")


def test_disabled_schedule_is_checked_too():
    assert "no spider is named" in reason(CONFIGURATION + section("spider = c", "enabled = no"))


def test_argument_of_a_spider_without_declaration_that_replaces_a_part_of_it():
    line = reason(CONFIGURATION + section("spider = assets", "argument.records = x"))
    assert line.endswith("the spider assets has no argument records")


@pytest.mark.parametrize(
    ("environment", "local", "line"),
    [
        ({"SCRAPYD_USERNAME": "me"}, "", "SCRAPYD_PASSWORD is not set"),
        ({"SCRAPYD_PASSWORD": "secret"}, "", "SCRAPYD_USERNAME is not set"),
        ({}, "egg_upload = yes", "egg_upload = yes lets everyone on this machine run code"),
        ({"SCRAPYD_USERNAME": "me"}, "egg_upload = yes", "SCRAPYD_PASSWORD is not set"),
    ],
)
def test_code_and_pages_are_never_open_by_mistake(monkeypatch, environment, local, line):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert reason(CONFIGURATION, f"[scrapyd]\n{local}\n").startswith(line)


@pytest.mark.parametrize("option", ["eggs_dir", "logs_dir"])
def test_folder_that_is_a_file(option, folder):
    (folder / "file").touch()
    for path in ("file", "file/below"):
        line = reason(CONFIGURATION, f"[scrapyd]\n{option} = {path}\n")
        assert line.startswith(f"{option} = {path} can't be written to: ")


@pytest.mark.parametrize(
    ("local", "line"),
    [
        ("[scrapyd]\nhttp_port = 0\n", "http_port 0 is not a number from 1 to 65535"),
        ("[scrapyd]\nhttp_port = web\n", "http_port web is not a number from 1 to 65535"),
        ("[scrapyd]\npoll_interval = often\n", "poll_interval = often in scrapyd.conf is not"),
        ("[scrapyd]\nmax_proc = -1\n", "max_proc = -1 in scrapyd.conf is not a number"),
        ("[scrapyd]\nstop_timeout = nan\n", "stop_timeout = nan in scrapyd.conf is not a number"),
        ("[scrapyd]\nbody_max = big\n", "body_max = big in scrapyd.conf is not a number"),
        ("[scrapyd]\negg_upload = maybe\n", "egg_upload = maybe in scrapyd.conf is neither"),
        ("[scrapyd]\nbind_address = ::\n", "bind_address :: is open to others"),
        ("[scrapyd\n", "scrapyd.local.conf can't be read: File contains no section headers."),
        ("[scrapyd]\na = 1\na = 2\n", "scrapyd.local.conf can't be read: While reading from"),
        ("[scrapyd]\nusername = a%b\npassword = b\n", "'%' must be followed by '%' or '('"),
    ],
)
def test_ambiguous_configuration(local, line):
    assert reason(CONFIGURATION, local).startswith(line)


def test_port_that_is_in_use(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("SCRAPYD_HTTP_PORT", str(port))
        line = reason(CONFIGURATION)
    assert line.startswith(f"it can't listen on 127.0.0.1:{port}: {os.strerror(98)}")


def test_address_that_is_not_this_machines(monkeypatch):
    monkeypatch.setenv("SCRAPYD_USERNAME", "me")
    monkeypatch.setenv("SCRAPYD_PASSWORD", "secret")
    line = reason(CONFIGURATION, "[scrapyd]\nbind_address = 192.0.2.1\n")
    assert line.startswith("it can't listen on 192.0.2.1:6800: ")


@pytest.mark.parametrize(
    "line",
    [
        "queue = postgres",
        "queue = sqlite",
        "jobstorage = scrapyd.jobstorage.SqliteJobStorage",
        "spiderqueue = mine.Queue",
        "launcher = scrapyd.launcher.MyLauncher",
    ],
)
def test_scrapyd_conf_of_0_2_is_told_that_there_is_one_queue(line):
    option = line.partition(" ")[0]
    expected = (
        f"{option} in scrapyd.conf: the queue is always in the database now, so drop the line"
    )
    assert reason(CONFIGURATION, f"[scrapyd]\n{line}\n").startswith(expected)


@pytest.mark.parametrize("seconds", ["soon", "0"])
def test_time_after_which_a_node_is_dead(seconds):
    this_node.cache_clear()
    expected = f"node_timeout = {seconds} in scrapyd.conf is not a number of seconds"
    assert expected in reason(CONFIGURATION, f"[scrapyd]\nnode_timeout = {seconds}\n")
