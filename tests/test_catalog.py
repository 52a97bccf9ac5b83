"""The contract of the catalog, held to both drivers and to the one in memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from jobs.catalog import MongoCatalog, open_catalog
from jobs.embedded import Embedded
from jobs.errors import SettingsError, Unavailable
from jobs.images import (
    IN_MOTION,
    MOVES,
    RETRY_WITHIN,
    TIMELINE_LENGTH,
    Lease,
    Move,
    Source,
    Status,
    StatusChange,
    new_image_id,
)
from jobs.labels import label
from jobs.ports import Catalog, ImageFilter, ImageOrder, Position
from jobs.settings import Settings
from tests.conftest import settings_for
from tests.memory import MemoryCatalog
from tests.records import NOON, a_lease, an_image

LATER = NOON + timedelta(seconds=10)


@pytest.fixture(params=["motor", "pymongo", "memory"])
async def catalog(request: pytest.FixtureRequest, corner: Settings) -> AsyncIterator[Catalog]:
    """An empty catalog, of each kind in turn."""
    if request.param == "memory":
        yield MemoryCatalog()
        return
    async with open_catalog(corner.model_copy(update={"mongo_driver": request.param})) as opened:
        yield opened


@pytest.fixture(params=["motor", "pymongo"])
async def mongo(request: pytest.FixtureRequest, corner: Settings) -> AsyncIterator[MongoCatalog]:
    """One in a database, for what only a database shows."""
    async with open_catalog(corner.model_copy(update={"mongo_driver": request.param})) as opened:
        yield opened


async def test_a_record_comes_back_as_it_went(catalog: Catalog) -> None:
    """Nothing is lost on the way to the database and back."""
    image = an_image(metadata={"album": "Ålesund", "n": [1, {"deep": None}]}, sha256="ab" * 32)
    await catalog.add([image])
    assert await catalog.get(image.id) == image


async def test_images_are_counted_by_status(catalog: Catalog) -> None:
    """Of all owners, and no further than somebody asks for."""
    await catalog.add([an_image(owner=owner, status=Status.READY) for owner in ("ada", "bob", "eve")])
    await catalog.add([an_image()])
    assert await catalog.count(Status.READY, limit=10) == 3
    assert await catalog.count(Status.READY, limit=2) == 2
    assert await catalog.count(Status.PENDING, limit=10) == 1
    assert await catalog.count(Status.FAILED, limit=10) == 0


async def test_what_became_of_images_is_told_by_when_they_were_finished(catalog: Catalog) -> None:
    """The latest first, of all owners; not of those that no worker took."""
    ends = [Status.READY, Status.REJECTED, Status.FAILED, Status.EXPIRED, Status.DELETED, Status.READY]
    images = [
        an_image(
            owner=f"owner-{number}",
            status=status,
            stored_at=NOON,
            finished_at=NOON + timedelta(seconds=number),
        )
        for number, status in enumerate(ends)
    ]
    await catalog.add([*images, an_image()])

    async def found(since: int, limit: int = 10) -> list[tuple[Status, Any]]:
        histories = await catalog.finished_since(NOON + timedelta(seconds=since), limit=limit)
        return [(timeline[-1].status, stored_at) for timeline, stored_at in histories]

    latest = [(ends[number], NOON) for number in (5, 2, 1, 0)]
    assert await found(0) == latest
    assert await found(1) == latest[:3]
    assert await found(0, limit=2) == latest[:2]
    assert await found(6) == []


async def test_an_unknown_id_is_nothing(catalog: Catalog) -> None:
    """Not an error: whoever asks decides what it means."""
    assert await catalog.get("img_unknown") is None


async def test_adding_twice_keeps_the_first(catalog: Catalog) -> None:
    """A repeated request changes nothing, and adds what was missing."""
    first, other = an_image(), an_image()
    await catalog.add([first])
    await catalog.add([an_image(id=first.id, filename="another.jpg"), other])
    assert await catalog.get(first.id) == first
    assert await catalog.get(other.id) == other


async def test_the_secret_of_a_deployment_stays(catalog: Catalog) -> None:
    """However often it is asked for."""
    secrets = await asyncio.gather(*(catalog.secret() for _ in range(5)))
    assert len({*secrets, await catalog.secret()}) == 1


async def test_the_secret_of_a_deployment_is_its_own(
    mongo: MongoCatalog, corner: Settings, embedded: Embedded
) -> None:
    """All its processes have the same, and no others."""
    async with (
        open_catalog(corner) as beside,
        open_catalog(settings_for(embedded, f"{corner.namespace}-2")) as other,
    ):
        assert await mongo.secret() == await beside.secret() != await other.secret()


async def test_several_are_found_by_id_and_owner(catalog: Catalog) -> None:
    """Another's image looks like none at all."""
    mine, theirs = an_image(owner="ada"), an_image(owner="bob")
    await catalog.add([mine, theirs])
    assert await catalog.get_many([mine.id, theirs.id, "img_unknown"], owner="ada") == {mine.id: mine}
    assert await catalog.get_many([mine.id, theirs.id]) == {mine.id: mine, theirs.id: theirs}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("move", Move)
