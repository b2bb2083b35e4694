"""What ``queue = postgres`` in ``scrapyd.conf`` changes in scrapyd's own configuration."""

from scrapyd import Config

from coinspider.errors import ConfigurationError

_PACKAGE = "coinspider.daemon.fleet"
_COMPONENTS = {
    "spiderqueue": "components.PostgresSpiderQueue",
    "poller": "components.FleetPoller",
    "jobstorage": "components.PostgresJobStorage",
    "eggstorage": "egg_storage.PostgresEggStorage",
    "launcher": "launcher.FleetLauncher",
}
_SERVICES = {
    "listjobs.json": "webservice.ListJobs",
    "status.json": "webservice.Status",
    "cancel.json": "webservice.Cancel",
    "daemonstatus.json": "webservice.DaemonStatus",
}
QUEUES = ("sqlite", "postgres")


def uses_fleet(config: Config) -> bool:
    """Whether this scrapyd is a node of a fleet. Raises :exc:`ConfigurationError`."""
    queue = config.get("queue", "sqlite")
    if queue not in QUEUES:
        raise ConfigurationError(f"queue = {queue} in scrapyd.conf: one of {', '.join(QUEUES)}")
    return bool(queue == "postgres")


def use_fleet(config: Config) -> None:
    """Replace scrapyd's components with the fleet's. Raises :exc:`ConfigurationError`."""
    try:
        import procrastinate  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "queue = postgres in scrapyd.conf needs a package: pip install coinspider[fleet]"
        ) from None
    for option, name in _COMPONENTS.items():
        config.cp.set("scrapyd", option, f"{_PACKAGE}.{name}")
    if not config.cp.has_section("services"):
        config.cp.add_section("services")
    for service, name in _SERVICES.items():
        config.cp.set("services", service, f"{_PACKAGE}.{name}")
