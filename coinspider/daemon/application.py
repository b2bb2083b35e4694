"""The application that ``scrapyd.conf`` names: scrapyd's own, with schedules, and no open door."""

import ipaddress
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from scrapy.utils.project import get_project_settings
from scrapyd import Config
from scrapyd.app import application as scrapyd_application

from coinspider.daemon.database import EmbeddedDatabase
from coinspider.daemon.fleet.setup import use_fleet, uses_fleet
from coinspider.daemon.schedules.schedule import read_schedules
from coinspider.daemon.schedules.service import ScheduleService
from coinspider.daemon.schedules.state import ScheduleStates, ScheduleStore
from coinspider.errors import ConfigurationError, DatabaseUnreachableError


def application(config: Config) -> Any:
    """Raises :exc:`SystemExit` with one line, for which twistd needs no traceback."""
    get_project_settings()  # which reads the file .env into the environment
    try:
        check_class_names(config)
        check_access(config)
        schedules = read_schedules(config.cp)
        node = _join_fleet(config) if uses_fleet(config) else None
    except (ConfigurationError, DatabaseUnreachableError) as error:
        raise SystemExit(f"scrapyd does not start: {error}") from None
    app = scrapyd_application(config)
    services: list[Any] = [
        ScheduleService(app, schedules, _schedule_store(config, node)),
        EmbeddedDatabase(),
    ]
    if node:
        services.append(node)
    for service in services:
        service.setServiceParent(app)
    return app


def _join_fleet(config: Config) -> Any:
    use_fleet(config)
    # With procrastinate, which only a fleet has.
    from coinspider.daemon.fleet.fleet import fleet
    from coinspider.daemon.fleet.node_service import NodeService

    return NodeService(fleet())


def _schedule_store(config: Config, node: Any) -> ScheduleStore:
    if not node:
        return ScheduleStates(Path(config.get("dbs_dir", "dbs")) / "schedules.db")
    from coinspider.daemon.fleet.schedule_states import FleetScheduleStates

    return FleetScheduleStates()


def check_class_names(config: Config) -> None:
    """Refuse a ``scrapyd.conf`` that names classes of an earlier coinspider."""
    for section in ("scrapyd", "services"):
        options = config.cp[section] if config.cp.has_section(section) else {}
        for option, path in options.items():
            if not path.startswith("coinspider."):
                continue
            try:
                _load(path)
            except (ImportError, AttributeError):
                raise ConfigurationError(
                    f"[{section}] {option} names {path}, which this version does not have:"
                    " take the line from the scrapyd.conf that comes with it (see CHANGELOG.md)"
                ) from None


def _load(path: str) -> None:
    """``runner`` names a module, all others a name in one."""
    module, _, name = path.rpartition(".")
    try:
        import_module(path)
    except ModuleNotFoundError:
        getattr(import_module(module), name)


def check_access(config: Config) -> None:
    """Refuse an address that others can reach, unless a name and a password are asked for."""
    username = os.getenv("SCRAPYD_USERNAME") or config.get("username", "")
    password = os.getenv("SCRAPYD_PASSWORD") or config.get("password", "")
    if bool(username) != bool(password):
        missing = "SCRAPYD_PASSWORD" if username else "SCRAPYD_USERNAME"
        raise ConfigurationError(f"{missing} is not set, so that no password would be asked for")
    address = os.getenv("SCRAPYD_BIND_ADDRESS") or config.get("bind_address", "127.0.0.1")
    if not password and not _is_loopback(address):
        raise ConfigurationError(
            f"bind_address {address} is open to others:"
            " set SCRAPYD_USERNAME and SCRAPYD_PASSWORD, or bind to 127.0.0.1"
        )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
