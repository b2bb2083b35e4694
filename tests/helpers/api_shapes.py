"""The first pages, and those after them, of many documented APIs, as one table of shapes.

Each is a list of 25 things, ten a page, in the shape that the API's documentation tells: by which
parameter a page is asked for, and what stands around the records.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

COUNT, SIZE = 25, 10


@dataclass(frozen=True)
class Part:
    """The requested page: its things, where they begin, and whether there are more."""

    start: int
    url: str = "https://api.example/things"

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [{"id": n, "name": f"n{n}"} for n in range(self.start, min(self.end, COUNT))]

    @property
    def end(self) -> int:
        return self.start + SIZE

    @property
    def more(self) -> bool:
        return self.end < COUNT

    @property
    def number(self) -> int:
        """The page's number, from 1."""
        return self.start // SIZE + 1

    def next(self, value: Any = None) -> Any:
        """The cursor of the next page, or this value in its place; ``None`` on the last page."""
        return (self.end if value is None else value) if self.more else None


@dataclass(frozen=True)
class Shape:
    """An API; ``parameter`` says which page is requested, counted in ``unit`` from ``first``."""

    source: str
    parameter: str
    answer: Callable[[Part], Any]
    """A body, or a body and headers."""
    unit: int = 1
    first: int = 0
    body: str = ""
    where: str = "query"
    url: str = ""
    """Parameters that the first page's URL has."""
    arguments: dict[str, str] = field(default_factory=dict)
    """What must be said; without it the crawl fails, and names the ``hint``."""
    hint: str = ""


def without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


