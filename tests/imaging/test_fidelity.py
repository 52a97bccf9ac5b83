"""Colours are those that were meant: no patch is further off than an eye can tell (CIEDE2000 below 2)."""

from collections.abc import Iterator

import pytest
from PIL import Image, ImageCms

from jobs.formats import SourceFormat
from tests.imaging import samples
from tests.imaging.conftest import Develop
from tests.imaging.delta import delta_e, lab
from tests.imaging.profiles import ADOBE, P3, encoded, grey_profile, in_srgb, rgb_profile

Colour = tuple[int, int, int]

# All of them within sRGB, whichever of the profiles below they are given in.
PATCHES: list[Colour] = [
    (200, 120, 80), (90, 140, 100), (60, 60, 160), (128, 128, 128), (230, 220, 210), (150, 90, 120),
    (30, 30, 30), (180, 170, 90), (250, 250, 250),
]  # fmt: skip
_LAB = ImageCms.createProfile("LAB")


def _lab_tiff(colour: Colour) -> bytes:
    """The colour as LAB numbers, by LittleCMS in the other direction."""
    image = Image.new("RGB", (64, 64), colour)
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), _LAB, "RGB", "LAB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return samples.saved(converted, "tiff")


def _cases() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
    for colour in PATCHES:
        named = "-".join(map(str, colour))
        for format_ in ("png", "jpeg", "webp", "avif"):
            for name, primaries in (("p3", P3), ("adobe", ADOBE)):
                source = samples.flat(colour, "RGB", format_, icc_profile=rgb_profile(primaries), quality=100)
                yield f"{name}-{format_}-{named}", source, in_srgb(colour, primaries)
            yield f"none-{format_}-{named}", samples.flat(colour, "RGB", format_, quality=100), colour
        grey = colour[0]
        yield f"grey-{grey}", samples.flat(grey, "L"), (grey,) * 3
        linear = samples.flat(grey, "L", icc_profile=grey_profile(gamma=1.0))
        yield f"linear-grey-{grey}", linear, (encoded(grey / 255),) * 3
        yield f"16-bit-grey-{grey}", samples.grey_16_bits(grey * 257), (grey,) * 3
        cmyk = tuple(255 - value for value in colour)
        yield f"cmyk-{named}", samples.flat((*cmyk, 0), "CMYK", "jpeg", quality=100), colour
        yield f"lab-{named}", _lab_tiff(colour), colour


CASES = list(_cases())


@pytest.mark.parametrize(("source", "meant"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_patch_comes_out_as_it_was_meant(developed: Develop, source: bytes, meant: tuple[int, ...]) -> None:
    """In every profile, mode and format that carries one."""
    made = developed(source, accepted=tuple(SourceFormat)).largest.convert("RGB").getpixel((32, 32))
    assert isinstance(made, tuple)
    assert delta_e(lab(made), lab(meant)) < 2, (made, meant)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
        ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_is_what_the_literature_says(
    one: tuple[float, float, float], other: tuple[float, float, float], expected: float
) -> None:
    """Pairs 1, 4, 16, 25 and 34 of Sharma's test data."""
    assert delta_e(one, other) == pytest.approx(expected, abs=1e-4)
