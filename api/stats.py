"""Stats: how the whole system does, for an administrator."""

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Self

import strawberry

from api.cost import WEIGHT, Weight
from api.enums import ImageStatus, Stage
from jobs import stages
from jobs.images import Status
from jobs.ports import Services

_LAST = timedelta(hours=1)
MAX_SAMPLE = 1_000  # images: for the slowest in a hundred, ten are known
MAX_COUNTED = 1_000_000  # of one status; counting them takes the database half a second
WEIGHT_OF_ALL = Weight(5_000)  # so that one query has it four times at most


@strawberry.type(description="How many images have a status.")
class StatusCount:
    """A number for each of `jobs.images.Status`."""

    status: ImageStatus = strawberry.field(description="The status.")
    count: int = strawberry.field(
        description=f"How many images have it now; counting ends at {MAX_COUNTED:,}."
    )


@strawberry.type(description="How long a stage took, in seconds.")
class StageTimes:
    """`jobs.stages.Percentiles`."""

    stage: Stage = strawberry.field(description="The stage.")
    count: int = strawberry.field(description="How many images were measured.")
    p50: float = strawberry.field(description="Half of them took no longer.")
    p95: float = strawberry.field(description="95 in a hundred took no longer.")
    p99: float = strawberry.field(description="99 in a hundred took no longer.")


@strawberry.type(description="How the whole system does, of all owners together.")
class Stats:
    """What an administrator looks at."""

    counts: list[StatusCount] = strawberry.field(
        description="Each status with the number of its images.", metadata={WEIGHT: Weight(items=len(Status))}
    )
    queue_depth: int = strawberry.field(description="Jobs that wait or run.")
    oldest_job_seconds: float | None = strawberry.field(
        description="For how long the oldest job has been due; null if there is no job."
    )
    stages: list[StageTimes] = strawberry.field(
        description="How long each stage took, of the images that were developed in the last hour, or of "
        f"the latest {MAX_SAMPLE:,} of them. A stage that none of them went through is left out."
    )

    @classmethod
    async def of(cls, services: Services) -> Self:
        """All of it as of now.

        Raises:
            Unavailable: a service does not answer.
        """
        catalog, queue, at = services.catalog, services.queue, services.clock()
        histories = await catalog.finished_since(at - _LAST, limit=MAX_SAMPLE)
        took = stages.percentiles(histories)
        counts = await asyncio.gather(*(catalog.count(status, limit=MAX_COUNTED) for status in Status))
        oldest = await queue.oldest()
        return cls(
            counts=[
                StatusCount(status=ImageStatus[status.name], count=count)
                for status, count in zip(Status, counts, strict=True)
            ],
            queue_depth=await queue.depth(),
            oldest_job_seconds=None if oldest is None else max(0.0, (at - oldest).total_seconds()),
            stages=[
                StageTimes(stage=Stage[stage.name], **asdict(took[stage]))
                for stage in stages.RECORDED
                if stage in took
            ],
        )
