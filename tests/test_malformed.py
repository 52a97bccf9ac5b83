"""Every message that graphql-transport-ws does not know closes the socket with 4400, and no traceback."""

import logging
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.settings import Settings
from tests.sockets import EVERYTHING, INIT, QUERY, connected, opened, subscribe
from tests.system import System, running_system

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
            for depth in range(900, 1_000):  # some of these can be read and not written
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
    assert ends == [4400] * len(MALFORMED) + [1007, 1009]
    assert logs == []
    assert [(record.name, record.getMessage()) for record in caplog.records] == []
