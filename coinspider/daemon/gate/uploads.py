"""Uploads of eggs, which scrapyd runs, where they are not wanted."""

from typing import Any, NoReturn

from scrapyd.webservice import AddVersion, DeleteProject, WsResource
from twisted.web import error, http


class UploadsOff(WsResource):
    """Stands for ``addversion.json``, ``delversion.json``, ``delproject.json``."""

    def render_POST(self, txrequest: Any) -> NoReturn:
        raise error.Error(http.FORBIDDEN, b"uploads are off: egg_upload in scrapyd.conf")


def turn_uploads_off(root: Any) -> None:
    """Whatever names they have among the services."""
    for name, resource in list(root.children.items()):
        if isinstance(resource, (AddVersion, DeleteProject)):
            root.putChild(name, UploadsOff(root))
