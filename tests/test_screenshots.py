"""Pictures of the demo page with photographs on it: `make screenshots` takes those of README from here."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.async_api import Browser, expect

from jobs.settings import Settings
from tests.browser import SCREENSHOTS, visiting
from tests.system import System, running_system
from tests.test_demo import NOTES, is_live, is_seen

ROOT = Path(__file__).parent.parent
PHOTOGRAPHS = {
    "coffee.png": "coffee.png",
    "rocket.jpg": "launch.jpg",
    "chelsea.png": "cat.png",
    "astronaut.png": "astronaut.png",
    "hubble_deep_field.jpg": "galaxies.jpg",
}
LARGEST = 150_000  # bytes that a page of README may well load


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


@pytest.fixture
def photographs() -> list[tuple[str, str, bytes]]:
    """Some that everybody may show (CC0, or of NASA and SpaceX); scikit-image, for benchmarks, has them."""
    found = next(Path(sys.prefix, "bench").glob("lib/python*/site-packages/skimage/data"), None)
    if found is None:
        pytest.skip("the photographs come with what `make screenshots` and `make bench` install")
    return [
        (name, f"image/{Path(name).suffix[1:].replace('jpg', 'jpeg')}", (found / source).read_bytes())
        for source, name in PHOTOGRAPHS.items()
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_photographs_on_the_demo_page(
    system: System,
    browser: Browser,
    photographs: list[tuple[str, str, bytes]],
    scheme: Literal["light", "dark"],
) -> None:
    """Each is seen, with what is no picture beside them; on a wide screen and on a phone."""
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store, sharpness=2) as visit:
        page = visit.page
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size({"width": 800, "height": 800})
        await is_live(page)
        await page.screenshot(path=SCREENSHOTS / f"demo-empty-{scheme}.png")
        await visit.drop([*photographs, NOTES])
        await expect(page.locator("#summary")).to_have_text("5 of 6 pictures ready, 1 failed")
        for name in PHOTOGRAPHS.values():
            await is_seen(page, name)
        taken = SCREENSHOTS / f"demo-{scheme}.png"
        await page.screenshot(path=taken)
        with Image.open(taken) as screenshot:
            screenshot.convert("RGB").save(taken.with_suffix(".webp"), quality=75, method=6)
        assert taken.with_suffix(".webp").stat().st_size < LARGEST
        await page.get_by_role("button", name="Show coffee.png").click()
        await expect(page.get_by_role("dialog").get_by_role("link").first).to_be_visible()
        await page.screenshot(path=SCREENSHOTS / f"demo-details-{scheme}.png")
        await page.keyboard.press("Escape")
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.screenshot(path=SCREENSHOTS / f"demo-phone-{scheme}.png")
