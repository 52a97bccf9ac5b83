"""A browser that visits our pages, and what it must not have to complain about."""

import os
import re
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    WebSocket,
    async_playwright,
    expect,
)

CHROMIUM = shutil.which("chromium")
SCREENSHOTS = (
    Path(__file__).parent.parent / ".screenshots"
)  # what each test saw last, whether it passed or not
_ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
]  # fmt: skip
_WITHIN = 20_000  # milliseconds for whatever a page is waited for
_DROP = """
files => {
  const dropped = new DataTransfer();
  for (const [name, type, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
    dropped.items.add(new File([bytes], name, { type }));
  }
  return dropped;
}
"""
_COPY = """
async base64 => {
  const bytes = Uint8Array.from(atob(base64), character => character.charCodeAt(0));
  const picture = new Blob([bytes], { type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
}
"""
_SPANS = """
() => performance.getEntriesByType("resource")
  .filter(({ name, initiatorType }) => initiatorType === "xmlhttprequest" && name.includes("/sources/"))
  .map(({ startTime, responseEnd }) => [startTime, responseEnd])
"""


@dataclass
class Visit:
    """One page, and what was seen while it was open."""

    page: Page
    origins: set[str] = field(default_factory=set)  # of all that it asked for
    complaints: list[str] = field(default_factory=list)  # in its console
    sent: list[str] = field(default_factory=list)  # `PUT`, and what went over websockets, in order
    received: list[str] = field(default_factory=list)  # over websockets

    async def drop(self, files: list[tuple[str, str, bytes]]) -> None:
        """Let files go over the page: name, type and content of each."""
        told = [(name, content_type, b64encode(body).decode()) for name, content_type, body in files]
        dropped = await self.page.evaluate_handle(_DROP, told)
        await self.page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})

    async def drop_paths(self, *paths: Path) -> None:
        """Let files and folders of this machine go over the page, as from a file manager."""
        devtools = await self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            told = {"type": kind, "x": 100, "y": 100, "data": data}
            await devtools.send("Input.dispatchDragEvent", told)

    async def paste(self, body: bytes) -> None:
        """Copy a PNG to the browser's clipboard, and paste it."""
        await self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await self.page.evaluate(_COPY, b64encode(body).decode())
        await self.page.keyboard.press("ControlOrMeta+v")

    async def slow_down(self, bytes_per_second: int) -> None:
        """What is sent from now on goes as over a poor line; -1 is as it was."""
        devtools = await self.page.context.new_cdp_session(self.page)
        line = {"offline": False, "latency": 0, "downloadThroughput": -1}
        await devtools.send("Network.emulateNetworkConditions", line | {"uploadThroughput": bytes_per_second})

    def watch(self) -> None:
        """Begin to take note."""
        self.page.on("request", self._asked)
        self.page.on("websocket", self._connected)
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def most_at_once(self) -> int:
        """How many files were on their way to the store at the same time, at most."""
        spans: list[tuple[float, float]] = await self.page.evaluate(_SPANS)
        return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https"):
            self.origins.add(f"{parts.scheme}://{parts.netloc}")
        if request.method == "PUT":
            self.sent.append("PUT")

    def _connected(self, socket: WebSocket) -> None:
        self.origins.add(f"http://{urlsplit(socket.url).netloc}")
        socket.on("framesent", lambda frame: self.sent.append(str(frame)))
        socket.on("framereceived", lambda frame: self.received.append(str(frame)))

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@asynccontextmanager
async def open_browser(executable: str) -> AsyncIterator[Browser]:
    """A browser without windows."""
    async with async_playwright() as playwright:
        expect.set_options(timeout=_WITHIN)
        browser = await playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visiting(
    browser: Browser,
    url: str,
    *,
    also: str | Collection[str] = (),
    expected: str | None = None,
    sharpness: float = 1,
) -> AsyncIterator[Visit]:
    """A visit to a page, by somebody who was never there before; how it looked at the end is kept.

    Args:
        also: the one other origin, or all the others, that it may ask for something.
        expected: a pattern of complaints that are to be expected.
        sharpness: pixels of a screenshot for each of CSS.

    Raises:
        AssertionError: the page complained of anything else, or asked somebody else for something.
    """
    async with await browser.new_context(reduced_motion="reduce", device_scale_factor=sharpness) as context:
        page = await context.new_page()
        page.set_default_timeout(_WITHIN)
        visit = Visit(page)
        visit.watch()
        await page.goto(url)
        try:
            yield visit
        finally:
            await page.screenshot(path=SCREENSHOTS / f"{_running_test()}.png", full_page=True)
        parts = urlsplit(url)
        others = {also} if isinstance(also, str) else set(also)
        assert visit.origins - others == {f"{parts.scheme}://{parts.netloc}"}
        complaints = [text for text in visit.complaints if not (expected and re.search(expected, text))]
        assert complaints == [], complaints


def _running_test() -> str:
    """The name of the test that runs, as a file may be called."""
    node_id = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2]
    return re.sub(r"\W+", "-", node_id.removesuffix(" (call)")).strip("-")
