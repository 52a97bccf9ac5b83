"""Frames that paint a part of the canvas are put together as browsers do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from jobs.errors import ProblemCode, Rejection
from jobs.formats import SourceFormat
from jobs.imaging.animation import frame_count, pictures
from jobs.imaging.decode import open_image
from jobs.presets import Preset, VariantSpec
from tests.imaging import samples
from tests.imaging.conftest import ONE, Develop
from tests.imaging.reels import CLEAR, Part, apng, gif, webp
from tests.imaging.samples import BLUE, GREEN, RED

NOTHING = (0, 0, 0, 0)
CORNER = (0, 0, 8, 8)
Look = Callable[..., list[tuple[tuple[int, ...], tuple[int, ...]]]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """What is seen in the upper left and the lower right corner of each frame."""

    def run(source: bytes, format_: SourceFormat) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        path = tmp_path / "source"
        path.write_bytes(source)
        with open_image(path, format_, ONE) as image:
            seen = []
            for picture, _ in pictures(image, path, format_):
                corners = []
                for at in ((2, 2), (13, 13)):
                    colour = picture.convert("RGBA").getpixel(at)
                    assert isinstance(colour, tuple)
                    corners.append(NOTHING if colour[3] == 0 else tuple(round(x / 5) * 5 for x in colour))
                seen.append((corners[0], corners[1]))
            return seen

    return run


def solid(colour: tuple[int, int, int]) -> tuple[int, ...]:
    """Nothing can be seen through it."""
    return (*colour, 255)


@pytest.mark.parametrize(("make", "format_"), [(gif, "gif"), (apng, "png"), (webp, "webp")])
def test_what_is_cleared_is_clear(look: Look, make: Callable[..., bytes], format_: str) -> None:
    """Even where no pixel of the file is, and it names a background."""
    source = make(Part(RED), Part(GREEN, CORNER, disposal=2), Part(BLUE, (8, 8, 16, 16)))
    assert look(source, SourceFormat(format_)) == [
        (solid(RED), solid(RED)),
        (solid(GREEN), solid(RED)),
        (NOTHING, solid(BLUE)),
    ]


@pytest.mark.parametrize(("make", "format_"), [(gif, "gif"), (apng, "png")])
def test_what_was_there_comes_back(look: Look, make: Callable[..., bytes], format_: str) -> None:
    """After a frame that asks for it."""
    source = make(Part(RED), Part(GREEN, CORNER, disposal=3), Part(BLUE, (8, 8, 16, 16)))
    assert look(source, SourceFormat(format_)) == [
        (solid(RED), solid(RED)),
        (solid(GREEN), solid(RED)),
        (solid(RED), solid(BLUE)),
    ]


@pytest.mark.parametrize(("make", "format_"), [(gif, "gif"), (apng, "png")])
def test_before_the_first_there_was_nothing(look: Look, make: Callable[..., bytes], format_: str) -> None:
    """It is what comes back after it."""
    source = make(Part(RED, disposal=3), Part(BLUE, CORNER))
    assert look(source, SourceFormat(format_)) == [(solid(RED), solid(RED)), (solid(BLUE), NOTHING)]


@pytest.mark.parametrize(("make", "format_"), [(gif, "gif"), (webp, "webp")])
def test_what_no_frame_covers_is_clear(look: Look, make: Callable[..., bytes], format_: str) -> None:
    """The first need not be as large as the canvas."""
    source = make(Part(RED, CORNER), Part(GREEN, (0, 0, 4, 4)))
    assert look(source, SourceFormat(format_)) == [(solid(RED), NOTHING), (solid(GREEN), NOTHING)]


def test_a_still_gif_need_not_fill_its_canvas(look: Look, developed: Develop) -> None:
    """What it leaves is clear."""
    source = gif(Part(RED, (8, 8, 16, 16)))
    assert look(source, SourceFormat.GIF) == [(NOTHING, solid(RED))]
    assert developed(source).largest.convert("RGBA").getchannel("A").getextrema() == (0, 255)


def test_a_frame_beyond_the_canvas_is_cut_off(look: Look, developed: Develop) -> None:
    """The canvas stays as large as it was."""
    source = gif(Part(RED), Part(BLUE, (8, 8, 40, 40)), Part(GREEN, (30, 30, 40, 40), disposal=2))
    assert look(source, SourceFormat.GIF) == [
        (solid(RED), solid(RED)),
        (solid(RED), solid(BLUE)),
        (solid(RED), solid(BLUE)),
    ]
    made = developed(source)
    assert (made.inspected.width, made.inspected.height) == (16, 16)


def test_a_clear_pixel_of_a_gif_leaves_what_is_below(look: Look) -> None:
    """It is how their encoders say that nothing changed."""
    source = gif(Part(RED), Part(CLEAR), Part(BLUE, CORNER))
    assert look(source, SourceFormat.GIF)[1:] == [(solid(RED), solid(RED)), (solid(BLUE), solid(RED))]


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        (gif(Part(RED), Part(CLEAR), Part(BLUE, CORNER, disposal=3)), "RGB"),
        (gif(Part(RED), Part(BLUE, CORNER, disposal=2)), "RGBA"),
        (gif(Part(CLEAR), Part(BLUE)), "RGBA"),
    ],
)
def test_alpha_is_only_carried_where_it_is_needed(source: bytes, mode: str, tmp_path: Path) -> None:
    """It costs the encoders of variants more than a tenth."""
    path = tmp_path / "source"
    path.write_bytes(source)
    with open_image(path, SourceFormat.GIF, ONE) as image:
        assert {picture.mode for picture, _ in pictures(image, path, SourceFormat.GIF)} == {mode}


def test_grey_stays_grey(tmp_path: Path) -> None:
    """So that a profile for grey still fits it."""
    path = tmp_path / "source"
    frames = [Image.new("L", (16, 16), level) for level in (10, 200)]
    path.write_bytes(samples.saved(frames[0], "png", save_all=True, append_images=frames[1:]))
    with open_image(path, SourceFormat.PNG, ONE) as image:
        assert [picture.mode for picture, _ in pictures(image, path, SourceFormat.PNG)] == ["L", "L"]


def test_frames_are_counted_and_not_believed(tmp_path: Path) -> None:
    """A PNG may announce more than it has."""
    path = tmp_path / "source"
    path.write_bytes(apng(Part(RED), Part(BLUE), announced=9))
    with open_image(path, SourceFormat.PNG, ONE) as image:
        assert frame_count(image, path, SourceFormat.PNG, 100) == 2


def test_a_file_that_ends_within_a_frame_is_damaged(developed: Develop) -> None:
    """Whatever came before."""
    frames = [Image.effect_noise((64, 64), 90).convert("P") for _ in range(3)]
    source = samples.saved(frames[0], "gif", save_all=True, append_images=frames[1:])
    with pytest.raises(Rejection) as refused:
        developed(source[:-1_000])
    assert refused.value.code is ProblemCode.DAMAGED_IMAGE


@pytest.mark.parametrize("ending", [b"", b"\x00\x00;", b";PK\x03\x04 and more"])
def test_what_stands_behind_the_frames_does_not_matter(developed: Develop, ending: bytes) -> None:
    """Files without an end, and with more than one, are shown everywhere."""
    source = gif(Part(RED), Part(BLUE))
    assert developed(source[:-1] + ending).inspected.frame_count == 2


def test_frames_that_stay_for_hours_can_be_encoded(developed: Develop) -> None:
    """All of them together must fit into what encoders count with."""
    frames = [Image.new("RGB", (4, 4), (at, 0, 0)) for at in range(200)]
    source = samples.saved(frames[0], "png", save_all=True, append_images=frames[1:], duration=65_535_000.0)
    preset = Preset(variants=(VariantSpec(name="a", width=4),))
    assert developed(source, preset).inspected.frame_count == 200
