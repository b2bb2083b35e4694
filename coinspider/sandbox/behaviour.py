"""The options of the sandbox, as it uses them, and its errors."""

import json
from dataclasses import dataclass, field

from coinspider.sandbox.accounts import Accounts
from coinspider.sandbox.faults import Faults


@dataclass
class Behaviour:
    """What the sandbox does besides serving coins."""

    plan: str = "public"
    keys: frozenset[str] = frozenset()
    accounts: Accounts = field(default_factory=Accounts)
    calls_per_minute: int | None = None
    limit_headers: str = "none"
    retry_after: str = "seconds"
    exhausted_status: int = 429
    disguise: bool = False
    latency: float = 0.0
    short_pages: frozenset[int] = frozenset()
    moving_rank: bool = False
    churn: float = 0.0
    churn_seed: int = 0
    total: bool = True
    faults: Faults = field(default_factory=Faults)
    bodies: tuple[bytes, ...] = ()
    token: str | None = None
    links_to: str | None = None
    encoding: str | None = None


class ApiError(Exception):
    """A response other than coins: an HTTP status, CoinGecko's code and its message."""

    def __init__(self, status: int, code: int, message: str):
        super().__init__(message)
        self.status, self.code = status, code

    def body(self) -> str:
        return json.dumps({"status": {"error_code": self.code, "error_message": str(self)}})
