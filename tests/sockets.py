"""A client's side of graphql-transport-ws, that says what it is told to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

PROTOCOL = "graphql-transport-ws"
INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
QUERY = {"query": "{ __typename }"}
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
