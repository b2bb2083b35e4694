"""What a browser keeps in cookies: its watch list, and whether it shows logos."""

from collections.abc import Mapping
from urllib.parse import quote, unquote

from coinspider.daemon.gate.browsers import TxRequest, is_of_other_site, set_cookie
from coinspider.daemon.gate.sessions import cookie_name

WATCH_MAX = 200  # coins
PREFERENCES = frozenset({"star", "unstar", "logos"})
"""The arguments of an address that change one."""
_BYTES = 3500  # browsers keep a cookie of up to 4096
_SECONDS = 400 * 86_400  # and for no longer
_SHOWN = "on"


def watch_list(txrequest: TxRequest) -> list[str]:
    """The ids of the coins that this browser watches."""
    names = _kept(txrequest, "watch").split("!")
    return [unquote(name) for name in names if name and "%00" not in name][:WATCH_MAX]


def shows_logos(txrequest: TxRequest) -> bool:
    return _kept(txrequest, "logos") == _SHOWN


def keep_preference(txrequest: TxRequest, arguments: Mapping[str, str], same: str) -> bytes:
    """Watch a coin, or no longer, or switch the logos, and lead to the ``same`` page.

    A list in the address (``watch``) becomes the browser's own by this. Other sites' links have no
    effect.
    """
    if not is_of_other_site(txrequest):
        if "logos" in arguments:
            _keep(txrequest, "logos", _SHOWN if arguments["logos"] == _SHOWN else "off")
        else:
            _keep_watched(txrequest, arguments)
    txrequest.setResponseCode(303)
    txrequest.setHeader("Location", f"{txrequest.path.rpartition(b'/')[2].decode()}{same}")
    return b""


def _keep_watched(txrequest: TxRequest, arguments: Mapping[str, str]) -> None:
    given = [name for name in arguments.get("watch", "").split(",") if name]
    star, unstar = (arguments.get(name) for name in ("star", "unstar"))
    watched = [name for name in given or watch_list(txrequest) if name not in (star, unstar)]
    watched += [star] if star else []
    value = "!".join(quote(name, safe="") for name in watched)
    if len(watched) <= WATCH_MAX and len(value) <= _BYTES:
        _keep(txrequest, "watch", value)


def _keep(txrequest: TxRequest, name: str, value: str) -> None:
    set_cookie(txrequest, f"{cookie_name(txrequest)}_{name}", value, _SECONDS, "lax")


def _kept(txrequest: TxRequest, name: str) -> str:
    cookie = txrequest.getCookie(f"{cookie_name(txrequest)}_{name}".encode()) or b""
    return cookie.decode("ascii", "replace")
