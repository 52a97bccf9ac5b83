"""The lifecycle is one table; keys carry ids and nothing that a user typed."""

import pytest

from jobs.images import (
    IN_MOTION,
    MOVES,
    Move,
    Status,
    counted_by,
    image_id_of,
    implied_by,
    new_image_id,
    repeatable_image_id,
    source_key,
    variant_key,
)
from tests.records import NOON


def test_every_state_but_the_first_can_be_reached() -> None:
    """Nothing in the table is unreachable, and PENDING is where an image is born."""
    elsewhere = {rule.target for rule in MOVES.values() if rule.sources != {rule.target}}
    assert elsewhere == set(Status) - {Status.PENDING}


def test_a_tombstone_never_moves() -> None:
    """DELETED is the end of every way."""
    assert all(Status.DELETED not in rule.sources for rule in MOVES.values())


def test_every_state_in_motion_can_come_to_rest() -> None:
    """From wherever an image is in motion, a chain of moves leads to READY, REJECTED and FAILED."""
    for start in IN_MOTION:
        reached, before = {start}, set[Status]()
        while reached != before:
            before = set(reached)
            reached |= {rule.target for rule in MOVES.values() if rule.sources & reached}
        assert {Status.READY, Status.REJECTED, Status.FAILED} <= reached


@pytest.mark.parametrize("move", Move)
def test_every_move_raises_the_version_by_one(move: Move) -> None:
    """Readers can drop whatever does not increase it."""
    assert counted_by(move)["version"] == 1


@pytest.mark.parametrize("move", Move)
def test_only_an_image_at_rest_is_finished(move: Move) -> None:
    """`finished_at` says when an image came to rest, and is taken back when it moves again."""
    if move in (Move.REVEAL, Move.RETARGET):  # it goes on as it was
        assert implied_by(move, NOON) == {"changed_at": NOON}
        return
    finished = implied_by(move, NOON)["finished_at"]
    assert finished == (NOON if MOVES[move].target.at_rest else None)


def test_a_source_key_leads_back_to_its_image() -> None:
    """An event names a key; the key names the image."""
    image_id = new_image_id()
    assert image_id_of(source_key(image_id)) == image_id


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sources/",
        "sources/img_0",
        "sources/../img_" + "0" * 32,
        "sources/img_" + "0" * 32 + "/more",
        "sources/img_" + "G" * 32,
        "variants/img_" + "0" * 32,
        "sources/img_" + "0" * 32 + "\n",
    ],
)
def test_any_other_key_is_no_source(key: str) -> None:
    """Only keys that we gave out are followed."""
    assert image_id_of(key) is None


def test_variants_of_two_attempts_share_no_key() -> None:
    """A late worker overwrites nothing."""
    image_id = new_image_id()
    assert variant_key(image_id, "fence-1", "w320.webp") != variant_key(image_id, "fence-2", "w320.webp")


def test_a_repeatable_id_differs_by_owner_key_and_index() -> None:
    """Nobody comes upon another's image by using the same idempotency key."""
    ids = {
        repeatable_image_id("secret", "ada", "k", 0),
        repeatable_image_id("secret", "bob", "k", 0),
        repeatable_image_id("secret", "ada", "l", 0),
        repeatable_image_id("secret", "ada", "k", 1),
        repeatable_image_id("another", "ada", "k", 0),
    }
    assert len(ids) == 5
    assert repeatable_image_id("secret", "ada", "k", 0) in ids
