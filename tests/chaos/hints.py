"""The scenarios within this process: a store that fails, and events that come as they like."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from jobs.consumer import consume, open_event_queue
from jobs.events import ObjectCreated
from jobs.images import Status, StatusChange
from jobs.imaging.pool import DevelopingPool
from jobs.ingest import ingest_event
from jobs.ports import Services
from jobs.queue import open_redis
from jobs.worker import Worker
from tests.chaos.fleet import Backing, a_fleet
from tests.chaos.journal import a_journal
from tests.chaos.load import Load, picture
from tests.chaos.scenarios import SEED, Outcome, Scale, Scenario, judged, not_ready, settled
from tests.faulty import FaultyStorage
from tests.records import an_image
from tests.system import running_beside

_RATE = 0.2


@asynccontextmanager
async def working_with(services: Services) -> AsyncIterator[None]:
    """A worker over these services, and nobody else's."""
    settings = services.settings
    async with (
        open_redis(settings) as redis,
        DevelopingPool(2, cpu_seconds=settings.develop_seconds, wall_seconds=18) as pool,
    ):
        worker = Worker(redis, services, pool, handle_signals=False)
        async with running_beside(worker.async_run(), worker.stop):
            yield
        await worker.finish()


async def failing_store(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """A fifth of all calls of the store fail, half of those after they were carried out."""
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(a_fleet(backing, folder, workers=0, consumer=False))
        journal = await stack.enter_async_context(a_journal(fleet.settings))
        rng = random.Random(SEED)  # noqa: S311 - not for secrets
        faulty = FaultyStorage(fleet.services.storage, rng, _RATE)
        services = replace(fleet.services, storage=faulty)
        queue = await stack.enter_async_context(
            open_event_queue(fleet.settings, fleet.settings.events_queue_url or "")
        )
        await stack.enter_async_context(running_beside(consume(queue, services)))
        await stack.enter_async_context(working_with(services))
        load = Load(fleet, journal, SEED)
        over = asyncio.create_task(asyncio.sleep(scale.outage * 2))
        while not over.done():
            await load.send(1, window=30)
        faulty.rate = 0
        await settled(journal, load, within=120)
        outcome = await judged(
            fleet, journal, load, failing=f"{_RATE:.0%} for {scale.outage * 2:.0f} s", faults=faulty.faults
        )
        outcome.wrong += not_ready(journal, load)
        return outcome


async def wild_events(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """Every event ten times, in any order, some before their record, some ten minutes late, some never."""
    async with (
        a_fleet(backing, folder, workers=1, consumer=False) as fleet,
        a_journal(fleet.settings) as journal,
    ):
        services = fleet.services
        load = Load(fleet, journal, SEED)
        told: list[ObjectCreated] = []
        early = 0
        for number in range(scale.uploads // 4):
            body = picture(load.rng)
            now = services.clock()
            image = an_image(
                byte_size=len(body),
                created_at=now,
                changed_at=now,
                expires_at=now + timedelta(minutes=15),
                due_at=now + timedelta(seconds=fleet.settings.sweep_seconds),
                timeline=(StatusChange(status=Status.PENDING, at=now),),
            )
            event = ObjectCreated(fleet.settings.s3_bucket, image.source_key)
            if number % 3 == 0:
                early += 1
                await ingest_event(event, services, via="webhook")
            await services.catalog.add([image])
            await services.storage.write(image.source_key, body, content_type="image/jpeg")
            load.accepted.add(image.id)
            load.sent[image.id] = body
            if number % 5:  # of the others, nobody tells any more
                told.append(event)
        events = told * 10
        load.rng.shuffle(events)
        gate = asyncio.Semaphore(20)

        async def tell(event: ObjectCreated, services: Services) -> str:
            async with gate:
                return await ingest_event(event, services, via="webhook")

        moved = await asyncio.gather(*(tell(event, services) for event in events))
        await settled(journal, load, within=120)
        versions = {image_id: history.changes[-1].version for image_id, history in journal.histories.items()}
        late = replace(services, clock=lambda: services.clock() + timedelta(minutes=10))
        await asyncio.gather(*(tell(event, late) for event in told))
        outcome = await judged(
            fleet,
            journal,
            load,
            events=len(events) + len(told) + early,
            early=early,
            late=len(told),
            moved=moved.count("moved"),
        )
        outcome.wrong += not_ready(journal, load)
        outcome.wrong += [
            f"{image_id}: moved by a late event"
            for image_id, version in versions.items()
            if journal.histories[image_id].changes[-1].version != version
        ]
        return outcome


WITHIN: dict[str, Scenario] = {
    "a store that fails": failing_store,
    "events doubled, shuffled, early, late": wild_events,
}