async def test_a_move_is_made_exactly_where_the_table_allows(
    catalog: Catalog, move: Move, status: Status
) -> None:
    """The filter and the table are one."""
    holds = move in (Move.REVEAL, Move.FINISH)
    image = an_image(status=status, lease=a_lease() if holds else None)
    await catalog.add([image])
    moved = await catalog.move(image.id, move, at=LATER, fence="a-fence" if holds else None)
    after = await catalog.get(image.id)
    assert after == (moved or image)
    if status not in MOVES[move].sources:
        assert moved is None
        return
    assert moved is not None
    assert moved.status is MOVES[move].target
    assert moved.version == image.version + 1
    assert moved.changed_at == LATER
    if moved.status is status:
        assert moved.timeline == image.timeline  # it came to nothing new
    else:
        assert (moved.timeline[-1].status, moved.timeline[-1].at) == (moved.status, LATER)


async def test_a_move_sets_what_it_is_given(catalog: Catalog) -> None:
    """Values and state change together or not at all."""
    image = an_image()
    await catalog.add([image])
    source = Source(etag='"e"', byte_size=7)
    moved = await catalog.move(image.id, Move.ARRIVE, at=LATER, values={"source": source, "due_at": LATER})
    assert moved is not None
    assert (moved.source, moved.due_at, moved.round) == (source, LATER, 1)


async def test_of_many_who_try_one_wins(catalog: Catalog) -> None:
    """Compare and set: ten doubled events move an image once."""
    image = an_image()
    await catalog.add([image])
    tries = await asyncio.gather(*(catalog.move(image.id, Move.ARRIVE, at=LATER) for _ in range(10)))
    assert sum(moved is not None for moved in tries) == 1


async def test_a_lease_keeps_others_away_until_it_ends(catalog: Catalog) -> None:
    """A second worker takes an image only when the first one's time is over."""
    image = an_image(status=Status.UPLOADED)
    await catalog.add([image])
    first = await catalog.move(
        image.id, Move.TAKE, at=NOON, values={"lease": a_lease("one", ends=NOON + timedelta(seconds=30))}
    )
    assert first is not None
    assert first.attempts == 1
    second: dict[str, Lease] = {"lease": a_lease("two", ends=NOON + timedelta(seconds=90))}
    just_before, just_then = NOON + timedelta(seconds=29), NOON + timedelta(seconds=30)
    assert await catalog.move(image.id, Move.TAKE, at=just_before, values=second) is None
    taken = await catalog.move(image.id, Move.TAKE, at=just_then, values=second)
    assert taken is not None
    assert (taken.attempts, taken.lease) == (2, second["lease"])


@pytest.mark.parametrize("move", [Move.FINISH, Move.REJECT, Move.FAIL])
async def test_a_late_worker_is_refused(catalog: Catalog, move: Move) -> None:
    """Whoever lost the fence has nothing to say about the record."""
    image = an_image(status=Status.PROCESSING, lease=a_lease("the-new-one"))
    await catalog.add([image])
    assert await catalog.move(image.id, move, at=LATER, fence="the-old-one") is None
    assert await catalog.move(image.id, move, at=LATER, fence="the-new-one") is not None


