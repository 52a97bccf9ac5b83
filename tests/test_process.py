"""One attempt at one image, whatever fails on the way."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs import requests
from jobs.attempt import Developer, Processed
from jobs.errors import Conflict, ProblemCode, Rejection, Unavailable
from jobs.formats import VariantFormat
from jobs.images import Image, Lease, Move, Source, Status, StatusChange, variant_key
from jobs.imaging.messages import Finished, Inspected, Message, PlaceholderMade, RenditionMade
from jobs.imaging.pool import ChildDied, DevelopingPool
from jobs.lease import LEASE
from jobs.ports import Catalog, Listed, Services
from jobs.presets import DEFAULT_PRESET, Preset
from jobs.process import TryAgain, backoff, process
from jobs.sweep import sweep
from tests.records import NOON, a_lease, an_image
from tests.system import until
from tests.test_ingest import state
from tests.test_system import a_photo

PHOTO = a_photo()


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[DevelopingPool]:
    """A real child."""
    async with DevelopingPool(1, cpu_seconds=20, wall_seconds=20) as opened:
        yield opened


async def arrived(services: Services, body: bytes = PHOTO, **fields: object) -> Image:
    """An UPLOADED image whose source is stored."""
    timeline = (StatusChange(status=Status.UPLOADED, at=services.clock()),)
    image = an_image(
        status=Status.UPLOADED,
        byte_size=len(body),
        round=1,
        timeline=timeline,
        **fields,
    )
    await services.storage.write(image.source_key, body, content_type="image/jpeg")
    stored = await services.storage.head(image.source_key)
    assert stored is not None
    source = Source(etag=stored.etag, byte_size=stored.byte_size)
    image = image.model_copy(update={"source": source})
    await services.catalog.add([image])
    return image


class Scripted:
    """A developer that makes one variant, and then does what the test says."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self._then = then

    async def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
        """Tell of one variant."""
        yield Inspected(format="jpeg", content_type="image/jpeg", width=2, height=1, frame_count=1)
        yield PlaceholderMade(thumbhash="AA==", dominant_color="#000000", perceptual_hash="0" * 16)
        path = out / f"{preset.variants[0].name}.webp"
        path.write_bytes(source.read_bytes()[:10])
        yield RenditionMade(
            name=preset.variants[0].name,
            format=VariantFormat.WEBP,
            width=2,
            height=1,
        )
        outcome = self._then()
        if asyncio.iscoroutine(outcome):
            await outcome
        yield Finished(seconds=0.5)


def raising(error: Exception) -> Callable[[], None]:
    """Raise `error` when called."""

    def then() -> None:
        raise error

    return then


async def variants_in_store(services: Services) -> list[str]:
    """The keys of every variant that is stored."""
    return [listed.key async for listed in services.storage.listing("variants/")]


async def swept(services: Services, image: Image) -> Image:
    """The record after the sweep has come by at the time that the record names."""
    due = (await state(services, image)).due_at
    assert due is not None
    await sweep(replace(services, clock=lambda: due))
    return await state(services, image)


async def test_a_photo_becomes_ready(services: Services, pool: DevelopingPool) -> None:
    """Facts, placeholder and variants become visible together, and the lease is gone."""
    image = await arrived(services)
    assert await process(image.id, services, pool) is Processed.READY
    after = await state(services, image)
    assert (after.status, after.attempts, after.lease, after.due_at) == (Status.READY, 1, None, None)
    assert (after.format, after.width, after.height) == ("jpeg", 500, 400)
    assert after.placeholder is not None
    assert after.develop_seconds is not None
    assert sorted(await variants_in_store(services)) == sorted(variant.key for variant in after.variants)


@pytest.mark.parametrize("status", [s for s in Status if s not in {Status.UPLOADED, Status.PROCESSING}])
async def test_an_image_that_is_not_waiting_is_let_alone(services: Services, status: Status) -> None:
    """A doubled job, or one for what was meanwhile deleted, is a normal thing."""
    image = an_image(status=status)
    await services.catalog.add([image])
    assert await process(image.id, services, Scripted()) is Processed.NOTHING
    assert await state(services, image) == image


