"""Who follows an owner hears of every change once, over however many lives, whatever gets lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from api.feed import feed
from api.feed_cursor import FeedCursor
from api.hub import Hub
from api.owner_watch import MAX_REPLAY
from api.watchers import MAX_WAITING, FeedItem
from jobs.clock import now
from jobs.errors import CursorTooOld, InvalidInput, Unavailable
from jobs.images import Image, ImageChange, Move, Status
from jobs.mongo import open_database
from jobs.ports import FeedEntry, FeedState, Services
from tests.following import LossyBus
from tests.records import a_lease, an_image
from tests.system import until


@pytest.fixture
async def hub(services: Services) -> AsyncIterator[Hub]:
    """The hub of an API process, following the real bus."""
    hub = Hub(services)
    async with hub.running():
        yield hub


async def changed(services: Services, image: Image, at: datetime | None = None) -> Image:
    """The record after a move that leaves it where it is, and that everybody is told of."""
    after = await services.catalog.move(image.id, Move.RETARGET, at=at or now())
    assert after is not None
    await services.bus.publish(after)
    return after


async def a_cursor(services: Services, hub: Hub) -> str:
    """That of a client of ada's which was told of one image, and went away."""
    image = an_image(changed_at=services.clock())
    async with aclosing(feed(None, owner="ada", hub=hub, services=services)) as items:
        first = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        await services.catalog.add([image])
        hub.offer(image)
        return (await first).cursor


async def _listens(hub: Hub) -> bool:
    with hub.watch_owner("ada") as (_, watch):
        await watch.begin()
        return len(watch.watchers) > 1


async def told(cursor: str | None, count: int, services: Services, hub: Hub) -> list[FeedItem]:
    """What ada's client is told in a life of so many events."""
    async with aclosing(feed(cursor, owner="ada", hub=hub, services=services)) as items:
        return [await anext(items) for _ in range(count)]


async def test_the_feed_tells_every_change_of_the_owners_images(services: Services, hub: Hub) -> None:
    """From now on, and nobody else's."""
    mine, theirs = an_image(), an_image(owner="bob")
    await services.catalog.add([mine, theirs])
    async with aclosing(feed(None, owner="ada", hub=hub, services=services)) as items:
        first = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        await changed(services, theirs)
        states = [await changed(services, mine)]
        assert (await first).image == states[0]
        await changed(services, theirs)
        states.append(await changed(services, mine))
        assert (await anext(items)).image == states[1]


async def test_the_feed_resumes_behind_a_cursor(services: Services, hub: Hub) -> None:
    """A client that was away gets the latest state of everything that changed meanwhile, and no more."""
    images = [an_image(changed_at=now() - timedelta(hours=1)) for _ in range(4)]
    await services.catalog.add(images)
    cursor = await a_cursor(services, hub)
    for image in images[:3]:
        await changed(services, image)
    latest = [await changed(services, image) for image in images[1::-1]]
    latest.insert(0, (await services.catalog.get_many([images[2].id]))[images[2].id])
    seen = await told(cursor, 3, services, hub)
    assert sorted(item.image.id for item in seen) == sorted(image.id for image in latest)
    assert {item.image.id: item.image for item in seen} == {image.id: image for image in latest}

    another = Hub(services)  # that of another process
    async with another.running():
        last = await changed(services, images[3])
        assert [item.image for item in await told(seen[1].cursor, 2, services, another)] == [
            seen[2].image,
            last,
        ]


@pytest.mark.parametrize(
    "cursor", ["", "x", "%%%", "bm9uc2Vuc2U", "OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA", "RkVFRDowMTow", "RkVFRDp4OjA"]
)
async def test_a_foreign_cursor_is_refused(services: Services, hub: Hub, cursor: str) -> None:
    """With a reason, not a traceback."""
    with pytest.raises(InvalidInput, match="cursor"):
        await told(cursor, 1, services, hub)


@pytest.mark.parametrize("place", [FeedCursor(1, 0), FeedCursor(10**18 - 1, 10**18 - 1)])
async def test_a_cursor_of_a_log_that_is_no_more_is_too_old(
    services: Services, hub: Hub, place: FeedCursor
) -> None:
    """Or of one that was not yet, as where a database was restored."""
    with pytest.raises(CursorTooOld):
        await told(place.encode(), 1, services, hub)


@pytest.mark.parametrize("place", [FeedCursor(1, 0), FeedCursor(10**18 - 1, 10**18 - 1)])
def test_a_cursor_comes_back_as_it_went(place: FeedCursor) -> None:
    """As text that goes into a URL."""
    assert FeedCursor.decode(place.encode()) == place
    assert place.encode().replace("-", "").replace("_", "").isalnum()