@pytest.mark.parametrize("move", [Move.TAKE, Move.REJECT, Move.FAIL])
async def test_without_a_fence_a_running_lease_is_respected(catalog: Catalog, move: Move) -> None:
    """The sweep does not take an image out of a living worker's hands."""
    image = an_image(status=Status.PROCESSING, lease=a_lease(ends=LATER))
    await catalog.add([image])
    assert await catalog.move(image.id, move, at=NOON) is None
    assert await catalog.move(image.id, move, at=LATER) is not None


async def test_nobody_finishes_without_a_fence(catalog: Catalog) -> None:
    """It would be a mistake in the program, and is treated as one."""
    with pytest.raises(ValueError, match="fence"):
        await catalog.move(new_image_id(), Move.FINISH, at=NOON)


async def test_only_its_owner_moves_an_image(catalog: Catalog) -> None:
    """One owner never changes another's."""
    image = an_image(owner="ada")
    await catalog.add([image])
    assert await catalog.move(image.id, Move.DELETE, at=LATER, owner="bob") is None
    assert await catalog.move(image.id, Move.DELETE, at=LATER, owner="ada") is not None


async def test_an_image_that_moved_meanwhile_can_be_let_alone(catalog: Catalog) -> None:
    """By whoever says which version was looked at."""
    image = an_image(status=Status.READY, version=3)
    await catalog.add([image])
    assert await catalog.move(image.id, Move.REPROCESS, at=LATER, version=2) is None
    assert await catalog.move(image.id, Move.REPROCESS, at=LATER, version=3) is not None


async def test_a_lease_is_renewed_by_its_holder_alone(catalog: Catalog) -> None:
    """Nobody else, and not when it is over."""
    lease = a_lease()
    later = lease.until + timedelta(seconds=5)
    image = an_image(status=Status.PROCESSING, lease=lease)
    await catalog.add([image])
    assert not await catalog.renew(image.id, fence="another", until=later)
    assert await catalog.renew(image.id, fence=lease.fence, until=later)
    renewed = await catalog.get(image.id)
    assert renewed is not None
    assert renewed.lease is not None
    assert (renewed.lease.until, renewed.due_at, renewed.version) == (later, later, image.version)
    assert await catalog.move(image.id, Move.FINISH, at=NOON, fence=lease.fence) is not None
    assert not await catalog.renew(image.id, fence=lease.fence, until=later)


async def test_a_released_lease_can_be_taken_at_once(catalog: Catalog) -> None:
    """A worker that gives up does not make the next one wait; a stranger releases nothing."""
    image = an_image(status=Status.PROCESSING, lease=a_lease("mine"))
    await catalog.add([image])
    assert not await catalog.release(image.id, fence="not-mine", at=NOON)
    assert await catalog.release(image.id, fence="mine", at=NOON)
    assert await catalog.move(image.id, Move.TAKE, at=NOON, values={"lease": a_lease("other")}) is not None


@pytest.mark.parametrize(("counted", "attempts"), [(True, 2), (False, 1)])
async def test_a_released_image_is_looked_at_if_nobody_takes_it(
    catalog: Catalog, counted: bool, attempts: int
) -> None:
    """And what was no attempt is not counted as one."""
    image = an_image(status=Status.PROCESSING, lease=a_lease("mine"), attempts=2, takes=3)
    await catalog.add([image])
    assert await catalog.release(image.id, fence="mine", at=NOON, counted=counted)
    after = await catalog.get(image.id)
    assert after is not None
    assert (after.attempts, after.takes, after.version) == (attempts, 3, image.version)
    assert (after.lease, after.due_at) == (a_lease("mine", ends=NOON), NOON + RETRY_WITHIN)


async def test_a_timeline_has_an_end(catalog: Catalog) -> None:
    """The latest changes are kept."""
    changes = [
        StatusChange(status=Status.READY, at=NOON + timedelta(seconds=n)) for n in range(TIMELINE_LENGTH)
    ]
    image = an_image(status=Status.READY, timeline=tuple(changes))
    await catalog.add([image])
    moved = await catalog.move(image.id, Move.REPROCESS, at=LATER)
    assert moved is not None
    assert moved.timeline == (*changes[1:], StatusChange(status=Status.UPLOADED, at=LATER))


