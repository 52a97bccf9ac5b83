"""Animations put together by hand, of frames that paint a part of the canvas."""

import struct
import zlib
from typing import NamedTuple

from PIL import GifImagePlugin, Image

from tests.imaging import samples

Colour = tuple[int, int, int]
CLEAR = None  # paints nothing


class Part(NamedTuple):
    """One colour all over `box`: left, upper, right and lower edge. Disposals are numbered as in a GIF."""

    colour: Colour | None
    box: tuple[int, int, int, int] = (0, 0, 16, 16)
    disposal: int = 1
    milliseconds: int = 100

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def gif(*parts: Part, canvas: tuple[int, int] = (16, 16)) -> bytes:
    """A GIF of them, with a background colour that nobody should see."""
    magenta = bytes((255, 0, 255))
    pieces = [b"GIF89a", struct.pack("<HHBBB", *canvas, 0x80, 0, 0), magenta * 2]
    for part in parts:
        clear = part.colour is CLEAR
        picture = Image.new("P", part.size, 1)
        picture.putpalette([*magenta, *(part.colour or (1, 2, 3))])
        control = struct.pack("<BHBB", part.disposal << 2 | clear, part.milliseconds // 10, 1, 0)
        pieces += [b"\x21\xf9\x04" + control]
        pieces += GifImagePlugin.getdata(picture, part.box[:2], include_color_table=True)
    return b"".join([*pieces, b";"])


def apng(*parts: Part, canvas: tuple[int, int] = (16, 16), announced: int | None = None) -> bytes:
    """An opaque PNG of them; the first covers the canvas."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", *canvas, 8, 2, 0, 0, 0)),
        (b"acTL", struct.pack(">II", announced or len(parts), 0)),
    ]
    for at, part in enumerate(parts):
        (width, height), (left, upper) = part.size, part.box[:2]
        rows = (b"\0" + bytes(part.colour or (0, 0, 0)) * width) * height
        control = (max(0, 2 * at - 1), width, height, left, upper, part.milliseconds, 1_000)
        chunks.append((b"fcTL", struct.pack(">IIIIIHHBB", *control, part.disposal - 1, 0)))
        pixels = zlib.compress(rows)
        chunks.append((b"fdAT", struct.pack(">I", 2 * at) + pixels) if at else (b"IDAT", pixels))
    return samples.png_of(*chunks, (b"IEND", b""))


def webp(*parts: Part, canvas: tuple[int, int] = (16, 16)) -> bytes:
    """A WebP of them that says that it has no alpha; disposal 2 clears, as in a GIF."""
    header = struct.pack("<I", 0b10) + b"".join(_three(side - 1) for side in canvas)
    chunks = _chunk(b"VP8X", header) + _chunk(b"ANIM", bytes(6))
    for part in parts:
        still = samples.saved(Image.new("RGB", part.size, part.colour or (0, 0, 0)), "webp", quality=95)
        places = [part.box[0] // 2, part.box[1] // 2, part.size[0] - 1, part.size[1] - 1, part.milliseconds]
        flags = bytes([0b10 | (part.disposal == 2)])
        chunks += _chunk(b"ANMF", b"".join(map(_three, places)) + flags + still[12:])
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")
