"""Frames that paint a part of the canvas are put together as browsers do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from jobs.errors import ProblemCode, Rejection
from jobs.facts import NoteCode
from jobs.formats import SourceFormat
from jobs.imaging.animation import frame_count, pictures, read_patches
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
            for picture, _ in pictures(image, path, format_, read_patches(path, format_, 100)):
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
    """The first need not be as large as the canvas, and the only one neither."""
    source = make(Part(RED, CORNER), Part(GREEN, (0, 0, 4, 4)))
    assert look(source, SourceFormat(format_)) == [(solid(RED), NOTHING), (solid(GREEN), NOTHING)]
    assert look(make(Part(RED, CORNER)), SourceFormat(format_)) == [(solid(RED), NOTHING)]


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
        (gif(Part(RED), Part(BLUE, CORNER, disposal=2)), "RGB"),
        (gif(Part(RED, disposal=2), Part(BLUE)), "RGB"),
        (gif(Part(RED), Part(BLUE, CORNER, disposal=2), Part(GREEN, CORNER)), "RGBA"),
        (gif(Part(CLEAR), Part(BLUE)), "RGBA"),
    ],
)
def test_alpha_is_only_carried_where_it_is_needed(source: bytes, mode: str, tmp_path: Path) -> None:
    """It costs the encoders of variants more than a tenth."""
    path = tmp_path / "source"
    path.write_bytes(source)
    with open_image(path, SourceFormat.GIF, ONE) as image:
        frames = pictures(image, path, SourceFormat.GIF, read_patches(path, SourceFormat.GIF, 9))
        assert {picture.mode for picture, _ in frames} == {mode}


def test_grey_stays_grey(tmp_path: Path) -> None:
    """So that a profile for grey still fits it."""
    path = tmp_path / "source"
    frames = [Image.new("L", (16, 16), level) for level in (10, 200)]
    path.write_bytes(samples.saved(frames[0], "png", save_all=True, append_images=frames[1:]))
    with open_image(path, SourceFormat.PNG, ONE) as image:
        seen = pictures(image, path, SourceFormat.PNG, read_patches(path, SourceFormat.PNG, 9))
        assert [picture.mode for picture, _ in seen] == ["L", "L"]


@pytest.mark.parametrize("blend", [0, 1])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_blended_where_a_frame_asks_for_it(look: Look, mode: str, blend: int) -> None:
    """Else it replaces what was there."""
    ground = (200, 255) if mode == "LA" else (200, 200, 200, 255)
    veil = (0, 128) if mode == "LA" else (0, 0, 0, 128)
    frames = [Image.new(mode, (16, 16), colour) for colour in (ground, veil)]
    source = samples.saved(
        frames[0], "png", save_all=True, append_images=frames[1:], disposal=0, blend=blend, duration=100
    )
    (_, (upper, _)) = look(source, SourceFormat.PNG)
    assert upper == ((100, 100, 100, 255) if blend else (0, 0, 0, 130))  # to the nearest 5


def test_a_palette_is_that_of_every_frame(look: Look) -> None:
    """With the alpha of its entries."""
    frames = [Image.new("P", (16, 16), index) for index in (0, 1)]
    for frame in frames:
        frame.putpalette([*RED, *BLUE])
    source = samples.saved(
        frames[0], "png", save_all=True, append_images=frames[1:],
        disposal=0, blend=0, duration=100, transparency=bytes((255, 0)),
    )  # fmt: skip
    assert look(source, SourceFormat.PNG) == [(solid(RED), solid(RED)), (NOTHING, NOTHING)]


def test_the_only_frame_of_an_animation_counts(developed: Develop) -> None:
    """Not the picture that stands for it where animations are unknown."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    source = samples.saved(
        frames[0], "png", save_all=True, append_images=frames[1:], default_image=True, duration=100
    )
    made = developed(source)
    assert made.inspected.frame_count == 1
    colour = made.largest.convert("RGB").getpixel((4, 4))
    assert isinstance(colour, tuple)
    assert all(abs(a - b) < 8 for a, b in zip(colour, GREEN, strict=True))


