"""What grows is kept for as long as the settings say."""

from tests.helpers.processes import last_line, wait_until

BAD = (
    '{"id":"a","symbol":"a","name":"A","ath":"none"}',
    '{"id":"b","symbol":"b","name":"B","ath":"none"}',
    '{"symbol":"c","name":"no id"}',
)


def test_same_bad_field_of_the_same_record_has_one_row(scrapy, sandbox, query, tmp_path):
    page = tmp_path / "page"
    page.write_text(f"[{','.join(BAD)}]")
    api = sandbox("--body", page)
    for _ in range(3):
        scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", COINGECKO_BASE_URL=api.url)
    page.write_text(f"[{','.join(BAD).replace('none', 'unknown')}]")
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", COINGECKO_BASE_URL=api.url)
    assert "1 rejected" in last_line(done)
    assert query("SELECT column_name, text, times, crawl_id FROM rejected_record ORDER BY id") == [
        ("ath", '"unknown"', 4, 4),
        ("ath", '"unknown"', 4, 4),
        (None, BAD[2], 4, 4),
    ]
    assert query("SELECT count(*) FROM rejected_record WHERE last_rejected_at > rejected_at") == [
        (3,)
    ]


def test_old_rows_are_deleted_at_the_end_of_a_crawl(scrapy, sandbox, query):
    api = sandbox("--coins", 3)

    def crawl(**settings):
        done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, **settings)
        assert done.returncode == 0, done.stderr

    for _ in range(3):
        crawl()
    query("UPDATE crawl SET started_at = '2001-01-01', ended_at = '2001-01-01'")
    query("UPDATE api_account SET updated_at = '2001-01-01'")
    query("INSERT INTO api_account (name, state, updated_at) VALUES ('old', '{}', '2001-01-01')")
    query("INSERT INTO api_usage (account, month) VALUES ('old', '2001-01-01')")
    query(
        "INSERT INTO rejected_record (text, reason, rejected_at, last_rejected_at)"
        " VALUES ('old', '', '2001-01-01', NULL), ('met again', '', '2001-01-01', now())"
    )
    crawl(CRAWL_RETENTION_DAYS="0", REJECTED_RETENTION_DAYS="0")
    assert query("SELECT count(*) FROM crawl") == [(4,)]
    assert query("SELECT count(*) FROM rejected_record") == [(2,)]
    crawl()
    # Coins that came after the first complete crawl are new ones.
    assert query("SELECT id FROM crawl ORDER BY id") == [(1,), (4,), (5,)]
    assert query("SELECT text FROM rejected_record") == [("met again",)]
    assert query("SELECT count(*) FROM api_account WHERE name = 'old'") == [(0,)]
    assert query("SELECT account FROM api_usage WHERE month < '2002-01-01'") == []


def test_old_rows_are_deleted_by_scrapyd_without_any_crawl(
    scrapy, scrapyd, sandbox, database_url, query
):
    api = sandbox("--coins", 3)
    for _ in range(2):
        assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    query("UPDATE crawl SET started_at = '2001-01-01', ended_at = '2001-01-01'")
    scrapyd(DATABASE_URL=database_url)
    wait_until(lambda: query("SELECT id FROM crawl ORDER BY id") == [(1,)])
