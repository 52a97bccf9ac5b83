"""The webhook as SNS calls it: without a token, with a signature."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from api.hooks import fetch_body
from jobs.errors import Unavailable
from jobs.images import Status
from jobs.ports import Services
from tests import shapes
from tests.shapes import Shape
from tests.test_hooks import calling
from tests.test_ingest import state, uploaded
from tests.test_sns import (
    ARN,
    CERTIFICATE_URL,
    NOW,
    SUBSCRIBE_URL,
    Amazon,
    confirmation,
    notification,
    signed,
)

SNS = {"x-amz-sns-message-type": "Notification", "Content-Type": "text/plain; charset=UTF-8"}


@pytest.fixture
def with_topic(services: Services) -> Services:
    """Services whose settings name the topic, and no token."""
    settings = services.settings.model_copy(update={"hook_token": None, "sns_topic_arn": ARN})
    return replace(services, settings=settings, clock=lambda: NOW)


@pytest.fixture
def amazon() -> Amazon:
    """Where the certificate is."""
    return Amazon()


@pytest.fixture
async def topic(with_topic: Services, amazon: Amazon) -> AsyncIterator[httpx.AsyncClient]:
    """SNS, which delivers what was said to the topic; it has no token."""
    async with calling(with_topic, amazon.fetch) as http:
        http.headers.pop("Authorization")
        http.headers.update(SNS)
        yield http


@pytest.mark.parametrize("shape", [shapes.s3, shapes.event_bridge])
async def test_a_signed_message_of_our_topic_moves_its_record(
    shape: Shape, topic: httpx.AsyncClient, services: Services
) -> None:
    """The signature is as good as the token."""
    image = await uploaded(services)
    body = signed(notification(shape(services.settings.s3_bucket, image.source_key)))
    answer = await topic.post("/hooks/storage", content=body)
    assert (answer.status_code, answer.json()) == (200, {"results": ["moved"]})


async def test_a_message_without_a_good_signature_moves_nothing(
    topic: httpx.AsyncClient, services: Services
) -> None:
    """Nor does one without an envelope."""
    image = await uploaded(services)
    event = shapes.s3(services.settings.s3_bucket, image.source_key)
    forged = json.loads(signed(notification(shapes.s3("b", "k")))) | {"Message": json.dumps(event)}
    for body in (forged, notification(event), event):
        assert (await topic.post("/hooks/storage", json=body)).status_code == 401
    assert (await state(services, image)).status is Status.PENDING


async def test_the_subscription_is_confirmed(topic: httpx.AsyncClient, amazon: Amazon) -> None:
    """Whoever subscribes the webhook to the topic has nothing more to do."""
    answer = await topic.post("/hooks/storage", content=signed(confirmation()))
    assert (answer.status_code, answer.json()) == (200, {"results": []})
    assert amazon.asked == [CERTIFICATE_URL, SUBSCRIBE_URL]


async def test_sns_tries_again_while_its_certificate_cannot_be_had(
    topic: httpx.AsyncClient, amazon: Amazon
) -> None:
    """It is not the message's fault."""
    amazon.pages.clear()
    answer = await topic.post("/hooks/storage", content=signed(notification(shapes.s3("b", "k"))))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_message_that_is_signed_and_makes_no_sense_is_refused(topic: httpx.AsyncClient) -> None:
    """Somebody may publish whatever he likes to the topic."""
    answer = await topic.post("/hooks/storage", content=signed(notification("hello")))
    assert answer.status_code == 400


async def test_only_what_is_signed_is_followed(services: Services, topic: httpx.AsyncClient) -> None:
    """The signature stands for the message, and not for what somebody has put beside it."""
    image = await uploaded(services)
    forged = json.loads(signed(notification("{}"))) | shapes.s3(services.settings.s3_bucket, image.source_key)
    answer = await topic.post("/hooks/storage", content=json.dumps(forged))
    assert answer.status_code == 400
    assert (await state(services, image)).status is Status.PENDING


async def test_without_the_setting_no_topic_is_ours(services: Services, amazon: Amazon) -> None:
    """Signed or not; but the token is enough."""
    image = await uploaded(services)
    body = signed(notification(shapes.s3(services.settings.s3_bucket, image.source_key)))
    async with calling(services, amazon.fetch) as http:
        token = http.headers.pop("Authorization")
        assert (await http.post("/hooks/storage", content=body, headers=SNS)).status_code == 401
        with_token = await http.post("/hooks/storage", content=body, headers=SNS | {"Authorization": token})
    assert with_token.json() == {"results": ["moved"]}
    assert not amazon.asked


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "500 Error", None])
async def test_what_amazon_keeps_is_fetched_without_a_detour(status: str | None) -> None:
    """Only what is at the URL itself counts; nothing else is asked, and no answer is no traceback."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if status is not None:
            head = (
                f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + b"body")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page"
        if status == "200 OK":
            assert await fetch_body(url) == b"body"
        else:
            with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
                await fetch_body(url)
    assert len(asked) == 1
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        await fetch_body(url)
