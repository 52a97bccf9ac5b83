"""The feed: changes of images, from the bus to every subscriber of this process.

One Redis reader feeds them all. A message is only a hint: what changed is read from the catalog, once for
everybody who watches. Each subscriber has room for the latest state of each image that it watches and no
more, so one that does not read harms nobody. Hints can be lost, so what is watched is read again whenever
the reader had to begin anew, and every few seconds besides.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import islice
from typing import NamedTuple

import structlog

from api.paging import decode_cursor, encode_cursor
from jobs.errors import InvalidInput, NotFound, Unavailable
from jobs.images import Image
from jobs.ports import Bus, Catalog, Position, Services

log = structlog.get_logger(__name__)

REFRESH = 10.0  # seconds within twice of which a lost hint is made up for
_PARTS = 20
MAX_IDS = 200  # images that one subscription can watch
_PAGE = 200
# Clocks of several processes differ, and writes become visible out of order: look back a little further.
_OVERLAP = timedelta(seconds=5)


class Watcher:
    """One subscriber's buffer: the latest state of each image, in the order in which they changed."""

    def __init__(self) -> None:
        self._latest: dict[str, Image] = {}
        self._nudged = asyncio.Event()

    def offer(self, image: Image) -> None:
        """Put a state in place of an older one."""
        known = self._latest.get(image.id)
        if known is None or known.version < image.version:
            self._latest.pop(image.id, None)
            self._latest[image.id] = image
        self._nudged.set()

    def nudge(self) -> None:
        """Say that something changed, without saying what."""
        self._nudged.set()

    async def take(self) -> list[Image]:
        """Wait for something, and take it."""
        await self._nudged.wait()
        self._nudged.clear()
        taken, self._latest = list(self._latest.values()), {}
        return taken


class Hub:
    """Who watches what in this process."""

    def __init__(self, catalog: Catalog, bus: Bus, *, refresh_seconds: float = REFRESH) -> None:
        self._catalog = catalog
        self._refresh_seconds = refresh_seconds
        self._bus = bus
        self._by_image: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._by_owner: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._stale: set[str] = set()
        self._work = asyncio.Event()

    @contextmanager
    def watch_images(self, image_ids: Iterable[str]) -> Iterator[Watcher]:
        """Hear of these images until the context ends."""
        with self._watch(self._by_image, image_ids) as watcher:
            yield watcher

    @contextmanager
    def watch_owner(self, owner: str) -> Iterator[Watcher]:
        """Be nudged whenever an image of `owner` changes."""
        with self._watch(self._by_owner, [owner]) as watcher:
            yield watcher

    @contextmanager
    def _watch(self, index: defaultdict[str, set[Watcher]], keys: Iterable[str]) -> Iterator[Watcher]:
        watcher, keys = Watcher(), list(keys)
        for key in keys:
            index[key].add(watcher)
        try:
            yield watcher
        finally:
            for key in keys:
                index[key].discard(watcher)
                if not index[key]:
                    del index[key]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the bus for as long as the context lasts."""
        tasks = [asyncio.create_task(_forever(work)) for work in (self._listen, self._read, self._refresh)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for change in self._bus.changes():
            if change is None:
                self._doubt(list(self._by_image), list(self._by_owner))
                continue
            if change.id in self._by_image:
                self._stale.add(change.id)
                self._work.set()
            for watcher in self._by_owner.get(change.owner, ()):
                watcher.nudge()

    async def _refresh(self) -> None:
        """Doubt everything once in a while, a part of it at a time: not all are asked for at one moment."""
        while True:
            image_ids, owners = list(self._by_image), list(self._by_owner)
            for part in range(_PARTS):
                await asyncio.sleep(self._refresh_seconds / _PARTS)
                self._doubt(image_ids[part::_PARTS], owners[part::_PARTS])

    def _doubt(self, image_ids: Iterable[str], owners: Iterable[str]) -> None:
        self._stale.update(image_ids)
        self._work.set()
        for owner in owners:
            for watcher in self._by_owner.get(owner, ()):
                watcher.nudge()

    async def _read(self) -> None:
        """Read what is stale, and hand it to those who watch."""
        while True:
            await self._work.wait()
            self._work.clear()
            stale, self._stale = self._stale, set()
            watched = iter([image_id for image_id in stale if image_id in self._by_image])
            while some := list(islice(watched, _PAGE)):  # a few at a time: others use this loop too
                try:
                    images = await self._catalog.get_many(some)
                except Unavailable as error:
                    log.warning("changes wait for the catalog", reason=error.message)
                    self._stale.update(some, watched)
                    self._work.set()
                    await asyncio.sleep(1)
                    break
                for image in images.values():
                    for watcher in self._by_image.get(image.id, ()):
                        watcher.offer(image)


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    """Begin `work` again whatever ends it: without it, every subscriber would wait in vain."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("following changes was interrupted")
        await asyncio.sleep(1)


