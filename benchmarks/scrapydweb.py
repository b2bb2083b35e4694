"""scrapydweb on a fleet of two nodes: ``python -m benchmarks.scrapydweb``.

Too heavy for the tests: it needs a virtual environment of its own, since it holds Flask at 2.0.0.
Prints what its pages show of a job that one node ran; fails where they don't show it.
"""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from benchmarks.pages import FOLDER
from coinspider.store.embedded_server import start_embedded_server
from tests.helpers.postgres import new_database, server_directory
from tests.helpers.processes import start_sandbox, wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

PROGRAM = FOLDER / "scrapydweb/bin/scrapydweb"
SETTINGS = "scrapydweb_settings_v11.py"
FLEET = "[scrapyd]\nnode_name = {}"
SHOWN = {"jobs": "/{}/jobs/", "stats": "/{}/log/stats/coinspider/coins/{}/",
         "log": "/{}/log/utf8/coinspider/coins/{}/"}  # fmt: skip


def install() -> None:
    if not PROGRAM.exists():
        subprocess.run([sys.executable, "-m", "venv", PROGRAM.parent.parent], check=True)
        subprocess.run([PROGRAM.with_name("pip"), "install", "-q", "scrapydweb"], check=True)


def start_nodes(stack: ExitStack) -> list[Scrapyd]:
    directory = stack.enter_context(server_directory())
    database = new_database(start_embedded_server(directory))
    api = start_sandbox(stack, "--coins", 600)
    environment = {"DATABASE_URL": database, "COINGECKO_BASE_URL": api.url}
    nodes = []
    for name in ("one", "two"):
        folder = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
        configuration = CONFIGURATION.replace("[scrapyd]", FLEET.format(name), 1)
        node = Scrapyd(folder, configuration, **environment)
        del node.environment["STATS_DUMP"]  # which the tests set themselves
        stack.callback(node.start().end)
        nodes.append(node)
    return nodes


def start_scrapydweb(stack: ExitStack, nodes: list[Scrapyd]) -> str:
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="coinspider-")))
    environment = os.environ | {"DATA_PATH": str(folder)}
    # Its first run only writes its settings.
    subprocess.run([PROGRAM], cwd=folder, env=environment, capture_output=True, check=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    servers = [node.url.removeprefix("http://") for node in nodes]
    text = (folder / SETTINGS).read_text()
    text = re.sub(r"SCRAPYD_SERVERS = \[.*?\n\]", f"SCRAPYD_SERVERS = {servers}", text, flags=re.S)
    text = text.replace("SCRAPYDWEB_PORT = 5000", f"SCRAPYDWEB_PORT = {port}")
    text = text.replace("SCRAPYDWEB_BIND = '0.0.0.0'", "SCRAPYDWEB_BIND = '127.0.0.1'")
    (folder / SETTINGS).write_text(text)
    process = subprocess.Popen(
        [PROGRAM], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.terminate)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(url))
    return url


def answers(url: str) -> bool:
    try:
        urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def text_of(page: str) -> str:
    visible = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", visible).split())


def main() -> None:
    install()
    with ExitStack() as stack:
        nodes = start_nodes(stack)
        job = nodes[0].run()
        wait_until(lambda: nodes[1].get("listjobs.json")["finished"])
        url = start_scrapydweb(stack, nodes)
        time.sleep(2)  # it asks its nodes in the background
        for number in (1, 2):
            for name, path in SHOWN.items():
                with urlopen(url + path.format(number, job), timeout=30) as answer:
                    page = answer.read().decode()
                if job not in page:
                    sys.exit(f"{name} of node {number} does not show the job")
                figures = re.findall(r"(?:crawled_pages|scraped_items) \d+", text_of(page))
                if name == "stats" and "scraped_items 600" not in figures:
                    sys.exit(f"{name} of node {number} does not show what was scraped: {figures}")
                print(f"node {number}, {name}: the job is shown", *figures)


if __name__ == "__main__":
    main()
