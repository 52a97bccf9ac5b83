"""Metrics: what a process counts, for Prometheus to collect. Never by id or owner.

Each label has a few values that are known beforehand; all but the codes of problems are told from the start.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from jobs.errors import ProblemCode
from jobs.stages import Stage

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

# From what a machine takes in memory to how long a target is good.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each count began: twice the text, and of no use to anybody

M = TypeVar("M", bound=MetricWrapperBase)


class Outcome(StrEnum):
    """How an upload came to rest."""

    READY = "ready"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"


class Subscribed(StrEnum):
    """What a subscription follows."""

    IMAGES = "imageUpdates"
    FEED = "feed"


class Drop(StrEnum):
    """Why a websocket was cut off."""

    STALLED = "stalled"  # it did not read
    SILENT = "silent"  # it did not answer a ping


class Retry(StrEnum):
    """Why a job has to run again."""

    FAILED = "failed"  # the file may be what ended the attempt
    UNAVAILABLE = "unavailable"  # a service is away


class Limit(StrEnum):
    """Which limit a request was refused by."""

    OPERATIONS = "operations"
    UPLOADS = "uploads"
    BYTES = "bytes"
    COST = "cost"  # of a query
    BODY = "body"  # its length
    SOCKETS = "sockets"


def _told(metric: M, values: Iterable[str]) -> M:
    for value in values:
        metric.labels(value)
    return metric


TARGETS = Counter("darkroom_targets", "Files asked for, by the answer.", ["answer"])
UPLOADS = _told(Counter("darkroom_uploads", "Images that came to rest.", ["outcome"]), Outcome)
STAGES = _told(
    Histogram("darkroom_stage_duration_seconds", "What a stage took.", ["stage"], buckets=_SECONDS), Stage
)
QUEUE_DEPTH = Gauge("darkroom_queue_jobs", "Jobs that wait or run, of all workers.")
QUEUE_AGE = Gauge("darkroom_queue_oldest_seconds", "For how long the oldest job has been due.")
SOCKETS = Gauge("darkroom_sockets", "Open websockets.")
SUBSCRIPTIONS = _told(Gauge("darkroom_subscriptions", "Running subscriptions.", ["kind"]), Subscribed)
DROPS = _told(Counter("darkroom_sockets_dropped", "Websockets that were cut off.", ["reason"]), Drop)
RETRIES = _told(Counter("darkroom_retries", "Jobs that have to run again.", ["reason"]), Retry)
LEASES_LOST = Counter("darkroom_leases_lost", "Attempts whose image had passed to somebody else.")
REFUSALS = _told(Counter("darkroom_refusals", "What was refused by limits.", ["limit"]), Limit)

# Those of every request and every subscriber, looked up once.
TARGETS_GIVEN = TARGETS.labels("given")
TARGETS_REPEATED = TARGETS.labels("repeated")
FOLLOWED_IMAGES = SUBSCRIPTIONS.labels(Subscribed.IMAGES)
FOLLOWED_FEEDS = SUBSCRIPTIONS.labels(Subscribed.FEED)


def refused(code: ProblemCode) -> None:
    """Count an upload that was asked for and is one too many."""
    REFUSALS.labels(Limit.BYTES if code is ProblemCode.QUOTA_EXCEEDED else Limit.UPLOADS).inc()


def exposition() -> bytes:
    """Everything that this process counts, in the text format of Prometheus, with what it takes itself."""
    return generate_latest()
