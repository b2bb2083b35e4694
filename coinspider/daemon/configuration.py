"""scrapyd's configuration: ``scrapyd.conf``, and beside it a file for the user's own options."""

import configparser

from scrapyd import Config

from coinspider.errors import ConfigurationError

LOCAL_FILE = "scrapyd.local.conf"


def local_configuration() -> Config:
    """scrapyd's own configuration, with ``scrapyd.local.conf`` on top."""
    config = Config()
    add_local_file(config)
    return config


def add_local_file(config: Config) -> None:
    """Raises :exc:`ConfigurationError` for a file that is not a valid configuration."""
    try:
        config.cp.read(LOCAL_FILE, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{LOCAL_FILE} can't be read: {reason}") from None


def sections(config: Config) -> dict[str, dict[str, str]]:
    """The options of each section as written: a percent sign needs no escaping."""
    return {name: dict(config.cp.items(name, raw=True)) for name in config.cp.sections()}
