"""`darkroom upload`: files to the store and on to their end, through the public API alone."""

import asyncio
import hashlib
import json
import mimetypes
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Column

from api.client import PATIENCE, ApiError, Client, open_http

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".avif": "image/avif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".bmp": "image/bmp",
    ".heic": "image/heic",
    ".heif": "image/heic",
}
_BATCH = 50  # files of one request and one subscription
_AT_REST = {"READY", "REJECTED", "FAILED", "EXPIRED", "DELETED"}


class UsageError(Exception):
    """What was typed names nothing that can be uploaded."""


@dataclass
class Item:
    """One file on its way."""

    path: Path
    image: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The image's, or REJECTED for a file that the API would not take."""
        return str(self.image.get("status"))

    def as_json(self) -> str:
        """The line that `--json` prints."""
        problem = self.image.get("problem")
        return json.dumps(
            {
                "filename": os.fsencode(self.path.name).decode(errors="replace"),
                "id": self.image.get("id"),
                "status": self.status,
                "variants": self.image.get("variants", []),
                "problem": problem and {"code": problem["code"], "message": problem["message"]},
            }
        )


class View(Protocol):
    """How the way of the files is shown."""

    def sent(self, item: Item, count: int) -> None:
        """`count` bytes of the file have been sent."""

    def changed(self, item: Item) -> None:
        """The image has another state."""

    def waiting(self, seconds: int) -> None:
        """The server takes no more files before that."""


