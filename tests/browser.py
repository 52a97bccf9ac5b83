"""A browser that visits our pages, and what it must not have to complain about."""

import re
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
    browser: Browser, url: str, *, also: str | None = None, expected: str | None = None
) -> AsyncIterator[Visit]:
    """A visit to a page, by somebody who was never there before.

    Args:
        also: the one other origin from which it may load.
        expected: a pattern of complaints that are to be expected.

    Raises:
        AssertionError: the page complained of anything else, or asked somebody else for something.
    """
    async with await browser.new_context(reduced_motion="reduce") as context:
        page = await context.new_page()
        page.set_default_timeout(_WITHIN)
        visit = Visit(page)
        visit.watch()
        await page.goto(url)
        yield visit
        parts = urlsplit(url)
        assert visit.origins - {also} == {f"{parts.scheme}://{parts.netloc}"}
        complaints = [text for text in visit.complaints if not (expected and re.search(expected, text))]
        assert complaints == [], complaints
