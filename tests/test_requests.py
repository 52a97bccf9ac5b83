"""What owners ask of their images, while other things happen to them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from jobs import requests
from jobs.errors import Conflict
from jobs.images import Image, Move, Source, Status
from jobs.ports import Catalog, Services
from tests.records import NOON, a_lease, an_image
from tests.test_ingest import state


class Overtaken:
    """A catalog in which somebody is quicker, once, than who has just read: the image is developed anew."""

    def __init__(self, catalog: Catalog, **values: object) -> None:
        self._catalog = catalog
        self._values = values
        self._done = False

    async def get_many(self, image_ids: Iterable[str], *, owner: str | None = None) -> dict[str, Image]:
        """What can be read before that."""
        found = await self._catalog.get_many(image_ids, owner=owner)
        for image_id in [] if self._done else found:
            lease = {"lease": a_lease("another")}
            assert await self._catalog.move(image_id, Move.REPROCESS, at=NOON)
            assert await self._catalog.move(image_id, Move.TAKE, at=NOON, values=lease)
            assert await self._catalog.move(
                image_id, Move.FINISH, at=NOON, fence="another", values=self._values
            )
        self._done = True
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._catalog, name)


async def failed(services: Services) -> Image:
    """An image that can be developed anew."""
    image = an_image(status=Status.FAILED, source=Source(etag='"e"', byte_size=7), round=1)
    await services.catalog.add([image])
    return image


async def test_an_image_whose_original_has_just_gone_stays_ready(services: Services) -> None:
    """To develop it anew would end it."""
    image = await failed(services)
    overtaken: Any = Overtaken(services.catalog, source=None)
    with pytest.raises(Conflict, match="original"):
        await requests.reprocess(image.id, image.owner, replace(services, catalog=overtaken))
    assert (await state(services, image)).status is Status.READY


async def test_an_image_that_has_just_become_ready_is_developed_anew(services: Services) -> None:
    """As was asked for."""
    image = await failed(services)
    overtaken: Any = Overtaken(services.catalog)
    after = await requests.reprocess(image.id, image.owner, replace(services, catalog=overtaken))
    assert (after.status, after.round) == (Status.UPLOADED, 3)
