"""The types of the schema, made from the domain's."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, NewType, Self

import strawberry
from strawberry.scalars import JSON
from strawberry.schema.types.base_scalars import DateTimeDefinition
from strawberry.types.scalar import ScalarDefinition

from api.context import Context, Info
from api.cost import WEIGHT, Weight
from api.enums import ImageStatus, NoteCode, ProblemCode
from api.execution import PLAIN_FUNCTION
from jobs import facts, images
from jobs.errors import Conflict, NotFound

URL = NewType("URL", str)
SCALARS: dict[object, ScalarDefinition] = {
    URL: strawberry.scalar(
        name="URL",
        description="An absolute URL.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=str,
    ),
    datetime: replace(
        DateTimeDefinition,
        description="A moment as RFC 3339 writes it; those that are given out are in UTC.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    ),
}

SIGNED = Weight(5, told_more=20)

ExpiresIn = Annotated[
    int | None,
    strawberry.argument(description="For how many seconds the URL works; as configured if left out."),
]


@strawberry.interface(description="Something that can be asked for again by its id.")
class Node:
    """Relay's object identification."""

    id: strawberry.ID = strawberry.field(description="An opaque, globally unique id.")


@strawberry.interface(description="Why something is not as the client wished.")
class Problem:
    """A code for programs and a sentence for people."""

    code: ProblemCode = strawberry.field(description="The stable code.")
    message: str = strawberry.field(description="A sentence that a person understands.")


@strawberry.type(description="Why an image was rejected, failed or expired.")
class ImageProblem(Problem):
    """`jobs.images.Problem`."""

    retryable: bool = strawberry.field(description="Whether `reprocessImage` may help.")

    @classmethod
    def from_domain(cls, problem: images.Problem) -> Self:
        """The type of `problem`."""
        return cls(code=ProblemCode[problem.code.name], message=problem.message, retryable=problem.retryable)


@strawberry.type(description="What a page can paint before any variant is loaded.")
class Placeholder:
    """`jobs.images.Placeholder`."""

    thumbhash: str = strawberry.field(description="A thumbhash of the picture, in base64.")
    dominant_color: str = strawberry.field(description="Its dominant colour as `#rrggbb`.")

    @classmethod
    def from_domain(cls, placeholder: images.Placeholder) -> Self:
        """The type of `placeholder`."""
        return cls(thumbhash=placeholder.thumbhash, dominant_color=placeholder.dominant_color)


@strawberry.type(description="With what and when a picture was taken, as its file tells it.")
class Camera:
    """`jobs.facts.Camera`."""

    make: str | None = strawberry.field(description="Who made the camera.")
    model: str | None = strawberry.field(description="Which one it is.")
    lens: str | None = strawberry.field(description="With which lens.")
    taken_at: str | None = strawberry.field(
        description="When, in ISO 8601, in the camera's own time zone; it is named if the camera knew it."
    )

    @classmethod
    def from_domain(cls, camera: facts.Camera) -> Self:
        """The type of `camera`."""
        return cls(make=camera.make, model=camera.model, lens=camera.lens, taken_at=camera.taken_at)


@strawberry.type(description="What was done with an image otherwise than one might expect.")
class ImageNote:
    """`jobs.facts.Note`."""

    code: NoteCode = strawberry.field(description="The stable code.")
    message: str = strawberry.field(description="A sentence that a person understands.")

    @classmethod
    def from_domain(cls, note: facts.Note) -> Self:
        """The type of `note`."""
        return cls(code=NoteCode[note.code.name], message=note.message)


@strawberry.type(description="One derived rendition of an image.")
class Variant:
    """`jobs.images.Variant`."""

    name: str = strawberry.field(description="Its name in the preset.")
    format: str = strawberry.field(description="Its encoding, such as `webp`.")
    width: int = strawberry.field(description="In pixels.")
    height: int = strawberry.field(description="In pixels.")
    byte_size: int = strawberry.field(description="In bytes.")
    key: strawberry.Private[str]

    @strawberry.field(
        description="Where it can be read.",
        metadata={PLAIN_FUNCTION: lambda variant, context: variant.address(context), WEIGHT: SIGNED},
    )
    def url(self, info: Info, expires_in: ExpiresIn = strawberry.UNSET) -> URL:
        """A presigned URL, or one below the configured public base."""
        return self.address(info.context, expires_in)

    def address(self, context: Context, expires_in: int | None = None) -> URL:
        """The same of a context alone."""
        seconds = _lifetime(expires_in, context.services.settings.download_seconds)
        return URL(context.services.storage.download_url(self.key, expires_in=seconds))

    @classmethod
    def from_domain(cls, variant: images.Variant) -> Self:
        """The type of `variant`."""
        return cls(
            name=variant.name,
            format=variant.format.value,
            width=variant.width,
            height=variant.height,
            byte_size=variant.byte_size,
            key=variant.key,
        )


@strawberry.type(description="The bytes as they were uploaded.")
class Source:
    """`jobs.images.Source`."""

    byte_size: int = strawberry.field(description="In bytes, as the store says.")
    key: strawberry.Private[str]

    @strawberry.field(
        description="Where they can be saved from: always an attachment, never shown by a browser.",
        metadata={PLAIN_FUNCTION: lambda source, context: source.address(context), WEIGHT: SIGNED},
    )
    def url(self, info: Info, expires_in: ExpiresIn = strawberry.UNSET) -> URL:
        """A presigned URL that fixes how the answer is treated."""
        return self.address(info.context, expires_in)

    def address(self, context: Context, expires_in: int | None = None) -> URL:
        """The same of a context alone."""
        seconds = _lifetime(expires_in, context.services.settings.download_seconds)
        return URL(context.services.storage.attachment_url(self.key, expires_in=seconds))


