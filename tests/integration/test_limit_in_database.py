"""The limit that crawls share, in a real PostgreSQL and through a pooler, without a crawl."""

import asyncio
from contextlib import asynccontextmanager
from functools import wraps
from time import monotonic, time

import pytest

from coinspider.http.limit.state import GRANT_SECONDS, ConfiguredLimit, end
from coinspider.store.account import Usage, keep_credits, note_asked, note_told, read_usage
from coinspider.store.migration import migrate
from coinspider.store.shared_limit import SharedLimit
from tests.helpers.postgres import crawl_connection
from tests.helpers.postgres_proxy import PostgresProxy

CALLS, PERIOD = 12, 1.0
TOLD = ConfiguredLimit(CALLS, PERIOD)
ACCOUNT = "api.example key 12345678"
CRAWL = "INSERT INTO crawl (spider, url, started_at) VALUES ('coins', 'http://api.example', now())"


def run(test):
    """Run an asynchronous test."""
    return wraps(test)(lambda **fixtures: asyncio.run(test(**fixtures)))


class Session:
    """A crawl's session as its limit sees it; ``pause`` delays each of its answers."""

    def __init__(self, connection):
        self.connection, self.pause, self.answers_are_lost = connection, 0.0, False
        self.at_once, connection.at_once = connection.at_once, self.at_once_later

    async def run(self, work):
        return await work(self.connection)

    async def run_at_once(self, work):
        for _ in range(1 + self.answers_are_lost):
            async with self.connection.left_idle():
                result = await work(self.connection, 1)
        return result

    @asynccontextmanager
    async def at_once_later(self):
        async with self.at_once():
            yield
        await asyncio.sleep(self.pause)


@asynccontextmanager
async def crawls(url, number):
    """The limits of crawls of one key."""
    connections = [await crawl_connection(url) for _ in range(number)]
    try:
        async with connections[0].pinned():
            await migrate(connections[0], None)
            await connections[0].execute(CRAWL)
        yield [SharedLimit(Session(connection), ACCOUNT, TOLD) for connection in connections]
    finally:
        for connection in connections:
            await connection.close()


async def call(limit, calls):
    """Make a number of calls as early as they may go; return when the API may have got each."""
    spans = []
    while len(spans) < calls:
        grant = await limit.take(1)
        for _ in range(grant.calls):
            began = monotonic()
            await asyncio.sleep(0.001)
            limit.note(lambda state, at: end(state, limit.holder, at))
            spans.append((began, monotonic()))
        await asyncio.sleep(grant.wait)
    await limit.leave()
    return spans


@run
async def test_crawls_of_one_key_never_exceed_it_and_each_has_its_share(crawl_url):
    async with crawls(crawl_url, 3) as limits:
        spans = await asyncio.gather(*(call(limit, CALLS) for limit in limits))
    every = sorted(span for of_one in spans for span in of_one)
    for (_, ended), (began, _) in zip(every, every[CALLS:], strict=False):
        assert began >= ended + PERIOD
    # Three periods have enough calls for all of them: none is done before the second one.
    assert all(of_one[-1][0] >= every[0][0] + PERIOD for of_one in spans)


@run
async def test_call_takes_a_round_trip_or_two_if_its_key_is_shared(crawl_url):
    with PostgresProxy(crawl_url) as network:
        async with crawls(network.url, 2) as [limit, other]:
            trips = []
            for holder in (limit, limit, other, limit, other, limit):
                before = network.round_trips
                assert (await holder.take(1)).calls == 1
                trips.append(network.round_trips - before)
            await other.leave()
    # The fourth finds that it is no longer alone.
    assert trips[1:] == [1, 2, 3, 2, 2]


@run
async def test_late_answer_does_not_make_a_call_seem_earlier(database_url):
    async with crawls(database_url, 1) as [limit]:
        assert (await limit.take(1)).calls == 1
        limit.note(lambda state, at: end(state, limit.holder, at))
        ended_at = time()
        limit.session.pause = 0.5
        await limit.take(1)
        assert limit.state.ended[0].at == pytest.approx(ended_at, abs=0.4)
        assert limit.state.ended[0].at >= ended_at - 0.01


@run
async def test_crawls_far_from_the_database_keep_the_limit_as_well(database_url):
    """They change the state one after the other, however many of them want to at once."""
    async with crawls(database_url, 10) as limits:
        for limit in limits:
            limit.session.pause = 0.02
        spans = await asyncio.gather(*(call(limit, 3) for limit in limits))
    every = sorted(span for of_one in spans for span in of_one)
    for (_, ended), (began, _) in zip(every, every[CALLS:], strict=False):
        assert began >= ended + PERIOD
    assert not any(limit.alone for limit in limits)


@run
async def test_lost_answer_costs_no_call(database_url):
    async with crawls(database_url, 1) as [limit]:
        limit.session.answers_are_lost = True
        for _ in range(3):
            assert (await limit.take(1)).calls == 1
            limit.note(lambda state, at: end(state, limit.holder, at))
        assert (await limit.take(1)).calls == 1
        assert limit.state.holders[limit.holder].open == 1
        assert sum(ended.count for ended in limit.state.ended) == 3
        assert limit.calls == limit.state.made == 4


