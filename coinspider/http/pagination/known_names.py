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


# The URL of the next page, in the body.
LINKS = (
    Known(("next",), (), "https://www.django-rest-framework.org/api-guide/pagination/"),
    Known(("links.next",), (), "https://jsonapi.org/format/#fetching-pagination"),
    Known(("next.href",), (), "https://datatracker.ietf.org/doc/html/draft-kelly-json-hal"),
    Known(("next.url", "nexturl"), (), "https://docs.kaiko.com/rest-api/general/pagination"),
    Known(("next.link",), (), "https://developers.hubspot.com/docs/api-reference/pagination"),
    Known(("@odata.nextlink",), (), "https://learn.microsoft.com/en-us/graph/paging"),
    Known(("nextlink", "odata.nextlink"), (), "https://github.com/microsoft/api-guidelines"),
    Known(("nextpage",), (), "https://developer.zendesk.com/api-reference/introduction/pagination/"),
    Known(("nextpage.uri",), (), "https://developers.asana.com/docs/pagination"),
    Known(("nextpageurl",), (), "https://laravel.com/docs/pagination#converting-results-to-json"),
    Known(("nextrecordsurl",), (), "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm"),
    Known(("afterurl",), (), "https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/"),
    Known(("nexthref",), (), "https://developers.soundcloud.com/docs/api/guide#pagination"),
    Known(("nextpageuri",), (), "https://www.twilio.com/docs/usage/twilios-response#pagination"),
    Known(("nexturi",), (), "https://docs.cdp.coinbase.com/coinbase-app/api-architecture/pagination"),
    Known(("moretopicsurl",), (), "https://docs.discourse.org/#tag/Topics/operation/listLatestTopics"),
)  # fmt: skip

# A list of links, each an object with its rel and its href, by any name.
LINK_LIST = Known((), (), "https://docs.ogc.org/is/17-069r4/17-069r4.html#_response_6")

