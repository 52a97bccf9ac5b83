"""Transitions: each is noted once, right where the catalog has made it.

That is one line in the log, what Prometheus counts, and a span for each stage that it ends.
"""

from collections.abc import Mapping
from datetime import datetime

import structlog

from jobs import metrics
from jobs.images import Image, Move
from jobs.metrics import Outcome
from jobs.stages import ENDED_BY, History, Stage, StageTime, stage_times
from jobs.tracing import Trace, record_span

log = structlog.get_logger(__name__)

_EVENTS: Mapping[Move, str] = {
    Move.ARRIVE: "uploaded",
    Move.EXPIRE: "expired",
    Move.TAKE: "processing",
    Move.RETARGET: "retargeted",
    Move.REVEAL: "revealed",
    Move.FINISH: "ready",
    Move.REJECT: "rejected",
    Move.FAIL: "failed",
    Move.REPROCESS: "reprocessed",
    Move.DELETE: "deleted",
}
_OUTCOMES = {
    Move.FINISH: Outcome.READY,
    Move.REJECT: Outcome.REJECTED,
    Move.FAIL: Outcome.FAILED,
    Move.EXPIRE: Outcome.EXPIRED,
}


def note(move: Move, image: Image, **more: object) -> None:
    """Tell of a move that was made, for whoever runs this.

    Args:
        image: the record after it.
        more: what else the line in the log says.
    """
    outcome = _OUTCOMES.get(move)
    if image.problem is not None and outcome is not None:
        more["code"] = image.problem.code
    if move is Move.FINISH and image.develop_seconds is not None:
        more["develop_ms"] = round(image.develop_seconds * 1e3, 1)
    log.info(
        _EVENTS[move],
        image=image.id,
        attempt=image.attempts,
        version=image.version,
        trace=image.trace,
        **more,
    )
    if outcome is not None:
        metrics.UPLOADS.labels(outcome).inc()
    if move is Move.TAKE and image.takes > 1:
        return  # after another attempt: it is no longer the queue that it waited in
    times = stage_times(History(image.timeline, image.stored_at)) if move in ENDED_BY else {}
    for stage in ENDED_BY.get(move, ()):
        if stage in times:
            _observe(times[stage], image)


def note_published(image: Image, at: datetime) -> None:
    """Tell that the latest state of `image` was handed to those of this process who follow it."""
    _observe(StageTime(Stage.PUBLISH, image.changed_at, at), image)


def _observe(time: StageTime, image: Image) -> None:
    metrics.STAGES.labels(time.stage).observe(time.seconds)
    if image.trace is not None:
        record_span(
            time.stage,
            Trace(image.trace, image.span),
            time.began,
            time.ended,
            image=image.id,
            attempt=image.attempts,
            version=image.version,
        )
