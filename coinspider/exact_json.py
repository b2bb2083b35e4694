"""JSON whose numbers are the digits of a ``Decimal``."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec.json import Encoder

encode = Encoder(decimal_format="number").encode
# Python's own parser rejects integers of more than 4300 digits.
_PLACES_MAX = 1000


def encode_row(row: Mapping[str, object]) -> bytes:
    """A row of a table that may hold numbers JSON doesn't have, stored by others.

    NaN, infinity and numbers of more than 1000 digits become strings.
    """
    return encode({name: _encodable(value) for name, value in row.items()})


def _encodable(value: object) -> object:
    if not isinstance(value, Decimal) or (
        value.is_finite() and abs(value.adjusted()) <= _PLACES_MAX
    ):
        return value
    return str(value)
