"""The demo page in a browser, on the whole of Darkroom."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from jobs.clock import now
from jobs.consumer import run_consumer
from jobs.images import Move, Status
from jobs.ports import Services
from jobs.settings import Settings
from jobs.supervise import free_port
from tests.browser import visiting
from tests.records import an_image
from tests.system import System, running_beside, running_system, until, working
from tests.test_restarts import serving
from tests.test_system import a_photo, uploaded

PHOTO, GREY, NOTES = (
    ("photo.jpg", "image/jpeg", a_photo()),
    ("small.png", "image/png", a_photo(20, 10, "PNG")),
    ("notes.txt", "text/plain", b"no picture"),
)
AWAY = r"ERR_CONNECTION_REFUSED|WebSocket connection to .* failed"


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


def card(page: Page, name: str) -> Locator:
    """The card of a picture."""
    return page.locator("#pictures > li").filter(has=page.get_by_text(name, exact=True))


async def is_live(page: Page) -> None:
    """Wait until the page follows changes."""
    await expect(page.locator("#connection")).to_have_text("Live")


async def is_seen(page: Page, name: str) -> None:
    """Wait until a variant of the picture is on the screen."""
    picture = card(page, name).locator("img")
    await expect(picture).to_have_js_property("complete", value=True)
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


async def test_what_is_dropped_develops(system: System, browser: Browser) -> None:
    """It is followed before it is sent, told of in words if it is no picture, and there when one returns."""
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store) as visit:
        page = visit.page
        await expect(page.locator("#empty")).to_be_visible()
        await visit.drop([PHOTO, NOTES, GREY])
        await expect(page.locator("#summary")).to_have_text("2 of 3 pictures ready, 1 failed")
        await expect(card(page, "notes.txt")).to_contain_text("This content type is not taken")
        for name in ("photo.jpg", "small.png"):
            await is_seen(page, name)
        assert [message for message in visit.sent if message == "PUT" or "subscribe" in message][1:] == [
            "PUT"
        ] * 2
        await expect(page.locator("#announcements")).to_have_text("2 of 3 pictures ready, 1 failed")

        await page.reload()
        await is_seen(page, "photo.jpg")
        await expect(page.locator("#pictures > li")).to_have_count(2)
        await page.get_by_role("button", name="Show photo.jpg").click()
        dialog = page.get_by_role("dialog", name="photo.jpg")
        await expect(dialog.get_by_role("link")).to_have_text(["w320 webp", "w640 webp", "original jpeg"])
        await expect(dialog.locator("ol")).to_contain_text("Ready")
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_role("button", name="Show photo.jpg")).to_be_focused()


async def test_pictures_are_developed_again_and_deleted(system: System, browser: Browser) -> None:
    """By the keyboard alone; whoever has the page open elsewhere sees it too."""
    first = await uploaded(system, PHOTO[2])
    second = await uploaded(system, GREY[2], filename="small.png", contentType="image/png")
    store = str(system.services.settings.s3_endpoint)
    async with (
        visiting(browser, f"{system.url}/", also=store) as visit,
        visiting(browser, f"{system.url}/", also=store) as elsewhere,
    ):
        page = visit.page
        await is_live(elsewhere.page)
        await is_live(page)
        for name in ("photo.jpg", "small.png"):
            await is_seen(page, name)
        before = (await system.services.catalog.get_many([first], owner="local"))[first].version
        await page.get_by_role("button", name="Develop again: photo.jpg").focus()
        await page.keyboard.press("Enter")

        async def again() -> bool:
            image = (await system.services.catalog.get_many([first], owner="local"))[first]
            return image.version > before and image.status is Status.READY

        await until(again)
        await expect(card(page, "photo.jpg").locator(".state")).to_contain_text(re.compile("^500 . 400"))

        delete = card(page, "small.png").get_by_role("button", name=re.compile("^(Delete|Really)"))
        await delete.focus()
        await page.keyboard.press("Enter")
        await expect(delete).to_have_text("Really delete?")
        await page.keyboard.press("Enter")
        for each in (page, elsewhere.page):
            await expect(card(each, "small.png")).to_have_count(0)
        await expect(page.get_by_role("button", name="Develop again: photo.jpg")).to_be_focused()
        assert (await system.services.catalog.get_many([second], owner="local"))[
            second
        ].status is Status.DELETED


async def test_the_page_goes_on_when_the_api_is_replaced(services: Services, browser: Browser) -> None:
    """From the cursor of the last change that it heard of; what is dropped meanwhile waits."""
    settings, port = services.settings, free_port()
    url, store = f"http://127.0.0.1:{port}/", str(services.settings.s3_endpoint)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_beside(run_consumer(settings)))
        async with serving(services, port):
            visit = await stack.enter_async_context(visiting(browser, url, also=store, expected=AWAY))
            await is_live(visit.page)
            await visit.drop([PHOTO])
            await expect(card(visit.page, "photo.jpg")).to_contain_text("waiting to be developed")

            async def has_cursor() -> bool:
                return any('"cursor"' in text for text in visit.received)

            await until(has_cursor)
        await expect(visit.page.locator("#connection")).to_contain_text("Trying again")
        await visit.drop([GREY])
        await expect(card(visit.page, "small.png")).to_contain_text("Waiting to be sent")
        async with working(settings), serving(services, port):
            for name in ("photo.jpg", "small.png"):
                await is_seen(visit.page, name)
            await expect(visit.page.locator("#summary")).to_have_text("2 pictures ready")
            first, *others = [json.loads(text) for text in visit.sent if '"subscribe"' in text]
            assert first["payload"]["variables"] == {"after": None}
            assert others
            assert all(other["payload"]["variables"]["after"] for other in others)


async def test_what_changed_before_the_first_cursor_is_listed(services: Services, browser: Browser) -> None:
    """Who heard of nothing yet has nothing to go on from, and looks at all that is shown."""
    image, port = an_image(owner="local"), free_port()
    await services.catalog.add([image])
    async with AsyncExitStack() as stack:
        async with serving(services, port):
            url = f"http://127.0.0.1:{port}/"
            visit = await stack.enter_async_context(visiting(browser, url, expected=AWAY))
            await expect(card(visit.page, image.filename)).to_contain_text("Waiting for its file")
            await is_live(visit.page)
        await services.catalog.move(image.id, Move.ARRIVE, at=now())
        async with serving(services, port):
            await expect(card(visit.page, image.filename)).to_contain_text("waiting to be developed")


async def test_a_key_is_asked_for(settings: Settings, browser: Browser) -> None:
    """Until it is a known one; it is kept for as long as the tab is open, and no longer than one wishes."""
    keys = {"ann": hashlib.sha256(b"the key").hexdigest()}
    keyed = Settings.model_validate(settings.model_dump() | {"auth": "keys", "api_keys": keys})
    async with (
        running_system(keyed) as system,
        visiting(browser, f"{system.url}/", also=str(keyed.s3_endpoint)) as visit,
    ):
        page = visit.page
        field = page.get_by_label("API key or token")
        await expect(page.get_by_text("This server asks who you are.")).to_be_visible()
        await expect(field).to_be_focused()
        await expect(page.locator("#empty")).to_be_hidden()
        await field.fill("another key")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("This key is not known, or no longer.")).to_be_visible()
        await field.fill("Bearer the key")
        await page.keyboard.press("Enter")
        await is_live(page)
        await expect(field).to_be_hidden()
        await visit.drop([PHOTO])
        await is_seen(page, "photo.jpg")
        await page.reload()
        await is_seen(page, "photo.jpg")
        await page.get_by_role("button", name="Forget key").click()
        await expect(field).to_be_visible()
        await expect(page.locator("#pictures > li")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it(
    system: System, browser: Browser, node_modules: Path, scheme: Literal["light", "dark"]
) -> None:
    """No rule of axe-core is broken, in the dialog neither; and on a phone nothing juts out."""
    axe = (node_modules / "axe-core" / "axe.min.js").read_text()
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store) as visit:
        page = visit.page
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.evaluate(axe)
        assert await broken_rules(page) == []
        await visit.drop([PHOTO, NOTES])
        await is_seen(page, "photo.jpg")
        assert await broken_rules(page) == []
        await page.get_by_role("button", name="Show photo.jpg").click()
        await expect(page.get_by_role("dialog").get_by_role("link").first).to_be_visible()
        assert await broken_rules(page) == []
        await page.keyboard.press("Escape")
        await page.set_viewport_size({"width": 360, "height": 740})
        assert await page.evaluate("document.documentElement.scrollWidth") == 360
        assert await broken_rules(page) == []


async def broken_rules(page: Page) -> list[Any]:
    """What axe-core says of the page as it is."""
    broken: list[Any] = await page.evaluate(
        "async () => (await axe.run()).violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])"
    )
    return broken
