"""The API as clients meet it: expected failures are data, faults are masked, strangers see nothing."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import websockets
from pydantic import SecretStr
from structlog.testing import capture_logs

from api.client import ApiError, Client
from jobs.clock import now
from jobs.images import Lease, Move, Status
from jobs.ports import Services
from jobs.settings import Settings
from tests.records import NOON, an_image
from tests.system import System, running_system, serving
from tests.test_system import COMPLETE, CREATE, IMAGE, a_photo, create

TRANSPORT_WS = websockets.Subprotocol("graphql-transport-ws")


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """The API alone: nobody works and nobody tells."""
    async with running_system(settings, worker=False, events=False) as running:
        yield running


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of top-level errors."""
    return [error["extensions"]["code"] for error in answer["errors"]]


async def results(system: System, *files: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """What `createUploads` says of these files."""
    whole = [{"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": 3} | file for file in files]
    answer = await system.execute(CREATE, input={"files": whole, **fields})
    assert "errors" not in answer, answer
    found: list[dict[str, Any]] = answer["data"]["createUploads"]["results"]
    return found


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ({"byteSize": 0}, "EMPTY_FILE"),
        ({"byteSize": -1}, "EMPTY_FILE"),
        ({"byteSize": 2**31 - 1}, "FILE_TOO_LARGE"),
        ({"contentType": "image/svg+xml"}, "UNSUPPORTED_TYPE"),
        ({"contentType": "text/html"}, "UNSUPPORTED_TYPE"),
        ({"contentType": ""}, "UNSUPPORTED_TYPE"),
        ({"filename": ""}, "INVALID_FILENAME"),
        ({"filename": "x" * 256}, "INVALID_FILENAME"),
        ({"filename": "a\r\nX-Header: b"}, "INVALID_FILENAME"),
        ({"sha256": "abc"}, "INVALID_CHECKSUM"),
        ({"sha256": "g" * 64}, "INVALID_CHECKSUM"),
        ({"metadata": [1]}, "INVALID_METADATA"),
        ({"metadata": "text"}, "INVALID_METADATA"),
        ({"metadata": {"x": "y" * 5_000}}, "INVALID_METADATA"),
        ({"metadata": {"x": float("inf")}}, "INVALID_METADATA"),
        ({"metadata": {"x": [float("nan")]}}, "INVALID_METADATA"),
        ({"metadata": json.loads('{"x":' * 100 + "1" + "}" * 100)}, "INVALID_METADATA"),
        ({"filename": "\ud800.jpg"}, "INVALID_FILENAME"),
        ({"sha256": ""}, "INVALID_CHECKSUM"),
    ],
)
async def test_a_file_that_cannot_be_taken_is_told_so(
    system: System, file: dict[str, Any], code: str
) -> None:
    """As data, beside the targets of the files that can."""
    good, bad = await results(system, {}, file)
    assert good["__typename"] == "UploadTarget"
    assert (bad["__typename"], bad["code"]) == ("InvalidFile", code)
    assert bad["message"]


async def test_an_unknown_preset_is_told_with_those_that_are_known(system: System) -> None:
    """So that a developer sees the slip."""
    (result,) = await results(system, {}, preset="avatar")
    assert result["code"] == "UNKNOWN_PRESET"
    assert "default" in result["message"]


async def test_what_is_kept_is_what_was_declared(system: System) -> None:
    """Metadata, checksum and name come back as they were sent."""
    sent = {"filename": "Ünï 😀 .jpg", "sha256": "AB" * 32, "metadata": {"album": 7, "tags": ["a", None]}}
    (target,) = await results(system, sent)
    query = "query ($id: ID!) { image(id: $id) { filename sha256 metadata preset } }"
    image = (await system.execute(query, id=target["image"]["id"]))["data"]["image"]
    assert image == sent | {"sha256": "ab" * 32, "preset": "default"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"$ref": "a", "$id": 1},
        {"deep": {"$ref": "a", "$id": 1}, "$oid": "0" * 24},
        {"a\0b": "\ud800", "": 2**70, "x.y": 1.5, "$set": {"status": "READY"}},
        {"list": [[], {}, [[["deep"]]], None, True]},
    ],
)
async def test_metadata_can_be_any_json(system: System, metadata: dict[str, Any]) -> None:
    """Whatever the database might take it for, it comes back as it was sent."""
    (target,) = await results(system, {"metadata": metadata})
    query = "query ($id: ID!) { image(id: $id) { metadata } }"
    answer = await system.execute(query, id=target["image"]["id"])
    assert answer == {"data": {"image": {"metadata": metadata}}}


