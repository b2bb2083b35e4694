"""scrapyd's runner, out of the reach of the terminal's Ctrl-C.

That one would reach the crawl beside scrapyd, whose own signal would then be its second: at a
second one Scrapy ends at once, with what it has in hand lost.

An egg has its own settings, not this project's. It is asked for its spiders as soon as it is
uploaded: its code then finds no secret in the environment, which is for jobs that are scheduled.
"""

import os
import sys
import warnings

# scrapyd's import of pkg_resources, in the log of each job.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from scrapyd.runner import main  # noqa: E402

# What Python, Scrapy and scrapyd need to find their way.
_KEPT = frozenset({
    "PATH", "HOME", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "VIRTUAL_ENV",
    "SCRAPY_PROJECT", "SCRAPYD_EGG_VERSION",
})  # fmt: skip
# Nor does it read a file .env.
_NO_DOTENV = {"PYTHON_DOTENV_DISABLED": "1"}


def bare_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(("PYTHON", "LC_"))
    }
    return kept | _NO_DOTENV


def is_egg(project: str) -> bool:
    """Whether the project's code was uploaded, and is not the one beside ``scrapyd.conf``."""
    from scrapyd import Config
    from scrapyd.utils import initialize_component

    storage = initialize_component(
        Config(), "eggstorage", "scrapyd.eggstorage.FilesystemEggStorage"
    )
    return bool(storage.list(project))


def run() -> None:
    # A job's log is read by tools for scrapyd, which find its pages and items there:
    # https://github.com/my8100/logparser
    os.environ.setdefault("STATS_DUMP", "1")
    if is_egg(os.environ["SCRAPY_PROJECT"]):
        # scrapyd has read this project's settings, which leaves their name in its environment.
        os.environ.pop("SCRAPY_SETTINGS_MODULE", None)
        bare = bare_environment()
        if sys.argv[1:2] == ["list"] and bare.keys() != os.environ.keys():
            # A process anew: its first environment could be read even after a change.
            command = [sys.executable, "-m", "coinspider.daemon.runner", *sys.argv[1:]]
            os.execve(sys.executable, command, bare)  # noqa: S606
    main()


if __name__ == "__main__":
    if hasattr(os, "setsid") and os.getsid(0) != os.getpid():
        os.setsid()
    run()
