"""What stores send is understood, or refused with a reason."""

import json
import random
from fractions import Fraction
from typing import Any

import pytest

from jobs.errors import InvalidInput
from jobs.events import ObjectCreated, decode_events, fold, parse_events
from tests import shapes
from tests.records import NOON
from tests.shapes import SHAPES, Shape


def record(name: str = "ObjectCreated:Put", bucket: str = "pictures", key: str = "a") -> dict[str, Any]:
    """A record in S3's format."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 3, "eTag": "e", "sequencer": "0"}},
    }


def test_each_record_is_a_creation() -> None:
    """One message can tell of several objects."""
    assert parse_events({"Records": [record(key="a"), record(key="b")]}) == [
        ObjectCreated("pictures", "a", etag="e", sequencer="0"),
        ObjectCreated("pictures", "b", etag="e", sequencer="0"),
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", ["sources/img_1", "a b", "a+b", "a%2Fb", "100%", "ü/日本", ""])
def test_every_store_is_understood(shape: Shape, key: str) -> None:
    """Each writes keys in its own way, and each key is what it was."""
    [event] = parse_events(shape("pictures", key))
    assert (event.bucket, event.key) == ("pictures", key)


@pytest.mark.parametrize(
    ("shape", "version", "etag", "sequencer"),
    [
        (shapes.s3, "v1", "e1", "0065F1A2B3C4D5E6F7"),
        (shapes.s3_by_sns, "v1", "e1", "0065F1A2B3C4D5E6F7"),
        (shapes.event_bridge, "v1", "e1", "0065F1A2B3C4D5E6F7"),
        (shapes.minio, "v1", "e1", "17A3B4C5D6E7F809"),
        (shapes.ceph, None, "e1", None),  # its sequencers have no order
        (shapes.r2, None, "e1", None),
        (shapes.google, "1780315200000001", None, None),
    ],
)
def test_what_tells_duplicates_apart_is_kept(
    shape: Shape, version: str | None, etag: str | None, sequencer: str | None
) -> None:
    """As far as the store says it."""
    assert parse_events(shape("b", "k")) == [ObjectCreated("b", "k", version, etag, sequencer, NOON)]


@pytest.mark.parametrize(
    "payload",
    [
        shapes.event_bridge("b", "k") | {"detail-type": "Object Deleted"},
        shapes.sns(shapes.s3_test("b", "k")),
        shapes.sns(shapes.s3("b", "k")) | {"Type": "SubscriptionConfirmation", "Message": "You have chosen"},
        shapes.sns(shapes.s3("b", "k")) | {"Type": "UnsubscribeConfirmation", "Message": "You have chosen"},
        shapes.r2("b", "k") | {"action": "DeleteObject"},
        shapes.r2("b", "k") | {"action": "LifecycleDeletion"},
        {
            "message": {
                "attributes": shapes.google("b", "k")["message"]["attributes"]
                | {"eventType": "OBJECT_DELETE"}
            }
        },
    ],
)
def test_other_events_of_every_store_tell_of_nothing(payload: object) -> None:
    """And are no errors: they can be let go."""
    assert parse_events(payload) == []


def test_a_list_is_read_item_by_item() -> None:
    """A Worker forwards a batch; what makes no sense in it does not hide the rest."""
    batch = [shapes.r2("b", "k1"), {"something": "else"}, [], shapes.r2("b", "k2")]
    assert [event.key for event in parse_events(batch)] == ["k1", "k2"]


def test_keys_are_decoded_as_forms_are() -> None:
    """S3 writes a space as a plus sign, and everything else as percent signs."""
    events = parse_events({"Records": [record(key="a+b%2Bc%C3%BC")]})
    assert [event.key for event in events] == ["a b+cü"]


def test_other_prefixes_of_the_name_do_not_matter() -> None:
    """Some stores write `s3:ObjectCreated:…`."""
    assert parse_events({"Records": [record("s3:ObjectCreated:CompleteMultipartUpload")]})


@pytest.mark.parametrize("name", ["ObjectRemoved:Delete", "s3:TestEvent", "ObjectRestore:Post"])
def test_other_events_tell_of_nothing(name: str) -> None:
    """A removal is no creation, and no error either."""
    assert parse_events({"Records": [record(name)]}) == []


def test_the_test_of_a_new_notification_tells_of_nothing() -> None:
    """S3 sends it once when notifications are set up."""
    assert parse_events(shapes.s3_test("pictures", "")) == []


def test_a_record_that_makes_no_sense_does_not_hide_its_neighbours() -> None:
    """What can be understood is followed."""
    events = parse_events({"Records": [{}, record(key="a"), {"eventName": 3}]})
    assert [event.key for event in events] == ["a"]


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"Records": None},
        {"Records": []},
        {"Records": ["text"]},
        {"Records": [{}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}, "object": {"key": "a"}}}]},
        {"Records": [record() | {"eventName": 3}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": []}]},
        [{}],
        [[shapes.r2("b", "k")]],
        shapes.sns("text"),
        shapes.sns([]) | {"Message": "{"},
        shapes.sns([]) | {"Message": {}},
        shapes.sns([]) | {"Type": "Something"},
        shapes.event_bridge("b", "k") | {"detail": {"bucket": {"name": "b"}}},
        shapes.r2("b", "k") | {"object": "k"},
        {"message": {"data": "e30=", "attributes": {}}},
        {"message": "text"},
    ],
)
def test_anything_else_is_refused(payload: object) -> None:
    """Nonsense gets a reason, not a traceback."""
    with pytest.raises(InvalidInput, match="storage event"):
        parse_events(payload)


def numbered(*keys_and_sequencers: tuple[str, str]) -> list[ObjectCreated]:
    """Events of one bucket."""
    return [ObjectCreated("b", key, sequencer=sequencer) for key, sequencer in keys_and_sequencers]


def number(event: ObjectCreated) -> Fraction:
    """Its sequencer as a number between nothing and one: digits behind the point."""
    assert event.sequencer is not None
    return Fraction(int(event.sequencer, 16), 16 ** len(event.sequencer))


@pytest.mark.parametrize("seed", range(50))
def test_of_each_key_only_the_newest_event_is_left(seed: int) -> None:
    """In whatever order they come, and however often."""
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    pool = [
        (f"k{dice.randrange(4)}", "".join(dice.choices("0123456789ABCDEF", k=dice.randrange(1, 20))))
        for _ in range(30)
    ]
    events = numbered(*dice.choices(pool, k=60))
    left = fold(events)
    assert set(left) <= set(events)
    assert len(left) == len({event.key for event in events})
    for event in left:
        assert number(event) == max(number(other) for other in events if other.key == event.key)


def test_a_shorter_sequencer_is_padded_on_the_right() -> None:
    """It is no smaller number for being shorter."""
    assert fold(numbered(("k", "0055AED6DCD90281E5"), ("k", "0056"))) == numbered(("k", "0056"))
    assert fold(numbered(("k", "00AB"), ("k", "00AB00"))) == numbered(("k", "00AB"))


def test_sequencers_are_compared_only_within_one_key() -> None:
    """Of different keys, or buckets, they say nothing."""
    events = [*numbered(("k1", "02"), ("k2", "01")), ObjectCreated("c", "k1", sequencer="01")]
    assert fold(events) == events


def test_without_a_sequencer_only_what_is_alike_is_folded() -> None:
    """By version, or by ETag: which of two is newer, nobody can tell."""
    one = ObjectCreated("b", "k", etag="e1")
    assert fold([one, one, one._replace(etag="e2"), one._replace(version="v1"), one]) == [
        one,
        one._replace(etag="e2"),
        one._replace(version="v1"),
    ]
    assert fold([one, *numbered(("k", "01"))]) == [one, *numbered(("k", "01"))]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_message_that_says_it_twice_says_it_once(shape: Shape) -> None:
    """What comes out of a body is folded."""
    payload = shape("b", "k")
    body = json.dumps([payload, payload] if not isinstance(payload, list) else payload * 2)
    assert len(decode_events(body)) == 1
