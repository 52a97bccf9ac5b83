"""Websockets whose clients stall, fall silent, or hear that the server ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.bounded_socket import BoundedSocket
from api.listener import listen_on
from tests.system import running_beside

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = "x" * 4_000
ENOUGH = 2**20  # bytes that wait for no client, whatever the kernel keeps for both sides


class Impatient(BoundedSocket):
    """Waits for a moment only."""

    stalled_seconds = 0.2


class Patient(BoundedSocket):
    """Waits for longer than a test lasts."""

    stalled_seconds = 3_600.0


class Talk:
    """An application that sends `limit` bytes, or without end, and then waits for its client to leave."""

    def __init__(self, limit: int | None = None) -> None:
        self.sent = 0
        self.ended = asyncio.Event()
        self._limit = limit

    async def __call__(self, socket: WebSocket) -> None:
        """Talk, then listen."""
        await socket.accept()
        try:
            while self._limit is None or self.sent < self._limit:
                await socket.send_text(MESSAGE)
                self.sent += len(MESSAGE)
                await asyncio.sleep(0)
            await socket.receive_text()
        except WebSocketDisconnect:
            self.ended.set()


@asynccontextmanager
async def serving(talk: Talk, protocol: type[BoundedSocket], **options: Any) -> AsyncIterator[int]:
    """The port at which one talks."""
    app = Starlette(routes=[WebSocketRoute("/", talk.__call__)])
    config = uvicorn.Config(app, ws=protocol, lifespan="off", log_config=None, **options)
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    with listen_on("127.0.0.1", 0) as listener:
        async with running_beside(server.serve(sockets=[listener]), stop):
            while not server.started:
                await asyncio.sleep(0)
            yield listener.getsockname()[1]


@asynccontextmanager
async def deaf_client(port: int) -> AsyncIterator[socket.socket]:
    """Somebody who asks for a websocket and reads nothing, not even the answer."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, HANDSHAKE)
        yield client


async def read_all(client: socket.socket) -> None:
    """Up to the end of what the server says."""
    while await asyncio.get_running_loop().sock_recv(client, 65_536):
        pass


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """What waits for it meanwhile is bounded; the kernel is rid of it, too, and the client is told."""
    talk = Talk()
    async with serving(talk, Impatient) as port, deaf_client(port) as client:
        await talk.ended.wait()
        assert talk.sent < ENOUGH
        with pytest.raises(ConnectionResetError):
            await read_all(client)


async def test_a_client_that_reads_on_in_time_is_kept() -> None:
    """However often it lets the server wait for a moment."""
    talk = Talk(limit=2_000 * len(MESSAGE))
    async with serving(talk, BoundedSocket) as port:
        async with websockets.connect(f"ws://127.0.0.1:{port}", proxy=None, max_queue=1) as client:
            for _ in range(2_000):
                assert await client.recv() == MESSAGE
        await talk.ended.wait()


async def test_a_silent_client_is_found_by_pings() -> None:
    """It neither reads nor answers, and nothing is written to it that would have to wait."""
    talk = Talk(limit=0)
    pings = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.05}
    async with serving(talk, Patient, **pings) as port, deaf_client(port):
        await talk.ended.wait()


async def test_a_silent_client_is_found_by_pings_behind_what_waits() -> None:
    """The ping itself waits behind what the client does not read."""
    talk = Talk()
    pings = {"ws_ping_interval": 0.5, "ws_ping_timeout": 0.5}
    async with serving(talk, Patient, **pings) as port, deaf_client(port):
        await talk.ended.wait()
        assert talk.sent < ENOUGH


async def test_a_server_that_ends_says_goodbye() -> None:
    """With the word for going away, to which browsers and clients come again."""
    talk = Talk(limit=0)
    async with serving(talk, BoundedSocket) as port:
        client = await websockets.connect(f"ws://127.0.0.1:{port}", proxy=None)
    await talk.ended.wait()
    await client.wait_closed()
    assert client.close_code == 1001


async def test_a_server_that_ends_does_not_wait_for_the_deaf() -> None:
    """Their goodbye waits behind what they do not read."""
    talk = Talk()
    async with serving(talk, Patient) as port, deaf_client(port):
        while talk.sent < 64 * 1024:
            await asyncio.sleep(0)
    assert talk.ended.is_set()
