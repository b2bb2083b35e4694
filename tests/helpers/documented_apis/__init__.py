"""Stand-ins for documented APIs, each with the responses that its documentation describes."""

from tests.helpers.documented_apis import cursors, links, numbers, shapes
from tests.helpers.documented_apis.server import APIS, Api, serve

__all__ = ["APIS", "Api", "cursors", "links", "numbers", "serve", "shapes"]
