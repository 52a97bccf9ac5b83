"""WebP: what an animation says of its frames (RFC 9649, section 2.7)."""

import struct

from jobs.imaging.png import Data

_FRAME = struct.Struct("<3s3s3s3s3sB")
_CLEARS = 1  # in the flags of a frame
_HEADER = 12  # bytes of a file; of a chunk there are 8


def needs_alpha(data: Data) -> bool:
    """Whether something may be seen through in some frame, though the file as a whole says that it is opaque.

    There may be what no frame covers, or frames that know better.
    """
    canvas: tuple[int, int] | None = None
    first = True
    at = _HEADER
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        content = data[at + 8 : at + 8 + _FRAME.size]
        if name == b"VP8X" and len(content) >= 10:
            canvas = _side(content[4:7]), _side(content[7:10])
        elif name == b"ANMF" and len(content) == _FRAME.size:
            left, upper, width, height, _, flags = _FRAME.unpack(content)
            covers = left == upper == bytes(3) and (_side(width), _side(height)) == canvas
            begun = data[at + 8 + _FRAME.size : at + 8 + _FRAME.size + 13]  # its first chunk
            if flags & _CLEARS or (first and not covers) or _has_alpha(begun):
                return True
            first = False
        at += 8 + length + length % 2
    return False


def _has_alpha(chunk: bytes) -> bool:
    # In a VP8L, a bit behind the 28 of its sides.
    return chunk[:4] == b"ALPH" or (chunk[:4] == b"VP8L" and len(chunk) == 13 and bool(chunk[12] & 0x10))


def _side(stored: bytes) -> int:
    return int.from_bytes(stored, "little") + 1
