"""The container without an engine: its steps run in an empty root, with its mounts and its user."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from tests.helpers.other_user import NEEDS_ROOT, with_mounts
from tests.helpers.postgres import new_database
from tests.helpers.processes import PROJECT, wait_until
from tests.helpers.scrapyd_process import Scrapyd

CONTAINERFILE = (PROJECT / "Containerfile").read_text()
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["coinspider"]


def instructions():
    """The instructions of the last stage, as pairs."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.M).replace("\\\n", " ")
    found = [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line]
    last = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[last + 1 :]


def values(word):
    return [value for name, value in instructions() if name == word]


ENVIRONMENT = dict(value.split("=", 1) for value in values("ENV"))
[WORKDIR], [USER], [VOLUME] = values("WORKDIR"), values("USER"), values("VOLUME")


def test_no_file_that_the_image_copies_is_left_out_of_its_context():
    _, *kept = (PROJECT / ".containerignore").read_text().split()
    names = {name.removeprefix("!") for name in kept if name.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, flags=re.M)
    assert {source for line in lines for source in line.split()} == names


# The base image is a system with Python: here this machine's, with the tests' Python.
BASE = """
cd "$ROOT"
mkdir usr etc opt proc dev tmp run root mnt
for link in bin sbin lib lib64; do [ -e /$link ] && ln -s usr/$link $link; done
cp -a /etc/. etc
mount --rbind /usr usr
mount --rbind /dev dev
mount --rbind /proc proc
mkdir -p ".$PYTHON_HOME"
mount --rbind "$PYTHON_HOME" ".$PYTHON_HOME"
# What "COPY --from=build" brings: an environment with the packages of requirements.lock.
chroot . "$PYTHON" -m venv --without-pip /opt/venv
mount --rbind "$SITE_PACKAGES" ".$(chroot . /opt/venv/bin/python -c \
    'import sysconfig; print(sysconfig.get_path("purelib"))')"
"""
# read_only, tmpfs, the volume, secrets, cap_drop and no-new-privileges from compose.yaml.
RUN = """
mount -t tmpfs -o mode=1777 none tmp
mkdir -p run/secrets ".$SOCKET"
mount --rbind "$SECRETS" run/secrets
mount --bind "$SOCKET" ".$SOCKET"
mount --bind ".$VOLUME" ".$VOLUME"
for place in opt usr etc root mnt; do
    mount --rbind $place $place && mount -o remount,bind,ro $place
done
mount --bind ".$VOLUME" ".$VOLUME" && mount -o remount,bind,rw ".$VOLUME"
exec chroot . setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --clear-groups --no-new-privs \
    --bounding-set=-all sh -ec 'cd "$0"; ! touch here 2>/dev/null; exec "$@"' "$WORKDIR" "$@"
"""


def steps():
    """The instructions as commands of a shell whose working folder is the root."""
    folder = "/"
    for word, value in instructions():
        if word == "WORKDIR":
            folder = value
            yield f"mkdir -p .{value}"
        elif word == "RUN":
            yield f"chroot . sh -ec {json.dumps(f'cd {folder}; {value}')}"
        elif word == "COPY" and not value.startswith("--from=build"):
            *sources, target = value.split()
            for source in sources:
                yield f'cp -r "{PROJECT / source}" ".{folder}/{target}"'


