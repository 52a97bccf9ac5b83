"""Subscribers see the current state first and the last one eventually, whatever gets lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import pytest

from api.feed import MAX_IDS, feed, image_updates
from api.hub import Hub, Watcher
from api.paging import encode_cursor
from jobs.errors import InvalidInput, NotFound
from jobs.images import Image, ImageChange, Move, Status
from jobs.ports import Position, Services
from tests.records import NOON, a_lease, an_image

LATER = NOON + timedelta(seconds=1)


class LossyBus:
    """A bus that loses every message; the test says when it notices."""

    def __init__(self) -> None:
        self._noticed: asyncio.Queue[ImageChange | None] = asyncio.Queue()

    def notice(self) -> None:
        """Begin anew, as after a broken connection."""
        self._noticed.put_nowait(None)

    async def publish(self, image: Image) -> None:
        """Lose it."""

    async def changes(self) -> AsyncIterator[ImageChange | None]:
        """Nothing but beginnings."""
        while True:
            yield await self._noticed.get()


@pytest.fixture
async def hub(services: Services) -> AsyncIterator[Hub]:
    """The hub of an API process, following the real bus."""
    hub = Hub(services.catalog, services.bus)
    async with hub.running():
        yield hub


async def moved(services: Services, image: Image, move: Move, fence: str | None = None) -> Image:
    """The record after a move that everybody is told of."""
    after = await services.catalog.move(image.id, move, at=LATER, fence=fence)
    assert after is not None
    await services.bus.publish(after)
    return after


async def test_the_current_state_comes_first_and_then_every_change(services: Services, hub: Hub) -> None:
    """From wherever the image is to its rest; then the stream ends."""
    image = an_image()
    await services.catalog.add([image])
    updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
    async with aclosing(updates):
        assert await anext(updates) == image
        uploaded = await moved(services, image, Move.ARRIVE)
        assert await anext(updates) == uploaded
        failed = await moved(services, image, Move.FAIL)
        assert await anext(updates) == failed
        with pytest.raises(StopAsyncIteration):
            await anext(updates)


async def test_a_change_between_listening_and_reading_is_not_missed(services: Services, hub: Hub) -> None:
    """The completion happens while the first read is under way."""
    image = an_image(status=Status.PROCESSING, lease=a_lease())
    await services.catalog.add([image])

    class SlowCatalog:
        """Answers with the state from before a completion that happens meanwhile."""

        async def get_many(self, image_ids: list[str], *, owner: str | None = None) -> dict[str, Image]:
            """The state of a moment ago."""
            before = await services.catalog.get_many(image_ids, owner=owner)
            await moved(services, image, Move.FINISH, fence="a-fence")
            return before

        def __getattr__(self, name: str) -> object:
            return getattr(services.catalog, name)

    slow = replace(services, catalog=SlowCatalog()).catalog  # type: ignore[arg-type]
    updates = image_updates([image.id], owner="ada", hub=hub, catalog=slow)
    assert [state.status async for state in updates] == [Status.PROCESSING, Status.READY]


async def test_lost_messages_are_made_up_for(services: Services) -> None:
    """When the connection to Redis begins anew, whatever is watched is read again."""
    bus = LossyBus()
    hub = Hub(services.catalog, bus)
    image = an_image(status=Status.PROCESSING, lease=a_lease())
    await services.catalog.add([image])
    async with hub.running():
        updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
        async with aclosing(updates):
            assert (await anext(updates)).status is Status.PROCESSING
            await moved(replace(services, bus=bus), image, Move.FINISH, fence="a-fence")
            bus.notice()
            assert (await anext(updates)).status is Status.READY


async def test_an_older_state_never_follows_a_newer(services: Services, hub: Hub) -> None:
    """Doubled and late messages tell nothing new."""
    image = an_image()
    await services.catalog.add([image])
    updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
    async with aclosing(updates):
        versions = [(await anext(updates)).version]
        uploaded = await moved(services, image, Move.ARRIVE)
        for late in (image, uploaded, image, uploaded):
            await services.bus.publish(late)
        versions.append((await anext(updates)).version)
        await moved(services, image, Move.FAIL)
        versions += [state.version async for state in updates]
    assert versions == [1, 2, 3]


async def test_another_owners_image_looks_like_none(services: Services, hub: Hub) -> None:
    """Neither its state nor its existence is told."""
    image = an_image(owner="bob")
    await services.catalog.add([image])
    for image_id in (image.id, "img_unknown"):
        with pytest.raises(NotFound, match=image_id):
            await anext(image_updates([image_id], owner="ada", hub=hub, catalog=services.catalog))


@pytest.mark.parametrize("count", [0, MAX_IDS + 1])
async def test_the_number_of_ids_is_bounded(services: Services, hub: Hub, count: int) -> None:
    """None is nothing to wait for; too many are a burden."""
    ids = [f"img_{n}" for n in range(count)]
    with pytest.raises(InvalidInput):
        await anext(image_updates(ids, owner="ada", hub=hub, catalog=services.catalog))


async def test_an_id_named_twice_is_followed_once(services: Services, hub: Hub) -> None:
    """A careless client gets no doubled messages."""
    image = an_image(status=Status.READY)
    await services.catalog.add([image])
    updates = image_updates([image.id, image.id], owner="ada", hub=hub, catalog=services.catalog)
    assert [state.id async for state in updates] == [image.id]


async def test_a_subscriber_that_does_not_read_holds_one_state_of_each_image() -> None:
    """Latest wins, and an older state never replaces a newer."""
    watcher = Watcher()
    one, other = an_image(), an_image()
    for version in (1, 5, 3):
        watcher.offer(one.model_copy(update={"version": version}))
    watcher.offer(other)
    assert [(image.id, image.version) for image in await watcher.take()] == [(one.id, 5), (other.id, 1)]


async def test_the_feed_tells_every_change_of_the_owners_images(services: Services, hub: Hub) -> None:
    """From now on, and nobody else's."""
    mine, theirs = an_image(), an_image(owner="bob")
    await services.catalog.add([mine, theirs])
    at_noon = replace(services, clock=lambda: NOON)
    items = feed(None, owner="ada", hub=hub, services=at_noon)
    async with aclosing(items):
        first = asyncio.ensure_future(anext(items))
        await moved(services, theirs, Move.ARRIVE)
        uploaded = await moved(services, mine, Move.ARRIVE)
        told = [await first]
        while told[-1].image != uploaded:
            told.append(await anext(items))
        assert {item.image.owner for item in told} == {"ada"}


