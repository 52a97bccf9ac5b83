"""Clients: what one does with one image, and what the store then tells of it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from api.uploads import FileRequest, Upload, create_uploads
from jobs import requests
from jobs.errors import Unavailable
from jobs.events import ObjectCreated
from jobs.images import source_key
from jobs.ingest import ingest_event
from jobs.ports import Services
from tests.memory import admit_all
from tests.simulation.developer import BAD, DEADLY, GOOD, SPOILT

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")

OWNER = "ada"


class Client:
    """Somebody with one picture, who at times asks twice, gives up, comes late or sends something else."""

    def __init__(self, world: "World", number: int) -> None:
        self._world = world
        self._number = number

    async def live(self) -> None:
        """One image, from the request for its target to what its owner does with it."""
        rng = self._world.rng
        await asyncio.sleep(10 * rng.random())
        kind = rng.choices((GOOD, BAD, SPOILT, DEADLY), (85, 5, 5, 5))[0]
        body = b":".join((kind, str(self._number).encode(), rng.randbytes(4).hex().encode()))
        declared = body if rng.random() < 0.9 else body[::-1]
        file = FileRequest(
            filename="photo.jpg",
            content_type="image/jpeg",
            byte_size=len(body),
            sha256=hashlib.sha256(declared).hexdigest(),
        )
        preset = rng.choice(("default", "default", "frugal"))
        upload: Upload | None = None
        for _ in range(6):
            answer = await self._ask(
                "create",
                lambda services: create_uploads(
                    [file],
                    owner=OWNER,
                    preset=preset,
                    idempotency_key=str(self._number),
                    services=services,
                    admit=admit_all,
                ),
            )
            if answer and isinstance(answer[0], Upload):
                upload = answer[0]
                if rng.random() < 0.8:
                    break
            await asyncio.sleep(10 * rng.random())
        if upload is None:
            return
        image_id = upload.image.id
        if rng.random() < 0.1:
            self._tell(image_id)  # before there is anything
        for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 1, 2))):
            await self._send(upload, body)
        for _ in range(rng.choice((0, 0, 1, 2, 3))):
            if rng.random() < 0.4:
                await self._until_swept(image_id)
            await asyncio.sleep(rng.choice((5, 5, 60)) * rng.random())
            ask = rng.choice((requests.reprocess, requests.reprocess, requests.delete))
            await self._ask(ask.__name__, partial(ask, image_id, OWNER))
            if rng.random() < 0.05:
                await self._send(upload, body)

    async def _until_swept(self, image_id: str) -> None:
        """Wait for the very moment at which a sweep sees to the image, if it soon does."""
        image = await self._world.catalog.get(image_id)
        if image is None or image.due_at is None or image.due_at - self._world.now() > timedelta(minutes=2):
            return
        await asyncio.sleep(max(0.0, (image.due_at - self._world.now()).total_seconds()))
        self._world.sweep()

    async def _send(self, upload: Upload, body: bytes) -> None:
        """The bytes, mostly at once; and some of the words that follow them."""
        rng = self._world.rng
        await asyncio.sleep(rng.choice((2, 2, 2, 60)) * rng.random())
        begun = self._world.now()
        await asyncio.sleep(rng.choice((2, 2, 2, 2, 2, 60, 900)) * rng.random())
        image_id = upload.image.id
        status = self._world.storage.upload(upload.target, body, begun=begun)
        self._world.happened[f"upload {status}"] += 1
        if status == 200:
            self._world.accepted[image_id] = body
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3)) if status == 200 else 0):
            self._tell(image_id)
        if rng.random() < 0.3:
            await self._ask("hint", lambda services: requests.complete(image_id, OWNER, services))

    async def _ask(self, name: str, what: Callable[[Services], Awaitable[T]]) -> T | None:
        """The API's answer; None if there is none in time, or it is an error."""
        answers: list[T] = []

        async def ask(services: Services) -> None:
            answers.append(await what(services))

        task = self._world.spawn(name, ask)
        await asyncio.wait([task], timeout=30)
        return answers[0] if answers else None

    def _tell(self, image_id: str, tries: int = 4) -> None:
        """Deliver an event, some time; again, if it could not be followed, but not for ever."""

        def again() -> None:
            if tries > 1:
                self._tell(image_id, tries - 1)

        async def deliver(services: Services) -> None:
            event = ObjectCreated(self._world.settings.s3_bucket, source_key(image_id))
            try:
                await ingest_event(event, services, via="queue")
            except Unavailable:
                again()

        delay = self._world.rng.choice((0.5, 0.5, 30)) * self._world.rng.random()
        asyncio.get_running_loop().call_later(
            delay, lambda: self._world.spawn("event", deliver, on_silence=again)
        )
