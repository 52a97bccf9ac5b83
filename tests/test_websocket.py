"""graphql-transport-ws: what each message is answered with, and what closes the socket with which code."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import websockets
from structlog.testing import capture_logs

from api.auth import Authenticator
from api.bounded_socket import MOST_FRAGMENTS
from api.expiry import SocketExpiry
from api.graphql import GraphQLEndpoint
from api.hooks import fetch_body
from api.limits import open_limiter
from jobs.images import Image, Move
from jobs.ports import Services
from tests.records import NOON, an_image
from tests.sockets import ACK, EVERYTHING, INIT, PROTOCOL, Socket, connected, opened, subscribe
from tests.system import System, serving

FOLLOW = "subscription ($ids: [ID!]!) { imageUpdates(ids: $ids) { status } }"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"query": "{"}, "Syntax Error"),
        ({"query": "subscription {"}, "Syntax Error"),
        ({"query": "{ \ud800 }"}, "Syntax Error"),
        ({"query": ""}, "There is no query."),
        ({"query": "{ a" * 5_000}, "nested too deeply"),
        ({"query": "{ nothing }"}, "Cannot query field"),
        ({"query": "subscription { nothing }"}, "Cannot query field"),
        ({"query": "query A { __typename }", "operationName": "B"}, "no operation “B”"),
        ({"query": "query A { __typename }", "operationName": ""}, "no operation “”"),
        ({"query": "query A { __typename } query B { __typename }"}, "`operationName` says which"),
        ({"query": "fragment A on Query { __typename }"}, "There is no operation."),
        ({"query": "query ($id: ID!) { image(id: $id) { id } }"}, "Variable '$id'"),
        ({"query": FOLLOW}, "Variable '$ids'"),
        ({"query": FOLLOW, "variables": {"ids": [["x"]]}}, "Variable '$ids'"),
        ({"query": FOLLOW.replace("[ID!]!", '[ID!] = "x"'), "variables": {"ids": None}}, "not to be None"),
        ({"query": FOLLOW, "variables": {"ids": ["unknown"]}}, "no such image"),
        ({"query": FOLLOW, "variables": {"ids": []}}, ""),
    ],
)
async def test_what_is_wrong_with_an_operation_ends_only_it(
    api: System, payload: dict[str, Any], said: str
) -> None:
    """It is told for its id, whose end that is; another operation of the same socket goes on."""
    image = an_image(owner="local")
    await api.services.catalog.add([image])
    async with opened(api.url) as socket:
        await socket.send(subscribe("other", query=FOLLOW, variables={"ids": [image.id]}))
        assert (await socket.receive())["payload"] == {"data": {"imageUpdates": {"status": "PENDING"}}}
        await socket.send(subscribe("wrong", **payload))
        told = await socket.receive()
        assert (told["type"], told["id"]) == ("error", "wrong")
        assert said in told["payload"][0]["message"]
        assert told["payload"][0].get("extensions", {}).get("code") != "INTERNAL"
        await arrive(api.services, image)
        assert await socket.receive() == {
            "type": "next", "id": "other", "payload": {"data": {"imageUpdates": {"status": "UPLOADED"}}},
        }  # fmt: skip
        await socket.send(subscribe("wrong"))
        assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]


async def arrive(services: Services, image: Image) -> None:
    """Its source is in the store, and everybody is told."""
    moved = await services.catalog.move(image.id, Move.ARRIVE, at=NOON)
    assert moved is not None
    await services.bus.publish(moved)


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        ([INIT], [ACK]),
        ([INIT | {"payload": None}], [ACK]),
        ([INIT | {"payload": {}}], [ACK]),
        ([INIT | {"payload": {"any": ["thing"]}, "id": 5}], [ACK]),
        ([{"type": "ping"}], [{"type": "pong"}]),
        ([{"type": "ping", "payload": None}], [{"type": "pong"}]),
        ([{"type": "ping", "payload": {}}], [{"type": "pong", "payload": {}}]),
        ([{"type": "ping", "payload": {"é": [1, None]}}], [{"type": "pong", "payload": {"é": [1, None]}}]),
        ([{"type": "pong"}, {"type": "pong", "payload": {"a": 1}}, INIT], [ACK]),
        ([{"type": "complete", "id": "unknown"}, INIT, {"type": "complete", "id": "unknown"}], [ACK]),
        (
            [INIT, subscribe(operationName=None, variables=None, extensions=None)],
            [ACK, {"type": "next", "id": "1", "payload": {"data": {"__typename": "Query"}}},
             {"type": "complete", "id": "1"}],
        ),
        (
            [INIT, subscribe("é", query="query A { __typename } query B { presets { name } }",
                             operationName="B", extensions={"any": 1})],
            [ACK, {"type": "next", "id": "é", "payload": {"data": {"presets": [{"name": "default"}]}}},
             {"type": "complete", "id": "é"}],
        ),
        (
            [INIT, subscribe(query="mutation { deleteImages(ids: []) { results { __typename } } }")],
            [ACK, {"type": "next", "id": "1", "payload": {"data": {"deleteImages": {"results": []}}}},
             {"type": "complete", "id": "1"}],
        ),
    ],
)  # fmt: skip
async def test_messages_are_answered(api: System, sent: list[Any], answers: list[Any]) -> None:
    """With these and no others: the last one is a ping."""
    async with connected(api.url) as socket:
        await socket.send(*sent)
        assert [await socket.receive() for _ in answers] == answers
        await socket.send({"type": "ping", "payload": {"last": True}})
        assert await socket.receive() == {"type": "pong", "payload": {"last": True}}


@pytest.mark.parametrize(
    ("answered", "breach", "code", "reason"),
    [
        ([], [subscribe()], 4401, "Unauthorized"),
        ([{"type": "ping"}], [subscribe()], 4401, "Unauthorized"),
        ([INIT], [INIT], 4429, "Too many initialisation requests"),
        ([INIT], [subscribe("1", **EVERYTHING), INIT], 4429, "Too many initialisation requests"),
        ([INIT], [subscribe("a", **EVERYTHING), subscribe("a")], 4409, "Subscriber for a already exists"),
        ([INIT], [subscribe("é" * 500, **EVERYTHING)] * 2, 4409, "Subscriber for é"),
        ([INIT], [subscribe("\ud800", **EVERYTHING)] * 2, 4409, "Subscriber for"),
    ],
)
async def test_what_breaks_the_protocol_closes_the_socket(
    api: System, answered: list[Any], breach: list[Any], code: int, reason: str
) -> None:
    """Each with a code of its own; the reason is as long as a frame takes."""
    async with connected(api.url) as socket:
        for message in answered:
            await socket.send(message)
            await socket.receive()
        await socket.send(*breach)
        told = await socket.closed()
    assert told[0] == code
    assert told[1].startswith(reason)


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["unknown", "graphql-ws"], ["GRAPHQL-TRANSPORT-WS"]])
async def test_another_protocol_is_not_acceptable(api: System, protocols: list[str]) -> None:
    """The legacy one among them."""
    async with connected(api.url, *protocols) as socket:
        assert socket.connection.subprotocol is None
        assert await socket.closed() == (4406, "Subprotocol not acceptable")


async def test_no_protocol_is_not_acceptable(api: System) -> None:
    """It is not guessed."""
    async with websockets.connect(f"ws{api.url.removeprefix('http')}/graphql") as connection:
        assert await Socket(connection).closed() == (4406, "Subprotocol not acceptable")


async def test_the_protocol_is_chosen_among_several(api: System) -> None:
    """Wherever it stands."""
    async with connected(api.url, "graphql-ws", PROTOCOL) as socket:
        assert socket.connection.subprotocol == PROTOCOL


async def test_whoever_does_not_initialise_in_time_is_closed(api: System) -> None:
    """Whatever else is sent meanwhile."""
    async with serving(api.services, init_seconds=0.05) as url, connected(url) as socket:
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        assert await socket.closed() == (4408, "Connection initialisation timeout")


async def test_a_message_has_so_many_fragments(api: System) -> None:
    """Those without a byte in them count, too: they would come for ever."""
    padded = [json.dumps(INIT), *[""] * (MOST_FRAGMENTS - 2)]  # the client sends one more at the end
    async with connected(api.url) as socket:
        await socket.connection.send(padded)
        assert await socket.receive() == ACK
    async with connected(api.url) as socket:
        await socket.connection.send([*padded, ""])
        assert await socket.closed() == (1009, "too many fragments")


async def test_an_id_can_be_used_again(api: System) -> None:
    """As soon as its operation is complete, whichever side ended it; nothing of the former one follows."""
    images = [an_image(owner="local") for _ in range(2)]
    await api.services.catalog.add(images)
    pending = {"type": "next", "id": "1", "payload": {"data": {"imageUpdates": {"status": "PENDING"}}}}
    first, second = [subscribe("1", query=FOLLOW, variables={"ids": [image.id]}) for image in images]
    async with opened(api.url) as socket:
        await socket.send(subscribe())
        assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]
        await socket.send(first)
        assert await socket.receive() == pending
        await socket.send({"type": "complete", "id": "1"}, second)
        assert await socket.receive() == pending
        await arrive(api.services, images[0])
        await arrive(api.services, images[1])
        assert (await socket.receive())["payload"] == {"data": {"imageUpdates": {"status": "UPLOADED"}}}
        await socket.send({"type": "complete", "id": "1"}, subscribe())
        assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]


async def test_a_fault_does_not_look_like_an_end(api: System) -> None:
    """It is masked, and the log has its id."""

    class BrokenCatalog:
        """Fails in a way that nobody expected."""

        async def get_many(self, *_: object, **__: object) -> dict[str, Any]:
            """Fail."""
            raise RuntimeError("the password is 1234")

        def __getattr__(self, name: str) -> object:
            return getattr(api.services.catalog, name)

    broken = replace(api.services, catalog=BrokenCatalog())  # type: ignore[arg-type]
    with capture_logs() as logs:
        async with serving(broken) as url, opened(url) as socket:
            await socket.send(subscribe("1", query=FOLLOW, variables={"ids": ["x"]}))
            told = await socket.receive()
    assert (told["type"], told["id"]) == ("error", "1")
    (error,) = told["payload"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "1234" not in error["message"]
    assert [entry["id"] for entry in logs] == [error["extensions"]["id"]]


async def test_what_was_ended_says_nothing_more(api: System) -> None:
    """Though it fails when it is told to end: its id may be another's by then."""

    class StubbornCatalog:
        """Answers a cancellation with an error of its own."""

        async def get_many(self, *_: object, **__: object) -> dict[str, Any]:
            """Wait, and fail."""
            waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                failed.set()
                raise RuntimeError("no cancellation")

        def __getattr__(self, name: str) -> object:
            return getattr(api.services.catalog, name)

    waiting, failed = asyncio.Event(), asyncio.Event()
    stubborn = replace(api.services, catalog=StubbornCatalog())  # type: ignore[arg-type]
    with capture_logs():
        async with serving(stubborn) as url, opened(url) as socket:
            await socket.send(subscribe("1", query=FOLLOW, variables={"ids": ["x"]}))
            await waiting.wait()
            await socket.send({"type": "complete", "id": "1"}, subscribe("1", **EVERYTHING))
            await failed.wait()
            await socket.send({"type": "ping"})
            assert await socket.receive() == {"type": "pong"}
            await socket.send(subscribe("1"))
            assert (await socket.closed())[0] == 4409


