"""How the command line names the strategies that read a list, without those that find one."""

from dataclasses import fields
from typing import Any

from coinspider.http.pagination import (
    Cursor,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    SinglePage,
)

NAMED: dict[str, type[Any]] = {
    "next": NextLink,
    "link": LinkHeader,
    "cursor": Cursor,
    "page": PageNumber,
    "offset": Offset,
    "none": SinglePage,
}


def command_arguments(strategy: Any) -> list[str]:
    """``-a NAME=VALUE`` for each argument that makes a strategy; the defaults are left out."""
    name = next((n for n, made in NAMED.items() if made is type(strategy)), None)
    if name is None:
        return []
    given = {
        field.name: getattr(strategy, field.name)
        for field in fields(strategy)
        if getattr(strategy, field.name) != field.default
    }
    return [f"pagination={name}", *(f"{key}={value}" for key, value in given.items())]
