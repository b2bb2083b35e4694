"""APIs that count pages or records."""

from typing import Any

from tests.helpers.documented_apis.server import (
    COUNT,
    SIZE,
    THINGS,
    Answer,
    Request,
    api,
    refused,
)

LAST = -(-COUNT // SIZE)


def number_of(request: Request, name: str, default: int) -> int:
    return int(request.query.get(name, default))


def slice_at(start: int, size: int = SIZE) -> list[Any]:
    return THINGS[start : start + size]


@api("Spring Data", "https://docs.spring.io/spring-data/commons/reference/repositories/"
     "core-extensions.html")  # fmt: skip
def spring(request: Request) -> Any:
    number = number_of(request, "page", 0)
    return {"content": slice_at(number * SIZE), "number": number, "size": SIZE,
            "totalElements": COUNT, "totalPages": LAST, "first": number == 0,
            "last": number >= LAST - 1, "empty": number >= LAST}  # fmt: skip


@api("Algolia", "https://www.algolia.com/doc/rest-api/search/", key="objectID",
     headers="X-Algolia-Application-Id=APP",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "X-Algolia-API-Key"})  # fmt: skip
def algolia(request: Request) -> Any:
    number = number_of(request, "page", 0)
    hits = [{"objectID": str(r["id"]), "price": r["price"]} for r in slice_at(number * SIZE)]
    body = {"hits": hits, "page": number, "nbHits": COUNT, "nbPages": LAST, "hitsPerPage": SIZE}
    if request.headers.get("X-Algolia-Application-Id") != "APP":
        return Answer({"message": "Invalid Application-ID or API key"}, 403)
    return refused(request, "X-Algolia-API-Key", "k") or body


@api("pagy (Ruby)", "https://ddnexus.github.io/pagy/docs/extras/headers/")
def pagy(request: Request) -> Answer:
    number = number_of(request, "page", 1)
    headers = {"current-page": str(number), "page-items": str(SIZE), "total-pages": str(LAST),
               "total-count": str(COUNT)}  # fmt: skip
    return Answer(slice_at((number - 1) * SIZE), headers=headers)


@api("EVE Online (ESI)", "https://developers.eveonline.com/docs/services/esi/pagination/x-pages/")
def esi(request: Request) -> Answer:
    number = number_of(request, "page", 1)
    if number > LAST:
        return Answer({"error": "Requested page does not exist!"}, 404)
    return Answer(slice_at((number - 1) * SIZE), headers={"X-Pages": str(LAST)})


@api("World Bank", "https://datahelpdesk.worldbank.org/knowledgebase/articles/898581")
def world_bank(request: Request) -> Any:
    number = number_of(request, "page", 1)
    about = {"page": number, "pages": LAST, "per_page": str(SIZE), "total": COUNT}
    return [about, slice_at((number - 1) * SIZE)]


@api("Etherscan", "https://docs.etherscan.io/api-endpoints/accounts", key="hash", pagination="page",
     first_page="1", limit="10", limit_parameter="offset",
     settings={"API_TOKEN": "k", "API_TOKEN_PARAMETER": "apikey"})  # fmt: skip
def etherscan(request: Request) -> Any:
    if request.query.get("apikey") != "k":
        return {"status": "0", "message": "NOTOK", "result": "Missing/Invalid API Key"}
    size = number_of(request, "offset", 1000)
    rows = slice_at((number_of(request, "page", 1) - 1) * size, size)
    found = [{"hash": f"0x{row['id']:04x}", "price": row["price"]} for row in rows]
    message = "OK" if found else "No transactions found"
    return {"status": str(int(bool(found))), "message": message, "result": found}


@api("CryptoCompare", "https://developers.coindesk.com/documentation/legacy/Toplists/"
     "topTotalMktCapEndpointFull", key="Id", price="RAW.USD.PRICE")  # fmt: skip
def cryptocompare(request: Request) -> Any:
    number = number_of(request, "page", 0)
    coins = [
        {"CoinInfo": {"Id": str(r["id"])}, "RAW": {"USD": {"PRICE": r["price"]}}}
        for r in slice_at(number * SIZE)
    ]
    return {"Message": "Success", "Type": 100, "MetaData": {"Count": COUNT}, "Data": coins}


