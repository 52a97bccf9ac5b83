"""What tests of those who follow changes share."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from jobs.images import Image, ImageChange, Move
from jobs.ports import Services
from tests.records import NOON

LATER = NOON + timedelta(seconds=1)


class LossyBus:
    """A bus that loses every message; the test says when it notices."""

    def __init__(self) -> None:
        self._noticed: asyncio.Queue[ImageChange | None] = asyncio.Queue()

    def notice(self) -> None:
        """Begin anew, as after a broken connection."""
        self._noticed.put_nowait(None)

    async def publish(self, image: Image) -> None:
        """Lose it."""

    async def echo(self, key: str, *, via: str) -> None:
        """Likewise."""

    async def changes(self) -> AsyncIterator[ImageChange | None]:
        """Nothing but beginnings."""
        while True:
            yield await self._noticed.get()


async def moved(services: Services, image: Image, move: Move, fence: str | None = None) -> Image:
    """The record after a move that everybody is told of."""
    after = await services.catalog.move(image.id, move, at=LATER, fence=fence)
    assert after is not None
    await services.bus.publish(after)
    return after
