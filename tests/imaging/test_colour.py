"""Colors come out as they were meant."""

import struct
import zlib

import pytest
from PIL import Image, ImageCms

from tests.imaging import samples
from tests.imaging.conftest import Develop
from tests.imaging.profiles import encoded, grey_profile, in_srgb, odd_cmyk_profile, rgb_profile


def _color(developed: Develop, source: bytes) -> tuple[int, ...]:
    color = developed(source).largest.convert("RGB").getpixel((32, 32))
    assert isinstance(color, tuple)
    return color


def _close(color: tuple[int, ...], expected: tuple[int, ...], *, within: int = 4) -> bool:
    return all(abs(a - b) <= within for a, b in zip(color, expected, strict=True))


@pytest.mark.parametrize("color", [(200, 120, 80), (90, 140, 100), (128, 128, 128), (60, 60, 160)])
@pytest.mark.parametrize("format_", ["png", "jpeg", "webp", "avif"])
def test_display_p3_becomes_srgb(developed: Develop, color: tuple[int, int, int], format_: str) -> None:
    """By the numbers of the profile, in every format that carries one."""
    source = samples.flat(color, "RGB", format_, icc_profile=rgb_profile(), quality=100)
    assert _close(_color(developed, source), in_srgb(color))


def test_srgb_stays_as_it_is(developed: Develop) -> None:
    """With its profile or without."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (None, icc):
        assert _close(_color(developed, samples.flat((200, 120, 80), icc_profile=profile)), (200, 120, 80))


def test_a_profile_is_believed_for_its_numbers_not_for_its_name(developed: Develop) -> None:
    """Display P3 that calls itself sRGB is Display P3."""
    icc = rgb_profile().replace(b"test\0", b"sRGB\0")
    assert _close(_color(developed, samples.flat((200, 120, 80), icc_profile=icc)), in_srgb((200, 120, 80)))


@pytest.mark.parametrize(
    "icc", [b"no profile at all", rgb_profile()[:200], grey_profile(), odd_cmyk_profile()]
)
def test_a_profile_that_makes_no_sense_is_ignored(developed: Develop, icc: bytes) -> None:
    """Broken, cut short, or for other colors than the image has."""
    assert _close(_color(developed, samples.flat((200, 120, 80), icc_profile=icc)), (200, 120, 80))


def test_grey_follows_its_profile(developed: Develop) -> None:
    """Linear light of 55/255 is seen as 127."""
    source = samples.flat(55, "L", icc_profile=grey_profile(gamma=1.0))
    assert _close(_color(developed, source), (encoded(55 / 255),) * 3)
    assert _close(_color(developed, samples.flat(55, "L")), (55, 55, 55))


def test_grey_follows_a_profile_for_red_green_and_blue(developed: Develop) -> None:
    """As a colour like any other, under its alpha, too."""
    icc = rgb_profile(gamma=1.0)
    assert _close(_color(developed, samples.flat(55, "L", icc_profile=icc)), (encoded(55 / 255),) * 3)
    made = developed(samples.flat((55, 128), "LA", icc_profile=icc)).largest.getpixel((32, 32))
    assert isinstance(made, tuple)
    assert _close(made, (*(encoded(55 / 255),) * 3, 128))


def test_cmyk_is_understood_without_a_profile(developed: Develop) -> None:
    """Cyan ink alone is cyan."""
    source = samples.flat((255, 0, 0, 0), "CMYK", "jpeg", quality=100)
    assert _close(_color(developed, source), (0, 255, 255))


def test_cmyk_follows_its_profile(developed: Develop) -> None:
    """Here "cyan" is the name of a red ink."""
    source = samples.flat((255, 0, 0, 0), "CMYK", "jpeg", quality=100, icc_profile=odd_cmyk_profile())
    assert _close(_color(developed, source), samples.RED, within=12)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (300, 1), (32_896, 128), (65_535, 255)])
def test_16_bits_are_divided_not_clipped(developed: Develop, value: int, expected: int) -> None:
    """A PNG may have 65536 shades."""
    assert _close(_color(developed, samples.grey_16_bits(value)), (expected,) * 3, within=2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_is_understood(developed: Develop, mode: str) -> None:
    """White is white."""
    image = Image.new("RGBA", (64, 64), "white").convert("L" if mode == "I;16" else mode)
    source = samples.grey_16_bits(65_535) if mode == "I;16" else samples.saved(image, "png")
    made = developed(source).largest
    assert made.mode == "RGB"
    assert _close(_color(developed, source), (255, 255, 255))


@pytest.mark.parametrize(
    "source",
    [
        samples.half_clear("png"),
        samples.half_clear("webp"),
        samples.half_clear("avif"),
        samples.palette(),
    ],
)
def test_alpha_is_kept(developed: Develop, source: bytes) -> None:
    """The left half is clear, the right half is not."""
    made = developed(source).largest
    assert made.mode == "RGBA"
    alpha = made.getchannel("A")
    assert (alpha.getpixel((10, 32)), alpha.getpixel((54, 32))) == (0, 255)


@pytest.mark.parametrize(
    "source",
    [
        samples.flat(0, "1", transparency=0),
        samples.flat(7, "L", transparency=7),
        samples.flat((1, 2, 3), "RGB", transparency=(1, 2, 3)),
        samples.grey_16_bits(700, transparency=700),
    ],
    ids=["1", "L", "RGB", "I;16"],
)
def test_a_color_may_stand_for_clear(developed: Develop, source: bytes) -> None:
    """PNGs without alpha can name a color that is not seen."""
    assert developed(source).largest.getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize(
    ("depth", "colour_type", "pixels", "key"),
    [
        (2, 0, b"\x00\xff", b"\0\x03"),
        (4, 0, b"\x00\x00\xff\xff", b"\0\x0f"),
        (8, 0, b"\0" * 4 + b"\x09" * 4, b"\0\x09"),
        (16, 2, bytes(24) + b"\x80\0\0\0\0\0" * 4, b"\x80\0\0\0\0\0"),
    ],
    ids=["grey, 2 bits", "grey, 4 bits", "grey, 8 bits", "RGB, 16 bits"],
)
def test_a_color_stands_for_clear_at_any_depth(
    developed: Develop, depth: int, colour_type: int, pixels: bytes, key: bytes
) -> None:
    """It is written with as many bits as the pixels; here those of the right half have it."""
    header = struct.pack(">IIBBBBB", 8, 8, depth, colour_type, 0, 0, 0)
    rows = zlib.compress((b"\0" + pixels) * 8)
    source = samples.png_of((b"IHDR", header), (b"tRNS", key), (b"IDAT", rows), (b"IEND", b""))
    alpha = developed(source).largest.getchannel("A")
    halves = [alpha.crop((left, 0, left + 4, 8)).getextrema() for left in (0, 4)]
    assert halves == [(255, 255), (0, 0)]
