"""Subscribers by the thousand, and changes of their images: the load of the benchmark of subscribers.

The clients and the changes are in one process, so one clock measures from the publishing to the receipt.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from jobs.images import Image
from tests.bench.peers import Peer, connect

_WITHIN = 120.0  # seconds, for all to be connected
_LATE = 3.0  # seconds that are waited for what is under way

Announce = Callable[[str, int], None]
Change = Callable[[Image, Announce], Coroutine[Any, Any, None]]
"""Changes an image, says its id and version, and publishes it."""


class Delays(NamedTuple):
    """Seconds from publishing to receipt, and how many of the messages came."""

    median: float
    p99: float
    came: float


class Crowd:
    """Clients of one server, the n-th of which says `hellos[n]` in turn, each when the last was answered."""

    def __init__(self, port: int, hellos: Sequence[Sequence[bytes]]) -> None:
        self._port = port
        self._hellos = hellos
        self._waiting = 0
        self._all_heard = asyncio.Event()
        self._published: dict[tuple[bytes, int], float] = {}
        self._said = [0] * len(hellos)
        self.delays: list[float] = []
        self.peers: list[Peer] = []

    async def gather(self) -> None:
        """Connect all, and wait until each has heard its first state."""
        self._waiting = len(self._hellos)
        self._said = [0] * len(self._hellos)
        self._all_heard.clear()
        self.peers = await connect(self._port, range(len(self._hellos)), self._heard)
        async with asyncio.timeout(_WITHIN):
            await self._all_heard.wait()

    async def scatter(self) -> None:
        """Leave, all of a sudden."""
        for peer in self.peers:
            peer.transport.abort()
        self.peers = []
        await asyncio.sleep(0)

    async def measure(
        self, images: Sequence[Image], change: Change, *, rate: float, seconds: float, heard_by: int
    ) -> Delays:
        """Change images in turn, `rate` of them a second, whatever becomes of the earlier.

        Args:
            heard_by: how many clients follow each image.
        """
        self.delays.clear()
        begun, tasks = time.perf_counter(), []
        for number in range(round(rate * seconds)):
            if (early := begun + number / rate - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            tasks.append(asyncio.create_task(change(images[number % len(images)], self._announce)))
        await asyncio.gather(*tasks)
        wanted = len(tasks) * heard_by
        ends = time.perf_counter() + _LATE
        while len(self.delays) < wanted and time.perf_counter() < ends:
            await asyncio.sleep(0.05)
        self._published.clear()
        hundredths = statistics.quantiles(self.delays, n=100)
        return Delays(hundredths[49], hundredths[98], len(self.delays) / wanted)

    def _announce(self, image_id: str, version: int) -> None:
        self._published[image_id.encode(), version] = time.perf_counter()

    def _heard(self, peer: Peer, text: bytes) -> None:
        said = self._said[peer.number]
        if said < len(self._hellos[peer.number]):
            self._said[peer.number] = said + 1
            peer.send(self._hellos[peer.number][said])
            return
        if said == len(self._hellos[peer.number]):
            self._said[peer.number] = said + 1
            self._waiting -= 1
            if not self._waiting:
                self._all_heard.set()
            return
        at = text.find(b'"version":') + 10
        key = text[text.find(b"img_") :][:36], int(text[at : text.find(b",", at)])
        if (published := self._published.get(key)) is not None:
            self.delays.append(time.perf_counter() - published)
