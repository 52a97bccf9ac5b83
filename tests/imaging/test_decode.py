"""Headers are read and judged before pixels are decoded."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jobs.errors import ProblemCode, Rejection
from jobs.formats import EVERYDAY, SourceFormat
from jobs.imaging.decode import decode, detect, inspect, open_image
from jobs.presets import Preset
from tests.imaging import samples
from tests.imaging.conftest import ONE, Develop


def _refusal(developed: Develop, source: bytes, preset: Preset = ONE) -> ProblemCode:
    with pytest.raises(Rejection) as refused:
        developed(source, preset)
    return refused.value.code


@pytest.mark.parametrize("format_", samples.FORMATS)
def test_too_many_pixels_are_refused(developed: Develop, format_: str) -> None:
    """One more than the preset allows is too many; as many as it allows are not."""
    source = samples.source(format_, 96, 64)
    assert developed(source, replace(ONE, max_pixels=96 * 64)).inspected.width == 96
    refused = _refusal(developed, source, replace(ONE, max_pixels=96 * 64 - 1))
    assert refused is ProblemCode.TOO_MANY_PIXELS


def test_too_many_pixels_are_refused_from_the_header_alone(developed: Develop) -> None:
    """There are none to decode, and nobody tries."""
    assert _refusal(developed, samples.boundless_png()) is ProblemCode.TOO_MANY_PIXELS
    assert _refusal(developed, samples.boundless_webp()) is ProblemCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("format_", ["gif", "webp", "png", "avif"])
def test_too_many_frames_are_refused(developed: Develop, format_: str) -> None:
    """The limit on frames is the preset's."""
    source = samples.animation(format_, frames=4)
    assert developed(source, replace(ONE, max_frames=4)).inspected.frame_count == 4
    assert _refusal(developed, source, replace(ONE, max_frames=3)) is ProblemCode.TOO_COSTLY


@pytest.mark.parametrize("format_", samples.FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_damaged(developed: Develop, format_: str, part: float) -> None:
    """Wherever it ends before its time."""
    whole = samples.photo(120, 80, format_=format_)
    assert _refusal(developed, whole[: max(16, int(len(whole) * part))]) is ProblemCode.DAMAGED_IMAGE


@pytest.mark.parametrize("name", ["photo.jpg", "source"])
def test_text_is_no_image_whatever_its_name(tmp_path: Path, name: str) -> None:
    """Nobody looks at the name."""
    path = tmp_path / name
    path.write_text("this is text")
    with pytest.raises(Rejection) as refused:
        detect(path, EVERYDAY)
    assert refused.value.code is ProblemCode.NOT_AN_IMAGE


def test_what_the_disk_did_is_not_the_files_fault(tmp_path: Path) -> None:
    """A source that is not there is no damaged image."""
    with pytest.raises(FileNotFoundError):
        detect(tmp_path / "nothing", EVERYDAY)


def test_a_broken_exif_does_not_break_the_picture(developed: Develop) -> None:
    """Metadata that makes no sense counts as none."""
    for exif in (b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\0\x40"):
        source = samples.saved(samples.picture(), "jpeg", exif=exif)
        assert developed(source).inspected.width == 96


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_counts_as_none(developed: Develop, orientation: int) -> None:
    """Only 1 to 8 mean something."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = developed(samples.saved(samples.picture(), "jpeg", exif=exif.tobytes()))
    assert (made.inspected.width, made.inspected.height) == (96, 64)


def test_an_orientation_after_the_pixels_counts(developed: Develop) -> None:
    """A PNG may say at its end how it is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = samples.source("png")
    end = plain.index(b"IEND") - 4
    late = plain[:end] + samples.png_of((b"eXIf", exif.tobytes()[6:]))[8:] + plain[end:]
    made = developed(late)
    assert (made.inspected.width, made.inspected.height) == (64, 96)
    assert made.largest.size == (64, 96)


@pytest.mark.parametrize(("width", "decoded"), [(100, 100), (101, 200), (200, 200), (500, 800), (800, 800)])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_covers(
    tmp_path: Path, width: int, decoded: int
) -> None:
    """Scales are 1/8, 1/4, 1/2 and 1."""
    path = tmp_path / "source"
    path.write_bytes(samples.source("jpeg", 800, 400))
    with open_image(path, SourceFormat.JPEG, ONE) as image:
        decode(image, inspect(image, SourceFormat.JPEG), (width, width // 2))
        assert image.width == decoded


def test_the_scale_follows_the_side_that_is_seen_as_width(tmp_path: Path) -> None:
    """A picture stored on its side is as wide as it is stored high."""
    path = tmp_path / "source"
    exif = Image.Exif()
    exif[0x0112] = 6
    path.write_bytes(samples.saved(samples.picture(800, 400), "jpeg", exif=exif.tobytes()))
    with open_image(path, SourceFormat.JPEG, ONE) as image:
        decode(image, inspect(image, SourceFormat.JPEG), (100, 200))
        assert image.size == (200, 100)


def test_warnings_are_kept_to_ourselves(developed: Develop) -> None:
    """An animation of no frames has a picture behind it; that Pillow finds this odd is no noise of ours."""
    plain = samples.source("png")
    odd = samples.inserted(plain, (b"acTL", bytes(8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert developed(odd).inspected.frame_count == 1
