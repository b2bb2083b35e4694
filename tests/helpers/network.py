"""A second machine on this one: a network namespace behind a cable that can be cut."""

import os
import subprocess
from contextlib import ExitStack
from typing import Self

import pytest

from tests.helpers.processes import PROJECT

NEEDS_NAMESPACES = pytest.mark.needs("root", "ip")
# For documentation only: https://www.rfc-editor.org/rfc/rfc5737
_NETWORK = "198.51.100"
_NOBODY = "02:00:00:00:00:01"


class Machine:
    """A process that :meth:`start` runs there reaches this machine at the address ``here``.

    :meth:`cut` drops every packet in both directions, without telling either side.
    """

    def __init__(self) -> None:
        self.name, self.cable = f"coinspider-{os.getpid()}", f"cs{os.getpid()}"
        first = os.getpid() % 64 * 4
        self.here, self.there = f"{_NETWORK}.{first + 1}", f"{_NETWORK}.{first + 2}"

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", self.cable, "type", "veth",
                "peer", "name", "eth0", "netns", self.name)  # fmt: skip
            _ip("addr", "add", f"{self.here}/30", "dev", self.cable)
            _ip("link", "set", self.cable, "up")
            self._inside("addr", "add", f"{self.there}/30", "dev", "eth0")
            for device in ("lo", "eth0"):
                self._inside("link", "set", device, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "delete", self.name)  # which removes the cable, too

    def start(
        self, stack: ExitStack, *command: object, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a process that is killed when the stack ends."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *map(str, command)], cwd=PROJECT,
            env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.enter_context(process)
        stack.callback(process.kill)
        return process

    def cut(self) -> None:
        _ip("neigh", "replace", self.there, "lladdr", _NOBODY, "dev", self.cable)
        self._inside("neigh", "replace", self.here, "lladdr", _NOBODY, "dev", "eth0")

    def mend(self) -> None:
        _ip("neigh", "delete", self.there, "dev", self.cable)
        self._inside("neigh", "delete", self.here, "dev", "eth0")

    def _inside(self, *arguments: str) -> None:
        _ip("-netns", self.name, *arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
