"""The verdict sees what it is there to see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.images import Status, Variant, new_fence, variant_key
from jobs.ports import Services
from tests.chaos.journal import Change, History, Journal
from tests.chaos.verdict import judge_history, judge_journal, judge_objects
from tests.records import NOON, an_image


def a_history(*statuses: str, **fields: int) -> History:
    """As told by the database, with versions from 1."""
    return History(
        [
            Change(version=at, status=Status(status), at=NOON, round=1, takes=fields.get("takes", 1))
            for at, status in enumerate(statuses, start=1)
        ]
    )


USUAL = ("PENDING", "UPLOADED", "PROCESSING", "PROCESSING", "READY")


def test_a_usual_history_is_right() -> None:
    """With a variant that was shown early."""
    assert judge_history(a_history(*USUAL)) == []


@pytest.mark.parametrize(
    ("statuses", "complaint"),
    [
        (("UPLOADED", "PROCESSING", "READY"), "it did not begin"),
        (("PENDING", "PROCESSING"), "PROCESSING after PENDING"),
        ((*USUAL, "READY"), "READY after READY"),
        ((*USUAL, "PROCESSING"), "PROCESSING after READY"),
        (("PENDING", "UPLOADED", "PROCESSING", "REJECTED", "UPLOADED"), "UPLOADED after REJECTED"),
        ((*USUAL, "UPLOADED", "PROCESSING", "READY"), "round 1 ended 2 times"),
    ],
)
def test_what_cannot_be_is_named(statuses: tuple[str, ...], complaint: str) -> None:
    """Moves that the table does not have, and a second end."""
    assert complaint in " ".join(judge_history(a_history(*statuses)))


def test_a_version_that_is_left_out_is_named() -> None:
    """Each move raises it by one."""
    history = a_history(*USUAL)
    history.changes[-1] = replace(history.changes[-1], version=7)
    assert judge_history(history) == ["version 7 after 4"]


def test_what_is_lost_or_left_is_named() -> None:
    """Of what the store took, everything must come to rest."""
    journal = Journal()
    journal.histories["a"] = a_history(*USUAL)
    journal.histories["b"] = a_history(*USUAL[:3])
    assert judge_journal(journal, {"a", "b", "c"}) == ["c: lost", "b: left PROCESSING"]


async def test_objects_that_are_not_what_they_should_be_are_named(services: Services) -> None:
    """Other bytes, fewer bytes, and one that nobody owns."""
    image = an_image(status=Status.READY, created_at=NOON - timedelta(days=1))
    variants = []
    for name, size, sha256 in (("a", 3, "0" * 64), ("b", 9, "0" * 64)):
        key = variant_key(image.id, new_fence(), f"{name}.webp")
        await services.storage.write(key, b"abc", content_type="image/webp")
        variants.append(
            Variant(
                name=name, key=key, format="webp", content_type="image/webp",
                width=1, height=1, byte_size=size, sha256=sha256,
            )
        )  # fmt: skip
    image = image.model_copy(update={"variants": tuple(variants)})
    await services.catalog.add([image])
    stray = variant_key(image.id, new_fence(), "a.webp")
    await services.storage.write(stray, b"abc", content_type="image/webp")
    complaints = await judge_objects(services, {image.id})
    assert [complaint.split(" ", 1)[1] for complaint in complaints] == [
        "has other bytes",
        "has other bytes",
        f"UNNAMED ('{stray}',)",
        f"VARIANTS_CHANGED ('{variants[1].key}',)",
    ]
