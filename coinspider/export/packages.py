"""Packages that only some exports need, imported when they do."""

from importlib import import_module
from types import ModuleType

from coinspider.crawl.program import program
from coinspider.errors import ConfigurationError


def needed(module: str, package: str, purpose: str) -> ModuleType:
    """The module; :exc:`ConfigurationError` with the command to type where it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise ConfigurationError(
            f"{purpose} needs the package {package}: {program('pip')} install {package}"
        ) from None
