"""Checks of MongoDB."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from pymongo.errors import PyMongoError

from jobs.catalog import MongoCatalog
from jobs.checks.result import Result, compare_clocks, fault, fixed, ok, reason
from jobs.clock import Clock
from jobs.errors import Unavailable
from jobs.feed_log import MongoFeedLog
from jobs.mongo import open_database
from jobs.settings import Settings

_OLDEST = 5  # major version


async def check_mongo(settings: Settings, clock: Clock, *, fix: bool) -> list[Result]:
    """Whether it answers, is a replica set, has our indexes, and knows the time.

    Raises:
        SettingsError: its address makes no sense.
    """
    async with open_database(settings) as database:
        try:
            before = clock()
            hello = await database.command("hello")
            after = clock()
            version = (await database.command("buildInfo"))["version"]
        except PyMongoError as error:
            return [
                fault(
                    "mongo", f"it does not answer: {reason(error)}", "start it, or correct DARKROOM_MONGO_URL"
                )
            ]
        theirs = hello["localTime"].replace(tzinfo=UTC)  # what a command answers has no zone of its own
        return [
            _version(version),
            _replica_set(hello),
            await _indexes([MongoCatalog(database), MongoFeedLog(database)], fix=fix),
            compare_clocks("mongo.clock", theirs, before=before, after=after),
        ]


def _version(version: str) -> Result:
    if int(version.split(".", maxsplit=1)[0]) < _OLDEST:
        return fault("mongo", f"it is version {version}", f"use version {_OLDEST} or newer")
    return ok("mongo", f"version {version} answers")


def _replica_set(hello: dict[str, Any]) -> Result:
    check = "mongo.replica_set"
    if hello.get("msg") == "isdbgrid":
        return ok(check, "it is sharded")
    if "setName" not in hello:
        return fault(check, "it stands alone", "start it as a replica set, be it of one member")
    if not hello.get("isWritablePrimary"):
        return fault(
            check,
            f"a secondary of {hello['setName']} answers",
            "leave directConnection out of DARKROOM_MONGO_URL, or name the primary",
        )
    return ok(check, f"it is the primary of {hello['setName']}")


async def _indexes(kept: Sequence[MongoCatalog | MongoFeedLog], *, fix: bool) -> Result:
    check = "mongo.indexes"
    try:
        if not (missing := [name for each in kept for name in await each.missing_indexes()]):
            return ok(check, "they are there")
        names = ", ".join(missing)
        if fix:
            for each in kept:
                await each.prepare()
            return fixed(check, f"made {names}")
    except Unavailable as error:
        return fault(check, reason(error.__cause__ or error), "let the user of DARKROOM_MONGO_URL make them")
    return fault(
        check, f"{names} missing", "--fix makes them, and so does every process of Darkroom that starts"
    )
