"""The systemd unit: its restrictions, and what a crash and a restart leave behind."""

import configparser
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

import pytest

from tests.helpers.other_user import (
    AS_USER,
    NEEDS_ROOT,
    USER,
    make_user,
    opened,
    own,
    with_mounts,
)
from tests.helpers.processes import CLEAN, PROJECT, wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

UNIT = PROJECT / "deploy/coinspider.service"


@pytest.mark.needs("systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    here = UNIT.read_text().replace("/opt/coinspider/.venv/bin/python", sys.executable)
    (tmp_path / "coinspider.service").write_text(here)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "coinspider.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "coinspider" not in done.stderr
    assert done.returncode == 0


@pytest.mark.needs("systemd-analyze")
def test_exposure_of_the_unit_is_low():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    [exposure] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposure) <= 3.0


def unit(option):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    return parser["Service"][option]


# As ProtectSystem=strict and ReadWritePaths= have it: everything but one folder is read-only, the
# shared temporary folder too, as PrivateTmp= gives another one.
RESTRICTED = """
mount --bind "$WRITABLE" "$WRITABLE"
mount --bind "$TMPDIR" "$TMPDIR"
for place in $(findmnt --noheadings --list --output TARGET); do
    case $place in
        /proc*|/dev*|/sys*|"$WRITABLE"|"$TMPDIR") ;;
        *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
    esac
done
! touch "$WRITABLE/../here" 2>/dev/null
exec {as_user} --bounding-set=-all "$@"
"""
# As SystemCallFilter= has it: the program may use these system calls, and gets EPERM for others.
FILTERED = """
import ctypes, os, sys

seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(0x00050001))  # SCMP_ACT_ERRNO(EPERM)
for name in sys.argv[1].split():
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        assert seccomp.seccomp_rule_add(context, 0x7FFF0000, number, 0) == 0  # SCMP_ACT_ALLOW
assert seccomp.seccomp_load(context) == 0
os.execvp(sys.argv[2], sys.argv[2:])
"""


def system_calls(group):
    """Those in a group of systemd's, and in the groups in it."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    ).stdout
    names = {line.strip() for line in told.splitlines() if line.startswith("    ")}
    groups = {name for name in names if name.startswith("@")}
    calls = {name for name in names - groups if name.isidentifier()}
    return calls.union(*map(system_calls, groups - {group}))


def allowed_calls():
    lines = re.findall(r"^SystemCallFilter=(~?)(.*)$", UNIT.read_text(), re.M)
    calls = set()
    for sign, groups in lines:
        named = set().union(*map(system_calls, groups.split()))
        calls = calls - named if sign else calls | named
    assert {"openat", "execve"} <= calls
    assert not {"mount", "setuid", "ptrace"} & calls
    return " ".join(sorted(calls))


class Service(Scrapyd):
    """scrapyd as the unit runs it: its command, folder, restrictions, and a separate user."""

    def __init__(self, directory, api):
        configuration = f"{CONFIGURATION}\n[schedule:coins]\nspider = coins\nevery = 1h\n"
        super().__init__(
            directory, configuration, COINGECKO_BASE_URL=api.url,
            HOME=f"/home/{USER}", TMPDIR=str(directory / "private"),
        )  # fmt: skip
        self.environment.pop("XDG_RUNTIME_DIR", None)
        assert unit("ProtectSystem") == "strict"
        writable = self.directory / Path(unit("ReadWritePaths")).relative_to(
            unit("WorkingDirectory")
        )
        for folder in (writable, self.directory / "private"):
            folder.mkdir()
            own(folder)
        self.environment["WRITABLE"] = str(writable)

    def start(self):
        command = shlex.split(unit("ExecStart"))
        command[0] = sys.executable
        if which("systemd-analyze"):
            command = [sys.executable, "-c", FILTERED, allowed_calls(), *command]
        script = opened() + RESTRICTED.format(as_user=AS_USER)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                with_mounts(script, *command),
                cwd=self.directory, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self.answers)
        return self

    def outcomes(self):
        return [crawl["outcome"] for crawl in self.get("crawls.json")["crawls"]]


@pytest.fixture
def service(sandbox):
    make_user()
    # Not in a folder that the restrictions hide.
    with tempfile.TemporaryDirectory(prefix="coinspider-", dir="/opt") as directory:
        Path(directory).chmod(0o755)
        service = Service(Path(directory), sandbox("--coins", 30))
        yield service
        service.end()


@NEEDS_ROOT
def test_it_starts_under_its_own_restrictions_and_again_after_a_crash(service):
    service.start()
    wait_until(lambda: service.outcomes() == ["complete"])
    before = {path.name for path in service.directory.iterdir()}
    # Everything is killed at once, as in a power cut.
    children = service.children()
    service.process.kill()
    service.process.wait()
    for child in children:
        child.kill()
    # What scrapyd would look at: another process has this number now.
    (service.directory / "twistd.pid").write_text(str(os.getpid()))
    service.start()
    wait_until(lambda: service.outcomes() == ["complete"] * 2)
    (service.directory / "twistd.pid").unlink()
    service.stop()
    assert service.process.returncode in (0, -signal.SIGTERM)  # systemd accepts both as a good end
    assert {path.name for path in service.directory.iterdir()} == before
    service.start()
    wait_until(lambda: service.outcomes() == ["complete"] * 3)
    assert service.open("coins.csv").count("\n") > 10
    assert "Traceback" not in service.log.read_text()


def test_port_in_use_is_one_line_and_status_1(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        daemon = Scrapyd(tmp_path, CONFIGURATION, SCRAPYD_HTTP_PORT=str(other.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-m", "coinspider.daemon"], cwd=tmp_path, env=daemon.environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("name another place)")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.pid"))


def test_folder_with_the_configuration_of_another_project_starts_no_bare_scrapyd(tmp_path):
    (tmp_path / "scrapyd.conf").write_text("[scrapyd]\nmax_proc = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "coinspider.daemon"], cwd=tmp_path,
        env=os.environ | CLEAN | {"PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is not of coinspider" in done.stderr.splitlines()[-1]


def test_configuration_that_can_not_be_read_is_one_line(tmp_path):
    daemon = Scrapyd(tmp_path, f"{CONFIGURATION}\n[scrapyd]\nx = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "coinspider.daemon"], cwd=tmp_path, env=daemon.environment | CLEAN,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("scrapyd does not start: While reading from 'scrapyd.conf' [line")
