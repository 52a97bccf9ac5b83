"""Ingest: the one door through which every word of a stored source enters.

Storage events, the client's hint and the sweep all come here. None of them is believed: a HEAD of the
object decides. The record moves before the job is queued, and asking again is always harmless.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from jobs.errors import Unavailable
from jobs.events import ObjectCreated
from jobs.failpoints import Failpoint, reach
from jobs.images import GRACE, MOVES, Image, Move, Source, Status, image_id_of
from jobs.ports import Services
from jobs.probe import is_probe
from jobs.removal import remove_objects
from jobs.transitions import note

log = structlog.get_logger(__name__)

REQUEUE_AFTER = timedelta(seconds=30)  # an uploaded image that no worker took: the sweep asks again


class Ingested(StrEnum):
    """What came of a word that a source is stored."""

    MOVED = "moved"
    ALREADY = "already"  # it had been moved before
    MISSING = "missing"  # the store has no such object
    UNKNOWN = "unknown"  # there is no such image


async def ingest_event(event: ObjectCreated, services: Services, *, via: str) -> Ingested:
    """Follow a storage event; one for an object that is no source of ours is `UNKNOWN`.

    Raises:
        Unavailable: the event should be delivered again.
    """
    ours = event.bucket == services.settings.s3_bucket
    if ours and is_probe(event.key):
        await services.bus.echo(event.key, via=via)
        return Ingested.UNKNOWN
    image_id = image_id_of(event.key) if ours else None
    if image_id is None:
        log.info("an event for an object that is no source", via=via, bucket=event.bucket, key=event.key)
        return Ingested.UNKNOWN
    image = await services.catalog.get(image_id)
    if image is None:
        log.info("an event for an unknown image", via=via, image=image_id)
        return Ingested.UNKNOWN
    outcome, image = await ingest(image, services, via=via, stored_at=event.at)
    if outcome is Ingested.MISSING and services.clock() < image.expires_at + GRACE:
        raise Unavailable("The store tells of an object that it does not show yet.")
    return outcome


async def ingest(
    image: Image, services: Services, *, via: str, stored_at: datetime | None = None
) -> tuple[Ingested, Image]:
    """Move the image on if its source is stored, and let it be developed.

    Args:
        image: the record as it was just read.
        via: who says so, for the log: `queue`, `webhook`, `hint` or `sweep`.
        stored_at: since when, if the store says so.

    Returns:
        What came of it, and the record after it.

    Raises:
        Unavailable: a service did not answer; nothing is lost by trying again.
    """
    if image.status is Status.UPLOADED:
        await services.queue.enqueue(image)  # whoever moved it may have died before it was queued
        return Ingested.ALREADY, image
    if image.status is Status.DELETED:
        await remove_objects(image, services)  # a target outlives its image
    if image.status not in MOVES[Move.ARRIVE].sources:
        return Ingested.ALREADY, image

    stored = await services.storage.head(image.source_key)
    if stored is None:
        return Ingested.MISSING, image
    reach(Failpoint.INGEST_FOUND)
    now = services.clock()
    moved = await services.catalog.move(
        image.id,
        Move.ARRIVE,
        at=now,
        values={
            "source": Source(etag=stored.etag, byte_size=stored.byte_size),
            "stored_at": stored_at,
            "uploaded_at": now,
            "due_at": now + REQUEUE_AFTER,
        },
    )
    if moved is None:
        return Ingested.ALREADY, await services.catalog.get(image.id) or image
    note(Move.ARRIVE, moved, via=via, bytes=stored.byte_size)
    reach(Failpoint.INGEST_MOVED)
    await enqueue(moved, services)
    return Ingested.MOVED, moved


async def enqueue(image: Image, services: Services) -> None:
    """Queue an image that has just become UPLOADED, and tell everybody."""
    await services.queue.enqueue(image)
    reach(Failpoint.INGEST_QUEUED)
    await services.bus.publish(image)
