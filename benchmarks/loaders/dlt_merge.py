"""dlt with a ``merge`` load, as its documentation shows; it runs in a separate environment."""

import os

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

# What it would take for bigint, which the first coin of 1e24 does not fit. Its decimal has nine
# places.
WHOLE_NUMBERS = """
current_price market_cap fully_diluted_valuation total_volume high_24h low_24h
market_cap_change_24h circulating_supply total_supply max_supply ath atl
""".split()  # noqa: SIM905
COLUMNS = {name: {"data_type": "double"} for name in WHOLE_NUMBERS}


@dlt.resource(name="full_coin", write_disposition="merge", primary_key="id", columns=COLUMNS)
def coins():
    paginator = PageNumberPaginator(base_page=1, page_param="page", total_path=None)
    client = RESTClient(base_url=os.environ["API_URL"], paginator=paginator)
    query = {"vs_currency": "usd", "per_page": 250}
    yield from client.paginate("/coins/markets", params=query)


if __name__ == "__main__":
    # It wants a host, which libpq then replaces by the one in the query.
    database_url = os.environ["DATABASE_URL"].replace("@/", "@localhost/")
    pipeline = dlt.pipeline(
        pipeline_name="coins",
        pipelines_dir=os.environ["DLT_FOLDER"],
        destination=dlt.destinations.postgres(database_url),
        dataset_name="public",
    )
    pipeline.run(coins())
