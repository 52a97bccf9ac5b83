"""`darkroom dev`: everything on this machine, from real services to the API, until Ctrl-C."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from rich.console import Console

from jobs.bucket import prepare_bucket
from jobs.embedded import Embedded, embedded_services
from jobs.queue import RedisQueue, open_redis
from jobs.settings import PREFIX, Settings, load_settings
from jobs.supervise import Service, ServiceFailed, first_death, port_is_free, running

HOST = "127.0.0.1"
DEFAULT_PORT = 8000  # of the API, and where `darkroom upload` looks for it
BUCKET = "darkroom"
_EVENTS_QUEUE = "darkroom-events"
_READY_WITHIN = 30.0  # seconds
_JOBS_END_WITHIN = 35.0  # seconds; a worker finishes what it has begun


async def run_dev(port: int, data_dir: Path, workers: int) -> None:
    """Start everything, say so, and wait for a signal.

    Raises:
        ServiceFailed: something could not start, or died.
    """
    began = time.monotonic()
    if not port_is_free(port):
        raise ServiceFailed(f"port {port} is taken: choose another with --port")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, stopped.set)

    starting = asyncio.create_task(_run(port, data_dir, workers, began))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stopped.is_set():
        Console().print("Stopping…")
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise


async def _run(port: int, data_dir: Path, workers: int, began: float) -> None:
    async with local_system(port, data_dir, workers) as (embedded, death):
        _announce(port, data_dir, embedded, time.monotonic() - began)
        raise await death


@asynccontextmanager
async def local_system(
    port: int, data_dir: Path, workers: int
) -> AsyncIterator[tuple[Embedded, asyncio.Task[ServiceFailed]]]:
    """Every process, ready to serve; the task ends when one of them dies.

    The settings of the processes are this one's environment, to which those of the services are added.

    Raises:
        ServiceFailed: something could not start.
        SettingsError: the environment has a setting that is wrong.
    """
    async with embedded_services(data_dir) as embedded, AsyncExitStack() as stack:
        os.environ.update(_environment(embedded))
        settings = load_settings()
        os.environ.update(_defaults(settings))
        queue_url = await prepare_bucket(settings, events_queue=_EVENTS_QUEUE)
        os.environ[f"{PREFIX}EVENTS_QUEUE_URL"] = queue_url

        command = [sys.executable, "-m", "api.cli"]
        commands = {
            "api": [*command, "api", "--host", HOST, "--port", str(port)],
            "events": [*command, "events"],
            **{f"worker {number}": [*command, "worker"] for number in range(1, workers + 1)},
        }
        # What is ours keeps nothing in memory that matters: if this process is killed, so are they.
        ours: list[Service] = [
            await stack.enter_async_context(
                running(name, argv, on_orphaned=signal.SIGKILL, patience=_JOBS_END_WITHIN)
            )
            for name, argv in commands.items()
        ]
        death = asyncio.create_task(first_death([*embedded.services, *ours]))
        try:
            await _ready(port, workers, death)
            yield embedded, death
        finally:
            death.cancel()
            await asyncio.gather(*(service.stop() for service in ours))  # all at once: nobody likes to wait


def _environment(embedded: Embedded) -> dict[str, str]:
    """The settings of the processes that are not for a user to choose."""
    own = {
        "MONGO_URL": embedded.mongo_url,
        "REDIS_URL": embedded.redis_url,
        "S3_ENDPOINT": embedded.s3_endpoint,
        "S3_PUBLIC_ENDPOINT": embedded.s3_endpoint,
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY": embedded.access_key,
        "S3_SECRET_KEY": embedded.secret_key,
        "AUTH": "none",
    }
    return {f"{PREFIX}{name}": value for name, value in own.items()}


def _defaults(chosen: Settings) -> dict[str, str]:
    """What suits one machine, where nothing else was chosen."""
    defaults = {}
    if chosen.hook_token is None:
        defaults[f"{PREFIX}HOOK_TOKEN"] = secrets.token_urlsafe()
    if chosen.log_format == "auto":
        defaults[f"{PREFIX}LOG_FORMAT"] = "console"
    return defaults


async def _ready(port: int, workers: int, death: asyncio.Task[ServiceFailed]) -> None:
    """Wait until the API answers, with every service behind it, and all workers listen for jobs."""
    settings = load_settings()
    async with (
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False) as http,
        open_redis(settings) as redis,
    ):
        queue = RedisQueue(redis, settings)
        try:
            async with asyncio.timeout(_READY_WITHIN):
                while not death.done():
                    try:
                        if (await http.get("/readyz")).is_success and await queue.listeners() >= workers:
                            return
                    except httpx.HTTPError:
                        pass
                    await asyncio.wait([death], timeout=0.05)
        except TimeoutError:
            raise ServiceFailed(f"API and workers are not ready after {_READY_WITHIN:.0f} s") from None
    raise death.result()


def _announce(port: int, data_dir: Path, embedded: Embedded, seconds: float) -> None:
    out = Console(highlight=False)
    out.print(f"\n[bold green]Darkroom is ready[/] [dim]({seconds:.1f} s)[/]")
    out.print(f"  Drop pictures at         [link]http://{HOST}:{port}/[/link]")
    out.print(f"  GraphQL and playground   [link]http://{HOST}:{port}/graphql[/link]")
    out.print(f"  Bytes go straight to     {embedded.s3_endpoint}/{BUCKET}")
    out.print(f"  Data and logs            {data_dir.absolute()}")
    there = "" if port == DEFAULT_PORT else f" --url http://{HOST}:{port}"
    out.print(
        f"  Try                      [bold].venv/bin/darkroom upload photo.jpg{there}[/]", soft_wrap=True
    )
    out.print("[dim]Ctrl-C stops all of it.[/]\n")
