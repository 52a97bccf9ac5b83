"""Subscribers of one API process by the thousand: memory, delivery, and those that do not read.

The API is `darkroom api`, on real services; the floor is a process that does nothing but send what a Redis
channel says, by the same server. Rounds of the two alternate; the figures are medians. Clients and changes
are in this process. Each message has 2 kB, for an image with four variants.
"""

import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
from pymongo import AsyncMongoClient
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from api.client import IMAGE_FIELDS
from api.interpreter import allow_many_sockets, relax_collector
from jobs.bucket import prepare_bucket
from jobs.clock import now
from jobs.embedded import embedded_services
from jobs.formats import VariantFormat
from jobs.images import Image, Lease, Status, Variant, new_fence, variant_key
from jobs.ports import Services
from jobs.queue import open_redis
from jobs.services import open_services
from jobs.supervise import free_port, running
from tests.bench.crowd import Announce, Crowd, Delays
from tests.bench.peers import Peer, connect, is_connected
from tests.conftest import settings_for
from tests.records import an_image
from tests.system import environment_for

_QUICK = bool(os.environ.get("QUICK"))
IDLE = 1_000 if _QUICK else 5_000
RATE = 500  # changes a second
ROUNDS = 3
SECONDS = 2 if _QUICK else 6  # of a round
TOGETHER, STALLED = 1_000, 100
_SHARED = 2  # images that all of those follow
_HEAVY = 12  # images with 4 kB of metadata, of which a stalled reader asks for 32
_METADATA = " ".join(f"m{number}: metadata" for number in range(8))
_SETTLED = 3.0  # seconds after which the API has frozen what it keeps
_CHANNEL = "bare"
_FENCE = new_fence()
_INIT = b'{"type":"connection_init"}'


class Server(NamedTuple):
    """A process under load."""

    port: int
    process: psutil.Process

    @property
    def memory(self) -> int:
        """Bytes of it that are in memory."""
        return int(self.process.memory_info().rss)


async def main() -> None:
    """Print the table."""
    allow_many_sockets()
    table = Table(title=f"{IDLE:,} subscribers of one process", title_justify="left")
    for column in ("", "Darkroom", "bare websockets", "target"):
        table.add_column(column, justify="right" if column else "left")
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_services(Path(folder)) as embedded:
            settings = settings_for(embedded, "bench", mongo_driver="pymongo")
            await prepare_bucket(settings, events_queue="bench")
            os.environ.update(environment_for(settings))
            async with (
                open_services(settings) as services,
                open_redis(settings) as redis,
                _serving("api.cli", "api", "--port") as ours,
                _serving("tests.bench.bare", arguments=[settings.redis_url, _CHANNEL]) as bare,
            ):
                await _idle(table, services, redis, ours, bare)
                await _stalled(table, services, redis, ours, bare)
    Console().print(table)


@asynccontextmanager
async def _serving(module: str, *options: str, arguments: Sequence[str] = ()) -> AsyncIterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", module, *options, str(port), *arguments]
    async with running(module, command, on_orphaned=signal.SIGKILL) as service, httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
        yield Server(port, psutil.Process(service.process.pid))


async def _idle(table: Table, services: Services, redis: Redis, ours: Server, bare: Server) -> None:
    changes = {ours: _Changes(services).make, bare: _BareChanges(redis).make}
    images = [_an_image() for _ in range(IDLE)]
    await services.catalog.add(images)
    crowds = {
        ours: Crowd(ours.port, [[_INIT, _subscribe([image.id])] for image in images]),
        bare: Crowd(bare.port, [[image.id.encode()] for image in images]),
    }
    each: dict[Server, list[float]] = {ours: [], bare: []}
    for server, crowd in crowds.items():
        before = server.memory
        for _ in range(2):
            await crowd.scatter()
            await crowd.gather()
            await asyncio.sleep(_SETTLED)
            each[server].append((server.memory - before) / IDLE / 1_000)
    for number, name, target in ((0, "memory of each", "<= 50 kB"), (1, "when all left and came again", "")):
        table.add_row(name, *(f"{each[server][number]:.1f} kB" for server in (ours, bare)), target)

    relax_collector()  # this process shall not be what is late
    rounds: dict[Server, list[Delays]] = {ours: [], bare: []}
    cpu = {server: _cpu(server) for server in crowds}
    psutil.cpu_percent()
    for _ in range(ROUNDS):
        for server, crowd in crowds.items():
            rounds[server].append(
                await crowd.measure(images, changes[server], rate=RATE, seconds=SECONDS, heard_by=1)
            )
    _add_delays(table, f"{RATE} changes/s", rounds[ours], rounds[bare], "< 10 ms")
    spent = [(_cpu(server) - cpu[server]) / (ROUNDS * SECONDS * RATE) * 1e3 for server in (ours, bare)]
    table.add_row("processor time of each", *(f"{milliseconds:.2f} ms" for milliseconds in spent), "")
    idle = f"{100 - psutil.cpu_percent():.0f} %"  # where little is left, all this is late
    table.add_row("processors idle meanwhile", idle, idle, "")
    for crowd in crowds.values():
        await crowd.scatter()


