"""A page that says why there is no other."""

from typing import Any

from twisted.web.resource import Resource

from coinspider.daemon.gate.origins import wants_html
from coinspider.daemon.web.templating import POLICY, render

NOT_FOUND = "There is no such page."


def error_page(txrequest: Any, status: int, message: str, **values: Any) -> bytes:
    """For a person; its links lead home from any address."""
    txrequest.setResponseCode(status)
    txrequest.setHeader("Content-Type", "text/html; charset=utf-8")
    txrequest.setHeader("Content-Security-Policy", POLICY)
    root = "../" * (txrequest.path.count(b"/") - 1)
    return render("error.html", status=status, message=message, root=root, **values).encode()


class NotFound(Resource):
    """Where nothing is: a page for people, one line for programs."""

    isLeaf = True

    def render(self, txrequest: Any) -> bytes:
        if wants_html(txrequest):
            return error_page(txrequest, 404, NOT_FOUND)
        txrequest.setResponseCode(404)
        txrequest.setHeader("Content-Type", "text/plain; charset=utf-8")
        return f"{NOT_FOUND}\n".encode()
