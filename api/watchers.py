"""Those who watch images, and what waits for each of them until it is taken."""

import asyncio
from typing import Generic, NamedTuple, TypeVar

from api.feed_cursor import FeedCursor
from jobs.images import Image

MAX_WAITING = 1_000  # images whose latest state waits for one who follows an owner

Item = TypeVar("Item")


class _Buffer(Generic[Item]):
    """The latest of each image, in the order in which they came.

    One task takes from it, so it waits by a future, without the queue of those who wait that an event has.
    """

    __slots__ = ("_latest", "_ready", "_waiting")

    def __init__(self) -> None:
        self._latest: dict[str, Item] = {}
        self._ready = False
        self._waiting: asyncio.Future[None] | None = None

    def _put(self, image_id: str, item: Item) -> None:
        self._latest.pop(image_id, None)
        self._latest[image_id] = item
        self._wake()

    def _wake(self) -> None:
        self._ready = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def take(self) -> list[Item]:
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


class Watcher(_Buffer[Image]):
    """One who watches some images."""

    __slots__ = ()

    def offer(self, image: Image) -> None:
        """Put a state in place of an older one."""
        known = self._latest.get(image.id)
        if known is None or known.version < image.version:
            self._put(image.id, image)


class FeedItem(NamedTuple):
    """A state of an image, and its place in the log."""

    place: FeedCursor
    image: Image

    @property
    def cursor(self) -> str:
        """From where to go on after it."""
        return self.place.encode()


class OwnerWatcher(_Buffer[FeedItem]):
    """One who follows all images of an owner, with room for some."""

    __slots__ = ("missed",)

    def __init__(self) -> None:
        super().__init__()
        self.missed = False  # more waited than there is room for: only the log knows what

    def offer(self, item: FeedItem) -> None:
        """Put what was logged in place of what was logged earlier, or of all if there is no room."""
        self._put(item.image.id, item)
        if len(self._latest) > MAX_WAITING:
            self.miss()

    def miss(self) -> None:
        """Forget what waits: it is to be read from the log."""
        self._latest, self.missed = {}, True
        self._wake()
