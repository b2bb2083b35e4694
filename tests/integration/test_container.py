"""The container: built by buildah from this machine's Python, run with its mounts and its user."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from tests.helpers.needs import need
from tests.helpers.other_user import with_mounts
from tests.helpers.postgres import new_database
from tests.helpers.processes import PROJECT, wait_until
from tests.helpers.scrapyd_process import Scrapyd

CONTAINERFILE = (PROJECT / "Containerfile").read_text()
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["coinspider"]
BASES = re.findall(r"^FROM (\S+)", CONTAINERFILE, flags=re.M)


def test_no_file_that_the_image_copies_is_left_out_of_its_context():
    _, *kept = (PROJECT / ".containerignore").read_text().split()
    names = {name.removeprefix("!") for name in kept if name.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, flags=re.M)
    assert {source for line in lines for source in line.split()} == names


# The base image is a system with Python: here this machine's, which is mounted into an empty one.
# No storage driver but vfs works everywhere, no isolation but chroot inside of a container.
# Compiling the packages would take as long as all the rest.
BUILD = """
umask 022
container=$(buildah from scratch)
cd "$(buildah mount "$container")"
mkdir usr etc opt proc dev tmp run root mnt sys var
chmod 1777 tmp
for link in bin sbin lib lib64; do [ -e /$link ] && ln -s usr/$link $link; done
cp -a /etc/. etc
buildah config --env PIP_NO_COMPILE=1 "$container"
buildah commit --quiet "$container" base
cd "$PROJECT"
buildah build --format docker --pull=never --tag coinspider --file Containerfile \
    --build-context "$BASE=container-image://localhost/base" "$@" .
buildah from --name built --pull-never coinspider
buildah mount built > "$STORAGE/place"
buildah inspect --type image coinspider > "$STORAGE/image"
"""
# read_only, tmpfs, the volume, secrets, cap_drop and no-new-privileges from compose.yaml.
RUN = """
cd "$ROOT"
mount --rbind /usr usr
mount --bind "$LOCAL" usr/local
mount --rbind /dev dev
mount --rbind /proc proc
[ -e ".$PYTHON_HOME" ] || mkdir -p ".$PYTHON_HOME"
mount --rbind "$PYTHON_HOME" ".$PYTHON_HOME"
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


class Image:
    """What buildah made of the Containerfile: a root directory, and how it is to be run."""

    def __init__(self, storage):
        self.local = storage / "local"
        (self.local / "bin").mkdir(parents=True)
        # Through a link, Python would look for its library beside that.
        python = self.local / "bin/python"
        python.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 "$@"\n')
        python.chmod(0o755)
        (storage / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/graph"\nrunroot = "{storage}/run"\n'
        )
        volumes = {"/usr": "/usr", self.local: "/usr/local", sys.base_prefix: sys.base_prefix}
        options = [f"--volume={here}:{there}:ro" for here, there in volumes.items()]
        done = subprocess.run(
            ["bash", "-ec", BUILD, "bash", *options],
            env=os.environ | {
                "BASE": BASES[0], "BUILDAH_ISOLATION": "chroot", "PROJECT": str(PROJECT),
                "STORAGE": str(storage), "CONTAINERS_STORAGE_CONF": f"{storage}/storage.conf",
            }, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "No matching distribution found" in done.stderr:
            pytest.skip("needs a package index")
        assert done.returncode == 0, done.stderr
        self.place = (storage / "place").read_text().strip()
        self.settings = json.loads((storage / "image").read_text())["Docker"]["config"]

    @property
    def environment(self):
        return dict(value.split("=", 1) for value in self.settings["Env"])


class Container(Scrapyd):
    """scrapyd as the image starts it, with everything that compose.yaml provides."""

    password = b"coinspider:geheim"

    def __init__(self, image, secrets, database_url, api):
        super().__init__(secrets, "")
        self.image = image
        files = {
            "database_url": database_url,
            "scrapyd_password": "geheim\n",
            "coingecko_api_key": "",
        }
        assert files.keys() == set(SERVICE["secrets"])
        for name, text in files.items():
            (secrets / name).write_text(text)
        [volume] = image.settings["Volumes"]
        self.environment = image.environment | SERVICE["environment"] | {
            # Not on every address, as in a container, because this is the whole machine.
            "SCRAPYD_BIND_ADDRESS": "127.0.0.1", "SCRAPYD_HTTP_PORT": str(self.port),
            "COINGECKO_BASE_URL": api.url, "COINGECKO_RATE_LIMIT": "0",
            "ROOT": image.place, "SECRETS": str(secrets), "VOLUME": volume,
            "LOCAL": str(image.local), "PYTHON_HOME": sys.base_prefix,
            "USER_NAME": image.settings["User"], "WORKDIR": image.settings["WorkingDir"],
            "SOCKET": conninfo_to_dict(database_url)["host"],
            "PATH": f"{image.environment['PATH']}:/usr/sbin:/sbin",
        }  # fmt: skip

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                with_mounts(RUN, *self.image.settings["Cmd"]),
                env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        wait_until(self.answers)
        return self

    def is_healthy(self):
        """What the image's check says, inside of it."""
        kind, *command = self.image.settings["Healthcheck"]["Test"]
        assert kind == "CMD"
        inside = ["nsenter", f"--target={self.process.pid}", "--mount", "--root", "--wd"]
        return not subprocess.run([*inside, *command], env=self.environment, check=False).returncode

    def get(self, path, **data):
        return json.loads(self.open(path, data or None, self.password))


@pytest.fixture
def container(sandbox, server_url):
    need("root", "buildah", "unshare", "nsenter", "setpriv", "useradd")
    with (
        tempfile.TemporaryDirectory(prefix="coinspider-", dir="/opt") as storage,
        tempfile.TemporaryDirectory(prefix="coinspider-", dir="/opt") as secrets,
    ):
        Path(storage).chmod(0o755)
        Path(secrets).chmod(0o755)
        database_url = new_database(server_url)
        host = Path(conninfo_to_dict(database_url)["host"])
        for folder in (host, host.parent):
            folder.chmod(0o755)
        for socket in host.glob(".s.PGSQL.*"):  # the embedded server's is for its own user
            socket.chmod(0o777)
        image = Image(Path(storage))
        container = Container(image, Path(secrets), database_url, sandbox("--coins", 30))
        yield container
        container.end()


def test_image_is_built_and_crawls_with_a_read_only_root_and_secrets_from_files(container):
    container.start()
    wait_until(
        lambda: (
            [crawl["outcome"] for crawl in container.get("crawls.json").get("crawls", ())]
            == ["complete"]
        )
    )
    assert container.is_healthy()
    container.process.send_signal(signal.SIGSTOP)
    assert not container.is_healthy()
    container.process.send_signal(signal.SIGCONT)


def test_image_installs_what_the_project_requires():
    assert "COPY requirements.lock /tmp/" in CONTAINERFILE
    assert "/opt/venv/bin/pip install" in CONTAINERFILE
    assert "-r /tmp/requirements.lock" in CONTAINERFILE
    assert [base.partition("@")[0] for base in BASES] == ["python:3.13-slim"] * 2


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
