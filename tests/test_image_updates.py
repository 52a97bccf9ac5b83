"""Who watches images sees the current state first and the last one eventually, whatever gets lost."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from api.hub import Hub
from api.image_updates import MAX_IDS, image_updates
from api.watchers import Watcher
from jobs.errors import InvalidInput, NotFound
from jobs.images import Image, Move, Status
from jobs.ports import Services
from tests.following import LossyBus, moved
from tests.records import a_lease, an_image


@pytest.fixture
async def hub(services: Services) -> AsyncIterator[Hub]:
    """The hub of an API process, following the real bus."""
    hub = Hub(services)
    async with hub.running():
        yield hub


async def test_the_current_state_comes_first_and_then_every_change(services: Services, hub: Hub) -> None:
    """From wherever the image is to its rest; then the stream ends."""
    image = an_image()
    await services.catalog.add([image])
    updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
    async with aclosing(updates):
        assert await anext(updates) == image
        uploaded = await moved(services, image, Move.ARRIVE)
        assert await anext(updates) == uploaded
        failed = await moved(services, image, Move.FAIL)
        assert await anext(updates) == failed
        with pytest.raises(StopAsyncIteration):
            await anext(updates)


async def test_a_change_between_listening_and_reading_is_not_missed(services: Services, hub: Hub) -> None:
    """The completion happens while the first read is under way."""
    image = an_image(status=Status.PROCESSING, lease=a_lease())
    await services.catalog.add([image])

    class SlowCatalog:
        """Answers with the state from before a completion that happens meanwhile."""

        async def get_many(self, image_ids: list[str], *, owner: str | None = None) -> dict[str, Image]:
            """The state of a moment ago."""
            before = await services.catalog.get_many(image_ids, owner=owner)
            await moved(services, image, Move.FINISH, fence="a-fence")
            return before

        def __getattr__(self, name: str) -> object:
            return getattr(services.catalog, name)

    slow = replace(services, catalog=SlowCatalog()).catalog  # type: ignore[arg-type]
    updates = image_updates([image.id], owner="ada", hub=hub, catalog=slow)
    assert [state.status async for state in updates] == [Status.PROCESSING, Status.READY]


async def test_lost_messages_are_made_up_for(services: Services) -> None:
    """When the connection to Redis begins anew, whatever is watched is read again."""
    bus = LossyBus()
    hub = Hub(replace(services, bus=bus))
    image = an_image(status=Status.PROCESSING, lease=a_lease())
    await services.catalog.add([image])
    async with hub.running():
        updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
        async with aclosing(updates):
            assert (await anext(updates)).status is Status.PROCESSING
            await moved(replace(services, bus=bus), image, Move.FINISH, fence="a-fence")
            bus.notice()
            assert (await anext(updates)).status is Status.READY


async def test_an_older_state_never_follows_a_newer(services: Services, hub: Hub) -> None:
    """Doubled and late messages tell nothing new."""
    image = an_image()
    await services.catalog.add([image])
    updates = image_updates([image.id], owner="ada", hub=hub, catalog=services.catalog)
    async with aclosing(updates):
        versions = [(await anext(updates)).version]
        uploaded = await moved(services, image, Move.ARRIVE)
        for late in (image, uploaded, image, uploaded):
            await services.bus.publish(late)
        versions.append((await anext(updates)).version)
        await moved(services, image, Move.FAIL)
        versions += [state.version async for state in updates]
    assert versions == [1, 2, 3]


async def test_another_owners_image_looks_like_none(services: Services, hub: Hub) -> None:
    """Neither its state nor its existence is told."""
    image = an_image(owner="bob")
    await services.catalog.add([image])
    for image_id in (image.id, "img_unknown"):
        with pytest.raises(NotFound, match=image_id):
            await anext(image_updates([image_id], owner="ada", hub=hub, catalog=services.catalog))


@pytest.mark.parametrize("count", [0, MAX_IDS + 1])
async def test_the_number_of_ids_is_bounded(services: Services, hub: Hub, count: int) -> None:
    """None is nothing to wait for; too many are a burden."""
    ids = [f"img_{n}" for n in range(count)]
    with pytest.raises(InvalidInput):
        await anext(image_updates(ids, owner="ada", hub=hub, catalog=services.catalog))


async def test_an_id_named_twice_is_followed_once(services: Services, hub: Hub) -> None:
    """A careless client gets no doubled messages."""
    image = an_image(status=Status.READY)
    await services.catalog.add([image])
    updates = image_updates([image.id, image.id], owner="ada", hub=hub, catalog=services.catalog)
    assert [state.id async for state in updates] == [image.id]


async def test_a_subscriber_that_does_not_read_holds_one_state_of_each_image() -> None:
    """Latest wins, and an older state never replaces a newer."""
    watcher = Watcher()
    one, other = an_image(), an_image()
    for version in (1, 5, 3):
        watcher.offer(one.model_copy(update={"version": version}))
    watcher.offer(other)
    assert [(image.id, image.version) for image in await watcher.take()] == [(one.id, 5), (other.id, 1)]