LAST = -(-COUNT // SIZE)
PAGES = {"unit": SIZE, "first": 1}

SHAPES: dict[str, Shape] = {
    "Adobe Commerce": Shape(
        "https://developer.adobe.com/commerce/webapi/rest/use-rest/performing-searches/",
        "searchCriteria[currentPage]",
        lambda p: {"items": p.rows, "total_count": COUNT,
                   "search_criteria": {"current_page": p.number, "page_size": SIZE}}, **PAGES,
    ),
    "Alchemy": Shape(
        "https://www.alchemy.com/docs/reference/nft-api", "pageKey",
        lambda p: without_none(ownedNfts=p.rows, totalCount=COUNT, pageKey=p.next(f"{p.end}")),
    ),
    "Alfresco": Shape(
        "https://docs.alfresco.com/content-services/latest/develop/rest-api-guide/", "skipCount",
        lambda p: {"list": {"entries": [{"entry": row} for row in p.rows], "pagination": {
            "count": len(p.rows), "hasMoreItems": p.more, "totalItems": COUNT,
            "skipCount": p.start, "maxItems": SIZE}}},
    ),
    "Asana": Shape(
        "https://developers.asana.com/docs/pagination", "offset",
        lambda p: {"data": p.rows, "next_page": p.next(
            {"offset": f"{p.end}", "path": f"/things?offset={p.end}",
             "uri": f"{p.url}?offset={p.end}"})},
    ),
    "Azure DevOps": Shape(
        "https://learn.microsoft.com/en-us/rest/api/azure/devops/graph/users/list",
        "continuationToken",
        lambda p: ({"count": len(p.rows), "value": p.rows},
                   without_none(**{"x-ms-continuationtoken": p.next(f"{p.end}")})),
    ),
    "Bitbucket Server": Shape(
        "https://docs.atlassian.com/bitbucket-server/rest/latest/bitbucket-rest.html", "start",
        lambda p: {"size": len(p.rows), "limit": SIZE, "isLastPage": not p.more, "values": p.rows,
                   "start": p.start, "nextPageStart": p.next()},
    ),
    "Blockfrost": Shape("https://docs.blockfrost.io/", "page", lambda p: p.rows, **PAGES),
    "Blockscout": Shape(
        "https://docs.blockscout.com/devs/apis/rest", "block_number",
        lambda p: {"items": p.rows, "next_page_params": p.next(
            {"block_number": p.end, "index": 0, "items_count": SIZE})},
    ),
    "Bybit": Shape(
        "https://bybit-exchange.github.io/docs/v5/market/instrument", "cursor",
        lambda p: {"retCode": 0, "retMsg": "OK", "time": 1, "retExtInfo": {}, "result": {
            "category": "linear", "list": p.rows, "nextPageCursor": p.next(f"{p.end}") or ""}},
    ),
    "CKAN package_search": Shape(
        "https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_search", "start",
        lambda p: {"help": p.url, "success": True, "result": {
            "count": COUNT, "sort": "score desc", "facets": {}, "results": p.rows}},
    ),
    "Cloudflare": Shape(
        "https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/", "page",
        lambda p: {"success": True, "errors": [], "messages": [], "result": p.rows, "result_info":
                   {"page": p.number, "per_page": SIZE, "count": len(p.rows),
                    "total_count": COUNT, "total_pages": LAST}}, **PAGES,
    ),
    "Coinbase Exchange": Shape(
        "https://docs.cdp.coinbase.com/exchange/rest-api/pagination", "after",
        lambda p: (p.rows, {"CB-BEFORE": f"{p.start}", "CB-AFTER": f"{p.end}"} if p.rows else {}),
    ),
    "Coinbase": Shape(
        "https://docs.cdp.coinbase.com/coinbase-app/api-architecture/pagination", "starting_after",
        lambda p: {"pagination": {
            "ending_before": None, "starting_after": None, "limit": SIZE, "order": "desc",
            "previous_uri": None, "next_uri": p.next(f"/things?starting_after={p.end}")},
            "data": p.rows},
    ),
    "Confluence": Shape(
        "https://developer.atlassian.com/server/confluence/pagination-in-the-rest-api/", "start",
        lambda p: {"results": p.rows, "start": p.start, "limit": SIZE, "size": len(p.rows),
                   "_links": without_none(
                       self=p.url, base=p.url.removesuffix("/things"), context="/wiki",
                       next=p.next(f"/things?limit=10&start={p.end}"))},
    ),
    "Contentful": Shape(
        "https://www.contentful.com/developers/docs/references/content-delivery-api/", "skip",
        lambda p: {"sys": {"type": "Array"}, "total": COUNT, "skip": p.start, "limit": SIZE,
                   "items": p.rows, "includes": {"Asset": [{"sys": {"id": f"a{n}"}}
                                                           for n in range(30)]}},
    ),
    "Crossref": Shape(
        "https://www.crossref.org/documentation/retrieve-metadata/rest-api/", "offset",
        lambda p: {"status": "ok", "message-type": "work-list", "message": {
            "facets": {}, "total-results": COUNT, "items": p.rows, "items-per-page": SIZE,
            "query": {"start-index": p.start, "search-terms": None}}},
    ),
    "Datadog": Shape(
        "https://docs.datadoghq.com/logs/guide/collect-multiple-logs-with-pagination/",
        "page[cursor]",
        lambda p: {"data": p.rows, "meta": {"page": without_none(after=p.next(f"{p.end}"))}},
    ),
    "Deribit": Shape(
        "https://docs.deribit.com/", "continuation",
        lambda p: {"jsonrpc": "2.0", "result": {"logs": p.rows, "continuation": p.next()}},
    ),
    "DigitalOcean": Shape(
        "https://docs.digitalocean.com/reference/api/", "page",
        lambda p: {"droplets": p.rows, "meta": {"total": COUNT}, "links": {"pages": without_none(
            next=p.next(f"{p.url}?page={p.number + 1}"), last=p.next(f"{p.url}?page=3"))}},
        **PAGES,
    ),
    "Dropbox Sign": Shape(
        "https://developers.hellosign.com/api/reference/", "page",
        lambda p: {"list_info": {"page": p.number, "num_pages": LAST, "num_results": COUNT,
                                 "page_size": SIZE}, "templates": p.rows}, **PAGES,
    ),
    "Elasticsearch (from)": Shape(
        "https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results",
        "from",
        lambda p: {"took": 1, "timed_out": False, "_shards": {"total": 1, "successful": 1},
                   "hits": {"total": {"value": COUNT, "relation": "eq"}, "hits": [
                       {"_index": "i", "_id": f"{r['id']}", "id": r["id"]} for r in p.rows]}},
    ),
    "Europe PMC": Shape(
        "https://europepmc.org/RestfulWebService", "cursorMark",
        lambda p: {"version": "6.9", "hitCount": COUNT, "nextCursorMark": f"{min(p.end, COUNT)}",
                   "request": {"pageSize": SIZE}, "resultList": {"result": p.rows}},
        url="cursorMark=0",
    ),
    "Facebook Graph": Shape(
        "https://developers.facebook.com/docs/graph-api/results", "after",
        lambda p: {"data": p.rows, "paging": without_none(
            cursors={"before": f"{p.start}", "after": f"{p.end}"},
            next=p.next(f"{p.url}?after={p.end}"))},
    ),
    "GBIF": Shape(
        "https://techdocs.gbif.org/en/openapi/", "offset",
        lambda p: {"offset": p.start, "limit": SIZE, "endOfRecords": not p.more, "results": p.rows},
    ),
    "Ghost": Shape(
        "https://docs.ghost.org/content-api", "page",
        lambda p: {"posts": p.rows, "meta": {"pagination": {
            "page": p.number, "limit": SIZE, "pages": LAST, "total": COUNT,
            "next": p.next(p.number + 1), "prev": None}}}, **PAGES,
    ),
    "Heroku": Shape(
        "https://devcenter.heroku.com/articles/platform-api-reference#ranges", "Range",
        lambda p: (p.rows, without_none(**{"Next-Range": p.next(f"{p.end}")})), where="header",
    ),
    "Intercom": Shape(
        "https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/pagination",
        "starting_after",
        lambda p: {"type": "list", "data": p.rows, "total_count": COUNT, "pages": without_none(
            type="pages", page=p.number, per_page=SIZE, total_pages=LAST,
            next=p.next({"page": p.number + 1, "starting_after": f"{p.end}"}))},
    ),
    "Intercom (search)": Shape(
        "https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/pagination",
        "pagination.starting_after",
        lambda p: {"type": "list", "data": p.rows, "total_count": COUNT, "pages": without_none(
            type="pages", page=p.number, per_page=SIZE, total_pages=LAST,
            next=p.next({"page": p.number + 1, "starting_after": f"{p.end}"}))},
        body='{"query": {}}', where="body",
    ),
    "J-Quants": Shape(
        "https://jpx-jquants.com/en/spec/pagination", "pagination_key",
        lambda p: {"data": p.rows, **without_none(pagination_key=p.next(f"{p.end}"))},
    ),
    "JSON:API (meta.page)": Shape(
        "https://jsonapi.org/examples/#pagination", "page[number]",
        lambda p: {"data": p.rows, "meta": {"page": {
            "number": p.number, "size": SIZE, "total": COUNT}}}, **PAGES,
    ),
    "Kubernetes": Shape(
        "https://kubernetes.io/docs/reference/using-api/api-concepts/", "continue",
        lambda p: {"kind": "PodList", "apiVersion": "v1", "items": p.rows,
                   "metadata": {"resourceVersion": "1", "continue": p.next(f"{p.end}") or ""}},
    ),
    "KuCoin": Shape(
        "https://www.kucoin.com/docs-new/introduction", "currentPage",
        lambda p: {"code": "200000", "data": {
            "currentPage": p.number, "pageSize": SIZE, "totalNum": COUNT, "totalPage": LAST,
            "items": p.rows}}, **PAGES,
    ),
    "Mailgun": Shape(
        "https://documentation.mailgun.com/docs/mailgun/api-reference/", "page",
        lambda p: {"items": p.rows, "paging": {
            "first": p.url, "next": f"{p.url}?page={min(p.end, COUNT)}", "last": p.url}},
    ),
    "Mastodon": Shape(
        "https://docs.joinmastodon.org/api/guidelines/#pagination", "max_id",
        lambda p: (p.rows, {"Link": f'<{p.url}?max_id={p.end}>; rel="next", '
                                    f'<{p.url}?min_id={p.start}>; rel="prev"'} if p.rows else {}),
    ),
    "Meilisearch": Shape(
        "https://www.meilisearch.com/docs/reference/api/search", "offset",
        lambda p: {"hits": p.rows, "query": "", "processingTimeMs": 1, "limit": SIZE,
                   "offset": p.start, "estimatedTotalHits": COUNT},
    ),
    "NVD": Shape(
        "https://nvd.nist.gov/developers/vulnerabilities", "startIndex",
        lambda p: {"resultsPerPage": SIZE, "startIndex": p.start, "totalResults": COUNT,
                   "format": "NVD_CVE", "vulnerabilities": p.rows},
    ),
    "OData ($count)": Shape(
        "https://learn.microsoft.com/en-us/graph/query-parameters", "$skip",
        lambda p: {"@odata.context": "$metadata#things", "@odata.count": COUNT, "value": p.rows},
    ),
    "openFDA": Shape(
        "https://open.fda.gov/apis/paging/", "skip",
        lambda p: {"meta": {"disclaimer": "d", "results": {
            "skip": p.start, "limit": SIZE, "total": COUNT}}, "results": p.rows}
        if p.rows else "error",
    ),
    "Oracle REST Data Services": Shape(
        "https://docs.oracle.com/en/database/oracle/oracle-rest-data-services/", "offset",
        lambda p: {"items": p.rows, "hasMore": p.more, "limit": SIZE, "offset": p.start,
                   "count": len(p.rows), "links": [
                       {"rel": "self", "href": p.url},
                       *([{"rel": "next", "href": f"{p.url}?offset={p.end}"}] if p.more else [])]},
    ),
    "PagerDuty": Shape(
        "https://developer.pagerduty.com/docs/pagination", "offset",
        lambda p: {"users": p.rows, "limit": SIZE, "offset": p.start, "total": None,
                   "more": p.more},
    ),
    "PayPal": Shape(
        "https://developer.paypal.com/api/rest/responses/", "page",
        lambda p: {"plans": p.rows, "total_items": COUNT, "total_pages": LAST, "links": [
            {"href": p.url, "rel": "self", "method": "GET"},
            *([{"href": f"{p.url}?page={p.number + 1}", "rel": "next", "method": "GET"}]
              if p.more else [])]}, **PAGES,
    ),
    "Pinterest": Shape(
        "https://developers.pinterest.com/docs/reference/pagination/", "bookmark",
        lambda p: {"items": p.rows, "bookmark": p.next(f"{p.end}")},
    ),
    "Rails (kaminari)": Shape(
        "https://github.com/kaminari/kaminari", "page",
        lambda p: {"things": p.rows, "meta": {
            "current_page": p.number, "next_page": p.next(p.number + 1), "prev_page": None,
            "total_pages": LAST, "total_count": COUNT}}, **PAGES,
    ),
    "Semantic Scholar": Shape(
        "https://api.semanticscholar.org/api-docs/graph", "offset",
        lambda p: without_none(total=COUNT, offset=p.start, next=p.next(), data=p.rows),
    ),
    "Sentry": Shape(
        "https://docs.sentry.io/api/pagination/", "cursor",
        lambda p: (p.rows, {"Link":
            f'<{p.url}?cursor={p.start}>; rel="previous"; results="false"; cursor="0:0:1", '
            f'<{p.url}?cursor={p.end}>; rel="next"; results="{str(p.more).lower()}"'}),
    ),
    "Smartsheet": Shape(
        "https://developers.smartsheet.com/api/smartsheet/guides/basics/pagination", "lastKey",
        lambda p: {"data": p.rows, **without_none(lastKey=p.next(f"{p.end}"))},
    ),
    "Solr": Shape(
        "https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html",
        "start",
        lambda p: {"responseHeader": {"status": 0, "QTime": 1, "params": {"q": "*:*"}},
                   "response": {"numFound": COUNT, "start": p.start, "docs": p.rows}},
    ),
    "Solr (cursorMark)": Shape(
        "https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html",
        "cursorMark",
        lambda p: {"responseHeader": {"status": 0}, "response": {
            "numFound": COUNT, "start": 0, "docs": p.rows},
            "nextCursorMark": f"{min(p.end, COUNT)}"}, url="cursorMark=0",
    ),
    "Spotify": Shape(
        "https://developer.spotify.com/documentation/web-api/concepts/api-calls", "offset",
        lambda p: {"href": p.url, "items": p.rows, "limit": SIZE, "offset": p.start,
                   "next": p.next(f"{p.url}?offset={p.end}"), "previous": None, "total": COUNT},
    ),
    "Square": Shape(
        "https://developer.squareup.com/docs/build-basics/common-api-patterns/pagination",
        "cursor", lambda p: without_none(objects=p.rows, cursor=p.next(f"{p.end}")),
    ),
    "Stack Exchange": Shape(
        "https://api.stackexchange.com/docs/paging", "page",
        lambda p: {"items": p.rows, "has_more": p.more, "quota_max": 300,
                   "quota_remaining": 299}, **PAGES,
    ),
    "Strapi": Shape(
        "https://docs.strapi.io/cms/api/rest/sort-pagination", "pagination[page]",
        lambda p: {"data": p.rows, "meta": {"pagination": {
            "page": p.number, "pageSize": SIZE, "pageCount": LAST, "total": COUNT}}}, **PAGES,
    ),
    "TMDB": Shape(
        "https://developer.themoviedb.org/docs/search-and-query-for-details", "page",
        lambda p: {"page": p.number, "results": p.rows, "total_pages": LAST,
                   "total_results": COUNT}, **PAGES,
    ),
    "Twilio": Shape(
        "https://www.twilio.com/docs/usage/twilios-response#pagination", "Page",
        lambda p: {"messages": p.rows, "page": p.number - 1, "page_size": SIZE, "end": p.end,
                   "first_page_uri": "/things?Page=0", "uri": f"/things?Page={p.number - 1}",
                   "next_page_uri": p.next(f"/things?Page={p.number}")}, unit=SIZE,
    ),
    "Twitch": Shape(
        "https://dev.twitch.tv/docs/api/guide/#pagination", "after",
        lambda p: {"data": p.rows, "pagination": without_none(cursor=p.next(f"{p.end}"))},
    ),
    "Typesense": Shape(
        "https://typesense.org/docs/latest/api/search.html", "page",
        lambda p: {"found": COUNT, "out_of": 99, "page": p.number, "search_time_ms": 1,
                   "hits": [{"document": row, "highlights": []} for row in p.rows]}, **PAGES,
    ),
    "Zoho": Shape(
        "https://www.zoho.com/crm/developer/docs/api/v8/get-records.html", "page",
        lambda p: {"data": p.rows, "info": {"per_page": SIZE, "count": len(p.rows),
                                            "page": p.number, "more_records": p.more}}, **PAGES,
    ),
    "Zoom": Shape(
        "https://developers.zoom.us/docs/api/using-zoom-apis/", "next_page_token",
        lambda p: {"page_count": LAST, "page_size": SIZE, "total_records": COUNT,
                   "next_page_token": p.next(f"{p.end}") or "", "users": p.rows},
    ),
    # APIs whose first page doesn't show how the list is paged.
    "Discord": Shape(
        "https://discord.com/developers/docs/reference", "after", lambda p: p.rows, first=-1,
        arguments={"pagination": "cursor", "path": "id", "path_in": "record",
                   "parameter": "after"},
        hint="the pagination is none if these are all",
    ),
    "The Graph": Shape(
        "https://thegraph.com/docs/en/subgraphs/querying/graphql-api/", "variables.skip",
        lambda p: {"data": {"tokens": p.rows}},
        body='{"query": "query($skip: Int) { tokens(skip: $skip) { id } }", "variables": {}}',
        where="body",
        arguments={"pagination": "offset", "parameter": "variables.skip",
                   "parameter_in": "body", "limit": "0"},
        hint="the pagination is none if these are all",
    ),
    "Kraken (trades)": Shape(
        "https://docs.kraken.com/api/docs/rest-api/get-recent-trades", "since",
        lambda p: {"error": [], "result": {"XXBTZUSD": p.rows, "last": f"{min(p.end, COUNT)}"}},
        arguments={"pagination": "cursor", "path": "result.last", "parameter": "since"},
        hint="the pagination is none if these are all",
    ),
}  # fmt: skip
