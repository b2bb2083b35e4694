"""``scrapy`` as a process that :mod:`tests.helpers.fork_server` forks."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from threading import Thread
from typing import IO, Self

PROJECT = Path(__file__).parent.parent.parent


class Forked:
    """The part of ``subprocess.Popen`` that the tests use; stdout and stderr are text from pipes.

    With ``shares_stderr`` the process writes to this process's own stderr.
    """

    def __init__(
        self, arguments: list[str], directory: Path, environment: dict[str, str],
        shares_stderr: bool = False,
    ):  # fmt: skip
        self.args, self.returncode = arguments, None
        self._readers: list[_Reader] = []
        job = {"arguments": arguments, "directory": str(directory), "environment": environment}
        with ExitStack() as stack:
            self._link, link = socket.socketpair(type=socket.SOCK_SEQPACKET)
            stack.enter_context(link)
            self.stdout, stdout = _pipe(stack)
            self.stderr, stderr = (None, 2) if shares_stderr else _pipe(stack)
            files = [link.fileno(), stdout, stderr]
            socket.send_fds(_server()[0], [json.dumps(job).encode()], files)
        self.pid = int(self._link.recv(32))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self.wait()

    def _close(self) -> None:
        for file in filter(None, (self.stdout, self.stderr)):
            file.close()

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._link.settimeout(timeout)
            try:
                status = int(self._link.recv(32))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._link.close()
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """It may be called again after a timeout, or after the end."""
        if not self._readers:
            self._readers = [_Reader(self.stdout), _Reader(self.stderr)]
        for reader in self._readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        self._close()
        out, err = (reader.text for reader in self._readers)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Reader(Thread):
    def __init__(self, file: IO[str]):
        super().__init__(daemon=True)
        self.file, self.text = file, ""
        self.start()

    def run(self) -> None:
        self.text = self.file.read()


def _pipe(stack: ExitStack) -> tuple[IO[str], int]:
    """A pipe from the other process to this one."""
    ours, its = os.pipe()
    stack.callback(os.close, its)
    return open(ours), its  # noqa: PTH123


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.helpers.fork_server"]
    with its:
        return ours, subprocess.Popen(
            # A terminal that closes is none of its business: the tests may go on, under nohup.
            command, cwd=PROJECT, stdin=its, start_new_session=True,
        )  # fmt: skip