async def test_reprocessing_starts_a_new_round(catalog: Catalog) -> None:
    """Attempts begin anew, and the job is another."""
    image = an_image(status=Status.FAILED, attempts=4, round=1)
    await catalog.add([image])
    moved = await catalog.move(image.id, Move.REPROCESS, at=LATER)
    assert moved is not None
    assert (moved.attempts, moved.round) == (0, 2)


async def test_what_is_due_is_found_longest_waiting_first(catalog: Catalog) -> None:
    """The sweep sees each record in motion when its time has come, and none at rest."""
    late, later = an_image(due_at=NOON), an_image(due_at=NOON - timedelta(seconds=1))
    future, resting = an_image(due_at=LATER), an_image(status=Status.READY)
    await catalog.add([late, later, future, resting])
    assert [image.id for image in await catalog.due(at=NOON, limit=10)] == [later.id, late.id]
    assert [image.id for image in await catalog.due(at=NOON, limit=1)] == [later.id]


async def test_a_postponed_record_is_due_later_unless_it_moved(catalog: Catalog) -> None:
    """Putting off what has meanwhile moved would undo what the move said."""
    image = an_image(due_at=NOON)
    await catalog.add([image])
    await catalog.postpone(image, until=LATER)
    assert await catalog.due(at=NOON, limit=10) == []
    await catalog.move(image.id, Move.ARRIVE, at=NOON, values={"due_at": NOON})
    await catalog.postpone(image, until=LATER)
    assert len(await catalog.due(at=NOON, limit=10)) == 1


@pytest.mark.parametrize("move", [move for move in Move if MOVES[move].target not in IN_MOTION])
async def test_an_image_at_rest_is_never_due(catalog: Catalog, move: Move) -> None:
    """Rest is rest."""
    source = sorted(MOVES[move].sources)[0]
    image = an_image(status=source, due_at=NOON, lease=a_lease() if move is Move.FINISH else None)
    await catalog.add([image])
    fence = "a-fence" if move is Move.FINISH else None
    assert await catalog.move(image.id, move, at=NOON, fence=fence) is not None
    assert await catalog.due(at=LATER, limit=10) == []


