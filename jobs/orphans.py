"""Orphans: objects without a record, and records whose objects are gone, or are not what they were.

Catalog and store are walked once, side by side, in the order of image ids, which is that of the keys too:
a thousand of either cost one request, and little more than a page of each is in memory. The system runs
meanwhile, and each side is read at another moment. So what does not fit together is only suspected, until
the record has been read again and the store been asked for each object that was not listed as it should be.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from jobs.consistency import (
    Fault,
    Finding,
    Remedy,
    expected,
    fits,
    missed_upload,
    object_fault,
    record_fault,
)
from jobs.errors import Conflict, NotFound
from jobs.images import (
    MOVES,
    SOURCES_PREFIX,
    VARIANTS_PREFIX,
    Image,
    Move,
    image_id_of,
    image_id_of_variant,
)
from jobs.ingest import ingest
from jobs.ports import Listed, Services
from jobs.requests import reprocess

SETTLED = timedelta(hours=1)  # objects that were written, or whose record moved, since are in use
_AT_ONCE = 16  # records that are looked at more closely at a time


@dataclass(slots=True)
class Totals:
    """What was seen: objects with their bytes, records, and how much of it does not fit."""

    objects: int = 0
    bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    records: int = 0
    broken: int = 0
    remaining: int = 0  # findings that were not fixed


async def scan(
    services: Services, tell: Callable[[Finding], None], *, fix: bool = False, page_size: int = 1_000
) -> Totals:
    """Look at every object and every record, and tell of what does not fit.

    Objects whose keys Darkroom does not make are not its own, and not looked at. One that was written within
    the last hour, or whose record moved within it, is no orphan yet.

    Args:
        tell: is called with each finding, in the order of ids for each page.
        fix: remove orphans, develop images anew whose variants are gone or damaged and whose source is
            there, and go on with uploads that were missed. A record is never told to forget a source: if the
            store only lost it for a while, as with the wrong bucket in the settings, the next scan would take
            the source for litter.
        page_size: how many objects or records are asked for at a time, at most 1,000.

    Raises:
        Conflict: `fix`, and the catalog has no record at all: more likely than not it is the wrong one.
        Unavailable: a service did not answer; the scan is not complete.
    """
    if fix and not await services.catalog.by_id(limit=1):
        raise Conflict("The catalog has no records, so each object would be removed; is it the right one?")
    return await _Scan(services, tell, fix=fix, page_size=page_size).run()


class _Scan:
    """One walk over everything."""

    def __init__(
        self, services: Services, tell: Callable[[Finding], None], *, fix: bool, page_size: int
    ) -> None:
        self._services = services
        self._tell = tell
        self._fix = fix
        self._page_size = page_size
        self._before = services.clock() - SETTLED
        self._totals = Totals()

    async def run(self) -> Totals:
        suspects: dict[str, list[Listed]] = {}
        async for image_id, found in _merged(*_walks(self._services, self._page_size)):
            record = next((item for item in found if isinstance(item, Image)), None)
            objects = [item for item in found if isinstance(item, Listed)]
            self._totals.records += record is not None
            self._totals.objects += len(objects)
            self._totals.bytes += sum(listed.byte_size for listed in objects)
            if self._is_suspicious(record, objects):
                suspects[image_id] = objects
            if len(suspects) == self._page_size:
                await self._look_again(suspects)
                suspects = {}
        await self._look_again(suspects)
        return self._totals

    def _is_suspicious(self, record: Image | None, objects: Sequence[Listed]) -> bool:
        if record is not None:
            by_key = {listed.key: listed for listed in objects}
            if not all(fits(record, key, by_key.get(key)) for key in expected(record)):
                return True
            if missed_upload(record, by_key, before=self._before):
                return True
        return any(object_fault(listed, record, before=self._before) for listed in objects)

    async def _look_again(self, suspects: Mapping[str, Sequence[Listed]]) -> None:
        records = await self._services.catalog.get_many(suspects)
        # A record of another version cannot be read here, but its objects are not ours to judge.
        unreadable = await self._services.catalog.known(suspects.keys() - records.keys())
        await self._end_orphans(
            [
                Finding(
                    fault=fault,
                    image_id=image_id,
                    status=record.status if record else None,
                    keys=(listed.key,),
                    byte_size=listed.byte_size,
                    remedy=Remedy.REMOVE,
                )
                for image_id, objects in suspects.items()
                if image_id not in unreadable
                for record in [records.get(image_id)]
                for listed in objects
                if (fault := object_fault(listed, record, before=self._before))
            ]
        )
        await self._end_broken(
            [
                (records[image_id], {listed.key: listed for listed in objects})
                for image_id, objects in suspects.items()
                if image_id in records
            ]
        )

    async def _end_orphans(self, orphans: Sequence[Finding]) -> None:
        if self._fix:
            await self._services.storage.delete([key for orphan in orphans for key in orphan.keys])
        for orphan in orphans:
            self._totals.orphans += 1
            self._totals.orphan_bytes += orphan.byte_size
            self._note(replace(orphan, fixed=self._fix))

    async def _end_broken(self, suspects: Sequence[tuple[Image, Mapping[str, Listed]]]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def look(record: Image, listed: Mapping[str, Listed]) -> Finding | None:
            async with gate:
                return await self._broken(record, listed)

        try:
            async with asyncio.TaskGroup() as group:
                looks = [group.create_task(look(*suspect)) for suspect in suspects]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for finding in [found for task in looks if (found := task.result())]:
            self._totals.broken += 1
            self._note(finding)

    async def _broken(self, record: Image, listed: Mapping[str, Listed]) -> Finding | None:
        """What is wrong with `record`, if it has not moved meanwhile; fixed, if that is asked for."""
        finding = self._missed(record, listed) or await self._damaged(record, listed)
        if finding is None:
            return None
        now = (await self._services.catalog.get_many([record.id])).get(record.id)
        if now is None or now.version != record.version:
            return None
        if not self._fix or finding.remedy is None:
            return finding
        try:
            if finding.remedy is Remedy.INGEST:
                await ingest(record, self._services, via="doctor")
            else:
                await reprocess(record.id, record.owner, self._services)
        except (Conflict, NotFound):  # somebody was quicker
            return None
        return replace(finding, fixed=True)

    def _missed(self, record: Image, listed: Mapping[str, Listed]) -> Finding | None:
        if not missed_upload(record, listed, before=self._before):
            return None
        return Finding(
            fault=Fault.UPLOAD_MISSED,
            image_id=record.id,
            status=record.status,
            keys=(record.source_key,),
            byte_size=record.byte_size,
            remedy=Remedy.INGEST,
        )

    async def _damaged(self, record: Image, listed: Mapping[str, Listed]) -> Finding | None:
        sizes = expected(record)
        gone: list[str] = []
        changed: list[str] = []
        for key in sizes:
            if fits(record, key, listed.get(key)):
                continue
            found = await self._services.storage.head(key)
            if found is None:
                gone.append(key)
            elif not fits(record, key, found):
                changed.append(key)
        fault = record_fault(record, gone=gone, changed=changed)
        if fault is None:
            return None
        return Finding(
            fault=fault,
            image_id=record.id,
            status=record.status,
            keys=(*gone, *changed),
            byte_size=sum(sizes[key] for key in (*gone, *changed)),
            remedy=await self._remedy(record),
        )

    async def _remedy(self, record: Image) -> Remedy | None:
        """To develop it anew, if that makes the variants again and does not only end it."""
        if (
            record.source is None
            or record.status not in MOVES[Move.REPROCESS].sources
            or record.preset not in self._services.settings.presets
        ):
            return None
        stored = await self._services.storage.head(record.source_key)
        return Remedy.REPROCESS if stored and stored.etag == record.source.etag else None

    def _note(self, finding: Finding) -> None:
        self._totals.remaining += not finding.fixed
        self._tell(finding)


_Found = Listed | Image


def _walks(services: Services, page_size: int) -> list[AsyncIterator[tuple[str, _Found]]]:
    """Everything there is, by image id: the records, the sources, the variants."""

    async def records() -> AsyncIterator[tuple[str, _Found]]:
        after = None
        while page := await services.catalog.by_id(after=after, limit=page_size):
            for image in page:
                yield image.id, image
            after = page[-1].id

    async def objects(
        prefix: str, image_id_in: Callable[[str], str | None]
    ) -> AsyncIterator[tuple[str, _Found]]:
        async for listed in services.storage.listing(prefix, page_size=page_size):
            if (image_id := image_id_in(listed.key)) is not None:
                yield image_id, listed

    return [
        records(),
        objects(SOURCES_PREFIX, image_id_of),
        objects(VARIANTS_PREFIX, image_id_of_variant),
    ]


async def _merged(
    *walks: AsyncIterator[tuple[str, _Found]],
) -> AsyncIterator[tuple[str, list[_Found]]]:
    """All that the walks, each in the order of ids, find of one image after the other."""
    heads = [await anext(walk, None) for walk in walks]
    while image_id := min((head[0] for head in heads if head is not None), default=None):
        found = []
        for index, walk in enumerate(walks):
            while (head := heads[index]) is not None and head[0] == image_id:
                found.append(head[1])
                heads[index] = await anext(walk, None)
        yield image_id, found
