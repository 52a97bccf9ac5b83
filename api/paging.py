"""Pages of a list of images, and cursors: a place in it, as opaque text that tells which list it is."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from jobs.errors import InvalidInput
from jobs.ports import Position

MAX_PAGE = 100  # images
_FOREIGN = "This cursor is not one that was given out here."

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode_cursor(position: Position, of: str) -> str:
    """The cursor for a place in the list `of`."""
    return pack(of, str((position.at - _EPOCH) // timedelta(milliseconds=1)), position.id)


def decode_cursor(cursor: str, of: str) -> Position:
    """The place that `encode_cursor` wrote down.

    Raises:
        InvalidInput: it is not one of ours, or of another list.
    """
    milliseconds, image_id = unpack(cursor, of)
    try:
        return Position(_EPOCH + timedelta(milliseconds=int(milliseconds)), image_id)
    except (ValueError, OverflowError):
        raise InvalidInput(_FOREIGN) from None


def pack(of: str, place: str, rest: str) -> str:
    """A place in the list `of` as opaque text; `place` has no colon."""
    return base64.urlsafe_b64encode(f"{of}:{place}:{rest}".encode()).decode().rstrip("=")


def unpack(cursor: str, of: str) -> tuple[str, str]:
    """What `pack` was given.

    Raises:
        InvalidInput: it is not one of ours, or of another list.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        listed, place, rest = text.split(":", 2)
    except (binascii.Error, UnicodeError, ValueError):
        raise InvalidInput(_FOREIGN) from None
    if listed != of:
        raise InvalidInput("This cursor is of a list in another order.")
    return place, rest
