"""The worker: woken by a message, safe without one, patient with what is away."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.bus import listen
from jobs.errors import SettingsError, Unavailable
from jobs.images import Image, Status
from jobs.ingest import ingest
from jobs.ports import Services
from jobs.queue import DEVELOP, RedisQueue, deserialize, job_id, open_redis, queue_name, serialize
from jobs.settings import Settings
from jobs.worker import Worker, open_worker
from tests.imaging import samples
from tests.records import an_image
from tests.system import environment_for, until


class Called:
    """A catalog in which every image is gone; it tells when somebody asks, and may fail first."""

    def __init__(self, failures: int = 0) -> None:
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self._failures = failures

    async def move(self, image_id: str, *_: object, **__: object) -> None:
        """Note the call."""
        self.asked.put_nowait(image_id)
        if self._failures:
            self._failures -= 1
            raise Unavailable("Away.")

    async def get(self, _: str) -> None:
        """Nothing."""

    async def release(self, *_: object, **__: object) -> bool:
        """There was no lease."""
        return False

    async def due(self, **_: object) -> list[Image]:
        """Nothing."""
        return []


@asynccontextmanager
async def working(services: Services, catalog: Called) -> AsyncIterator[Worker]:
    """A worker over that catalog."""
    anything: Any = catalog
    async with open_redis(services.settings) as redis:
        worker = Worker(redis, replace(services, catalog=anything), anything, handle_signals=False)
        running = asyncio.create_task(worker.async_run())
        try:
            yield worker
        finally:
            worker.stop()
            await running
            await worker.finish()


def waiting() -> Image:
    """An image that waits to be developed."""
    return an_image(status=Status.UPLOADED, round=1)


async def drained(services: Services) -> None:
    """Wait until no job waits or runs."""

    async def empty() -> bool:
        return await services.queue.depth() == 0

    await until(empty)


async def test_a_job_is_done_and_forgotten(services: Services) -> None:
    """Nothing of it stays in Redis."""
    catalog, image = Called(), waiting()
    async with working(services, catalog):
        await services.queue.enqueue(image)
        assert await catalog.asked.get() == image.id
        await drained(services)
    async with open_redis(services.settings) as redis:
        assert [key async for key in redis.scan_iter(f"*{job_id(image, services.settings.namespace)}*")] == []


async def test_a_job_that_waited_for_long_is_not_put_off_for_as_long(services: Services) -> None:
    """Though another worker, which took it for lost, had put it off as well."""
    image, name = waiting(), queue_name(services.settings)
    async with open_redis(services.settings) as redis:

        class Overlapped(Called):
            """A catalog that is away while another worker puts the job off."""

            async def move(self, image_id: str, *_: object, **__: object) -> None:
                """Let it be due from now on, where it had been due for hours."""
                if self._failures:
                    await redis.zadd(name, {job_id(image, services.settings.namespace): time.time() * 1e3})
                await super().move(image_id)

        await services.queue.enqueue(image)
        await redis.zadd(name, {job_id(image, services.settings.namespace): (time.time() - 10_800) * 1e3})
        async with working(services, Overlapped(failures=1)):
            await drained(services)


async def test_a_job_whose_mark_is_lost_is_not_started_twice_by_its_worker(services: Services) -> None:
    """It knows what it does."""
    gone_on = asyncio.Event()

    class Slow(Called):
        """A catalog that answers when it is told to."""

        async def move(self, image_id: str, *_: object, **__: object) -> None:
            """Note the call, and wait."""
            await super().move(image_id)
            await gone_on.wait()

    catalog, image, other = Slow(), waiting(), waiting()
    async with working(services, catalog), open_redis(services.settings) as redis:
        await services.queue.enqueue(image)
        assert await catalog.asked.get() == image.id
        await redis.delete(f"arq:in-progress:{job_id(image, services.settings.namespace)}")
        await services.queue.enqueue(other)  # which has the worker look for more to do
        assert await catalog.asked.get() == other.id
        gone_on.set()
        await drained(services)
    assert catalog.asked.empty()


async def test_asking_twice_makes_one_job(services: Services) -> None:
    """Until it is done; the next round is another job."""
    image = waiting()
    await asyncio.gather(*(services.queue.enqueue(image) for _ in range(5)))
    assert await services.queue.depth() == 1
    await services.queue.enqueue(image.model_copy(update={"round": 2}))
    assert await services.queue.depth() == 2


@pytest.mark.parametrize("left", ["arq:job:", "arq:result:"])
async def test_a_job_of_which_only_a_key_is_left_is_queued_again(services: Services, left: str) -> None:
    """The queue itself may be lost, or be another's: what arq would still keep for a day proves nothing."""
    catalog, image = Called(), waiting()
    async with open_redis(services.settings) as redis:
        await services.queue.enqueue(image)
        await redis.delete(queue_name(services.settings))
        await redis.set(left + job_id(image, services.settings.namespace), b"{}")
        await services.queue.enqueue(image)
        async with working(services, catalog):
            assert await catalog.asked.get() == image.id
            await drained(services)


