"""The feed's log in MongoDB: what changed of each owner's images, in an order that never changes again.

An entry names the one before it, and no two can name the same one. So whoever adds an entry has seen all
before it: an entry is never seen before an earlier one. A number that a counter gives out promises less, and
so does a time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from jobs.mongo import Document, missing_indexes, reaching, reliable
from jobs.ports import FEED_KEPT, FEED_OVERLAP, FeedEntry, FeedState

_INDEXES = [
    IndexModel([("owner", ASCENDING), ("seq", ASCENDING)], name="by_seq"),
    IndexModel([("at", ASCENDING)], name="kept", expireAfterSeconds=int(FEED_KEPT.total_seconds())),
]


class MongoFeedLog:
    """`FeedLog` over one MongoDB database, by either driver."""

    def __init__(self, database: Any) -> None:
        self._entries = reliable(database["feed"])

    async def prepare(self) -> None:
        """Create the indexes, unless they are there."""
        with reaching():
            await self._entries.create_indexes(_INDEXES)

    async def missing_indexes(self) -> list[str]:
        """The names of those that `prepare` would create."""
        return await missing_indexes(self._entries, _INDEXES)

    async def append(self, owner: str, entry: FeedEntry) -> bool:
        with reaching():
            try:
                await self._entries.insert_one(_document(owner, entry))
            except DuplicateKeyError:
                return False
        return True

    async def entries(self, owner: str, *, after: int, limit: int) -> list[FeedEntry]:
        query = {"owner": owner, "seq": {"$gt": after}}
        with reaching():
            found = self._entries.find(query, sort=[("seq", ASCENDING)], limit=limit)
            return [_entry(document) for document in await found.to_list(None)]

    async def owners_with_more(self, ends: Mapping[str, int]) -> set[str]:
        behind = [{"owner": owner, "seq": {"$gt": seq}} for owner, seq in ends.items()]
        with reaching():
            return set(await self._entries.distinct("owner", {"$or": behind})) if behind else set()

    async def tail(self, owner: str) -> list[FeedEntry]:
        tail: list[FeedEntry] = []
        with reaching():
            cursor = self._entries.find({"owner": owner}, sort=[("seq", DESCENDING)])
            try:
                async for document in cursor:
                    entry = _entry(document)
                    if tail and entry.at < tail[0].floor - FEED_OVERLAP:
                        break
                    tail.append(entry)
            finally:
                await cursor.close()
        return tail[::-1]


def _document(owner: str, entry: FeedEntry) -> Document:
    return {
        "_id": {"owner": owner, "after": entry.after},
        "owner": owner,
        "seq": entry.seq,
        "at": entry.at,
        "floor": entry.floor,
        "cut": entry.cut,
        "states": _rows(entry.states),
    }


def _rows(states: Sequence[FeedState]) -> list[list[str | int | datetime]]:
    return [[state.id, state.version, state.changed_at] for state in states]


def _entry(document: Document) -> FeedEntry:
    return FeedEntry(
        seq=document["seq"],
        after=document["_id"]["after"],
        at=document["at"],
        floor=document["floor"],
        cut=document["cut"],
        states=tuple(FeedState(*row) for row in document["states"]),
    )
