"""Pages of a list of images, and cursors: a place in it, as opaque text."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from jobs.errors import InvalidInput
from jobs.ports import Position

MAX_PAGE = 100  # images

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode_cursor(position: Position) -> str:
    """The cursor for a place."""
    milliseconds = (position.at - _EPOCH) // timedelta(milliseconds=1)
    return base64.urlsafe_b64encode(f"{milliseconds}:{position.id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position:
    """The place that `encode_cursor` wrote down.

    Raises:
        InvalidInput: it is not one of ours.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        milliseconds, image_id = text.split(":", 1)
        return Position(_EPOCH + timedelta(milliseconds=int(milliseconds)), image_id)
    except (binascii.Error, UnicodeError, ValueError, OverflowError):
        raise InvalidInput("This cursor is not one that was given out here.") from None
