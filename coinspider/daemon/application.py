"""The application named in ``scrapyd.conf``: scrapyd's own, with schedules and a gate."""

import configparser
import os
from functools import partial
from importlib import import_module
from pathlib import Path

from scrapy.utils.project import get_project_settings
from scrapyd import Config
from twisted.application.service import Service
from twisted.logger import Logger
from twisted.web.resource import Resource

from coinspider._compat import scrapyd_application, tell_refusals, wait_by_monotonic_time
from coinspider.crawl.target import NODE
from coinspider.daemon.alerts.watch import ALERT_SECRETS, alert_service
from coinspider.daemon.api.endpoints import ListingProcess, RefusalLog, runner_error
from coinspider.daemon.configuration import (
    add_local_file,
    address,
    check_folders,
    check_port,
    check_values,
    files_of_times,
    sections,
)
from coinspider.daemon.gate.gate import Gate, GateOptions
from coinspider.daemon.gate.login import Pages
from coinspider.daemon.gate.site import GateSite, turn_uploads_off
from coinspider.daemon.nodes import NodeService, this_node
from coinspider.daemon.protocols import Application, reactor
from coinspider.daemon.schedules.schedule import check_schedules, read_schedules
from coinspider.daemon.schedules.service import ScheduleService
from coinspider.daemon.schedules.states import ScheduleStates
from coinspider.daemon.views.view import error_page, login_page
from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.http.links import is_loopback
from coinspider.secrets import forget, secret
from coinspider.store.connection import one_line

log = Logger()
# After the first scheduled runs have begun, which log lines of their own.
_ANNOUNCED_AFTER = 1.0  # seconds
# scrapyd's seams, with its own classes, and what takes their place.
_COMPONENTS = {
    "spiderqueue": ("scrapyd.spiderqueue.SqliteSpiderQueue", "components.SharedQueue"),
    "poller": ("scrapyd.poller.QueuePoller", "components.SharedPoller"),
    "jobstorage": ("scrapyd.jobstorage.MemoryJobStorage", "components.FinishedJobs"),
    "eggstorage": ("scrapyd.eggstorage.FilesystemEggStorage", "eggs.SharedEggs"),
    "launcher": ("scrapyd.launcher.Launcher", "launcher.GracefulLauncher"),
}
_ENDPOINTS = {
    "listjobs.json": "components.ListJobs",
    "status.json": "components.Status",
    "cancel.json": "components.Cancel",
    "daemonstatus.json": "components.DaemonStatus",
    "listspiders.json": "components.ListSpiders",
    "addversion.json": "components.AddVersion",
}
_PACKAGE = "coinspider.daemon"
_EARLIER_STATES = ".scrapy/scrapyd/dbs"
_SECRETS = tuple(
    f"SCRAPYD_{name}" for name in ("USERNAME", "PASSWORD", "READER_USERNAME", "READER_PASSWORD")
)


def application(config: Config) -> Application:
    """Raises :exc:`SystemExit` with one line, so that twistd prints no traceback."""
    try:
        return _application(config)
    except (ConfigurationError, DatabaseUnreachableError) as error:
        raise SystemExit(f"scrapyd does not start: {error}") from None
    except configparser.InterpolationError as error:
        raise SystemExit(
            f"scrapyd does not start: {one_line(error)}"
            " (in [scrapyd] a percent sign is written as %%)"
        ) from None


def _application(config: Config) -> Application:
    wait_by_monotonic_time(reactor)
    settings = get_project_settings()  # which reads the file .env into the environment
    for name in _SECRETS:
        if value := secret(name):
            os.environ[name] = value
    add_local_file(config)
    check_class_names(config)
    use_components(config)
    check_values(config)
    options = GateOptions.from_config(config)
    check_access(options)
    check_folders(config)
    check_port(config)
    node = this_node()
    os.environ[NODE] = node.name  # for the rows of its crawls
    schedules = read_schedules(sections(config), files_of_times(config))
    check_schedules(config, schedules)
    alerts = alert_service(settings)
    forget(*_SECRETS, *ALERT_SECRETS)  # which the crawls must not see
    tell_refusals(runner_error, RefusalLog(), ListingProcess)
    app: Application = scrapyd_application(config, partial(_site, options))
    earlier = Path(config.get("dbs_dir", _EARLIER_STATES)) / "schedules.db"
    services: list[Service] = [
        ScheduleService(app, schedules, ScheduleStates(node, earlier)),
        Announcement(config),
        NodeService(app, node),
    ]
    if alerts:
        services.append(alerts(app))
    for service in services:
        service.setServiceParent(app)
    return app


