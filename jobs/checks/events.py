"""Checks of uploads and their events, by a probe that is stored as a browser would, and removed again.

Its event takes the way of all others, through the queue or the webhook to `ingest`, which says so on the bus.
So the check takes no message from anybody.
"""

import asyncio
import time
from contextlib import aclosing
from datetime import timedelta
from urllib.parse import urlsplit

import httpx

from jobs.bucket import prepare_bucket, tells_queue
from jobs.bus import RedisBus
from jobs.checks.cors import open_web
from jobs.checks.result import Result, fault, fixed, ok, reason
from jobs.checks.store import open_s3
from jobs.clock import Clock
from jobs.consumer import open_event_queue
from jobs.errors import Unavailable
from jobs.ports import Storage
from jobs.probe import PROBES_PREFIX, new_probe_key
from jobs.queue import open_redis
from jobs.settings import Settings
from jobs.storage import open_storage

_BODY = b"darkroom doctor"
_TYPE = "image/png"
_LEFT_BEHIND = timedelta(hours=1)  # after which a probe is not of a run that goes on
_LISTENING_WITHIN = 5.0  # seconds


async def check_events(settings: Settings, clock: Clock, *, fix: bool, within: float) -> list[Result]:
    """Whether a target is good for exactly one upload, and whether its event comes back.

    Args:
        within: seconds that the event may take.

    Raises:
        SettingsError: the settings make no sense.
    """
    try:
        async with (
            open_storage(settings, clock) as storage,
            open_redis(settings) as redis,
            open_web(settings) as web,
        ):
            probe = _Probe(storage, RedisBus(redis, settings), web, clock)
            await probe.sweep()
            results = await probe.check_target()
            if results[0].advice or not _ways(settings):
                return results
            return results + await _check_way(probe, settings, fix=fix, within=within)
    except Unavailable as error:
        advice = "the key needs s3:PutObject, s3:DeleteObject and s3:ListBucket, and Redis must answer"
        return [fault("events", f"not tried to the end: {error.message}", advice)]


class _Probe:
    """Stores objects that nobody needs, and none of them for long."""

    def __init__(self, storage: Storage, bus: RedisBus, web: httpx.AsyncClient, clock: Clock) -> None:
        self._storage = storage
        self._bus = bus
        self._web = web
        self._clock = clock

    async def sweep(self) -> None:
        """Remove what a run that was killed left behind."""
        before = self._clock() - _LEFT_BEHIND
        left = [
            item.key async for item in self._storage.listing(PROBES_PREFIX) if item.last_modified < before
        ]
        await self._storage.delete(left)

    async def check_target(self) -> list[Result]:
        """Whether it takes what was asked for, once, and nothing else."""
        check, key = "store.upload", new_probe_key()
        try:
            longer = await self._put(key, _BODY + b"!")
            first = await self._put(key, _BODY)
            second = await self._put(key, _BODY)
        except httpx.HTTPError as error:
            return [
                fault(check, f"no answer to a PUT: {reason(error)}", "correct DARKROOM_S3_PUBLIC_ENDPOINT")
            ]
        finally:
            await self._storage.delete([key])
        advice = "use a store that honours signed Content-Length and If-None-Match on PUT"
        if longer.is_success:
            return [fault(check, "a target takes more bytes than were asked for", advice)]
        if not first.is_success:
            return [
                fault(
                    check,
                    f"a presigned PUT is refused with status {first.status_code}",
                    "allow the key s3:PutObject; see DARKROOM_S3_REGION and _PUBLIC_ENDPOINT",
                )
            ]
        if second.is_success:
            return [fault(check, "a target is good for more than one upload", advice)]
        return [ok(check, "a target takes its file, once, and no other")]

    async def send(self, within: float) -> tuple[float, str] | None:
        """Seconds until the event of a probe came, and by which way; None if it did not come in time."""
        key = new_probe_key()
        try:
            async with aclosing(self._bus.echoes()) as echoes:
                async with asyncio.timeout(_LISTENING_WITHIN):
                    await anext(echoes)  # it listens
                await self._put(key, _BODY)
                stored = time.monotonic()
                async with asyncio.timeout(within):
                    async for echo in echoes:
                        if echo is not None and echo[0] == key:
                            return time.monotonic() - stored, echo[1]
        except (TimeoutError, httpx.HTTPError):
            pass  # it did not come
        finally:
            await self._storage.delete([key])
        return None

    async def _put(self, key: str, body: bytes) -> httpx.Response:
        target = self._storage.presign_upload(
            key, byte_size=len(_BODY), content_type=_TYPE, sha256=None, expires_in=60
        )
        return await self._web.put(target.url, content=body, headers=dict(target.headers))


def _ways(settings: Settings) -> bool:
    return bool(settings.events_queue_url or settings.hook_token or settings.sns_topic_arn)


async def _check_way(probe: _Probe, settings: Settings, *, fix: bool, within: float) -> list[Result]:
    results: list[Result] = []
    url = settings.events_queue_url
    if url is not None:
        try:
            async with open_event_queue(settings, url):
                pass
        except Unavailable as error:
            if not fix:
                return [fault("events.queue", reason(error), "--fix makes it, or correct the setting")]
            results += await _set(settings, url)
    heard = await probe.send(within)
    if heard is None and url is not None:
        told = await _tells(settings, url)
        if told is False and not fix:
            return [
                *results,
                fault("events.notification", "the bucket does not tell the queue", "--fix connects the two"),
            ]
        if told is False:
            results += await _set(settings, url)
            heard = await probe.send(within)
    return [*results, _verdict(heard, settings, within)]


def _verdict(heard: tuple[float, str] | None, settings: Settings, within: float) -> Result:
    if heard is not None:
        delay, via = heard
        return ok("events", f"the store's word of an upload came by {via} after {delay:.2f} s")
    return fault(
        "events",
        f"the store's word of an upload did not come within {within:.0f} s",
        "start `darkroom events`, and see what follows the queue"
        if settings.events_queue_url is not None
        else "let the store tell /hooks/storage of a running API, as README says under “Storage events”",
    )


async def _tells(settings: Settings, queue_url: str) -> bool | None:
    """Whether the bucket's notifications name the queue; None if it does not say."""
    async with open_s3(settings) as s3:
        return await tells_queue(s3, settings.s3_bucket, _name(queue_url))


async def _set(settings: Settings, queue_url: str) -> list[Result]:
    check = "events.notification"
    try:
        made = await prepare_bucket(settings, events_queue=_name(queue_url))
    except Unavailable as error:
        return [fault(check, error.message, "connect bucket and queue by hand")]
    if urlsplit(made).path != urlsplit(queue_url).path:
        return [fault(check, f"the queue of that name is {made}", "set DARKROOM_EVENTS_QUEUE_URL to it")]
    return [fixed(check, "the bucket tells the queue of uploads")]


def _name(queue_url: str) -> str:
    return urlsplit(queue_url).path.rpartition("/")[2]
