"""The network: what lies between the use cases and the parts, where all faults come from."""

import asyncio
import inspect
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Any, Never, TypeVar

from jobs.errors import Unavailable

T = TypeVar("T")


class Fault(StrEnum):
    """What can happen to a call, or to the process that calls."""

    REFUSED = "refused"  # it is not carried out
    LOST = "lost"  # it is carried out, and the answer does not come
    LATE = "late"  # the caller is told that it failed, and after that it is carried out
    DEATH = "death"  # the process is gone, before or after the call was carried out
    STALL = "stall"  # the process stands still, often for longer than a lease lasts, and goes on


_CHANGING = {"add", "move", "renew", "release", "postpone", "write", "delete", "enqueue", "finish"}
_LATE = 15.0  # seconds; less than the sweep waits before it tidies
_STALL = (5.0, 40.0)  # likewise


@dataclass(eq=False)
class Process:
    """Somebody who calls. When it is dead, no call of its own ever comes back, and none goes out.

    `on_silence` is called when it dies or stalls: whoever waits for it cannot tell which.
    """

    name: str
    skew: timedelta  # of its clock
    pace: float  # seconds that each half of a call may take
    on_silence: Callable[[], None] = lambda: None
    is_dead: bool = False
    stalled_until: float = 0.0


PROCESS: ContextVar[Process] = ContextVar("PROCESS")


class Network:
    """Carries calls: each travels, is carried out at one moment, and its answer travels back.

    `rates` is how often each fault happens. `observe` is awaited whenever something may have changed.
    """

    def __init__(self, rng: random.Random, observe: Callable[[], Awaitable[None]]) -> None:
        self.rates = {fault: rng.choice((0.0, 0.01, 0.04)) for fault in Fault}
        self.faults: Counter[Fault] = Counter()
        self.steps: list[tuple[float, str, str]] = []
        self.on_its_way = 0  # calls that are still to be carried out, though nobody waits for them
        self.is_over = False
        self._rng = rng
        self._observe = observe
        self._late: set[asyncio.Task[None]] = set()
        self._graves: list[asyncio.Future[None]] = []

    def calm(self) -> None:
        """Have no more faults."""
        self.rates = dict.fromkeys(Fault, 0.0)

    async def call(self, name: str, carry_out: Callable[[], Awaitable[T]]) -> T:
        """What comes of a call.

        Raises:
            Unavailable: a fault.
        """
        if self.is_over:  # what is left is being cleared away
            return await carry_out()
        process = PROCESS.get()
        await self._stay_if_dead(process)
        fault = self._draw(name, process)
        await self._travel(process)
        if self._rng.random() < 0.5:  # what a process sent before it died may still be carried out
            await self._stay_if_dead(process)
        if fault is Fault.REFUSED:
            self._fail(name, process, fault)
        if fault is Fault.LATE:
            task = asyncio.create_task(self._carry_out_late(name, process, carry_out))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            self._fail(name, process, fault)
        if fault is Fault.DEATH and self._rng.random() < 0.5:
            await self._die(name, process)
        result = await self._carry_out(name, process, carry_out)
        if fault is Fault.DEATH:
            await self._die(name, process)
        await self._travel(process)
        await self._stay_if_dead(process)
        if fault is Fault.LOST:
            self._fail(name, process, fault)
        return result

    def _draw(self, name: str, process: Process) -> Fault | None:
        luck = self._rng.random()
        faults = zip(self.rates, accumulate(self.rates.values()), strict=True)
        fault = next((fault for fault, below in faults if luck < below), None)
        if fault is None:
            return None
        if fault is Fault.LATE and name not in _CHANGING:
            return None
        if fault is Fault.STALL:
            process.stalled_until = self._now() + self._rng.uniform(*_STALL)
            self._note(name, process, fault)
            process.on_silence()
        self.faults[fault] += 1
        return fault

    async def _travel(self, process: Process) -> None:
        """For as long as the process needs, which includes what it does in between."""
        await asyncio.sleep(process.pace * self._rng.random())
        while (rest := process.stalled_until - self._now()) > 0:
            await asyncio.sleep(rest)

    async def _carry_out(self, name: str, process: Process, carry_out: Callable[[], Awaitable[T]]) -> T:
        try:
            result = await carry_out()
        except Exception as error:
            self._note(name, process, repr(error))
            raise
        self._note(name, process, "done")
        if name in _CHANGING:
            await self._observe()
        return result

    async def _carry_out_late(
        self, name: str, process: Process, carry_out: Callable[[], Awaitable[T]]
    ) -> None:
        self.on_its_way += 1
        await asyncio.sleep(_LATE * self._rng.random())
        self.on_its_way -= 1
        await self._carry_out(name, process, carry_out)

    async def _die(self, name: str, process: Process) -> None:
        process.is_dead = True
        self._note(name, process, Fault.DEATH)
        process.on_silence()
        await self._stay_if_dead(process)

    async def _stay_if_dead(self, process: Process) -> None:
        if process.is_dead:
            never = asyncio.get_running_loop().create_future()
            self._graves.append(never)  # else the garbage collector would find the task, and end it
            await never

    def _fail(self, name: str, process: Process, fault: Fault) -> Never:
        self._note(name, process, fault)
        raise Unavailable(f"The answer to “{name}” is {fault}.")

    def _note(self, name: str, process: Process, what: str) -> None:
        self.steps.append((self._now(), f"{process.name}: {name}", what))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class Remote:
    """One of the parts, as a process sees it across the network. A page or a body is one answer."""

    def __init__(self, part: object, network: Network) -> None:
        self._part = part
        self._network = network

    def __getattr__(self, name: str) -> Any:
        method: Any = getattr(self._part, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await self._network.call(name, lambda: method(*args, **options))

        async def stream(*args: Any, **options: Any) -> AsyncIterator[Any]:
            async def collect() -> list[Any]:
                return [item async for item in method(*args, **options)]

            for item in await self._network.call(name, collect):
                yield item

        if inspect.isasyncgenfunction(method):
            return stream
        return call if inspect.iscoroutinefunction(method) else method  # who signs asks nobody
