"""The `darkroom` command."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from jobs.errors import DarkroomError, SettingsError
from jobs.settings import Settings, load_settings
from jobs.supervise import ServiceFailed

Result = TypeVar("Result")

app = typer.Typer(
    name="darkroom",
    help="Image uploads for front ends: presigned targets, straight to storage, completion pushed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Port = Annotated[int, typer.Option(min=1, max=65_535, help="The port of the API.")]


MetricsPort = Annotated[
    int | None,
    typer.Option(min=1, max=65_535, help="Where to tell Prometheus of metrics.", show_default="nowhere"),
]
MetricsHost = Annotated[
    str, typer.Option(help="The address for that; any but this machine's needs DARKROOM_METRICS_TOKEN.")
]


@app.command()
def dev(
    port: Port = 8000,
    data_dir: Annotated[Path, typer.Option(help="Where the data of the services stay.")] = Path(".darkroom"),
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many worker processes.")] = 1,
) -> None:
    """Start everything on this machine: embedded services, API, worker. Ctrl-C stops it."""
    from api.dev import run_dev

    _run(run_dev(port, data_dir, workers))


@app.command()
def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1", port: Port = 8000
) -> None:
    """Serve the API."""
    from api.server import serve_api

    _serve(serve_api(_configured(), host, port))


@app.command()
def worker(metrics_port: MetricsPort = None, metrics_host: MetricsHost = "127.0.0.1") -> None:
    """Develop what was uploaded."""
    from jobs.worker import run_worker

    settings = _configured()
    _serve(_measured(run_worker, settings, metrics_host, metrics_port))


@app.command()
def events(metrics_port: MetricsPort = None, metrics_host: MetricsHost = "127.0.0.1") -> None:
    """Take storage events from the queue that DARKROOM_EVENTS_QUEUE_URL names."""
    from jobs.consumer import run_consumer

    settings = _configured()
    work = _measured(run_consumer, settings, metrics_host, metrics_port)
    _serve(_until_signalled(work))


@app.command()
def prepare(
    events_queue: Annotated[
        str | None,
        typer.Option(help="The SQS queue that hears of uploads.", show_default="none, for a webhook"),
    ] = None,
) -> None:
    """Create what is missing of bucket and queue, and connect the two. Prints the queue's URL."""
    from jobs.bucket import make_bucket, prepare_bucket

    async def work() -> None:
        settings = _configured()
        if events_queue is None:
            await make_bucket(settings)
        else:
            typer.echo(await prepare_bucket(settings, events_queue=events_queue))

    _run(work())


@app.command()
def upload(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders with images, or globs.", show_default=False)
    ],
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Look into folders below too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each change.")] = False,
    url: Annotated[str, typer.Option(help="Where the API is.")] = "http://127.0.0.1:8000",
    key: Annotated[
        str | None, typer.Option(envvar="DARKROOM_KEY", help="The API key.", show_default=False)
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="What to develop them into.", show_default="the server's")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="How many files at once.")] = 4,
    wait: Annotated[bool, typer.Option(help="Wait until every image is at rest.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be uploaded, and ask no server.")
    ] = False,
) -> None:
    """Upload files and follow them to their end; run again, it goes on where it was interrupted.

    Exits with 0 if all are ready, with 1 if some are not, with 130 if it is interrupted.
    """
    from api import upload as uploading
    from api.client import ApiError
    from api.upload_items import UsageError, find_files
    from api.upload_views import print_plan

    try:
        uploading.check_url(url)
        uploading.check_key(key)
        files = find_files(paths, recursive=recursive)
    except UsageError as error:
        raise _failure(str(error), status=2) from None
    if dry_run:
        print_plan(files, as_json=as_json)
        return
    try:
        work = uploading.upload(
            files, url=url, key=key, preset=preset, concurrency=concurrency, wait=wait, as_json=as_json
        )
        ended = asyncio.run(_until_signalled(work))
    except ApiError as error:
        raise _failure(str(error)) from None
    if isinstance(ended, signal.Signals):
        raise typer.Exit(128 + ended)
    if not ended:
        raise typer.Exit(1)


@app.command()
def doctor(
    orphans: Annotated[
        bool,
        typer.Option(
            "--orphans",
            help="Look instead for objects without a record, and for records whose objects are gone.",
        ),
    ] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Set CORS, notification and indexes; with --orphans, remove such objects and develop "
            "such images anew. Else only tell.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each finding.")] = False,
    event_seconds: Annotated[
        float, typer.Option(min=0.1, help="How long the event of an upload may take.")
    ] = 20,
) -> None:
    """Check settings and services by real requests, while the system runs.

    Exits with 1 if findings remain, with 2 if the settings are wrong.
    """
    from api.checkup import print_checkup
    from api.doctor import find_orphans
    from jobs.clock import now

    settings = _configured(status=2)
    work = (
        find_orphans(settings, fix=fix, as_json=as_json)
        if orphans
        else print_checkup(settings, now, fix=fix, as_json=as_json, event_seconds=event_seconds)
    )
    try:
        consistent = asyncio.run(work)
    except (SettingsError, DarkroomError) as error:
        raise _failure(str(error), status=2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not consistent:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from api.schema import schema as built

    typer.echo(built.as_str())


def _configured(status: int = 1) -> Settings:
    """The settings of this process; without them it ends, with `status`."""
    from jobs.logs import configure_logs
    from jobs.tracing import configure_tracing

    try:
        settings = load_settings()
    except SettingsError as error:
        raise _failure(str(error), status) from None
    configure_logs(settings)
    configure_tracing()
    return settings


def _run(
    work: Coroutine[Any, Any, object], run: Callable[[Coroutine[Any, Any, object]], object] = asyncio.run
) -> None:
    try:
        run(work)
    except (ServiceFailed, SettingsError) as error:
        raise _failure(str(error)) from None
    except DarkroomError as error:
        raise _failure(error.message) from None


def _serve(work: Coroutine[Any, Any, object]) -> None:
    """Run on the fastest loop there is; every message and every request passes through it."""
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        _run(work)
    else:
        _run(work, uvloop.run)


async def _measured(
    work: Callable[[Settings], Coroutine[Any, Any, None]], settings: Settings, host: str, port: int | None
) -> None:
    """Do `work`, and tell of its metrics on `port` while it lasts, if there is one."""
    if port is None:
        await work(settings)
        return
    from api.metrics import serving_metrics

    async with serving_metrics(settings, host, port):
        await work(settings)


async def _until_signalled(work: Coroutine[Any, Any, Result]) -> Result | signal.Signals:
    """Do `work` until SIGINT or SIGTERM, and tell which came; another does not disturb how it ends."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    came: signal.Signals | None = None

    def stop(signum: signal.Signals) -> None:
        nonlocal came
        came = signum
        for each in signals:
            loop.remove_signal_handler(each)  # otherwise the loop, when it closes, would no longer ignore it
            signal.signal(each, signal.SIG_IGN)
        task.cancel()

    for signum in signals:
        loop.add_signal_handler(signum, stop, signum)
    try:
        return await task
    except asyncio.CancelledError:
        if came is None:
            raise
        return came


def _failure(message: str, status: int = 1) -> typer.Exit:
    typer.echo(f"darkroom: {message}", err=True)
    return typer.Exit(status)


if __name__ == "__main__":
    app()
