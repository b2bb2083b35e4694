"""What ``make`` removes, and what it prints."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.helpers.processes import PROJECT


@pytest.fixture
def make(tmp_path):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for folder in (".venv", ".scrapy/postgresql", "build"):
        (tmp_path / folder).mkdir(parents=True)

    def run(target, answer=""):
        done = subprocess.run(
            ["make", *([target] if target else [])], cwd=tmp_path, input=answer,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done, {path.name for path in tmp_path.iterdir()} - {"Makefile"}

    return run


def test_clean_leaves_the_database(make):
    assert make("clean")[1] == {".scrapy"}


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "Y\n", "yes\n"])
def test_clean_data_removes_nothing_without_a_y(make, answer):
    done, left = make("clean-data", answer)
    assert done.returncode != 0
    assert left == {".venv", ".scrapy", "build"}


def test_clean_data_removes_the_data_after_a_y(make):
    done, left = make("clean-data", "y\n")
    assert (done.returncode, left) == (0, {".venv", "build"})


def test_clean_data_leaves_a_database_that_is_in_use(make, tmp_path):
    (tmp_path / ".scrapy/postgresql/postmaster.pid").write_text(f"{os.getpid()}\n")
    done, left = make("clean-data", "y\n")
    assert done.returncode != 0
    assert "end make serve and the crawls first" in done.stdout
    assert left == {".venv", ".scrapy", "build"}


# What pip-audit leaves behind, and its status.
AUDITS = {
    "clean": ('{"components": [{"purl": "pkg:pypi/scrapy@2.19.0"}]}', 0, ""),
    "holes": ('{"components": [{"purl": "pkg:pypi/scrapy@2.19.0"}]}', 1, ""),
    "no index": ("", 1, "Nothing is audited: the index can't be asked"),
    "no package": ('{"components": []}', 0, "Nothing is audited: build/sbom.json names no package"),
}


@pytest.mark.parametrize("name", AUDITS)
def test_audit_that_has_audited_nothing_says_so_and_fails(make, tmp_path, name):
    sbom, status, told = AUDITS[name]
    (tmp_path / "found.json").write_text(sbom)
    (tmp_path / ".venv/bin").mkdir()
    audit = tmp_path / ".venv/bin/pip-audit"
    copy = "[ ! -s found.json ] || cp found.json build/sbom.json"
    audit.write_text(f"#!/bin/sh\n{copy}\nexit {status}\n")
    audit.chmod(0o755)
    made = ("requirements.lock", "requirements-audit.txt", ".venv/bin/python", ".venv/ready",
            ".venv/ready-audit")  # fmt: skip
    for number, file in enumerate(made):
        (tmp_path / file).touch()
        os.utime(tmp_path / file, (number, number))
    done, _ = make("audit")
    assert (done.returncode == 0) == (name == "clean"), done
    assert told in done.stdout


def test_help_lists_every_target(make):
    targets = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.M)[1].split()
    for target in (None, "help"):
        told = re.findall(r"^make (\S+)", make(target)[0].stdout, re.M)
        assert sorted(told) == sorted(targets)


def test_what_others_made_is_named_by_commit_or_digest():
    workflow = (PROJECT / ".github/workflows/test.yml").read_text()
    actions = re.findall(r"uses: (.*)", workflow)
    assert actions
    assert [one for one in actions if not re.fullmatch(r"\S+@[0-9a-f]{40}  # v[\d.]+", one)] == []
    images = re.findall(r"^FROM (\S+)", (PROJECT / "Containerfile").read_text(), re.M)
    for file in ("compose.yaml", "deploy/compose.fleet.yaml"):
        images += re.findall(r"image: (\S*:\S*)", (PROJECT / file).read_text())
    assert len(images) == 4
    assert [one for one in images if not re.fullmatch(r"[\w.:-]+@sha256:[0-9a-f]{64}", one)] == []


def test_continuous_integration_runs_existing_commands():
    jobs = yaml.safe_load((PROJECT / ".github/workflows/test.yml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    text = "\n".join([*commands, (PROJECT / ".ci/run").read_text()])
    for name in re.findall(r"test_\{([\w,]+)\}", text):
        assert all((PROJECT / f"tests/integration/test_{n}.py").exists() for n in name.split(","))
    for script in re.findall(r"(?:\.ci|deploy)/[\w-]+", text):
        assert (PROJECT / script).stat().st_mode & 0o100
    targets = re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"\bmake ([\w-]+)", text)) <= set(targets)
    assert "\nmake test\n" in text