# A cursor in the body, and the parameter it is sent back as.
CURSORS = (
    Known(("nextcursor",), ("cursor", "next_cursor", "after", "starting_after", "start_cursor"),
          "https://docs.slack.dev/apis/web-api/pagination/"),
    Known(("nextpagetoken",), ("pageToken", "nextPageToken", "page_token", "next_page_token"),
          "https://cloud.google.com/apis/design/design_patterns#list_pagination"),
    Known(("nexttoken",), ("pagination_token", "next_token", "nextToken", "NextToken", "next"),
          "https://docs.x.com/x-api/fundamentals/pagination"),
    Known(("next.startingafter",), ("starting_after", "pagination.starting_after"),
          "https://developers.intercom.com/docs/build-an-integration/learn-more/rest-apis/pagination"),
    Known(("nextpagecursor",), ("cursor",), "https://bybit-exchange.github.io/docs/v5/market/instrument"),
    Known(("nextcursormark",), ("cursorMark",),
          "https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html"),
    Known(("next.after", "cursors.after", "data.after", "after"),
          ("after", "page[cursor]", "page[after]"),
          "https://developers.hubspot.com/docs/api-reference/pagination"),
    Known(("aftercursor",), ("page[after]", "cursor", "after"),
          "https://developer.zendesk.com/api-reference/introduction/pagination/"),
    Known(("endcursor",), ("after", "cursor"), "https://relay.dev/graphql/connections.htm"),
    Known(("nextmarker",), ("marker", "Marker", "nextMarker"),
          "https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html"),
    Known(("nextcontinuationtoken", "continuationtoken"),
          ("continuationToken", "continuation-token", "continuation_token"),
          "https://help.sonatype.com/en/pagination.html"),
    Known(("nextkey",), ("pagination.key", "next_key", "key"),
          "https://docs.cosmos.network/main/learn/advanced/grpc_rest"),
    Known(("metadata.continue",), ("continue",),
          "https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks"),
    Known(("pagination.cursor", "cursor"), ("cursor", "after"),
          "https://dev.twitch.tv/docs/api/guide/#pagination"),
    Known(("next",), ("next", "cursor", "offset", "page", "until"), "https://docs.opensea.io/reference/api-overview"),
    Known(("nextpage",), ("page", "page_token"), "https://www.rubydoc.info/gems/kaminari-api-meta-data"),
    Known(("nextoffset",), ("offset",), "https://docs.dune.com/api-reference/executions/pagination"),
    Known(("nextpagestart",), ("start",),
          "https://docs.atlassian.com/bitbucket-server/rest/latest/bitbucket-rest.html"),
    Known(("nextstart",), ("start",), "https://pipedrive.readme.io/docs/core-api-concepts-pagination"),
    Known(("offset",), ("offset",), "https://airtable.com/developers/web/api/list-records"),
    Known(("pagekey",), ("pageKey",), "https://www.alchemy.com/docs/reference/nft-api"),
    Known(("continuation",), ("continuation",), "https://docs.deribit.com/"),
    Known(("bookmark",), ("bookmark",), "https://developers.pinterest.com/docs/reference/pagination/"),
    Known(("scrollid",), ("scroll_id", "scrollId"),
          "https://www.elastic.co/guide/en/elasticsearch/reference/current/scroll-api.html"),
    Known(("nextstartkey",), ("start_key",), "https://gist.github.com/jamesaimonetti/d3cfa1bf3d4e7809c433"),
    Known(("lastkey",), ("lastKey",), "https://developers.smartsheet.com/api/smartsheet/guides/basics/pagination"),
    Known(("paginationkey",), ("pagination_key",), "https://jpx-jquants.com/en/spec/pagination"),
    Known(("lastevaluatedkey",), ("ExclusiveStartKey", "start_key"),
          "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"),
    Known(("endid",), ("idLessThan", "after"),
          "https://www.bitget.com/api-doc/contract/trade/Get-Fill-History"),
    Known(("marker",), ("marker",), "https://xrpl.org/docs/references/http-websocket-apis/api-conventions/markers-and-pagination"),
)  # fmt: skip
# Names that may also mean something else: an empty value proves nothing.
WEAK_NAMES = ("next", "after", "offset", "cursor", "continuation")
HEADER_CURSORS = (
    Known(("xmscontinuationtoken",), ("continuationToken",),
          "https://learn.microsoft.com/en-us/rest/api/azure/devops/graph/users/list"),
    Known(("nextrange",), ("Range",), "https://devcenter.heroku.com/articles/platform-api-reference#ranges"),
    Known(("xnextpage",), ("page",), "https://docs.gitlab.com/api/rest/#pagination"),
    Known(("xpaginationnextcursor",), ("cursor",), "https://github.com/lokalise/node-lokalise-api"),
    Known(("xnextcursor",), ("cursor",), "https://developer.servicem8.com/docs/pagination"),
    Known(("cbafter",), ("after",), "https://docs.cdp.coinbase.com/exchange/rest-api/pagination"),
)  # fmt: skip

# Objects whose members are the parameters of the next page.
CURSOR_OBJECTS = (
    Known(("continue",), (), "https://www.mediawiki.org/wiki/API:Continue"),
    Known(("nextpageparams",), (), "https://docs.blockscout.com/devs/apis/rest"),
    Known(("lastevaluatedkey",), ("ExclusiveStartKey",), "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"),
)  # fmt: skip

