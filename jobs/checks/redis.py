"""Checks of Redis, and of the workers and the jobs that are seen there."""

from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError

from jobs.checks.result import Result, compare_clocks, fault, ok, reason
from jobs.clock import Clock
from jobs.deadline import in_time
from jobs.errors import Unavailable
from jobs.queue import RedisQueue, open_redis, queue_name
from jobs.settings import Settings

_OLDEST = 6  # major version
_PATIENCE = 60.0  # seconds that a job may wait


async def check_redis(settings: Settings, clock: Clock) -> list[Result]:
    """Whether it answers, keeps what it was told, knows the time, and whether somebody does the jobs.

    Raises:
        SettingsError: its address makes no sense.
    """
    try:
        async with in_time(), open_redis(settings) as redis:
            before = clock()
            seconds, micro = await redis.time()
            after = clock()
            theirs = datetime.fromtimestamp(seconds + micro / 1e6, UTC)
            info = await redis.info()
            oldest = await redis.zrange(queue_name(settings), 0, 0, withscores=True)
            return [
                _version(info),
                _eviction(info),
                _persistence(info),
                compare_clocks("redis.clock", theirs, before=before, after=after),
                *await _jobs(RedisQueue(redis, settings), oldest, clock),
            ]
    except (RedisError, OSError, Unavailable) as error:
        return [fault("redis", reason(error), "start it, or correct DARKROOM_REDIS_URL")]


def _version(info: dict[str, Any]) -> Result:
    version = str(info["redis_version"])
    if int(version.split(".", maxsplit=1)[0]) < _OLDEST:
        return fault("redis", f"it is version {version}", f"use version {_OLDEST} or newer, or Valkey")
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"version {version}"
    return ok("redis", f"{name} answers")


def _eviction(info: dict[str, Any]) -> Result:
    check, policy = "redis.eviction", info.get("maxmemory_policy")
    if policy != "noeviction":
        return fault(
            check,
            f"maxmemory-policy is {policy}: when memory is short, jobs are dropped",
            "set maxmemory-policy to noeviction, in its configuration too",
        )
    return ok(check, "maxmemory-policy is noeviction")


def _persistence(info: dict[str, Any]) -> Result:
    check = "redis.persistence"
    if not info.get("aof_enabled"):
        return fault(
            check,
            "the append-only file is off: if it dies, jobs are lost until the sweep finds them",
            "set appendonly to yes, in its configuration too",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return fault(check, "the append-only file cannot be written", "see its disk and its log")
    return ok(check, "the append-only file is on")


async def _jobs(queue: RedisQueue, oldest: list[tuple[bytes, float]], clock: Clock) -> list[Result]:
    workers, depth = await queue.listeners(), await queue.depth()
    # The score is the time in ms at which a job is due; one that was put off is due in the future.
    waits = max((clock().timestamp() - score / 1e3 for _, score in oldest), default=0.0)
    jobs = f"{depth} job{'' if depth == 1 else 's'}"
    return [
        ok("workers", f"{workers} listening")
        if workers
        else fault("workers", "none listens", "start `darkroom worker`"),
        ok("queue", f"{jobs} there")
        if waits <= _PATIENCE
        else fault("queue", f"{jobs} there, the oldest due for {waits:.0f} s", "start more workers"),
    ]
