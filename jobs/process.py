"""Process: take an uploaded image, develop it in a child, store what came out, say so.

A worker may die or be late at any line. Whatever it wrote then lies under keys of its own attempt, and
its word about the record is refused, because somebody else holds the fence.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import structlog

from jobs.errors import ProblemCode, Rejection, Unavailable
from jobs.images import (
    Image,
    Lease,
    Move,
    Placeholder,
    Problem,
    Status,
    Variant,
    new_fence,
    variant_key,
    variants_prefix,
)
from jobs.imaging.messages import Finished, Inspected, Message, PlaceholderMade, RenditionMade
from jobs.ports import ObjectChanged, ObjectMissing, Services
from jobs.presets import Preset
from jobs.settings import Settings

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=30)  # as long as a job may run
_GIVE_UP = timedelta(hours=6)
_BUDGET = LEASE - timedelta(seconds=3)  # of which some is left for saying how it ended
SCRATCH_PREFIX = "darkroom-attempt-"
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


class TryAgain(Exception):
    """The job is not over; it should run again `after` some time."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"again in {after.total_seconds():.1f} s")
        self.after = after


class SourceGone(Exception):
    """The source that the record speaks of is no longer in the store."""


def backoff(attempt: int) -> timedelta:
    """How long to wait after the failure of `attempt`, counted from 1: 1, 2, 4 … at most 30 seconds."""
    return timedelta(seconds=min(2.0 ** (attempt - 1), 30.0))


async def process(image_id: str, services: Services, developer: Developer) -> Processed:
    """One attempt at one image, from lease to verdict.

    Raises:
        TryAgain: the attempt failed, the file may have caused it, and there are attempts left.
        Unavailable: a service is away, which is no attempt; it should run again when that is back.
    """
    fence = new_fence()
    try:
        image = await _take(image_id, fence, services)
        if image is None:
            return await _not_ours(image_id, services)
        return await _verdict(Attempt(image, fence, services), developer)
    except (asyncio.CancelledError, Unavailable):
        await asyncio.shield(_give_back(image_id, fence, services, counted=False))
        raise
    except TryAgain:
        await asyncio.shield(_give_back(image_id, fence, services, counted=True))
        raise


async def _take(image_id: str, fence: str, services: Services) -> Image | None:
    now = services.clock()
    lease = Lease(fence=fence, until=now + LEASE)
    image = await services.catalog.move(
        image_id, Move.TAKE, at=now, values={"lease": lease, "due_at": lease.until}
    )
    if image is not None:
        await services.bus.publish(image)
    return image


async def _give_back(image_id: str, fence: str, services: Services, *, counted: bool) -> None:
    """End the lease of `fence` early, if there is one; where that fails, it ends by itself.

    Args:
        counted: whether the file may be what ended the attempt.
    """
    try:
        await services.catalog.release(image_id, fence=fence, at=services.clock(), counted=counted)
    except Unavailable as error:
        log.warning("a lease was not released", image=image_id, reason=error.message)


async def _verdict(attempt: "Attempt", developer: Developer) -> Processed:
    """Develop, and say how it ended.

    Raises:
        TryAgain, Unavailable: as `process`.
    """
    if attempt.is_beyond_the_last:
        return await attempt.fail("Developing it ended its worker, again and again.")
    try:
        async with asyncio.timeout(_BUDGET.total_seconds()):
            developed = await attempt.develop(developer)
    except Rejection as rejection:
        return await attempt.reject(rejection)
    except SourceGone:
        return await attempt.fail(
            "The source is no longer in the store.", code=ProblemCode.SOURCE_MISSING, retryable=False
        )
    except (Unavailable, TimeoutError) as error:
        # Fetching and developing have less time than the budget: the rest was waiting, for a service or a
        # child, and not the file's doing.
        reason = (
            error if isinstance(error, Unavailable) else Unavailable("A service does not answer in time.")
        )
        if attempt.has_waited_long:
            return await attempt.fail(f"For too long: {reason.message}")
        raise reason from error
    except Exception as error:
        log.exception("an attempt failed", image=attempt.image.id, attempt=attempt.image.attempts)
        if attempt.is_last:
            return await attempt.fail("It could not be developed; the fault is ours.")
        raise TryAgain(backoff(attempt.image.attempts)) from error
    return await attempt.finish(developed)


