"""The worker: arq's shell around `process` and `sweep`.

arq polls its queue, which makes a job wait 249 ms in the median at the default of 0.5 s. This worker is
woken by a message when a job comes and by a job's end when it was full; polling stays as the net below.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, cast

import structlog
from arq import Retry
from arq import Worker as ArqWorker
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from arq.worker import func
from redis.exceptions import RedisError, ResponseError

from jobs import metrics
from jobs.attempt import Developer
from jobs.bus import listen
from jobs.errors import SettingsError, Unavailable
from jobs.formats import SourceFormat
from jobs.imaging.pool import DevelopingPool
from jobs.lease import LEASE
from jobs.ports import Services
from jobs.process import TryAgain, backoff, job_limit, process
from jobs.queue import DEVELOP, deserialize, open_redis, queue_name, serialize, wake_channel
from jobs.scratch import sweep_scratch
from jobs.services import open_services
from jobs.settings import Settings
from jobs.sweep import BATCH, sweep

log = structlog.get_logger(__name__)

_POLL = 0.5  # seconds; also how late a job that was put off may start
_SWEEP_EVERY = timedelta(seconds=20)  # by whichever worker comes first
_COMPLETION_SECONDS = 30  # for jobs that run when the worker is to end; to be cancelled costs no attempt
_CHILD_SECONDS = 18.0  # of wall time for one file: with fetching it, less than an attempt has
# The record counts attempts and ends them; arq's own count would drop a job without a word.
_TRIES = 1_000


class Worker(ArqWorker):
    """arq's worker, woken instead of waiting."""

    def __init__(self, redis: ArqRedis, services: Services, developer: Developer, **options: Any) -> None:
        settings = services.settings
        self._wake_up = asyncio.Event()
        self._stopped = asyncio.Event()
        self._finishing: set[asyncio.Task[Any]] = set()
        self._deferred: dict[str, float] = {}  # jobs to be tried again, and when, in seconds since the epoch
        self._services = services
        self._developer = developer
        self._url, self._channel = settings.redis_url, wake_channel(settings)
        limit = job_limit(settings.max_upload_bytes)
        super().__init__(
            functions=[func(self._develop, name=DEVELOP, timeout=limit, max_tries=_TRIES)],
            redis_pool=redis,
            queue_name=queue_name(settings),
            max_jobs=settings.worker_concurrency + 1,  # one fetches what the next free child develops
            keep_result=0,
            poll_delay=_POLL,
            queue_read_limit=1_000,  # dead in-progress entries must not hide live jobs
            job_completion_wait=_COMPLETION_SECONDS,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
            **options,
        )
        # While its worker lives, a job's mark is renewed; so another need not wait long after its death.
        self.in_progress_timeout_s = LEASE.total_seconds()
        self.on_stop = lambda _: self.stop()
        self.sem = asyncio.BoundedSemaphore(sys.maxsize)  # `job_counter` below is the limit
        self._sweep_lock = f"{settings.namespace}:sweep"

    @property
    def job_counter(self) -> int:
        """How many jobs run. Counted, for arq's own sum does not come back from a Redis error."""
        return sum(not task.done() for task in self.tasks.values())

    @job_counter.setter
    def job_counter(self, _: int) -> None:
        """Nothing: what is counted cannot be set."""

    async def main(self) -> None:
        """Start what waits whenever there may be something to start."""
        self.ctx["redis"] = self.pool
        beside = [asyncio.create_task(work()) for work in (self._listen, self._sweep)]
        try:
            while not self._stopped.is_set():
                self._wake_up.clear()
                try:
                    await self._poll_iteration()
                except (RedisError, OSError) as error:
                    log.warning("the queue does not answer", reason=repr(error))
                with suppress(TimeoutError):  # then it is time to poll
                    async with asyncio.timeout(_POLL):
                        await self._wake_up.wait()
        finally:
            self.stop()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def stop(self) -> None:
        """Take no more jobs. A cancellation alone can be swallowed by the Redis client."""
        self.allow_pick_jobs = False
        self._stopped.set()
        self._wake_up.set()

    async def finish(self) -> None:
        """End what still runs, so that nobody uses services that are about to be closed."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        await asyncio.sleep(0)  # one that was just called begins
        await asyncio.gather(*self._finishing, return_exceptions=True)

    async def finish_job(self, *args: Any) -> None:
        """As arq does it, where no cancellation of the job reaches; noted, so that it can be waited for."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # there is one wherever this is awaited
        self._finishing.add(task)
        try:
            job_id, finish, result, result_seconds, for_ever, _, mark = args
            if (at := self._deferred.pop(job_id, None)) is not None:
                # To a time, where arq adds to that of the job, which another worker may have put off too.
                await self.pool.zadd(self.queue_name, {job_id: at * 1e3}, xx=True)
            await super().finish_job(job_id, finish, result, result_seconds, for_ever, None, mark)
        finally:
            self._finishing.discard(task)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """As arq does it, but for what runs here: its mark may be lost while Redis is silent.

        What cannot be the entry of a job is removed; it would end one worker after the other.
        """
        for job_id in job_ids:
            if self.job_counter >= self.max_jobs:
                return
            try:
                if job_id.decode() not in self.tasks:
                    await super().start_jobs([job_id])
            except (UnicodeDecodeError, OverflowError) as error:  # the latter: due at minus infinity
                log.warning("an entry of the queue makes no sense", entry=job_id, reason=repr(error))
                await self.pool.zrem(self.queue_name, job_id)

    async def run_job(self, job_id: str, score: int) -> None:
        """As arq does it; a job that makes no sense is dropped, where it would end the worker.

        An image that it stood for is found by the sweep.
        """
        try:
            await super().run_job(job_id, score)
        except Exception as error:
            # Redis says with just this type that a key holds something else; all its other errors pass.
            if isinstance(error, (RedisError, OSError)) and type(error) is not ResponseError:
                raise
            log.exception("a job makes no sense", job=job_id)
            await self.finish_failed_job(job_id, None)

    async def _develop(self, ctx: dict[str, Any], image_id: str) -> None:
        job_id: str = ctx["job_id"]
        try:
            async with self._keeping(in_progress_key_prefix + job_id, LEASE):
                await process(image_id, self._services, self._developer)
        except TryAgain as again:
            raise self._again(job_id, again.after) from again
        except Unavailable as error:
            # A service of ours is away: the more often it was, the longer we wait, each a little differently.
            wait = backoff(ctx["job_try"]) * random.uniform(0.75, 1.25)  # noqa: S311 - not for secrets
            metrics.RETRIES.labels(metrics.Retry.UNAVAILABLE).inc()
            log.warning("a job waits for a service", image=image_id, reason=error.message)
            raise self._again(job_id, wait) from error

    def _again(self, job_id: str, after: timedelta) -> Retry:
        self._deferred[job_id] = time.time() + after.total_seconds()
        return Retry(defer=after)

    @asynccontextmanager
    async def _keeping(self, key: str, lifetime: timedelta) -> AsyncIterator[None]:
        """Let a key live for as long as the context lasts, and for some time of its life after it."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(lifetime.total_seconds() / 4)
                with suppress(RedisError, OSError):
                    await self.pool.set(key, b"1", px=lifetime)

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _listen(self) -> None:
        async with aclosing(listen(self._url, self._channel)) as messages:
            async for _ in messages:
                self._wake_up.set()

    async def _sweep(self) -> None:
        """Sweep now and then, one worker of all at a time.

        Not as a job of arq's: it would wait behind the very backlog that it is there to watch.
        """
        while not self._stopped.is_set():
            try:
                if await self.pool.set(self._sweep_lock, b"1", nx=True, px=_SWEEP_EVERY):
                    async with self._keeping(self._sweep_lock, _SWEEP_EVERY):
                        while (await sweep(self._services)).total() == BATCH:
                            pass  # there may be more
            except (RedisError, OSError, Unavailable) as error:
                log.warning("the sweep waits for a service", reason=repr(error))
            except Exception:
                log.exception("the sweep failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_EVERY.total_seconds() / 3):
                    await self._stopped.wait()

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._wake_up.set()


@asynccontextmanager
async def open_worker(settings: Settings, **options: Any) -> AsyncIterator[Worker]:
    """A worker with its services and its developing children, ready to run.

    Raises:
        SettingsError: there is no room for scratch files, or the address of a service makes no sense.
        Unavailable: a service does not answer.
    """
    sweep_scratch(settings)
    if SourceFormat.HEIC in settings.source_formats and find_spec("pillow_heif") is None:
        raise SettingsError(
            "DARKROOM_SOURCE_FORMATS is wrong: heic needs the extra: pip install darkroom[heic]"
        )
    async with (
        open_services(settings) as services,
        open_redis(settings) as redis,
        DevelopingPool(
            settings.worker_concurrency,
            cpu_seconds=settings.develop_seconds,
            wall_seconds=_CHILD_SECONDS,
            accepted=settings.source_formats,
        ) as pool,
    ):
        worker = Worker(redis, services, pool, **options)
        try:
            yield worker
        finally:
            await worker.finish()


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; jobs that run are finished first."""
    async with open_worker(settings) as worker:
        log.info("working", concurrency=settings.worker_concurrency)
        with suppress(asyncio.CancelledError):  # how arq's signal handler ends it
            await worker.async_run()
