"""The bus: hints over Redis pub/sub that an image moved."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from jobs.images import Image, ImageChange
from jobs.settings import Settings

log = structlog.get_logger(__name__)

_SILENCE = 15.0  # seconds without a message before the connection has to prove that it lives
_PUBLISH_WITHIN = 1.0  # seconds; a hint is not worth a longer wait
_RECONNECT = 0.5  # seconds between two attempts


class RedisBus:
    """`Bus` over one channel."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._url = settings.redis_url
        self._channel = f"{settings.namespace}:changes"
        self._echoes = f"{settings.namespace}:echoes"

    async def publish(self, image: Image) -> None:
        change = ImageChange(id=image.id, owner=image.owner, version=image.version)
        await self._send(self._channel, change.model_dump_json())

    async def echo(self, key: str, *, via: str) -> None:
        await self._send(self._echoes, f"{via} {key}")

    async def changes(self) -> AsyncIterator[ImageChange | None]:
        async with aclosing(listen(self._url, self._channel)) as messages:
            async for message in messages:
                if message is None:
                    yield None
                    continue
                try:
                    yield ImageChange.model_validate_json(message)
                except ValidationError:
                    log.warning("a message on the bus makes no sense", channel=self._channel)

    async def echoes(self) -> AsyncGenerator[tuple[str, str] | None, None]:
        """The key of each probe whose event comes from now on, and by which way; None when it listens."""
        async with aclosing(listen(self._url, self._echoes)) as messages:
            async for message in messages:
                if message is None:
                    yield None
                    continue
                via, _, key = message.decode().partition(" ")
                yield key, via

    async def _send(self, channel: str, message: str) -> None:
        try:
            async with asyncio.timeout(_PUBLISH_WITHIN):
                await self._redis.publish(channel, message)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            log.warning("a message was not sent", channel=channel, message=message, reason=repr(error))


async def listen(url: str, channel: str) -> AsyncGenerator[bytes | None, None]:
    """Every message on `channel`, without end; None whenever the listening begins anew.

    A connection that breaks, or that is silent and does not answer a ping, is replaced. It is one of its
    own, without a timeout on the socket: silence is its normal state, and before Python 3.12 a timeout
    of `asyncio.wait_for`, which the client uses then, can swallow a cancellation.
    """
    while True:
        try:
            async with Redis.from_url(url, socket_connect_timeout=5) as redis, redis.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                pinged = False
                while True:
                    message = await pubsub.get_message(timeout=_SILENCE)
                    if message is None:
                        if pinged:
                            raise ConnectionResetError("no answer to a ping")
                        await pubsub.ping()
                        pinged = True
                        continue
                    pinged = False
                    if message["type"] == "subscribe":
                        yield None
                    elif message["type"] == "message":
                        yield message["data"]
        except (RedisError, OSError) as error:
            log.warning("listening was interrupted", channel=channel, reason=repr(error))
            await asyncio.sleep(_RECONNECT)
