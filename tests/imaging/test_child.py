"""A child answers each task and says nothing else, and ends with its parent."""

import asyncio
import json
import os
import pickle
import select
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from jobs.formats import EVERYDAY
from jobs.imaging.messages import Answer, Finished, Hindered, Inspected, Refused, RenditionMade, Task
from jobs.imaging.pool import ANSWER
from jobs.presets import DEFAULT_PRESET
from tests.imaging import samples

_MEMORY = 3 << 29

# Starts a child, tells its process id, and waits.
_PARENT = """
import os, subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-m", "jobs.imaging.child", str(os.getpid()), sys.argv[1]], stdin=subprocess.PIPE
)
print(child.pid, flush=True)
sys.stdin.read()
"""


async def _serve(
    lines: bytes, *, memory: int = _MEMORY, parent: int | None = None
) -> tuple[int, bytes, bytes]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jobs.imaging.child", str(parent or os.getpid()), str(memory)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await child.communicate(lines)
    assert child.returncode is not None
    return child.returncode, out, err


def _task(folder: Path, name: str, source: bytes) -> bytes:
    path = folder / name
    path.write_bytes(source)
    task = Task(source=path, preset=DEFAULT_PRESET, accepted=EVERYDAY, out=folder, cpu_seconds=60)
    return pickle.dumps(task)


def _answers(out: bytes) -> list[Answer]:
    return [ANSWER.validate_json(line) for line in out.splitlines()]


async def test_every_task_is_answered_to_its_end(tmp_path: Path) -> None:
    """In order; a refused one does not end the child, the end of the input does."""
    tasks = [
        _task(tmp_path, "good", samples.source()),
        _task(tmp_path, "bad", b"this is text"),
        _task(tmp_path, "again", samples.source("png")),
    ]
    code, out, _ = await _serve(b"".join(tasks))
    assert code == 0
    ends = [answer.kind for answer in _answers(out) if isinstance(answer, Finished | Refused)]
    assert ends == ["finished", "refused", "finished"]
    formats = [answer.format for answer in _answers(out) if isinstance(answer, Inspected)]
    assert formats == ["jpeg", "png"]


async def test_nothing_but_messages_is_written(tmp_path: Path) -> None:
    """Every line is one of them; without a task there is none."""
    assert await _serve(b"") == (0, b"", b"")
    _, out, err = await _serve(_task(tmp_path, "odd", samples.located()))
    assert all(json.loads(line)["kind"] for line in out.splitlines())
    assert err == b""


async def test_a_fault_of_ours_ends_the_child(tmp_path: Path) -> None:
    """A source that is not there is nobody's image: no verdict is given, and the reason is told."""
    path = tmp_path / "nothing"
    gone = Task(source=path, preset=DEFAULT_PRESET, accepted=EVERYDAY, out=tmp_path, cpu_seconds=60)
    code, out, err = await _serve(pickle.dumps(gone))
    assert code != 0
    assert out == b""
    assert b"FileNotFoundError" in err


async def test_too_much_memory_is_refused_and_survived(tmp_path: Path) -> None:
    """What does not fit is too costly; the next task is done."""
    huge = samples.flat(1, "1", size=(7_000, 7_000))
    tasks = _task(tmp_path, "huge", huge) + _task(tmp_path, "good", samples.source())
    code, out, _ = await _serve(tasks, memory=120 << 20)
    answers = _answers(out)
    assert code == 0
    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["TOO_COSTLY"]
    assert isinstance(answers[-1], Finished)
    assert any(isinstance(answer, RenditionMade) for answer in answers)


async def test_a_child_of_nobody_does_not_stay() -> None:
    """Its parent died before it could be tied to it."""
    code, out, _ = await _serve(b"", parent=1)
    assert code == 1
    assert out == b""


def test_a_child_dies_with_its_parent() -> None:
    """Even when that is killed and can say nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(_MEMORY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(signal.SIGKILL)
            ready, _, _ = select.select([child], [], [], 20)
            assert ready == [child]
        finally:
            os.close(child)


async def test_a_full_disk_is_not_the_files_fault(tmp_path: Path) -> None:
    """It is told, and the next task is done."""
    good = tmp_path / "good"
    good.mkdir()
    nowhere = Task(
        source=good / "source",
        preset=DEFAULT_PRESET,
        accepted=EVERYDAY,
        out=tmp_path / "gone",
        cpu_seconds=60,
    )
    task = _task(good, "source", samples.source())
    code, out, _ = await _serve(pickle.dumps(nowhere) + task)
    assert code == 0
    ends = [answer for answer in _answers(out) if isinstance(answer, Finished | Refused | Hindered)]
    assert [end.kind for end in ends] == ["hindered", "finished"]
