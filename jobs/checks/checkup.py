"""All checks, in the order in which things need one another."""

from collections.abc import AsyncIterator

from jobs.checks.configuration import check_settings
from jobs.checks.cors import check_cors
from jobs.checks.events import check_events
from jobs.checks.mongo import check_mongo
from jobs.checks.redis import check_redis
from jobs.checks.result import Result
from jobs.checks.store import check_store
from jobs.clock import Clock
from jobs.settings import Settings


async def examine(
    settings: Settings, clock: Clock, *, fix: bool, event_seconds: float
) -> AsyncIterator[Result]:
    """The result of each check, as soon as it is there.

    Args:
        fix: set what can be set, and say what was.
        event_seconds: that the event of a probe may take.

    Raises:
        SettingsError: the address of a service makes no sense.
    """
    for result in check_settings(settings):
        yield result
    for result in await check_mongo(settings, clock, fix=fix):
        yield result
    redis = await check_redis(settings, clock)
    store = await check_store(settings, clock, fix=fix)
    for result in redis + store:
        yield result
    if store[0].advice:
        return  # without a bucket there is nothing to try
    for result in await check_cors(settings, fix=fix):
        yield result
    for result in await check_events(settings, clock, fix=fix, within=event_seconds):
        yield result
