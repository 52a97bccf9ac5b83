"""Process: take an uploaded image, make one attempt at it, say how it ended.

A worker may die or be late at any line. Whatever it wrote then lies under keys of its own attempt, and
its word about the record is refused, because somebody else holds the fence.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import structlog

from jobs import metrics
from jobs.attempt import Attempt, Developer, Processed, SourceGone, transfer_seconds
from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.failpoints import Failpoint, reach
from jobs.images import Image, Lease, Move, Status, new_fence
from jobs.lease import LEASE, LeaseLost, holding
from jobs.ports import Services
from jobs.transitions import note

log = structlog.get_logger(__name__)

_JOB = timedelta(seconds=30)  # as long as one may run, beside the transfer of its source
_BUDGET = _JOB - timedelta(seconds=3)  # of which some is left for saying how it ended
_RELEASE_WAITS = (0.0, 1.0, 2.0, 4.0)  # seconds before each try at giving a lease back


class TryAgain(Exception):
    """The job is not over; it should run again `after` some time."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"again in {after.total_seconds():.1f} s")
        self.after = after


def job_limit(byte_size: int) -> timedelta:
    """As long as a job may run whose source has at most `byte_size` bytes."""
    return _JOB + timedelta(seconds=transfer_seconds(byte_size))


def backoff(attempt: int) -> timedelta:
    """How long to wait after the failure of `attempt`, counted from 1: 1, 2, 4 … at most 30 seconds."""
    return timedelta(seconds=min(2.0 ** (attempt - 1), 30.0))


async def process(image_id: str, services: Services, developer: Developer) -> Processed:
    """One attempt at one image, from lease to verdict.

    Raises:
        TryAgain: the attempt failed, the file may have caused it, and there are attempts left.
        Unavailable: a service is away, which is no attempt; it should run again when that is back.
    """
    fence = new_fence()
    attempt: Attempt | None = None
    try:
        image = await _take(image_id, fence, services)
        if image is None:
            return await _not_ours(image_id, services)
        reach(Failpoint.PROCESS_TAKEN)
        attempt = Attempt(image, fence, services)
        return await _verdict(attempt, developer, holding(image_id, fence, services))
    except (asyncio.CancelledError, Unavailable):
        await asyncio.shield(_give_back(image_id, fence, attempt, services, counted=False))
        raise
    except TryAgain:
        await asyncio.shield(_give_back(image_id, fence, attempt, services, counted=True))
        raise


async def _take(image_id: str, fence: str, services: Services) -> Image | None:
    now = services.clock()
    lease = Lease(fence=fence, until=now + LEASE)
    image = await services.catalog.move(
        image_id, Move.TAKE, at=now, values={"lease": lease, "due_at": lease.until}
    )
    if image is not None:
        note(Move.TAKE, image)
        await services.bus.publish(image)
    return image


async def _give_back(
    image_id: str, fence: str, attempt: Attempt | None, services: Services, *, counted: bool
) -> None:
    """End the lease of `fence` early, if there is one; where that fails for as long as it lasts, it ends by
    itself, and the attempt is counted.

    Args:
        attempt: what was done under it; if it has passed to somebody else, that was for nothing.
        counted: whether the file may be what ended the attempt.
    """
    for wait in _RELEASE_WAITS:
        await asyncio.sleep(wait)
        try:
            held = await services.catalog.release(image_id, fence=fence, at=services.clock(), counted=counted)
            if attempt is not None and not held:
                await attempt.abandon()
        except Unavailable as error:
            log.warning("a lease was not released", image=image_id, reason=error.message)
        else:
            return


async def _verdict(
    attempt: Attempt, developer: Developer, held: AbstractAsyncContextManager[None]
) -> Processed:
    """Develop while the lease is held, and say how it ended.

    Raises:
        TryAgain, Unavailable: as `process`.
    """
    if attempt.is_beyond_the_last:
        return await attempt.fail("Developing it ended its worker, again and again.")
    try:
        async with asyncio.timeout(_BUDGET.total_seconds() + attempt.transfer_seconds), held:
            developed = await attempt.develop(developer)
    except LeaseLost:
        return await attempt.abandon()
    except Rejection as rejection:
        return await attempt.reject(rejection)
    except SourceGone:
        return await attempt.fail(
            "The source is no longer in the store.", code=ProblemCode.SOURCE_MISSING, retryable=False
        )
    except (Unavailable, TimeoutError) as error:
        # Fetching and developing have less time than the budget: the rest was waiting, for a service or a
        # child, and not the file's doing.
        reason = (
            error if isinstance(error, Unavailable) else Unavailable("A service does not answer in time.")
        )
        if attempt.has_waited_long:
            return await attempt.fail(f"For too long: {reason.message}")
        raise reason from error
    except Exception as error:
        log.exception("an attempt failed", image=attempt.image.id, attempt=attempt.image.attempts)
        if attempt.is_last:
            return await attempt.fail("It could not be developed; the fault is ours.")
        metrics.RETRIES.labels(metrics.Retry.FAILED).inc()
        raise TryAgain(backoff(attempt.image.attempts)) from error
    return await attempt.finish(developed)


async def _not_ours(image_id: str, services: Services) -> Processed:
    image = await services.catalog.get(image_id)
    if image is not None and image.status is Status.PROCESSING and image.lease is not None:
        # Its worker may be dead: look again when its lease is over.
        raise TryAgain(max(image.lease.until - services.clock(), timedelta(milliseconds=50)))
    return Processed.NOTHING
