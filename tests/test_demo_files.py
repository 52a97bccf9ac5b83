"""The ways of files into the demo page, and from there into the store."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, Route, expect

from jobs.consumer import run_consumer
from jobs.ports import Services
from jobs.settings import Settings
from jobs.supervise import free_port
from tests.browser import visiting
from tests.imaging import samples
from tests.system import System, running_beside, running_system, working
from tests.test_demo import AWAY, GREY, PHOTO, card, is_live, is_seen
from tests.test_restarts import serving


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


async def test_what_is_pasted_develops(system: System, browser: Browser) -> None:
    """A picture from the clipboard has no file, but a name that the browser gives it."""
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store) as visit:
        await is_live(visit.page)
        await visit.paste(GREY[2])
        await is_seen(visit.page, "image.png")


async def test_a_folder_is_dropped(system: System, browser: Browser, tmp_path: Path) -> None:
    """All in it, and in the folders below, but nothing that is hidden; with a file beside it."""
    beside, folder = tmp_path / "beside.jpg", tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    for path in (beside, folder / "first.jpg", folder / "below" / "second.jpg", folder / ".hidden.jpg"):
        path.write_bytes(PHOTO[2])
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store) as visit:
        await is_live(visit.page)
        await visit.drop_paths(folder, beside)
        await expect(visit.page.locator("#summary")).to_have_text("3 pictures ready")
        names = await visit.page.locator("#pictures .name").all_inner_texts()
        assert sorted(names) == ["beside.jpg", "first.jpg", "second.jpg"]


async def test_progress_is_painted_while_the_bytes_go(system: System, browser: Browser) -> None:
    """On a line that takes ten seconds for them, as long as it is that poor."""
    body = samples.saved(Image.effect_noise((512, 512), 100), "png")
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store) as visit:
        page = visit.page
        await is_live(page)
        await visit.slow_down(len(body) // 10)
        await visit.drop([("noise.png", "image/png", body)])
        await expect(card(page, "noise.png").locator(".state")).to_have_text(
            re.compile(r"^Sending · [1-9]\d? %$")
        )
        assert 0 < await page.locator("progress").evaluate("bar => bar.value") < 100
        await visit.slow_down(-1)
        await is_seen(page, "noise.png")
        await expect(page.locator("progress")).to_be_hidden()


async def test_an_upload_goes_on_when_the_api_is_replaced(services: Services, browser: Browser) -> None:
    """The bytes go to the store, whether there is an API or not, and the next one hears of them."""
    settings, port, may_go = services.settings, free_port(), asyncio.Event()
    url, store = f"http://127.0.0.1:{port}/", str(services.settings.s3_endpoint)

    async def hold(route: Route) -> None:
        if route.request.method == "PUT":
            await may_go.wait()
        await route.continue_()

    async with AsyncExitStack() as stack:
        async with serving(services, port):
            visit = await stack.enter_async_context(visiting(browser, url, also=store, expected=AWAY))
            await visit.page.route(f"{store}/**", hold)
            await is_live(visit.page)
            await visit.drop([PHOTO])
            await expect(card(visit.page, "photo.jpg")).to_contain_text("Sending")
        await expect(visit.page.locator("#connection")).to_contain_text("Trying again")
        may_go.set()
        await expect(card(visit.page, "photo.jpg")).to_contain_text("Sent")
        async with running_beside(run_consumer(settings)), working(settings), serving(services, port):
            await is_seen(visit.page, "photo.jpg")
            await expect(visit.page.locator("#summary")).to_have_text("1 picture ready")
            assert visit.sent.count("PUT") == 1


async def test_many_files_are_sent_a_few_at_a_time(settings: Settings, browser: Browser) -> None:
    """In as many requests as the server's limit needs; and listed a page at a time."""
    few = settings.model_copy(update={"max_upload_files": 10})
    names = [f"{number}.png" for number in range(30)]
    async with running_system(few) as system:
        store = str(few.s3_endpoint)
        async with visiting(browser, f"{system.url}/", also=store) as visit:
            await visit.drop([(name, *GREY[1:]) for name in names])
            await expect(visit.page.locator("#summary")).to_have_text("30 pictures ready")
            assert 1 < await visit.most_at_once() <= 6
            assert visit.sent.count("PUT") == 30
            await visit.page.reload()
            cards = visit.page.locator("#pictures > li")
            await expect(cards).to_have_count(24)
            await visit.page.get_by_role("button", name="Show more").click()
            await expect(cards).to_have_count(30)
            await expect(visit.page.get_by_role("button", name="Show more")).to_be_hidden()
            assert sorted(await cards.locator(".name").all_inner_texts()) == sorted(names)


async def test_the_store_refuses(system: System, browser: Browser) -> None:
    """The page says what the store said; trying again makes it good."""
    store = str(system.services.settings.s3_endpoint)

    async def refuse(route: Route) -> None:
        if route.request.method != "PUT":
            await route.continue_()
            return
        body = "<Error><Code>AccessDenied</Code></Error>"
        await route.fulfill(status=403, headers={"Access-Control-Allow-Origin": "*"}, body=body)

    async with visiting(browser, f"{system.url}/", also=store, expected="status of 403") as visit:
        await visit.page.route(f"{store}/**", refuse)
        await visit.drop([PHOTO])
        await expect(card(visit.page, "photo.jpg")).to_contain_text(
            "The store refused the file (AccessDenied)."
        )
        await visit.page.unroute(f"{store}/**")
        await visit.page.get_by_role("button", name="Try again: photo.jpg").click()
        await is_seen(visit.page, "photo.jpg")
        await expect(visit.page.locator("#pictures > li")).to_have_count(1)


async def test_what_is_deleted_is_not_sent_any_further(system: System, browser: Browser) -> None:
    """The bytes stop, and nothing is left behind."""
    store = str(system.services.settings.s3_endpoint)
    async with visiting(browser, f"{system.url}/", also=store) as visit:
        page = visit.page
        await page.route(f"{store}/**", lambda _: None)  # it never answers
        async with page.expect_event("requestfailed", lambda request: request.method == "PUT"):
            await visit.drop([PHOTO])
            await expect(card(page, "photo.jpg")).to_contain_text("Sending")
            await page.get_by_role("button", name="Delete: photo.jpg").click()
        await expect(page.locator("#empty")).to_be_visible()
        listed = await system.execute("{ images(filter: {status: [DELETED]}) { nodes { filename } } }")
        assert listed == {"data": {"images": {"nodes": [{"filename": "photo.jpg"}]}}}
