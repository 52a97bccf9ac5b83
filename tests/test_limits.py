"""Limits hold for all processes together, say when to try again, and let everything pass without Redis."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from limits import RateLimitItem, parse
from structlog.testing import capture_logs

from api.addresses import network_of
from api.limits import Limiter, Window, open_limiter, room, wait
from api.schema import schema
from jobs.clock import now
from jobs.errors import LimitExceeded, ProblemCode
from jobs.images import Move
from jobs.queue import open_redis
from jobs.services import open_services
from jobs.settings import Settings
from tests.records import NOON, an_image
from tests.system import System, running_system, serving
from tests.test_api import connect
from tests.test_system import CREATE

HERE = "192.0.2.1"
JUST_THIS = "{ __typename }"


@asynccontextmanager
async def limiting(
    settings: Settings, clock: Callable[[], datetime] = now, **limits: Any
) -> AsyncIterator[Limiter]:
    """A limiter of one process."""
    chosen = settings.model_copy(update={"rate_creations": "none", **limits})
    async with open_limiter(chosen, clock) as limiter:
        yield limiter


async def files(
    limiter: Limiter, *sizes: int, owner: str = "ada", address: str = HERE
) -> list[int | str | None]:
    """What becomes of files: None for each that may be, else after how long, or the code if never."""
    answers = await limiter.admit_files(sizes, owner=owner, address=address)
    return [None if answer is None else answer.retry_after or answer.code.value for answer in answers]


async def refused_for(limiter: Limiter, owner: str | None = "ada", address: str = HERE) -> int | None:
    """For how long an operation is refused; None if it is not."""
    try:
        await limiter.admit_operation(owner=owner, address=address)
    except LimitExceeded as refusal:
        return refusal.retry_after
    return None


async def let_pass(settings: Settings, seconds: int) -> None:
    """Let the counters become so much older."""
    async with open_redis(settings) as redis:
        async for key in redis.scan_iter(f"{settings.namespace}:limits:*"):
            left = await redis.pttl(key) - 1_000 * seconds
            await (redis.pexpire(key, left) if left > 0 else redis.delete(key))


def after(window: Window, seconds: float, length: int) -> Window:
    """The same window later, if nothing is counted meanwhile: the library's script in a few words."""
    earlier_left, current_left = window.earlier_left - seconds, window.current_left - seconds
    if current_left <= 0:
        return Window(0, 0, 0, 0)
    if current_left < length:
        return Window(window.current, current_left, 0, current_left + length)
    return Window(
        window.earlier if earlier_left > 0 else 0, max(earlier_left, 0), window.current, current_left
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_wait_is_as_long_as_it_must_be(seed: int) -> None:
    """After it there is room, if nobody else asks; a second before it there was none."""
    rng = random.Random(seed)  # noqa: S311
    for _ in range(200):
        item: RateLimitItem = parse(f"{rng.randint(1, 50)}/{rng.randint(1, 90)} seconds")
        length = item.get_expiry()
        left = rng.uniform(0.001, length)
        window = Window(rng.randint(0, item.amount), left, rng.randint(0, item.amount), left + length)
        cost = rng.randint(1, item.amount)
        seconds = wait(window, item, cost)
        assert room(after(window, seconds, length), item) >= cost
        if seconds > 1:
            assert room(after(window, seconds - 1, length), item) < cost


async def test_as_many_files_pass_as_there_is_room_for(corner: Settings) -> None:
    """The first ones; each of the others is told when it and those before it fit."""
    async with limiting(corner, rate_creations="3/hour") as limiter:
        answers = await files(limiter, 1, 1, 1, 1, 1)
        assert answers[:3] == [None] * 3
        fourth, fifth = answers[3:]
        assert isinstance(fourth, int)
        assert isinstance(fifth, int)
        assert 3_000 < fourth < fifth <= 4_801
        assert await files(limiter, 1, owner="bob") == [None]
        await let_pass(corner, fourth - 60)
        assert await files(limiter, 1) != [None]
        await let_pass(corner, 60)
        assert (await files(limiter, 1, 1))[0] is None


async def test_of_several_rates_all_hold(corner: Settings) -> None:
    """A short one against a rush, a long one against too much of it."""
    async with limiting(corner, rate_queries="2/minute; 3/day") as limiter:
        assert [await refused_for(limiter) for _ in range(2)] == [None, None]
        first = await refused_for(limiter)
        assert first is not None
        assert first <= 120
        await let_pass(corner, 120)
        assert await refused_for(limiter) is None
        second = await refused_for(limiter)
        assert second is not None
        assert second > 3_600


async def test_what_is_refused_is_not_counted(corner: Settings) -> None:
    """Whoever asks again too early waits no longer for it."""
    async with limiting(corner, rate_queries="1/hour") as limiter:
        assert await refused_for(limiter) is None
        waits = [await refused_for(limiter) for _ in range(10)]
        assert waits[-1] is not None
        await let_pass(corner, waits[-1])
        assert await refused_for(limiter) is None


async def test_of_many_who_ask_at_once_no_more_pass_than_may(corner: Settings) -> None:
    """Over two processes, each with connections of its own."""
    async with (
        limiting(corner, rate_creations="10/hour") as one,
        limiting(corner, rate_creations="10/hour") as other,
    ):
        asked = [files(limiter, 1) for _ in range(15) for limiter in (one, other)]
        answers = await asyncio.gather(*asked)
    assert answers.count([None]) == 10


async def test_an_address_is_held_to_operations_and_files_together(corner: Settings) -> None:
    """Whoever they are for; others are not."""
    async with limiting(corner, rate_address="4/hour") as limiter:
        assert await refused_for(limiter, owner=None) is None
        assert await refused_for(limiter, owner="bob") is None
        assert (await files(limiter, 1, 1, 1))[:2] == [None, None]
        assert await refused_for(limiter) is not None
        assert await refused_for(limiter, address="192.0.2.2") is None


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("somebody", "somebody"),
    ],
)
def test_an_address_stands_for_all_that_its_owner_has(host: str, network: str) -> None:
    """In IPv6 that is more than one."""
    assert network_of(host) == network


