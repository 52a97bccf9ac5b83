"""What is painted before anything else."""

import base64

import pytest
from fast_thumbhash import thumb_hash_to_rgba
from PIL import Image

from jobs.imaging.placeholder import placeholder
from tests.imaging import samples


def _painted(image: Image.Image) -> Image.Image:
    width, height, rgba = thumb_hash_to_rgba(base64.b64decode(placeholder(image).thumbhash))
    return Image.frombytes("RGBA", (width, height), bytes(rgba))


def test_it_looks_like_the_picture() -> None:
    """The quarters of the thumbhash lean to the colors of the picture's quarters."""
    painted = _painted(samples.picture(900, 600))
    assert painted.width > painted.height
    for at, color in enumerate(samples.CORNERS):
        place = (
            painted.width // 4 + painted.width // 2 * (at % 2),
            painted.height // 4 + painted.height // 2 * (at // 2),
        )
        seen = painted.getpixel(place)
        assert isinstance(seen, tuple)
        assert all(abs(a - b) < 110 for a, b in zip(seen, color, strict=False))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 1), (1, 200), (5000, 1), (100, 100), (101, 99)])
def test_it_has_the_color_of_a_plain_picture(size: tuple[int, int]) -> None:
    """However small or narrow that is."""
    made = placeholder(Image.new("RGB", size, (200, 60, 40)))
    assert made.dominant_color == "#c83c28"
    seen = (
        _painted(Image.new("RGB", size, (200, 60, 40))).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    )
    assert isinstance(seen, tuple)
    assert all(abs(a - b) < 16 for a, b in zip(seen, (200, 60, 40, 255), strict=True))


def test_what_cannot_be_seen_does_not_count() -> None:
    """The dominant color is that of the visible pixels."""
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    image.paste((0, 128, 0, 255), (0, 0, 60, 20))
    assert placeholder(image).dominant_color == "#008000"


def test_a_picture_of_nothing_has_a_placeholder() -> None:
    """Wholly transparent, and yet described."""
    assert placeholder(Image.new("RGBA", (9, 9), (0, 0, 0, 0))).dominant_color == "#ffffff"
