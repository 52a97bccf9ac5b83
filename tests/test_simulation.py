"""The promises of “When things fail”, over thousands of short histories that each follow from a seed."""

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from jobs.images import Image, Lease, Status
from jobs.settings import Settings
from tests.memory import MemoryCatalog
from tests.records import NOON, a_lease, an_image
from tests.simulation.network import Fault
from tests.simulation.steps import judge_step
from tests.simulation.verdict import Outcome, simulate
from tests.simulation.world import settings_for

_SEEDS = range(1_500)
_BLOCK = 150  # of them in one test


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that lead nowhere."""
    return settings_for(tmp_path)


def told(outcome: Outcome) -> str:
    """What is wrong, and how to see it happen."""
    return "\n".join([f"python -m tests.simulation {outcome.seed}", *outcome.wrong])


@pytest.mark.parametrize("block", range(0, len(_SEEDS), _BLOCK))
def test_whatever_fails_every_promise_is_kept(settings: Settings, block: int) -> None:
    """Uploads come to rest, once each; what can be seen is there; nothing is left behind."""
    happened: Counter[str] = Counter()
    for seed in _SEEDS[block : block + _BLOCK]:
        outcome = simulate(seed, settings)
        assert not outcome.wrong, told(outcome)
        happened += outcome.happened
    for rare in (*Fault, *(status for status in Status if status.at_rest), "timeout", "nothing"):
        assert happened[rare], f"no {rare} in {_BLOCK} histories: they show less than they seem to"


def test_a_seed_tells_the_same_history_each_time(settings: Settings) -> None:
    """Step by step, so that what was seen once can be seen again."""
    for seed in _SEEDS[:20]:
        assert simulate(seed, settings).steps == simulate(seed, settings).steps


class WithoutFences(MemoryCatalog):
    """Whoever has any fence may finish."""

    def _admits(self, lease: Lease | None, fence: str | None, at: datetime) -> bool:
        return fence is not None or super()._admits(lease, fence, at)


class WithoutLeases(MemoryCatalog):
    """Whoever wants an image takes it."""

    def _admits(self, lease: Lease | None, fence: str | None, at: datetime) -> bool:
        return fence is None or super()._admits(lease, fence, at)


class Blind(MemoryCatalog):
    """The sweep never sees an image that a worker was at."""

    async def due(self, *, at: datetime, limit: int) -> list[Image]:
        found = await super().due(at=at, limit=limit)
        return [image for image in found if image.status is not Status.PROCESSING]


@pytest.mark.parametrize("broken", [WithoutFences, WithoutLeases, Blind])
def test_a_broken_promise_is_seen(settings: Settings, broken: type[MemoryCatalog]) -> None:
    """Else nothing above would mean anything."""
    assert any(simulate(seed, settings, broken).wrong for seed in _SEEDS)


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        ({}, {"due_at": NOON}, []),
        ({}, {"due_at": None}, ["UPLOADED, and the sweep never comes"]),
        ({"lease": a_lease(ends=NOON)}, {"takes": 1, "due_at": NOON}, []),
        ({"lease": a_lease()}, {"takes": 1, "due_at": NOON}, ["taken from a worker whose lease ran"]),
    ],
)
def test_a_step_that_cannot_be_is_named(
    before: dict[str, object], after: dict[str, object], complaints: list[str]
) -> None:
    """By the record before and after it."""
    image = an_image(status=Status.UPLOADED, due_at=NOON)
    assert judge_step(image.model_copy(update=before), image.model_copy(update=after)) == complaints
