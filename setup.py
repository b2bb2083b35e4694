"""For ``scrapyd-client deploy``, which builds its egg by this file, and writes one without it.

What setuptools leaves behind is removed. All else is in ``pyproject.toml``.
"""

import atexit
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import setup

EGG_INFO = Path("coinspider.egg-info")

if not EGG_INFO.exists():  # else it is of an installation
    atexit.register(shutil.rmtree, EGG_INFO, ignore_errors=True)
with TemporaryDirectory(prefix="coinspider-build-") as directory:
    setup(options={"build": {"build_base": directory}})
