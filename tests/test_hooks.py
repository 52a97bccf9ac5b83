"""The webhook: 2xx after the record moved, 4xx for what can never succeed, 503 to be asked again."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.hooks import is_allowed
from jobs.images import Status
from jobs.ports import Services
from tests.test_events import record
from tests.test_ingest import AwayQueue, state, uploaded

TOKEN = {"Authorization": "Bearer a-token-of-the-tests"}


def basic(credentials: str) -> str:
    """The header by which HTTP sends a user's name and password."""
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.fixture
async def store(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A store that calls the webhook."""
    async with calling(services) as http:
        yield http


def calling(services: Services) -> httpx.AsyncClient:
    """A client of an application over these services."""
    app = create_app(services)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"services": services, "hub": None}
        await app(scope, receive, send)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(with_state), base_url="http://127.0.0.1", headers=TOKEN
    )


async def test_an_event_moves_its_record(store: httpx.AsyncClient, services: Services) -> None:
    """Before the answer, so that the store may forget it."""
    image = await uploaded(services)
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=image.source_key)]}
    answer = await store.post("/hooks/storage", json=body)
    assert (answer.status_code, answer.json()) == (200, {"results": ["moved"]})
    assert (await state(services, image)).status is Status.UPLOADED


async def test_an_event_for_an_unknown_key_succeeds(store: httpx.AsyncClient) -> None:
    """It must not be delivered for ever."""
    answer = await store.post("/hooks/storage", json={"Records": [record(key="whatever")]})
    assert (answer.status_code, answer.json()) == (200, {"results": ["unknown"]})


async def test_the_test_event_succeeds(store: httpx.AsyncClient) -> None:
    """S3 sends it when the notification is set up."""
    answer = await store.post("/hooks/storage", json={"Event": "s3:TestEvent"})
    assert answer.status_code == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic a-token-of-the-tests"])
async def test_a_stranger_is_refused(services: Services, authorization: str | None) -> None:
    """Only who knows the token speaks for the store."""
    image = await uploaded(services)
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=image.source_key)]}
    async with calling(services) as http:
        http.headers.pop("Authorization")
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = await http.post("/hooks/storage", json=body, headers=headers)
    assert answer.status_code == 401
    assert (await state(services, image)).status is Status.PENDING


@pytest.mark.parametrize("authorization", ["Bearer s3:cret", basic("store:s3:cret"), basic(":s3:cret")])
def test_the_token_may_come_as_a_password(authorization: str) -> None:
    """From a store that has only a URL to put it into, under whatever user's name."""
    assert is_allowed(authorization, "s3:cret")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "s3:cret",
        "Bearer",
        "Bearer wrong",
        "Bearer ü",
        "Digest s3:cret",
        "Basic",
        "Basic s3:cret",
        "Basic ü",
        basic("store"),
        basic("store:wrong"),
        basic("s3:cret"),
        basic("s3:cret:"),
    ],
)
def test_nothing_else_is_the_token(authorization: str) -> None:
    """Whether it is close to it or no header at all."""
    assert not is_allowed(authorization, "s3:cret")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"Records": [{}]}', b"[" * 10_000])
async def test_nonsense_is_refused_for_good(store: httpx.AsyncClient, body: bytes) -> None:
    """Sending it again could not help, and the answer says why."""
    answer = await store.post("/hooks/storage", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"]


async def test_an_endless_body_is_refused(store: httpx.AsyncClient) -> None:
    """Nobody fills our memory."""
    answer = await store.post("/hooks/storage", content=json.dumps({"x": "y" * 2_000_000}))
    assert answer.status_code == 413


async def test_a_service_that_is_away_asks_for_redelivery(services: Services) -> None:
    """And the redelivery completes it."""
    image = await uploaded(services)
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=image.source_key)]}
    async with calling(replace(services, queue=AwayQueue())) as http:
        answer = await http.post("/hooks/storage", json=body)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    async with calling(services) as http:
        assert (await http.post("/hooks/storage", json=body)).status_code == 200
    assert await services.queue.depth() == 1


async def test_without_a_token_there_is_no_webhook(services: Services) -> None:
    """An unset token is no empty password."""
    settings = services.settings.model_copy(update={"hook_token": None})
    async with calling(replace(services, settings=settings)) as http:
        answer = await http.post("/hooks/storage", json={}, headers={"Authorization": "Bearer "})
    assert answer.status_code == 404
