"""A store that fails now and then, over the real one."""

import random
from collections.abc import AsyncIterator, Iterable
from typing import Never

from jobs.errors import Unavailable
from jobs.ports import Listed, Storage, Stored, Target


class FaultyStorage:
    """`Storage` that answers a part of all calls, drawn by `rng`, as after a 500 or a 503 of the store.

    Half of the calls that fail have been carried out nevertheless, and only their answer is lost.
    """

    def __init__(self, real: Storage, rng: random.Random, rate: float = 0.0) -> None:
        self.rate = rate
        self.faults = 0
        self._real = real
        self._rng = rng

    def presign_upload(
        self, key: str, *, byte_size: int, content_type: str, sha256: str | None, expires_in: int
    ) -> Target:
        """As the real one: nobody is asked."""
        return self._real.presign_upload(
            key, byte_size=byte_size, content_type=content_type, sha256=sha256, expires_in=expires_in
        )

    def download_url(self, key: str, *, expires_in: int) -> str:
        """Likewise."""
        return self._real.download_url(key, expires_in=expires_in)

    def attachment_url(self, key: str, *, expires_in: int) -> str:
        """Likewise."""
        return self._real.attachment_url(key, expires_in=expires_in)

    async def head(self, key: str) -> Stored | None:
        """It or a fault."""
        self._perhaps()
        return await self._real.head(key)

    async def read(
        self, key: str, *, etag: str | None = None, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """All of it, or a fault before any chunk."""
        async for chunk in self._real.read(key, etag=etag, start=start, stop=stop):
            self._perhaps()
            yield chunk

    async def write(self, key: str, body: bytes, *, content_type: str) -> None:
        """Done, done without an answer, or not done."""
        fails = self._draw()
        if fails and self._rng.random() < 0.5:
            self._fail()
        await self._real.write(key, body, content_type=content_type)
        if fails:
            self._fail()

    async def delete(self, keys: Iterable[str]) -> None:
        """Likewise."""
        fails = self._draw()
        if fails and self._rng.random() < 0.5:
            self._fail()
        await self._real.delete(keys)
        if fails:
            self._fail()

    async def listing(self, prefix: str, *, page_size: int = 1_000) -> AsyncIterator[Listed]:
        """All of it, or a fault before any object."""
        async for listed in self._real.listing(prefix, page_size=page_size):
            self._perhaps()
            yield listed

    async def ping(self) -> None:
        """It or a fault."""
        self._perhaps()
        await self._real.ping()

    def _draw(self) -> bool:
        return self._rng.random() < self.rate

    def _perhaps(self) -> None:
        if self._draw():
            self._fail()

    def _fail(self) -> Never:
        self.faults += 1
        raise Unavailable("The object store answered with status 503.")
