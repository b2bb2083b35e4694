"""APIs whose pages have the URL of the next one."""

from typing import Any

from tests.helpers.documented_apis.server import (
    COUNT,
    SIZE,
    THINGS,
    Answer,
    Request,
    api,
    refused,
    thing,
)

LAST = -(-COUNT // SIZE)


def page(request: Request, parameter: str = "page", first: int = 1) -> tuple[int, list[Any]]:
    number = int(request.query.get(parameter, first)) - first
    return number + 1, THINGS[number * SIZE : (number + 1) * SIZE]


def next_url(request: Request, number: int, parameter: str = "page") -> str | None:
    return f"{request.url}?{parameter}={number + 1}" if number < LAST else None


@api("GitHub", "https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api",
     settings={"API_TOKEN": "k", "API_TOKEN_SCHEME": "Bearer"})  # fmt: skip
def github(request: Request) -> Answer:
    number, rows = page(request)
    links = [f'<{request.url}?page={number - 1}>; rel="prev"'] if number > 1 else []
    if number < LAST:
        links += [
            f'<{next_url(request, number)}>; rel="next"',
            f'<{request.url}?page=3>; rel="last"',
        ]
    return refused(request, "Authorization", "Bearer k") or Answer(
        rows, headers={"Link": ", ".join(links)}
    )


@api("Shopify", "https://shopify.dev/docs/api/admin-rest/usage/pagination",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "X-Shopify-Access-Token"})  # fmt: skip
def shopify(request: Request) -> Answer:
    start = int(request.query.get("page_info", "p0")[1:])
    link = f'<{request.url}?limit=10&page_info=p{start + SIZE}>; rel="next"'
    headers = {"Link": link} if start + SIZE < COUNT else {}
    return refused(request, "X-Shopify-Access-Token", "k") or Answer(
        {"products": THINGS[start : start + SIZE]}, headers=headers
    )


@api("WordPress", "https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/",
     pagination="page")  # fmt: skip
def wordpress(request: Request) -> Answer:
    number, rows = page(request)
    if number > LAST:
        message = "The page number requested is larger than the number of pages available."
        return Answer({"code": "rest_post_invalid_page_number", "message": message}, 400)
    return Answer(rows, headers={"X-WP-Total": str(COUNT), "X-WP-TotalPages": str(LAST)})


@api("Django REST Framework", "https://www.django-rest-framework.org/api-guide/pagination/",
     settings={"API_TOKEN": "k"})  # fmt: skip
def drf(request: Request) -> Any:
    number, rows = page(request)
    previous = next_url(request, number - 2) if number > 1 else None
    envelope = {"count": COUNT, "next": next_url(request, number), "previous": previous}
    return refused(request, "Authorization", "Token k") or {**envelope, "results": rows}


@api("JSON:API", "https://jsonapi.org/format/#fetching-pagination", price="attributes.price")
def json_api(request: Request) -> Any:
    number, rows = page(request, "page[number]")
    data = [
        {"type": "thing", "id": str(r["id"]), "attributes": {"price": r["price"]}} for r in rows
    ]
    following = next_url(request, number, "page%5Bnumber%5D")
    links = {"self": request.url} | ({"next": following} if following else {})
    return {"links": links, "data": data, "jsonapi": {"version": "1.1"}}


@api("Microsoft Graph (OData)", "https://learn.microsoft.com/en-us/graph/paging")
def graph(request: Request) -> Any:
    number, rows = page(request, "$skiptoken")
    body = {"@odata.context": "https://api.example/$metadata#things", "value": rows}
    following = next_url(request, number, "$skiptoken")
    return body | ({"@odata.nextLink": following} if following else {})


@api("Laravel", "https://laravel.com/docs/12.x/pagination#converting-results-to-json")
def laravel(request: Request) -> Any:
    number, rows = page(request)
    return {
        "current_page": number, "data": rows, "from": 1, "last_page": LAST, "total": COUNT,
        "next_page_url": next_url(request, number), "path": request.url, "per_page": SIZE,
    }  # fmt: skip


