"""scrapyd's runner, out of the reach of the terminal's Ctrl-C.

Otherwise Ctrl-C would reach the crawl as well as scrapyd, whose own signal would be the second: at
a second signal Scrapy ends at once, and loses what it has in hand.

An egg has its own settings, not this project's. As soon as it is uploaded, it is run to list its
spiders; its code then finds no secrets in the environment, which only scheduled jobs get.
"""

import os
import sys
import warnings

# scrapyd's import of pkg_resources, in the log of each job.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from scrapyd.runner import main  # noqa: E402

from coinspider._compat import lay_beneath_scrapyds_files  # noqa: E402
from coinspider.installation import shipped_configuration  # noqa: E402

# The variables that Python, Scrapy and scrapyd need.
_NEEDED = (
    "PATH HOME LANG TZ TMPDIR TEMP TMP SYSTEMROOT VIRTUAL_ENV SCRAPY_PROJECT SCRAPYD_EGG_VERSION"
)
_KEPT = frozenset(_NEEDED.split())
# It does not read .env either.
_NO_DOTENV = {"PYTHON_DOTENV_DISABLED": "1"}


def bare_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(("PYTHON", "LC_"))
    }
    return kept | _NO_DOTENV


def is_egg(project: str) -> bool:
    """Whether the project's code was uploaded, rather than being beside ``scrapyd.conf``."""
    from scrapyd import Config
    from scrapyd.utils import initialize_component

    storage = initialize_component(
        Config(), "eggstorage", "scrapyd.eggstorage.FilesystemEggStorage"
    )
    return bool(storage.list(project))


def run() -> None:
    lay_beneath_scrapyds_files(shipped_configuration)
    if is_egg(os.environ["SCRAPY_PROJECT"]):
        # Reading this project's settings has left their name in scrapyd's environment.
        os.environ.pop("SCRAPY_SETTINGS_MODULE", None)
        bare = bare_environment()
        if sys.argv[1:2] == ["list"] and bare.keys() != os.environ.keys():
            # A new process: its first environment could be read even after a change.
            command = [sys.executable, "-m", "coinspider.daemon.runner", *sys.argv[1:]]
            os.execve(sys.executable, command, bare)  # noqa: S606
    # A job's log is read by tools for scrapyd, which find its pages and items there:
    # https://github.com/my8100/logparser
    os.environ.setdefault("STATS_DUMP", "1")
    main()


if __name__ == "__main__":
    if hasattr(os, "setsid") and os.getsid(0) != os.getpid():
        os.setsid()
    run()
