"""What a hostile request costs the server, and what an innocent one beside it waits.

Some are answered: there are a hundred images of which there is much to tell.

The API is that of `darkroom dev`, in a process of its own. Each hostile request is sent again and again while
another client asks `{ __typename }` without a pause; the first row is that client alone.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from api.dev import HOST, local_system
from api.paging import MAX_PAGE
from jobs.catalog import open_catalog
from jobs.formats import VariantFormat
from jobs.images import Image, Source, Status, StatusChange, Variant
from jobs.settings import PREFIX, load_settings
from jobs.supervise import free_port
from tests import hostile
from tests.records import NOON, an_image

ROUNDS = 40
WARM_UP = 5
_INNOCENT = hostile.body("{ __typename }")
_REQUESTS = (
    hostile.ANSWERED
    | hostile.TOO_COSTLY
    | {name: body for name, (_, body) in hostile.REFUSED.items()}
    | hostile.WRONG
)


async def main() -> None:
    """Print the table."""
    port = free_port()
    os.environ[f"{PREFIX}RATE_CREATIONS"] = "none"  # or most of what is asked for would be refused
    table = Table(title="Hostile requests, and what an innocent one beside them waits", title_justify="left")
    for column in ("", "bytes", "processor", "answered in", "max", "beside it", "max"):
        table.add_column(column, justify="left" if not column else "right")
    with tempfile.TemporaryDirectory() as folder:
        async with local_system(port, Path(folder, "data"), 1), httpx.AsyncClient() as http:
            async with open_catalog(load_settings()) as catalog:  # those that the environment now has
                await catalog.add(_images())
            used = _processor(port)

            async def ask(body: bytes) -> float:
                began = time.perf_counter()
                await http.post(
                    f"http://{HOST}:{port}/graphql",
                    content=body,
                    headers={"Content-Type": "application/json"},
                )
                return time.perf_counter() - began

            alone = [await ask(_INNOCENT) for _ in range(ROUNDS + WARM_UP)][WARM_UP:]
            table.add_row("(nobody else)", "", "", "", "", *_columns(alone))
            for name, body in _REQUESTS.items():
                cost, answered, beside = await _measured(body, ask, used)
                table.add_row(name, f"{len(body):,}", _text(cost), *_columns(answered), *_columns(beside))
    Console(width=140).print(table)
    Console().print("Targets: what is refused takes less than 50 ms, and nothing blocks others for longer.")


async def _measured(
    body: bytes, ask: Callable[[bytes], Awaitable[float]], used: Callable[[], float]
) -> tuple[float, list[float], list[float]]:
    """Seconds of the server's processor time for each, of each until it was answered, and of those beside."""
    for _ in range(WARM_UP):
        await ask(body)
    began = used()
    for _ in range(ROUNDS):
        await ask(body)
    cost = (used() - began) / ROUNDS

    beside: list[float] = []
    over = asyncio.Event()

    async def innocent() -> None:
        while not over.is_set():
            beside.append(await ask(_INNOCENT))

    waiting = asyncio.create_task(innocent())
    answered = [await ask(body) for _ in range(ROUNDS)]
    over.set()
    await waiting
    return cost, answered, beside


def _images() -> list[Image]:
    """A page of images that say as much as any."""
    return [
        an_image(
            owner="local",
            status=Status.READY,
            created_at=NOON + timedelta(seconds=n),
            metadata={"padding": "x" * 4_000},
            source=Source(etag="e", byte_size=1),
            timeline=[StatusChange(status=Status.READY, at=NOON)] * 50,
            variants=[
                Variant(
                    name=f"w{width}",
                    key=f"variants/{n}/{width}.webp",
                    format=VariantFormat.WEBP,
                    content_type="image/webp",
                    width=width,
                    height=width,
                    byte_size=width,
                )
                for width in (320, 640, 1280, 1920)
            ],
        )
        for n in range(MAX_PAGE)
    ]


def _processor(port: int) -> Callable[[], float]:
    """How many seconds of processor time the API has used."""
    (api,) = (
        child
        for child in psutil.Process().children(recursive=True)
        if child.cmdline()[-1:] == [str(port)] and "api" in child.cmdline()
    )

    def used() -> float:
        times = api.cpu_times()
        return times.user + times.system

    return used


def _columns(seconds: list[float]) -> tuple[str, str]:
    return _text(statistics.median(seconds)), _text(max(seconds))


def _text(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"
