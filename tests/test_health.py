"""Whether a process lives, and whether it can do its work."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from jobs.images import Image, ImageChange
from tests.memory import MemoryCatalog, MemoryStorage
from tests.system import System, serving
from tests.test_ingest import AwayQueue


async def test_health_is_told(api: System) -> None:
    """The process lives, and every service answers."""
    assert (await api.http.get(f"{api.url}/healthz")).status_code == 200
    ready = await api.http.get(f"{api.url}/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        dict.fromkeys(("bus", "catalog", "queue", "storage"), "ok"),
    )


async def test_a_service_that_is_away_makes_it_unready(api: System) -> None:
    """The answer says which."""
    async with serving(replace(api.services, queue=AwayQueue())) as url:
        answer = await api.http.get(f"{url}/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "bus": "ok",
        "catalog": "ok",
        "queue": "Redis does not answer.",
        "storage": "ok",
    }


async def test_each_service_has_its_time_to_answer(api: System) -> None:
    """One that is silent, one that hears of nothing and one that fails in a new way are told of."""

    class Silent(MemoryCatalog):
        async def ping(self) -> None:
            """Say nothing."""
            await asyncio.Event().wait()

    class Deaf:
        async def publish(self, image: Image) -> None:
            """Tell nobody."""

        async def echo(self, key: str, *, via: str) -> None:
            """Tell nobody of that, either."""

        async def changes(self) -> AsyncIterator[ImageChange | None]:
            """Hear of nothing."""
            await asyncio.Event().wait()
            yield None

    class Broken(MemoryStorage):
        async def ping(self) -> None:
            """Fail in a way that nobody expected."""
            raise RuntimeError("secret")

    services = replace(api.services, catalog=Silent(), bus=Deaf(), storage=Broken(api.services.clock))
    async with serving(services) as url:
        answer = await api.http.get(f"{url}/readyz")
    assert answer.status_code == 503
    told = answer.json()
    assert (told["bus"], told["catalog"], told["queue"]) == (
        "no answer within 2 s",
        "no answer within 2 s",
        "ok",
    )
    assert told["storage"].startswith("Something went wrong")
    assert "secret" not in answer.text
