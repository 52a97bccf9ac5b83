"""The world: the parts, workers and sweeps, and clients beside them; all that happens, from one seed."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from jobs.errors import Conflict, NotFound, Unavailable
from jobs.images import Image
from jobs.lease import LEASE
from jobs.ports import Services
from jobs.presets import Preset, VariantSpec
from jobs.process import TryAgain, backoff, job_limit, process
from jobs.settings import Settings
from jobs.sweep import sweep
from tests.chaos.journal import Change, History
from tests.memory import MemoryCatalog, MemoryStorage
from tests.records import NOON
from tests.simulation.broker import Broker
from tests.simulation.clients import Client
from tests.simulation.developer import ScriptedDeveloper
from tests.simulation.network import PROCESS, Network, Process, Remote
from tests.simulation.steps import judge_step

log = structlog.get_logger(__name__)

_PACES = (0.02, 0.02, 0.02, 0.3, 2.0, 8.0)  # seconds; next to a slow process, much happens
_SKEW = 2.0  # seconds that a clock may be wrong by


def settings_for(scratch: Path) -> Settings:
    """Settings that lead nowhere, with short times."""
    small, large = VariantSpec(name="small", width=10), VariantSpec(name="large", width=20)
    return Settings.model_validate(
        {
            "mongo_url": "mongodb://nowhere",
            "redis_url": "redis://nowhere",
            "s3_bucket": "pictures",
            "s3_access_key": "nobody",
            "s3_secret_key": "nothing",
            "scratch_dir": scratch,
            "upload_seconds": 60,
            "sweep_seconds": 30,
            "max_attempts": 3,
            "presets": {
                "default": Preset(variants=(small, large)),
                "frugal": Preset(variants=(small,), keep_original=False),
            },
        }
    )


class Listeners:
    """`Bus` that nobody listens to."""

    async def publish(self, image: object) -> None:
        """Nothing."""


class World:
    """Everything that happens in one history, and what was seen of it."""

    def __init__(self, seed: int, settings: Settings, catalog: MemoryCatalog) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - not for secrets
        self.settings = settings
        self.catalog = catalog
        self.storage = MemoryStorage(self.now, verifies_sha256=self.rng.random() < 0.7)
        self.network = Network(self.rng, self._observe)
        self.broker = Broker(self._start_later)
        self.accepted: dict[str, bytes] = {}  # by the store: what it holds of each image
        self.histories: dict[str, History] = defaultdict(History)
        self.wrong: list[str] = []
        self.happened: Counter[str] = Counter()
        self._developer = ScriptedDeveloper(
            self.rng, lambda: self.rng.choice((0.0, 0.1)) if self._storm else 0.0
        )
        self._storm = True
        self._seen: dict[str, Image] = {}
        self._running: dict[asyncio.Task[Any], Process] = {}

    def now(self) -> datetime:
        """The true time, to the millisecond."""
        return NOON + timedelta(milliseconds=int(asyncio.get_running_loop().time() * 1e3))

    def services(self, process: Process | None = None) -> Services:
        """The parts as `process` sees them; without one, as they are."""
        parts: list[Any] = [self.catalog, self.storage, self.broker, Listeners()]
        if process is not None:
            parts[:3] = [Remote(part, self.network) for part in parts[:3]]
        catalog, storage, queue, bus = parts
        skew = timedelta() if process is None else process.skew
        return Services(
            settings=self.settings,
            catalog=catalog,
            storage=storage,
            queue=queue,
            bus=bus,
            clock=lambda: self.now() + skew,
        )

    async def live(self, images: int) -> None:
        """Let it all happen, with faults at first, until nothing more does."""
        clients = [asyncio.create_task(Client(self, number).live()) for number in range(images)]
        if self.rng.random() < 0.2:
            asyncio.get_running_loop().call_later(60 * self.rng.random(), self.broker.forget)
        while not all(client.done() for client in clients):
            seldom = 30 if self._is_busy else 120
            self.sweep()
            await asyncio.sleep(seldom * self.rng.random())
        for client in clients:
            client.result()
        self._storm = False
        self.network.calm()
        for _ in range(200):
            self.sweep()
            await asyncio.sleep(5)
            due = [image.due_at for image in await self.catalog.by_id(limit=images) if image.due_at]
            if not self._is_busy:
                if not due:
                    return
                await asyncio.sleep(max(0.0, (min(due) - self.now()).total_seconds()))
        self.wrong.append("it does not come to rest")

    @property
    def _is_busy(self) -> bool:
        alive = any(not process.is_dead for process in self._running.values())
        return alive or bool(self.broker.jobs) or self.network.on_its_way > 0

    def _start_later(self, job: str, after: timedelta) -> None:
        for _ in range(1 + (self._storm and self.rng.random() < 0.05)):
            delay = after.total_seconds() + self.rng.random() * 0.5
            asyncio.get_running_loop().call_later(delay, self._start, job)

    def _start(self, job: str) -> None:
        if job not in self.broker.jobs:
            return
        image_id = self.broker.jobs[job]
        task = self.spawn(
            "worker",
            lambda services: self._work(job, image_id, services),
            on_silence=lambda: self._start_later(job, LEASE),
        )
        if self._storm and self.rng.random() < 0.05:  # it is told to end
            asyncio.get_running_loop().call_later(5 * self.rng.random(), task.cancel)

    async def _work(self, job: str, image_id: str, services: Services) -> None:
        """As arq's shell does it."""
        queue: Any = services.queue
        try:
            again = await self._attempt(image_id, services)
            await queue.finish(job, again)
        except (Unavailable, asyncio.CancelledError):
            self._start_later(job, LEASE)  # when nobody renews its mark
            raise

    async def _attempt(self, image_id: str, services: Services) -> timedelta | None:
        """After how much time the job should run again, if it should."""
        try:
            async with asyncio.timeout(job_limit(0).total_seconds()):
                outcome = await process(image_id, services, self._developer)
        except TryAgain as error:
            return error.after
        except Unavailable:
            return backoff(2)
        except TimeoutError:  # arq drops such a job
            self.happened["timeout"] += 1
            return None
        self.happened[outcome] += 1
        return None

    def sweep(self) -> None:
        """Let one more worker sweep."""

        async def look(services: Services) -> None:
            self.happened.update(await sweep(services))

        self.spawn("sweep", look)

    def spawn(
        self,
        name: str,
        what: Callable[[Services], Coroutine[Any, Any, None]],
        on_silence: Callable[[], None] = lambda: None,
    ) -> asyncio.Task[None]:
        """Run `what` in a process of its own."""
        skew = timedelta(seconds=self.rng.uniform(-_SKEW, _SKEW))
        pace = self.rng.choice(_PACES) if self._storm else _PACES[0]
        process = Process(f"{name} {len(self.network.steps)}", skew, pace, on_silence)

        async def run() -> None:
            try:
                await what(self.services(process))
            except (Unavailable, Conflict, NotFound) as error:
                self.happened[type(error).__name__] += 1
            except Exception as error:
                self.wrong.append(f"{process.name}: {error!r}")
                log.exception("a process failed")

        context = copy_context()
        context.run(PROCESS.set, process)
        task = asyncio.get_running_loop().create_task(run(), context=context)
        self._running[task] = process
        task.add_done_callback(self._running.pop)
        return task

    async def _observe(self) -> None:
        """Look at every record that is another than before."""
        for image in await self.catalog.by_id(limit=99):
            before = self._seen.get(image.id)
            if image is not before:
                self.wrong += [f"{image.id}: {complaint}" for complaint in judge_step(before, image)]
                self._seen[image.id] = image
            if before is None or image.version != before.version:
                self.histories[image.id].changes.append(
                    Change(
                        version=image.version,
                        status=image.status,
                        at=image.changed_at,
                        round=image.round,
                        takes=image.takes,
                    )
                )
            for variant in image.variants:
                if await self.storage.head(variant.key) is None:
                    self.wrong.append(f"{image.id}: {image.status} shows {variant.key}, which is not there")
