"""Packages that only some exports need, imported on demand."""

from importlib import import_module
from types import ModuleType

from coinspider.crawl.program import program
from coinspider.errors import ConfigurationError


def needed(module: str, package: str, purpose: str) -> ModuleType:
    """The module. If it is not installed, raises :exc:`ConfigurationError` with the command to
    type.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ConfigurationError(
            f"{purpose} needs the package {package}: {program('pip')} install {package}"
        ) from None
