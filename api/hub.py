"""The hub: changes of images, from the bus to every subscriber of this process.

One Redis reader feeds them all. A message is only a hint: what changed is read from the catalog, once for
everybody who watches. Each subscriber has room for the latest state of each image that it watches and no
more, so one that does not read harms nobody. Hints can be lost, so what is watched is looked at again
whenever the reader had to begin anew, and every few seconds besides.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Self

import structlog

from api.owner_watch import OwnerWatch
from api.watchers import OwnerWatcher, Watcher
from jobs.errors import Unavailable
from jobs.images import Image
from jobs.metrics import FOLLOWED_FEEDS, FOLLOWED_IMAGES
from jobs.ports import Services
from jobs.transitions import note_published

log = structlog.get_logger(__name__)

REFRESH = 10.0  # seconds within twice of which a lost hint is made up for
_AT_ONCE = 32  # owners whose changes are logged: the database writes together what comes together
_TURN_SECONDS = 30.0  # after which an owner's place is another's
_PARTS = 20
_PAGE = 200
_GATHER = 0.003  # seconds after a read in which hints gather for the next: of many, several share one


class ImageWatcher(Watcher):
    """A watcher that hears of some images while its context lasts; of a generator's it takes a third.

    No more waits than one state of each of them.
    """

    __slots__ = ("_hub", "_image_ids")

    def __init__(self, hub: "Hub", image_ids: Sequence[str]) -> None:
        super().__init__()
        self._hub = hub
        self._image_ids = image_ids

    def __enter__(self) -> Self:
        self._hub.enter(self, self._image_ids)
        FOLLOWED_IMAGES.inc()
        return self

    def __exit__(self, *_: object) -> None:
        FOLLOWED_IMAGES.dec()
        self._hub.leave(self, self._image_ids)


class Hub:
    """Who watches what in this process."""

    def __init__(self, services: Services, *, refresh_seconds: float = REFRESH) -> None:
        self._services = services
        self._catalog = services.catalog
        self._listening = asyncio.Event()
        self._refresh_seconds = refresh_seconds
        self._by_image: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._versions: dict[str, int] = {}  # the latest that was offered
        self._by_owner: dict[str, OwnerWatch] = {}
        self._stale = _Pending()
        self._restless = _Pending()
        self._being_settled: set[str] = set()

    def watch_images(self, image_ids: Sequence[str]) -> ImageWatcher:
        """A context in which somebody hears of these images."""
        return ImageWatcher(self, image_ids)

    def enter(self, watcher: Watcher, image_ids: Sequence[str]) -> None:
        """Let `watcher` hear of these images."""
        for image_id in image_ids:
            self._by_image[image_id].add(watcher)

    def leave(self, watcher: Watcher, image_ids: Sequence[str]) -> None:
        """Forget about `watcher`, and about images that nobody watches."""
        for image_id in image_ids:
            self._by_image[image_id].discard(watcher)
            if not self._by_image[image_id]:
                del self._by_image[image_id]
                self._versions.pop(image_id, None)

    @contextmanager
    def watch_owner(self, owner: str) -> Iterator[tuple[OwnerWatcher, OwnerWatch]]:
        """Hear of every image of `owner` until the context ends."""
        watcher = OwnerWatcher()
        watch = self._by_owner.setdefault(owner, OwnerWatch(owner, self._services))
        watch.watchers.add(watcher)
        FOLLOWED_FEEDS.inc()
        try:
            yield watcher, watch
        finally:
            FOLLOWED_FEEDS.dec()
            watch.watchers.discard(watcher)
            if not watch.watchers and self._by_owner.get(owner) is watch:
                del self._by_owner[owner]

    def offer(self, image: Image) -> bool:
        """Hand a state that was read to all who watch its image or its owner; whether it is new to any."""
        new = image.id in self._by_image and self._versions.get(image.id, 0) < image.version
        if new:
            self._versions[image.id] = image.version
            for watcher in self._by_image[image.id]:
                watcher.offer(image)
        if image.owner in self._by_owner and self._by_owner[image.owner].offer(image):
            self._restless.add([image.owner])
            new = True
        return new

    async def ping(self) -> None:
        """Wait until changes are heard of."""
        await self._listening.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the bus for as long as the context lasts."""
        work = (self._listen, self._read, self._settle_owners, self._refresh)
        tasks = [asyncio.create_task(_forever(each)) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for change in self._services.bus.changes():
            if change is None:
                self._listening.set()
                self._stale.add(self._by_image)
                self._doubt(self._by_owner)
            elif change.id in self._by_image or change.owner in self._by_owner:
                self._stale.add([change.id])

    async def _read(self) -> None:
        """Read what is stale, and hand it to those who watch."""
        while True:
            stale = iter(await self._stale.take())
            while some := list(islice(stale, _PAGE)):  # a few at a time: others use this loop too
                try:
                    images = await self._catalog.get_many(some)
                except Unavailable as error:
                    log.warning("changes wait for the catalog", reason=error.message)
                    self._stale.add([*some, *stale])
                    await asyncio.sleep(1)
                    break
                for image in images.values():
                    if self.offer(image):
                        note_published(image, self._services.clock())
            await asyncio.sleep(_GATHER)

    def _doubt(self, owners: Iterable[str]) -> None:
        for owner in owners:
            if watch := self._by_owner.get(owner):
                watch.doubt()
                self._restless.add([owner])

    async def _settle_owners(self) -> None:
        """Log and tell what changed of those who are followed, for some of them at a time."""
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                for owner in await self._restless.take():
                    if owner in self._by_owner and owner not in self._being_settled:
                        await room.acquire()
                        self._being_settled.add(owner)
                        group.create_task(self._settle(owner, room))

    async def _settle(self, owner: str, room: asyncio.Semaphore) -> None:
        """If it fails, try again, but not at once: the catalog would be asked without a pause."""
        try:
            try:
                has_settled = await self._has_settled(owner)
            finally:
                room.release()
            if not has_settled:
                await asyncio.sleep(1)
                self._restless.add([owner])
        finally:
            self._being_settled.discard(owner)

    async def _has_settled(self, owner: str) -> bool:
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                while (watch := self._by_owner.get(owner)) and watch.is_restless:
                    await watch.settle()
        except Unavailable as error:
            log.warning("an owner's changes wait for the catalog", reason=error.message)
        except TimeoutError:
            log.warning("an owner's changes take long")
        except Exception:
            log.exception("an owner's changes cannot be read")
        else:
            return True
        return False

    async def _refresh(self) -> None:
        """Doubt everything once in a while, a part of it at a time: not all are asked for at one moment."""
        while True:
            image_ids, owners = list(self._by_image), list(self._by_owner)
            for part in range(_PARTS):
                await asyncio.sleep(self._refresh_seconds / _PARTS)
                self._doubt(owners[part::_PARTS])
                doubted = [image_id for image_id in image_ids[part::_PARTS] if image_id in self._by_image]
                for start in range(0, len(doubted), _PAGE):
                    await self._compare(doubted[start : start + _PAGE])

    async def _compare(self, image_ids: list[str]) -> None:
        versions = await self._catalog.versions(image_ids)
        self._stale.add(key for key, version in versions.items() if version > self._versions.get(key, 0))


class _Pending:
    """A set that somebody works off."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._filled = asyncio.Event()

    def add(self, keys: Iterable[str]) -> None:
        self._keys.update(keys)
        if self._keys:
            self._filled.set()

    async def take(self) -> set[str]:
        """All that there is, once there is something."""
        await self._filled.wait()
        self._filled.clear()
        keys, self._keys = self._keys, set()
        return keys


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    """Begin `work` again whatever ends it: without it, every subscriber would wait in vain."""
    while True:
        try:
            await work()
        except Unavailable as error:
            log.warning("following changes waits for the catalog", reason=error.message)
        except Exception:
            log.exception("following changes was interrupted")
        await asyncio.sleep(1)
