"""JSON whose numbers are the digits of a ``Decimal``."""

from msgspec.json import Encoder

encode = Encoder(decimal_format="number").encode
