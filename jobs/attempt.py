"""An attempt: one worker's try at one image, from the source in the store to the variants there."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import structlog

from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.images import GRACE, Image, Move, Placeholder, Problem, Variant, variant_key, variants_prefix
from jobs.imaging.messages import Finished, Inspected, Message, PlaceholderMade, RenditionMade
from jobs.ports import ObjectChanged, ObjectMissing, Services
from jobs.presets import Preset
from jobs.settings import Settings

log = structlog.get_logger(__name__)

SCRATCH_PREFIX = "darkroom-attempt-"
_GIVE_UP = timedelta(hours=6)
_FETCH_WITHIN = 8.0  # seconds
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
        """Whether all attempts were used up by workers that never came back."""
        return self.image.attempts > self._services.settings.max_attempts

    @property
    def has_waited_long(self) -> bool:
        """Whether services have been away for longer than anybody waits."""
        return self._services.clock() - (self.image.queued_at or self.image.created_at) > _GIVE_UP

    async def develop(self, developer: Developer) -> dict[str, Any]:
        """Fetch the source and store every variant; returns the fields that the record gains."""
        preset = self._services.settings.presets.get(self.image.preset)
        if preset is None:
            raise Unavailable(f"There is no preset named {self.image.preset!r} here.")
        with _scratch(self._services.settings) as folder:
            source, out = folder / "source", folder / "out"
            try:
                out.mkdir()
                async with asyncio.timeout(_FETCH_WITHIN):
                    await self._fetch(source)
            except TimeoutError as error:
                raise Unavailable("The object store does not answer in time.") from error
            except OSError as error:
                raise Unavailable(f"The scratch directory cannot be used: {error.strerror}.") from error
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
        """Make the variants visible, all at once, and remove what they replace."""
        replaced = await self._left_behind() | _keys(self.image)
        # If the answer is lost, the record may name the new ones: then nobody may remove them.
        moved = await self._move(Move.FINISH, fields)
        if moved is None:
            return Processed.NOTHING
        if moved.source is None:
            replaced.add(self.image.source_key)
        await self._discard(replaced)
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
        values: dict[str, Any] = {"problem": problem}
        useless = await self._left_behind() | self._written
        if self.image.develop_seconds is None:
            values |= {
                "variants": (),
                "placeholder": None,
                "perceptual_hash": None,
                "camera": None,
                "notes": (),
            }
            useless |= _keys(self.image)
        if await self._move(move, values) is None:
            return Processed.NOTHING
        await self._discard(useless)
        return outcome

    async def _move(self, move: Move, fields: dict[str, Any]) -> Image | None:
        """Say how it ended; None if somebody else holds the fence."""
        moved = await self._services.catalog.move(
            self.image.id, move, at=self._services.clock(), values=fields, fence=self._fence
        )
        if moved is None:
            log.warning("a late result was refused", image=self.image.id, move=move, fence=self._fence)
            # What it has shown stays, until whoever holds the fence now has replaced it.
            current = await self._services.catalog.get(self.image.id)
            shown = _keys(current) if current else set()
            await self._discard(self._written - shown)
            return None
        await self._services.bus.publish(moved)
        log.info(
            moved.status.lower(),
            image=moved.id,
            attempt=self.image.attempts,
            version=moved.version,
            code=moved.problem and moved.problem.code,
            develop_ms=moved.develop_seconds and round(moved.develop_seconds * 1e3, 1),
        )
        return moved

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
        digest = hashlib.sha256()
        try:
            with path.open("wb") as file:
                async for chunk in self._services.storage.read(image.source_key, etag=image.source.etag):
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
        body = _bytes_of(out / made.filename)
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
            )
        )
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
            if moved is not None:
                await self._services.bus.publish(moved)

    async def _left_behind(self) -> set[str]:
        """What attempts before this one stored and did not come to show.

        To be asked while this one holds the lease: whoever takes it next may store more.
        """
        if self.image.takes <= 1:
            return set()
        found: set[str] = set()
        async with self._leaving_litter():
            listing = self._services.storage.listing(variants_prefix(self.image.id))
            found = {listed.key async for listed in listing}
        return found - self._written - _keys(self.image)

    async def _discard(self, keys: Iterable[str]) -> None:
        """Remove objects that nobody will ask for."""
        async with self._leaving_litter():
            await self._services.storage.delete(keys)

    @asynccontextmanager
    async def _leaving_litter(self) -> AsyncIterator[None]:
        """What cannot be removed soon is left: it is litter, not harm."""
        try:
            async with asyncio.timeout(_TIDY_WITHIN):
                yield
        except (Unavailable, TimeoutError) as error:
            log.warning("objects were left behind", image=self.image.id, reason=repr(error))


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    """A folder for one attempt.

    Raises:
        Unavailable: there is no room for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(
            prefix=SCRATCH_PREFIX, dir=settings.scratch_dir, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise Unavailable(f"The scratch directory cannot be used: {error.strerror}.") from error
    with folder as path:
        yield Path(path)


def _bytes_of(path: Path) -> bytes:
    """What is in a file; not in what a link leads to, for a child may have been talked into anything."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read()


def _keys(image: Image) -> set[str]:
    """The objects that can be seen of an image."""
    return {variant.key for variant in image.variants}


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
