"""Those who watch images, and what waits for each of them until it is taken."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import NamedTuple

from jobs.clock import Clock
from jobs.images import Image
from jobs.ports import Catalog, Position

MAX_WAITING = 1_000  # images whose latest state waits for one who follows an owner
# A change becomes visible up to this long after what it says: clocks differ by five seconds, and a write may
# be under way for as long again.
OVERLAP = timedelta(seconds=10)
_CHANGES_PAGE = 50  # full records that are read ahead of those who take them


class Watcher:
    """One subscriber's buffer: the latest state of each image, in the order in which they changed.

    One task takes from it, so it waits by a future, without the queue of those who wait that an event has.
    """

    __slots__ = ("_latest", "_ready", "_waiting")

    def __init__(self) -> None:
        self._latest: dict[str, Image] = {}
        self._ready = False
        self._waiting: asyncio.Future[None] | None = None

    def offer(self, image: Image) -> None:
        """Put a state in place of an older one."""
        known = self._latest.get(image.id)
        if known is None or known.version < image.version:
            self._latest.pop(image.id, None)
            self._latest[image.id] = image
        self._ready = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def take(self) -> list[Image]:
        """Wait for something, and take it."""
        if not self._ready:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._ready = False
        taken, self._latest = list(self._latest.values()), {}
        return taken


class OwnerWatcher(Watcher):
    """A watcher that hears of all images of an owner, with room for some."""

    __slots__ = ("missed",)

    def __init__(self) -> None:
        super().__init__()
        self.missed = False  # more waited than there is room for: only the catalog knows what

    def offer(self, image: Image) -> None:
        """Put a state in place of an older one, or of all if there is no room."""
        super().offer(image)
        if len(self._latest) > MAX_WAITING:
            self._latest, self.missed = {}, True

    def drop(self, image: Image) -> None:
        """Leave this state out, and any older one: it is told otherwise."""
        known = self._latest.get(image.id)
        if known is not None and known.version <= image.version:
            del self._latest[image.id]


class Told(NamedTuple):
    """A state that was handed out."""

    version: int
    changed_at: datetime


class OwnerWatch:
    """All who follow one owner's images: they were offered every change up to `floor`, and some since.

    None of them is offered a state twice, or after a newer one: what was offered is remembered here, once for
    all of them.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.floor = clock() - OVERLAP
        self.watchers: set[OwnerWatcher] = set()
        self._told: dict[str, Told] = {}

    def offer(self, image: Image) -> bool:
        """Hand a state to everybody, unless they had it; whether they had not."""
        known = self._told.get(image.id)
        if image.changed_at < self.floor or (known is not None and known.version >= image.version):
            return False
        self._told[image.id] = Told(image.version, image.changed_at)
        for watcher in self.watchers:
            watcher.offer(image)
        return True

    async def catch_up(self, owner: str, catalog: Catalog) -> None:
        """Offer what no hint told of.

        Raises:
            Unavailable: the catalog does not answer.
        """
        floor = self.clock() - OVERLAP
        async for page in changes(owner, Position(self.floor, ""), catalog):
            for image in page:
                self.offer(image)
        self.floor = max(self.floor, floor)
        self._told = {key: told for key, told in self._told.items() if told.changed_at >= self.floor}


async def changes(owner: str, since: Position, catalog: Catalog) -> AsyncGenerator[list[Image], None]:
    """`owner`'s images that changed after `since`, in that order, some at a time."""
    while True:
        found = await catalog.changed_since(owner, since, limit=_CHANGES_PAGE)
        yield found
        if len(found) < _CHANGES_PAGE:
            return
        since = Position(found[-1].changed_at, found[-1].id)