async def image_updates(
    image_ids: Sequence[str], *, owner: str, hub: Hub, catalog: Catalog
) -> AsyncGenerator[Image, None]:
    """Each image's current state, then its changes; ends when all of them are at rest.

    It listens before it reads, so that nothing falls between the two.

    Raises:
        InvalidInput: no ids, or too many.
        NotFound: `owner` has no such image.
    """
    wanted = list(dict.fromkeys(image_ids))
    if not 0 < len(wanted) <= MAX_IDS:
        raise InvalidInput(f"Ask for 1 to {MAX_IDS} ids.")
    with hub.watch_images(wanted) as watcher:
        current = await catalog.get_many(wanted, owner=owner)
        if unknown := [image_id for image_id in wanted if image_id not in current]:
            raise NotFound(f"There is no such image: {', '.join(unknown)}")
        states = [current[image_id] for image_id in wanted]
        versions: dict[str, int] = {}
        moving = set(wanted)
        while True:
            for image in states:
                if image.version > versions.get(image.id, 0):
                    versions[image.id] = image.version
                    (moving.discard if image.status.at_rest else moving.add)(image.id)
                    yield image
            if not moving:
                return
            states = await watcher.take()


class FeedItem(NamedTuple):
    """An image that changed, and from where to go on after it."""

    cursor: str
    image: Image


async def feed(
    after: str | None, *, owner: str, hub: Hub, services: Services
) -> AsyncGenerator[FeedItem, None]:
    """All changes of `owner`'s images: those since the cursor, if there is one, then those to come.

    Raises:
        InvalidInput: the cursor is not one of ours.
    """
    position = decode_cursor(after) if after is not None else Position(services.clock(), "")
    floor = Position(position.at - _OVERLAP, "")
    seen: dict[str, Image] = {}
    with hub.watch_owner(owner) as watcher:
        if after is None:  # it asks for what is to come: what was before counts as seen
            async with aclosing(_changes(owner, floor, services.catalog)) as changes:
                seen = {image.id: image async for image in changes if image.changed_at < position.at}
        while True:
            async with aclosing(_changes(owner, floor, services.catalog)) as changes:
                async for image in changes:
                    if image.id in seen and seen[image.id].version >= image.version:
                        continue
                    seen[image.id] = image
                    # A process whose clock is ahead must not hide what others do meanwhile.
                    at = min(image.changed_at, services.clock())
                    yield FeedItem(encode_cursor(Position(at, image.id)), image)
                    position = max(position, Position(at, image.id))
            floor = Position(max(floor.at, position.at - _OVERLAP), "")
            seen = {key: image for key, image in seen.items() if image.changed_at >= floor.at}
            await watcher.take()


async def _changes(owner: str, since: Position, catalog: Catalog) -> AsyncGenerator[Image, None]:
    while True:
        page = await catalog.changed_since(owner, since, limit=_PAGE)
        for image in page:
            yield image
        if len(page) < _PAGE:
            return
        since = Position(page[-1].changed_at, page[-1].id)
