"""Create uploads: check what a client wants to send, record it, and sign for it.

The record comes first and the URL second, so that no event can ever arrive for an unknown image.
"""

import asyncio
import hashlib
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

from jobs import metrics
from jobs.deadline import in_time
from jobs.errors import LimitExceeded, ProblemCode, Rejection
from jobs.images import Image, Move, Status, StatusChange, new_image_id, repeatable_image_id
from jobs.ports import Catalog, Services, Storage, Target
from jobs.presets import Preset
from jobs.settings import Settings
from jobs.tracing import Trace, new_trace
from jobs.transitions import note

_FILENAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_TEXT = re.compile(r"[^\x00\ud800-\udfff]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
METADATA_BYTES = 4_096
METADATA_DEPTH = 10
BYTES_OF_A_FILE = 8_192  # of a request, at most: metadata, a name of escapes, and the rest


class FileRequest(NamedTuple):
    """What a client says of a file that it wants to upload. `sha256` is hex."""

    filename: str
    content_type: str
    byte_size: int
    sha256: str | None = None
    metadata: Any = None


class Upload(NamedTuple):
    """A recorded image and the request that stores its source."""

    image: Image
    target: Target
    repeated: bool = False  # an earlier request made the image

    @property
    def curl(self) -> str:
        """The request as a command for a shell, run where the file lies."""
        headers = " ".join(
            f"-H {shlex.quote(f'{name}: {value}')}" for name, value in self.target.headers.items()
        )
        path = shlex.quote(f"./{self.image.filename}")
        return f"curl --fail-with-body --globoff -T {path} {headers} {shlex.quote(self.target.url)}"


# Tells for sizes in bytes which of the files are one too many.
Admit = Callable[[Sequence[int]], Awaitable[Sequence[LimitExceeded | None]]]


@in_time()
async def create_uploads(
    files: Sequence[FileRequest],
    *,
    owner: str,
    preset: str | None,
    idempotency_key: str | None,
    services: Services,
    admit: Admit,
    trace: Trace | None = None,
) -> list[Upload | Rejection | LimitExceeded]:
    """One answer for each file, in the order asked.

    The same key from the same owner gives the same images, and to those that are still PENDING all the time
    again. With other files than before, it is a conflict.

    Args:
        admit: what the limits say of files that were not asked for before.
        trace: to which new images belong; a new one if left out.

    Raises:
        Unavailable: a service did not answer. Asking again with the same key makes nothing twice.
    """
    settings = services.settings
    chosen = preset if preset is not None else settings.default_preset
    now = services.clock()
    trace = trace or new_trace()
    wanted: list[Image | Rejection] = []
    content_types = {format_.content_type for format_ in settings.source_formats}
    timeline = (StatusChange(status=Status.PENDING, at=now),)
    expires_at = now + timedelta(seconds=settings.upload_seconds)
    due_at = now + timedelta(seconds=settings.sweep_seconds)
    ids = await _ids(owner, idempotency_key, services.catalog)
    for index, file in enumerate(files):
        try:
            if index >= settings.max_upload_files:
                raise Rejection(
                    ProblemCode.TOO_MANY_FILES,
                    f"At most {settings.max_upload_files} files can be asked for at once.",
                )
            if chosen not in settings.presets:
                known = ", ".join(sorted(settings.presets))
                raise Rejection(ProblemCode.UNKNOWN_PRESET, f"There is no such preset; there are: {known}.")
            _check(file, content_types, settings, settings.presets[chosen])
        except Rejection as rejection:
            wanted.append(rejection)
            continue
        wanted.append(
            Image(
                id=next(ids),
                owner=owner,
                preset=chosen,
                filename=file.filename,
                content_type=file.content_type.lower(),
                byte_size=file.byte_size,
                sha256=None if file.sha256 is None else file.sha256.lower(),
                metadata=file.metadata,
                trace=trace.id,
                span=trace.recorded_span,
                # A millisecond apart, in the order asked: lists by creation keep it.
                created_at=now - timedelta(milliseconds=len(files) - 1 - index),
                changed_at=now,
                expires_at=expires_at,
                due_at=due_at,
                timeline=timeline,
            )
        )
    request = None if idempotency_key is None else _hash_of(wanted)
    images = [item for item in wanted if isinstance(item, Image)]
    if request is not None:
        images = [image.model_copy(update={"request": request}) for image in images]
    kept: dict[str, Image] = {}
    if request is not None and images:
        kept = await services.catalog.get_many([image.id for image in images], owner=owner)
    new = [image for image in images if image.id not in kept]
    refusals: dict[str, LimitExceeded] = {}
    if new and not _of_others(kept, request):
        answers = await admit([image.byte_size for image in new])
        refusals = {image.id: answer for image, answer in zip(new, answers, strict=True) if answer}
        kept |= await _keep([image for image in new if image.id not in refusals], owner, services.catalog)
    if _of_others(kept, request):
        return [_used_otherwise() for _ in wanted]
    kept |= await _renewed([image for image in images if image.id in kept], kept, services)
    at, storage = services.clock(), services.storage
    return [
        item
        if isinstance(item, Rejection)
        else refusals.get(item.id) or _answer(item, kept[item.id], at, storage)
        for item in wanted
    ]


def count_answers(answers: Sequence[Upload | Rejection | LimitExceeded]) -> None:
    """Count what `create_uploads` answered, for whoever runs this; a target that is given again, as such."""
    given = 0
    for answer in answers:
        if not isinstance(answer, Upload):
            metrics.TARGETS.labels(answer.code).inc()
        elif answer.repeated:
            metrics.TARGETS_REPEATED.inc()
        else:
            given += 1
    metrics.TARGETS_GIVEN.inc(given)


async def _ids(owner: str, idempotency_key: str | None, catalog: Catalog) -> Iterator[str]:
    """An id for each file that is taken; the same ones for the same key."""
    if idempotency_key is None:
        return (new_image_id() for _ in count())
    # Kept with the records: whatever else is rotated, a key finds the images that it was used for.
    secret = await catalog.secret()
    return (repeatable_image_id(secret, owner, idempotency_key, number) for number in count())


def _of_others(kept: Mapping[str, Image], request: str | None) -> bool:
    """Whether some of these images were asked for by another request."""
    return any(image.request != request for image in kept.values())


async def _keep(images: Sequence[Image], owner: str, catalog: Catalog) -> dict[str, Image]:
    """Add new images; returns what the catalog has under their ids, by id.

    Whoever has the first has the key: of two requests at the same moment, one goes away empty.
    """
    if not images:
        return {}
    if images[0].request is None:
        await catalog.add(images)
        return {image.id: image for image in images}
    first, *others = images
    await catalog.add([first])
    kept = await catalog.get_many([first.id], owner=owner)
    if others and not _of_others(kept, first.request):
        await catalog.add(others)
        kept |= await catalog.get_many([image.id for image in others], owner=owner)
    return kept


def _hash_of(wanted: Sequence[Image | Rejection]) -> str:
    """What tells one request from every other: all that its files are said to be."""
    declared = [
        (item.preset, item.filename, item.content_type, item.byte_size, item.sha256, item.metadata)
        if isinstance(item, Image)
        else item.code
        for item in wanted
    ]
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def _used_otherwise() -> Rejection:
    return Rejection(ProblemCode.CONFLICT, "This idempotency key was used for other files before.")


async def _renewed(
    images: Sequence[Image], kept: Mapping[str, Image], services: Services
) -> dict[str, Image]:
    """Give those that still wait for their uploads all their time again; returns these, by id."""

    async def renew(image: Image) -> Image:
        values = {"expires_at": image.expires_at, "due_at": image.due_at}
        moved = await services.catalog.move(image.id, Move.RETARGET, at=services.clock(), values=values)
        if moved is not None:
            note(Move.RETARGET, moved)
        return moved or await services.catalog.get(image.id) or kept[image.id]

    late = [
        image
        for image in images
        if kept[image.id].status is Status.PENDING and kept[image.id].expires_at < image.expires_at
    ]
    return {image.id: image for image in await asyncio.gather(*map(renew, late))}


def _answer(wanted: Image, image: Image, at: datetime, storage: Storage) -> Upload | Rejection:
    if image.status in (Status.EXPIRED, Status.DELETED):
        return Rejection(
            ProblemCode.CONFLICT, f"The image of this idempotency key is {image.status}: use another key."
        )
    # No target outlives what the record says: the sweep would expire it under a valid one, and looks no
    # more for what comes to an image that is at rest.
    remaining = image.expires_at - at
    target = storage.presign_upload(
        image.source_key,
        byte_size=image.byte_size,
        content_type=image.content_type,
        sha256=image.sha256,
        expires_in=max(0, int(remaining.total_seconds())),
    )
    return Upload(image, target, repeated=image.created_at != wanted.created_at)


def _check(file: FileRequest, content_types: Collection[str], settings: Settings, preset: Preset) -> None:
    if not _FILENAME.fullmatch(file.filename):
        raise Rejection(
            ProblemCode.INVALID_FILENAME,
            "A filename has 1 to 255 characters, none of them a control character or half of one.",
        )
    if file.content_type.lower() not in content_types:
        known = ", ".join(sorted(content_types))
        raise Rejection(ProblemCode.UNSUPPORTED_TYPE, f"This content type is not taken; these are: {known}.")
    if file.byte_size < 1:
        raise Rejection(ProblemCode.EMPTY_FILE, "An empty file is no image.")
    max_bytes = min(settings.max_upload_bytes, preset.max_bytes or settings.max_upload_bytes)
    if file.byte_size > max_bytes:
        raise Rejection(ProblemCode.FILE_TOO_LARGE, f"A file can have at most {max_bytes} bytes.")
    if file.sha256 is not None and not _SHA256.fullmatch(file.sha256):
        raise Rejection(ProblemCode.INVALID_CHECKSUM, "A SHA-256 is written as 64 hexadecimal digits.")
    if file.metadata is not None:
        _check_metadata(file.metadata)


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict):
        raise Rejection(ProblemCode.INVALID_METADATA, "Metadata is a JSON object.")
    if _depth(metadata) > METADATA_DEPTH:
        raise Rejection(
            ProblemCode.INVALID_METADATA, f"Metadata can be at most {METADATA_DEPTH} levels deep."
        )
    try:
        written = json.dumps(metadata, allow_nan=False)
    except ValueError:
        raise Rejection(ProblemCode.INVALID_METADATA, "JSON has no infinite numbers.") from None
    if len(written) > METADATA_BYTES:
        raise Rejection(
            ProblemCode.INVALID_METADATA, f"Metadata can have at most {METADATA_BYTES} bytes as JSON."
        )


def is_text(text: str) -> bool:
    """Whether it is Unicode that can be written down, without NUL."""
    return _TEXT.fullmatch(text) is not None


def _depth(value: Any) -> int:
    """How many lists and objects stand inside each other; counted no further than is allowed."""
    depth, level = 0, [value]
    while depth <= METADATA_DEPTH:
        inside = [
            item.values() if isinstance(item, dict) else item
            for item in level
            if isinstance(item, (dict, list))
        ]
        if not inside:
            break
        depth, level = depth + 1, [item for items in inside for item in items]
    return depth
