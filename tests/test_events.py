"""What stores send is understood, or refused with a reason."""

from typing import Any

import pytest

from jobs.errors import InvalidInput
from jobs.events import ObjectCreated, parse_events


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
        ObjectCreated("pictures", "a"),
        ObjectCreated("pictures", "b"),
    ]


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
    assert parse_events({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "pictures"}) == []


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
        {"Records": ["text"]},
        {"Records": [{}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}, "object": {"key": "a"}}}]},
        {"Records": [record() | {"eventName": 3}]},
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": []}]},
    ],
)
def test_anything_else_is_refused(payload: object) -> None:
    """Nonsense gets a reason, not a traceback."""
    with pytest.raises(InvalidInput, match="storage event"):
        parse_events(payload)
