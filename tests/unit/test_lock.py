"""The lock file fits the requirements, and has nothing but packages and hashes."""

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.processes import PROJECT

LOCK = (PROJECT / "requirements.lock").read_text()
LOCKED = dict(re.findall(r"^([\w.-]+)(?:\[\w,]+\])?==([\w.]+)", LOCK, re.MULTILINE))
REQUIREMENTS = [
    Requirement(line)
    for line in (PROJECT / "requirements.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda each: each.name)
def test_requirement_is_locked_within_its_bounds(requirement):
    version = LOCKED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version), "make lock writes it again"


def test_each_package_has_its_hashes():
    packages = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)[1:]
    assert len(packages) == len(LOCKED)
    assert all(package.count("--hash=sha256:") for package in packages)


def test_no_index_is_named():
    assert "://" not in LOCK
    assert "--index" not in LOCK
