"""`darkroom upload`: files to the store and on to their end, through the public API alone.

Each file is asked for by a request of its own, with an idempotency key made of what it is. So whoever runs an
interrupted command again, with whatever files are there then, finds the images of the first run, and sends
only what is not stored. For 200 files, 4 at once, that is 15 to 25 ms for each where 50 in one request took
2 to 5: little beside sending and developing them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from api.client import PATIENCE, ApiError, Client, open_http
from api.upload_items import AT_REST, Item, UsageError, describe, idempotency_key
from api.upload_views import View, view_of

_BATCH = 50  # files of one subscription
_GENERATIONS = 100  # of images of one file that expired or were deleted, before it is given up


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


def check_key(key: str | None) -> None:
    """See whether it can be a key. What it is, is not said.

    Raises:
        UsageError: it has characters that no request can carry.
    """
    if key is not None and not key.isprintable():
        raise UsageError("the key has a character that no key has, such as the end of a line")


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
    limits = httpx.Limits(max_connections=concurrency + 4)
    async with open_http(timeout=httpx.Timeout(30, write=120), limits=limits) as http:
        with view_of(items, as_json=as_json, wait=wait) as view:
            upload = _Upload(Client(url, http, key), view, preset=preset, concurrency=concurrency, wait=wait)
            waiting = items
            while waiting:
                batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
                beyond, pause = await upload.run(batch)
                waiting = beyond + waiting
                if pause:
                    view.waiting(pause)
                    await asyncio.sleep(pause)
    good = {"READY"} if wait else {"UPLOADED", "PROCESSING", "READY"}
    return all(item.status in good for item in items)


class _Upload:
    """One run of the command."""

    def __init__(
        self, client: Client, view: View, *, preset: str | None, concurrency: int, wait: bool
    ) -> None:
        self._client = client
        self._view = view
        self._preset = preset
        self._wait = wait
        self._gate = asyncio.Semaphore(concurrency)

    async def run(self, items: list[Item]) -> tuple[list[Item], int]:
        """Upload what the server takes at once; returns the files that it does not, and seconds to wait."""
        results = await asyncio.gather(*map(self._ask, items))
        targets: dict[str, dict[str, Any]] = {}
        found: defaultdict[str, list[Item]] = defaultdict(list)  # the same file twice is one image
        beyond: list[Item] = []
        pause = 0
        for item, result in zip(items, results, strict=True):
            if result is None:
                continue
            if result.get("code") == "RATE_LIMITED" and result["retryAfter"] <= PATIENCE:
                beyond.append(item)
                pause = max(pause, result["retryAfter"])
                continue
            if "url" in result:
                item.image = result["image"]
                targets[item.image["id"]] = result
                found[item.image["id"]].append(item)
            else:
                item.image = {"status": "REJECTED", "problem": result}
            self._view.changed(item)
        unfinished = {id_: items for id_, items in found.items() if items[0].status not in AT_REST}
        if unfinished:
            await self._finish(unfinished, targets)
        return beyond, pause

    async def _ask(self, item: Item) -> dict[str, Any] | None:
        """The `UploadTarget` or `InvalidFile` of a file; nothing if it cannot be read."""
        async with self._gate:
            try:
                file = await asyncio.to_thread(describe, item)
            except OSError as error:
                self._fail([item], "UNREADABLE_FILE", f"It cannot be read: {error.strerror}.")
                return None
            for generation in range(_GENERATIONS):
                key = idempotency_key(file, self._preset, generation)
                (result,) = await self._client.create_uploads([file], self._preset, idempotency_key=key)
                if result.get("code") != "CONFLICT":  # else the image of this key is no more
                    break
            if result.get("image", {}).get("status") == "FAILED":  # not by the file's fault: once more
                again = await self._client.reprocess(result["image"]["id"])
                result["image"] = again if "status" in again else result["image"]
            return result

    async def _finish(self, found: dict[str, list[Item]], targets: dict[str, dict[str, Any]]) -> None:
        """See to it that each image is stored and, if asked, followed to its end."""

        async def follow() -> None:
            async with aclosing(self._client.updates(list(found))) as updates:
                async for image in updates:
                    self._take(found[image["id"]], image)

        # It listens before the first byte is sent; what cannot be sent never ends, and is not waited for.
        following = asyncio.create_task(follow()) if self._wait else None
        await asyncio.gather(*(self._store(items, targets[id_]) for id_, items in found.items()))
        if following is None:
            return
        first = [items[0] for items in found.values()]
        if any(item.status not in AT_REST and item.image["problem"] for item in first):
            await _settled(first, following)
        else:
            await following

    async def _store(self, items: list[Item], target: dict[str, Any]) -> None:
        """Send a file, unless the store has it."""
        item = items[0]
        async with self._gate:
            if item.status == "PENDING" and target["image"]["version"] > 1:
                # An earlier run asked for it too, and may have sent it without being able to say so.
                await self._hint(items)
            if item.status != "PENDING":
                return
            try:
                await self._client.put(item.path, target, lambda count: self._view.sent(item, count))
            except (ApiError, OSError) as error:
                self._fail(items, "UPLOAD_FAILED", str(error))
                return
            await self._hint(items)

    async def _hint(self, items: list[Item]) -> None:
        try:
            self._take(items, await self._client.complete_upload(items[0].image["id"]))
        except ApiError as error:
            if not self._wait:  # else its end will be told: the store speaks for itself
                self._fail(items, "UPLOAD_FAILED", str(error))

    def _take(self, items: list[Item], image: dict[str, Any]) -> None:
        for item in items:
            if item.take(image):
                self._view.changed(item)

    def _fail(self, items: list[Item], code: str, message: str) -> None:
        for item in items:
            item.fail(code, message)
            self._view.changed(item)


async def _settled(items: list[Item], following: asyncio.Task[None]) -> None:
    """Wait for those files that were sent, then stop listening.

    Raises:
        ApiError: nothing more can be heard of them.
    """
    while not following.done() and any(
        item.status not in AT_REST and not item.image["problem"] for item in items
    ):
        await asyncio.wait([following], timeout=0.1)
    if following.cancel():
        await asyncio.gather(following, return_exceptions=True)
    else:
        following.result()  # raises what ended it
