"""GraphiQL in a browser, from our own origin."""

import hashlib
import json

from playwright.async_api import Browser, Locator, Page, expect

from jobs.settings import Settings
from tests.browser import visiting
from tests.system import running_system
from tests.test_system import a_photo, uploaded

KEY = "the key"


async def test_a_query_and_a_subscription(settings: Settings, browser: Browser) -> None:
    """By the examples that it opens with; its dialogs do not break the policy either."""
    async with running_system(settings) as system, visiting(browser, f"{system.url}/graphql") as visit:
        page = visit.page
        await page.get_by_role("tab", name="ListImages").wait_for()
        await run(page, "CreateUpload")
        await expect(result(page)).to_contain_text("curl")
        await run(page, "ListImages")
        await expect(result(page)).to_contain_text('"hasNextPage": false')
        await run(page, "Follow")
        await uploaded(system, a_photo())
        await expect(result(page)).to_contain_text("READY")
        for name in ("Show Documentation Explorer", "Show GraphiQL Explorer"):
            await page.get_by_label(name).click()
        await expect(page.get_by_text("Add new")).to_be_visible()
        await page.get_by_label("Open settings dialog").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_a_key_goes_along(settings: Settings, browser: Browser) -> None:
    """Where one is asked for, there is a field for it; it counts for websockets too, and is kept nowhere."""
    keyed = Settings.model_validate(
        settings.model_dump()
        | {
            "auth": "keys",
            "api_keys": {"ann": hashlib.sha256(KEY.encode()).hexdigest()},
            "introspection": True,
            "playground": True,
        }
    )
    async with (
        running_system(keyed) as system,
        visiting(browser, f"{system.url}/graphql", expected="4403 Forbidden") as visit,
    ):
        page = visit.page
        headers = page.get_by_role("region", name="Headers")
        await expect(headers).to_contain_text("Bearer KEY")
        await run(page, "Follow")
        await expect(result(page)).to_contain_text("4403")
        await choose(page, "CreateUpload")
        await headers.click()
        await page.keyboard.press("ControlOrMeta+a")
        await page.keyboard.insert_text(json.dumps({"Authorization": f"Bearer {KEY}"}))
        await execute(page)
        await expect(result(page)).to_contain_text("curl")
        await run(page, "Follow")
        await expect(page.get_by_label("Stop query (Ctrl-Enter)")).to_be_visible()
        system.http.headers["Authorization"] = f"Bearer {KEY}"
        await uploaded(system, a_photo())
        await expect(result(page)).to_contain_text("READY")
        assert KEY not in await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")


async def run(page: Page, tab: str) -> None:
    """Send the operation of a tab."""
    await choose(page, tab)
    await execute(page)


async def choose(page: Page, tab: str) -> None:
    """Open a tab."""
    await page.get_by_role("tab", name=tab).click()
    # GraphiQL reads what the editor has a moment later, and notes it here.
    await page.wait_for_function("name => localStorage['graphiql:operationName'] === name", arg=tab)


async def execute(page: Page) -> None:
    """Send the operation of the open tab."""
    await page.get_by_label("Execute query (Ctrl-Enter)").click()


def result(page: Page) -> Locator:
    """Where the answer is shown."""
    return page.get_by_label("Result Window")