async def test_no_address_is_made_of_what_a_user_typed(system: System) -> None:
    """The key of an object carries an id and nothing else."""
    (target,) = await results(system, {"filename": "my-secret-holiday.jpg"})
    assert "holiday" not in target["url"]


async def test_more_files_than_allowed_are_told_so(settings: Settings) -> None:
    """The first ones get their targets."""
    few = settings.model_copy(update={"max_upload_files": 2})
    async with running_system(few, worker=False, events=False) as system:
        kinds = [result.get("code") for result in await results(system, {}, {}, {})]
    assert kinds == [None, None, "TOO_MANY_FILES"]


async def test_the_same_idempotency_key_gives_the_same_images(system: System) -> None:
    """However often it is sent; with other files it is a conflict, and never a second image."""
    files = [{"filename": "a.jpg"}, {"filename": "b.jpg"}]
    first = await results(system, *files, idempotencyKey="holiday")
    again = await results(system, *files, idempotencyKey="holiday")
    assert [item["image"]["id"] for item in first] == [item["image"]["id"] for item in again]
    other = await results(system, {"filename": "other.jpg"}, idempotencyKey="holiday")
    assert other[0]["code"] == "CONFLICT"
    for asked in (
        files[:1],
        [*files, {"filename": "c.jpg"}],
        files[::-1],
        [files[0], {"filename": "b.jpg", "byteSize": 1}],
    ):
        assert {item["code"] for item in await results(system, *asked, idempotencyKey="holiday")} == {
            "CONFLICT"
        }
    assert len(await system.services.catalog.page("local", first=10)) == 2


async def test_an_idempotency_key_gives_a_pending_image_all_its_time_again(system: System) -> None:
    """A client that comes back late can still send its bytes; one that was told the answer need not."""
    (first,) = await results(system, {}, idempotencyKey="slow")
    image_id = first["image"]["id"]
    late = now() - timedelta(minutes=14)
    catalog = system.services.catalog
    assert await catalog.move(image_id, Move.RETARGET, at=late, values={"expires_at": late, "due_at": late})
    (again,) = await results(system, {}, idempotencyKey="slow")
    after = await catalog.get(image_id)
    assert after is not None
    assert int(parse_qs(again["url"])["X-Amz-Expires"][0]) > 600
    assert after.expires_at > now() + timedelta(minutes=10)
    assert (after.status, after.version) == (Status.PENDING, 3)
    assert len(after.timeline) == 1


async def test_a_key_is_good_for_its_images_whatever_key_the_store_has(
    services: Services, system: System
) -> None:
    """Between a request and its repetition, S3's secret may be changed."""
    (first,) = await results(system, {}, idempotencyKey="rotated")
    rotated = services.settings.model_copy(update={"s3_secret_key": SecretStr("another")})
    async with serving(replace(services, settings=rotated)) as url:
        (again,) = await results(replace(system, url=url), {}, idempotencyKey="rotated")
    assert again["image"]["id"] == first["image"]["id"]


async def test_a_key_of_a_finished_image_gives_no_target_that_is_good(system: System) -> None:
    """What would be stored with it after its time, nobody would ever look for."""
    (first,) = await results(system, {}, idempotencyKey="done")
    late = now() - timedelta(minutes=14)
    catalog, image_id = system.services.catalog, first["image"]["id"]
    assert await catalog.move(image_id, Move.ARRIVE, at=late, values={"expires_at": late})
    assert await catalog.move(image_id, Move.REJECT, at=late)
    (again,) = await results(system, {}, idempotencyKey="done")
    assert (again["image"]["id"], again["image"]["status"]) == (image_id, "REJECTED")
    headers = {header["name"]: header["value"] for header in again["headers"]}
    assert (await system.http.put(again["url"], content=b"abc", headers=headers)).status_code == 403