@api("Salesforce", "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/"
     "resources_query.htm", key="Id", price="Price")  # fmt: skip
def salesforce(request: Request) -> Any:
    number, rows = page(request, "batch")
    body = {"totalSize": COUNT, "done": number == LAST}
    if number < LAST:
        body["nextRecordsUrl"] = f"{request.path}?batch={number + 1}"
    return body | {"records": [{"Id": f"00Q{r['id']}", "Price": r["price"]} for r in rows]}


@api("HAL (Spring HATEOAS)", "https://docs.spring.io/spring-hateoas/docs/current/reference/html/")
def hal(request: Request) -> Any:
    number, rows = page(request, first=0)
    links: dict[str, Any] = {"self": {"href": request.url}}
    if number < LAST:
        links["next"] = {"href": f"{request.url}?page={number}"}
    counts = {"size": SIZE, "totalElements": COUNT, "totalPages": LAST, "number": number - 1}
    return {"_embedded": {"things": rows}, "_links": links, "page": counts}


@api("Zendesk, incremental export", "https://developer.zendesk.com/api-reference/ticketing/"
     "ticket-management/incremental_exports/")  # fmt: skip
def zendesk_incremental(request: Request) -> Any:
    start = int(request.query.get("cursor", "0"))
    end = min(start + SIZE, COUNT)
    return {"tickets": THINGS[start:end], "after_url": f"{request.url}?cursor={end}",
            "after_cursor": str(end), "end_of_stream": end == COUNT}  # fmt: skip


@api("Kaiko", "https://docs.kaiko.com/rest-api/general/pagination", key="timestamp",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "X-Api-Key"})  # fmt: skip
def kaiko(request: Request) -> Any:
    number, rows = page(request, "continuation_token")
    body = {
        "result": "success",
        "data": [{"timestamp": r["id"], "price": r["price"]} for r in rows],
    }
    following = next_url(request, number, "continuation_token")
    body |= {"next_url": following} if following else {}
    return refused(request, "X-Api-Key", "k") or body


@api("Discourse", "https://docs.discourse.org/#tag/Topics/operation/listLatestTopics", price=None)
def discourse(request: Request) -> Any:
    number, rows = page(request, first=0)
    topics: dict[str, Any] = {"per_page": SIZE, "topics": [{"id": r["id"]} for r in rows]}
    if number < LAST:
        topics["more_topics_url"] = f"{request.path}?page={number}"
    return {"users": [{"id": 1, "name": "a"}], "topic_list": topics}


@api("Dune", "https://docs.dune.com/api-reference/executions/pagination", key="day",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "X-Dune-API-Key"})  # fmt: skip
def dune(request: Request) -> Any:
    start = int(request.query.get("offset", "0"))
    rows = [{"day": f"d{r['id']}", "price": r["price"]} for r in THINGS[start : start + SIZE]]
    body: dict[str, Any] = {"state": "QUERY_STATE_COMPLETED", "result": {"rows": rows}}
    if start + SIZE < COUNT:
        uri = f"{request.url}?offset={start + SIZE}"
        body |= {"next_offset": start + SIZE, "next_uri": uri}
    return refused(request, "X-Dune-API-Key", "k") or body


@api("STAC and OGC API Features", "https://docs.ogc.org/is/17-069r4/17-069r4.html#_response_6",
     price="properties.price")  # fmt: skip
def ogc_features(request: Request) -> Any:
    number, rows = page(request)
    features = [{"type": "Feature", "id": r["id"], "properties": thing(r["id"])} for r in rows]
    links = [{"rel": "self", "href": request.url}]
    if number < LAST:
        links.append({"rel": "next", "href": str(next_url(request, number))})
    return {"type": "FeatureCollection", "features": features, "links": links,
            "numberMatched": COUNT}  # fmt: skip