@api("CoinMarketCap", "https://coinmarketcap.com/api/documentation/v1/", pagination="offset",
     parameter="start", first_record="1", limit="10", columns="price=quote.USD.price",
     settings={"API_TOKEN": "k", "API_TOKEN_HEADER": "X-CMC_PRO_API_KEY"})  # fmt: skip
def coinmarketcap(request: Request) -> Any:
    start, size = number_of(request, "start", 1), number_of(request, "limit", 100)
    if start < 1:
        return Answer({"status": {"error_message": '"start" must be larger than 0'}}, 400)
    rows = slice_at(start - 1, size)
    data = [{"id": r["id"], "quote": {"USD": {"price": r["price"]}}} for r in rows]
    body = {"status": {"error_code": 0, "total_count": COUNT}, "data": data}
    return refused(request, "X-CMC_PRO_API_KEY", "k") or body


@api("CoinCap", "https://docs.coincap.io/", price="priceUsd",
     settings={"API_TOKEN": "k", "API_TOKEN_SCHEME": "Bearer"})  # fmt: skip
def coincap(request: Request) -> Any:
    start = number_of(request, "offset", 0)
    data = [{"id": f"c{r['id']}", "priceUsd": r["price"]} for r in slice_at(start)]
    body = {"timestamp": 1735689600000, "data": data}
    return refused(request, "Authorization", "Bearer k") or body


@api("Jira Server", "https://developer.atlassian.com/server/jira/platform/rest-apis/")
def jira_server(request: Request) -> Any:
    start = number_of(request, "startAt", 0)
    return {"startAt": start, "maxResults": SIZE, "total": COUNT, "issues": slice_at(start)}


@api("Socrata (SODA)", "https://dev.socrata.com/docs/paging.html")
def socrata(request: Request) -> Any:
    return slice_at(number_of(request, "$offset", 0))


@api("CKAN", "https://docs.ckan.org/en/latest/maintaining/datastore.html", key="_id")
def ckan(request: Request) -> Any:
    start = number_of(request, "offset", 0)
    records = [{"_id": row["id"], "price": row["price"]} for row in slice_at(start)]
    links = {"start": request.path, "next": f"{request.path}?offset={start + SIZE}"}
    fields = [{"id": "_id", "type": "int"}, {"id": "price", "type": "numeric"}]
    result = {"fields": fields, "records": records, "_links": links, "total": COUNT}
    return {"help": request.url, "success": True, "result": result}


@api("ArcGIS", "https://developers.arcgis.com/rest/services-reference/enterprise/"
     "query-feature-service-layer/", key="OBJECTID", price="attributes.price")  # fmt: skip
def arcgis(request: Request) -> Any:
    start = number_of(request, "resultOffset", 0)
    features = [{"attributes": {"OBJECTID": r["id"], "price": r["price"]}} for r in slice_at(start)]
    more = {"exceededTransferLimit": True} if start + SIZE < COUNT else {}
    return {"objectIdFieldName": "OBJECTID", "features": features, **more}


@api("PostgREST", "https://docs.postgrest.org/en/stable/references/api/pagination_count.html")
def postgrest(request: Request) -> Answer:
    start = number_of(request, "offset", 0)
    rows = slice_at(start)
    span = f"{start}-{start + len(rows) - 1}" if rows else "*"
    return Answer(rows, headers={"Content-Range": f"{span}/{COUNT}"})


@api("Pipedrive", "https://pipedrive.readme.io/docs/core-api-concepts-pagination")
def pipedrive(request: Request) -> Any:
    start = number_of(request, "start", 0)
    more = start + SIZE < COUNT
    paging = {"start": start, "limit": SIZE, "more_items_in_collection": more}
    following = {"next_start": start + SIZE} if more else {}
    return {"success": True, "data": slice_at(start) or None,
            "additional_data": {"pagination": paging | following}}  # fmt: skip


@api("An API that lowers the limit", "https://developer.atlassian.com/cloud/jira/platform/rest/v3/"
     "intro/#pagination", pagination="offset")  # fmt: skip
def lowered(request: Request) -> Any:
    start, size = number_of(request, "offset", 0), min(number_of(request, "limit", 10), 4)
    return {"values": slice_at(start, size), "total": COUNT, "limit": size, "offset": start}
