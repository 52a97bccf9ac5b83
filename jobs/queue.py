"""The queue: jobs for arq's workers, as JSON in Redis.

Jobs have deterministic ids, so asking twice makes one job. arq's workers poll; a message on the wake
channel spares them the wait.
"""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

from arq.connections import ArqRedis
from arq.constants import expires_extra_ms, job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.errors import SettingsError, Unavailable
from jobs.images import Image
from jobs.settings import Settings

DEVELOP = "develop"
_CONNECTIONS = 50  # of one process, however many ask at once


def serialize(job: dict[str, Any]) -> bytes:
    """A job as JSON: no worker unpickles what a stranger may have put into Redis."""
    return json.dumps(job, default=repr).encode()


def deserialize(data: bytes) -> dict[str, Any]:
    """The job that `serialize` wrote."""
    job: dict[str, Any] = json.loads(data)
    return job


def queue_name(settings: Settings) -> str:
    """The sorted set that holds the waiting jobs."""
    return f"{settings.namespace}:queue"


def wake_channel(settings: Settings) -> str:
    """The channel on which workers hear that a job came."""
    return f"{settings.namespace}:wake"


def job_id(image: Image, namespace: str) -> str:
    """One job for each round of an image. arq's keys know of no namespace, so the id has it."""
    return f"{namespace}:{DEVELOP}:{image.id}:{image.round}"


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[ArqRedis]:
    """A pool of connections to Redis that outlives short interruptions.

    Raises:
        SettingsError: there can be no such Redis.
        Unavailable: Redis does not answer.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=_CONNECTIONS,
            timeout=10,
            socket_connect_timeout=5,
            socket_timeout=10,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=1, base=0.05), retries=5),
            retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
        )
    except ValueError as error:  # what it says may have a part of the password in it
        raise SettingsError(
            "DARKROOM_REDIS_URL is wrong: it is no address of a Redis. A password in it is percent-encoded."
        ) from error
    redis = ArqRedis(
        pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=queue_name(settings),
    )
    try:
        try:
            await redis.ping()
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis does not answer at DARKROOM_REDIS_URL: {error}") from error
        yield redis
    finally:
        await redis.aclose()
        await pool.aclose()


class RedisQueue:
    """`Queue` over arq."""

    def __init__(self, redis: ArqRedis, settings: Settings) -> None:
        self._redis = redis
        self._namespace = settings.namespace
        self._name = queue_name(settings)
        self._wake = wake_channel(settings)

    async def enqueue(self, image: Image) -> None:
        # Not by arq's own, which takes a job whose key is there for queued: the queue itself may be lost.
        # A job that runs is not run again for this: its entry stays until it ends, and goes with its key.
        job, at = job_id(image, self._namespace), int(time.time() * 1e3)
        body = serialize_job(DEVELOP, (image.id,), {}, None, at, serializer=serialize)
        with reaching():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(job_key_prefix + job, body, px=expires_extra_ms)
                pipe.zadd(self._name, {job: at}, nx=True)
                _, added = await pipe.execute()
            if added:
                await self._redis.publish(self._wake, image.id)

    async def depth(self) -> int:
        with reaching():
            depth: int = await self._redis.zcard(self._name)
            return depth

    async def oldest(self) -> datetime | None:
        with reaching():
            first = await self._redis.zrange(self._name, 0, 0, withscores=True)
        return datetime.fromtimestamp(first[0][1] / 1e3, UTC) if first else None

    async def listeners(self) -> int:
        """How many workers wait to be woken."""
        with reaching():
            ((_, count),) = await self._redis.pubsub_numsub(self._wake)
            return int(count)

    async def ping(self) -> None:
        with reaching():
            await self._redis.ping()


@contextmanager
def reaching() -> Iterator[None]:
    """Turn every way in which Redis can fail to answer into `Unavailable`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("Redis does not answer.") from error
