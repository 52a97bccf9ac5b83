"""Whatever is asked, of whatever is there, the answer is that of graphql-core's own execution."""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Generator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import strawberry
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from api.auth import Caller
from api.execution import Execution
from api.feed import FeedItem
from api.payloads import CreateUploadResult, FeedEvent, ImageConnection, InvalidFile, Preset, UploadTarget
from api.schema import Schema
from api.types import SCALARS, Image, ImageConflict, ImageNotFound, ImageResult, Node, Problem
from api.uploads import Upload
from jobs import images, presets
from jobs.errors import Conflict, NotFound, ProblemCode, Rejection, Unavailable
from jobs.facts import Camera, Note, NoteCode
from jobs.formats import VariantFormat
from jobs.images import Placeholder, Source, Status, StatusChange, Variant, variant_key
from jobs.ports import ImageOrder, Target
from tests.queries import VARIABLES, random_query
from tests.records import NOON, an_image

QUERIES = 300
TIMES = 5  # that each is asked, of other things
PARTS = 6  # tests that they are dealt to


class Later:
    """Something to wait for, as often as anybody likes."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        return self._value


SPOILS: list[Callable[[Any], Any]] = [
    lambda _: None,
    lambda _: "text",
    lambda _: 2**40,
    lambda _: ValueError("a value that is an error"),
    lambda value: tuple(value) if isinstance(value, list) else [value],
    lambda value: [*value, None] if isinstance(value, list) else {},
    lambda value: deque(value) if isinstance(value, list) else strawberry.UNSET,
    Later,
    lambda _: Later(None),
]


def spoil(rng: random.Random, thing: object) -> None:
    """Put what does not belong there into one attribute of an object, or take it away."""
    name = rng.choice(sorted(vars(thing)))
    value = getattr(thing, name)
    if rng.random() < 0.2:
        delattr(thing, name)
    else:
        setattr(thing, name, rng.choice(SPOILS)(value))


class Addresses:
    """Signs nothing, and not everything."""

    def __init__(self, refused: int = 3) -> None:
        self.asked: list[str] = []
        self._refused = refused

    def download_url(self, key: str, *, expires_in: int) -> str:
        """Where an object would be.

        Raises:
            Unavailable: it is one of those that are refused, a third of all.
        """
        self.asked.append(key)
        if self._refused and sum(key.encode()) % self._refused == 0:
            raise Unavailable("not this one")
        return f"https://store.example/{key}?{expires_in}"

    attachment_url = download_url


def a_record(rng: random.Random) -> images.Image:
    """An image with some of what an image may have."""
    image = an_image(id=f"img_{rng.randrange(10**9)}", status=rng.choice(list(Status)))
    have = {
        "variants": tuple(
            Variant(
                name=f"w{n}",
                key=variant_key(image.id, "f", f"{n}.webp"),
                format=VariantFormat.WEBP,
                content_type="image/webp",
                width=n,
                height=n,
                byte_size=n,
            )
            for n in range(rng.randint(0, 3))
        ),
        "timeline": tuple(StatusChange(status=Status.READY, at=NOON + timedelta(n)) for n in range(2)),
        "metadata": {"a": [1, None]},
        "source": Source(etag="e", byte_size=3),
        "placeholder": Placeholder(thumbhash="a", dominant_color="#000000"),
        "camera": Camera(make="a"),
        "notes": (Note(code=next(iter(NoteCode)), message="a"),),
        "problem": images.Problem(code=ProblemCode.DAMAGED_IMAGE, message="a", retryable=True),
    }
    return image.model_copy(update={name: value for name, value in have.items() if rng.random() < 0.6})


@strawberry.type
class Query:
    """One of everything that is answered with."""

    image: Image | None
    node: Node | None
    problem: Problem | None
    results: list[ImageResult]
    uploads: list[CreateUploadResult] | None
    page: ImageConnection | None
    event: FeedEvent | None
    presets: list[Preset]
    pages: list[list[Image] | None] | None


def everything(seed: int) -> Query:
    """What `seed` says, and anything may be wrong with it."""
    rng = random.Random(seed)  # noqa: S311 - to be repeated
    made: list[Any] = []

    def image() -> Image:
        whole = Image.from_domain(a_record(rng), shared=rng.random() < 0.5)
        made.extend([whole, *whole.variants, *whole.timeline, *whole.notes])
        made.extend(part for part in (whole.placeholder, whole.problem, whole.original) if part)
        return whole

    page = ImageConnection.from_domain(
        [a_record(rng) for _ in range(3)], first=2, order=ImageOrder.NEWEST_FIRST, continued=False
    )
    event = FeedEvent.from_domain(FeedItem("a", a_record(rng)))
    target = UploadTarget.from_domain(Upload(a_record(rng), Target("PUT", "https://a.example", {"a": "b"})))
    refused = InvalidFile.from_domain("a", Rejection(ProblemCode.FILE_TOO_LARGE, "too large"))
    gone = ImageNotFound.from_domain("a", NotFound("gone"))
    conflict = ImageConflict.from_domain("a", Conflict("not now"))
    preset = Preset.from_domain("a", presets.DEFAULT_PRESET)
    made += [
        page,
        event,
        event.image,
        target,
        target.image,
        refused,
        gone,
        preset,
        *preset.variants,
        *page.page,
        *(edge.node for edge in page.page),
    ]
    all_of_it = Query(
        image=image(),
        node=image(),
        problem=rng.choice([refused, gone, conflict, None]),
        results=[image(), gone, conflict],
        uploads=[target, refused],
        page=page,
        event=event,
        presets=[preset],
        pages=[[image()], None],
    )
    for thing in rng.sample([*made, all_of_it], rng.randint(0, 6)):
        spoil(rng, thing)
    return all_of_it


config = StrawberryConfig(scalar_map=SCALARS)
# What is parsed once is executed with what was found out about it before.
caches = [ParserCache, ValidationCache]
ours = Schema(Query, types=[Image], extensions=caches, execution_context_class=Execution, config=config)
stock = Schema(Query, types=[Image], extensions=caches, config=config)
CORE = stock._schema  # noqa: SLF001 - what validation is given


async def answer(
    schema: Schema, query: str, variables: dict[str, Any], root: Query, storage: Addresses
) -> Any:
    """Data and errors, each with its place."""
    services = SimpleNamespace(storage=storage, settings=SimpleNamespace(download_seconds=60))
    context = SimpleNamespace(services=services, caller=Caller("ada"))
    result = await schema.execute(query, variables, context, root)
    errors = [(error.message, error.path) for error in result.errors or []]
    return json.dumps(result.data, default=repr), errors  # as text, fields are in an order


@pytest.mark.parametrize("part", range(PARTS))
async def test_the_answer_is_that_of_graphql_core(part: int) -> None:
    """Values, their order, what is said of errors and where; for who is told of a record later, too."""
    failed = 0
    for seed in range(part, QUERIES, PARTS):
        rng = random.Random(seed)  # noqa: S311 - to be repeated
        query = random_query(rng, CORE)
        variables: dict[str, Any] = {
            name: rng.choice(VARIABLES[name]) for name in VARIABLES if rng.random() < 0.5
        }
        for content in range(seed * TIMES, (seed + 1) * TIMES):
            there = everything(content)
            expected = await answer(stock, query, variables, there, Addresses())
            for _ in range(2):
                found = await answer(ours, query, variables, there, Addresses())
                assert found == expected, (query, variables, content)
            failed += bool(expected[1])
    assert failed > QUERIES * TIMES / PARTS / 20  # a good part of them goes wrong somewhere


async def test_all_who_hear_of_a_change_are_told_what_was_worked_out_once() -> None:
    """Its URLs are signed once; who asks for other things is asked for separately."""
    records = (a_record(random.Random(seed)) for seed in range(100))  # noqa: S311 - to be repeated
    image = next(record for record in records if record.variants)
    storage = Addresses(refused=0)
    for n, fields in enumerate(["variants { url }", "variants { url }", "id variants { url }"]):
        root = everything(0)
        root.event = FeedEvent.from_domain(FeedItem(f"{n}", image))
        told, errors = await answer(ours, f"{{ event {{ cursor image {{ {fields} }} }} }}", {}, root, storage)
        assert (json.loads(told)["event"]["cursor"], errors) == (f"{n}", [])
    assert storage.asked == 2 * [variant.key for variant in image.variants]
