"""The suite on a machine that has Python and make, and nothing else of what some tests need."""

import re
import signal
import subprocess
import sys

from tests.helpers.processes import PROJECT

# In these files each test needs a program, or is quick.
FILES = [
    "browser/test_browser.py",
    "integration/test_cut_cable.py",
    "integration/test_service.py",
    "integration/test_monitoring.py",
]
PROGRAMS = ["chromium", "promtool", "systemd-analyze"]


def test_what_is_missing_is_skipped_by_its_name(tmp_path):
    """Without a terminal, with few variables as under cron, and with SIGHUP as nohup leaves it."""
    tests = [f"tests/{name}" for name in FILES]
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-m", "needs"]
    done = subprocess.run(
        [*command, *tests], cwd=PROJECT, env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for name in PROGRAMS:
        assert re.search(rf"[1-9][0-9]* skipped: .*\b{name}\b", done.stdout), done.stdout
