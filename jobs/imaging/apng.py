"""APNG: what each frame of an animated PNG paints (PNG, third edition, clause 4.9)."""

import struct
import zlib
from collections.abc import Iterator

from jobs.imaging.patches import Data, Disposal, Patch

_SIGNATURE = 8  # bytes
_DISPOSALS = (Disposal.KEEP, Disposal.CLEAR, Disposal.RESTORE)
_OF_ALL = {b"PLTE", b"tRNS"}  # what the pixels of every frame are read by
_ALPHA = 4  # in the type of colour: it has an alpha channel
_CONTROL = struct.Struct(">4xIIIIHHBB")
_PER_SECOND = 100  # what a denominator of 0 stands for


def is_animated(data: Data) -> bool:
    """Whether it says so where it must: before its pixels."""
    return any(name == b"acTL" for name, _ in _chunks(data, before=b"IDAT"))


def patches(data: Data) -> Iterator[Patch]:
    """Those of the frames of a PNG, the bytes of which are `data`.

    Raises:
        struct.error: the file is broken.
    """
    header, common = b"", b""
    control: bytes | None = None
    pixels: list[bytes] = []
    for name, content in _chunks(data):
        if name == b"IHDR":
            header = content
        elif name in _OF_ALL:
            common += _chunk(name, content)
        elif name == b"fcTL":
            if control is not None:
                yield _patch(header, common, control, pixels)
            control, pixels = content, []
        elif control is not None and name == b"IDAT":
            pixels.append(content)
        elif control is not None and name == b"fdAT":
            pixels.append(content[4:])  # behind its number
    if control is not None:
        yield _patch(header, common, control, pixels)


def _patch(header: bytes, common: bytes, control: bytes, pixels: list[bytes]) -> Patch:
    width, height, left, upper, numerator, denominator, disposal, blend = _CONTROL.unpack(control)
    still = _chunk(b"IHDR", struct.pack(">II", width, height) + header[8:])
    file = b"".join(
        (b"\x89PNG\r\n\x1a\n", still, common, _chunk(b"IDAT", b"".join(pixels)), _chunk(b"IEND", b""))
    )
    return Patch(
        file=file,
        left=left,
        upper=upper,
        width=width,
        height=height,
        milliseconds=round(1_000 * numerator / (denominator or _PER_SECOND)),
        disposal=_DISPOSALS[disposal] if disposal < len(_DISPOSALS) else Disposal.KEEP,
        over=blend == 1,
        clear=bool(header[9] & _ALPHA) or b"tRNS" in common,
    )


def _chunks(data: Data, *, before: bytes = b"IEND") -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk up to one of the name `before`, or to where they end."""
    at = _SIGNATURE
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == before:
            return
        yield name, data[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
