"""Subscribers see the current state first and the last one eventually, whatever gets lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, aclosing
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from api.feed import MAX_IDS, MAX_REPLAY, feed, image_updates
from api.feed_cursor import MAX_TOLD, FeedCursor, digest
from api.hub import Hub
from api.paging import encode_cursor
from api.watchers import MAX_WAITING, Watcher
from jobs.clock import now
from jobs.errors import CursorTooOld, InvalidInput, NotFound, Unavailable
from jobs.images import Image, ImageChange, Move, Status
from jobs.ports import Catalog, Position, Services
from tests.records import NOON, a_lease, an_image
from tests.system import until

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

    async def echo(self, key: str, *, via: str) -> None:
        """Likewise."""

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


@pytest.mark.parametrize("seed", range(8))
async def test_a_client_that_comes_and_goes_misses_nothing_and_hears_nothing_twice(
    services: Services, seed: int
) -> None:
    """Changes happen while it is there, while it is away and while it resumes, by clocks five seconds apart.

    Half of the hints are lost. It leaves after any event, and comes again with the cursor of that.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets

    class HalfDeaf:
        """The real bus, which half of all messages do not reach."""

        async def publish(self, image: Image) -> None:
            """Perhaps."""
            if chance.random() < 0.5:
                await services.bus.publish(image)

        async def echo(self, key: str, *, via: str) -> None:
            """Nobody asks for it."""

        def changes(self) -> AsyncIterator[ImageChange | None]:
            """What came through."""
            return services.bus.changes()

    lossy = replace(services, bus=HalfDeaf())
    images = [an_image(changed_at=now() - timedelta(hours=1)) for _ in range(12)]
    restless = an_image(changed_at=now() - timedelta(hours=1))  # so that there is always something to hear
    await services.catalog.add([*images, restless])
    latest = {image.id: 1 for image in images}
    told: list[tuple[str, int]] = []
    all_made, all_heard = asyncio.Event(), asyncio.Event()

    async def move(image: Image) -> int:
        at = now() + timedelta(seconds=chance.uniform(-2.5, 2.5))
        after = await services.catalog.move(image.id, Move.RETARGET, at=at)
        assert after is not None
        await lossy.bus.publish(after)
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.02)))
        return after.version

    async def change() -> None:
        for _ in range(150):
            image = chance.choice(images)
            latest[image.id] = await move(image)
        all_made.set()
        while not all_heard.is_set():
            await move(restless)

    def has_heard_all() -> bool:
        heard = {image_id: version for image_id, version in told if image_id != restless.id}
        return all_made.is_set() and dict.fromkeys(latest, 1) | heard == latest

    cursor = encode_cursor(Position(now() - timedelta(minutes=1), ""))
    hub = Hub(services.catalog, lossy.bus, refresh_seconds=0.2)
    async with hub.running(), asyncio.timeout(60):
        changing = asyncio.create_task(change())
        while not all_heard.is_set():
            async with aclosing(feed(cursor, owner="ada", hub=hub, services=lossy)) as items:
                for _ in range(chance.randint(1, 15)):
                    cursor, image = await anext(items)
                    told.append((image.id, image.version))
                    if has_heard_all():
                        all_heard.set()
                        break
            await asyncio.sleep(chance.choice((0, 0.01, 0.1)))
        await changing
    assert len(told) == len(set(told))
    for image in images:
        versions = [version for image_id, version in told if image_id == image.id]
        assert versions == sorted(versions)


async def test_a_cursor_from_which_too_much_has_changed_is_refused(services: Services, hub: Hub) -> None:
    """With a code that tells the client to begin anew; up to there, everything is told."""
    morning = NOON - timedelta(hours=3)
    images = [an_image(changed_at=morning + timedelta(seconds=number)) for number in range(MAX_REPLAY)]
    await services.catalog.add(images)
    cursor = encode_cursor(Position(morning, ""))
    async with aclosing(feed(cursor, owner="ada", hub=hub, services=services)) as items:
        assert [(await anext(items)).image.id for _ in images] == [image.id for image in images]
    await services.catalog.add([an_image(), an_image(owner="bob")])
    with pytest.raises(CursorTooOld, match="10,000"):
        await anext(feed(cursor, owner="ada", hub=hub, services=services))


async def test_a_subscriber_for_whom_too_much_waits_is_told_by_the_catalog(
    services: Services, hub: Hub
) -> None:
    """It did not read while more images changed than there is room for, and hears of each once."""
    first = an_image(changed_at=NOON)
    await services.catalog.add([first])
    cursor = encode_cursor(Position(NOON, ""))
    async with aclosing(feed(cursor, owner="ada", hub=hub, services=services)) as items:
        assert (await anext(items)).image == first
        waiting = asyncio.ensure_future(anext(items))  # it listens
        await asyncio.sleep(0)
        others = [an_image(changed_at=now()) for _ in range(MAX_WAITING + 1)]
        await services.catalog.add(others)
        for image in others:
            hub.offer(image)
        told = [await waiting, *[await anext(items) for _ in others[1:]]]
        assert {item.image.id for item in told} == {image.id for image in others}


