"""Animations stay animated: every frame, for as long, as often."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence

from jobs.formats import SourceFormat, VariantFormat
from jobs.imaging.animation import Frames, pictures, read_patches
from jobs.imaging.decode import open_image
from jobs.presets import Fit, Kept, Preset, VariantSpec
from tests.imaging import samples
from tests.imaging.conftest import ONE, Develop
from tests.imaging.profiles import rgb_profile

COLOURS = [(255, 0, 0), (0, 200, 0), (0, 0, 255), (250, 250, 0)]
TIMES = [120, 40, 300, 70]


def moving(format_: str, *, loop: int = 0, size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """`COLOURS`, one after the other, for `TIMES`."""
    frames = [Image.new("RGB", size, colour) for colour in COLOURS]
    if format_ == "webp":
        options |= {"lossless": True}
    if format_ == "avif":
        options |= {"quality": 95}
    else:
        options |= {"loop": loop}
    return samples.saved(
        frames[0], format_, save_all=True, append_images=frames[1:], duration=TIMES, **options
    )


def seen(picture: Image.Image) -> list[tuple[int, tuple[int, ...]]]:
    """How long each frame is shown, and its colour in the middle."""
    frames = []
    for frame in ImageSequence.Iterator(picture):
        frame.load()
        colour = frame.convert("RGB").getpixel((frame.width // 2, frame.height // 2))
        assert isinstance(colour, tuple)
        frames.append((round(frame.info["duration"]), colour))
    return frames


@pytest.mark.parametrize("format_", ["gif", "webp", "png", "avif"])
@pytest.mark.parametrize("variant", [VariantFormat.WEBP, VariantFormat.AVIF])
def test_every_frame_is_shown_for_as_long(developed: Develop, format_: str, variant: VariantFormat) -> None:
    """In either format that can move, from every format that does."""
    preset = Preset(variants=(VariantSpec(name="a", width=32, format=variant, quality=90),))
    made = developed(moving(format_), preset)
    assert made.inspected.frame_count == 4
    assert made.inspected.notes == ()
    with Image.open(made.renditions[0].path) as picture:
        assert picture.size == (32, 24)
        frames = seen(picture)
    assert [time for time, _ in frames] == TIMES
    for (_, colour), meant in zip(frames, COLOURS, strict=True):
        assert all(abs(a - b) < 24 for a, b in zip(colour, meant, strict=True))


@pytest.mark.parametrize(
    ("format_", "said", "shown"),
    [("gif", 0, 0), ("gif", 2, 3), ("webp", 0, 0), ("webp", 2, 2), ("png", 2, 2)],
)
def test_it_is_repeated_as_often(developed: Develop, format_: str, said: int, shown: int) -> None:
    """A GIF says how often it is repeated, the others how often it is shown; 0 is for ever."""
    made = developed(moving(format_, loop=said))
    with Image.open(made.renditions[0].path) as picture:
        assert picture.info["loop"] == shown


def test_a_gif_that_does_not_loop_is_shown_once(developed: Develop) -> None:
    """It has no word for it."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in COLOURS]
    source = samples.saved(frames[0], "gif", save_all=True, append_images=frames[1:], duration=50)
    with Image.open(developed(source).renditions[0].path) as picture:
        assert picture.info["loop"] == 1


def test_frames_that_cover_a_part_are_put_together(developed: Develop) -> None:
    """What a frame leaves as it was stays; what is to be cleared after it is clear."""
    ground = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    patch = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    patch.paste((0, 0, 255, 255), (16, 16, 48, 48))
    source = samples.saved(
        ground, "gif", save_all=True, append_images=[patch, patch], duration=100, loop=0, disposal=[1, 2, 1]
    )
    with Image.open(io.BytesIO(source)) as picture:
        expected = [
            frame.convert("RGBA").resize((1, 1), box=(0, 0, 8, 8)).getpixel((0, 0))
            for frame in ImageSequence.Iterator(picture)
        ]
    with Image.open(developed(source).renditions[0].path) as picture:
        corners = [
            frame.convert("RGBA").resize((1, 1), box=(0, 0, 8, 8)).getpixel((0, 0))
            for frame in ImageSequence.Iterator(picture)
        ]
    assert len(corners) == len(expected)
    for corner, meant in zip(corners, expected, strict=True):
        assert isinstance(corner, tuple)
        assert isinstance(meant, tuple)
        assert abs(corner[3] - meant[3]) < 8
        assert meant[3] == 0 or all(abs(a - b) < 16 for a, b in zip(corner, meant, strict=True))