async def test_a_quota_is_for_a_day(corner: Settings) -> None:
    """What does not fit is not counted, and what is smaller still passes; tomorrow is another day."""
    day = NOON
    async with limiting(corner, lambda: day, quota_bytes_per_day=1_000) as limiter:
        assert await files(limiter, 600, 500, 300) == [None, 12 * 3_600, None]
        assert await files(limiter, 1_001) == ["QUOTA_EXCEEDED"]
        assert await files(limiter, 101, 100, 1) == [12 * 3_600, None, 12 * 3_600]
        assert await files(limiter, 1_000, owner="bob") == [None]
        day = NOON + timedelta(hours=12) - timedelta(milliseconds=1)
        assert await files(limiter, 1) == [1]
        day = NOON + timedelta(hours=12)
        assert await files(limiter, 1_000) == [None]


async def test_a_file_that_is_one_too_many_costs_no_bytes(corner: Settings) -> None:
    """It can still be uploaded on the same day."""
    async with limiting(corner, rate_creations="1/hour", quota_bytes_per_day=1_000) as limiter:
        first, second = await files(limiter, 500, 500)
        assert first is None
        assert isinstance(second, int)
        await let_pass(corner, 7_200)
        assert await files(limiter, 500) == [None]


async def test_without_redis_everything_passes(corner: Settings) -> None:
    """The log says so, once in a while for many requests."""
    away = corner.model_copy(update={"redis_url": "redis://127.0.0.1:9"})
    limits: dict[str, Any] = {"rate_creations": "1/hour", "rate_queries": "1/hour", "quota_bytes_per_day": 1}
    async with limiting(away, **limits) as limiter:
        with capture_logs() as logs:
            assert await files(limiter, 5, 5) == [None, None]
            assert [await refused_for(limiter) for _ in range(50)] == [None] * 50
    assert {entry["log_level"] for entry in logs} == {"warning"}
    assert len(logs) < 10


