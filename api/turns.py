"""Long lists are answered in turns with what others ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

TURN = 0.005  # seconds


async def in_turns(items: Iterable[T], turn: float = TURN) -> AsyncIterator[T]:
    """`items`, and others are served whenever what is done with them has taken so many seconds."""
    began = time.monotonic()
    for item in items:
        yield item
        if time.monotonic() - began >= turn:
            await asyncio.sleep(0)
            began = time.monotonic()
