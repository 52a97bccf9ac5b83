"""What does not fit together is found and, if that is asked for, ended; what is alive is let alone."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from jobs.catalog import MongoCatalog
from jobs.consistency import Fault, Finding, Remedy
from jobs.errors import Conflict, ProblemCode, Unavailable
from jobs.formats import VariantFormat
from jobs.images import (
    Image,
    Move,
    Problem,
    Source,
    Status,
    Variant,
    new_fence,
    new_image_id,
    source_key,
    variant_key,
)
from jobs.orphans import SETTLED, Totals, scan
from jobs.ports import Listed, Services
from tests.records import a_lease, an_image

BODY = b"what was uploaded"
MADE = b"what was made of it"
GONE = Problem(code=ProblemCode.SOURCE_MISSING, message="Gone.", retryable=False)


def later(services: Services, by: timedelta = 2 * SETTLED) -> Services:
    """The same services when all that is written now has settled."""
    return replace(services, clock=lambda: services.clock() + by)


async def stored(services: Services, *keys: str) -> list[str]:
    """Objects that a worker could have made."""
    for key in keys:
        await services.storage.write(key, MADE, content_type="image/webp")
    return list(keys)


async def kept(
    services: Services,
    status: Status,
    *,
    source: bool = True,
    variants: int = 0,
    without: Iterable[str] = (),
    **fields: Any,
) -> Image:
    """An image as the system leaves it, its objects in the store; but not those in `without`.

    Args:
        without: `"source"`, and names of variants: `"v0"`, `"v1"` and so on.
    """
    image = an_image(status=status, byte_size=len(BODY), **{"changed_at": services.clock()} | fields)
    if source:
        await services.storage.write(image.source_key, BODY, content_type="image/jpeg")
        found = await services.storage.head(image.source_key)
        assert found is not None
        image = image.model_copy(update={"source": Source(etag=found.etag, byte_size=found.byte_size)})
    fence = new_fence()
    made = tuple(
        Variant(
            name=f"v{n}",
            key=variant_key(image.id, fence, f"v{n}.webp"),
            format=VariantFormat.WEBP,
            content_type="image/webp",
            width=2,
            height=1,
            byte_size=len(MADE),
        )
        for n in range(variants)
    )
    await stored(services, *(variant.key for variant in made))
    image = image.model_copy(update={"variants": made})
    await services.catalog.add([image])
    keys = {"source": image.source_key} | {variant.name: variant.key for variant in made}
    await services.storage.delete([keys[name] for name in without])
    return image


async def alive(services: Services) -> None:
    """One of everything that a scan must let alone."""
    pending = await kept(services, Status.PENDING, source=False)
    await stored(services, pending.source_key)  # its event is on the way
    late = await kept(services, Status.EXPIRED, source=False, due_at=services.clock())
    await stored(services, late.source_key)  # it came after its time; an event may still tell
    await kept(services, Status.UPLOADED, variants=2)
    fence = new_fence()
    working = await kept(services, Status.PROCESSING, variants=2, lease=a_lease(fence))
    await stored(services, variant_key(working.id, fence, "v0.webp"))  # not shown yet
    await stored(services, variant_key(working.id, new_fence(), "v0.webp"))  # the next attempt removes it
    await kept(services, Status.UPLOADED, variants=2, without=["v0"])  # being made again
    await kept(services, Status.READY, variants=3)
    await kept(services, Status.READY, source=False, variants=1)
    await kept(services, Status.REJECTED)
    await kept(services, Status.FAILED, variants=1)
    await kept(services, Status.FAILED, without=["source"], problem=GONE)  # it says so
    await kept(services, Status.DELETED, without=["source"])
    await stored(
        services,
        f"backups/{source_key(new_image_id())}",  # somebody else's
        "sources/readme.txt",
        f"{source_key(new_image_id())}.jpg",
        f"variants/{new_image_id()}/index.html",
        f"variants/{new_image_id()}/{new_fence()}/more/v0.webp",
    )


class World(NamedTuple):
    """Keys of orphans and ids of broken records, each with what is wrong with it."""

    orphans: dict[str, Fault]
    repairable: dict[str, Fault]
    missed: dict[str, Fault]
    lost: dict[str, Fault]

    @property
    def faults(self) -> dict[str, Fault]:
        """All of them."""
        return self.orphans | self.repairable | self.missed | self.lost


async def a_world(services: Services) -> World:
    """One of everything that can be wrong, among what is alive."""
    await alive(services)
    nobody = new_image_id()
    unrecorded = [source_key(nobody), *(variant_key(nobody, new_fence(), f"v{n}.webp") for n in range(3))]
    deleted = await kept(services, Status.DELETED, variants=0)
    left = variant_key(deleted.id, new_fence(), "v0.webp")
    ready = await kept(services, Status.READY, variants=2)
    failed = await kept(services, Status.FAILED)
    replaced = [variant_key(image.id, new_fence(), "v0.webp") for image in (ready, failed)]
    developed = await kept(services, Status.READY, source=False, variants=1)
    await stored(services, *unrecorded, left, *replaced, developed.source_key)

    some = await kept(services, Status.READY, variants=3, without=["v0", "v2"])
    shown = await kept(services, Status.FAILED, variants=1, without=["v0"])
    damaged = await kept(services, Status.READY, variants=2)
    await services.storage.write(damaged.variants[1].key, b"", content_type="image/webp")
    emptied, other = await kept(services, Status.READY, variants=1), await kept(services, Status.REJECTED)
    await services.storage.write(emptied.source_key, b"", content_type="image/jpeg")
    await services.storage.write(other.source_key, BODY[::-1], content_type="image/jpeg")
    missed = await kept(services, Status.EXPIRED, source=False)
    await stored(services, missed.source_key)  # and the sweep does not look any more
    hopeless = [
        (emptied, Fault.SOURCE_CHANGED),
        (other, Fault.SOURCE_CHANGED),
        (await kept(services, Status.READY, source=False, variants=2, without=["v1"]), Fault.VARIANTS_GONE),
        (await kept(services, Status.READY, variants=1, preset="old", without=["v0"]), Fault.VARIANTS_GONE),
        (await kept(services, Status.REJECTED, variants=1, without=["v0"]), Fault.VARIANTS_GONE),
        (await kept(services, Status.READY, variants=2, without=["source"]), Fault.SOURCE_GONE),
        (await kept(services, Status.READY, variants=2, without=["source", "v1"]), Fault.SOURCE_GONE),
        (await kept(services, Status.UPLOADED, without=["source"]), Fault.SOURCE_GONE),
        (await kept(services, Status.PROCESSING, without=["source"], lease=a_lease()), Fault.SOURCE_GONE),
        (await kept(services, Status.FAILED, without=["source"]), Fault.SOURCE_GONE),
    ]
    return World(
        orphans=dict.fromkeys(unrecorded, Fault.NO_RECORD)
        | dict.fromkeys([deleted.source_key, left], Fault.DELETED)
        | dict.fromkeys(replaced, Fault.UNNAMED)
        | {developed.source_key: Fault.NOT_KEPT},
        repairable=dict.fromkeys([some.id, shown.id], Fault.VARIANTS_GONE)
        | {damaged.id: Fault.VARIANTS_CHANGED},
        missed={missed.id: Fault.UPLOAD_MISSED},
        lost={image.id: fault for image, fault in hopeless},
    )


def by_subject(findings: Iterable[Finding]) -> dict[str, Finding]:
    """By the key of an orphan, by the id of a broken record; each is told of once."""
    listed = [
        (finding.keys[0] if finding.remedy is Remedy.REMOVE else finding.image_id, finding)
        for finding in findings
    ]
    assert len(dict(listed)) == len(listed)
    return dict(listed)


async def found(services: Services, *, fix: bool = False) -> tuple[dict[str, Finding], Totals]:
    """What a scan in small pages finds."""
    findings: list[Finding] = []
    totals = await scan(services, findings.append, fix=fix, page_size=3)
    return by_subject(findings), totals


async def everything(services: Services) -> tuple[list[object], list[Image]]:
    """All that is in the bucket and in the catalog."""
    objects = [listed async for listed in services.storage.listing("")]
    return list(objects), await services.catalog.by_id(limit=1_000)


async def test_whatever_does_not_fit_is_told_and_nothing_is_changed(services: Services) -> None:
    """Each kind, across several pages, and none of what is alive."""
    world = await a_world(services)
    before = await everything(services)
    findings, totals = await found(later(services))
    assert {subject: finding.fault for subject, finding in findings.items()} == world.faults
    assert {subject for subject, finding in findings.items() if finding.remedy is Remedy.REPROCESS} == set(
        world.repairable
    )
    assert {subject for subject, finding in findings.items() if finding.remedy is Remedy.INGEST} == set(
        world.missed
    )
    assert not any(finding.fixed for finding in findings.values())
    assert await everything(services) == before
    assert await services.queue.depth() == 0

    ours = 5  # objects with keys that Darkroom does not make, all of the same size
    sizes = [listed.byte_size async for listed in services.storage.listing("")]
    assert totals == Totals(
        objects=len(sizes) - ours,
        bytes=sum(sizes) - ours * len(MADE),
        orphans=len(world.orphans),
        orphan_bytes=sum(findings[key].byte_size for key in world.orphans),
        records=len(before[1]),
        broken=len(world.repairable) + len(world.missed) + len(world.lost),
        remaining=len(world.faults),
    )


async def test_fixing_ends_exactly_what_can_be_ended(services: Services) -> None:
    """Orphans go, variants are made again; what else is wrong is told of once more the next time."""
    world = await a_world(services)
    objects, records = await everything(services)
    findings, totals = await found(later(services), fix=True)
    assert {subject: finding.fault for subject, finding in findings.items()} == world.faults
    assert {subject for subject, finding in findings.items() if not finding.fixed} == set(world.lost)
    assert totals.remaining == len(world.lost)

    left, now = await everything(services)
    assert {listed.key for listed in objects if listed not in left} == set(world.orphans)  # type: ignore[attr-defined]
    fixed = world.repairable | world.missed
    assert {image.id for image in now if image not in records} == set(fixed)
    assert {image.status for image in now if image.id in fixed} == {Status.UPLOADED}
    assert await services.queue.depth() == len(fixed)

    again, _ = await found(later(services), fix=True)
    assert {subject: finding.fault for subject, finding in again.items()} == world.lost
    assert await everything(services) == (left, now)


async def test_a_record_tells_of_each_object_that_is_gone(services: Services) -> None:
    """With the sizes that it remembers."""
    image = await kept(services, Status.READY, variants=3, without=["source", "v0", "v2"])
    findings, _ = await found(later(services))
    assert set(findings[image.id].keys) == {image.source_key, image.variants[0].key, image.variants[2].key}
    assert findings[image.id].byte_size == len(BODY) + 2 * len(MADE)


async def test_what_was_just_written_is_let_alone(services: Services) -> None:
    """Whatever the record says: somebody may be about to name it, or to remove it."""
    world = await a_world(services)
    findings, _ = await found(services, fix=True)
    assert {subject: finding.fault for subject, finding in findings.items()} == world.repairable | world.lost


async def test_what_belonged_to_a_record_that_just_moved_is_let_alone(services: Services) -> None:
    """Whoever moved it is still removing what it replaced."""
    moved = services.clock() + 2 * SETTLED
    for status in (Status.READY, Status.DELETED):
        image = await kept(services, status, source=False, changed_at=moved)
        await stored(services, image.source_key, variant_key(image.id, new_fence(), "v0.webp"))
    assert await found(later(services)) == ({}, Totals(objects=4, bytes=4 * len(MADE), records=2))
    findings, _ = await found(later(services, by=4 * SETTLED))
    assert len(findings) == 4


class Before:
    """A catalog whose walk shows what was there a while ago."""

    def __init__(self, services: Services, images: list[Image]) -> None:
        self._catalog = services.catalog
        self._images = sorted(images, key=lambda image: image.id)

    async def by_id(self, *, after: str | None = None, limit: int) -> list[Image]:
        """A page of the past."""
        return [image for image in self._images if after is None or image.id > after][:limit]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)


async def test_what_moved_since_it_was_walked_over_is_judged_anew(services: Services) -> None:
    """Reprocessed, deleted or created meanwhile: it fits, as it is now."""
    old = await kept(services, Status.READY, variants=2)
    replaced = old.model_copy(update={"variants": (), "version": 0})
    gone = await kept(services, Status.DELETED, without=["source"])
    was = gone.model_copy(update={"status": Status.READY, "version": 0})
    await kept(services, Status.READY, variants=2)  # has come since
    past: Any = Before(services, [replaced, was])
    findings, _ = await found(replace(later(services), catalog=past), fix=True)
    assert findings == {}
    assert {listed.key async for listed in services.storage.listing("variants/")} >= {
        variant.key for variant in old.variants
    }


async def test_what_was_stored_since_it_was_listed_is_there(services: Services) -> None:
    """The store is asked before a record is called broken."""
    await kept(services, Status.READY, variants=2)

    class Early:
        """A store that was listed when it was empty."""

        async def listing(self, prefix: str, *, page_size: int) -> AsyncIterator[Listed]:
            """Nothing but what nobody ever stores."""
            async for listed in services.storage.listing(f"{prefix}none/", page_size=page_size):
                yield listed

        def __getattr__(self, name: str) -> Any:
            return getattr(services.storage, name)

    early: Any = Early()
    assert await found(replace(later(services), storage=early)) == ({}, Totals(records=1))


@pytest.mark.parametrize("fix", [False, True])
async def test_a_record_that_moves_while_the_store_is_asked_is_let_alone(
    services: Services, fix: bool
) -> None:
    """What was missing need not be missing from it now."""
    image = await kept(services, Status.READY, variants=1, without=["v0"])

    class Slow:
        """A store in which things happen between question and answer."""

        async def head(self, key: str) -> object:
            """Let somebody delete the image first."""
            await services.catalog.move(image.id, Move.DELETE, at=services.clock())
            return await services.storage.head(key)

        def __getattr__(self, name: str) -> Any:
            return getattr(services.storage, name)

    slow: Any = Slow()
    findings, _ = await found(replace(later(services), storage=slow), fix=fix)
    assert findings == {}
    assert await services.queue.depth() == 0


async def test_an_image_whose_source_is_another_is_not_developed_anew(services: Services) -> None:
    """It would only end as FAILED, where some of its variants can still be seen."""
    image = await kept(services, Status.READY, variants=2, without=["v0"])
    await services.storage.write(image.source_key, BODY[::-1], content_type="image/jpeg")
    findings, _ = await found(later(services), fix=True)
    assert findings[image.id].remedy is None
    assert await services.catalog.get(image.id) == image


async def test_objects_of_a_record_that_cannot_be_read_are_let_alone(services: Services) -> None:
    """Another version wrote it, and knows what they are."""
    await kept(services, Status.READY)
    image = await kept(services, Status.READY, variants=2)
    assert isinstance(services.catalog, MongoCatalog)
    broken = {"$set": {"status": "FROM_THE_FUTURE"}}
    await services.catalog._images.update_one({"_id": image.id}, broken)  # noqa: SLF001
    assert (await found(later(services), fix=True))[0] == {}


async def test_an_empty_catalog_removes_nothing(services: Services) -> None:
    """It is the wrong one, more likely than not; looking is allowed."""
    keys = await stored(services, source_key(new_image_id()), source_key(new_image_id()))
    with pytest.raises(Conflict, match="no records"):
        await found(later(services), fix=True)
    findings, _ = await found(later(services))
    assert set(findings) == set(keys) == {listed.key async for listed in services.storage.listing("")}


async def test_a_store_that_goes_away_ends_the_scan(services: Services) -> None:
    """One plain error, though several records are looked at at once."""
    for _ in range(2):
        await kept(services, Status.READY, variants=1, without=["v0"])

    class Away:
        """A store that lists, and then is gone."""

        async def head(self, key: str) -> object:
            """Nobody answers."""
            raise Unavailable(f"Away: {key}.")

        def __getattr__(self, name: str) -> Any:
            return getattr(services.storage, name)

    away: Any = Away()
    with pytest.raises(Unavailable, match="Away"):
        await found(replace(later(services), storage=away))
