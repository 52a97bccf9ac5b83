"""TIFF: which of its many kinds are read as they are meant."""

from pathlib import Path
from typing import Any

from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    COMPRESSION_INFO,
    MAX_SAMPLESPERPIXEL,
    MM,
    OPEN_INFO,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    YCBCRSUBSAMPLING,
    ImageFileDirectory_v2,
)

from jobs.errors import ProblemCode, Rejection

_BIG = (b"II+\0", b"MM\0+")  # how a BigTIFF begins, whose header is twice as long
_RAW, _OLD_JPEG = 1, 6  # compressions
_YCBCR, _CIELAB = 6, 8
_SIGNED, _FLOAT = (2,), (3,)
_SEPARATE = 2
# Byte order, photometric interpretation, sample format and depths of all that Pillow has a reader for.
_KNOWN = {(order, meaning, kind, depths) for order, meaning, kind, _, depths, _ in OPEN_INFO}


def check_kind(path: Path) -> None:
    """Let pass a TIFF whose numbers Pillow takes for what they are.

    Raises:
        Rejection: they mean something else, and would be seen as other colours.
        Exception: whatever Pillow raises if the header is broken.
    """
    with path.open("rb") as file:
        header = file.read(8)
        tags = ImageFileDirectory_v2(header + (file.read(8) if header[:4] in _BIG else b""))
        file.seek(tags.next or 0)
        tags.load(file)
    compression = tags.get(COMPRESSION, _RAW)
    meaning = _YCBCR if compression == _OLD_JPEG else tags.get(PHOTOMETRIC_INTERPRETATION, 0)
    samples = min(tags.get(SAMPLESPERPIXEL, 1), MAX_SAMPLESPERPIXEL + 1)
    depths = (tags.get(BITSPERSAMPLE, (1,)) * samples)[:samples]
    kind = tuple(set(tags.get(SAMPLEFORMAT, (1,))))
    known = compression in COMPRESSION_INFO and (tags.prefix, meaning, kind, depths) in _KNOWN
    if not known or _misread(tags, meaning, kind, depths, raw=compression == _RAW):
        raise Rejection(
            ProblemCode.UNSUPPORTED_TYPE,
            "It is a TIFF of a kind that is not taken: photometric interpretation"
            f" {meaning}, bits {depths}, sample format {kind}, compression {compression}.",
        )


def _misread(
    tags: ImageFileDirectory_v2, meaning: int, kind: tuple[int, ...], depths: tuple[int, ...], *, raw: bool
) -> bool:
    """Whether Pillow has a reader for it that reads it wrongly (seen with 13.0)."""
    if kind == _SIGNED:
        return True
    if kind == _FLOAT and tags.prefix == MM and not raw:  # its bytes are swapped twice
        return True
    several = len(depths) > 1
    if several and tags.get(PLANAR_CONFIGURATION) == _SEPARATE:
        return meaning == _CIELAB or (raw and depths[0] != 8)
    subsampled: Any = tags.get(YCBCRSUBSAMPLING, (2, 2))
    return several and meaning == _YCBCR and raw and subsampled != (1, 1)
