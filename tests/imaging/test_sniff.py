"""A file is what its first bytes say."""

import pytest
from PIL import Image

from jobs.errors import ProblemCode, Rejection
from jobs.formats import EVERYDAY, SourceFormat
from jobs.imaging.sniff import sniff
from tests.imaging import samples


@pytest.mark.parametrize("format_", samples.FORMATS)
def test_every_format_that_is_developed_is_known(format_: str) -> None:
    """By what an encoder writes, without a name."""
    found = sniff(samples.source(format_), EVERYDAY)
    assert found == format_
    assert found.content_type == f"image/{format_}"


@pytest.mark.parametrize(
    ("head", "format_"),
    [
        (samples.saved(Image.new("RGB", (8, 8)), "tiff"), SourceFormat.TIFF),
        (b"MM\0+\0\x08\0\0", SourceFormat.TIFF),
        (samples.saved(Image.new("RGB", (8, 8)), "bmp"), SourceFormat.BMP),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", SourceFormat.HEIC),
    ],
)
def test_some_formats_are_taken_where_a_setting_says_so(head: bytes, format_: SourceFormat) -> None:
    """And named where it does not."""
    assert sniff(head, {format_}) is format_
    with pytest.raises(Rejection, match=format_.name) as refused:
        sniff(head, EVERYDAY)
    assert refused.value.code is ProblemCode.UNSUPPORTED_TYPE


@pytest.mark.parametrize(
    "head",
    [
        *(samples.saved(Image.new("RGB", (8, 8)), kind) for kind in ("tiff", "bmp", "ico", "jpeg2000")),
        b"II+\0\x08\0\0\0",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"8BPS\0\x01",
        b"\xff\x0a\xfa\x7f",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<?xml version="1.0"?>\n<!-- drawn by hand -->\n<svg/>',
        b"<!-- drawn by hand --><svg/>",
    ],
)
def test_an_image_of_another_type_is_told_so(head: bytes) -> None:
    """It is an image, and still not for us."""
    with pytest.raises(Rejection) as refused:
        sniff(head, EVERYDAY)
    assert refused.value.code is ProblemCode.UNSUPPORTED_TYPE


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BMW builds cars and motorcycles in Munich.",
        b"this is text",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"<!doctype html><html><svg/></html>",
        b"\xff\xd8",
    ],
)
def test_everything_else_is_no_image(head: bytes) -> None:
    """Text, archives, films, sound, pages."""
    with pytest.raises(Rejection) as refused:
        sniff(head, EVERYDAY)
    assert refused.value.code is ProblemCode.NOT_AN_IMAGE
