"""What ``make`` removes, and what it tells."""

import re
import shutil
import subprocess

import pytest

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
def test_clean_data_leaves_everything_without_a_y(make, answer):
    done, left = make("clean-data", answer)
    assert done.returncode != 0
    assert left == {".venv", ".scrapy", "build"}


def test_clean_data_removes_the_data_after_a_y(make):
    done, left = make("clean-data", "y\n")
    assert (done.returncode, left) == (0, {".venv", "build"})


def test_help_lists_every_target(make):
    targets = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.M)[1].split()
    for target in (None, "help"):
        told = re.findall(r"^make (\S+)", make(target)[0].stdout, re.M)
        assert sorted(told) == sorted(targets)
