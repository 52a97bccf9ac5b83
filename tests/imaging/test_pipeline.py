"""From a file to its variants."""

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from jobs.errors import ProblemCode, Rejection
from jobs.facts import NoteCode
from jobs.formats import EVERYDAY, SourceFormat, VariantFormat
from jobs.imaging.messages import RenditionMade
from jobs.imaging.pipeline import develop
from jobs.imaging.pool import DevelopingPool
from jobs.presets import DEFAULT_PRESET, Fit, Kept, Preset, VariantSpec
from tests.imaging import samples
from tests.imaging.conftest import ONE, Develop, address_space
from tests.imaging.profiles import grey_profile, odd_cmyk_profile, rgb_profile


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
        with Image.open(rendition.path) as image:
            assert image.format == "WEBP"
            assert image.size == (rendition.width, rendition.height)


def test_a_file_is_complete_when_it_is_told_of(tmp_path: Path) -> None:
    """Whoever hears of it may read it."""
    path = tmp_path / "source"
    path.write_bytes(samples.source("png", 1000, 500))
    for message in develop(path, DEFAULT_PRESET, EVERYDAY, tmp_path):
        if isinstance(message, RenditionMade):
            with Image.open(tmp_path / message.filename) as image:
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
@pytest.mark.parametrize("width", [4096, 32])
def test_metadata_stays_behind(developed: Develop, format_: str, width: int) -> None:
    """Nobody learns from a variant where it was taken, whatever its encoding, made smaller or not."""
    source = samples.located(format_)
    made = developed(source, in_every_format(width))
    assert len(made.renditions) == len(VariantFormat)
    for rendition in made.renditions:
        content = rendition.path.read_bytes()
        assert not any(
            chunk in content for chunk in (b"EXIF", b"Exif\0", b"XMP ", b"ICCP", b"camera", b"adobe", b"GPS")
        )
        with Image.open(rendition.path) as image:
            assert not image.getexif()
            assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)


def in_every_format(width: int, *keep: Kept) -> Preset:
    """One size, in every encoding there is."""
    spec = VariantSpec(name="a", width=width, format=tuple(VariantFormat), quality=95)
    return Preset(variants=(spec,), keep=keep)


@pytest.mark.parametrize("width", [4096, 32])
def test_a_profile_is_kept_where_it_is_asked_for(developed: Develop, width: int) -> None:
    """The numbers are the source's own then, and the profile says what they mean."""
    icc = rgb_profile()
    made = developed(samples.flat((200, 120, 80), icc_profile=icc), in_every_format(width, Kept.ICC))
    for rendition in made.renditions:
        image = made.opened(rendition.path.name)
        assert image.info["icc_profile"] == icc
        assert "exif" not in image.info
        color = image.convert("RGB").getpixel((16, 16))
        assert isinstance(color, tuple)
        assert all(abs(a - b) < 6 for a, b in zip(color, (200, 120, 80), strict=True))


def test_xmp_is_kept_where_it_is_asked_for(developed: Develop) -> None:
    """In every encoding; EXIF, with its place, never is."""
    made = developed(samples.located(), in_every_format(4096, Kept.XMP))
    for rendition in made.renditions:
        content = rendition.path.read_bytes()
        assert b"adobe:ns:meta" in content
        assert b"A camera of the tests" not in content


@pytest.mark.parametrize("format_", ["tiff", "bmp", "heif"])
def test_some_formats_are_developed_where_a_setting_says_so(developed: Develop, format_: str) -> None:
    """As faithfully as the others."""
    pillow_heif.register_heif_opener()
    source = samples.saved(samples.picture(), format_)
    made = developed(source, accepted=tuple(SourceFormat))
    assert made.inspected.content_type == f"image/{format_.replace('heif', 'heic')}"
    assert made.largest.size == (96, 64)
    assert _are_the_corners(made.largest, within=40)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["tiff", "heif"])
def test_their_orientations_are_applied_too(developed: Develop, orientation: int, format_: str) -> None:
    """Once, though their decoders turn them already."""
    pillow_heif.register_heif_opener()
    made = developed(samples.oriented(orientation, format_), accepted=tuple(SourceFormat))
    assert (made.inspected.width, made.inspected.height) == (96, 64)
    assert _are_the_corners(made.largest, within=60)


def test_the_first_page_of_several_is_developed(developed: Develop) -> None:
    """Pages are no frames."""
    second = Image.new("RGB", (96, 64), "black")
    source = samples.saved(samples.picture(), "tiff", save_all=True, append_images=[second])
    made = developed(source, accepted=(SourceFormat.TIFF,))
    assert (made.inspected.frame_count, made.inspected.notes) == (1, ())
    assert _are_the_corners(made.largest)


@pytest.mark.parametrize("format_", ["gif", "webp", "png", "avif"])
@pytest.mark.parametrize("limits", [{"animated": False}, {"max_animated_pixels": 2 * 3 * 64 * 64 - 1}])
def test_an_animation_beyond_its_budget_is_represented_by_its_first_frame(
    developed: Develop, format_: str, limits: dict[str, int]
) -> None:
    """Its frames are counted, and a note tells."""
    made = developed(samples.animation(format_), replace(ONE, **limits))  # type: ignore[arg-type]
    assert made.inspected.frame_count == 3
    assert [note.code for note in made.inspected.notes] == [NoteCode.FIRST_FRAME_ONLY]
    assert getattr(made.largest, "n_frames", 1) == 1
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


@pytest.mark.parametrize(
    "icc", [b"no profile at all", grey_profile(), odd_cmyk_profile(), rgb_profile() + bytes(300 * 1024)]
)
def test_only_a_profile_is_kept_as_one(developed: Develop, icc: bytes) -> None:
    """Neither what is none, nor one for other colours, nor a large one."""
    made = developed(samples.flat((200, 120, 80), icc_profile=icc), in_every_format(32, Kept.ICC))
    for rendition in made.renditions:
        assert "icc_profile" not in made.opened(rendition.path.name).info


def test_too_much_xmp_is_not_kept(developed: Develop) -> None:
    """No more than every encoding can hold."""
    source = samples.saved(samples.picture(), "webp", xmp=b"x" * 70_000)
    made = developed(source, in_every_format(32, Kept.XMP))
    assert all(rendition.path.stat().st_size < 10_000 for rendition in made.renditions)


async def test_what_cannot_be_encoded_is_too_costly(tmp_path: Path) -> None:
    """Not our fault, and not tried again."""
    box = {"width": 5_000, "height": 5_000, "fit": Fit.CONTAIN}
    spec = VariantSpec(name="a", **box)  # type: ignore[arg-type]
    path = tmp_path / "source"
    path.write_bytes(samples.source("png"))
    async with DevelopingPool(1, cpu_seconds=20, wall_seconds=60, memory=address_space() + 2**26) as pool:
        before = pool.pids
        with pytest.raises(Rejection) as error:
            async with aclosing(pool.develop(path, Preset(variants=(spec,)), tmp_path)) as messages:
                [message async for message in messages]
        assert error.value.code is ProblemCode.TOO_COSTLY
        assert pool.pids == before
