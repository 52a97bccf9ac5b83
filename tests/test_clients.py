"""Clients of GraphQL that others made, on the whole of Darkroom: what front ends will use."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport
from graphql import GraphQLError, parse

from jobs.settings import Settings
from tests.node import CLIENTS, run_node
from tests.system import System, running_system
from tests.test_system import a_photo, put

OPERATIONS = CLIENTS / "operations.graphql"
SDL = CLIENTS.parent.parent / "schema.graphql"
FILES = ["photo.jpg", "broken.jpg"]


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """Everything, as `make run` starts it."""
    async with running_system(settings) as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file that becomes two variants."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(a_photo())
    return path


async def journey(system: System, node_modules: Path, script: str, *arguments: Path) -> dict[str, Any]:
    """What a client tells of its way through `journey.js`, when all that holds for each is checked."""
    told: dict[str, Any] = json.loads(
        await run_node(node_modules, script, f"{system.url}/graphql", *arguments)
    )
    assert told["results"] == ["UploadTarget", "UploadTarget", "InvalidFile"]
    assert told["refused"] == {"filename": "notes.txt", "code": "UNSUPPORTED_TYPE"}
    assert [(states[0], states[-1]) for states in told["statuses"]] == [
        ("PENDING", "READY"),
        ("PENDING", "REJECTED"),
    ]
    ready, rejected = told["images"]
    await check_ready(system, ready)
    assert (rejected["status"], rejected["variants"]) == ("REJECTED", [])
    assert (rejected["problem"]["code"], rejected["problem"]["retryable"]) == ("DAMAGED_IMAGE", False)
    return told


async def check_ready(system: System, image: dict[str, Any]) -> None:
    """It has its variants, and each can be seen where it says."""
    assert (image["status"], image["problem"]) == ("READY", None)
    assert image["metadata"] == {"album": ["photo.jpg"]}
    assert [(variant["name"], variant["width"]) for variant in image["variants"]] == [
        ("w320", 320),
        ("w640", 500),
    ]
    for variant in image["variants"]:
        answer = await system.http.get(variant["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")


async def test_graphql_ws(system: System, node_modules: Path, picture: Path) -> None:
    """Mutations and queries as well as the subscription, all over one websocket."""
    told = await journey(system, node_modules, "graphql-ws.js", picture)
    assert sorted(told["pages"]) == sorted([name] for name in FILES)
    assert told["sockets"] == 1


async def test_urql(system: System, node_modules: Path, picture: Path) -> None:
    """It asks by GET, and nothing that its cache knows."""
    told = await journey(system, node_modules, "urql.js", picture)
    assert sorted(told["pages"]) == sorted([name] for name in FILES)
    assert told["again"] == told["pages"]
    assert told["requests"] == ["POST", "GET", "GET", "GET", "GET"]


async def test_apollo(system: System, node_modules: Path, picture: Path) -> None:
    """What is shown comes to rest by the subscription alone, and pages are put together to one list."""
    told = await journey(system, node_modules, "apollo.js", picture)
    assert told["requests"] == [
        "PossibleTypes", "CreateUploads", "ShowImage", "ShowImage", "at rest",
        "ShowImage", "ShowImage", "ListImages", "ListImages",
    ]  # fmt: skip
    await check_ready(system, told["shown"][0])
    assert told["shown"][1] == told["images"][1]  # a problem of an interface's fragment among it
    first, both = told["pages"]
    assert (both[:1], sorted(both)) == (first, sorted(FILES))


async def test_relay(system: System, node_modules: Path, picture: Path, tmp_path: Path) -> None:
    """Its compiler takes the schema; images are fetched again by `node`, and lists follow mutations."""
    compiled = await compiled_by_relay(node_modules, tmp_path)
    told = await journey(system, node_modules, "relay.js", picture, compiled)
    assert told["requests"] == [
        "relayGalleryQuery", "relayCreateMutation", "relayImageQuery", "relayImageQuery", "at rest",
        "relayImageQuery", "relayImageQuery", "relayGalleryQuery", "relayPageQuery", "relayDeleteMutation",
    ]  # fmt: skip
    await check_ready(system, told["shown"][0])
    assert told["shown"][1] == told["images"][1]
    assert told["lists"] == [[], FILES, FILES[:1]]
    first, both = told["pages"]
    assert (both[:1], sorted(both)) == (first, sorted(FILES))


async def compiled_by_relay(node_modules: Path, folder: Path) -> Path:
    """The folder below with what Relay's compiler makes of the documents in `relay.js`."""
    documents, compiled, config = folder / "documents", folder / "compiled", folder / "relay.config.json"
    documents.mkdir()
    compiled.mkdir()
    settings = {
        "src": str(documents),
        "schema": str(SDL),
        "artifactDirectory": str(compiled),
        "language": "javascript",
        "eagerEsModules": False,
    }
    shutil.copy(CLIENTS / "relay.js", documents)
    config.write_text(json.dumps(settings))
    await run_node(node_modules, node_modules / "relay-compiler" / "cli.js", "--noWatchman", config)
    return compiled


async def test_types_are_generated(node_modules: Path, tmp_path: Path) -> None:
    """By graphql-codegen; and TypeScript, strictly, takes what uses them well, and nothing else."""
    await run_node(node_modules, "codegen.js", SDL, tmp_path)
    usage = shutil.copy(CLIENTS / "usage.ts", tmp_path)
    compiler = node_modules / "typescript" / "bin" / "tsc"
    assert await run_node(node_modules, compiler, "--strict", "--noEmit", usage) == ""


async def test_gql_for_python(system: System) -> None:
    """Its session knows the schema by introspection, and sends no document that does not fit."""
    document, body = parse(OPERATIONS.read_text()), a_photo()

    def request(name: str, **variables: Any) -> GraphQLRequest:
        return GraphQLRequest(document, operation_name=name, variable_values=variables)

    file = {
        "filename": "photo.jpg",
        "contentType": "image/jpeg",
        "byteSize": len(body),
        "metadata": {"album": ["photo.jpg"]},
    }
    http = AIOHTTPTransport(f"{system.url}/graphql")
    socket = WebsocketsTransport(f"ws{system.url.removeprefix('http')}/graphql")
    async with (
        Client(transport=http, fetch_schema_from_transport=True) as asking,
        Client(transport=socket, fetch_schema_from_transport=True) as following,
    ):
        answer = await asking.execute(request("CreateUploads", input={"files": [file]}))
        target = answer["createUploads"]["results"][0]
        image_id, states = target["image"]["id"], []
        async with aclosing(following.subscribe(request("FollowImages", ids=[image_id]))) as events:
            async for event in events:
                states.append(event["imageUpdates"]["status"])
                if states == ["PENDING"]:
                    assert await put(system, target, body) == 200
        assert (states[0], states[-1]) == ("PENDING", "READY")
        answer = await asking.execute(request("ShowImage", id=image_id))
        await check_ready(system, answer["node"])
        answer = await asking.execute(request("ListImages", first=1))
        assert [edge["node"]["id"] for edge in answer["images"]["edges"]] == [image_id]
        with pytest.raises(GraphQLError, match="Cannot query field 'size' on type 'Image'"):
            await asking.execute(GraphQLRequest("query ($id: ID!) { image(id: $id) { size } }"))
