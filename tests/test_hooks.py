"""The webhook: 2xx after the record moved, 4xx for what can never succeed, 503 to be asked again."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from api.app import create_app
from api.limits import open_limiter
from api.server import create_server
from jobs.errors import Unavailable
from jobs.images import Status, new_image_id, source_key
from jobs.ports import Services
from jobs.sns import Fetch
from tests import shapes
from tests.shapes import SHAPES, Shape
from tests.test_events import record
from tests.test_ingest import AwayQueue, state, uploaded

TOKEN = {"Authorization": "Bearer a-token-of-the-tests"}


@pytest.fixture
async def store(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A store that calls the webhook."""
    async with calling(services) as http:
        yield http


async def nowhere(url: str) -> bytes:
    """Tests do not leave this machine."""
    raise Unavailable(f"Nobody answers at {url}")


def calling(services: Services, fetch: Fetch = nowhere) -> httpx.AsyncClient:
    """A client of an application over these services."""
    app = create_app(services, fetch)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        async with open_limiter(services.settings, services.clock) as limiter:
            scope["state"] = {"services": services, "hub": None, "limiter": limiter}
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


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_store_is_heard(shape: Shape, store: httpx.AsyncClient, services: Services) -> None:
    """In the shape in which it speaks, once or twice."""
    image = await uploaded(services)
    body = shape(services.settings.s3_bucket, image.source_key)
    for outcome in ("moved", "already"):
        answer = await store.post("/hooks/storage", json=body)
        assert (answer.status_code, answer.json()) == (200, {"results": [outcome]})
    assert await services.queue.depth() == 1


async def test_an_event_for_another_bucket_or_key_succeeds(
    store: httpx.AsyncClient, services: Services
) -> None:
    """Whatever else the store tells of is none of ours, and must not be delivered for ever."""
    image = await uploaded(services)
    bucket = services.settings.s3_bucket
    batch = [
        shapes.r2("another-bucket", image.source_key),
        shapes.r2(bucket, image.source_key + "/x"),
        shapes.r2(bucket, "x/" + image.source_key),
        shapes.r2(bucket, image.source_key.replace("/", "%2F")),
    ]
    answer = await store.post("/hooks/storage", json=batch)
    assert (answer.status_code, answer.json()) == (200, {"results": ["unknown"] * 4})
    assert (await state(services, image)).status is Status.PENDING


async def test_an_event_for_an_unknown_key_succeeds(store: httpx.AsyncClient) -> None:
    """It must not be delivered for ever."""
    answer = await store.post("/hooks/storage", json={"Records": [record(key="whatever")]})
    assert (answer.status_code, answer.json()) == (200, {"results": ["unknown"]})


async def test_the_test_event_succeeds(store: httpx.AsyncClient) -> None:
    """S3 sends it when the notification is set up."""
    answer = await store.post("/hooks/storage", json={"Event": "s3:TestEvent"})
    assert answer.status_code == 200


def basic(user: str, password: str) -> str:
    """The header that a user and a password in a URL become."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "query"),
    [
        ("bearer a-token-of-the-tests", ""),
        (basic("ceph", "a-token-of-the-tests"), ""),
        (basic("", "a-token-of-the-tests"), ""),
        (None, "?token=a-token-of-the-tests"),
        ("Bearer a-token-of-googles-own", "?token=a-token-of-the-tests"),
    ],
)
async def test_stores_send_the_token_as_they_can(
    services: Services, authorization: str | None, query: str
) -> None:
    """Ceph in the URL before the host, Pub/Sub in its query."""
    async with calling(services) as http:
        http.headers.pop("Authorization")
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = await http.post(f"/hooks/storage{query}", json={"Event": "s3:TestEvent"}, headers=headers)
    assert answer.status_code == 200


def test_what_is_asked_for_is_not_logged(services: Services) -> None:
    """A query can hold the token."""
    assert not create_server(services).config.access_log


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic a-token-of-the-tests",
        "Basic \xfc",
        basic("a-token-of-the-tests", ""),
        basic("ceph", "wrong"),
        "a-token-of-the-tests",
        "Digest a-token-of-the-tests",
    ],
)
async def test_a_stranger_is_refused(services: Services, authorization: str | None) -> None:
    """Only who knows the token speaks for the store."""
    image = await uploaded(services)
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=image.source_key)]}
    async with calling(services) as http:
        http.headers.pop("Authorization")
        headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
        answer = await http.post("/hooks/storage?token=wrong", json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert (await state(services, image)).status is Status.PENDING


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"Records": []}', b"\xff\xfe", b'{"Records": [{}]}', b"[" * 10_000]
)
async def test_nonsense_is_refused_for_good(store: httpx.AsyncClient, body: bytes) -> None:
    """Sending it again could not help, and the answer says why."""
    answer = await store.post("/hooks/storage", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"]


async def test_the_events_of_one_request_do_not_come_all_at_once(services: Services) -> None:
    """However many there are: others use the services too."""

    class Counting:
        """A catalog in which there is nothing; it notes how many ask at the same time."""

        asking = most = 0

        async def get(self, _: str) -> None:
            """Nothing, in a moment."""
            self.asking += 1
            self.most = max(self.most, self.asking)
            await asyncio.sleep(0)
            self.asking -= 1

    catalog = Counting()
    anything: Any = catalog
    bucket = services.settings.s3_bucket
    records = [record(bucket=bucket, key=source_key(new_image_id())) for _ in range(100)]
    async with calling(replace(services, catalog=anything)) as store:
        answer = await store.post("/hooks/storage", json={"Records": records})
    assert answer.json() == {"results": ["unknown"] * 100}
    assert 1 < catalog.most <= 16


async def test_a_store_that_tells_while_all_stands_still_is_asked_to_come_again(services: Services) -> None:
    """Before it loses patience itself."""

    class Frozen:
        """A catalog that never answers."""

        async def get(self, _: str) -> None:
            """Wait for ever."""
            await asyncio.Event().wait()

    anything: Any = Frozen()
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=source_key(new_image_id()))]}
    async with asyncio.timeout(60), calling(replace(services, catalog=anything)) as store:
        assert (await store.post("/hooks/storage", json=body)).status_code == 503


@pytest.mark.parametrize("max_upload_files", [1, 1_000])
async def test_an_endless_body_is_refused(services: Services, max_upload_files: int) -> None:
    """Nobody fills our memory, whether he says beforehand how much it is or not."""
    settings = services.settings.model_copy(update={"max_upload_files": max_upload_files})

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1_025):
            yield b" " * 1_024

    async with calling(replace(services, settings=settings)) as http:
        whole = await http.post("/hooks/storage", content=json.dumps({"x": "y" * 2_000_000}))
        in_pieces = await http.post("/hooks/storage", content=pieces())
    assert (whole.status_code, in_pieces.status_code) == (413, 413)


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


@pytest.mark.parametrize("token", [None, ""])
async def test_without_a_token_there_is_no_webhook(services: Services, token: str | None) -> None:
    """An unset token is no empty password."""
    hook_token = None if token is None else SecretStr(token)
    settings = services.settings.model_copy(update={"hook_token": hook_token})
    async with calling(replace(services, settings=settings)) as http:
        answer = await http.post("/hooks/storage", json={}, headers={"Authorization": "Bearer "})
    assert answer.status_code == 404
