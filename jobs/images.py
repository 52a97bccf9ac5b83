"""Images: the record, its states, and the one table of how it may move between them.

Everything here is pure. The database filter of every move is derived from `MOVES`, so that the rules
and the storage cannot drift apart.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from jobs.errors import ProblemCode
from jobs.facts import Camera, Note
from jobs.formats import VariantFormat


class Status(StrEnum):
    """Where an image is on its way."""

    PENDING = "PENDING"
    UPLOADED = "UPLOADED"
    PROCESSING = "PROCESSING"
    READY = "READY"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    DELETED = "DELETED"

    @property
    def at_rest(self) -> bool:
        """Nothing more happens unless somebody asks for it."""
        return self not in IN_MOTION


IN_MOTION = frozenset({Status.PENDING, Status.UPLOADED, Status.PROCESSING})


class Move(StrEnum):
    """What can happen to an image."""

    ARRIVE = "arrive"  # the store has the source
    EXPIRE = "expire"  # the target's time is over and the store has nothing
    TAKE = "take"  # a worker takes the lease
    RETARGET = "retarget"  # its owner asks again for a target, and gets more time
    REVEAL = "reveal"  # some variants are stored already
    FINISH = "finish"  # every variant is stored
    REJECT = "reject"  # the file is at fault
    FAIL = "fail"  # we are at fault and the attempts are used up
    REPROCESS = "reprocess"  # somebody asks for the variants anew
    DELETE = "delete"  # its owner or retention removes it


class Rule(NamedTuple):
    """From where a move may start and where it ends.

    A `leased` move belongs to whoever holds the record's lease; without a fence it is only possible
    while nobody's lease runs.
    """

    sources: frozenset[Status]
    target: Status
    leased: bool = False


MOVES: Mapping[Move, Rule] = {
    # An upload that began in time may end late: what the store accepted is never left behind.
    Move.ARRIVE: Rule(frozenset({Status.PENDING, Status.EXPIRED}), Status.UPLOADED),
    Move.EXPIRE: Rule(frozenset({Status.PENDING}), Status.EXPIRED),
    Move.RETARGET: Rule(frozenset({Status.PENDING}), Status.PENDING),
    Move.TAKE: Rule(frozenset({Status.UPLOADED, Status.PROCESSING}), Status.PROCESSING, leased=True),
    Move.REVEAL: Rule(frozenset({Status.PROCESSING}), Status.PROCESSING, leased=True),
    Move.FINISH: Rule(frozenset({Status.PROCESSING}), Status.READY, leased=True),
    Move.REJECT: Rule(frozenset({Status.UPLOADED, Status.PROCESSING}), Status.REJECTED, leased=True),
    Move.FAIL: Rule(frozenset({Status.UPLOADED, Status.PROCESSING}), Status.FAILED, leased=True),
    Move.REPROCESS: Rule(frozenset({Status.READY, Status.FAILED}), Status.UPLOADED),
    Move.DELETE: Rule(frozenset(set(Status) - {Status.DELETED}), Status.DELETED),
}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Source(_Value):
    """The bytes as the store holds them, pinned by ETag."""

    etag: str
    byte_size: int


class Variant(_Value):
    """One derived rendition. `key` names its object; sizes are in pixels and bytes, `sha256` is hex."""

    name: str
    key: str
    format: VariantFormat
    content_type: str
    width: int
    height: int
    byte_size: int
    sha256: str | None = None  # of those made before it was recorded


class Placeholder(_Value):
    """What a page can paint before any variant: a thumbhash (base64) and a colour (`#rrggbb`)."""

    thumbhash: str
    dominant_color: str


class Problem(_Value):
    """Why an image was rejected, failed or expired."""

    code: ProblemCode
    message: str
    retryable: bool


class StatusChange(_Value):
    """When an image came to a state."""

    status: Status
    at: datetime


class Lease(_Value):
    """A worker's claim: only the holder of `fence` may finish, and only others may take it after `until`."""

    fence: str
    until: datetime


