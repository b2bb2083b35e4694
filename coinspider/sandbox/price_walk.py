"""A price at any moment, as if it had walked there by chance; the same for the same seed."""

from math import exp, sqrt

DAY = 86_400.0  # seconds
_MASK = 2**64 - 1
# Each octave moves five times as slowly as the one before, and so much farther, as a random walk.
_OCTAVES = [(octave, 900.0 * 5**octave, sqrt(900.0 * 5**octave / DAY)) for octave in range(7)]
_FARTHEST = 0.5


def walk(seed: int, moment: float, volatility: float) -> float:
    """The factor by which a price differs from its mean at a moment (Unix time).

    ``volatility`` is by what share it typically changes in a day.
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
    """A number from -1 to 1, the same each time: the hash of numbers has no random part."""
    mixed = hash((seed, octave, step)) * 0x94D049BB133111EB & _MASK
    return ((mixed ^ (mixed >> 29)) - 2**63) / 2**63
