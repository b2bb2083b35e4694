"""``python -m coinspider.daemon.health``: whether scrapyd answers, for a container's health check.

Exit status 0 for any answer but an error of the server: where a password is asked for, one without
it is answered with 401. It is not told whether crawls succeed: restarting would not mend them.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT = 4  # seconds


def status(port: int) -> int:
    """The HTTP status of scrapyd on this machine. Raises :exc:`OSError`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/daemonstatus.json")
        return connection.getresponse().status
    finally:
        connection.close()


def main() -> None:
    try:
        healthy = status(int(os.environ.get("SCRAPYD_HTTP_PORT") or 6800)) < 500
    except (OSError, HTTPException) as error:
        raise SystemExit(f"scrapyd does not answer: {error}") from None
    sys.exit(0 if healthy else 1)


if __name__ == "__main__":
    main()
