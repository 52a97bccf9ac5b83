"""`darkroom doctor`: each fault of a deployment is one line that says what to do."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from jobs.bucket import make_bucket, prepare_bucket
from jobs.checks.checkup import examine
from jobs.checks.configuration import check_settings
from jobs.checks.cors import check_cors
from jobs.checks.events import check_events
from jobs.checks.mongo import check_mongo
from jobs.checks.redis import check_redis
from jobs.checks.result import Result, Verdict
from jobs.checks.store import check_store, open_s3
from jobs.clock import now
from jobs.consumer import run_consumer
from jobs.embedded import valkey
from jobs.images import SOURCES_PREFIX
from jobs.ports import Services
from jobs.queue import queue_name, wake_channel
from jobs.services import open_services
from jobs.settings import Settings
from jobs.storage import open_storage
from jobs.supervise import free_port
from tests.records import an_image
from tests.system import running_beside, running_system, until
from tests.test_doctor import doctor, started

NOWHERE = "http://127.0.0.1:9"


def faults(results: list[Result]) -> dict[str, str]:
    """What is wrong, by check; each comes with advice."""
    found = [result for result in results if result.verdict is Verdict.FAULT]
    assert all(result.advice for result in found)
    return {result.check: result.message for result in found}


def verdict(results: list[Result], check: str) -> Verdict:
    """How one check ended."""
    (found,) = [result.verdict for result in results if result.check == check]
    return found


async def sources(settings: Settings) -> list[str]:
    """The keys of what lies where sources do."""
    async with open_storage(settings, now) as storage:
        return [item.key async for item in storage.listing(SOURCES_PREFIX)]


async def test_a_whole_system_has_nothing_to_find(settings: Settings) -> None:
    """As `make run` starts it; and the probe is gone afterwards."""
    async with running_system(settings):
        status, out, err = await doctor(settings)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].endswith("checks; no findings")
    assert "the store's word of an upload came by queue after" in out
    assert await sources(settings) == []


async def test_each_check_can_be_a_line_of_json(corner: Settings) -> None:
    """Here of a system without a bucket: the status says that something was found."""
    status, out, _ = await doctor(corner, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert all(line.keys() == {"check", "verdict", "message", "advice"} for line in lines)
    (store,) = [line for line in lines if line["check"] == "store"]
    assert store["verdict"] == "FAULT"
    assert "NoSuchBucket" in store["message"]
    assert "--fix" in store["advice"]


async def test_what_can_be_set_is_set_and_told(corner: Settings) -> None:
    """From nothing but services and settings to a system without findings."""
    url = f"{corner.s3_endpoint}/000000000000/{corner.namespace}"
    settings = corner.model_copy(update={"events_queue_url": url})
    first = [result async for result in examine(settings, now, fix=True, event_seconds=2)]
    assert {result.check for result in first if result.verdict is Verdict.FIXED} == {
        "mongo.indexes",
        "store",
        "events.notification",
    }
    assert faults(first).keys() == {"workers", "events"}  # nobody can start these from here
    async with running_system(settings):
        second = [result async for result in examine(settings, now, fix=False, event_seconds=20)]
    assert faults(second) == {}
    assert {result.verdict for result in second} <= {Verdict.OK, Verdict.NOTE}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"auth": "keys"}, "settings.auth"),
        ({"auth": "jwt"}, "settings.auth"),
        ({"hook_token": None}, "settings.events"),
        ({"auth": "jwt", "jwt_secret": "x" * 32}, "settings.s3_public_endpoint"),
    ],
)
def test_settings_that_are_hardly_meant_are_named(
    corner: Settings, change: dict[str, Any], check: str
) -> None:
    """Each is allowed, and each would surprise somebody."""
    assert faults(check_settings(corner)) == {}
    changed = Settings.model_validate(corner.model_dump() | change)
    assert check in faults(check_settings(changed))


async def test_indexes_that_are_missing_are_made_only_when_asked(corner: Settings) -> None:
    """Looking changes nothing."""
    for _ in range(2):
        assert "due" in faults(await check_mongo(corner, now, fix=False))["mongo.indexes"]
    assert verdict(await check_mongo(corner, now, fix=True), "mongo.indexes") is Verdict.FIXED
    assert faults(await check_mongo(corner, now, fix=False)) == {}


async def test_a_database_that_is_away_is_named(corner: Settings) -> None:
    """And nothing else is said of it."""
    away = corner.model_copy(update={"mongo_url": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"})
    assert faults(await check_mongo(away, now, fix=False)).keys() == {"mongo"}


async def test_what_the_url_says_of_writes_is_no_fault(services: Services) -> None:
    """Whatever it says, a majority is asked for."""
    settings = services.settings
    careless = settings.model_copy(update={"mongo_url": f"{settings.mongo_url}&w=1"})
    assert faults(await check_mongo(careless, now, fix=False)) == {}


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(minutes=-1), timedelta(hours=-1)])
async def test_a_clock_that_is_off_is_seen_from_every_service(services: Services, ahead: timedelta) -> None:
    """It is ours or theirs: both are to be set."""

    def off() -> Any:
        return now() + ahead

    settings = services.settings
    results = [
        *await check_mongo(settings, off, fix=False),
        *await check_redis(settings, off),
        *await check_store(settings, off, fix=False),
    ]
    clocks = {check for check in faults(results) if check.endswith(".clock")}
    assert clocks == {"mongo.clock", "redis.clock", "store.clock"}
    word = "behind" if ahead > timedelta() else "ahead"
    assert all(word in message for check, message in faults(results).items() if check in clocks)


async def test_a_redis_that_answers_nothing_is_given_up(corner: Settings) -> None:
    """Long before its client would."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        silent = corner.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
        (result,) = await check_redis(silent, now)
        for writer in held:
            writer.close()
    assert result.verdict is Verdict.FAULT
    assert "within 10 s" in result.message


@pytest.mark.parametrize(
    ("option", "value", "check"),
    [("maxmemory-policy", "allkeys-lru", "redis.eviction"), ("appendonly", "no", "redis.persistence")],
)
async def test_a_redis_that_may_forget_jobs_is_named(
    corner: Settings, tmp_path: Path, option: str, value: str, check: str
) -> None:
    """One of its own, for what is set counts for all."""
    (tmp_path / "valkey").mkdir()
    port = free_port()
    settings = corner.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
    async with valkey(tmp_path, port), Redis(port=port) as redis:
        assert faults(await check_redis(settings, now)).keys() == {"workers"}
        await redis.config_set(option, value)
        assert faults(await check_redis(settings, now)).keys() == {"workers", check}
    assert faults(await check_redis(settings, now)).keys() == {"redis"}


async def test_jobs_that_nobody_does_are_named(services: Services) -> None:
    """If there is no worker; and if there are some, but a job has been due for a minute."""
    settings = services.settings
    assert faults(await check_redis(settings, now)).keys() == {"workers"}
    async with Redis.from_url(settings.redis_url) as redis, redis.pubsub() as worker:
        await worker.subscribe(wake_channel(settings))
        await services.queue.enqueue(an_image())
        assert faults(await check_redis(settings, now)) == {}
        await redis.zadd(queue_name(settings), {"late": (now().timestamp() - 90) * 1e3})
        assert faults(await check_redis(settings, now)).keys() == {"queue"}
        await redis.delete(queue_name(settings))


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"s3_secret_key": "wrong"}, "DARKROOM_S3_SECRET_KEY"),
        ({"s3_access_key": "AKIAUNKNOWN"}, "DARKROOM_S3_ACCESS_KEY"),
        ({"s3_endpoint": NOWHERE}, "DARKROOM_S3_ENDPOINT"),
        ({"s3_bucket": "no-such-bucket-of-ours"}, "DARKROOM_S3_BUCKET"),
    ],
)
async def test_why_the_bucket_cannot_be_used_is_told(
    each_store: Settings, wrong: dict[str, str], advice: str
) -> None:
    """By the setting to correct."""
    await make_bucket(each_store)
    assert faults(await check_store(each_store, now, fix=False)) == {}
    settings = Settings.model_validate(each_store.model_dump() | wrong)
    store, *_ = await check_store(settings, now, fix=False)
    assert store.verdict is Verdict.FAULT
    assert advice in (store.advice or "")


async def test_a_wrong_region_is_told(corner: Settings) -> None:
    """By a store that minds: those at hand take every region."""
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting eu-west-3</Message></Error>"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = corner.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{port}"})
        store, *_ = await check_store(settings, now, fix=True)
    assert "eu-west-3" in store.message
    assert "DARKROOM_S3_REGION" in (store.advice or "")


@pytest.mark.parametrize(("prefix", "harms"), [("", True), ("sources/", True), ("logs/", False)])
async def test_a_rule_that_removes_what_records_name_is_told(
    settings: Settings, prefix: str, harms: bool
) -> None:
    """What lies elsewhere is nobody's concern here."""
    rule: Any = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": 30},
    }
    async with open_s3(settings) as s3:
        await s3.put_bucket_lifecycle_configuration(
            Bucket=settings.s3_bucket, LifecycleConfiguration={"Rules": [rule]}
        )
    assert ("store.lifecycle" in faults(await check_store(settings, now, fix=False))) is harms


