#!/bin/sh
# What no loader can beat: fetch the pages, throw them away, and COPY rows that somebody else has
# prepared. PSQL, PAGES and ROWS are given by the benchmark.
set -eu
curl --silent --output /dev/null "$API_URL/coins/markets?page=[1-$PAGES]"
"$PSQL" --quiet "$DATABASE_URL" -v ON_ERROR_STOP=1 <<SQL
CREATE TABLE IF NOT EXISTS full_coin (LIKE expected INCLUDING ALL);
TRUNCATE full_coin;
\copy full_coin FROM '$ROWS'
SQL
