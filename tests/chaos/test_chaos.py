"""A shortened pass of `make chaos`: every fault once, and nothing wrong after it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.all import SCENARIOS
from tests.chaos.fleet import Backing, backing_services
from tests.chaos.scenarios import SHORT, Outcome

# These take the services away, so that nothing else can run beside them.
_ALONE = ("Valkey restarted and flushed", "MongoDB away")
_TOGETHER = tuple(name for name in SCENARIOS if name not in _ALONE)
_AT_ONCE = 3  # they wait for leases more than they work


@pytest.fixture(scope="module")
async def backing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backing]:
    """Services that may be killed."""
    async with backing_services(tmp_path_factory.mktemp("chaos-services")) as services:
        yield services


@pytest.fixture(scope="module")
async def running(
    backing: Backing, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[Outcome]]]:
    """Those that can run beside each other do."""
    folder, gate = tmp_path_factory.mktemp("chaos"), asyncio.Semaphore(_AT_ONCE)

    async def run(number: int, name: str) -> Outcome:
        async with gate:
            return await SCENARIOS[name](backing, folder / f"fleet-{number}", SHORT)

    tasks = {name: asyncio.create_task(run(number, name)) for number, name in enumerate(_TOGETHER)}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", _TOGETHER)
async def test_every_promise_is_kept(running: dict[str, asyncio.Task[Outcome]], name: str) -> None:
    """Nothing lost, nothing finished twice, nothing left behind."""
    outcome = await running[name]
    assert outcome.uploads > 0
    assert outcome.wrong == [], outcome.figures


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", _ALONE)
async def test_every_promise_is_kept_without_a_service(backing: Backing, tmp_path: Path, name: str) -> None:
    """Likewise, when it is back."""
    outcome = await SCENARIOS[name](backing, tmp_path / f"fleet-{name.split(maxsplit=1)[0].lower()}", SHORT)
    assert outcome.uploads > 0
    assert outcome.wrong == [], outcome.figures
