"""Websockets whose clients stall, fall silent, or hear that the server ends."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
HERE = 64 * 1024  # bytes that wait in this process before it is time to stop
KERNELS = (128 + 64) * 1024  # bytes that the kernel keeps for both sides of a deaf client


class Impatient(BoundedSocket):
    """Waits for a moment only."""

    stalled_seconds = 0.2


class Patient(BoundedSocket):
    """Waits for longer than a test lasts."""

    stalled_seconds = 3_600.0


class Steady(BoundedSocket):
    """Waits for a second."""

    stalled_seconds = 1.0


class Small(Patient):
    """Has room for a megabyte."""

    most_waiting = 2**20


class Talk:
    """An application that sends `limit` bytes, or without end, and then waits for its client to leave."""

    def __init__(self, limit: int | None = None, message: str = MESSAGE, voices: int = 1) -> None:
        self.sent = 0
        self.ended = asyncio.Event()
        self._limit = limit
        self._message = message
        self._voices = voices

    async def __call__(self, socket: WebSocket) -> None:
        """Talk, then listen."""
        await socket.accept()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._voices):
                    group.create_task(self._talk(socket))
            await socket.receive_text()
        except* WebSocketDisconnect:
            self.ended.set()

    async def _talk(self, socket: WebSocket) -> None:
        while self._limit is None or self.sent < self._limit:
            self.sent += len(self._message)
            await socket.send_text(self._message)
            await asyncio.sleep(0)


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


def watched(protocol: type[BoundedSocket], seen: list[BoundedSocket]) -> type[BoundedSocket]:
    """The same, of which it can be seen what there is."""

    class Watched(protocol):  # type: ignore[valid-type, misc]
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            seen.append(self)

    return Watched


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
        assert talk.sent < HERE + KERNELS + 3 * len(MESSAGE)
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


@pytest.mark.parametrize(
    ("message", "pings"),
    [(MESSAGE, {}), (MESSAGE * 250, {}), (MESSAGE * 250, {"ws_ping_interval": 0.3, "ws_ping_timeout": 1.0})],
)
async def test_a_client_that_reads_slowly_but_steadily_is_kept(message: str, pings: dict[str, float]) -> None:
    """Though it takes longer than it may wait, and no ping gets through to it meanwhile."""
    talk = Talk(limit=250 * len(MESSAGE), message=message)
    loop = asyncio.get_running_loop()
    async with serving(talk, Steady, **pings) as port, deaf_client(port) as client:
        began, heard = loop.time(), 0
        while heard < 250 * len(MESSAGE):
            more = len(await loop.sock_recv(client, 8_192))
            assert more
            heard += more
            await asyncio.sleep(0.025)  # it is slow
        assert loop.time() - began > 2 * Steady.stalled_seconds


async def test_an_answer_that_is_far_too_long_for_a_deaf_client_ends_it_at_once() -> None:
    """However long it might have waited."""
    talk = Talk(limit=1, message="x" * (2 * Small.most_waiting))
    async with serving(talk, Small) as port, deaf_client(port):
        await talk.ended.wait()


async def test_of_many_who_talk_to_one_client_only_one_fills_the_room() -> None:
    """Though all of them wait for it."""
    seen: list[BoundedSocket] = []
    message = "x" * 60_000
    talk = Talk(limit=100 * len(message), message=message, voices=20)
    async with serving(talk, watched(Patient, seen)) as port, deaf_client(port) as client:
        heard = most = 0
        loop = asyncio.get_running_loop()
        while heard < talk.sent or not heard:
            heard += len(await loop.sock_recv(client, 8_192))
            most = max(most, seen[0].transport.get_write_buffer_size())
        assert HERE < most < HERE + len(message) + 1_000


async def test_nothing_is_read_of_a_client_that_does_not_read() -> None:
    """It might send pings without end. When it reads on, each that was sent is answered."""
    seen: list[BoundedSocket] = []
    ping = b"\x89\xfd\0\0\0\0" + b"p" * 125
    pings = memoryview(ping * 500)
    talk = Talk(limit=0)
    loop = asyncio.get_running_loop()
    async with serving(talk, watched(Patient, seen)) as port, deaf_client(port) as client:
        sent = heard = most = 0
        while not seen or not seen[0].handshake_complete:
            await asyncio.sleep(0)
        while seen[0].transport.is_reading():
            with suppress(BlockingIOError):
                sent += client.send(pings[sent % len(ping) :])
            await asyncio.sleep(0)
            most = max(most, seen[0].transport.get_write_buffer_size())
        assert HERE < most < HERE + 256 * 1024
        await loop.sock_sendall(client, pings[sent % len(ping) : len(ping)])
        answers = -(-sent // len(ping)) * (2 + 125)
        while heard < answers:
            heard += len(await loop.sock_recv(client, 65_536))
        assert seen[0].transport.is_reading()


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
        assert talk.sent < HERE + KERNELS + 3 * len(MESSAGE)


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
