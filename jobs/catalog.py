"""The catalog: images as documents in MongoDB."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

import structlog
from pydantic import BaseModel
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import BulkWriteError

from jobs.errors import Unavailable
from jobs.images import (
    MOVES,
    RETRY_WITHIN,
    TIMELINE_LENGTH,
    Image,
    Move,
    Status,
    StatusChange,
    counted_by,
    implied_by,
    is_image_id,
)
from jobs.labels import labels_of
from jobs.listing import INDEXES, Keys, behind, page_query
from jobs.mongo import Document, missing_indexes, open_database, reaching, reliable
from jobs.ports import EVERY_IMAGE, ImageFilter, ImageOrder, Position
from jobs.settings import Settings
from jobs.stages import DEVELOPED, History

log = structlog.get_logger(__name__)

_INDEXES = [
    *(IndexModel(index.keys, name=index.name, **index.options) for index in INDEXES),
    IndexModel([("owner", ASCENDING), ("changed_at", ASCENDING), ("_id", ASCENDING)], name="by_change"),
    IndexModel([("status", ASCENDING), ("finished_at", DESCENDING)], name="by_status"),
    IndexModel([("due_at", ASCENDING)], name="due", partialFilterExpression={"due_at": {"$type": "date"}}),
]
_LIST_WITHIN = 5_000  # ms: a filter that nearly nothing passes may have to look at very much
_DUPLICATE_KEY = 11_000  # a code of MongoDB's errors


@asynccontextmanager
async def open_catalog(settings: Settings) -> AsyncIterator["MongoCatalog"]:
    """The catalog that `settings` name, its indexes in place.

    Raises:
        SettingsError: there can be no such database.
        Unavailable: the database does not answer.
    """
    async with open_database(settings) as database:
        catalog = MongoCatalog(database)
        try:
            await catalog.prepare()
        except Unavailable as error:
            raise Unavailable(f"{error.message[:-1]} at DARKROOM_MONGO_URL: {error.__cause__}") from error
        yield catalog


class MongoCatalog:
    """`Catalog` over one MongoDB database, by either driver."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self._images = reliable(database["images"])
        self._secrets = reliable(database["secrets"])
        self._secret: str | None = None

    async def prepare(self) -> None:
        """Create the indexes, unless they are there."""
        with reaching():
            await self._images.create_indexes(_INDEXES)

    async def missing_indexes(self) -> list[str]:
        """The names of those that `prepare` would create."""
        return await missing_indexes(self._images, _INDEXES)

    async def add(self, images: Sequence[Image]) -> None:
        try:
            with reaching():
                await self._images.insert_many([_document(image) for image in images], ordered=False)
        except Unavailable as error:
            if not _only_duplicates(error.__cause__):
                raise

    async def get(self, image_id: str) -> Image | None:
        with reaching():
            return _image(await self._images.find_one({"_id": image_id}))

    async def get_many(self, image_ids: Iterable[str], *, owner: str | None = None) -> dict[str, Image]:
        query = _among(image_ids)
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
        version: int | None = None,
    ) -> Image | None:
        if not is_image_id(image_id):
            return None
        asked = {"_id": image_id, "owner": owner, "version": version}
        query: Document = {field: value for field, value in asked.items() if value is not None}
        given = {name: _plain(value) for name, value in (values or {}).items()}
        if "metadata" in given:
            given |= _described(given["metadata"])
        update: Document = {
            "$set": implied_by(move, at) | given,
            "$inc": counted_by(move),
        }
        for counter in update["$set"].keys() & update["$inc"].keys():
            del update["$inc"][counter]  # a counter that starts anew is not raised too
        rule = MOVES[move]
        entry = {"$each": [{"status": rule.target, "at": at}], "$slice": -TIMELINE_LENGTH}
        listed = update | {"$push": {"timeline": entry}}
        moved: Image | None = None
        if elsewhere := rule.sources - {rule.target}:
            moved = await self._set(query | _standing(move, elsewhere, at, fence), listed)
        if moved is None and rule.target in rule.sources:  # it stays where it is: nothing new to list
            moved = await self._set(query | _standing(move, {rule.target}, at, fence), update)
        return moved

    async def _set(self, query: Document, update: Document) -> Image | None:
        with reaching():
            return _image(
                await self._images.find_one_and_update(query, update, return_document=ReturnDocument.AFTER)
            )

    async def renew(self, image_id: str, *, fence: str, until: datetime) -> bool:
        with reaching():
            result = await self._images.update_one(
                {"_id": image_id, "lease.fence": fence}, {"$set": {"lease.until": until, "due_at": until}}
            )
            return bool(result.matched_count)

    async def release(self, image_id: str, *, fence: str, at: datetime, counted: bool = True) -> bool:
        update: Document = {"$set": {"lease.until": at, "due_at": at + RETRY_WITHIN}}
        if not counted:
            update["$inc"] = {"attempts": -1}
        with reaching():
            result = await self._images.update_one({"_id": image_id, "lease.fence": fence}, update)
            return bool(result.modified_count)

    async def count(self, status: Status, *, limit: int) -> int:
        with reaching():
            return int(
                await self._images.count_documents(
                    {"status": status}, limit=limit, hint="by_status", maxTimeMS=_LIST_WITHIN
                )
            )

    async def finished_since(self, since: datetime, *, limit: int) -> list[History]:
        query = {"status": {"$in": sorted(DEVELOPED)}, "finished_at": {"$gte": since}}
        told = {"timeline": True, "stored_at": True}
        latest = [("finished_at", DESCENDING)]
        with reaching():
            found = await self._images.find(
                query, told, sort=latest, limit=limit, hint="by_status", max_time_ms=_LIST_WITHIN
            ).to_list(None)
        return [
            History(
                [StatusChange.model_validate(change) for change in document["timeline"]],
                document.get("stored_at"),
            )
            for document in found
        ]

    async def due(self, *, at: datetime, limit: int) -> list[Image]:
        # Without the type, the planner does not see that the partial index holds all that is asked for.
        query = {"due_at": {"$lte": at, "$type": "date"}}
        return await self._find(query, sort=[("due_at", ASCENDING)], limit=limit)

    async def postpone(self, image: Image, *, until: datetime | None) -> None:
        with reaching():
            await self._images.update_one(
                {"_id": image.id, "version": image.version}, {"$set": {"due_at": until}}
            )

    async def page(
        self,
        owner: str,
        *,
        first: int,
        after: Position | None = None,
        matching: ImageFilter = EVERY_IMAGE,
        order: ImageOrder = ImageOrder.NEWEST_FIRST,
    ) -> list[Image]:
        page = page_query(owner, after=after, matching=matching, order=order)
        return await self._find(
            page.filter, sort=page.sort, limit=first, hint=page.hint, max_time_ms=_LIST_WITHIN
        )

    async def changed_since(self, owner: str, since: Position, *, limit: int) -> list[Image]:
        query = {"owner": owner, **behind("changed_at", since, newest_first=False)}
        return await self._find(query, sort=[("changed_at", ASCENDING), ("_id", ASCENDING)], limit=limit)

    async def count_changed_since(self, owner: str, since: Position, *, limit: int) -> int:
        query = {"owner": owner, **behind("changed_at", since, newest_first=False)}
        with reaching():
            return int(await self._images.count_documents(query, limit=limit))

    async def by_id(self, *, after: str | None = None, limit: int) -> list[Image]:
        query = {} if after is None else {"_id": {"$gt": after}}
        return await self._find(query, sort=[("_id", ASCENDING)], limit=limit)

    async def known(self, image_ids: Iterable[str]) -> set[str]:
        with reaching():
            found = await self._images.find(_among(image_ids), {"_id": True}).to_list(None)
            return {document["_id"] for document in found}

    async def versions(self, image_ids: Iterable[str]) -> dict[str, int]:
        with reaching():
            found = await self._images.find(_among(image_ids), {"version": True}).to_list(None)
            return {document["_id"]: document["version"] for document in found}

    async def secret(self) -> str:
        if self._secret is None:
            with reaching():
                kept = await self._secrets.find_one_and_update(
                    {"_id": "ids"},
                    {"$setOnInsert": {"value": token_hex(32)}},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            self._secret = str(kept["value"])
        return self._secret

    async def ping(self) -> None:
        with reaching():
            await self.database.command("ping")

    async def _find(
        self, query: Document, *, sort: Keys | None = None, limit: int = 0, **options: Any
    ) -> list[Image]:
        """Every readable record that is asked for; those that are not stand in nobody's place."""
        with reaching():
            found = await self._images.find(query, sort=sort, limit=limit, **options).to_list(None)
            images = list(_readable(found))
            if not limit or len(images) == limit or len(found) < limit:
                return images
            cursor = self._images.find(query, sort=sort, **options)
            try:
                images = []
                async for document in cursor:
                    images += _readable([document])
                    if len(images) == limit:
                        break
            finally:
                await cursor.close()
            return images


def _among(image_ids: Iterable[str]) -> Document:
    return {"_id": {"$in": [image_id for image_id in image_ids if is_image_id(image_id)]}}


def _readable(documents: Sequence[Document]) -> Iterator[Image]:
    for document in documents:
        try:
            yield _from_document(document)
        except ValueError:  # written by another version: it must not hide its neighbours
            log.exception("a record cannot be read", image=document["_id"])


def _standing(move: Move, sources: Set[Status], at: datetime, fence: str | None) -> Document:
    """The filter for records in one of `sources` from which `move` may be made."""
    query: Document = {"status": {"$in": sorted(sources)}}
    if not MOVES[move].leased:
        return query
    if fence is not None:
        return query | {"lease.fence": fence}
    if move in (Move.REVEAL, Move.FINISH):
        raise ValueError("only the holder of a fence can show what it made")
    return query | {"$or": [{"lease": None}, {"lease.until": {"$lte": at}}]}


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
    return document | _described(image.metadata)


def _described(metadata: dict[str, Any] | None) -> Document:
    """Metadata as text: what looks like one of the database's own types would come back as that."""
    text = None if metadata is None else json.dumps(metadata)
    return {"metadata": text, "labels": labels_of(metadata)}


def _image(document: Document | None) -> Image | None:
    return None if document is None else _from_document(document)


def _from_document(document: Document) -> Image:
    metadata = document.get("metadata")
    if isinstance(metadata, str):
        metadata = json.loads(metadata)
    return Image.model_validate({**document, "id": document["_id"], "metadata": metadata})


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