async def test_each_namespace_has_jobs_of_its_own(services: Services) -> None:
    """What waits in one queue keeps nothing out of another."""
    image = waiting()
    await services.queue.enqueue(image)
    other = services.settings.model_copy(update={"namespace": f"{services.settings.namespace}-2"})
    async with open_redis(other) as redis:
        await RedisQueue(redis, other).enqueue(image)
        assert await RedisQueue(redis, other).depth() == 1


async def test_a_job_that_runs_is_not_run_again_for_being_asked_for(services: Services) -> None:
    """Though the queue that it stood in was lost meanwhile."""
    gone_on = asyncio.Event()

    class Slow(Called):
        """A catalog that answers when it is told to."""

        async def move(self, image_id: str, *_: object, **__: object) -> None:
            """Note the call, and wait."""
            await super().move(image_id)
            await gone_on.wait()

    catalog, image = Slow(), waiting()
    async with working(services, catalog), open_redis(services.settings) as redis:
        await services.queue.enqueue(image)
        assert await catalog.asked.get() == image.id
        await redis.delete(queue_name(services.settings))
        await services.queue.enqueue(image)
        gone_on.set()
        await drained(services)
    assert catalog.asked.empty()


async def test_a_job_that_waited_before_the_worker_came_is_done(services: Services) -> None:
    """No message wakes it: the first look finds it."""
    catalog, image = Called(), waiting()
    await services.queue.enqueue(image)
    async with working(services, catalog):
        assert await catalog.asked.get() == image.id


async def test_a_job_whose_message_was_lost_is_done(services: Services) -> None:
    """Polling is the net below."""
    catalog, image = Called(), waiting()
    async with working(services, catalog), open_redis(services.settings) as redis:
        await redis.enqueue_job(DEVELOP, image.id, _job_id=job_id(image, services.settings.namespace))
        assert await catalog.asked.get() == image.id


async def test_a_job_that_finds_a_service_away_is_done_later(services: Services) -> None:
    """It is put off, not dropped."""
    catalog, image = Called(failures=1), waiting()
    async with working(services, catalog):
        await services.queue.enqueue(image)
        assert [await catalog.asked.get(), await catalog.asked.get()] == [image.id, image.id]
        await drained(services)


async def test_the_listener_outlives_a_broken_connection(services: Services) -> None:
    """Redis drops every subscriber; the worker listens again."""
    catalog = Called()

    async def listening() -> bool:
        async with open_redis(services.settings) as redis:
            return await RedisQueue(redis, services.settings).listeners() == 1

    async with working(services, catalog), open_redis(services.settings) as redis:
        await until(listening)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        await until(listening)
        image = waiting()
        await services.queue.enqueue(image)
        assert await catalog.asked.get() == image.id


