"""The types of the schema, made from the domain's."""

from datetime import datetime
from typing import Annotated, NewType, Self

import strawberry
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from api.context import Info
from api.enums import ImageStatus, ProblemCode
from api.feed import FeedItem
from api.paging import encode_cursor
from api.uploads import Upload
from jobs import images, presets
from jobs.errors import Conflict, NotFound, Rejection
from jobs.ports import Position

URL = NewType("URL", str)
SCALARS: dict[object, ScalarDefinition] = {
    URL: strawberry.scalar(
        name="URL",
        description="An absolute URL.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=str,
    )
}

_described = strawberry.field
ExpiresIn = Annotated[
    int | None,
    strawberry.argument(description="For how many seconds the URL works; as configured if left out."),
]


@strawberry.interface(description="Something that can be asked for again by its id.")
class Node:
    """Relay's object identification."""

    id: strawberry.ID = _described(description="An opaque, globally unique id.")


@strawberry.interface(description="Why something is not as the client wished.")
class Problem:
    """A code for programs and a sentence for people."""

    code: ProblemCode = _described(description="The stable code.")
    message: str = _described(description="A sentence that a person understands.")


@strawberry.type(description="Why an image was rejected, failed or expired.")
class ImageProblem(Problem):
    """`jobs.images.Problem`."""

    retryable: bool = _described(description="Whether `reprocessImage` may help.")

    @classmethod
    def from_domain(cls, problem: images.Problem) -> Self:
        """The type of `problem`."""
        return cls(code=ProblemCode[problem.code.name], message=problem.message, retryable=problem.retryable)


@strawberry.type(description="What a page can paint before any variant is loaded.")
class Placeholder:
    """`jobs.images.Placeholder`."""

    thumbhash: str = _described(description="A thumbhash of the picture, in base64.")
    dominant_color: str = _described(description="Its dominant colour as `#rrggbb`.")

    @classmethod
    def from_domain(cls, placeholder: images.Placeholder) -> Self:
        """The type of `placeholder`."""
        return cls(thumbhash=placeholder.thumbhash, dominant_color=placeholder.dominant_color)


@strawberry.type(description="One derived rendition of an image.")
class Variant:
    """`jobs.images.Variant`."""

    name: str = _described(description="Its name in the preset.")
    format: str = _described(description="Its encoding, such as `webp`.")
    width: int = _described(description="In pixels.")
    height: int = _described(description="In pixels.")
    byte_size: int = _described(description="In bytes.")
    key: strawberry.Private[str]

    @strawberry.field(description="Where it can be read.")
    async def url(self, info: Info, expires_in: ExpiresIn = strawberry.UNSET) -> URL:
        """A presigned URL, or one below the configured public base."""
        services = info.context.services
        seconds = _lifetime(expires_in, services.settings.download_seconds)
        return URL(await services.storage.download_url(self.key, expires_in=seconds))

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

    byte_size: int = _described(description="In bytes, as the store says.")
    key: strawberry.Private[str]

    @strawberry.field(
        description="Where they can be saved from: always an attachment, never shown by a browser."
    )
    async def url(self, info: Info, expires_in: ExpiresIn = strawberry.UNSET) -> URL:
        """A presigned URL that fixes how the answer is treated."""
        services = info.context.services
        seconds = _lifetime(expires_in, services.settings.download_seconds)
        return URL(await services.storage.attachment_url(self.key, expires_in=seconds))


def _lifetime(asked: int | None, configured: int) -> int:
    """Seconds that a URL works: as asked, but neither none nor more than a signature can last."""
    if asked is None or asked is strawberry.UNSET:
        return configured
    return min(max(asked, 1), 7 * 86_400)


@strawberry.type(description="When an image came to a state.")
class StatusChange:
    """`jobs.images.StatusChange`."""

    status: ImageStatus = _described(description="The state.")
    at: datetime = _described(description="When it began.")


@strawberry.type(description="One image, from the request to upload it to its variants.")
class Image(Node):
    """`jobs.images.Image`."""

    status: ImageStatus = _described(description="Where it is on its way.")
    version: int = _described(description="Rises by one with every change: drop what does not increase it.")
    preset: str = _described(description="What it is developed into.")
    filename: str = _described(description="As the client named it.")
    content_type: str = _described(description="As the client declared it.")
    byte_size: int = _described(description="As the client declared it.")
    sha256: str | None = _described(description="As the client declared it, in hexadecimal.")
    metadata: JSON | None = _described(description="What the client wished to keep with it.")
    format: str | None = _described(description="What the source really is, such as `jpeg`.")
    width: int | None = _described(description="Of the source as it is seen, in pixels.")
    height: int | None = _described(description="Of the source as it is seen, in pixels.")
    frame_count: int | None = _described(description="How many frames the source has.")
    placeholder: Placeholder | None = _described(description="What can be painted at once.")
    variants: list[Variant] = _described(description="What can be seen of it.")
    original: Source | None = _described(description="The source, if it is stored.")
    problem: ImageProblem | None = _described(description="Why it was rejected, failed or expired.")
    attempts: int = _described(description="How often a worker took it since it was last queued.")
    timeline: list[StatusChange] = _described(description="When it came to each state, earliest first.")
    created_at: datetime = _described(description="When its upload was asked for.")
    uploaded_at: datetime | None = _described(description="When its source was found in the store.")
    finished_at: datetime | None = _described(description="When it came to rest.")

    @classmethod
    def from_domain(cls, image: images.Image) -> Self:
        """The type of `image`."""
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
        )


