"""The whole of Darkroom in one process, on real services: what end-to-end tests talk to."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from api.client import Client
from api.listener import listen_on
from api.server import create_server
from jobs.consumer import run_consumer
from jobs.ports import Services
from jobs.services import open_services
from jobs.settings import PREFIX, Settings
from jobs.worker import open_worker

# What another process needs to know of the same deployment.
_PASSED_ON = {
    "mongo_url", "mongo_database", "redis_url", "namespace",
    "s3_endpoint", "s3_bucket", "s3_access_key", "s3_secret_key",
    "events_queue_url", "hook_token", "auth", "sweep_seconds", "worker_concurrency", "develop_seconds",
    "log_format", "rate_creations",
}  # fmt: skip


@dataclass(frozen=True)
class System:
    """A running API, and the services beneath it."""

    url: str
    http: httpx.AsyncClient
    services: Services

    @property
    def client(self) -> Client:
        """A client of the public API."""
        return Client(self.url, self.http)

    async def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, errors included, to a query or mutation."""
        answer = await self.http.post(
            f"{self.url}/graphql",
            content=json.dumps({"query": query, "variables": variables}),  # lone surrogates and all
            headers={"Content-Type": "application/json"},
        )
        payload: dict[str, Any] = answer.json()
        return payload


@asynccontextmanager
async def running_system(
    settings: Settings, *, worker: bool = True, events: bool = True
) -> AsyncIterator[System]:
    """The API and, unless switched off, a worker and the consumer of storage events."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings))
        url = await stack.enter_async_context(serving(services))
        if worker:
            await stack.enter_async_context(working(settings))
        if events:
            await stack.enter_async_context(running_beside(run_consumer(settings)))
        async with httpx.AsyncClient(timeout=30) as http:
            yield System(url, http, services)


@asynccontextmanager
async def serving(services: Services, **arguments: float) -> AsyncIterator[str]:
    """The API over these services, with these arguments for its server; yields its URL."""
    with listen_on("127.0.0.1", 0) as listener:
        server = create_server(services, **arguments)
        async with running_beside(
            server.serve(sockets=[listener]), lambda: server.handle_exit(signal.SIGTERM, None)
        ):
            while not server.started:
                await asyncio.sleep(0)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker that develops what comes."""
    async with (
        open_worker(settings, handle_signals=False) as worker,
        running_beside(worker.async_run(), worker.stop),
    ):
        yield


@asynccontextmanager
async def running_beside(
    work: Coroutine[Any, Any, None], stop: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """`work` beside what goes on in the context; `stop` asks it to end, or else it is cancelled."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        (stop or task.cancel)()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Any, *, within: float = 20.0) -> Any:
    """The first true answer of `condition`, an async function that is asked again and again."""
    async with asyncio.timeout(within):
        while not (answer := await condition()):
            await asyncio.sleep(0.01)  # between two looks at a condition
        return answer


def environment_for(settings: Settings) -> dict[str, str]:
    """The environment in which another process finds the same services."""
    return os.environ | {
        f"{PREFIX}{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump(include=_PASSED_ON, exclude_none=True).items()
    }
