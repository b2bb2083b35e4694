"""Prices that move like a random walk, reproducible at any moment from a seed."""

from math import exp, sqrt

DAY = 86_400.0  # seconds
_MASK = 2**64 - 1
# Each octave is five times slower than the one before, and moves farther, like a random walk.
_OCTAVES = [(octave, 900.0 * 5**octave, sqrt(900.0 * 5**octave / DAY)) for octave in range(7)]
_FARTHEST = 0.5


def walk(seed: int, moment: float, volatility: float) -> float:
    """The factor by which a price differs from its mean at a moment (Unix time).

    ``volatility`` is the typical relative change in a day.
    """
    total = 0.0
    for octave, period, size in _OCTAVES:
        position = moment / period
        step = int(position)
        share = position - step
        share *= share * (3 - 2 * share)
        before, after = _chance(seed, octave, step), _chance(seed, octave, step + 1)
        total += min(volatility * size, _FARTHEST) * (before + (after - before) * share)
    return exp(total)


def _chance(seed: int, octave: int, step: int) -> float:
    """A number from -1 to 1, always the same, because hashes of numbers are not randomised."""
    mixed = hash((seed, octave, step)) * 0x94D049BB133111EB & _MASK
    return ((mixed ^ (mixed >> 29)) - 2**63) / 2**63
