"""Run a command and write its time and memory, as JSON, to a file; imports almost nothing.

A process begins with the peak memory of the one that starts it, so that one must be small: python
-S -E measure.py FILE COMMAND [ARGUMENT ...]
"""

import os
import sys
import time

if __name__ == "__main__":
    path, *command = sys.argv[1:]
    started = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - started
    cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    with open(path, "w") as file:  # noqa: PTH123 (pathlib is a large import here)
        file.write(f"[{wall}, {cpu}, {memory}]")
    sys.exit(os.waitstatus_to_exitcode(status))
