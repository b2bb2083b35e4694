"""APIs whose pages have a cursor for the next one."""

from base64 import b64decode, b64encode
from typing import Any

from tests.helpers.documented_apis.server import (
    COUNT,
    SIZE,
    THINGS,
    Answer,
    Request,
    api,
    exact,
    price,
    refused,
)


def mark(number: int) -> str:
    return b64encode(f"after:{number}".encode()).decode()


def unmark(text: str | None) -> int:
    return int(b64decode(text).decode().partition(":")[2]) if text else 0


def part(start: int) -> tuple[list[Any], str | None]:
    """The things from here on, and the cursor of the next page."""
    return THINGS[start : start + SIZE], mark(start + SIZE) if start + SIZE < COUNT else None


@api("Slack", "https://docs.slack.dev/apis/web-api/pagination/",
     settings={"API_TOKEN": "k", "API_TOKEN_SCHEME": "Bearer"})  # fmt: skip
def slack(request: Request) -> Any:
    rows, following = part(unmark(request.query.get("cursor")))
    body = {"ok": True, "members": rows, "response_metadata": {"next_cursor": following or ""}}
    return refused(request, "Authorization", "Bearer k") or body


@api("Stripe", "https://docs.stripe.com/api/pagination",
     settings={"API_USERNAME": "sk_test"})  # fmt: skip
def stripe(request: Request) -> Any:
    start = int(request.query.get("starting_after", "0"))
    body = {"object": "list", "url": "/v1/things", "has_more": start + SIZE < COUNT}
    basic = f"Basic {b64encode(b'sk_test:').decode()}"
    return refused(request, "Authorization", basic) or body | {"data": part(start)[0]}


@api("Notion", "https://developers.notion.com/reference/intro#pagination", body="{}",
     headers="Notion-Version=2022-06-28",
     settings={"API_TOKEN": "k", "API_TOKEN_SCHEME": "Bearer"})  # fmt: skip
def notion(request: Request) -> Any:
    if request.method != "POST" or request.headers.get("Notion-Version") != "2022-06-28":
        return Answer({"object": "error", "code": "missing_version"}, 400)
    if set(request.body) - {"start_cursor", "page_size"}:
        return Answer({"object": "error", "message": "body failed validation"}, 400)
    rows, following = part(unmark(request.body.get("start_cursor")))
    body = {"object": "list", "results": rows, "has_more": bool(following)}
    return refused(request, "Authorization", "Bearer k") or body | {"next_cursor": following}


@api("Zendesk", "https://developer.zendesk.com/api-reference/introduction/pagination/",
     pagination="cursor", path="meta.after_cursor", parameter="page[after]")  # fmt: skip
def zendesk(request: Request) -> Any:
    start = int(request.query.get("page[after]", "0"))
    end = min(start + SIZE, COUNT)
    meta = {"has_more": end < COUNT, "after_cursor": str(end), "before_cursor": str(start)}
    return {"tickets": THINGS[start:end], "meta": meta}


@api("Jira Cloud", "https://developer.atlassian.com/cloud/jira/platform/rest/v3/"
     "api-group-issue-search/")  # fmt: skip
def jira(request: Request) -> Any:
    rows, following = part(unmark(request.query.get("nextPageToken")))
    body = {"issues": rows, "isLast": following is None}
    return body | ({"nextPageToken": following} if following else {})


@api("Google APIs", "https://google.aip.dev/158",
     settings={"API_TOKEN": "k", "API_TOKEN_PARAMETER": "key"})  # fmt: skip
def google(request: Request) -> Any:
    if request.query.get("key") != "k":
        return Answer({"error": {"code": 403, "message": "The request is missing a key."}}, 403)
    if set(request.query) - {"key", "pageToken", "maxResults"}:
        return Answer({"error": {"code": 400, "message": "Unknown name."}}, 400)
    rows, following = part(unmark(request.query.get("pageToken")))
    body = {"kind": "things#list", "items": rows}
    return body | ({"nextPageToken": following} if following else {})


@api("AWS (JSON protocol)", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/",
     body='{"MaxResults": 10}', key="Id", price="Price")  # fmt: skip
def aws(request: Request) -> Any:
    rows, following = part(unmark(request.body.get("NextToken")))
    items = [{"Id": f"i-{row['id']}", "Price": row["price"]} for row in rows]
    return {"Items": items} | ({"NextToken": following} if following else {})


@api("HubSpot", "https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide",
     price="properties.price")  # fmt: skip
def hubspot(request: Request) -> Any:
    rows, following = part(unmark(request.query.get("after")))
    body: dict[str, Any] = {
        "results": [{"id": str(r["id"]), "properties": {"price": r["price"]}} for r in rows]
    }
    return body | ({"paging": {"next": {"after": following}}} if following else {})


