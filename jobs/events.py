"""Storage events: what stores send when an object was created, as pure functions.

A store may send an event twice, late, or in any order; an event is only a hint that something may be
found under a key.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from jobs.errors import InvalidInput

_R2_CREATIONS = ("PutObject", "CopyObject", "CompleteMultipartUpload")


class ObjectCreated(NamedTuple):
    """The store's word that `key` exists in `bucket`; None stands where it does not say more.

    `version` is S3's version or Google's generation. `sequencer` is hexadecimal text which grows with each
    change of one key. `at` is when the object was there, by the store's clock. All but that is for `fold`.
    """

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None
    sequencer: str | None = None
    at: datetime | None = None


def decode_events(body: str | bytes) -> list[ObjectCreated]:
    """The creations that a message or a request body tells of, each once.

    Raises:
        InvalidInput: it is no JSON, or no storage event.
    """
    return fold(parse_events(_decode(body)))


def fold(events: Iterable[ObjectCreated]) -> list[ObjectCreated]:
    """The events without duplicates, and without those that a newer one of the same key makes needless.

    Where the store gives no sequencer, only events that are alike in everything are duplicates.
    """
    newest: dict[tuple[object, ...], ObjectCreated] = {}
    for event in events:
        alike = event if event.sequencer is None else (event.bucket, event.key)
        known = newest.get(alike)
        if known is None or _is_earlier(known.sequencer or "", event.sequencer or ""):
            newest[alike] = event
    return list(newest.values())


def _is_earlier(one: str, other: str) -> bool:
    """By the rule in S3's “Event message structure”: padded with zeros on the right, then as text."""
    width = max(len(one), len(other))
    return one.ljust(width, "0") < other.ljust(width, "0")


def parse_events(payload: Any) -> list[ObjectCreated]:
    """The creations that `payload` tells of: decoded JSON as one of the stores sends it, or a list of such.

    The formats are those of S3 (to a queue, by SNS, by EventBridge), MinIO, Ceph, Cloudflare R2 and Google
    Cloud Storage (by Pub/Sub). Tests that a store sends when notifications are set up, and events of other
    kinds, tell of none.

    Raises:
        InvalidInput: the payload is not a storage event, or has no record that makes sense.
    """
    items = payload if isinstance(payload, list) else [payload]
    records = [record for item in items for record in _records(item)]
    if not records:
        raise InvalidInput("A storage event is not empty.")
    found: list[ObjectCreated] = []
    complaint: InvalidInput | None = None
    for record in records:
        try:
            created = _created(record)
        except InvalidInput as error:
            complaint = error  # it must not drag its neighbours down
            continue
        if created is not None:
            found.append(created)
    if complaint is not None and not found:
        raise complaint
    return found


def _decode(body: str | bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # the latter: a thousand brackets and nothing in them
        raise InvalidInput("A storage event is JSON.") from None


def _records(item: Any) -> list[Any]:
    """What an envelope holds; anything else is a record itself."""
    match item:
        case {"Records": list(records)}:
            return records
        case {"Type": "Notification", "Message": str(message)}:
            return _records(_decode(message))
        case _:
            return [item]


def _created(record: Any) -> ObjectCreated | None:
    match record:
        case {
            "eventName": str(name),
            "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **about}},
        }:  # S3's own, and with their own habits MinIO's and Ceph's
            if not name.removeprefix("s3:").startswith("ObjectCreated:"):
                return None
            sequencer = about.get("sequencer")
            if record.get("eventSource") == "ceph:s3":
                sequencer = None  # the bytes of a clock, the lowest first: as text they have no order
            else:
                key = unquote_plus(key)  # encoded as forms are
            return _event(
                bucket, key, about.get("versionId"), about.get("eTag"), sequencer, at=record.get("eventTime")
            )
        case {
            "detail-type": str(kind),
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **about}},
        }:  # EventBridge
            if kind != "Object Created":
                return None
            return _event(
                bucket,
                key,
                about.get("version-id"),
                about.get("etag"),
                about.get("sequencer"),
                at=record.get("time"),
            )
        case {"action": str(action), "bucket": str(bucket), "object": {"key": str(key), **about}}:  # R2
            if action not in _R2_CREATIONS:
                return None
            return _event(bucket, key, None, about.get("eTag"), None, at=record.get("eventTime"))
        case {
            "message": {"attributes": {"eventType": str(kind), "bucketId": str(bucket), "objectId": str(key)}}
        }:  # Google, by Pub/Sub; the message's data say the same at length
            if kind != "OBJECT_FINALIZE":
                return None
            attributes = record["message"]["attributes"]
            return _event(
                bucket, key, attributes.get("objectGeneration"), None, None, at=attributes.get("eventTime")
            )
        case {"Event": "s3:TestEvent"} | {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation"}:
            return None
        case _:
            raise InvalidInput("A record of a storage event names its event, bucket and key in text.")


def _event(bucket: str, key: str, *about: Any, at: Any) -> ObjectCreated:
    """With whatever of `about`, in the order of the fields, is there."""
    version, etag, sequencer = (item if isinstance(item, str) and item else None for item in about)
    return ObjectCreated(bucket, key, version, etag, sequencer, _time(at))


def _time(said: Any) -> datetime | None:
    """A time in UTC, to the millisecond, as the catalog keeps it; None for what is no such time."""
    try:
        at = datetime.fromisoformat(said)
        if at.tzinfo is None:
            return None
        return at.astimezone(UTC).replace(microsecond=at.microsecond // 1_000 * 1_000)
    except (TypeError, ValueError, OverflowError):
        return None
