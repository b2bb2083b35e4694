"""Becomes ``scrapy`` by forking a process that has imported other packages already.

This takes a third of the CPU time. :mod:`tests.helpers.forked` starts one of these beside each test
process, and sends it requests on stdin. The project's own modules are imported after the fork, in
the requested folder and environment, so that a process begins as ``python -m scrapy`` does.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
from importlib import import_module

from scrapy.utils.misc import walk_modules_iter

WHOLE = ("scrapy.commands", "scrapy.downloadermiddlewares", "scrapy.spidermiddlewares")
MODULES = (
    "dotenv", "msgspec", "psycopg", "scrapy.core.downloader.handlers.http11", "scrapy.dupefilters",
    "scrapy.extensions.throttle", "scrapy.pqueues", "scrapy.squeues", "scrapy.statscollectors",
)  # fmt: skip


def fork() -> list[str] | None:
    """Return the arguments in each new process, once it is set up; ``None`` at the end."""
    with socket.socket(fileno=0) as server:
        while True:
            message, files, _, _ = socket.recv_fds(server, 1 << 20, 3)
            if not message:
                os.killpg(0, signal.SIGTERM)  # and what a test that was ended has left behind
                return None
            if os.fork() == 0:
                server.detach()
                wait_for_fork(*files)
                return prepare(**json.loads(message))
            for file in files:
                os.close(file)


def wait_for_fork(link: int, stdout: int, stderr: int) -> None:
    """Fork again, and report the new process's number and end; return in the new process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        for file in (stdout, stderr):
            os.close(file)
        os.write(link, str(pid).encode())
        os.write(link, str(os.waitpid(pid, 0)[1]).encode())
        os._exit(0)
    os.close(link)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, stdout, stderr)):
        os.dup2(file, number)
        os.close(file)
    # The old objects remember what kind of files they had.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115


def prepare(arguments: list[str], directory: str, environment: dict[str, str]) -> list[str]:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    path = environment.get("PYTHONPATH")
    sys.path[0:1] = [directory, *(path.split(os.pathsep) if path else ())]
    return arguments


def main() -> None:
    for package in WHOLE:
        list(walk_modules_iter(package))
    for module in MODULES:
        import_module(module)
    gc.freeze()
    # No process waits for the intermediate ones.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


if __name__ == "__main__":
    main()
    if (arguments := fork()) is not None:
        sys.argv[1:] = arguments
        runpy.run_module("scrapy", run_name="__main__", alter_sys=True)
