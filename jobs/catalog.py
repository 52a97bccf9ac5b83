"""The catalog: images as documents in MongoDB.

The one module that knows the driver. Motor is at its end of life in favour of PyMongo's own async
client, so only calls that both share are used here, and the contract suite runs over both.
"""

import inspect
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import BulkWriteError, PyMongoError

from jobs.errors import Unavailable
from jobs.images import MOVES, Image, Move, Status, counted_by, implied_by, is_image_id
from jobs.ports import ImageOrder, Position
from jobs.settings import Settings

log = structlog.get_logger(__name__)

Document = dict[str, Any]

_INDEXES = [
    IndexModel([("owner", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="by_creation"),
    IndexModel([("owner", ASCENDING), ("changed_at", ASCENDING), ("_id", ASCENDING)], name="by_change"),
    IndexModel([("due_at", ASCENDING)], name="due", partialFilterExpression={"due_at": {"$type": "date"}}),
]
_RETRY_WITHIN = timedelta(seconds=60)  # by then the job has come again; else the sweep makes another
_DUPLICATE_KEY = 11_000  # a code of MongoDB's errors
_TIMELINE_LENGTH = 50  # a record that is reprocessed for years must not outgrow its document


@asynccontextmanager
async def open_catalog(settings: Settings) -> AsyncIterator["MongoCatalog"]:
    """The catalog that `settings` name, its indexes in place.

    Raises:
        Unavailable: the database does not answer.
    """
    options: Document = {"tz_aware": True}
    if "serverselectiontimeoutms" not in settings.mongo_url.lower():
        options["serverSelectionTimeoutMS"] = 5_000  # the driver's own 30 s would hold up a whole request
    client: Any
    if settings.mongo_driver == "motor":
        from motor.motor_asyncio import AsyncIOMotorClient

        client = AsyncIOMotorClient(settings.mongo_url, **options)
    else:
        from pymongo import AsyncMongoClient

        client = AsyncMongoClient(settings.mongo_url, **options)
    try:
        catalog = MongoCatalog(client[settings.mongo_database])
        try:
            await catalog.prepare()
        except Unavailable as error:
            raise Unavailable(f"{error.message[:-1]} at DARKROOM_MONGO_URL: {error.__cause__}") from error
        yield catalog
    finally:
        closing = client.close()
        if inspect.isawaitable(closing):  # PyMongo's is, motor's is not
            await closing


class MongoCatalog:
    """`Catalog` over one MongoDB database, by either driver."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._images = database["images"]

    async def prepare(self) -> None:
        """Create the indexes, unless they are there."""
        with _reaching():
            await self._images.create_indexes(_INDEXES)

    async def add(self, images: Sequence[Image]) -> None:
        try:
            with _reaching():
                await self._images.insert_many([_document(image) for image in images], ordered=False)
        except Unavailable as error:
            if not _only_duplicates(error.__cause__):
                raise

    async def get(self, image_id: str) -> Image | None:
        with _reaching():
            return _image(await self._images.find_one({"_id": image_id}))

    async def get_many(self, image_ids: Iterable[str], *, owner: str | None = None) -> dict[str, Image]:
        query: Document = {"_id": {"$in": [image_id for image_id in image_ids if is_image_id(image_id)]}}
        if owner is not None:
            query["owner"] = owner
        return {image.id: image for image in await self._find(query)}

    async def move(
        self,
        image_id: str,
        move: Move,
        *,
        at: datetime,
        values: Mapping[str, Any] | None = None,
        fence: str | None = None,
        owner: str | None = None,
    ) -> Image | None:
        if not is_image_id(image_id):
            return None
        query = {"_id": image_id, **_standing(move, at, fence)}
        if owner is not None:
            query["owner"] = owner
        target = MOVES[move].target
        update = {
            "$set": implied_by(move, at) | {name: _plain(value) for name, value in (values or {}).items()},
            "$inc": counted_by(move),
            "$push": {
                "timeline": {"$each": [{"status": target, "at": at}], "$slice": -_TIMELINE_LENGTH},
            },
        }
        for counter in update["$set"].keys() & update["$inc"].keys():
            del update["$inc"][counter]  # a counter that starts anew is not raised too
        with _reaching():
            return _image(
                await self._images.find_one_and_update(query, update, return_document=ReturnDocument.AFTER)
            )

    async def release(self, image_id: str, *, fence: str, at: datetime, counted: bool = True) -> bool:
        update: Document = {"$set": {"lease.until": at, "due_at": at + _RETRY_WITHIN}}
        if not counted:
            update["$inc"] = {"attempts": -1}
        with _reaching():
            result = await self._images.update_one({"_id": image_id, "lease.fence": fence}, update)
            return bool(result.modified_count)

    async def due(self, *, at: datetime, limit: int) -> list[Image]:
        return await self._find({"due_at": {"$lte": at}}, sort=[("due_at", ASCENDING)], limit=limit)

    async def postpone(self, image: Image, *, until: datetime | None) -> None:
        with _reaching():
            await self._images.update_one(
                {"_id": image.id, "version": image.version}, {"$set": {"due_at": until}}
            )

    async def page(
        self,
        owner: str,
        *,
        first: int,
        after: Position | None = None,
        statuses: Sequence[Status] | None = None,
        order: ImageOrder = ImageOrder.NEWEST_FIRST,
    ) -> list[Image]:
        newest_first = order is ImageOrder.NEWEST_FIRST
        query: Document = {"owner": owner}
        if statuses is not None:
            query["status"] = {"$in": list(statuses)}
        if after is not None:
            query |= _behind("created_at", after, "$lt" if newest_first else "$gt")
        direction = DESCENDING if newest_first else ASCENDING
        return await self._find(query, sort=[("created_at", direction), ("_id", direction)], limit=first)

    async def changed_since(self, owner: str, since: Position, *, limit: int) -> list[Image]:
        query = {"owner": owner, **_behind("changed_at", since, "$gt")}
        return await self._find(query, sort=[("changed_at", ASCENDING), ("_id", ASCENDING)], limit=limit)

    async def ping(self) -> None:
        with _reaching():
            await self._database.command("ping")

    async def _find(
        self, query: Document, *, sort: list[tuple[str, int]] | None = None, limit: int = 0
    ) -> list[Image]:
        with _reaching():
            documents = await self._images.find(query, sort=sort, limit=limit).to_list(None)
        images: list[Image] = []
        for document in documents:
            try:
                images.append(_from_document(document))
            except ValidationError:  # written by another version: it must not hide its neighbours
                log.exception("a record cannot be read", image=document["_id"])
        return images


def _standing(move: Move, at: datetime, fence: str | None) -> Document:
    """The filter for records from which `move` may be made, derived from the table."""
    rule = MOVES[move]
    query: Document = {"status": {"$in": sorted(rule.sources)}}
    if not rule.leased:
        return query
    if fence is not None:
        return query | {"lease.fence": fence}
    if move is Move.FINISH:
        raise ValueError("only the holder of a fence can finish")
    return query | {"$or": [{"lease": None}, {"lease.until": {"$lte": at}}]}


def _behind(field: str, position: Position, comparison: str) -> Document:
    return {
        "$or": [
            {field: {comparison: position.at}},
            {field: position.at, "_id": {comparison: position.id}},
        ]
    }


def _only_duplicates(error: BaseException | None) -> bool:
    if not isinstance(error, BulkWriteError):
        return False
    complaints = error.details.get("writeErrors", [])
    return not error.details.get("writeConcernErrors") and all(
        complaint["code"] == _DUPLICATE_KEY for complaint in complaints
    )


def _document(image: Image) -> Document:
    document = image.model_dump()
    document["_id"] = document.pop("id")
    return document


def _image(document: Document | None) -> Image | None:
    return None if document is None else _from_document(document)


def _from_document(document: Document) -> Image:
    return Image.model_validate({**document, "id": document["_id"]})


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise Unavailable("The catalog does not answer.") from error
