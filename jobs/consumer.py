"""The consumer: takes storage events from an SQS queue to `ingest`.

A message is deleted only after the record has moved; whatever happens before that, the queue delivers it
again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import structlog
from aiobotocore.config import AioConfig

from jobs.errors import InvalidInput, SettingsError, Unavailable
from jobs.events import decode_events
from jobs.ingest import ingest_event
from jobs.logs import excerpt
from jobs.ports import Services
from jobs.sdk import SDK_ERRORS, open_client
from jobs.services import open_services
from jobs.settings import Settings

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

log = structlog.get_logger(__name__)

_LONG_POLL = 20  # seconds; the longest that SQS allows
_BATCH = 10  # messages; likewise
_PAUSE = 1.0  # seconds before asking again when something did not answer


class Message(NamedTuple):
    """One delivery; `receipt` deletes it."""

    body: str
    receipt: str


class EventQueue:
    """The queue to which the bucket's notifications go."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    async def receive(self) -> list[Message]:
        """Up to ten messages, as soon as there is one; none after a while without.

        Raises:
            Unavailable: the queue does not answer.
        """
        try:
            answer = await self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=_LONG_POLL
            )
        except SDK_ERRORS as error:
            raise Unavailable(f"The event queue does not answer: {error}") from error
        return [Message(item["Body"], item["ReceiptHandle"]) for item in answer.get("Messages", [])]

    async def delete(self, messages: list[Message]) -> None:
        """Let nobody receive these again.

        Raises:
            Unavailable: the queue does not answer.
        """
        try:
            await self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message.receipt}
                    for index, message in enumerate(messages)
                ],
            )
        except SDK_ERRORS as error:
            raise Unavailable(f"The event queue does not answer: {error}") from error


@asynccontextmanager
async def open_event_queue(settings: Settings, url: str) -> AsyncIterator[EventQueue]:
    """The SQS queue at `url`, asked at the host that the URL names.

    Raises:
        SettingsError: it is no URL of a queue.
        Unavailable: there is no such queue, or it is not ours.
    """
    parts = urlsplit(url)
    config = AioConfig(connect_timeout=5, read_timeout=_LONG_POLL + 10, retries={"mode": "standard"})
    endpoint = f"{parts.scheme}://{parts.netloc}"
    named = "DARKROOM_EVENTS_QUEUE_URL"
    async with open_client(settings, "sqs", endpoint=endpoint, config=config, named=named) as client:
        try:
            await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        except SDK_ERRORS as error:
            raise Unavailable(f"The queue of {named} cannot be used: {error}") from error
        yield EventQueue(client, url)


async def consume(queue: EventQueue, services: Services) -> None:
    """Follow the queue until cancelled."""
    while True:
        try:
            messages = await queue.receive()
            done = await asyncio.gather(*(handle(message, services) for message in messages))
            if handled := [message for message, moved in zip(messages, done, strict=True) if moved]:
                await queue.delete(handled)
            ready = len(handled) == len(messages)
        except Unavailable as error:
            log.warning("waiting for the event queue", reason=error.message)
            ready = False
        if not ready:
            await asyncio.sleep(_PAUSE)


async def handle(message: Message, services: Services) -> bool:
    """Whether the message has done its work and can go."""
    try:
        for event in decode_events(message.body):
            await ingest_event(event, services, via="queue")
    except InvalidInput as error:
        # It can never be understood; what it meant to say, the sweep finds.
        log.error("an event makes no sense", reason=error.message, body=excerpt(message.body))  # noqa: TRY400
        return True
    except Unavailable as error:
        log.warning("an event waits for a service", reason=error.message)
        return False
    except Exception:
        log.exception("an event failed", body=excerpt(message.body))
        return False  # it comes again; the queue's redrive policy says how often
    return True


async def run_consumer(settings: Settings) -> None:
    """Follow the queue that the settings name, until cancelled.

    Raises:
        SettingsError: they name none.
        Unavailable: a service does not answer.
    """
    if settings.events_queue_url is None:
        raise SettingsError("DARKROOM_EVENTS_QUEUE_URL is missing")
    async with (
        open_services(settings) as services,
        open_event_queue(settings, settings.events_queue_url) as queue,
    ):
        await consume(queue, services)
