"""The load: a client that uploads picture after picture, and tries again as clients do."""

import asyncio
import io
import random
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image

from tests.chaos.fleet import Fleet
from tests.chaos.journal import Journal
from tests.test_system import CREATE

_PAUSE = 0.3  # seconds before trying again


def picture(rng: random.Random, width: int = 640, height: int = 480) -> bytes:
    """A JPEG like no other."""
    coarse = Image.frombytes("RGB", (16, 12), rng.randbytes(16 * 12 * 3))
    buffer = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


class Load:
    """Uploads through the public API alone; `accepted` has the ids of those that the store took."""

    def __init__(self, fleet: Fleet, journal: Journal, seed: int) -> None:
        self.accepted: set[str] = set()
        self.sent: dict[str, bytes] = {}  # what was uploaded, by image
        self.rng = random.Random(seed)  # noqa: S311 - not for secrets
        self._fleet = fleet
        self._journal = journal
        self._count = 0

    async def send(
        self,
        count: int,
        *,
        body: Callable[[], bytes] | None = None,
        window: int = 40,
        content_type: str = "image/jpeg",
    ) -> None:
        """Upload so many pictures, `window` of them at most on their way at any time."""
        make = body or (lambda: picture(self.rng))
        for _ in range(count):
            await self._journal.until(lambda: len(self.accepted) - self._journal.resting < window, within=300)
            await self.upload(make(), content_type)

    async def upload(self, body: bytes, content_type: str = "image/jpeg") -> str:
        """Upload one, however often it takes; its id."""
        self._count += 1
        key = f"{self._count}"
        while True:
            try:
                target = await self._target(body, content_type, key)
                headers = {header["name"]: header["value"] for header in target["headers"]}
                answer = await self._fleet.http.put(target["url"], content=body, headers=headers)
            except (httpx.HTTPError, LookupError):
                await asyncio.sleep(_PAUSE)  # as a client would, before it tries again
                continue
            # 412: an answer was lost, and the store has it already.
            assert answer.status_code in (200, 412), answer.text
            image_id: str = target["image"]["id"]
            self.accepted.add(image_id)
            self.sent[image_id] = body
            return image_id

    async def _target(self, body: bytes, content_type: str, key: str) -> dict[str, Any]:
        file = {"filename": f"{key}.jpg", "contentType": content_type, "byteSize": len(body)}
        answer = await self._fleet.http.post(
            f"{self._fleet.url}/graphql",
            json={"query": CREATE, "variables": {"input": {"files": [file], "idempotencyKey": key}}},
        )
        payload = answer.json()
        if "errors" in payload:
            raise LookupError(payload["errors"])
        target: dict[str, Any] = payload["data"]["createUploads"]["results"][0]
        assert "url" in target, target
        return target
