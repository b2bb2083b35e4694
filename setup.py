"""For ``scrapyd-client deploy``, which builds its egg with this file, or writes one itself.

What setuptools leaves behind is removed. Everything else is in ``pyproject.toml``.
"""

import atexit
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import setup

EGG_INFO = Path("coinspider.egg-info")

if not EGG_INFO.exists():  # otherwise it belongs to an installation
    atexit.register(shutil.rmtree, EGG_INFO, ignore_errors=True)
with TemporaryDirectory(prefix="coinspider-build-") as directory:
    setup(options={"build": {"build_base": directory}})
