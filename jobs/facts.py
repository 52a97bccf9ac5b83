"""Facts: what is told of a picture besides its pixels.

Plain data classes, as presets and messages are: the children that develop share them, and have no need of
what validates them elsewhere.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class Camera:
    """With what and when a picture was taken.

    `taken_at` is ISO 8601, in the camera's own time zone, which it names if the camera did.
    """

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    taken_at: str | None = None


class NoteCode(StrEnum):
    """What was done otherwise than one might expect. Codes are stable."""

    FIRST_FRAME_ONLY = "FIRST_FRAME_ONLY"


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something about an image that is no problem."""

    code: NoteCode
    message: str