@pytest.mark.parametrize("key", ["", "\ud800", "\0"])
async def test_a_key_that_is_none_is_refused(system: System, key: str) -> None:
    """It would not keep what it seems to promise."""
    files = [{"filename": "a.jpg", "contentType": "image/jpeg", "byteSize": 1}]
    answer = await system.execute(CREATE, input={"files": files, "idempotencyKey": key})
    assert codes(answer) == ["INVALID_INPUT"]


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.DELETED])
async def test_a_key_of_a_dead_image_gives_no_target(system: System, status: Status) -> None:
    """Whatever was uploaded with one would be lost."""
    (first,) = await results(system, {}, idempotencyKey="again")
    move = Move.EXPIRE if status is Status.EXPIRED else Move.DELETE
    await system.services.catalog.move(first["image"]["id"], move, at=now())
    (again,) = await results(system, {}, idempotencyKey="again")
    assert again["code"] == "CONFLICT"
    assert status in again["message"]


async def test_a_request_for_no_file_is_refused(system: System) -> None:
    """With a code that a program can read."""
    assert codes(await system.execute(CREATE, input={"files": []})) == ["INVALID_INPUT"]


@pytest.mark.parametrize("image_id", ["img_unknown", "", "'; drop", "\ud800", "a\0", "img_" + "0" * 32])
async def test_an_unknown_id_is_null_or_not_found(system: System, image_id: str) -> None:
    """Reading gives null; doing gives `ImageNotFound`; following an error with its code."""
    assert (await system.execute(IMAGE, id=image_id))["data"] == {"image": None}
    node = await system.execute("query ($id: ID!) { node(id: $id) { id } }", id=image_id)
    assert node["data"] == {"node": None}
    for name in ("completeUpload", "reprocessImage"):
        query = f"mutation ($id: ID!) {{ {name}(id: $id) {{ __typename ... on Problem {{ code }} }} }}"
        answer = (await system.execute(query, id=image_id))["data"][name]
        assert answer == {"__typename": "ImageNotFound", "code": "NOT_FOUND"}
    with pytest.raises(ApiError, match="no such image"):
        await anext(system.client.updates([image_id]))


async def test_a_page_that_gave_itself_our_address_is_refused(system: System) -> None:
    """Where nobody has to say who he is, the name under which we are asked is looked at."""
    answer = await system.http.post(
        f"{system.url}/graphql", json={"query": "{ __typename }"}, headers={"Host": "evil.example"}
    )
    assert answer.status_code == 400


async def test_an_image_that_is_under_way_cannot_be_reprocessed(system: System) -> None:
    """A conflict, as data."""
    target = await create(system, a_photo())
    query = "mutation ($id: ID!) { reprocessImage(id: $id) { __typename ... on Problem { code message } } }"
    answer = (await system.execute(query, id=target["image"]["id"]))["data"]["reprocessImage"]
    assert (answer["__typename"], answer["code"]) == ("ImageConflict", "CONFLICT")
    assert "PENDING" in answer["message"]


async def test_a_hint_that_is_not_true_changes_nothing(system: System) -> None:
    """The client said so; the store did not."""
    target = await create(system, a_photo())
    answer = await system.execute(COMPLETE, id=target["image"]["id"])
    assert answer["data"]["completeUpload"] == {"__typename": "Image", "status": "PENDING"}


async def test_a_list_keeps_the_order_in_which_files_were_asked_for(system: System) -> None:
    """So that a gallery looks the same after each reload."""
    answers = await results(system, *({"filename": f"{number}.jpg"} for number in range(10)))
    listed = (await system.execute("{ images { nodes { id } } }"))["data"]["images"]["nodes"]
    assert [node["id"] for node in listed] == [answer["image"]["id"] for answer in reversed(answers)]