async def test_a_job_for_nothing_is_let_alone(services: Services) -> None:
    """The record is gone: so is the work."""
    assert await process("img_unknown", services, Scripted()) is Processed.NOTHING


async def test_an_image_in_other_hands_is_asked_for_later(services: Services) -> None:
    """When the other's lease is over, not before."""
    at = services.clock()
    lease = a_lease(ends=at + timedelta(seconds=20))
    image = await arrived(services)
    assert await services.catalog.move(image.id, Move.TAKE, at=at, values={"lease": lease}) is not None
    with pytest.raises(TryAgain) as again:
        await process(image.id, replace(services, clock=lambda: at), Scripted())
    assert again.value.after == timedelta(seconds=20)
    later = replace(services, clock=lambda: at + timedelta(seconds=20))
    assert await process(image.id, later, Scripted()) is Processed.READY


async def test_a_file_at_fault_is_rejected_at_once(services: Services) -> None:
    """Once, with its code, and without litter."""
    image = await arrived(services)
    developer = Scripted(raising(Rejection(ProblemCode.DAMAGED_IMAGE, "Broken.")))
    assert await process(image.id, services, developer) is Processed.REJECTED
    after = await state(services, image)
    assert after.status is Status.REJECTED
    assert after.problem is not None
    assert (after.problem.code, after.problem.retryable) == (ProblemCode.DAMAGED_IMAGE, False)
    assert after.variants == ()
    assert await variants_in_store(services) == []


async def test_another_length_than_declared_is_rejected(services: Services, pool: DevelopingPool) -> None:
    """Even by a store that let it pass."""
    image = await arrived(services)
    wrong = an_image(status=Status.UPLOADED, byte_size=7, source=image.source)
    await services.catalog.add([wrong])
    assert await process(wrong.id, services, pool) is Processed.REJECTED
    problem = (await state(services, wrong)).problem
    assert problem is not None
    assert problem.code is ProblemCode.SIZE_MISMATCH


async def test_other_bytes_than_declared_are_rejected(services: Services, pool: DevelopingPool) -> None:
    """Even by a store that does not verify checksums."""
    right = await arrived(services, sha256=hashlib.sha256(PHOTO).hexdigest())
    wrong = await arrived(services, sha256="0" * 64)
    assert await process(right.id, services, pool) is Processed.READY
    assert await process(wrong.id, services, pool) is Processed.REJECTED
    problem = (await state(services, wrong)).problem
    assert problem is not None
    assert problem.code is ProblemCode.CHECKSUM_MISMATCH


async def test_another_type_than_declared_is_rejected(services: Services, pool: DevelopingPool) -> None:
    """Both are named."""
    image = await arrived(services, a_photo(fmt="PNG"))
    assert await process(image.id, services, pool) is Processed.REJECTED
    problem = (await state(services, image)).problem
    assert problem is not None
    assert problem.code is ProblemCode.TYPE_MISMATCH
    assert "image/jpeg" in problem.message
    assert "image/png" in problem.message


@pytest.mark.parametrize("fault", [ChildDied(), RuntimeError("A mistake of ours.")])
async def test_what_the_file_may_have_caused_is_tried_again_and_then_failed(
    services: Services, fault: Exception
) -> None:
    """With more patience each time, and a record that stays and can be reprocessed."""
    image = await arrived(services)
    waits = []
    for _ in range(services.settings.max_attempts - 1):
        with pytest.raises(TryAgain) as again:
            await process(image.id, services, Scripted(raising(fault)))
        waits.append(again.value.after)
    assert waits == sorted(set(waits))
    assert await process(image.id, services, Scripted(raising(fault))) is Processed.FAILED
    after = await state(services, image)
    assert after.status is Status.FAILED
    assert after.problem is not None
    assert (after.problem.code, after.problem.retryable) == (ProblemCode.ATTEMPTS_EXHAUSTED, True)
    assert await variants_in_store(services) == []


