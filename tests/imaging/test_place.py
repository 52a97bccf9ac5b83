"""What of a picture a variant shows."""

import pytest
from PIL import Image, ImageDraw

from jobs.formats import AutoFormat, VariantFormat
from jobs.presets import Fit, Focus, Preset, VariantSpec
from tests.imaging import samples
from tests.imaging.conftest import Develop


def one(**fields: object) -> Preset:
    """A preset of one variant."""
    return Preset(variants=(VariantSpec(name="a", quality=95, **fields),))  # type: ignore[arg-type]


def colour_at(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    """With its alpha."""
    colour = image.convert("RGBA").getpixel((x, y))
    assert isinstance(colour, tuple)
    return colour


def alike(colour: tuple[int, ...], meant: tuple[int, ...]) -> bool:
    """But for what encoding does."""
    return all(abs(a - b) < 16 for a, b in zip(colour, meant, strict=False))


def test_what_juts_out_is_cut_off_at_both_sides(developed: Develop) -> None:
    """The middle stays: here the edges of the four corners."""
    made = developed(samples.source("png", 96, 48), one(width=24, height=24, fit=Fit.COVER)).largest
    assert made.size == (24, 24)
    assert alike(colour_at(made, 4, 4), samples.RED)
    assert alike(colour_at(made, 20, 4), samples.GREEN)


@pytest.mark.parametrize("left", [True, False])
def test_where_there_is_most_to_see_stays(developed: Develop, *, left: bool) -> None:
    """A fine pattern beside an empty wall, whichever side it is on."""
    image = Image.new("RGB", (300, 100), (120, 120, 120))
    draw = ImageDraw.Draw(image)
    begin = 10 if left else 200
    for x in range(begin, begin + 90, 3):
        for y in range(5, 95, 3):
            draw.point((x, y), fill=((x * 37) % 256, (y * 91) % 256, (x * y) % 256))
            draw.rectangle((x, y, x + 1, y + 1), fill=((x * 7) % 256,) * 3)
    source = samples.saved(image, "png")
    preset = one(width=100, height=100, fit=Fit.COVER, focus=Focus.ENTROPY)
    busy = developed(source, preset).largest.convert("L").entropy()
    middle = developed(source, one(width=100, height=100, fit=Fit.COVER)).largest.convert("L").entropy()
    assert busy > middle + 1


def test_a_contained_picture_lies_in_the_middle(developed: Develop) -> None:
    """Around it nothing is seen, or the background."""
    source = samples.flat(samples.RED, size=(80, 40))
    clear = developed(source, one(width=40, height=40, fit=Fit.CONTAIN)).largest
    assert clear.size == (40, 40)
    assert colour_at(clear, 20, 2)[3] == 0
    assert alike(colour_at(clear, 20, 20), (*samples.RED, 255))
    preset = one(width=40, height=40, fit=Fit.CONTAIN, background="#0000ff")
    filled = developed(source, preset).largest
    assert filled.mode == "RGB"
    assert alike(colour_at(filled, 20, 2), samples.BLUE)


@pytest.mark.parametrize(("background", "meant"), [(None, samples.WHITE), ("#00ff00", samples.GREEN)])
def test_a_jpeg_shows_a_ground_where_nothing_is(
    developed: Develop, background: str | None, meant: tuple[int, ...]
) -> None:
    """White, if no other was chosen."""
    preset = one(width=64, format=VariantFormat.JPEG, background=background)
    made = developed(samples.half_clear(), preset).largest
    assert made.format == "JPEG"
    assert alike(colour_at(made, 8, 32), meant)
    assert alike(colour_at(made, 56, 32), samples.BLUE)


@pytest.mark.parametrize(
    ("source", "format_"), [(samples.half_clear(), "PNG"), (samples.source("png"), "JPEG")]
)
def test_what_every_program_reads_is_chosen_by_the_picture(
    developed: Develop, source: bytes, format_: str
) -> None:
    """Only what can be seen through has to be a PNG."""
    assert developed(source, one(width=32, format=AutoFormat.AUTO)).largest.format == format_


@pytest.mark.parametrize("format_", list(VariantFormat))
def test_every_encoding_is_what_it_says(developed: Develop, format_: VariantFormat) -> None:
    """Its type, its name, its size, and the picture."""
    made = developed(samples.source("png", 192, 128), one(width=96, format=format_))
    (rendition,) = made.renditions
    assert rendition.format is format_
    assert rendition.path.name == f"a.{format_.value}"
    assert made.largest.format == format_.name
    assert made.largest.size == (96, 64)
    assert alike(colour_at(made.largest, 8, 8), samples.RED)


@pytest.mark.parametrize(
    "box", [{"width": 64}, {"width": 64, "height": 64, "fit": Fit.CONTAIN}, {"width": 20}]
)
def test_a_background_shows_through_wherever_it_is_asked_for(
    developed: Develop, box: dict[str, object]
) -> None:
    """Whether or not there is room around the picture, and in formats that could do without."""
    made = developed(samples.half_clear(), one(**box, background="#00ff00")).largest
    assert made.mode == "RGB"
    assert alike(colour_at(made, 3, made.height // 2), samples.GREEN)


def test_a_canvas_that_shows_is_seen_through(developed: Develop) -> None:
    """Around an opaque picture, unless it has a background."""
    box = {"width": 40, "height": 80, "fit": Fit.CONTAIN, "format": AutoFormat.AUTO}
    assert developed(samples.source("png"), one(**box)).largest.format == "PNG"
    assert developed(samples.source("png"), one(**box, background="#000000")).largest.format == "JPEG"