class Image(_Value):
    """The record of one image; the only truth about it. Times are in UTC.

    `version` rises by one with every move. `round` counts how often the image was queued for developing;
    since it last was, workers took it `takes` times, of which `attempts` count. `due_at` is when the sweep
    should look at it; nothing for an image at rest of which nothing is left to do. `trace` is the trace that
    it belongs to, and `span` what in it asked for the image, both by W3C's Trace Context in hex.
    """

    id: str
    owner: str
    status: Status = Status.PENDING
    version: int = 1
    preset: str
    filename: str
    content_type: str
    byte_size: int
    sha256: str | None = None  # hex
    metadata: dict[str, Any] | None = None
    request: str | None = None  # what else was asked for under the same idempotency key, as a hash
    trace: str | None = None
    span: str | None = None  # if somebody records the trace

    source: Source | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    frame_count: int | None = None
    camera: Camera | None = None
    perceptual_hash: str | None = None  # hex
    notes: tuple[Note, ...] = ()
    placeholder: Placeholder | None = None
    variants: tuple[Variant, ...] = ()
    problem: Problem | None = None

    round: int = 0
    attempts: int = 0
    takes: int = 0
    lease: Lease | None = None
    develop_seconds: float | None = None

    created_at: datetime
    expires_at: datetime
    changed_at: datetime
    stored_at: datetime | None = None  # when the store had the source, if its event said so
    uploaded_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    timeline: tuple[StatusChange, ...] = ()

    @property
    def source_key(self) -> str:
        """The object that holds the source."""
        return source_key(self.id)


class ImageChange(_Value):
    """The hint that an image moved; whoever needs more asks the catalog."""

    id: str
    owner: str
    version: int


def implied_by(move: Move, at: datetime) -> dict[str, Any]:
    """The fields that `move` sets by itself when it happens `at`."""
    if move in (Move.REVEAL, Move.RETARGET):
        return {"changed_at": at}
    target = MOVES[move].target
    fields: dict[str, Any] = {
        "status": target,
        "changed_at": at,
        "due_at": None,
        "lease": None,
        "finished_at": at if target.at_rest else None,
    }
    if move in (Move.ARRIVE, Move.REPROCESS):
        fields |= {"attempts": 0, "takes": 0, "problem": None}
    if move is Move.FINISH:
        fields["problem"] = None
    return fields


def counted_by(move: Move) -> dict[str, int]:
    """The counters that `move` raises, and by how much."""
    counters = {"version": 1}
    if move in (Move.ARRIVE, Move.REPROCESS):
        counters["round"] = 1
    if move is Move.TAKE:
        counters |= {"attempts": 1, "takes": 1}
    return counters


RETRY_WITHIN = timedelta(seconds=30)  # of a released lease: by then its job has come again, or the sweep asks
TIMELINE_LENGTH = 50  # a record that is reprocessed for years must not outgrow its document

# An upload may begin just before its target expires, and last: for so long after it, one is looked for.
GRACE = timedelta(seconds=60)
LATE = timedelta(hours=1)

SOURCES_PREFIX = "sources/"
VARIANTS_PREFIX = "variants/"
_IMAGE_ID = re.compile(r"img_[0-9a-f]{32}")
_SOURCE_KEY = re.compile(rf"{SOURCES_PREFIX}({_IMAGE_ID.pattern})")
_VARIANT_KEY = re.compile(rf"{VARIANTS_PREFIX}({_IMAGE_ID.pattern})/[0-9a-f]{{16}}/[a-z0-9.-]+")


def new_image_id() -> str:
    """An id that nobody can guess; keys of objects carry it and nothing that a user typed."""
    return f"img_{secrets.token_hex(16)}"


def repeatable_image_id(secret: str, owner: str, idempotency_key: str, index: int) -> str:
    """The id of the file at `index` of a request: the same each time that its owner repeats it.

    Who does not know `secret` cannot compute it.
    """
    request = "\0".join((owner, idempotency_key, str(index))).encode()
    return f"img_{hmac.new(secret.encode(), request, hashlib.sha256).hexdigest()[:32]}"


def new_fence() -> str:
    """A token that tells one worker's attempt from every other."""
    return secrets.token_hex(8)


def source_key(image_id: str) -> str:
    """The key under which a client stores the source of `image_id`."""
    return SOURCES_PREFIX + image_id


def is_image_id(text: str) -> bool:
    """Whether it could be the id of an image; nothing else is ever asked for."""
    return _IMAGE_ID.fullmatch(text) is not None


def image_id_of(key: str) -> str | None:
    """The image whose source has `key`; None for every other object."""
    match = _SOURCE_KEY.fullmatch(key)
    return match[1] if match else None


def image_id_of_variant(key: str) -> str | None:
    """The image that an attempt wrote `key` for; None for every other object."""
    match = _VARIANT_KEY.fullmatch(key)
    return match[1] if match else None


def variants_prefix(image_id: str) -> str:
    """What the keys of all variants of an image begin with."""
    return f"{VARIANTS_PREFIX}{image_id}/"


def variant_key(image_id: str, fence: str, filename: str) -> str:
    """The key of a variant: an attempt of its own each, so that a late worker overwrites nothing."""
    return f"{variants_prefix(image_id)}{fence}/{filename}"
