"""Children work side by side, and each dies alone."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from jobs.errors import ProblemCode, Rejection
from jobs.imaging.messages import Finished, Inspected, Message, PlaceholderMade, RenditionMade
from jobs.imaging.pool import ChildDied, DevelopingPool
from jobs.presets import DEFAULT_PRESET, Preset, VariantSpec
from tests.imaging import samples

# Keeps a child busy for seconds: no test waits for its end.
TOWER = Preset(
    variants=tuple(VariantSpec(name=f"v{w}", width=w, effort=6, quality=100) for w in range(2900, 3000, 5))
)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source that takes long with `TOWER`."""
    path = tmp_path_factory.mktemp("slow") / "source"
    path.write_bytes(samples.photo(3000, 2000))
    return path


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A source that is done at once."""
    path = tmp_path / "quick"
    path.write_bytes(samples.source("png", 400, 300))
    return path


@pytest.fixture
async def pool() -> AsyncIterator[DevelopingPool]:
    """Two children."""
    async with DevelopingPool(2, cpu_seconds=60.0, wall_seconds=60.0) as pool:
        yield pool


async def _all(
    pool: DevelopingPool, source: Path, out: Path, preset: Preset = DEFAULT_PRESET
) -> list[Message]:
    async with aclosing(pool.develop(source, preset, out)) as messages:
        return [message async for message in messages]


async def _gone(pids: set[int]) -> bool:
    """As `_ended`, without holding the loop that is to end them."""
    return await asyncio.to_thread(_ended, pids)


def _ended(pids: set[int]) -> bool:
    """Whether these processes end, seen from outside."""
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([process], [], [], 20)[0]:
                return False
        finally:
            os.close(process)
    return True


async def test_messages_come_in_their_order(pool: DevelopingPool, quick: Path, tmp_path: Path) -> None:
    """Header, placeholder, renditions, end."""
    messages = await _all(pool, quick, tmp_path)
    assert [type(message) for message in messages] == [
        Inspected,
        PlaceholderMade,
        RenditionMade,
        RenditionMade,
        Finished,
    ]


async def test_more_tasks_than_children_are_all_done(
    pool: DevelopingPool, quick: Path, tmp_path: Path
) -> None:
    """Those that find no child wait for one; nothing is mixed up."""
    outs = [tmp_path / str(at) for at in range(12)]
    for out in outs:
        out.mkdir()
    before = pool.pids
    results = await asyncio.gather(*(_all(pool, quick, out) for out in outs))
    for out, messages in zip(outs, results, strict=True):
        made = {m.filename for m in messages if isinstance(m, RenditionMade)}
        assert made == {path.name for path in out.iterdir()}
        assert isinstance(messages[-1], Finished)
    assert pool.pids == before


async def test_a_refusal_leaves_the_child_alive(pool: DevelopingPool, tmp_path: Path, quick: Path) -> None:
    """It is the file that is at fault."""
    bad = tmp_path / "photo.jpg"
    bad.write_text("this is text")
    before = pool.pids
    for _ in range(4):
        with pytest.raises(Rejection) as refused:
            await _all(pool, bad, tmp_path)
        assert refused.value.code is ProblemCode.NOT_AN_IMAGE
    assert pool.pids == before
    assert isinstance((await _all(pool, quick, tmp_path))[-1], Finished)


async def test_a_killed_child_fails_its_own_task_alone(
    pool: DevelopingPool, slow: Path, quick: Path, tmp_path: Path
) -> None:
    """Its neighbour works on, and so does the pool."""
    outs = [tmp_path / "a", tmp_path / "b"]
    for out in outs:
        out.mkdir()
    preset = Preset(variants=(VariantSpec(name="large", width=3000, effort=6, quality=100),))
    async with (
        aclosing(pool.develop(slow, preset, outs[0])) as one,
        aclosing(pool.develop(slow, preset, outs[1])) as other,
    ):
        await asyncio.gather(anext(one), anext(other))
        victim = min(pool.pids)
        os.kill(victim, signal.SIGKILL)

        async def rest(messages: AsyncIterator[Message]) -> Message | ChildDied:
            last: Message | ChildDied | None = None
            try:
                async for last in messages:  # noqa: B007 - only the last is of interest
                    pass
            except ChildDied as error:
                return error
            assert last is not None
            return last

        ends = await asyncio.gather(rest(one), rest(other))
    assert {type(end) for end in ends} == {ChildDied, Finished}
    results = await asyncio.gather(*(_all(pool, quick, out) for out in outs * 3))
    assert all(isinstance(messages[-1], Finished) for messages in results)
    assert len(pool.pids) == 2
    assert victim not in pool.pids


async def test_a_file_that_takes_too_much_of_the_processor_is_at_fault(
    slow: Path, quick: Path, tmp_path: Path
) -> None:
    """The kernel ends its child, and the next task finds another."""
    async with DevelopingPool(1, cpu_seconds=1.0, wall_seconds=60.0) as pool:
        with pytest.raises(Rejection) as refused:
            await _all(pool, slow, tmp_path, TOWER)
        assert refused.value.code is ProblemCode.TOO_COSTLY
        assert isinstance((await _all(pool, quick, tmp_path))[-1], Finished)


async def test_the_processor_time_of_one_task_is_not_charged_to_the_next(quick: Path, tmp_path: Path) -> None:
    """However much a child has used in its life."""
    async with DevelopingPool(1, cpu_seconds=0.5, wall_seconds=60.0, max_tasks=1_000) as pool:
        before = pool.pids
        (process,) = [psutil.Process(pid) for pid in before]
        while sum(process.cpu_times()[:2]) < 3:
            await _all(pool, quick, tmp_path)
        assert pool.pids == before


async def test_a_task_that_is_held_up_is_ended(quick: Path, tmp_path: Path) -> None:
    """Its child is killed, the file is not blamed for it, and the next task finds another."""
    async with DevelopingPool(1, cpu_seconds=60.0, wall_seconds=3.0) as pool:
        (stuck,) = pool.pids
        os.kill(stuck, signal.SIGSTOP)
        with pytest.raises(ChildDied):
            await _all(pool, quick, tmp_path)
        assert await _gone({stuck})
        assert isinstance((await _all(pool, quick, tmp_path))[-1], Finished)


async def test_whoever_stops_listening_ends_the_work(slow: Path, quick: Path, tmp_path: Path) -> None:
    """The child is replaced, and the next task is done."""
    async with DevelopingPool(1, cpu_seconds=60.0, wall_seconds=60.0) as pool:
        before = pool.pids
        async with aclosing(pool.develop(slow, TOWER, tmp_path)) as messages:
            assert isinstance(await anext(messages), Inspected)
        assert await _gone(before)
        assert isinstance((await _all(pool, quick, tmp_path))[-1], Finished)
        assert not pool.pids & before


async def test_a_cancelled_task_ends_the_work(slow: Path, quick: Path, tmp_path: Path) -> None:
    """Its child goes with it, and no place in the pool is lost."""
    async with DevelopingPool(1, cpu_seconds=60.0, wall_seconds=60.0) as pool:
        before = pool.pids
        began = asyncio.Event()

        async def work() -> None:
            async with aclosing(pool.develop(slow, TOWER, tmp_path)) as messages:
                async for _ in messages:
                    began.set()

        task = asyncio.create_task(work())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _gone(before)
        assert isinstance((await _all(pool, quick, tmp_path))[-1], Finished)


async def test_a_child_that_died_at_rest_is_replaced(quick: Path, tmp_path: Path) -> None:
    """It costs no task."""
    async with DevelopingPool(1, cpu_seconds=60.0, wall_seconds=60.0) as pool:
        before = pool.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert await _gone(before)
        assert isinstance((await _all(pool, quick, tmp_path))[-1], Finished)
        assert not pool.pids & before


async def test_children_are_replaced_before_they_grow_old(quick: Path, tmp_path: Path) -> None:
    """After so many tasks another serves."""
    async with DevelopingPool(1, cpu_seconds=60.0, wall_seconds=60.0, max_tasks=2) as pool:
        served = []
        for _ in range(4):
            await _all(pool, quick, tmp_path)
            served.append(pool.pids)
        assert await _gone(set().union(*served) - pool.pids)


async def test_no_child_outlives_the_pool(slow: Path, tmp_path: Path) -> None:
    """Not even a busy one."""
    async with DevelopingPool(2, cpu_seconds=60.0, wall_seconds=60.0) as pool:
        pids = set(pool.pids)
        messages = pool.develop(slow, TOWER, tmp_path)
        await anext(messages)
    assert len(pids) == 2
    assert await _gone(pids)
    await messages.aclose()


async def test_a_child_knows_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our environment nor our open files."""
    monkeypatch.setenv("DARKROOM_S3_SECRET_KEY", "a-secret-of-the-tests")
    ours, theirs = os.pipe()
    os.set_inheritable(ours, True)
    try:
        async with DevelopingPool(1, cpu_seconds=60.0, wall_seconds=60.0) as pool:
            (pid,) = pool.pids
            assert b"a-secret" not in Path(f"/proc/{pid}/environ").read_bytes()
            held = {path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir()}
            assert Path(f"/proc/self/fd/{ours}").readlink() not in held
    finally:
        os.close(ours)
        os.close(theirs)


_PARENT = """
import asyncio, sys
from pathlib import Path
from jobs.imaging.pool import DevelopingPool

async def main():
    async with DevelopingPool(2, cpu_seconds=60.0, wall_seconds=60.0) as pool:
        print(*pool.pids, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_children_die_with_a_parent_that_is_killed() -> None:
    """`kill -9` leaves no orphan."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = {int(pid) for pid in parent.stdout.readline().split()}
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
        assert _ended(pids)