# True as long as there is more.
MORE_FLAGS = (
    Known(("hasmore",), (), "https://docs.stripe.com/api/pagination"),
    Known(("hasnext", "hasnextpage"), (), "https://relay.dev/graphql/connections.htm"),
    Known(("more", "moreitemsincollection"), (), "https://pipedrive.readme.io/docs/core-api-concepts-pagination"),
    Known(("morerecords",), (), "https://www.zoho.com/crm/developer/docs/api/v8/get-records.html"),
    Known(("istruncated",), (), "https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"),
    Known(("exceededtransferlimit",), (), "https://developers.arcgis.com/rest/services-reference/enterprise/query-feature-service-layer/"),
    Known(("hasmorepages",), (), "https://lighthouse-php.com/master/api-reference/directives.html#paginate"),
    Known(("hasmoreitems",), (), "https://docs.alfresco.com/content-services/latest/develop/rest-api-guide/"),
    Known(("hasmoreresults",), (), "https://docs.aws.amazon.com/datapipeline/latest/APIReference/API_QueryObjects.html"),
    Known(("moreresult", "moreresults"), (), "https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/rest/paging-tokens"),
    Known(("truncated",), (), "https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeys.html"),
)  # fmt: skip
# True on the last page.
LAST_FLAGS = (
    Known(("islast", "islastpage"), (), "https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/"),
    Known(("endofrecords",), (), "https://techdocs.gbif.org/en/openapi/"),
    Known(("endofstream",), (), "https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/"),
)  # fmt: skip
# The same, with names that may also mean something else: a link or cursor takes precedence.
WEAK_LAST_FLAGS = (
    Known(("done",), (), "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm"),
    Known(("last",), (), "https://docs.spring.io/spring-data/commons/docs/current/api/org/springframework/data/domain/Slice.html"),
)  # fmt: skip

# The total number of records.
TOTALS = (
    Known(("total", "totalcount", "count"), (), "https://www.django-rest-framework.org/api-guide/pagination/"),
    Known(("totalelements",), (), "https://docs.spring.io/spring-data/commons/docs/current/api/org/springframework/data/domain/Page.html"),
    Known(("totalresults", "totalitems", "totalrecords", "totalrows", "totalentries"), (), "https://developers.google.com/youtube/v3/docs/search/list"),
    Known(("nbhits",), (), "https://www.algolia.com/doc/api-reference/api-parameters/page/"),
    Known(("found",), (), "https://typesense.org/docs/latest/api/search.html"),
    Known(("rowcount",), (), "https://developers.google.com/analytics/devguides/reporting/data/v1/rest/v1beta/RunReportResponse"),
    Known(("hitcount",), (), "https://europepmc.org/RestfulWebService"),
    Known(("totalnum",), (), "https://www.kucoin.com/docs-new/introduction"),
    Known(("numresults",), (), "https://developers.hellosign.com/api/reference/"),
    Known(("numfound",), (), "https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html"),
    Known(("hits.total.value", "total.value", "totalhits"), (), "https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results"),
    Known(("totalsize",), (), "https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm"),
    Known(("@odata.count",), (), "https://learn.microsoft.com/en-us/graph/query-parameters#count"),
    Known(("numbermatched",), (), "https://docs.ogc.org/is/17-069r4/17-069r4.html#_response_6"),
    Known(("recordstotal",), (), "https://datatables.net/manual/server-side"),
)  # fmt: skip
# No evidence: a guess, which may also end at a limit of the search.
_MEILISEARCH = "https://www.meilisearch.com/docs/reference/api/search"
ESTIMATES = (Known(("estimatedtotalhits",), (), _MEILISEARCH),)
HEADER_TOTALS = (
    Known(("xtotal",), (), "https://docs.gitlab.com/api/rest/#pagination"),
    Known(("total",), (), "https://docs.coingecko.com/reference/coins-markets"),
    Known(("xwptotal",), (), "https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/"),
    Known(("totalcount", "xtotalcount"), (), "https://www.rubydoc.info/gems/api_pagination_headers"),
    Known(("xpaginationtotalcount",), (), "https://www.yiiframework.com/doc/api/2.0/yii-rest-serializer"),
)  # fmt: skip

# The total number of pages.
PAGE_COUNTS = (
    Known(("totalpages", "totalpage", "pages", "pagecount", "numpages"), (), "https://datahelpdesk.worldbank.org/knowledgebase/articles/898581"),
    Known(("lastpage",), (), "https://laravel.com/docs/pagination#converting-results-to-json"),
    Known(("nbpages",), (), "https://www.algolia.com/doc/api-reference/api-parameters/page/"),
)  # fmt: skip
HEADER_PAGE_COUNTS = (
    Known(("xtotalpages",), (), "https://docs.gitlab.com/api/rest/#pagination"),
    Known(("xwptotalpages",), (), "https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/"),
    Known(("totalpages",), (), "https://ddnexus.github.io/pagy/docs/extras/headers/"),
    Known(("xpaginationpagecount",), (), "https://www.yiiframework.com/doc/api/2.0/yii-rest-serializer"),
    Known(("xpages",), (), "https://developers.eveonline.com/docs/services/esi/pagination/x-pages/"),
)  # fmt: skip

