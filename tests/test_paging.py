"""Lists over the API: pages that stay where they are, filters, and items that are read together."""

import base64
import json
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api.paging import encode_cursor
from jobs.images import Image, Move, Status
from jobs.ports import Catalog, ImageOrder, Position, Services
from jobs.settings import Settings
from tests.records import NOON, a_lease, an_image
from tests.system import System, running_system
from tests.test_api import codes, connect
from tests.test_hooks import calling

LIST = """
query ($first: Int, $after: String, $filter: ImageFilter, $order: ImageOrder) {
  images(first: $first, after: $after, filter: $filter, orderBy: $order) {
    edges { cursor node { id } }
    nodes { id filename }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """The API alone."""
    async with running_system(settings, worker=False, events=False) as running:
        yield running


async def page(system: System, **variables: Any) -> dict[str, Any]:
    """A page of images."""
    answer = await system.execute(LIST, **variables)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]["images"]
    return found


class Life:
    """Images that arrive and finish, several in the same millisecond."""

    def __init__(self, catalog: Catalog, rng: random.Random) -> None:
        self._catalog = catalog
        self._rng = rng
        self._at = NOON
        self.images: dict[str, Image] = {}

    async def goes_on(self, steps: int) -> None:
        """Let so much happen."""
        for _ in range(steps):
            self._at += timedelta(milliseconds=self._rng.choice([0, 0, 1]))
            moving = [image for image in self.images.values() if image.finished_at is None]
            if moving and self._rng.random() < 0.5:
                image = self._rng.choice(moving)
                done = await self._catalog.move(image.id, Move.FINISH, at=self._at, fence="a-fence")
                assert done is not None
                self.images[image.id] = done
            else:
                image = an_image(
                    owner="local", status=Status.PROCESSING, lease=a_lease(), created_at=self._at
                )
                await self._catalog.add([image])
                self.images[image.id] = image


@pytest.mark.parametrize("order", ImageOrder)
@pytest.mark.parametrize("seed", range(3))
async def test_pages_stay_while_images_arrive_and_finish(
    system: System, seed: int, order: ImageOrder
) -> None:
    """What is in the list when the reading begins comes once each, in order; nothing ever comes twice."""
    rng = random.Random(seed)  # noqa: S311
    life = Life(system.services.catalog, rng)
    await life.goes_on(40)
    places = {place: image.id for image in life.images.values() if (place := order.position(image))}
    there = [places[place] for place in sorted(places, reverse=order.newest_first)]
    seen: list[str] = []
    after, more = None, True
    while more:
        found = await page(system, first=rng.randint(1, 7), after=after, order=order)
        seen += [node["id"] for node in found["nodes"]]
        after, more = found["pageInfo"]["endCursor"], found["pageInfo"]["hasNextPage"]
        if len(seen) < 60:  # or a list that grows at its end would never be read to it
            await life.goes_on(rng.randint(0, 5))
    assert len(there) > 10
    assert [image_id for image_id in seen if image_id in there] == there
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("order", ImageOrder)
async def test_a_connection_is_relays(system: System, order: ImageOrder) -> None:
    """Edges and nodes say the same, and the page's cursors are those of its ends."""
    images = [an_image(owner="local", created_at=at, finished_at=at) for at in (NOON, NOON, NOON)]
    await system.services.catalog.add(images)
    ids = sorted((image.id for image in images), reverse=order.newest_first)
    first = await page(system, first=2, order=order)
    assert (
        [edge["node"]["id"] for edge in first["edges"]] == [node["id"] for node in first["nodes"]] == ids[:2]
    )
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][1]["cursor"],
    }
    rest = await page(system, first=2, order=order, after=first["pageInfo"]["endCursor"])
    assert [node["id"] for node in rest["nodes"]] == ids[2:]
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    end = await page(system, first=2, order=order, after=rest["pageInfo"]["endCursor"])
    assert end["edges"] == []
    assert end["pageInfo"] == {
        "hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": None,
    }  # fmt: skip


async def test_a_cursor_of_another_list_is_refused(system: System) -> None:
    """It would show a page from somewhere; the feed's is none of a list's, nor the other way round."""
    place = Position(NOON, "img_" + "0" * 32)
    cursors = {name: encode_cursor(place, name) for name in ["FEED", *ImageOrder]}
    for order in ImageOrder:
        for name, cursor in cursors.items():
            answer = await system.execute(LIST, order=order, after=cursor)
            assert ("errors" not in answer) == (name == order)
            if name != order:
                assert codes(answer) == ["INVALID_INPUT"]