def use_components(config: Config) -> None:
    """Give scrapyd the shared queue. Rejects a ``scrapyd.conf`` that names another one."""
    others = [
        option
        for option, (usual, own) in _COMPONENTS.items()
        if config.get(option, usual) not in (usual, f"{_PACKAGE}.{own}")
    ]
    others += ["queue"] if config.get("queue", "") else []
    if others:
        raise ConfigurationError(
            f"{', '.join(others)} in scrapyd.conf: the queue is always in the database now, so drop"
            " the line (see CHANGELOG.md)"
        )
    for option, (_, own) in _COMPONENTS.items():
        config.cp.set("scrapyd", option, f"{_PACKAGE}.{own}")
    if not config.cp.has_section("services"):
        config.cp.add_section("services")
    for endpoint, own in _ENDPOINTS.items():
        config.cp.set("services", endpoint, f"{_PACKAGE}.{own}")


def check_class_names(config: Config) -> None:
    """Reject a ``scrapyd.conf`` that names classes of an earlier coinspider."""
    given = sections(config)
    for section in ("scrapyd", "services"):
        for option, path in given.get(section, {}).items():
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
    """``runner`` names a module, all others a name inside one."""
    module, _, name = path.rpartition(".")
    try:
        import_module(path)
    except ModuleNotFoundError:
        getattr(import_module(module), name)


def check_access(options: GateOptions) -> None:
    """Reject an address that others can reach, unless a name and a password are required."""
    _check_accounts(options)
    password = options.password
    if not password and not is_loopback(options.bind_address):
        raise ConfigurationError(
            f"bind_address {options.bind_address} is open to others:"
            " set SCRAPYD_USERNAME and SCRAPYD_PASSWORD, or bind to 127.0.0.1"
        )
    if options.egg_upload and not password:
        raise ConfigurationError(
            "egg_upload = yes lets everyone on this machine run code: set SCRAPYD_USERNAME and"
            " SCRAPYD_PASSWORD"
        )


def _check_accounts(options: GateOptions) -> None:
    for prefix, name, password in (
        ("SCRAPYD", options.username, options.password),
        ("SCRAPYD_READER", options.reader_username, options.reader_password),
    ):
        if bool(name) != bool(password):
            missing = f"{prefix}_PASSWORD" if name else f"{prefix}_USERNAME"
            raise ConfigurationError(
                f"{missing} is not set, so that no password would be asked for"
            )
        if ":" in name:
            # https://www.rfc-editor.org/rfc/rfc7617#section-2
            raise ConfigurationError(
                f"{prefix}_USERNAME has a colon in it, which no browser can send"
            )
    if options.reader_username and options.username in ("", options.reader_username):
        raise ConfigurationError(
            "SCRAPYD_READER_USERNAME is a second account: SCRAPYD_USERNAME has to be another name"
        )


def _site(options: GateOptions, root: Resource) -> GateSite:
    if not options.egg_upload:
        turn_uploads_off(root)
    return GateSite(root, Gate(options), Pages(error_page, login_page))


class Announcement(Service):
    """Writes the address of the pages as the last line when scrapyd starts."""

    def __init__(self, config: Config):
        self.address = address(config)

    def startService(self) -> None:
        super().startService()
        reactor.callWhenRunning(reactor.callLater, _ANNOUNCED_AFTER, self._announce)

    def _announce(self) -> None:
        log.info("The pages are at {address}", address=self.address)
