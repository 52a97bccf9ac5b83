"""What a file tells of how it was taken: the harmless part of it."""

from typing import Any

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from jobs.facts import Camera
from tests.imaging import samples
from tests.imaging.conftest import Develop


def taken(format_: str = "jpeg", **details: Any) -> bytes:
    """A picture with these EXIF entries, by their names."""
    exif = Image.Exif()
    for name, value in details.items():
        ifd = exif if name in ("Make", "Model") else exif.get_ifd(IFD.Exif)
        ifd[Base[name]] = value
    return samples.saved(samples.picture(), format_, exif=exif.tobytes())


@pytest.mark.parametrize("format_", ["jpeg", "png", "webp", "avif"])
def test_camera_lens_and_time_are_told(developed: Develop, format_: str) -> None:
    """In every format that carries EXIF."""
    source = taken(
        format_,
        Make="Maker ",
        Model="Model 1\0\0",
        LensModel="50mm f/1.8",
        DateTimeOriginal="2026:06:01 12:34:56",
        OffsetTimeOriginal="+02:00",
    )
    assert developed(source).inspected.camera == Camera(
        make="Maker", model="Model 1", lens="50mm f/1.8", taken_at="2026-06-01T12:34:56+02:00"
    )


def test_a_time_without_a_zone_is_told_without_one(developed: Develop) -> None:
    """Nobody guesses."""
    camera = developed(taken(DateTimeOriginal="2026:06:01 12:34:56")).inspected.camera
    assert camera == Camera(taken_at="2026-06-01T12:34:56")


@pytest.mark.parametrize("time", ["", "yesterday", "0000:00:00", "2026-06-01"])
def test_a_time_that_makes_no_sense_is_none(developed: Develop, time: str) -> None:
    """As cameras write that were never set."""
    assert developed(taken(DateTimeOriginal=time)).inspected.camera is None


def test_a_long_name_is_cut(developed: Develop) -> None:
    """And nothing unprintable is told."""
    camera = developed(taken(Make="x" * 5_000, Model="\x1b[31mred\n")).inspected.camera
    assert camera == Camera(make="x" * 100, model="[31mred")


def test_where_it_was_taken_is_nobodys_business(developed: Develop) -> None:
    """The camera is told, the place is not."""
    inspected = developed(samples.located()).inspected
    assert inspected.camera == Camera(make="A camera of the tests")
    assert "52" not in repr(inspected)


def test_a_picture_that_tells_nothing_has_no_camera(developed: Develop) -> None:
    """Rather than one of nothing."""
    assert developed(samples.source()).inspected.camera is None
