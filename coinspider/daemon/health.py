"""``python -m coinspider.daemon.health``: whether scrapyd answers, for a container's health check.

Exit status 0 for any response except a server error; if a password is required, the response is
401. Whether crawls succeed is not checked: a restart would not help.
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
