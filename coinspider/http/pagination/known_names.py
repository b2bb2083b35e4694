"""The names that documented APIs use for links, cursors, flags and totals, each with its source.

A name is compared without case, ``_``, ``-`` and ``$``; it is the end of a path, so ``next_cursor``
also stands for ``response_metadata.next_cursor``. Where a cursor goes back, the parameters are
tried in their order.
"""

from typing import NamedTuple


class Known(NamedTuple):
    """Names with the same meaning, the parameters that belong to them, and who uses them."""

    names: tuple[str, ...]
    parameters: tuple[str, ...]
    source: str


def _table(text: str) -> tuple[Known, ...]:
    """A line for each: ``NAMES -> PARAMETERS  SOURCE``, the parameters only where there are any."""
    found = []
    for line in text.strip().splitlines():
        words, source = line.rsplit(maxsplit=1)
        names, _, parameters = words.partition("->")
        found.append(Known(tuple(names.split()), tuple(parameters.split()), source))
    return tuple(found)


# The URL of the next page, in the body.
LINKS = _table("""
next  https://www.django-rest-framework.org/api-guide/pagination/
links.next  https://jsonapi.org/format/#fetching-pagination
next.href  https://datatracker.ietf.org/doc/html/draft-kelly-json-hal
next.url nexturl  https://docs.kaiko.com/rest-api/general/pagination
next.link  https://developers.hubspot.com/docs/api-reference/pagination
@odata.nextlink  https://learn.microsoft.com/en-us/graph/paging
nextlink odata.nextlink  https://github.com/microsoft/api-guidelines
nextpage  https://developer.zendesk.com/api-reference/introduction/pagination/
nextpage.uri  https://developers.asana.com/docs/pagination
nextpageurl  https://laravel.com/docs/pagination#converting-results-to-json
nextrecordsurl  https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm
afterurl  https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/
nexthref  https://developers.soundcloud.com/docs/api/guide#pagination
nextpageuri  https://www.twilio.com/docs/usage/twilios-response#pagination
nexturi  https://docs.cdp.coinbase.com/coinbase-app/api-architecture/pagination
moretopicsurl  https://docs.discourse.org/#tag/Topics/operation/listLatestTopics
""")

# A list of links, each an object with its rel and its href, by any name.
LINK_LIST = Known((), (), "https://docs.ogc.org/is/17-069r4/17-069r4.html#_response_6")

# A cursor in the body, and the parameter it is sent back as.
CURSORS = _table("""
nextcursor -> cursor next_cursor after starting_after start_cursor  https://docs.slack.dev/apis/web-api/pagination/
nextpagetoken -> pageToken nextPageToken page_token next_page_token  https://cloud.google.com/apis/design/design_patterns#list_pagination
nexttoken -> pagination_token next_token nextToken NextToken next  https://docs.x.com/x-api/fundamentals/pagination
next.startingafter -> starting_after pagination.starting_after  https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/pagination
nextpagecursor -> cursor  https://bybit-exchange.github.io/docs/v5/market/instrument
nextcursormark -> cursorMark  https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html
next.after cursors.after data.after after -> after page[cursor] page[after]  https://developers.hubspot.com/docs/api-reference/pagination
aftercursor -> page[after] cursor after  https://developer.zendesk.com/api-reference/introduction/pagination/
endcursor -> after cursor  https://relay.dev/graphql/connections.htm
nextmarker -> marker Marker nextMarker  https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html
nextcontinuationtoken continuationtoken -> continuationToken continuation-token continuation_token  https://help.sonatype.com/en/pagination.html
nextkey -> pagination.key next_key key  https://docs.cosmos.network/main/learn/advanced/grpc_rest
metadata.continue -> continue  https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
pagination.cursor cursor -> cursor after  https://dev.twitch.tv/docs/api/guide/#pagination
next -> next cursor offset page until  https://docs.opensea.io/reference/api-overview
nextpage -> page page_token  https://www.rubydoc.info/gems/kaminari-api-meta-data
nextoffset -> offset  https://docs.dune.com/api-reference/executions/pagination
nextpagestart -> start  https://docs.atlassian.com/bitbucket-server/rest/latest/bitbucket-rest.html
nextstart -> start  https://pipedrive.readme.io/docs/core-api-concepts-pagination
offset -> offset  https://airtable.com/developers/web/api/list-records
pagetoken -> pageToken page_token  https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/getQueryResults
pagekey -> pageKey  https://www.alchemy.com/docs/reference/nft-api
continuation -> continuation  https://docs.deribit.com/
bookmark -> bookmark  https://developers.pinterest.com/docs/reference/pagination/
scrollid -> scroll_id scrollId  https://www.elastic.co/guide/en/elasticsearch/reference/current/scroll-api.html
nextstartkey -> start_key  https://gist.github.com/jamesaimonetti/d3cfa1bf3d4e7809c433
lastkey -> lastKey  https://developers.smartsheet.com/api/smartsheet/guides/basics/pagination
paginationkey -> pagination_key  https://jpx-jquants.com/en/spec/pagination
lastevaluatedkey -> ExclusiveStartKey start_key  https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
endid -> idLessThan after  https://www.bitget.com/api-doc/contract/trade/Get-Fill-History
marker -> marker  https://xrpl.org/docs/references/http-websocket-apis/api-conventions/markers-and-pagination
""")
# Names that may also mean something else: an empty value proves nothing.
WEAK_NAMES = ("next", "after", "offset", "cursor", "continuation")
HEADER_CURSORS = _table("""
xmscontinuationtoken -> continuationToken  https://learn.microsoft.com/en-us/rest/api/azure/devops/graph/users/list
nextrange -> Range  https://devcenter.heroku.com/articles/platform-api-reference#ranges
xnextpage -> page  https://docs.gitlab.com/api/rest/#pagination
xpaginationnextcursor -> cursor  https://github.com/lokalise/node-lokalise-api
xnextcursor -> cursor  https://developer.servicem8.com/docs/pagination
cbafter -> after  https://docs.cdp.coinbase.com/exchange/rest-api/pagination
""")

