"""The order of the checks that each request goes through before it reaches a resource."""

import hmac
from typing import NamedTuple

from scrapyd import Config

from coinspider.daemon.gate.browsers import SAFE, AllowedHosts, Origins, TxRequest, is_of_browser
from coinspider.daemon.gate.passwords import Credentials
from coinspider.daemon.gate.sessions import TOKEN, Sessions, session_id
from coinspider.errors import RequestDeniedError
from coinspider.secrets import secret

LOGIN = b"login"
BODY_MAX = 256 * 1024  # bytes
EGG_MAX = 64 * 1024 * 1024  # bytes


class GateOptions(NamedTuple):
    """``body_max`` and ``egg_max`` are bytes; without a ``password`` none is required."""

    bind_address: str = "127.0.0.1"
    username: str = ""
    password: str = ""
    hosts_allowed: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    egg_upload: bool = False
    body_max: int = BODY_MAX
    egg_max: int = EGG_MAX
    prefix_header: str = "x-forwarded-prefix"
    proxies_trusted: tuple[str, ...] = ()
    """Addresses of proxies whose ``X-Forwarded-For`` is believed."""

    @classmethod
    def from_config(cls, config: Config) -> "GateOptions":
        """The environment takes precedence, as in scrapyd."""

        def option(name: str, default: str = "") -> str:
            value = secret(f"SCRAPYD_{name.upper()}") or config.get(name, default)
            return str(value).strip()

        return cls(
            option("bind_address", "127.0.0.1"),
            option("username"),
            option("password"),
            _list(option("hosts_allowed")),
            _list(option("cors_origins")),
            config.getboolean("egg_upload", False),
            config.getint("body_max", BODY_MAX),
            config.getint("egg_max", EGG_MAX),
            config.get("prefix_header", "x-forwarded-prefix"),
            _list(option("proxies_trusted")),
        )


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


class Gate:
    """Lets a request through to scrapyd's resources, or raises :exc:`RequestDeniedError`."""

    def __init__(self, options: GateOptions):
        hosts = AllowedHosts(options.bind_address, options.hosts_allowed)
        self.options = options
        self.hosts = hosts
        self.origins = Origins(hosts, options.cors_origins)
        self.sessions = Sessions()
        self.credentials = (
            Credentials(options.username, options.password, proxies_trusted=options.proxies_trusted)
            if options.password
            else None
        )

    def check(self, txrequest: TxRequest) -> None:
        if not self.hosts.allows(txrequest):
            raise RequestDeniedError(
                400,
                "this scrapyd does not answer to that Host: hosts_allowed in scrapyd.conf adds it",
            )
        if self._is_preflight(txrequest):
            return
        self.origins.check(txrequest)
        if txrequest.postpath != [LOGIN] and not self.is_logged_in(txrequest):
            raise RequestDeniedError(401, "a name and a password are required")
        self._check_token(txrequest)

    def is_logged_in(self, txrequest: TxRequest) -> bool:
        """By a session, or by the request's own credentials. Raises for a wrong password."""
        return (
            self.credentials is None
            or self.sessions.is_open(session_id(txrequest))
            or self.credentials.check_header(txrequest)
        )

    def body_max(self, txrequest: TxRequest) -> int:
        """How many bytes the body may have: uploads are only for clients that are logged in."""
        try:
            uploads = self.options.egg_upload and self.is_logged_in(txrequest)
        except RequestDeniedError:
            uploads = False
        return self.options.egg_max if uploads else self.options.body_max

    def _is_preflight(self, txrequest: TxRequest) -> bool:
        """Browsers send preflight requests without credentials, whatever the real request has."""
        return txrequest.method == b"OPTIONS" and bool(self.origins.named_origin(txrequest))

    def _check_token(self, txrequest: TxRequest) -> None:
        """A form's token shows that the client has read one of these pages."""
        if txrequest.method in SAFE or self.origins.named_origin(txrequest):
            return
        session = session_id(txrequest)
        # A program may send a cookie that it does not use.
        if not is_of_browser(txrequest) and not self.sessions.is_open(session):
            return
        given = txrequest.args.pop(TOKEN.encode(), [b""])[0]
        wanted = self.sessions.token(session).encode()
        if not session or not hmac.compare_digest(given, wanted):
            raise RequestDeniedError(403, "the form is of an earlier session: load its page again")