def check_url(url: str) -> None:
    """See whether an API can be there at all.

    Raises:
        UsageError: it is no address.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in url):
        raise UsageError(f"{url!r} is no address of an API, such as http://127.0.0.1:8000")


def find_files(paths: Iterable[Path], *, recursive: bool) -> list[Path]:
    """The files that `paths` name: each file, and the images of each folder.

    Raises:
        UsageError: there is no such file or folder, or nothing to upload in any of them.
    """
    found: dict[Path, None] = {}
    for path in paths:
        try:
            if path.is_dir():
                found |= dict.fromkeys(sorted(_images_in(path, recursive=recursive)))
            elif path.is_file():
                found[path] = None
            else:
                raise UsageError(f"{readable(path)}: no such file or folder")
        except OSError as error:
            raise UsageError(f"{readable(error.filename or path)}: {error.strerror}") from error
    if not found:
        raise UsageError("no images there" + ("" if recursive else "; -r looks into folders below"))
    return list(found)


def _images_in(folder: Path, *, recursive: bool) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error  # a folder that cannot be looked into is not passed over in silence

    for parent, _, names in os.walk(folder, onerror=stop):
        files = (Path(parent, name) for name in names)
        yield from (file for file in files if file.suffix.lower() in CONTENT_TYPES and file.is_file())
        if not recursive:
            return


async def upload(
    paths: Sequence[Path],
    *,
    url: str,
    key: str | None,
    preset: str | None,
    concurrency: int,
    wait: bool,
    as_json: bool,
) -> bool:
    """Upload the files and, if asked, wait for their end; returns whether all went well.

    Raises:
        ApiError: the API cannot be used at all.
    """
    items = [Item(path) for path in paths]
    view: View
    limits = httpx.Limits(max_connections=concurrency + 4)
    async with open_http(timeout=httpx.Timeout(30, write=120), limits=limits) as http:
        client = Client(url, http, key)
        gate = asyncio.Semaphore(concurrency)
        lines = as_json or not sys.stdout.isatty()
        with _Lines(as_json=as_json, wait=wait) if lines else _Bars(items) as view:
            waiting = items
            while waiting:
                batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
                beyond, pause = await _upload_batch(batch, client, view, gate, preset=preset, wait=wait)
                waiting = beyond + waiting
                if pause:
                    view.waiting(pause)
                    await asyncio.sleep(pause)
    good = {"READY"} if wait else {"UPLOADED", "PROCESSING", "READY"}
    return all(item.status in good for item in items)


async def _upload_batch(
    items: list[Item], client: Client, view: View, gate: asyncio.Semaphore, *, preset: str | None, wait: bool
) -> tuple[list[Item], int]:
    """Upload as many of the files as the server takes at once; returns the others, and seconds to wait."""

    def fail(item: Item, code: str, message: str) -> None:
        item.image = {"status": "REJECTED", **item.image, "problem": {"code": code, "message": message}}
        view.changed(item)

    async def describe(item: Item) -> dict[str, Any] | None:
        try:
            return await asyncio.to_thread(_describe, item.path)
        except OSError as error:
            fail(item, "UNREADABLE_FILE", f"It cannot be read: {error.strerror}.")
            return None

    described = zip(items, await asyncio.gather(*map(describe, items)), strict=True)
    files = [(item, file) for item, file in described if file is not None]
    if not files:
        return [], 0
    results = await client.create_uploads([file for _, file in files], preset)
    targets: dict[str, tuple[Item, dict[str, Any]]] = {}
    beyond: list[Item] = []
    pause = 0
    for number, ((item, _), result) in enumerate(zip(files, results, strict=True)):
        if number > 0 and result.get("code") == "TOO_MANY_FILES":
            beyond.append(item)
            continue
        if result.get("code") == "RATE_LIMITED" and result["retryAfter"] <= PATIENCE:
            beyond.append(item)
            pause = max(pause, result["retryAfter"])
            continue
        if "url" in result:
            item.image = result["image"]
            targets[item.image["id"]] = item, result
        else:
            item.image = {"status": "REJECTED", "problem": result}
        view.changed(item)
    if not targets:
        return beyond, pause

    async def send(item: Item, target: dict[str, Any]) -> None:
        async with gate:
            try:
                await client.put(item.path, target, lambda count: view.sent(item, count))
            except (ApiError, OSError) as error:
                fail(item, "UPLOAD_FAILED", str(error))
                return
            try:
                _take(item, await client.complete_upload(item.image["id"]), view)
            except ApiError as error:
                if not wait:  # else its end will be told: the store speaks for itself
                    fail(item, "UPLOAD_FAILED", str(error))

    async def follow() -> None:
        async with aclosing(client.updates(list(targets))) as updates:
            async for image in updates:
                _take(targets[image["id"]][0], image, view)

    # It listens before the first byte is sent; what cannot be sent never ends, and is not waited for.
    following = asyncio.create_task(follow()) if wait else None
    await asyncio.gather(*(send(item, target) for item, target in targets.values()))
    if following is None:
        return beyond, pause
    sent = [item for item, _ in targets.values()]
    if any(item.status not in _AT_REST and item.image["problem"] for item in sent):
        await _settled(sent, following)
    else:
        await following
    return beyond, pause


async def _settled(items: list[Item], following: asyncio.Task[None]) -> None:
    """Wait for those files that were sent, then stop listening."""
    while not following.done() and any(
        item.status not in _AT_REST and not item.image["problem"] for item in items
    ):
        await asyncio.wait([following], timeout=0.1)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def _take(item: Item, image: dict[str, Any], view: View) -> None:
    if image.get("version", 0) > item.image.get("version", 0):
        item.image = image
        view.changed(item)


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    guessed = CONTENT_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    return {
        "filename": os.fsencode(path.name).decode(errors="replace"),
        "contentType": guessed or "application/octet-stream",
        "byteSize": path.stat().st_size,
        "sha256": sha256,
    }


class _Lines:
    """One line for each change (`--json`), or for each file as far as it is followed."""

    def __init__(self, *, as_json: bool, wait: bool) -> None:
        self._as_json = as_json
        self._ends = _AT_REST if wait else _AT_REST | {"UPLOADED", "PROCESSING"}

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

    def sent(self, item: Item, count: int) -> None:
        """Nothing: lines tell of states."""

    def changed(self, item: Item) -> None:
        if self._as_json:
            print(item.as_json(), flush=True)
        elif item.status in self._ends or item.image.get("problem"):
            print(f"{readable(item.path)}: {_in_words(item)}", flush=True)

    def waiting(self, seconds: int) -> None:
        print(_patience(seconds), file=sys.stderr, flush=True)


class _Bars:
    """A bar for each file, on a terminal."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, min_width=12)),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
            console=Console(),
            expand=True,
        )
        self._all = self._progress.add_task("all", total=sum(_size(item.path) for item in items), state="")
        self._bars: dict[Path, TaskID] = {}
        self._sent: dict[Path, int] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def sent(self, item: Item, count: int) -> None:
        self._progress.update(self._bar(item), completed=count)
        self._sent[item.path] = count
        self._progress.update(self._all, completed=sum(self._sent.values()))

    def changed(self, item: Item) -> None:
        problem = item.image.get("problem")
        colour = "green" if item.status == "READY" else "red" if problem else "yellow"
        words = item.status.lower() if problem else _in_words(item)
        self._progress.update(self._bar(item), state=f"[{colour}]{escape(words)}[/]")
        if problem:  # in a line of its own: beside a bar there is no room for reasons
            self._progress.console.print(f"[red]{escape(f'{readable(item.path)}: {_in_words(item)}')}[/]")

    def waiting(self, seconds: int) -> None:
        self._progress.console.print(_patience(seconds))

    def _bar(self, item: Item) -> TaskID:
        if item.path not in self._bars:
            total = _size(item.path)
            self._bars[item.path] = self._progress.add_task(
                escape(readable(item.path.name)), total=total, state=""
            )
        return self._bars[item.path]


def _size(path: Path) -> int:
    return path.stat().st_size


def readable(path: Path | str) -> str:
    """A name as a line of text: on disk it can be any bytes."""
    text = os.fsencode(path).decode(errors="replace")
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _patience(seconds: int) -> str:
    return f"the server takes more files in {seconds} s"


def _in_words(item: Item) -> str:
    if problem := item.image.get("problem"):
        return f"{item.status.lower()}: {problem['message']} ({problem['code']})"
    if item.status == "READY":
        count = len(item.image["variants"])
        return f"ready, {count} variant{'' if count == 1 else 's'}"
    return f"{item.status.lower()} as {item.image['id']}"
