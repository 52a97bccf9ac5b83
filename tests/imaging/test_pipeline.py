"""From a file to its variants."""

from pathlib import Path

import pytest
from PIL import Image

from jobs.errors import ProblemCode, Rejection
from jobs.imaging.messages import RenditionMade
from jobs.imaging.pipeline import develop
from jobs.presets import DEFAULT_PRESET
from tests.imaging import samples
from tests.imaging.conftest import Develop


def _corners(image: Image.Image) -> list[tuple[int, ...]]:
    width, height = image.size
    pixels = [image.convert("RGB").getpixel((x, y)) for y in (8, height - 9) for x in (8, width - 9)]
    return [pixel for pixel in pixels if isinstance(pixel, tuple)]


def _are_the_corners(image: Image.Image, *, within: int = 24) -> bool:
    return all(
        abs(a - b) <= within
        for seen, color in zip(_corners(image), samples.CORNERS, strict=True)
        for a, b in zip(seen, color, strict=True)
    )


@pytest.mark.parametrize("format_", samples.FORMATS)
def test_every_format_is_developed(developed: Develop, format_: str) -> None:
    """The header is told as it is, and the picture is the picture."""
    made = developed(samples.source(format_))
    assert made.inspected.format == format_
    assert made.inspected.content_type == f"image/{format_}"
    assert (made.inspected.width, made.inspected.height, made.inspected.frame_count) == (96, 64, 1)
    assert made.largest.size == (96, 64)
    assert _are_the_corners(made.largest)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["jpeg", "png", "webp", "avif"])
def test_every_orientation_is_applied(developed: Develop, orientation: int, format_: str) -> None:
    """However it is stored, red is seen at the upper left."""
    made = developed(samples.oriented(orientation, format_))
    assert (made.inspected.width, made.inspected.height) == (96, 64)
    assert made.largest.size == (96, 64)
    assert _are_the_corners(made.largest, within=40)


def test_a_large_turned_photo_keeps_its_proportions(developed: Develop) -> None:
    """Decoding at scale and turning do not get in each other's way."""
    exif = Image.Exif()
    exif[0x0112] = 6
    made = developed(samples.saved(samples.picture(2003, 1001), "jpeg", exif=exif.tobytes()), DEFAULT_PRESET)
    assert [(r.width, r.height) for r in made.renditions] == [(320, 640), (640, 1281), (1001, 2003)]
    with Image.open(made.renditions[0].path) as smallest:
        assert smallest.size == (320, 640)


def test_variants_come_from_the_smallest_to_the_largest(developed: Develop) -> None:
    """Each is what its message says."""
    made = developed(samples.source("png", 1000, 500), DEFAULT_PRESET)
    assert [(r.name, r.width, r.height) for r in made.renditions] == [
        ("w320", 320, 160),
        ("w640", 640, 320),
        ("w1280", 1000, 500),
    ]
    for rendition in made.renditions:
        assert rendition.path.stat().st_size == rendition.byte_size
        with Image.open(rendition.path) as image:
            assert image.format == "WEBP"
            assert image.size == (rendition.width, rendition.height)


def test_a_file_is_complete_when_it_is_told_of(tmp_path: Path) -> None:
    """Whoever hears of it may read it."""
    path = tmp_path / "source"
    path.write_bytes(samples.source("png", 1000, 500))
    for message in develop(path, DEFAULT_PRESET, tmp_path):
        if isinstance(message, RenditionMade):
            assert message.path.parent == tmp_path
            with Image.open(message.path) as image:
                image.load()


@pytest.mark.parametrize("format_", samples.FORMATS)
def test_one_pixel_is_an_image(developed: Develop, format_: str) -> None:
    """It gives one variant of one pixel."""
    made = developed(samples.source(format_, 1, 1), DEFAULT_PRESET)
    assert [(r.name, r.width, r.height) for r in made.renditions] == [("w320", 1, 1)]


def test_a_tower_is_developed(developed: Develop) -> None:
    """Higher than a WebP can be, it is made smaller."""
    made = developed(samples.source("png", 10, 60_000))
    assert made.largest.size == (3, 16_383)


@pytest.mark.parametrize("format_", ["jpeg", "png", "webp", "avif"])
def test_metadata_stays_behind(developed: Develop, format_: str) -> None:
    """Nobody learns from a variant where it was taken."""
    source = samples.located(format_)
    made = developed(source, DEFAULT_PRESET)
    for rendition in made.renditions:
        content = rendition.path.read_bytes()
        assert not any(
            chunk in content for chunk in (b"EXIF", b"Exif", b"XMP ", b"ICCP", b"camera", b"adobe")
        )
        with Image.open(rendition.path) as image:
            assert not image.getexif()
            assert not {"exif", "xmp", "icc_profile"} & set(image.info)


@pytest.mark.parametrize("format_", ["gif", "webp", "png", "avif"])
def test_an_animation_is_represented_by_its_first_frame(developed: Develop, format_: str) -> None:
    """And its frames are counted."""
    made = developed(samples.animation(format_))
    assert made.inspected.frame_count == 3
    color = made.largest.convert("RGB").getpixel((32, 32))
    assert isinstance(color, tuple)
    assert all(abs(a - b) < 6 for a, b in zip(color, samples.RED, strict=True))


def test_the_main_picture_of_several_is_developed(developed: Develop) -> None:
    """Phones put previews and maps behind a JPEG."""
    second = Image.new("RGB", (96, 64), "black")
    source = samples.saved(samples.picture(), "mpo", save_all=True, append_images=[second])
    made = developed(source)
    assert (made.inspected.format, made.inspected.frame_count) == ("jpeg", 1)
    assert _are_the_corners(made.largest, within=60)


def test_an_image_of_another_type_is_refused(developed: Develop) -> None:
    """By its content."""
    with pytest.raises(Rejection) as refused:
        developed(samples.flat("red", format_="tiff"))
    assert refused.value.code is ProblemCode.UNSUPPORTED_TYPE