async def test_a_message_that_got_lost_unnoticed_is_made_up_for(services: Services) -> None:
    """No connection broke: everything that is followed is looked at again now and then."""
    deaf = replace(services, bus=LossyBus())
    hub = Hub(deaf, refresh_seconds=0.1)
    image = an_image(status=Status.PROCESSING, lease=a_lease(), changed_at=now())
    async with hub.running(), aclosing(feed(None, owner="ada", hub=hub, services=deaf)) as items:
        first = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        await services.catalog.add([image])
        assert (await first).image == image
        assert await services.catalog.move(image.id, Move.FINISH, at=now(), fence="a-fence")
        assert (await anext(items)).image.status is Status.READY


@pytest.mark.parametrize("behind", [timedelta(seconds=4), timedelta(seconds=-60)])
async def test_the_feed_tells_what_a_process_with_another_clock_did(
    services: Services, hub: Hub, behind: timedelta
) -> None:
    """One that is a little behind, or one far ahead that hides nothing of the others."""
    images = [an_image(changed_at=now() - timedelta(hours=1)) for _ in range(3)]
    await services.catalog.add(images)
    async with aclosing(feed(None, owner="ada", hub=hub, services=services)) as items:
        following = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        for image, off in zip(images, (timedelta(), behind, timedelta()), strict=True):
            await changed(services, image, at=now() - off)
            assert (await following).image.id == image.id
            following = asyncio.ensure_future(anext(items))
        following.cancel()
        await asyncio.wait([following])


async def test_the_feed_does_not_tell_what_was_before_it(services: Services, hub: Hub) -> None:
    """Without a cursor it begins now, however short ago the last change was."""
    before, after = [an_image(changed_at=now()) for _ in range(2)]
    await services.catalog.add([before, after])
    async with aclosing(feed(None, owner="ada", hub=hub, services=services)) as items:
        following = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        await changed(services, after)
        assert (await following).image.id == after.id


class HalfDeaf:
    """The real bus, which half of all messages do not reach."""

    def __init__(self, services: Services, chance: random.Random) -> None:
        self._bus = services.bus
        self._chance = chance

    async def publish(self, image: Image) -> None:
        """Perhaps."""
        if self._chance.random() < 0.5:
            await self._bus.publish(image)

    async def echo(self, key: str, *, via: str) -> None:
        """Nobody asks for it."""

    def changes(self) -> AsyncIterator[ImageChange | None]:
        """What came through."""
        return self._bus.changes()


