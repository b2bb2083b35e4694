"""Draws the loads as a chart."""

from pathlib import Path

import matplotlib as mpl

from benchmarks.loads import LOADS, Benchmark

mpl.use("Agg")


def draw(benchmarks: list[Benchmark], path: Path) -> None:
    """A PNG with a panel for each number of coins: coins per second of each loader's loads."""
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, panels = plt.subplots(1, len(benchmarks), figsize=(6 * len(benchmarks), 4.5),
                                  squeeze=False)  # fmt: skip
    for panel, benchmark in zip(panels[0], benchmarks, strict=True):
        names = list(dict.fromkeys(name for name, _ in benchmark.runs))[::-1]
        for number, load in enumerate(LOADS):
            speeds = [benchmark.coins / benchmark.median(name, load, "wall") for name in names]
            places = [place + (1 - number) * 0.27 for place in range(len(names))]
            panel.barh(places, speeds, height=0.25, label=load)
        panel.set_yticks(range(len(names)), names)
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("coins per second, whole process")
        panel.set_title(f"{benchmark.coins:,} coins")
    panels[0][-1].legend(title="load")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
