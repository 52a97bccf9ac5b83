"""The enums of the schema, each value described; their names are those of the domain."""

from enum import Enum

import strawberry

_value = strawberry.enum_value


@strawberry.enum(description="Where an image is on its way.")
class ImageStatus(Enum):
    """`jobs.images.Status` as clients see it."""

    PENDING = _value("PENDING", description="The upload target was given out; nothing is stored yet.")
    UPLOADED = _value("UPLOADED", description="The store has the source; it waits to be developed.")
    PROCESSING = _value("PROCESSING", description="A worker develops it.")
    READY = _value("READY", description="All its variants can be seen.")
    REJECTED = _value("REJECTED", description="The file is at fault; `problem` says how. Final.")
    FAILED = _value("FAILED", description="We are at fault; it can be developed anew with `reprocessImage`.")
    EXPIRED = _value("EXPIRED", description="Nothing was uploaded before the target expired.")
    DELETED = _value("DELETED", description="It was removed; this tombstone stays.")


@strawberry.enum(
    description="Why something is not as the client wished. Codes are stable; messages may change."
)
class ProblemCode(Enum):
    """`jobs.errors.ProblemCode` as clients see it."""

    EMPTY_FILE = _value("EMPTY_FILE", description="The file has no bytes.")
    FILE_TOO_LARGE = _value("FILE_TOO_LARGE", description="The file has more bytes than are taken.")
    INVALID_CHECKSUM = _value("INVALID_CHECKSUM", description="The SHA-256 is not 64 hexadecimal digits.")
    INVALID_FILENAME = _value(
        "INVALID_FILENAME", description="The filename is empty, too long or has control characters."
    )
    INVALID_METADATA = _value(
        "INVALID_METADATA", description="The metadata are no JSON object, or too large."
    )
    TOO_MANY_FILES = _value(
        "TOO_MANY_FILES", description="More files were asked for at once than are allowed."
    )
    UNKNOWN_PRESET = _value("UNKNOWN_PRESET", description="There is no preset of that name.")
    UNSUPPORTED_TYPE = _value("UNSUPPORTED_TYPE", description="It is of a kind that is not taken.")
    CHECKSUM_MISMATCH = _value(
        "CHECKSUM_MISMATCH", description="The bytes are not those whose SHA-256 was declared."
    )
    DAMAGED_IMAGE = _value("DAMAGED_IMAGE", description="It begins like an image but cannot be decoded.")
    NOT_AN_IMAGE = _value(
        "NOT_AN_IMAGE", description="Its content is not that of an image, whatever its name says."
    )
    SIZE_MISMATCH = _value("SIZE_MISMATCH", description="It has another length than was declared.")
    TOO_COSTLY = _value(
        "TOO_COSTLY", description="Developing it would take more time or memory than an image may."
    )
    TOO_MANY_PIXELS = _value("TOO_MANY_PIXELS", description="It has more pixels than are taken.")
    TYPE_MISMATCH = _value("TYPE_MISMATCH", description="It is an image of another type than was declared.")
    ATTEMPTS_EXHAUSTED = _value(
        "ATTEMPTS_EXHAUSTED", description="It could not be developed in as many attempts as are made."
    )
    SOURCE_MISSING = _value("SOURCE_MISSING", description="The source is no longer in the store.")
    UPLOAD_EXPIRED = _value("UPLOAD_EXPIRED", description="Nothing was uploaded before the target expired.")
    CONFLICT = _value("CONFLICT", description="The state of things does not allow it.")
    CURSOR_TOO_OLD = _value(
        "CURSOR_TOO_OLD", description="Too much has changed since: follow without a cursor, then list."
    )
    FORBIDDEN = _value("FORBIDDEN", description="The caller has no role that allows it.")
    INVALID_INPUT = _value("INVALID_INPUT", description="What was sent cannot be understood.")
    NOT_FOUND = _value("NOT_FOUND", description="There is no such thing, or it is not the caller's.")
    QUOTA_EXCEEDED = _value(
        "QUOTA_EXCEEDED", description="More bytes were declared than may be in one day, counted in UTC."
    )
    RATE_LIMITED = _value("RATE_LIMITED", description="More was asked for than may be in so short a time.")
    UNAUTHENTICATED = _value("UNAUTHENTICATED", description="The caller did not say who is asking.")
    UNAVAILABLE = _value("UNAVAILABLE", description="A service does not answer; trying again may help.")


@strawberry.enum(description="What was done otherwise than one might expect. Codes are stable.")
class NoteCode(Enum):
    """`jobs.facts.NoteCode` as clients see it."""

    FIRST_FRAME_ONLY = _value(
        "FIRST_FRAME_ONLY", description="It is an animation, of which variants show the first frame."
    )


@strawberry.enum(description="A part of an image's way, each from where the one before it ends.")
class Stage(Enum):
    """Those of `jobs.stages.Stage` that records know of, as clients see them."""

    UPLOAD = _value("UPLOAD", description="From the request for a target until the store has the source.")
    EVENT_DELAY = _value("EVENT_DELAY", description="Until the record says so, where the store told when.")
    QUEUE_WAIT = _value("QUEUE_WAIT", description="Until a worker takes it.")
    DEVELOP = _value("DEVELOP", description="Until all is stored, further attempts included.")


@strawberry.enum(description="How a list of images is sorted; images of one moment are sorted by id.")
class ImageOrder(Enum):
    """`jobs.ports.ImageOrder` as clients see it."""

    NEWEST_FIRST = _value("NEWEST_FIRST", description="By creation, the latest first.")
    OLDEST_FIRST = _value("OLDEST_FIRST", description="By creation, the earliest first.")
    FINISHED_NEWEST_FIRST = _value(
        "FINISHED_NEWEST_FIRST",
        description="By `finishedAt`, the latest first; images that are not at rest are not in it.",
    )
    FINISHED_OLDEST_FIRST = _value(
        "FINISHED_OLDEST_FIRST",
        description="By `finishedAt`, the earliest first; images that are not at rest are not in it.",
    )
