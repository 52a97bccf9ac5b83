"""GIF: what each of its frames paints (the format's specification, version 89a)."""

import re
from collections.abc import Iterator
from functools import partial

from jobs.imaging.patches import Disposal, Patch
from jobs.imaging.png import Data

_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL = b"\xf9"
_PADDING = re.compile(rb"\x00*")
# 4 is what some programs wrote for 3, and browsers follow them.
_DISPOSALS = {2: Disposal.BACKGROUND, 3: Disposal.PREVIOUS, 4: Disposal.PREVIOUS}
# How often it is repeated; by either name, and wherever it stands.
_LOOP = re.compile(rb"\x21\xff\x0b(?:NETSCAPE2\.0|ANIMEXTS1\.0)\x03\x01(..)", re.DOTALL)


def repetitions(data: Data) -> int | None:
    """How often a GIF is shown again; 0 is for ever, None never."""
    match = _LOOP.search(data)
    return int.from_bytes(match[1], "little") if match else None


def patches(data: Data) -> Iterator[Patch]:
    """Those of the frames of a GIF, the bytes of which are `data`, as far as it goes."""
    table, at = _table(data, data[10], 13)
    control = b""
    while (at := _after_padding(data, at)) < len(data):
        kind = data[at]
        if kind == _EXTENSION:
            if data[at + 1 : at + 2] == _CONTROL:
                control = data[at + 3 : at + 7]
            at = _after_blocks(data, at + 2)
        elif kind == _IMAGE and at + 11 < len(data):
            left, upper, width, height = (
                int.from_bytes(data[at + field : at + field + 2], "little") for field in (1, 3, 5, 7)
            )
            flags = data[at + 9]
            own, start = _table(data, flags, at + 10)
            at = _after_blocks(data, start + 1)
            has_alpha = len(control) == 4 and control[0] & 1 == 1
            yield Patch(
                still=partial(
                    _still, width, height, flags, own or table, control if has_alpha else b"", start, at
                ),
                left=left,
                upper=upper,
                width=width,
                height=height,
                milliseconds=int.from_bytes(control[1:3], "little") * 10,
                disposal=_DISPOSALS.get(control[0] >> 2 & 7 if control else 0, Disposal.NONE),
                blend=True,
                has_alpha=has_alpha,
            )
            control = b""
        else:
            return  # the trailer, or what is cut off, or what nobody can read


def _table(data: Data, flags: int, at: int) -> tuple[bytes, int]:
    """The colour table that `flags` announce, and where it ends."""
    end = at + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return data[at:end], end


def _after_padding(data: Data, at: int) -> int:
    match = _PADDING.match(data, at)
    return match.end() if match else at


def _after_blocks(data: Data, at: int) -> int:
    while at < len(data) and (size := data[at]):
        at += size + 1
    return min(at + 1, len(data))


def _still(
    width: int, height: int, flags: int, table: bytes, control: bytes, start: int, stop: int, data: Data
) -> bytes:
    """A GIF of the image alone that `data` has from `start` to `stop`."""
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    colours = 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
    extension = b"\x21\xf9\x04" + control + b"\x00" if control else b""
    interlaced = bytes([flags & 0x40])
    return b"".join(
        (b"GIF89a", size, bytes([colours, 0, 0]), table, extension,
         b"\x2c\x00\x00\x00\x00", size, interlaced, data[start:stop], b"\x3b")
    )  # fmt: skip