async def test_a_redis_that_says_nothing_holds_nobody_up(corner: Settings) -> None:
    """Whoever asks at the same moment waits no longer than the first, and the log does not fill."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        silent = corner.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}"})
        async with limiting(silent, rate_queries="1/hour") as limiter:
            with capture_logs() as logs:
                found = await asyncio.gather(*(refused_for(limiter) for _ in range(30)))
    assert found == [None] * 30
    assert 0 < len(logs) < 10


async def test_limits_hold_over_two_processes(settings: Settings) -> None:
    """Over HTTP, as data for each file; a repeated request is not counted again."""
    chosen = settings.model_copy(update={"rate_creations": "3/hour"})
    async with (
        open_services(chosen) as one,
        open_services(chosen) as other,
        serving(one) as here,
        serving(other) as there,
        httpx.AsyncClient() as http,
    ):

        async def ask(url: str, count: int, key: str | None = None) -> list[dict[str, Any]]:
            file = {"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": 3}
            variables = {"input": {"files": [file] * count, "idempotencyKey": key}}
            answer = await http.post(f"{url}/graphql", json={"query": CREATE, "variables": variables})
            found: list[dict[str, Any]] = answer.json()["data"]["createUploads"]["results"]
            return found

        first = await ask(here, 2, key="holiday")
        assert [item["image"]["id"] for item in first] == [
            item["image"]["id"] for item in await ask(there, 2, key="holiday")
        ]
        taken, refused = await ask(there, 2, key="birthday")
        assert taken["__typename"] == "UploadTarget"
        assert (refused["__typename"], refused["code"]) == ("InvalidFile", "RATE_LIMITED")
        assert refused["retryAfter"] > 3_000
        assert str(refused["retryAfter"]) in refused["message"]
        assert (await ask(here, 1))[0]["code"] == "RATE_LIMITED"
        assert len(await one.catalog.page("local", first=10)) == 3

        await let_pass(chosen, refused["retryAfter"])
        again, late = await ask(here, 2, key="birthday")
        assert again["image"]["id"] == taken["image"]["id"]
        assert late["__typename"] == "UploadTarget"


async def test_a_file_that_does_not_fit_into_the_day_is_told_so(settings: Settings) -> None:
    """Beside the targets of those that do."""
    chosen = settings.model_copy(update={"quota_bytes_per_day": 1_000})
    async with running_system(chosen, worker=False, events=False) as system:
        sizes = [600, 600, 2_000]
        named = [{"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": size} for size in sizes]
        answer = await system.execute(CREATE, input={"files": named})
    fits, later, never = answer["data"]["createUploads"]["results"]
    assert fits["__typename"] == "UploadTarget"
    assert (later["code"], never["code"]) == ("QUOTA_EXCEEDED", "QUOTA_EXCEEDED")
    assert 0 < later["retryAfter"] <= 86_400
    assert never["retryAfter"] is None


@pytest.fixture
async def strict(settings: Settings) -> AsyncIterator[System]:
    """An API that takes two operations in an hour."""
    chosen = settings.model_copy(update={"rate_queries": "2/hour"})
    async with running_system(chosen, worker=False, events=False) as system:
        yield system


async def test_an_operation_too_many_is_refused_over_http(strict: System) -> None:
    """With 429, when to come again, and an error that a GraphQL client understands; nonsense counts, too."""
    url = f"{strict.url}/graphql"
    assert (await strict.http.post(url, json={"query": JUST_THIS})).status_code == 200
    await strict.http.post(url, json={"query": "{"})
    answer = await strict.http.post(url, json={"query": JUST_THIS})
    assert answer.status_code == 429
    (error,) = answer.json()["errors"]
    assert "data" not in answer.json()
    assert error["extensions"] == {
        "code": "RATE_LIMITED", "retryAfter": int(answer.headers["retry-after"]),
    }  # fmt: skip
    assert error["extensions"]["retryAfter"] > 3_000
    await let_pass(strict.services.settings, error["extensions"]["retryAfter"])
    assert (await strict.http.post(url, json={"query": JUST_THIS})).status_code == 200


class Unread(str):
    """A query that nobody looks at, or it says so."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise AssertionError("somebody looks at it")


async def test_nothing_is_done_for_an_operation_too_many(corner: Settings) -> None:
    """It is not even parsed."""

    async def refuse() -> None:
        raise LimitExceeded(ProblemCode.RATE_LIMITED, "too many", retry_after=5)

    context = SimpleNamespace(admit_operation=refuse, services=SimpleNamespace(settings=corner))
    result = await schema.execute(Unread("{ __typename }"), context_value=context)
    (error,) = result.errors or []
    assert error.extensions == {"code": "RATE_LIMITED", "retryAfter": 5}


@pytest.mark.parametrize("query", [JUST_THIS, "subscription { feed { cursor } }"])
async def test_an_operation_too_many_is_refused_over_a_websocket(strict: System, query: str) -> None:
    """By an error for this operation; the connection stays, and what runs goes on."""
    async with connect(strict) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        following = {"query": "subscription { feed { image { id } } }"}
        await socket.send(json.dumps({"type": "subscribe", "id": "follow", "payload": following}))
        await socket.send(json.dumps({"type": "subscribe", "id": "ask", "payload": {"query": JUST_THIS}}))
        told = [json.loads(await socket.recv()) for _ in range(2)]
        assert [(message["id"], message["type"]) for message in told] == [
            ("ask", "next"),
            ("ask", "complete"),
        ]
        await socket.send(json.dumps({"type": "subscribe", "id": "more", "payload": {"query": query}}))
        refused = json.loads(await socket.recv())
        assert (refused["id"], refused["type"]) == ("more", "error")
        (error,) = refused["payload"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["retryAfter"] > 3_000

        image = an_image(owner="local")
        await strict.services.catalog.add([image])
        moved = await strict.services.catalog.move(image.id, Move.ARRIVE, at=now())
        assert moved is not None
        await strict.services.bus.publish(moved)
        change = json.loads(await socket.recv())
        assert (change["id"], change["payload"]["data"]["feed"]["image"]["id"]) == ("follow", image.id)


async def test_strangers_are_held_by_their_address(settings: Settings) -> None:
    """As the proxy on this machine tells it; one who is known is not held for them."""
    keyed = settings.model_copy(update={"auth": "keys", "rate_queries": "1/hour", "rate_address": "2/hour"})
    async with running_system(keyed, worker=False, events=False) as system:

        async def status(address: str) -> int:
            answer = await system.http.post(
                f"{system.url}/graphql", json={"query": JUST_THIS}, headers={"X-Forwarded-For": address}
            )
            return answer.status_code

        assert [await status("198.51.100.7") for _ in range(3)] == [200, 200, 429]
        assert await status("198.51.100.8") == 200
        assert [await status(f"2001:db8::{n}") for n in range(3)] == [200, 200, 429]
