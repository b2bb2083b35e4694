"""The tables that are not those of an item: of crawls, limits, rejected records."""

from coinspider.store.definition import (
    COUNT,
    IDENTITY,
    NEEDED_TEXT,
    NEEDED_TIME,
    NOW,
    TEXT,
    TIME,
    SqlColumn,
    Table,
)

SOURCE_STATE = Table(
    "source_state", {"source": NEEDED_TEXT, "since": NEEDED_TEXT, "updated_at": NOW}, ["source"]
)
API_ACCOUNT = Table(
    "api_account",
    {
        "name": NEEDED_TEXT,
        "state": SqlColumn("jsonb", nullable=False),
        "updated_at": NOW,
    },
    ["name"],
    "WITH (fillfactor = 50)",
)
# All calls, whoever made them, and what the API itself says: how many are left, and how many of
# ours had been made by then.
API_USAGE = Table(
    "api_usage",
    {
        "account": NEEDED_TEXT,
        "month": SqlColumn("date", nullable=False),
        "calls": COUNT,
        "credits": SqlColumn("bigint"),
        "credits_firm": SqlColumn("boolean"),
        "told_left": SqlColumn("bigint"),
        "told_calls": SqlColumn("bigint"),
        "told_at": TIME,
    },
    ["account", "month"],
    "WITH (fillfactor = 50)",
)
CRAWL = Table(
    "crawl",
    {
        "id": IDENTITY,
        "spider": NEEDED_TEXT,
        "job": TEXT,
        "arguments": SqlColumn("jsonb", nullable=False, default="'{}'"),
        "url": NEEDED_TEXT,
        "vs_currency": TEXT,
        "lock_name": TEXT,
        "whole": SqlColumn("boolean"),
        "host": TEXT,
        "process_id": SqlColumn("integer"),
        "node": TEXT,
        "lease_until": TIME,
        "backend_pid": SqlColumn("integer"),
        "started_at": NEEDED_TIME,
        "updated_at": NOW,
        "ended_at": TIME,
        "outcome": TEXT,
        "message": TEXT,
        "batch_count": COUNT,
        "page_count": COUNT._replace(type="integer"),
        "record_count": COUNT,
        "inserted_count": COUNT,
        "updated_count": COUNT,
        "unchanged_count": COUNT,
        "older_count": COUNT,
        "repeated_count": COUNT,
        "rejected_count": COUNT,
        "dropped_count": COUNT,
        "set_aside_count": COUNT,
        "future_count": COUNT,
        "delisted_count": COUNT,
        "missed_keys": SqlColumn("jsonb"),
        "call_count": COUNT,
        "refused_count": COUNT,
        "wait_seconds": COUNT._replace(type="double precision"),
        "waiting_until": COUNT._replace(type="double precision"),
        "response_bytes": COUNT,
    },
    ["id"],
    # In early versions only complete crawls had a row.
    fill={"outcome": "UPDATE crawl SET outcome = 'complete' WHERE ended_at IS NOT NULL"},
    made_with=frozenset(
        ["id", "spider", "url", "started_at", "ended_at", "page_count", "record_count"]
    ),
)
# The time up to which a history's changes have become candles.
CANDLE_STATE = Table(
    "candle_state", {"history_table": NEEDED_TEXT, "rolled_up_to": NEEDED_TIME}, ["history_table"]
)
REJECTED_RECORD = Table(
    "rejected_record",
    {
        "id": IDENTITY,
        "crawl_id": SqlColumn("bigint", references="crawl ON DELETE SET NULL"),
        "rejected_at": NOW,
        "source_url": TEXT,
        "column_name": TEXT,
        "text": NEEDED_TEXT,
        "reason": NEEDED_TEXT,
    },
    ["id"],
    made_with=frozenset(["id", "rejected_at", "source_url", "text", "reason"]),
)
