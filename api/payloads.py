"""What fields of the schema answer with: upload targets, lists, feed events, presets."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Self

import strawberry

from api.enums import ProblemCode
from api.execution import PLAIN_FUNCTION
from api.paging import encode_cursor
from api.turns import in_turns
from api.types import URL, Image, ImageResult, Problem
from api.uploads import Upload
from api.watchers import FeedItem
from jobs import images, presets
from jobs.errors import LimitExceeded, Rejection
from jobs.ports import ImageOrder


@strawberry.type(description="A name and a value to send along.")
class Header:
    """One header of an HTTP request, or one field of a form."""

    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(description="The one request that stores one file once.")
class UploadTarget:
    """`api.uploads.Upload`."""

    image: Image = strawberry.field(description="The image that the file will become.")
    method: str = strawberry.field(description="The HTTP method.")
    url: URL = strawberry.field(description="Where the bytes go: straight to object storage.")
    headers: list[Header] = strawberry.field(
        description="Headers to send exactly as they are; they are signed."
    )
    fields: list[Header] = strawberry.field(description="Fields of a form, before the file; none for a PUT.")
    expires_at: datetime = strawberry.field(description="When the store stops taking it.")
    upload: strawberry.Private[Upload]

    @strawberry.field(
        description="The same as a command for a shell, run where the file lies.",
        metadata={PLAIN_FUNCTION: lambda target, _: target.upload.curl},
    )
    def curl(self) -> str:
        """Quoted for a POSIX shell, when somebody asks for it."""
        return self.upload.curl

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
            upload=upload,
        )


@strawberry.type(description="A file that will not be taken.")
class InvalidFile(Problem):
    """`jobs.errors.Rejection` or `LimitExceeded` of a file that was only asked for."""

    filename: str = strawberry.field(description="The filename that was asked for.")
    retry_after: int | None = strawberry.field(
        description="In how many seconds it may be taken, if more was asked for than is allowed at once; "
        "null if asking again does not help."
    )

    @classmethod
    def from_domain(cls, filename: str, refusal: Rejection | LimitExceeded) -> Self:
        """The type of `refusal`."""
        return cls(
            code=ProblemCode[refusal.code.name],
            message=refusal.message,
            filename=filename,
            retry_after=refusal.retry_after if isinstance(refusal, LimitExceeded) else None,
        )


CreateUploadResult = Annotated[
    UploadTarget | InvalidFile,
    strawberry.union("CreateUploadResult", description="Where to send a file, or why it is not taken."),
]


@strawberry.type(description="What became of a request for upload targets.")
class CreateUploadsPayload:
    """One result for each file."""

    results: list[CreateUploadResult] = strawberry.field(description="In the order of the input's files.")


@strawberry.type(description="What became of a request to delete.")
class DeleteImagesPayload:
    """One result for each id."""

    found: strawberry.Private[list[ImageResult]]

    @strawberry.field(
        description="In the order of the ids: tombstones, or why not.", graphql_type=list[ImageResult]
    )
    def results(self) -> AsyncIterator[ImageResult]:
        """In turns with what others ask."""
        return in_turns(self.found)


@strawberry.type(description="A change of one of the caller's images.")
class FeedEvent:
    """`api.watchers.FeedItem`."""

    cursor: str = strawberry.field(description="Give it to `feed(after:)` to go on from here.")
    image: Image = strawberry.field(description="The image as it is now.")

    @classmethod
    def from_domain(cls, item: FeedItem) -> Self:
        """The type of `item`."""
        return cls(cursor=item.cursor, image=Image.from_domain(item.image, shared=True))


@strawberry.type(description="A named list of variants that images are developed into.")
class Preset:
    """`jobs.presets.Preset`."""

    name: str = strawberry.field(description="Its name, for `createUploads`.")
    variants: list["PresetVariant"] = strawberry.field(description="What it makes, the smallest first.")

    @classmethod
    def from_domain(cls, name: str, preset: presets.Preset) -> Self:
        """The type of `preset`."""
        return cls(
            name=name,
            variants=[
                PresetVariant.from_domain(spec)
                for spec in sorted(preset.variants, key=lambda spec: (spec.width or 0, spec.height or 0))
            ],
        )


@strawberry.type(description="One rendition that a preset makes.")
class PresetVariant:
    """`jobs.presets.VariantSpec`."""

    name: str = strawberry.field(description="Its name.")
    formats: list[str] = strawberry.field(
        description="Its encodings; `auto` is JPEG, or PNG for a picture that can be seen through."
    )
    width: int | None = strawberry.field(description="In pixels, at most; no image is enlarged.")
    height: int | None = strawberry.field(description="In pixels, at most; no image is enlarged.")
    fit: str = strawberry.field(
        description="`inside` these, to `cover` them and be cut, or to be `contained` in a canvas of them."
    )
    quality: int | None = strawberry.field(description="The encoder's quality, 1 to 100, if it was chosen.")

    @classmethod
    def from_domain(cls, spec: presets.VariantSpec) -> Self:
        """The type of `spec`."""
        return cls(
            name=spec.name,
            formats=[format_.value for format_ in spec.formats],
            width=spec.width,
            height=spec.height,
            fit=spec.fit.value,
            quality=spec.quality,
        )


@strawberry.type(description="Where a page of a list lies.")
class PageInfo:
    """Relay's page info."""

    has_next_page: bool = strawberry.field(description="Whether there is more behind this page.")
    has_previous_page: bool = strawberry.field(
        description="Whether it began behind a cursor: that one's image, at least, came before."
    )
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first image; null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last image, to go on from; null on an empty page."
    )


@strawberry.type(description="An image in a list.")
class ImageEdge:
    """Relay's edge."""

    cursor: str = strawberry.field(description="Its place in the list.")
    node: Image = strawberry.field(description="The image.")


@strawberry.type(description="A page of a list of images.")
class ImageConnection:
    """Relay's connection."""

    page: strawberry.Private[list[ImageEdge]]

    @strawberry.field(description="The images with their cursors.", graphql_type=list[ImageEdge])
    def edges(self) -> AsyncIterator[ImageEdge]:
        """In turns with what others ask."""
        return in_turns(self.page)

    @strawberry.field(description="The images alone.", graphql_type=list[Image])
    def nodes(self) -> AsyncIterator[Image]:
        """Likewise."""
        return in_turns(edge.node for edge in self.page)

    page_info: PageInfo = strawberry.field(description="Where the page lies.")

    @classmethod
    def from_domain(
        cls, found: list[images.Image], *, first: int, order: ImageOrder, continued: bool
    ) -> Self:
        """A page of `first` images out of `found`, which has one more if there is a next page."""
        edges = [
            ImageEdge(cursor=encode_cursor(place, order), node=Image.from_domain(image))
            for image in found[:first]
            if (place := order.position(image))  # all of them have one: else they were not found
        ]
        return cls(
            page=edges,
            page_info=PageInfo(
                has_next_page=len(found) > first,
                has_previous_page=continued,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )
