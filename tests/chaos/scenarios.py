"""The scenarios that kill and stop processes. Each returns its figures; what is wrong raises."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from jobs.failpoints import Failpoint
from jobs.images import Status
from jobs.lease import LEASE
from jobs.supervise import Service
from tests.chaos.fleet import Backing, Fleet, a_fleet
from tests.chaos.journal import Journal, a_journal
from tests.chaos.load import Load, picture
from tests.chaos.verdict import judge_journal, judge_objects
from tests.imaging import bombs, samples

SEED = 20_260


@dataclass(frozen=True)
class Scale:
    """How much of it: the whole, or what a test run has time for."""

    uploads: int
    kills: int
    restarts: int
    outage: float  # seconds
    stall: float  # seconds
    per_step: int
    good: int
    bad: int


FULL = Scale(uploads=1_000, kills=100, restarts=10, outage=30, stall=20, per_step=5, good=500, bad=20)
SHORT = Scale(uploads=60, kills=6, restarts=2, outage=3, stall=2, per_step=1, good=30, bad=4)


@dataclass
class Outcome:
    """What a scenario has shown; `figures` are for people."""

    uploads: int
    figures: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


Scenario = Callable[[Backing, Path, Scale], Awaitable[Outcome]]


async def settled(journal: Journal, load: Load, *, within: float) -> None:
    """Wait until everything that the store took is at rest, or time is up: the verdict says which."""

    def rests() -> bool:
        known = journal.histories
        return all(image_id in known and known[image_id].status.at_rest for image_id in load.accepted)

    with suppress(TimeoutError):
        await journal.until(rests, within=within)


async def judged(fleet: Fleet, journal: Journal, load: Load, **figures: object) -> Outcome:
    """The verdict on a scenario that is over; unless it says otherwise, every upload must be READY."""
    outcome = Outcome(len(load.accepted), {name: str(figure) for name, figure in figures.items()})
    outcome.wrong += judge_journal(journal, load.accepted)
    outcome.wrong += await judge_objects(fleet.services, load.accepted, load.sent)
    return outcome


def not_ready(journal: Journal, load: Load) -> list[str]:
    """Uploads that ended otherwise, though nothing was wrong with them."""
    return [
        f"{image_id}: {journal.histories[image_id].status}"
        for image_id in load.accepted
        if journal.histories[image_id].status is not Status.READY
    ]


def taken_again(journal: Journal) -> list[timedelta]:
    """How long after the end of their leases images were taken again."""
    return [late for history in journal.histories.values() for late in history.late]


async def killed_workers(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """Workers are killed at random moments, and replaced."""
    async with a_fleet(backing, folder, workers=3) as fleet, a_journal(fleet.settings) as journal:
        load = Load(fleet, journal, SEED)
        rng = random.Random(SEED)  # noqa: S311 - not for secrets
        sending = asyncio.create_task(
            load.send(scale.uploads, body=lambda: picture(load.rng, 1_600, 1_200), window=30)
        )
        for _ in range(scale.kills):
            await asyncio.sleep(rng.uniform(0.2, 1.0))  # the fault itself: a moment that nobody chose
            await fleet.kill(rng.choice(fleet.workers))
            await fleet.start_worker()
        await sending
        await settled(journal, load, within=120)
        late = taken_again(journal)
        outcome = await judged(
            fleet,
            journal,
            load,
            killed=scale.kills,
            **{
                "taken again": len(late),
                "at most after the lease": _seconds(max(late, default=timedelta())),
                "later than 5 s": sum(each > _SOON for each in late),
            },
        )
        outcome.wrong += not_ready(journal, load)
        if scale is FULL and not late:
            outcome.wrong.append("no kill met an attempt")
        outcome.wrong += [
            f"taken again {_seconds(each)} after its lease" for each in late if each > _SOON + LEASE
        ]
        return outcome


# A worker may be killed just when it has found the job of another that was: that costs one more lease.
_SOON = timedelta(seconds=5)


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():.1f} s"


async def killed_at_each_step(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """The consumer or a worker dies between any two steps."""
    # The sweep must not come before the consumer that is going to die.
    async with (
        a_fleet(backing, folder, workers=1, sweep_seconds=30) as fleet,
        a_journal(fleet.settings) as journal,
    ):
        load = Load(fleet, journal, SEED)
        (worker,) = fleet.workers
        (consumer,) = fleet.consumers
        for step in Failpoint:
            doomed: Service
            if step.startswith("ingest."):
                await fleet.stop(consumer)
                doomed = await fleet.start_consumer(step)
            else:
                await fleet.stop(worker)
                doomed = await fleet.start_worker(step)
            # Large enough for each step to be seen.
            await load.send(scale.per_step, body=lambda: picture(load.rng, 1_600, 1_200), window=1_000)
            async with asyncio.timeout(60):
                code = await doomed.process.wait()
            assert code == -signal.SIGKILL, (step, code)
            await fleet.stop(doomed)
            if step.startswith("ingest."):
                consumer = await fleet.start_consumer()
            else:
                worker = await fleet.start_worker()
        await settled(journal, load, within=120)
        outcome = await judged(fleet, journal, load, steps=len(Failpoint))
        outcome.wrong += not_ready(journal, load)
        return outcome


async def broker_restarts(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """Valkey is killed and comes back, again and again; is silent for a while; forgets everything."""
    async with a_fleet(backing, folder, workers=2) as fleet, a_journal(fleet.settings) as journal:
        load = Load(fleet, journal, SEED)
        sending = asyncio.create_task(load.send(scale.uploads // 2, window=60))
        for _ in range(scale.restarts):
            await asyncio.sleep(1)  # for there to be something on its way
            await backing.kill("valkey")
            await asyncio.sleep(0.5)
            await backing.start("valkey")
        async with backing.stalled("valkey"):
            await asyncio.sleep(scale.stall)
        await sending
        await load.send(scale.uploads // 5, window=1_000)
        await fleet.forget_jobs()
        waiting = len(load.accepted) - journal.resting
        assert waiting, "there was nothing to forget"
        since = asyncio.get_running_loop().time()
        await settled(journal, load, within=120)
        took = asyncio.get_running_loop().time() - since
        outcome = await judged(
            fleet,
            journal,
            load,
            restarts=scale.restarts,
            silent=f"{scale.stall:.0f} s",
            **{"waiting at FLUSHALL": waiting, "at rest after": f"{took:.1f} s"},
        )
        outcome.wrong += not_ready(journal, load)
        outcome.wrong += [f"{worker.name} is gone" for worker in fleet.workers if worker.has_ended]
        return outcome


async def database_away(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """MongoDB is away for a while."""
    async with a_fleet(backing, folder, workers=2) as fleet, a_journal(fleet.settings) as journal:
        load = Load(fleet, journal, SEED)
        sending = asyncio.create_task(load.send(scale.uploads // 5, window=60))
        await journal.until(lambda: journal.resting > 5, within=60)
        await backing.kill("mongod")
        statuses = set()
        async with asyncio.timeout(60 + scale.outage):
            away = asyncio.create_task(asyncio.sleep(scale.outage))
            while not away.done():
                statuses.add(await fleet.tell_of(f"sources/{next(iter(load.accepted))}"))
        await backing.start("mongod")
        since = asyncio.get_running_loop().time()
        await sending
        await settled(journal, load, within=120)
        took = asyncio.get_running_loop().time() - since
        outcome = await judged(
            fleet,
            journal,
            load,
            away=f"{scale.outage:.0f} s",
            webhook=sorted(statuses),
            **{"at rest after": f"{took:.1f} s"},
        )
        outcome.wrong += not_ready(journal, load)
        outcome.wrong += [f"the webhook answered {status}" for status in statuses - {503}]
        return outcome


async def a_stopped_worker(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """A worker is stopped for longer than its lease, and goes on."""
    del scale
    async with a_fleet(backing, folder, workers=1) as fleet, a_journal(fleet.settings) as journal:
        load = Load(fleet, journal, SEED)
        (stopped,) = fleet.workers
        image_id = await load.upload(samples.photo(6_000, 4_000))
        await journal.until(lambda: journal.histories[image_id].status is Status.PROCESSING, within=60)
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            await fleet.start_worker()
            await settled(journal, load, within=60)
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(60):
            while not (refused := fleet.logged("a late result was refused")):
                await asyncio.sleep(0.05)
        late = taken_again(journal)
        (record,) = (await fleet.services.catalog.get_many([image_id])).values()
        left = {listed.key async for listed in fleet.services.storage.listing("variants/")} - {
            variant.key for variant in record.variants
        }
        outcome = await judged(
            fleet,
            journal,
            load,
            lease=_seconds(LEASE),
            refused=refused,
            **{"taken again after": ", ".join(map(_seconds, late))},
        )
        outcome.wrong += [f"{key} was left behind" for key in left]
        outcome.wrong += not_ready(journal, load)
        return outcome


async def poison(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """Files made to hurt, among good ones."""
    async with (
        a_fleet(backing, folder, workers=2, develop_seconds=2) as fleet,
        a_journal(fleet.settings) as journal,
    ):
        load = Load(fleet, journal, SEED)
        bad = [
            bombs.jpeg_of_scans(),
            bombs.jpeg_of_large_scans(),
            picture(load.rng)[:2_000],
            b"\xff\xd8\xff" * 99,
        ]
        poisoned: set[str] = set()

        async def poison_it() -> None:
            for at in range(scale.bad):
                poisoned.add(await load.upload(bad[at % len(bad)]))

        await asyncio.gather(load.send(scale.good), poison_it())
        await settled(journal, load, within=180)
        lost = [worker for worker in fleet.workers if worker.has_ended]
        records = await fleet.services.catalog.get_many(poisoned)
        codes = sorted({str(record.problem.code) for record in records.values() if record.problem})
        outcome = await judged(
            fleet, journal, load, bad=scale.bad, codes=codes, **{"workers lost": len(lost)}
        )
        outcome.wrong += [
            f"{image_id}: {record.status}"
            for image_id, record in records.items()
            if record.status is not Status.REJECTED or not record.problem
        ]
        outcome.wrong += [
            complaint for complaint in not_ready(journal, load) if complaint.split(":")[0] not in poisoned
        ]
        outcome.wrong += [f"{worker.name} is gone" for worker in lost]
        return outcome


async def rolling_restart(backing: Backing, folder: Path, scale: Scale) -> Outcome:
    """Every worker is asked to end, one after the other, and replaced."""
    async with a_fleet(backing, folder, workers=3) as fleet, a_journal(fleet.settings) as journal:
        load = Load(fleet, journal, SEED)
        sending = asyncio.create_task(
            load.send(scale.uploads // 4, body=lambda: picture(load.rng, 1_600, 1_200))
        )
        await journal.until(lambda: journal.resting > 5, within=60)
        for worker in list(fleet.workers):
            await fleet.start_worker()
            await fleet.stop(worker)
        await sending
        await settled(journal, load, within=60)
        records = await fleet.services.catalog.get_many(load.accepted)
        again = [record.id for record in records.values() if (record.attempts, record.takes) != (1, 1)]
        outcome = await judged(fleet, journal, load, **{"taken twice": len(again)})
        outcome.wrong += not_ready(journal, load) + [
            f"{image_id}: taken twice: {fleet.warned_of(image_id)}" for image_id in again
        ]
        return outcome


KILLING: dict[str, Scenario] = {
    "workers killed at random moments": killed_workers,
    "a process killed at each step": killed_at_each_step,
    "Valkey restarted and flushed": broker_restarts,
    "MongoDB away": database_away,
    "a worker stopped past its lease": a_stopped_worker,
    "poisonous files": poison,
    "workers replaced one by one": rolling_restart,
}
