"""The fleet: API, consumer and workers as processes of their own, to be killed, stopped and replaced."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from jobs.bucket import prepare_bucket
from jobs.embedded import Embedded, embedded_services, mongod, valkey
from jobs.failpoints import VARIABLE, Failpoint
from jobs.ports import Services
from jobs.queue import RedisQueue, open_redis
from jobs.services import open_services
from jobs.settings import Settings
from jobs.supervise import Service, free_port, running
from tests.conftest import settings_for
from tests.system import environment_for, until

_START = {"mongod": mongod, "valkey": valkey}
HOOK_TOKEN = "a-token-of-the-tests"


class Backing:
    """The services that processes run on; some can be killed and come back, with their data."""

    def __init__(self, embedded: Embedded, folder: Path, stack: AsyncExitStack) -> None:
        self.embedded = embedded
        self._folder = folder
        self._stack = stack
        self._running = {service.name: service for service in embedded.services}
        self._ports = {
            "mongod": urlsplit(embedded.mongo_url).port or 0,
            "valkey": urlsplit(embedded.redis_url).port or 0,
        }

    async def kill(self, name: str) -> None:
        """End a service as a power cut would."""
        service = self._running[name]
        service.process.kill()
        await service.process.wait()

    @asynccontextmanager
    async def stalled(self, name: str) -> AsyncIterator[None]:
        """A service that neither answers nor is gone, for as long as the context lasts."""
        process = self._running[name].process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    async def start(self, name: str) -> None:
        """Start a service that was killed, where it was and over what it has kept."""
        context = _START[name](self._folder, self._ports[name])
        self._running[name] = await self._stack.enter_async_context(context)


@asynccontextmanager
async def backing_services(folder: Path) -> AsyncIterator[Backing]:
    """Services that nobody else uses."""
    async with embedded_services(folder) as embedded, AsyncExitStack() as stack:
        yield Backing(embedded, folder, stack)


class Fleet:
    """Every process of one deployment."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        http: httpx.AsyncClient,
        folder: Path,
        stack: AsyncExitStack,
    ) -> None:
        self.settings = settings
        self.services = services
        self.http = http
        self.workers: list[Service] = []
        self.consumers: list[Service] = []
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._folder = folder
        self._stack = stack
        self._started = 0

    async def start_api(self) -> None:
        """The API, ready to serve."""
        await self._start("api", "--host", "127.0.0.1", "--port", str(self._port))

        async def ready() -> bool:
            try:
                return (await self.http.get(f"{self.url}/readyz")).is_success
            except httpx.HTTPError:
                return False

        await until(ready, within=60)

    async def start_consumer(self, failpoint: Failpoint | None = None) -> Service:
        """The consumer of storage events; with a failpoint, one that is going to die there."""
        consumer = await self._start("events", failpoint=failpoint)
        self.consumers.append(consumer)
        return consumer

    async def start_worker(self, failpoint: Failpoint | None = None) -> Service:
        """Another worker; likewise."""
        worker = await self._start("worker", failpoint=failpoint)
        self.workers.append(worker)
        return worker

    async def kill(self, worker: Service) -> None:
        """End a worker as a power cut would."""
        self.workers.remove(worker)
        worker.process.kill()
        await worker.process.wait()

    async def stop(self, process: Service) -> None:
        """Ask a process to end, and wait until it has."""
        await process.stop()
        for running_ones in (self.workers, self.consumers):
            if process in running_ones:
                running_ones.remove(process)

    async def forget_jobs(self) -> None:
        """Let the broker forget everything it knows."""
        async with open_redis(self.settings) as redis:
            await redis.flushall()

    async def tell_of(self, key: str) -> int:
        """Say by webhook that an object is there; the status of the answer."""
        record = {
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": self.settings.s3_bucket}, "object": {"key": key}},
        }
        answer = await self.http.post(
            f"{self.url}/hooks/storage",
            json={"Records": [record]},
            headers={"Authorization": f"Bearer {HOOK_TOKEN}"},
        )
        return answer.status_code

    async def listening(self, count: int) -> None:
        """Wait until as many workers wait for jobs."""
        async with open_redis(self.settings) as redis:
            queue = RedisQueue(redis, self.settings)

            async def enough() -> bool:
                return await queue.listeners() >= count

            await until(enough, within=60)

    def logged(self, words: str) -> int:
        """How often workers have logged that."""
        return sum(path.read_text().count(words) for path in self._folder.glob("worker-*.log"))

    def warned_of(self, image_id: str) -> list[str]:
        """What workers have logged of an image that is not what usually happens."""
        return [
            line
            for path in self._folder.glob("worker-*.log")
            for line in path.read_text().splitlines()
            if image_id in line and '"level": "info"' not in line
        ]

    async def _start(self, name: str, *arguments: str, failpoint: Failpoint | None = None) -> Service:
        self._started += 1
        environment = environment_for(self.settings) | ({VARIABLE: str(failpoint)} if failpoint else {})
        return await self._stack.enter_async_context(
            running(
                f"{name} {self._started}",
                [sys.executable, "-m", "api.cli", name, *arguments],
                log=self._folder / f"{name}-{self._started:04}.log",
                env=environment,
                on_orphaned=signal.SIGKILL,
                patience=35,
            )
        )


@asynccontextmanager
async def a_fleet(
    backing: Backing, folder: Path, *, workers: int, consumer: bool = True, **more: object
) -> AsyncIterator[Fleet]:
    """API, consumer and as many workers, each with one child, in a corner of their own of the services."""
    folder.mkdir(parents=True)
    chosen = {
        "sweep_seconds": 5, "worker_concurrency": 1, "log_format": "json", "rate_creations": "none", **more,
    }  # fmt: skip
    settings = settings_for(backing.embedded, f"chaos-{folder.name}", **chosen)
    queue_url = await prepare_bucket(settings, events_queue=settings.namespace)
    settings = settings.model_copy(update={"events_queue_url": queue_url})
    async with (
        AsyncExitStack() as stack,
        open_services(settings) as services,
        httpx.AsyncClient(timeout=30, trust_env=False) as http,
    ):
        fleet = Fleet(settings, services, http, folder, stack)
        await asyncio.gather(fleet.start_api(), *(fleet.start_worker() for _ in range(workers)))
        if consumer:
            await fleet.start_consumer()
        await fleet.listening(workers)
        yield fleet