async def test_cors_is_asked_for_each_origin_as_a_browser_does(each_store: Settings) -> None:
    """What is missing is set when that is asked for, and only then."""
    origins = {"auth": "jwt", "cors_origins": ("https://a.example", "https://b.example")}
    settings = each_store.model_copy(update=origins)
    async with open_s3(settings) as s3:
        await s3.create_bucket(Bucket=settings.s3_bucket)
    for _ in range(2):
        results = await check_cors(settings, fix=False)
        assert [result.verdict for result in results] == [Verdict.FAULT] * 2
    one = settings.model_copy(update={"cors_origins": ("https://a.example",)})
    assert [result.verdict for result in await check_cors(one, fix=True)] == [Verdict.FIXED]
    mixed = await check_cors(settings, fix=False)
    assert [result.verdict for result in mixed] == [Verdict.OK, Verdict.FAULT]
    assert "b.example" in mixed[1].message


async def test_a_bucket_that_tells_nobody_is_named_and_connected(corner: Settings) -> None:
    """The queue is there and somebody follows it, but nothing comes."""
    url = await prepare_bucket(corner, events_queue=corner.namespace)
    settings = corner.model_copy(update={"events_queue_url": url})
    async with open_s3(settings) as s3, open_services(settings):
        await s3.put_bucket_notification_configuration(
            Bucket=settings.s3_bucket, NotificationConfiguration={}
        )
        async with running_beside(run_consumer(settings)):
            found = await check_events(settings, now, fix=False, within=1)
            assert faults(found).keys() == {"events.notification"}
            connected = await check_events(settings, now, fix=True, within=8)
    assert faults(connected) == {}
    assert verdict(connected, "events.notification") is Verdict.FIXED
    assert verdict(connected, "events") is Verdict.OK
    assert await sources(settings) == []


async def test_a_queue_that_nobody_follows_is_named(settings: Settings) -> None:
    """The bucket tells it, and that is as far as it goes."""
    results = await check_events(settings, now, fix=True, within=1)
    assert faults(results).keys() == {"events"}
    assert "darkroom events" in (results[-1].advice or "")


async def test_a_probe_comes_back_by_the_webhook_too(settings: Settings) -> None:
    """As soon as a store calls it for the probe's key; here the test does."""
    by_hook = settings.model_copy(update={"events_queue_url": None})
    assert by_hook.hook_token is not None
    headers = {"Authorization": f"Bearer {by_hook.hook_token.get_secret_value()}"}
    async with running_system(by_hook, worker=False, events=False) as system:
        told: set[str] = set()

        async def tell() -> None:
            while True:
                for item in [item async for item in system.services.storage.listing(SOURCES_PREFIX)]:
                    told.add(item.key)
                    thing = {"bucket": {"name": by_hook.s3_bucket}, "object": {"key": item.key}}
                    event = {"Records": [{"eventName": "ObjectCreated:Put", "s3": thing}]}
                    answer = await system.http.post(
                        f"{system.url}/hooks/storage", json=event, headers=headers
                    )
                    assert answer.json() == {"results": ["unknown"]}
                await asyncio.sleep(0.01)

        async with running_beside(tell()):
            results = await check_events(by_hook, now, fix=False, within=20)
    assert told
    assert faults(results) == {}
    assert "by webhook after" in results[-1].message


async def test_a_store_without_a_hook_is_told_where_to_call(corner: Settings) -> None:
    """Nothing can be set from here: each store has its own way."""
    await make_bucket(corner)
    results = await check_events(corner, now, fix=True, within=0.5)
    assert faults(results).keys() == {"events"}
    assert "/hooks/storage" in (results[-1].advice or "")


async def test_events_that_could_not_be_tried_are_a_finding(settings: Settings) -> None:
    """Here for want of Redis, by which they would come back."""
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:9/0"})
    assert faults(await check_events(away, now, fix=False, within=1)).keys() == {"events"}
    assert await sources(settings) == []


@asynccontextmanager
async def probing(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, while its probe lies in the bucket."""

    async def stored() -> bool:
        return bool(await sources(settings))

    process = await started(settings, "--event-seconds", "60")
    try:
        await until(stored, within=40)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_interrupted_it_takes_its_probe_away(settings: Settings) -> None:
    """And ends at once, without a traceback."""
    async with probing(settings) as process:
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert await sources(settings) == []


async def test_what_was_killed_is_cleared_away_by_the_next(settings: Settings) -> None:
    """An hour later, when no run can still wait for it."""
    async with probing(settings):
        pass
    assert len(await sources(settings)) == 1
    await check_events(settings, now, fix=False, within=0.1)
    assert len(await sources(settings)) == 1
    hour = timedelta(hours=1, minutes=1)
    await check_events(settings, lambda: now() + hour, fix=False, within=0.1)
    assert await sources(settings) == []


async def test_settings_that_are_wrong_end_with_2(settings: Settings) -> None:
    """In one line that names the setting; they are no finding."""
    wrong = settings.model_copy(update={"mongo_url": "nonsense"})
    status, out, err = await doctor(wrong)
    assert (status, out) == (2, "")
    assert "DARKROOM_MONGO_URL is wrong" in err