@run
async def test_calls_of_a_dead_crawl_are_free_after_a_period(database_url):
    async with crawls(database_url, 2) as [dead, alive]:
        await dead.take(1)
        for _ in range(CALLS - 1):
            await dead.take(1)
        died_at = monotonic()
        assert (await alive.take(1)).calls == 0
        spans = await call(alive, CALLS)
    assert spans[-1][0] >= died_at + PERIOD
    assert spans[-1][0] < died_at + PERIOD + GRANT_SECONDS + 10
    assert alive.state.made == 2 * CALLS
    assert not alive.state.holders


@run
async def test_crawl_whose_database_is_gone_goes_on_counting_by_the_same_clock(database_url):
    async with crawls(database_url, 1) as [limit]:
        for _ in range(CALLS):
            await limit.take(1)
            limit.note(lambda state, at: end(state, limit.holder, at))
        await limit.session.connection.close()
        grant = await limit.take(1)
        assert grant.calls == 0
        assert 0 < grant.wait <= PERIOD


@run
async def test_calls_without_the_database_are_counted_when_it_can_be_asked(database_url):
    async with crawls(database_url, 2) as [limit, other]:

        async def call_once():
            assert (await limit.take(1)).calls == 1
            limit.note(lambda state, at: end(state, limit.holder, at))

        await call_once()
        await limit.session.connection.close()
        await call_once()
        await call_once()
        limit.session.connection = other.session.connection
        await call_once()
        assert limit.alone is None
        assert limit.calls == limit.state.made == 4
        assert sum(ended.count for ended in limit.state.ended) == 3
        assert limit.state.holders[limit.holder].open == 1


async def granted(limit, number):
    """How many of some calls may go before the month's are used up."""
    made, exhausted = 0, ""
    for _ in range(number):
        grant = await limit.take(1)
        made, exhausted = made + grant.calls, grant.exhausted
        for _ in range(grant.calls):
            limit.note(lambda state, at: end(state, limit.holder, at))
    await limit.leave()
    return made, exhausted


@run
async def test_crawls_that_race_for_the_last_calls_make_exactly_those(database_url):
    async with crawls(database_url, 3) as limits:
        for limit in limits:
            limit.configured, limit.calls_max = ConfiguredLimit(), 20
        found = await asyncio.gather(*(granted(limit, 20) for limit in limits))
        usage = await limits[0].ask(read_usage)
    assert sum(calls for calls, _ in found) == usage.calls == 20
    assert all("used up until 1 " in exhausted for _, exhausted in found)


@run
async def test_calls_count_in_their_own_month(database_url):
    async with crawls(database_url, 1) as [limit]:
        limit.configured, limit.calls_max = ConfiguredLimit(), 3
        assert (await granted(limit, 3))[0] == 3
        assert (await granted(limit, 1))[0] == 0
        await limit.ask(a_month_passes)
        assert (await granted(limit, 4))[0] >= 3
        await limit.ask(a_month_passes)
        # What is given back was counted in the old month, and the new one can't have less than 0.
        limit.note(lambda state, _: setattr(state, "made", state.made - 2))
        await limit.leave()
        assert (await limit.ask(read_usage)).calls == 0


async def a_month_passes(connection, _):
    await connection.execute("UPDATE api_usage SET month = month - interval '1 month'")


@run
async def test_settings_and_the_api_say_how_many_calls_are_left(database_url):
    async with crawls(database_url, 1) as [limit]:
        await granted(limit, 1)

        async def left(statement, *values):
            await limit.ask(lambda connection, name: statement(connection, name, *values))
            return (await limit.ask(read_usage)).left()

        assert await left(keep_credits, Usage(credits=100)) == 99
        assert await left(note_told, None, 70) == 70
        assert await left(note_told, 80, 7) == 7
        assert await left(note_asked) == 7
        assert await left(keep_credits, Usage(credits=5, is_firm=True)) == 4
        assert await left(note_told, 80, 2) == 2
        usage = await limit.ask(read_usage)
        assert (usage.credits, usage.is_firm, usage.told_left) == (5, True, 2)


@run
async def test_account_does_not_grow_with_its_changes(database_url):
    async with crawls(database_url, 1) as [limit]:
        limit.configured = ConfiguredLimit(100_000)
        for ago in range(1, 60):  # as many times as a busy minute leaves
            for times in range(2):
                moment = monotonic() - ago - 0.7123456 * times
                limit.changes.append((lambda state, at: end(state, limit.holder, at), moment))
        await limit.take(1)
        assert len(limit.state.ended) > 100
        for _ in range(600):
            await limit.take(1)
        size = "SELECT pg_total_relation_size('api_account') / 1024"
        [kilobytes] = await (await limit.session.connection.execute(size)).fetchone()
    assert kilobytes <= 400  # Without HOT updates in the row itself: 1,700.
