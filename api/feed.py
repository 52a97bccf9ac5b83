"""What subscribers are told: the current state first, then changes; never an older state after a newer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import NamedTuple

from api.feed_cursor import MAX_TOLD, FeedCursor, digest
from api.hub import Hub
from api.watchers import changes
from jobs.errors import CursorTooOld, InvalidInput, NotFound
from jobs.images import Image
from jobs.ports import Catalog, Position, Services

MAX_IDS = 200  # images that one subscription can watch
MAX_REPLAY = 10_000  # images that one cursor can ask for; listing them costs the server less


async def image_updates(
    image_ids: Sequence[str], *, owner: str, hub: Hub, catalog: Catalog
) -> AsyncGenerator[Image, None]:
    """Each image's current state, then its changes; ends when all of them are at rest.

    It listens before it reads, so that nothing falls between the two. While it waits it keeps no image: a
    record takes 12 kB.

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
        for image in states:
            hub.offer(image)  # whoever missed it hears of it now
        versions: dict[str, int] = {}
        moving = set(wanted)
        del current, wanted
        while True:
            for image in states:
                if image.version > versions.get(image.id, 0):
                    versions[image.id] = image.version
                    (moving.discard if image.status.at_rest else moving.add)(image.id)
                    yield image
                del image
            if not moving:
                return
            states.clear()
            states = await watcher.take()


class FeedItem(NamedTuple):
    """An image that changed, and from where to go on after it."""

    cursor: str
    image: Image


async def feed(
    after: str | None, *, owner: str, hub: Hub, services: Services
) -> AsyncGenerator[FeedItem, None]:
    """All changes of `owner`'s images: those since the cursor, if there is one, then those to come.

    Of an image that changed several times, the latest state is told. What the hub hears of waits while the
    catalog is read up to now, so nothing falls between the two; what both know is told once. If too much
    waits, it goes on as after the last cursor.

    Raises:
        CursorTooOld: more has changed since than is told again.
        InvalidInput: the cursor is not one of ours.
    """
    catalog = services.catalog
    cursor = FeedCursor.decode(after) if after is not None else None
    with hub.watch_owner(owner, services.clock) as (watcher, watch):
        begun = services.clock()
        told_before = None
        if cursor is None:
            progress = _Progress(Position(watch.floor, ""))
            told_before = begun  # it asks for what is to come
        else:
            progress = _Progress(min(cursor.done, Position(begun, "")), frozenset(cursor.told))
            most = MAX_REPLAY + len(cursor.told)
            if await catalog.count_changed_since(owner, progress.done, limit=most + 1) > most:
                raise CursorTooOld(
                    f"More than {MAX_REPLAY:,} images have changed since: "
                    "follow without a cursor, then list them."
                )
        while True:  # again after more came than could wait
            watcher.missed = False
            complete = Position(watch.floor, "")  # all up to here is in the catalog for everybody to see
            async with aclosing(changes(owner, progress.done, catalog)) as pages:
                async for page in pages:
                    for image in page:
                        watch.offer(image)  # whoever missed it hears of it now, and nobody later
                        watcher.drop(image)
                    for image in page:
                        new = progress.told_of(image) and not (told_before and image.changed_at < told_before)
                        progress.advance(min(Position(image.changed_at, image.id), complete))
                        if new:
                            yield FeedItem(progress.cursor(), image)
            progress.caught_up(complete)
            told_before = None
            while True:
                batch = await watcher.take()
                complete = Position(watch.floor, "")
                if watcher.missed:
                    break
                for left, image in zip(reversed(range(len(batch))), batch, strict=True):
                    new = progress.told_of(image)
                    if not left:  # up to here, everything was in this batch or before it
                        progress.advance(complete)
                    if new:
                        yield FeedItem(progress.cursor(), image)


class _Progress:
    """What one subscriber was told: everything up to `done`, and beyond it some states.

    Of those it knows as many as a cursor has room for. That it hears of nothing twice is seen to by the
    `OwnerWatch`; this is for when it begins anew, and may then be told of the others again.

    Args:
        known: digests of states that it was told in an earlier life.
    """

    def __init__(self, done: Position, known: frozenset[str] = frozenset()) -> None:
        self.done = done
        self._known = known
        self._beyond: dict[str, _Told] = {}

    def told_of(self, image: Image) -> bool:
        """Note that it is told of `image`; false if it is known that it was before."""
        before = self._beyond.get(image.id)
        if before is not None and before.version >= image.version:
            return False
        mark = digest(image.id, image.version)
        self._beyond.pop(image.id, None)
        self._beyond[image.id] = _Told(image.version, Position(image.changed_at, image.id), mark)
        if len(self._beyond) > MAX_TOLD:
            del self._beyond[next(iter(self._beyond))]
        return mark not in self._known

    def advance(self, done: Position) -> None:
        """Note that it was told everything up to `done`."""
        if done > self.done:
            self.done = done
            self._beyond = {key: told for key, told in self._beyond.items() if told.at > done}

    def caught_up(self, done: Position) -> None:
        """Note that everything in the catalog has been seen: whatever was known has its place now."""
        self._known = frozenset()
        self.advance(done)

    def cursor(self) -> str:
        """From where to go on."""
        told = dict.fromkeys(told.mark for told in reversed(self._beyond.values()))
        told.update(dict.fromkeys(self._known))
        return FeedCursor(self.done, list(islice(told, MAX_TOLD))).encode()


class _Told(NamedTuple):
    version: int
    at: Position
    mark: str