# Objects whose members are the parameters of the next page.
CURSOR_OBJECTS = _table("""
continue  https://www.mediawiki.org/wiki/API:Continue
nextpageparams  https://docs.blockscout.com/devs/apis/rest
lastevaluatedkey -> ExclusiveStartKey  https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
""")

# True as long as there is more.
MORE_FLAGS = _table("""
hasmore  https://docs.stripe.com/api/pagination
hasnext hasnextpage  https://relay.dev/graphql/connections.htm
more moreitemsincollection  https://pipedrive.readme.io/docs/core-api-concepts-pagination
morerecords  https://www.zoho.com/crm/developer/docs/api/v8/get-records.html
istruncated  https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
exceededtransferlimit  https://developers.arcgis.com/rest/services-reference/enterprise/query-feature-service-layer/
hasmorepages  https://lighthouse-php.com/master/api-reference/directives.html#paginate
hasmoreitems  https://docs.alfresco.com/content-services/latest/develop/rest-api-guide/
hasmoreresults  https://docs.aws.amazon.com/datapipeline/latest/APIReference/API_QueryObjects.html
moreresult moreresults  https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/rest/paging-tokens
truncated  https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeys.html
""")
# True on the last page.
LAST_FLAGS = _table("""
islast islastpage  https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/
endofrecords  https://techdocs.gbif.org/en/openapi/
endofstream  https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/
""")
# The same, with names that may also mean something else: a link or cursor takes precedence.
WEAK_LAST_FLAGS = _table("""
done  https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm
last  https://docs.spring.io/spring-data/commons/docs/current/api/org/springframework/data/domain/Slice.html
""")

# The total number of records.
TOTALS = _table("""
total totalcount count  https://www.django-rest-framework.org/api-guide/pagination/
totalelements  https://docs.spring.io/spring-data/commons/docs/current/api/org/springframework/data/domain/Page.html
totalresults totalitems totalrecords totalrows totalentries  https://developers.google.com/youtube/v3/docs/search/list
nbhits  https://www.algolia.com/doc/api-reference/api-parameters/page/
found  https://typesense.org/docs/latest/api/search.html
rowcount  https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/RunReportResponse
hitcount  https://europepmc.org/RestfulWebService
totalnum  https://www.kucoin.com/docs-new/introduction
numresults  https://developers.hellosign.com/api/reference/
numfound  https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html
hits.total.value total.value totalhits  https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results
totalsize  https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm
@odata.count  https://learn.microsoft.com/en-us/graph/query-parameters#count
numbermatched  https://docs.ogc.org/is/17-069r4/17-069r4.html#_response_6
recordstotal  https://datatables.net/manual/server-side
""")
# No evidence: a guess, which may also end at a limit of the search.
_MEILISEARCH = "https://www.meilisearch.com/docs/reference/api/search"
ESTIMATES = (Known(("estimatedtotalhits",), (), _MEILISEARCH),)
HEADER_TOTALS = _table("""
xtotal  https://docs.gitlab.com/api/rest/#pagination
total  https://docs.coingecko.com/reference/coins-markets
xwptotal  https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/
totalcount xtotalcount  https://www.rubydoc.info/gems/api_pagination_headers
xpaginationtotalcount  https://www.yiiframework.com/doc/api/2.0/yii-rest-serializer
""")

