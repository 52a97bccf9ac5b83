"""The family of errors, and the stable codes that clients see.

Who is at fault decides what happens next: a `Rejection` is the file's fault and final, `Unavailable`
is ours and worth another try, the rest tell a caller that what he asked cannot be done.
"""

from enum import StrEnum


class ProblemCode(StrEnum):
    """Why something is not as the client wished. Codes are stable; messages may change."""

    # An asked-for upload that cannot be offered.
    EMPTY_FILE = "EMPTY_FILE"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    INVALID_CHECKSUM = "INVALID_CHECKSUM"
    INVALID_FILENAME = "INVALID_FILENAME"
    INVALID_METADATA = "INVALID_METADATA"
    TOO_MANY_FILES = "TOO_MANY_FILES"
    UNKNOWN_PRESET = "UNKNOWN_PRESET"
    UNSUPPORTED_TYPE = "UNSUPPORTED_TYPE"
    # A stored file that cannot be developed.
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    DAMAGED_IMAGE = "DAMAGED_IMAGE"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    SIZE_MISMATCH = "SIZE_MISMATCH"
    TOO_COSTLY = "TOO_COSTLY"
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    # What happened to an image on the way.
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    SOURCE_MISSING = "SOURCE_MISSING"
    UPLOAD_EXPIRED = "UPLOAD_EXPIRED"
    # A request that cannot be met.
    CONFLICT = "CONFLICT"
    CURSOR_TOO_OLD = "CURSOR_TOO_OLD"
    FORBIDDEN = "FORBIDDEN"
    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNAVAILABLE = "UNAVAILABLE"


class DarkroomError(Exception):
    """The root of the family: a code for programs and a sentence for people, both safe to show."""

    code: ProblemCode

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsError(Exception):
    """A setting is missing or wrong, or a service that it names cannot be used; the message names it."""


class Rejection(DarkroomError):
    """The file is at fault: trying again gives the same answer."""

    def __init__(self, code: ProblemCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unavailable(DarkroomError):
    """A service of ours did not do its part: trying again later may succeed."""

    code = ProblemCode.UNAVAILABLE


class NotFound(DarkroomError):
    """There is no such thing, or it is not the caller's: the two look the same from outside."""

    code = ProblemCode.NOT_FOUND


class Conflict(DarkroomError):
    """The state of things does not allow it."""

    code = ProblemCode.CONFLICT


class InvalidInput(DarkroomError):
    """What was sent cannot be understood: sending it again cannot succeed."""

    code = ProblemCode.INVALID_INPUT


class CursorTooOld(DarkroomError):
    """Too much has happened since: the caller begins anew."""

    code = ProblemCode.CURSOR_TOO_OLD


class Unauthenticated(DarkroomError):
    """The caller did not say who is asking, or not so that we can believe it."""

    code = ProblemCode.UNAUTHENTICATED


class Forbidden(DarkroomError):
    """The caller is known, and has no role that allows it."""

    code = ProblemCode.FORBIDDEN


class LimitExceeded(DarkroomError):
    """More was asked for than may be in so short a time.

    `retry_after` is in how many seconds it may be asked for again; None if no waiting helps.
    """

    def __init__(self, code: ProblemCode, message: str, *, retry_after: int | None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