@pytest.mark.parametrize("seed", range(8))
async def test_a_client_that_comes_and_goes_misses_nothing_and_hears_nothing_twice(
    services: Services, seed: int
) -> None:
    """Changes happen while it is there, while it is away and while it resumes, by clocks five seconds apart.

    Half of the hints are lost. It leaves after any event, and comes again with the cursor of that, to one of
    two processes; in each of them there is somebody who stays, too.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    lossy = replace(services, bus=HalfDeaf(services, chance))
    images = [an_image(changed_at=now() - timedelta(hours=1)) for _ in range(12)]
    restless = an_image(changed_at=now() - timedelta(hours=1))  # so that there is always something to hear
    await services.catalog.add([*images, restless])
    latest = {image.id: 1 for image in images}
    heard: list[list[tuple[str, int]]] = [[], [], []]
    are_made, all_heard = False, asyncio.Event()

    async def change(image: Image) -> int:
        after = await changed(lossy, image, at=now() + timedelta(seconds=chance.uniform(-2.5, 2.5)))
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.02)))
        return after.version

    async def make_changes() -> None:
        nonlocal are_made
        for _ in range(150):
            image = chance.choice(images)
            latest[image.id] = await change(image)
        are_made = True
        while not all_heard.is_set():
            await change(restless)

    def has_heard_all(told: list[tuple[str, int]]) -> bool:
        last = {image_id: version for image_id, version in told if image_id != restless.id}
        return are_made and dict.fromkeys(latest, 1) | last == latest

    async def stay(hub: Hub, told: list[tuple[str, int]]) -> None:
        async with aclosing(feed(None, owner="ada", hub=hub, services=lossy)) as items:
            async for _, image in items:
                told.append((image.id, image.version))
                if has_heard_all(told):
                    return

    async def come_and_go(cursor: str, hubs: list[Hub], told: list[tuple[str, int]]) -> None:
        while not has_heard_all(told):
            hub = chance.choice(hubs)
            async with aclosing(feed(cursor, owner="ada", hub=hub, services=lossy)) as items:
                for _ in range(chance.randint(1, 15)):
                    item = await anext(items)
                    cursor = item.cursor
                    told.append((item.image.id, item.image.version))
                    if has_heard_all(told):
                        break
            await asyncio.sleep(chance.choice((0, 0.01, 0.1)))

    hubs = [Hub(lossy, refresh_seconds=0.2) for _ in range(2)]
    async with hubs[0].running(), hubs[1].running(), asyncio.timeout(60):
        cursor = await a_cursor(lossy, hubs[0])
        following = [
            asyncio.create_task(stay(hubs[0], heard[0])),
            asyncio.create_task(stay(hubs[1], heard[1])),
            asyncio.create_task(come_and_go(cursor, hubs, heard[2])),
        ]
        await until(lambda: _listens(hubs[0]))
        await until(lambda: _listens(hubs[1]))
        changing = asyncio.create_task(make_changes())
        await asyncio.gather(*following)
        all_heard.set()  # cancelled in a call of the Redis client, it might go on: see `jobs.bus.listen`
        await changing
    for states in heard:
        assert len(states) == len(set(states))
        for image in images:
            versions = [version for image_id, version in states if image_id == image.id]
            assert versions == sorted(versions)


@asynccontextmanager
async def a_process(services: Services, time: datetime) -> AsyncIterator[tuple[Services, Hub]]:
    """One of the API, at a time that stands still."""
    then = replace(services, clock=lambda: time)
    hub = Hub(then)
    async with hub.running():
        yield then, hub


async def test_a_cursor_from_which_too_much_has_changed_is_refused(services: Services) -> None:
    """With a code that tells the client to begin anew; up to there, everything is told, once."""
    noon = now()  # the database removes what is a week old by its own clock
    morning = noon - timedelta(hours=3)
    async with a_process(services, morning) as process:
        cursor = await a_cursor(*process)
    images = [an_image(changed_at=morning + timedelta(seconds=1 + number)) for number in range(MAX_REPLAY)]
    await services.catalog.add(images)
    async with a_process(services, noon) as process:
        items = await told(cursor, MAX_REPLAY, *process)
    assert [item.image for item in items] == images
    await services.catalog.add([an_image(changed_at=noon), an_image(owner="bob", changed_at=noon)])
    async with a_process(services, noon) as process:
        with pytest.raises(CursorTooOld, match="10,000"):
            await told(cursor, 1, *process)


async def test_so_much_that_nobody_followed_is_not_logged(services: Services) -> None:
    """The log says that there was much; whoever follows from then on is told."""
    noon = now() - timedelta(hours=3)
    async with a_process(services, noon) as process:
        cursor = await a_cursor(*process)
    at = noon + timedelta(minutes=1)
    images = [an_image(changed_at=at) for _ in range(MAX_REPLAY + 1)]
    await services.catalog.add(images)
    async with a_process(services, noon + timedelta(hours=1)) as process:
        with pytest.raises(CursorTooOld, match="10,000"):
            await told(cursor, 1, *process)
        cursor = await a_cursor(*process)
    async with a_process(services, noon + timedelta(hours=2)) as process:
        after = await changed(process[0], images[0], at=noon + timedelta(hours=1, seconds=1))
        assert [item.image for item in await told(cursor, 1, *process)] == [after]
    entries = await services.feed_log.entries("ada", after=0, limit=9)
    assert [entry.cut for entry in entries] == [True, False, True, False, False]


async def test_a_subscriber_for_whom_too_much_waits_is_told_by_the_log(services: Services, hub: Hub) -> None:
    """It did not read while more images changed than there is room for, and hears of each once."""
    cursor = await a_cursor(services, hub)
    first = an_image(changed_at=now())
    await services.catalog.add([first])
    async with aclosing(feed(cursor, owner="ada", hub=hub, services=services)) as items:
        hub.offer(first)
        assert (await anext(items)).image == first
        others = [an_image(changed_at=now()) for _ in range(2 * MAX_WAITING + 1)]
        await services.catalog.add(others)
        for image in others:
            hub.offer(image)
        seen = [await anext(items) for _ in others]
        assert {item.image.id for item in seen} == {image.id for image in others}
        after = await changed(services, first)
        assert (await anext(items)).image == after


async def test_a_great_many_that_changed_just_before_are_told_once(services: Services, hub: Hub) -> None:
    """A client that leaves in the middle of them goes on there, be it in another process."""
    cursor = await a_cursor(services, hub)
    images = [an_image(changed_at=now()) for _ in range(1_000)]
    await services.catalog.add(images)
    another = Hub(services)
    items: list[FeedItem] = []
    async with another.running():
        for process in (hub, another, hub, another):
            items += await told(cursor, 250, services, process)
            cursor = items[-1].cursor
        assert sorted(item.image.id for item in items) == sorted(image.id for image in images)
        after = await changed(services, images[0])
        assert [item.image for item in await told(cursor, 1, services, hub)] == [after]


async def test_many_followers_of_an_owner_cost_one_read_and_one_entry_a_change(services: Services) -> None:
    """Each of them is told; the catalog is asked once for what changed."""
    image = an_image(changed_at=now())
    reads: list[list[str]] = []

    class Counting:
        """Notes what the hub reads."""

        async def get_many(self, image_ids: list[str], *, owner: str | None = None) -> dict[str, Image]:
            """As the catalog."""
            reads.append(list(image_ids))
            return await services.catalog.get_many(image_ids, owner=owner)

        def __getattr__(self, name: str) -> object:
            return getattr(services.catalog, name)

    counted = replace(services, catalog=Counting())  # type: ignore[arg-type]
    hub = Hub(counted)
    async with hub.running(), AsyncExitStack() as stack:
        cursor = await a_cursor(services, hub)
        await services.catalog.add([image])
        feeds = [
            await stack.enter_async_context(aclosing(feed(cursor, owner="ada", hub=hub, services=counted)))
            for _ in range(50)
        ]
        for items in feeds:
            assert (await anext(items)).image == image
        waiting = [asyncio.ensure_future(anext(items)) for items in feeds]
        reads.clear()
        after = await changed(services, image)
        assert [(await item).image for item in waiting] == [after] * 50
        assert reads == [[image.id]]
    entries = await services.feed_log.entries("ada", after=FeedCursor.decode(cursor).seq, limit=9)
    assert [[state.version for state in entry.states] for entry in entries] == [[1], [2]]


async def test_a_late_hint_of_what_was_told_tells_nothing(services: Services, hub: Hub) -> None:
    """Nor does one of an older state."""
    older = an_image(changed_at=now())
    image, newer = [older.model_copy(update={"version": version}) for version in (2, 3)]
    cursor = await a_cursor(services, hub)
    await services.catalog.add([image])
    async with aclosing(feed(cursor, owner="ada", hub=hub, services=services)) as items:
        assert (await anext(items)).image == image
        following = asyncio.ensure_future(anext(items))
        for hint in (older, image, newer):
            hub.offer(hint)
        assert (await following).image == newer
        other = an_image(changed_at=now())
        for hint in (image, newer, older, other):
            hub.offer(hint)
        assert (await anext(items)).image == other


async def test_an_entry_that_somebody_else_wrote_is_told_as_well(services: Services, hub: Hub) -> None:
    """Even if no hint came, and even if the image has changed again since."""
    images = [an_image(changed_at=now()) for _ in range(3)]
    async with aclosing(feed(None, owner="ada", hub=hub, services=services)) as items:
        following = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        await services.catalog.add(images[:2])
        again = await services.catalog.move(images[0].id, Move.RETARGET, at=now())
        assert again is not None
        [end] = await services.feed_log.tail("ada")
        states = tuple(FeedState(image.id, image.version, image.changed_at) for image in images)
        theirs = FeedEntry(end.seq + 1, end.seq, at=end.at, floor=end.floor, states=states)
        assert await services.feed_log.append("ada", theirs)
        with hub.watch_owner("ada") as (_, watch):
            watch.doubt()
            await watch.settle()
        seen = [await following, await anext(items)]
        assert [item.image for item in seen] == [images[1], again]
        assert seen[0].place == FeedCursor(theirs.seq, 1)
        assert [
            entry.after for entry in await services.feed_log.entries("ada", after=theirs.seq, limit=9)
        ] == [theirs.seq]


async def test_a_cursor_from_before_the_database_was_restored_is_too_old(services: Services) -> None:
    """Though the log has grown again: no number is given out twice."""
    image = an_image(changed_at=now())
    backup = []
    for number in range(6):
        hub = Hub(services)
        async with hub.running():
            cursor = await a_cursor(services, hub)
        if number == 1:
            backup = await services.feed_log.tail("ada")
    async with open_database(services.settings) as database:
        await database["feed"].delete_many({"owner": "ada", "seq": {"$gt": backup[-1].seq}})
    await services.catalog.add([image])
    hub = Hub(services)
    async with hub.running():
        for _ in range(8):
            await a_cursor(services, hub)
        with pytest.raises(CursorTooOld):
            await told(cursor, 1, services, hub)


@pytest.mark.parametrize("late", [timedelta(seconds=35), timedelta(minutes=5)])
@pytest.mark.parametrize("is_hinted", [True, False])
async def test_a_change_that_was_written_late_is_told(
    services: Services, late: timedelta, *, is_hinted: bool
) -> None:
    """Though what changed later has been told: the database stood still, then wrote what had waited."""
    time = now()
    slow = replace(services, clock=lambda: time)
    hub = Hub(slow)
    images = [an_image(changed_at=time - timedelta(hours=1)) for _ in range(2)]
    await services.catalog.add(images)
    async with aclosing(feed(None, owner="ada", hub=hub, services=slow)) as items:
        following = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        begun, time = time, time + late
        with hub.watch_owner("ada") as (_, watch):
            for image, at in zip(images, (time, begun + timedelta(seconds=1)), strict=True):
                after = await services.catalog.move(image.id, Move.RETARGET, at=at)
                assert after is not None
                if is_hinted:
                    hub.offer(after)
                watch.doubt()
                await watch.settle()
                assert (await following).image == after
                following = asyncio.ensure_future(anext(items))
        following.cancel()
        await asyncio.wait([following])


async def test_owners_of_whom_nothing_changes_are_not_asked_for_one_by_one(services: Services) -> None:
    """However many are followed; one who changes is told of all the same."""
    calls: Counter[str] = Counter()

    class Counting:
        """Notes what is asked for."""

        def __getattr__(self, name: str) -> object:
            calls[name] += 1
            return getattr(services.catalog, name)

    async def looked_again() -> bool:
        return calls["owners_changed_since"] >= 60

    deaf = replace(services, catalog=Counting(), bus=LossyBus())  # type: ignore[arg-type]
    hub = Hub(deaf, refresh_seconds=0.1)
    async with hub.running(), AsyncExitStack() as stack:
        for number in range(40):
            _, watch = stack.enter_context(hub.watch_owner(f"owner-{number}"))
            await hub.begin(watch)
        items = await stack.enter_async_context(aclosing(feed(None, owner="ada", hub=hub, services=deaf)))
        following = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        calls.clear()
        await until(looked_again)
        assert calls["changed_since"] == 0
        image = an_image(changed_at=now())
        await services.catalog.add([image])
        assert (await following).image == image


async def test_a_log_that_was_lost_begins_anew(services: Services, hub: Hub) -> None:
    """Whoever follows is told that something may be missing, and may follow again."""
    cursor = await a_cursor(services, hub)
    async with aclosing(feed(None, owner="ada", hub=hub, services=services)) as items:
        following = asyncio.ensure_future(anext(items))
        await until(lambda: _listens(hub))
        async with open_database(services.settings) as database:
            await database["feed"].delete_many({})
        another = Hub(services)
        with another.watch_owner("ada") as (_, watch):
            await watch.begin()
        with hub.watch_owner("ada") as (_, watch):
            watch.doubt()
            with pytest.raises(Unavailable):
                await watch.settle()
            anew = await watch.begin()
            assert anew == await watch.begin() == FeedCursor((await services.feed_log.tail("ada"))[-1].seq)
        with pytest.raises(CursorTooOld):
            await following
    with pytest.raises(CursorTooOld):
        await told(cursor, 1, services, hub)
    cursor = await a_cursor(services, hub)
    after = an_image(changed_at=now())
    await services.catalog.add([after])
    hub.offer(after)
    assert [item.image for item in await told(cursor, 1, services, hub)] == [after]


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

    async def all_are_asked_for() -> bool:
        return all(asked[owner] for owner in others) and asked["bad"] > 1

    bus = LossyBus()
    hub = Hub(replace(services, catalog=Faulty(), bus=bus), refresh_seconds=0.1)  # type: ignore[arg-type]
    others = [f"owner-{number}" for number in range(50)]
    with ExitStack() as stack, capture_logs() as logs:
        for owner in ("bad", "slow", *others):
            stack.enter_context(hub.watch_owner(owner))
        async with hub.running():
            bus.notice()
            await until(all_are_asked_for)
    assert asked["slow"] == 1
    assert {entry["event"].partition("'s")[0] for entry in logs} == {"an owner"}
