"""Storage events: what stores send when an object was created, as pure functions.

A store may send an event twice, late, or in any order; an event is only a hint that something may be
found under a key.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from jobs.errors import InvalidInput


class ObjectCreated(NamedTuple):
    """The store's word that `key` exists in `bucket`."""

    bucket: str
    key: str


def decode_events(body: str | bytes) -> list[ObjectCreated]:
    """The creations that a message or a request body tells of.

    Raises:
        InvalidInput: it is no JSON, or no storage event.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):  # the latter: a thousand brackets and nothing in them
        raise InvalidInput("A storage event is JSON.") from None
    return parse_events(payload)


def parse_events(payload: object) -> list[ObjectCreated]:
    """The creations that `payload`, decoded JSON in S3's format, tells of.

    Tests that a store sends when notifications are set up, and events of other kinds, tell of none.

    Raises:
        InvalidInput: the payload is not a storage event, or has no record that makes sense.
    """
    if not isinstance(payload, Mapping):
        raise InvalidInput("A storage event is a JSON object.")
    if payload.get("Event") == "s3:TestEvent":
        return []
    records = payload.get("Records")
    if not isinstance(records, list):
        raise InvalidInput("A storage event has a list of Records.")
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


def _created(record: Any) -> ObjectCreated | None:
    try:
        name, bucket, key = record["eventName"], record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]
    except (KeyError, TypeError):
        raise InvalidInput("A record of a storage event names its event, bucket and key.") from None
    if not (isinstance(name, str) and isinstance(bucket, str) and isinstance(key, str)):
        raise InvalidInput("A record of a storage event names its event, bucket and key in text.")
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    return ObjectCreated(bucket, unquote_plus(key))  # S3 encodes keys as forms do