async def test_the_feed_resumes_behind_a_cursor(services: Services, hub: Hub) -> None:
    """A client that was away gets the latest state of everything that changed meanwhile."""
    images = [an_image(changed_at=NOON + timedelta(minutes=n)) for n in range(3)]
    await services.catalog.add(images)
    morning = encode_cursor(Position(NOON - timedelta(hours=3), ""))
    async with aclosing(feed(morning, owner="ada", hub=hub, services=services)) as items:
        seen = [await anext(items) for _ in range(3)]
    assert [item.image for item in seen] == images

    async with aclosing(feed(seen[1].cursor, owner="ada", hub=hub, services=services)) as items:
        resumed = [await anext(items)]
        while resumed[-1].image != images[2]:
            resumed.append(await anext(items))
        assert images[0] not in [item.image for item in resumed]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "bm9uc2Vuc2U", "OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA"])
async def test_a_foreign_cursor_is_refused(services: Services, hub: Hub, cursor: str) -> None:
    """With a reason, not a traceback."""
    with pytest.raises(InvalidInput, match="cursor"):
        await anext(feed(cursor, owner="ada", hub=hub, services=services))


async def test_a_message_that_got_lost_unnoticed_is_made_up_for(services: Services) -> None:
    """No connection broke: everything that is watched is read again now and then."""
    bus = LossyBus()
    hub = Hub(services.catalog, bus, refresh_seconds=0.1)
    image = an_image(status=Status.PROCESSING, lease=a_lease())
    await services.catalog.add([image])
    deaf = replace(services, bus=bus, clock=lambda: NOON)
    async with hub.running():
        updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
        items = feed(encode_cursor(Position(NOON, "")), owner="ada", hub=hub, services=deaf)
        async with aclosing(updates), aclosing(items):
            assert (await anext(updates)).status is Status.PROCESSING
            assert (await anext(items)).image.status is Status.PROCESSING
            await moved(deaf, image, Move.FINISH, fence="a-fence")
            assert (await anext(updates)).status is Status.READY
            assert (await anext(items)).image.status is Status.READY


@pytest.mark.parametrize("behind", [timedelta(seconds=4), timedelta(seconds=-60)])
async def test_the_feed_tells_what_a_process_with_another_clock_did(
    services: Services, hub: Hub, behind: timedelta
) -> None:
    """One that is a little behind, or one far ahead that hides nothing of the others."""
    images = [an_image(changed_at=NOON - timedelta(hours=1)) for _ in range(3)]
    await services.catalog.add(images)
    items = feed(None, owner="ada", hub=hub, services=replace(services, clock=lambda: NOON))
    async with aclosing(items):
        for image, at in zip(images, (NOON, NOON - behind, NOON), strict=True):
            after = await services.catalog.move(image.id, Move.ARRIVE, at=at)
            assert after is not None
            await services.bus.publish(after)
            assert (await anext(items)).image.id == image.id


async def test_the_feed_does_not_tell_what_was_before_it(services: Services, hub: Hub) -> None:
    """Without a cursor it begins now, however short ago the last change was."""
    before, after = [an_image(changed_at=NOON - timedelta(milliseconds=1)) for _ in range(2)]
    await services.catalog.add([before, after])
    items = feed(None, owner="ada", hub=hub, services=replace(services, clock=lambda: NOON))
    async with aclosing(items):
        await moved(services, after, Move.ARRIVE)
        assert (await anext(items)).image.id == after.id
