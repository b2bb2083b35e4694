"""Spider arguments and settings, checked before anything starts."""

from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from coinspider.errors import ConfigurationError

ArgumentsT = TypeVar("ArgumentsT", bound=Struct)


def parse_arguments(declaration: type[ArgumentsT], given: dict[str, object]) -> ArgumentsT:
    """Read ``-a NAME=VALUE`` arguments as the fields of ``declaration``.

    Raises :exc:`ConfigurationError`, one line that names the argument and what is allowed.
    """
    hints = get_type_hints(declaration, include_extras=True)
    if unknown := sorted(given.keys() - hints.keys()):
        raise ConfigurationError(
            f"unknown argument {', '.join(unknown)}: allowed are {', '.join(hints)}"
        )
    for field in msgspec.structs.fields(declaration):
        if field.required and field.name not in given:
            allowed = _description(hints[field.name])
            raise ConfigurationError(f"the argument {field.name} is missing: {allowed}")
    return declaration(**{name: _parse(name, value, hints[name]) for name, value in given.items()})


def parse_pairs(name: str, text: str) -> dict[str, str]:
    """``NAME=VALUE,NAME=VALUE``, or a JSON object if a value contains a comma.

    An error does not repeat them: a value may be a key.
    """
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, str], strict=False)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"wrong argument {name}: {error}") from None
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise ConfigurationError(
            f"wrong argument {name}: allowed is NAME=VALUE,NAME=VALUE, or a JSON object"
        )
    return {key.strip(): value.strip() for key, _, value in pairs}


def _parse(name: str, value: object, hint: object) -> Any:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError:
        raise ConfigurationError(
            f"wrong argument {name}={value}: allowed is {_description(hint)}"
        ) from None


def _description(hint: object) -> str:
    """The description in the ``Meta`` of ``Annotated[...]`` or ``Annotated[...] | None``."""
    for declared in (hint, *get_args(hint)):
        for meta in getattr(declared, "__metadata__", ()):
            if isinstance(meta, Meta) and meta.description:
                return meta.description
    return str(hint)
