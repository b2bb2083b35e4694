"""All benchmarks in one run: ``make bench``.

The tables go to the terminal, and with the chart to ``.scrapy/benchmarks``.
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.loads import commands, measure, report
from benchmarks.pages import FOLDER
from coinspider.store.embedded_server import bundled_program

# With one INSERT and one commit per coin, a round of 200,000 coins takes eight minutes.
SLOW = "naive Scrapy"


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    server = subprocess.run(
        [bundled_program("psql"), "--version"], capture_output=True, text=True, check=True
    )
    return (f"{os.cpu_count()} cores ({model}), Python {platform.python_version()},"
            f" {server.stdout.strip().replace('psql (', '').replace(')', '')}")  # fmt: skip


def output_of(module: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=[17_000, 200_000], help="how many coins to load")
    add("--rounds", type=int, nargs="+", default=[3, 3], help="how often, for each size")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    parts, benchmarks = [machine()], []
    for size, rounds in zip(options.sizes, options.rounds, strict=True):
        names = [name for name in commands() if name != SLOW or size < 100_000]
        benchmarks.append(measure(size, rounds, names))
        parts.append(report(benchmarks[-1], names))
    parts += map(output_of, ("scale", "history", "ratelimit", "budget"))
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    (FOLDER / "result.md").write_text(text)
    draw(benchmarks, FOLDER / "result.png")
    print(text)


if __name__ == "__main__":
    main()