def _lifetime(asked: int | None, configured: int) -> int:
    """Seconds that a URL works: as asked, but neither none nor more than a signature can last."""
    if asked is None or asked is strawberry.UNSET:
        return configured
    return min(max(asked, 1), 7 * 86_400)


@strawberry.type(description="When an image came to a state.")
class StatusChange:
    """`jobs.images.StatusChange`."""

    status: ImageStatus = strawberry.field(description="The state.")
    at: datetime = strawberry.field(description="When it began.")


@strawberry.type(description="One image, from the request to upload it to its variants.")
class Image(Node):
    """`jobs.images.Image`."""

    status: ImageStatus = strawberry.field(description="Where it is on its way.")
    version: int = strawberry.field(
        description="Rises by one with every change: drop what does not increase it."
    )
    preset: str = strawberry.field(description="What it is developed into.")
    filename: str = strawberry.field(description="As the client named it.")
    content_type: str = strawberry.field(description="As the client declared it.")
    byte_size: int = strawberry.field(description="As the client declared it.")
    sha256: str | None = strawberry.field(description="As the client declared it, in hexadecimal.")
    metadata: JSON | None = strawberry.field(
        description="What the client wished to keep with it.", metadata={WEIGHT: Weight(20)}
    )
    format: str | None = strawberry.field(description="What the source really is, such as `jpeg`.")
    width: int | None = strawberry.field(description="Of the source as it is seen, in pixels.")
    height: int | None = strawberry.field(description="Of the source as it is seen, in pixels.")
    frame_count: int | None = strawberry.field(description="How many frames the source has.")
    camera: Camera | None = strawberry.field(description="With what and when it was taken, if it tells.")
    perceptual_hash: str | None = strawberry.field(
        description="64 bits in hexadecimal; pictures that look alike differ in a few of them only."
    )
    notes: list[ImageNote] = strawberry.field(
        description="What was done otherwise than one might expect; mostly none."
    )
    placeholder: Placeholder | None = strawberry.field(description="What can be painted at once.")
    variants: list[Variant] = strawberry.field(
        description="What can be seen of it, the smallest first; while PROCESSING, what is ready so far. "
        "A variant that would only repeat another, for the picture is smaller than both, is left out."
    )
    original: Source | None = strawberry.field(description="The source, if it is stored.")
    problem: ImageProblem | None = strawberry.field(description="Why it was rejected, failed or expired.")
    attempts: int = strawberry.field(description="How often a worker took it since it was last queued.")
    timeline: list[StatusChange] = strawberry.field(
        description="When it came to each state, earliest first.",
        metadata={WEIGHT: Weight(items=images.TIMELINE_LENGTH)},
    )
    created_at: datetime = strawberry.field(description="When its upload was asked for.")
    uploaded_at: datetime | None = strawberry.field(description="When its source was found in the store.")
    finished_at: datetime | None = strawberry.field(description="When it came to rest.")
    shared: strawberry.Private[images.Image | None]

    @classmethod
    def from_domain(cls, image: images.Image, *, shared: bool = False) -> Self:
        """The type of `image`; `shared` if the same record is shown to many at once."""
        stored = image.source if image.status is not images.Status.DELETED else None
        return cls(
            id=strawberry.ID(image.id),
            status=ImageStatus[image.status.name],
            version=image.version,
            preset=image.preset,
            filename=image.filename,
            content_type=image.content_type,
            byte_size=image.byte_size,
            sha256=image.sha256,
            metadata=None if image.metadata is None else JSON(image.metadata),
            format=image.format,
            width=image.width,
            height=image.height,
            frame_count=image.frame_count,
            camera=Camera.from_domain(image.camera) if image.camera else None,
            perceptual_hash=image.perceptual_hash,
            notes=[ImageNote.from_domain(note) for note in image.notes],
            placeholder=Placeholder.from_domain(image.placeholder) if image.placeholder else None,
            variants=[Variant.from_domain(variant) for variant in image.variants],
            original=Source(byte_size=stored.byte_size, key=image.source_key) if stored else None,
            problem=ImageProblem.from_domain(image.problem) if image.problem else None,
            attempts=image.attempts,
            timeline=[
                StatusChange(status=ImageStatus[item.status.name], at=item.at) for item in image.timeline
            ],
            created_at=image.created_at,
            uploaded_at=image.uploaded_at,
            finished_at=image.finished_at,
            shared=image if shared else None,
        )


@strawberry.type(description="There is no such image, or it is not the caller's.")
class ImageNotFound(Problem):
    """`jobs.errors.NotFound`."""

    id: strawberry.ID = strawberry.field(description="The id that was asked for.")

    @classmethod
    def from_domain(cls, image_id: str, error: NotFound) -> Self:
        """The type of `error`."""
        return cls(code=ProblemCode[error.code.name], message=error.message, id=strawberry.ID(image_id))


@strawberry.type(description="The image is in a state that does not allow it.")
class ImageConflict(Problem):
    """`jobs.errors.Conflict`."""

    id: strawberry.ID = strawberry.field(description="The id of the image.")

    @classmethod
    def from_domain(cls, image_id: str, error: Conflict) -> Self:
        """The type of `error`."""
        return cls(code=ProblemCode[error.code.name], message=error.message, id=strawberry.ID(image_id))


ImageResult = Annotated[
    Image | ImageNotFound | ImageConflict,
    strawberry.union("ImageResult", description="The image, or why it could not be done."),
]
