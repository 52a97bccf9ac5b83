"""One history, from its seed to what is wrong with it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from structlog.testing import capture_logs

from jobs.errors import ProblemCode
from jobs.images import Image, Status
from jobs.settings import Settings
from tests.chaos.verdict import judge_history, judge_objects
from tests.memory import MemoryCatalog
from tests.simulation.developer import rendition
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World

_ENDS = {Status.READY, Status.REJECTED, Status.FAILED, Status.DELETED}


@dataclass(frozen=True)
class Outcome:
    """What one history has shown. `happened` counts what it had in it, `steps` are for people."""

    seed: int
    wrong: list[str]
    happened: Counter[str]
    steps: list[tuple[float, str, str]]


def simulate(seed: int, settings: Settings, catalog: Callable[[], MemoryCatalog] = MemoryCatalog) -> Outcome:
    """The history that follows from `seed`, over such a catalog."""

    async def live() -> Outcome:
        world = World(seed, settings, catalog())
        await world.live(images=1 + seed % 3)
        wrong = world.wrong or await _judge(world)
        world.network.is_over = True
        happened = world.happened + Counter(world.network.faults)
        happened.update(image.status for image in await world.catalog.by_id(limit=99))
        return Outcome(seed, wrong, happened, world.network.steps)

    with capture_logs() as logs, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(live())
    outcome.wrong.extend(
        f"{entry['event']}: {entry.get('image')}"
        for entry in logs
        if entry["log_level"] == "error" and entry["event"] != "an attempt failed"
    )
    return outcome


async def _judge(world: World) -> list[str]:
    images = {image.id: image for image in await world.catalog.by_id(limit=99)}
    wrong = [
        f"{image_id}: {complaint}"
        for image_id, history in world.histories.items()
        for complaint in judge_history(history)
    ]
    for image_id, body in world.accepted.items():
        wrong += [
            f"{image_id}: {complaint}" for complaint in await _judge_image(images[image_id], body, world)
        ]
    return wrong + await judge_objects(world.services(), set(images))


async def _judge_image(image: Image, body: bytes, world: World) -> list[str]:
    """What is wrong with an image whose upload the store took."""
    wrong = []
    if image.status not in _ENDS:
        wrong.append(f"left {image.status}")
    if image.problem and image.problem.code is ProblemCode.SOURCE_MISSING:
        wrong.append("its source was lost")
    for variant in image.variants:
        stored = b"".join([chunk async for chunk in world.storage.read(variant.key)])
        if stored != rendition(body, variant.name):
            wrong.append(f"{variant.name} is of something else")
    if image.status is Status.READY:
        names = {spec.name for spec in world.settings.presets[image.preset].variants}
        if {variant.name for variant in image.variants} != names:
            wrong.append("READY with other variants than its preset has")
    return wrong
