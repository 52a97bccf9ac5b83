"""The catalog and the bucket in memory, for tests that need thousands of them.

They keep the contracts of `jobs.ports` as the real ones do: the same suites run over them.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

from jobs.clock import Clock
from jobs.errors import Unavailable
from jobs.images import (
    MOVES,
    RETRY_WITHIN,
    TIMELINE_LENGTH,
    Image,
    Lease,
    Move,
    Status,
    StatusChange,
    counted_by,
    implied_by,
    is_image_id,
)
from jobs.ports import (
    EVERY_IMAGE,
    FEED_OVERLAP,
    FeedEntry,
    ImageFilter,
    ImageOrder,
    Listed,
    ObjectChanged,
    ObjectMissing,
    Position,
    Stored,
    Target,
)
from jobs.stages import DEVELOPED, History


async def admit_all(sizes: Sequence[int]) -> list[None]:
    """Limits that nothing exceeds."""
    return [None] * len(sizes)


class MemoryCatalog:
    """`Catalog` over a dictionary."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    async def add(self, images: Sequence[Image]) -> None:
        for image in images:
            self._images.setdefault(image.id, image)

    async def get(self, image_id: str) -> Image | None:
        return self._images.get(image_id)

    async def get_many(self, image_ids: Iterable[str], *, owner: str | None = None) -> dict[str, Image]:
        found = [self._images[image_id] for image_id in image_ids if image_id in self._images]
        return {image.id: image for image in found if owner in (None, image.owner)}

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
        rule, image = MOVES[move], self._images.get(image_id)
        if fence is None and move in (Move.REVEAL, Move.FINISH):
            raise ValueError("only the holder of a fence can show what it made")
        if image is None or owner not in (None, image.owner) or version not in (None, image.version):
            return None
        if image.status not in rule.sources:
            return None
        if rule.leased and not self._admits(image.lease, fence, at):
            return None
        fields = implied_by(move, at) | dict(values or {})
        for counter, step in counted_by(move).items():
            fields.setdefault(counter, getattr(image, counter) + step)
        if image.status is not rule.target:
            timeline = (*image.timeline, StatusChange(status=rule.target, at=at))
            fields["timeline"] = timeline[-TIMELINE_LENGTH:]
        return self._set(image, fields)

    def _admits(self, lease: Lease | None, fence: str | None, at: datetime) -> bool:
        """Whether a leased move may be made: by the lease's holder, or while nobody's lease runs."""
        if fence is not None:
            return lease is not None and lease.fence == fence
        return lease is None or lease.until <= at

    async def renew(self, image_id: str, *, fence: str, until: datetime) -> bool:
        if (image := self._held(image_id, fence)) is None:
            return False
        self._set(image, {"lease": Lease(fence=fence, until=until), "due_at": until})
        return True

    async def release(self, image_id: str, *, fence: str, at: datetime, counted: bool = True) -> bool:
        if (image := self._held(image_id, fence)) is None:
            return False
        fields = {
            "lease": Lease(fence=fence, until=at),
            "due_at": at + RETRY_WITHIN,
            "attempts": image.attempts - (not counted),
        }
        return self._set(image, fields) != image

    def _held(self, image_id: str, fence: str) -> Image | None:
        image = self._images.get(image_id)
        return image if image and image.lease and image.lease.fence == fence else None

    async def count(self, status: Status, *, limit: int) -> int:
        return min(limit, sum(image.status is status for image in self._images.values()))

    async def finished_since(self, since: datetime, *, limit: int) -> list[History]:
        ended = [
            (image.finished_at, image)
            for image in self._images.values()
            if image.status in DEVELOPED and image.finished_at is not None
        ]
        latest = sorted(ended, key=lambda item: item[0], reverse=True)
        return [History(image.timeline, image.stored_at) for at, image in latest if at >= since][:limit]

    async def due(self, *, at: datetime, limit: int) -> list[Image]:
        waiting = [(image.due_at, image) for image in self._images.values() if image.due_at is not None]
        return [image for due_at, image in sorted(waiting, key=lambda item: item[0]) if due_at <= at][:limit]

    async def postpone(self, image: Image, *, until: datetime | None) -> None:
        current = self._images.get(image.id)
        if current is not None and current.version == image.version:
            self._set(current, {"due_at": until})

    async def page(
        self,
        owner: str,
        *,
        first: int,
        after: Position | None = None,
        matching: ImageFilter = EVERY_IMAGE,
        order: ImageOrder = ImageOrder.NEWEST_FIRST,
    ) -> list[Image]:
        places = sorted(
            (place, image)
            for image in self._images.values()
            if image.owner == owner and matching.matches(image) and (place := order.position(image))
        )
        if after is not None:
            places = [item for item in places if (item[0] < after if order.newest_first else item[0] > after)]
        return [image for _, image in (reversed(places) if order.newest_first else places)][:first]

    async def changed_since(self, owner: str, since: Position, *, limit: int) -> list[Image]:
        places = sorted(
            (Position(image.changed_at, image.id), image)
            for image in self._images.values()
            if image.owner == owner
        )
        return [image for place, image in places if place > since][:limit]

    async def count_changed_since(self, owner: str, since: Position, *, limit: int) -> int:
        return len(await self.changed_since(owner, since, limit=limit))

    async def by_id(self, *, after: str | None = None, limit: int) -> list[Image]:
        ids = sorted(image_id for image_id in self._images if after is None or image_id > after)
        return [self._images[image_id] for image_id in ids[:limit]]

    async def known(self, image_ids: Iterable[str]) -> set[str]:
        return {image_id for image_id in image_ids if is_image_id(image_id) and image_id in self._images}

    async def versions(self, image_ids: Iterable[str]) -> dict[str, int]:
        return {image_id: self._images[image_id].version for image_id in await self.known(image_ids)}

    async def secret(self) -> str:
        return "a-secret"

    async def ping(self) -> None:
        pass

    def _set(self, image: Image, fields: dict[str, Any]) -> Image:
        """The record with these fields, as strictly read as one that comes from a database."""
        self._images[image.id] = Image.model_validate(image.model_dump() | fields)
        return self._images[image.id]


