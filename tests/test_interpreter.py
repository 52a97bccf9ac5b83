"""What the process asks of Python and the kernel."""

import asyncio
import gc
import subprocess
import sys
import weakref
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


class Circle:
    """What only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


async def test_what_comes_by_the_thousand_is_frozen_while_more_come() -> None:
    """So that no look takes long."""
    count = 0
    item: list[None] = []

    def connections() -> int:
        nonlocal count
        count += 400
        return count

    async with running_beside(freeze_settled(connections, look_every=0)):
        while not is_frozen(item):
            await asyncio.sleep(0)


async def test_what_is_dead_is_not_frozen() -> None:
    """However long it lived: the young alone are not all."""
    gc.collect()
    circle = Circle()
    gc.collect()  # it is old
    died = weakref.ref(circle)
    del circle
    item: list[None] = []
    async with running_beside(freeze_settled(lambda: 100, look_every=0)):
        while not is_frozen(item):
            await asyncio.sleep(0)
    assert died() is None


async def test_what_dies_frozen_is_freed_when_as_many_have_left_as_are_there() -> None:
    """Not before that, and all that was frozen is frozen again."""
    count, looks = 2_500, 0

    def connections() -> int:
        nonlocal looks
        looks += 1
        return count

    async def some_looks() -> None:
        enough = looks + 5
        while looks < enough:
            await asyncio.sleep(0)

    gc.disable()
    try:
        async with running_beside(freeze_settled(connections, look_every=0)):
            circle = Circle()
            await some_looks()
            assert is_frozen(circle)
            died = weakref.ref(circle)
            del circle
            for number in (1_900, 2_400, 1_800, 2_300, 1_900):  # of those who were frozen, 1,600 leave
                count = number
                await some_looks()
                assert died() is not None
            count = 1_500
            await some_looks()
            assert died() is None
            assert is_frozen(connections)
    finally:
        gc.enable()


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
