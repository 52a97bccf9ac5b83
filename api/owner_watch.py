"""What changes of one owner's images, brought into the order of a log, for all who follow them here.

Times cannot order changes: clocks differ, and what happened earlier may be seen later. So whoever follows
an owner writes what it sees into the feed's log, and tells what stands there, in its order. Several processes
write to one log: one of them is first, and the others read what it wrote.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from api.feed_cursor import FeedCursor
from api.watchers import MAX_WAITING, FeedItem, OwnerWatcher
from jobs.errors import Unavailable
from jobs.images import Image
from jobs.ports import FEED_KEPT, FEED_OVERLAP, Catalog, FeedEntry, FeedState, Position, Services

MAX_REPLAY = 10_000  # images of which somebody is told who was away; listing them costs the server less

_READ = 50  # full records at once, so that others have their turn
_WRITTEN = 200  # states in an entry
_ENTRIES = 100
_TRIES = 100
_PAUSE = 0.01  # seconds until what somebody else wrote has reached the majority of the database
_LONG = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UNKNOWN = FeedEntry(seq=0, after=0, at=_NEVER, floor=_NEVER)


class OwnerWatch:
    """All who follow one owner's images in this process."""

    def __init__(self, owner: str, services: Services) -> None:
        self.watchers: set[OwnerWatcher] = set()
        self._owner = owner
        self._catalog = services.catalog
        self._log = services.feed_log
        self._clock = services.clock
        self._lock = asyncio.Lock()
        self._has_begun = False
        self._doubted = True
        self._end = _UNKNOWN  # of the log, without its states
        self._logged: dict[str, FeedState] = {}  # of what changed since the end's floor
        self._unlogged: dict[str, Image] = {}

    @property
    def is_restless(self) -> bool:
        """Whether there is something for `settle` to do."""
        return self._doubted or bool(self._unlogged)

    def doubt(self) -> None:
        """Let `settle` ask the catalog: something may have changed of which no hint told."""
        self._doubted = True

    def offer(self, image: Image) -> bool:
        """Take note of a state that is to be logged and told; false if it is known."""
        known = self._unlogged.get(image.id)
        if (known is not None and known.version >= image.version) or not self._is_new(image):
            return False
        self._unlogged[image.id] = image
        if len(self._unlogged) > MAX_WAITING:  # the catalog knows them, too
            self._unlogged, self._doubted = {}, True
        return True

    async def begin(self) -> FeedCursor:
        """The end of the log, once everything is in it that had changed when the first follower came.

        Raises:
            Unavailable: catalog or log do not answer.
        """
        async with self._lock:
            if not self._has_begun:
                await self._settle()
            return FeedCursor(self._end.seq)

    async def settle(self) -> None:
        """Log what is new, and tell it.

        Raises:
            Unavailable: catalog or log do not answer.
        """
        async with self._lock:
            await self._settle()

    async def _settle(self) -> None:
        if self._end is _UNKNOWN:
            await self._find_end()
        if self._doubted:
            self._doubted = False
            try:
                await self._catch_up()
            except BaseException:
                self._doubted = True
                raise
        await self._write()
        self._has_begun = True

    async def _find_end(self) -> None:
        tail = await self._log.tail(self._owner)
        if not tail:
            at = self._clock()
            seq = int(at.timestamp() * 1_000)  # greater than any of a log that was here and has expired
            first = FeedEntry(seq=seq, after=0, at=at, floor=at - FEED_OVERLAP, cut=True)
            await self._log.append(self._owner, first)
            tail = await self._log.tail(self._owner)  # it may be that somebody else was quicker
        for entry in tail:
            self._tell(entry, {})
        self._forget_old()

    async def _catch_up(self) -> None:
        """Log all that has changed since the floor, which rises."""
        await self._pull()
        now = self._clock()
        floor = now - FEED_OVERLAP
        if floor - self._end.floor > _LONG:
            most = MAX_REPLAY + len(self._logged)
            since = Position(self._end.floor, "")
            count = await self._catalog.count_changed_since(self._owner, since, limit=most + 1)
            if count > most and not await self._append([], floor=floor, cut=True):
                await self._pull()
        async for page in _changes(self._owner, Position(self._end.floor, ""), self._catalog):
            for image in page:
                self.offer(image)
            await self._write()
            if page:  # if this is interrupted, it goes on from here
                self._raise_floor(min(floor, page[-1].changed_at))
            if page and page[-1].changed_at > now:  # what comes as quickly as it is read would have no end
                break
        self._raise_floor(floor)
        self._forget_old()
        if now - self._end.at > FEED_KEPT / 2:  # the log of somebody who is followed never expires
            await self._append([])

    async def _write(self) -> None:
        """Log what is not yet logged."""
        for _ in range(_TRIES):
            while batch := self._some_unlogged():
                if not await self._append(batch):
                    break
            else:
                return
            if not await self._pull():
                await asyncio.sleep(_PAUSE)
        raise Unavailable("The feed's log takes nothing.")

    def _some_unlogged(self) -> list[Image]:
        self._unlogged = {key: image for key, image in self._unlogged.items() if self._is_new(image)}
        return list(islice(self._unlogged.values(), _WRITTEN))

    async def _append(self, images: Sequence[Image], *, floor: datetime = _NEVER, cut: bool = False) -> bool:
        """Write and tell an entry; false if somebody else was quicker."""
        entry = FeedEntry(
            seq=self._end.seq + 1,
            after=self._end.seq,
            at=max(self._end.at, self._clock()),
            floor=max(self._end.floor, floor),
            states=tuple(FeedState(image.id, image.version, image.changed_at) for image in images),
            cut=cut,
        )
        written = await self._log.append(self._owner, entry)
        if written:
            self._tell(entry, {image.id: image for image in images})
        return written

    async def _pull(self) -> bool:
        """Read and tell what others wrote; false if that is nothing."""
        before = self._end.seq
        while True:
            entries = await self._log.entries(self._owner, after=self._end.seq, limit=_ENTRIES)
            for entry in entries:
                if entry.after != self._end.seq:
                    self._forget()
                    raise Unavailable("The feed's log has begun anew.")
                self._tell(entry, await self._images_of(entry))
            if len(entries) < _ENTRIES:
                return self._end.seq != before

    async def _images_of(self, entry: FeedEntry) -> Mapping[str, Image]:
        """Those that still are in the states that `entry` tells of."""
        known = {state.id: self._unlogged.get(state.id) for state in entry.states}
        asked = [
            state.id
            for state in entry.states
            if (image := known[state.id]) is None or image.version != state.version
        ]
        found = await self._catalog.get_many(asked, owner=self._owner) if asked and self.watchers else {}
        for image in found.values():
            self.offer(image)  # it may have changed again since
        return {key: image for key, image in (known | found).items() if image is not None}

    def _tell(self, entry: FeedEntry, images: Mapping[str, Image]) -> None:
        """Note that `entry` is in the log, and tell it, so far as `images` are what it tells of."""
        self._end = entry._replace(states=(), floor=max(entry.floor, self._end.floor))
        for number, state in enumerate(entry.states):
            self._logged[state.id] = state
            image = images.get(state.id)
            if image is not None and image.version == state.version:
                item = FeedItem(FeedCursor(entry.seq, number), image)
                for watcher in self.watchers:
                    watcher.offer(item)
        if entry.cut:
            self._interrupt()

    def _is_new(self, image: Image) -> bool:
        logged = self._logged.get(image.id)
        return image.changed_at >= self._end.floor and (logged is None or logged.version < image.version)

    def _raise_floor(self, floor: datetime) -> None:
        self._end = self._end._replace(floor=max(floor, self._end.floor))

    def _forget_old(self) -> None:
        floor = self._end.floor
        self._logged = {key: state for key, state in self._logged.items() if state.changed_at >= floor}

    def _forget(self) -> None:
        """Begin anew with the log, as at first."""
        self._end, self._logged, self._doubted = _UNKNOWN, {}, True
        self._interrupt()

    def _interrupt(self) -> None:
        for watcher in self.watchers:
            watcher.miss()


async def _changes(owner: str, since: Position, catalog: Catalog) -> AsyncGenerator[list[Image], None]:
    """`owner`'s images that changed after `since`, in that order, some at a time."""
    while True:
        found = await catalog.changed_since(owner, since, limit=_READ)
        yield found
        if len(found) < _READ:
            return
        since = Position(found[-1].changed_at, found[-1].id)
