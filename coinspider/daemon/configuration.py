"""scrapyd's configuration: ``scrapyd.conf``, the user's own file beside it, and checks of both."""

import configparser
import os
import socket
import tempfile
from pathlib import Path

from scrapyd import Config

from coinspider._compat import lay_beneath_scrapyds_files
from coinspider.errors import ConfigurationError
from coinspider.installation import SCRAPYD_CONF, own_file, shipped_configuration
from coinspider.store.connection import one_line

LOCAL_FILE = "scrapyd.local.conf"
SCHEDULE = "schedule:"
# By a schedule's option in the local file, those of the shipped one that contradict it. A budget
# goes with ``every``, which is for accounts whose calls are not counted.
_CONTRADICTED = {"every": ("cron", "budget"), "cron": ("every", "budget"), "budget": ("cron",)}
_FOLDERS = ("eggs_dir", "logs_dir")
_COUNTED = "jobs_to_keep finished_to_keep max_proc max_proc_per_cpu body_max egg_max"
_NUMBERS = ("poll_interval", "stop_timeout", *_COUNTED.split())
_SWITCHES = ("egg_upload", "debug")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, not bound to)


def local_configuration() -> Config:
    """scrapyd's own configuration, or the shipped one, with ``scrapyd.local.conf`` on top."""
    lay_beneath_scrapyds_files(shipped_configuration)
    config = Config()
    add_local_file(config)
    return config


def add_local_file(config: Config) -> None:
    """Replace what it sets, and in a schedule also what that contradicts.

    An empty option takes a schedule's shipped one away. Raises :exc:`ConfigurationError` for a file
    that is not a valid configuration.
    """
    own = _schedules_of(_local_file(configparser.ConfigParser()))
    for section, options in own.items():
        for option in filter(options.get, _CONTRADICTED.keys() & options.keys()):
            for other in _CONTRADICTED[option]:
                if config.cp.has_section(section):
                    config.cp.remove_option(section, other)
    _local_file(config.cp)
    for section, options in own.items():
        for option in options:
            if not options[option]:
                config.cp.remove_option(section, option)


def _local_file(parser: configparser.ConfigParser) -> configparser.ConfigParser:
    try:
        parser.read(own_file(LOCAL_FILE), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{LOCAL_FILE} can't be read: {one_line(error)}") from None
    return parser


def _schedules_of(parser: configparser.ConfigParser) -> dict[str, dict[str, str]]:
    names = [name for name in parser.sections() if name.startswith(SCHEDULE)]
    return {name: dict(parser.items(name, raw=True)) for name in names}


def files_of_times(config: Config) -> dict[str, str]:
    """By section of a schedule, the file that says when it runs, or that it does not."""
    own = _schedules_of(_local_file(configparser.ConfigParser()))
    deciding = {*_CONTRADICTED, "enabled"}
    return {
        name: LOCAL_FILE if deciding & own.get(name, {}).keys() else SCRAPYD_CONF
        for name in _schedules_of(config.cp)
    }


def sections(config: Config) -> dict[str, dict[str, str]]:
    """The options of each section as written: a percent sign needs no escaping."""
    return {name: dict(config.cp.items(name, raw=True)) for name in config.cp.sections()}


def listens_at(config: Config) -> tuple[str, str]:
    """Address and port of scrapyd, as they are given; the environment takes precedence."""
    host = os.getenv("SCRAPYD_BIND_ADDRESS") or config.get("bind_address", "127.0.0.1")
    return host, os.getenv("SCRAPYD_HTTP_PORT") or config.get("http_port", "6800")


def address(config: Config, everywhere: str = "127.0.0.1") -> str:
    """Of the pages; with ``everywhere`` as its host, if scrapyd listens on all addresses."""
    host, port = listens_at(config)
    shown = everywhere if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def check_values(config: Config) -> None:
    """Raise :exc:`ConfigurationError` for a number that is none, or less than 0, and for a switch
    that is neither on nor off.
    """
    for option in _NUMBERS:
        text = config.get(option, "0")
        try:
            is_number = float(text) >= 0
        except ValueError:
            is_number = False
        if not is_number:
            raise ConfigurationError(f"{option} = {text} in scrapyd.conf is not a number from 0")
    for option in _SWITCHES:
        text = config.get(option, "no")
        if text.lower() not in config.cp.BOOLEAN_STATES:
            raise ConfigurationError(f"{option} = {text} in scrapyd.conf is neither yes nor no")


def check_folders(config: Config) -> None:
    """Create scrapyd's folders; raise :exc:`ConfigurationError` if one can't be written to."""
    for option in _FOLDERS:
        # scrapyd takes an empty logs_dir for "no logs".
        if folder := config.get(option, ""):
            try:
                Path(folder).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder) as file:
                    file.write(b"\0")
            except OSError as error:
                raise ConfigurationError(
                    f"{option} = {folder} can't be written to: {error.strerror}"
                ) from None


def check_port(config: Config) -> None:
    """Raise :exc:`ConfigurationError` if scrapyd could not listen."""
    host, text = listens_at(config)
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise ConfigurationError(f"http_port {text} is not a number from 1 to 65535")
    if not host:
        return
    try:
        found = socket.getaddrinfo(host, int(text), type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As Twisted does: otherwise connections of a previous scrapyd would be in the way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen()
    except OSError as error:
        raise ConfigurationError(
            f"it can't listen on {host}:{text}: {error.strerror}"
            " (SCRAPYD_HTTP_PORT and SCRAPYD_BIND_ADDRESS name another place)"
        ) from None
