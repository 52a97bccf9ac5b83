"""The contract of the feed's log, held to both drivers and to the one in memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from jobs.clock import now
from jobs.feed_log import MongoFeedLog
from jobs.mongo import open_database
from jobs.ports import FEED_OVERLAP, FeedEntry, FeedLog, FeedState
from jobs.settings import Settings
from tests.memory import MemoryFeedLog

_BEGUN = now()


@pytest.fixture(params=["motor", "pymongo", "memory"])
async def log(request: pytest.FixtureRequest, corner: Settings) -> AsyncIterator[FeedLog]:
    """An empty log, of each kind in turn."""
    if request.param == "memory":
        yield MemoryFeedLog()
        return
    async with open_database(corner.model_copy(update={"mongo_driver": request.param})) as database:
        kept = MongoFeedLog(database)
        await kept.prepare()
        yield kept


def an_entry(seq: int, *, after: int | None = None, seconds: float = 0.0) -> FeedEntry:
    """One with a state, of so many seconds after the tests began: what is a week old would be removed."""
    at = _BEGUN + timedelta(seconds=seconds)
    states = (FeedState(f"img_{seq}", seq, at),)
    return FeedEntry(seq, seq - 1 if after is None else after, at, at - FEED_OVERLAP, states)


async def test_entries_come_back_as_they_went_in_their_order(log: FeedLog) -> None:
    """Those of the owner, behind a place, and no more than were asked for."""
    entries = [an_entry(seq) for seq in range(1, 6)]
    entries[2] = entries[2]._replace(cut=True, states=())
    for entry in entries:
        assert await log.append("ada", entry)
    assert await log.append("bob", an_entry(3))
    assert await log.entries("ada", after=0, limit=9) == entries
    assert await log.entries("ada", after=2, limit=2) == entries[2:4]
    assert await log.entries("eve", after=0, limit=9) == []


async def test_of_many_who_write_at_once_one_is_first(log: FeedLog) -> None:
    """Whatever number they give their entries; the others are told."""
    entries = [an_entry(seq, after=7) for seq in (8, 8, 9, 10)]
    written = await asyncio.gather(*(log.append("ada", entry) for entry in entries))
    assert written.count(True) == 1
    assert await log.entries("ada", after=7, limit=9) == [entries[written.index(True)]]
    assert await log.append("bob", entries[0])


async def test_the_tail_reaches_back_as_far_as_what_its_last_entry_leaves_open(log: FeedLog) -> None:
    """Whoever goes on needs to know which of the changes after the floor are logged."""
    assert await log.tail("ada") == []
    behind = 2 * FEED_OVERLAP.total_seconds()
    entries = [an_entry(1 + number, seconds=number * behind / 20) for number in range(31)]
    for entry in entries:
        await log.append("ada", entry)
    await log.append("bob", an_entry(99))
    assert await log.tail("ada") == entries[10:]


async def test_it_is_known_of_whom_there_is_more(log: FeedLog) -> None:
    """Of many at once."""
    for owner, seq in (("ada", 7), ("bob", 8), ("eve", 9)):
        await log.append(owner, an_entry(seq))
    assert await log.owners_with_more({"ada": 7, "bob": 7, "sue": 0}) == {"bob"}
    assert await log.owners_with_more({"eve": 8, "ada": 0}) == {"ada", "eve"}
    assert await log.owners_with_more({}) == set()


async def test_entries_expire(corner: Settings) -> None:
    """The database removes them: it has an index for that."""
    async with open_database(corner) as database:
        log = MongoFeedLog(database)
        assert await log.missing_indexes() == ["by_seq", "kept"]
        await log.prepare()
        assert await log.missing_indexes() == []
        information = await database["feed"].index_information()
    assert information["kept"]["expireAfterSeconds"] == 7 * 24 * 3_600
