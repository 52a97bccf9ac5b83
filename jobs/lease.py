"""Lease: a worker's claim to an image, renewed for as long as it works on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from jobs.errors import Unavailable
from jobs.ports import Services

LEASE = timedelta(seconds=10)  # how long nobody else asks whether its holder is still there
RENEWED_EVERY = LEASE / 4


class LeaseLost(Exception):
    """Somebody else has taken the image meanwhile, or it was deleted."""


@asynccontextmanager
async def holding(
    image_id: str, fence: str, services: Services, *, every: timedelta = RENEWED_EVERY
) -> AsyncIterator[None]:
    """Renew the lease of `fence` while the context lasts.

    Raises:
        LeaseLost: it is over; what was being done is ended.
    """
    lost = False
    try:
        async with asyncio.timeout(None) as limit:

            async def renew() -> None:
                nonlocal lost
                while not lost:
                    await asyncio.sleep(every.total_seconds())
                    until = services.clock() + LEASE
                    with suppress(Unavailable):  # while it is away, nobody else can take it either
                        lost = not await services.catalog.renew(image_id, fence=fence, until=until)
                limit.reschedule(0)

            renewing = asyncio.create_task(renew())
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
    except TimeoutError:
        if lost:
            raise LeaseLost from None
        raise
