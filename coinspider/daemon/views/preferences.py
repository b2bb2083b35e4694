"""What somebody who looks at the pages chose: the coins to watch, and whether to show logos.

It is in cookies of the browser; the watch list of an account that may change something is in the
database, where each of its browsers finds it.
"""

from collections.abc import Mapping
from urllib.parse import quote, unquote

from coinspider.daemon.gate.browsers import TxRequest, is_of_other_site, set_cookie
from coinspider.daemon.gate.sessions import cookie_name
from coinspider.store.tables import WATCH_MAX

STARS = frozenset({"star", "unstar"})
"""The arguments of an address or a form that change the watch list."""
PREFERENCES = STARS | {"logos"}
_BYTES = 3500  # browsers keep a cookie of up to 4096
_SECONDS = 400 * 86_400  # and for no longer
_SHOWN = "on"


def watcher(txrequest: TxRequest) -> str:
    """The account whose watch list is in the database; empty if it is in the browser.

    That of a reader is in the browser: a reader changes nothing here, and is often many people.
    """
    account = txrequest.site.gate.account(txrequest)
    return account.username if account and account.may_change else ""


def watch_list(txrequest: TxRequest) -> list[str]:
    """The ids of the coins that this browser watches."""
    names = _kept(txrequest, "watch").split("!")
    return [unquote(name) for name in names if name and "%00" not in name][:WATCH_MAX]


def shows_logos(txrequest: TxRequest) -> bool:
    return _kept(txrequest, "logos") == _SHOWN


def given_list(arguments: Mapping[str, str]) -> list[str]:
    """The watch list in an address, as when somebody sends theirs."""
    return [name for name in arguments.get("watch", "").split(",") if name][:WATCH_MAX]


def keep_preference(txrequest: TxRequest, arguments: Mapping[str, str]) -> None:
    """Watch a coin in this browser, or no longer, or switch the logos.

    A star on a page with a list of its own adds that list. Other sites' links have no effect.
    """
    if is_of_other_site(txrequest):
        return
    if "logos" in arguments:
        _keep(txrequest, "logos", _SHOWN if arguments["logos"] == _SHOWN else "off")
        return
    star, unstar = (arguments.get(name) for name in ("star", "unstar"))
    known = dict.fromkeys([*watch_list(txrequest), *given_list(arguments)])
    watched = [name for name in known if name not in (star, unstar)] + ([star] if star else [])
    value = "!".join(quote(name, safe="") for name in watched)
    if len(watched) <= WATCH_MAX and len(value) <= _BYTES:
        _keep(txrequest, "watch", value)


def _keep(txrequest: TxRequest, name: str, value: str) -> None:
    set_cookie(txrequest, f"{cookie_name(txrequest)}_{name}", value, _SECONDS, "lax")


def _kept(txrequest: TxRequest, name: str) -> str:
    cookie = txrequest.getCookie(f"{cookie_name(txrequest)}_{name}".encode()) or b""
    return cookie.decode("ascii", "replace")
