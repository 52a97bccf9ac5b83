"""Messages are deleted only after the record moved, or if they can never be understood."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jobs.consumer import EventQueue, Message, handle, open_event_queue, run_consumer
from jobs.errors import SettingsError, Unavailable
from jobs.images import Image, Status
from jobs.ports import Services
from jobs.settings import Settings
from tests.shapes import SHAPES, Shape
from tests.test_events import record
from tests.test_ingest import AwayQueue, state, uploaded


@pytest.fixture
async def queue(settings: Settings) -> AsyncIterator[EventQueue]:
    """The queue to which the bucket's notifications go."""
    assert settings.events_queue_url is not None
    async with open_event_queue(settings, settings.events_queue_url) as opened:
        yield opened


async def event_of(queue: EventQueue, key: str) -> Message:
    """The message that tells of `key`; S3's own test of the notification comes first."""
    while True:
        for message in await queue.receive():
            if key in message.body:
                return message


async def test_the_store_tells_of_what_is_stored(services: Services, queue: EventQueue) -> None:
    """And what it says moves the record."""
    image = await uploaded(services)
    message = await event_of(queue, image.source_key)
    assert await handle(message, services)
    assert (await state(services, image)).status is Status.UPLOADED


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_queue_may_hear_of_it_by_other_ways(services: Services, shape: Shape) -> None:
    """By a topic, or by EventBridge: whoever may write to the queue is believed."""
    image = await uploaded(services)
    body = json.dumps(shape(services.settings.s3_bucket, image.source_key))
    assert await handle(Message(body, "receipt"), services)
    assert (await state(services, image)).status is Status.UPLOADED


async def test_the_store_does_not_tell_of_variants(services: Services, queue: EventQueue) -> None:
    """They are our own doing: only sources are of interest."""
    await services.storage.write("variants/x", b"x", content_type="image/webp")
    image = await uploaded(services)
    assert "variants/x" not in (await event_of(queue, image.source_key)).body


async def test_a_message_is_kept_while_a_service_is_away(services: Services) -> None:
    """It comes again, and then completes."""
    image = await uploaded(services)
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=image.source_key)]}
    message = Message(json.dumps(body), "receipt")
    assert not await handle(message, replace(services, queue=AwayQueue()))
    assert await handle(message, services)
    assert await services.queue.depth() == 1


@pytest.mark.parametrize("body", ["", "{", "[]", '{"Records": [{}]}', "[" * 100_000])
async def test_a_message_that_makes_no_sense_is_let_go(services: Services, body: str) -> None:
    """It must not come back for ever; the sweep finds what it meant."""
    assert await handle(Message(body, "receipt"), services)


async def test_an_unforeseen_fault_keeps_the_message_and_the_consumer(services: Services) -> None:
    """It comes again; everything else goes on."""

    class Broken(AwayQueue):
        async def enqueue(self, image: Image) -> None:
            """Fail in a way that nobody expected."""
            raise RuntimeError(image.id)

    image = await uploaded(services)
    body = {"Records": [record(bucket=services.settings.s3_bucket, key=image.source_key)]}
    assert not await handle(Message(json.dumps(body), "receipt"), replace(services, queue=Broken()))


async def test_a_deleted_message_does_not_come_again(services: Services, queue: EventQueue) -> None:
    """The queue forgets it."""
    image = await uploaded(services)
    await queue.delete([await event_of(queue, image.source_key)])
    other = await uploaded(services)
    assert image.source_key not in (await event_of(queue, other.source_key)).body


async def test_a_consumer_without_a_queue_says_which_setting_is_missing(corner: Settings) -> None:
    """In one line."""
    with pytest.raises(SettingsError, match="DARKROOM_EVENTS_QUEUE_URL is missing"):
        await run_consumer(corner)


@pytest.mark.parametrize("where", ["nowhere", "there"])
async def test_a_queue_that_cannot_be_used_ends_the_start(settings: Settings, where: str) -> None:
    """Whether nobody answers or nobody knows it; the setting is named."""
    host = "http://127.0.0.1:9" if where == "nowhere" else settings.s3_endpoint
    with pytest.raises(Unavailable, match="DARKROOM_EVENTS_QUEUE_URL"):
        async with open_event_queue(settings, f"{host}/000000000000/no-such-queue"):
            pass