async def test_a_service_that_is_away_costs_no_attempt(services: Services) -> None:
    """However often: when it is back, the image becomes READY as if nothing had been."""
    image = await arrived(services)
    for _ in range(3 * services.settings.max_attempts):
        with pytest.raises(Unavailable):
            await process(image.id, services, Scripted(raising(Unavailable("Away."))))
    assert await variants_in_store(services) == []
    assert await process(image.id, services, Scripted()) is Processed.READY
    assert (await state(services, image)).attempts == 1


async def test_nobody_waits_for_a_service_for_ever(services: Services) -> None:
    """Hours and many tries after the first, the image comes to rest and can be reprocessed."""
    image = await arrived(services, takes=98)
    tomorrow = services.clock() + timedelta(days=1)
    later = replace(services, clock=lambda: tomorrow)
    away = Scripted(raising(Unavailable("Away.")))
    with pytest.raises(Unavailable):
        await process(image.id, services, away)
    assert await process(image.id, later, away) is Processed.FAILED
    problem = (await state(services, image)).problem
    assert problem is not None
    assert problem.retryable


async def test_an_image_that_nobody_could_try_is_not_given_up(services: Services) -> None:
    """Everything was down since its first try; there is no hurry to say that it cannot be developed."""
    image = await arrived(services)
    tomorrow = services.clock() + timedelta(days=1)
    later = replace(services, clock=lambda: tomorrow)
    for at in (services, later, later):
        with pytest.raises(Unavailable):
            await process(image.id, at, Scripted(raising(Unavailable("Away."))))
    assert await process(image.id, later, Scripted()) is Processed.READY


async def test_a_second_attempt_need_not_wait_for_the_first_ones_lease(services: Services) -> None:
    """Whoever gives up says so."""
    image = await arrived(services)
    with pytest.raises(TryAgain):
        await process(image.id, services, Scripted(raising(ChildDied())))
    assert await process(image.id, services, Scripted()) is Processed.READY
    assert (await state(services, image)).attempts == 2


async def test_a_file_that_ends_its_worker_is_not_tried_for_ever(services: Services) -> None:
    """Attempts that never came back count too, though each may have had another cause."""
    most = 4 * services.settings.max_attempts
    image = await arrived(services, attempts=most)
    assert await process(image.id, services, Scripted()) is Processed.FAILED
    image = await arrived(services, attempts=most - 1)
    assert await process(image.id, services, Scripted()) is Processed.READY


async def test_a_source_that_is_gone_fails_at_once(services: Services) -> None:
    """No number of attempts would bring it back."""
    image = await arrived(services)
    await services.storage.delete([image.source_key])
    assert await process(image.id, services, Scripted()) is Processed.FAILED
    problem = (await state(services, image)).problem
    assert problem is not None
    assert (problem.code, problem.retryable) == (ProblemCode.SOURCE_MISSING, False)


async def test_a_source_that_was_replaced_is_not_taken_for_the_old_one(services: Services) -> None:
    """The ETag that was pinned is the one that is developed."""
    image = await arrived(services)
    await services.storage.write(image.source_key, PHOTO[::-1], content_type="image/jpeg")
    assert await process(image.id, services, Scripted()) is Processed.FAILED


async def test_a_late_result_is_refused_and_leaves_nothing_behind(services: Services) -> None:
    """Somebody else took the image while this worker was away, and finished first."""
    image = await arrived(services)
    future = replace(services, clock=lambda: services.clock() + 2 * LEASE)

    async def overtake() -> None:
        assert await process(image.id, future, Scripted()) is Processed.READY

    assert await process(image.id, services, Scripted(overtake)) is Processed.NOTHING
    after = await state(services, image)
    assert after.attempts == 2
    assert await variants_in_store(services) == [variant.key for variant in after.variants]


async def test_a_worker_that_was_away_for_long_leaves_nothing_behind(services: Services) -> None:
    """Another has finished since; this one finds first that its time is over."""
    image = await arrived(services)
    future = replace(services, clock=lambda: services.clock() + 2 * LEASE)

    async def overtake() -> None:
        assert await process(image.id, future, Scripted()) is Processed.READY
        raise TimeoutError

    with pytest.raises(Unavailable):
        await process(image.id, services, Scripted(overtake))
    after = await state(services, image)
    assert (after.status, after.attempts) == (Status.READY, 2)
    assert await variants_in_store(services) == [variant.key for variant in after.variants]