@pytest.mark.parametrize(
    "text", ["NEWEST_FIRST:1", "NEWEST_FIRST:x:img", "1:img", f"NEWEST_FIRST:{10**30}:img", ""]
)
async def test_a_cursor_that_somebody_made_is_refused(system: System, text: str) -> None:
    """With a code, whatever it says."""
    cursor = base64.urlsafe_b64encode(text.encode()).decode() or "="
    assert codes(await system.execute(LIST, after=cursor)) == ["INVALID_INPUT"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abc"),
        ({"preset": None, "createdAfter": None, "createdBefore": None, "metadata": None}, "abc"),
        ({"preset": ["avatar", "\ud800"]}, "b"),
        ({"preset": ["\ud800"]}, ""),
        ({"createdAfter": "2026-06-01T14:00:01+02:00"}, "bc"),
        ({"createdAfter": "2026-06-01T12:00:01"}, "bc"),
        ({"createdAfter": "0001-01-01T00:00:00Z", "createdBefore": "9999-12-31T23:59:59Z"}, "abc"),
        ({"createdBefore": "0001-01-01T00:00:00"}, ""),
        ({"createdBefore": "2026-06-01T12:00:01Z"}, "a"),
        ({"metadata": {"key": "album"}}, "ab"),
        ({"metadata": {"key": "album", "value": None}}, "ab"),
        ({"metadata": {"key": "album", "value": "Oslo \ud800"}}, "a"),
        ({"metadata": {"key": "album", "value": "x" * 10_000}}, ""),
        ({"metadata": {"key": "album", "value": "7"}, "status": ["READY"], "preset": ["avatar"]}, "b"),
        ({"metadata": {"key": "album", "value": "7"}, "status": ["FAILED"]}, ""),
    ],
)
async def test_a_list_is_narrowed_to_what_is_asked_for(
    system: System, wanted: dict[str, Any], found: str
) -> None:
    """By each part of the filter, and by all of them."""
    kinds: Iterable[dict[str, Any]] = (
        {"filename": "a", "metadata": {"album": "Oslo \ud800"}},
        {"filename": "b", "metadata": {"album": 7}, "status": Status.READY, "preset": "avatar"},
        {"filename": "c"},
    )
    await system.services.catalog.add(
        [
            an_image(owner="local", created_at=NOON + timedelta(seconds=n), **kind)
            for n, kind in enumerate(kinds)
        ]
    )
    listed = await page(system, filter=wanted, order="OLDEST_FIRST")
    assert "".join(node["filename"] for node in listed["nodes"]) == found
    assert (await page(system, filter=wanted, order="FINISHED_OLDEST_FIRST"))["nodes"] == []


@pytest.mark.parametrize(
    "wanted", [{"createdAfter": "0001-01-01T00:00:00+14:00"}, {"preset": ["default"] * 101}]
)
async def test_a_filter_that_cannot_be_is_refused(system: System, wanted: dict[str, Any]) -> None:
    """With a code."""
    assert codes(await system.execute(LIST, filter=wanted)) == ["INVALID_INPUT"]


class WatchedCatalog:
    """A catalog that remembers which ids it was asked for at once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.asked: list[set[str]] = []

    async def get_many(self, image_ids: Iterable[str], *, owner: str | None = None) -> dict[str, Image]:
        """Remember, and ask."""
        self.asked.append(set(image_ids))
        return await self._catalog.get_many(self.asked[-1], owner=owner)


async def test_images_of_one_request_are_read_at_once(services: Services) -> None:
    """However often and by which field they are asked for; somebody else's stay null."""
    mine = [an_image(owner="local") for _ in range(3)]
    theirs = an_image(owner="somebody-else")
    await services.catalog.add([*mine, theirs])
    watched = WatchedCatalog(services.catalog)
    ids = [image.id for image in [*mine, mine[0], theirs]]
    fields = "".join(
        f'f{n}: {"node" if n % 2 else "image"}(id: "{image_id}") {{ id }} ' for n, image_id in enumerate(ids)
    )
    async with calling(replace(services, catalog=watched)) as http:  # type: ignore[arg-type]
        answer = await http.post("/graphql", json={"query": f"{{ {fields} }}"})
    data = answer.json()["data"]
    assert [data[f"f{n}"] and data[f"f{n}"]["id"] for n in range(5)] == [*ids[:4], None]
    assert watched.asked == [set(ids)]


async def test_who_asks_again_over_a_websocket_sees_what_is_new(system: System) -> None:
    """Nothing is remembered from one operation to the next."""
    image = an_image(owner="local")
    await system.services.catalog.add([image])
    query = {"query": "query ($id: ID!) { image(id: $id) { version } }", "variables": {"id": image.id}}
    async with connect(system) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        versions = []
        for n in range(2):
            await socket.send(json.dumps({"type": "subscribe", "id": f"{n}", "payload": query}))
            versions.append(json.loads(await socket.recv())["payload"]["data"]["image"]["version"])
            assert json.loads(await socket.recv())["type"] == "complete"
            await system.services.catalog.move(image.id, Move.ARRIVE, at=NOON)
    assert versions == [1, 2]
