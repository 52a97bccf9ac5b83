"""Sources that come slowly, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.attempt import Processed
from jobs.errors import Unavailable
from jobs.images import Source, Status
from jobs.process import process
from tests.memory import MemoryCatalog
from tests.records import an_image
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World, settings_for
from tests.test_process import Scripted

_SIZE = 50 * 2**20


class Slow:
    """A store from which a source comes in pieces, so many seconds after one another."""

    def __init__(self, storage: object, pieces: int, seconds: float) -> None:
        self._storage = storage
        self._pieces = pieces
        self._seconds = seconds

    async def read(self, *_: object, **__: object) -> AsyncIterator[bytes]:
        """Piece after piece."""
        for _piece in range(self._pieces):
            await asyncio.sleep(self._seconds)
            yield b"piece"

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)


def fetched(scratch: Path, pieces: int, seconds: float) -> tuple[Processed | None, Status, int, float]:
    """What comes of an attempt, status and attempts of the record after it, and how many seconds it took."""

    async def attempt() -> tuple[Processed | None, Status, int, float]:
        world = World(0, settings_for(scratch), MemoryCatalog())
        services = world.services()
        storage: Any = Slow(services.storage, pieces, seconds)
        source = Source(etag='"e"', byte_size=_SIZE)
        image = an_image(status=Status.UPLOADED, source=source, byte_size=_SIZE, round=1)
        await services.catalog.add([image])
        outcome = None
        with suppress(Unavailable):
            outcome = await process(image.id, replace(services, storage=storage), Scripted())
        after = await services.catalog.get(image.id)
        assert after is not None
        return outcome, after.status, after.attempts, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(attempt())


@pytest.mark.parametrize("seconds", [26.2, 100.0])
def test_a_source_that_comes_slowly_is_developed(tmp_path: Path, seconds: float) -> None:
    """The largest at 2 MB in a second, and at little more than the least speed."""
    outcome, status, attempts, _ = fetched(tmp_path, pieces=200, seconds=seconds / 200)
    assert (outcome, status, attempts) == (Processed.READY, Status.READY, 1)


@pytest.mark.parametrize(("pieces", "seconds", "within"), [(2, 9.0, 9.0), (1_000, 1.0, 120.0)])
def test_a_store_that_is_silent_or_drips_is_away(
    tmp_path: Path, pieces: int, seconds: float, within: float
) -> None:
    """No attempt is counted, and no worker is held for long."""
    outcome, status, attempts, took = fetched(tmp_path, pieces, seconds)
    assert (outcome, status, attempts) == (None, Status.PROCESSING, 0)
    assert took < within