# The total number of pages.
PAGE_COUNTS = _table("""
totalpages totalpage pages pagecount numpages  https://datahelpdesk.worldbank.org/knowledgebase/articles/898581
lastpage  https://laravel.com/docs/pagination#converting-results-to-json
nbpages  https://www.algolia.com/doc/api-reference/api-parameters/page/
""")
HEADER_PAGE_COUNTS = _table("""
xtotalpages  https://docs.gitlab.com/api/rest/#pagination
xwptotalpages  https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/
totalpages  https://ddnexus.github.io/pagy/docs/extras/headers/
xpaginationpagecount  https://www.yiiframework.com/doc/api/2.0/yii-rest-serializer
xpages  https://developers.eveonline.com/docs/services/esi/pagination/x-pages/
""")

# The number of this page; the parameter has the same name, or one of these.
PAGE_ECHOES = _table("""
pagination.page -> page pagination[page]  https://docs.strapi.io/cms/api/rest/sort-pagination
searchcriteria.currentpage -> searchCriteria[currentPage]  https://developer.adobe.com/commerce/webapi/rest/use-rest/performing-searches/
page.number -> page page[number]  https://jsonapi.org/examples/#pagination
page -> page $page  https://www.algolia.com/doc/api-reference/api-parameters/page/
currentpage -> page currentPage  https://laravel.com/docs/pagination
number -> page  https://docs.spring.io/spring-data/commons/docs/current/api/org/springframework/data/domain/Slice.html
pagenumber -> pageNumber page_number page page-number  https://www.quicknode.com/docs/ethereum/qn_fetchNFTsByCollection
pageno -> pageNo page  https://www.data.go.kr
pageindex -> pageIndex page  https://github.com/dotnet/eShop/blob/main/src/Catalog.API/Model/PaginatedItems.cs
""")
HEADER_PAGE_ECHOES = _table("""
xpage xcurrentpage -> page  https://docs.gitlab.com/api/rest/#pagination
currentpage -> page  https://ddnexus.github.io/pagy/docs/extras/headers/
xpaginationcurrentpage -> page  https://www.yiiframework.com/doc/api/2.0/yii-rest-serializer
""")
# Where this page begins, by the name of its parameter.
OFFSET_ECHOES = _table("""
pagination.start -> pagination[start]  https://docs.strapi.io/cms/api/rest/sort-pagination
skipcount -> skipCount  https://docs.alfresco.com/content-services/latest/develop/rest-api-guide/
offset -> offset  https://www.django-rest-framework.org/api-guide/pagination/#limitoffsetpagination
skip -> skip  https://dummyjson.com/docs
start -> start  https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html
startat -> startAt  https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/#pagination
startindex -> startIndex  https://datatracker.ietf.org/doc/html/rfc7644#section-3.4.2.4
from -> from  https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results
""")

# Parameters for what comes after a record, by its key, which are tried, too.
RECORD_PARAMETERS = Known(
    ("before", "starting_after", "after", "max_id"),
    (),
    "https://docs.stripe.com/api/pagination",
)
# How many records APIs give on a page where nobody asks for another number.
_ODD_SIZES = "1 5 8 12 15 16 24 25 32 36 48 64 75 96 99 120 125 128 256 512 1024"
PAGE_SIZES = frozenset(
    (*range(10, 101, 10), *range(100, 1001, 50), *range(1000, 10_001, 500))
).union(map(int, _ODD_SIZES.split()))
# Parameters that are tried for the second page if the first doesn't mention any.
PAGE_PARAMETERS = Known(
    ("page", "p", "pageNumber", "page_number", "_page", "page[number]", "pg", "pageNo"),
    (),
    "https://www.django-rest-framework.org/api-guide/pagination/",
)
OFFSET_PARAMETERS = Known(
    ("offset", "skip", "start", "$offset", "$skip", "from", "startAt", "resultOffset", "_start"),
    (),
    "https://dev.socrata.com/docs/paging.html",
)
