"""EXIF: what a file tells of how its picture was taken, and nobody minds to be known."""

import re
from typing import Any

from PIL import ExifTags, Image

from jobs.facts import Camera

_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")
_LONGEST = 100  # characters


def camera(exif: Image.Exif) -> Camera | None:
    """What EXIF tells of it; None if that is nothing. Where it was is not among it."""
    details = exif.get_ifd(ExifTags.IFD.Exif)
    found = Camera(
        make=_text(exif.get(ExifTags.Base.Make)),
        model=_text(exif.get(ExifTags.Base.Model)),
        lens=_text(details.get(ExifTags.Base.LensModel)),
        taken_at=_time(
            details.get(ExifTags.Base.DateTimeOriginal), details.get(ExifTags.Base.OffsetTimeOriginal)
        ),
    )
    return found if found != Camera() else None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    printable = "".join(character for character in value if character.isprintable())
    return printable.strip()[:_LONGEST] or None


def _time(value: Any, offset: Any) -> str | None:
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    zone = offset if isinstance(offset, str) and _OFFSET.fullmatch(offset) else ""
    year, month, day, time = match.groups()
    return f"{year}-{month}-{day}T{time}{zone}"
