"""Who may do what: every field of the schema, for every role, on one's own image and on somebody else's."""

import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import websockets

from api.feed_cursor import FeedCursor
from api.owner_watch import OwnerWatch
from api.permissions import Requires
from api.schema import schema
from api.uploads import FileRequest, Upload, create_uploads
from jobs.access import Role
from jobs.bucket import prepare_bucket
from jobs.clock import now
from jobs.embedded import Embedded
from jobs.formats import VariantFormat
from jobs.images import Source, Status, Variant, variant_key
from tests.conftest import settings_for
from tests.memory import admit_all
from tests.records import an_image
from tests.system import System, running_system
from tests.test_api import connect
from tests.tokens import SECRET, claims, signed

READ, UPLOAD, ADMIN = Role.READ, Role.UPLOAD, Role.ADMIN

# The rule of each field, and how to ask for it. The answer tells an image's id only if it is about it.
_IMAGE = "id variants { url } original { url }"
_RESULT = f"{{ __typename ... on Image {{ {_IMAGE} }} ... on Problem {{ code }} }}"
_TARGETS = "{ results { ... on UploadTarget { image { id } url } } }"
FIELDS: dict[str, tuple[Role, str]] = {
    "node": (READ, f"query ($id: ID!) {{ node(id: $id) {{ ... on Image {{ {_IMAGE} }} }} }}"),
    "image": (READ, f"query ($id: ID!) {{ image(id: $id) {{ {_IMAGE} }} }}"),
    "images": (READ, f"{{ images {{ nodes {{ {_IMAGE} }} }} }}"),
    "presets": (READ, "{ presets { name } }"),
    "stats": (ADMIN, "{ stats { counts { status } } }"),
    "createUploads": (
        UPLOAD,
        f"mutation ($input: CreateUploadsInput!) {{ createUploads(input: $input) {_TARGETS} }}",
    ),
    "completeUpload": (UPLOAD, f"mutation ($id: ID!) {{ completeUpload(id: $id) {_RESULT} }}"),
    "reprocessImage": (UPLOAD, f"mutation ($id: ID!) {{ reprocessImage(id: $id) {_RESULT} }}"),
    "deleteImages": (UPLOAD, f"mutation ($id: ID!) {{ deleteImages(ids: [$id]) {{ results {_RESULT} }} }}"),
    "imageUpdates": (READ, f"subscription ($id: ID!) {{ imageUpdates(ids: [$id]) {{ {_IMAGE} }} }}"),
    "feed": (READ, f"subscription ($after: String) {{ feed(after: $after) {{ image {{ {_IMAGE} }} }} }}"),
}
ABOUT_NO_IMAGE = {"presets": "default", "stats": "PENDING"}  # with what they tell whoever may ask
CHANGING = {"createUploads", "reprocessImage", "deleteImages"}  # the first gives it time again
# What each caller may do; the last two are known and have no role, and not known at all.
MAY: dict[str, set[Role]] = {
    "admin": {READ, UPLOAD, ADMIN},
    "upload": {READ, UPLOAD},
    "read": {READ},
    "none": set(),
    "stranger": set(),
}
FILE = FileRequest(filename="photo.jpg", content_type="image/jpeg", byte_size=1_000)


def fields_of_the_schema() -> dict[str, list[Role]]:
    """Each field of Query, Mutation and Subscription with the roles that it states."""
    core = schema._schema  # noqa: SLF001 - Strawberry has no public way
    roots = (core.query_type, core.mutation_type, core.subscription_type)
    return {
        name: [
            extension.role
            for extension in field.extensions["strawberry-definition"].extensions
            if isinstance(extension, Requires)
        ]
        for root in roots
        if root is not None
        for name, field in root.fields.items()
    }


def test_every_field_states_one_role() -> None:
    """The one that is written down here; a new field without a rule fails this test."""
    assert fields_of_the_schema() == {name: [role] for name, (role, _) in FIELDS.items()}


@pytest.fixture(scope="module")
async def system(embedded: Embedded) -> AsyncIterator[System]:
    """An API that takes tokens, for all tests of this file."""
    settings = settings_for(embedded, f"test-{secrets.token_hex(6)}", auth="jwt", jwt_secret=SECRET)
    await prepare_bucket(settings, events_queue=settings.namespace)
    async with running_system(settings, worker=False, events=False) as running:
        yield running


