"""Traces: one from the mutation to the notification where somebody records it, nothing at all elsewhere."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from jobs.settings import Settings
from jobs.tracing import Trace, parse_traceparent, spanning, trace_by
from tests.system import running_system, until
from tests.test_system import a_photo, create, followed, put
from tests.test_transitions import HEADER, PARENT, TRACE, asked

WITHOUT = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """All spans that end while a test runs."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace_by(provider)
    yield exporter
    trace_by(None)
    provider.shutdown()


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """A span's trace, its own id, and that of its parent."""
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{parent.span_id:016x}" if parent else None


async def test_one_trace_leads_from_the_mutation_to_the_notification(
    settings: Settings, spans: InMemorySpanExporter
) -> None:
    """Through event, job and message, each of which another process may take."""
    body = a_photo()
    async with running_system(settings) as system:
        target = await asked(system, body)
        following = asyncio.create_task(followed(system, target["image"]["id"]))
        assert await put(system, target, body) == 200
        await following

        async def told() -> bool:
            return "publish" in {span.name for span in spans.get_finished_spans()}

        await until(told)
    finished = spans.get_finished_spans()
    (mutation,) = [span for span in finished if span.name == "createUploads"]
    trace, own, parent = ids(mutation)
    assert (trace, parent) == (TRACE, PARENT)
    below = [span for span in finished if span is not mutation]
    assert {span.name for span in below} == {"upload", "event_delay", "queue_wait", "develop", "publish"}
    assert {(ids(span)[0], ids(span)[2]) for span in below} == {(TRACE, own)}
    assert {span.attributes["image"] for span in below if span.attributes} == {target["image"]["id"]}
    assert all(span.start_time <= span.end_time for span in below if span.start_time and span.end_time)


async def test_a_trace_begins_with_the_mutation_where_the_client_has_none(
    settings: Settings, spans: InMemorySpanExporter
) -> None:
    """And the record has its ids."""
    async with running_system(settings, worker=False, events=False) as system:
        target = await create(system, b"abc")
        image = await system.services.catalog.get(target["image"]["id"])
    (span,) = spans.get_finished_spans()
    assert image is not None
    assert ids(span) == (image.trace, image.span, None)


def test_what_is_not_sampled_is_recorded_nowhere() -> None:
    """The trace is kept for the log, and there is no span to hang others on."""
    trace_by(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    try:
        with spanning("createUploads", None) as trace:
            assert trace.recorded_span is None
            assert parse_traceparent(f"00-{trace.id}-{trace.span}-00") == trace
    finally:
        trace_by(None)


@pytest.mark.parametrize("recorder", [True, False])
async def test_a_request_that_is_not_sampled_is_recorded_nowhere(
    settings: Settings, spans: InMemorySpanExporter, recorder: bool
) -> None:
    """Its client has said so. The record has its trace, and no span for whoever records later."""
    if not recorder:
        trace_by(None)
    async with running_system(settings, worker=False, events=False) as system:
        target = await asked(system, b"abc", {"traceparent": f"00-{TRACE}-{PARENT}-00"})
        image = await system.services.catalog.get(target["image"]["id"])
    assert spans.get_finished_spans() == ()
    assert image is not None
    assert (image.trace, image.span) == (TRACE, None)


def test_the_sampler_decides_on_what_the_client_does_not_sample() -> None:
    """One that takes everything hangs its span on the client's."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace_by(provider)
    try:
        with spanning("createUploads", Trace(TRACE, PARENT, sampled=False)) as trace:
            pass
    finally:
        trace_by(None)
    (span,) = exporter.get_finished_spans()
    assert ids(span) == (TRACE, trace.recorded_span, PARENT)


def test_without_a_recorder_the_trace_is_handed_on() -> None:
    """As it came; or a new one, which differs each time."""
    with spanning("createUploads", Trace(TRACE, PARENT)) as trace:
        assert trace == Trace(TRACE, PARENT)
    with spanning("createUploads", None) as one, spanning("createUploads", None) as other:
        assert one.id != other.id
        assert one.span is None
        assert parse_traceparent(f"00-{one.id}-{PARENT}-01") == Trace(one.id, PARENT)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HEADER["traceparent"], Trace(TRACE, PARENT)),
        (f"00-{TRACE}-{PARENT}-00", Trace(TRACE, PARENT, sampled=False)),
        (f"00-{TRACE}-{PARENT}-02", Trace(TRACE, PARENT, sampled=False)),
        (f"00-{TRACE}-{PARENT}-03", Trace(TRACE, PARENT)),
        (f"01-{TRACE}-{PARENT}-01-what-comes-later", Trace(TRACE, PARENT)),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent_is_read_as_w3c_writes_it(header: str | None, expected: Trace | None) -> None:
    """Whatever makes no sense is no trace, and no error."""
    assert parse_traceparent(header) == expected


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env=WITHOUT | environment, capture_output=True, text=True, check=False
    )


_LOADED = """
import sys
import api.server, jobs.consumer, jobs.worker
from jobs.tracing import configure_tracing
configure_tracing()
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


def test_without_a_collector_nothing_of_it_is_loaded() -> None:
    """Though it is installed."""
    done = run(_LOADED)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_without_the_extra_a_collector_is_told_of_and_nothing_else_happens() -> None:
    """One line says what is missing."""
    hidden = "import sys; sys.modules['opentelemetry'] = None\n"
    done = run(hidden + _LOADED, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert "darkroom[otel]" in done.stdout
    assert done.stdout.endswith("['opentelemetry']\n")


async def test_spans_go_to_the_collector_that_the_environment_names() -> None:
    """By the time the process has ended, all of them."""
    async with collector() as (url, received):
        code = (
            "from jobs.tracing import configure_tracing, spanning\n"
            "configure_tracing()\n"
            "with spanning('createUploads', None):\n"
            "    pass\n"
        )
        done = await asyncio.to_thread(run, code, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert done.returncode == 0, done.stderr
    (request,) = received
    assert request.startswith(b"POST /v1/traces ")
    assert b"createUploads" in request
    assert b"darkroom" in request


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[bytes]]]:
    """One that takes everything: its URL, and the requests that came."""
    received: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.partition(b":")[2])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length:")
        ]
        received.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", received
