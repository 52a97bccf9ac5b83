"""The composition root: opens everything once and closes it in reverse."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.bus import RedisBus
from jobs.catalog import open_catalog
from jobs.clock import now
from jobs.feed_log import MongoFeedLog
from jobs.ports import Services
from jobs.queue import RedisQueue, open_redis
from jobs.settings import Settings
from jobs.storage import open_storage


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything that the use cases need, for as long as the context lasts.

    Raises:
        SettingsError: the address of a service makes no sense.
        Unavailable: one of the services does not answer.
    """
    async with (
        open_catalog(settings) as catalog,
        open_redis(settings) as redis,
        open_storage(settings, now) as storage,
    ):
        feed_log = MongoFeedLog(catalog.database)
        await feed_log.prepare()
        yield Services(
            settings=settings,
            catalog=catalog,
            feed_log=feed_log,
            storage=storage,
            queue=RedisQueue(redis, settings),
            bus=RedisBus(redis, settings),
            clock=now,
        )
