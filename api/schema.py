"""The schema: queries, mutations and subscriptions, each a thin call of a use case."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, get_object_definition
from strawberry.types.arguments import InputContext
from strawberry.utils.str_converters import to_camel_case

from api.context import Info
from api.cost import WEIGHT
from api.documents import Documents
from api.enums import ImageOrder
from api.errors import MaskedErrors
from api.execution import Execution
from api.feed import feed as follow
from api.filters import ImageFilter, given
from api.image_updates import MAX_IDS, image_updates
from api.paging import MAX_PAGE, decode_cursor
from api.payloads import (
    CreateUploadsPayload,
    DeleteImagesPayload,
    FeedEvent,
    ImageConnection,
    InvalidFile,
    Preset,
    UploadTarget,
)
from api.permissions import Requires
from api.stats import WEIGHT_OF_ALL, Stats
from api.types import SCALARS, Image, ImageConflict, ImageNotFound, ImageResult, Node
from api.uploads import FileRequest, Upload, count_answers, create_uploads, is_text
from jobs import ports, requests
from jobs.access import Role
from jobs.errors import Conflict, InvalidInput, NotFound
from jobs.tracing import spanning

MAX_DELETIONS = 100

ImageId = Annotated[strawberry.ID, strawberry.argument(description="The id of the image.")]


@strawberry.input(description="One file that the client wants to upload.")
class FileInput:
    """`api.uploads.FileRequest`."""

    filename: str = strawberry.field(description="Its name, for people; no address is made of it.")
    content_type: str = strawberry.field(description="Its MIME type, such as `image/jpeg`.")
    byte_size: int = strawberry.field(description="Its exact length in bytes.")
    sha256: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its SHA-256 in hexadecimal; any other bytes are then refused.",
    )
    metadata: JSON | None = strawberry.field(
        default=strawberry.UNSET, description="A JSON object to keep with the image."
    )


@strawberry.input(description="The files that a client wants to upload.")
class CreateUploadsInput:
    """What `createUploads` takes."""

    files: list[FileInput] = strawberry.field(description="At least one.")
    preset: str | None = strawberry.field(
        default=strawberry.UNSET, description="What to develop them into; the default preset if left out."
    )
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The same key gives the same images, however often it is sent, and those that still wait "
        "for their uploads all their time again. With other files than before, each is a `CONFLICT`. "
        "An empty key is refused.",
    )


_NAMES = {
    to_camel_case(name): name for kind in (FileInput, CreateUploadsInput) for name in kind.__annotations__
}


def _create_uploads_input(_: type, values: Mapping[str, Any], __: InputContext) -> CreateUploadsInput:
    """What Strawberry makes of checked values, in a tenth of its time: there may be a hundred files."""
    given = {_NAMES[name]: value for name, value in values.items()}
    given["files"] = [
        FileInput(**{_NAMES[name]: value for name, value in file.items()}) for file in values["files"]
    ]
    return CreateUploadsInput(**given)


get_object_definition(CreateUploadsInput, strict=True).from_input = _create_uploads_input


@strawberry.type(description="What can be asked.")
class Query:
    """Reading."""

    @strawberry.field(
        description="Anything with an id; null if there is none that the caller may see.",
        extensions=[Requires(Role.READ)],
    )
    async def node(self, info: Info, id: ImageId) -> Node | None:
        """Relay's way to ask for something again."""
        return await _visible(info, id)

    @strawberry.field(
        description="One image; null if there is none that the caller may see.",
        extensions=[Requires(Role.READ)],
    )
    async def image(self, info: Info, id: ImageId) -> Image | None:
        """One of the caller's images."""
        return await _visible(info, id)

    @strawberry.field(description="The caller's images, a page at a time.", extensions=[Requires(Role.READ)])
    async def images(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description=f"How many; at most {MAX_PAGE}.")] = 20,
        after: Annotated[
            str | None, strawberry.argument(description="Only those behind this cursor.")
        ] = strawberry.UNSET,
        filter: Annotated[
            ImageFilter | None, strawberry.argument(description="Which ones.")
        ] = strawberry.UNSET,
        order_by: Annotated[
            ImageOrder | None,
            strawberry.argument(description="In which order; the newest first if left out."),
        ] = strawberry.UNSET,
    ) -> ImageConnection:
        """A page that stays where it is while images come and go."""
        owner = info.context.owner
        first = 20 if first is None else first
        if not 0 < first <= MAX_PAGE:
            raise InvalidInput(f"`first` is 1 to {MAX_PAGE}.")
        order = ports.ImageOrder[order_by.name] if order_by else ports.ImageOrder.NEWEST_FIRST
        found = await info.context.services.catalog.page(
            owner,
            first=first + 1,
            after=decode_cursor(after, order) if after else None,
            matching=filter.to_domain() if filter else ports.EVERY_IMAGE,
            order=order,
        )
        return ImageConnection.from_domain(found, first=first, order=order, continued=bool(after))

    @strawberry.field(description="What images can be developed into.", extensions=[Requires(Role.READ)])
    def presets(self, info: Info) -> list[Preset]:
        """The configured presets."""
        configured = info.context.services.settings.presets
        return [Preset.from_domain(name, preset) for name, preset in configured.items()]

    @strawberry.field(
        description="How the whole system does, of all owners together.",
        extensions=[Requires(Role.ADMIN)],
        metadata={WEIGHT: WEIGHT_OF_ALL},
    )
    async def stats(self, info: Info) -> Stats:
        """Counts, the queue, and how long stages took."""
        return await Stats.of(info.context.services)