@strawberry.type(description="There is no such image, or it is not the caller's.")
class ImageNotFound(Problem):
    """`jobs.errors.NotFound`."""

    id: strawberry.ID = _described(description="The id that was asked for.")

    @classmethod
    def from_domain(cls, image_id: str, error: NotFound) -> Self:
        """The type of `error`."""
        return cls(code=ProblemCode[error.code.name], message=error.message, id=strawberry.ID(image_id))


@strawberry.type(description="The image is in a state that does not allow it.")
class ImageConflict(Problem):
    """`jobs.errors.Conflict`."""

    id: strawberry.ID = _described(description="The id of the image.")

    @classmethod
    def from_domain(cls, image_id: str, error: Conflict) -> Self:
        """The type of `error`."""
        return cls(code=ProblemCode[error.code.name], message=error.message, id=strawberry.ID(image_id))


ImageResult = Annotated[
    Image | ImageNotFound | ImageConflict,
    strawberry.union("ImageResult", description="The image, or why it could not be done."),
]


@strawberry.type(description="A name and a value to send along.")
class Header:
    """One header of an HTTP request, or one field of a form."""

    name: str = _described(description="Its name.")
    value: str = _described(description="Its value.")


@strawberry.type(description="The one request that stores one file once.")
class UploadTarget:
    """`api.uploads.Upload`."""

    image: Image = _described(description="The image that the file will become.")
    method: str = _described(description="The HTTP method.")
    url: URL = _described(description="Where the bytes go: straight to object storage.")
    headers: list[Header] = _described(description="Headers to send exactly as they are; they are signed.")
    fields: list[Header] = _described(description="Fields of a form, before the file; none for a PUT.")
    expires_at: datetime = _described(description="When the store stops taking it.")
    curl: str = _described(description="The same as a command for a shell, run where the file lies.")

    @classmethod
    def from_domain(cls, upload: Upload) -> Self:
        """The type of `upload`."""
        return cls(
            image=Image.from_domain(upload.image),
            method=upload.target.method,
            url=URL(upload.target.url),
            headers=[Header(name=name, value=value) for name, value in upload.target.headers.items()],
            fields=[],
            expires_at=upload.image.expires_at,
            curl=upload.curl,
        )


@strawberry.type(description="A file that will not be taken.")
class InvalidFile(Problem):
    """`jobs.errors.Rejection` of a file that was only asked for."""

    filename: str = _described(description="The filename that was asked for.")

    @classmethod
    def from_domain(cls, filename: str, rejection: Rejection) -> Self:
        """The type of `rejection`."""
        return cls(code=ProblemCode[rejection.code.name], message=rejection.message, filename=filename)


CreateUploadResult = Annotated[
    UploadTarget | InvalidFile,
    strawberry.union("CreateUploadResult", description="Where to send a file, or why it is not taken."),
]


@strawberry.type(description="What became of a request for upload targets.")
class CreateUploadsPayload:
    """One result for each file."""

    results: list[CreateUploadResult] = _described(description="In the order of the input's files.")


@strawberry.type(description="What became of a request to delete.")
class DeleteImagesPayload:
    """One result for each id."""

    results: list[ImageResult] = _described(description="In the order of the ids: tombstones, or why not.")


@strawberry.type(description="A change of one of the caller's images.")
class FeedEvent:
    """`api.feed.FeedItem`."""

    cursor: str = _described(description="Give it to `feed(after:)` to go on from here.")
    image: Image = _described(description="The image as it is now.")

    @classmethod
    def from_domain(cls, item: FeedItem) -> Self:
        """The type of `item`."""
        return cls(cursor=item.cursor, image=Image.from_domain(item.image))


@strawberry.type(description="A named list of variants that images are developed into.")
class Preset:
    """`jobs.presets.Preset`."""

    name: str = _described(description="Its name, for `createUploads`.")
    variants: list["PresetVariant"] = _described(description="What it makes, the smallest first.")

    @classmethod
    def from_domain(cls, name: str, preset: presets.Preset) -> Self:
        """The type of `preset`."""
        return cls(
            name=name,
            variants=[
                PresetVariant(
                    name=spec.name, format=spec.format.value, width=spec.width, quality=spec.quality
                )
                for spec in preset.variants
            ],
        )


@strawberry.type(description="One rendition that a preset makes.")
class PresetVariant:
    """`jobs.presets.VariantSpec`."""

    name: str = _described(description="Its name.")
    format: str = _described(description="Its encoding.")
    width: int = _described(description="Its greatest width in pixels; no image is enlarged.")
    quality: int = _described(description="The encoder's quality, 1 to 100.")


@strawberry.type(description="Where a page of a list lies.")
class PageInfo:
    """Relay's page info."""

    has_next_page: bool = _described(description="Whether there is more behind this page.")
    has_previous_page: bool = _described(description="Whether the page began behind a cursor.")
    start_cursor: str | None = _described(description="The cursor of the first image.")
    end_cursor: str | None = _described(description="The cursor of the last image.")


@strawberry.type(description="An image in a list.")
class ImageEdge:
    """Relay's edge."""

    cursor: str = _described(description="Its place in the list.")
    node: Image = _described(description="The image.")


@strawberry.type(description="A page of a list of images.")
class ImageConnection:
    """Relay's connection."""

    edges: list[ImageEdge] = _described(description="The images with their cursors.")
    nodes: list[Image] = _described(description="The images alone.")
    page_info: PageInfo = _described(description="Where the page lies.")

    @classmethod
    def from_domain(cls, found: list[images.Image], *, first: int, continued: bool) -> Self:
        """A page of `first` images out of `found`, which has one more if there is a next page."""
        edges = [
            ImageEdge(
                cursor=encode_cursor(Position(image.created_at, image.id)), node=Image.from_domain(image)
            )
            for image in found[:first]
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo(
                has_next_page=len(found) > first,
                has_previous_page=continued,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )
