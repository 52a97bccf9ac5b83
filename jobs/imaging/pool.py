"""The pool: children that develop, one file each at a time; one that dies takes nobody with it.

Written here rather than taken from a library of process pools, because messages stream out while the child
still works, so that storing overlaps encoding; and because a child that is executed afresh, not forked,
holds none of the parent's secrets and sockets.

A child works on one thread, and there is one for each core. Threads within a child would make one image
ready sooner on an idle machine, but two children already do 1.97 times the work of one on two cores
(`make bench`), and a file that hurts then hurts one image, not two. Each takes 25 MB
at rest, and less than 80 MB at the peak of a JPEG of 24 megapixels (`make bench`); beyond its limit of
address space it is refused more, and its file is too costly.
"""

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self

import structlog
from pydantic import Field, TypeAdapter

from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.formats import EVERYDAY, SourceFormat
from jobs.imaging.messages import Answer, Finished, Hindered, Message, Refused, Task
from jobs.presets import Preset

ANSWER: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])

log = structlog.get_logger(__name__)

MEMORY = 3 * 2**29  # bytes of address space for a child: 1.5 GiB
MAX_TASKS = 200  # after which a child is replaced, whatever it may have leaked


class ChildDied(Exception):
    """The child that developed a file ended, by whatever hand."""


class _Child:
    """A process that waits for tasks."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        questions: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
    ) -> None:
        self.process = process
        self.tasks = 0
        self._questions = questions
        self._answers = answers

    @classmethod
    async def start(cls, memory: int) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jobs.imaging.child", str(os.getpid()), str(memory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )  # fmt: skip
        if process.stdin is None or process.stdout is None:
            raise OSError("a child without pipes")
        return cls(process, process.stdin, process.stdout)

    @property
    def is_gone(self) -> bool:
        """Whether it ended; asked of the kernel, which knows before the loop does."""
        try:
            ended = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # it ended, and the loop knows
            return True
        return ended is not None

    async def ask(self, task: Task) -> None:
        self.tasks += 1
        self._questions.write(pickle.dumps(task))
        await self._questions.drain()

    async def answer(self) -> Answer:
        line = await self._answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return ANSWER.validate_json(line)

    async def ended_by(self) -> signal.Signals | None:
        """The signal that ended it; None if it ended by itself, or has not."""
        try:
            async with asyncio.timeout(1):
                code = await self.process.wait()
        except TimeoutError:
            return None
        return signal.Signals(-code) if code < 0 else None

    async def end(self) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):  # it was quicker
                self.process.kill()
        self._questions.close()
        await self.process.wait()


class DevelopingPool:
    """`size` children, warm and waiting.

    Args:
        cpu_seconds: processor time that one file may take; more is its own fault.
        wall_seconds: after which a child is given up, whoever kept it waiting.
        accepted: what a file may be.
        max_tasks: files after which a child is replaced.
        memory: bytes of address space for each child.
    """

    def __init__(
        self,
        size: int,
        *,
        cpu_seconds: float,
        wall_seconds: float,
        accepted: tuple[SourceFormat, ...] = EVERYDAY,
        max_tasks: int = MAX_TASKS,
        memory: int = MEMORY,
    ) -> None:
        self._size = size
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._accepted = accepted
        self._max_tasks = max_tasks
        self._memory = memory
        self._children: set[_Child] = set()
        self._idle: asyncio.Queue[_Child] = asyncio.Queue()
        self._replacing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(self._start() for _ in range(self._size)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(child.end() for child in self._children))

    @property
    def pids(self) -> set[int]:
        """The process ids of the children that live."""
        return {child.process.pid for child in self._children}

    async def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
        """Tell what comes out as soon as it lies in `out`; `Finished` is last.

        Whoever stops listening ends the work.

        Raises:
            Rejection: the file is at fault, or took too much of the processor.
            Unavailable: there is no room for what is made of it.
            ChildDied: it may be the file that ended it, or held it up.
        """
        while (child := await self._idle.get()).is_gone:
            self._replace(child)  # it died at rest: no fault of this file
        deadline = asyncio.get_running_loop().time() + self._wall_seconds
        fit = False
        try:
            await child.ask(
                Task(
                    source=source,
                    preset=preset,
                    accepted=self._accepted,
                    out=out,
                    cpu_seconds=self._cpu_seconds,
                )
            )
            while True:
                async with asyncio.timeout_at(deadline):
                    message = await child.answer()
                if isinstance(message, Refused):
                    fit = True
                    raise Rejection(message.code, message.message)
                if isinstance(message, Hindered):
                    fit = True
                    raise Unavailable(message.message)
                fit = isinstance(message, Finished)
                yield message
                if fit:
                    return
        except TimeoutError as error:
            raise ChildDied(f"it said nothing for {self._wall_seconds:g} s") from error
        except (EOFError, ConnectionError, ValueError) as error:
            if await child.ended_by() is signal.SIGXCPU:
                raise Rejection(
                    ProblemCode.TOO_COSTLY,
                    f"Developing it takes more than {self._cpu_seconds:g} seconds of a processor.",
                ) from None
            raise ChildDied from error
        finally:
            if fit and child.tasks < self._max_tasks:
                self._idle.put_nowait(child)
            else:
                self._replace(child)

    async def _start(self) -> None:
        child = await _Child.start(self._memory)
        self._children.add(child)
        self._idle.put_nowait(child)

    def _replace(self, child: _Child) -> None:
        """End a child and start another, while others work on."""

        async def work() -> None:
            await child.end()
            self._children.discard(child)
            while not self._closed:
                try:
                    await self._start()
                except OSError as error:
                    log.warning("a child could not be started", reason=str(error))
                    await asyncio.sleep(1)
                else:
                    return

        task = asyncio.create_task(work())
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)
