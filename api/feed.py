"""The feed: what those are told who follow all images of an owner, from a place in the log on."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import islice

from api.feed_cursor import FeedCursor
from api.hub import Hub
from api.owner_watch import MAX_REPLAY
from api.watchers import FeedItem
from jobs.errors import CursorTooOld
from jobs.ports import FeedLog, Services

_MAX_STATES = 10 * MAX_REPLAY  # that are read of the log, for the latest of each image
_ENTRIES = 100
_PAGE = 50  # full records that are read ahead of those who take them


async def feed(
    after: str | None, *, owner: str, hub: Hub, services: Services
) -> AsyncGenerator[FeedItem, None]:
    """All changes of `owner`'s images: those since the cursor, if there is one, then those to come.

    Of an image that changed several times, the latest state is told, and no state is told twice, not even in
    two lives with a cursor between them. While it waits it keeps no image.

    Raises:
        CursorTooOld: more has changed since than is told again.
        InvalidInput: the cursor is not one of ours.
        Unavailable: catalog or log do not answer.
    """
    told = FeedCursor.decode(after) if after is not None else None
    with hub.watch_owner(owner) as (watcher, watch):
        end = await hub.begin(watch)
        watcher.missed = told is not None
        told = told or end
        while True:
            if watcher.missed:
                watcher.missed = False
                states, told = await _since(told, owner, services.feed_log)
                async with aclosing(_latest(states, owner, hub, services)) as items:
                    async for item in items:
                        yield item
                        del item
            waiting = iter(await watcher.take())
            if watcher.missed:
                continue
            for item in waiting:
                if item.place > told:
                    told = item.place
                    yield item
                del item


_States = dict[str, tuple[int, FeedCursor]]  # by image: the version that was logged last, and where


async def _since(told: FeedCursor, owner: str, log: FeedLog) -> tuple[_States, FeedCursor]:
    """What was logged after `told`, in the order of the log, and where that ends."""
    too_old = CursorTooOld(
        f"More than {MAX_REPLAY:,} images have changed since, or it was too long ago: "
        "follow without a cursor, then list them."
    )
    states: _States = {}
    read = 0
    end = told.seq
    entries = await log.entries(owner, after=told.seq - 1, limit=_ENTRIES)
    if not entries or entries[0].seq != told.seq:
        raise too_old
    while True:
        for entry in entries:
            if entry.seq > told.seq and (entry.after != end or entry.cut):
                raise too_old
            end = entry.seq
            for number, state in enumerate(entry.states):
                place = FeedCursor(entry.seq, number)
                if place > told:
                    states.pop(state.id, None)
                    states[state.id] = state.version, place
            read += len(entry.states)
        if len(states) > MAX_REPLAY or read > _MAX_STATES:
            raise too_old
        if len(entries) < _ENTRIES:
            return states, FeedCursor(end)
        entries = await log.entries(owner, after=end, limit=_ENTRIES)


async def _latest(
    states: _States, owner: str, hub: Hub, services: Services
) -> AsyncGenerator[FeedItem, None]:
    """Those images that still are in these states; what has changed again is yet to be logged."""
    left = iter(states.items())
    while some := dict(islice(left, _PAGE)):
        found = await services.catalog.get_many(some, owner=owner)
        for image_id, (version, place) in some.items():
            image = found.pop(image_id, None)
            if image is not None and image.version == version:
                yield FeedItem(place, image)
            elif image is not None:
                hub.offer(image)
            del image
