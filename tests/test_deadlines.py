"""Answers while a service stands still, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.uploads import FileRequest, Upload, create_uploads
from jobs import requests
from jobs.errors import Unavailable
from jobs.images import Image, Source, Status
from jobs.ports import Services
from tests.memory import MemoryCatalog, admit_all
from tests.records import an_image
from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World, settings_for

Ask = Callable[[str, str, Services], Awaitable[Image]]


class Frozen:
    """A service that takes every question and answers none."""

    def __getattr__(self, name: str) -> Any:
        async def call(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        async def listing(*_: object, **__: object) -> Any:
            await asyncio.Event().wait()
            yield None

        return listing if name == "listing" else call


def asked(scratch: Path, ask: Ask, status: Status, frozen: str) -> tuple[Image | None, Status, float]:
    """The answer about an image, its status after it, and how many seconds it took."""

    async def answer() -> tuple[Image | None, Status, float]:
        services = World(0, settings_for(scratch), MemoryCatalog()).services()
        image = an_image(status=status, source=Source(etag='"e"', byte_size=1))
        await services.catalog.add([image])
        await services.storage.write(image.source_key, b"x", content_type="image/jpeg")
        service: Any = Frozen()
        stuck = replace(services, **{frozen: service})
        try:
            found = await ask(image.id, image.owner, stuck)
        except Unavailable:
            found = None
        after = await services.catalog.get(image.id)
        assert after is not None
        return found, after.status, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(asyncio.wait_for(answer(), 60))


@pytest.mark.parametrize(
    ("ask", "status", "frozen", "after"),
    [
        (requests.complete, Status.PENDING, "storage", Status.PENDING),
        (requests.complete, Status.PENDING, "queue", Status.UPLOADED),
        (requests.complete, Status.PENDING, "catalog", Status.PENDING),
        (requests.reprocess, Status.READY, "queue", Status.UPLOADED),
        (requests.reprocess, Status.READY, "catalog", Status.READY),
        (requests.delete, Status.READY, "catalog", Status.READY),
    ],
)
def test_a_service_that_stands_still_is_unavailable(
    tmp_path: Path, ask: Ask, status: Status, frozen: str, after: Status
) -> None:
    """Soon; what was done by then stays, and the sweep does the rest."""
    found, stands, took = asked(tmp_path, ask, status, frozen)
    assert (found, stands) == (None, after)
    assert took <= 10


async def create(_: str, owner: str, services: Services) -> Image:
    """What a client asks for first of all."""
    file = FileRequest("photo.jpg", "image/jpeg", 1)
    (upload,) = await create_uploads(
        [file], owner=owner, preset=None, idempotency_key="a key", services=services, admit=admit_all
    )
    assert isinstance(upload, Upload)
    return upload.image


def test_an_upload_that_cannot_be_recorded_is_unavailable(tmp_path: Path) -> None:
    """As soon as everything else."""
    found, _, took = asked(tmp_path, create, Status.READY, "catalog")
    assert found is None
    assert 0 < took <= 10


def test_an_image_is_deleted_though_its_objects_remain(tmp_path: Path) -> None:
    """The tombstone stands at once, and the sweep comes by."""
    found, stands, took = asked(tmp_path, requests.delete, Status.READY, "storage")
    assert found is not None
    assert (found.status, stands) == (Status.DELETED, Status.DELETED)
    assert found.due_at is not None
    assert took <= 10
