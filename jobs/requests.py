"""What owners ask of their images: to look whether they came, to develop them anew, to remove them.

Whatever stands still, they are answered: the sweep does what is left to do.
"""

import asyncio

import structlog

from jobs.deadline import in_time
from jobs.errors import Conflict, NotFound, Unavailable
from jobs.images import GRACE, MOVES, Image, Move, Status
from jobs.ingest import REQUEUE_AFTER, enqueue, ingest
from jobs.ports import Services
from jobs.removal import remove_objects
from jobs.transitions import note

log = structlog.get_logger(__name__)

# What a tombstone does not keep: the placeholder is a small picture, metadata can be personal.
_FORGOTTEN = {
    "variants": (),
    "placeholder": None,
    "metadata": None,
    "problem": None,
    "camera": None,
    "perceptual_hash": None,
}


_REMOVE_WITHIN = 3.0  # seconds


@in_time()
async def complete(image_id: str, owner: str, services: Services) -> Image:
    """Ask the store for an upload that should be over, whatever else tells of it.

    Raises:
        NotFound: `owner` has no such image.
        Unavailable: a service did not answer.
    """
    image = await owned(image_id, owner, services)
    if not image.status.at_rest or image.status is Status.EXPIRED:
        _, image = await ingest(image, services, via="hint")
    return image


@in_time()
async def reprocess(image_id: str, owner: str, services: Services) -> Image:
    """Queue a finished image again; what it has stays visible until the new variants are complete.

    Raises:
        NotFound: `owner` has no such image.
        Conflict: it is neither READY nor FAILED, or its preset or its original is gone.
        Unavailable: a service did not answer.
    """
    image = await owned(image_id, owner, services)
    if image.preset not in services.settings.presets:
        raise Conflict(f"There is no preset “{image.preset}” any more.")
    if image.source is None and image.status is Status.READY:
        raise Conflict("Its original was not kept.")
    now = services.clock()
    moved = await services.catalog.move(
        image_id,
        Move.REPROCESS,
        at=now,
        values={"due_at": now + REQUEUE_AFTER},
        owner=owner,
        version=image.version,  # since then, its original may have gone
    )
    if moved is None:
        image = await owned(image_id, owner, services)
        if image.status in MOVES[Move.REPROCESS].sources:
            return await reprocess(image_id, owner, services)
        raise Conflict(f"An image that is {image.status} cannot be developed anew.")
    note(Move.REPROCESS, moved)
    await enqueue(moved, services)
    return moved


async def delete(image_id: str, owner: str, services: Services) -> Image:
    """Remove an image and its objects; a tombstone stays. Deleting twice gives the same tombstone.

    Raises:
        NotFound: `owner` has no such image.
        Unavailable: a service did not answer.
    """
    async with in_time():
        before = await owned(image_id, owner, services)
        if before.status is Status.DELETED:
            return before
        now = services.clock()
        # The sweep comes by again, for what a worker was just writing or the store did not remove.
        deleted = await services.catalog.move(
            image_id, Move.DELETE, at=now, values=_FORGOTTEN | {"due_at": now + GRACE}, owner=owner
        )
        if deleted is None:
            return await owned(image_id, owner, services)
        note(Move.DELETE, deleted)
    await services.bus.publish(deleted)
    try:
        async with asyncio.timeout(_REMOVE_WITHIN):
            await remove_objects(deleted, services)
    except (Unavailable, TimeoutError) as error:
        log.warning("objects were left behind", image=image_id, reason=repr(error))
    return deleted


async def owned(image_id: str, owner: str, services: Services) -> Image:
    """`owner`'s image.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    image = (await services.catalog.get_many([image_id], owner=owner)).get(image_id)
    if image is None:
        raise NotFound("There is no such image.")
    return image
