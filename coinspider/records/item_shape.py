"""What coercion needs to know about an item class, computed once."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw
from msgspec.json import encode
from msgspec.structs import fields as struct_fields

from coinspider.records.column_types import AMOUNT, INTEGER
from coinspider.records.table_item import NULL, TableItem, columns, fields_without_column


class Field(NamedTuple):
    """How one field of a record is read."""

    column: str
    nullable: bool
    decode: Callable[[bytes], Any]


class ItemShape(NamedTuple):
    """How records become items of a class."""

    item_class: type[TableItem]
    digits_max: int
    decode: Callable[[bytes], TableItem]
    # Fails on fields that the item does not declare.
    decode_strictly: Callable[[bytes], TableItem]
    decode_list: Callable[[bytes], list[TableItem]]
    """The same for several records."""
    fields: dict[str, Field]
    """By their JSON keys."""
    integer_keys: frozenset[str]
    amounts: Callable[[TableItem], tuple[Decimal | None, ...]]
    # The fields that a record itself doesn't set, except by accident, and their defaults.
    unsent: Callable[[TableItem], tuple[Any, ...]]
    defaults: tuple[Any, ...]
    without_column: dict[str, str]
    no_columns: Callable[[TableItem], tuple[Any, ...]]
    # Their values if all are null, and ``extra`` in that case, which is that of most records.
    nulls: tuple[Raw, ...]
    extra_of_nulls: Raw

    def finish(self, items: Sequence[TableItem]) -> None:
        """Give strict items their declared class, and put what has no column into ``extra``."""
        item_class, no_columns, nulls = self.item_class, self.no_columns, self.nulls
        for item in items:
            item.__class__ = item_class
            values = no_columns(item)
            if values == nulls:
                item.extra = self.extra_of_nulls
            else:
                named = zip(self.without_column.values(), values, strict=True)
                item.extra = Raw(encode({key: value for key, value in named if value is not UNSET}))
            for name in self.without_column:
                setattr(item, name, UNSET)


@cache
def item_shape(
    item_class: type[TableItem], constants: frozenset[str], digits_max: int
) -> ItemShape:
    unsent = [field for field in struct_fields(item_class) if field.name in {"extra", *constants}]
    sent = [c for c in columns(item_class) if c.name != "extra" and c.name not in constants]
    types = {field.name: field.type for field in struct_fields(item_class)}
    strict: Any = msgspec.defstruct("Strict", [], bases=(item_class,), forbid_unknown_fields=True)
    without = fields_without_column(item_class)
    return ItemShape(
        item_class=item_class,
        digits_max=digits_max,
        decode=msgspec.json.Decoder(item_class).decode,
        decode_strictly=msgspec.json.Decoder(strict).decode,
        decode_list=msgspec.json.Decoder(list[strict]).decode,
        fields={
            c.json_key: Field(
                c.name,
                nullable=not (c.required or c.primary_key),
                decode=msgspec.json.Decoder(types[c.name]).decode,
            )
            for c in sent
        },
        integer_keys=frozenset(c.json_key for c in sent if c.type is INTEGER),
        amounts=_tuple_getter([c.name for c in sent if c.type is AMOUNT]),
        unsent=_tuple_getter([field.name for field in unsent]),
        defaults=tuple(field.default for field in unsent),
        without_column=without,
        no_columns=_tuple_getter(list(without)),
        nulls=(NULL,) * len(without),
        extra_of_nulls=Raw(encode(dict.fromkeys(without.values(), NULL))),
    )


def _tuple_getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    get = attrgetter(names[0]) if names else None
    return lambda item: (get(item),) if get else ()