@pytest.mark.parametrize("order", ImageOrder)
async def test_pages_neither_skip_nor_repeat(catalog: Catalog, order: ImageOrder) -> None:
    """Even where several images have the same millisecond; those that lack the time are not there."""
    times = [NOON + timedelta(milliseconds=n // 3) for n in range(10)]
    mine = [an_image(created_at=at, finished_at=LATER - (at - NOON)) for at in times]
    unfinished = an_image()
    await catalog.add([*mine, unfinished, an_image(owner="bob", finished_at=NOON)])
    places = {place: image for image in [*mine, unfinished] if (place := order.position(image))}
    expected = [places[place] for place in sorted(places, reverse=order.newest_first)]
    assert (unfinished in expected) == (order.field == "created_at")
    seen, after = [], None
    while page := await catalog.page("ada", first=3, after=after, order=order):
        seen += page
        after = order.position(page[-1])
    assert seen == expected


async def test_everybodys_images_are_walked_by_id(catalog: Catalog) -> None:
    """Each once, whoever owns it, in whatever order they came."""
    images = [an_image(owner=owner) for owner in ("ada", "bob", "ada", "bob", "ada")]
    await catalog.add(images)
    seen, after = [], None
    while page := await catalog.by_id(after=after, limit=2):
        seen += page
        after = page[-1].id
    assert seen == sorted(images, key=lambda image: image.id)


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("matching", "found"),
    [
        (ImageFilter(), "abcd"),
        (ImageFilter(statuses=[Status.READY, Status.FAILED]), "abc"),
        (ImageFilter(statuses=[]), ""),
        (ImageFilter(presets=["avatar", "of-yesterday"]), "bd"),
        (ImageFilter(presets=[]), ""),
        (ImageFilter(created_after=NOON + SECOND), "bcd"),
        (ImageFilter(created_before=NOON + 2 * SECOND), "ab"),
        (ImageFilter(created_after=NOON + SECOND, created_before=NOON + 2 * SECOND), "b"),
        (ImageFilter(label=label("album")), "abc"),
        (ImageFilter(label=label("album", "7")), "ab"),
        (ImageFilter(label=label("album", "true")), ""),
        (ImageFilter(label=label("place", "true")), "b"),
        (ImageFilter(label=label("tags")), "c"),
        (ImageFilter(label=label("tags", '["x"]')), ""),
        (ImageFilter(label=label("x")), ""),
        (ImageFilter(label=label("album", "7"), presets=["avatar"], statuses=[Status.FAILED]), "b"),
    ],
)
async def test_a_page_shows_what_matches(catalog: Catalog, matching: ImageFilter, found: str) -> None:
    """In every order, behind whatever cursor; and `matches` says the same."""
    kinds: list[dict[str, Any]] = [
        {"status": Status.READY, "metadata": {"album": 7}},
        {"status": Status.FAILED, "metadata": {"album": "7", "place": True}, "preset": "avatar"},
        {"status": Status.READY, "metadata": {"album": {"x": 7}, "tags": ["x"]}},
        {"status": Status.EXPIRED, "preset": "avatar"},
    ]
    images = [
        an_image(filename=name, created_at=NOON + n * SECOND, finished_at=NOON + n * SECOND, **kind)
        for n, (name, kind) in enumerate(zip("abcd", kinds, strict=True))
    ]
    theirs = [image.model_copy(update={"id": new_image_id(), "owner": "bob"}) for image in images]
    await catalog.add([*images, *theirs])
    assert "".join(image.filename for image in images if matching.matches(image)) == found
    for order in ImageOrder:
        page = await catalog.page("ada", first=10, matching=matching, order=order)
        assert "".join(image.filename for image in page) == (found[::-1] if order.newest_first else found)
        for n, image in enumerate(page, start=1):
            after = order.position(image)
            rest = await catalog.page("ada", first=1, after=after, matching=matching, order=order)
            assert rest == page[n : n + 1]


async def test_metadata_that_were_forgotten_find_nothing(catalog: Catalog) -> None:
    """A tombstone tells nothing of them."""
    image = an_image(metadata={"name": "Ada"})
    await catalog.add([image])
    matching = ImageFilter(label=label("name", "Ada"))
    assert await catalog.page("ada", first=1, matching=matching) == [image]
    assert await catalog.move(image.id, Move.DELETE, at=LATER, values={"metadata": None}) is not None
    assert await catalog.page("ada", first=1, matching=matching) == []


async def test_changes_come_in_the_order_in_which_they_happened(catalog: Catalog) -> None:
    """Those after a place, and only the owner's."""
    images = [an_image(changed_at=NOON + timedelta(seconds=n)) for n in range(4)]
    await catalog.add([*reversed(images), an_image(owner="bob")])
    since = Position(images[1].changed_at, images[1].id)
    assert await catalog.changed_since("ada", since, limit=10) == images[2:]
    assert await catalog.changed_since("ada", since, limit=1) == images[2:3]
    assert [await catalog.count_changed_since("ada", since, limit=limit) for limit in (1, 2, 3)] == [1, 2, 2]


async def test_versions_are_those_of_the_records_that_exist(catalog: Catalog) -> None:
    """Whoever owns them; what never was has none."""
    images = [an_image(version=version, owner=owner) for version, owner in ((3, "ada"), (7, "bob"))]
    await catalog.add(images)
    ids = [image.id for image in images]
    assert await catalog.versions([*ids, new_image_id(), "img_unknown"]) == dict(
        zip(ids, (3, 7), strict=True)
    )


@pytest.mark.parametrize("change", [{"status": "FROM_THE_FUTURE"}, {"metadata": "{"}, {"metadata": 5}])
async def test_a_record_that_cannot_be_read_does_not_hide_its_neighbours(
    mongo: MongoCatalog, change: dict[str, Any]
) -> None:
    """It may have been written by another version."""
    good, bad = an_image(due_at=NOON), an_image(due_at=NOON)
    await mongo.add([good, bad])
    await mongo._images.update_one({"_id": bad.id}, {"$set": change})  # noqa: SLF001
    assert await mongo.due(at=NOON, limit=10) == [good]
    assert await mongo.get_many([good.id, bad.id]) == {good.id: good}
    assert await mongo.by_id(limit=2) == [good]
    assert await mongo.known([good.id, bad.id, new_image_id(), "img_unknown"]) == {good.id, bad.id}


async def test_it_answers(catalog: Catalog) -> None:
    """A ping of a living database says nothing."""
    await catalog.ping()


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_database_that_is_away_is_unavailable(driver: str, corner: Settings) -> None:
    """Whatever the driver raises, callers see one error, which names the setting."""
    nowhere = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50"
    away = corner.model_copy(update={"mongo_driver": driver, "mongo_url": nowhere})
    with pytest.raises(Unavailable, match="DARKROOM_MONGO_URL"):
        async with open_catalog(away):
            pass


async def test_records_that_cannot_be_read_stand_in_nobodys_place(mongo: MongoCatalog) -> None:
    """Whoever asks for so many gets as many, where there are as many that can be read."""
    images = [an_image(due_at=NOON + timedelta(seconds=n), changed_at=NOON) for n in range(6)]
    await mongo.add(images)
    broken = {"$set": {"status": "FROM_THE_FUTURE"}}
    await mongo._images.update_many({"_id": {"$in": [image.id for image in images[:3]]}}, broken)  # noqa: SLF001
    assert await mongo.due(at=LATER, limit=2) == images[3:5]
    assert await mongo.due(at=LATER, limit=5) == images[3:]
    assert len(await mongo.page("ada", first=3)) == 3


async def test_the_sweep_finds_what_is_due_by_its_index(mongo: MongoCatalog) -> None:
    """However many records are at rest, they are not read."""
    await mongo.add([an_image() for _ in range(50)] + [an_image(due_at=NOON)])
    await mongo.database.command("profile", 2)
    assert len(await mongo.due(at=NOON, limit=10)) == 1
    profiled = {"op": "query", "ns": {"$regex": "images$"}}
    entry = await mongo.database["system.profile"].find_one(profiled)
    assert "due" in entry["planSummary"]
    assert entry["docsExamined"] == 1


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
@pytest.mark.parametrize("url", ["mongodb://user:p@ss@host/db", "mongodb://host:99999", "mongodb://[::1"])
async def test_an_address_that_makes_no_sense_is_named(driver: str, url: str, corner: Settings) -> None:
    """Without what may be a password."""
    wrong = corner.model_copy(update={"mongo_driver": driver, "mongo_url": url})
    with pytest.raises(SettingsError, match="DARKROOM_MONGO_URL") as error:
        async with open_catalog(wrong):
            pass
    assert "p@ss" not in str(error.value)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_no_url_weakens_what_is_read_and_written(corner: Settings, driver: str) -> None:
    """A record that is read late, or forgotten, has the sweep remove what is shown."""
    careless = corner.mongo_url.replace("directConnection=true", "w=0&readConcernLevel=local")
    url = f"{careless}&readPreference=secondary&serverSelectionTimeoutMS=2000"  # of which there is none
    image = an_image(lease=a_lease())
    async with (
        open_catalog(corner) as usual,
        open_catalog(corner.model_copy(update={"mongo_driver": driver, "mongo_url": url})) as catalog,
    ):
        database = usual.database
        await database.command("profile", 2)
        await catalog.add([image])
        assert await catalog.renew(image.id, fence="a-fence", until=LATER)
        assert await catalog.move(image.id, Move.ARRIVE, at=LATER) is not None
        assert await catalog.get(image.id) is not None
        assert await catalog.count_changed_since("ada", Position(NOON, ""), limit=9) == 1
        await database.command("profile", 0)
        seen = await database["system.profile"].find({"ns": f"{database.name}.images"}).to_list(None)
    said = {next(iter(entry["command"])): entry["command"] for entry in seen if entry["op"] != "update"}
    assert {name: command.get("readConcern") for name, command in said.items()} == {
        "insert": None,
        "findAndModify": None,
        "find": {"level": "majority"},
        "aggregate": {"level": "majority"},
    }
    assert (
        said["insert"]["writeConcern"]
        == said["findAndModify"]["writeConcern"]
        == {"w": "majority", "j": True}
    )
