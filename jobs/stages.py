"""Stages: how long each part of an image's way took, by the timeline of its record.

Everything here is pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from jobs.images import MOVES, Move, Status, StatusChange


class Stage(StrEnum):
    """A part of the way, each from where the one before it ends."""

    UPLOAD = "upload"  # from the request for a target until the store has the source
    EVENT_DELAY = "event_delay"  # until the record says so
    QUEUE_WAIT = "queue_wait"  # until a worker takes it
    DEVELOP = "develop"  # until all is stored and the record says so, further attempts included
    PUBLISH = "publish"  # until it is handed to those who follow it: no record knows when


RECORDED = tuple(stage for stage in Stage if stage is not Stage.PUBLISH)

ENDED_BY: Mapping[Move, tuple[Stage, ...]] = {
    Move.ARRIVE: (Stage.UPLOAD, Stage.EVENT_DELAY),
    Move.TAKE: (Stage.QUEUE_WAIT,),
    Move.FINISH: (Stage.DEVELOP,),
    Move.REJECT: (Stage.DEVELOP,),
    Move.FAIL: (Stage.DEVELOP,),
}


class History(NamedTuple):
    """What a record tells of its stages; `stored_at` is when the store had the source, if it said so."""

    timeline: Sequence[StatusChange]
    stored_at: datetime | None


class StageTime(NamedTuple):
    """When a stage began and when it ended."""

    stage: Stage
    began: datetime
    ended: datetime

    @property
    def seconds(self) -> float:
        """How long it took; none where the clocks of two machines say that it ended first."""
        return max(0.0, (self.ended - self.began).total_seconds())


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `count` times: what half of them, 95 and 99 in a hundred do not exceed, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float


# How an image ends that a worker took.
DEVELOPED = frozenset(MOVES[move].target for move, stages in ENDED_BY.items() if Stage.DEVELOP in stages)


def stage_times(history: History) -> dict[Stage, StageTime]:
    """The stages of an image's last round that are over, as far as the timeline reaches back."""
    found: dict[Stage, StageTime] = {}

    def ended(stage: Stage, began: datetime, at: datetime) -> None:
        found[stage] = StageTime(stage, began, at)

    timeline, stored_at = history
    for before, after in pairwise(timeline):
        match before.status, after.status:
            case (Status.PENDING | Status.EXPIRED, Status.UPLOADED):
                asked_at = timeline[0].at  # nothing but these two comes before, nor so much of them
                if stored_at is None:
                    ended(Stage.UPLOAD, asked_at, after.at)
                else:  # by the store's clock
                    stored_at = min(max(stored_at, asked_at), after.at)
                    ended(Stage.UPLOAD, asked_at, stored_at)
                    ended(Stage.EVENT_DELAY, stored_at, after.at)
            case (_, Status.UPLOADED):
                found.clear()  # a round of its own
            case (Status.UPLOADED, Status.PROCESSING):
                ended(Stage.QUEUE_WAIT, before.at, after.at)
            case (Status.PROCESSING, end) if end in DEVELOPED:
                ended(Stage.DEVELOP, before.at, after.at)
    return found


def percentiles(histories: Iterable[History]) -> dict[Stage, Percentiles]:
    """What the stages of these images took, by nearest rank; only those that some of them went through."""
    seconds: defaultdict[Stage, list[float]] = defaultdict(list)
    for history in histories:
        for time in stage_times(history).values():
            seconds[time.stage].append(time.seconds)

    def summary(values: list[float]) -> Percentiles:
        values.sort()
        return Percentiles(
            len(values), *(values[ceil(len(values) * share / 100) - 1] for share in (50, 95, 99))
        )

    return {stage: summary(values) for stage, values in seconds.items()}
