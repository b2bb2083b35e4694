"""The program as pip installs it, in a folder that is no project."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.helpers.ports import free_port
from tests.helpers.postgres import folder_in_memory
from tests.helpers.processes import CLEAN, PROJECT, start_sandbox

OF_THE_PACKAGE = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")


@pytest.fixture
def installed():
    """Its environment, with a home and a folder to stand in that nobody has used."""
    with TemporaryDirectory(prefix="coinspider-", dir=folder_in_memory()) as name:
        folder = Path(name)
        source, library = folder / "source", folder / "library"
        shutil.copytree(PROJECT / "coinspider", source / "coinspider")
        for file in OF_THE_PACKAGE:
            shutil.copy(PROJECT / file, source)
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
             "--no-build-isolation", "--disable-pip-version-check", "--target", library, source],
            check=True,
        )  # fmt: skip
        for path in (folder / "here", folder / "home/.config/coinspider"):
            path.mkdir(parents=True)
        given = os.environ | CLEAN | {
            "HOME": str(folder / "home"),
            "PATH": f"{library / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(library),
        }  # fmt: skip
        del given["COINGECKO_API_KEY"], given["DATABASE_URL"]
        yield folder, {k: v for k, v in given.items() if not k.startswith(("XDG_", "SCRAPY"))}


def test_program_works_in_any_folder(installed):
    folder, environment = installed
    data = folder / "home/.local/share/coinspider"

    def run(*words):
        return subprocess.run(
            ["coinspider", *words], cwd=folder / "here", env=environment,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout == f"coinspider {project['version']}\n"
    assert "  serve " in run().stdout
    wrong = run("cons")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean coins?" in wrong.stderr
    with ExitStack() as stack:
        api = start_sandbox(stack, "--coins", 30, "--plan", "demo", "--key", "CG-own")
        own = folder / "home/.config/coinspider/.env"
        own.write_text(f"COINGECKO_BASE_URL={api.url}\nCOINGECKO_API_KEY=CG-own\n")
        own.chmod(0o600)
        done = run("crawl", "coins", "-O", "coins.csv")
        assert done.returncode == 0, done.stderr
        assert "coinspider coins" in done.stderr
        assert [path.name for path in (folder / "here").iterdir()] == ["coins.csv"]
        assert len(run("coins", "--format", "csv").stdout.splitlines()) == 31
        (folder / "here/scrapyd.local.conf").write_text("[schedule:coins]\nevery = 5m\n")
        assert run("schedules").stdout.endswith("every 5 min (scrapyd.local.conf)\n")
        told = crawl_by_schedule(folder / "here", environment)
        assert "The pages are at" in told
    assert list((data / "scrapyd/logs/coinspider/coins").glob("*.log")), told
    page = (PROJECT / "docs/how-to.md").read_text()
    remove = re.search("\n## Uninstall\n.*?^(rm [^\n]*)", page, re.DOTALL | re.MULTILINE)[1]
    subprocess.run(["sh", "-euc", remove], env=environment, check=True)
    assert [path for path in (folder / "home").rglob("*") if path.is_file()] == []


def crawl_by_schedule(folder, environment):
    """What scrapyd says until its first crawl has ended."""
    lines, port = [], {"SCRAPYD_HTTP_PORT": str(free_port())}
    with subprocess.Popen(
        ["coinspider", "serve"], cwd=folder, env=environment | port,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as daemon:  # fmt: skip
        for line in daemon.stdout:
            lines.append(line)
            if "Process finished" in line or "Process died" in line:
                break
        daemon.send_signal(signal.SIGTERM)
    return "".join(lines)
