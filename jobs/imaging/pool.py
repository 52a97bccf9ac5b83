"""The parent's side of developing: a fixed number of warm children, each of which can be killed alone.

This is our own rather than a library's pool, because what a child makes is told as soon as it is there,
so that storing one rendition overlaps encoding the next; because a process that was exec'd anew holds
none of the parent's secrets and sockets; and because asyncio owns the pipes, without threads that poll.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.imaging.handle import Child
from jobs.imaging.messages import Finished, Message, Refused, Task
from jobs.presets import Preset

log = structlog.get_logger(__name__)

MEMORY = 3 << 29  # bytes of address space for one child: 1.5 GiB


class DevelopingPool:
    """Develops as many images at once as it has children; use it as an async context.

    Args:
        size: how many children there are.
        timeout: after how many seconds a task is ended, its child with it.
        max_tasks: after how many tasks a child is replaced, lest it leak.
        memory: how many bytes of address space a child may use.
    """

    def __init__(
        self, size: int = 2, *, timeout: float = 25.0, max_tasks: int = 200, memory: int = MEMORY
    ) -> None:
        self._size = size
        self._timeout = timeout
        self._max_tasks = max_tasks
        self._memory = memory
        self._open = False
        self._children: set[Child] = set()
        # A place without a child is one whose child could not be started: the next task tries again.
        self._places: asyncio.Queue[Child | None] = asyncio.Queue()
        self._background: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._open = True
        await asyncio.gather(*(self._fill_place() for _ in range(self._size)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        while self._background:
            for child in self._children:
                child.kill()
            await asyncio.wait(self._background)
        for child in self._children:
            child.kill()
        await asyncio.gather(*(child.reaped() for child in self._children))
        self._children.clear()
        self._places.put_nowait(None)  # whoever waits for a place learns that there is none

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the children that live."""
        return tuple(child.pid for child in self._children if child.alive)

    async def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
        """Develop the file `source` into the folder `out`; tell each thing once it is there.

        `Inspected` comes first, `Finished` last. Waits for a child if all are busy. A caller who stops
        early ends the work: its child is killed, the others are not touched.

        Raises:
            Rejection: the file is at fault; `TOO_COSTLY` where it took too long.
            Unavailable: the child died, none could be started, or the pool is closed.
        """
        child = await self._take()
        task = Task(source=source.absolute(), preset=preset, out=out.absolute())
        overdue = asyncio.get_running_loop().call_later(self._timeout, lambda: child.kill(overdue=True))
        at_rest = False
        try:
            await child.give(task)
            while not isinstance(message := await child.answer(), Finished | Refused):
                yield message
            at_rest = True
        except Unavailable:
            if child.overdue:
                raise Rejection(
                    ProblemCode.TOO_COSTLY, f"Developing the image took longer than {self._timeout:g} s."
                ) from None
            raise
        finally:
            overdue.cancel()
            self._give_back(child, at_rest=at_rest)
        if isinstance(message, Refused):
            raise Rejection(message.code, message.message)
        yield message

    async def _take(self) -> Child:
        """A living child that is nobody else's."""
        place = await self._places.get()
        if place is not None and place.alive and self._open:
            return place
        try:
            if not self._open:
                raise Unavailable("The pool of developing processes is closed.")
            if place is not None:
                log.warning("an idle developing child had died", pid=place.pid)
                self._bury(place)
            return await self._start()
        except OSError as error:
            self._places.put_nowait(None)
            raise Unavailable("No process to develop the image could be started.") from error
        except BaseException:
            self._places.put_nowait(None)
            raise

    def _give_back(self, child: Child, *, at_rest: bool) -> None:
        if at_rest and child.alive and child.tasks < self._max_tasks:
            self._places.put_nowait(child)
            return
        child.kill()
        if self._open:
            self._bury(child)
            self._run(self._fill_place())
        else:
            self._places.put_nowait(None)

    def _bury(self, child: Child) -> None:
        async def bury() -> None:
            await child.reaped()
            self._children.discard(child)

        self._run(bury())

    async def _fill_place(self) -> None:
        child: Child | None = None
        try:
            child = await self._start()
        except OSError as error:
            log.warning("a developing child could not be started", reason=repr(error))
        finally:
            self._places.put_nowait(child)

    async def _start(self) -> Child:
        child = await Child.start(self._memory)
        self._children.add(child)
        return child

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