class Container(Scrapyd):
    """scrapyd as the image starts it, with everything that compose.yaml provides."""

    password = b"coinspider:geheim"

    def __init__(self, directory, secrets, database_url, api):
        super().__init__(directory, "")
        files = {
            "database_url": database_url,
            "scrapyd_password": "geheim\n",
            "coingecko_api_key": "",
        }
        assert files.keys() == set(SERVICE["secrets"])
        for name, text in files.items():
            (secrets / name).write_text(text)
        self.environment = ENVIRONMENT | SERVICE["environment"] | {
            # Not on every address, as in a container, because this is the whole machine.
            "SCRAPYD_BIND_ADDRESS": "127.0.0.1", "SCRAPYD_HTTP_PORT": str(self.port),
            "COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "0",
            "ROOT": str(self.directory), "SECRETS": str(secrets), "VOLUME": VOLUME,
            "PYTHON": f"{sys.base_prefix}/bin/python3", "PYTHON_HOME": sys.base_prefix,
            "SITE_PACKAGES": sysconfig.get_path("purelib"), "USER_NAME": USER, "WORKDIR": WORKDIR,
            "SOCKET": conninfo_to_dict(database_url)["host"],
        }  # fmt: skip

    def start(self):
        script = "\n".join([BASE, *steps(), RUN])
        [command] = values("CMD")
        path = f"{ENVIRONMENT['PATH']}:/usr/sbin:/sbin"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                with_mounts(script, *json.loads(command)),
                env=self.environment | {"PATH": path}, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self.answers)
        return self

    def outcomes(self):
        return [crawl["outcome"] for crawl in self.get("crawls.json")["crawls"]]

    def get(self, path, **data):
        return json.loads(self.open(path, data or None, self.password))


@pytest.fixture
def container(sandbox, server_url):
    with (
        tempfile.TemporaryDirectory(prefix="coinspider-", dir="/opt") as directory,
        tempfile.TemporaryDirectory(prefix="coinspider-", dir="/opt") as secrets,
    ):
        Path(directory).chmod(0o755)
        Path(secrets).chmod(0o755)
        database_url = new_database(server_url)
        host = Path(conninfo_to_dict(database_url)["host"])
        host.chmod(0o755)
        for socket in host.glob(".s.PGSQL.*"):  # the embedded server's is for its own user
            socket.chmod(0o777)
        container = Container(directory, Path(secrets), database_url, sandbox("--coins", 30))
        yield container
        container.end()


@NEEDS_ROOT
def test_image_crawls_with_a_read_only_root_and_secrets_from_files(container):
    container.start()
    wait_until(
        lambda: (
            [crawl["outcome"] for crawl in container.get("crawls.json").get("crawls", ())]
            == ["complete"]
        )
    )
    [check] = [value.partition("CMD ")[2] for value in values("HEALTHCHECK")]
    command = json.loads(check)
    assert command[0] == "python"
    environment = os.environ | {"SCRAPYD_HTTP_PORT": str(container.port)}

    def is_healthy():
        return not subprocess.run(
            [sys.executable, *command[1:]], cwd=PROJECT, env=environment, check=False,
            stderr=subprocess.DEVNULL,
        ).returncode  # fmt: skip

    assert is_healthy()
    container.stop()
    assert not is_healthy()


def test_image_installs_what_the_project_requires():
    assert "COPY requirements.lock /tmp/" in CONTAINERFILE
    assert "/opt/venv/bin/pip install" in CONTAINERFILE
    assert "-r /tmp/requirements.lock" in CONTAINERFILE
    bases = re.findall(r"^FROM (\S+)", CONTAINERFILE, re.M)
    assert [base.partition("@")[0] for base in bases] == ["python:3.13-slim"] * 2


def test_copied_files_are_not_ignored():
    sent = re.findall(r"^!(\S+)", (PROJECT / ".containerignore").read_text(), re.M)
    copied = [name for value in values("COPY") for name in value.split()[:-1]]
    assert {name for name in copied if not name.startswith(("--", "/"))} <= set(sent)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_service_is_confined(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert not any(
        "PASSWORD" in key and not key.endswith("_FILE") for key in service["environment"]
    )
    for key, value in service["environment"].items():
        if key.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_secrets_are_made_once_and_others_can_not_read_them(tmp_path):
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy/make-secrets"
    shutil.copy(PROJECT / "deploy/make-secrets", script)
    subprocess.run([script], check=True)
    secrets = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert secrets.keys() == COMPOSE["secrets"].keys()
    assert len(secrets["scrapyd_password"]) == 32
    assert conninfo_to_dict(secrets["database_url"]) == {
        "user": "coinspider", "password": secrets["postgresql_password"], "host": "postgresql",
        "dbname": COMPOSE["services"]["postgresql"]["environment"]["POSTGRES_DB"],
    }  # fmt: skip
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    again = subprocess.run([script], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (1, "secrets/ exists already\n")
