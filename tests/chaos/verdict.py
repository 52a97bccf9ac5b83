"""The verdict: whether what happened kept every promise."""

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from PIL import Image as Pillow

from jobs.consistency import Finding
from jobs.images import MOVES, Image, Status, Variant
from jobs.imaging.sizes import plan
from jobs.orphans import SETTLED, scan
from jobs.ports import Services
from jobs.sweep import sweep
from tests.chaos.journal import History, Journal

_ALIKE = 12  # of 255 in any part of a twelfth of two pictures that are the same
_ENDS = {Status.READY, Status.REJECTED, Status.FAILED}
_POSSIBLE = {(source, rule.target) for rule in MOVES.values() for source in rule.sources}


def judge_history(history: History) -> list[str]:
    """What of an image's history cannot be."""
    wrong: list[str] = []
    if history.changes[0].version != 1 or history.changes[0].status is not Status.PENDING:
        wrong.append("it did not begin")
    for before, after in pairwise(history.changes):
        if after.version != before.version + 1:
            wrong.append(f"version {after.version} after {before.version}")
        if (before.status, after.status) not in _POSSIBLE:
            wrong.append(f"{after.status} after {before.status}")
    ends = Counter((change.round, change.takes) for change in history.changes if change.status in _ENDS)
    wrong += [f"attempt {attempt} ended {times} times" for attempt, times in ends.items() if times > 1]
    rounds = Counter(change.round for change in history.changes if change.status in _ENDS)
    wrong += [f"round {round_} ended {times} times" for round_, times in rounds.items() if times > 1]
    return wrong


def judge_journal(journal: Journal, accepted: set[str]) -> list[str]:
    """What is wrong with any history; and uploads that the store took and nobody developed."""
    wrong = [
        f"{image_id}: {complaint}"
        for image_id, history in journal.histories.items()
        for complaint in judge_history(history)
    ]
    wrong += [f"{image_id}: lost" for image_id in accepted - journal.histories.keys()]
    return wrong + [
        f"{image_id}: left {journal.histories[image_id].status}"
        for image_id in accepted & journal.histories.keys()
        if not journal.histories[image_id].status.at_rest
    ]


async def judge_objects(
    services: Services, accepted: set[str], sent: Mapping[str, bytes] | None = None
) -> list[str]:
    """Variants that are not what their record says, or not what was `sent`; objects without an owner."""
    gate = asyncio.Semaphore(8)

    async def look(image: Image) -> list[str]:
        async with gate:
            wrong = [
                complaint for variant in image.variants if (complaint := await _differs(variant, services))
            ]
            if image.status is Status.READY and sent and image.id in sent:
                wrong += await _shows_another(image, sent[image.id], services)
            return wrong

    images = await services.catalog.get_many(accepted)
    wrong = [complaint for found in await asyncio.gather(*map(look, images.values())) for complaint in found]

    # What is left to the sweep it removes when it is due; then nothing may be left.
    later = replace(services, clock=lambda: services.clock() + 2 * SETTLED + timedelta(minutes=5))
    while (await sweep(later)).total():
        pass
    findings: list[Finding] = []
    await scan(later, findings.append)
    return wrong + [f"{finding.image_id}: {finding.fault} {finding.keys}" for finding in findings]


async def _shows_another(image: Image, source: bytes, services: Services) -> list[str]:
    """Whether the variants are those of the preset, and of the picture that was uploaded."""
    specs = services.settings.presets[image.preset].variants
    planned = {
        made.spec.name for made in plan(specs, (image.width or 0, image.height or 0), see_through=False)
    }
    if {variant.name for variant in image.variants} != planned:
        return [f"{image.id} has the variants {sorted(variant.name for variant in image.variants)}"]
    smallest = b"".join([chunk async for chunk in services.storage.read(image.variants[0].key)])
    apart = max(abs(a - b) for a, b in zip(_coarse(smallest), _coarse(source), strict=True))
    return [f"{image.id} shows another picture: {apart} apart"] if apart > _ALIKE else []


def _coarse(picture: bytes) -> bytes:
    with Pillow.open(io.BytesIO(picture)) as opened:
        return opened.convert("RGB").resize((4, 3), Pillow.Resampling.BOX).tobytes()


async def _differs(variant: Variant, services: Services) -> str | None:
    body = b"".join([chunk async for chunk in services.storage.read(variant.key)])
    return None if hashlib.sha256(body).hexdigest() == variant.sha256 else f"{variant.key} has other bytes"
