"""Deadline: nobody who asks for something waits for as long as it takes to give a service up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.errors import Unavailable

_ANSWER_WITHIN = 10.0  # seconds; the clients of our services try again, for up to a minute


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """End what is not done in ten seconds; also a decorator.

    Raises:
        Unavailable: it was not.
    """
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            yield
    except TimeoutError as error:
        raise Unavailable(f"A service does not answer within {_ANSWER_WITHIN:.0f} s.") from error