@api("Airtable", "https://airtable.com/developers/web/api/list-records", price="fields.price")
def airtable(request: Request) -> Any:
    rows, following = part(unmark(request.query.get("offset")))
    records = [{"id": f"rec{r['id']}", "fields": {"price": r["price"]}} for r in rows]
    return {"records": records} | ({"offset": following} if following else {})


@api("X", "https://docs.x.com/x-api/fundamentals/pagination",
     settings={"API_TOKEN": "k", "API_TOKEN_SCHEME": "Bearer"})  # fmt: skip
def x(request: Request) -> Any:
    rows, following = part(unmark(request.query.get("pagination_token")))
    meta = {"result_count": len(rows)} | ({"next_token": following} if following else {})
    return refused(request, "Authorization", "Bearer k") or {"data": rows, "meta": meta}


@api("Reddit", "https://www.reddit.com/dev/api/#listings", key="name")
def reddit(request: Request) -> Any:
    after = request.query.get("after")
    rows, following = part(int(after.removeprefix("t3_")) if after else 0)
    children = [
        {"kind": "t3", "data": {"name": f"t3_{r['id']}", "price": r["price"]}} for r in rows
    ]
    last = f"t3_{rows[-1]['id']}" if following else None
    return {"kind": "Listing", "data": {"after": last, "dist": len(rows), "children": children}}


@api("OpenSea", "https://docs.opensea.io/reference/api-overview", key="identifier",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "X-API-KEY"})  # fmt: skip
def opensea(request: Request) -> Any:
    rows, following = part(unmark(request.query.get("next")))
    nfts = [{"identifier": str(row["id"]), "price": row["price"]} for row in rows]
    body = {"nfts": nfts} | ({"next": following} if following else {})
    return refused(request, "X-API-KEY", "k") or body


@api(
    "Relay connections (GraphQL)",
    "https://relay.dev/graphql/connections.htm",
    body='{"query": "query($after: String) { things(after: $after) { edges } }", "variables": {}}',
)
def relay(request: Request) -> Any:
    rows, following = part(unmark(request.body.get("variables", {}).get("after")))
    edges = [{"node": row, "cursor": mark(row["id"])} for row in rows]
    info = {"hasNextPage": following is not None, "endCursor": edges[-1]["cursor"]}
    return {"data": {"things": {"edges": edges, "pageInfo": info}}}


@api("Elasticsearch", "https://www.elastic.co/docs/reference/elasticsearch/rest-apis/"
     "paginate-search-results", body='{"sort": [{"id": "asc"}]}', key="_id",
     price="_source.price")  # fmt: skip
def elasticsearch(request: Request) -> Any:
    rows, _ = part(int((request.body.get("search_after") or [0])[0]))
    hits = [{"_id": f"d{r['id']}", "_source": r, "sort": [r["id"]]} for r in rows]
    return {"took": 1, "hits": {"total": {"value": COUNT, "relation": "eq"}, "hits": hits}}


@api("MediaWiki", "https://www.mediawiki.org/wiki/API:Continue", key="pageid",
     records="query.categorymembers")  # fmt: skip
def mediawiki(request: Request) -> Any:
    if "cmcontinue" in request.query and request.query.get("continue") != "-||":
        return {"error": {"code": "badcontinue", "info": "Invalid continue param."}}
    rows, following = part(unmark(request.query.get("cmcontinue")))
    members = [{"pageid": row["id"], "price": row["price"]} for row in rows]
    body: dict[str, Any] = {"batchcomplete": True, "query": {"categorymembers": members}}
    return body | ({"continue": {"cmcontinue": following, "continue": "-||"}} if following else {})


@api("GitLab", "https://docs.gitlab.com/api/rest/#offset-based-pagination", pagination="cursor",
     path="X-Next-Page", path_in="header", parameter="page",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "PRIVATE-TOKEN"})  # fmt: skip
def gitlab(request: Request) -> Answer:
    number = int(request.query.get("page", "1"))
    following = str(number + 1) if number < 3 else ""
    headers = {"X-Page": str(number), "X-Next-Page": following, "X-Total": str(COUNT)}
    rows = THINGS[(number - 1) * SIZE : number * SIZE]
    return refused(request, "PRIVATE-TOKEN", "k") or Answer(rows, headers=headers)


@api("OKX", "https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-trades-history",
     pagination="cursor", path="tradeId", path_in="record", parameter="after", key="tradeId",
     price="px")  # fmt: skip
def okx(request: Request) -> Any:
    rows = part(int(request.query.get("after", "0")))[0]
    data = [{"tradeId": str(row["id"]), "px": exact(price(row["id"]))} for row in rows]
    return {"code": "0", "msg": "", "data": data}
