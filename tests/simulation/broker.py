"""The broker: jobs as arq keeps them, handed to whoever is told to start them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from jobs.images import Image
from jobs.queue import job_id

Start = Callable[[str, timedelta], None]


class Broker:
    """`Queue` over a dictionary, and what a worker tells it.

    There is one job for each round of an image, until it is finished or forgotten. `start` is called with
    a job's id, and after how much time it should start.
    """

    def __init__(self, start: Start) -> None:
        self.jobs: dict[str, str] = {}
        self._start = start

    async def enqueue(self, image: Image) -> None:
        """Start a job, unless it is there."""
        job = job_id(image, "simulation")
        if job not in self.jobs:
            self.jobs[job] = image.id
            self._start(job, timedelta())

    async def finish(self, job: str, again: timedelta | None) -> None:
        """End a job, or put it off."""
        if again is None:
            self.jobs.pop(job, None)
        elif job in self.jobs:
            self._start(job, again)

    async def depth(self) -> int:
        """How many jobs wait or run."""
        return len(self.jobs)

    async def oldest(self) -> datetime | None:
        """Nobody asks here."""
        raise NotImplementedError

    async def ping(self) -> None:
        """Nothing: it answers."""

    def forget(self) -> None:
        """Lose all jobs."""
        self.jobs.clear()