@strawberry.type(description="What can be done.")
class Mutation:
    """Writing."""

    @strawberry.mutation(
        description="Ask for upload targets: each stores one file straight into object storage.",
        extensions=[Requires(Role.UPLOAD)],
    )
    async def create_uploads(
        self,
        info: Info,
        input: Annotated[CreateUploadsInput, strawberry.argument(description="The files.")],
    ) -> CreateUploadsPayload:
        """One result for each file, in order."""
        owner = info.context.owner
        key = given(input.idempotency_key)
        if key is not None and not (key and is_text(key)):
            raise InvalidInput("An idempotency key is Unicode text, and not empty.")
        if not input.files:
            raise InvalidInput("Ask for at least one file.")
        with spanning("createUploads", info.context.trace) as trace:
            answers = await create_uploads(
                [
                    FileRequest(
                        filename=file.filename,
                        content_type=file.content_type,
                        byte_size=file.byte_size,
                        sha256=given(file.sha256),
                        metadata=given(file.metadata),
                    )
                    for file in input.files
                ],
                owner=owner,
                preset=given(input.preset),
                idempotency_key=key,
                services=info.context.services,
                admit=info.context.admit_files,
                trace=trace,
            )
        count_answers(answers)
        return CreateUploadsPayload(
            results=[
                UploadTarget.from_domain(answer)
                if isinstance(answer, Upload)
                else InvalidFile.from_domain(file.filename, answer)
                for file, answer in zip(input.files, answers, strict=True)
            ]
        )

    @strawberry.mutation(
        description="A hint that the upload is over, which spares the wait for the store's own word. "
        "The server asks the store; nothing is lost if it is never sent.",
        extensions=[Requires(Role.UPLOAD)],
    )
    async def complete_upload(self, info: Info, id: ImageId) -> ImageResult:
        """The image as it is after the store was asked."""
        try:
            return Image.from_domain(await requests.complete(id, info.context.owner, info.context.services))
        except NotFound as error:
            return ImageNotFound.from_domain(id, error)

    @strawberry.mutation(
        description="Develop a READY or FAILED image anew; what it has stays visible until that is done.",
        extensions=[Requires(Role.UPLOAD)],
    )
    async def reprocess_image(self, info: Info, id: ImageId) -> ImageResult:
        """The image, queued again."""
        try:
            return Image.from_domain(await requests.reprocess(id, info.context.owner, info.context.services))
        except NotFound as error:
            return ImageNotFound.from_domain(id, error)
        except Conflict as error:
            return ImageConflict.from_domain(id, error)

    @strawberry.mutation(
        description="Remove images, whatever their state; tombstones stay.",
        extensions=[Requires(Role.UPLOAD)],
    )
    async def delete_images(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description=f"Their ids, at most {MAX_DELETIONS}.")
        ],
    ) -> DeleteImagesPayload:
        """One result for each id, in order."""
        owner = info.context.owner
        if len(ids) > MAX_DELETIONS:
            raise InvalidInput(f"At most {MAX_DELETIONS} images can be deleted at once.")
        return DeleteImagesPayload(
            found=list(await asyncio.gather(*(_delete(info, image_id, owner) for image_id in ids)))
        )


@strawberry.type(description="What can be followed.")
class Subscription:
    """Being told."""

    @strawberry.subscription(
        description="Each image's current state first, then its changes; completes when all are at rest.",
        extensions=[Requires(Role.READ)],
    )
    async def image_updates(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], strawberry.argument(description=f"Their ids, at most {MAX_IDS}.")
        ],
    ) -> AsyncGenerator[Image, None]:
        """Never misses a change, and never shows an older state after a newer."""
        context = info.context
        updates = image_updates(ids, owner=context.owner, hub=context.hub, catalog=context.services.catalog)
        async with aclosing(updates):
            async for image in updates:
                shown = Image.from_domain(image, shared=True)
                del image
                yield shown
                vars(shown).clear()  # it was sent; what runs this holds it until there is another

    @strawberry.subscription(
        description="All changes of the caller's images, from a cursor or from now on.",
        extensions=[Requires(Role.READ)],
    )
    async def feed(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="The cursor of the last event that was seen; one that is too old is refused."
            ),
        ] = strawberry.UNSET,
    ) -> AsyncGenerator[FeedEvent, None]:
        """From a cursor on, the latest state of everything that changed since; each state once."""
        context = info.context
        items = follow(after or None, owner=context.owner, hub=context.hub, services=context.services)
        async with aclosing(items):
            async for item in items:
                shown = FeedEvent.from_domain(item)
                del item
                yield shown
                vars(shown).clear()


async def _visible(info: Info, image_id: str) -> Image | None:
    image = await info.context.image(image_id)
    return None if image is None else Image.from_domain(image)


async def _delete(info: Info, image_id: str, owner: str) -> Image | ImageNotFound:
    try:
        return Image.from_domain(await requests.delete(image_id, owner, info.context.services))
    except NotFound as error:
        return ImageNotFound.from_domain(image_id, error)


class Schema(strawberry.Schema):
    """A schema whose errors are logged where they are masked, and only there."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Leave it to `MaskedErrors`."""


schema = Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Image],
    extensions=[MaskedErrors, Documents],
    execution_context_class=Execution,
    config=StrawberryConfig(scalar_map=SCALARS),
)
