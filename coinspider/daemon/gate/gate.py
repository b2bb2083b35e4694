"""The order of the checks that each request goes through before it reaches a resource."""

import hmac
from typing import Any

from coinspider.daemon.gate.credentials import Credentials
from coinspider.daemon.gate.hosts import AllowedHosts
from coinspider.daemon.gate.options import GateOptions
from coinspider.daemon.gate.origins import SAFE, Origins, is_of_browser
from coinspider.daemon.gate.sessions import TOKEN, Sessions, session_id
from coinspider.errors import RequestDeniedError

LOGIN = b"login"


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

    def check(self, txrequest: Any) -> None:
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

    def is_logged_in(self, txrequest: Any) -> bool:
        """By a session, or by the request's own credentials. Raises for a wrong password."""
        return (
            self.credentials is None
            or self.sessions.is_open(session_id(txrequest))
            or self.credentials.check_header(txrequest)
        )

    def body_max(self, txrequest: Any) -> int:
        """How many bytes the body may have: uploads are only for clients that are logged in."""
        try:
            uploads = self.options.egg_upload and self.is_logged_in(txrequest)
        except RequestDeniedError:
            uploads = False
        return self.options.egg_max if uploads else self.options.body_max

    def _is_preflight(self, txrequest: Any) -> bool:
        """Browsers send preflight requests without credentials, whatever the real request has."""
        return txrequest.method == b"OPTIONS" and bool(self.origins.named_origin(txrequest))

    def _check_token(self, txrequest: Any) -> None:
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