def test_a_picture_that_only_says_it_moves_is_still(tmp_path: Path) -> None:
    """It has not one frame."""
    path = tmp_path / "source"
    path.write_bytes(samples.inserted(samples.source("png", 24, 16), (b"acTL", b"\0\0\x13\x88" + bytes(4))))
    with open_image(path, SourceFormat.PNG, ONE) as image:
        assert frame_count(image, SourceFormat.PNG, read_patches(path, SourceFormat.PNG, 100)) == 1


def test_a_png_whose_frame_leaves_the_canvas_is_damaged(developed: Develop) -> None:
    """Its specification forbids it."""
    with pytest.raises(Rejection) as refused:
        developed(apng(Part(RED), Part(BLUE, (8, 8, 40, 40))))
    assert refused.value.code is ProblemCode.DAMAGED_IMAGE


def test_frames_are_counted_and_not_believed(tmp_path: Path) -> None:
    """A PNG may announce more than it has."""
    path = tmp_path / "source"
    path.write_bytes(apng(Part(RED), Part(BLUE), announced=9))
    with open_image(path, SourceFormat.PNG, ONE) as image:
        assert frame_count(image, SourceFormat.PNG, read_patches(path, SourceFormat.PNG, 100)) == 2


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


def test_what_frames_paint_is_within_the_budget(developed: Develop) -> None:
    """However small the canvas: beyond it, the first stands for all."""
    ends = (0, 0, 5_000, 5_000)
    made = developed(gif(Part(RED), *(Part(BLUE, ends) for _ in range(10))))
    assert made.inspected.frame_count == 11
    assert [note.code for note in made.inspected.notes] == [NoteCode.FIRST_FRAME_ONLY]
    assert getattr(made.largest, "n_frames", 1) == 1


def test_what_every_frame_needs_is_kept_once(tmp_path: Path) -> None:
    """And not as often as a file repeats it; more of it than can be is refused."""
    path = tmp_path / "source"
    whole = apng(Part(RED), Part(BLUE))
    path.write_bytes(samples.inserted(whole, *[(b"tRNS", bytes(6))] * 50_000))
    patches = read_patches(path, SourceFormat.PNG, 100)
    assert max(len(patch.still(path.read_bytes())) for patch in patches) < 200
    path.write_bytes(samples.inserted(whole, (b"PLTE", bytes(771))))
    with pytest.raises(Rejection):
        read_patches(path, SourceFormat.PNG, 100)


@pytest.mark.parametrize("cut", [b"!", b"!\xf9", b",", b",\0\0\0\0\0\0\0"])
def test_a_gif_that_is_cut_off_between_its_frames_is_shown_as_far_as_it_goes(
    developed: Develop, cut: bytes
) -> None:
    """As browsers do."""
    source = gif(Part(RED), Part(BLUE))
    assert developed(source[:-1] + cut).inspected.frame_count == 2


@pytest.mark.parametrize("name", [b"NETSCAPE2.0", b"ANIMEXTS1.0"])
@pytest.mark.parametrize("at_end", [True, False])
def test_repetitions_are_found_wherever_they_stand(developed: Develop, name: bytes, at_end: bool) -> None:
    """Under either name."""
    source = gif(Part(RED), Part(BLUE))
    loop = b"!\xff\x0b" + name + b"\x03\x01\x02\x00\x00"
    source = source[:-1] + loop + b";" if at_end else source[:19] + loop + source[19:]
    with Image.open(developed(source).renditions[0].path) as picture:
        assert picture.info["loop"] == 3


def test_frames_of_a_webp_may_be_clear_though_it_says_it_is_opaque(look: Look) -> None:
    """Browsers believe the frames."""
    frames = [Image.new("RGBA", (16, 16), colour) for colour in ((*RED, 255), NOTHING)]
    source = bytearray(
        samples.saved(frames[0], "webp", save_all=True, append_images=frames[1:], lossless=True, exact=True)
    )
    source[20] &= ~0x10  # the flag that says there is alpha
    (_, (upper, _)) = look(bytes(source), SourceFormat.WEBP)
    assert upper == NOTHING
