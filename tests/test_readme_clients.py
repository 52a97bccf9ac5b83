"""README's code for front ends in a browser, as it stands there but for the address of the API."""

import json
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from jobs.settings import Settings
from tests.browser import visiting
from tests.node import CLIENTS, run_node
from tests.system import System, running_system

README = CLIENTS.parent.parent / "README.md"
PAGE = '<!doctype html><link rel="icon" href="data:,"><main></main><script src="page.js"></script>'
ADDRESS = "127.0.0.1:8000"  # of the API, in README
REFUSED = "This content type is not taken"


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """A web server of somebody who uses Darkroom; yields its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def make_page(node_modules: Path, folder: Path, entry: str, language: str, system: System) -> None:
    """A page that runs `entry`, which imports README's only block in this language as `readme`."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    assert ADDRESS in code
    (folder / f"readme.{language}").write_text(code.replace(ADDRESS, system.url.removeprefix("http://")))
    shutil.copy(CLIENTS / entry, folder)
    (folder / "index.html").write_text(PAGE)
    await run_node(node_modules, "bundle.js", folder / entry, folder / "page.js")


async def test_react_with_apollo(
    system: System, browser: Browser, node_modules: Path, photo: Path, tmp_path: Path
) -> None:
    """A picture is seen when it is ready, and what is not taken is told in words."""
    await make_page(node_modules, tmp_path, "react.jsx", "jsx", system)
    also = (system.url, str(system.services.settings.s3_endpoint))
    with serving_files(tmp_path) as url:
        async with visiting(browser, url, also=also) as visit:
            field, caption = visit.page.get_by_label("Picture"), visit.page.locator("figcaption")
            await field.set_input_files(photo)
            await expect(caption).to_have_text("READY")
            shown = visit.page.locator("img")
            assert await shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
            await field.set_input_files(
                {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
            )
            await expect(caption).to_contain_text(REFUSED)


async def test_uppy(
    system: System, browser: Browser, node_modules: Path, photo: Path, tmp_path: Path
) -> None:
    """It sends the file by the target, once, and tells of it until it is ready; or why it is not taken."""
    await make_page(node_modules, tmp_path, "uppy.js", "js", system)
    also = (system.url, str(system.services.settings.s3_endpoint))
    with serving_files(tmp_path) as url:
        async with visiting(browser, url, also=also, expected=REFUSED) as visit:
            field, shown = visit.page.get_by_label("Picture"), visit.page.locator("pre")
            await field.set_input_files(photo)
            await expect(shown).to_contain_text('"status":"READY"')
            (meta,) = json.loads(await shown.inner_text())
            stored = await system.execute(
                "query ($id: ID!) { image(id: $id) { filename } }", id=meta["image"]
            )
            assert stored == {"data": {"image": {"filename": "photo.jpg"}}}
            (variant,) = meta["variants"]
            answer = await system.http.get(variant["url"])
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
            assert visit.sent.count("PUT") == 1
            await field.set_input_files(
                {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"}
            )
            await expect(shown).to_contain_text(REFUSED)
