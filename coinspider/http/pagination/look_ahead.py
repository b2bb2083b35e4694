"""How many pages are requested at once, where pages have numbers."""

from msgspec import Struct

from coinspider.http.limit.state import ConfiguredLimit


class LookAhead(Struct, frozen=True):
    """How several pages are requested at once: as ``ways`` chains that each skip the others' pages.

    No chain goes past ``known`` pages, except for the one that reads the last of these: it goes on
    alone, page by page. ``None`` lets all of them run until they meet an empty page.
    """

    ways: int = 1
    known: int | None = None
    start: int = 1
    """The page after which the chains begin."""

    def after(self, page: int) -> list[int]:
        """The pages to request after ``page``; the first page starts all chains."""
        if page == self.start:
            pages = range(page + 1, page + self.ways + 1)
            return [p for p in pages if self._is_known(p) or p == page + 1]
        following = page + self.ways
        if self._is_known(following):
            return [following]
        return [page + 1] if self.known is not None and page >= self.known else []

    def _is_known(self, page: int) -> bool:
        return self.known is None or page <= self.known


IN_SEQUENCE = LookAhead()


def choose_look_ahead(
    ways: int,
    latency: float,
    latency_min: float,
    configured: ConfiguredLimit,
    known_pages: int | None,
) -> LookAhead:
    """How far to look ahead if a page takes ``latency`` seconds.

    It pays only if latency slows the crawl down, and not the limit. Under a limit, no page past
    those of the last complete crawl is requested ahead, because such a call may be wasted.
    """
    known = known_pages if configured.calls else None
    is_limited = configured.calls and (not known or latency * configured.calls < configured.period)
    if ways <= 1 or latency < latency_min or is_limited:
        return IN_SEQUENCE
    return LookAhead(ways, known)
