"""The database: how it is opened, and what is asked of every read and write.

Motor is at its end of life in favour of PyMongo's own async client, so only calls that both share are used,
and the contract suites run over both.
"""

import inspect
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pymongo import IndexModel, ReadPreference, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from jobs.errors import SettingsError, Unavailable
from jobs.settings import Settings

Document = dict[str, Any]


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Any]:
    """The database that `settings` name, of which nothing is asked yet.

    Raises:
        SettingsError: there can be no such database.
    """
    options: Document = {"tz_aware": True}
    if not _says(settings.mongo_url, "serverSelectionTimeoutMS"):
        options["serverSelectionTimeoutMS"] = 5_000  # the driver's own 30 s would hold up a whole request
    if not _says(settings.mongo_url, "socketTimeoutMS"):
        options["socketTimeoutMS"] = 10_000  # a database that is frozen is away, too
    try:
        client = _client(settings, options)
    except (PyMongoError, ValueError) as error:  # what they say may have a password in it
        raise SettingsError(
            "DARKROOM_MONGO_URL is wrong: it is no address of a MongoDB. "
            "Names and passwords in it are percent-encoded."
        ) from error
    try:
        yield client[settings.mongo_database]
    finally:
        closing = client.close()
        if inspect.isawaitable(closing):  # PyMongo's is, motor's is not
            await closing


def _says(url: str, option: str) -> bool:
    return re.search(rf"[?&]{option}=", url, re.IGNORECASE) is not None


def _client(settings: Settings, options: Document) -> Any:
    if settings.mongo_driver == "motor":
        from motor.motor_asyncio import AsyncIOMotorClient

        return AsyncIOMotorClient(settings.mongo_url, **options)
    from pymongo import AsyncMongoClient

    return AsyncMongoClient(settings.mongo_url, **options)


def reliable(collection: Any) -> Any:
    """The same, but what the URL says of reads and writes does not count.

    What is read decides what is removed, so it must neither be old nor be rolled back; what was written
    must stay.
    """
    return collection.with_options(
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority"),
        write_concern=WriteConcern("majority", j=True),
    )


async def missing_indexes(collection: Any, indexes: Sequence[IndexModel]) -> list[str]:
    """The names of those that the collection has not."""
    with reaching():
        there = await collection.index_information()
    return [name for index in indexes if (name := index.document["name"]) not in there]


@contextmanager
def reaching() -> Iterator[None]:
    """What the driver raises, as one of our errors.

    Raises:
        Unavailable: the database does not answer.
    """
    try:
        yield
    except PyMongoError as error:
        raise Unavailable("The catalog does not answer.") from error