def said(*messages: Any) -> asyncio.Queue[Any]:
    """What a server hands on of a client that connects and says this."""
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    for message in messages:
        incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
    return incoming


async def serve(
    api: System, incoming: asyncio.Queue[Any], send: Callable[[Any], Awaitable[None]], init_seconds: float = 5
) -> None:
    """The endpoint on a server whose sockets behave as `send` does."""
    scope = {"type": "websocket", "path": "/graphql", "headers": [], "subprotocols": [PROTOCOL]}
    settings = api.services.settings
    endpoint = SocketExpiry(GraphQLEndpoint(settings, Authenticator(settings, fetch_body), init_seconds))
    async with open_limiter(settings, api.services.clock) as limiter:
        state = {"services": api.services, "hub": None, "limiter": limiter}
        await endpoint(scope | {"state": state}, incoming.get, send)


@pytest.mark.parametrize(
    ("messages", "lost"),
    [([INIT], "connection_ack"), ([INIT, subscribe()], "next"), ([None], "websocket.close")],
)
async def test_a_client_that_is_gone_is_no_fault(api: System, messages: list[Any], lost: str) -> None:
    """Whatever was to be sent when it turned out, nothing is raised and nothing logged."""
    incoming = said(*messages)

    async def send(message: Any) -> None:
        if lost in str(message):
            incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
            raise OSError("gone")

    with capture_logs() as logs:
        await serve(api, incoming, send)
    assert logs == []


@pytest.mark.parametrize("late", [None, {"type": "ping"}, INIT, subscribe()])
async def test_a_socket_that_is_being_closed_answers_nothing(api: System, late: Any) -> None:
    """A client that reads slowly may still send meanwhile."""
    incoming = said()
    sent = []

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.close":
            incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(late)})
            while not incoming.empty():
                await asyncio.sleep(0)

    await serve(api, incoming, send, init_seconds=0.01)
    assert sent == ["websocket.accept", "websocket.close"]
