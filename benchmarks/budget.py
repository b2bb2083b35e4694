"""How fresh a month's calls keep the coins: ``budget = auto`` compared with whole crawls only.

A month is simulated; the volume of a coin is 1 divided by its rank. Takes a minute or two.
"""

from datetime import UTC, datetime

from coinspider.daemon.schedules.budget import (
    Budget,
    Part,
    Reads,
    freshness,
    plan,
    volume_by_rank,
    whole_passes,
)
from coinspider.sources.coingecko import PLANS

COINS, RESERVE = 17_250, 0.02
START, END = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def compare(name: str, calls: int) -> str:
    weights = volume_by_rank(COINS)
    runs = list(plan([Budget(calls * (1 - RESERVE), END, weights)], Reads(None), START, END))
    ours = freshness(runs, weights, START, END)
    naive = freshness(
        whole_passes(Part(1, len(weights), True), calls, START, END), weights, START, END
    )
    ages = " | ".join(
        f"{found.median / 60:.1f} min, {found.mean / 60:.1f} min" for found in (ours, naive)
    )
    return f"| {name} | {calls:,} | {ours.calls:,} | {ages} |"


def main() -> None:
    print("| plan | calls a month | made | budget = auto: median, mean | whole: median, mean |")
    print("| --- | --- | --- | --- | --- |")
    for name, of_plan in PLANS.items():
        if of_plan.credits:
            print(compare(name, of_plan.credits), flush=True)


if __name__ == "__main__":
    main()
