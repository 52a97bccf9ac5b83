"""The page's own thumbhashes, beside those of the library that made them."""

import base64
import random

import pytest
from fast_thumbhash import thumb_hash_to_rgba
from PIL import Image
from playwright.async_api import Browser

from jobs.imaging.placeholder import placeholder
from tests.browser import visiting
from tests.system import System

DECODE = """
async hash => {
  const { decodeThumbhash } = await import("/static/demo/thumbhash.js");
  const { width, height, data } = decodeThumbhash(hash);
  return [width, height, [...data]];
}
"""


def a_picture(width: int, height: int, mode: str) -> Image.Image:
    """Some colours that flow into each other, transparent in places if it has alpha."""
    chance = random.Random(width * height)  # noqa: S311 - not for secrets
    few = Image.new("RGBA", (4, 3))
    for place in range(12):
        few.putpixel((place % 4, place // 4), tuple(chance.randrange(256) for _ in range(4)))
    return few.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(100, 60), (60, 100), (90, 90), (100, 10)])
async def test_the_page_paints_what_was_hashed(
    api: System, browser: Browser, size: tuple[int, int], mode: str
) -> None:
    """Every pixel, but for what rounding does."""
    thumbhash = placeholder(a_picture(*size, mode)).thumbhash
    async with visiting(browser, f"{api.url}/") as visit:
        *painted_size, painted = await visit.page.evaluate(DECODE, thumbhash)
    *expected_size, expected = thumb_hash_to_rgba(base64.b64decode(thumbhash))
    assert painted_size == expected_size
    assert max(abs(one - other) for one, other in zip(painted, expected, strict=True)) <= 1
