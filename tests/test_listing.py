"""Lists of images are read from an index in their order, however many others there are."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from jobs.catalog import MongoCatalog, open_catalog
from jobs.embedded import Embedded
from jobs.images import Status
from jobs.labels import MAX_ENTRIES, MAX_LENGTH, label, labels_of
from jobs.ports import ImageFilter, ImageOrder, Position
from tests.conftest import settings_for
from tests.records import NOON, an_image

FILTERS: dict[str, dict[str, Any]] = {
    "status": {"statuses": [Status.READY]},
    "rare": {"statuses": [Status.FAILED]},  # eight of 308
    "statuses": {"statuses": [Status.READY, Status.FAILED]},
    "preset": {"presets": ["avatar"]},
    "created": {"created_after": NOON, "created_before": NOON + timedelta(days=1)},
    "label": {"label": label("album", "1")},
}
COMBINATIONS = [
    {name: value for fields in chosen for name, value in fields.items()}
    for chosen in product(*[[{}, FILTERS[name]] for name in ("status", "preset", "created", "label")])
] + [FILTERS["statuses"], FILTERS["rare"], FILTERS["rare"] | FILTERS["created"]]


@pytest.fixture(scope="module")
async def catalog(embedded: Embedded) -> AsyncIterator[MongoCatalog]:
    """Many images of many kinds; every query is profiled."""
    async with open_catalog(settings_for(embedded, f"test-{secrets.token_hex(6)}")) as opened:
        await opened.add(
            [
                an_image(
                    created_at=NOON + timedelta(seconds=n),
                    changed_at=NOON + timedelta(seconds=n),
                    finished_at=NOON + timedelta(seconds=n + 1) if n % 3 else None,
                    status=Status.READY if n % 3 else Status.UPLOADED,
                    preset="avatar" if n % 2 else "default",
                    metadata={"album": n % 5},
                )
                for n in range(300)
            ]
            + [
                an_image(created_at=at, changed_at=at, finished_at=at, status=Status.FAILED)
                for at in (NOON + timedelta(milliseconds=n * 40_001) for n in range(8))
            ]
        )
        await opened._database.command("profile", 2)  # noqa: SLF001
        yield opened


async def profiled(catalog: MongoCatalog) -> dict[str, Any]:
    """What the database says of the last query."""
    queries = {"op": "query", "ns": {"$regex": "images$"}}
    entry: dict[str, Any] = await catalog._database["system.profile"].find_one(  # noqa: SLF001
        queries, sort=[("$natural", -1)]
    )
    return entry


@pytest.mark.parametrize("order", ImageOrder)
@pytest.mark.parametrize("fields", COMBINATIONS)
async def test_every_list_is_read_in_the_order_of_an_index(
    catalog: MongoCatalog, fields: dict[str, Any], order: ImageOrder
) -> None:
    """Nothing is sorted in memory, and of what is behind the cursor nothing is looked at before it."""
    matching = ImageFilter(**fields)
    everything = await catalog.page("ada", first=1_000, matching=matching, order=order)
    cursor = order.position(everything[len(everything) // 2])
    page = await catalog.page("ada", first=3, after=cursor, matching=matching, order=order)
    assert len(page) == 3
    entry = await profiled(catalog)
    assert entry["planSummary"].startswith("IXSCAN { owner: 1, ")
    assert "hasSortStage" not in entry
    assert entry["keysExamined"] < 20  # of 308
    assert entry["command"]["maxTimeMS"] > 0
    if matching.label is None:
        assert entry["docsExamined"] <= 4  # the states and presets of others are seen in the index


@pytest.mark.parametrize("order", [ImageOrder.FINISHED_NEWEST_FIRST, ImageOrder.FINISHED_OLDEST_FIRST])
async def test_what_was_created_lately_is_found_among_what_finished_lately(
    catalog: MongoCatalog, order: ImageOrder
) -> None:
    """Even where another index would have fewer to sort."""
    matching = ImageFilter(created_after=NOON + timedelta(seconds=290))
    assert len(await catalog.page("ada", first=10, matching=matching, order=order)) == 7
    entry = await profiled(catalog)
    assert "finished_at" in entry["planSummary"]
    assert "hasSortStage" not in entry
    assert entry["keysExamined"] < 60


async def test_all_changes_since_a_moment_are_read_from_there(catalog: MongoCatalog) -> None:
    """Not from the first change that there ever was."""
    images = await catalog.changed_since("ada", Position(NOON, ""), limit=1_000)
    cursor = Position(images[200].changed_at, images[200].id)
    assert await catalog.changed_since("ada", cursor, limit=3) == images[201:204]
    entry = await profiled(catalog)
    assert "hasSortStage" not in entry
    assert entry["keysExamined"] <= 4


def test_labels_are_bounded() -> None:
    """Whoever sends much metadata is found by the first of it."""
    many = {f"key {n}": "value" for n in range(MAX_ENTRIES + 1)}
    assert len(labels_of(many)) == 2 * MAX_ENTRIES
    assert label(f"key {MAX_ENTRIES}") not in labels_of(many)
    assert labels_of({"key": "x" * MAX_LENGTH, "k" * MAX_LENGTH: 1}) == [label("key")]
    assert labels_of(None) == labels_of({}) == []


def test_no_two_entries_have_one_label() -> None:
    """Whatever is in their names."""
    pairs = [
        ("a", "b=c"),
        ("a=b", "c"),
        ("a=b", None),
        ("a", None),
        ('a", "b', None),
        ("a\0b", None),
        ("", ""),
    ]
    assert len({label(key, value) for key, value in pairs}) == len(pairs)
    assert label("\ud800").isascii()


def test_values_are_found_as_json_writes_them() -> None:
    """Text as it is, so that nobody has to know which it was."""
    metadata = {"number": 7, "text": "7", "real": 1.5, "yes": True, "nothing": None, "list": [7]}
    labels = set(labels_of(metadata))
    by_value = {"number": "7", "text": "7", "real": "1.5", "yes": "true", "nothing": "null"}
    assert labels == {label(key) for key in metadata} | {label(*pair) for pair in by_value.items()}