async def _not_ours(image_id: str, services: Services) -> Processed:
    image = await services.catalog.get(image_id)
    if image is not None and image.status is Status.PROCESSING and image.lease is not None:
        # Its worker may be dead: look again when its lease is over.
        raise TryAgain(max(image.lease.until - services.clock(), timedelta(milliseconds=50)))
    return Processed.NOTHING


class Attempt:
    """One worker's try at one image, under one fence."""

    def __init__(self, image: Image, fence: str, services: Services) -> None:
        self.image = image
        self._fence = fence
        self._services = services
        self._written: list[str] = []

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
        fields: dict[str, Any] = {}
        storing: list[asyncio.Task[Variant]] = []
        try:
            # Storing one variant overlaps encoding the next; if either fails, both stop.
            async with (
                asyncio.TaskGroup() as group,
                aclosing(developer.develop(source, preset, out)) as steps,
            ):
                async for message in steps:
                    match message:
                        case RenditionMade():
                            storing.append(group.create_task(self._store(message)))
                        case Inspected() if message.content_type != self.image.content_type:
                            raise Rejection(
                                ProblemCode.TYPE_MISMATCH,
                                f"Declared as {self.image.content_type}, it is {message.content_type}.",
                            )
                        case _:
                            fields |= _facts(message)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return fields | {"variants": tuple(task.result() for task in storing)}

    async def finish(self, fields: dict[str, Any]) -> Processed:
        """Make the variants visible, all at once, and remove what they replace."""
        replaced = await self._left_behind() | {variant.key for variant in self.image.variants}
        # If the answer is lost, the record may name the new ones: then nobody may remove them.
        moved = await self._move(Move.FINISH, fields)
        await self._discard(self._written if moved is None else replaced)
        return Processed.READY if moved else Processed.NOTHING

    async def reject(self, rejection: Rejection) -> Processed:
        """The file is at fault."""
        problem = Problem(code=rejection.code, message=rejection.message, retryable=False)
        useless = await self._left_behind() | {*self._written}
        moved = await self._move(Move.REJECT, {"problem": problem})
        await self._discard(useless if moved else self._written)
        return Processed.REJECTED if moved else Processed.NOTHING

    async def fail(
        self, message: str, *, code: ProblemCode = ProblemCode.ATTEMPTS_EXHAUSTED, retryable: bool = True
    ) -> Processed:
        """We are at fault, and will not try again by ourselves."""
        useless = await self._left_behind() | {*self._written}
        moved = await self._move(
            Move.FAIL, {"problem": Problem(code=code, message=message, retryable=retryable)}
        )
        await self._discard(useless if moved else self._written)
        return Processed.FAILED if moved else Processed.NOTHING

    async def _move(self, move: Move, fields: dict[str, Any]) -> Image | None:
        """Say how it ended; None if somebody else holds the fence."""
        moved = await self._services.catalog.move(
            self.image.id, move, at=self._services.clock(), values=fields, fence=self._fence
        )
        if moved is None:
            log.warning("a late result was refused", image=self.image.id, move=move, fence=self._fence)
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

    async def _store(self, made: RenditionMade) -> Variant:
        key = variant_key(self.image.id, self._fence, made.path.name)
        self._written.append(key)
        await self._services.storage.write(key, made.path.read_bytes(), content_type=made.content_type)
        return Variant(
            name=made.name,
            key=key,
            format=made.format,
            content_type=made.content_type,
            width=made.width,
            height=made.height,
            byte_size=made.byte_size,
        )

    async def _left_behind(self) -> set[str]:
        """What attempts before this one stored and did not come to show.

        To be asked while this one holds the lease: whoever takes it next may store more.
        """
        if self.image.takes <= 1:
            return set()
        found: list[str] = []
        async with self._leaving_litter():
            found = await self._services.storage.keys(variants_prefix(self.image.id))
        return set(found).difference(self._written, (variant.key for variant in self.image.variants))

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


def _facts(message: Message) -> dict[str, Any]:
    match message:
        case Inspected():
            return message.model_dump(include={"format", "width", "height", "frame_count"})
        case PlaceholderMade():
            return {
                "placeholder": Placeholder(thumbhash=message.thumbhash, dominant_color=message.dominant_color)
            }
        case Finished():
            return {"develop_seconds": message.seconds}
        case _:
            return {}
