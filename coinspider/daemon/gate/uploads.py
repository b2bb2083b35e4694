"""Blocks uploads of eggs, which scrapyd would run, unless they are wanted."""

from typing import Any, NoReturn

from scrapyd.webservice import AddVersion, DeleteProject, WsResource
from twisted.web import error, http


class UploadsOff(WsResource):
    """Replaces ``addversion.json``, ``delversion.json`` and ``delproject.json``."""

    def render_POST(self, txrequest: Any) -> NoReturn:
        raise error.Error(http.FORBIDDEN, b"uploads are off: egg_upload in scrapyd.conf")


def turn_uploads_off(root: Any) -> None:
    """Under whatever names the services have them."""
    for name, resource in list(root.children.items()):
        if isinstance(resource, (AddVersion, DeleteProject)):
            root.putChild(name, UploadsOff(root))
