"""graphql-transport-ws: what each message is answered with, and what closes the socket with which code."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import websockets
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection

from jobs.images import Image, Move
from jobs.ports import Services
from jobs.settings import Settings
from tests.records import NOON, an_image
from tests.system import System, running_system, serving

PROTOCOL = "graphql-transport-ws"
INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
QUERY = {"query": "{ __typename }"}
FOLLOW = "subscription ($ids: [ID!]!) { imageUpdates(ids: $ids) { status } }"
EVERYTHING = {"query": "subscription { feed { cursor } }"}


class Socket:
    """A client's side of a websocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Any) -> None:
        """Send these; text and bytes as they are, anything else as JSON."""
        for message in messages:
            raw = isinstance(message, str | bytes)
            await self.connection.send(message if raw else json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def closed(self) -> tuple[int, str]:
        """The code and the reason that the server closes with, before any further message."""
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await self.connection.recv()
        assert closed.value.rcvd is not None, closed.value
        return closed.value.rcvd.code, closed.value.rcvd.reason


@asynccontextmanager
async def connected(url: str, *protocols: str) -> AsyncIterator[Socket]:
    """A websocket to the API at `url`, on which nothing has been sent."""
    offered = [websockets.Subprotocol(name) for name in protocols or (PROTOCOL,)]
    async with websockets.connect(
        f"ws{url.removeprefix('http')}/graphql", subprotocols=offered
    ) as connection:
        yield Socket(connection)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Socket]:
    """A websocket whose connection the server has acknowledged."""
    async with connected(url) as socket:
        await socket.send(INIT)
        assert await socket.receive() == ACK
        yield socket


def subscribe(name: object = "1", **payload: Any) -> dict[str, Any]:
    """A message that asks for an operation."""
    return {"type": "subscribe", "id": name, "payload": QUERY | payload}


MALFORMED: dict[str, Any] = {
    "nothing": "",
    "blank": " ",
    "no JSON": "nonsense",
    "half of an object": '{"type": "ping"',
    "an object and more": '{"type": "ping"} x',
    "a hundred thousand brackets": "[" * 50_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "a number of 5,000 digits": "9" * 5_000,
    "bytes": b'{"type": "ping"}',
    "null": None,
    "true": True,
    "a number": 5,
    "text": '"text"',
    "an array": [],
    "an array of messages": [{"type": "ping"}],
    "no type": {},
    "no type but an id": {"id": "1", "payload": QUERY},
    "type: null": {"type": None},
    "type: a number": {"type": 5},
    "type: an array": {"type": ["ping"]},
    "type: an object": {"type": {}},
    "type: nothing": {"type": ""},
    "type: unknown": {"type": "unknown"},
    "type: in capitals": {"type": "PING"},
    "type: longer than a reason": {"type": "é" * 5_000},
    "type: no text": {"type": "\ud800"},
    "type: of the legacy protocol": {"type": "start", "id": "1", "payload": QUERY},
    "type: of its end": {"type": "connection_terminate"},
    "type: only the server's": {"type": "connection_ack"},
    "type: next": {"type": "next", "id": "1", "payload": {"data": None}},
    "type: error": {"type": "error", "id": "1", "payload": []},
    "init: text": INIT | {"payload": "text"},
    "init: a number": INIT | {"payload": 0},
    "init: false": INIT | {"payload": False},
    "init: an array": INIT | {"payload": []},
    "ping: text": {"type": "ping", "payload": "text"},
    "ping: a number": {"type": "ping", "payload": 5},
    "ping: an array": {"type": "ping", "payload": []},
    "pong: text": {"type": "pong", "payload": "text"},
    "pong: true": {"type": "pong", "payload": True},
    "complete: no id": {"type": "complete"},
    "complete: null": {"type": "complete", "id": None},
    "complete: a number": {"type": "complete", "id": 5},
    "complete: an object": {"type": "complete", "id": {}},
    "complete: nothing": {"type": "complete", "id": ""},
    "subscribe: no id": {"type": "subscribe", "payload": QUERY},
    "id: null": subscribe(None),
    "id: a number": subscribe(1),
    "id: an array": subscribe(["1"]),
    "id: nothing": subscribe(""),
    "payload: none": {"type": "subscribe", "id": "1"},
    "payload: null": {"type": "subscribe", "id": "1", "payload": None},
    "payload: text": {"type": "subscribe", "id": "1", "payload": "{ __typename }"},
    "payload: an array": {"type": "subscribe", "id": "1", "payload": [QUERY]},
    "payload: a number": {"type": "subscribe", "id": "1", "payload": 5},
    "query: none": {"type": "subscribe", "id": "1", "payload": {}},
    "query: null": subscribe(query=None),
    "query: a number": subscribe(query=5),
    "query: an object": subscribe(query={}),
    "query: an array": subscribe(query=["{ __typename }"]),
    "variables: text": subscribe(variables="{}"),
    "variables: a number": subscribe(variables=0),
    "variables: false": subscribe(variables=False),
    "variables: an array": subscribe(variables=[]),
    "operationName: a number": subscribe(operationName=5),
    "operationName: false": subscribe(operationName=False),
    "operationName: an object": subscribe(operationName={}),
    "operationName: an array": subscribe(operationName=[]),
    "extensions: text": subscribe(extensions="text"),
    "extensions: a number": subscribe(extensions=5),
    "extensions: true": subscribe(extensions=True),
    "extensions: an array": subscribe(extensions=[]),
}  # fmt: skip


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_message_closes_the_socket(api: System, message: Any) -> None:
    """At any time, and before anything else that may be wrong with it."""
    async with connected(api.url) as early, opened(api.url) as late:
        for socket in (early, late):
            await socket.send("null" if message is None else message)
            code, reason = await socket.closed()
            assert code == 4400
            assert reason


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


async def test_no_message_leaves_a_traceback(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does text that is not UTF-8, a message that is too long, or a client that is suddenly gone."""
    caplog.set_level(logging.WARNING)
    ends: list[int] = []
    with capture_logs() as logs:
        async with running_system(settings, worker=False, events=False) as system:
            for message in MALFORMED.values():
                async with opened(system.url) as socket:
                    await socket.send(subscribe("1", **EVERYTHING), "null" if message is None else message)
                    ends.append((await socket.closed())[0])
            for depth in range(800, 1_000):  # some of these can be read and not written
                async with opened(system.url) as socket:
                    await socket.send(
                        '{"type": "ping", "payload":' + '{"a":' * depth + "1" + "}" * (depth + 1)
                    )
                    await socket.send("null")
            async with opened(system.url) as socket:
                await socket.connection.send(b'{"type": "\xff"}', text=True)
                ends.append((await socket.closed())[0])
            async with opened(system.url) as socket:
                await socket.send({"type": "ping", "payload": {"a": "x" * 65_536}})
                ends.append((await socket.closed())[0])
            async with opened(system.url) as socket:
                await socket.send(subscribe("1", **EVERYTHING))
                socket.connection.transport.abort()
            await asyncio.sleep(0)
    assert ends == [4400] * len(MALFORMED) + [1007, 1009]
    assert logs == []
    assert [(record.name, record.getMessage()) for record in caplog.records] == []