class MemoryFeedLog:
    """`FeedLog` over lists."""

    def __init__(self) -> None:
        self._entries: defaultdict[str, list[FeedEntry]] = defaultdict(list)

    async def append(self, owner: str, entry: FeedEntry) -> bool:
        entries = self._entries[owner]
        if any(other.after == entry.after for other in entries):
            return False
        entries.append(entry)
        entries.sort()
        return True

    async def entries(self, owner: str, *, after: int, limit: int) -> list[FeedEntry]:
        return [entry for entry in self._entries[owner] if entry.seq > after][:limit]

    async def tail(self, owner: str) -> list[FeedEntry]:
        entries = self._entries[owner]
        return [entry for entry in entries if entry.at >= entries[-1].floor - FEED_OVERLAP]


class _Object(NamedTuple):
    body: bytes
    content_type: str
    etag: str
    last_modified: datetime


class _Upload(NamedTuple):
    """What a target was signed for."""

    key: str
    byte_size: int
    expires_at: datetime
    target: Target


_CHUNK = 256 * 1024


class MemoryStorage:
    """`Storage` over a dictionary. Its targets are used with `upload`; its other URLs lead nowhere.

    `verifies_sha256` says whether it is one of the stores that do.
    """

    def __init__(self, clock: Clock, *, verifies_sha256: bool = True) -> None:
        self._clock = clock
        self._verifies_sha256 = verifies_sha256
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, _Upload] = {}
        self._numbers = count()

    def presign_upload(
        self, key: str, *, byte_size: int, content_type: str, sha256: str | None, expires_in: int
    ) -> Target:
        headers = {"Content-Type": content_type, "If-None-Match": "*"}
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        target = Target("PUT", f"memory://bucket/{key}?upload={next(self._numbers)}", headers)
        expires_at = self._clock() + timedelta(seconds=expires_in)
        self._uploads[target.url] = _Upload(key, byte_size, expires_at, target)
        return target

    def upload(self, request: Target, body: bytes, *, begun: datetime | None = None) -> int:
        """What the store does with a client's request: the status of HTTP that it answers.

        Args:
            begun: when the request came, if its body took a while; that is when targets expire.
        """
        signed = self._uploads.get(request.url)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if (
            signed is None
            or request.method != signed.target.method
            or len(body) != signed.byte_size
            or (begun or self._clock()) >= signed.expires_at
            or any(headers.get(name.lower()) != value for name, value in signed.target.headers.items())
        ):
            return 403
        declared = headers.get("x-amz-checksum-sha256")
        actual = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if self._verifies_sha256 and declared not in (None, actual):
            return 400
        if signed.key in self._objects:
            return 412
        self._put(signed.key, body, headers["content-type"])
        return 200

    def download_url(self, key: str, *, expires_in: int) -> str:
        return f"memory://bucket/{key}?expires={expires_in}"

    def attachment_url(self, key: str, *, expires_in: int) -> str:
        return f"memory://bucket/{key}?expires={expires_in}&attachment"

    async def head(self, key: str) -> Stored | None:
        found = self._objects.get(key)
        return None if found is None else Stored(len(found.body), found.etag, found.content_type)

    async def read(
        self, key: str, *, etag: str | None = None, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        found = self._objects.get(key)
        if found is None:
            raise ObjectMissing
        if etag not in (None, found.etag):
            raise ObjectChanged
        if start and start >= len(found.body):
            raise Unavailable("The object store refuses: InvalidRange.")
        body = found.body[start:stop]
        for at in range(0, len(body), _CHUNK):
            yield body[at : at + _CHUNK]

    async def write(self, key: str, body: bytes, *, content_type: str) -> None:
        self._put(key, body, content_type)

    async def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._objects.pop(key, None)

    async def listing(self, prefix: str, *, page_size: int = 1_000) -> AsyncIterator[Listed]:
        last = ""
        while page := sorted(key for key in self._objects if key.startswith(prefix) and key > last)[
            :page_size
        ]:
            for listed in [
                Listed(key, len(found.body), found.last_modified, found.etag)
                for key in page
                for found in [self._objects[key]]
            ]:
                yield listed
            last = page[-1]

    async def ping(self) -> None:
        pass

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        self._objects[key] = _Object(body, content_type, etag, self._clock())
