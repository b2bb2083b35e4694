"""Stand-ins of documented APIs, each in the shape that its documentation tells."""

from tests.helpers.documented_apis import cursors, links, numbers, shapes
from tests.helpers.documented_apis.server import APIS, Api, serve

__all__ = ["APIS", "Api", "cursors", "links", "numbers", "serve", "shapes"]