async def _stalled(table: Table, services: Services, redis: Redis, ours: Server, bare: Server) -> None:
    changes = {ours: _Changes(services).make, bare: _BareChanges(redis, "*").make}
    shared = [_an_image() for _ in range(_SHARED)]
    heavy = [_an_image(metadata={"padding": "x" * 4_000}) for _ in range(_HEAVY)]
    await services.catalog.add([*shared, *heavy])
    follow_all = _subscribe([image.id for image in shared])
    readers = TOGETHER - STALLED
    crowds = {
        ours: Crowd(ours.port, [[_INIT, follow_all]] * readers),
        bare: Crowd(bare.port, [[b"*"]] * readers),
    }
    rounds: dict[Server, list[Delays]] = {ours: [], bare: []}
    dropped = []
    for crowd in crowds.values():
        await crowd.gather()
    for _ in range(1 if _QUICK else ROUNDS):
        for server, crowd in crowds.items():
            stalling = None
            if server is ours:
                stalling = asyncio.create_task(
                    _stall(ours.port, _subscribe([image.id for image in (*shared, *heavy)], _METADATA))
                )
            rounds[server].append(
                await crowd.measure(
                    shared,
                    changes[server],
                    rate=_SHARED,
                    seconds=10 if server is ours else 4,
                    heard_by=readers,
                )
            )
            if stalling is not None:
                dropped.append(await stalling)
    name = f"{STALLED} of {TOGETHER:,} do not read"
    _add_delays(table, name, rounds[ours], rounds[bare], "< 1 s")
    table.add_row(
        "these are dropped after", f"{statistics.median(dropped):.1f} s", "they are not there", "~ 10 s"
    )
    for crowd in crowds.values():
        await crowd.scatter()


async def _stall(port: int, subscribe: bytes) -> float:
    """Ask for what the others are told, and 400 kB besides, which come first, and read nothing of all that.

    Returns:
        Seconds until the last such client was dropped.
    """

    def heard(peer: Peer, text: bytes) -> None:
        if not text:
            peer.send(_INIT)
            peer.send(subscribe)
            peer.transport.pause_reading()

    began = time.perf_counter()
    peers = await connect(port, range(STALLED), heard, receive_buffer=16 * 1024)
    while any(is_connected(peer) for peer in peers) and time.perf_counter() - began < 60:
        await asyncio.sleep(0.1)
    return time.perf_counter() - began


class _Changes:
    """Changes images as a worker does, with less of this process's time than `Catalog.move` takes."""

    def __init__(self, services: Services) -> None:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(services.settings.mongo_url)
        self._images = client[services.settings.mongo_database]["images"]
        self._bus = services.bus
        self._versions: Counter[str] = Counter()

    async def make(self, image: Image, announce: Announce) -> None:
        """Change its record, and tell of it."""
        self._versions[image.id] += 1
        version = image.version + self._versions[image.id]
        await self._images.update_one({"_id": image.id}, {"$set": {"changed_at": now(), "version": version}})
        announce(image.id, version)
        await self._bus.publish(image)


class _BareChanges:
    """Messages as long as Darkroom's; to whoever has the image's name, or `name`."""

    def __init__(self, redis: Redis, name: str | None = None) -> None:
        self._redis = redis
        self._name = name
        self._version = 1

    async def make(self, image: Image, announce: Announce) -> None:
        """Send one."""
        self._version += 1
        text = json.dumps({"id": image.id, "version": self._version, "padding": "x" * 1_930})
        announce(image.id, self._version)
        await self._redis.publish(_CHANNEL, f"{self._name or image.id} {text}")


def _an_image(**fields: Any) -> Image:
    """One that a worker is developing, all of whose variants are there."""
    at = now()
    image = an_image(
        owner="local",
        status=Status.PROCESSING,
        lease=Lease(fence=_FENCE, until=at + timedelta(hours=1)),
        created_at=at,
        changed_at=at,
        **fields,
    )
    variants = tuple(
        Variant(
            name=f"w{width}",
            key=variant_key(image.id, _FENCE, f"w{width}.webp"),
            format=VariantFormat.WEBP,
            content_type="image/webp",
            width=width,
            height=width,
            byte_size=100 * width,
        )
        for width in (320, 640, 1_280, 1_920)
    )
    return image.model_copy(update={"variants": variants})


def _subscribe(image_ids: Sequence[str], more: str = "") -> bytes:
    query = f"subscription ($ids: [ID!]!) {{ imageUpdates(ids: $ids) {{ {IMAGE_FIELDS} {more} }} }}"
    payload = {"query": query, "variables": {"ids": list(image_ids)}}
    return json.dumps({"id": "1", "type": "subscribe", "payload": payload}).encode()


def _add_delays(table: Table, name: str, ours: Sequence[Delays], bare: Sequence[Delays], target: str) -> None:
    for part, wanted in (("median", ""), ("p99", target)):
        values = [statistics.median(getattr(delays, part) for delays in rounds) for rounds in (ours, bare)]
        table.add_row(f"{name}: {part}", *(f"{value * 1e3:.1f} ms" for value in values), wanted)
    came = [min(delays.came for delays in rounds) for rounds in (ours, bare)]
    table.add_row(f"{name}: heard", *(f"{share:.2%}" for share in came), "")


def _cpu(server: Server) -> float:
    times = server.process.cpu_times()
    return float(times.user + times.system)