# The number of this page; the parameter has the same name, or one of these.
PAGE_ECHOES = (
    Known(("pagination.page",), ("page", "pagination[page]"), "https://docs.strapi.io/cms/api/rest/sort-pagination"),
    Known(("searchcriteria.currentpage",), ("searchCriteria[currentPage]",),
          "https://developer.adobe.com/commerce/webapi/rest/use-rest/performing-searches/"),
    Known(("page.number",), ("page", "page[number]"), "https://jsonapi.org/examples/#pagination"),
    Known(("page",), ("page", "$page"), "https://www.algolia.com/doc/api-reference/api-parameters/page/"),
    Known(("currentpage",), ("page", "currentPage"), "https://laravel.com/docs/pagination"),
    Known(("number",), ("page",), "https://docs.spring.io/spring-data/commons/docs/current/api/org/springframework/data/domain/Slice.html"),
    Known(("pagenumber",), ("pageNumber", "page_number", "page", "page-number"), "https://www.quicknode.com/docs/ethereum/qn_fetchNFTsByCollection"),
    Known(("pageno",), ("pageNo", "page"), "https://www.data.go.kr"),
    Known(("pageindex",), ("pageIndex", "page"),
          "https://github.com/dotnet/eShop/blob/main/src/Catalog.API/Model/PaginatedItems.cs"),
)  # fmt: skip
HEADER_PAGE_ECHOES = (
    Known(("xpage", "xcurrentpage"), ("page",), "https://docs.gitlab.com/api/rest/#pagination"),
    Known(("currentpage",), ("page",), "https://ddnexus.github.io/pagy/docs/extras/headers/"),
    Known(("xpaginationcurrentpage",), ("page",), "https://www.yiiframework.com/doc/api/2.0/yii-rest-serializer"),
)  # fmt: skip
# Where this page begins, by the name of its parameter.
OFFSET_ECHOES = (
    Known(("pagination.start",), ("pagination[start]",), "https://docs.strapi.io/cms/api/rest/sort-pagination"),
    Known(("skipcount",), ("skipCount",), "https://docs.alfresco.com/content-services/latest/develop/rest-api-guide/"),
    Known(("offset",), ("offset",), "https://www.django-rest-framework.org/api-guide/pagination/#limitoffsetpagination"),
    Known(("skip",), ("skip",), "https://dummyjson.com/docs"),
    Known(("start",), ("start",), "https://solr.apache.org/guide/solr/latest/query-guide/pagination-of-results.html"),
    Known(("startat",), ("startAt",), "https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/#pagination"),
    Known(("startindex",), ("startIndex",), "https://datatracker.ietf.org/doc/html/rfc7644#section-3.4.2.4"),
    Known(("from",), ("from",), "https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results"),
)  # fmt: skip

# Parameters for what comes after a record, by its key, which are tried, too.
RECORD_PARAMETERS = Known(
    ("before", "starting_after", "after", "max_id"), (),
    "https://docs.stripe.com/api/pagination",
)  # fmt: skip
# How many records APIs give on a page where nobody asks for another number.
PAGE_SIZES = frozenset((
    *range(10, 101, 10), *range(100, 1001, 50), *range(1000, 10_001, 500),
    12, 15, 16, 24, 25, 32, 36, 48, 64, 75, 96, 99, 120, 125, 128, 256, 512, 1024,
))  # fmt: skip
# Parameters that are tried for the second page if the first doesn't mention any.
PAGE_PARAMETERS = Known(
    ("page", "p", "pageNumber", "page_number", "_page", "page[number]", "pg", "pageNo"), (),
    "https://www.django-rest-framework.org/api-guide/pagination/",
)  # fmt: skip
OFFSET_PARAMETERS = Known(
    ("offset", "skip", "start", "$offset", "$skip", "from", "startAt", "resultOffset", "_start"),
    (),
    "https://dev.socrata.com/docs/paging.html",
)  # fmt: skip