async def test_many_followers_of_an_owner_cost_one_read_a_change(services: Services) -> None:
    """Each of them is told; the catalog is asked once for what changed."""
    image = an_image(changed_at=NOON)
    await services.catalog.add([image])
    reads: list[list[str]] = []

    class Counting:
        """Notes what the hub reads."""

        async def get_many(self, image_ids: list[str], *, owner: str | None = None) -> dict[str, Image]:
            """As the catalog."""
            reads.append(list(image_ids))
            return await services.catalog.get_many(image_ids, owner=owner)

        def __getattr__(self, name: str) -> object:
            return getattr(services.catalog, name)

    counted: Catalog = Counting()  # type: ignore[assignment]
    hub = Hub(counted, services.bus)
    at_noon = replace(services, clock=lambda: NOON)
    cursor = encode_cursor(Position(NOON, ""))
    async with hub.running(), AsyncExitStack() as stack:
        feeds = [
            await stack.enter_async_context(aclosing(feed(cursor, owner="ada", hub=hub, services=at_noon)))
            for _ in range(50)
        ]
        for items in feeds:
            assert (await anext(items)).image == image
        waiting = [asyncio.ensure_future(anext(items)) for items in feeds]
        reads.clear()
        after = await moved(services, image, Move.ARRIVE)
        assert [(await item).image for item in waiting] == [after] * 50
        assert reads == [[image.id]]


def test_a_cursor_says_what_was_told_beyond_it() -> None:
    """In opaque text, with as many states as there is room for and no more."""
    told = [digest(f"img_{number:032x}", 1) for number in range(MAX_TOLD + 1)]
    for some in ([], told[:1], told[:MAX_TOLD]):
        cursor = FeedCursor(Position(NOON, "img_a"), some)
        done, again = FeedCursor.decode(cursor.encode())
        assert (done, set(again)) == (cursor.done, set(some))
    with pytest.raises(InvalidInput, match="cursor"):
        FeedCursor.decode(FeedCursor(Position(NOON, "img_a"), told).encode())


async def test_of_a_great_many_that_were_just_told_a_cursor_has_the_latest(
    services: Services, hub: Hub
) -> None:
    """Whoever comes again is told of the others once more."""
    images = [an_image(changed_at=NOON + timedelta(milliseconds=number)) for number in range(MAX_TOLD + 5)]
    await services.catalog.add(images)
    at_noon = replace(services, clock=lambda: NOON)
    cursor = encode_cursor(Position(NOON, ""))
    for known in (images, images[:5]):
        async with aclosing(feed(cursor, owner="ada", hub=hub, services=at_noon)) as items:
            told = [await anext(items) for _ in known]
            assert [item.image for item in told] == known
            cursor = told[-1].cursor
    async with aclosing(feed(cursor, owner="ada", hub=hub, services=at_noon)) as items:
        told = [await anext(items) for _ in images[:5]]  # of which the cursor has no room for others
        after = await moved(services, images[-1], Move.RETARGET)
        assert (await anext(items)).image == after


async def test_a_late_hint_of_what_the_catalog_told_tells_nothing(services: Services, hub: Hub) -> None:
    """Nor does one of an older state, however many others were told since."""
    image = an_image(changed_at=NOON)
    newer, newest = [image.model_copy(update={"version": version}) for version in (2, 3)]
    later = [NOON + timedelta(milliseconds=number + 1) for number in range(MAX_TOLD)]
    others = [an_image(changed_at=at) for at in later]
    await services.catalog.add([newer, *others])
    at_noon = replace(services, clock=lambda: NOON)
    items = feed(encode_cursor(Position(NOON, "")), owner="ada", hub=hub, services=at_noon)
    async with aclosing(items):
        first = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        hub.offer(image)  # it listens already, and has not read
        assert (await first).image == newer
        assert [(await anext(items)).image for _ in others] == others
        following = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        for hint in (image, newer, newest):
            hub.offer(hint)
        assert (await following).image == newest
        following = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        for hint in (newer, newest, *others):
            hub.offer(hint)
        await asyncio.sleep(0)
        assert not following.done()
        following.cancel()
        await asyncio.wait([following])


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("broken")])
async def test_an_owner_whose_changes_cannot_be_read_holds_up_nobody(
    services: Services, fault: Exception
) -> None:
    """Nor does one of whom it takes for ever; the former is asked for again."""
    asked: Counter[str] = Counter()

    class Faulty:
        """Answers for most owners."""

        async def changed_since(self, owner: str, *_: object, **__: object) -> list[Image]:
            """Nothing, late or never."""
            asked[owner] += 1
            if owner == "slow":
                await asyncio.Event().wait()
            if owner == "bad":
                raise fault
            return []

        def __getattr__(self, name: str) -> object:
            return getattr(services.catalog, name)

    async def all_are_asked_for_again() -> bool:
        return all(asked[owner] > 1 for owner in ("bad", *others))

    bus = LossyBus()
    hub = Hub(Faulty(), bus, refresh_seconds=0.1)  # type: ignore[arg-type]
    others = [f"owner-{number}" for number in range(50)]
    with ExitStack() as stack, capture_logs() as logs:
        for owner in ("bad", "slow", *others):
            stack.enter_context(hub.watch_owner(owner, lambda: NOON))
        async with hub.running():
            bus.notice()
            await until(all_are_asked_for_again)
    assert asked["slow"] == 1
    assert {entry["event"].partition("'s")[0] for entry in logs} == {"an owner"}
