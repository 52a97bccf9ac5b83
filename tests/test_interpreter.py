"""What the process asks of Python and the kernel."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from api.interpreter import freeze_settled
from tests.system import running_beside


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_connections_are_frozen_when_no_more_of_them_come() -> None:
    """Not while they come, and not a few; again when many more are there."""
    counts = [10, 10, 150, 300]
    looks = 0

    def connections() -> int:
        nonlocal looks
        looks += 1
        return counts[min(looks, len(counts)) - 1]

    first: list[None] = []
    async with running_beside(freeze_settled(connections, look_every=0)):
        while looks < len(counts):
            assert not is_frozen(first)
            await asyncio.sleep(0)
        while not is_frozen(first):
            await asyncio.sleep(0)
        second: list[None] = []
        assert not is_frozen(second)
        counts += [450, 450]
        while not is_frozen(second):
            await asyncio.sleep(0)


def is_frozen(item: object) -> bool:
    """Whether the collector no longer sees it."""
    return all(seen is not item for seen in gc.get_objects())


def test_a_process_may_have_as_many_sockets_as_the_system_lets_it() -> None:
    """However few the shell that started it allows at first."""
    script = """
import resource
from api.interpreter import allow_many_sockets
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
allow_many_sockets()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
