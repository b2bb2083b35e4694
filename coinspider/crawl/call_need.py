"""How many calls are needed for what earlier crawls took."""

# For retries, and for coins that are looked for before they are marked as delisted.
MARGIN_SHARE = 0.05


def with_margin(calls: int) -> int:
    """Some more than usual; no more for fewer than 20."""
    return calls + int(calls * MARGIN_SHARE)
