"""Limits: how much one owner and one address may ask for, counted in Redis for all processes together.

Rates are counted by sliding windows: two numbers for each, however high it is, by the clock of Redis. What is
refused is not counted by the limit that refused it. A quota is for a day in UTC.

Limits protect, and are no truth: where Redis does not answer, everything passes.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from api.addresses import network_of
from jobs.clock import Clock
from jobs.errors import LimitExceeded, ProblemCode
from jobs.settings import NO_LIMIT, Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")

_CONNECTIONS = 20  # of one process, however many ask at once
_WITHIN = 1.0  # seconds that one request waits for Redis, all its limits together
_PAUSE = 2.0  # seconds for which Redis is not asked again after it did not answer
_TRIES = 3  # to take what is left while others take it, too


class Window(NamedTuple):
    """What was counted until now, and for how many seconds either number is kept.

    `current` counts in full. When it is kept for no longer than a window lasts, it becomes `earlier`, which
    counts for the share of a window for which it is still kept.
    """

    earlier: int
    earlier_left: float
    current: int
    current_left: float


def room(window: Window, item: RateLimitItem) -> int:
    """How much more may be asked for now."""
    share = math.floor(window.earlier * window.earlier_left / item.get_expiry())
    return max(0, item.amount - share - window.current)


def wait(window: Window, item: RateLimitItem, cost: int) -> int:
    """In how many whole seconds there is room for `cost`, if nothing is asked for meanwhile.

    Args:
        cost: at most the amount of `item`.
    """
    length = item.get_expiry()

    def until(count: int, left: float, spare: int) -> float:
        """When the share of `count` has come down to `spare`."""
        return left - (spare + 1) * length / count if count else 0.0

    if window.current + cost <= item.amount:
        seconds = until(window.earlier, window.earlier_left, item.amount - window.current - cost)
    else:
        seconds = until(window.current, window.current_left, item.amount - cost)
        seconds = max(seconds, window.current_left - length)
    return math.floor(max(seconds, 0.0)) + 1


class _Limit(NamedTuple):
    item: RateLimitItem
    key: tuple[str, ...]


class Limiter:
    """The limits that the settings name."""

    def __init__(self, settings: Settings, storage: RedisStorage, clock: Clock) -> None:
        self._creations = _parsed(settings.rate_creations)
        self._queries = _parsed(settings.rate_queries)
        self._address = _parsed(settings.rate_address)
        self._quota = settings.quota_bytes_per_day
        self._clock = clock
        self._storage = storage
        self._strategy = SlidingWindowCounterRateLimiter(storage)
        self._away_until = 0.0

    async def admit_operation(self, *, owner: str | None, address: str) -> None:
        """Count a query, mutation or subscription.

        Args:
            owner: None for a stranger.

        Raises:
            LimitExceeded: there were too many.
        """
        limits = _all(self._address, "address", network_of(address))
        if owner is not None:
            limits += _all(self._queries, "queries", owner)
        await self._asking(lambda: self._count_operation(limits), otherwise=None)

    async def admit_files(
        self, sizes: Sequence[int], *, owner: str, address: str
    ) -> list[LimitExceeded | None]:
        """Count uploads that are asked for, by their sizes in bytes; None for each that may be."""
        rates = _all(self._address, "address", network_of(address))
        rates += _all(self._creations, "creations", owner)
        return await self._asking(
            lambda: self._count_files(sizes, rates, owner), otherwise=[None] * len(sizes)
        )

    async def _count_operation(self, limits: list[_Limit]) -> None:
        for limit in limits:
            if not await self._take(limit, [1]):
                raise _too_many("requests", wait(await self._window(limit), limit.item, 1))

    async def _count_files(
        self, sizes: Sequence[int], rates: list[_Limit], owner: str
    ) -> list[LimitExceeded | None]:
        answers: list[LimitExceeded | None] = [None] * len(sizes)
        left = len(sizes)
        for limit in rates:
            taken = len(await self._take(limit, [1] * left))
            if taken < left:
                window = await self._window(limit)
                for place in range(1, left - taken + 1):  # each waits for those before it, too
                    seconds = wait(window, limit.item, min(place, limit.item.amount))
                    answers[taken + place - 1] = _too_many("uploads", seconds)
            left = taken
        if self._quota is not None:
            now = self._clock()
            # With the day in its key, the window is over before it could slide.
            today = _Limit(RateLimitItemPerDay(self._quota), ("bytes", f"{now:%Y-%m-%d}", owner))
            for index in set(range(left)).difference(await self._take(today, sizes[:left])):
                answers[index] = _too_large(sizes[index], self._quota, now)
        return answers

    async def _take(self, limit: _Limit, costs: Sequence[int]) -> list[int]:
        """Count as many as there is room for, the first ones first; returns their indexes."""
        chosen = list(range(len(costs)))
        for _ in range(_TRIES):
            if not chosen:
                break
            total = sum(costs[index] for index in chosen)
            if await self._strategy.hit(limit.item, *limit.key, cost=total):
                return chosen
            left = room(await self._window(limit), limit.item)
            chosen = []
            for index, cost in enumerate(costs):
                if cost <= left:
                    left -= cost
                    chosen.append(index)
        return []

    async def _window(self, limit: _Limit) -> Window:
        # The library's own statistics tell when the counts change, not when there is room.
        key, length = limit.item.key_for(*limit.key), limit.item.get_expiry()
        return Window(*await self._storage.get_sliding_window(key, length))

    async def _asking(self, count: Callable[[], Awaitable[T]], *, otherwise: T) -> T:
        """What `count` says, or `otherwise` if Redis does not answer."""
        clock = asyncio.get_running_loop().time
        if clock() < self._away_until:
            return otherwise
        try:
            async with asyncio.timeout(_WITHIN):
                return await count()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            if clock() >= self._away_until:  # the first of those that waited says so
                self._away_until = clock() + _PAUSE
                log.warning("limits are not held: Redis does not answer", reason=repr(error))
            return otherwise


@asynccontextmanager
async def open_limiter(settings: Settings, clock: Clock) -> AsyncIterator[Limiter]:
    """The limits of `settings`, with connections of their own: others have more time to wait for Redis."""
    pool: Any = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=_CONNECTIONS,
        socket_connect_timeout=_WITHIN,
        socket_timeout=_WITHIN,
        retry=Retry(NoBackoff(), retries=1),  # for a connection that was closed while nobody used it
        retry_on_error=[RedisConnectionError],
    )
    storage = RedisStorage(
        "async+redis://",  # where it is, the pool knows
        implementation="redispy",
        key_prefix=f"{settings.namespace}:limits",
        connection_pool=pool,
    )
    try:
        yield Limiter(settings, storage, clock)
    finally:
        await pool.aclose()


def _parsed(rates: str) -> list[RateLimitItem]:
    return [] if rates == NO_LIMIT else parse_many(rates)


def _all(items: Iterable[RateLimitItem], *key: str) -> list[_Limit]:
    return [_Limit(item, key) for item in items]


def _too_many(what: str, seconds: int) -> LimitExceeded:
    return LimitExceeded(
        ProblemCode.RATE_LIMITED, f"Too many {what}: try again in {seconds} s.", retry_after=seconds
    )


def _too_large(size: int, quota: int, now: datetime) -> LimitExceeded:
    if size > quota:
        message = f"No more than {quota} bytes can be uploaded in a day."
        return LimitExceeded(ProblemCode.QUOTA_EXCEEDED, message, retry_after=None)
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    seconds = math.ceil((tomorrow - now).total_seconds())
    message = f"No more than {quota} bytes can be uploaded in a day: try again tomorrow, in {seconds} s."
    return LimitExceeded(ProblemCode.QUOTA_EXCEEDED, message, retry_after=seconds)
