"""All strategies by name, with their arguments; used by ``next`` and the documentation."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import msgspec

from coinspider.errors import ConfigurationError
from coinspider.http.pagination import PageNumber, Pagination
from coinspider.http.pagination.auto import Auto, FirstPage
from coinspider.http.pagination.command_line import NAMED

STRATEGIES: dict[str, type[Any]] = {"auto": Auto, **NAMED}


def strategy_arguments(name: str) -> dict[str, Any]:
    """The defaults of a strategy's arguments."""
    return {field.name: field.default for field in fields(STRATEGIES[name])}


def make_strategy(name: str, given: Mapping[str, Any]) -> Pagination:
    """The strategy of this name with these arguments, given as texts or values.

    Raises :exc:`ConfigurationError`, one line that names what is allowed.
    """
    strategy = STRATEGIES[name]
    # If it is not given, the crawl finds out whether pages count from 0 or 1.
    find_first = strategy is PageNumber and "first_page" not in given
    hints = get_type_hints(strategy)
    allowed = strategy_arguments(name)
    if unknown := sorted(given.keys() - allowed.keys()):
        raise ConfigurationError(
            f"unknown argument {', '.join(unknown)}: pagination={name} takes"
            f" {', '.join(allowed) or 'none'}"
        )
    made = strategy(**{key: _value(key, value, hints[key]) for key, value in given.items()})
    return FirstPage(made) if find_first else made


def _value(name: str, value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"wrong argument {name}={value}: {error}") from None
