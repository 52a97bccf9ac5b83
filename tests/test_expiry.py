"""A websocket closes when the token of who opened it expires, and not before."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from pydantic import SecretStr

from api.expiry import SocketExpiry
from jobs.images import Status
from jobs.settings import Settings
from tests.records import an_image
from tests.system import System, running_system
from tests.test_api import connect
from tests.test_auth import sha256
from tests.tokens import SECRET, claims, signed

FOLLOW = "subscription ($ids: [ID!]!) { imageUpdates(ids: $ids) { id } }"


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[System]:
    """An API that takes keys and tokens."""
    access = {"auth": "keys+jwt", "api_keys": {"ada": sha256("plain")}, "jwt_secret": SecretStr(SECRET)}
    guarded = settings.model_copy(update=access)
    async with running_system(guarded, worker=False, events=False) as running:
        yield running


async def opened(socket: Any, credential: str | None) -> None:
    """Say who is asking, and wait until that is acknowledged."""
    payload = {"authorization": f"Bearer {credential}"} if credential else {}
    await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"


async def ending(socket: Any) -> tuple[list[dict[str, Any]], int, str, float]:
    """All that is still said, then the code and the reason for which it is closed, and when."""
    said = [json.loads(text) async for text in rest_of(socket)]
    return said, socket.close_code, socket.close_reason, time.time()


async def rest_of(socket: Any) -> AsyncIterator[str]:
    """Every message until the socket is closed, for whatever reason."""
    try:
        while True:
            yield await socket.recv()
    except websockets.ConnectionClosed:
        return


def in_a_moment() -> int:
    """When a token expires that is good for a second or two."""
    return int(time.time()) + 2


@pytest.mark.parametrize("where", ["connection_init", "handshake"])
async def test_a_socket_closes_when_its_token_expires(where: str, system: System) -> None:
    """In the midst of a subscription, with the code after which clients come again; others stay open."""
    image = an_image(owner="ada", status=Status.UPLOADED)
    await system.services.catalog.add([image])
    expires_at = in_a_moment()
    token = signed(claims(exp=expires_at))
    header = {"Authorization": f"Bearer {token}"} if where == "handshake" else {}
    payload = {"query": FOLLOW, "variables": {"ids": [image.id]}}
    async with connect(system, additional_headers=header) as socket, connect(system) as other:
        await opened(socket, token if where == "connection_init" else None)
        await opened(other, signed(claims()))
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        said, code, reason, at = await ending(socket)
        assert (code, reason) == (4403, "Token expired")
        assert [message["payload"] for message in said] == [{"data": {"imageUpdates": {"id": image.id}}}]
        assert at >= expires_at
        await other.send(json.dumps({"type": "ping"}))
        assert json.loads(await other.recv()) == {"type": "pong"}


async def test_the_last_word_on_who_is_asking_counts(system: System) -> None:
    """Who shows a token in the handshake, and then a key or a better token, keeps the socket."""
    short = signed(claims(exp=in_a_moment()))
    header = {"Authorization": f"Bearer {short}"}
    async with (
        connect(system, additional_headers=header) as by_key,
        connect(system, additional_headers=header) as by_token,
        connect(system, additional_headers=header) as short_lived,
    ):
        await opened(by_key, "plain")
        await opened(by_token, signed(claims()))
        await opened(short_lived, None)
        await ending(short_lived)
        for socket in (by_key, by_token):
            await socket.send(json.dumps({"type": "ping"}))
            assert json.loads(await socket.recv()) == {"type": "pong"}


async def test_a_token_that_has_just_expired_keeps_no_socket_open(system: System) -> None:
    """It is good for a request a few seconds longer, for clocks that differ; a socket lasts."""
    token = signed(claims(exp=int(time.time()) - 2))
    answer = await system.http.post(
        f"{system.url}/graphql",
        json={"query": "{ presets { name } }"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert "errors" not in answer.json()
    async with connect(system) as socket:
        payload = {"authorization": f"Bearer {token}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        _, code, reason, _ = await ending(socket)
    assert (code, reason) == (4403, "Token expired")


async def test_a_socket_that_is_closing_is_not_closed_twice() -> None:
    """Whatever the application said first stays said; and a timeout of its own is none of ours."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return await asyncio.Future()

    async def closing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 4400})
        scope["state"]["expiry"].reschedule(0)
        await receive()

    async def slow(*_: Any) -> None:
        raise TimeoutError("of its own")

    await SocketExpiry(closing)({"type": "websocket", "state": {}}, receive, send)
    assert [message["code"] for message in sent] == [4400]
    with pytest.raises(TimeoutError, match="of its own"):
        await SocketExpiry(slow)({"type": "websocket", "state": {}}, receive, send)
