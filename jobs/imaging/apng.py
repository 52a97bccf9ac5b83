"""APNG: what each frame of an animated PNG paints (PNG, third edition, clause 4.9)."""

import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from jobs.imaging.patches import Disposal, Patch
from jobs.imaging.png import SIGNATURE, Data, chunk, chunks

_DISPOSALS = (Disposal.NONE, Disposal.BACKGROUND, Disposal.PREVIOUS)
_OF_ALL = {b"PLTE": 768, b"tRNS": 256}  # what the pixels of every frame are read by, at most that many bytes
_ALPHA = 4  # in the type of colour: it has an alpha channel
_CONTROL = struct.Struct(">4xIIIIHHBB")
_PER_SECOND = 100  # what a denominator of 0 stands for


class _Common(NamedTuple):
    header: bytes
    chunks: dict[bytes, bytes]


def is_animated(data: Data) -> bool:
    """Whether it says so where it must: before its pixels."""
    for name, _, _ in chunks(data):
        if name in (b"acTL", b"IDAT"):
            return name == b"acTL"
    return False


def patches(data: Data) -> Iterator[Patch]:
    """Those of the frames of a PNG, the bytes of which are `data`.

    Raises:
        struct.error: the file is broken.
        ValueError: a frame is not within the canvas, or there are more colours than there can be.
    """
    common = _Common(b"", {})
    control: bytes | None = None
    begun = 0
    for name, start, stop in chunks(data):
        if name == b"IHDR":
            common = _Common(data[start:stop], {})
        elif name in _OF_ALL:
            if stop - start > _OF_ALL[name]:
                raise ValueError(f"{stop - start} bytes of {name!r}")
            common.chunks.setdefault(name, data[start:stop])
        elif name == b"fcTL":
            if control is not None:
                yield _patch(common, control, begun, start - 8)
            control, begun = data[start:stop], stop + 4
    if control is not None:
        yield _patch(common, control, begun, len(data))


def _patch(common: _Common, control: bytes, start: int, stop: int) -> Patch:
    width, height, left, upper, numerator, denominator, disposal, blend = _CONTROL.unpack(control)
    canvas = struct.unpack_from(">II", common.header)
    if left + width > canvas[0] or upper + height > canvas[1]:
        raise ValueError("a frame is not within the canvas")
    return Patch(
        still=partial(_still, common, width, height, start, stop),
        left=left,
        upper=upper,
        width=width,
        height=height,
        milliseconds=round(1_000 * numerator / (denominator or _PER_SECOND)),
        disposal=_DISPOSALS[disposal] if disposal < len(_DISPOSALS) else Disposal.NONE,
        blend=blend == 1,
        has_alpha=bool(common.header[9] & _ALPHA) or b"tRNS" in common.chunks,
    )


def _still(common: _Common, width: int, height: int, start: int, stop: int, data: Data) -> bytes:
    """A PNG of the one frame whose chunks `data` has from `start` to `stop`."""
    pixels = b"".join(
        data[begin + (4 if name == b"fdAT" else 0) : end]  # behind its number
        for name, begin, end in chunks(data, start, stop)
        if name in (b"IDAT", b"fdAT")
    )
    header = struct.pack(">II", width, height) + common.header[8:]
    read_by = (chunk(name, content) for name, content in common.chunks.items())
    return b"".join(
        (SIGNATURE, chunk(b"IHDR", header), *read_by, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    )
