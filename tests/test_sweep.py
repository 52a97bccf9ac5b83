"""Whatever hints were lost, the sweep puts every image back on its way."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from jobs import requests
from jobs.errors import ProblemCode, Unavailable
from jobs.images import GRACE, LATE, Move, Status, variant_key
from jobs.ports import Services
from jobs.sweep import sweep
from tests.records import NOON, a_lease, an_image
from tests.test_ingest import BODY, state, uploaded


def at(services: Services, moment: datetime) -> Services:
    """The same services at another time."""
    return replace(services, clock=lambda: moment)


async def test_an_upload_that_nobody_told_of_is_found(services: Services) -> None:
    """No event, no hint: the store knows."""
    image = await uploaded(services, due_at=NOON)
    assert await sweep(at(services, NOON)) == Counter(ingested=1)
    assert (await state(services, image)).status is Status.UPLOADED
    assert await services.queue.depth() == 1


async def test_nothing_is_looked_at_before_its_time(services: Services) -> None:
    """A fresh upload target costs the store no question."""
    await uploaded(services, due_at=NOON)
    assert await sweep(at(services, NOON - timedelta(seconds=1))) == Counter()


async def test_a_target_that_may_still_be_used_is_waited_for(services: Services) -> None:
    """And looked at again before it expires for good."""
    image = an_image(due_at=NOON)
    await services.catalog.add([image])
    assert await sweep(at(services, NOON)) == Counter(waiting=1)
    assert await sweep(at(services, NOON)) == Counter()
    again = (await state(services, image)).due_at
    assert again is not None
    assert NOON < again <= image.expires_at + GRACE


async def test_a_target_that_nobody_used_expires(services: Services) -> None:
    """With a reason that a client can read."""
    image = an_image(due_at=NOON)
    await services.catalog.add([image])
    assert await sweep(at(services, image.expires_at + GRACE)) == Counter(expired=1)
    after = await state(services, image)
    assert after.status is Status.EXPIRED
    assert after.problem is not None
    assert after.problem.code is ProblemCode.UPLOAD_EXPIRED


async def test_a_target_that_was_renewed_meanwhile_does_not_expire(services: Services) -> None:
    """Its owner asked again while the sweep was looking for the upload."""
    image = an_image(due_at=NOON)
    await services.catalog.add([image])
    late = image.expires_at + GRACE

    class Slow:
        """A store that takes so long that the client repeats its request."""

        async def head(self, key: str) -> object:
            """Find nothing."""
            values = {"expires_at": late + timedelta(minutes=15)}
            assert await services.catalog.move(image.id, Move.RETARGET, at=late, values=values)
            return await services.storage.head(key)

    slow: Any = Slow()
    assert await sweep(replace(at(services, late), storage=slow)) == Counter(moved=1)
    assert (await state(services, image)).status is Status.PENDING


async def test_a_lost_job_is_made_again(services: Services) -> None:
    """Redis forgot it; the catalog did not. A job that is still there is not made twice."""
    image = await uploaded(services, status=Status.UPLOADED, round=1, due_at=NOON)
    assert await sweep(at(services, NOON)) == Counter(queued=1)
    later = (await state(services, image)).due_at
    assert later is not None
    assert await sweep(at(services, later)) == Counter(queued=1)
    assert await services.queue.depth() == 1


async def test_the_image_of_a_dead_worker_is_queued_again(services: Services) -> None:
    """Its lease is over, and nobody finished."""
    await uploaded(services, status=Status.PROCESSING, round=1, lease=a_lease(ends=NOON), due_at=NOON)
    assert await sweep(at(services, NOON)) == Counter(queued=1)
    assert await services.queue.depth() == 1


async def test_an_upload_that_ended_late_is_found_without_any_word_of_it(services: Services) -> None:
    """Its target expired while the bytes were still coming, and its event was lost."""
    image = an_image(due_at=NOON, byte_size=len(BODY))
    await services.catalog.add([image])
    assert await sweep(at(services, image.expires_at + GRACE)) == Counter(expired=1)
    await services.storage.write(image.source_key, BODY, content_type="image/jpeg")
    assert await sweep(at(services, image.expires_at + LATE)) == Counter(ingested=1)
    assert (await state(services, image)).status is Status.UPLOADED


async def test_an_expired_target_is_not_asked_for_for_ever(services: Services) -> None:
    """Once more, and then never again."""
    image = an_image(due_at=NOON)
    await services.catalog.add([image])
    await sweep(at(services, image.expires_at + GRACE))
    much_later = image.expires_at + 3 * LATE
    assert await sweep(at(services, much_later)) == Counter({"given up": 1})
    assert await sweep(at(services, much_later)) == Counter()


async def test_whatever_is_written_after_a_deletion_is_removed(services: Services) -> None:
    """A target that was still good, and a worker that was just storing."""
    image = await uploaded(services)
    noon = at(services, NOON)
    await requests.delete(image.id, "ada", noon)
    await services.storage.write(image.source_key, BODY, content_type="image/jpeg")
    await services.storage.write(variant_key(image.id, "f", "a.webp"), BODY, content_type="image/webp")
    assert await sweep(at(services, NOON + GRACE)) == Counter(tidied=1)
    assert [listed async for listed in services.storage.listing("")] == []
    await services.storage.write(image.source_key, BODY, content_type="image/jpeg")
    assert await sweep(at(services, image.expires_at + LATE)) == Counter(tidied=1)
    assert [listed async for listed in services.storage.listing("")] == []
    assert await sweep(at(services, image.expires_at + 2 * LATE)) == Counter()


async def test_an_image_that_cannot_be_swept_holds_up_no_other(services: Services) -> None:
    """The others are seen to in the same sweep; it is looked at again later."""
    bad = an_image(due_at=NOON)
    await services.catalog.add([bad])
    good = await uploaded(services, due_at=NOON)

    class Picky:
        """A store that does not answer for one of its objects."""

        async def head(self, key: str) -> object:
            """Fail for that one."""
            if key == bad.source_key:
                raise Unavailable("Away.")
            return await services.storage.head(key)

    picky: Any = Picky()
    assert await sweep(replace(at(services, NOON), storage=picky)) == Counter(failed=1, ingested=1)
    assert (await state(services, good)).status is Status.UPLOADED
    assert await sweep(at(services, NOON)) == Counter()
    assert await sweep(at(services, NOON + timedelta(minutes=1))) == Counter(waiting=1, queued=1)


async def test_an_original_that_is_not_kept_goes_whatever_happened_to_its_worker(services: Services) -> None:
    """And goes again, if it is uploaded again while its target is good."""
    image = await uploaded(services, status=Status.READY, source=None, due_at=NOON)
    assert await sweep(at(services, NOON)) == Counter(tidied=1)
    assert await services.storage.head(image.source_key) is None
    await services.storage.write(image.source_key, BODY, content_type="image/jpeg")
    assert await sweep(at(services, image.expires_at + LATE)) == Counter(tidied=1)
    assert await services.storage.head(image.source_key) is None
    assert await sweep(at(services, image.expires_at + 2 * LATE)) == Counter()