async def test_an_image_deleted_meanwhile_stays_deleted(services: Services) -> None:
    """And the variants that were just written go too."""
    image = await arrived(services)

    async def remove() -> None:
        assert await services.catalog.move(image.id, Move.DELETE, at=NOON) is not None

    assert await process(image.id, services, Scripted(remove)) is Processed.NOTHING
    assert (await state(services, image)).status is Status.DELETED
    assert await variants_in_store(services) == []


async def test_a_worker_that_is_stopped_gives_its_image_back(services: Services) -> None:
    """The next one need not wait for the lease to end."""
    image = await arrived(services)
    begun = asyncio.Event()

    async def linger() -> None:
        begun.set()
        await asyncio.Event().wait()

    developer: Developer = Scripted(linger)
    attempt = asyncio.create_task(process(image.id, services, developer))
    await begun.wait()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await process(image.id, services, Scripted()) is Processed.READY


async def test_an_unknown_preset_is_our_fault(services: Services) -> None:
    """It was known when the upload was asked for; another configuration may know it again."""
    image = await arrived(services, preset="of-yesterday")
    with pytest.raises(Unavailable):
        await process(image.id, services, Scripted())


def test_patience_grows_and_has_an_end() -> None:
    """Doubling, from one second to thirty."""
    assert [backoff(attempt).total_seconds() for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


class Forgetful:
    """A catalog whose answer to one kind of move is lost, after the move or before it."""

    def __init__(self, catalog: Catalog, move: Move, *, moves: bool) -> None:
        self._catalog = catalog
        self._move = move
        self._moves = moves

    async def move(self, image_id: str, move: Move, **options: Any) -> Image | None:
        """Lose the answer."""
        if move is self._move and not self._moves:
            raise Unavailable("Away.")
        moved = await self._catalog.move(image_id, move, **options)
        if move is self._move:
            raise Unavailable("Away.")
        return moved

    def __getattr__(self, name: str) -> object:
        return getattr(self._catalog, name)


def forgetting(services: Services, move: Move, *, moves: bool) -> Services:
    """The same services with such a catalog."""
    catalog: Any = Forgetful(services.catalog, move, moves=moves)
    return replace(services, catalog=catalog)


async def test_a_result_that_could_not_be_recorded_costs_no_attempt(services: Services) -> None:
    """Nothing of it stays when the next attempt has succeeded."""
    image = await arrived(services)
    for _ in range(2 * services.settings.max_attempts):
        with pytest.raises(Unavailable):
            await process(image.id, forgetting(services, Move.FINISH, moves=False), Scripted())
    assert await process(image.id, services, Scripted()) is Processed.READY
    after = await swept(services, image)
    assert after.attempts == 1
    assert await variants_in_store(services) == [variant.key for variant in after.variants]


async def test_a_lost_answer_to_taking_an_image_costs_no_attempt(services: Services) -> None:
    """The lease that may have been taken is given back."""
    image = await arrived(services)
    with pytest.raises(Unavailable):
        await process(image.id, forgetting(services, Move.TAKE, moves=True), Scripted())
    assert await process(image.id, services, Scripted()) is Processed.READY
    assert (await state(services, image)).attempts == 1


async def test_a_lease_that_cannot_be_given_back_at_once_costs_no_attempt(services: Services) -> None:
    """What keeps a service away may keep the catalog away, too, for a moment."""
    image = await arrived(services)

    class Stumbling(Forgetful):
        """Does not hear of the end of a lease when it is first told."""

        told = 0

        async def release(self, image_id: str, **options: Any) -> bool:
            """Hear of it the second time."""
            self.told += 1
            if self.told == 1:
                raise Unavailable("Away.")
            return await services.catalog.release(image_id, **options)

    stumbling: Any = Stumbling(services.catalog, Move.FINISH, moves=False)
    with pytest.raises(Unavailable):
        await process(image.id, replace(services, catalog=stumbling), Scripted())
    assert (await state(services, image)).attempts == 0


async def test_a_result_whose_recording_was_not_confirmed_stays(services: Services) -> None:
    """The record names the variants, so nobody removes them."""
    image = await arrived(services)
    with pytest.raises(Unavailable):
        await process(image.id, forgetting(services, Move.FINISH, moves=True), Scripted())
    after = await state(services, image)
    assert after.status is Status.READY
    assert await variants_in_store(services) == [variant.key for variant in after.variants]
    assert await process(image.id, services, Scripted()) is Processed.NOTHING


async def test_a_verdict_that_could_not_be_recorded_is_given_again(services: Services) -> None:
    """At no cost either."""
    image = await arrived(services)
    developer = Scripted(raising(Rejection(ProblemCode.DAMAGED_IMAGE, "Broken.")))
    with pytest.raises(Unavailable):
        await process(image.id, forgetting(services, Move.REJECT, moves=False), developer)
    assert await process(image.id, services, developer) is Processed.REJECTED
    assert (await state(services, image)).attempts == 1


async def test_what_attempts_left_behind_goes_with_the_one_that_succeeds(services: Services) -> None:
    """A worker that was killed could not tidy up."""
    image = await arrived(services, attempts=1, takes=1)
    await services.storage.write(variant_key(image.id, "dead", "a.webp"), b"x", content_type="image/webp")
    assert await process(image.id, services, Scripted()) is Processed.READY
    after = await swept(services, image)
    assert await variants_in_store(services) == [variant.key for variant in after.variants]


async def test_what_attempts_left_behind_goes_with_a_verdict_too(services: Services) -> None:
    """A rejected image has no objects but its source."""
    image = await arrived(services, attempts=1, takes=1)
    await services.storage.write(variant_key(image.id, "dead", "a.webp"), b"x", content_type="image/webp")
    developer = Scripted(raising(Rejection(ProblemCode.DAMAGED_IMAGE, "Broken.")))
    assert await process(image.id, services, developer) is Processed.REJECTED
    await swept(services, image)
    assert await variants_in_store(services) == []


async def test_what_attempts_left_behind_in_an_earlier_round_goes_too(services: Services) -> None:
    """Though its owner asked for another before the sweep came by."""
    image = await arrived(services, attempts=4 * services.settings.max_attempts, takes=1)
    await services.storage.write(variant_key(image.id, "dead", "a.webp"), b"x", content_type="image/webp")
    assert await process(image.id, services, Scripted()) is Processed.FAILED
    await requests.reprocess(image.id, image.owner, services)
    assert await process(image.id, services, Scripted()) is Processed.READY
    after = await swept(services, image)
    assert await variants_in_store(services) == [variant.key for variant in after.variants]


async def test_waiting_in_vain_for_a_service_costs_no_attempt(services: Services) -> None:
    """A store that takes the connection and never answers is away too."""
    image = await arrived(services)
    with pytest.raises(Unavailable):
        await process(image.id, services, Scripted(raising(TimeoutError())))
    assert (await state(services, image)).attempts == 0


async def test_a_full_disk_costs_no_attempt(services: Services, tmp_path: Path) -> None:
    """Nor does a scratch directory that went away."""
    image = await arrived(services)
    gone = services.settings.model_copy(update={"scratch_dir": tmp_path / "gone"})
    with pytest.raises(Unavailable, match="scratch"):
        await process(image.id, replace(services, settings=gone), Scripted())
    assert await process(image.id, services, Scripted()) is Processed.READY
    assert (await state(services, image)).attempts == 1


class TwoVariants:
    """A developer that makes a second variant only when the test says so."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self._then = then

    async def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
        """Tell of one variant, wait, and tell of another."""
        yield Inspected(format="jpeg", content_type="image/jpeg", width=20, height=10, frame_count=1)
        yield PlaceholderMade(thumbhash="AA==", dominant_color="#000000", perceptual_hash="0" * 16)
        for number, spec in enumerate(preset.variants[:2], 1):
            path = out / f"{spec.name}.webp"
            path.write_bytes(source.read_bytes()[:10])
            yield RenditionMade(
                name=spec.name,
                format=VariantFormat.WEBP,
                width=number,
                height=1,
            )
            if number == 1:
                outcome = self._then()
                if asyncio.iscoroutine(outcome):
                    await outcome
        yield Finished(seconds=0.5)


async def shown(services: Services, image: Image, count: int) -> Image:
    """The record as soon as so many variants of it can be seen."""

    async def enough() -> Image | None:
        found = await state(services, image)
        return found if len(found.variants) >= count else None

    found: Image = await until(enough)
    return found


async def test_the_first_variant_is_shown_before_the_last_is_made(services: Services) -> None:
    """With the placeholder, and with bytes behind it."""
    image = await arrived(services)

    async def look() -> None:
        found = await shown(services, image, 1)
        assert (found.status, found.width, found.perceptual_hash) == (Status.PROCESSING, 20, "0" * 16)
        assert found.placeholder is not None
        assert [variant.name for variant in found.variants] == ["w320"]
        assert await services.storage.head(found.variants[0].key) is not None

    assert await process(image.id, services, TwoVariants(look)) is Processed.READY
    after = await state(services, image)
    assert [variant.name for variant in after.variants] == ["w320", "w640"]
    assert sorted(await variants_in_store(services)) == sorted(variant.key for variant in after.variants)


async def test_what_was_shown_by_a_failed_attempt_stays_until_it_is_replaced(services: Services) -> None:
    """And is gone when it is."""
    image = await arrived(services)

    async def die() -> None:
        await shown(services, image, 1)
        raise ChildDied

    with pytest.raises(TryAgain):
        await process(image.id, services, TwoVariants(die))
    (first,) = (await state(services, image)).variants
    assert await services.storage.head(first.key) is not None
    assert await process(image.id, services, TwoVariants()) is Processed.READY
    after = await swept(services, image)
    assert first.key not in {variant.key for variant in after.variants}
    assert sorted(await variants_in_store(services)) == sorted(variant.key for variant in after.variants)


async def test_nothing_stays_to_be_seen_of_a_file_that_is_rejected_late(services: Services) -> None:
    """Though its first variant was shown already."""
    image = await arrived(services)

    async def refuse() -> None:
        await shown(services, image, 1)
        raise Rejection(ProblemCode.TOO_COSTLY, "It takes too long.")

    assert await process(image.id, services, TwoVariants(refuse)) is Processed.REJECTED
    after = await state(services, image)
    assert after.variants == ()
    assert (after.placeholder, after.perceptual_hash, after.camera) == (None, None, None)
    assert await variants_in_store(services) == []


async def test_a_child_cannot_name_other_files(services: Services) -> None:
    """What it tells names a variant of the preset, and no link is followed."""
    image = await arrived(services)

    class Lying:
        """Puts a link where a variant should be."""

        async def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
            """Tell of it."""
            spec = preset.variants[0]
            (out / f"{spec.name}.webp").symlink_to(source)
            yield RenditionMade(name=spec.name, format=VariantFormat.WEBP, width=1, height=1)
            yield Finished(seconds=0.1)

    with pytest.raises(TryAgain):
        await process(image.id, services, Lying())
    assert await variants_in_store(services) == []


async def test_a_late_worker_takes_nothing_away_that_it_has_shown(services: Services) -> None:
    """Another has taken the image since, and shows it until its own variants are complete."""
    image = await arrived(services)
    future = replace(services, clock=lambda: services.clock() + 2 * LEASE)
    taken = Lease(fence="another", until=services.clock() + 4 * LEASE)

    async def overtake() -> None:
        await shown(services, image, 1)
        values = {"lease": taken}
        assert await services.catalog.move(image.id, Move.TAKE, at=future.clock(), values=values)

    assert await process(image.id, services, TwoVariants(overtake)) is Processed.NOTHING
    (seen,) = (await state(services, image)).variants
    assert await variants_in_store(services) == [seen.key]


async def test_what_was_replaced_can_be_looked_at_for_a_while(services: Services) -> None:
    """Pages have its URLs; the sweep removes it."""
    image = await arrived(services)
    assert await process(image.id, services, TwoVariants()) is Processed.READY
    before = await state(services, image)
    assert before.due_at is None
    assert await services.catalog.move(image.id, Move.REPROCESS, at=services.clock()) is not None
    assert await process(image.id, services, TwoVariants()) is Processed.READY
    replaced = {variant.key for variant in before.variants}
    assert replaced < set(await variants_in_store(services))
    after = await swept(services, image)
    assert after.due_at is None
    assert sorted(await variants_in_store(services)) == sorted(variant.key for variant in after.variants)


async def test_the_sweep_takes_nothing_from_an_attempt_that_begins_beside_it(services: Services) -> None:
    """What it found may be new, though the record that it had read does not name it."""
    image = await arrived(services, attempts=1, takes=1)
    assert await process(image.id, services, Scripted()) is Processed.READY

    class Overtaken:
        """A store that is slow to list, while the image is developed anew."""

        async def listing(self, prefix: str) -> AsyncIterator[Listed]:
            """List what is there after another attempt has stored all of its own."""
            assert await services.catalog.move(image.id, Move.REPROCESS, at=services.clock()) is not None
            assert await process(image.id, services, Scripted()) is Processed.READY
            async for listed in services.storage.listing(prefix):
                yield listed

    overtaken: Any = Overtaken()
    due = (await state(services, image)).due_at
    assert due is not None
    assert await sweep(replace(services, storage=overtaken, clock=lambda: due)) == Counter(moved=1)
    after = await swept(services, image)
    assert await variants_in_store(services) == [variant.key for variant in after.variants]


async def test_a_lease_is_renewed_while_its_worker_works(services: Services) -> None:
    """And with it the time at which the sweep would ask."""
    image = await arrived(services)

    async def look() -> None:
        first = (await state(services, image)).lease
        assert first is not None

        async def renewed() -> bool:
            now = await state(services, image)
            return now.lease is not None and now.lease.until > first.until and now.due_at == now.lease.until

        await until(renewed)

    assert await process(image.id, services, Scripted(look)) is Processed.READY


async def test_a_worker_that_has_lost_its_lease_stops(services: Services) -> None:
    """It need not come to the end of its work to notice, and leaves nothing behind."""
    image = await arrived(services)

    async def remove() -> None:
        await shown(services, image, 1)
        assert await services.catalog.move(image.id, Move.DELETE, at=NOON, values={"variants": ()})
        await asyncio.Event().wait()  # for ever, if nobody ends it

    assert await process(image.id, services, TwoVariants(remove)) is Processed.NOTHING
    assert (await state(services, image)).status is Status.DELETED
    assert await variants_in_store(services) == []


async def test_reprocessing_shows_nothing_that_is_incomplete(services: Services) -> None:
    """What was there is seen until all of the new is."""
    image = await arrived(services)
    assert await process(image.id, services, TwoVariants()) is Processed.READY
    before = await state(services, image)
    assert await services.catalog.move(image.id, Move.REPROCESS, at=services.clock()) is not None

    def look() -> None:
        assert not (set(out) - {variant.key for variant in before.variants})

    out = [variant.key for variant in before.variants]
    assert await process(image.id, services, TwoVariants(look)) is Processed.READY
    after = await state(services, image)
    assert {variant.key for variant in before.variants}.isdisjoint(variant.key for variant in after.variants)


async def test_an_original_that_is_not_to_be_kept_goes_when_its_variants_are_there(
    services: Services,
) -> None:
    """It cannot be developed anew, and says so."""
    preset = replace(DEFAULT_PRESET, keep_original=False)
    settings = services.settings.model_copy(update={"presets": {"default": preset}})
    frugal = replace(services, settings=settings)
    image = await arrived(services)
    assert await process(image.id, frugal, Scripted()) is Processed.READY
    after = await state(services, image)
    assert after.source is None
    assert after.due_at is not None  # the sweep sees to it too
    assert await services.storage.head(image.source_key) is None
    with pytest.raises(Conflict, match="original"):
        await requests.reprocess(image.id, image.owner, frugal)
