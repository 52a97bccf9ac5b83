"""An operation or a websocket that ends leaves nothing to the garbage collector, however it ends."""

import asyncio
import gc
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from graphql import GraphQLError
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import Operation
from structlog.testing import capture_logs

from api.bounded_request import BoundedRequest
from api.bounded_socket import BoundedSocket
from api.context import Context
from api.interpreter import freeze_settled
from api.listener import listen_on
from api.server import create_server
from api.sockets import CountedSocket
from api.websocket import TransportHandler
from jobs.errors import DarkroomError
from jobs.images import Image, Status
from jobs.ports import Services
from tests.bench.peers import Peer, connect
from tests.collector import no_collector
from tests.records import an_image
from tests.sockets import EVERYTHING, INIT, Socket, connected, opened, subscribe
from tests.system import System, running_beside, until

FOLLOW = "subscription ($ids: [ID!]!) { imageUpdates(ids: $ids) { status } }"
COMPLETE = {"type": "complete", "id": "1"}
OURS = (
    BoundedSocket, BoundedRequest, TransportHandler, Operation, Context, CountedSocket,
    GraphQLError, DarkroomError,
)  # fmt: skip


class BrokenCatalog:
    """Fails in a way that nobody expected."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def versions(self, *_: object) -> dict[str, int]:
        """None."""
        return {}

    async def get(self, image_id: str) -> Image | None:
        """As the real one."""
        return await self._services.catalog.get(image_id)

    async def get_many(self, *_: object, **__: object) -> dict[str, Any]:
        """Fail."""
        raise RuntimeError("broken")


@pytest.fixture
def _without_collector() -> Iterator[None]:
    with no_collector():
        yield


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[tuple[uvicorn.Server, str]]:
    """A server over these services, and its URL."""
    server = create_server(services, init_seconds=0.3)
    with listen_on("127.0.0.1", 0) as listener:
        async with running_beside(
            server.serve(sockets=[listener]), lambda: server.handle_exit(signal.SIGTERM, None)
        ):
            while not server.started:
                await asyncio.sleep(0)
            yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"


def ours() -> dict[int, object]:
    """What there is of websockets and operations in this process, by identity."""
    return {
        id(item): item for item in gc.get_objects() if issubclass(type(item), OURS)
    }  # a proxy may be dead


async def none_but(before: dict[int, object]) -> None:
    """Wait until there is no more than that."""

    async def are_gone() -> bool:
        return not ours().keys() - before.keys()

    await until(are_gone)


@pytest.fixture(scope="module")
async def images(api: System) -> dict[str, Image]:
    """One that moves, and one at rest."""
    known = {"moving": an_image(owner="local"), "resting": an_image(owner="local", status=Status.READY)}
    await api.services.catalog.add(list(known.values()))
    return known


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    ("payload", "types"),
    [
        ({}, ["next", "complete"]),
        ({"query": FOLLOW, "variables": {"ids": ["resting"]}}, ["next", "complete"]),
        ({"query": FOLLOW, "variables": {"ids": ["unknown"]}}, ["error"]),
        ({"query": FOLLOW, "variables": {"ids": [["wrong"]]}}, ["error"]),
        ({"query": "{"}, ["error"]),
        ({"query": "{ nothing }"}, ["error"]),
        ({"query": "{ images(first: 0) { nodes { id } } }"}, ["next", "complete"]),
        ({"query": 'subscription { feed(after: "x") { cursor } }'}, ["error"]),
    ],
)
async def test_an_operation_that_ends_leaves_nothing(
    api: System, images: dict[str, Image], payload: dict[str, Any], types: list[str]
) -> None:
    """While its socket is open. Whatever is remembered on purpose, is so after the first time."""
    text = json.dumps(payload).replace('"resting"', f'"{images["resting"].id}"')
    payload = json.loads(text)
    async with serving(api.services) as (_, url), opened(url) as socket:
        for again in (False, True):
            before = ours()
            await socket.send(subscribe("1", **payload))
            assert [(await socket.receive())["type"] for _ in types] == types
            if again:
                await none_but(before)


@pytest.mark.usefixtures("_without_collector")
async def test_a_fault_leaves_nothing(api: System) -> None:
    """But for what the log keeps of it."""
    broken = replace(api.services, catalog=BrokenCatalog(api.services))  # type: ignore[arg-type]
    with capture_logs() as logs:
        async with serving(broken) as (_, url), opened(url) as socket:
            before = ours()
            await socket.send(subscribe("1", query=FOLLOW, variables={"ids": ["any"]}))
            assert (await socket.receive())["type"] == "error"
            logs.clear()
            await none_but(before)


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("payload", [{"query": FOLLOW, "variables": {"ids": ["moving"]}}, EVERYTHING])
async def test_an_operation_that_its_client_ends_leaves_nothing(
    api: System, images: dict[str, Image], payload: dict[str, Any], *, waits: bool
) -> None:
    """Be it under way, or just begun."""
    payload = json.loads(json.dumps(payload).replace('"moving"', f'"{images["moving"].id}"'))
    async with serving(api.services) as (_, url), opened(url) as socket:
        before = ours()
        await socket.send(subscribe("1", **payload))
        if waits and "variables" in payload:
            await socket.receive()
        elif waits:
            await until_answered(socket)
        await socket.send(COMPLETE)
        await until_answered(socket)
        await none_but(before)


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize("how", ["close", "abort", "breach", "too late", "twice", "server"])
async def test_a_socket_that_ends_leaves_nothing(api: System, images: dict[str, Image], how: str) -> None:
    """With operations under way, whoever ends it."""
    before = ours()
    async with serving(api.services) as (server, url):
        async with connected(url) as socket:
            if how != "too late":
                await socket.send(INIT)
                await socket.receive()
                await socket.send(subscribe("1", query=FOLLOW, variables={"ids": [images["moving"].id]}))
                await socket.receive()
                await socket.send(subscribe("2", **EVERYTHING))
            if how == "abort":
                socket.connection.transport.abort()
            elif how == "breach":
                await socket.send("{")
            elif how == "twice":
                await socket.send(INIT)
            elif how == "server":
                server.handle_exit(signal.SIGTERM, None)
            if how not in {"close", "abort"}:
                await socket.connection.wait_closed()
        await none_but(before)


@pytest.mark.usefixtures("_without_collector")
async def test_a_request_leaves_nothing(api: System) -> None:
    """Nor does one that fails."""
    async with serving(api.services) as (_, url):
        for again in (False, True):
            before = ours()
            for query in ("{ __typename }", "{ nothing }", "{", "{ images(first: 0) { nodes { id } } }"):
                await api.http.post(f"{url}/graphql", json={"query": query}, headers={"Connection": "close"})
            if again:
                await none_but(before)


@pytest.mark.usefixtures("_without_collector")
async def test_waves_of_subscribers_leave_nothing(api: System, images: dict[str, Image]) -> None:
    """Each of them is frozen, ends its operation, and leaves."""
    text = json.dumps(subscribe("1", query=FOLLOW, variables={"ids": [images["moving"].id]})).encode()
    count = 110
    heard = 0

    def hear(peer: Peer, said: bytes) -> None:
        nonlocal heard
        if not said:
            peer.send(json.dumps(INIT).encode())
        elif b"connection_ack" in said:
            peer.send(text)
        else:
            heard += 1

    before = ours()
    async with serving(api.services) as (server, url):
        connections = server.server_state.connections
        async with running_beside(freeze_settled(lambda: len(connections), look_every=0.05)):
            for _ in range(3):
                heard, frozen = 0, gc.get_freeze_count()
                peers = await connect(int(url.rpartition(":")[2]), range(count), hear)
                while heard < count or gc.get_freeze_count() < frozen + 100 * count:
                    await asyncio.sleep(0.01)  # between two looks at a condition
                for peer in peers:
                    peer.send(json.dumps(COMPLETE).encode())
                    peer.transport.close()
                while connections:
                    await asyncio.sleep(0)
    gc.unfreeze()
    await none_but(before)


async def until_answered(socket: Socket) -> None:
    """The server has done what it was told before this."""
    await socket.send({"type": "ping", "payload": {"last": True}})
    while (await socket.receive())["type"] != "pong":
        pass
