"""An attempt: one worker's try at one image, from the source in the store to the variants there."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import structlog

from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.failpoints import Failpoint, reach
from jobs.images import GRACE, Image, Move, Placeholder, Problem, Variant, variant_key
from jobs.imaging.messages import Finished, Inspected, Message, PlaceholderMade, RenditionMade
from jobs.metrics import LEASES_LOST
from jobs.ports import ObjectChanged, ObjectMissing, Services
from jobs.presets import Preset
from jobs.scratch import read_made, scratch_folder
from jobs.transitions import note

log = structlog.get_logger(__name__)

_DEATHS = 4  # of workers, for each attempt that a file has
_GIVE_UP = timedelta(hours=6)
_GIVE_UP_TAKES = 100  # in which half a minute's backoff takes most of an hour
_SILENCE = 8.0  # seconds without a byte of the source, after which the store is away
_LEAST_SPEED = 500_000  # bytes per second; what comes at less comes too late
_TIDY_WITHIN = 10.0  # seconds; a job has a limit of its own


class Developer(Protocol):
    """Makes variants of a file, somewhere it can do no harm."""

    def develop(self, source: Path, preset: Preset, out: Path) -> AsyncGenerator[Message, None]:
        """Tell what comes out as soon as it is there; `Finished` is last.

        Raises:
            Rejection: the file is at fault.
            Exception: the process that did the work died, or anything else.
        """


class Processed(StrEnum):
    """What came of a job."""

    READY = "ready"
    REJECTED = "rejected"
    FAILED = "failed"
    NOTHING = "nothing"  # the image is gone, at rest, or has passed to somebody else


def transfer_seconds(byte_size: int) -> float:
    """How long a source of `byte_size` bytes may be on its way, at the least speed that will do."""
    return byte_size / _LEAST_SPEED


class SourceGone(Exception):
    """The source that the record speaks of is no longer in the store."""


class Attempt:
    """One worker's try at one image, under one fence."""

    def __init__(self, image: Image, fence: str, services: Services) -> None:
        self.image = image
        self._fence = fence
        self._services = services
        self._written: set[str] = set()
        self._stored: list[Variant] = []
        self._facts: dict[str, Any] = {}
        self._all_made = False
        self._revealing = asyncio.Lock()

    @property
    def is_last(self) -> bool:
        """Whether the attempts are used up with this one."""
        return self.image.attempts >= self._services.settings.max_attempts

    @property
    def is_beyond_the_last(self) -> bool:
        """Whether all attempts were used up by workers that never came back.

        A file can end a child, and hardly its worker: many may die of other things, one after the other.
        """
        return self.image.attempts > _DEATHS * self._services.settings.max_attempts

    @property
    def has_waited_long(self) -> bool:
        """Whether it was first tried longer ago than anybody waits for a service, and often since.

        While everything was down, nobody tried, and that is no reason to give up.
        """
        first_try = self.image.timeline[-1].at  # a try that follows another is not listed
        long_ago = self._services.clock() - first_try > _GIVE_UP
        return long_ago and self.image.takes >= _GIVE_UP_TAKES

    @property
    def transfer_seconds(self) -> float:
        """How long its source may be on its way."""
        # A larger one was let in under other settings; a worker's jobs have no longer than by its own.
        return transfer_seconds(min(self.image.byte_size, self._services.settings.max_upload_bytes))

    async def develop(self, developer: Developer) -> dict[str, Any]:
        """Fetch the source and store every variant; returns the fields that the record gains."""
        preset = self._services.settings.presets.get(self.image.preset)
        if preset is None:
            raise Unavailable(f"There is no preset named {self.image.preset!r} here.")
        with scratch_folder(self._services.settings) as folder:
            source, out = folder / "source", folder / "out"
            try:
                out.mkdir()
                async with asyncio.timeout(_SILENCE + self.transfer_seconds):
                    await self._fetch(source)
            except TimeoutError as error:
                raise Unavailable("The object store does not answer in time.") from error
            except OSError as error:
                raise Unavailable(f"The scratch directory cannot be used: {error.strerror}.") from error
            reach(Failpoint.PROCESS_FETCHED)
            return await self._develop(developer, source, preset, out)

    async def _develop(self, developer: Developer, source: Path, preset: Preset, out: Path) -> dict[str, Any]:
        try:
            # Storing one variant overlaps encoding the next; if either fails, both stop.
            async with (
                asyncio.TaskGroup() as group,
                aclosing(developer.develop(source, preset, out)) as steps,
            ):
                async for message in steps:
                    match message:
                        case RenditionMade():
                            group.create_task(self._store(message, preset, out))
                        case Inspected() if message.content_type != self.image.content_type:
                            raise Rejection(
                                ProblemCode.TYPE_MISMATCH,
                                f"Declared as {self.image.content_type}, it is {message.content_type}.",
                            )
                        case Finished():
                            self._all_made = True
                            self._facts["develop_seconds"] = message.seconds
                        case _:
                            self._facts |= _facts(message)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if preset.keep_original:
            return self._fields()
        # The sweep comes by, for whatever keeps this worker from removing it.
        return self._fields() | {"source": None, "due_at": self._services.clock() + GRACE}

    def _fields(self) -> dict[str, Any]:
        """What is known of the image, and what of it is stored, the smallest first."""
        return self._facts | {
            "variants": tuple(sorted(self._stored, key=lambda made: (made.width, made.height, made.name)))
        }

    async def finish(self, fields: dict[str, Any]) -> Processed:
        """Make the variants visible, all at once; whatever they replace, the sweep removes."""
        reach(Failpoint.PROCESS_DEVELOPED)
        # If the answer is lost, the record may name the new ones: then nobody may remove them.
        moved = await self._move(Move.FINISH, self._tidied_later(fields, litter=self.image.variants))
        if moved is None:
            return Processed.NOTHING
        if moved.source is None:
            await self._discard([self.image.source_key])
        return Processed.READY

    async def reject(self, rejection: Rejection) -> Processed:
        """The file is at fault."""
        problem = Problem(code=rejection.code, message=rejection.message, retryable=False)
        return await self._end(Move.REJECT, problem, Processed.REJECTED)

    async def fail(
        self, message: str, *, code: ProblemCode = ProblemCode.ATTEMPTS_EXHAUSTED, retryable: bool = True
    ) -> Processed:
        """We are at fault, and will not try again by ourselves."""
        problem = Problem(code=code, message=message, retryable=retryable)
        return await self._end(Move.FAIL, problem, Processed.FAILED)

    async def _end(self, move: Move, problem: Problem, outcome: Processed) -> Processed:
        """Say what the problem is; nothing of a picture that never was complete stays to be seen."""
        values = self._tidied_later({"problem": problem}, litter=self._written)
        useless = set(self._written)
        if self.image.develop_seconds is None:
            values |= {
                "variants": (),
                "placeholder": None,
                "perceptual_hash": None,
                "camera": None,
                "notes": (),
            }
            useless |= {variant.key for variant in self.image.variants}
        if await self._move(move, values) is None:
            return Processed.NOTHING
        await self._discard(useless)
        return outcome

    def _tidied_later(self, fields: dict[str, Any], *, litter: Collection[object]) -> dict[str, Any]:
        """The fields of a last move, after which the sweep removes what the record does not name.

        Somebody may just be looking at what was replaced; and attempts before this one, in this round or
        another, may have ended with their worker, and left something.
        """
        if not litter and self.image.takes <= 1 and self.image.round <= 1:
            return fields
        return {"due_at": self._services.clock() + GRACE} | fields

    async def _move(self, move: Move, fields: dict[str, Any]) -> Image | None:
        """Say how it ended; None if somebody else holds the fence."""
        moved = await self._services.catalog.move(
            self.image.id, move, at=self._services.clock(), values=fields, fence=self._fence
        )
        if moved is None:
            await self.abandon()
            return None
        note(move, moved)
        reach(Failpoint.PROCESS_FINISHED)
        await self._services.bus.publish(moved)
        return moved

    async def abandon(self) -> Processed:
        """The image has passed to somebody else: take back what nobody is going to ask for."""
        # What it has shown stays, until whoever holds the fence now has replaced it.
        current = await self._services.catalog.get(self.image.id)
        LEASES_LOST.inc()  # not before: while the catalog is away, this is tried again
        log.warning("a late result was refused", image=self.image.id, fence=self._fence)
        shown = {variant.key for variant in current.variants} if current else set()
        await self._discard(self._written - shown)
        return Processed.NOTHING

    async def _fetch(self, path: Path) -> None:
        """Write the source to `path`, checked against what the client declared."""
        image = self.image
        if image.source is None:
            raise SourceGone
        if image.source.byte_size != image.byte_size:
            raise Rejection(
                ProblemCode.SIZE_MISMATCH,
                f"The store has {image.source.byte_size} bytes where {image.byte_size} were declared.",
            )
        digest, loop = hashlib.sha256(), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_SILENCE) as silence:
                with path.open("wb") as file:
                    async for chunk in self._services.storage.read(image.source_key, etag=image.source.etag):
                        silence.reschedule(loop.time() + _SILENCE)
                        file.write(chunk)
                        if image.sha256 is not None:
                            digest.update(chunk)
        except (ObjectMissing, ObjectChanged) as error:
            raise SourceGone from error
        if image.sha256 is not None and digest.hexdigest() != image.sha256:
            raise Rejection(
                ProblemCode.CHECKSUM_MISMATCH, "The bytes are not those whose SHA-256 was declared."
            )

    async def _store(self, made: RenditionMade, preset: Preset, out: Path) -> None:
        if made.name not in {spec.name for spec in preset.variants}:
            raise ValueError(f"a child tells of a variant that nobody asked for: {made.name!r}")
        body = read_made(out / made.filename)
        key = variant_key(self.image.id, self._fence, made.filename)
        self._written.add(key)
        await self._services.storage.write(key, body, content_type=made.format.content_type)
        self._stored.append(
            Variant(
                name=made.name,
                key=key,
                format=made.format,
                content_type=made.format.content_type,
                width=made.width,
                height=made.height,
                byte_size=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
            )
        )
        reach(Failpoint.PROCESS_STORED)
        if not self._all_made and not self.image.variants:
            await self._reveal()

    async def _reveal(self) -> None:
        """Show what is stored so far, while the rest is being made; the end shows all of it anyway."""
        async with self._revealing:  # one after the other: none shows less than the one before
            if self._all_made:
                return
            try:
                moved = await self._services.catalog.move(
                    self.image.id,
                    Move.REVEAL,
                    at=self._services.clock(),
                    values=self._fields(),
                    fence=self._fence,
                )
            except Unavailable as error:
                log.warning("a variant was not shown early", image=self.image.id, reason=error.message)
                return
            reach(Failpoint.PROCESS_REVEALED)
            if moved is not None:
                note(Move.REVEAL, moved)
                await self._services.bus.publish(moved)

    async def _discard(self, keys: Iterable[str]) -> None:
        """Remove objects that nobody will ask for; what cannot be removed soon is litter, not harm."""
        try:
            async with asyncio.timeout(_TIDY_WITHIN):
                await self._services.storage.delete(keys)
        except (Unavailable, TimeoutError) as error:
            log.warning("objects were left behind", image=self.image.id, reason=repr(error))


def _facts(message: Message) -> dict[str, Any]:
    match message:
        case Inspected():
            return {
                "format": message.format,
                "width": message.width,
                "height": message.height,
                "frame_count": message.frame_count,
                "camera": message.camera,
                "notes": message.notes,
            }
        case PlaceholderMade():
            return {
                "placeholder": Placeholder(
                    thumbhash=message.thumbhash, dominant_color=message.dominant_color
                ),
                "perceptual_hash": message.perceptual_hash,
            }
        case _:
            return {}
