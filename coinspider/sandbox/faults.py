"""Transmission faults: errors, resets, truncations, at random but repeatable."""

import enum
from random import Random
from typing import Any

from twisted.web.http import Request


class Fault(enum.Enum):
    """How a response is spoiled."""

    NONE = "none"
    UNAVAILABLE = "unavailable"
    HTML = "html"
    RESET = "reset"
    TRUNCATED = "truncated"

    def answer(self, request: Request, body: bytes) -> None:
        """Send ``body``, or what is left of it."""
        if self is Fault.RESET:
            request.code = 0
            transport: Any = request.transport
            transport.abortConnection()
            return
        if self in (Fault.UNAVAILABLE, Fault.HTML):
            request.setResponseCode(503 if self is Fault.UNAVAILABLE else 403)
            request.setHeader("Content-Type", "text/html")
            body = b"<html><body>error code: 1015</body></html>" if self is Fault.HTML else b""
        request.setHeader("Content-Length", str(len(body)))
        if self is Fault.TRUNCATED:
            request.write(body[: len(body) // 2])
            # Not the transport, which would wait for a producer that has nothing more to send.
            request.loseConnection()
            return
        request.write(body)
        request.finish()


class Faults:
    """Spoils a ``share`` of the responses (0 to 1), always the same ones."""

    def __init__(self, share: float = 0.0, seed: int = 0):
        self.share, self.random = share, Random(seed)

    def next(self) -> Fault:
        if self.random.random() >= self.share:
            return Fault.NONE
        return self.random.choice([fault for fault in Fault if fault is not Fault.NONE])
