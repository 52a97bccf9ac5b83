"""Pictures that look alike have fingerprints that are alike."""

import io

import pytest
from PIL import Image, ImageEnhance

from jobs.imaging.fingerprint import fingerprint
from tests.imaging import samples


def photo() -> Image.Image:
    """A picture with much to see."""
    with Image.open(io.BytesIO(samples.photo(400, 300))) as image:
        return image.convert("RGB")


def apart(one: Image.Image, other: Image.Image) -> int:
    """How many bits differ."""
    return (int(fingerprint(one), 16) ^ int(fingerprint(other), 16)).bit_count()


def test_it_has_64_bits() -> None:
    """As 16 hexadecimal digits."""
    assert len(fingerprint(photo())) == 16
    assert fingerprint(Image.new("RGB", (1, 1))) == "0" * 16


def test_size_encoding_and_brightness_do_not_matter() -> None:
    """A few bits at the most."""
    image = photo()
    again = io.BytesIO(samples.saved(image, "jpeg", quality=30))
    assert apart(image, image.resize((123, 77))) <= 5
    assert apart(image, Image.open(again).convert("RGB")) <= 5
    assert apart(image, ImageEnhance.Brightness(image).enhance(0.8)) <= 5


@pytest.mark.parametrize("turn", [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180])
def test_another_picture_is_another(turn: Image.Transpose) -> None:
    """A mirror image is one."""
    assert apart(photo(), photo().transpose(turn)) > 10


def test_what_cannot_be_seen_does_not_matter() -> None:
    """Colours behind nothing count as paper."""
    clear, other = Image.new("RGBA", (64, 64), (255, 0, 0, 0)), Image.new("RGBA", (64, 64), (0, 0, 255, 0))
    assert fingerprint(clear) == fingerprint(other)