async def test_errors_of_redis_cost_no_place(services: Services) -> None:
    """However often Redis fails while a job is looked at, the worker goes on with as many as before."""
    catalog, image = Called(), waiting()
    async with open_redis(services.settings) as redis:

        class Failing(type(redis)):  # type: ignore[misc]
            """Breaks off in the middle of looking at a job, as often as the test says."""

            failures = 3 * services.settings.worker_concurrency + 3

            def pipeline(self, *arguments: Any, **options: Any) -> Any:
                """A pipeline whose first question may fail."""
                made = super().pipeline(*arguments, **options)
                if Failing.failures:
                    Failing.failures -= 1

                    async def exists(*_: Any) -> None:
                        raise RedisConnectionError("broken off")

                    made.exists = exists
                return made

        await services.queue.enqueue(image)
        redis.__class__ = Failing
        anything: Any = catalog
        worker = Worker(redis, replace(services, catalog=anything), anything, handle_signals=False)
        running = asyncio.create_task(worker.async_run())
        try:
            assert await catalog.asked.get() == image.id
        finally:
            worker.stop()
            await running
            await worker.finish()


async def test_the_sweep_does_not_wait_behind_jobs(services: Services) -> None:
    """A worker that is busy for long still looks after what was lost."""
    swept = asyncio.Event()

    class Busy(Called):
        """Never ends a job, and tells when the sweep asks."""

        async def move(self, image_id: str, *_: object, **__: object) -> None:
            """Wait for ever."""
            self.asked.put_nowait(image_id)
            await asyncio.Event().wait()

        async def due(self, **_: object) -> list[Image]:
            """Tell."""
            swept.set()
            return []

    for _ in range(20):
        await services.queue.enqueue(waiting())
    async with working(services, Busy()), asyncio.timeout(20):
        await swept.wait()


async def test_jobs_are_json(services: Services) -> None:
    """No worker unpickles what a stranger may have written."""
    job = {"f": DEVELOP, "a": ["img_1"], "k": {}}
    assert deserialize(serialize(job)) == job
    async with open_redis(services.settings) as redis:
        image = waiting()
        await RedisQueue(redis, services.settings).enqueue(image)
        assert (await redis.get(f"arq:job:{job_id(image, services.settings.namespace)}")).startswith(b"{")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x80\x04nonsense",
        b"{",
        b"[1]",
        b'{"t": 1, "f": "unknown", "a": [], "k": {}, "et": 1}',
        b'{"t": 1, "f": ["develop"], "a": [], "k": {}, "et": 1}',
        b'{"t": "x", "f": "develop", "a": ["x"], "k": {}, "et": 1}',
        b'{"t": null, "f": "develop", "a": ["x"], "k": {}, "et": "z"}',
        b'{"t": null, "f": "develop", "a": [{"$gt": ""}], "k": {}, "et": 1}',
    ],
)
async def test_a_job_that_makes_no_sense_harms_nobody(services: Services, garbage: bytes) -> None:
    """It is dropped, and the next is done."""
    catalog, broken, image = Called(), waiting(), waiting()
    async with open_redis(services.settings) as redis:
        await services.queue.enqueue(broken)
        await redis.set(f"arq:job:{job_id(broken, services.settings.namespace)}", garbage)
        async with working(services, catalog):
            await drained(services)
            await asked_for(catalog, image, services)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("LPUSH", "arq:job:"),
        ("LPUSH", "arq:retry:"),
        ("SET", "arq:retry:"),
        ("LPUSH", "arq:in-progress:"),
    ],
)
async def test_a_key_of_another_kind_harms_nobody(services: Services, command: str, key: str) -> None:
    """Its job is dropped, if it cannot be done."""
    catalog, broken, image = Called(), waiting(), waiting()
    async with open_redis(services.settings) as redis:
        name = key + job_id(broken, services.settings.namespace)
        await services.queue.enqueue(broken)
        await redis.delete(name)
        await redis.execute_command(command, name, b"x")  # type: ignore[no-untyped-call]
        async with working(services, catalog):
            await asked_for(catalog, image, services)
            await redis.delete(f"arq:in-progress:{job_id(broken, services.settings.namespace)}")
            await drained(services)


@pytest.mark.parametrize(("entry", "due"), [(b"\xff\xfe", 1.0), (b"a-job", float("-inf"))])
async def test_an_entry_that_can_be_no_jobs_harms_nobody(
    services: Services, entry: bytes, due: float
) -> None:
    """It is removed, and the next is done."""
    catalog, image = Called(), waiting()
    async with open_redis(services.settings) as redis:
        await redis.zadd(queue_name(services.settings), {entry: due})
        async with working(services, catalog):
            await asked_for(catalog, image, services)
            await drained(services)


