"""Budget: what a file would cost, read from it before anything is decoded."""

import mmap
import re
from pathlib import Path
from typing import Literal

from jobs.errors import ProblemCode, Rejection
from jobs.formats import SourceFormat
from jobs.presets import Preset

_MAX_SCANNED = 1_000_000_000  # pixels, in all scans of a JPEG: twice what one of 50 megapixels takes
_BIG_TIFF = 43  # where a plain one says 42
_MAX_DIRECTORIES = 1_000  # of a TIFF; Pillow reads them all to know how many pages there are

# The next marker of a JPEG, whatever stands before it: FF 00 is a byte of data, FF D0 to D7 a restart.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15: how a picture is coded
_SEQUENTIAL = {0xC0, 0xC1}


def check_frames(count: int, preset: Preset) -> None:
    """Let pass an animation of so many frames if the preset does.

    Raises:
        Rejection: it has more.
    """
    if count > preset.max_frames:
        raise Rejection(ProblemCode.TOO_COSTLY, f"It has more than {preset.max_frames} frames.")


def check_budget(path: Path, detected: SourceFormat, preset: Preset) -> None:
    """Let pass what does not cost more than the preset allows.

    Raises:
        Rejection: it does; one that is merely broken is for its decoder to find.
    """
    if preset.max_bytes is not None and (size := path.stat().st_size) > preset.max_bytes:
        raise Rejection(
            ProblemCode.FILE_TOO_LARGE, f"It has {size} bytes; at most {preset.max_bytes} are taken."
        )
    if detected is SourceFormat.JPEG:
        count, pixels = scans(path, preset.max_scans)
        if count > preset.max_scans or (count > 1 and count * pixels > _MAX_SCANNED):
            raise Rejection(ProblemCode.TOO_COSTLY, f"It has too many scans ({count}), each to be decoded.")
    if detected is SourceFormat.TIFF and directories(path, _MAX_DIRECTORIES) > _MAX_DIRECTORIES:
        raise Rejection(ProblemCode.TOO_COSTLY, f"It has more than {_MAX_DIRECTORIES} directories.")


def scans(path: Path, most: int) -> tuple[int, int]:
    """How many scans a decoder would read of a JPEG (ITU-T T.81, annex B), and of how many pixels each is.

    Scans are counted up to one beyond `most`.

    A sequential picture whose first scan holds all its components has no more that is looked at.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        count = at = components = pixels = 0
        sequential = False
        while count <= most and (match := _MARKER.search(data, at)):
            at, marker = match.end(), data[match.end() - 1]
            if marker == _EOI:
                break
            if marker in (_SOI, _TEM):
                continue
            segment = data[at : at + 8]
            if marker in _FRAMES and len(segment) == 8:
                components, sequential = segment[7], marker in _SEQUENTIAL
                pixels = int.from_bytes(segment[3:5], "big") * int.from_bytes(segment[5:7], "big")
            if marker == _SOS:
                count += 1
                if sequential and len(segment) > 2 and segment[2] == components:
                    break
            at += int.from_bytes(segment[:2], "big")
        return count, pixels


def directories(path: Path, most: int) -> int:
    """How many directories a TIFF chains (TIFF 6.0, and BigTIFF); counted up to one beyond `most`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        big = int.from_bytes(head[2:4], order) == _BIG_TIFF
        count_size, entry_size, offset_size = (8, 20, 8) if big else (2, 12, 4)
        at = int.from_bytes(head[8:16] if big else head[4:8], order)
        count = 0
        while 0 < at < size and count <= most:
            count += 1
            file.seek(at)
            entries = int.from_bytes(file.read(count_size), order)
            following = at + count_size + entries * entry_size
            if following >= size:
                break
            file.seek(following)
            at = int.from_bytes(file.read(offset_size), order)
        return count
