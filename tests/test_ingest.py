"""One door for events, hints and the sweep: a HEAD decides, and asking again is harmless."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from jobs.errors import Unavailable
from jobs.events import ObjectCreated
from jobs.images import GRACE, Image, Status
from jobs.ingest import Ingested, ingest, ingest_event
from jobs.ports import Queue, Services
from tests.records import NOON, an_image

BODY = b"what was uploaded"


async def uploaded(services: Services, **fields: object) -> Image:
    """A record whose source is in the store."""
    image = an_image(byte_size=len(BODY), **fields)
    await services.catalog.add([image])
    await services.storage.write(image.source_key, BODY, content_type="image/jpeg")
    return image


async def state(services: Services, image: Image) -> Image:
    """The record as it is now."""
    found = await services.catalog.get(image.id)
    assert found is not None
    return found


async def test_a_stored_source_moves_its_record_and_makes_a_job(services: Services) -> None:
    """The ETag is pinned, so that later bytes are never taken for these."""
    image = await uploaded(services)
    assert (await ingest(image, services, via="hint"))[0] is Ingested.MOVED
    after = await state(services, image)
    stored = await services.storage.head(image.source_key)
    assert after.status is Status.UPLOADED
    assert after.source is not None
    assert stored is not None
    assert (after.source.etag, after.source.byte_size) == (stored.etag, len(BODY))
    assert await services.queue.depth() == 1


async def test_the_same_event_ten_times_makes_one_move_and_one_job(services: Services) -> None:
    """All at once, and once more after that."""
    image = await uploaded(services)
    event = ObjectCreated(services.settings.s3_bucket, image.source_key)
    outcomes = await asyncio.gather(*(ingest_event(event, services, via="queue") for _ in range(10)))
    outcomes.append(await ingest_event(event, services, via="queue"))
    assert outcomes.count(Ingested.MOVED) == 1
    assert outcomes.count(Ingested.ALREADY) == 10
    after = await state(services, image)
    assert (after.version, after.round) == (2, 1)
    assert await services.queue.depth() == 1


async def test_a_word_that_is_not_true_moves_nothing(services: Services) -> None:
    """Nothing is believed: the store is asked."""
    image = an_image()
    await services.catalog.add([image])
    assert (await ingest(image, services, via="webhook"))[0] is Ingested.MISSING
    assert await state(services, image) == image
    assert await services.queue.depth() == 0


async def test_an_event_for_what_cannot_be_seen_yet_comes_again(services: Services) -> None:
    """Until the target is over, and nothing can come any more."""
    image = an_image()
    await services.catalog.add([image])
    event = ObjectCreated(services.settings.s3_bucket, image.source_key)
    early = replace(services, clock=lambda: NOON)
    with pytest.raises(Unavailable):
        await ingest_event(event, early, via="webhook")
    late = replace(services, clock=lambda: image.expires_at + GRACE)
    assert await ingest_event(event, late, via="webhook") is Ingested.MISSING


async def test_an_unknown_image_is_no_error(services: Services) -> None:
    """An event can speak of what was never ours."""
    event = ObjectCreated(services.settings.s3_bucket, "sources/img_" + "0" * 32)
    assert await ingest_event(event, services, via="queue") is Ingested.UNKNOWN


@pytest.mark.parametrize("key", ["variants/img_1/a.webp", "holiday.jpg", "sources/img_short"])
async def test_an_event_for_another_key_is_no_error(services: Services, key: str) -> None:
    """The bucket may hold more than sources."""
    event = ObjectCreated(services.settings.s3_bucket, key)
    assert await ingest_event(event, services, via="queue") is Ingested.UNKNOWN


async def test_an_event_of_another_bucket_is_not_followed(services: Services) -> None:
    """The same key in somebody else's bucket is not our source."""
    image = await uploaded(services)
    event = ObjectCreated("another-bucket", image.source_key)
    assert await ingest_event(event, services, via="webhook") is Ingested.UNKNOWN
    assert (await state(services, image)).status is Status.PENDING


async def test_a_move_without_a_job_is_made_good_by_the_next_event(services: Services) -> None:
    """Whoever moved the record died before it could queue the job."""
    image = await uploaded(services, status=Status.UPLOADED, round=1)
    assert (await ingest(image, services, via="queue"))[0] is Ingested.ALREADY
    assert await services.queue.depth() == 1


async def test_an_upload_that_ends_after_its_time_is_not_lost(services: Services) -> None:
    """What the store accepted is developed."""
    image = await uploaded(services, status=Status.EXPIRED)
    assert (await ingest(image, services, via="queue"))[0] is Ingested.MOVED
    after = await state(services, image)
    assert (after.status, after.problem, after.finished_at) == (Status.UPLOADED, None, None)


@pytest.mark.parametrize(
    "status", [Status.PROCESSING, Status.READY, Status.REJECTED, Status.FAILED, Status.DELETED]
)
async def test_a_late_event_changes_nothing(services: Services, status: Status) -> None:
    """An image that has gone on stays where it is."""
    image = await uploaded(services, status=status)
    assert (await ingest(image, services, via="queue"))[0] is Ingested.ALREADY
    assert await state(services, image) == image
    assert await services.queue.depth() == 0


async def test_an_upload_to_a_deleted_image_leaves_nothing(services: Services) -> None:
    """Its target was still good; the image is not."""
    image = await uploaded(services, status=Status.DELETED)
    assert (await ingest(image, services, via="queue"))[0] is Ingested.ALREADY
    assert await services.storage.head(image.source_key) is None


class AwayQueue:
    """A queue that cannot be reached."""

    async def enqueue(self, image: Image) -> None:
        """Fail."""
        raise Unavailable(f"Redis does not answer for {image.id}.")

    async def depth(self) -> int:
        """Fail."""
        raise Unavailable("Redis does not answer.")

    async def oldest(self) -> datetime | None:
        """Fail."""
        raise Unavailable("Redis does not answer.")

    async def ping(self) -> None:
        """Fail."""
        raise Unavailable("Redis does not answer.")


async def test_a_queue_that_is_away_asks_for_the_event_again(services: Services) -> None:
    """Whoever delivered it keeps it; the next delivery completes what the first began."""
    image = await uploaded(services)
    away: Queue = AwayQueue()
    with pytest.raises(Unavailable):
        await ingest(image, replace(services, queue=away), via="queue")
    assert await services.queue.depth() == 0
    assert (await ingest(await state(services, image), services, via="queue"))[0] is Ingested.ALREADY
    assert await services.queue.depth() == 1