async def asked_for(catalog: Called, image: Image, services: Services) -> None:
    """Queue an image, and wait until a worker asks for it."""
    await services.queue.enqueue(image)
    async with asyncio.timeout(20):
        while await catalog.asked.get() != image.id:
            pass


async def test_a_mistake_of_ours_ends_the_worker(services: Services) -> None:
    """With an error, so that its process is started again, whatever does not want to end beside it."""

    class Deaf(Called):
        """Lets nobody end the sweep, as the Redis client may swallow a cancellation."""

        async def due(self, **_: object) -> list[Image]:
            """Nothing, once somebody loses patience."""
            self.asked.put_nowait("swept")
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return []

    catalog = Deaf()
    async with open_redis(services.settings) as redis:

        class Mistaken(type(redis)):  # type: ignore[misc]
            """Raises what nobody expects, once the sweep goes on."""

            async def zrangebyscore(self, *_: Any, **__: Any) -> list[bytes]:
                """A mistake."""
                await catalog.asked.get()
                raise ZeroDivisionError

        redis.__class__ = Mistaken
        anything: Any = catalog
        worker = Worker(redis, replace(services, catalog=anything), anything, handle_signals=False)
        async with asyncio.timeout(20):
            with pytest.raises(ZeroDivisionError):
                await worker.async_run()
            await worker.finish()


async def test_a_stopped_worker_takes_no_more_jobs(services: Services) -> None:
    """They wait for the next one."""
    catalog, image = Called(), waiting()
    async with working(services, catalog) as worker:
        worker.stop()
        await services.queue.enqueue(image)
    assert catalog.asked.empty()
    assert await services.queue.depth() == 1


async def test_listening_can_be_cancelled_at_any_moment(services: Services) -> None:
    """A listener that swallowed its cancellation would keep its process from ending."""

    async def listening() -> None:
        async for _ in listen(services.settings.redis_url, "a-channel"):
            pass

    for moments in range(40):
        task = asyncio.create_task(listening())
        for _ in range(moments):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(5):
            with suppress(asyncio.CancelledError):
                await task


async def test_a_redis_that_makes_no_sense_is_named(corner: Settings) -> None:
    """Without what may be a part of its password."""
    wrong = corner.model_copy(update={"redis_url": "redis://:pa#ss@host:6379/0"})
    with pytest.raises(SettingsError, match="DARKROOM_REDIS_URL") as error:
        async with open_redis(wrong):
            pass
    assert "pa" not in str(error.value).removeprefix("DARKROOM_REDIS_URL is wrong: ").split("password")[0]


@pytest.mark.parametrize("scratch", ["nothing/there", "a-file"])
async def test_a_scratch_directory_that_cannot_be_used_ends_the_start(
    corner: Settings, tmp_path: Path, scratch: str
) -> None:
    """Not the attempt at every image."""
    (tmp_path / "a-file").touch()
    with pytest.raises(SettingsError, match="DARKROOM_SCRATCH_DIR"):
        async with open_worker(corner.model_copy(update={"scratch_dir": tmp_path / scratch})):
            pass


async def test_a_worker_that_is_asked_to_end_finishes_what_it_has_begun(services: Services) -> None:
    """The image becomes READY, on its first attempt."""
    photo = samples.photo(3_000, 2_000)
    image = an_image(status=Status.PENDING, owner="local", byte_size=len(photo))
    await services.catalog.add([image])
    await services.storage.write(image.source_key, photo, content_type="image/jpeg")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", "worker", env=environment_for(services.settings)
    )
    try:
        await ingest(image, services, via="hint")

        async def begun() -> bool:
            found = await services.catalog.get(image.id)
            return found is not None and found.status is not Status.UPLOADED

        await until(begun)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
    done = await services.catalog.get(image.id)
    assert done is not None
    assert (done.status, done.attempts) == (Status.READY, 1)
