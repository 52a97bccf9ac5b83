"""The journal: every change of every record, as the database says it happened."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from jobs.images import Status
from jobs.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Change:
    """A record after one of its moves."""

    version: int
    status: Status
    at: datetime
    round: int
    takes: int


@dataclass
class History:
    """All that happened to one image. `late` is how long after the end of a lease it was taken again."""

    changes: list[Change] = field(default_factory=list)
    late: list[timedelta] = field(default_factory=list)
    lease_until: datetime | None = None

    @property
    def status(self) -> Status:
        """Where it stands."""
        return self.changes[-1].status


class Journal:
    """The histories, by image id, as they come."""

    def __init__(self) -> None:
        self.histories: dict[str, History] = defaultdict(History)
        self._fields: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Event()

    @property
    def resting(self) -> int:
        """How many images are at rest."""
        return sum(history.status.at_rest for history in self.histories.values())

    async def until(self, condition: Any, *, within: float) -> None:
        """Wait until `condition`, which is asked after every change, is true."""
        async with asyncio.timeout(within):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def note(self, event: dict[str, Any]) -> None:
        """Take down one event of the database's change stream."""
        image_id = event["documentKey"]["_id"]
        history = self.histories[image_id]
        if event["operationType"] == "insert":
            changed = event["fullDocument"]
        else:
            changed = event["updateDescription"]["updatedFields"]
        fields = self._fields.setdefault(image_id, {})
        before = dict(fields)
        fields |= {name: value for name, value in changed.items() if "." not in name}
        if "version" in changed:
            history.changes.append(
                Change(
                    version=fields["version"],
                    status=Status(fields["status"]),
                    at=fields["changed_at"],
                    round=fields["round"],
                    takes=fields["takes"],
                )
            )
        if "takes" in changed and fields["takes"] > before.get("takes", 0) and history.lease_until:
            history.late.append(fields["changed_at"] - history.lease_until)
        if "lease" in changed:
            history.lease_until = changed["lease"] and changed["lease"]["until"]
        history.lease_until = changed.get("lease.until", history.lease_until)
        self._news.set()

    async def follow(self, settings: Settings, begun: asyncio.Event) -> None:
        """Note everything from now on, whatever happens to the database."""
        token = None
        async with AsyncMongoClient[dict[str, Any]](settings.mongo_url, tz_aware=True) as client:
            images = client[settings.mongo_database]["images"]
            while True:
                try:
                    async with await images.watch(resume_after=token) as stream:
                        begun.set()
                        async for event in stream:
                            self.note(dict(event))
                            token = stream.resume_token
                except PyMongoError:
                    await asyncio.sleep(0.2)


@asynccontextmanager
async def a_journal(settings: Settings) -> AsyncIterator[Journal]:
    """The journal of one deployment, for as long as the context lasts."""
    journal, begun = Journal(), asyncio.Event()
    following = asyncio.create_task(journal.follow(settings, begun))
    await begun.wait()
    try:
        yield journal
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