async def test_images_are_listed_a_page_at_a_time(system: System) -> None:
    """The newest first, or as asked; none twice, none left out."""
    owned = [an_image(owner="local", created_at=NOON.replace(minute=n)) for n in range(5)]
    done = an_image(owner="local", status=Status.READY, created_at=NOON.replace(minute=9))
    await system.services.catalog.add([*owned, done, an_image(owner="somebody-else")])
    query = """
    query ($after: String, $filter: ImageFilter, $order: ImageOrder) {
      images(first: 4, after: $after, filter: $filter, orderBy: $order) {
        nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor }
      }
    }
    """

    async def page(**variables: Any) -> dict[str, Any]:
        found: dict[str, Any] = (await system.execute(query, **variables))["data"]["images"]
        return found

    first = await page()
    second = await page(after=first["pageInfo"]["endCursor"])
    assert [node["id"] for node in first["nodes"] + second["nodes"]] == [
        image.id for image in [done, *owned[::-1]]
    ]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert (first["pageInfo"]["hasPreviousPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert first["edges"][-1]["cursor"] == first["pageInfo"]["endCursor"]
    assert (await page(order="OLDEST_FIRST"))["nodes"][0]["id"] == owned[0].id
    assert [node["id"] for node in (await page(filter={"status": ["READY"]}))["nodes"]] == [done.id]
    assert (await page(filter={"status": []}))["nodes"] == []
    assert len((await page(filter={"status": None}))["nodes"]) == len((await page())["nodes"])


@pytest.mark.parametrize("arguments", ["first: 0", "first: 101", "first: -1", 'after: "nonsense"'])
async def test_a_page_that_cannot_be_is_refused(system: System, arguments: str) -> None:
    """With a code, not with everything."""
    assert codes(await system.execute(f"{{ images({arguments}) {{ nodes {{ id }} }} }}")) == ["INVALID_INPUT"]


async def test_presets_are_told(system: System) -> None:
    """So that a form can offer them."""
    query = "{ presets { name variants { name formats width height fit quality } } }"
    (preset,) = (await system.execute(query))["data"]["presets"]
    assert preset["name"] == "default"
    assert [variant["width"] for variant in preset["variants"]] == [320, 640, 1280, 1920]
    assert preset["variants"][0] == {
        "name": "w320", "formats": ["webp"], "width": 320, "height": None, "fit": "inside", "quality": None,
    }  # fmt: skip


async def test_a_fault_is_masked_and_has_an_id(settings: Settings) -> None:
    """The client learns nothing of our insides; the log has the same id."""
    async with running_system(settings, worker=False, events=False) as system:

        class BrokenCatalog:
            """Fails in a way that nobody expected."""

            async def get_many(self, *_: object, **__: object) -> dict[str, Any]:
                """Fail."""
                raise RuntimeError("the password is 1234")

        broken = replace(system.services, catalog=BrokenCatalog())  # type: ignore[arg-type]
        from tests.test_hooks import calling

        with capture_logs() as logs:
            async with calling(broken) as http:
                answer = await http.post("/graphql", json={"query": '{ image(id: "x") { id } }'})
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "1234" not in answer.text
    assert [entry["id"] for entry in logs] == [error["extensions"]["id"]]


@pytest.mark.parametrize("query", ["{ image }", "{ nothing }", "{", ""])
async def test_a_query_that_is_at_fault_says_how(system: System, query: str) -> None:
    """Its errors are the client's own, and are shown."""
    answer = await system.http.post(f"{system.url}/graphql", json={"query": query})
    assert answer.status_code in {200, 400}
    errors = answer.json()["errors"] if answer.status_code == 200 else [{"message": answer.text}]
    assert all(error["message"] and "Something went wrong" not in error["message"] for error in errors)
    assert errors


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b'{"query": ' + b"9" * 5_000 + b"}", b"\xff", b"null", b"5", b"[]"]
)
async def test_a_body_that_is_no_json_is_the_clients_fault(system: System, body: bytes) -> None:
    """However it tries to trip the parser."""
    answer = await system.http.post(
        f"{system.url}/graphql", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400


async def test_a_huge_query_is_refused(system: System) -> None:
    """Before it is all in memory, and before anybody has said who he is."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65_536

    answer = await system.http.post(
        f"{system.url}/graphql", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413


async def test_a_key_is_needed_where_keys_are_configured(settings: Settings) -> None:
    """Over HTTP and over the websocket; each key sees its own images only."""
    keys = {name: hashlib.sha256(f"{name}-key".encode()).hexdigest() for name in ("ada", "bob")}
    guarded = settings.model_copy(update={"auth": "keys", "api_keys": keys})
    async with running_system(guarded, worker=False, events=False) as system:
        assert codes(await system.execute(CREATE, input={"files": []})) == ["UNAUTHENTICATED"]
        mistyped = await system.http.post(
            f"{system.url}/graphql",
            json={"query": "{ images { nodes { id } } }"},
            headers={"Authorization": "Bearer adda-key"},
        )
        assert mistyped.json()["errors"][0]["message"] == "The key is unknown."
        image = an_image(owner="ada", status=Status.READY)
        await system.services.catalog.add([image])
        for key, seen in (("ada-key", {"id": image.id}), ("bob-key", None)):
            answer = await system.http.post(
                f"{system.url}/graphql",
                json={"query": "query ($id: ID!) { image(id: $id) { id } }", "variables": {"id": image.id}},
                headers={"Authorization": f"Bearer {key}"},
            )
            assert answer.json()["data"]["image"] == seen
        ada = Client(system.url, system.http, "ada-key")
        assert [state["id"] async for state in ada.updates([image.id])] == [image.id]
        with pytest.raises(ApiError, match="no such image"):
            await anext(Client(system.url, system.http, "bob-key").updates([image.id]))
        async with connect(system) as socket:
            await socket.send(
                json.dumps({"type": "connection_init", "payload": {"authorization": "Bearer no"}})
            )
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403


async def test_a_key_can_be_any_text(settings: Settings) -> None:
    """In UTF-8, over HTTP as over the websocket; what is no text is nobody's key."""
    keys = {"ada": hashlib.sha256("clé 🗝".encode()).hexdigest()}
    guarded = settings.model_copy(update={"auth": "keys", "api_keys": keys})
    async with running_system(guarded, worker=False, events=False) as system:
        image = an_image(owner="ada", status=Status.READY)
        await system.services.catalog.add([image])
        answer = await system.http.post(
            f"{system.url}/graphql",
            json={"query": "{ images { nodes { id } } }"},
            headers=httpx.Headers({"Authorization": "Bearer clé 🗝"}, encoding="utf-8"),
        )
        assert answer.json()["data"]["images"]["nodes"] == [{"id": image.id}]
        ada = Client(system.url, system.http, "clé 🗝")
        assert [state["id"] async for state in ada.updates([image.id])] == [image.id]
        async with connect(system) as socket:
            await socket.send('{"type": "connection_init", "payload": {"authorization": "Bearer \\ud800"}}')
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403


async def test_a_subscriber_that_does_not_read_harms_nobody(system: System) -> None:
    """Others are told of every change meanwhile; what it did not read is the latest when it reads again."""
    images = [an_image(owner="local", status=Status.UPLOADED) for _ in range(100)]
    await system.services.catalog.add(images)
    ids = [image.id for image in images]
    follow = "subscription ($ids: [ID!]!) { imageUpdates(ids: $ids) { id version status } }"
    payload = {"query": follow, "variables": {"ids": ids}}
    async with connect(system, max_queue=1) as silent:
        await silent.send(json.dumps({"type": "connection_init"}))
        await silent.recv()
        await silent.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        last: dict[str, int] = {}

        async def listen() -> None:
            async for state in system.client.updates(ids):
                last[state["id"]] = state["version"]

        listening = asyncio.create_task(listen())
        for _ in range(20):
            for image_id in ids:
                lease = Lease(fence="f", until=NOON)
                moved = await system.services.catalog.move(
                    image_id, Move.TAKE, at=NOON, values={"lease": lease}
                )
                assert moved is not None
                await system.services.bus.publish(moved)
        for image_id in ids:
            done = await system.services.catalog.move(image_id, Move.FINISH, at=NOON, fence="f")
            assert done is not None
            await system.services.bus.publish(done)
        await listening
        assert last == dict.fromkeys(ids, 22)
        latest: dict[str, int] = {}
        async for text in silent:
            message = json.loads(text)
            if message["type"] == "complete":
                break
            state = message["payload"]["data"]["imageUpdates"]
            latest[state["id"]] = state["version"]
        assert latest == dict.fromkeys(ids, 22)


def connect(system: System, protocol: str = TRANSPORT_WS, **more: Any) -> Any:
    """A websocket to the API."""
    address = f"ws{system.url.removeprefix('http')}/graphql"
    return websockets.connect(address, subprotocols=[websockets.Subprotocol(protocol)], **more)


async def test_only_the_current_websocket_protocol_is_spoken(system: System) -> None:
    """The legacy one is not."""
    async with connect(system) as socket:
        assert socket.subprotocol == TRANSPORT_WS
    async with connect(system, "graphql-ws") as socket:
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()


async def test_a_page_of_another_origin_is_refused(system: System) -> None:
    """Over HTTP and over the websocket; one that is served from this machine is not."""
    with pytest.raises(websockets.InvalidStatus):
        await connect(system, origin="https://evil.example")
    async with connect(system, origin="http://localhost:5173") as socket:
        assert socket.subprotocol == TRANSPORT_WS
    allowed = {}
    for origin in ("https://evil.example", "http://localhost:5173", "http://localhost.evil.example"):
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await system.http.options(f"{system.url}/graphql", headers=preflight)
        allowed[origin] = answer.headers.get("access-control-allow-origin")
    assert [origin for origin, told in allowed.items() if told] == ["http://localhost:5173"]


async def test_a_configured_origin_is_allowed(settings: Settings) -> None:
    """And only that one, where keys are asked for."""
    keyed = settings.model_copy(update={"auth": "keys", "cors_origins": ("https://shop.example",)})
    async with running_system(keyed, worker=False, events=False) as system:
        async with connect(system, origin="https://shop.example") as socket:
            assert socket.subprotocol == TRANSPORT_WS
        with pytest.raises(websockets.InvalidStatus):
            await connect(system, origin="http://localhost:5173")


async def test_the_playground_answers_a_browser(system: System) -> None:
    """And a program that asks for anything else gets no page."""
    page = await system.http.get(f"{system.url}/graphql", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "graphiql" in page.text.lower()


async def test_a_query_that_cannot_be_parsed_does_not_look_like_an_end(system: System) -> None:
    """Over the websocket too, the client is told what is wrong with it."""
    async with connect(system) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        broken = {"type": "subscribe", "id": "1", "payload": {"query": "subscription {"}}
        await socket.send(json.dumps(broken))
        told = json.loads(await socket.recv())
    assert (told["type"], told["id"]) == ("error", "1")
    assert "Syntax Error" in told["payload"][0]["message"]


async def test_an_image_whose_preset_is_gone_is_not_reprocessed(system: System) -> None:
    """It stays as it is, READY."""
    image = an_image(owner="local", status=Status.READY, preset="of-yesterday")
    await system.services.catalog.add([image])
    query = "mutation ($id: ID!) { reprocessImage(id: $id) { __typename ... on ImageConflict { message } } }"
    answer = (await system.execute(query, id=image.id))["data"]["reprocessImage"]
    assert answer["__typename"] == "ImageConflict"
    assert "of-yesterday" in answer["message"]
    assert await system.services.catalog.get(image.id) == image