@pytest.mark.parametrize("format_", ["gif", "png", "webp"])
@pytest.mark.parametrize("duration", [0, 10])
def test_hasty_animations_go_as_browsers_let_them(developed: Develop, format_: str, duration: int) -> None:
    """A tenth of a second for each frame that asks for no more than a hundredth."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in COLOURS]
    source = samples.saved(
        frames[0], format_, save_all=True, append_images=frames[1:], duration=duration, loop=0
    )
    with Image.open(developed(source).renditions[0].path) as picture:
        assert [time for time, _ in seen(picture)] == [100] * 4


def test_the_picture_that_stands_for_an_animation_is_no_frame_of_it(developed: Develop) -> None:
    """A PNG may have one, for programs that know no animation."""
    source = moving("png", default_image=True)
    made = developed(source)
    assert made.inspected.frame_count == 3
    with Image.open(made.renditions[0].path) as picture:
        assert [time for time, _ in seen(picture)] == TIMES[:3]


def test_formats_that_cannot_move_show_the_first_frame(developed: Develop) -> None:
    """Beside those that can."""
    spec = VariantSpec(name="a", width=32, format=(VariantFormat.WEBP, VariantFormat.JPEG, VariantFormat.PNG))
    made = developed(moving("gif"), Preset(variants=(spec,)))
    assert getattr(made.opened("a.webp"), "n_frames", 1) == 4
    for name in ("a.jpeg", "a.png"):
        still = made.opened(name)
        assert getattr(still, "n_frames", 1) == 1
        colour = still.convert("RGB").getpixel((16, 12))
        assert isinstance(colour, tuple)
        assert all(abs(a - b) < 8 for a, b in zip(colour, COLOURS[0], strict=True))


def test_every_frame_is_cut_alike(developed: Develop) -> None:
    """To the shape of the variant."""
    spec = VariantSpec(name="a", width=20, height=20, fit=Fit.COVER)
    with Image.open(developed(moving("gif"), Preset(variants=(spec,))).renditions[0].path) as picture:
        assert picture.size == (20, 20)
        assert len(seen(picture)) == 4


def test_no_more_than_a_frame_is_kept_in_memory(tmp_path: Path) -> None:
    """Each is made when it is asked for, once, and in order."""
    path = tmp_path / "source"
    path.write_bytes(moving("gif"))
    made: list[Image.Image] = []

    def developed(frame: Image.Image) -> Image.Image:
        made.append(frame.convert("RGB"))
        return made[-1]

    patches = read_patches(path, SourceFormat.GIF, 4)
    with open_image(path, SourceFormat.GIF, ONE) as source:
        frames = Frames(pictures(source, path, SourceFormat.GIF, patches), 4, developed)
        assert (len(made), frames.durations) == (1, TIMES[:1])
        for frame in (0, 1, 1, 2, 0, 3):
            frames.seek(frame)
        assert len(made) == 4
        assert frames.durations == TIMES
        assert frames.im is made[-1].im


@pytest.mark.parametrize(("format_", "said"), [("gif", 65_535), ("png", 2**31)])
def test_what_a_webp_cannot_say_is_said_as_far_as_it_can(developed: Develop, format_: str, said: int) -> None:
    """An animation is not refused for the number of its repetitions."""
    with Image.open(developed(moving(format_, loop=said)).renditions[0].path) as picture:
        assert picture.info["loop"] == 65_535


def test_a_frame_can_be_clear_where_the_first_is_not(developed: Develop) -> None:
    """A colour that stands for clear need not be in every frame."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    source = samples.saved(
        frames[0], "png", save_all=True, append_images=frames[1:], duration=100, transparency=(0, 255, 0)
    )
    with Image.open(developed(source).renditions[0].path) as picture:
        shown = [frame.convert("RGBA").getchannel("A") for frame in ImageSequence.Iterator(picture)]
    assert [alpha.getextrema() for alpha in shown] == [(255, 255), (0, 0)]


def test_an_animation_keeps_what_it_is_asked_to(developed: Develop) -> None:
    """Its own colours, and their profile."""
    icc = rgb_profile()
    preset = Preset(variants=(VariantSpec(name="a", width=32),), keep=(Kept.ICC,))
    with Image.open(developed(moving("webp", icc_profile=icc), preset).renditions[0].path) as picture:
        assert picture.info["icc_profile"] == icc
