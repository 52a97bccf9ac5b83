"""Traces: by OpenTelemetry, where the extra `otel` is installed and the environment names a collector.

Without either, nothing of it is imported and every function here does next to nothing. Each image keeps the
ids of W3C's Trace Context in its record, so that one trace leads through all processes.
"""

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

log = structlog.get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may say more behind the flags.
_TRACEPARENT = re.compile(r"(?!ff)(?P<version>[0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1

_tracer: "Tracer | None" = None


class Trace(NamedTuple):
    """A trace, and the span in it that causes what follows; both ids are hexadecimal.

    Without a span, or if that is not sampled, nobody records the trace; its id is for the log.
    """

    id: str
    span: str | None = None
    sampled: bool = True  # the one flag that means something to us

    @property
    def recorded_span(self) -> str | None:
        """The span, if others can hang on it."""
        return self.span if self.sampled else None


def new_trace() -> Trace:
    """A trace that nobody has begun."""
    return Trace(f"{random.getrandbits(128):032x}")  # no secret, and three times as fast as one


def parse_traceparent(header: str | None) -> Trace | None:
    """What a `traceparent` says; None if it is none, or makes no sense."""
    match = _TRACEPARENT.fullmatch(header or "")
    if match is None or (match["version"] == "00" and match[5]):
        return None
    trace, span, flags = match[2], match[3], int(match[4], 16)
    if not int(trace, 16) or not int(span, 16):
        return None
    return Trace(trace, span, sampled=bool(flags & _SAMPLED))


def configure_tracing() -> None:
    """Send spans to the collector that the environment names, if it does, as OpenTelemetry has it."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no traces are sent: they need the extra darkroom[otel]")
        return
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "darkroom"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace_by(provider)


def trace_by(provider: "TracerProvider | None") -> None:
    """Let `provider` make the spans; None for none."""
    global _tracer  # noqa: PLW0603 - one for each process, as OpenTelemetry has it too
    _tracer = None if provider is None else provider.get_tracer("darkroom")


@contextmanager
def spanning(name: str, parent: Trace | None) -> Iterator[Trace]:
    """A span for as long as the context lasts, and the trace for what it causes.

    Args:
        parent: to which it belongs; None to begin a trace.
    """
    if _tracer is None:
        yield parent or new_trace()
        return
    from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

    with _tracer.start_as_current_span(name, context=_context(parent), kind=SpanKind.SERVER) as span:
        at = span.get_span_context()
        yield Trace(format_trace_id(at.trace_id), format_span_id(at.span_id), sampled=at.trace_flags.sampled)


def record_span(
    name: str, parent: Trace | None, began: datetime, ended: datetime, **attributes: str | int
) -> None:
    """A span of what is over, if anybody records the trace."""
    if _tracer is None or parent is None or parent.span is None:
        return
    span = _tracer.start_span(
        name, context=_context(parent), start_time=_nanoseconds(began), attributes=attributes
    )
    span.end(end_time=_nanoseconds(max(began, ended)))


def _context(parent: Trace | None) -> "Context | None":
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    if parent is None or parent.span is None:
        return Context()
    flags = TraceFlags(_SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    known = SpanContext(int(parent.id, 16), int(parent.span, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(known), Context())


def _nanoseconds(at: datetime) -> int:
    """Since the epoch, exact where a float is not."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
