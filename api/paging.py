"""Pages of a list of images, and cursors: a place in it, as opaque text that tells which list it is."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from jobs.errors import InvalidInput
from jobs.ports import Position

MAX_PAGE = 100  # images

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


FEED = "FEED"  # the list of changes; all others are named after their orders


def encode_cursor(position: Position, of: str = FEED) -> str:
    """The cursor for a place in the list `of`."""
    milliseconds = (position.at - _EPOCH) // timedelta(milliseconds=1)
    return base64.urlsafe_b64encode(f"{of}:{milliseconds}:{position.id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str, of: str = FEED) -> Position:
    """The place that `encode_cursor` wrote down.

    Raises:
        InvalidInput: it is not one of ours, or of another list.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        listed, milliseconds, image_id = text.split(":", 2)
        position = Position(_EPOCH + timedelta(milliseconds=int(milliseconds)), image_id)
    except (binascii.Error, UnicodeError, ValueError, OverflowError):
        raise InvalidInput("This cursor is not one that was given out here.") from None
    if listed != of:
        raise InvalidInput("This cursor is of a list in another order.")
    return position
