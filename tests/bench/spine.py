"""What Darkroom adds to the time that developing takes: from the end of the PUT to the message pushed.

The processes are those of `darkroom dev`; the client is this process. Rounds with the client's hint and
rounds without it alternate, and what the child spent on the picture is taken off each.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from api.client import Client
from api.dev import HOST, local_system
from jobs.images import Image, Status
from jobs.ports import Services
from jobs.queue import open_redis
from jobs.services import open_services
from jobs.settings import load_settings
from jobs.supervise import free_port
from jobs.worker import Worker
from tests.imaging import samples
from tests.records import an_image

ROUNDS = 40
WARM_UP = 5


async def main() -> None:
    """Print the table."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        async with local_system(port, Path(folder, "data"), 1):
            settings = load_settings()
            async with open_services(settings) as services, httpx.AsyncClient() as http:
                client = Client(f"http://{HOST}:{port}", http)
                photo = Path(folder, "photo.jpg")
                photo.write_bytes(samples.photo(1_600, 1_200))
                with_hint, by_queue = await _completions(client, services, photo)
                starts = await _starts(services)
    table = Table(title="From the end of the PUT to the message, less the developing", title_justify="left")
    for column in ("", "median", "min", "max", "target"):
        table.add_column(column, justify="left" if not column else "right")
    for name, seconds, target in (
        ("with the client's hint", with_hint, "< 40 ms"),
        ("by the store's event alone", by_queue, "< 150 ms"),
        ("enqueued to started", starts, "< 4 ms"),
    ):
        table.add_row(name, *(f"{value * 1e3:.1f} ms" for value in _summary(seconds)), target)
    Console().print(table)


async def _completions(client: Client, services: Services, photo: Path) -> tuple[list[float], list[float]]:
    with_hint: list[float] = []
    by_queue: list[float] = []
    for number in range(2 * (ROUNDS + WARM_UP)):
        hint = number % 2 == 0
        seconds = await _completion(client, services, photo, hint=hint)
        if number >= 2 * WARM_UP:
            (with_hint if hint else by_queue).append(seconds)
    return with_hint, by_queue


async def _completion(client: Client, services: Services, photo: Path, *, hint: bool) -> float:
    """Seconds from the end of the PUT to READY on the websocket, less those in the child."""
    file = {"filename": photo.name, "contentType": "image/jpeg", "byteSize": photo.stat().st_size}
    (target,) = await client.create_uploads([file], None)
    image_id: str = target["image"]["id"]
    async with aclosing(client.updates([image_id])) as updates:
        await anext(updates)  # it listens
        await client.put(photo, target, lambda _: None)
        stored = time.perf_counter()
        hinting = asyncio.create_task(client.complete_upload(image_id)) if hint else None
        async for state in updates:
            if state["status"] == "READY":
                pushed = time.perf_counter()
        if hinting:
            await hinting
    image = await services.catalog.get(image_id)
    if image is None or image.develop_seconds is None:
        raise RuntimeError("an image that was pushed as ready has no record of it")
    return pushed - stored - image.develop_seconds


async def _starts(services: Services) -> list[float]:
    """Seconds from asking for a job to its first line, in a worker beside which nothing runs."""
    apart = replace(
        services,
        settings=services.settings.model_copy(update={"namespace": f"{services.settings.namespace}-bench"}),
    )
    starts: asyncio.Queue[float] = asyncio.Queue()

    class Noting:
        """Notes when a job takes its image, of which there is none."""

        async def move(self, *_: object, **__: object) -> None:
            starts.put_nowait(time.perf_counter())

        async def get(self, *_: object) -> None:
            return None

        async def due(self, **_: object) -> list[Image]:
            return []

    catalog: Any = Noting()
    async with _idle_worker(replace(apart, catalog=catalog)) as queue:
        seconds = []
        for number in range(5 * (ROUNDS + WARM_UP)):
            began = time.perf_counter()
            await queue.enqueue(an_image(status=Status.UPLOADED))
            seconds.append(await starts.get() - began)
            if number < WARM_UP:
                seconds.clear()
    return seconds


@asynccontextmanager
async def _idle_worker(services: Services) -> AsyncIterator[Any]:
    from jobs.queue import RedisQueue

    developer: Any = None  # no image ever gets as far as that
    async with open_redis(services.settings) as redis:
        worker = Worker(redis, services, developer, handle_signals=False)
        running = asyncio.create_task(worker.async_run())
        try:
            yield RedisQueue(redis, services.settings)
        finally:
            worker.stop()
            await running
            await worker.finish()


def _summary(seconds: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(seconds), min(seconds), max(seconds)