@pytest.mark.parametrize(
    ("transport", "field"),
    [
        *[("http", field) for field, (_, query) in FIELDS.items() if not query.startswith("subscription")],
        *[("websocket", field) for field in FIELDS],
    ],
)
@pytest.mark.parametrize("owner", ["own", "another's"])
@pytest.mark.parametrize("who", MAY)
async def test_who_may_do_what(transport: str, who: str, owner: str, field: str, system: System) -> None:
    """With too small a role it is refused; another's image is as if it were not there, whatever the role."""
    caller = f"caller-{secrets.token_hex(6)}"
    place = await OwnerWatch(caller, system.services).begin()
    image_id = await an_image_of(caller if owner == "own" else f"other-{caller}", field, system)
    before = await system.services.catalog.get(image_id)
    # In the feed of the caller, where a change of another's would stand in front of it.
    await system.services.catalog.add([an_image(owner=caller, changed_at=now() + timedelta(seconds=1))])

    token = None if who == "stranger" else signed(claims(sub=caller, roles=[who]))
    file = {"filename": FILE.filename, "contentType": FILE.content_type, "byteSize": FILE.byte_size}
    variables = {
        "id": image_id,
        "after": place.encode(),
        "input": {"files": [file], "idempotencyKey": "the same"},
    }
    ask = over_http if transport == "http" else over_websocket
    role, query = FIELDS[field]
    answer = await ask(system, token, query, variables)

    expected = expectation(who, owner, field, role, transport)
    told = ABOUT_NO_IMAGE.get(field, image_id)
    assert outcome(answer, told) == expected
    signs = "X-Amz-Signature" in json.dumps(answer)
    assert signs == (
        (expected == "told" and field not in {*ABOUT_NO_IMAGE, "deleteImages"})
        or (expected == "not told" and field == "createUploads")  # for an image of the caller's own
    )
    after = await system.services.catalog.get(image_id)
    assert (after != before) == (expected == "told" and field in CHANGING)


@pytest.mark.parametrize("field", ["imageUpdates", "feed"])
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream", "multipart/mixed;subscriptionSpec=1.0"])
async def test_nothing_is_followed_over_http(field: str, accept: str, system: System) -> None:
    """Such a stream would not end with the token; a websocket does."""
    image_id = await an_image_of("ada", field, system)
    after = FeedCursor(1).encode()
    answer = await system.http.post(
        f"{system.url}/graphql",
        json={"query": FIELDS[field][1], "variables": {"id": image_id, "after": after}},
        headers={"Authorization": f"Bearer {signed(claims())}", "Accept": accept},
    )
    assert not answer.is_success or "errors" in answer.json()
    assert image_id not in answer.text


async def an_image_of(owner: str, field: str, system: System) -> str:
    """An image with a variant and a source; or, to create it again, one that waits for its upload."""
    if field == "createUploads":
        (upload,) = await create_uploads(
            [FILE],
            owner=owner,
            preset=None,
            idempotency_key="the same",
            services=system.services,
            admit=admit_all,
        )
        assert isinstance(upload, Upload)
        return upload.image.id
    image = an_image(
        owner=owner, status=Status.READY, changed_at=now(), source=Source(etag="e", byte_size=1_000)
    )
    variant = Variant(
        name="w320",
        key=variant_key(image.id, "fence", "w320.webp"),
        format=VariantFormat.WEBP,
        content_type="image/webp",
        width=320,
        height=200,
        byte_size=9,
    )
    image = image.model_copy(update={"variants": (variant,)})
    await system.services.catalog.add([image])
    return image.id


def expectation(who: str, owner: str, field: str, role: Role, transport: str) -> str:
    """What the table says."""
    if who == "stranger":
        return "refused with 4403" if transport == "websocket" else "UNAUTHENTICATED"
    if role not in MAY[who]:
        return "FORBIDDEN"
    if owner == "own" or field in ABOUT_NO_IMAGE:
        return "told"
    return "NOT_FOUND" if field == "imageUpdates" else "not told"


def outcome(answer: dict[str, Any] | int, told: str) -> str:
    """What an answer comes down to."""
    if isinstance(answer, int):
        return f"refused with {answer}"
    if "errors" in answer:
        (error,) = answer["errors"]
        assert not [value for value in (answer["data"] or {}).values() if value is not None]
        return str(error["extensions"]["code"])
    return "told" if told in json.dumps(answer["data"]) else "not told"


async def over_http(
    system: System, token: str | None, query: str, variables: dict[str, Any]
) -> dict[str, Any]:
    """The answer to a request."""
    answer = await system.http.post(
        f"{system.url}/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    payload: dict[str, Any] = answer.json()
    return payload


async def over_websocket(
    system: System, token: str | None, query: str, variables: dict[str, Any]
) -> dict[str, Any] | int:
    """The first answer to an operation, or the code with which the socket is closed."""
    async with connect(system) as socket:
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        try:
            await socket.recv()
        except websockets.ConnectionClosed:
            return int(socket.close_code)
        operation = {"query": query, "variables": variables}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": operation}))
        message = json.loads(await socket.recv())
        answer: dict[str, Any] = (
            message["payload"] if message["type"] == "next" else {"errors": message["payload"], "data": None}
        )
        return answer
