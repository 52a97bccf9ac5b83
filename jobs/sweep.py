"""Sweep: find whatever a lost hint left behind.

Every record in motion says when it should be looked at (`due_at`). Whatever happened to events, jobs and
messages, the sweep comes by and puts the image back on its way.
"""

import asyncio
from collections import Counter
from datetime import timedelta

import structlog

from jobs.errors import ProblemCode, Unavailable
from jobs.images import GRACE, LATE, Image, Move, Problem, Status
from jobs.ingest import REQUEUE_AFTER, Ingested, ingest
from jobs.ports import Services
from jobs.removal import remove_objects, remove_unnamed
from jobs.transitions import note

log = structlog.get_logger(__name__)

_FINISHED = {Status.READY, Status.REJECTED, Status.FAILED}
BATCH = 500  # records of one sweep: the rest is due the next time
_AT_ONCE = 16  # calls of the store at a time


async def sweep(services: Services) -> Counter[str]:
    """Look at everything that is due; returns how often what was done.

    Raises:
        Unavailable: the catalog does not answer; what is due stays due.
    """
    due = await services.catalog.due(at=services.clock(), limit=BATCH)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(image: Image) -> str:
        async with gate:
            try:
                return await _look(image, services)
            except Unavailable as error:
                log.warning("an image could not be swept", image=image.id, reason=error.message)
            except Exception:
                log.exception("an image could not be swept", image=image.id)
            # It must neither end the sweep, nor stand before others the next time.
            await services.catalog.postpone(image, until=services.clock() + REQUEUE_AFTER)
            return "failed"

    try:
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(look(image)) for image in due]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    done = Counter(look.result() for look in looks)
    if done:
        log.info("swept", **done)
    return done


async def _look(image: Image, services: Services) -> str:
    if image.status is Status.DELETED:
        return await _tidy(image, services)
    if image.status in _FINISHED:
        return await _tidy_finished(image, services)
    if image.status not in (Status.PENDING, Status.EXPIRED):
        # Nobody took it, or its worker is gone: a job that is still queued is not made twice.
        await services.queue.enqueue(image)
        await services.catalog.postpone(image, until=services.clock() + REQUEUE_AFTER)
        return "queued"

    outcome, _ = await ingest(image, services, via="sweep")
    if outcome is not Ingested.MISSING:
        return "ingested"
    now = services.clock()
    if image.status is Status.EXPIRED:
        await services.catalog.postpone(image, until=None)
        return "given up"
    if now < image.expires_at + GRACE:
        again = now + timedelta(seconds=services.settings.sweep_seconds)
        await services.catalog.postpone(image, until=min(again, image.expires_at + GRACE))
        return "waiting"
    expired = await services.catalog.move(
        image.id,
        Move.EXPIRE,
        at=now,
        version=image.version,  # its owner may have asked for more time meanwhile
        values={
            "due_at": image.expires_at + LATE,
            "problem": Problem(
                code=ProblemCode.UPLOAD_EXPIRED,
                message="Nothing was uploaded before the target expired.",
                retryable=False,
            ),
        },
    )
    if expired is None:
        return "moved"
    note(Move.EXPIRE, expired)
    await services.bus.publish(expired)
    return "expired"


async def _tidy_finished(image: Image, services: Services) -> str:
    """Remove what the record does not name; an original once more when no more can be uploaded."""
    if not await remove_unnamed(image, services):
        return "moved"
    last = image.expires_at + LATE
    again = image.source is None and services.clock() < last
    await services.catalog.postpone(image, until=last if again else None)
    return "tidied"


async def _tidy(image: Image, services: Services) -> str:
    """Remove what there is of a deleted image, and once more when nothing can be uploaded any longer."""
    await remove_objects(image, services)
    last = image.expires_at + LATE
    await services.catalog.postpone(image, until=last if services.clock() < last else None)
    return "tidied"
