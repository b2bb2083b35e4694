"""The order of the checks that each request goes through before it reaches a resource."""

import hmac
import re
from typing import NamedTuple

from scrapyd import Config

from coinspider.daemon.gate.browsers import (
    SAFE,
    AllowedHosts,
    Origins,
    TxRequest,
    check_text,
    header,
    is_of_browser,
    normal,
)
from coinspider.daemon.gate.passwords import Account, Credentials
from coinspider.daemon.gate.sessions import TOKEN, Sessions, session_id
from coinspider.errors import RequestDeniedError
from coinspider.secrets import secret

LOGIN, LOGOUT = b"login", b"logout"
# Where no password is required, everyone may do everything.
EVERYONE = Account("", "")
BODY_MAX = 256 * 1024  # bytes
EGG_MAX = 64 * 1024 * 1024  # bytes


_PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)


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
    reader_username: str = ""
    reader_password: str = ""
    """Of a second account, which sees everything and changes nothing."""

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
            option("reader_username"),
            option("reader_password"),
        )

    @property
    def accounts(self) -> list[Account]:
        reader = Account(self.reader_username, self.reader_password, may_change=False)
        accounts = [Account(self.username, self.password), reader]
        return [account for account in accounts if account.password]


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
            Credentials(options.accounts, proxies_trusted=options.proxies_trusted)
            if options.password
            else None
        )

    def check(self, txrequest: TxRequest) -> None:
        check_text(txrequest)
        self._keep_trusted_prefix(txrequest)
        if not self.hosts.allows(txrequest):
            raise RequestDeniedError(
                400,
                "this scrapyd does not answer to that Host: hosts_allowed in scrapyd.conf adds it",
            )
        self.origins.check(txrequest)
        # Browsers send preflight requests without credentials: the site answers them by itself.
        if txrequest.method == b"OPTIONS":
            return
        if txrequest.postpath not in ([LOGIN], [LOGOUT]):
            self._check_account(txrequest)
        self._check_token(txrequest)

    def _keep_trusted_prefix(self, txrequest: TxRequest) -> None:
        """All links begin with the prefix, so only a trusted proxy may tell it, and only a path."""
        name, prefix = self.options.prefix_header, header(txrequest, self.options.prefix_header)
        peer = normal(getattr(txrequest.getClientAddress(), "host", ""))
        is_kept = peer in self.options.proxies_trusted and _PREFIX.fullmatch(prefix)
        txrequest.requestHeaders.setRawHeaders(name, [prefix] if is_kept else [])

    def body_max(self, txrequest: TxRequest) -> int:
        """How many bytes the body may have: uploads are only for clients that are logged in."""
        try:
            account = self.account(txrequest) if self.options.egg_upload else None
        except RequestDeniedError:
            account = None
        uploads = account and account.may_change
        return self.options.egg_max if uploads else self.options.body_max

    def _check_account(self, txrequest: TxRequest) -> None:
        account = self.account(txrequest)
        if account is None:
            raise RequestDeniedError(401, "a name and a password are required")
        if not account.may_change and txrequest.method not in SAFE:
            raise RequestDeniedError(403, "this account may look at everything and change nothing")

    def account(self, txrequest: TxRequest) -> Account | None:
        """By a session, or by the request's own credentials. Raises for a wrong password."""
        if self.credentials is None:
            return EVERYONE
        account = self.sessions.account(session_id(txrequest))
        return account or self.credentials.check_header(txrequest)

    def _check_token(self, txrequest: TxRequest) -> None:
        """A form's token shows that the client has read one of these pages."""
        if txrequest.method in SAFE or self.origins.named_origin(txrequest):
            return
        session = session_id(txrequest)
        # A program may send a cookie that it does not use.
        if not is_of_browser(txrequest) and not self.sessions.account(session):
            return
        given = txrequest.args.pop(TOKEN.encode(), [b""])[0]
        wanted = self.sessions.token(session).encode()
        if not session or not hmac.compare_digest(given, wanted):
            raise RequestDeniedError(403, "the form is of an earlier session: load its page again")
