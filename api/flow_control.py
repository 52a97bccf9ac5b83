"""What an application waits for at its websocket: what comes, and room for what it sends.

asyncio's own take deques of 760 bytes each, for those who may wait at every end of them.
"""

import asyncio

from uvicorn._types import ASGIReceiveEvent


class Inbox:
    """What came for the application, which alone waits for it: an `asyncio.Queue` with one reader.

    Nothing more is read of a client while something is in it. A single read may have been of some ten
    thousand messages, so both ends cost the same however many there are.
    """

    __slots__ = ("_came", "_next", "_waiting")

    def __init__(self) -> None:
        self._came: list[ASGIReceiveEvent] = []
        self._next: list[ASGIReceiveEvent] = []  # those before, the first of them last
        self._waiting: asyncio.Future[None] | None = None

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        """Add one."""
        self._came.append(event)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def get(self) -> ASGIReceiveEvent:
        """Wait for the first, and take it."""
        while self.empty():
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if not self._next:
            self._came.reverse()
            self._next, self._came = self._came, self._next
        return self._next.pop()

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._next and not self._came


class Gate:
    """An `asyncio.Event` that is still set when a wait for it ends.

    The event wakes all who wait. The first to go on may fill the room that there is, and it is cleared again
    before the next looks: that one waits on.
    """

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = True
        self._waiting: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Let them through."""
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        """Let them wait."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until it is set."""
        while not self._is_set:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
