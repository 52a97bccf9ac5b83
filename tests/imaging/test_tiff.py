"""A TIFF is read as it is meant, or it is refused."""

import struct
import zlib

import pytest

from jobs.errors import ProblemCode, Rejection
from jobs.formats import SourceFormat
from tests.imaging import samples
from tests.imaging.conftest import Develop

BITS, COMPRESSION, MEANING, SAMPLES, PLANES, FORMAT, SUBSAMPLING = 258, 259, 262, 277, 284, 339, 530
DEFLATE = {COMPRESSION: (8,)}


def _grey(
    value: float,
    code: str,
    bits: int,
    *,
    meaning: int = 1,
    kind: int = 1,
    order: str = "<",
    deflated: bool = False,
) -> bytes:
    pixels = struct.pack(f"{order}64{code}", *[value] * 64)
    return samples.tiff_of(
        {BITS: (bits,), MEANING: (meaning,), FORMAT: (kind,), **(DEFLATE if deflated else {})},
        zlib.compress(pixels) if deflated else pixels,
        order=order,
    )


def _twelve(value: int) -> bytes:
    pair = (value << 12 | value).to_bytes(3, "big")
    return samples.tiff_of({BITS: (12,), MEANING: (1,)}, pair * 32)


def _colors(
    meaning: int, *strips: bytes, bits: int = 8, tags: dict[int, tuple[int, ...]] | None = None
) -> bytes:
    return samples.tiff_of({BITS: (bits,) * 3, MEANING: (meaning,), SAMPLES: (3,), **(tags or {})}, *strips)


READ = {
    "12 bits": (_twelve(2_000), (125,) * 3),
    "12 bits, white": (_twelve(4_095), (255,) * 3),
    "16 bits": (_grey(0x6000, "H", 16), (96,) * 3),
    "16 bits, big-endian": (_grey(0x6000, "H", 16, order=">"), (96,) * 3),
    "16 bits, white is 0": (_grey(0x6000, "H", 16, meaning=0), (159,) * 3),
    "8 bits, white is 0": (_grey(96, "B", 8, meaning=0), (159,) * 3),
    "32 bits": (_grey(0x60FFFFFF, "I", 32), (96,) * 3),
    "32 bits, bright": (_grey(0xC0000000, "I", 32), (192,) * 3),
    "floating-point": (_grey(0.4, "f", 32, kind=3), (102,) * 3),
    "floating-point, big-endian": (_grey(0.4, "f", 32, kind=3, order=">"), (102,) * 3),
    "floating-point, deflated": (_grey(0.4, "f", 32, kind=3, deflated=True), (102,) * 3),
    "floating-point, white is 0": (_grey(0.4, "f", 32, kind=3, meaning=0), (153,) * 3),
    "floating-point, brighter than white": (_grey(7.5, "f", 32, kind=3), (255,) * 3),
    "grey under premultiplied alpha": (
        samples.tiff_of({BITS: (8, 8), MEANING: (1,), SAMPLES: (2,), 338: (1,)}, bytes([48, 128]) * 64),
        (96,) * 3,
    ),
    "RGB of 16 bits": (
        _colors(2, struct.pack("<3H", 0xC800, 0x7800, 0x5000) * 64, bits=16),
        (200, 120, 80),
    ),
    "RGB in planes": (
        _colors(2, b"\xc8" * 64, b"\x78" * 64, b"\x50" * 64, tags={PLANES: (2,)}),
        (200, 120, 80),
    ),
    "YCbCr": (_colors(6, bytes([136, 96, 174]) * 64, tags={SUBSAMPLING: (1, 1)}), (200, 114, 79)),
}


@pytest.mark.parametrize("name", READ)
def test_a_tiff_is_read_as_it_is_meant(developed: Develop, name: str) -> None:
    """By the depth of its samples, and by what their least is."""
    source, meant = READ[name]
    color = developed(source, accepted=(SourceFormat.TIFF,)).largest.convert("RGB").getpixel((4, 4))
    assert isinstance(color, tuple)
    assert all(abs(a - b) <= 2 for a, b in zip(color, meant, strict=True)), color


REFUSED = {
    "signed, 16 bits": _grey(-5, "h", 16, kind=2),
    "signed, 8 bits": _grey(-5, "b", 8, kind=2),
    "32 bits, white is 0": _grey(5, "I", 32, meaning=0),
    "floating-point, big-endian, deflated": _grey(0.4, "f", 32, kind=3, order=">", deflated=True),
    "RGB of 16 bits in planes": _colors(2, bytes(128), bytes(128), bytes(128), bits=16, tags={PLANES: (2,)}),
    "RGB, floating-point": _colors(2, bytes(768), bits=32, tags={FORMAT: (3, 3, 3)}),
    "YCbCr of fewer colors than pixels": _colors(6, bytes(96)),
    "ICCLab": _colors(9, bytes(192)),
    "CIELab in planes": _colors(8, bytes(64), bytes(64), bytes(64), tags={PLANES: (2,)}),
    "a sensor's mosaic": samples.tiff_of({BITS: (8,), MEANING: (32_803,)}, bytes(64)),
    "an unknown compression": samples.tiff_of({BITS: (8,), MEANING: (1,), COMPRESSION: (50_002,)}, bytes(64)),
    "more samples than there can be": samples.tiff_of({BITS: (8,), MEANING: (1,), SAMPLES: (65_535,)}, b""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_misread_is_refused(developed: Develop, name: str) -> None:
    """As a kind that is not taken: nothing about it is broken."""
    with pytest.raises(Rejection) as refused:
        developed(REFUSED[name], accepted=(SourceFormat.TIFF,))
    assert refused.value.code is ProblemCode.UNSUPPORTED_TYPE


@pytest.mark.parametrize("cut", [4, 7, 8, 20, 150])
def test_a_truncated_tiff_is_damaged(developed: Develop, cut: int) -> None:
    """Whatever it was meant to be."""
    with pytest.raises(Rejection) as refused:
        developed(READ["16 bits"][0][:cut], accepted=(SourceFormat.TIFF,))
    assert refused.value.code is ProblemCode.DAMAGED_IMAGE
